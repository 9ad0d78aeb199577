//! The agent's journal: what it was about to run, and what came of it, on disk before anything is reported.
//!
//! A small SQLite file in `state_dir`. An execution is written down before it starts and never starts twice. Its
//! outcome is written down before it is submitted, and kept until the server has it; so a crash at any point loses no
//! outcome that is known, and reports honestly the one that is not.
//!
//! ```text
//! claimed ─► started ─► committing ─► finished ─► submitted | refused
//! ```
//!
//! Found by a later process: `claimed` has run nothing; `started` has left nothing where all of it was in one
//! transaction, since COMMIT waits for `committing` to be on disk; what became of `committing` the database is asked.

use crate::clock::Timestamp;
use crate::crypto::make_private_folder;
use crate::domain::id::Target;
use crate::error::Error;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

/// How long a handed-in execution is remembered, in days; tokens live for minutes.
const KEEP_DAYS: i64 = 30;
/// Most old entries removed at once, so that no start and no execution waits for a long clean-up.
const PRUNE_MAX: i64 = 500;
/// Longest outcome that is kept, in bytes: a result at its limit with its columns, as JSON in a string, and its frame.
pub const OUTCOME_BYTES_MAX: usize = 24 << 20;
/// How long to wait for a lock on the journal, in milliseconds; nobody but a curious administrator holds one.
const BUSY_MS: u64 = 5000;

/// Version of the schema, kept in the file as `user_version`.
const VERSION: i64 = 2;

const SCHEMA: &str = "
CREATE TABLE executions (
    execution_id TEXT PRIMARY KEY,
    request_id   TEXT NOT NULL,
    plan_hash    TEXT NOT NULL,
    database     TEXT NOT NULL,
    environment  TEXT NOT NULL,
    state        TEXT NOT NULL
                 CHECK (state IN ('claimed', 'started', 'committing', 'finished', 'submitted', 'refused')),
    atomic       INTEGER NOT NULL,
    session      TEXT,
    mark         TEXT,
    rows         INTEGER NOT NULL DEFAULT 0,
    started_at   INTEGER NOT NULL,
    finished_at  INTEGER,
    outcome      TEXT,
    CHECK (state <> 'finished' OR outcome IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX executions_open ON executions (state, started_at) WHERE state NOT IN ('submitted', 'refused');
CREATE INDEX executions_done ON executions (finished_at) WHERE state IN ('submitted', 'refused');
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
PRAGMA user_version = 2;
";

/// From the first version: what had started then may have done anything.
const FROM_VERSION_1: (&str, &str) = (
    "DROP INDEX executions_open; DROP INDEX executions_done; ALTER TABLE executions RENAME TO executions_1;",
    "INSERT INTO executions SELECT execution_id, request_id, plan_hash, '', '', state, 0, NULL, NULL, 0, started_at,
     finished_at, outcome FROM executions_1; DROP TABLE executions_1;",
);

/// What an earlier process left unfinished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    pub execution_id: String,
    /// Database and environment; empty where the journal does not know them.
    pub target: (String, String),
    /// How far it had come.
    pub stage: Stage,
    /// The session in the database that ran it, where one was reported.
    pub session: Option<String>,
}

/// How far an execution had come, as far as its journal knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// No statement has run.
    Claimed,
    /// Statements may have run; none of it stays if it is `atomic`.
    Started {
        /// Whether everything was in one transaction.
        atomic: bool,
    },
    /// COMMIT was about to be sent.
    Committing {
        /// What the driver can ask the database with.
        mark: Option<String>,
        /// Rows that it changed, if it committed.
        rows: u64,
    },
}

/// The journal, and the right to use it.
pub struct Journal {
    conn: Mutex<Connection>,
    /// Held for as long as the journal is: a second agent on the same folder would take our running work for crashed.
    _lock: File,
}

impl Journal {
    /// Opens the journal in `state_dir`, which is made if it is not there (0700, files 0600).
    ///
    /// # Errors
    /// `state_dir_in_use` when another agent has it, `internal` when it cannot be read and written.
    pub fn open(state_dir: &Path) -> Result<Journal, Error> {
        let failed =
            |e: std::io::Error| Error::internal(format!("state_dir {}", state_dir.display()), e);
        make_private_folder(state_dir).map_err(failed)?;
        let lock = private_file(&state_dir.join("agent.lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::conflict(
                    "state_dir_in_use",
                    format!("another agent uses `{}`", state_dir.display()),
                )
                .hint("stop it, or give this agent a `state_dir` of its own"));
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        let path = state_dir.join("journal.db");
        // Made by us and not by SQLite, for its mode; SQLite gives the same one to the files next to it.
        private_file(&path).map_err(failed)?;
        let conn = Connection::open(&path).map_err(database)?;
        conn.busy_timeout(std::time::Duration::from_millis(BUSY_MS))
            .map_err(database)?;
        conn.pragma_update(None, "journal_mode", "WAL")
            .map_err(database)?;
        conn.pragma_update(None, "synchronous", "FULL")
            .map_err(database)?;
        // Outcomes hold rows of the databases; what is deleted is gone.
        conn.pragma_update(None, "secure_delete", true)
            .map_err(database)?;
        prepare(&conn).map_err(database)?;
        Ok(Journal {
            conn: Mutex::new(conn),
            _lock: lock,
        })
    }

