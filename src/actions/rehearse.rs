//! Rehearsals: writes that agents run before anybody has approved them, in transactions that are always rolled back.
//! Asked for by people or by the workflow, taken by an agent, and over within a minute, whatever comes of it.

use super::App;
use super::attempt::{Attempt, attempted};
use super::claim::{means_the_same, reports};
use super::dialects::analyze;
use super::refusals::refuse_verb;
use super::unreadable::{self, frozen_if_corrupt};
use super::view_requests::ensure_visible;
use crate::clock::Timestamp;
use crate::crypto::uuid;
use crate::domain::actor::{Actor, Caller};
use crate::domain::agent::Agent;
use crate::domain::change::{
    Change, EndedRehearsal, NewRehearsal, RehearsalChange, RehearsalStep, RequestChange,
    RequestRef, RequestText, StartedRehearsal,
};
use crate::domain::dialect::Dialect;
use crate::domain::execution_token::detail_hash;
use crate::domain::id::{Operation, Target};
use crate::domain::permission::Permission;
use crate::domain::policy::workflow::{Rehearse, Workflow};
use crate::domain::rehearsal::{
    ANSWER_SECS, LOCK_SECS, PER_REQUEST_MAX, Rehearsal, RehearsalStatus, TIMEOUT_SECS, refusal,
};
use crate::domain::rehearsal_token::{self, RehearsalClaims};
use crate::domain::request::Request;
use crate::domain::row_bound::BOUND_MAX;
use crate::domain::sql::{Analysis, DialectFact};
use crate::error::{Error, cut};
use crate::store::{Verdict, View, WaitingRehearsal};
use serde_json::Value;
use std::sync::Arc;

/// Largest report of a rehearsal, in bytes of JSON.
pub const REPORT_BYTES_MAX: usize = 64 * 1024;
/// Jobs in one answer to a poll, at most.
pub const JOBS_MAX: u32 = 10;
/// Longest error message kept, in bytes.
const ERROR_BYTES_MAX: usize = 4096;
/// Rehearsals given up in one turn of the job; the next turn is seconds away.
const SWEEP_ROWS: u32 = 200;

/// What the agent gets that takes a rehearsal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedRehearsal {
    pub id: String,
    pub request: Request,
    pub detail: String,
    pub plan_json: Option<String>,
    pub token_json: String,
}

/// The rehearsal that goes with a new request: because its workflow wants one, or because its requester does, who has
/// `wanted` one.
///
/// # Errors
/// 422 `rehearsal_refused` where it is wanted and may not be.
pub(super) fn of_new(
    workflow: Option<&Workflow>,
    pending: bool,
    wanted: bool,
    operation: Operation,
    analysis: Option<&Analysis>,
) -> Result<Option<NewRehearsal>, Error> {
    let rehearse = workflow.map_or(Rehearse::Off, |w| w.rehearse);
    let by_itself = pending && rehearse == Rehearse::BeforeApproval && !operation.is_read();
    if !wanted && !by_itself {
        return Ok(None);
    }
    let why_not = if !pending {
        Some("nobody is asked for approval".to_owned())
    } else if rehearse == Rehearse::Off {
        Some("its workflow does not allow it".to_owned())
    } else {
        refusal(operation, analysis)
    };
    match why_not {
        Some(why) if wanted => Err(refused(&why)),
        refused => Ok(Some(NewRehearsal {
            id: uuid(),
            refused,
        })),
    }
}

fn refused(why: &str) -> Error {
    Error::refused("rehearsal_refused", format!("not rehearsed: {why}")).hint(
        "only an INSERT, UPDATE, DELETE or MERGE of one table can be, where the workflow says `rehearse`",
    )
}

