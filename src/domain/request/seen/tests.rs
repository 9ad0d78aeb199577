//! What an ETag of a request holds, and which it lets pass.

use super::*;
use crate::domain::approval::VoteAction;
use crate::domain::rehearsal::RehearsalStatus;
use crate::domain::request::tests::{facts, request};
use crate::domain::request::{RequestFacts, Status};
use crate::domain::row_bound::{RowBound, RowBoundSource};
use std::collections::BTreeSet;

/// What was known of a request when it was new.
const UNKNOWN: Evidence<'static> = Evidence {
    votes: &[],
    rehearsal: None,
    plans: None,
    now: Timestamp(0),
};

#[test]
fn version_changes_with_everything_that_a_decision_looks_at() {
    type Change = fn(&mut RequestFacts);
    let changes: [(&str, Change); 7] = [
        ("nothing", |_| {}),
        ("a vote", |f| f.current_step += 1),
        ("a move", |f| f.updated_at = Timestamp(1)),
        ("an event", |f| f.audit_seq += 1),
        ("an execution", |f| f.executions_finished += 1),
        ("being found corrupt", |f| f.corrupt = true),
        ("a bound", |f| {
            f.row_bound = Some(RowBound {
                rows: 5,
                source: RowBoundSource::Rehearsal,
            });
        }),
    ];
    let mut versions: Vec<String> = Vec::new();
    for (what, change) in changes {
        let mut facts = facts();
        change(&mut facts);
        let request = Request::new(Status::Pending, facts).unwrap();
        let version = request.version(&UNKNOWN);
        assert_eq!(version.len(), 32, "{what}");
        assert!(version.bytes().all(|b| b.is_ascii_hexdigit()), "{version}");
        assert_eq!(version, request.clone().version(&UNKNOWN), "{what}");
        assert!(!versions.contains(&version), "{what}");
        versions.push(version);
    }
    let approved = request(Status::Approved).version(&UNKNOWN);
    assert!(!versions.contains(&approved));
}

#[test]
fn version_changes_with_what_became_known_meanwhile() {
    let vote = |counts| Vote {
        actor: "ann".to_owned(),
        action: VoteAction::Approve,
        selector: "role:dba".to_owned(),
        step: 0,
        comment: None,
        issued_by_requester: false,
        at: Timestamp(0),
        counts,
    };
    let rehearsal = |status, report: Option<&str>| Rehearsal {
        id: "of one of them".to_owned(),
        status,
        asked_by: "carl".to_owned(),
        asked_at: Timestamp(0),
        agent_id: None,
        finished_at: None,
        rows_affected: report.map(|_| 3),
        result_json: report.map(str::to_owned),
        error_message: None,
    };
    let (counts, struck) = ([vote(true)], [vote(false)]);
    let rehearsals = [
        rehearsal(RehearsalStatus::Waiting, None),
        rehearsal(RehearsalStatus::Done, Some("{}")),
        rehearsal(RehearsalStatus::Done, Some(r#"{"triggers": ["t"]}"#)),
        rehearsal(RehearsalStatus::Failed, None),
    ];
    let known = |votes, rehearsal, plans| Evidence {
        votes,
        rehearsal,
        plans,
        ..UNKNOWN
    };
    let mut evidence = vec![
        UNKNOWN,
        known(&counts, None, None),
        known(&struck, None, None),
        known(&[], None, Some("collecting")),
        known(&[], None, Some("ready")),
    ];
    evidence.extend(rehearsals.iter().map(|r| known(&[], Some(r), None)));
    let request = request(Status::Pending);
    let versions: BTreeSet<String> = evidence.iter().map(|e| request.version(e)).collect();
    assert_eq!(versions.len(), evidence.len());
    // That an agent took it is nothing to decide by; that none did in time is.
    let taken = rehearsal(RehearsalStatus::Claimed, None);
    let waits = request.version(&known(&[], Some(&rehearsals[0]), None));
    assert_eq!(waits, request.version(&known(&[], Some(&taken), None)));
    let late = Evidence {
        now: Timestamp(60_000),
        ..known(&[], Some(&taken), None)
    };
    assert_ne!(waits, request.version(&late));
    // The same rows once more change nothing, however long the database waited for a lock.
    let again = rehearsal(RehearsalStatus::Done, Some(r#"{"lock_wait_ms": 7}"#));
    let done = request.version(&known(&[], Some(&rehearsals[1]), None));
    assert_eq!(done, request.version(&known(&[], Some(&again), None)));
}

#[test]
fn a_decision_counts_for_the_version_that_was_seen() {
    let request = request(Status::Pending);
    let bare = request.version(&UNKNOWN);
    let current = format!("\"{bare}\"");
    let among = format!("\"other\" , {current}");
    for seen in ["*", &*current, &*among, "\"a\", *"] {
        assert!(request.ensure_seen(&UNKNOWN, seen).is_ok(), "{seen:?}");
    }
    for seen in ["", "\"other\"", &*bare, "\"a\", \"b\"", "W/*"] {
        let refused = request.ensure_seen(&UNKNOWN, seen).unwrap_err();
        assert_eq!(refused.code(), "changed", "{seen}");
    }
}
