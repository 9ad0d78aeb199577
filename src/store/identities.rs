//! Reading people and tokens, and whether an actor still counts.

use super::query::{RunStatement, first};
use super::{View, corrupt, db, snapshot};
use crate::clock::Timestamp;
use crate::domain::actor::{Actor, SubjectType};
use crate::domain::token::{RoleMode, StoredToken, Token};
use crate::domain::user::User;
use crate::error::Error;
use rusqlite::{Row, params};

const TOKEN_COLUMNS: &str = "t.id, t.subject_type, t.subject_id, t.token_hash, t.token_prefix, t.name, t.roles_json, \
     t.role_mode, t.groups_json, t.issuer, t.created_at_ms, t.expires_at_ms, t.revoked_at_ms, t.last_used_at_ms, \
     u.status, t.issuers_json, t.bound_to_json, t.parent_id";

impl View<'_> {
    /// The token whose secret has this hash.
    pub fn find_token_by_hash(&self, hash: &str) -> Result<Option<StoredToken>, Error> {
        let sql = format!(
            "SELECT {TOKEN_COLUMNS} FROM tokens t JOIN users u ON u.id = t.subject_id WHERE t.token_hash = ?1"
        );
        self.token(&sql, hash)
    }

    pub fn find_token(&self, id: &str) -> Result<Option<StoredToken>, Error> {
        let sql = format!(
            "SELECT {TOKEN_COLUMNS} FROM tokens t JOIN users u ON u.id = t.subject_id WHERE t.id = ?1"
        );
        self.token(&sql, id)
    }

    /// All tokens, newest first.
    pub fn list_tokens(&self, limit: u32, offset: u32) -> Result<Vec<StoredToken>, Error> {
        let sql = format!(
            "SELECT {TOKEN_COLUMNS} FROM tokens t JOIN users u ON u.id = t.subject_id \
             ORDER BY t.created_at_ms DESC, t.id LIMIT ?1 OFFSET ?2"
        );
        self.connection
            .list(&sql, params![limit, offset], read_token)
    }

    /// Active tokens of a subject.
    pub fn tokens_of(&self, subject: &str) -> Result<Vec<StoredToken>, Error> {
        let sql = format!(
            "SELECT {TOKEN_COLUMNS} FROM tokens t JOIN users u ON u.id = t.subject_id \
             WHERE t.subject_id = ?1 AND t.revoked_at_ms IS NULL ORDER BY t.id"
        );
        self.tokens(&sql, subject)
    }

    /// Tokens that were issued with a token.
    pub fn tokens_issued_with(&self, id: &str) -> Result<Vec<StoredToken>, Error> {
        let sql = format!(
            "SELECT {TOKEN_COLUMNS} FROM tokens t JOIN users u ON u.id = t.subject_id WHERE t.parent_id = ?1 \
             ORDER BY t.id"
        );
        self.tokens(&sql, id)
    }

    /// Tokens of which that person counts as the issuer.
    pub fn tokens_issued_by(&self, subject: &str) -> Result<Vec<StoredToken>, Error> {
        let sql = format!(
            "SELECT {TOKEN_COLUMNS} FROM tokens t JOIN users u ON u.id = t.subject_id WHERE t.issuer = ?1 \
             ORDER BY t.id"
        );
        self.tokens(&sql, subject)
    }

    fn tokens(&self, sql: &str, key: &str) -> Result<Vec<StoredToken>, Error> {
        self.connection.list(sql, [key], read_token)
    }

    /// The person or agent of that id.
    pub fn find_user(&self, id: &str) -> Result<Option<User>, Error> {
        self.connection.find(
            "SELECT id, subject_type, status, source, slack_user_id, created_at_ms, updated_at_ms, \
                 last_seen_at_ms, slack_linkers_json FROM users WHERE id = ?1",
            [id],
            read_user,
        )
    }

    /// People and agents, newest first.
    pub fn list_users(&self, limit: u32, offset: u32) -> Result<Vec<User>, Error> {
        self
            .connection
            .list("SELECT id, subject_type, status, source, slack_user_id, created_at_ms, updated_at_ms, \
                 last_seen_at_ms, slack_linkers_json FROM users ORDER BY created_at_ms DESC, id LIMIT ?1 OFFSET ?2", params![limit, offset], read_user)
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

    /// Whose Slack account this is.
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
        let sql = format!(
            "SELECT {TOKEN_COLUMNS} FROM tokens t JOIN users u ON u.id = t.subject_id \
             WHERE t.revoked_at_ms IS NULL AND t.subject_type = 'user' AND u.status = 'active'"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
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
        let counts: Option<bool> = match &actor.token_id {
            Some(token_id) => self
                .connection
                .find("SELECT t.revoked_at_ms IS NULL AND coalesce(t.expires_at_ms > ?2, 1) AND u.status = 'active' \
                     FROM tokens t JOIN users u ON u.id = t.subject_id WHERE t.id = ?1", params![token_id, now.0], first)?,
            None => self
                .find_user(&actor.id)?
                .map(|u| u.active && u.subject_type.as_str() == actor.kind),
        };
        match counts {
            Some(true) => Ok(()),
            _ => Err(Error::unauthenticated()),
        }
    }

    fn token(&self, sql: &str, key: &str) -> Result<Option<StoredToken>, Error> {
        self.connection.find(sql, [key], read_token)
    }
}