/// Asks for a rehearsal of request `id`: its requester, or somebody who sees it because they decide.
///
/// # Errors
/// 503 while draining; 404; 403 `forbidden`; 409 `conflict` for one that is not pending, that is being rehearsed, or
/// was as often as can be; 410 `gone`; 422 `rehearsal_refused`.
pub fn ask(app: &Arc<App>, caller: &Caller, id: &str) -> Result<Rehearsal, Error> {
    const VERB: &str = "request.rehearse";
    app.accepting()?;
    let read = app.store.read(|view| {
        let request = view.request(id)?;
        let text = view.request_text(&request)?;
        Ok((request, text))
    });
    let (request, text) = frozen_if_corrupt(app, id, read)?;
    let why_not = refusal_of(app, &request, &text)?;
    attempted(app, caller, id, None, move |cx, attempt| {
        let (caller, request) = (attempt.caller, attempt.request);
        if let Err(error) = may_rehearse(attempt, why_not.as_deref()) {
            return refuse_verb(cx, caller, request, VERB, error);
        }
        let rehearsal = Rehearsal {
            id: uuid(),
            status: RehearsalStatus::Waiting,
            asked_by: caller.subject.clone(),
            asked_at: attempt.now,
            agent_id: None,
            finished_at: None,
            rows_affected: None,
            result_json: None,
            error_message: None,
        };
        let asked = NewRehearsal {
            id: rehearsal.id.clone(),
            refused: None,
        };
        let change = step(RequestRef::from(request), RehearsalStep::Asked(asked));
        Ok(Verdict::Write(vec![change.into()], rehearsal))
    })
}

/// Why the text of a request may not be rehearsed, or its workflow allows that for none; none where it may.
///
/// # Errors
/// When the text cannot be analysed.
pub(super) fn refusal_of(
    app: &App,
    request: &Request,
    text: &RequestText,
) -> Result<Option<String>, Error> {
    let dialect = match request.dialect {
        DialectFact::Known(dialect) => Some(dialect),
        _ => None,
    };
    let rehearse = text.workflow.as_ref().map_or(Rehearse::Off, |w| w.rehearse);
    Ok(match rehearse {
        Rehearse::Off => Some("its workflow does not allow it".to_owned()),
        _ if !request.operation.is_execute() => refusal(request.operation, None),
        _ => {
            let analysis = analyze(app, &text.detail, dialect)?;
            refusal(request.operation, Some(&*analysis))
        }
    })
}

/// Whether the caller may have the request rehearsed now; `why_not` is what speaks against its text.
///
/// # Errors
/// As [`ask`].
pub(super) fn may_rehearse(attempt: &Attempt, why_not: Option<&str>) -> Result<(), Error> {
    let (view, caller, request) = (attempt.view, attempt.caller, attempt.request);
    ensure_visible(view, caller, request)?;
    if request.requester == caller.subject {
        caller.require_on(Permission::RequestCreate, &request.target)?;
    }
    attempt.ensure_as_seen()?;
    request
        .pending(attempt.now)
        .map_err(|refusal| refusal.error())?;
    why_not.map_or(Ok(()), |why| Err(refused(why)))?;
    attempt.ensure_current()?;
    ensure_room(view, request)
}

/// One at a time, and not for ever: each of them runs in the database.
fn ensure_room(view: &View, request: &Request) -> Result<(), Error> {
    match view.last_rehearsal(request.seq)? {
        Some((last, _)) if last.status.is_open() => Err(Error::conflict(
            "conflict",
            "the request is being rehearsed; wait for that",
        )),
        Some((_, count)) if count >= PER_REQUEST_MAX => Err(Error::conflict(
            "conflict",
            format!("a request is rehearsed at most {PER_REQUEST_MAX} times"),
        )),
        _ => Ok(()),
    }
}

/// Rehearsals that an agent may claim, oldest first of each target; `targets` with the dialect that the agent runs
/// there.
///
/// # Errors
/// When the store cannot read.
pub fn waiting(
    view: &View,
    targets: &[(Target, Option<Dialect>)],
    now: Timestamp,
) -> Result<Vec<WaitingRehearsal>, Error> {
    let mut jobs = Vec::new();
    for (target, dialect) in targets {
        let left = JOBS_MAX.saturating_sub(u32::try_from(jobs.len()).unwrap_or(JOBS_MAX));
        if left == 0 {
            break;
        }
        jobs.extend(view.waiting_rehearsals(target, *dialect, now, left)?);
    }
    Ok(jobs)
}

