//! Which route a method and a path come to.

use super::ROUTES;
use crate::http::route::Guarded::Managed;
use crate::http::route::Route;
use percent_encoding::percent_decode_str;
use std::collections::HashMap;
use std::sync::LazyLock;

/// What a method and a path come to.
pub enum RouteMatch {
    /// A route, and the values of its parameters.
    Route(&'static Route, Vec<String>),
    /// A path that other methods work on.
    WrongMethod {
        path: &'static str,
        /// For the header of that name.
        allow: String,
    },
    Unknown,
}

/// The routes by what their path is about: comparing a path with all of them would cost more than a short call.
static BY_NOUN: LazyLock<HashMap<&str, Vec<&Route>>> = LazyLock::new(|| {
    let mut by_noun: HashMap<&str, Vec<&Route>> = HashMap::new();
    for route in ROUTES {
        let noun = noun(route.path.split('/').skip(1)).unwrap_or_default();
        by_noun.entry(noun).or_default().push(route);
    }
    by_noun
});

/// The first segment of a path, or the one after `api`; no template has a parameter there.
fn noun<'p>(mut segments: impl Iterator<Item = &'p str>) -> Option<&'p str> {
    match segments.next()? {
        "api" => Some(segments.next().unwrap_or("api")),
        first => Some(first),
    }
}

/// Finds the route of a method and a raw path.
pub fn find(method: &str, path: &str) -> RouteMatch {
    let Some(segments) = segments(path) else {
        return RouteMatch::Unknown;
    };
    let mut known = None;
    let candidates = noun(segments.iter().map(String::as_str)).and_then(|noun| BY_NOUN.get(noun));
    for route in candidates.into_iter().flatten() {
        let Some(params) = route.fit(&segments) else {
            continue;
        };
        if route.takes(method) {
            return RouteMatch::Route(route, params);
        }
        known = Some(route.path);
    }
    match known {
        Some(path) => RouteMatch::WrongMethod {
            path,
            allow: allowed(path),
        },
        None => RouteMatch::Unknown,
    }
}

/// The `Allow` header of a template: methods that work there.
pub fn allowed(path: &str) -> String {
    let mut methods = Vec::new();
    for route in ROUTES.iter().filter(|r| r.path == path) {
        match (route.method, &route.guarded) {
            (_, Managed(_)) => {}
            ("GET", _) => methods.extend(["GET", "HEAD"]),
            (method, _) => methods.push(method),
        }
    }
    methods.join(", ")
}

/// The segments of a raw path, each decoded once. `None` for a path that no route can have: an empty segment, `.` or
/// `..`, a slash or a NUL in disguise, a broken escape, or what is not UTF-8.
fn segments(path: &str) -> Option<Vec<String>> {
    if path == "/" {
        return Some(vec![String::new()]);
    }
    path.strip_prefix('/')?
        .split('/')
        .map(|raw| {
            let broken = raw.split('%').skip(1).any(|after| {
                let digits = after.as_bytes().iter().take(2);
                digits.filter(|b| b.is_ascii_hexdigit()).count() < 2
            });
            let text = percent_decode_str(raw).decode_utf8().ok()?;
            let odd = broken || matches!(&*text, "" | "." | "..") || text.contains(['/', '\0']);
            (!odd).then(|| text.into_owned())
        })
        .collect()
}
