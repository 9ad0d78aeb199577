//! What dialects cut into tokens differently, on real databases and through a real agent: a text runs as it was read, or
//! not at all, whichever dialect the server reads it in.

use super::Place;
use super::places::{mysql, postgres, sqlite};
use super::served::Served;
use crate::dialects::CONSTRUCTS;
use crate::support::{Request, eventually};
use dbward::agent::drivers::RunOutcome;
use serde_json::Value;

/// What the server may read a text in; empty where it has no dialect but what the agent reports.
const READ_IN: [&str; 4] = ["postgresql", "mysql", "sqlite", ""];
/// Texts that each dialect lets through, at least.
const PASS_MIN: usize = 5;

/// Makes the tables anew.
fn made(place: &Place) {
    for sql in [
        "DROP TABLE IF EXISTS t",
        "DROP TABLE IF EXISTS secret",
        "CREATE TABLE t (id INTEGER, a VARCHAR(20))",
        "CREATE TABLE secret (id INTEGER)",
        "INSERT INTO t VALUES (1, '0'), (2, '0'), (3, '0')",
        "INSERT INTO secret VALUES (1)",
    ] {
        place.done(&[sql]);
    }
}

/// Rows that a SELECT of `n` counts; none where it fails.
fn counted(place: &Place, sql: &str) -> Option<u64> {
    let RunOutcome::Rows { json, .. } = place.read(&[sql]) else {
        return None;
    };
    let (_, count) = json.split_once("\"n\":")?;
    let digits: String = count.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Rows of `t` that are still what they were.
fn unchanged(place: &Place) -> Option<u64> {
    counted(place, "SELECT count(*) AS n FROM t WHERE a = '0'")
}

/// The tables that are not as they were made.
fn touched(place: &Place) -> Vec<&'static str> {
    let t = (unchanged(place) != Some(3)).then_some("t");
    let secret = counted(place, "SELECT count(*) AS n FROM secret") != Some(1);
    t.into_iter().chain(secret.then_some("secret")).collect()
}

/// Makes a request of a text that is let through, which is approved and resumed.
fn submitted(served: &Served, text: &str) -> Option<Request> {
    let person = served.server.requester();
    let answer = person.create("production", text);
    if answer.status == 422 {
        return None;
    }
    let request = Request {
        by: person,
        id: answer.is(201).text("id"),
        answer,
    };
    Some(request.approved_by(&served.server.approver()).resumed())
}

fn shown(request: &Request) -> Value {
    request.by.show(request).is(200).json.clone()
}

/// Runs every construct where the server reads in `read_in` and the agent has `place`.
fn reads_in(place: Place, read_in: &str) {
    let native = place.driver.dialect().as_str();
    made(&place);
    let served = Served::reading(place, read_in, 30);
    let same = read_in.is_empty() || read_in == native;
    // An agent that has reported nothing yet may claim, and refuses what its driver would read otherwise.
    let says = match same {
        true => "schema.snapshot_updated",
        false => "schema.dialect_differs",
    };
    eventually("the agent says what its database is", || {
        !served
            .server
            .events(&format!("event_type={says}"))
            .is_empty()
    });
    let mut made_of = Vec::new();
    for (construct, text) in CONSTRUCTS {
        let Some(request) = submitted(&served, text) else {
            continue;
        };
        let case = format!("{construct}, read in `{read_in}`, on {native}");
        if same {
            served.result(&request).is(200);
            // Null where it was not understood, which is what its approver saw.
            let read = shown(&request)["context"]["tables"].clone();
            for table in touched(&served.place) {
                let named = read.to_string().contains(&format!("\"{table}\""));
                assert!(read.is_null() || named, "{case}: {table} is not of {read}");
            }
            // What changes every row has no condition, or says so itself.
            if unchanged(&served.place) == Some(0) {
                let findings = shown(&request)["context"]["sql_review"]["findings"].to_string();
                let warned = findings.contains("NoWhere") || text.contains(" OR ");
                assert!(read.is_null() || warned, "{case}: {findings}");
            }
            made(&served.place);
        } else {
            eventually("nobody may run it", || {
                shown(&request)["queue_hint"] == "dialect_mismatch"
            });
        }
        made_of.push((case, request));
    }
    assert!(
        made_of.len() >= PASS_MIN,
        "{read_in} on {native}: {}",
        made_of.len()
    );
    if !same {
        for (case, request) in &made_of {
            assert_eq!(request.status(), "dispatched", "{case}");
        }
        assert_eq!(touched(&served.place), Vec::<&str>::new());
    }
}

#[test]
fn sqlite_runs_constructs_as_read_or_not_at_all() {
    for dialect in READ_IN {
        reads_in(sqlite(), dialect);
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_runs_constructs_as_read_or_not_at_all() {
    for dialect in READ_IN {
        reads_in(postgres(), dialect);
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_runs_constructs_as_read_or_not_at_all() {
    for dialect in READ_IN {
        reads_in(mysql(), dialect);
    }
}
