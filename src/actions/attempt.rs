//! What each verb on a request is decided by, whether it is called or only asked for.

use super::unreadable::frozen_if_corrupt;
use super::{Active, App, dialects};
use crate::clock::Timestamp;
use crate::domain::actor::Caller;
use crate::domain::request::{Evidence, Request};
use crate::error::Error;
use crate::store::{Verdict, View};
use std::sync::Arc;

/// A verb that somebody wants of a request, and what it is decided by.
pub(super) struct Attempt<'a> {
    pub view: &'a View<'a>,
    pub active: &'a Active,
    pub caller: &'a Caller,
    pub request: &'a Request,
    /// The `If-Match` of the call.
    pub seen: Option<&'a str>,
    pub now: Timestamp,
}

/// Decides what `by` wants of request `id`, and writes it. What cannot be read, or is not what the log says, is frozen.
///
/// # Errors
/// That of `decide`; `not_found`, `corrupt`; `unavailable` as [`App::change_by`].
pub(super) fn attempted<T: Send + 'static>(
    app: &Arc<App>,
    by: &Caller,
    id: &str,
    seen: Option<&str>,
    decide: impl FnOnce(&App, &Attempt) -> Result<Verdict<T>, Error> + Send + 'static,
) -> Result<T, Error> {
    let (cx, caller) = (Arc::clone(app), by.clone());
    let (of, seen) = (id.to_owned(), seen.map(str::to_owned));
    let came_to = app.change_by(by, move |view, now| {
        let request = view.request(&of)?;
        let attempt = Attempt {
            view,
            active: &cx.active(),
            caller: &caller,
            request: &request,
            seen: seen.as_deref(),
            now,
        };
        decide(&cx, &attempt)
    });
    frozen_if_corrupt(app, id, came_to)
}

impl Attempt<'_> {
    /// Refuses a request that is corrupt, and one that is no longer as the caller saw it.
    ///
    /// # Errors
    /// 409 `corrupt`; 412 `changed`.
    pub fn ensure_as_seen(&self) -> Result<(), Error> {
        self.request.ensure_intact()?;
        let Some(seen) = self.seen else {
            return Ok(());
        };
        let votes = self.view.votes(self.request)?;
        let rehearsal = self.view.last_rehearsal(self.request.seq)?;
        let plans = self.view.context_state(self.request.seq)?;
        let evidence = Evidence {
            votes: &votes,
            rehearsal: rehearsal.as_ref().map(|(last, _)| last),
            plans: plans.as_ref().map(|(status, _)| status.as_str()),
            now: self.now,
        };
        self.request.ensure_seen(&evidence, seen)
    }

    /// See [`dialects::ensure_current`].
    pub fn ensure_current(&self) -> Result<(), Error> {
        dialects::ensure_current(&self.active.policies, self.view, self.request, self.now)
    }
}
