//! A session of ours on MySQL or MariaDB, when its job has to end, and the words for why it did.

use super::flavor::MySqlFlavor;
use super::scrub::without_values;
use crate::agent::drivers::{Cancel, DriverJob, StopReason};
use crate::domain::policy::execution::LOCK_SECS_DEFAULT;
use ::mysql::prelude::Queryable;
use ::mysql::{Conn, DriverError, Error, Value};
use std::collections::BTreeSet;
use std::error::Error as _;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Number of the error of a cancelled query, and of those of its time limits in MySQL and MariaDB.
const INTERRUPTED: u16 = 1317;
const TIMED_OUT: [u16; 2] = [3024, 1969];
/// How much earlier than ours a timer of the database may end.
const TIMER_SLACK: Duration = Duration::from_millis(100);
/// Number of the warning about a lock that was not free in time.
const LOCK_NOT_FREE: &str = "1205";
/// Number of the warning about a table that was left out at once, since somebody is changing it: a session that holds
/// locks itself waits for none.
const LEFT_OUT: &str = "1684";
/// What passes before a question is asked again that left a table out.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// Lists the warnings of the statement before.
pub(super) const WARNINGS: &str = "SHOW WARNINGS";
/// Seconds that a plan or a description waits for a lock.
const QUESTION_LOCK_SECS: u64 = 2;

/// Why a job ends early.
#[derive(Debug)]
pub(super) enum MySqlStop {
    Failed(String),
    Interrupted,
}

/// When a job has to end, and the words for it.
pub(super) struct MySqlDeadline {
    pub(super) deadline: Option<Instant>,
    pub(super) timeout_secs: u64,
    /// Seconds that a statement waits for a lock.
    pub(super) lock_secs: u64,
    pub(super) cancel: Cancel,
    /// The last message of the database that quotes values of rows.
    quoted: Mutex<Option<String>>,
}

impl MySqlDeadline {
    pub(super) fn new(timeout_secs: u64, cancel: &Cancel) -> MySqlDeadline {
        let limit = Some(timeout_secs).filter(|secs| *secs > 0);
        MySqlDeadline {
            deadline: limit.and_then(|secs| Instant::now().checked_add(Duration::from_secs(secs))),
            timeout_secs,
            lock_secs: LOCK_SECS_DEFAULT,
            cancel: cancel.clone(),
            quoted: Mutex::new(None),
        }
    }

    /// That of a job, which waits for locks no longer than `lock_secs_max`.
    pub(super) fn of_job(job: &DriverJob, lock_secs_max: u64, cancel: &Cancel) -> MySqlDeadline {
        MySqlDeadline {
            lock_secs: job.lock_timeout_secs.min(lock_secs_max),
            ..MySqlDeadline::new(job.timeout_secs, cancel)
        }
    }

    /// The words of the database that quote values of rows, for the requester alone.
    pub(super) fn quoted(&self) -> Option<String> {
        let quoted = self.quoted.lock().unwrap_or_else(PoisonError::into_inner);
        quoted.clone()
    }

    /// Whether the time of the job is over.
    pub(super) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|at| Instant::now() >= at)
    }

    /// The same as the database's own timer may see it.
    fn is_up(&self) -> bool {
        self.deadline
            .is_some_and(|at| Instant::now() + TIMER_SLACK >= at)
    }

    pub(super) fn look(&self) -> Result<(), MySqlStop> {
        match self.is_late() || self.cancel.asked().is_some() {
            true => Err(MySqlStop::Interrupted),
            false => Ok(()),
        }
    }

    pub(super) fn left(&self) -> Option<Duration> {
        let left = |at: Instant| at.saturating_duration_since(Instant::now());
        self.deadline
            .map(|at| left(at).max(Duration::from_millis(1)))
    }

    /// The error of the database as the reason to stop.
    pub(super) fn stop(&self, error: Error) -> MySqlStop {
        match error {
            Error::MySqlError(e) if e.code == INTERRUPTED && self.cancel.asked().is_some() => {
                MySqlStop::Interrupted
            }
            // A plan may set a shorter time, and a routine raise any number.
            Error::MySqlError(e) if TIMED_OUT.contains(&e.code) && self.is_up() => {
                MySqlStop::Interrupted
            }
            Error::MySqlError(e) => {
                let words = match without_values(e.code, &e.state, &e.message) {
                    None => e.message,
                    Some(scrubbed) => {
                        let mut quoted = self.quoted.lock().unwrap_or_else(PoisonError::into_inner);
                        *quoted = Some(e.message);
                        scrubbed
                    }
                };
                MySqlStop::Failed(format!("{words} (error {}, SQLSTATE {})", e.code, e.state))
            }
            Error::IoError(e) => MySqlStop::Failed(broken(&e)),
            Error::CodecError(e) => MySqlStop::Failed(
                match e.source().and_then(|e| e.downcast_ref::<io::Error>()) {
                    Some(e) => broken(e),
                    None => format!("the connection to the database broke: {e}"),
                },
            ),
            // Without what the driver adds, which may quote the URL.
            Error::TlsError(e) => {
                MySqlStop::Failed(format!("no TLS connection to the database: {e}"))
            }
            Error::DriverError(DriverError::TlsNotSupported) => MySqlStop::Failed(
                "no TLS connection to the database: the server does not offer it".to_owned(),
            ),
            Error::DriverError(e) => MySqlStop::Failed(format!("the driver refuses: {e}")),
            _ => {
                MySqlStop::Failed("the database answered something that cannot be read".to_owned())
            }
        }
    }

    pub(super) fn why(&self, stop: MySqlStop) -> String {
        match stop {
            MySqlStop::Failed(message) => message,
            // One whose time is up is asked to stop as well.
            MySqlStop::Interrupted => match self.cancel.asked() {
                Some(StopReason::Cancelled) => StopReason::Cancelled.message().to_owned(),
                Some(reason) if !self.is_late() => reason.message().to_owned(),
                _ => format!("statement timeout reached ({} s)", self.timeout_secs),
            },
        }
    }
}

