//! An agent reports how an execution ended.
//!
//! The stored object is written before the transaction, under a key of this execution alone, so that a crash in
//! between leaves an object that nobody refers to and never a reference to nothing.

mod envelope;

use self::envelope::envelope;
use super::unreadable::frozen_if_execution_corrupt;
use super::{App, result_shape};
use crate::crypto::{hex, sha256_fields, sha256_hex};
use crate::domain::actor::Caller;
use crate::domain::change::{Finished, InconclusiveReport, NewResult, RequestChange, RequestRef};
use crate::domain::execution::{Execution, ExecutionStatus, result_key};
use crate::domain::id::Selector;
use crate::domain::permission::Permission;
use crate::domain::policy::result::DeliveryMode;
use crate::domain::request::{ExecutionEnd, ExecutionOutcome, Request, Status, corrupt_error};
use crate::error::{Error, ErrorKind, cut};
use crate::store::{ROW, Verdict, View};
use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Largest result after decoding, in bytes (contract section 4).
pub const RESULT_BYTES_MAX: usize = 12 * 1024 * 1024;
/// Largest result, with its envelope, that is stored as a row: below it, the three syncs that an object takes cost more
/// than the room in the database.
pub const ROW_BYTES_MAX: usize = 16 * 1024;
/// Longest error message kept, in bytes.
pub const ERROR_BYTES_MAX: usize = 4096;

/// How long a report waits for another one of the same execution; it holds a worker meanwhile.
const TURN_WAIT_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Default)]
pub struct ExecutionReport {
    /// Whether the database reported success; `outcome` overrides it.
    pub success: bool,
    /// What is left in the database, where the agent reports that.
    pub outcome: Option<ExecutionOutcome>,
    /// The result: the text of a JSON value, as it came.
    pub result_data: Option<String>,
    pub error_message: Option<String>,
    /// What the database adds to it, with values of rows.
    pub error_detail: Option<String>,
    pub rows_affected: Option<u64>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// Whether rows were left out.
    pub truncated: bool,
}

/// What the report came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    pub request_id: String,
    /// Where it stands now.
    pub status: Status,
}

/// Executions whose report is being handled, at most one for each worker. Each execution has one at a time: two
/// different ones would write the same object, and the one that does not count might be the one that stays.
#[derive(Default)]
pub struct Reports {
    taken: Mutex<BTreeSet<String>>,
    changed: Condvar,
}

/// The turn of one report; the next one's when it is dropped.
pub(crate) struct ReportTurn<'a> {
    reports: &'a Reports,
    execution_id: &'a str,
}

impl Reports {
    pub(crate) fn begin<'a>(&'a self, execution_id: &'a str) -> Result<ReportTurn<'a>, Error> {
        let taken = self.taken.lock().unwrap_or_else(|e| e.into_inner());
        let (mut taken, waited) = self
            .changed
            .wait_timeout_while(taken, TURN_WAIT_MAX, |taken| taken.contains(execution_id))
            .unwrap_or_else(|e| e.into_inner());
        if waited.timed_out() {
            let error = Error::unavailable("another report of this execution is being taken in");
            return Err(error.retry_after(1));
        }
        taken.insert(execution_id.to_owned());
        Ok(ReportTurn {
            reports: self,
            execution_id,
        })
    }
}

impl Drop for ReportTurn<'_> {
    fn drop(&mut self) {
        let mut taken = self.reports.taken.lock().unwrap_or_else(|e| e.into_inner());
        taken.remove(self.execution_id);
        self.reports.changed.notify_all();
    }
}

