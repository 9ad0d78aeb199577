//! Decisions count for the request as it was read: its ETag, and the check of an `If-Match`.

use super::Request;
use crate::crypto;
use crate::error::{Error, ErrorKind};

impl Request {
    /// Names where the request stands, as 32 hexadecimal digits: another one after every vote and every move, and after a
    /// rehearsal that changes how many rows may be changed. It is the ETag of the request.
    pub fn version(&self) -> String {
        let bound = self.row_bound.map_or_else(String::new, |bound| {
            format!("{} {}", bound.source.as_str(), bound.rows)
        });
        let text = format!(
            "{} {} {} {} {} {} {bound}",
            self.status(),
            self.current_step,
            self.updated_at.0,
            self.audit_seq,
            self.executions_finished,
            self.corrupt
        );
        crypto::hex(&crypto::sha256(text.as_bytes())[..16])
    }

    /// Whether the request stands as its caller saw it. `seen` is an `If-Match`: ETags, or `*` for any.
    ///
    /// # Errors
    /// 412 `changed`.
    pub fn ensure_seen(&self, seen: Option<&str>) -> Result<(), Error> {
        let current = format!("\"{}\"", self.version());
        let same = |list: &str| {
            list.split(',')
                .map(str::trim)
                .any(|tag| tag == "*" || tag == current)
        };
        match seen {
            Some(list) if !same(list) => Err(Error::new(
                ErrorKind::PreconditionFailed,
                "changed",
                "the request has changed since it was read",
            )
            .hint("read it again, then decide")),
            _ => Ok(()),
        }
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
