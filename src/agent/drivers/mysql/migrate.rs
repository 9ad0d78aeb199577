//! Migrations on MySQL and MariaDB, where DDL commits by itself: a failure says which statements stay.

use super::session::{MySqlDeadline, MySqlStop, Session};
use super::tables::revocable;
use super::transaction::WriteProgress;
use super::{MySql, Write, refuses_commit};
use crate::agent::drivers::migrations::{Failure, MigrationRunner, Step, create_table};
use crate::agent::drivers::rows::Results;
use crate::agent::drivers::{Control, JobEffect, RunOutcome};
use crate::domain::migration::TABLE;
use ::mysql::prelude::Queryable;

/// Where a migration stays and its version is not in the table.
const NOT_RECORDED: &str = "; the version is not recorded, which migrate_repair does";

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

    /// What stays where `stop` came.
    fn left(&self, write: Write, stop: MySqlStop) -> Failure {
        match write.undone(stop, self.watch) {
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

    fn run(
        &mut self,
        step: &Step<'_>,
        returned: &mut Results,
        control: &dyn Control,
    ) -> Result<(), Failure> {
        let (mut session, table) = self.prepared(step).map_err(|stop| self.rolled_back(stop))?;
        // The record is the last of its statements.
        let mut plan: Vec<String> = step.statements.iter().map(|s| s.text.clone()).collect();
        plan.push(step.record_sql(&table));
        let revocable =
            revocable(&mut session, &plan, self.watch).map_err(|stop| self.rolled_back(stop))?;
        let atomic = step.alone && step.transactional && revocable.iter().all(|one| *one);
        control
            .started(Some(&session.name()), atomic)
            .map_err(Failure::rolled_back)?;
        let mut write = Write {
            session,
            progress: match step.transactional {
                true => WriteProgress::new(revocable),
                false => WriteProgress::each_alone(revocable),
            },
            results: std::mem::replace(returned, Results::new(0, 0)),
        };
        for (n, sql) in plan.iter().enumerate() {
            if let Err(stop) = self.driver.step(&mut write, sql, None, self.watch) {
                let unrecorded = n == step.statements.len() && write.progress.has_committed();
                let mut failure = self.left(write, numbered(stop, step, n));
                if unrecorded {
                    failure.message.push_str(NOT_RECORDED);
                }
                return Err(failure);
            }
        }
        let announced = self.watch.look().and_then(|()| match atomic {
            true => control.committing(None, 0).map_err(MySqlStop::Failed),
            false => Ok(()),
        });
        if let Err(stop) = announced
            && step.transactional
        {
            let unrecorded = write.progress.has_committed();
            let mut failure = self.left(write, stop);
            if unrecorded {
                failure.message.push_str(NOT_RECORDED);
            }
            return Err(failure);
        }
        match write.session.conn.query_drop("COMMIT") {
            Ok(()) => {
                *returned = write.results;
                Ok(())
            }
            Err(e) if refuses_commit(&e) && step.transactional => {
                let stop = self.watch.stop(e);
                Err(self.left(write, stop))
            }
            Err(e) => Err(Failure {
                message: format!(
                    "{} while committing; it may or may not have taken effect",
                    self.watch.why(self.watch.stop(e))
                ),
                detail: None,
                effect: JobEffect::Unknown,
            }),
        }
    }
}
