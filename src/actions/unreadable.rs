//! Requests that cannot be read, or are not what the audit log says of them: they are frozen, and stop nobody else.

use super::App;
use crate::domain::actor::Actor;
use crate::domain::change::{Change, RequestChange, RequestRef};
use crate::domain::request::{Request, corrupt_error};
use crate::error::Error;
use crate::store::{LoggedRequest, Unproven, Verdict, View, is_unreadable};

/// What the event says differs, where nothing more is known.
const DIFFERS: &str = "request";
/// Requests frozen after one poll or list, at most; the next one goes on.
const AT_ONCE: usize = 20;
/// Executions that are read of a request to see whether it can be read.
const EXECUTIONS_MAX: u32 = 100;

/// The change that freezes request `id`; none where it is frozen already.
///
/// # Errors
/// What `unproven` brings along where it does not mean that a row holds what cannot be read, or the log has nothing of
/// that request.
pub(super) fn freeze(view: &View, id: &str, unproven: Unproven) -> Result<Option<Change>, Error> {
    let (request, what) = match unproven {
        Unproven::Differs(what) => {
            let request = view.request(id)?;
            if request.corrupt {
                return Ok(None);
            }
            log::error!("request {id} is corrupt: its {what} differ from the audit log");
            (RequestRef::from(&request), what)
        }
        Unproven::Unreadable(error) => {
            let found = logged(view, id, error)?;
            if found.frozen {
                return Ok(None);
            }
            (found.request, DIFFERS)
        }
    };
    Ok(Some(RequestChange::Corrupted { request, what }.into()))
}

/// What the log says of request `id` where `error` means that its rows cannot be read.
fn logged(view: &View, id: &str, error: Error) -> Result<LoggedRequest, Error> {
    if !is_unreadable(&error) {
        return Err(error);
    }
    let Some(found) = view.logged_request(id)? else {
        return Err(error);
    };
    if !found.frozen {
        log::error!("request {id} is corrupt: its rows cannot be read: {error}");
    }
    Ok(found)
}

/// The refusal of request `id`, of which nothing is done any more.
///
/// # Errors
/// As [`freeze`].
pub(super) fn refuse<T>(view: &View, id: &str, unproven: Unproven) -> Result<Verdict<T>, Error> {
    match freeze(view, id, unproven)? {
        Some(change) => Ok(Verdict::Refuse(change, corrupt_error(id))),
        None => Err(corrupt_error(id)),
    }
}

/// What a call about request `id` came to. Where it was refused because the request cannot be read, or is not what was
/// made by the log, the request is frozen, and the answer says so.
///
/// # Errors
/// That of `came_to`, or `corrupt`.
pub(super) fn frozen_if_corrupt<T>(
    app: &App,
    id: &str,
    came_to: Result<T, Error>,
) -> Result<T, Error> {
    frozen_unless(app, id, came_to, look)
}

/// The same of a call about execution `id`.
///
/// # Errors
/// As [`frozen_if_corrupt`].
pub(super) fn frozen_if_execution_corrupt<T>(
    app: &App,
    id: &str,
    came_to: Result<T, Error>,
) -> Result<T, Error> {
    match &came_to {
        Err(error) if is_unreadable(error) => {}
        _ => return came_to,
    }
    match app.store.read(|view| view.request_of_execution(id))? {
        Some(request) => frozen_if_corrupt(app, &request, came_to),
        None => came_to,
    }
}

/// The same as [`frozen_if_corrupt`], where `examine` is what proves the request.
///
/// # Errors
/// As [`frozen_if_corrupt`].
pub(super) fn frozen_unless<T>(
    app: &App,
    id: &str,
    came_to: Result<T, Error>,
    examine: fn(&View, &Request) -> Result<(), Unproven>,
) -> Result<T, Error> {
    let Err(error) = &came_to else {
        return came_to;
    };
    let corrupt = corrupt_error(id);
    let refused = error.code() == corrupt.code();
    if !refused && !is_unreadable(error) {
        return came_to;
    }
    match freeze_where(app, id, examine) {
        Ok(true) => Err(corrupt),
        Ok(false) => came_to,
        Err(failed) => {
            log::error!("request {id} was not frozen: {failed}");
            came_to
        }
    }
}

/// Freezes those of these requests that cannot be read, or that are dispatched and not proved, each in a transaction of
/// its own.
pub(super) fn freeze_all(
    app: &App,
    ids: &[String],
    examine: fn(&View, &Request) -> Result<(), Unproven>,
) {
    for id in ids.iter().take(AT_ONCE) {
        if let Err(error) = freeze_where(app, id, examine) {
            log::error!("request {id} cannot be read, and was not frozen: {error}");
        }
    }
}

/// Freezes request `id` if `examine` does not find it proved. Returns whether that is so.
fn freeze_where(
    app: &App,
    id: &str,
    examine: fn(&View, &Request) -> Result<(), Unproven>,
) -> Result<bool, Error> {
    let id = id.to_owned();
    app.store.change(Actor::system(), move |view, _| {
        let examined = view.request(&id).map_err(Unproven::from);
        let Err(unproven) = examined.and_then(|request| examine(view, &request)) else {
            return Ok(Verdict::Same(false));
        };
        Ok(match freeze(view, &id, unproven)? {
            Some(change) => Verdict::Write(vec![change], true),
            None => Verdict::Same(true),
        })
    })
}

/// Reads all that is shown of a request, and proves what it was made with.
pub(super) fn look(view: &View, request: &Request) -> Result<(), Unproven> {
    view.prove_as_made(request)?;
    view.request_text(request)?;
    view.votes(request)?;
    view.next_approvers(request)?;
    view.context_state(request.seq)?;
    view.last_rehearsal(request.seq)?;
    view.list_executions(request.seq, EXECUTIONS_MAX)?;
    Ok(())
}

/// Proves a request that is dispatched, and reads what an agent gets of it.
pub(super) fn dispatched(view: &View, request: &Request) -> Result<(), Unproven> {
    view.prove(request)?;
    view.request_text(request)?;
    Ok(())
}
