//! What a report, a silence or a repeated claim does to an execution, as tables.

use super::*;
use crate::domain::request::RequestFacts;
use crate::domain::request::tests::{facts, request};

/// The execution `e`, which runs and whose lease ends at 10.
fn execution(status: ExecutionStatus) -> Execution {
    Execution {
        seq: 1,
        id: "e".to_owned(),
        request_id: "r".to_owned(),
        attempt: 1,
        agent_id: "agent".to_owned(),
        status,
        claim_key: Some("key".to_owned()),
        token_json: String::new(),
        statement_timeout_secs: 0,
        max_rows: None,
        lease: Lease {
            until: Timestamp(10),
            heartbeat_received: false,
        },
        lease_secs: 30,
        started_at: Timestamp(0),
        finished_at: None,
        error_message: None,
        error_detail: None,
        rows_affected: None,
        duration_ms: None,
        truncated: false,
        late: false,
        report_sha256: None,
        outcome: None,
        outcome_unproven: false,
    }
}

const ALL: [ExecutionStatus; 4] = [
    ExecutionStatus::Claimed,
    ExecutionStatus::Completed,
    ExecutionStatus::Failed,
    ExecutionStatus::Lost,
];

fn end(outcome: ExecutionOutcome) -> ExecutionEnd {
    ExecutionEnd {
        outcome,
        unproven: false,
    }
}

/// A request in that status, of another execution.
fn of_another(status: Status) -> Request {
    let facts = RequestFacts {
        execution_id: Some("another".to_owned()),
        ..facts()
    };
    Request::new(status, facts).unwrap()
}

#[test]
fn statuses_have_names_and_two_are_final() {
    let names = ["claimed", "completed", "failed", "lost"];
    for (status, name) in ALL.into_iter().zip(names) {
        assert_eq!(status.as_str(), name);
        assert_eq!(ExecutionStatus::parse(name), Some(status));
        let finished = ["completed", "failed"].contains(&name);
        assert_eq!(status.is_finished(), finished, "{name}");
    }
    assert_eq!(ExecutionStatus::parse("running"), None);
}

#[test]
fn report_moves_the_request_whose_execution_it_is() {
    let moves = |request: &Request, status| match execution(status)
        .report(request, end(ExecutionOutcome::Committed))
    {
        Ok(Some(step)) => step.to().as_str().to_owned(),
        Ok(None) => "nothing".to_owned(),
        Err(error) => error.code().to_owned(),
    };
    for of_request in Status::ALL {
        for status in ALL {
            let expected = match (of_request, status) {
                (Status::Running, ExecutionStatus::Claimed)
                | (Status::ExecutionLost, ExecutionStatus::Lost) => "executed",
                (Status::Cancelled, ExecutionStatus::Claimed | ExecutionStatus::Lost) => "nothing",
                _ => "lease_lost",
            };
            let own = request(of_request);
            assert_eq!(moves(&own, status), expected, "{of_request} {status:?}");
            let other = of_another(of_request);
            assert_eq!(
                moves(&other, status),
                "lease_lost",
                "{of_request} {status:?}"
            );
        }
    }
}

#[test]
fn report_that_proves_nothing_moves_no_lost_request() {
    let lost = request(Status::ExecutionLost);
    let report = execution(ExecutionStatus::Lost).report(&lost, end(ExecutionOutcome::Unknown));
    assert_eq!(report.unwrap(), None);
}

#[test]
fn accepted_report_is_accepted_again_and_no_other() {
    // The report that was accepted, the status; what comes of the report `a`.
    let table = [
        (None, ExecutionStatus::Claimed, Some(false)),
        (None, ExecutionStatus::Lost, Some(false)),
        (Some("a"), ExecutionStatus::Completed, Some(true)),
        (Some("a"), ExecutionStatus::Lost, Some(true)),
        (Some("b"), ExecutionStatus::Lost, Some(false)),
        (Some("b"), ExecutionStatus::Completed, None),
        (Some("b"), ExecutionStatus::Failed, None),
    ];
    for (accepted, status, expected) in table {
        let execution = Execution {
            report_sha256: accepted.map(str::to_owned),
            ..execution(status)
        };
        let repeated = execution.is_repeated("a");
        assert_eq!(repeated.ok(), expected, "{accepted:?} {status:?}");
    }
}

