//! Proves one request against the audit log, before something is signed for it or a vote is cast: that its texts are
//! those it was made with, that its votes are those that were cast and approve it, and that it stands where its event put
//! it. Each event is a look-up of its own, so the cost does not grow with the log; only before it runs once more is the
//! log walked from its creation on.

use super::View;
use super::audit::EventRow;
use super::live::RequestPlace;
use super::query::{RunStatement, first};
use super::row_columns::{ReadColumn, columns};
use crate::clock::Timestamp;
use crate::domain::accounts::{EventMetadata, StoredVote};
use crate::domain::approval::{Vote, VoteAction, current_step};
use crate::domain::commitment::{CommittedContext, CommittedRequest};
use crate::domain::policy::workflow::{Rehearse, Workflow};
use crate::domain::request::{Request, Status, corrupt_error};
use crate::error::Error;
use rusqlite::Row;
use std::collections::BTreeSet;

/// The events that move a request, by their column or by what of it is hashed. There are four, and three for each
/// further run.
const MOVES: &str = "SELECT seq FROM audit_events WHERE request_id = ?1 \
    AND (to_status IS NOT NULL OR metadata_json ->> '$.to_status' IS NOT NULL) ORDER BY seq";

/// A request and its texts, as stored.
pub(super) struct StoredRequest {
    pub id: String,
    requester: String,
    reason: Option<String>,
    risk_level: Option<String>,
    database: String,
    environment: String,
    operation: String,
    status: String,
    audit_seq: i64,
    emergency: bool,
    allow_ddl: bool,
    no_result_store: bool,
    detail: Option<String>,
    plan_json: Option<String>,
    workflow_json: Option<String>,
    facts_json: Option<String>,
    trace_json: Option<String>,
    metadata_json: Option<String>,
    share_with_json: Option<String>,
    salt: Option<Vec<u8>>,
    context_json: Option<String>,
    dialect: String,
    max_affected_rows: Option<i64>,
    row_bound_source: Option<String>,
    rehearsed_rows: Option<i64>,
}

columns! {
    /// What [`stored_request`] reads.
    enum Column of "requests" from "requests r \
        LEFT JOIN request_texts t ON t.request_seq = r.seq \
        LEFT JOIN request_contexts c ON c.request_seq = r.seq" {
        Id = "r.id",
        Requester = "r.requester",
        Reason = "r.reason",
        RiskLevel = "r.risk_level",
        Database = "r.database_name",
        Environment = "r.environment",
        Operation = "r.operation",
        Status = "r.status",
        AuditSeq = "r.audit_seq",
        Emergency = "r.emergency",
        AllowDdl = "r.allow_ddl",
        NoResultStore = "r.no_result_store",
        Detail = "t.detail",
        Plan = "t.plan_json",
        Workflow = "t.workflow_json",
        Facts = "t.facts_json",
        Trace = "t.trace_json",
        Metadata = "t.metadata_json",
        ShareWith = "t.share_with_json",
        Salt = "t.salt",
        Context = "c.context_json",
        Dialect = "r.dialect",
        BoundRows = "r.max_affected_rows",
        BoundSource = "r.row_bound_source",
        RehearsedRows = "r.rehearsed_rows",
    }
    /// For [`stored_request`].
    pub(super) STORED = "WHERE r.seq = ?1";
}

columns! {
    /// What [`stored_vote`] reads.
    enum VoteColumn of "approvals" from "approvals a" {
        Actor = "a.actor_id",
        Step = "a.step_index",
        Action = "a.action",
        Token = "a.token_id",
        Selector = "a.matched_selector",
        Comment = "a.comment",
        IssuedByRequester = "a.issued_by_requester",
        CreatedAt = "a.created_at_ms",
        AuditSeq = "a.audit_seq",
    }
    /// The votes of a request, oldest first, for [`stored_vote`].
    pub(super) VOTES = "WHERE a.request_seq = ?1 ORDER BY a.id";
}

/// The first event of a request: the move from `new`. Later moves may end in the same status, but none comes before.
pub(super) const CREATED: &str = "SELECT coalesce(\
     (SELECT min(seq) FROM audit_events WHERE request_id = ?1 AND to_status = 'pending'), \
     (SELECT min(seq) FROM audit_events WHERE request_id = ?1 AND to_status = 'auto_approved'), \
     (SELECT min(seq) FROM audit_events WHERE request_id = ?1 AND to_status = 'break_glass'))";

/// The event that approved a pending request: its first move to `approved`.
const APPROVED: &str =
    "SELECT min(seq) FROM audit_events WHERE request_id = ?1 AND to_status = 'approved'";

