//! Changes of executions: started, reported, lost.

use super::super::AT;
use super::request;
use crate::domain::change::{
    EndedRehearsal, Finished, InconclusiveReport, NewExecution, NewRehearsal, NewResult,
    RehearsalChange, RehearsalStep, RequestChange, StartedRehearsal,
};
use crate::domain::rehearsal::RehearsalStatus;
use crate::domain::request::{ExecutionEnd, ExecutionOutcome, Status, Transition};

fn finished(success: bool) -> Finished {
    Finished {
        execution_id: "execution-id".into(),
        end: ExecutionEnd {
            outcome: match success {
                true => ExecutionOutcome::Committed,
                false => ExecutionOutcome::Unknown,
            },
            unproven: !success,
        },
        error_message: (!success).then(|| "duplicate key 'secret'".into()),
        error_detail: (!success).then(|| "Key (email)=(row value)".into()),
        rows_affected: success.then_some(5),
        duration_ms: success.then_some(12),
        truncated: success,
        late: !success,
        report_sha256: "1".repeat(64),
    }
}

pub(super) fn executed() -> Vec<(&'static str, RequestChange)> {
    let ended = |status, step, success, result| RequestChange::ExecutionFinished {
        request: request(status),
        step,
        finished: finished(success),
        result,
    };
    let result = NewResult {
        body: None,
        backend: "local",
        key: "results/execution-id".into(),
        content_length: 42,
        checksum_sha256: "2".repeat(64),
        expires_at: AT,
        access: Vec::new(),
    };
    let lost = |status, step, report| RequestChange::ExecutionLost {
        request: request(status),
        step,
        execution_id: "execution-id".into(),
        agent_id: "agent-1".into(),
        report,
    };
    let inconclusive = InconclusiveReport {
        error_message: Some("duplicate key 'secret'".into()),
        duration_ms: Some(12),
        report_sha256: "1".repeat(64),
    };
    let (running, gone) = (Status::Running, Status::Cancelled);
    let to = |status| Some(Transition::for_test(running, status));
    let started = RequestChange::ExecutionStarted {
        request: request(Status::Dispatched),
        step: Transition::for_test(Status::Dispatched, running),
        execution: NewExecution {
            id: "execution-id".into(),
            attempt: 2,
            agent_id: "agent-1".into(),
            claim_key: Some("key".into()),
            token_json: "{}".into(),
            lease_secs: 60,
            lease_until: AT,
            statement_timeout_secs: 30,
            max_rows: Some(10),
        },
    };
    vec![
        ("", started),
        (
            "success",
            ended(running, to(Status::Executed), true, Some(result)),
        ),
        ("failure", ended(running, to(Status::Failed), false, None)),
        ("success after cancel", ended(gone, None, true, None)),
        ("failure after cancel", ended(gone, None, false, None)),
        ("", lost(running, to(Status::ExecutionLost), None)),
        ("after cancel", lost(gone, None, None)),
        (
            "reported",
            lost(running, to(Status::ExecutionLost), Some(inconclusive)),
        ),
    ]
}

/// Runs that leave nothing.
pub(super) fn rehearsed() -> Vec<(&'static str, RequestChange)> {
    let change = |step| {
        let request = request(Status::Pending);
        RequestChange::Rehearsal(RehearsalChange { request, step })
    };
    let asked = |refused: Option<&str>| {
        change(RehearsalStep::Asked(NewRehearsal {
            id: "rehearsal-id".into(),
            refused: refused.map(str::to_owned),
        }))
    };
    let started = change(RehearsalStep::Started(StartedRehearsal {
        id: "rehearsal-id".into(),
        agent_id: "agent-1".into(),
        token_json: "{}".into(),
    }));
    let ended = |status, rows: Option<u64>| {
        change(RehearsalStep::Ended(EndedRehearsal {
            id: "rehearsal-id".into(),
            status,
            rows_affected: rows,
            result_json: rows.map(|rows| format!("{{\"rows_affected\":{rows}}}")),
            error_message: (status == RehearsalStatus::Failed).then(|| "it is locked".into()),
            sets_bound: rows.is_some(),
        }))
    };
    vec![
        ("", asked(None)),
        ("refused", asked(Some("it only reads"))),
        ("", started),
        ("done", ended(RehearsalStatus::Done, Some(37))),
        ("failed", ended(RehearsalStatus::Failed, None)),
        ("unavailable", ended(RehearsalStatus::Unavailable, None)),
    ]
}

/// What was found not to be as it was stored.
pub(super) fn corrupted() -> Vec<(&'static str, RequestChange)> {
    vec![
        (
            "",
            RequestChange::Corrupted {
                request: request(Status::Dispatched),
                what: "votes",
            },
        ),
        (
            "",
            RequestChange::ResultCorrupt {
                request: request(Status::Executed),
                execution_id: "execution-id".into(),
            },
        ),
    ]
}
