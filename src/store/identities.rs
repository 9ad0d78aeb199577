//! Reading people and tokens, and whether an actor still counts.

use super::query::{RunStatement, first, tuple};
use super::row_columns::{Columns, ReadColumn, columns, invalid};
use super::{View, snapshot};
use crate::clock::Timestamp;
use crate::domain::actor::Actor;
use crate::domain::token::{StoredToken, Token};
use crate::domain::user::{KeptClaims, User};
use crate::error::Error;
use rusqlite::{Row, params};

columns! {
    pub(super) enum TokenColumn of "tokens" from "tokens t JOIN users u ON u.id = t.subject_id" {
        Id = "t.id",
        SubjectType = "t.subject_type",
        SubjectId = "t.subject_id",
        Hash = "t.token_hash",
        Prefix = "t.token_prefix",
        Name = "t.name",
        Roles = "t.roles_json",
        RoleMode = "t.role_mode",
        Groups = "t.groups_json",
        Issuer = "t.issuer",
        Issuers = "t.issuers_json",
        BoundTo = "t.bound_to_json",
        Parent = "t.parent_id",
        Session = "t.session_id",
        CreatedAt = "t.created_at_ms",
        ExpiresAt = "t.expires_at_ms",
        RevokedAt = "t.revoked_at_ms",
        LastUsedAt = "t.last_used_at_ms",
        IsSubjectActive = "u.status = 'active'",
    }
    BY_HASH = "WHERE t.token_hash = ?1";
    BY_ID = "WHERE t.id = ?1";
    NEWEST_FIRST = "ORDER BY t.created_at_ms DESC, t.id LIMIT ?1 OFFSET ?2";
    ACTIVE_OF = "WHERE t.subject_id = ?1 AND t.revoked_at_ms IS NULL ORDER BY t.id";
    ISSUED_WITH = "WHERE t.parent_id = ?1 ORDER BY t.id";
    ISSUED_IN = "WHERE t.session_id = ?1 ORDER BY t.id";
    ISSUED_BY = "WHERE t.issuer = ?1 ORDER BY t.id";
    pub(super) LIVE_OF_PEOPLE = "WHERE t.revoked_at_ms IS NULL AND t.subject_type = 'user' AND u.status = 'active'";
}

columns! {
    enum UserColumn of "users" from "users u" {
        Id = "u.id",
        SubjectType = "u.subject_type",
        IsActive = "u.status = 'active'",
        Source = "u.source",
        SlackId = "u.slack_user_id",
        SlackLinkers = "u.slack_linkers_json",
        SlackLinkedWith = "u.slack_linked_with",
        ClaimedEmail = "u.claimed_email",
        Claims = "u.claims_json",
        ClaimsAt = "u.claims_at_ms",
        CreatedAt = "u.created_at_ms",
        UpdatedAt = "u.updated_at_ms",
        LastSeenAt = "u.last_seen_at_ms",
    }
    USER = "WHERE u.id = ?1";
    USERS = "ORDER BY u.created_at_ms DESC, u.id LIMIT ?1 OFFSET ?2";
}

impl View<'_> {
    /// The token whose secret has this hash.
    pub fn find_token_by_hash(&self, hash: &str) -> Result<Option<StoredToken>, Error> {
        self.connection.find(BY_HASH, [hash], read_token)
    }

    pub fn find_token(&self, id: &str) -> Result<Option<StoredToken>, Error> {
        self.connection.find(BY_ID, [id], read_token)
    }

    /// All tokens, newest first.
    pub fn list_tokens(&self, limit: u32, offset: u32) -> Result<Vec<StoredToken>, Error> {
        self.connection
            .list(NEWEST_FIRST, params![limit, offset], read_token)
    }

    /// Active tokens of a subject.
    pub fn tokens_of(&self, subject: &str) -> Result<Vec<StoredToken>, Error> {
        self.connection.list(ACTIVE_OF, [subject], read_token)
    }

    /// Tokens that were issued with a token.
    pub fn tokens_issued_with(&self, id: &str) -> Result<Vec<StoredToken>, Error> {
        self.connection.list(ISSUED_WITH, [id], read_token)
    }

    /// Tokens that were issued in a session.
    pub fn tokens_issued_in(&self, session_id: &str) -> Result<Vec<StoredToken>, Error> {
        self.connection.list(ISSUED_IN, [session_id], read_token)
    }

    /// Tokens of which that person counts as the issuer.
    pub fn tokens_issued_by(&self, subject: &str) -> Result<Vec<StoredToken>, Error> {
        self.connection.list(ISSUED_BY, [subject], read_token)
    }

    /// The person or agent of that id.
    pub fn find_user(&self, id: &str) -> Result<Option<User>, Error> {
        self.connection.find(USER, [id], read_user)
    }

    /// People and agents, newest first.
    pub fn list_users(&self, limit: u32, offset: u32) -> Result<Vec<User>, Error> {
        self.connection
            .list(USERS, params![limit, offset], read_user)
    }

    /// Active people whose e-mail address the identity provider gave, and that address, up to `limit`.
    pub fn claimed_emails(&self, limit: u32) -> Result<Vec<(String, String)>, Error> {
        self.connection.list(
            "SELECT id, claimed_email FROM users WHERE claimed_email IS NOT NULL AND status = 'active' \
             ORDER BY id LIMIT ?1",
            [limit],
            tuple,
        )
    }

    /// People who may not act.
    pub fn suspended_users(&self) -> Result<Vec<String>, Error> {
        self.connection
            .list("SELECT id FROM users WHERE status = 'suspended'", [], first)
    }

    /// People whom configuration names and who may act.
    pub fn active_config_users(&self) -> Result<Vec<String>, Error> {
        self.connection.list(
            "SELECT id FROM users WHERE source = 'config' AND status = 'active' ORDER BY id",
            [],
            first,
        )
    }

    /// Whose Slack account this is, whether or not the link still counts.
    pub fn find_slack_user(&self, slack_user_id: &str) -> Result<Option<String>, Error> {
        self.connection.find(
            "SELECT id FROM users WHERE slack_user_id = ?1",
            [slack_user_id],
            first,
        )
    }

    /// Whether a token of a person who may act passes `test`: looks until one does.
    pub fn any_live_token(
        &self,
        now: Timestamp,
        mut test: impl FnMut(&StoredToken) -> bool,
    ) -> Result<bool, Error> {
        let mut statement = self.connection.prepare_cached(LIVE_OF_PEOPLE)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let token = read_token(row)?;
            if token.counts(now) && test(&token) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether an actor still counts, read inside the transaction that they want to write in.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub(super) fn actor_counts(&self, actor: &Actor, now: Timestamp) -> Result<(), Error> {
        if !actor.acts {
            return Ok(());
        }
        let counts: Option<bool> = match (&actor.token_id, &actor.session_id) {
            (Some(token_id), _) => self
                .connection
                .find("SELECT t.revoked_at_ms IS NULL AND coalesce(t.expires_at_ms > ?2, 1) AND u.status = 'active' \
                     FROM tokens t JOIN users u ON u.id = t.subject_id WHERE t.id = ?1", params![token_id, now.0], first)?,
            (None, Some(session_id)) => self.connection.find(
                "SELECT s.expires_at_ms > ?2 AND u.status = 'active' AND u.id = ?3 \
                     FROM sessions s JOIN users u ON u.id = s.subject_id WHERE s.id = ?1",
                params![session_id, now.0, actor.id],
                first,
            )?,
            (None, None) => match (self.find_user(&actor.id)?, &actor.slack_linked_with) {
                (Some(user), None) => Some(user.active && user.subject_type.as_str() == actor.kind),
                (Some(user), linked_with) if user.slack_linked_with == *linked_with => {
                    self.connection.find(
                        "SELECT t.revoked_at_ms IS NULL AND coalesce(t.expires_at_ms > ?2, 1) AND u.status = 'active' \
                             FROM tokens t JOIN users u ON u.id = t.subject_id WHERE t.id = ?1 AND u.id = ?3",
                        params![linked_with, now.0, actor.id],
                        first,
                    )?
                }
                _ => None,
            },
        };
        match counts {
            Some(true) => Ok(()),
            _ => Err(Error::unauthenticated()),
        }
    }
}

