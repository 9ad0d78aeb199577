//! A request as a client sends it, and the checks of each of its fields on its own.

use super::{note, row_bounds};
use crate::crypto::{hex, sha256_fields};
use crate::domain::id::{Operation, Selector, Target};
use crate::domain::sql::TEXT_BYTES_MAX;
use crate::error::{Error, Shown};
use serde_json::Value;

/// Longest idempotency key, in bytes.
pub const KEY_BYTES_MAX: usize = 255;
/// Longest metadata of a client, in bytes.
pub const METADATA_BYTES_MAX: usize = 16 * 1024;
/// Selectors in `share_with`, at most.
pub const SHARES_MAX: usize = 50;

/// A request as a client sends it.
#[derive(Debug, Clone, Default)]
pub struct Submission {
    /// Name of the database.
    pub database: String,
    /// Name of the environment.
    pub environment: String,
    /// What the client calls it; the SQL decides.
    pub operation: String,
    /// The SQL, or the JSON of a migration.
    pub detail: String,
    pub reason: Option<String>,
    /// Makes repeating it harmless.
    pub idempotency_key: Option<String>,
    /// The client's own facts, as JSON text.
    pub metadata: Option<String>,
    /// Skips approvals, for those who may.
    pub emergency: bool,
    /// Lets some DDL through in an emergency.
    pub allow_ddl: bool,
    /// The result is not kept.
    pub no_result_store: bool,
    /// Who else may see the result.
    pub share_with: Vec<String>,
    /// Rows it may change at most.
    pub max_affected_rows: Option<u64>,
    /// Whether an agent is to rehearse it for its approvers.
    pub rehearse: bool,
}

/// A submission whose every field was checked.
#[derive(Clone)]
pub(super) struct CheckedSubmission {
    pub target: Target,
    pub operation: Operation,
    pub detail: String,
    pub reason: Option<String>,
    pub key: Option<String>,
    pub fingerprint: String,
    pub metadata: Option<String>,
    pub emergency: bool,
    pub allow_ddl: bool,
    pub no_result_store: bool,
    pub share_with: Vec<Selector>,
    pub max_affected_rows: Option<u64>,
    pub rehearse: bool,
}

/// Checks every field on its own, before anything is looked up.
pub(super) fn check(s: Submission) -> Result<CheckedSubmission, Error> {
    let target = Target::new(&s.database, &s.environment)?;
    let operation = Operation::parse_input(&s.operation).ok_or_else(|| {
        Error::invalid(format!("unknown operation `{}`", Shown(&s.operation))).hint(
            "one of execute_select, execute_dml, migrate_up, migrate_down, migrate_status, migrate_repair",
        )
    })?;
    if s.detail.len() > TEXT_BYTES_MAX {
        return Err(Error::invalid(format!(
            "detail is {} bytes long, at most {TEXT_BYTES_MAX} are allowed",
            s.detail.len()
        )));
    }
    if s.detail.contains('\0') {
        return Err(Error::invalid("detail contains a NUL character"));
    }
    if s.detail.trim().is_empty() && operation != Operation::MigrateStatus {
        return Err(Error::invalid("detail is empty"));
    }
    if operation.is_migration_change() && serde_json::from_str::<Value>(&s.detail).is_err() {
        return Err(Error::invalid("detail of a migration is not JSON"));
    }
    if s.allow_ddl && !s.emergency {
        return Err(Error::invalid("allow_ddl needs emergency"));
    }
    if operation == Operation::MigrateRepair && !s.emergency {
        return Err(Error::invalid("migrate_repair needs emergency"));
    }
    let key = key(s.idempotency_key)?;
    let metadata = metadata(s.metadata)?;
    let share_with = shares(&s.share_with)?;
    let mut checked = CheckedSubmission {
        target,
        operation,
        detail: s.detail,
        reason: note("reason", s.reason)?,
        key,
        fingerprint: String::new(),
        metadata,
        emergency: s.emergency,
        allow_ddl: s.allow_ddl,
        no_result_store: s.no_result_store,
        share_with,
        max_affected_rows: row_bounds::asked(s.max_affected_rows)?,
        rehearse: s.rehearse,
    };
    checked.fingerprint = fingerprint(&checked);
    Ok(checked)
}

fn key(key: Option<String>) -> Result<Option<String>, Error> {
    match key {
        Some(k) if k.is_empty() || k.len() > KEY_BYTES_MAX || k.chars().any(char::is_control) => {
            Err(Error::invalid(format!(
                "idempotency_key must have 1 to {KEY_BYTES_MAX} bytes and no control characters"
            )))
        }
        other => Ok(other),
    }
}

fn metadata(metadata: Option<String>) -> Result<Option<String>, Error> {
    match metadata {
        Some(m) if m.len() > METADATA_BYTES_MAX => Err(Error::invalid(format!(
            "metadata is {} bytes long, at most {METADATA_BYTES_MAX} are allowed",
            m.len()
        ))),
        other => Ok(other),
    }
}

fn shares(texts: &[String]) -> Result<Vec<Selector>, Error> {
    if texts.len() > SHARES_MAX {
        return Err(Error::invalid(format!(
            "share_with has {} entries, at most {SHARES_MAX} are allowed",
            texts.len()
        )));
    }
    texts
        .iter()
        .map(|t| {
            Selector::parse(t).ok_or_else(|| {
                Error::invalid(format!("share_with entry `{}` is not a selector", Shown(t)))
                    .hint("write requester, role:<name>, group:<name> or user:<id>")
            })
        })
        .collect()
}

/// What an idempotency key stands for: every field that makes the request what it is.
fn fingerprint(c: &CheckedSubmission) -> String {
    let flags = [
        u8::from(c.emergency),
        u8::from(c.allow_ddl),
        u8::from(c.no_result_store),
        u8::from(c.reason.is_some()),
        u8::from(c.metadata.is_some()),
    ];
    let shares: Vec<String> = c.share_with.iter().map(ToString::to_string).collect();
    let shares = Value::from(shares).to_string();
    let bound = c.max_affected_rows.map(|rows| rows.to_string());
    let mut fields = vec![
        c.target.database().as_bytes(),
        c.target.environment().as_bytes(),
        c.operation.as_str().as_bytes(),
        c.detail.as_bytes(),
        c.reason.as_deref().unwrap_or_default().as_bytes(),
        &flags,
        shares.as_bytes(),
        c.metadata.as_deref().unwrap_or_default().as_bytes(),
    ];
    fields.extend(bound.as_ref().map(String::as_bytes));
    fields.extend(c.rehearse.then_some(&b"rehearse"[..]));
    hex(&sha256_fields(fields))
}
