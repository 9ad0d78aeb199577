//! The transaction of a write as the database has it. These databases commit by themselves: at DDL, in procedures, at
//! settings. A savepoint that is still there after a statement proves that the statement has not ended the transaction;
//! where it is gone, the session's count of rollbacks tells what became of everything before.

use super::session::{MySqlDeadline, MySqlStop, Session, WARNINGS};
use super::tables::revocable;
use crate::agent::drivers::{JobEffect, RunOutcome, guard};
use crate::crypto::{hex, random};
use crate::domain::dialect::Dialect;
use crate::error::counted;
use ::mysql::Error;
use ::mysql::prelude::Queryable;

/// Number of the warning that something could not be rolled back.
const NOT_ROLLED_BACK: &str = "1196";
/// Number of the error about a savepoint that is not there.
const NO_SAVEPOINT: u16 = 1305;

/// First words of statements that never end a transaction but by an error.
const NEVER_ENDS: [&str; 13] = [
    "INSERT", "UPDATE", "DELETE", "REPLACE", "SELECT", "WITH", "VALUES", "TABLE", "SHOW",
    "EXPLAIN", "DESCRIBE", "DESC", "HANDLER",
];
/// First words of statements that commit before they do anything, as far as they end a transaction.
///
/// Source: <https://mariadb.com/kb/en/sql-statements-that-cause-an-implicit-commit/>
const COMMITS: [&str; 25] = [
    "ALTER",
    "ANALYZE",
    "BACKUP",
    "BINLOG",
    "CACHE",
    "CHANGE",
    "CHECK",
    "CREATE",
    "DROP",
    "FLUSH",
    "GRANT",
    "IMPORT",
    "INSTALL",
    "LOCK",
    "OPTIMIZE",
    "PURGE",
    "RENAME",
    "REPAIR",
    "RESET",
    "REVOKE",
    "START",
    "STOP",
    "TRUNCATE",
    "UNINSTALL",
    "UNLOCK",
];

/// How a statement can end the transaction around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Never,
    /// It commits, if it ends it.
    Commits,
    /// It may commit or roll back, as what somebody else has written and it runs.
    Either,
}

fn ending(sql: &str) -> Ending {
    let (first, second) = guard::leading_words(sql, Dialect::MySql);
    match (first.as_str(), second.as_str()) {
        ("LOAD", "INDEX") | ("SET", "PASSWORD") => Ending::Commits,
        ("LOAD", _) => Ending::Never,
        (word, _) if NEVER_ENDS.contains(&word) => Ending::Never,
        (word, _) if COMMITS.contains(&word) => Ending::Commits,
        _ => Ending::Either,
    }
}

/// Whether a statement that fails may have done a part of its work for good: it names several objects, one after the
/// other.
fn may_stop_halfway(sql: &str) -> bool {
    let (first, second) = guard::leading_words(sql, Dialect::MySql);
    let several = match first.as_str() {
        "DROP" | "GRANT" | "REVOKE" | "RENAME" | "FLUSH" => true,
        "CREATE" | "ALTER" | "SET" => ["USER", "ROLE"].contains(&second.as_str()),
        _ => false,
    };
    several && sql.contains(',')
}

/// What is known of the work of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It goes with the transaction.
    Open,
    Committed,
    /// A part of it is committed, the rest goes with the transaction.
    CommittedInPart,
    /// Nobody can tell whether it stays.
    Unsure,
}

/// How far a write has come.
pub(super) struct WriteProgress {
    pub(super) rows: u64,
    /// Rows of the statements that are committed.
    committed_rows: u64,
    fates: Vec<Fate>,
    /// Whether nothing of a statement stays that is not committed, by its place in the plan.
    revocable: Vec<bool>,
    savepoint: String,
    /// Rollbacks of the session before the statement; asked where it may matter.
    rollbacks: Option<u64>,
    /// Each statement is a transaction of its own.
    each_alone: bool,
    /// Whether a statement has run that may have made or changed tables.
    tables_may_differ: bool,
}

