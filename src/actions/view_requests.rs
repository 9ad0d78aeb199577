//! Looking at requests: one, with everything that explains it, or a page of those the caller may see.

use super::App;
use super::approvers::{NamedApprovers, of_step};
use super::awaited::{self, NextAction};
use super::dialects::KnownDialects;
use super::unreadable::{self, frozen_if_corrupt};
use crate::clock::Timestamp;
use crate::domain::actor::Caller;
use crate::domain::approval::{Vote, current_step, without_vote};
use crate::domain::change::RequestText;
use crate::domain::id::{Selector, Target};
use crate::domain::permission::Permission;
use crate::domain::policy::Policies;
use crate::domain::policy::workflow::Workflow;
use crate::domain::rehearsal::Rehearsal;
use crate::domain::request::{Evidence, Request, Status};
use crate::domain::visibility::{Viewer, may_view};
use crate::error::Error;
use crate::store::{
    DeliveryFilter, DeliveryRow, Listed, RequestFilter, RequestItem, View, read_workflow,
};
use serde_json::Value;

/// Requests counted exactly; beyond it the total is a lower bound.
pub const COUNT_MAX: i64 = 10_000;
/// Notifications shown with a request, at most; all of them are listed as deliveries.
const NOTIFICATIONS_MAX: u32 = 200;
/// Largest offset; further pages need the cursor.
pub const OFFSET_MAX: u32 = 10_000;
/// Pending requests examined for one page of what waits for the caller; beyond it the page ends early.
pub const CANDIDATES_MAX: usize = 2_000;
/// Candidates judged at once, so that nobody waits long for the database.
const CANDIDATES_STEP: usize = 100;

/// A request with all there is to say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    pub request: Request,
    pub text: RequestText,
    pub votes: Vec<Vote>,
    /// How far its context is, and the plans it has; none where the result is not to be kept.
    pub context_state: Option<(String, Option<Value>)>,
    /// Its last rehearsal.
    pub rehearsal: Option<Rehearsal>,
    /// When it was looked at.
    pub now: Timestamp,
    /// Who must act; none once it has an outcome.
    pub next: Option<NextAction>,
    /// Why no agent has taken it yet.
    pub queue_hint: Option<&'static str>,
    /// Who was notified of it, newest first, and how that went.
    pub notifications: Vec<DeliveryRow>,
    /// Whether there are older ones.
    pub notifications_truncated: bool,
}

impl Detail {
    /// See [`Request::version`]: the ETag, without its quotes.
    pub fn version(&self) -> String {
        let plans = self.context_state.as_ref();
        self.request.version(&Evidence {
            votes: &self.votes,
            rehearsal: self.rehearsal.as_ref(),
            plans: plans.map(|(status, _)| status.as_str()),
            now: self.now,
        })
    }

