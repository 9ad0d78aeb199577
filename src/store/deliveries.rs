//! The outbox as delivery works on it: what is due, claims of it, and how attempts ended. All of it is bookkeeping.
//!
//! A row that is claimed is `in_progress` until its attempt has ended. A crash leaves it so; the next start makes it due
//! at once, so that every notification is attempted at least once.

use super::query::{RunStatement, first};
use super::row_columns::{ReadColumn, columns};
use super::{Store, View};
use crate::clock::Timestamp;
use crate::error::Error;
use rusqlite::{Connection, Row, params};
use std::collections::{BTreeMap, BTreeSet};

/// Rows that one transaction corrects; more take several, so that nobody waits for all of them.
const CORRECTED_AT_ONCE: u32 = 500;

/// A channel with notifications that wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueChannel {
    pub channel: String,
    /// When the first of them is due.
    pub due_at: Timestamp,
}

/// A notification that is claimed for an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueDelivery {
    pub seq: i64,
    pub id: String,
    /// Id of a webhook, or another channel.
    pub channel: String,
    /// The person it is for, where the channel reaches many.
    pub recipient: Option<String>,
    pub event_type: String,
    /// The event of the audit log that accounts for it.
    pub audit_seq: i64,
    /// Failed attempts so far.
    pub attempts: u32,
    pub payload_json: String,
    /// The statement of its request as audit events show it, where the event is of a new one; no more of it than
    /// somebody needs to see that it is longer than notifications show.
    pub statement: Option<String>,
    /// The risk of its request.
    pub risk_level: Option<String>,
    /// The step of its request that waits for approval, from 1; none where none does.
    pub waiting_step: Option<u32>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryEnd {
    /// With an account of who has it, where some have not.
    Delivered(Option<String>),
    /// It failed for this reason, and the next attempt is then.
    RetryAt(Timestamp, String),
    /// It is given up for this reason.
    Dead(String),
    /// Nobody is to receive it any more.
    Cancelled(&'static str),
    /// There was no attempt; it is due at once.
    Returned,
}

columns! {
    enum Column of "outbox" from "outbox o LEFT JOIN requests r ON r.seq = o.request_seq \
        LEFT JOIN request_texts t ON t.request_seq = o.request_seq" {
        Id = "o.delivery_id",
        Seq = "o.seq",
        Channel = "o.channel",
        Recipient = "o.recipient",
        EventType = "o.event_type",
        AuditSeq = "o.audit_seq",
        Attempts = "o.attempts",
        Payload = "o.payload_json",
        Statement = "CASE WHEN o.event_type = 'request.created' OR o.event_type = 'request.auto_approved' \
            OR o.event_type = 'request.break_glass' OR o.event_type = 'request.reminded' \
            OR o.event_type = 'request.escalated' THEN substr(t.redacted, 1, 16385) END",
        RiskLevel = "r.risk_level",
        WaitingStep = "CASE WHEN r.status = 'pending' THEN r.current_step + 1 END",
    }
    CLAIMED = "WHERE o.channel = ?1 AND o.status = 'in_progress' ORDER BY o.seq";
}

impl View<'_> {
    /// Channels with notifications that wait, and when their first is due.
    pub fn due_channels(&self) -> Result<Vec<DueChannel>, Error> {
        let waiting: Vec<String> = self.connection.list(
            "SELECT channel FROM outbox_counts WHERE status = 'pending' AND n > 0",
            [],
            first,
        )?;
        let mut due = Vec::with_capacity(waiting.len());
        for channel in waiting {
            let due_at: Option<Timestamp> = self
                .connection
                .find("SELECT o.next_attempt_ms FROM outbox o WHERE o.channel = ?1 AND o.next_attempt_ms IS NOT NULL \
                     AND o.status = 'pending' AND NOT EXISTS (SELECT 1 FROM outbox p WHERE p.request_seq = o.request_seq \
                     AND p.seq < o.seq AND p.channel = o.channel AND p.recipient IS o.recipient AND p.status = 'pending' \
                     AND p.attempts > 0) ORDER BY o.next_attempt_ms LIMIT 1", [&channel], first)?;
            due.extend(due_at.map(|due_at| DueChannel { channel, due_at }));
        }
        Ok(due)
    }

    /// Whom other notifications of the same event, by the same channel, are for.
    pub fn recipients_besides(&self, seq: i64) -> Result<BTreeSet<String>, Error> {
        let others: Vec<String> = self.connection.list(
            "SELECT o.recipient FROM outbox own JOIN outbox o ON o.request_seq = own.request_seq \
             WHERE own.seq = ?1 AND o.seq <> own.seq AND o.audit_seq = own.audit_seq \
             AND o.event_type = own.event_type AND o.channel = own.channel AND o.recipient IS NOT NULL",
            [seq],
            first,
        )?;
        Ok(others.into_iter().collect())
    }
}

