//! The only writer of audited tables: turns each [`Change`] into its audit event and its rows.
//!
//! No match has a wildcard: neither that of the groups here, nor that of each group in its file. Every row names the
//! event that accounts for it, and the schema compares the two.

pub(super) mod checkpoints;
mod configuration;
mod deliveries;
mod executions;
mod identities;
mod logged;
mod outbox;
mod quarantine;
mod rehearsals;
mod requests;

use super::AuditKeys;
use super::audit::{append, checkpoint_if_due};
use super::query::RunStatement;
use crate::clock::Timestamp;
use crate::domain::actor::Actor;
use crate::domain::change::Change;
use crate::domain::policy::notification::Routes;
use crate::error::Error;
use rusqlite::Connection;

/// What every writer here needs to know.
struct Context<'a> {
    connection: &'a Connection,
    actor: &'a Actor,
    now: Timestamp,
    audit_seq: i64,
}

impl Context<'_> {
    /// Runs a statement that must touch exactly one row; anything else is our bug and undoes the change.
    fn one(&self, sql: &str, values: impl rusqlite::Params) -> Result<(), Error> {
        match self.any(sql, values)? {
            1 => Ok(()),
            n => Err(Error::bug(format!("{n} rows changed by: {sql}"))),
        }
    }

    fn any(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, Error> {
        self.connection.run(sql, values)
    }
}

/// Writes one change: its audit event, then its rows, then whom `routes` tell of it, then a checkpoint if one is due.
pub(super) fn apply(
    connection: &Connection,
    keys: &AuditKeys,
    actor: &Actor,
    now: Timestamp,
    change: &Change,
    routes: &Routes,
) -> Result<(), Error> {
    let entry = change.entry();
    let event = entry.event_type;
    let audit_seq = append(connection, actor, now, entry)?;
    let cx = Context {
        connection,
        actor,
        now,
        audit_seq,
    };
    match change {
        Change::Request(change) => {
            requests::apply(&cx, change)?;
            outbox::announced(&cx, event, change, routes)?;
        }
        Change::Identity(change) => identities::apply(&cx, change, routes)?,
        Change::Configuration(change) => configuration::apply(&cx, change)?,
        Change::Delivery(change) => deliveries::apply(&cx, change)?,
        Change::Log(change) => logged::apply(&cx, keys, change)?,
    }
    checkpoint_if_due(connection, keys, now, routes)
}