/// Records the report of an execution.
///
/// # Errors
/// 403 for another agent's execution; 404; 409 `lease_lost` for one that is not the agent's any more, `conflict` for a
/// different report of one that is finished, `corrupt` for one whose request cannot be read, which is frozen then; 413
/// `payload_too_large` for a result over the limit in a report without an outcome, after the execution was ended as
/// failed; 503 when the result could not be stored.
pub fn submit_result(
    app: &Arc<App>,
    caller: &Caller,
    execution_id: &str,
    report: ExecutionReport,
) -> Result<Reported, Error> {
    let size = report.result_data.as_ref().map_or(0, String::len);
    let limit = RESULT_BYTES_MAX.min(usize::try_from(app.settings.max_persist_bytes).unwrap_or(0));
    if size > limit {
        return match report.outcome {
            Some(outcome) => {
                let report = without_result(report, outcome, size, limit);
                record(app, caller, execution_id, report)
            }
            None => oversize(app, caller, execution_id, size as u64),
        };
    }
    let defect = report.result_data.as_deref().and_then(result_shape::defect);
    let report = match defect {
        Some(defect) => unusable(report, &defect),
        None => report,
    };
    record(app, caller, execution_id, report)
}

/// A report that proves what was left in the database, without its result, which is too large: that stays true.
fn without_result(
    report: ExecutionReport,
    outcome: ExecutionOutcome,
    size: usize,
    limit: usize,
) -> ExecutionReport {
    let why = format!("left out: {size} bytes are over the limit of {limit} bytes");
    let (result_data, error_message) = match outcome {
        ExecutionOutcome::Committed => {
            let none = serde_json::json!({
                "columns": [], "rows": [], "truncated": true, "truncation_reason": why,
            });
            (Some(none.to_string()), report.error_message)
        }
        _ => {
            let own = report.error_message.unwrap_or_default();
            (None, Some(format!("{own}; result {why}")))
        }
    };
    ExecutionReport {
        result_data,
        error_message,
        truncated: true,
        ..report
    }
}

/// The report of an execution whose result no reader could make sense of: it failed, and why.
fn unusable(report: ExecutionReport, defect: &str) -> ExecutionReport {
    let own = report.error_message.filter(|_| !report.success);
    let message = own.map_or_else(
        || format!("{defect}; the statement may have taken effect"),
        |own| format!("{own}; {defect}"),
    );
    ExecutionReport {
        success: false,
        // What it committed stays unproven: its own account of it is broken.
        outcome: report
            .outcome
            .filter(|outcome| *outcome != ExecutionOutcome::Committed),
        error_message: Some(message),
        duration_ms: report.duration_ms,
        ..ExecutionReport::default()
    }
}

/// Ends an execution whose result is too large as failed, and says so; never as lost.
///
/// # Errors
/// 413 `payload_too_large` when that was recorded; otherwise as [`submit_result`].
pub fn oversize(
    app: &Arc<App>,
    caller: &Caller,
    execution_id: &str,
    bytes: u64,
) -> Result<Reported, Error> {
    let limit = app.settings.max_persist_bytes.min(RESULT_BYTES_MAX as u64);
    let message = format!(
        "the result of {bytes} bytes is over the limit of {limit} bytes; the statement may have taken effect"
    );
    let report = ExecutionReport {
        success: false,
        error_message: Some(message.clone()),
        ..ExecutionReport::default()
    };
    record(app, caller, execution_id, report)?;
    Err(Error::new(
        ErrorKind::TooLarge,
        "payload_too_large",
        format!("result too large: {message}"),
    )
    .details(serde_json::json!({"bytes": bytes, "limit": limit}))
    .hint("the execution was recorded as failed; ask for fewer rows"))
}

