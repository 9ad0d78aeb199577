//! Reading sessions.

use super::query::{RunStatement, first};
use super::row_columns::{ReadColumn, columns, invalid};
use super::{View, snapshot};
use crate::clock::Timestamp;
use crate::domain::session::{ConsoleSession, SESSION_IDLE_SECS, StoredSession};
use crate::domain::user::ClaimedAccess;
use crate::error::Error;
use rusqlite::{Row, params};

columns! {
    enum SessionColumn of "sessions" from "sessions s JOIN users u ON u.id = s.subject_id" {
        Id = "s.id",
        SubjectId = "s.subject_id",
        Hash = "s.session_hash",
        Issuer = "s.issuer",
        Groups = "s.groups_json",
        Claims = "s.claims_json",
        Name = "s.name",
        Email = "s.email",
        StartedAt = "s.started_at_ms",
        ExpiresAt = "s.expires_at_ms",
        LastUsedAt = "s.last_used_at_ms",
        IsSubjectActive = "u.status = 'active'",
    }
    BY_HASH = "WHERE s.session_hash = ?1";
    BY_ID = "WHERE s.id = ?1";
    OF_PERSON = "WHERE s.subject_id = ?1 ORDER BY s.id";
}

impl View<'_> {
    /// The session whose secret has this hash.
    pub fn find_session_by_hash(&self, hash: &str) -> Result<Option<StoredSession>, Error> {
        let found = self.connection.find(BY_HASH, [hash], read_session)?;
        Ok(found.map(|stored| self.lately_used(stored)))
    }

    pub fn find_session(&self, id: &str) -> Result<Option<StoredSession>, Error> {
        let found = self.connection.find(BY_ID, [id], read_session)?;
        Ok(found.map(|stored| self.lately_used(stored)))
    }

    /// Sessions of a person, the one that was not used for longest first.
    pub fn sessions_of(&self, subject: &str) -> Result<Vec<StoredSession>, Error> {
        let found = self.connection.list(OF_PERSON, [subject], read_session)?;
        let mut found: Vec<_> = found.into_iter().map(|s| self.lately_used(s)).collect();
        found.sort_by_key(|s| s.last_used_at);
        Ok(found)
    }

    /// Ids of sessions that may be over by themselves.
    pub fn sessions_over(&self, now: Timestamp, limit: u32) -> Result<Vec<String>, Error> {
        let idle_ms = i64::try_from(SESSION_IDLE_SECS * 1000).unwrap_or(i64::MAX);
        self.connection.list(
            "SELECT id FROM sessions WHERE expires_at_ms <= ?1 \
             UNION ALL SELECT id FROM sessions WHERE last_used_at_ms <= ?1 - ?2 LIMIT ?3",
            params![now.0, idle_ms, limit],
            first,
        )
    }

    pub fn count_sessions(&self) -> Result<i64, Error> {
        self.connection
            .one("SELECT count(*) FROM sessions", [], first)
    }

    fn lately_used(&self, stored: StoredSession) -> StoredSession {
        let remembered = self.remembered_use(&stored.session.id);
        StoredSession {
            last_used_at: stored
                .last_used_at
                .max(remembered.unwrap_or(stored.last_used_at)),
            ..stored
        }
    }
}

fn read_session(row: &Row) -> Result<StoredSession, Error> {
    use SessionColumn as C;
    let (groups, claims): (String, String) = (row.column(C::Groups)?, row.column(C::Claims)?);
    let groups = snapshot::read_names(&groups).ok_or_else(|| invalid(row, C::Groups))?;
    let values = serde_json::from_str(&claims).map_err(|_| invalid(row, C::Claims))?;
    Ok(StoredSession {
        session: ConsoleSession {
            id: row.column(C::Id)?,
            subject_id: row.column(C::SubjectId)?,
            hash: row.column(C::Hash)?,
            issuer: row.column(C::Issuer)?,
            access: ClaimedAccess {
                groups: groups.into_iter().collect(),
                values,
            },
            name: row.column(C::Name)?,
            email: row.column(C::Email)?,
            expires_at: row.column(C::ExpiresAt)?,
        },
        started_at: row.column(C::StartedAt)?,
        last_used_at: row.column(C::LastUsedAt)?,
        subject_active: row.column(C::IsSubjectActive)?,
    })
}
