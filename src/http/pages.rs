//! The console: pages for people, served from the binary. Nothing here knows any data: a page is the same for
//! everybody, and reads what it shows from the API with the credential that its reader gave it.

use super::HttpContext;
use super::api::ranges;
use super::call::HttpResponse;
use super::router::{HandlerResult, RoutedRequest};
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

/// SHA-256 of all files: what a browser keeps is asked for again with it, so a new binary is seen at once.
static ETAG: LazyLock<String> = LazyLock::new(|| {
    let mut all = Vec::new();
    for asset in ASSETS.iter().chain([&SHELL]) {
        all.extend_from_slice(asset.body);
    }
    format!("\"{}\"", crypto::hex(&crypto::sha256(&all)[..16]))
});

/// Any page: the files decide by the address what to show.
///
/// # Errors
/// None.
pub fn shell(_: &HttpContext, ask: &RoutedRequest) -> HandlerResult {
    Ok(reply(&SHELL, ask))
}

/// `GET /assets/{name}`
///
/// # Errors
/// `not_found` for a name that no file has.
pub fn asset(_: &HttpContext, ask: &RoutedRequest) -> HandlerResult {
    let found = ASSETS.iter().find(|a| a.name == ask.id());
    let asset = found.ok_or_else(|| Error::not_found("file", ask.id()))?;
    Ok(reply(asset, ask))
}

/// A page that goes on to an address of the console by itself.
pub(super) fn onward(address: &str) -> HttpResponse {
    let address = address.replace('&', "&amp;");
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>dbward</title>\n\
         <meta http-equiv=\"refresh\" content=\"0;url={address}\">\n<link rel=\"icon\" href=\"/assets/icon.svg\">\n<link rel=\"stylesheet\" href=\"/assets/app.css\">\n\
         </head>\n<body><p class=\"onward\">You are signed in. <a href=\"{address}\">Go on</a></p></body>\n</html>\n"
    );
    let mut reply = HttpResponse::with_body(200, HTML, page);
    reply.headers.push(("cache-control", "no-store".to_owned()));
    protect(&mut reply);
    reply
}

fn reply(asset: &Asset, ask: &RoutedRequest) -> HttpResponse {
    let held = ask.call.header("if-none-match");
    let mut reply = match held.is_some_and(|list| ranges::names(list, &ETAG)) {
        true => HttpResponse::empty(304),
        false => HttpResponse::with_body(200, asset.media_type, asset.body),
    };
    reply.headers.extend([
        ("cache-control", "no-cache".to_owned()),
        ("etag", ETAG.clone()),
    ]);
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

    #[test]
    fn what_is_imported_is_served_and_exported() {
        let mut count = 0;
        for asset in ASSETS {
            let text = String::from_utf8_lossy(asset.body);
            for line in text.lines().filter(|l| l.starts_with("import {")) {
                let (names, from) = line.split_once("} from \"./").unwrap();
                let file = from.strip_suffix("\";").unwrap();
                let exporter = ASSETS.iter().find(|a| a.name == file).unwrap();
                let exporter = String::from_utf8_lossy(exporter.body);
                for name in names.trim_start_matches("import {").split(',') {
                    let name = name.trim();
                    let kinds = ["function", "async function", "const", "class"];
                    let is_exported = kinds.iter().any(|kind| {
                        let start = format!("export {kind} {name}");
                        let after = exporter.split(&start).nth(1);
                        after.is_some_and(|rest| rest.starts_with(['(', ' ']))
                    });
                    assert!(is_exported, "{}: {line}", asset.name);
                    count += 1;
                }
            }
        }
        assert!(count > 50, "{count}");
        // All at once, without waiting for one to name the next.
        for asset in ASSETS {
            let link = format!("/assets/{}", asset.name);
            assert!(
                String::from_utf8_lossy(SHELL.body).contains(&link),
                "{link}"
            );
        }
    }
}
