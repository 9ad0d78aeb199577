//! What a start computes again, and what that costs.

use super::*;
use crate::store::live::open::{OPEN_STATUSES, is_open};
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
fn open_requests_are_the_same_for_the_rules_and_in_statements() {
    let open = Status::ALL.into_iter().filter(|s| s.is_open());
    let mut named: Vec<String> = open.map(|s| format!("'{}'", s.as_str())).collect();
    named.sort_unstable();
    let mut listed: Vec<&str> = OPEN_STATUSES.split(", ").collect();
    listed.sort_unstable();
    assert_eq!(listed, named);
    let comparisons = named.iter().map(|s| format!("r.status = {s}"));
    let condition = is_open("r");
    assert_eq!(
        comparisons.filter(|c| condition.contains(c)).count(),
        condition.matches(".status = ").count()
    );
    assert_eq!(condition.matches(".status = ").count(), named.len());
}
