//! The whole state machine as one grid, and the rules of running again as tables.

use super::*;
use crate::domain::row_bound::RowBoundSource;

const HOUR: u64 = 3600;

/// A write in that status, of the execution `e`.
pub(in crate::domain) fn request(status: Status) -> Request {
    Request::new(status, facts()).unwrap()
}

/// Facts with which every status is possible.
pub(in crate::domain) fn facts() -> RequestFacts {
    let t = Timestamp(0);
    RequestFacts {
        seq: 1,
        id: "r".into(),
        requester: "requester".into(),
        target: Target::new("app", "production").unwrap(),
        operation: Operation::ExecuteDml,
        dialect: DialectFact::Any,
        audit_seq: 1,
        emergency: false,
        no_result_store: false,
        reason: None,
        current_step: 0,
        total_steps: 1,
        risk_level: RiskLevel::Low,
        policy_version: "v".into(),
        created_at: t,
        updated_at: t,
        resolved_at: None,
        expires_at: Some(t.plus_secs(HOUR)),
        approved_at: Some(t),
        approval_expires_at: Some(t.plus_secs(HOUR)),
        dispatched_from: Some(Status::Approved),
        dispatch_deadline: Some(t.plus_secs(HOUR)),
        first_completed_at: None,
        executions_finished: 0,
        executions_lost: 0,
        execution_id: Some("e".into()),
        claimed_by: Some("agent".into()),
        cancelled_by: None,
        cancel_reason: None,
        row_bound: None,
        outcome: Some(ExecutionOutcome::RolledBack),
        outcome_unproven: false,
        corrupt: false,
    }
}

fn end(outcome: &str) -> ExecutionEnd {
    ExecutionEnd {
        outcome: ExecutionOutcome::parse(outcome).unwrap(),
        unproven: false,
    }
}

/// What a verb makes of a request: the status it moves to, or a word for the refusal.
fn outcome(verb: &str, request: &Request) -> String {
    let now = Timestamp(1);
    let late = Timestamp(0).plus_secs(2 * HOUR);
    let policy = ExecutionPolicy {
        max_executions: 5,
        retry_on_failure: true,
        ..ExecutionPolicy::default()
    };
    let refused = |r: Refusal| match r {
        Refusal::WrongStatus { .. } => "conflict".to_owned(),
        Refusal::Expired | Refusal::WindowPassed => "gone".to_owned(),
        other => format!("{other:?}"),
    };
    let step = |r: Result<Transition, Refusal>| r.map_or_else(refused, |s| s.to().to_string());
    let maybe = |s: Option<Transition>| s.map_or("-".to_owned(), |s| s.to().to_string());
    let state = request.state();
    match verb {
        "approve" => step(request.pending(now).map(|p| p.approve())),
        "reject" => step(request.pending(now).map(|p| p.reject())),
        "approve late" => step(request.pending(late).map(|p| p.approve())),
        "cancel" => step(request.cancel()),
        "resume" => step(request.resume(&policy, false, now)),
        "resume late" => step(request.resume(&policy, false, late)),
        "claim" => match state {
            State::Dispatched(d) => d.claim().to().to_string(),
            _ => "conflict".to_owned(),
        },
        "success" => match state {
            State::Running(r) => r.finish(end("committed")).to().to_string(),
            State::Lost(l) => maybe(l.finish_late(end("committed"))),
            _ => "conflict".to_owned(),
        },
        "failure" => match state {
            State::Running(r) => r.finish(end("rolled_back")).to().to_string(),
            State::Lost(l) => maybe(l.finish_late(end("rolled_back"))),
            _ => "conflict".to_owned(),
        },
        "unknown" => match state {
            State::Running(r) => r.finish(end("unknown")).to().to_string(),
            State::Lost(l) => maybe(l.finish_late(end("unknown"))),
            _ => "conflict".to_owned(),
        },
        "clock" => maybe(request.due(now)),
        "clock late" => maybe(request.due(late)),
        "lease over" => match state {
            State::Running(r) => maybe(r.lapse(now, now)),
            _ => "-".to_owned(),
        },
        other => panic!("no verb {other}"),
    }
}