/// Takes a rehearsal; the agent that has it gets the same answer again.
///
/// # Errors
/// 503 while draining; 404; 403 for a target that the agent does not serve; 409 `conflict` for one that somebody else
/// has or that is over, `feature_missing`, `dialect_mismatch`, `corrupt`; 422 `database_not_registered`.
pub fn claim(app: &Arc<App>, caller: &Caller, id: &str) -> Result<ClaimedRehearsal, Error> {
    caller.require(Permission::AgentPoll)?;
    app.accepting()?;
    let agents = reports(app, &caller.subject)?;
    let (cx, by, id) = (Arc::clone(app), caller.clone(), id.to_owned());
    app.change_by(caller, move |view, now| {
        let (rehearsal, request) = find(view, &id)?;
        let agent = able(&by, &agents, &request.target)?;
        request.ensure_intact()?;
        if let Err(unproven) = view.prove_pending(&request) {
            return unreadable::refuse(view, &request.id, unproven);
        }
        request.pending(now).map_err(|refusal| refusal.error())?;
        means_the_same(&cx.active(), view, agent, &request, now)?;
        let text = view.request_text(&request)?;
        let claimed = |token_json| ClaimedRehearsal {
            id: id.clone(),
            detail: text.detail.clone(),
            plan_json: text.plan_json.clone(),
            request: request.clone(),
            token_json,
        };
        let own = rehearsal.agent_id.as_deref() == Some(&agent.id);
        match rehearsal.status_at(now) {
            RehearsalStatus::Waiting => {}
            RehearsalStatus::Claimed if own => {
                let token = view.rehearsal_token(&id)?.unwrap_or_default();
                return Ok(Verdict::Same(claimed(token)));
            }
            _ => return Err(taken()),
        }
        let token_json = sign(
            &cx,
            agent,
            &request,
            &id,
            text.plan_json.as_deref(),
            &text.detail,
            now,
        );
        let started = StartedRehearsal {
            id: id.clone(),
            agent_id: agent.id.clone(),
            token_json: token_json.clone(),
        };
        let change = step(RequestRef::from(&request), RehearsalStep::Started(started));
        Ok(Verdict::Write(vec![change.into()], claimed(token_json)))
    })
}

fn find(view: &View, id: &str) -> Result<(Rehearsal, Request), Error> {
    view.find_rehearsal(id)?
        .ok_or_else(|| Error::not_found("rehearsal", id))
}

fn taken() -> Error {
    Error::conflict("conflict", "this rehearsal is taken or over")
}

/// The report of the agent that rehearses on that target.
fn able<'a>(caller: &Caller, agents: &'a [Agent], target: &Target) -> Result<&'a Agent, Error> {
    let mut serving = agents.iter().filter(|a| a.serves(target)).peekable();
    if serving.peek().is_none() || !caller.reaches(target) {
        let message = format!("this agent does not serve {target}");
        return Err(Error::forbidden(message));
    }
    serving.find(|a| a.rehearses()).ok_or_else(|| {
        Error::conflict(
            "feature_missing",
            "this agent does not rehearse (rehearsal)",
        )
    })
}

fn sign(
    app: &App,
    agent: &Agent,
    request: &Request,
    id: &str,
    plan_json: Option<&str>,
    detail: &str,
    now: Timestamp,
) -> String {
    let claims = RehearsalClaims {
        request_id: request.id.clone(),
        rehearsal_id: id.to_owned(),
        database: request.target.database().to_owned(),
        environment: request.target.environment().to_owned(),
        detail_hash: detail_hash(plan_json, request.operation, detail),
        issued_at: now,
        expires_at: now.plus_secs(ANSWER_SECS),
        agent_id: agent.id.clone(),
        statement_timeout_secs: TIMEOUT_SECS,
        lock_timeout_secs: LOCK_SECS,
        dialect: request.dialect,
        epoch: app.settings.epoch,
    };
    rehearsal_token::sign(&claims, &app.signer)
}

/// Takes the report of a rehearsal. Before the first vote, the request may from then on change no more rows.
///
/// # Errors
/// 400; 404; 403; 409 when the claim does not count any more.
pub fn finish(
    app: &Arc<App>,
    caller: &Caller,
    id: &str,
    result: Option<String>,
    error: Option<String>,
) -> Result<RehearsalStatus, Error> {
    caller.require(Permission::AgentPoll)?;
    let ended = report(id, result, error)?;
    let (by, id) = (caller.subject.clone(), id.to_owned());
    app.store.change(caller.actor(), move |view, now| {
        let (rehearsal, request) = find(view, &id)?;
        if rehearsal.agent_id.as_deref() != Some(&by) {
            return Err(taken());
        }
        // The same report once more: its answer was lost.
        if rehearsal.status == ended.status
            && rehearsal.result_json == ended.result_json
            && rehearsal.error_message == ended.error_message
        {
            return Ok(Verdict::Same(ended.status));
        }
        if rehearsal.status_at(now) != RehearsalStatus::Claimed {
            return Err(taken());
        }
        let unvoted = request.pending(now).is_ok() && view.votes(&request)?.is_empty();
        let status = ended.status;
        let ended = EndedRehearsal {
            sets_bound: ended.sets_bound && unvoted && !request.corrupt,
            ..ended
        };
        Ok(Verdict::Write(vec![over(&request, ended)], status))
    })
}