impl Store {
    /// Claims up to `limit` notifications of each of these channels that are due, oldest first, but for the `urged` ones
    /// (by their ids), which come before all others. One waits while an earlier one of its request, for the same receiver,
    /// waits for a further attempt. A channel without any has an empty list.
    ///
    /// # Errors
    /// When the store cannot write.
    pub fn claim_deliveries(
        &self,
        channels: Vec<String>,
        urged: BTreeMap<String, BTreeSet<String>>,
        limit: u32,
    ) -> Result<Vec<(String, Vec<DueDelivery>)>, Error> {
        let now = self.now();
        self.bookkeep(move |connection| {
            channels
                .into_iter()
                .map(|channel| {
                    let rows = claim(connection, &channel, urged.get(&channel), now, limit)?;
                    Ok((channel, rows))
                })
                .collect()
        })
    }

    /// Writes how attempts ended.
    ///
    /// # Errors
    /// When the store cannot write.
    pub fn end_deliveries(&self, ended: Vec<(i64, DeliveryEnd)>) -> Result<(), Error> {
        let now = self.now();
        self.bookkeep(move |connection| {
            for (seq, end) in &ended {
                write_end(connection, *seq, end, now)?;
            }
            Ok(())
        })
    }

    /// Makes claimed notifications due at once: those of one channel, or all where a start finds what a crash left, or
    /// what somebody made of the status of what is due.
    ///
    /// # Errors
    /// When the store cannot write.
    pub fn return_deliveries(&self, channel: Option<String>) -> Result<usize, Error> {
        let now = self.now().0;
        self.bookkeep(move |connection| match channel {
            Some(channel) => connection.run(
                "UPDATE outbox SET status = 'pending', next_attempt_ms = ?1, updated_at_ms = ?1 \
                     WHERE channel = ?2 AND status = 'in_progress'",
                params![now, channel],
            ),
            None => connection.run(
                "UPDATE outbox SET status = 'pending', next_attempt_ms = ?1, updated_at_ms = ?1 \
                     WHERE next_attempt_ms IS NOT NULL AND status <> 'pending'",
                [now],
            ),
        })
    }

    /// Makes notifications due now whose next attempt is further away than any pause, since the clock was set back: those
    /// that were tried and wait more than `retry_ms_max`, and those that were due at once. What is planned keeps its time.
    /// Returns how many, at most as many as one transaction takes.
    ///
    /// # Errors
    /// When the store cannot write.
    pub fn correct_due_times(&self, retry_ms_max: u64) -> Result<usize, Error> {
        let now = self.now();
        self.bookkeep(move |connection| {
            connection.run(
                "UPDATE outbox SET next_attempt_ms = ?1 WHERE seq IN (SELECT seq FROM outbox WHERE status = 'pending' \
                 AND next_attempt_ms > ?1 AND ((attempts > 0 AND next_attempt_ms > ?2) OR (attempts = 0 \
                 AND event_type <> 'request.reminded' AND event_type <> 'request.escalated')) ORDER BY seq LIMIT ?3)",
                params![now.0, now.plus_ms(retry_ms_max).0, CORRECTED_AT_ONCE],
            )
        })
    }