#[test]
fn every_verb_on_every_status() {
    // Rows are statuses, columns verbs; `-` is nothing to do.
    let grid = "
status         | approve  | reject   | approve late | cancel    | resume     | resume late | claim    | success  | unknown        | failure  | clock | clock late | lease over
pending        | approved | rejected | gone         | cancelled | conflict   | gone        | conflict | conflict | conflict       | conflict | -     | expired    | -
approved       | conflict | conflict | conflict     | cancelled | dispatched | gone        | conflict | conflict | conflict       | conflict | -     | expired    | -
auto_approved  | conflict | conflict | conflict     | cancelled | dispatched | gone        | conflict | conflict | conflict       | conflict | -     | expired    | -
break_glass    | conflict | conflict | conflict     | cancelled | dispatched | gone        | conflict | conflict | conflict       | conflict | -     | expired    | -
dispatched     | conflict | conflict | conflict     | cancelled | conflict   | conflict    | running  | conflict | conflict       | conflict | -     | approved   | -
running        | conflict | conflict | conflict     | cancelled | conflict   | conflict    | conflict | executed | execution_lost | failed   | -     | -          | execution_lost
executed       | conflict | conflict | conflict     | conflict  | dispatched | gone        | conflict | conflict | conflict       | conflict | -     | -          | -
failed         | conflict | conflict | conflict     | conflict  | dispatched | gone        | conflict | conflict | conflict       | conflict | -     | -          | -
rejected       | conflict | conflict | conflict     | conflict  | conflict   | conflict    | conflict | conflict | conflict       | conflict | -     | -          | -
cancelled      | conflict | conflict | conflict     | conflict  | conflict   | conflict    | conflict | conflict | conflict       | conflict | -     | -          | -
expired        | gone     | gone     | gone         | conflict  | gone       | gone        | conflict | conflict | conflict       | conflict | -     | -          | -
execution_lost | conflict | conflict | conflict     | cancelled | OutcomeUnknown | gone        | conflict | executed | -              | failed   | -     | -          | -
";
    let mut lines = grid.trim().lines();
    let cells =
        |line: &str| -> Vec<String> { line.split('|').map(|c| c.trim().to_owned()).collect() };
    let verbs = cells(lines.next().unwrap());
    let mut rows = 0;
    for line in lines {
        let row = cells(line);
        let status = Status::parse(&row[0]).unwrap();
        for (verb, wanted) in verbs.iter().zip(&row).skip(1) {
            assert_eq!(
                outcome(verb, &request(status)),
                *wanted,
                "{verb} on {status}"
            );
        }
        rows += 1;
    }
    assert_eq!(rows, Status::ALL.len());
}

#[test]
fn dispatch_can_only_have_come_from_where_dispatch_is_legal() {
    for from in Status::ALL {
        let facts = RequestFacts {
            dispatched_from: Some(from),
            ..facts()
        };
        let legal = Status::MOVES.contains(&(Some(from), Status::Dispatched));
        let made = Request::new(Status::Dispatched, facts);
        assert_eq!(made.is_ok(), legal, "{from}");
    }
}

#[test]
fn the_schema_and_the_code_know_the_same_moves() {
    let sql = include_str!("../../../sql/migrations/0001_initial.sql");
    let start = sql.find("INSERT INTO transitions").unwrap();
    let text = &sql[start..start + sql[start..].find(';').unwrap()];
    let mut in_schema: Vec<String> = text
        .split('(')
        .skip(2)
        .map(|pair| pair.split(')').next().unwrap().replace(['\'', ' '], ""))
        .collect();
    let mut in_code: Vec<String> = Status::MOVES
        .iter()
        .map(|(from, to)| format!("{},{to}", from.map_or("new", Status::as_str)))
        .collect();
    in_schema.sort();
    in_code.sort();
    assert_eq!(in_schema, in_code);
}