#[test]
fn lease_decides_what_is_late_and_what_lapses() {
    // The status, now; late, lapsed.
    let table = [
        (ExecutionStatus::Claimed, 9, false, false),
        (ExecutionStatus::Claimed, 10, true, true),
        (ExecutionStatus::Lost, 9, true, false),
        (ExecutionStatus::Lost, 10, true, false),
        (ExecutionStatus::Completed, 9, false, false),
        (ExecutionStatus::Completed, 10, true, false),
    ];
    for (status, now, late, lapsed) in table {
        let execution = execution(status);
        let found = (
            execution.is_late(Timestamp(now)),
            execution.is_lapsed(Timestamp(now)),
        );
        assert_eq!(found, (late, lapsed), "{status:?} at {now}");
    }
}

#[test]
fn silence_loses_only_the_request_that_runs_it() {
    let lapse = |request: &Request, now| {
        let step = execution(ExecutionStatus::Claimed).lapse(request, Timestamp(now));
        step.map(|step| step.to())
    };
    let running = request(Status::Running);
    assert_eq!(lapse(&running, 9), None);
    assert_eq!(lapse(&running, 10), Some(Status::ExecutionLost));
    assert_eq!(lapse(&of_another(Status::Running), 10), None);
    assert_eq!(lapse(&request(Status::Cancelled), 10), None);
}

#[test]
fn only_its_agent_reports_an_execution() {
    let execution = execution(ExecutionStatus::Claimed);
    assert!(execution.ensure_claimed_by("agent").is_ok());
    for other in ["agent-2", "agen", ""] {
        let refused = execution.ensure_claimed_by(other).unwrap_err();
        assert_eq!(refused.status(), 403, "{other}");
    }
}

#[test]
fn claim_is_repeated_by_its_agent_and_key_before_heartbeat() {
    let claimed = execution(ExecutionStatus::Claimed);
    assert!(claimed.may_repeat_claim("agent", "key"));
    assert!(!claimed.may_repeat_claim("another", "key"));
    assert!(!claimed.may_repeat_claim("agent", "another"));
    let mut heard = claimed.clone();
    heard.lease.heartbeat_received = true;
    assert!(!heard.may_repeat_claim("agent", "key"));
    let keyless = Execution {
        claim_key: None,
        ..claimed
    };
    assert!(!keyless.may_repeat_claim("agent", "key"));
}

#[test]
fn commit_after_a_cancellation_is_shown_with_the_execution() {
    let reported = || Some("from the agent".to_owned());
    let step = request(Status::Running);
    let step = execution(ExecutionStatus::Claimed)
        .report(&step, end(ExecutionOutcome::Committed))
        .unwrap();
    assert!(step.is_some());
    // The step, the outcome; the message.
    let (committed, back) = (ExecutionOutcome::Committed, ExecutionOutcome::RolledBack);
    for (step, outcome, message) in [
        (None, committed, "committed after cancel"),
        (None, back, "from the agent"),
        (step, committed, "from the agent"),
    ] {
        let shown = Execution::message(step, end(outcome), reported());
        assert_eq!(shown.as_deref(), Some(message));
    }
}

#[test]
fn what_is_left_is_known_from_the_report_on() {
    let committed = Some(ExecutionOutcome::Committed);
    // The status, what was reported, the status of the request; what is left, or that this cannot be.
    let table = [
        (ExecutionStatus::Claimed, None, Status::Running, Some(None)),
        (
            ExecutionStatus::Claimed,
            None,
            Status::Cancelled,
            Some(Some(ExecutionOutcome::Stopping)),
        ),
        (ExecutionStatus::Claimed, committed, Status::Running, None),
        (ExecutionStatus::Completed, None, Status::Executed, None),
        (
            ExecutionStatus::Completed,
            committed,
            Status::Executed,
            Some(committed),
        ),
        (
            ExecutionStatus::Lost,
            committed,
            Status::Cancelled,
            Some(committed),
        ),
    ];
    for (status, reported, of_request, left) in table {
        assert_eq!(
            status.left(reported, of_request),
            left,
            "{status:?} {of_request}"
        );
    }
}
