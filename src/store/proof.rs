//! Proves one request against the audit log, before something is signed for it: that its texts are those it was made
//! with, that its votes are those that were cast and approve it, and that it stands where its event put it. Each event
//! is a look-up of its own, so the cost does not grow with the log.

use super::audit::EventRow;
use super::{View, db};
use crate::clock::Timestamp;
use crate::domain::accounts::{EventMetadata, StoredVote};
use crate::domain::approval::{Vote, VoteAction, current_step};
use crate::domain::commitment::{CommittedContext, CommittedRequest};
use crate::domain::policy::workflow::{Rehearse, Workflow};
use crate::domain::request::Request;
use crate::error::Error;
use rusqlite::Row;
use std::collections::BTreeSet;

/// A request and its texts, as stored.
pub(super) struct StoredRequest {
    pub id: String,
    requester: String,
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

/// Columns of a request in the order of [`stored_request`], and where they are read from.
pub(super) const STORED: &str = "r.id, r.requester, r.database_name, r.environment, r.operation, r.status, \
     r.audit_seq, r.emergency, r.allow_ddl, r.no_result_store, t.detail, t.plan_json, t.workflow_json, t.facts_json, \
     t.trace_json, t.metadata_json, t.share_with_json, t.salt, c.context_json, r.dialect, \
     r.max_affected_rows, r.row_bound_source, r.rehearsed_rows FROM requests r \
     LEFT JOIN request_texts t ON t.request_seq = r.seq LEFT JOIN request_contexts c ON c.request_seq = r.seq";

/// The first event of a request: the move from `new`. Later moves may end in the same status, but none comes before.
const CREATED: &str = "SELECT coalesce(\
     (SELECT min(seq) FROM audit_events WHERE request_id = ?1 AND to_status = 'pending'), \
     (SELECT min(seq) FROM audit_events WHERE request_id = ?1 AND to_status = 'auto_approved'), \
     (SELECT min(seq) FROM audit_events WHERE request_id = ?1 AND to_status = 'break_glass'))";

/// The event that approved a pending request: its first move to `approved`.
const APPROVED: &str =
    "SELECT min(seq) FROM audit_events WHERE request_id = ?1 AND to_status = 'approved'";

/// The votes of a request, oldest first.
pub(super) const VOTES: &str = "SELECT step_index, action, actor_id, token_id, matched_selector, comment, \
     issued_by_requester, created_at_ms, audit_seq FROM approvals WHERE request_seq = ?1 ORDER BY id";

pub(super) fn stored_request(row: &Row) -> rusqlite::Result<StoredRequest> {
    Ok(StoredRequest {
        id: row.get(0)?,
        requester: row.get(1)?,
        database: row.get(2)?,
        environment: row.get(3)?,
        operation: row.get(4)?,
        status: row.get(5)?,
        audit_seq: row.get(6)?,
        emergency: row.get(7)?,
        allow_ddl: row.get(8)?,
        no_result_store: row.get(9)?,
        detail: row.get(10)?,
        plan_json: row.get(11)?,
        workflow_json: row.get(12)?,
        facts_json: row.get(13)?,
        trace_json: row.get(14)?,
        metadata_json: row.get(15)?,
        share_with_json: row.get(16)?,
        salt: row.get(17)?,
        context_json: row.get(18)?,
        dialect: row.get(19)?,
        max_affected_rows: row.get(20)?,
        row_bound_source: row.get(21)?,
        rehearsed_rows: row.get(22)?,
    })
}

pub(super) fn stored_vote(row: &Row) -> rusqlite::Result<StoredVote> {
    Ok(StoredVote {
        step_index: row.get(0)?,
        action: row.get(1)?,
        actor_id: row.get(2)?,
        token_id: row.get(3)?,
        matched_selector: row.get(4)?,
        comment: row.get(5)?,
        issued_by_requester: row.get(6)?,
        created_at_ms: row.get(7)?,
        audit_seq: row.get(8)?,
    })
}

impl StoredRequest {
    /// What is not what the event of its creation committed to: `texts` or `context`. An event from before there were
    /// commitments has none; the live state proved those texts at every start.
    pub(super) fn breaks_commitment(&self, metadata: &EventMetadata) -> Option<&'static str> {
        let (Some(detail), Some(facts), Some(trace), Some(share)) = (
            &self.detail,
            &self.facts_json,
            &self.trace_json,
            &self.share_with_json,
        ) else {
            return Some("texts");
        };
        let salt = self.salt.as_deref().unwrap_or_default();
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
        if metadata
            .text("commitment")
            .is_some_and(|c| c != request.hash(salt))
        {
            return Some("texts");
        }
        let context = CommittedContext {
            facts_json: facts,
            trace_json: trace,
            metadata_json: self.metadata_json.as_deref(),
            share_with_json: share,
            context_json: self.context_json.as_deref(),
        };
        let differs = |c: &str| c != context.hash(salt);
        metadata
            .text("context_commitment")
            .is_some_and(differs)
            .then_some("context")
    }
}