pub(super) fn stored_request(row: &Row) -> rusqlite::Result<StoredRequest> {
    use Column as C;
    Ok(StoredRequest {
        id: row.try_column(C::Id)?,
        requester: row.try_column(C::Requester)?,
        reason: row.try_column(C::Reason)?,
        risk_level: row.try_column(C::RiskLevel)?,
        database: row.try_column(C::Database)?,
        environment: row.try_column(C::Environment)?,
        operation: row.try_column(C::Operation)?,
        status: row.try_column(C::Status)?,
        audit_seq: row.try_column(C::AuditSeq)?,
        emergency: row.try_column(C::Emergency)?,
        allow_ddl: row.try_column(C::AllowDdl)?,
        no_result_store: row.try_column(C::NoResultStore)?,
        detail: row.try_column(C::Detail)?,
        plan_json: row.try_column(C::Plan)?,
        workflow_json: row.try_column(C::Workflow)?,
        facts_json: row.try_column(C::Facts)?,
        trace_json: row.try_column(C::Trace)?,
        metadata_json: row.try_column(C::Metadata)?,
        share_with_json: row.try_column(C::ShareWith)?,
        salt: row.try_column(C::Salt)?,
        context_json: row.try_column(C::Context)?,
        dialect: row.try_column(C::Dialect)?,
        max_affected_rows: row.try_column(C::BoundRows)?,
        row_bound_source: row.try_column(C::BoundSource)?,
        rehearsed_rows: row.try_column(C::RehearsedRows)?,
    })
}

pub(super) fn stored_vote(row: &Row) -> rusqlite::Result<StoredVote> {
    use VoteColumn as C;
    Ok(StoredVote {
        step_index: row.try_column(C::Step)?,
        action: row.try_column(C::Action)?,
        actor_id: row.try_column(C::Actor)?,
        token_id: row.try_column(C::Token)?,
        matched_selector: row.try_column(C::Selector)?,
        comment: row.try_column(C::Comment)?,
        issued_by_requester: row.try_column(C::IssuedByRequester)?,
        created_at_ms: row.try_column(C::CreatedAt)?,
        audit_seq: row.try_column(C::AuditSeq)?,
    })
}

impl StoredRequest {
    /// What is not what the event of its creation committed to: `texts` or `context`. An event from before there were
    /// commitments has none; the live state proved those texts at every start.
    pub(super) fn breaks_commitment(&self, metadata: &EventMetadata) -> Option<&'static str> {
        if self.breaks_texts(metadata) {
            return Some("texts");
        }
        self.breaks_context(metadata).then_some("context")
    }

    fn breaks_texts(&self, metadata: &EventMetadata) -> bool {
        let Some(detail) = &self.detail else {
            return true;
        };
        let request = CommittedRequest {
            requester: &self.requester,
            database: &self.database,
            environment: &self.environment,
            operation: &self.operation,
            detail,
            plan_json: self.plan_json.as_deref(),
            workflow_json: self.workflow_json.as_deref(),
            dialect: &self.dialect,
            emergency: self.emergency,
            allow_ddl: self.allow_ddl,
            no_result_store: self.no_result_store,
            row_bound: self.max_affected_rows.map(|rows| {
                let source = self.row_bound_source.as_deref();
                (rows.unsigned_abs(), source.unwrap_or_default())
            }),
        };
        metadata
            .text("commitment")
            .is_some_and(|c| c != request.hash(self.salt()))
    }

    /// The same for what goes along with it, among it with whom results are shared.
    pub(super) fn breaks_context(&self, metadata: &EventMetadata) -> bool {
        let (Some(facts), Some(trace), Some(share)) =
            (&self.facts_json, &self.trace_json, &self.share_with_json)
        else {
            return true;
        };
        let context = CommittedContext {
            facts_json: facts,
            trace_json: trace,
            metadata_json: self.metadata_json.as_deref(),
            share_with_json: share,
            context_json: self.context_json.as_deref(),
        };
        metadata
            .text("context_commitment")
            .is_some_and(|c| c != context.hash(self.salt()))
    }

    fn salt(&self) -> &[u8] {
        self.salt.as_deref().unwrap_or_default()
    }
}

