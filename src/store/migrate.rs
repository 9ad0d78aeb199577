//! Brings the schema up to date. Each migration runs once, all of a start in one transaction, and its SHA-256 is kept and
//! compared at every start: an edited migration stops the server with its name.

use super::query::{RunStatement, first, tuple};
use super::state_file::{differs, has_table};
use crate::clock::Timestamp;
use crate::crypto::{sha256_hex, uuid};
use crate::domain::head::HeadPurpose;
use crate::error::{Error, Shown};
use rusqlite::{Connection, params};
use std::path::Path;

/// All migrations, in order; the number in the name is the schema version after it.
const MIGRATIONS: &[(&str, &str)] = &[
    (
        "0001_initial",
        include_str!("../../sql/migrations/0001_initial.sql"),
    ),
    (
        "0002_requester_counts",
        include_str!("../../sql/migrations/0002_requester_counts.sql"),
    ),
    (
        "0003_outbox",
        include_str!("../../sql/migrations/0003_outbox.sql"),
    ),
    (
        "0004_retention",
        include_str!("../../sql/migrations/0004_retention.sql"),
    ),
    (
        "0005_tokens",
        include_str!("../../sql/migrations/0005_tokens.sql"),
    ),
    (
        "0006_head",
        include_str!("../../sql/migrations/0006_head.sql"),
    ),
    (
        "0007_result_bodies",
        include_str!("../../sql/migrations/0007_result_bodies.sql"),
    ),
    (
        "0008_outcomes",
        include_str!("../../sql/migrations/0008_outcomes.sql"),
    ),
    (
        "0009_dialects",
        include_str!("../../sql/migrations/0009_dialects.sql"),
    ),
    (
        "0010_delivery",
        include_str!("../../sql/migrations/0010_delivery.sql"),
    ),
    (
        "0011_descent",
        include_str!("../../sql/migrations/0011_descent.sql"),
    ),
    (
        "0012_commitments",
        include_str!("../../sql/migrations/0012_commitments.sql"),
    ),
    (
        "0013_row_bounds",
        include_str!("../../sql/migrations/0013_row_bounds.sql"),
    ),
    (
        "0014_stated_dialects",
        include_str!("../../sql/migrations/0014_stated_dialects.sql"),
    ),
    (
        "0015_reminders",
        include_str!("../../sql/migrations/0015_reminders.sql"),
    ),
    (
        "0016_error_details",
        include_str!("../../sql/migrations/0016_error_details.sql"),
    ),
    (
        "0017_plain_comparisons",
        include_str!("../../sql/migrations/0017_plain_comparisons.sql"),
    ),
    (
        "0018_slack",
        include_str!("../../sql/migrations/0018_slack.sql"),
    ),
    (
        "0019_rehearsals",
        include_str!("../../sql/migrations/0019_rehearsals.sql"),
    ),
    (
        "0020_frozen_requests",
        include_str!("../../sql/migrations/0020_frozen_requests.sql"),
    ),
    (
        "0021_sessions",
        include_str!("../../sql/migrations/0021_sessions.sql"),
    ),
    (
        "0022_claimed_emails",
        include_str!("../../sql/migrations/0022_claimed_emails.sql"),
    ),
    (
        "0023_kept_claims",
        include_str!("../../sql/migrations/0023_kept_claims.sql"),
    ),
    (
        "0024_slack_links",
        include_str!("../../sql/migrations/0024_slack_links.sql"),
    ),
    (
        "0025_heads_apart",
        include_str!("../../sql/migrations/0025_heads_apart.sql"),
    ),
];

/// Marks our files; other programs' databases, and those of dbward 0.1.6, do not have it.
const APPLICATION_ID: i64 = 0x6462_7764;

const JOURNAL: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    name          TEXT PRIMARY KEY,
    sha256        TEXT NOT NULL,
    applied_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID";

/// The migration that made the table of the signed head.
pub(super) const HEADS: usize = 6;

/// The migration since which no head is signed as baselines are.
const HEADS_APART: usize = 25;

/// What the head of a file with that many migrations is signed for.
pub(super) fn head_purpose(applied: usize) -> HeadPurpose {
    match applied < HEADS_APART {
        true => HeadPurpose::EarlierEnd,
        false => HeadPurpose::End,
    }
}

/// How many migrations there are.
pub(super) const NEWEST: usize = MIGRATIONS.len();

/// How many migrations the file lists as applied; 0 for a file that is new.
///
/// # Errors
/// `state_differs` where one of them is not the one of that name; `internal` for those of a newer version.
pub(super) fn applied(connection: &Connection) -> Result<usize, Error> {
    if !has_table(connection, "schema_migrations")? {
        return Ok(0);
    }
    let listed: Vec<(String, String)> = connection.list(
        "SELECT name, sha256 FROM schema_migrations ORDER BY name",
        [],
        tuple,
    )?;
    for (n, (applied, hash)) in listed.iter().enumerate() {
        match MIGRATIONS.get(n) {
            Some((known, text)) if known == applied => {
                if sha256_hex(text.as_bytes()) != *hash {
                    return Err(differs(format!(
                        "migration {known} is not the one that was applied"
                    )));
                }
            }
            _ => {
                return Err(Error::bug(format!(
                    "the database was made by a newer version (migration {})",
                    Shown(applied)
                )));
            }
        }
    }
    Ok(listed.len())
}

