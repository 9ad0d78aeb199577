//! The console: pages for people, served from the binary. Nothing here knows any data: a page is the same for
//! everybody, and reads what it shows from the API with the credential that its reader gave it.

use super::HttpContext;
use super::api::ranges;
use super::call::HttpResponse;
use super::route::{HandlerResult, RoutedRequest};
use crate::crypto;
use crate::error::Error;
use std::sync::LazyLock;

/// A file of the console.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    body: &'static [u8],
}

macro_rules! asset {
    ($name:literal, $media_type:expr) => {
        Asset {
            name: $name,
            media_type: $media_type,
            body: include_bytes!(concat!("../web/", $name)),
        }
    };
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

static SHELL: Asset = asset!("index.html", HTML);
static ASSETS: &[Asset] = &[
    asset!("api.js", SCRIPT),
    asset!("app.css", STYLE),
    asset!("dom.js", SCRIPT),
    asset!("drafts.js", SCRIPT),
    asset!("early.js", SCRIPT),
    asset!("icon.svg", "image/svg+xml"),
    asset!("main.js", SCRIPT),
    asset!("page_audit.js", SCRIPT),
    asset!("page_compose.js", SCRIPT),
    asset!("page_first.js", SCRIPT),
    asset!("page_lists.js", SCRIPT),
    asset!("page_operations.js", SCRIPT),
    asset!("page_people.js", SCRIPT),
    asset!("page_policies.js", SCRIPT),
    asset!("page_request.js", SCRIPT),
    asset!("page_results.js", SCRIPT),
    asset!("parts.js", SCRIPT),
    asset!("plan.js", SCRIPT),
    asset!("sign_in.js", SCRIPT),
    asset!("sql.js", SCRIPT),
];

/// What a page may load: its own files and its own API. No markup may be made of text (Trusted Types), nobody may
/// frame it, and no form leaves it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Seconds that a browser may keep a file: its address changes with it.
const KEPT: &str = "public, max-age=31536000, immutable";

/// SHA-256 of all files, in part. It is in the address of each, so a browser asks for none twice, and sees a new binary
/// at once.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut all = Vec::new();
    for asset in ASSETS.iter().chain([&SHELL]) {
        all.extend_from_slice(asset.body);
    }
    crypto::hex(&crypto::sha256(&all)[..16])
});

/// The shell with the addresses of the files.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    let text = String::from_utf8_lossy(SHELL.body);
    text.replace("/assets/", &format!("/assets/{}/", *VERSION))
});

/// The addresses of pages; `{id}` takes one segment.
pub(super) const PATHS: [&str; 8] = [
    "/",
    "/requests",
    "/requests/{id}",
    "/new",
    "/audit",
    "/operations",
    "/policies",
    "/people",
];

/// Whether an address shows a page of the console. What else there is to get is not for a link to have somebody get.
pub(super) fn is_shown_at(to: &str) -> bool {
    let path = to.split(['?', '#']).next().unwrap_or_default();
    let is_id =
        |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    PATHS.iter().any(|template| {
        let is_same = |(part, segment)| part == segment || (part == "{id}" && is_id(segment));
        template.split('/').count() == path.split('/').count()
            && template.split('/').zip(path.split('/')).all(is_same)
    })
}

/// Any page: the files decide by the address what to show.
///
/// # Errors
/// None.
pub fn shell(_: &HttpContext, ask: &RoutedRequest) -> HandlerResult {
    let etag = format!("\"{}\"", *VERSION);
    let held = ask.call.header("if-none-match");
    let mut reply = match held.is_some_and(|list| ranges::names(list, &etag)) {
        true => HttpResponse::empty(304),
        false => HttpResponse::with_body(200, SHELL.media_type, PAGE.as_str()),
    };
    let kept = [("cache-control", "no-cache".to_owned()), ("etag", etag)];
    reply.headers.extend(kept);
    protect(&mut reply);
    Ok(reply)
}

/// `GET /assets/{version}/{name}`
///
/// # Errors
/// `not_found` for a name that no file has, and for files of another binary.
pub fn asset(_: &HttpContext, ask: &RoutedRequest) -> HandlerResult {
    let (version, name) = (ask.id(), ask.second());
    let found = ASSETS.iter().find(|a| a.name == name);
    let asset = found
        .filter(|_| version == *VERSION)
        .ok_or_else(|| Error::not_found("file", name))?;
    let mut reply = HttpResponse::with_body(200, asset.media_type, asset.body);
    reply.headers.push(("cache-control", KEPT.to_owned()));
    protect(&mut reply);
    Ok(reply)
}

