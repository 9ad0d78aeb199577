//! What waits for a transaction: a decision with its changes, or a write of bookkeeping columns.

use super::reply_slot::ReplySlot;
use super::{Store, Verdict, View, apply};
use crate::clock::Timestamp;
use crate::domain::actor::Actor;
use crate::domain::change::{Change, ConfigurationChange};
use crate::domain::policy::notification::Routes;
use crate::error::Error;
use rusqlite::Connection;
use std::sync::Arc;

pub(super) trait WriteJob: Send {
    /// Decides and applies inside the transaction; keeps its answer to itself.
    fn run(
        &mut self,
        store: &Store,
        connection: &Connection,
        now: Timestamp,
        routes: &Routes,
    ) -> Result<(), Error>;
    /// Takes back what `run` answered: the transaction did not hold.
    fn undo(&mut self, error: Error);
    /// What was written, once it is durable.
    fn changes(&self) -> &[Change];
    /// Whether rows were written, audited or not.
    fn wrote(&self) -> bool;
    /// Takes what was written out of it.
    fn take_changes(&mut self) -> Vec<Change>;
    /// Gives the answer to the caller that waits.
    fn settle(&mut self);
}

pub(super) struct Write<T, F> {
    pub(super) actor: Actor,
    pub(super) decide: Option<F>,
    pub(super) changes: Vec<Change>,
    pub(super) answer: Option<Result<T, Error>>,
    pub(super) slot: Arc<ReplySlot<T>>,
}

impl<T, F> WriteJob for Write<T, F>
where
    T: Send,
    F: FnOnce(&View, Timestamp) -> Result<Verdict<T>, Error> + Send,
{
    fn run(
        &mut self,
        store: &Store,
        connection: &Connection,
        now: Timestamp,
        routes: &Routes,
    ) -> Result<(), Error> {
        let view = View {
            connection,
            bookkeeping: &store.bookkeeping,
            store,
        };
        view.actor_counts(&self.actor, now)?;
        let decide = self
            .decide
            .take()
            .ok_or_else(|| Error::bug("a write ran twice"))?;
        let (changes, answer) = match decide(&view, now)? {
            Verdict::Same(value) => (Vec::new(), Ok(value)),
            Verdict::Write(changes, value) => (changes, Ok(value)),
            Verdict::Refuse(change, error) => (vec![change], Err(error)),
        };
        let mut routes = routes;
        for change in &changes {
            // From here on, in this very transaction, what the new configuration says.
            if let Change::Configuration(ConfigurationChange::ConfigSynced {
                routes: new, ..
            }) = change
            {
                routes = new;
            }
            apply::apply(
                connection,
                &store.audit_keys,
                &self.actor,
                now,
                change,
                routes,
            )?;
        }
        self.changes = changes;
        self.answer = Some(answer);
        Ok(())
    }

    fn undo(&mut self, error: Error) {
        self.changes.clear();
        self.answer = Some(Err(error));
    }

    fn changes(&self) -> &[Change] {
        &self.changes
    }

    fn wrote(&self) -> bool {
        !self.changes.is_empty()
    }

    fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    fn settle(&mut self) {
        self.slot.give(self.answer.take());
    }
}

/// An unaudited write of bookkeeping columns.
pub(super) struct Bookkeep<T, F> {
    pub(super) write: Option<F>,
    pub(super) answer: Option<Result<T, Error>>,
    pub(super) slot: Arc<ReplySlot<T>>,
}

impl<T, F> WriteJob for Bookkeep<T, F>
where
    T: Send,
    F: FnOnce(&Connection, &Routes) -> Result<T, Error> + Send,
{
    fn run(
        &mut self,
        _: &Store,
        connection: &Connection,
        _: Timestamp,
        routes: &Routes,
    ) -> Result<(), Error> {
        let write = self
            .write
            .take()
            .ok_or_else(|| Error::bug("a write ran twice"))?;
        self.answer = Some(Ok(write(connection, routes)?));
        Ok(())
    }

    fn undo(&mut self, error: Error) {
        self.answer = Some(Err(error));
    }

    fn changes(&self) -> &[Change] {
        &[]
    }

    fn wrote(&self) -> bool {
        matches!(self.answer, Some(Ok(_)))
    }

    fn take_changes(&mut self) -> Vec<Change> {
        Vec::new()
    }

    fn settle(&mut self) {
        self.slot.give(self.answer.take());
    }
}
