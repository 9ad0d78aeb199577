//! What a start computes again, and what that costs.

use super::*;
use crate::store::live::columns::{OPEN, OPEN_SEQS};
use crate::store::live::{LiveState, recipe};

#[test]
fn start_reads_no_closed_request() {
    let temp = temp();
    drop(open(&temp));
    let connection = read_only(&temp.0.join("dbward.db")).unwrap();
    LiveState::new(&[7; 32]).register(&connection).unwrap();
    let mut of_requests = 0;
    for line in recipe().lines() {
        let (table, statement) = line.split_once(": ").unwrap();
        let mut plan = connection
            .prepare(&["EXPLAIN QUERY PLAN", statement].join(" "))
            .unwrap();
        let steps: Vec<String> = plan
            .query_map([], |r| r.get(3))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        if !statement.contains("requests") {
            continue;
        }
        of_requests += 1;
        // The list of open requests is all that is gone through; it is searched for.
        let scans: Vec<&String> = steps.iter().filter(|s| s.starts_with("SCAN")).collect();
        assert_eq!(scans, ["SCAN o"], "{table}: {steps:?}");
    }
    assert!(of_requests >= 9, "{of_requests}");
}

#[test]
fn open_requests_are_the_same_by_list_and_by_condition() {
    let (_, list) = OPEN_SEQS.split_once("IN (").unwrap();
    let (list, _) = list.split_once(')').unwrap();
    let listed: Vec<&str> = list.split(", ").collect();
    let named = listed
        .iter()
        .filter(|status| OPEN.contains(&format!("{{}}.status = {status} ")));
    assert_eq!(named.count(), listed.len());
    assert_eq!(OPEN.matches(".status = ").count(), listed.len());
    // What is over has no entry, and of all else something can still come.
    for status in Status::ALL {
        let quoted = format!("'{}'", status.as_str());
        assert_eq!(
            listed.contains(&quoted.as_str()),
            status.is_open(),
            "{quoted}"
        );
    }
}