/// A page that goes on to an address of the console by itself.
pub(super) fn onward(address: &str) -> HttpResponse {
    let address = address.replace('&', "&amp;");
    let version = &*VERSION;
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>dbward</title>\n\
         <meta http-equiv=\"refresh\" content=\"0;url={address}\">\n<link rel=\"icon\" href=\"/assets/{version}/icon.svg\">\n<link rel=\"stylesheet\" href=\"/assets/{version}/app.css\">\n\
         </head>\n<body><p class=\"onward\">You are signed in. <a href=\"{address}\">Go on</a></p></body>\n</html>\n"
    );
    let mut reply = HttpResponse::with_body(200, HTML, page);
    reply.headers.push(("cache-control", "no-store".to_owned()));
    protect(&mut reply);
    reply
}

/// Has browsers keep a page to what it is for.
fn protect(reply: &mut HttpResponse) {
    reply.headers.extend([
        ("content-security-policy", POLICY.to_owned()),
        ("referrer-policy", "no-referrer".to_owned()),
        ("cross-origin-opener-policy", "same-origin".to_owned()),
        ("cross-origin-resource-policy", "same-origin".to_owned()),
        (
            "permissions-policy",
            "camera=(), geolocation=(), microphone=()".to_owned(),
        ),
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_console_is_small() {
        let bytes: usize = ASSETS.iter().chain([&SHELL]).map(|a| a.body.len()).sum();
        assert!(bytes < 200_000, "{bytes}");
    }

    #[test]
    fn no_file_makes_markup_of_text_or_holds_inline_code() {
        for asset in ASSETS.iter().chain([&SHELL]) {
            let text = String::from_utf8_lossy(asset.body);
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "style=",
                "onclick=\"",
                "http://",
                "https://",
            ] {
                let allowed = word == "http://" && text.contains("http://www.w3.org/2000/svg");
                assert!(allowed || !text.contains(word), "{}: {word}", asset.name);
            }
        }
    }

    fn text(asset: &Asset) -> std::borrow::Cow<'static, str> {
        String::from_utf8_lossy(asset.body)
    }

    fn script(name: &str) -> &'static Asset {
        let found = ASSETS.iter().find(|a| a.name == name);
        found.unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// What a script imports when it is loaded: the names, and the file of each line.
    fn imports(asset: &Asset) -> Vec<(Vec<String>, String)> {
        let text = text(asset);
        let lines = text.lines().filter_map(|l| l.strip_prefix("import { "));
        lines
            .map(|line| {
                let (names, from) = line.split_once(" } from \"./").unwrap();
                let names = names.split(", ").map(str::to_owned).collect();
                (names, from.strip_suffix("\";").unwrap().to_owned())
            })
            .collect()
    }

    #[test]
    fn only_pages_are_shown_at_an_address() {
        let pages = "/ /?a=/api /requests /requests?user=me /requests/5f6d7c1e-0000 /new#x /people";
        for page in pages.split(' ') {
            assert!(is_shown_at(page), "{page}");
        }
        let others = "/api /api/me /health /assets/a/app.css /auth/sign-in /auth/callback /requests/ /requests/.. \
                      /requests/%2e%2e /requests/a/b /requests/{id}/b //evil.example /unknown requests";
        for other in others.split_whitespace() {
            assert!(!is_shown_at(other), "{other}");
        }
        assert!(!is_shown_at(""));
    }

    #[test]
    fn what_is_imported_is_served_and_exported() {
        let mut count = 0;
        for asset in ASSETS {
            for (names, file) in imports(asset) {
                let exporter = text(script(&file));
                for name in names {
                    let kinds = ["function", "async function", "const", "class"];
                    let is_exported = kinds.iter().any(|kind| {
                        let start = format!("export {kind} {name}");
                        let mut found = exporter.split(&start).skip(1);
                        found.any(|rest| rest.starts_with(['(', ' ']))
                    });
                    assert!(is_exported, "{} imports {name} of {file}", asset.name);
                    count += 1;
                }
            }
            for later in text(asset).split("import(\"./").skip(1) {
                script(later.split('"').next().unwrap());
                count += 1;
            }
        }
        assert!(count > 50, "{count}");
    }

    #[test]
    fn shell_names_what_the_first_page_loads_and_no_more() {
        let mut needed = vec!["main.js".to_owned()];
        let mut at = 0;
        while let Some(name) = needed.get(at) {
            for (_, file) in imports(script(name)) {
                if !needed.contains(&file) {
                    needed.push(file);
                }
            }
            at += 1;
        }
        needed.extend(["app.css", "early.js", "icon.svg"].map(str::to_owned));
        let shell = text(&SHELL);
        for asset in ASSETS {
            let named = shell.contains(&format!("\"/assets/{}\"", asset.name));
            let is_needed = needed.iter().any(|n| n == asset.name);
            assert_eq!(named, is_needed, "{}", asset.name);
        }
    }
}