/// Migrates the database to the newest schema, inside the transaction that is open.
pub(super) fn migrate(connection: &Connection, path: &Path, now: Timestamp) -> Result<(), Error> {
    let name = path.display();
    let failed = |e: rusqlite::Error| Error::internal(format!("database {name}"), e);
    let applied = applied(connection)?;
    connection.execute_batch(JOURNAL).map_err(failed)?;
    for (n, (migration, text)) in MIGRATIONS.iter().enumerate().skip(applied) {
        connection
            .execute_batch(text)
            .map_err(|e| Error::internal(format!("database {name}: migration {migration}"), e))?;
        connection
            .execute(
                "INSERT INTO schema_migrations (name, sha256, applied_at_ms) VALUES (?1, ?2, ?3)",
                params![migration, sha256_hex(text.as_bytes()), now.0],
            )
            .map_err(failed)?;
        connection
            .pragma_update(None, "user_version", n as i64 + 1)
            .map_err(failed)?;
    }
    if applied == 0 {
        connection
            .pragma_update(None, "application_id", APPLICATION_ID)
            .map_err(failed)?;
        connection
            .execute(
                "INSERT INTO meta (key, value) VALUES ('instance', ?1)",
                params![uuid()],
            )
            .map_err(failed)?;
    }
    Ok(())
}

/// A database in memory after that many migrations.
pub(super) fn in_memory(migrations: usize) -> Result<Connection, Error> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(JOURNAL)?;
    for (_, text) in MIGRATIONS.iter().take(migrations) {
        connection.execute_batch(text)?;
    }
    Ok(connection)
}

/// Refuses a file that is not ours before anything is written to it.
pub(super) fn check_owner(connection: &Connection, path: &Path) -> Result<(), Error> {
    let name = path.display();
    let failed = |e: rusqlite::Error| Error::internal(format!("database {name}"), e);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))
        .map_err(failed)?;
    let id: i64 = connection
        .query_row("PRAGMA application_id", [], |r| r.get(0))
        .map_err(failed)?;
    if tables > 0 && id != APPLICATION_ID {
        return Err(Error::bug(format!(
            "database {name} was not made by this program; a dbward.db of version 0.1.6 cannot be upgraded, \
             so start with an empty state_dir"
        )));
    }
    Ok(())
}

/// The schema as a fresh database has it: the sum of all migrations, for the golden file.
pub fn schema_text() -> Result<String, Error> {
    let connection = in_memory(NEWEST)?;
    let texts: Vec<String> = connection.list(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name <> 'schema_migrations' ORDER BY rowid",
        [],
        first,
    )?;
    Ok(texts
        .iter()
        .map(|t| format!("{t};\n"))
        .collect::<Vec<_>>()
        .join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::config::DbConfig;

    #[test]
    fn heads_came_with_their_migration() {
        assert_eq!(MIGRATIONS[HEADS - 1].0, "0006_head");
        assert_eq!(MIGRATIONS[HEADS_APART - 1].0, "0025_heads_apart");
    }

    #[test]
    fn older_tokens_get_their_issuer_as_issuer_chain() {
        let connection = in_memory(1).unwrap();
        let (name, text) = MIGRATIONS[0];
        connection
            .execute(
                "INSERT INTO schema_migrations VALUES (?1, ?2, 0)",
                params![name, sha256_hex(text.as_bytes())],
            )
            .unwrap();
        connection
            .pragma_update(None, "application_id", APPLICATION_ID)
            .unwrap();
        let triggers = |connection: &Connection, on: bool| {
            let key = DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
            connection.set_db_config(key, on).unwrap();
        };
        triggers(&connection, false);
        connection
            .execute_batch(
                "INSERT INTO users VALUES ('a', 'user', 'active', 'token', NULL, 0, 0, NULL, 1);
                 INSERT INTO tokens VALUES ('t', 'user', 'a', hex(zeroblob(32)), 'p', NULL, '[]', 'grant', '[]', \
                 'somebody', 0, NULL, NULL, NULL, 1);",
            )
            .unwrap();
        triggers(&connection, true);
        migrate(&connection, Path::new("old"), Timestamp(0)).unwrap();
        let issuers: String = connection
            .query_row("SELECT issuers_json FROM tokens", [], |r| r.get(0))
            .unwrap();
        assert_eq!(issuers, r#"["somebody"]"#);
        let forged = connection.execute("UPDATE tokens SET issuers_json = '[]'", []);
        assert!(forged.unwrap_err().to_string().contains("audit event"));
    }
}