impl WriteProgress {
    /// Of statements of which `revocable` says whether they leave nothing unless they are committed.
    pub(super) fn new(revocable: Vec<bool>) -> WriteProgress {
        WriteProgress {
            rows: 0,
            committed_rows: 0,
            fates: Vec::new(),
            revocable,
            savepoint: format!("dbward_{}", hex(&random::<8>())),
            rollbacks: None,
            each_alone: false,
            tables_may_differ: false,
        }
    }

    /// The same where each statement is a transaction of its own.
    pub(super) fn each_alone(revocable: Vec<bool>) -> WriteProgress {
        WriteProgress {
            each_alone: true,
            ..WriteProgress::new(revocable)
        }
    }

    /// Whether something is committed already.
    pub(super) fn has_committed(&self) -> bool {
        self.fates.iter().any(|fate| *fate != Fate::Open)
    }

    /// Marks where the transaction stands, before the next statement.
    pub(super) fn begin(
        &mut self,
        session: &mut Session,
        sql: &str,
        watch: &MySqlDeadline,
    ) -> Result<(), MySqlStop> {
        // A statement before it may have made the table, or given it an engine that cannot roll back.
        let at = self.fates.len();
        if self.tables_may_differ && at < self.revocable.len() {
            let again = revocable(session, &[sql.to_owned()], watch)?;
            self.revocable[at] = again.first() == Some(&true);
        }
        self.tables_may_differ |= ending(sql) != Ending::Never;
        if !self.each_alone {
            self.rollbacks = match ending(sql) {
                Ending::Either => Some(rollbacks(session, watch)?),
                _ => None,
            };
            set_savepoint(session, &self.savepoint, watch)?;
        }
        self.fates.push(Fate::Open);
        Ok(())
    }

    /// Notes what became of the transaction by the statement that was begun last; `worked` if it did.
    ///
    /// # Errors
    /// The statement has ended the transaction, and nobody can tell whether by committing it.
    pub(super) fn end(
        &mut self,
        session: &mut Session,
        sql: &str,
        worked: bool,
        watch: &MySqlDeadline,
    ) -> Result<(), MySqlStop> {
        if self.each_alone {
            return self.ended_alone(sql, worked);
        }
        let ending = ending(sql);
        let there = is_there(session, &self.savepoint);
        // What never ends a transaction loses it only as a whole: by a deadlock, or with the session.
        if there == Some(true) || ending == Ending::Never {
            return Ok(());
        }
        let certain = match ending {
            Ending::Commits => worked || there.is_some(),
            _ => {
                there.is_some()
                    && self.rollbacks.is_some()
                    && rollbacks(session, watch).ok() == self.rollbacks
            }
        };
        let others = self.settle(certain);
        if certain {
            self.committed_rows = self.rows;
        }
        let fate = match ending {
            _ if !certain => Fate::Unsure,
            Ending::Commits if worked => Fate::Committed,
            Ending::Commits if may_stop_halfway(sql) => Fate::Unsure,
            Ending::Commits => Fate::Open,
            _ if worked && nothing_is_open(session, watch) => Fate::Committed,
            _ => Fate::CommittedInPart,
        };
        if let Some(last) = self.fates.last_mut() {
            *last = fate;
        }
        match worked && !certain && others {
            true => Err(MySqlStop::Failed(
                "the statement ended the transaction, by a COMMIT or a ROLLBACK of its own"
                    .to_owned(),
            )),
            false => Ok(()),
        }
    }

    /// Notes that everything before the last statement is committed, or that nobody knows; whether there was anything.
    fn settle(&mut self, certain: bool) -> bool {
        let before = self.fates.len().saturating_sub(1);
        let open = |fate: &&mut Fate| matches!(fate, Fate::Open | Fate::CommittedInPart);
        let mut any = false;
        for fate in self.fates.iter_mut().take(before).filter(open) {
            any = true;
            *fate = match certain {
                true => Fate::Committed,
                false => Fate::Unsure,
            };
        }
        any
    }

    fn ended_alone(&mut self, sql: &str, worked: bool) -> Result<(), MySqlStop> {
        let at = self.fates.len().saturating_sub(1);
        let revocable = self.revocable.get(at).copied().unwrap_or(false);
        let nothing = revocable || (ending(sql) == Ending::Commits && !may_stop_halfway(sql));
        if let Some(last) = self.fates.last_mut() {
            *last = match worked {
                true => Fate::Committed,
                false if nothing => Fate::Open,
                false => Fate::Unsure,
            };
        }
        if worked {
            self.committed_rows = self.rows;
        }
        Ok(())
    }

