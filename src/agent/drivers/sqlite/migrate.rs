//! Migrations on SQLite.

use super::{EarlyStop, JobDeadline, Sqlite, authorize, rolled_back, write_one};
use crate::agent::drivers::migrations::{Failure, MigrationRunner, Step, create_table};
use crate::agent::drivers::rows::Results;
use crate::agent::drivers::{Control, JobEffect};
use crate::domain::migration::TABLE;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, OptionalExtension};

/// Pragmas that a table is made anew with; they end with the connection.
const PRAGMAS_REBUILDING: [&str; 3] = ["foreign_keys", "defer_foreign_keys", "legacy_alter_table"];

pub(super) struct SqliteMigrations<'a> {
    pub driver: &'a Sqlite,
    pub watch: &'a JobDeadline,
}

fn authorize_migration(asked: AuthContext<'_>) -> Authorization {
    match asked.action {
        AuthAction::Pragma { pragma_name, .. }
            if PRAGMAS_REBUILDING
                .iter()
                .any(|name| pragma_name.eq_ignore_ascii_case(name)) =>
        {
            Authorization::Allow
        }
        _ => authorize(asked),
    }
}

impl SqliteMigrations<'_> {
    fn rolled_back(&self, stop: EarlyStop) -> Failure {
        let (message, detail) = stop.described(self.watch);
        Failure {
            detail,
            ..Failure::rolled_back(message)
        }
    }

    fn opened(&self, step: &Step<'_>, control: &dyn Control) -> Result<Connection, EarlyStop> {
        let mut conn = self.driver.open(true)?;
        control
            .started(None, step.alone && step.transactional)
            .map_err(EarlyStop::Failed)?;
        self.watch.attach(&mut conn)?;
        if step.transactional {
            self.watch.when_unlocked(&conn, "BEGIN IMMEDIATE")?;
        }
        self.watch.when_unlocked(&conn, &create_table(TABLE))?;
        Ok(conn)
    }

    /// Runs the statements; how many did.
    fn statements(
        &self,
        conn: &Connection,
        step: &Step<'_>,
        returned: &mut Results,
    ) -> Result<(), (usize, EarlyStop)> {
        for (n, statement) in step.statements.iter().enumerate() {
            let mut run = || -> Result<(), EarlyStop> {
                if self.watch.over() {
                    return Err(EarlyStop::Interrupted);
                }
                write_one(conn, &statement.text, returned).map(|_| ())
            };
            run().map_err(|stop| (n, stop.reworded(|text| step.numbered(n, text))))?;
        }
        Ok(())
    }

    fn finish(
        &self,
        conn: &Connection,
        step: &Step<'_>,
        control: &dyn Control,
    ) -> Result<(), EarlyStop> {
        self.watch.when_unlocked(conn, &step.record_sql(TABLE))?;
        if step.alone && step.transactional {
            control.committing(None, 0).map_err(EarlyStop::Failed)?;
        }
        match step.transactional {
            true => self.watch.when_unlocked(conn, "COMMIT"),
            false => Ok(()),
        }
    }
}

impl MigrationRunner for SqliteMigrations<'_> {
    fn recorded(&mut self) -> Result<Vec<String>, Failure> {
        let asked = || -> Result<Vec<String>, EarlyStop> {
            let conn = self.driver.open(false)?;
            let there = self.watch.unlocked(|| {
                let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
                conn.query_row(sql, [TABLE], |_| Ok(())).optional()
            })?;
            if there.is_none() {
                return Ok(Vec::new());
            }
            let sql = format!("SELECT CAST(version AS TEXT) FROM {TABLE} ORDER BY 1");
            self.watch.unlocked(|| {
                let mut statement = conn.prepare(&sql)?;
                let found = statement.query_map([], |row| row.get(0))?;
                found.collect()
            })
        };
        asked().map_err(|stop| self.rolled_back(stop))
    }

    fn run(
        &mut self,
        step: &Step<'_>,
        returned: &mut Results,
        control: &dyn Control,
    ) -> Result<(), Failure> {
        let conn = self.opened(step, control);
        let mut conn = conn.map_err(|stop| self.rolled_back(stop))?;
        let failed = |e: rusqlite::Error| self.rolled_back(e.into());
        conn.authorizer(Some(authorize_migration)).map_err(failed)?;
        let ran = self.statements(&conn, step, returned);
        // From here on nothing may interrupt, and COMMIT is ours to say.
        conn.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)
            .map_err(failed)?;
        conn.progress_handler(0, None::<fn() -> bool>)
            .map_err(failed)?;
        let done = ran.and_then(|()| {
            let finished = self.finish(&conn, step, control);
            finished.map_err(|stop| (step.statements.len(), stop))
        });
        let Err((n, stop)) = done else {
            return Ok(());
        };
        // A COMMIT that fails and leaves no transaction may have taken effect.
        if step.transactional && n == step.statements.len() && conn.is_autocommit() {
            let (why, detail) = stop.described(self.watch);
            return Err(Failure {
                message: format!("commit failed: {why}; it may or may not have taken effect"),
                detail,
                effect: JobEffect::Unknown,
            });
        }
        if step.transactional {
            return Err(self.rolled_back(rolled_back(&conn, stop, self.watch)));
        }
        let mut failure = self.rolled_back(stop);
        if n > 0 {
            let stay = match n {
                1 => "statement 1 stays".to_owned(),
                n => format!("statements 1 to {n} stay"),
            };
            failure
                .message
                .push_str(&format!("; {stay}; the version is not recorded"));
            failure.effect = JobEffect::Partial;
        }
        Err(failure)
    }
}
