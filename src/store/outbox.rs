//! Notifications and how their delivery goes. The rows are written with the change they report (see `apply`); what
//! happens to them afterwards is bookkeeping, and not audited.

use super::query::{RunStatement, first, tuple};
use super::row_columns::{ReadColumn, columns};
use super::unreadable::is_unreadable;
use super::{Store, View};
use crate::clock::Timestamp;
use crate::domain::policy::notification::{PENDING_MS_MAX, UNTRIED_MS_MAX};
use crate::error::Error;
use rusqlite::{named_params, params};

/// Rows that one transaction gives up or cancels; more take several, so that nobody waits for all of them.
const ROWS_AT_ONCE: u32 = 500;

pub const DELIVERY_STATUSES: [&str; 5] =
    ["pending", "in_progress", "delivered", "cancelled", "dead"];

/// A notification for one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    pub seq: i64,
    /// `wd-` and a UUID; receivers tell repeats by it.
    pub id: String,
    pub webhook_id: String,
    /// Type of the audit event it reports.
    pub event_type: String,
    /// The person it is for, where its channel reaches many.
    pub recipient: Option<String>,
    /// The request it is about.
    pub request_id: Option<String>,
    /// One of [`DELIVERY_STATUSES`].
    pub status: String,
    /// Times it was tried.
    pub attempts: u32,
    /// When it is tried next; none where it has ended.
    pub next_attempt_at: Option<Timestamp>,
    /// Why the last try failed, or why it was given up.
    pub last_error: Option<String>,
    /// When what it reports happened.
    pub created_at: Timestamp,
    /// When its status last changed.
    pub updated_at: Timestamp,
    /// What it says, as a JSON object.
    pub payload_json: String,
}

/// Which deliveries to list; every field that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    pub webhook_id: Option<String>,
    pub status: Option<&'static str>,
    /// Only those about this request.
    pub request_id: Option<String>,
    /// Only rows before this one: the cursor.
    pub before: Option<i64>,
}

/// Deliveries of one webhook, of those that are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Wait for their first or next try.
    pub pending: i64,
    pub in_progress: i64,
    pub delivered: i64,
    pub dead: i64,
    pub cancelled: i64,
    /// When one last arrived.
    pub last_delivered_at: Option<Timestamp>,
    /// Why its last attempt failed, where none has arrived since.
    pub last_error: Option<String>,
}

columns! {
    enum Column of "outbox" from "outbox o LEFT JOIN requests r ON r.seq = o.request_seq" {
        Id = "o.delivery_id",
        Seq = "o.seq",
        Channel = "o.channel",
        EventType = "o.event_type",
        Recipient = "o.recipient",
        RequestId = "r.id",
        Status = "o.status",
        Attempts = "o.attempts",
        NextAttempt = "o.next_attempt_ms",
        LastError = "o.last_error",
        CreatedAt = "o.created_at_ms",
        UpdatedAt = "o.updated_at_ms",
        Payload = "o.payload_json",
    }
    DELIVERY = "WHERE o.seq = ?1";
}

