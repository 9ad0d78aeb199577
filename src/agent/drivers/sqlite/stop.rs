//! Why a job on SQLite ends early, and the words for it.

use super::JobDeadline;
use crate::agent::drivers::{RunOutcome, WITHHELD};
use rusqlite::{ErrorCode, ffi};

/// Why a job ends early.
#[derive(Debug)]
pub(super) enum EarlyStop {
    /// The database, or we, refuse; the text for the requester.
    Failed(String),
    /// The database refuses in words that may quote rows: what everybody reads, and apart from it the words.
    Quoting { shown: String, words: String },
    /// Interrupted by time or cancellation.
    Interrupted,
}

impl From<rusqlite::Error> for EarlyStop {
    fn from(error: rusqlite::Error) -> EarlyStop {
        if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
            return EarlyStop::Interrupted;
        }
        match error {
            rusqlite::Error::MultipleStatement => {
                EarlyStop::Failed("one element of the plan holds more than one statement".into())
            }
            rusqlite::Error::Empty => {
                EarlyStop::Failed("one element of the plan holds no statement".into())
            }
            // Without the text of the statement, which the requester has.
            rusqlite::Error::SqliteFailure(code, None) => EarlyStop::Failed(code.to_string()),
            rusqlite::Error::SqliteFailure(_, Some(text))
            | rusqlite::Error::SqlInputError { msg: text, .. } => EarlyStop::Failed(text),
            other => EarlyStop::Failed(other.to_string()),
        }
    }
}

impl EarlyStop {
    /// Of a statement that is running: what its functions and triggers say may quote rows, while SQLite itself names
    /// constraints and columns only.
    pub fn running(error: rusqlite::Error) -> EarlyStop {
        let quotes = |code: ffi::Error| {
            code.extended_code == ffi::SQLITE_ERROR
                || [
                    ffi::SQLITE_CONSTRAINT_TRIGGER,
                    ffi::SQLITE_CONSTRAINT_VTAB,
                    ffi::SQLITE_CONSTRAINT_FUNCTION,
                ]
                .contains(&code.extended_code)
        };
        match error {
            rusqlite::Error::SqliteFailure(code, Some(words)) if quotes(code) => {
                EarlyStop::Quoting {
                    shown: WITHHELD.to_owned(),
                    words,
                }
            }
            error => EarlyStop::from(error),
        }
    }

    /// The same with another sentence for everybody.
    pub fn reworded(self, change: impl FnOnce(&str) -> String) -> EarlyStop {
        match self {
            EarlyStop::Failed(text) => EarlyStop::Failed(change(&text)),
            EarlyStop::Quoting { shown, words } => EarlyStop::Quoting {
                shown: change(&shown),
                words,
            },
            EarlyStop::Interrupted => EarlyStop::Interrupted,
        }
    }

    /// The sentence for everybody, and what may quote rows.
    pub fn described(self, watch: &JobDeadline) -> (String, Option<String>) {
        match self {
            EarlyStop::Failed(text) => (text, None),
            EarlyStop::Quoting { shown, words } => (shown, Some(words)),
            EarlyStop::Interrupted => (watch.why(), None),
        }
    }

    /// The failure of a job that left nothing.
    pub fn outcome(self, watch: &JobDeadline) -> RunOutcome {
        let (message, words) = self.described(watch);
        RunOutcome::failed(message).with_detail(words)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{File, job};
    use super::*;
    use crate::agent::drivers::{Cancel, Driver, Unrecorded};
    use crate::domain::id::Operation;

    #[test]
    fn words_that_may_quote_rows_are_for_the_requester_alone() {
        let file = File::new(
            "CREATE TABLE t (v TEXT UNIQUE, path TEXT); INSERT INTO t VALUES ('secret', 'secret');
             CREATE TRIGGER g BEFORE DELETE ON t BEGIN SELECT RAISE(ABORT, 'secret'); END;",
        );
        let run = |operation, sql: &str| {
            let outcome = file
                .driver()
                .run(&job(operation, &[sql]), &Unrecorded(Cancel::new()));
            match outcome {
                RunOutcome::Failed {
                    message, detail, ..
                } => (message, detail),
                other => panic!("{sql}: {other:?}"),
            }
        };
        let (read, write) = (Operation::ExecuteSelect, Operation::ExecuteDml);
        for (operation, sql) in [
            (write, "DELETE FROM t"),
            (write, "UPDATE t SET v = json_extract('{}', path)"),
            (read, "SELECT json_extract('{}', path) FROM t"),
        ] {
            let (message, words) = run(operation, sql);
            assert!(message.starts_with(WITHHELD), "{sql}: {message}");
            assert!(words.unwrap().contains("secret"), "{sql}");
        }
        let (message, words) = run(write, "INSERT INTO t VALUES ('secret', '')");
        assert_eq!(message, "UNIQUE constraint failed: t.v; rolled back");
        assert_eq!(words, None);
        let (message, _) = run(write, "DELETE FROM missing");
        assert!(message.starts_with("no such table: missing"), "{message}");
    }
}
