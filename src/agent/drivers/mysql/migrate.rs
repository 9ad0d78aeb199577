//! Migrations on MySQL and MariaDB, where DDL commits by itself: a failure says which statements stay.

use super::session::{MySqlDeadline, MySqlStop, Session};
use super::{MySql, Progress, commits, one_statement, query, undone};
use crate::agent::drivers::migrations::{Failure, MigrationRunner, Step, create_table};
use crate::agent::drivers::{Control, JobEffect, RunOutcome};
use crate::domain::migration::TABLE;

pub(super) struct MySqlMigrations<'a> {
    pub driver: &'a MySql,
    pub watch: &'a MySqlDeadline,
}

impl MySqlMigrations<'_> {
    fn rolled_back(&self, stop: MySqlStop) -> Failure {
        Failure::rolled_back(self.watch.why(stop))
    }

    /// The table of versions with its database, whatever a migration uses.
    fn table(&self, session: &mut Session) -> Result<String, MySqlStop> {
        let found = session.ask("SELECT DATABASE()", self.watch)?;
        let name = found
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next());
        let name = name
            .flatten()
            .ok_or_else(|| MySqlStop::Failed("the connection has no database".to_owned()))?;
        Ok(format!("`{}`.{TABLE}", name.replace('`', "``")))
    }

    fn prepared(&self, step: &Step<'_>) -> Result<(Session, String), MySqlStop> {
        let mut session = self.driver.open(self.watch, false)?;
        let table = self.table(&mut session)?;
        session.own(&create_table(&table), self.watch)?;
        if !step.transactional {
            session.own("SET SESSION autocommit = 1", self.watch)?;
        }
        Ok((session, table))
    }

    fn statement(&self, session: &mut Session, sql: &str) -> Result<(), MySqlStop> {
        self.watch.look()?;
        self.driver.limit_time(session, self.watch)?;
        one_statement(session, sql, self.watch)?;
        query(session, sql, None, self.watch).map(|_| ())
    }

    /// What stays where `stop` came after `progress`.
    fn left(&self, session: &mut Session, stop: MySqlStop, progress: &Progress) -> Failure {
        match undone(session, stop, self.watch, progress) {
            RunOutcome::Failed {
                message,
                effect,
                detail,
                ..
            } => Failure {
                message,
                detail,
                effect,
            },
            _ => Failure::rolled_back(String::new()),
        }
    }
}

fn numbered(stop: MySqlStop, step: &Step<'_>, n: usize) -> MySqlStop {
    match stop {
        MySqlStop::Failed(message) => MySqlStop::Failed(step.numbered(n, &message)),
        stop => stop,
    }
}

impl MigrationRunner for MySqlMigrations<'_> {
    fn recorded(&mut self) -> Result<Vec<String>, Failure> {
        let asked = || -> Result<Vec<String>, MySqlStop> {
            let mut session = self.driver.open(self.watch, true)?;
            let there = session.ask(
                &format!(
                    "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
                     AND TABLE_NAME = '{TABLE}'"
                ),
                self.watch,
            )?;
            let text = |rows: Vec<Vec<Option<String>>>| -> Vec<String> {
                let first = |row: Vec<Option<String>>| row.into_iter().next().flatten();
                rows.into_iter().filter_map(first).collect()
            };
            if text(there) == ["0"] {
                return Ok(Vec::new());
            }
            let found = session.ask(
                &format!("SELECT version FROM {TABLE} ORDER BY version"),
                self.watch,
            )?;
            Ok(text(found))
        };
        asked().map_err(|stop| self.rolled_back(stop))
    }

    fn run(&mut self, step: &Step<'_>, control: &dyn Control) -> Result<(), Failure> {
        let (mut session, table) = self.prepared(step).map_err(|stop| self.rolled_back(stop))?;
        let ddl = |sql: &str| !step.transactional || commits(sql);
        let atomic = step.alone && !step.statements.iter().any(|s| ddl(&s.text));
        control
            .started(Some(&session.id), atomic)
            .map_err(Failure::rolled_back)?;
        let mut progress = Progress::default();
        for (n, statement) in step.statements.iter().enumerate() {
            let ran = self.statement(&mut session, &statement.text);
            if let Err(stop) = ran {
                // What commits by itself has committed what came before, also where it failed.
                let open = session.in_transaction(self.watch).unwrap_or(false);
                if commits(&statement.text) && !open {
                    progress.committed = n;
                }
                return Err(self.left(&mut session, numbered(stop, step, n), &progress));
            }
            if ddl(&statement.text) {
                progress.committed = n + 1;
            }
        }
        let recorded = session
            .own(&step.record_sql(&table), self.watch)
            .and_then(|()| {
                self.watch.look()?;
                match atomic {
                    true => control.committing(None, 0).map_err(MySqlStop::Failed),
                    false => Ok(()),
                }
            });
        if let Err(stop) = recorded {
            let mut failure = self.left(&mut session, stop, &progress);
            if progress.committed > 0 {
                failure
                    .message
                    .push_str("; the version is not recorded, which migrate_repair does");
            }
            return Err(failure);
        }
        session.own("COMMIT", self.watch).map_err(|stop| Failure {
            message: format!(
                "{} while committing; it may or may not have taken effect",
                self.watch.why(stop)
            ),
            detail: None,
            effect: JobEffect::Unknown,
        })
    }
}