    /// How far the plans of its statements are: `collecting`, `ready`, `partial` or `unavailable`; none where none are
    /// asked for.
    pub fn plans(&self) -> Option<&str> {
        let (status, _) = self.context_state.as_ref()?;
        self.text.context_json.as_ref().map(|_| status.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPage {
    pub items: Vec<RequestItem>,
    /// How many there are in all; none where nobody counted.
    pub total: Option<i64>,
    /// Whether there are more than that.
    pub total_is_lower_bound: bool,
    /// Where the next page starts; none at the end.
    pub next: Option<i64>,
}

/// One request.
///
/// # Errors
/// `not_found`; `forbidden` for one that the caller may not see; `corrupt`, once, where it is not what was made by the
/// audit log, and always where it cannot be read.
pub fn show(app: &App, caller: &Caller, id: &str) -> Result<Detail, Error> {
    let now = app.clock.now();
    let about = DeliveryFilter {
        request_id: Some(id.to_owned()),
        ..DeliveryFilter::default()
    };
    let looked = app.store.read(|view| {
        let request = view.request_to_read(id)?;
        let text = view.request_text(&request)?;
        let votes = view.votes(&request)?;
        may_view(caller, &request, text.workflow.as_ref(), &votes)?;
        // Who votes goes by what they see.
        if !request.corrupt {
            let proof = view.prove_as_made(&request);
            proof.map_err(|unproven| unproven.error(id))?;
        }
        let context_state = view.context_state(request.seq)?;
        let rehearsal = view.last_rehearsal(request.seq)?.map(|(last, _)| last);
        let mut notifications = view.list_deliveries(&about, NOTIFICATIONS_MAX + 1, 0)?;
        let truncated = notifications.len() > NOTIFICATIONS_MAX as usize;
        notifications.truncate(NOTIFICATIONS_MAX as usize);
        let notifications: Vec<DeliveryRow> = notifications.into_iter().flatten().collect();
        Ok((
            request,
            text,
            votes,
            context_state,
            rehearsal,
            (notifications, truncated),
        ))
    });
    let (request, text, votes, context_state, rehearsal, (notifications, truncated)) =
        frozen_if_corrupt(app, id, looked)?;
    let queue_hint = match request.status() {
        Status::Dispatched => awaited::queue_hint(app, &request, now)?,
        _ => None,
    };
    let next = awaited::next(&request, text.workflow.as_ref(), &votes);
    Ok(Detail {
        request,
        text,
        votes,
        context_state,
        rehearsal,
        now,
        next,
        queue_hint,
        notifications,
        notifications_truncated: truncated,
    })
}

/// The people who can give the approvals that a request waits for, but for those who may not any more: for each entry of
/// the step, none where it does not wait. Tokens and kept claims are read for it, so only who shows it asks.
///
/// # Errors
/// `internal`.
pub fn approvers(app: &App, shown: &Detail) -> Result<Vec<NamedApprovers>, Error> {
    let Detail {
        request,
        votes,
        now,
        ..
    } = shown;
    let workflow = shown.text.workflow.as_ref();
    let Some(workflow) = workflow.filter(|_| request.pending(*now).is_ok() && !request.corrupt)
    else {
        return Ok(Vec::new());
    };
    let current = current_step(workflow, votes);
    let Some(step) = usize::try_from(current)
        .ok()
        .and_then(|n| workflow.steps.get(n))
    else {
        return Ok(Vec::new());
    };
    let left_out = without_vote(workflow, votes, &request.requester);
    let active = app.active();
    app.store
        .read(|view| of_step(app, view, &active, step, &request.target, *now, &left_out))
}

/// Refuses a caller who may not see a request, for verbs that have not read workflow and votes yet.
///
/// # Errors
/// `forbidden`.
pub(super) fn ensure_visible(view: &View, caller: &Caller, request: &Request) -> Result<(), Error> {
    let workflow = view.request_workflow(request)?;
    let votes = view.votes(request)?;
    may_view(caller, request, workflow.as_ref(), &votes)
}

/// A page of the requests that the caller may see, newest first. With `count`, they are counted too. What cannot be read
/// is left out, and frozen; it is still counted.
///
/// # Errors
/// `forbidden` for somebody to whom no request can be shown; when the store cannot read.
pub fn list(
    app: &App,
    caller: &Caller,
    filter: &RequestFilter,
    limit: u32,
    offset: u32,
    count: bool,
) -> Result<RequestPage, Error> {
    let viewer = Viewer::of_requests(caller);
    ensure_may_list(app, caller, &viewer)?;
    let (mut rows, total) = app.store.read(|view| {
        // One more than asked for tells whether there is a next page.
        let rows = view.list_requests(&viewer, filter, limit + 1, offset)?;
        let total = match count {
            true => Some(view.count_requests(&viewer, filter, COUNT_MAX)?),
            false => None,
        };
        Ok((rows, total))
    })?;
    let place = |row: &Listed<RequestItem>| match row {
        Ok(item) => item.request.seq,
        Err(unread) => unread.seq,
    };
    let next = next_page(&mut rows, limit, place);
    let (mut items, mut unread) = (Vec::new(), Vec::new());
    for row in rows {
        match row {
            Ok(item) => items.push(item),
            Err(row) => unread.push(row.id),
        }
    }
    unreadable::freeze_all(app, &unread, unreadable::look);
    Ok(RequestPage {
        items,
        total: total.map(|n| n.min(COUNT_MAX)),
        total_is_lower_bound: total.is_some_and(|n| n > COUNT_MAX),
        next,
    })
}

/// A page of what waits for the caller: pending requests that match and that they could approve now, newest first.
/// Somebody whom nothing asks gets an empty one.
///
/// # Errors
/// When the store cannot read.
pub fn list_pending_for(
    app: &App,
    caller: &Caller,
    filter: &RequestFilter,
    limit: u32,
    offset: u32,
) -> Result<RequestPage, Error> {
    let viewer = Viewer::of_requests(caller);
    let now = app.clock.now();
    let before = filter.before;
    let mut cursor = before.unwrap_or(i64::MAX);
    let mut items = Vec::new();
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut total, mut unread) = (0, Vec::new());
    let mut last = LastWorkflow::default();
    let (active, mut dialects) = (app.active(), KnownDialects::default());
    // All at once: to find the first of many costs as much as to find some thousands.
    let most = u32::try_from(CANDIDATES_MAX).unwrap_or(u32::MAX);
    let found = app
        .store
        .read(|view| view.list_candidates(&viewer, filter, most))?;
    let ended = found.len() < CANDIDATES_MAX;
    let mut found = found.into_iter().peekable();
    while found.peek().is_some() {
        app.store.read(|view| {
            for candidate in found.by_ref().take(CANDIDATES_STEP) {
                let (request, workflow) = match candidate {
                    Ok(read) => read,
                    Err(row) => {
                        cursor = row.seq;
                        unread.push(row.id);
                        continue;
                    }
                };
                cursor = request.seq;
                let judged = view.listed(request, |request| {
                    let workflow = last.read(&request, workflow)?;
                    if !can_approve(view, caller, &request, workflow, now)?
                        || !dialects.is_current(&active.policies, view, &request, now)?
                    {
                        return Ok(());
                    }
                    if total >= offset && items.len() <= wanted {
                        items.push(view.request_item(request)?);
                    }
                    total += 1;
                    Ok(())
                })?;
                unread.extend(judged.err().map(|row| row.id));
            }
            Ok(())
        })?;
    }
    unreadable::freeze_all(app, &unread, unreadable::look);
    let next = next_page(&mut items, limit, |item| item.request.seq).or((!ended).then_some(cursor));
    Ok(RequestPage {
        items,
        total: before.is_none().then_some(i64::from(total)),
        total_is_lower_bound: before.is_none() && !ended,
        next,
    })
}

/// The workflow that was read last: most requests that wait for somebody wait by the same one.
#[derive(Default)]
struct LastWorkflow {
    text: String,
    workflow: Option<Workflow>,
}

impl LastWorkflow {
    fn read(
        &mut self,
        request: &Request,
        text: Option<String>,
    ) -> Result<Option<&Workflow>, Error> {
        let Some(text) = text else { return Ok(None) };
        if self.workflow.is_none() || self.text != text {
            self.workflow = Some(read_workflow(request, &text)?);
            self.text = text;
        }
        Ok(self.workflow.as_ref())
    }
}

/// Whether the caller's approval would count now.
fn can_approve(
    view: &View,
    caller: &Caller,
    request: &Request,
    workflow: Option<&Workflow>,
    now: Timestamp,
) -> Result<bool, Error> {
    if request.pending(now).is_err() {
        return Ok(false);
    }
    let Some(workflow) = workflow else {
        return Ok(false);
    };
    let votes = view.votes(request)?;
    Ok(request.ballot(workflow, &votes).may_approve(caller))
}

/// Cuts a page to its size. Returns where the next one starts, if there is one.
fn next_page<T>(items: &mut Vec<T>, limit: u32, place: impl Fn(&T) -> i64) -> Option<i64> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if items.len() <= limit {
        return None;
    }
    items.truncate(limit);
    items.last().map(place)
}

/// Rights that show requests, or those that one makes.
const LISTS: [Permission; 4] = [
    Permission::RequestView,
    Permission::RequestApprove,
    Permission::RequestCreate,
    Permission::RequestCreateSelect,
];

/// Lists are for who has a right that shows requests somewhere, whom a workflow in effect names, and who may see one
/// all the same, such as what they have decided.
fn ensure_may_list(app: &App, caller: &Caller, viewer: &Viewer) -> Result<(), Error> {
    let holds = |permission| !caller.rights.scopes(permission).is_empty();
    if LISTS.into_iter().any(holds) || is_named(&app.active().policies, viewer) {
        return Ok(());
    }
    let any = RequestFilter::default();
    let seen = app
        .store
        .read(|view| view.list_requests(viewer, &any, 1, 0))?;
    match seen.is_empty() {
        true => caller.require(Permission::RequestView),
        false => Ok(()),
    }
}

/// Whether a step of a workflow in effect may ask the viewer.
fn is_named(policies: &Policies, viewer: &Viewer) -> bool {
    let steps = policies.workflows.iter().flat_map(|w| &w.steps);
    let mut approvers = steps.flat_map(|step| &step.approvers);
    approvers.any(|approver| match &approver.selector {
        Selector::Role(name) => viewer.roles.iter().any(|(role, _)| role == name),
        other => viewer.selectors.contains(&other.to_string()),
    })
}

/// Registered targets within the caller's reach, in the order of the configuration.
///
/// # Errors
/// `forbidden` for somebody who may see requests nowhere.
pub fn databases(app: &App, caller: &Caller) -> Result<Vec<Target>, Error> {
    caller.require(Permission::RequestView)?;
    let active = app.active();
    Ok(active
        .policies
        .targets()
        .filter(|t| caller.may_on(Permission::RequestView, t))
        .collect())
}