/// The words for a connection that ends.
fn broken(error: &io::Error) -> String {
    match error.get_ref().is_some_and(|e| e.is::<rustls::Error>()) {
        true => format!("no TLS connection to the database: {error}"),
        false => format!("the connection to the database broke: {error}"),
    }
}

/// A session of ours.
pub(super) struct Session {
    pub(super) conn: Conn,
    pub(super) id: String,
    /// When its server was started; of what writes, where the server says it.
    pub(super) since: Option<String>,
    pub(super) kind: MySqlFlavor,
    /// Whether a statement has run that may have changed how text is read.
    pub(super) used: bool,
    /// Functions that libraries have given to the server; of what writes.
    pub(super) of_libraries: BTreeSet<String>,
}

impl Session {
    /// Its name for [`crate::agent::drivers::Driver::interrupt`]: its number, and after an `@` when its server was
    /// started. Both together no other session ever has.
    pub(super) fn name(&self) -> String {
        match &self.since {
            Some(since) => format!("{}@{since}", self.id),
            None => self.id.clone(),
        }
    }

    /// When the server was started, as it says it; none where it does not.
    pub(super) fn server_start(&mut self) -> Option<String> {
        let found = self.conn.query_first(self.kind.asks_for_start());
        found.ok().flatten()
    }

    /// Runs text of our own.
    pub(super) fn own(&mut self, sql: &str, watch: &MySqlDeadline) -> Result<(), MySqlStop> {
        self.conn.query_drop(sql).map_err(|e| watch.stop(e))
    }

    /// Lets the server read text as the analysis did: as UTF-8, with backslashes that escape, double quotes around
    /// strings, and `||` for OR. All rows come, and keys hold, whatever is usual on the server.
    pub(super) fn read_as_analysed(&mut self, watch: &MySqlDeadline) -> Result<(), MySqlStop> {
        self.own("SET NAMES utf8mb4", watch)?;
        let rows = self.ask("SELECT @@SESSION.sql_mode", watch)?;
        let modes = rows.into_iter().flatten().next().flatten();
        let kept = harmless_modes(&modes.unwrap_or_default());
        let null = self.kind.reads_null_as_null();
        self.own(
            &format!(
                "SET SESSION sql_mode = '{kept}', SESSION sql_select_limit = 18446744073709551615, \
                 SESSION foreign_key_checks = 1, SESSION unique_checks = 1{null}"
            ),
            watch,
        )
    }

    /// Refuses to go on where a statement has changed how the server reads text: the next one would be another to it than
    /// the one approved.
    pub(super) fn still_reads_as_analysed(
        &mut self,
        watch: &MySqlDeadline,
    ) -> Result<(), MySqlStop> {
        if !self.used {
            return Ok(());
        }
        let rows = self.ask(
            "SELECT @@SESSION.sql_mode, @@SESSION.character_set_client",
            watch,
        )?;
        let mut found = rows.into_iter().flatten().map(Option::unwrap_or_default);
        let (modes, charset) = (found.next(), found.next());
        let reads = modes.is_some_and(|modes| leave_the_reading(&modes))
            && charset.is_some_and(|charset| WHOLE_CHARACTERS.contains(&charset.as_str()));
        match reads {
            true => Ok(()),
            false => Err(MySqlStop::Failed(OTHER_READING.to_owned())),
        }
    }

    /// Waits for the locks of others only as long as a question that nothing depends on may: the server's own limit may be
    /// a day.
    pub(super) fn wait_briefly(&mut self, watch: &MySqlDeadline) -> Result<(), MySqlStop> {
        self.own(
            &format!("SET SESSION lock_wait_timeout = {QUESTION_LOCK_SECS}"),
            watch,
        )
    }