impl View<'_> {
    /// Deliveries that match, newest first; of one that cannot be read its number.
    pub fn list_deliveries(
        &self,
        filter: &DeliveryFilter,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<Result<DeliveryRow, i64>>, Error> {
        // One statement for each set of filters, so that each finds its rows by the index made for it.
        let sql = match (&filter.webhook_id, filter.status) {
            // A request has few.
            _ if filter.request_id.is_some() => {
                "SELECT seq FROM outbox WHERE request_seq = (SELECT seq FROM requests WHERE id = :request) \
                 AND seq < :before AND coalesce(:channel, channel) = channel AND coalesce(:status, status) = status \
                 ORDER BY seq DESC LIMIT :limit OFFSET :offset"
            }
            (None, None) => {
                "SELECT seq FROM outbox WHERE seq < :before AND :channel IS NULL AND :status IS NULL AND :request IS NULL \
                 ORDER BY seq DESC LIMIT :limit OFFSET :offset"
            }
            (Some(_), None) => {
                "SELECT seq FROM outbox WHERE channel = :channel AND seq < :before AND :status IS NULL AND :request IS NULL \
                 ORDER BY seq DESC LIMIT :limit OFFSET :offset"
            }
            (None, Some(_)) => {
                "SELECT seq FROM outbox WHERE status = :status AND seq < :before AND :channel IS NULL AND :request IS NULL \
                 ORDER BY seq DESC LIMIT :limit OFFSET :offset"
            }
            (Some(_), Some(_)) => {
                "SELECT seq FROM outbox WHERE channel = :channel AND status = :status AND seq < :before AND :request IS NULL \
                 ORDER BY seq DESC LIMIT :limit OFFSET :offset"
            }
        };
        let found: Vec<i64> = self.connection.list(
            sql,
            named_params! {
                ":before": filter.before.unwrap_or(i64::MAX),
                ":channel": filter.webhook_id,
                ":status": filter.status,
                ":request": filter.request_id,
                ":limit": limit,
                ":offset": offset,
            },
            first,
        )?;
        let row = |seq| match self.delivery(seq) {
            Err(error) if is_unreadable(&error) => {
                log::error!("a notification that is not listed: {error}");
                Ok(Err(seq))
            }
            read => read.map(Ok),
        };
        found.into_iter().map(row).collect()
    }

    pub fn find_delivery(&self, id: &str) -> Result<Option<DeliveryRow>, Error> {
        let seq: Option<i64> =
            self.connection
                .find("SELECT seq FROM outbox WHERE delivery_id = ?1", [id], first)?;
        seq.map(|seq| self.delivery(seq)).transpose()
    }

    fn delivery(&self, seq: i64) -> Result<DeliveryRow, Error> {
        use Column as C;
        self.connection.one(DELIVERY, [seq], |r| {
            Ok(DeliveryRow {
                seq: r.column(C::Seq)?,
                id: r.column(C::Id)?,
                webhook_id: r.column(C::Channel)?,
                event_type: r.column(C::EventType)?,
                recipient: r.column(C::Recipient)?,
                request_id: r.column(C::RequestId)?,
                status: r.column(C::Status)?,
                attempts: r.column(C::Attempts)?,
                next_attempt_at: r.column(C::NextAttempt)?,
                last_error: r.column(C::LastError)?,
                created_at: r.column(C::CreatedAt)?,
                updated_at: r.column(C::UpdatedAt)?,
                payload_json: r.column(C::Payload)?,
            })
        })
    }

    /// How many deliveries match, whatever the cursor says; from counters, but for those of one request.
    pub fn count_deliveries(&self, filter: &DeliveryFilter) -> Result<i64, Error> {
        if let Some(request) = &filter.request_id {
            return self
                .connection
                .one("SELECT count(*) FROM outbox WHERE request_seq = (SELECT seq FROM requests WHERE id = ?1) \
                     AND coalesce(?2, channel) = channel AND coalesce(?3, status) = status", params![request, filter.webhook_id, filter.status], first);
        }
        self.connection.one(
            "SELECT coalesce(sum(n), 0) FROM outbox_counts \
                 WHERE (?1 IS NULL OR channel = ?1) AND (?2 IS NULL OR status = ?2)",
            params![filter.webhook_id, filter.status],
            first,
        )
    }

    /// How the deliveries of a webhook went; from counters.
    pub fn delivery_counts(&self, webhook_id: &str) -> Result<DeliveryCounts, Error> {
        let rows: Vec<(String, i64, i64)> = self.connection.list(
            "SELECT status, n, last_ms FROM outbox_counts WHERE channel = ?1",
            [webhook_id],
            tuple,
        )?;
        let count = |status: &str| rows.iter().find(|r| r.0 == status).map_or(0, |r| r.1);
        let arrived = rows.iter().find(|r| r.0 == "delivered").map(|r| r.2);
        Ok(DeliveryCounts {
            pending: count("pending"),
            in_progress: count("in_progress"),
            delivered: count("delivered"),
            dead: count("dead"),
            cancelled: count("cancelled"),
            last_delivered_at: arrived.map(Timestamp),
            last_error: self.connection.find(
                "SELECT last_error FROM outbox WHERE channel = ?1 AND last_error IS NOT NULL AND updated_at_ms > ?2 \
                     AND status <> 'delivered' AND status <> 'cancelled' ORDER BY updated_at_ms DESC LIMIT 1",
                params![webhook_id, arrived.unwrap_or(i64::MIN)],
                first,
            )?,
        })
    }

    /// Notifications by status, of all webhooks; from counters.
    pub fn outbox_counts(&self) -> Result<Vec<(String, i64)>, Error> {
        self.connection.list(
            "SELECT status, sum(n) FROM outbox_counts GROUP BY status",
            [],
            tuple,
        )
    }
}

impl Store {
    /// Gives up notifications that have waited longer than [`PENDING_MS_MAX`], those that were never tried only with
    /// `untried` or after [`UNTRIED_MS_MAX`]; returns how many, at most as many as one transaction takes.
    ///
    /// # Errors
    /// When the store cannot write.
    pub fn give_up_deliveries(&self, untried: bool) -> Result<usize, Error> {
        let now = self.now().0;
        self.bookkeep(move |connection| {
            // The oldest are given up first. What is planned for later has not waited yet, however old its row is.
            connection.run(
                "UPDATE outbox SET status = 'dead', next_attempt_ms = NULL, updated_at_ms = ?1, \
                     last_error = coalesce(last_error, 'not delivered within a day') WHERE seq IN \
                     (SELECT seq FROM outbox WHERE status = 'pending' \
                     AND coalesce(pending_since_ms, created_at_ms) <= ?3 AND (attempts > 0 OR ?4 \
                     OR coalesce(pending_since_ms, created_at_ms) <= ?5) ORDER BY seq LIMIT ?2)",
                params![
                    now,
                    ROWS_AT_ONCE,
                    now - PENDING_MS_MAX,
                    untried,
                    now - UNTRIED_MS_MAX
                ],
            )
        })
    }

    /// Cancels notifications that wait for a webhook which is not configured any more; returns how many, at most as
    /// many as one transaction takes.
    ///
    /// # Errors
    /// When the store cannot write.
    pub fn cancel_deliveries(&self) -> Result<usize, Error> {
        let now = self.now().0;
        self.bookkeep_routed(move |connection, routes| {
            let waiting: Vec<String> = connection
                .list("SELECT channel FROM outbox_counts WHERE status = 'pending' AND n > 0", [], first)?;
            let Some(gone) = waiting.iter().find(|id| !routes.has(id)) else {
                return Ok(0);
            };
            connection
                .run("UPDATE outbox SET status = 'cancelled', next_attempt_ms = NULL, updated_at_ms = ?1, \
                     last_error = 'the webhook is not configured any more' WHERE seq IN \
                     (SELECT seq FROM outbox WHERE channel = ?2 AND status = 'pending' ORDER BY seq LIMIT ?3)", params![now, gone, ROWS_AT_ONCE])
        })
    }
}