/// Why a request is not proved.
#[derive(Debug)]
pub enum Unproven {
    /// What of it is not what the audit log says: `request`, `texts`, `context`, `status`, `rehearsal`, `executions`,
    /// `votes`, `expiry` or `dry_runs`.
    Differs(&'static str),
    /// It could not be read.
    Unreadable(Error),
}

impl Unproven {
    /// What a look at request `id` is answered, which can freeze nothing itself.
    pub fn error(self, id: &str) -> Error {
        match self {
            Unproven::Differs(_) => corrupt_error(id),
            Unproven::Unreadable(error) => error,
        }
    }
}

impl From<Error> for Unproven {
    fn from(error: Error) -> Unproven {
        Unproven::Unreadable(error)
    }
}

/// Nothing where it holds, and otherwise that `what` differs.
fn ensure(holds: bool, what: &'static str) -> Result<(), Unproven> {
    match holds {
        true => Ok(()),
        false => Err(Unproven::Differs(what)),
    }
}

impl View<'_> {
    /// Proves all of a request against the audit log.
    ///
    /// # Errors
    /// Why it is not proved.
    pub fn prove(&self, request: &Request) -> Result<(), Unproven> {
        let (stored, created) = self.prove_but_votes(request)?;
        ensure(self.ran_as_logged(request, &created)?, "executions")?;
        if EventMetadata::by(&created.event).text("to_status") != Some("pending") {
            return ensure(expires_as_logged(request, &created), "expiry");
        }
        let workflow = stored.workflow_json.as_deref();
        let approved = self
            .approval_by_votes(request, workflow)?
            .ok_or(Unproven::Differs("votes"))?;
        ensure(expires_as_logged(request, &approved), "expiry")
    }

    /// The same for a request that waits for approval, whose votes do not suffice yet.
    ///
    /// # Errors
    /// Why it is not proved.
    pub fn prove_pending(&self, request: &Request) -> Result<(), Unproven> {
        let (_, created) = self.prove_but_votes(request)?;
        let until = request.expires_at.map(|at| at.0);
        let expires = EventMetadata::by(&created.event).agrees_time("expires_at", until);
        ensure(expires, "expiry")?;
        ensure(self.votes_as_cast(request)?.is_some(), "votes")
    }

    /// Proves when a request expires that waits for approval, or to be run.
    ///
    /// # Errors
    /// Why it is not proved.
    pub fn prove_expiry(&self, request: &Request) -> Result<(), Unproven> {
        let created = self
            .first_event(CREATED, &request.id)?
            .ok_or(Unproven::Differs("request"))?;
        let made = EventMetadata::by(&created.event);
        if request.status() == Status::Pending {
            let until = request.expires_at.map(|at| at.0);
            return ensure(made.agrees_time("expires_at", until), "expiry");
        }
        let approved = match made.text("to_status") {
            Some("pending") => self.first_event(APPROVED, &request.id)?,
            _ => Some(created),
        };
        let holds = approved.is_some_and(|event| expires_as_logged(request, &event));
        ensure(holds, "expiry")
    }

    /// Proves of a request all that it was made with: who decides about it goes by what is shown of it.
    ///
    /// # Errors
    /// Why it is not proved: `request`, `texts` or `context` differs.
    pub fn prove_as_made(&self, request: &Request) -> Result<(), Unproven> {
        self.as_made(request).map(drop)
    }

    /// The same; returns it as stored, and the event of its creation.
    fn as_made(&self, request: &Request) -> Result<(StoredRequest, EventRow), Unproven> {
        let stored = self
            .connection
            .one(STORED, [request.seq], |row| Ok(stored_request(row)?))?;
        let created = self
            .first_event(CREATED, &request.id)?
            .ok_or(Unproven::Differs("request"))?;
        let event = &created.event;
        let metadata = EventMetadata::by(event);
        let same = event.request_id.as_deref() == Some(stored.id.as_str())
            && event.actor_id == stored.requester
            && event.operation.as_deref() == Some(stored.operation.as_str())
            && event.database_name.as_deref() == Some(stored.database.as_str())
            && event.environment.as_deref() == Some(stored.environment.as_str())
            && event.reason == stored.reason
            && metadata.agrees("risk_level", stored.risk_level.as_deref())
            && metadata.text("from_status") == Some("new");
        ensure(same, "request")?;
        match stored.breaks_commitment(&metadata) {
            Some(what) => Err(Unproven::Differs(what)),
            None => Ok((stored, created)),
        }
    }

    /// A request without its votes, as stored, and the event of its creation.
    fn prove_but_votes(&self, request: &Request) -> Result<(StoredRequest, EventRow), Unproven> {
        ensure(!self.was_frozen(&request.id)?, "request")?;
        let (stored, created) = self.as_made(request)?;
        let stands = self.stands_where_put(request, &stored) && self.stands_as_logged(&stored)?;
        ensure(stands, "status")?;
        let rehearses = stored
            .workflow_json
            .as_deref()
            .and_then(Workflow::from_text)
            .is_some_and(|w| w.rehearse != Rehearse::Off);
        if rehearses || stored.rehearsed_rows.is_some() {
            ensure(self.rehearsed_as_logged(request)?, "rehearsal")?;
        }
        Ok((stored, created))
    }