    /// Writes down that an execution is about to run. `false` if the journal has it already: it must not run.
    ///
    /// # Errors
    /// `internal` when it is not safely on disk.
    pub fn claimed(
        &self,
        execution_id: &str,
        request_id: &str,
        plan_hash: &str,
        target: &Target,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let added = self.conn().execute(
            "INSERT INTO executions (execution_id, request_id, plan_hash, database, environment, state, atomic,
                                     started_at)
             VALUES (?1, ?2, ?3, ?4, ?5, 'claimed', 1, ?6)",
            params![
                execution_id,
                request_id,
                plan_hash,
                target.database(),
                target.environment(),
                now.0
            ],
        );
        match added {
            Ok(_) => Ok(true),
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(false),
            Err(e) => Err(database(e)),
        }
    }

    /// Writes down that the first statement is about to run, in `session`; nothing of it stays without
    /// [`Journal::committing`] if it is `atomic`. May be repeated until then.
    ///
    /// # Errors
    /// `internal` when it is not safely on disk, or not one that was claimed.
    pub fn started(
        &self,
        execution_id: &str,
        session: Option<&str>,
        atomic: bool,
    ) -> Result<(), Error> {
        self.moved(
            "UPDATE executions SET state = 'started', session = ?2, atomic = ?3
             WHERE execution_id = ?1 AND state IN ('claimed', 'started')",
            params![execution_id, session, atomic],
        )
    }

    /// Writes down that COMMIT is about to be sent.
    ///
    /// # Errors
    /// `internal` when it is not safely on disk, or not one that has started.
    pub fn committing(
        &self,
        execution_id: &str,
        mark: Option<&str>,
        rows: u64,
    ) -> Result<(), Error> {
        self.moved(
            "UPDATE executions SET state = 'committing', mark = ?2, rows = ?3
             WHERE execution_id = ?1 AND state = 'started'",
            params![execution_id, mark, i64::try_from(rows).unwrap_or(i64::MAX)],
        )
    }

    /// Writes down what came of an execution: the body to submit.
    ///
    /// # Errors
    /// `internal` when it is not safely on disk, or not one that has started.
    pub fn finish(&self, execution_id: &str, outcome: &str, now: Timestamp) -> Result<(), Error> {
        if outcome.len() > OUTCOME_BYTES_MAX {
            return Err(Error::bug(format!(
                "an outcome of {} bytes is longer than any can be",
                outcome.len()
            )));
        }
        self.moved(
            "UPDATE executions SET state = 'finished', outcome = ?2, finished_at = ?3
             WHERE execution_id = ?1 AND state IN ('claimed', 'started', 'committing')",
            params![execution_id, outcome, now.0],
        )
    }

    /// Writes down that the server has the outcome, or (`accepted` false) will never take it; the outcome itself is
    /// dropped.
    ///
    /// # Errors
    /// `internal` when it cannot be written, or the execution has no outcome.
    pub fn submitted(
        &self,
        execution_id: &str,
        accepted: bool,
        now: Timestamp,
    ) -> Result<(), Error> {
        let state = if accepted { "submitted" } else { "refused" };
        self.moved(
            "UPDATE executions SET state = ?2, outcome = NULL, finished_at = ?3
             WHERE execution_id = ?1 AND state = 'finished'",
            params![execution_id, state, now.0],
        )
    }

    /// What an earlier process claimed and did not finish, oldest first. Only before the first [`Journal::claimed`]
    /// of this process.
    ///
    /// # Errors
    /// `internal` when the journal cannot be read.
    pub fn unfinished(&self) -> Result<Vec<Unfinished>, Error> {
        let conn = self.conn();
        let mut statement = conn
            .prepare(
                "SELECT execution_id, database, environment, state, atomic, mark, rows, session FROM executions
                 WHERE state IN ('claimed', 'started', 'committing') ORDER BY started_at",
            )
            .map_err(database)?;
        let all = statement
            .query_map([], |row| {
                let (state, atomic): (String, bool) = (row.get(3)?, row.get(4)?);
                Ok(Unfinished {
                    execution_id: row.get(0)?,
                    target: (row.get(1)?, row.get(2)?),
                    session: row.get(7)?,
                    stage: match state.as_str() {
                        "claimed" => Stage::Claimed,
                        "started" => Stage::Started { atomic },
                        _ => Stage::Committing {
                            mark: row.get(5)?,
                            rows: row.get::<_, i64>(6)?.unsigned_abs(),
                        },
                    },
                })
            })
            .and_then(Iterator::collect)
            .map_err(database)?;
        Ok(all)
    }

    /// Executions whose outcome the server does not have yet, oldest first, at most `limit`.
    ///
    /// # Errors
    /// `internal` when the journal cannot be read.
    pub fn unsubmitted(&self, limit: u32) -> Result<Vec<String>, Error> {
        let conn = self.conn();
        let mut statement = conn
            .prepare_cached(
                "SELECT execution_id FROM executions WHERE state = 'finished'
                 ORDER BY started_at LIMIT ?1",
            )
            .map_err(database)?;
        let ids = statement
            .query_map([limit], |row| row.get(0))
            .and_then(Iterator::collect)
            .map_err(database)?;
        Ok(ids)
    }

    /// The outcome that waits to be handed in, if it still does.
    ///
    /// # Errors
    /// `internal` when the journal cannot be read.
    pub fn outcome(&self, execution_id: &str) -> Result<Option<String>, Error> {
        self.conn()
            .query_row(
                "SELECT outcome FROM executions WHERE execution_id = ?1 AND state = 'finished'",
                [execution_id],
                |row| row.get(0),
            )
            .optional()
            .map_err(database)
    }

    /// Forgets executions that were settled long ago; some, not all at once.
    ///
    /// # Errors
    /// `internal` when the journal cannot be written.
    pub fn prune(&self, now: Timestamp) -> Result<usize, Error> {
        let before = now.0.saturating_sub(KEEP_DAYS * 86_400_000);
        self.conn()
            .execute(
                "DELETE FROM executions WHERE execution_id IN (
                     SELECT execution_id FROM executions
                     WHERE state IN ('submitted', 'refused') AND finished_at < ?1 LIMIT ?2)",
                params![before, PRUNE_MAX],
            )
            .map_err(database)
    }

    /// The public key of the server as of first use, in hexadecimal.
    ///
    /// # Errors
    /// `internal` when the journal cannot be read.
    pub fn public_key(&self) -> Result<Option<String>, Error> {
        self.meta("public_key")
    }

    /// Remembers the public key of the server.
    ///
    /// # Errors
    /// `internal` when the journal cannot be written.
    pub fn set_public_key(&self, hex: &str) -> Result<(), Error> {
        self.set_meta("public_key", hex)
    }

    /// Notes the epoch of a server; the highest there ever was, this one included. Writes only where it is a new one.
    ///
    /// # Errors
    /// `internal` when the journal cannot be read or written.
    pub fn enter_epoch(&self, epoch: u64) -> Result<u64, Error> {
        let number = |text: String| text.parse::<u64>().map_err(|e| Error::internal("epoch", e));
        let known = self.meta("epoch")?.map_or(Ok(0), number)?;
        if epoch <= known {
            return Ok(known);
        }
        // Another thread may note one at the same time.
        self.conn()
            .query_row(
                "INSERT INTO meta (name, value) VALUES ('epoch', ?1)
                 ON CONFLICT (name) DO UPDATE
                 SET value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER))
                 RETURNING CAST(value AS TEXT)",
                [epoch.to_string()],
                |row| row.get(0),
            )
            .map_err(database)
            .and_then(number)
    }

    /// The agent's id as of the first use of the token with that fingerprint.
    ///
    /// # Errors
    /// `internal` when the journal cannot be read.
    pub fn own_id(&self, token: &str) -> Result<Option<String>, Error> {
        match self.meta("token_sha256")? {
            Some(known) if known == token => self.meta("agent_id"),
            _ => Ok(None),
        }
    }

    /// Remembers the agent's id, which the token with that fingerprint gives it.
    ///
    /// # Errors
    /// `internal` when the journal cannot be written.
    pub fn set_own_id(&self, token: &str, id: &str) -> Result<(), Error> {
        // In this order: a crash in between leaves an id without its token, which does not count.
        self.set_meta("token_sha256", "")?;
        self.set_meta("agent_id", id)?;
        self.set_meta("token_sha256", token)
    }

    fn meta(&self, name: &str) -> Result<Option<String>, Error> {
        self.conn()
            .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| {
                row.get(0)
            })
            .optional()
            .map_err(database)
    }

    fn set_meta(&self, name: &str, value: &str) -> Result<(), Error> {
        self.conn()
            .execute(
                "INSERT INTO meta (name, value) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [name, value],
            )
            .map(|_| ())
            .map_err(database)
    }

    fn moved(&self, sql: &str, params: impl rusqlite::Params) -> Result<(), Error> {
        match self.conn().execute(sql, params).map_err(database)? {
            1 => Ok(()),
            _ => Err(Error::bug(
                "the journal has no such execution in that state",
            )),
        }
    }

    fn conn(&self) -> MutexGuard<'_, Connection> {
        self.conn.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Brings the file to [`VERSION`], whichever earlier one it has.
fn prepare(conn: &Connection) -> rusqlite::Result<()> {
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version >= VERSION {
        return Ok(());
    }
    let sql = "SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'executions'";
    let older: bool = conn.query_row(sql, [], |row| row.get(0))?;
    let (before, after) = if older { FROM_VERSION_1 } else { ("", "") };
    conn.execute_batch(&format!(
        "BEGIN IMMEDIATE; {before} {SCHEMA} {after} COMMIT"
    ))
}

fn database(error: rusqlite::Error) -> Error {
    Error::internal("the agent's journal", error)
}

/// The file, made with mode 0600 if it is not there, and set to it if it is.
fn private_file(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

#[cfg(test)]
mod tests;
