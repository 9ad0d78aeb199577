//! Results, for those who may see them: waited for, downloaded, or listed.

use super::App;
use super::unreadable::frozen_if_corrupt;
use super::view_requests::ensure_visible;
use crate::crypto::sha256_hex;
use crate::domain::actor::{Actor, Caller};
use crate::domain::approval::VoteAction;
use crate::domain::change::{RequestChange, RequestRef};
use crate::domain::execution::{Execution, ExecutionStatus};
use crate::domain::id::{Operation, Selector};
use crate::domain::policy::Policies;
use crate::domain::request::{ExecutionOutcome, Request, Status, corrupt_error};
use crate::domain::visibility::{Viewer, may_read_shared, may_read_unshared};
use crate::error::{Error, ErrorKind};
use crate::store::{PolicyReach, ROW, ResultItem, ResultRow, Verdict, View};
use std::sync::Arc;

/// What somebody who waits for a result gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Streamed {
    /// The envelope of the newest execution.
    Envelope(Arc<[u8]>),
    /// There is no result: the request ended otherwise.
    Ended(Ending),
    NotYet,
}

/// How a request ended that has no result to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// For people: that, by whom and why.
    pub message: String,
    /// The execution that it ended with, if there was one.
    pub execution_id: Option<String>,
    /// What that left in the database.
    pub outcome: Option<ExecutionOutcome>,
    pub outcome_unproven: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The envelope, byte for byte as stored.
    pub bytes: Vec<u8>,
    pub sha256: String,
    pub execution_id: String,
    pub operation: Operation,
}

/// The result of request `id`, if it is there.
///
/// # Errors
/// 404; 403 `forbidden`; 409 `corrupt` where the audit log says otherwise who may read it; 410 `gone` for a result that
/// was not stored and is not in memory any more.
pub fn stream(app: &Arc<App>, caller: &Caller, id: &str) -> Result<Streamed, Error> {
    let now = app.clock.now();
    let looked = app.store.read(|view| {
        let request = view.request_to_read(id)?;
        may_see(app, view, caller, &request)?;
        let last = match &request.execution_id {
            Some(execution_id) if request.outcome.is_some() => view.find_execution(execution_id)?,
            _ => None,
        };
        let own = match &last {
            Some(execution) => view.ended_as_logged(&request, execution)?,
            None => true,
        };
        let message = ended(view, &request)?;
        Ok((request, last, own, message))
    });
    let (request, last, own, message) = frozen_if_corrupt(app, id, looked)?;
    if !request.status().is_outcome() {
        return Ok(Streamed::NotYet);
    }
    if !request.has_result() {
        return Ok(Streamed::Ended(Ending {
            message,
            execution_id: request.execution_id.clone(),
            outcome: request.outcome,
            outcome_unproven: request.outcome_unproven,
        }));
    }
    let execution = last.ok_or_else(|| {
        Error::bug(format!(
            "request {id} is {} without an execution",
            request.status()
        ))
    })?;
    if !own {
        return Err(corrupt(app, &request, &execution));
    }
    if let Some(envelope) = app.live.get(&execution.id, now) {
        return Ok(Streamed::Envelope(envelope));
    }
    let content = load(app, &request, &execution)?;
    Ok(Streamed::Envelope(content.bytes.into()))
}

/// `request rejected by somebody: why`, `request cancelled` and the like.
fn ended(view: &View, request: &Request) -> Result<String, Error> {
    let plain = format!("request {}", request.status());
    if request.status() != Status::Rejected {
        return Ok(plain);
    }
    let votes = view.votes(request)?;
    let vote = votes.iter().rfind(|v| v.action == VoteAction::Reject);
    Ok(match vote {
        Some(vote) => match &vote.comment {
            Some(why) => format!("{plain} by {}: {why}", vote.actor),
            None => format!("{plain} by {}", vote.actor),
        },
        None => plain,
    })
}

/// The stored result of request `id`: of its newest execution that has ended, or of `execution_id`.
///
/// # Errors
/// 404 for an unknown request or execution, or a lost one; 403; 409 for an execution that still runs, `corrupt` where the
/// audit log says otherwise who may read it; 410 `gone` for one that was not stored, or is past its retention; 500 for a
/// result that is not the reported one.
pub fn content(
    app: &Arc<App>,
    caller: &Caller,
    id: &str,
    execution_id: Option<&str>,
) -> Result<Content, Error> {
    let looked = app.store.read(|view| {
        let request = view.request_to_read(id)?;
        may_see(app, view, caller, &request)?;
        let execution = match execution_id {
            Some(execution_id) => view
                .find_execution(execution_id)?
                .filter(|e| e.request_id == request.id)
                .ok_or_else(|| Error::not_found("execution", execution_id))?,
            None => match view.last_finished_execution(request.seq)? {
                Some(finished) => finished,
                None => view
                    .last_execution(request.seq)?
                    .ok_or_else(|| Error::not_found("result of request", id))?,
            },
        };
        match execution.status {
            ExecutionStatus::Claimed => {
                return Err(
                    Error::conflict("conflict", "this execution still runs").hint(
                        "wait for it; results of earlier executions are found with `execution_id`",
                    ),
                );
            }
            ExecutionStatus::Lost => {
                return Err(Error::not_found("result of execution", &execution.id));
            }
            ExecutionStatus::Completed | ExecutionStatus::Failed => {}
        }
        Ok((request, execution))
    });
    let (request, execution) = frozen_if_corrupt(app, id, looked)?;
    load(app, &request, &execution)
}

/// What was run of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executions {
    /// Newest first, each with whether its result is stored.
    pub rows: Vec<(Execution, bool)>,
    /// Whether the caller may read what they returned.
    pub results_readable: bool,
}

