//! Proves who may read a request and its results, and that a result is the one that was reported, against the audit log.
//! Rows of requests that have ended are not part of the live state that a start proves, so they are proved when they are
//! read. Each event is a look-up of its own: the cost does not grow with the log.

use super::proof::{CREATED, STORED, stored_request};
use super::query::{RunStatement, first};
use super::{ResultRow, View};
use crate::domain::accounts::EventMetadata;
use crate::domain::execution::{Execution, result_key};
use crate::domain::id::Target;
use crate::domain::request::{Request, corrupt_error};
use crate::error::Error;

impl View<'_> {
    /// Request `id`, of the requester and on the target that its creation names in the log, which decide who may read it.
    ///
    /// # Errors
    /// `not_found`; `corrupt` where its row names others. Once it is frozen for that, it is read as the log has it.
    pub fn request_to_read(&self, id: &str) -> Result<Request, Error> {
        let request = self.request(id)?;
        match self.logged_owner(id)? {
            Some((requester, target))
                if request.requester == requester && request.target == target =>
            {
                Ok(request)
            }
            Some((requester, target)) if request.corrupt => Ok(request.owned_by(requester, target)),
            _ => Err(corrupt_error(id)),
        }
    }

    /// Whether those with whom a request's results are shared are those whom it was made with.
    pub fn is_shared_as_logged(&self, request: &Request) -> Result<bool, Error> {
        let stored = self
            .connection
            .one(STORED, [request.seq], |row| Ok(stored_request(row)?))?;
        let created = self.first_event(CREATED, &request.id)?;
        Ok(created.is_some_and(|row| !stored.breaks_context(&EventMetadata::by(&row.event))))
    }

    /// Whether an execution is one of that request, and has ended, by the log.
    pub fn ended_as_logged(&self, request: &Request, execution: &Execution) -> Result<bool, Error> {
        Ok(self.end_of(request, execution)?.is_some())
    }

    /// Whether a stored result is the one that the execution ended with.
    pub fn is_as_reported(
        &self,
        request: &Request,
        execution: &Execution,
        row: &ResultRow,
    ) -> Result<bool, Error> {
        let end = self.end_of(request, execution)?;
        Ok(end.is_some_and(|end| {
            row.key == result_key(&request.id, &execution.id)
                && end.says("result_sha256", row.checksum_sha256.as_str())
                && end.agrees("result_bytes", row.content_length)
                && end.agrees("result_backend", row.backend.as_str())
                && end.agrees_time("result_expires_at", Some(row.expires_at.0))
        }))
    }

    /// What the event says that ended an execution of that request; none where there is none.
    fn end_of(
        &self,
        request: &Request,
        execution: &Execution,
    ) -> Result<Option<EventMetadata>, Error> {
        let seq: i64 = self.connection.one(
            "SELECT audit_seq FROM executions WHERE seq = ?1",
            [execution.seq],
            first,
        )?;
        let ended = self.proved_event(seq)?.filter(|row| {
            let kind = row.event.event_type.as_str();
            (kind == "execution.completed" || kind == "execution.failed")
                && row.event.resource_id.as_deref() == Some(execution.id.as_str())
                && row.event.request_id.as_deref() == Some(request.id.as_str())
        });
        Ok(ended.map(|row| EventMetadata::by(&row.event)))
    }

    /// The requester and the target of request `id`, by the event of its creation.
    fn logged_owner(&self, id: &str) -> Result<Option<(String, Target)>, Error> {
        let Some(created) = self.first_event(CREATED, id)? else {
            return Ok(None);
        };
        let event = created.event;
        let made = event.request_id.as_deref() == Some(id)
            && EventMetadata::by(&event).text("from_status") == Some("new");
        let target = event
            .database_name
            .zip(event.environment)
            .filter(|_| made)
            .and_then(|(database, environment)| Target::new(&database, &environment).ok());
        Ok(target.map(|target| (event.actor_id, target)))
    }
}
