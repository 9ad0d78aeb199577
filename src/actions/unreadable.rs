//! Requests whose rows cannot be read: they are frozen, as those are that differ from the log, and stop nobody else.

use super::App;
use crate::domain::actor::Actor;
use crate::domain::change::{Change, RequestChange, RequestRef};
use crate::domain::request::{Request, corrupt_error};
use crate::error::Error;
use crate::store::{LoggedRequest, Verdict, View, is_unreadable};
use std::sync::Arc;

/// What the event says differs, where nothing more is known.
const DIFFERS: &str = "request";
/// Requests frozen after one poll, at most; the next one goes on.
const AT_ONCE: usize = 20;

/// What the log says of request `id` where `error` means that its rows cannot be read.
///
/// # Errors
/// `error` itself where it means something else, or the log has nothing of that request.
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

/// The refusal of request `id`, of which nothing is done any more because reading it ended with `error`.
///
/// # Errors
/// As [`logged`].
pub(super) fn refuse<T>(view: &View, id: &str, error: Error) -> Result<Verdict<T>, Error> {
    let found = logged(view, id, error)?;
    if found.frozen {
        return Err(corrupt_error(id));
    }
    Ok(Verdict::Refuse(freezing(found).into(), corrupt_error(id)))
}

/// The change that freezes request `id`; none where it is frozen already.
///
/// # Errors
/// As [`logged`].
pub(super) fn freeze(view: &View, id: &str, error: Error) -> Result<Option<Change>, Error> {
    let found = logged(view, id, error)?;
    Ok((!found.frozen).then(|| freezing(found).into()))
}

fn freezing(found: LoggedRequest) -> RequestChange {
    RequestChange::Corrupted {
        request: found.request,
        what: DIFFERS,
    }
}

/// What is stored is not what was asked for or approved: nothing is signed, and nothing is done with it any more.
pub(super) fn frozen<T>(request: &Request, what: &'static str) -> Verdict<T> {
    log::error!(
        "request {} is corrupt: its {what} differ from the audit log",
        request.id
    );
    let change = RequestChange::Corrupted {
        request: RequestRef::from(request),
        what,
    };
    Verdict::Refuse(change.into(), corrupt_error(&request.id))
}

/// What a look at request `id` came to. Where it was refused because what decides who may read the request is not as
/// the log says, the request is frozen.
///
/// # Errors
/// That of `looked`.
pub(super) fn frozen_if_corrupt<T>(
    app: &App,
    id: &str,
    looked: Result<T, Error>,
) -> Result<T, Error> {
    let refused = corrupt_error(id);
    if looked.as_ref().is_err_and(|e| e.code() == refused.code()) {
        let of = id.to_owned();
        let frozen = app.store.change(Actor::system(), move |view, _| {
            let request = view.request(&of)?;
            Ok(match view.unproven_to_read(&request)? {
                Some(what) if !request.corrupt => frozen(&request, what),
                _ => Verdict::Same(()),
            })
        });
        if let Err(error) = frozen
            && error.code() != refused.code()
        {
            log::error!("request {id} is corrupt, and was not frozen: {error}");
        }
    }
    looked
}

/// Freezes those of these requests that cannot be read or proved, each in a transaction of its own.
pub(super) fn freeze_all(app: &Arc<App>, ids: &[String]) {
    for id in ids.iter().take(AT_ONCE) {
        let of = id.clone();
        let frozen = app.store.change(Actor::system(), move |view, _| {
            let read = |view: &View| -> Result<(Request, Option<&'static str>), Error> {
                let request = view.request(&of)?;
                let what = view.unproven(&request)?;
                if what.is_none() {
                    view.request_text(&request)?;
                }
                Ok((request, what))
            };
            Ok(match read(view) {
                Ok((request, Some(what))) if !request.corrupt => {
                    let request = (&request).into();
                    let change = RequestChange::Corrupted { request, what };
                    Verdict::Write(vec![change.into()], ())
                }
                Ok(_) => Verdict::Same(()),
                Err(error) => match freeze(view, &of, error)? {
                    Some(change) => Verdict::Write(vec![change], ()),
                    None => Verdict::Same(()),
                },
            })
        });
        if let Err(error) = frozen {
            log::error!("request {id} cannot be read, and was not frozen: {error}");
        }
    }
}