fn record(
    app: &Arc<App>,
    caller: &Caller,
    execution_id: &str,
    report: ExecutionReport,
) -> Result<Reported, Error> {
    caller.require(Permission::AgentSubmitResult)?;
    let _turn = app.in_flight.reports.begin(execution_id)?;
    let report_sha256 = fingerprint(&report);
    // A look before the object is written; the same is asked again inside the transaction.
    let look = || {
        let looked = app.store.read(|view| look(view, caller, execution_id));
        frozen_if_execution_corrupt(app, execution_id, looked)
    };
    let (request, execution, share_with) = match look() {
        // Frozen now: the report is evidence, unless not even the rest of the request can be read.
        Err(error) if error.code() == corrupt_error(execution_id).code() => look()?,
        looked => looked?,
    };
    if let Some(reported) = repeated(&request, &execution, &report_sha256)? {
        return Ok(reported);
    }
    let end = ExecutionEnd::of_report(report.outcome, report.success, request.operation);
    if end.is_lost() {
        // There is no result to keep: the agent cannot tell whether there is anything.
        return commit(app, caller, &execution.id, report, report_sha256, None);
    }
    let envelope: Arc<[u8]> = envelope(&execution.id, end, &report)?.into();
    let stored = keep(
        app, &request, &execution, end, &report, &envelope, share_with,
    )?;
    // In memory before the commit that wakes the readers.
    app.live
        .put(&execution.id, Arc::clone(&envelope), app.clock.now());
    let object = stored.as_ref().filter(|s| s.body.is_none());
    let key = object.map(|s| s.key.clone());
    let answer = commit(app, caller, &execution.id, report, report_sha256, stored);
    if let Err(error) = &answer
        && matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Forbidden)
    {
        discard(app, &execution.id, key.as_deref());
    }
    answer
}

fn commit(
    app: &Arc<App>,
    caller: &Caller,
    execution_id: &str,
    report: ExecutionReport,
    report_sha256: String,
    stored: Option<NewResult>,
) -> Result<Reported, Error> {
    let (caller, id) = (caller.clone(), execution_id.to_owned());
    let active = app.active();
    app.store.change(caller.actor(), move |view, now| {
        let (request, execution) = load(view, &caller, &id)?;
        if let Some(reported) = repeated(&request, &execution, &report_sha256)? {
            return Ok(Verdict::Same(reported));
        }
        let end = ExecutionEnd::of_report(report.outcome, report.success, request.operation);
        let step = execution.report(&request, end)?;
        let late = execution.is_late(now);
        let reported = Reported {
            request_id: request.id.clone(),
            status: step.map_or(request.status(), |s| s.to()),
        };
        if end.is_lost() {
            if execution.status == ExecutionStatus::Lost {
                // It says what is known.
                return Ok(Verdict::Same(reported));
            }
            let change = RequestChange::ExecutionLost {
                request: RequestRef::from(&request),
                step,
                execution_id: execution.id.clone(),
                agent_id: execution.agent_id.clone(),
                report: Some(InconclusiveReport {
                    error_message: report.error_message.map(|m| cut(m, ERROR_BYTES_MAX)),
                    duration_ms: report.duration_ms,
                    report_sha256,
                }),
            };
            return Ok(Verdict::Write(vec![change.into()], reported));
        }
        let keeps_detail = !active.policies.result(&request.target).hide_error_detail;
        let finished = Finished {
            execution_id: execution.id.clone(),
            end,
            error_message: Execution::message(
                step,
                end,
                report.error_message.map(|m| cut(m, ERROR_BYTES_MAX)),
            ),
            error_detail: report
                .error_detail
                .filter(|_| keeps_detail)
                .map(|d| cut(d, ERROR_BYTES_MAX)),
            rows_affected: report.rows_affected,
            duration_ms: report.duration_ms,
            truncated: report.truncated,
            late,
            report_sha256,
        };
        let change = RequestChange::ExecutionFinished {
            request: RequestRef::from(&request),
            step,
            finished,
            result: stored,
        };
        Ok(Verdict::Write(vec![change.into()], reported))
    })
}

/// What a report is about, and whom its result is shared with.
fn look(
    view: &View,
    caller: &Caller,
    execution_id: &str,
) -> Result<(Request, Execution, Vec<Selector>), Error> {
    let (request, execution) = load(view, caller, execution_id)?;
    // What is reported of a corrupt request is evidence; whom it was shared with is not known any more.
    let share_with = match request.corrupt {
        true => Vec::new(),
        false => view.request_text(&request)?.share_with,
    };
    Ok((request, execution, share_with))
}

fn load(view: &View, caller: &Caller, execution_id: &str) -> Result<(Request, Execution), Error> {
    let execution = view.execution_of(execution_id)?;
    execution.ensure_claimed_by(&caller.subject)?;
    let request = view.request(&execution.request_id)?;
    Ok((request, execution))
}

