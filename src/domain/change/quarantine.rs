//! What a start does about live rows that are not those of the signed head, where it is started all the same: requests
//! are frozen, tokens revoked, people suspended, and the rest is removed.

use super::entry::about;
use crate::domain::audit::{AuditEntry, EventOutcome};
use serde_json::Value;
use std::collections::BTreeSet;

/// Ids of each kind that the summary names; every one has its own event.
const NAMED_MAX: usize = 100;

/// One step of a quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quarantined {
    /// Nothing comes of the request any more. Its row may be missing.
    Request {
        id: String,
        /// Tables and columns that differ, or why it counts as one of those that may.
        differs: String,
    },
    /// The token is revoked, or its row is missing.
    Token {
        id: String,
        differs: String,
        missing: bool,
    },
    /// The person is suspended, without a Slack account, or the row is missing.
    Person {
        id: String,
        differs: String,
        missing: bool,
    },
    /// All of it, and rows that are given up because nobody can tell which of them differ.
    State(QuarantineSummary),
}

/// What a quarantine found and did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuarantineSummary {
    /// Tables whose rows are not those of the signed head.
    pub tables: Vec<String>,
    pub requests: Vec<String>,
    pub tokens: Vec<String>,
    pub people: Vec<String>,
    /// Tables whose rows are all removed, or cancelled.
    pub given_up: BTreeSet<&'static str>,
}

impl Quarantined {
    /// What the audit log says of it.
    pub(super) fn entry(&self) -> AuditEntry {
        let (mut e, differs, missing) = match self {
            Quarantined::Request { id, differs } => {
                let mut e = about("request.corrupt", "request", "request", id);
                e.request_id = Some(id.clone());
                e.outcome = EventOutcome::Failure;
                e.metadata.insert("differs".into(), differs.clone().into());
                return e;
            }
            Quarantined::Token {
                id,
                differs,
                missing,
            } => (
                about("token.revoked", "token", "token", id),
                differs,
                *missing,
            ),
            Quarantined::Person {
                id,
                differs,
                missing,
            } => (
                about("user.disabled", "identity", "user", id),
                differs,
                *missing,
            ),
            Quarantined::State(summary) => return summary.entry(),
        };
        e.outcome = EventOutcome::Failure;
        e.metadata.insert("quarantined".into(), true.into());
        e.metadata.insert("differs".into(), differs.clone().into());
        if missing {
            e.metadata.insert("missing".into(), true.into());
        }
        e
    }
}

impl QuarantineSummary {
    fn entry(&self) -> AuditEntry {
        let mut e = AuditEntry::new("state.quarantined", "policy", EventOutcome::Failure);
        let m = &mut e.metadata;
        m.insert("tables".into(), self.tables.clone().into());
        for (kind, ids) in [
            ("requests", &self.requests),
            ("tokens", &self.tokens),
            ("users", &self.people),
        ] {
            let named = ids.iter().take(NAMED_MAX).cloned().collect::<Value>();
            m.insert(format!("{kind}_count"), ids.len().into());
            m.insert(kind.into(), named);
        }
        m.insert("given_up".into(), self.given_up.iter().copied().collect());
        e
    }
}
