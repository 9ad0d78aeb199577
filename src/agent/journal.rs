//! The agent's journal: what it was about to run, and what came of it, on disk before anybody is told.
//!
//! A small SQLite file in `state_dir`. An execution is written down before it starts and never starts twice. Its
//! outcome is written down before it is handed in, and kept until the server has it; so a crash at any point loses no
//! outcome that is known, and reports honestly the one that is not.

use crate::clock::Timestamp;
use crate::error::Error;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

/// How long a handed-in execution is remembered, in days; tokens live for minutes.
const KEEP_DAYS: i64 = 30;
/// Most old entries removed at once, so that no start and no execution waits for a long clean-up.
const PRUNE_MAX: i64 = 500;
/// Longest outcome that is kept, in bytes: a result at its limit, with its columns and its frame.
pub const OUTCOME_BYTES_MAX: usize = 12 << 20;
/// How long to wait for a lock on the journal, in milliseconds; nobody but a curious administrator holds one.
const BUSY_MS: u64 = 5000;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS executions (
    execution_id TEXT PRIMARY KEY,
    request_id   TEXT NOT NULL,
    plan_hash    TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('started', 'finished', 'submitted', 'refused')),
    started_at   INTEGER NOT NULL,
    finished_at  INTEGER,
    outcome      TEXT,
    CHECK (state <> 'finished' OR outcome IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS executions_open ON executions (state, started_at) WHERE state IN ('started', 'finished');
CREATE INDEX IF NOT EXISTS executions_done ON executions (finished_at) WHERE state IN ('submitted', 'refused');
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
";

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
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state_dir)
            .map_err(failed)?;
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
        // Made by us and not by SQLite, for its mode; SQLite gives the same one to the files beside it.
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
        conn.execute_batch(SCHEMA).map_err(database)?;
        Ok(Journal {
            conn: Mutex::new(conn),
            _lock: lock,
        })
    }

    /// Writes down that an execution is about to run. `false` if the journal has it already: it must not run.
    ///
    /// # Errors
    /// `internal` when it is not safely on disk.
    pub fn start(
        &self,
        execution_id: &str,
        request_id: &str,
        plan_hash: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let added = self.conn().execute(
            "INSERT INTO executions (execution_id, request_id, plan_hash, state, started_at)
             VALUES (?1, ?2, ?3, 'started', ?4)",
            params![execution_id, request_id, plan_hash, now.0],
        );
        match added {
            Ok(_) => Ok(true),
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(false),
            Err(e) => Err(database(e)),
        }
    }

    /// Writes down what came of an execution: the body to hand in.
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
             WHERE execution_id = ?1 AND state = 'started'",
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

    /// Gives every execution that an earlier process started and did not finish the outcome `outcome`, and says how
    /// many there were. Only before the first [`Journal::start`] of this process.
    ///
    /// # Errors
    /// `internal` when the journal cannot be written.
    pub fn finish_crashed(&self, outcome: &str, now: Timestamp) -> Result<usize, Error> {
        self.conn()
            .execute(
                "UPDATE executions SET state = 'finished', outcome = ?1, finished_at = ?2
                 WHERE state = 'started'",
                params![outcome, now.0],
            )
            .map_err(database)
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
        self.conn()
            .query_row(
                "SELECT value FROM meta WHERE name = 'public_key'",
                [],
                |row| row.get(0),
            )
            .optional()
            .map_err(database)
    }

    /// Remembers the public key of the server.
    ///
    /// # Errors
    /// `internal` when the journal cannot be written.
    pub fn set_public_key(&self, hex: &str) -> Result<(), Error> {
        self.conn()
            .execute(
                "INSERT INTO meta (name, value) VALUES ('public_key', ?1)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [hex],
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
mod tests {
    use super::*;
    use std::path::PathBuf;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Folder {
            let name = crate::crypto::hex(&crate::crypto::random::<8>());
            Folder(std::env::temp_dir().join(format!("dbward-journal-{name}")))
        }

        fn open(&self) -> Journal {
            Journal::open(&self.0).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _gone = std::fs::remove_dir_all(&self.0);
        }
    }

    const T0: Timestamp = Timestamp(1_767_225_600_000);

    #[test]
    fn an_execution_starts_once_and_never_again() {
        let folder = Folder::new();
        let journal = folder.open();
        assert!(journal.start("e1", "r1", "h", T0).unwrap());
        assert!(!journal.start("e1", "r1", "h", T0).unwrap());
        journal.finish("e1", "{}", T0).unwrap();
        journal.submitted("e1", true, T0).unwrap();
        drop(journal);
        assert!(!folder.open().start("e1", "r1", "h", T0).unwrap());
    }

    #[test]
    fn a_crash_leaves_what_is_known_and_names_what_is_not() {
        let folder = Folder::new();
        let journal = folder.open();
        for id in ["ran", "done", "told", "refused"] {
            assert!(journal.start(id, "r", "h", T0).unwrap());
        }
        for id in ["done", "told", "refused"] {
            journal.finish(id, "known", T0).unwrap();
        }
        journal.submitted("told", true, T0).unwrap();
        journal.submitted("refused", false, T0).unwrap();
        // Nothing is closed in order: the file is read as a crash leaves it.
        let copy = Folder::new();
        std::fs::create_dir(&copy.0).unwrap();
        for name in ["journal.db", "journal.db-wal"] {
            std::fs::copy(folder.0.join(name), copy.0.join(name)).unwrap();
        }
        let journal = copy.open();
        assert_eq!(journal.finish_crashed("unknown", T0).unwrap(), 1);
        assert_eq!(journal.unsubmitted(10).unwrap(), ["done", "ran"]);
        assert_eq!(journal.outcome("ran").unwrap().as_deref(), Some("unknown"));
        assert_eq!(journal.outcome("done").unwrap().as_deref(), Some("known"));
        assert_eq!(journal.outcome("told").unwrap(), None);
        assert_eq!(journal.unsubmitted(1).unwrap().len(), 1);
    }

    #[test]
    fn states_are_left_in_order_only() {
        let folder = Folder::new();
        let journal = folder.open();
        assert!(journal.finish("e", "{}", T0).is_err());
        assert!(journal.start("e", "r", "h", T0).unwrap());
        assert!(journal.submitted("e", true, T0).is_err());
        journal.finish("e", "{}", T0).unwrap();
        assert!(journal.finish("e", "other", T0).is_err());
        assert_eq!(journal.outcome("e").unwrap().as_deref(), Some("{}"));
        let huge = " ".repeat(OUTCOME_BYTES_MAX + 1);
        assert!(journal.start("f", "r", "h", T0).unwrap());
        assert!(journal.finish("f", &huge, T0).is_err());
    }

    #[test]
    fn only_what_is_settled_and_old_is_forgotten() {
        let folder = Folder::new();
        let journal = folder.open();
        for id in ["a", "b", "c"] {
            assert!(journal.start(id, "r", "h", T0).unwrap());
        }
        journal.finish("a", "{}", T0).unwrap();
        journal.finish("b", "{}", T0).unwrap();
        journal.submitted("a", true, T0).unwrap();
        let days = |n: u64| T0.plus_secs(n * 86_400);
        assert_eq!(journal.prune(days(30)).unwrap(), 0);
        assert_eq!(journal.prune(days(31)).unwrap(), 1);
        assert_eq!(journal.unsubmitted(10).unwrap(), ["b"]);
    }

    #[test]
    fn the_folder_is_private_and_has_one_agent() {
        let folder = Folder::new();
        let journal = folder.open();
        journal.set_public_key("aa").unwrap();
        journal.set_public_key("bb").unwrap();
        assert_eq!(journal.public_key().unwrap().as_deref(), Some("bb"));
        let second = Journal::open(&folder.0).err().unwrap().to_string();
        assert!(second.contains("another agent"), "{second}");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.0), 0o700);
        for entry in std::fs::read_dir(&folder.0).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
        drop(journal);
        folder.open();
    }
}