fn read_token(row: &Row) -> Result<StoredToken, Error> {
    let text = |n: usize| row.get::<_, String>(n).map_err(db);
    let time = |n: usize| -> Result<Option<Timestamp>, Error> {
        Ok(row.get::<_, Option<i64>>(n)?.map(Timestamp))
    };
    let id = text(0)?;
    let bad = |column| corrupt("tokens", &id, column);
    let issuer = text(9)?;
    let bound_to: Option<String> = row.get(16)?;
    let bound_to =
        bound_to.map(|json| snapshot::read_scopes(&json).ok_or_else(|| bad("bound_to_json")));
    let mut issuers = snapshot::read_names(&text(15)?).ok_or_else(|| bad("issuers_json"))?;
    // Whatever the list says: the issuer is part of it.
    issuers.push(issuer.clone());
    issuers.retain(|by| *by != Actor::system().id);
    let token = Token {
        subject_type: SubjectType::parse(&text(1)?).ok_or_else(|| bad("subject_type"))?,
        subject_id: text(2)?,
        hash: text(3)?,
        prefix: text(4)?,
        name: row.get(5)?,
        roles: snapshot::read_names(&text(6)?).ok_or_else(|| bad("roles_json"))?,
        role_mode: RoleMode::parse(&text(7)?).ok_or_else(|| bad("role_mode"))?,
        groups: snapshot::read_names(&text(8)?).ok_or_else(|| bad("groups_json"))?,
        issuer,
        issuers: issuers.into_iter().collect(),
        bound_to: bound_to.transpose()?,
        expires_at: time(11)?,
        parent_id: row.get(17)?,
        id,
    };
    Ok(StoredToken {
        token,
        created_at: Timestamp(row.get(10)?),
        revoked_at: time(12)?,
        last_used_at: time(13)?,
        subject_active: text(14)? == "active",
    })
}

fn read_user(row: &Row) -> Result<User, Error> {
    let text = |n: usize| row.get::<_, String>(n).map_err(db);
    let id = text(0)?;
    Ok(User {
        subject_type: SubjectType::parse(&text(1)?)
            .ok_or_else(|| corrupt("users", &id, "subject_type"))?,
        active: text(2)? == "active",
        source: text(3)?,
        slack_user_id: row.get(4)?,
        slack_linkers: snapshot::read_names(&text(8)?)
            .ok_or_else(|| corrupt("users", &id, "slack_linkers_json"))?
            .into_iter()
            .collect(),
        created_at: Timestamp(row.get(5)?),
        updated_at: Timestamp(row.get(6)?),
        last_seen_at: row.get::<_, Option<i64>>(7)?.map(Timestamp),
        id,
    })
}