impl View<'_> {
    /// What of a request is not what the audit log says of it: `request`, `texts`, `context`, `status`, `rehearsal` or `votes`; none
    /// where all of it is proved.
    pub fn unproven(&self, request: &Request) -> Result<Option<&'static str>, Error> {
        let (stored, created) = match self.proved_but_votes(request)? {
            Ok(proved) => proved,
            Err(what) => return Ok(Some(what)),
        };
        let approved = EventMetadata::by(&created.event).text("to_status") != Some("pending")
            || self.approved_by_votes(request, stored.workflow_json.as_deref())?;
        Ok((!approved).then_some("votes"))
    }

    /// The same for a request that waits for approval, whose votes decide nothing yet.
    pub fn unproven_pending(&self, request: &Request) -> Result<Option<&'static str>, Error> {
        Ok(self.proved_but_votes(request)?.err())
    }

    /// The request as stored and the event of its creation, or what of all but its votes is not proved.
    fn proved_but_votes(
        &self,
        request: &Request,
    ) -> Result<Result<(StoredRequest, EventRow), &'static str>, Error> {
        let stored = self
            .connection
            .prepare_cached(&format!("SELECT {STORED} WHERE r.id = ?1"))
            .and_then(|mut s| s.query_row([&request.id], stored_request))
            .map_err(db)?;
        if self.was_frozen(&request.id)? {
            return Ok(Err("request"));
        }
        let Some(created) = self.first_event(CREATED, &request.id)? else {
            return Ok(Err("request"));
        };
        let event = &created.event;
        let metadata = EventMetadata::by(event);
        let same = event.request_id.as_deref() == Some(stored.id.as_str())
            && event.actor_id == stored.requester
            && event.operation.as_deref() == Some(stored.operation.as_str())
            && event.database_name.as_deref() == Some(stored.database.as_str())
            && event.environment.as_deref() == Some(stored.environment.as_str())
            && metadata.text("from_status") == Some("new");
        if !same {
            return Ok(Err("request"));
        }
        if let Some(what) = stored.breaks_commitment(&metadata) {
            return Ok(Err(what));
        }
        let stands = self.proved_event(stored.audit_seq)?.is_some_and(|row| {
            row.event.request_id.as_deref() == Some(stored.id.as_str())
                && EventMetadata::by(&row.event).text("to_status") == Some(stored.status.as_str())
        });
        if !stands {
            return Ok(Err("status"));
        }
        let rehearses = stored
            .workflow_json
            .as_deref()
            .and_then(Workflow::from_text)
            .is_some_and(|w| w.rehearse != Rehearse::Off);
        if (rehearses || stored.rehearsed_rows.is_some()) && !self.rehearsed_as_logged(request)? {
            return Ok(Err("rehearsal"));
        }
        Ok(Ok((stored, created)))
    }

    /// Whether the log says that the request was found to be corrupt, whatever its row says.
    fn was_frozen(&self, request_id: &str) -> Result<bool, Error> {
        self.connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM audit_events WHERE request_id = ?1 AND event_type = 'request.corrupt')",
            )
            .and_then(|mut s| s.query_row([request_id], |r| r.get(0)))
            .map_err(db)
    }

    /// Whether the stored votes are those that were cast, each one once, and approve the request.
    fn approved_by_votes(
        &self,
        request: &Request,
        workflow_json: Option<&str>,
    ) -> Result<bool, Error> {
        let Some(workflow) = workflow_json.and_then(Workflow::from_text) else {
            return Ok(false);
        };
        let Some(approved) = self.first_event(APPROVED, &request.id)? else {
            return Ok(false);
        };
        let stored: Vec<StoredVote> = self
            .connection
            .prepare_cached(VOTES)
            .and_then(|mut s| s.query_map([request.seq], stored_vote)?.collect())
            .map_err(db)?;
        let (mut votes, mut cast) = (Vec::new(), BTreeSet::new());
        for vote in &stored {
            let proved = self
                .proved_event(vote.audit_seq)?
                .is_some_and(|row| vote.differing(&request.id, &row.event, row.at).is_empty());
            let Some(vote_read) = read_vote(vote).filter(|_| proved && cast.insert(vote.audit_seq))
            else {
                return Ok(false);
            };
            votes.push(vote_read);
        }
        let count = votes
            .iter()
            .filter(|v| v.action == VoteAction::Approve)
            .count();
        let steps = u32::try_from(workflow.steps.len()).unwrap_or(u32::MAX);
        Ok(EventMetadata::by(&approved.event).agrees("votes", count)
            && current_step(&workflow, &votes) >= steps)
    }

    /// The event that a statement finds for a request, if the chain holds there.
    fn first_event(&self, sql: &str, request_id: &str) -> Result<Option<EventRow>, Error> {
        let seq: Option<i64> = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut s| s.query_row([request_id], |r| r.get(0)))
            .map_err(db)?;
        match seq {
            Some(seq) => self.proved_event(seq),
            None => Ok(None),
        }
    }
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