    /// The rows of a question of our own, their values as text. From the answer of its information_schema the server leaves
    /// out what somebody has locked, with a warning alone. Such an answer is asked for again for as long as a statement
    /// waits for a lock, and is an error then, since a table without its columns, triggers or keys would be another table.
    pub(super) fn ask(
        &mut self,
        sql: &str,
        watch: &MySqlDeadline,
    ) -> Result<Vec<Vec<Option<String>>>, MySqlStop> {
        let until = Instant::now() + Duration::from_secs(watch.lock_secs);
        loop {
            let rows = self.rows(sql, watch)?;
            let Some((number, words)) = self.left_out(sql, watch)? else {
                return Ok(rows);
            };
            if number == LOCK_NOT_FREE || Instant::now() >= until {
                return Err(MySqlStop::Failed(format!(
                    "{words} (error {LOCK_NOT_FREE}, SQLSTATE HY000)"
                )));
            }
            watch.look()?;
            thread::sleep(ASK_AGAIN);
        }
    }

    /// The warning of the question before, `sql`, that its answer is not whole: its number and its words.
    fn left_out(
        &mut self,
        sql: &str,
        watch: &MySqlDeadline,
    ) -> Result<Option<(String, String)>, MySqlStop> {
        if self.conn.warnings() == 0 || sql == WARNINGS {
            return Ok(None);
        }
        let warnings = self.rows(WARNINGS, watch)?;
        Ok(warnings.into_iter().find_map(|row| {
            let mut cells = row.into_iter().skip(1).map(Option::unwrap_or_default);
            let (number, words) = (cells.next()?, cells.next()?);
            [LOCK_NOT_FREE, LEFT_OUT]
                .contains(&number.as_str())
                .then_some((number, words))
        }))
    }

    fn rows(
        &mut self,
        sql: &str,
        watch: &MySqlDeadline,
    ) -> Result<Vec<Vec<Option<String>>>, MySqlStop> {
        let rows: Vec<::mysql::Row> = self.conn.query(sql).map_err(|e| watch.stop(e))?;
        let text = |value: Value| match value {
            Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            _ => None,
        };
        Ok(rows
            .into_iter()
            .map(|row| ::mysql::Row::unwrap(row).into_iter().map(text).collect())
            .collect())
    }
}

/// `text` as a literal, for a session that reads as the analysis did.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Modes with which the server reads text and writes values as it does without; all others are left out, those of later
/// versions and names that stand for several among them.
const KNOWN_MODES: [&str; 12] = [
    "ALLOW_INVALID_DATES",
    "ERROR_FOR_DIVISION_BY_ZERO",
    "NO_AUTO_CREATE_USER",
    "NO_AUTO_VALUE_ON_ZERO",
    "NO_ENGINE_SUBSTITUTION",
    "NO_UNSIGNED_SUBTRACTION",
    "NO_ZERO_DATE",
    "NO_ZERO_IN_DATE",
    "ONLY_FULL_GROUP_BY",
    "STRICT_ALL_TABLES",
    "STRICT_TRANS_TABLES",
    "TIME_ROUND_FRACTIONAL",
];

/// Further modes that a plan may set: they change values, and no reading.
const SETTABLE_MODES: [&str; 3] = [
    "PAD_CHAR_TO_FULL_LENGTH",
    "TIME_TRUNCATE_FRACTIONAL",
    "TRADITIONAL",
];

/// Character sets of a client in which no quote or backslash is a part of another character.
const WHOLE_CHARACTERS: [&str; 6] = ["ascii", "binary", "latin1", "utf8", "utf8mb3", "utf8mb4"];

/// Where something has changed how the server reads text.
const OTHER_READING: &str = "not run: something changed how the database reads text (sql_mode, character_set_client), \
                             and the statement would be read otherwise";

/// Whether the server reads text in all modes of a list as the analysis did.
fn leave_the_reading(modes: &str) -> bool {
    let mut set = modes.split(',').filter(|mode| !mode.is_empty());
    set.all(|mode| KNOWN_MODES.contains(&mode) || SETTABLE_MODES.contains(&mode))
}

/// The modes of a list with which the server reads text as the analysis did.
fn harmless_modes(modes: &str) -> String {
    let kept: Vec<&str> = modes
        .split(',')
        .filter(|mode| KNOWN_MODES.contains(mode))
        .collect();
    kept.join(",")
}

#[cfg(test)]
mod tests {
    use super::harmless_modes;

    #[test]
    fn modes_that_change_the_reading_are_left_out() {
        for (modes, kept) in [
            ("", ""),
            (
                "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION",
                "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION",
            ),
            // What `ANSI` stands for returns with it.
            (
                "REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,ANSI,NO_BACKSLASH_ESCAPES",
                "",
            ),
            (
                "PIPES_AS_CONCAT,NO_ZERO_DATE,NO_KEY_OPTIONS,ORACLE",
                "NO_ZERO_DATE",
            ),
            ("HIGH_NOT_PRECEDENCE,MYSQL40", ""),
            (
                "EMPTY_STRING_IS_NULL,SIMULTANEOUS_ASSIGNMENT,PAD_CHAR_TO_FULL_LENGTH",
                "",
            ),
            ("A','B,STRICT_ALL_TABLES", "STRICT_ALL_TABLES"),
        ] {
            assert_eq!(harmless_modes(modes), kept);
        }
    }
}