/// A list of names that is kept as JSON.
fn names<C: Columns>(row: &Row, column: C) -> Result<Vec<String>, Error> {
    let json: String = row.column(column)?;
    snapshot::read_names(&json).ok_or_else(|| invalid(row, column))
}

pub(super) fn read_token(row: &Row) -> Result<StoredToken, Error> {
    use TokenColumn as C;
    let issuer: String = row.column(C::Issuer)?;
    let bound_to: Option<String> = row.column(C::BoundTo)?;
    let bound_to =
        bound_to.map(|json| snapshot::read_scopes(&json).ok_or_else(|| invalid(row, C::BoundTo)));
    let mut issuers = names(row, C::Issuers)?;
    // Whatever the list says: the issuer is part of it.
    issuers.push(issuer.clone());
    issuers.retain(|by| *by != Actor::system().id);
    let token = Token {
        id: row.column(C::Id)?,
        subject_type: row.column(C::SubjectType)?,
        subject_id: row.column(C::SubjectId)?,
        hash: row.column(C::Hash)?,
        prefix: row.column(C::Prefix)?,
        name: row.column(C::Name)?,
        roles: names(row, C::Roles)?,
        role_mode: row.column(C::RoleMode)?,
        groups: names(row, C::Groups)?,
        issuer,
        issuers: issuers.into_iter().collect(),
        bound_to: bound_to.transpose()?,
        expires_at: row.column(C::ExpiresAt)?,
        parent_id: row.column(C::Parent)?,
        session_id: row.column(C::Session)?,
    };
    Ok(StoredToken {
        token,
        created_at: row.column(C::CreatedAt)?,
        revoked_at: row.column(C::RevokedAt)?,
        last_used_at: row.column(C::LastUsedAt)?,
        subject_active: row.column(C::IsSubjectActive)?,
    })
}

fn read_user(row: &Row) -> Result<User, Error> {
    use UserColumn as C;
    Ok(User {
        id: row.column(C::Id)?,
        subject_type: row.column(C::SubjectType)?,
        active: row.column(C::IsActive)?,
        source: row.column(C::Source)?,
        slack_user_id: row.column(C::SlackId)?,
        slack_linkers: names(row, C::SlackLinkers)?.into_iter().collect(),
        slack_linked_with: row.column(C::SlackLinkedWith)?,
        claimed_email: row.column(C::ClaimedEmail)?,
        kept_claims: kept_claims(row)?,
        created_at: row.column(C::CreatedAt)?,
        updated_at: row.column(C::UpdatedAt)?,
        last_seen_at: row.column(C::LastSeenAt)?,
    })
}

fn kept_claims(row: &Row) -> Result<Option<KeptClaims>, Error> {
    use UserColumn as C;
    let (claims, at): (Option<String>, _) = (row.column(C::Claims)?, row.column(C::ClaimsAt)?);
    let (Some(claims), Some(at)) = (claims, at) else {
        return Ok(None);
    };
    let access = snapshot::read_claims(&claims).ok_or_else(|| invalid(row, C::Claims))?;
    Ok(Some(KeptClaims { access, at }))
}