/// Executions of request `id`.
///
/// # Errors
/// 404; 403.
pub fn executions(app: &App, caller: &Caller, id: &str, limit: u32) -> Result<Executions, Error> {
    let looked = app.store.read(|view| {
        let request = view.request_to_read(id)?;
        ensure_visible(view, caller, &request)?;
        let results_readable = match may_see(app, view, caller, &request) {
            Ok(()) => true,
            // Nor is a result read whose list of readers differs from the log.
            Err(e) if matches!(e.kind(), ErrorKind::Forbidden | ErrorKind::Conflict) => false,
            Err(e) => return Err(e),
        };
        let mut rows = view.list_executions(request.seq, limit)?;
        if request.requester != caller.subject {
            for (execution, _) in &mut rows {
                execution.error_detail = None;
            }
        }
        Ok(Executions {
            rows,
            results_readable,
        })
    });
    frozen_if_corrupt(app, id, looked)
}

/// Stored results that the caller may see, newest first.
///
/// # Errors
/// When the store cannot read.
pub fn list(app: &App, caller: &Caller, limit: u32, offset: u32) -> Result<Vec<ResultItem>, Error> {
    let viewer = Viewer::of_results(caller);
    let reaches = policy_reaches(&app.active().policies, caller);
    let now = app.clock.now();
    app.store
        .read(|view| view.list_results(&viewer, &reaches, now, limit, offset))
}

/// Where the policies in effect let the caller read results of others.
fn policy_reaches(policies: &Policies, caller: &Caller) -> Vec<PolicyReach> {
    let mut reaches = Vec::new();
    for (policy, before) in policies.result_precedence() {
        let mut reach = |role| {
            reaches.push(PolicyReach {
                scope: policy.scope.clone(),
                except: before.iter().map(|scope| (*scope).clone()).collect(),
                role,
            });
        };
        for selector in &policy.access {
            match selector {
                Selector::User(id) if *id == caller.subject => reach(None),
                Selector::Group(group) if caller.groups.contains(group) => reach(None),
                Selector::Role(name) => {
                    let held = caller.rights.acting().filter(|role| role.name == *name);
                    held.for_each(|role| reach(Some(role.scope.clone())));
                }
                // Requesters see their own anyway.
                Selector::User(_) | Selector::Group(_) | Selector::Requester => {}
            }
        }
    }
    reaches
}

/// Whether the caller may read the result of a request. Whom it is shared with counts as far as the log has it.
fn may_see(app: &App, view: &View, caller: &Caller, request: &Request) -> Result<(), Error> {
    let policy = app.active().policies.result(&request.target);
    if may_read_unshared(caller, request, &policy.access)? {
        return Ok(());
    }
    may_read_shared(caller, request, &view.request_text(request)?.share_with)?;
    match view.is_shared_as_logged(request)? {
        true => Ok(()),
        false => Err(corrupt_error(&request.id)),
    }
}

fn load(app: &Arc<App>, request: &Request, execution: &Execution) -> Result<Content, Error> {
    let now = app.clock.now();
    let found = app
        .store
        .read(|view| match view.find_result(execution.seq)? {
            Some(row) => {
                let reported = view.is_as_reported(request, execution, &row)?;
                Ok(Some((row, reported)))
            }
            None => Ok(None),
        })?;
    let (row, reported) = found.ok_or_else(|| {
        Error::gone("result not stored for this request")
            .hint("its policy or its requester asked for it not to be kept")
    })?;
    if !reported {
        return Err(corrupt(app, request, execution));
    }
    if row.expires_at <= now {
        return Err(Error::gone("the result is past its retention"));
    }
    let bytes = body(app, execution, &row)?
        .ok_or_else(|| Error::gone("the stored result is not there any more"))?;
    if bytes.len() as u64 != row.content_length || sha256_hex(&bytes) != row.checksum_sha256 {
        return Err(corrupt(app, request, execution));
    }
    Ok(Content {
        sha256: row.checksum_sha256,
        bytes,
        execution_id: execution.id.clone(),
        operation: request.operation,
    })
}

/// The bytes that a row of results refers to; none where they are gone.
fn body(app: &App, execution: &Execution, row: &ResultRow) -> Result<Option<Vec<u8>>, Error> {
    if row.backend == ROW {
        return app.store.read(|view| view.find_result_body(execution.seq));
    }
    let objects = app.objects_of(&row.backend).ok_or_else(|| {
        log::error!(
            "result {} is in `{}`, which is not configured any more",
            row.key,
            row.backend
        );
        Error::gone("the stored result is in a place that is not configured any more")
            .hint("ask the operator: it comes back with its old `[result_storage]`")
    })?;
    objects
        .get(&row.key, row.content_length)
        .inspect_err(|error| log::error!("result {} could not be read: {error}", row.key))
}

/// A stored result that is not what was reported: audited once, and never shown.
fn corrupt(app: &App, request: &Request, execution: &Execution) -> Error {
    let change = RequestChange::ResultCorrupt {
        request: RequestRef::from(request),
        execution_id: execution.id.clone(),
    };
    let (request_id, execution_id) = (request.id.clone(), execution.id.clone());
    // Once: who reads it again and again must not grow the log.
    let audited = app.store.change(Actor::system(), move |view, _| {
        Ok(match view.is_result_corrupt(&request_id, &execution_id)? {
            true => Verdict::Same(()),
            false => Verdict::Write(vec![change.into()], ()),
        })
    });
    if let Err(error) = audited {
        log::error!("a corrupt result could not be audited: {error}");
    }
    Error::bug(format!(
        "the result of execution {} of request {} is not the one that the audit log says was reported",
        execution.id, request.id
    ))
}