    /// Makes notifications of a channel that wait for a further attempt due at once: what made them wait is over. One that
    /// was never attempted waits for its own time, as reminders do.
    ///
    /// # Errors
    /// When the store cannot write.
    pub fn hurry_deliveries(&self, channel: String, limit: u32) -> Result<usize, Error> {
        let now = self.now().0;
        self.bookkeep(move |connection| {
            connection
                .run("UPDATE outbox SET next_attempt_ms = ?1 WHERE seq IN \
                     (SELECT seq FROM outbox WHERE channel = ?2 AND next_attempt_ms > ?1 AND status = 'pending' \
                     AND attempts > 0 ORDER BY next_attempt_ms LIMIT ?3)", params![now, channel, limit])
        })
    }
}

fn claim(
    connection: &Connection,
    channel: &str,
    urged: Option<&BTreeSet<String>>,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<DueDelivery>, Error> {
    for id in urged.into_iter().flatten() {
        connection.run(
            "UPDATE outbox SET status = 'in_progress', next_attempt_ms = ?2, updated_at_ms = ?2 \
             WHERE delivery_id = ?1 AND channel = ?3 AND status = 'pending'",
            params![id, now.0, channel],
        )?;
    }
    // By the index that has them in order: of thousands that are due, only the first are read.
    connection
        .run("UPDATE outbox SET status = 'in_progress', next_attempt_ms = ?2, updated_at_ms = ?2 WHERE seq IN \
             (SELECT o.seq FROM outbox o INDEXED BY outbox__channel_status WHERE o.channel = ?1 AND o.status = 'pending' \
             AND o.next_attempt_ms <= ?2 AND NOT EXISTS (SELECT 1 FROM outbox p WHERE p.request_seq = o.request_seq \
             AND p.seq < o.seq AND p.channel = o.channel AND p.recipient IS o.recipient AND p.status = 'pending' \
             AND p.attempts > 0 AND p.next_attempt_ms > ?2) ORDER BY o.seq LIMIT ?3)", params![channel, now.0, limit])?;
    use Column as C;
    let read = |r: &Row<'_>| -> Result<DueDelivery, Error> {
        Ok(DueDelivery {
            seq: r.column(C::Seq)?,
            id: r.column(C::Id)?,
            channel: r.column(C::Channel)?,
            recipient: r.column(C::Recipient)?,
            event_type: r.column(C::EventType)?,
            audit_seq: r.column(C::AuditSeq)?,
            attempts: r.column(C::Attempts)?,
            payload_json: r.column(C::Payload)?,
            statement: r.column(C::Statement)?,
            risk_level: r.column(C::RiskLevel)?,
            waiting_step: r.column(C::WaitingStep)?,
        })
    };
    let claimed = connection.list(CLAIMED, [channel], |r| {
        let seq: i64 = r.column(C::Seq)?;
        Ok(read(r).map_err(|error| (seq, error)))
    })?;
    let mut due = Vec::with_capacity(claimed.len());
    for row in claimed {
        match row {
            Ok(delivery) => due.push(delivery),
            Err((seq, error)) => {
                log::error!("a notification that is given up: {error}");
                let end = DeliveryEnd::Dead("its row cannot be read".to_owned());
                write_end(connection, seq, &end, now)?;
            }
        }
    }
    due.sort_by_key(|row| !urged.is_some_and(|urged| urged.contains(&row.id)));
    Ok(due)
}

fn write_end(
    connection: &Connection,
    seq: i64,
    end: &DeliveryEnd,
    now: Timestamp,
) -> Result<(), Error> {
    let (status, attempts, next, error) = match end {
        DeliveryEnd::Delivered(account) => ("delivered", 1, None, account.as_deref()),
        DeliveryEnd::RetryAt(at, why) => ("pending", 1, Some(at.0), Some(why.as_str())),
        DeliveryEnd::Dead(why) => ("dead", 1, None, Some(why.as_str())),
        DeliveryEnd::Cancelled(why) => ("cancelled", 0, None, Some(*why)),
        DeliveryEnd::Returned => ("pending", 0, Some(now.0), None),
    };
    connection
        .run("UPDATE outbox SET status = ?2, attempts = attempts + ?3, next_attempt_ms = ?4, \
             last_error = coalesce(?5, last_error), updated_at_ms = ?6 WHERE seq = ?1 AND status = 'in_progress'", params![seq, status, attempts, next, error, now.0])?;
    Ok(())
}
