//! Who may do what: every route, called by every kind of caller on their own and on somebody else's, held against one
//! table that people can read. With UPDATE_GOLDEN=1 the table is written instead; then read it, line by line.

mod cast;
mod objects;
mod people;
mod work;

use cast::{COLUMNS, Stage, Who};
use dbward::http::route::{Guarded, Route};
use dbward::http::router::ROUTES;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// One way to call a route. The answer is its status, with `*` after it where a list shows what was looked for.
type Call = fn(&Stage, &Who) -> String;

/// The ways to call one route.
struct Lines {
    method: &'static str,
    /// The template, as the table of routes has it.
    path: &'static str,
    cases: &'static [(&'static str, Call)],
}

/// Width of a label.
const LABEL: usize = 47;

const HEAD: &str = "\
Who may do what. Each number is the status of one call; `*` says that a list shows what the line is about.
Databases: shop in development (everything runs at once), staging and production (one of the group `approvers`).
`own` is the caller's, whatever the token allows now; where the caller cannot have one it is the requester's.

none  no token                                 appr  a role with request.approve only, named by no step
bad   a token that does not exist              desg  member of the group `approvers`, without any role
agt   agent that serves everything             reqr  the requester, a developer
agt2  agent that serves staging                adm   administrator
read  readonly                                 adm2  `*` in staging only
dev   developer                                susp  somebody suspended
dev2  what a developer may, in staging only
";

fn all() -> Vec<&'static Lines> {
    [objects::LINES, people::LINES, work::LINES]
        .into_iter()
        .flatten()
        .collect()
}

fn table() -> String {
    let stage = Stage::new();
    let mut out = format!("{HEAD}\n{:LABEL$}", "");
    for column in COLUMNS {
        let _ = write!(out, " {:4}", column.short);
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    for lines in all() {
        let route = format!("{} {}", lines.method, lines.path);
        if lines.cases[0].0.is_empty() {
            let _ = write!(out, "\n{route:LABEL$}");
        } else {
            let _ = writeln!(out, "\n{route}");
        }
        for (case, call) in lines.cases {
            let mut line = String::new();
            if !case.is_empty() {
                let _ = write!(line, "  {case:width$}", width = LABEL - 2);
            }
            for column in COLUMNS {
                let who = stage.who(column);
                let _ = write!(line, " {:4}", call(&stage, &who));
            }
            let _ = writeln!(out, "{}", line.trim_end());
            stage.next_line();
        }
    }
    out
}

#[test]
fn everybody_may_what_the_table_says_and_no_more() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/matrix.txt");
    let text = table();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
        return;
    }
    let kept = fs::read_to_string(&path).unwrap();
    let mut route = "";
    let mut differing = Vec::new();
    for (now, then) in text.lines().zip(kept.lines()) {
        if !now.starts_with(' ') {
            route = now;
        }
        if now != then {
            differing.push(format!("{route}\n  is  {now}\n  was {then}"));
        }
    }
    assert!(
        differing.is_empty() && text.lines().count() == kept.lines().count(),
        "tests/it/matrix.txt differs; if it should, run with UPDATE_GOLDEN=1\n{}",
        differing.join("\n")
    );
}

#[test]
fn every_route_stands_in_the_table() {
    let lines = all();
    // Pages are the same for everybody and hold no data.
    let is_page = |r: &&Route| matches!(r.guarded, Guarded::Page(_));
    for route in ROUTES.iter().filter(|r| !is_page(r)) {
        let same = |l: &&&Lines| l.method == route.method && l.path == route.path;
        let found = lines.iter().filter(same).count();
        assert_eq!(found, 1, "{} {}", route.method, route.path);
    }
    for line in &lines {
        let known = ROUTES
            .iter()
            .any(|r| r.method == line.method && r.path == line.path);
        assert!(known, "{} {} is not a route", line.method, line.path);
    }
}
