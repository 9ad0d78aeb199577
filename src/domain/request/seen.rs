//! Decisions count for the request as it was read: its ETag, and the check of an `If-Match`.

use super::Request;
use crate::clock::Timestamp;
use crate::crypto;
use crate::domain::approval::Vote;
use crate::domain::rehearsal::Rehearsal;
use crate::error::{Error, ErrorKind};
use serde_json::Value;

/// What a decision goes by besides the request itself.
pub struct Evidence<'a> {
    pub votes: &'a [Vote],
    /// The last one.
    pub rehearsal: Option<&'a Rehearsal>,
    /// How far the plans of its statements are.
    pub plans: Option<&'a str>,
    pub now: Timestamp,
}

impl Evidence<'_> {
    fn text(&self) -> String {
        let counted = self.votes.iter().map(|v| if v.counts { '1' } else { '0' });
        let rehearsal = self
            .rehearsal
            .map_or_else(String::new, |last| found(last, self.now));
        format!(
            "{}|{rehearsal}|{}",
            counted.collect::<String>(),
            self.plans.unwrap_or_default()
        )
    }
}

/// What a reader goes by of a rehearsal. That an agent has taken it is nothing; neither is one that found the same again.
fn found(rehearsal: &Rehearsal, now: Timestamp) -> String {
    let status = rehearsal.status_at(now);
    if status.is_open() {
        return "open".to_owned();
    }
    let report = rehearsal.result_json.as_deref();
    let report: Value = report.map_or(Value::Null, |json| {
        serde_json::from_str(json).unwrap_or_default()
    });
    let [statements, triggers, warnings] =
        ["statements", "triggers", "warnings"].map(|name| &report[name]);
    format!(
        "{} {:?} {statements} {triggers} {warnings} {}",
        status.as_str(),
        rehearsal.rows_affected,
        rehearsal.error_message.as_deref().unwrap_or_default()
    )
}

impl Request {
    /// Names where the request stands and what was known of it, as 32 hexadecimal digits: another one after every vote
    /// and every move, when a vote stops counting, when a rehearsal is asked for or finds something else, and when plans arrive. What
    /// the clock or the agents move by themselves is not in it. It is the ETag of the request.
    pub fn version(&self, evidence: &Evidence) -> String {
        let bound = self.row_bound.map_or_else(String::new, |bound| {
            format!("{} {}", bound.source.as_str(), bound.rows)
        });
        let text = format!(
            "{} {} {} {} {} {} {bound}|{}",
            self.status(),
            self.current_step,
            self.updated_at.0,
            self.audit_seq,
            self.executions_finished,
            self.corrupt,
            evidence.text()
        );
        crypto::hex(&crypto::sha256(text.as_bytes())[..16])
    }

    /// Whether the request stands as its caller saw it. `seen` is an `If-Match`: ETags, or `*` for any.
    ///
    /// # Errors
    /// 412 `changed`.
    pub fn ensure_seen(&self, evidence: &Evidence, seen: &str) -> Result<(), Error> {
        let current = format!("\"{}\"", self.version(evidence));
        let mut tags = seen.split(',').map(str::trim);
        if tags.any(|tag| tag == "*" || tag == current) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::PreconditionFailed,
            "changed",
            "the request has changed since it was read",
        )
        .hint("read it again, then decide"))
    }

    /// Refuses every verb on a request that was found to be corrupt.
    ///
    /// # Errors
    /// 409 `corrupt`.
    pub fn ensure_intact(&self) -> Result<(), Error> {
        match self.corrupt {
            true => Err(corrupt_error(&self.id)),
            false => Ok(()),
        }
    }
}

/// The refusal of a corrupt request.
pub fn corrupt_error(id: &str) -> Error {
    Error::conflict(
        "corrupt",
        format!("what is stored of request {id} is not what the audit log says of it"),
    )
    .hint("see its event `request.corrupt`; make a new request")
}

#[cfg(test)]
mod tests;
