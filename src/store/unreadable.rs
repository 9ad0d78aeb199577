//! Requests whose rows hold what can be no value: what the log says they are, so that they are frozen and others go on.

use super::View;
use super::proof::CREATED;
use super::query::{RunStatement, first, tuple};
use crate::domain::change::RequestRef;
use crate::domain::id::{Operation, Target};
use crate::domain::request::Status;
use crate::error::{Error, ErrorKind};

/// A request by its key and the log alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    pub request: RequestRef,
    /// Whether it was frozen before.
    pub frozen: bool,
}

/// A request of a list that cannot be read, by what of it always can: its place, and its id where that is a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadRequest {
    pub seq: i64,
    pub id: String,
}

/// Whether `error` means that a row holds what cannot be read, and not that the database failed.
pub fn is_unreadable(error: &Error) -> bool {
    let failed = error
        .cause()
        .and_then(|cause| cause.downcast_ref::<rusqlite::Error>())
        .is_some_and(|e| e.sqlite_error_code().is_some());
    error.kind() == ErrorKind::Internal && !failed
}

/// Those rows that could be read, so that one that cannot stops no other; the server's log says what `left_out` is of it.
pub(super) fn readable<T>(rows: Vec<Result<T, Error>>, left_out: &str) -> Result<Vec<T>, Error> {
    let mut read = Vec::with_capacity(rows.len());
    for row in rows {
        match row {
            Ok(row) => read.push(row),
            Err(error) if is_unreadable(&error) => log::error!("{left_out}: {error}"),
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

impl View<'_> {
    /// What the log says of request `id`; none where there is no such row, or no readable creation in the log.
    pub fn logged_request(&self, id: &str) -> Result<Option<LoggedRequest>, Error> {
        const KEY: &str = "SELECT seq, corrupt_seq IS NOT NULL FROM requests WHERE id = ?1";
        const STATUS: &str = "SELECT to_status FROM audit_events WHERE request_id = ?1 AND to_status IS NOT NULL \
             ORDER BY seq DESC LIMIT 1";
        let key: Option<(i64, bool)> = self.connection.find(KEY, [id], tuple)?;
        let Some(created) = self.first_event(CREATED, id)? else {
            return Ok(None);
        };
        let status: Status = self.connection.one(STATUS, [id], first)?;
        let event = created.event;
        let operation = event.operation.as_deref().and_then(Operation::parse);
        let target = event
            .database_name
            .zip(event.environment)
            .and_then(|(database, environment)| Target::new(&database, &environment).ok());
        let request = key.zip(operation.zip(target));
        Ok(
            request.map(|((seq, frozen), (operation, target))| LoggedRequest {
                request: RequestRef {
                    seq,
                    id: id.to_owned(),
                    requester: event.actor_id,
                    target,
                    operation,
                    status,
                },
                frozen,
            }),
        )
    }
}