    /// Rolls back, and says what that could not undo.
    pub(super) fn undone(
        mut self,
        session: &mut Session,
        stop: MySqlStop,
        watch: &MySqlDeadline,
    ) -> RunOutcome {
        let why = watch.why(stop);
        let stays = match rolled_back(session, watch) {
            Some(stays) => stays,
            // Over a session that is gone the server rolls back what its engines can.
            None => {
                for (n, fate) in self.fates.iter_mut().enumerate() {
                    let open = matches!(fate, Fate::Open | Fate::CommittedInPart);
                    if open && !self.revocable.get(n).copied().unwrap_or(false) {
                        *fate = Fate::Unsure;
                    }
                }
                false
            }
        };
        self.outcome(&why, stays)
    }

    /// `stays` where the rollback has left changes to tables that cannot roll back.
    fn outcome(&self, why: &str, stays: bool) -> RunOutcome {
        let of = |wanted: Fate| -> Vec<usize> {
            let all = self.fates.iter().enumerate();
            all.filter(|(_, fate)| **fate == wanted)
                .map(|(n, _)| n + 1)
                .collect()
        };
        let mut message = why.to_owned();
        let committed = of(Fate::Committed);
        if !committed.is_empty() {
            let verb = if committed.len() == 1 {
                "stays"
            } else {
                "stay"
            };
            message.push_str(&format!(
                "; {} of the plan {verb}, committed on the way ({})",
                listed(&committed),
                counted(self.committed_rows, "row")
            ));
        }
        let in_part = of(Fate::CommittedInPart);
        if !in_part.is_empty() {
            message.push_str(&format!("; of {} a part is committed", listed(&in_part)));
        }
        let unsure = of(Fate::Unsure);
        if !unsure.is_empty() {
            let verb = if unsure.len() == 1 { "stays" } else { "stay" };
            message.push_str(&format!(
                "; whether {} of the plan {verb}, nobody can tell",
                listed(&unsure)
            ));
        }
        if stays {
            message
                .push_str("; changes to tables that cannot roll back stay (MyISAM and the like)");
        }
        let left = !committed.is_empty() || !in_part.is_empty() || stays;
        match (unsure.is_empty(), left) {
            (false, _) => RunOutcome::failure(message, JobEffect::Unknown),
            (true, true) => RunOutcome::failure(message, JobEffect::Partial),
            (true, false) => RunOutcome::failed(format!("{message}; rolled back")),
        }
    }
}

/// `statement 2`, `statements 1 to 3`, `statements 1, 3`
fn listed(numbers: &[usize]) -> String {
    match numbers {
        [one] => format!("statement {one}"),
        [first, .., last] if last - first + 1 == numbers.len() => {
            format!("statements {first} to {last}")
        }
        more => {
            let all: Vec<String> = more.iter().map(usize::to_string).collect();
            format!("statements {}", all.join(", "))
        }
    }
}

/// Marks the transaction that is open.
pub(super) fn set_savepoint(
    session: &mut Session,
    savepoint: &str,
    watch: &MySqlDeadline,
) -> Result<(), MySqlStop> {
    session.own(&format!("SAVEPOINT {savepoint}"), watch)
}

/// Whether the savepoint is there, which it is no longer afterwards; `None` where the database does not say.
pub(super) fn is_there(session: &mut Session, savepoint: &str) -> Option<bool> {
    let release = format!("RELEASE SAVEPOINT {savepoint}");
    // An interruption that was meant for the statement before may come to the first one instead.
    for _ in 0..2 {
        match session.conn.query_drop(&release) {
            Ok(()) => return Some(true),
            Err(Error::MySqlError(e)) if e.code == NO_SAVEPOINT => return Some(false),
            Err(_) => {}
        }
    }
    None
}