    /// Whether this process put the request where it stands. Of one that has ended it does not remember that, and nothing
    /// is signed for it.
    fn stands_where_put(&self, request: &Request, stored: &StoredRequest) -> bool {
        let place = RequestPlace {
            audit_seq: stored.audit_seq,
            corrupt_seq: None,
        };
        !request.status().is_open() || self.store.live.place(request.seq) == Some(place)
    }

    /// Whether the request stands where its moves lead, each from where the one before ended: one that somebody put back
    /// to an earlier place does not, nor does one that was moved on from there.
    fn stands_as_logged(&self, stored: &StoredRequest) -> Result<bool, Error> {
        let (mut at, mut last) = ("new".to_owned(), 0);
        for seq in self.connection.list(MOVES, [&stored.id], first)? {
            let Some(row) = self.proved_event(seq)? else {
                return Ok(false);
            };
            let moved = EventMetadata::by(&row.event);
            let of_it = row.event.request_id.as_deref() == Some(stored.id.as_str());
            let Some(to) = moved.text("to_status") else {
                return Ok(false);
            };
            if !of_it || moved.text("from_status") != Some(&at) {
                return Ok(false);
            }
            (at, last) = (to.to_owned(), seq);
        }
        Ok(at == stored.status && last == stored.audit_seq)
    }

    /// Whether the log says that the request was found to be corrupt, whatever its row says.
    fn was_frozen(&self, request_id: &str) -> Result<bool, Error> {
        self.connection.one(
            "SELECT EXISTS (SELECT 1 FROM audit_events WHERE request_id = ?1 AND event_type = 'request.corrupt')",
            [request_id],
            first,
        )
    }

    /// The event of the approval, where the stored votes are those that were cast, each one once, and approve the request.
    fn approval_by_votes(
        &self,
        request: &Request,
        workflow_json: Option<&str>,
    ) -> Result<Option<EventRow>, Error> {
        let Some(workflow) = workflow_json.and_then(Workflow::from_text) else {
            return Ok(None);
        };
        let Some(approved) = self.first_event(APPROVED, &request.id)? else {
            return Ok(None);
        };
        let Some(votes) = self.votes_as_cast(request)? else {
            return Ok(None);
        };
        let count = votes
            .iter()
            .filter(|v| v.action == VoteAction::Approve)
            .count();
        let steps = u32::try_from(workflow.steps.len()).unwrap_or(u32::MAX);
        let approves = EventMetadata::by(&approved.event).agrees("votes", count)
            && current_step(&workflow, &votes) >= steps;
        Ok(approves.then_some(approved))
    }

    /// The stored votes, where each is one that was cast, and stands there once.
    fn votes_as_cast(&self, request: &Request) -> Result<Option<Vec<Vote>>, Error> {
        let stored = self
            .connection
            .list(VOTES, [request.seq], |row| Ok(stored_vote(row)?))?;
        let (mut votes, mut cast) = (Vec::new(), BTreeSet::new());
        for vote in &stored {
            let proved = self
                .proved_event(vote.audit_seq)?
                .is_some_and(|row| vote.differing(&request.id, &row.event, row.at).is_empty());
            let Some(vote_read) = read_vote(vote).filter(|_| proved && cast.insert(vote.audit_seq))
            else {
                return Ok(None);
            };
            votes.push(vote_read);
        }
        Ok(Some(votes))
    }

    /// The event that a statement finds for a request, if the chain holds there.
    pub(super) fn first_event(
        &self,
        sql: &str,
        request_id: &str,
    ) -> Result<Option<EventRow>, Error> {
        let seq: Option<i64> = self.connection.one(sql, [request_id], first)?;
        match seq {
            Some(seq) => self.proved_event(seq),
            None => Ok(None),
        }
    }
}

/// Whether the approval ends when the event that gave it says.
fn expires_as_logged(request: &Request, approved: &EventRow) -> bool {
    let until = request.approval_expires_at.map(|at| at.0);
    EventMetadata::by(&approved.event).agrees_time("approval_expires_at", until)
}

fn read_vote(vote: &StoredVote) -> Option<Vote> {
    Some(Vote {
        actor: vote.actor_id.clone(),
        action: VoteAction::parse(&vote.action)?,
        selector: vote.matched_selector.clone(),
        step: u32::try_from(vote.step_index).ok()?,
        comment: vote.comment.clone(),
        issued_by_requester: vote.issued_by_requester,
        // It did when it was cast, or the approval would not have come; who is suspended since then changes nothing.
        counts: true,
        at: Timestamp(vote.created_at_ms),
    })
}