#[test]
fn resumption_is_counted_and_lost_writes_are_never_repeated_blindly() {
    let table = "
status         | op             | outcome     | max | finished | lost | retry | ack | window | result
executed       | execute_select | committed   | 1   | 1        | 0    | no    | no  | open   | max_executions_reached
executed       | execute_select | committed   | 2   | 1        | 0    | no    | no  | open   | dispatched
executed       | execute_select | committed   | 2   | 1        | 0    | no    | no  | passed | gone
executed       | execute_dml    | committed   | 2   | 1        | 0    | no    | no  | open   | dispatched
executed       | execute_dml    | committed   | 2   | 1        | 1    | no    | no  | open   | max_executions_reached
executed       | execute_dml    | committed   | 3   | 1        | 1    | no    | no  | open   | dispatched
failed         | execute_dml    | rolled_back | 3   | 1        | 0    | no    | no  | open   | retry_disabled
failed         | execute_dml    | rolled_back | 3   | 1        | 0    | no    | yes | open   | retry_disabled
failed         | execute_dml    | rolled_back | 3   | 1        | 0    | yes   | no  | open   | dispatched
failed         | execute_dml    | rolled_back | 1   | 1        | 0    | yes   | no  | open   | max_executions_reached
failed         | execute_dml    | unknown     | 3   | 1        | 0    | yes   | no  | open   | outcome_unknown
failed         | execute_dml    | unknown     | 3   | 1        | 0    | yes   | yes | open   | dispatched
failed         | execute_dml    | unknown     | 3   | 1        | 0    | no    | yes | open   | retry_disabled
failed         | execute_dml    | unknown     | 1   | 1        | 0    | yes   | yes | open   | max_executions_reached
failed         | execute_dml    | partial     | 3   | 1        | 0    | yes   | no  | open   | outcome_unknown
failed         | execute_dml    | partial     | 3   | 1        | 0    | yes   | yes | open   | dispatched
failed         | execute_select | unknown     | 3   | 1        | 0    | yes   | no  | open   | dispatched
execution_lost | execute_select | unknown     | 1   | 0        | 1    | no    | no  | open   | dispatched
execution_lost | execute_select | unknown     | 1   | 0        | 7    | no    | no  | open   | dispatched
execution_lost | execute_select | unknown     | 2   | 2        | 1    | no    | yes | open   | max_executions_reached
execution_lost | execute_dml    | unknown     | 1   | 0        | 1    | no    | no  | open   | outcome_unknown
execution_lost | execute_dml    | unknown     | 1   | 0        | 1    | yes   | no  | open   | outcome_unknown
execution_lost | execute_dml    | unknown     | 2   | 0        | 1    | yes   | no  | open   | outcome_unknown
execution_lost | execute_dml    | unknown     | 2   | 0        | 1    | no    | no  | open   | outcome_unknown
execution_lost | execute_dml    | unknown     | 1   | 0        | 1    | no    | yes | open   | dispatched
execution_lost | execute_dml    | unknown     | 1   | 0        | 1    | no    | yes | passed | gone
execution_lost | migrate_up     | unknown     | 1   | 0        | 1    | yes   | no  | open   | outcome_unknown
execution_lost | migrate_status | unknown     | 1   | 0        | 1    | no    | no  | open   | dispatched
";
    for line in table.trim().lines().skip(1) {
        let cell: Vec<&str> = line.split('|').map(str::trim).collect();
        let policy = ExecutionPolicy {
            max_executions: cell[3].parse().unwrap(),
            retry_on_failure: cell[6] == "yes",
            execution_window_secs: HOUR,
            ..ExecutionPolicy::default()
        };
        let mut r = facts();
        r.operation = Operation::parse(cell[1]).unwrap();
        r.outcome = ExecutionOutcome::parse(cell[2]);
        r.executions_finished = cell[4].parse().unwrap();
        r.executions_lost = cell[5].parse().unwrap();
        r.first_completed_at = (r.executions_finished > 0).then_some(Timestamp(0));
        let now = match cell[8] {
            "passed" => Timestamp(0).plus_secs(HOUR),
            _ => Timestamp(1),
        };
        let r = Request::new(Status::parse(cell[0]).unwrap(), r).unwrap();
        let got = match r.resume(&policy, cell[7] == "yes", now) {
            Ok(step) => step.to().to_string(),
            Err(refusal) => refusal.error().code().to_owned(),
        };
        assert_eq!(got, cell[9], "{line}");
    }
}

