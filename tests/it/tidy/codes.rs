//! Which error codes there are, and the one status each has: clients branch on both.

use super::source::{Source, is_name, sources};
use super::{none, read};
use dbward::error::{Error, ErrorKind};
use serde_json::json;
use std::collections::BTreeSet;

/// Every kind of error with its status.
const STATUSES: &[(ErrorKind, u16)] = &[
    (ErrorKind::Invalid, 400),
    (ErrorKind::Unauthenticated, 401),
    (ErrorKind::Forbidden, 403),
    (ErrorKind::NotFound, 404),
    (ErrorKind::MethodNotAllowed, 405),
    (ErrorKind::RequestTimeout, 408),
    (ErrorKind::Conflict, 409),
    (ErrorKind::Gone, 410),
    (ErrorKind::PreconditionFailed, 412),
    (ErrorKind::TooLarge, 413),
    (ErrorKind::UriTooLong, 414),
    (ErrorKind::UnsupportedMediaType, 415),
    (ErrorKind::RangeNotSatisfiable, 416),
    (ErrorKind::ExpectationFailed, 417),
    (ErrorKind::Refused, 422),
    (ErrorKind::TooMany, 429),
    (ErrorKind::HeadTooLarge, 431),
    (ErrorKind::Internal, 500),
    (ErrorKind::BadGateway, 502),
    (ErrorKind::Unavailable, 503),
    (ErrorKind::GatewayTimeout, 504),
    (ErrorKind::VersionNotSupported, 505),
];

/// The codes of a file outside its tests, each with its status; what cannot be read goes to `offences`.
fn codes(source: &Source, offences: &mut Vec<String>) -> Vec<String> {
    let mut found = Vec::new();
    for (call, status) in [
        ("Error::new(", None),
        ("Error::forbidden_as(", Some(403)),
        ("Error::conflict(", Some(409)),
        ("Error::refused(", Some(422)),
    ] {
        for at in source.uses(call) {
            let start = at + call.len();
            let code = source.strings.iter().find(|s| s.at >= start);
            let between = code.map_or("", |code| &source.code[start..code.at]);
            // Another crate's type of that name, one of our constructors that passes its code on, or the code by which
            // a start ends, which no client sees.
            let elsewhere = between.contains(" code,") || between.contains("STATE_DIFFERS,");
            if source.code[..at].ends_with("::") || elsewhere {
                continue;
            }
            let Some(code) = code.filter(|s| s.value.chars().all(is_name)) else {
                offences.push(format!("{} write the code there", source.place(at)));
                continue;
            };
            let kind = || {
                let (_, name) = between.rsplit_once("ErrorKind::")?;
                let name: String = name.chars().take_while(|c| is_name(*c)).collect();
                let (_, status) = STATUSES.iter().find(|(k, _)| format!("{k:?}") == name)?;
                Some(*status)
            };
            match status.or_else(kind) {
                Some(status) => found.push(format!("{status} {}", code.value)),
                None => offences.push(format!("{} write the kind there", source.place(at))),
            }
        }
    }
    found
}

#[test]
fn every_error_code_keeps_its_status() {
    let mut offences = Vec::new();
    let found: BTreeSet<String> = sources("src")
        .iter()
        .flat_map(|source| codes(source, &mut offences))
        .collect();
    let held: BTreeSet<String> = read("tests/golden/codes.txt")
        .lines()
        .map(str::to_owned)
        .collect();
    let strange = found.difference(&held);
    offences.extend(strange.map(|c| format!("`{c}` is not in tests/golden/codes.txt")));
    let gone = held.difference(&found);
    offences.extend(gone.map(|c| format!("`{c}` is made nowhere")));
    none("a code that clients may know keeps its status", &offences);
}

#[test]
fn every_error_code_is_documented() {
    let page = read("docs/errors.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| "));
    let documented: Vec<String> = rows
        .filter(|row| row.starts_with(|c: char| c.is_ascii_digit()))
        .map(|row| {
            let cells: Vec<&str> = row.split(" | ").collect();
            assert!(cells[2].len() > 10, "says when: {row}");
            format!("{} {}", cells[0], cells[1].trim_matches('`'))
        })
        .collect();
    let held = read("tests/golden/codes.txt");
    let held: Vec<&str> = held.lines().collect();
    assert_eq!(documented, held, "docs/errors.md, and the codes there are");
}

#[test]
fn every_kind_of_error_keeps_its_status_and_shape() {
    for (kind, status) in STATUSES {
        let error = Error::new(*kind, "some_code", "a \"message\"")
            .details(json!({"b": 1, "a": null}))
            .hint("a\nhint");
        assert_eq!(error.status(), *status);
        let message = match kind {
            ErrorKind::Internal => "internal error",
            _ => "a \\\"message\\\"",
        };
        assert_eq!(
            error.body("id"),
            format!(
                "{{\"error\":{{\"code\":\"some_code\",\"message\":\"{message}\",\"request_id\":\"id\",\
                 \"details\":{{\"a\":null,\"b\":1}}}},\"hint\":\"a\\nhint\"}}"
            )
        );
        assert_eq!(
            Error::new(*kind, "c", "").body("").replace(message, ""),
            "{\"error\":{\"code\":\"c\",\"message\":\"\",\"request_id\":\"\"}}"
        );
    }
}

#[test]
fn common_errors_keep_their_codes() {
    let of = |e: Error| (e.status(), e.code(), e.retry_after_secs());
    assert_eq!(of(Error::invalid("")), (400, "validation_error", None));
    assert_eq!(of(Error::unauthenticated()), (401, "unauthenticated", None));
    assert_eq!(of(Error::forbidden("")), (403, "forbidden", None));
    assert_eq!(of(Error::not_found("", "")), (404, "not_found", None));
    assert_eq!(of(Error::gone("")), (410, "gone", None));
    assert_eq!(of(Error::internal("", "")), (500, "internal", None));
    assert_eq!(of(Error::bug("")), (500, "internal", None));
    assert_eq!(of(Error::unavailable("")), (503, "unavailable", Some(2)));
}