fn over(request: &Request, ended: EndedRehearsal) -> Change {
    step(RequestRef::from(request), RehearsalStep::Ended(ended)).into()
}

/// A step of a rehearsal as a change of its request.
pub(super) fn step(request: RequestRef, step: RehearsalStep) -> RequestChange {
    RequestChange::Rehearsal(RehearsalChange { request, step })
}

/// What an agent reports, checked on its own.
fn report(
    id: &str,
    result: Option<String>,
    error: Option<String>,
) -> Result<EndedRehearsal, Error> {
    let ended = EndedRehearsal {
        id: id.to_owned(),
        status: RehearsalStatus::Failed,
        rows_affected: None,
        result_json: None,
        error_message: None,
        sets_bound: false,
    };
    let failed = |why| {
        Ok(EndedRehearsal {
            error_message: Some(why),
            ..ended.clone()
        })
    };
    match (error, result) {
        (Some(error), _) => failed(cut(error, ERROR_BYTES_MAX)),
        (None, None) => Err(Error::invalid("either result or error is needed")),
        (None, Some(json)) if json.len() > REPORT_BYTES_MAX => failed(format!(
            "the report of {} bytes is over the limit of {REPORT_BYTES_MAX}",
            json.len()
        )),
        (None, Some(json)) => {
            let value: Value = serde_json::from_str(&json).unwrap_or_default();
            let rows = value["rows_affected"].as_u64();
            let rows = rows.filter(|rows| *rows <= BOUND_MAX).ok_or_else(|| {
                Error::invalid(format!(
                    "`result.rows_affected` is not a whole number of at most {BOUND_MAX}"
                ))
            })?;
            Ok(EndedRehearsal {
                status: RehearsalStatus::Done,
                rows_affected: Some(rows),
                sets_bound: value["no_bound"] != true,
                result_json: Some(json),
                ..ended
            })
        }
    }
}

/// Ids of rehearsals that nobody reported in time, oldest first.
///
/// # Errors
/// When the store cannot read.
pub fn overdue(app: &App) -> Result<Vec<String>, Error> {
    let since = i64::try_from(ANSWER_SECS * 1000).unwrap_or(i64::MAX);
    let before = Timestamp(app.clock.now().0.saturating_sub(since));
    app.store
        .read(|view| view.overdue_rehearsals(before, SWEEP_ROWS))
}

/// Ends a rehearsal that nobody reported in time.
///
/// # Errors
/// When the store cannot read or write.
pub fn give_up(app: &App, id: String) -> Result<(), Error> {
    app.store.change(Actor::system(), move |view, now| {
        let (rehearsal, request) = find(view, &id)?;
        if !rehearsal.is_overdue(now) {
            return Ok(Verdict::Same(()));
        }
        let ended = EndedRehearsal {
            id: id.clone(),
            status: RehearsalStatus::Unavailable,
            rows_affected: None,
            result_json: None,
            error_message: None,
            sets_bound: false,
        };
        Ok(Verdict::Write(vec![over(&request, ended)], ()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_how_many_rows_or_why_not() {
        let of = |result: Option<&str>, error: Option<&str>| {
            report("id", result.map(str::to_owned), error.map(str::to_owned))
        };
        let done = of(Some("{\"rows_affected\": 37}"), None).unwrap();
        assert_eq!(done.status, RehearsalStatus::Done);
        assert_eq!(done.rows_affected, Some(37));
        for result in [
            "{}",
            "[]",
            "1",
            "{\"rows_affected\": -1}",
            "{\"rows_affected\": 1.5}",
        ] {
            assert!(of(Some(result), None).is_err(), "{result}");
        }
        assert!(of(None, None).is_err());
        let failed = of(Some("{\"rows_affected\": 1}"), Some("locked")).unwrap();
        assert_eq!(failed.status, RehearsalStatus::Failed);
        assert_eq!((failed.rows_affected, failed.result_json), (None, None));
        let long = format!(
            "{{\"rows_affected\": 1, \"x\": \"{}\"}}",
            "x".repeat(REPORT_BYTES_MAX)
        );
        assert_eq!(
            of(Some(&long), None).unwrap().status,
            RehearsalStatus::Failed
        );
    }
}