#[test]
fn an_unclaimed_dispatch_goes_back_to_where_it_came_from() {
    for from in [
        Status::Approved,
        Status::AutoApproved,
        Status::BreakGlass,
        Status::Executed,
        Status::Failed,
        Status::ExecutionLost,
    ] {
        let facts = RequestFacts {
            dispatched_from: Some(from),
            ..facts()
        };
        let r = Request::new(Status::Dispatched, facts).unwrap();
        let step = r.due(Timestamp(0).plus_secs(HOUR)).unwrap();
        assert_eq!(step.to(), from);
    }
}

#[test]
fn facts_without_what_the_status_needs_make_no_request() {
    type Lack = (&'static str, fn(&mut RequestFacts));
    let lacks: [Lack; 6] = [
        ("expires_at", |f| f.expires_at = None),
        ("approval_expires_at", |f| f.approval_expires_at = None),
        ("dispatched_from", |f| f.dispatched_from = None),
        ("dispatch_deadline", |f| f.dispatch_deadline = None),
        ("execution_id", |f| f.execution_id = None),
        ("claimed_by", |f| f.claimed_by = None),
    ];
    let needs = |status| match status {
        Status::Pending => "expires_at",
        Status::Approved | Status::AutoApproved | Status::BreakGlass => "approval_expires_at",
        Status::Executed | Status::Failed => "approval_expires_at",
        Status::Dispatched => "dispatched_from dispatch_deadline",
        Status::Running => "execution_id claimed_by",
        Status::ExecutionLost => "execution_id approval_expires_at",
        Status::Rejected | Status::Cancelled | Status::Expired => "",
    };
    for status in Status::ALL {
        for (column, lack) in lacks {
            let mut facts = facts();
            lack(&mut facts);
            let needed = needs(status).split(' ').any(|need| need == column);
            match Request::new(status, facts.clone()) {
                Ok(made) => {
                    assert!(!needed, "{status} without {column}");
                    assert_eq!(made.status(), status);
                }
                Err(error) => {
                    assert!(needed, "{status} without {column}");
                    let expected = format!("internal: request r has no {column}");
                    assert_eq!(error.to_string(), expected);
                }
            }
            facts.corrupt = true;
            let made = Request::new(status, facts).unwrap();
            assert_eq!(made.status(), status);
            assert_eq!(
                made.cancel().is_err(),
                needed || request(status).cancel().is_err()
            );
        }
    }
}

#[test]
fn what_a_report_says_decides_where_a_request_goes() {
    let table = "
outcome     | success | op             | left        | unproven | status
committed   | true    | execute_dml    | committed   | false    | executed
committed   | false   | execute_dml    | committed   | false    | executed
rolled_back | true    | execute_dml    | rolled_back | false    | failed
rolled_back | false   | execute_dml    | rolled_back | false    | failed
partial     | false   | migrate_up     | partial     | false    | failed
unknown     | false   | execute_dml    | unknown     | false    | execution_lost
unknown     | true    | execute_select | unknown     | false    | execution_lost
-           | true    | execute_dml    | committed   | false    | executed
-           | false   | execute_dml    | unknown     | true     | failed
-           | false   | migrate_down   | unknown     | true     | failed
-           | false   | execute_select | rolled_back | false    | failed
";
    for line in table.trim().lines().skip(1) {
        let cell: Vec<&str> = line.split('|').map(str::trim).collect();
        let named = ExecutionOutcome::parse(cell[0]);
        let operation = Operation::parse(cell[2]).unwrap();
        let end = ExecutionEnd::of_report(named, cell[1] == "true", operation);
        let unproven = end.unproven.to_string();
        let got = [end.outcome.as_str(), &unproven, end.status().as_str()];
        assert_eq!(got, cell[3..], "{line}");
        assert_eq!(end.is_lost(), end.status() == Status::ExecutionLost);
    }
}

#[test]
fn statuses_are_outcomes_open_and_legal_moves() {
    let outcomes = "executed failed rejected cancelled expired execution_lost";
    let open = "pending approved auto_approved break_glass dispatched running execution_lost";
    let named = |is: fn(Status) -> bool| -> String {
        let all = Status::ALL.into_iter().filter(|status| is(*status));
        all.map(Status::as_str).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(named(Status::is_outcome), outcomes);
    assert_eq!(named(Status::is_open), open);
    for status in Status::ALL {
        assert_eq!(Status::parse(status.as_str()), Some(status));
        let cancelled = request(status).cancel().ok();
        let step = (Some(status), Status::Cancelled);
        let legal = Status::MOVES.contains(&step).then_some(step);
        assert_eq!(cancelled.map(|s| (s.from(), s.to())), legal, "{status}");
    }
    assert_eq!(Status::parse("open"), None);
}

#[test]
fn a_request_opens_and_what_needs_no_approval_is_dispatched() {
    // How it opens; its first status, and where it is dispatched from at once.
    let table = [
        (Opening::Pending, Status::Pending, None),
        (
            Opening::AutoApproved,
            Status::AutoApproved,
            Some(Status::AutoApproved),
        ),
        (
            Opening::BreakGlass,
            Status::BreakGlass,
            Some(Status::BreakGlass),
        ),
    ];
    for (opening, status, dispatched_from) in table {
        let first = opening.step();
        assert_eq!((first.from(), first.to()), (None, status));
        let then = opening.dispatch();
        assert_eq!(then.map(|step| step.from()), dispatched_from.map(Some));
        let to = dispatched_from.map(|_| Status::Dispatched);
        assert_eq!(then.map(|step| step.to()), to);
    }
}

#[test]
fn only_failed_writes_that_may_have_taken_effect_are_uncertain() {
    let uncertain = |status, operation, outcome| {
        let facts = RequestFacts {
            operation,
            outcome,
            ..facts()
        };
        match Request::new(status, facts).unwrap().state() {
            State::Ended(ended) => ended.is_uncertain(),
            state => panic!("{state:?}"),
        }
    };
    let (read, write) = (Operation::ExecuteSelect, Operation::ExecuteDml);
    for outcome in ExecutionOutcome::REPORTED {
        let back = outcome == ExecutionOutcome::RolledBack;
        assert_eq!(uncertain(Status::Failed, write, Some(outcome)), !back);
        assert!(!uncertain(Status::Failed, read, Some(outcome)));
        assert!(!uncertain(Status::Executed, write, Some(outcome)));
    }
    assert!(uncertain(Status::Failed, write, None));
}

#[test]
fn a_bound_by_people_needs_an_agent_that_counts() {
    let needs = |operation, source: Option<RowBoundSource>| {
        let facts = RequestFacts {
            operation,
            row_bound: source.map(|source| RowBound { rows: 5, source }),
            ..facts()
        };
        Request::new(Status::Pending, facts)
            .unwrap()
            .needs_row_bound()
    };
    let (read, write) = (Operation::ExecuteSelect, Operation::ExecuteDml);
    assert!(needs(write, Some(RowBoundSource::Request)));
    assert!(needs(write, Some(RowBoundSource::Rehearsal)));
    assert!(!needs(write, Some(RowBoundSource::Policy)));
    assert!(!needs(write, None));
    assert!(!needs(read, Some(RowBoundSource::Request)));
}

#[test]
fn nothing_is_done_with_a_corrupt_request() {
    for corrupt in [false, true] {
        let facts = RequestFacts { corrupt, ..facts() };
        let request = Request::new(Status::Pending, facts).unwrap();
        let refused = request.ensure_intact().map_err(|e| e.code());
        assert_eq!(refused.err(), corrupt.then_some("corrupt"));
    }
}

#[test]
fn only_what_ran_to_its_end_has_a_result() {
    for status in Status::ALL {
        for outcome in [
            ExecutionOutcome::Committed,
            ExecutionOutcome::RolledBack,
            ExecutionOutcome::Unknown,
        ] {
            let facts = RequestFacts {
                outcome: Some(outcome),
                ..facts()
            };
            let request = Request::new(status, facts).unwrap();
            let committed = outcome == ExecutionOutcome::Committed;
            let has = matches!(status, Status::Executed | Status::Failed)
                || (status == Status::Cancelled && committed);
            assert_eq!(request.has_result(), has, "{status:?} {outcome:?}");
        }
    }
}
