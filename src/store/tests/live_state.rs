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
fn open_requests_are_same_for_the_rules_and_in_statements() {
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

fn cancelled(view: &View, id: &str) -> Result<Change, Error> {
    let request = view.request(id)?;
    Ok(RequestChange::Cancelled {
        request: RequestRef::from(&request),
        step: request.cancel().unwrap(),
        reason: None,
    }
    .into())
}

#[test]
fn where_open_requests_stand_is_remembered_as_committed() {
    let temp = temp();
    let store = open(&temp);
    let (id, other) = (create(&store).unwrap(), create(&store).unwrap());
    let stored = |store: &Store, id: &str| -> (i64, i64) {
        let sql = "SELECT seq, audit_seq FROM requests WHERE id = ?1";
        let row = store
            .lock()
            .query_row(sql, [id], |r| Ok((r.get(0)?, r.get(1)?)));
        row.unwrap()
    };
    let place = |store: &Store, id: &str| store.live.place(stored(store, id).0);
    let stands = |store: &Store, id: &str| {
        let place = place(store, id).map(|p| (p.audit_seq, p.corrupt_seq));
        assert_eq!(place, Some((stored(store, id).1, None)));
    };
    stands(&store, &id);
    // The second of these is refused, and takes the first along.
    let twice = id.clone();
    let refused = store.change(Actor::system(), move |view, _| {
        let changes = vec![cancelled(view, &twice)?, cancelled(view, &twice)?];
        Ok(Verdict::Write(changes, ()))
    });
    refused.unwrap_err();
    stands(&store, &id);
    let ended = id.clone();
    store
        .change(Actor::system(), move |view, _| {
            Ok(Verdict::Write(vec![cancelled(view, &ended)?], ()))
        })
        .unwrap();
    assert_eq!(place(&store, &id), None);
    stands(&store, &other);
    store.close().unwrap();
    drop(store);
    let store = open(&temp);
    assert_eq!(place(&store, &id), None);
    stands(&store, &other);
}

#[test]
fn a_row_that_somebody_else_changed_is_not_ours_again() {
    let temp = temp();
    let store = open(&temp);
    let id = create(&store).unwrap();
    let raw = unguarded(&temp);
    raw.execute("UPDATE requests SET audit_seq = audit_seq - 1", [])
        .unwrap();
    let seq = raw
        .query_row("SELECT seq FROM requests", [], |r| r.get(0))
        .unwrap();
    assert!(store.live.place(seq).is_some());
    let frozen = store.change(Actor::system(), move |view, _| {
        let request = RequestRef::from(&view.request(&id)?);
        let what = "status";
        Ok(Verdict::Write(
            vec![RequestChange::Corrupted { request, what }.into()],
            (),
        ))
    });
    frozen.unwrap();
    assert_eq!(store.live.place(seq), None);
}