/// What an accepted report that comes again is answered with.
fn repeated(
    request: &Request,
    execution: &Execution,
    report_sha256: &str,
) -> Result<Option<Reported>, Error> {
    let reported = || Reported {
        request_id: request.id.clone(),
        status: request.status(),
    };
    Ok(execution.is_repeated(report_sha256)?.then(reported))
}

/// Stores the envelope where the policy and the request say so.
fn keep(
    app: &App,
    request: &Request,
    execution: &Execution,
    end: ExecutionEnd,
    report: &ExecutionReport,
    envelope: &Arc<[u8]>,
    share_with: Vec<Selector>,
) -> Result<Option<NewResult>, Error> {
    let policy = app.active().policies.result(&request.target);
    // A failure is always kept; of a request whose result is not to be kept, only what went wrong.
    let wanted = !end.outcome.is_success()
        || (!request.no_result_store && policy.delivery_mode != DeliveryMode::Stream);
    if !wanted {
        app.metrics.result_storage.inc(&["skipped"]);
        return Ok(None);
    }
    let bytes: Arc<[u8]> = if request.no_result_store && report.result_data.is_some() {
        let bare = ExecutionReport {
            result_data: None,
            ..report.clone()
        };
        self::envelope::envelope(&execution.id, end, &bare)?.into()
    } else {
        Arc::clone(envelope)
    };
    let key = result_key(&request.id, &execution.id);
    let days = u64::from(policy.retention_days);
    let expires_at = app.clock.now().plus_secs(days * 86_400);
    let small = bytes.len() <= app.settings.result_row_bytes_max;
    let put = match small {
        true => Ok(()),
        false => app.objects.put(&key, &bytes, expires_at),
    };
    if let Err(error) = put {
        app.metrics.result_storage.inc(&["failed"]);
        log::error!("result {key} could not be stored: {error}");
        return Err(Error::unavailable("the result could not be stored now"));
    }
    app.metrics.result_storage.inc(&["stored"]);
    let mut access = share_with;
    access.extend(policy.access);
    Ok(Some(NewResult {
        backend: match small {
            true => ROW,
            false => app.objects.backend(),
        },
        key,
        content_length: bytes.len() as u64,
        checksum_sha256: sha256_hex(&bytes),
        body: small.then_some(bytes),
        expires_at,
        access,
    }))
}

/// Takes back what a report left that does not count.
fn discard(app: &App, execution_id: &str, key: Option<&str>) {
    // What may belong to a report that counts stays; so it does where that is unknown.
    let unfinished = app
        .store
        .read(|view| view.find_execution(execution_id))
        .is_ok_and(|e| e.is_none_or(|e| !e.status.is_finished()));
    if !unfinished {
        return;
    }
    app.live.remove(execution_id);
    if let Some(key) = key
        && let Err(error) = app.objects.delete(key)
    {
        log::warn!("result {key} could not be removed: {error}");
    }
}

fn fingerprint(report: &ExecutionReport) -> String {
    let number = |n: Option<u64>| n.map_or("-".to_owned(), |n| n.to_string());
    let (rows, duration) = (number(report.rows_affected), number(report.duration_ms));
    let flags = [
        u8::from(report.success),
        u8::from(report.truncated),
        u8::from(report.result_data.is_some()),
        u8::from(report.error_message.is_some()),
    ];
    hex(&sha256_fields([
        &flags[..],
        report.result_data.as_deref().unwrap_or_default().as_bytes(),
        report
            .error_message
            .as_deref()
            .unwrap_or_default()
            .as_bytes(),
        rows.as_bytes(),
        duration.as_bytes(),
        report
            .outcome
            .map_or("", ExecutionOutcome::as_str)
            .as_bytes(),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn an_execution_takes_in_one_report_at_a_time() {
        let (reports, inside) = (Reports::default(), AtomicUsize::new(0));
        let elsewhere = reports.begin("other").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _turn = reports.begin("e").unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        drop(elsewhere);
        assert!(reports.taken.lock().unwrap().is_empty());
    }
}