/// Whether the database says that no transaction is open; MySQL does not say.
fn nothing_is_open(session: &mut Session, watch: &MySqlDeadline) -> bool {
    let question = session.kind.asks_for_transaction();
    let asked = question.and_then(|sql| session.ask(sql, watch).ok());
    let flag = asked.and_then(|rows| rows.into_iter().flatten().flatten().next());
    flag.as_deref() == Some("0")
}

/// How often the engines have rolled something back for this session.
fn rollbacks(session: &mut Session, watch: &MySqlDeadline) -> Result<u64, MySqlStop> {
    let rows = session.ask("SHOW SESSION STATUS LIKE 'Handler_rollback'", watch)?;
    let count = rows.into_iter().flatten().flatten().nth(1);
    count
        .and_then(|count| count.parse().ok())
        .ok_or_else(|| MySqlStop::Failed("the database does not count its rollbacks".to_owned()))
}

/// Rolls back; whether changes stay that could not be. `None` where the session is gone.
pub(super) fn rolled_back(session: &mut Session, watch: &MySqlDeadline) -> Option<bool> {
    // A plan may have turned warnings off, its time may be up, and its end may come to the first statement after it.
    let heard = session.kind.listens_again();
    if session.conn.query_drop(heard).is_err() {
        session.conn.query_drop(heard).ok()?;
    }
    session.conn.query_drop("ROLLBACK").ok()?;
    let warnings = session.ask(WARNINGS, watch).ok()?;
    let stays =
        |row: &Vec<Option<String>>| row.get(1).and_then(Option::as_deref) == Some(NOT_ROLLED_BACK);
    Some(warnings.iter().any(stays))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(fates: &[Fate], stays: bool) -> (String, JobEffect) {
        let mut progress = WriteProgress::new(Vec::new());
        progress.fates = fates.to_vec();
        progress.committed_rows = 2;
        match progress.outcome("no", stays) {
            RunOutcome::Failed {
                message, effect, ..
            } => (message, effect),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_outcome_names_what_stays_and_claims_no_more() {
        use Fate::{Committed, CommittedInPart, Open, Unsure};
        for (fates, stays, message, effect) in [
            (&[][..], false, "no; rolled back", JobEffect::RolledBack),
            (
                &[Open, Open],
                false,
                "no; rolled back",
                JobEffect::RolledBack,
            ),
            (
                &[Open],
                true,
                "no; changes to tables that cannot roll back stay (MyISAM and the like)",
                JobEffect::Partial,
            ),
            (
                &[Committed, Open],
                false,
                "no; statement 1 of the plan stays, committed on the way (2 rows)",
                JobEffect::Partial,
            ),
            (
                &[Committed, Committed, CommittedInPart],
                false,
                "no; statements 1 to 2 of the plan stay, committed on the way (2 rows); of statement 3 a part is committed",
                JobEffect::Partial,
            ),
            (
                &[Unsure, Open, Unsure],
                false,
                "no; whether statements 1, 3 of the plan stay, nobody can tell",
                JobEffect::Unknown,
            ),
        ] {
            assert_eq!(outcome(fates, stays), (message.to_owned(), effect));
        }
    }

    #[test]
    fn how_statement_may_end_a_transaction_shows_in_its_words() {
        for (sql, expected) in [
            ("insert into t values (1)", Ending::Never),
            ("/* x */ SELECT 1", Ending::Never),
            ("CREATE TABLE t (a int)", Ending::Commits),
            ("SET PASSWORD = 'x'", Ending::Commits),
            ("SET @a = 1", Ending::Either),
            ("LOAD INDEX INTO CACHE t", Ending::Commits),
            ("LOAD DATA INFILE 'x' INTO TABLE t", Ending::Never),
            ("GRANT SELECT ON t TO a", Ending::Commits),
            ("CALL p()", Ending::Either),
            ("DO f()", Ending::Either),
            ("IF 1 THEN COMMIT; END IF", Ending::Either),
            ("/*!50000 COMMIT */", Ending::Either),
        ] {
            assert_eq!(ending(sql), expected, "{sql}");
        }
        assert!(may_stop_halfway("DROP TABLE a, b") && !may_stop_halfway("DROP TABLE a"));
        assert!(!may_stop_halfway("CREATE TABLE t (a int, b int)"));
    }
}
