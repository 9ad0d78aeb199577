//! The console: pages that hold no data, the list that is held open for them, and decisions bound to what was read.

use crate::support::{Server, eventually};
use dbward::domain::id::is_subject;
use dbward::domain::sql::{escaped, escaped_exactly, shows_nothing};
use serde_json::json;

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const PAGES: [&str; 8] = [
    "/",
    "/requests",
    "/requests/0b0e",
    "/new",
    "/audit",
    "/operations",
    "/policies",
    "/people",
];

/// All that a page may load or do, in order.
const RULES: [&str; 10] = [
    "base-uri 'none'",
    "connect-src 'self'",
    "default-src 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "img-src 'self'",
    "require-trusted-types-for 'script'",
    "script-src 'self'",
    "style-src 'self'",
    "trusted-types 'none'",
];

#[test]
fn every_page_is_same_shell_without_data_or_inline_code() {
    let s = Server::shop();
    let shell = s.nobody().get("/").is(200).raw();
    for page in PAGES {
        let answer = s.nobody().get(page).is(200);
        assert_eq!(answer.raw(), shell, "{page}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        let policy = answer.header("content-security-policy").unwrap();
        let mut rules: Vec<&str> = policy.split("; ").collect();
        rules.sort_unstable();
        assert_eq!(rules, RULES, "{page}");
        for header in ["cross-origin-opener-policy", "cross-origin-resource-policy"] {
            assert_eq!(answer.header(header), Some("same-origin"), "{page}");
        }
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    }
    // An address may carry filters; they are read in the browser.
    s.nobody()
        .get("/requests?status=pending&anything=1")
        .is(200);
}

#[test]
fn cached_files_have_an_address_that_changes_with_them() {
    let s = Server::shop();
    let shell = s.nobody().get("/").is(200);
    assert_eq!(shell.header("cache-control"), Some("no-cache"));
    let tag = shell.header("etag").unwrap().to_owned();
    let same = [("If-None-Match", tag.as_str())];
    s.nobody().get_with("/", &same).is(304);
    let text = shell.raw();
    let files: Vec<&str> = text
        .split('"')
        .filter(|part| part.starts_with("/assets/"))
        .collect();
    assert!(files.len() > 5, "{text}");
    for file in &files {
        let answer = s.nobody().get(file).is(200);
        assert_eq!(
            answer.header("cache-control"),
            Some("public, max-age=31536000, immutable")
        );
    }
    let (folder, _) = files[0].rsplit_once('/').unwrap();
    let main = s.nobody().get(&format!("{folder}/main.js")).is(200);
    assert_eq!(
        main.header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    for name in ["nothing.js", "..%2findex.html", "index.html", "%2e%2e"] {
        s.nobody().get(&format!("{folder}/{name}")).is(404);
    }
    // Those of another binary are not these.
    let other = "/assets/00000000000000000000000000000000/main.js";
    s.nobody().get(other).refused(404, "not_found");
    s.nobody().call("POST", "/", &[], b"").is(405);
}

#[test]
fn held_inbox_answers_when_something_waits_or_is_decided() {
    let s = Server::shop();
    let (dba, path) = (s.approver(), "/api/requests?pending_for_me=true&wait=60");
    let empty = dba.get(path).is(200);
    assert!(empty.list("requests").is_empty());
    let tag = empty.header("etag").unwrap().to_owned();
    // Unchanged, and not asked to wait: nothing is sent again.
    let plain = "/api/requests?pending_for_me=true";
    dba.get_with(plain, &[("If-None-Match", &tag)]).is(304);

    let held = dba.begin("GET", path, &[("If-None-Match", &tag)], b"");
    s.until_parked(1);
    // What needs no decision of anybody leaves it waiting.
    s.requester().submit("development", "SELECT 1");
    s.until_parked(1);
    let request = s.requester().submit("production", UPDATE);
    let answer = held.answer().is(200);
    assert_eq!(answer.list("requests")[0]["id"], request.id.as_str());

    let tag = answer.header("etag").unwrap().to_owned();
    let held = dba.begin("GET", path, &[("If-None-Match", &tag)], b"");
    s.until_parked(1);
    s.requester().cancel(&request).is(200);
    assert!(held.answer().is(200).list("requests").is_empty());
    eventually("nothing waits", || s.parked() == 0);
}

#[test]
fn only_the_inbox_can_be_held() {
    let s = Server::shop();
    s.requester()
        .get("/api/requests?wait=5")
        .refused(400, "validation_error")
        .saying("pending_for_me");
}

#[test]
fn a_decision_counts_only_for_what_was_read() {
    let s = Server::shop();
    let request = s.requester().submit("production", UPDATE);
    let tag = |r: &crate::support::Request| {
        let answer = s.approver().show(r).is(200);
        answer.header("etag").unwrap().to_owned()
    };
    let seen = tag(&request);
    assert_eq!(seen, tag(&request), "reading changes nothing");
    let decide = |verb: &str, tag: &str| {
        let body = json!({"comment": "looks right"}).to_string();
        let path = request.path(&format!("/{verb}"));
        s.approver()
            .call("POST", &path, &[("If-Match", tag)], body.as_bytes())
    };
    for verb in ["approve", "reject"] {
        decide(verb, "\"0123\"").refused(412, "changed");
    }
    decide("approve", &seen).is(200);
    assert_ne!(seen, tag(&request));
    // The requester decides on the request as it was before the vote.
    for verb in ["cancel", "resume"] {
        s.requester()
            .call(
                "POST",
                &request.path(&format!("/{verb}")),
                &[("If-Match", &seen)],
                b"",
            )
            .refused(412, "changed");
    }
    let now = tag(&request);
    s.requester()
        .call("POST", &request.path("/resume"), &[("If-Match", &now)], b"")
        .is(200);
    // Without the header, or with a star, anything goes.
    s.requester()
        .call("POST", &request.path("/cancel"), &[("If-Match", "*")], b"")
        .is(200);
}

/// The characters of a class of JavaScript: its ranges, both ends included.
fn ranges(class: &str) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for range in class.split(r"\u").skip(1) {
        let (code, to) = match range.strip_suffix('-') {
            Some(code) => (code, true),
            None => (range, false),
        };
        let code = u32::from_str_radix(code.trim_matches(['{', '}']), 16).unwrap();
        match ranges.last_mut() {
            Some(last) if last.1 == u32::MAX => last.1 = code,
            _ => ranges.push((code, if to { u32::MAX } else { code })),
        }
    }
    ranges
}

/// The console and the server call the same characters hidden, each in its own language; so do names.
#[test]
fn pages_show_what_nobody_sees_as_the_api_does() {
    let script = include_str!("../../src/web/dom.js");
    let class = |name: &str| {
        let pattern = script.split(&format!("const {name} = /")).nth(1).unwrap();
        let class = pattern.split_once('[').unwrap().1;
        ranges(class.split("]/gu;").next().unwrap())
    };
    let (lies, blanks) = (class("LIES"), class("BLANKS"));
    let is_in = |ranges: &[(u32, u32)], c: char| {
        let code = u32::from(c);
        ranges
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&code))
    };
    let all = (0..=0x0010_ffff).filter_map(char::from_u32);
    let mut hidden = 0;
    for c in all.filter(|c| *c != '\r') {
        let text = c.to_string();
        let (is_lie, is_blank) = (is_in(&lies, c), is_in(&blanks, c));
        assert_eq!(is_lie, escaped(&text) != text, "{c:?}");
        assert_eq!(is_lie || is_blank, escaped_exactly(&text) != text, "{c:?}");
        if is_lie {
            hidden += 1;
            assert!(!is_subject(&format!("a{c}b")), "{c:?}");
            assert!(c.is_whitespace() || shows_nothing(&text), "{c:?}");
        }
    }
    assert!(hidden > 4000, "{hidden}");
}
