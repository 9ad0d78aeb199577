//! Migrations on PostgreSQL. Each has a connection of its own, so that nothing that one of them sets reaches the next.

use super::alone::Alone;
use super::session::{LEAVE_NOTHING, abandon, renew_limits};
use super::statement::{InvalidIndex, change};
use super::watch::{PgDeadline, PgStop};
use super::wire::{Fault, PgConnection};
use super::{ENDED, Postgres, rows_text};
use crate::agent::drivers::migrations::{Failure, MigrationRunner, Step, create_table};
use crate::agent::drivers::rows::Results;
use crate::agent::drivers::{Cancel, Control, JobEffect};
use crate::domain::migration::TABLE;

pub(super) struct PgMigrations<'a> {
    pub driver: &'a Postgres,
    pub watch: &'a PgDeadline,
}

impl PgMigrations<'_> {
    fn failure(&self, stop: PgStop, effect: JobEffect) -> Failure {
        let hint = match &stop {
            PgStop::Refused(refusal) if refusal.is_of_a_transaction() => {
                "; write `transaction:false` at its marker"
            }
            _ => "",
        };
        let (message, detail) = self.watch.why(stop);
        Failure {
            message: format!("{message}{hint}"),
            detail,
            effect,
        }
    }

    fn rolled_back(&self, stop: PgStop) -> Failure {
        let mut failure = self.failure(stop, JobEffect::RolledBack);
        failure.message.push_str("; rolled back");
        failure
    }

    /// The table of versions with its schema, whatever a migration makes of the search path; `None` if it is missing.
    fn table(conn: &mut PgConnection) -> Result<Option<String>, PgStop> {
        let found = conn.own(&format!(
            "SELECT pg_catalog.quote_ident(n.nspname) || '.{TABLE}' FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = pg_catalog.to_regclass('{TABLE}')"
        ))?;
        Ok(rows_text(found).into_iter().next())
    }

    /// The same, made where it is missing.
    fn ensured_table(conn: &mut PgConnection) -> Result<String, PgStop> {
        if let Some(table) = Self::table(conn)? {
            return Ok(table);
        }
        conn.own(&create_table(TABLE))?;
        Self::table(conn)?.ok_or_else(|| {
            PgStop::Failed(format!(
                "the table `{TABLE}` cannot be found after it was made"
            ))
        })
    }

    /// Everything in one transaction; the effect of a failure is in it.
    fn in_transaction(
        &self,
        step: &Step<'_>,
        returned: &mut Results,
        control: &dyn Control,
    ) -> Result<(), Failure> {
        let opened = self.driver.connect(self.watch).and_then(|mut conn| {
            let session = self.driver.begin(&mut conn, "", self.watch)?;
            Ok((conn, session))
        });
        let (mut conn, session) = opened.map_err(|stop| self.rolled_back(stop))?;
        let all = self.run_all(&mut conn, step, &session, returned, control);
        let mark = match all {
            Ok(mark) => mark,
            Err(stop) => {
                abandon(conn);
                return Err(self.rolled_back(stop));
            }
        };
        match conn.commit() {
            Ok(()) => Ok(()),
            Err(Fault::Refused(refusal)) => Err(self.rolled_back(PgStop::Refused(refusal))),
            Err(fault) => {
                drop(conn);
                match self.driver.settled(mark.as_deref(), &Cancel::new()) {
                    JobEffect::Committed => Ok(()),
                    JobEffect::RolledBack => Err(self.rolled_back(fault.into())),
                    effect => {
                        let mut failure = self.failure(fault.into(), effect);
                        failure
                            .message
                            .push_str(" while committing; it may or may not have taken effect");
                        Err(failure)
                    }
                }
            }
        }
    }

    /// Everything up to COMMIT; the transaction's id.
    fn run_all(
        &self,
        conn: &mut PgConnection,
        step: &Step<'_>,
        session: &str,
        returned: &mut Results,
        control: &dyn Control,
    ) -> Result<Option<String>, PgStop> {
        control
            .started(Some(session), step.alone)
            .map_err(PgStop::Failed)?;
        let table = Self::ensured_table(conn)?;
        for (n, statement) in step.statements.iter().enumerate() {
            self.watch.look()?;
            if n > 0 {
                renew_limits(conn, self.watch)?;
            }
            change(conn, &statement.text, returned).map_err(|stop| numbered(stop, step, n))?;
            if conn.status != b'T' {
                return Err(numbered(PgStop::Failed(ENDED.to_owned()), step, n));
            }
        }
        conn.own(&step.record_sql(&table))?;
        conn.own("SET CONSTRAINTS ALL IMMEDIATE")?;
        // Its result says which version it is.
        let mark = self.driver.mark(conn, true)?;
        conn.own(LEAVE_NOTHING)?;
        self.watch.look()?;
        if step.alone {
            control
                .committing(mark.as_deref(), 0)
                .map_err(PgStop::Failed)?;
        }
        Ok(mark)
    }

    /// Each statement by itself, then the record.
    fn one_by_one(
        &self,
        step: &Step<'_>,
        returned: &mut Results,
        control: &dyn Control,
    ) -> Result<(), Failure> {
        let opened = Alone::open(self.driver, self.watch);
        let mut alone = opened.map_err(|stop| self.rolled_back(stop))?;
        control
            .started(Some(&alone.session), false)
            .map_err(Failure::rolled_back)?;
        for (n, statement) in step.statements.iter().enumerate() {
            if let Err(stop) = alone.run(&statement.text, returned, self.watch) {
                let (effect, left) = alone.left_by(&statement.text);
                return Err(self.left(effect, &left, numbered(stop, step, n), n));
            }
        }
        self.ensure_valid(&mut alone, step)?;
        drop(alone);
        let record = Step {
            version: step.version,
            statements: &[],
            transactional: true,
            record: step.record,
            alone: false,
        };
        self.in_transaction(&record, returned, control).map_err(|failure| Failure {
            message: format!(
                "its statements ran, and the version could not be recorded: {}; migrate_repair does that",
                failure.message
            ),
            effect: JobEffect::Partial,
            ..failure
        })
    }

    /// What statement `n` has come to, which failed with `effect` and left what `left` says, and those before it.
    fn left(&self, effect: JobEffect, left: &str, stop: PgStop, n: usize) -> Failure {
        let mut failure = self.failure(stop, effect);
        failure.message.push_str(left);
        if n > 0 {
            let stay = match n {
                1 => "; statement 1 stays".to_owned(),
                n => format!("; statements 1 to {n} stay"),
            };
            failure.message.push_str(&stay);
            if failure.effect == JobEffect::RolledBack {
                failure.effect = JobEffect::Partial;
            }
        }
        failure
    }

    /// Refuses to record a migration while an index of it is invalid: one that an earlier attempt left is not
    /// built again by `IF NOT EXISTS`.
    fn ensure_valid(&self, alone: &mut Alone, step: &Step<'_>) -> Result<(), Failure> {
        let failed = |stop| self.failure(stop, JobEffect::Unknown);
        let now = alone.invalid().map_err(failed)?;
        let is_bad = |index: &InvalidIndex| {
            step.statements.iter().any(|statement| {
                let sql = &statement.text;
                index.is_named_by(sql) || alone.is_new(index) && index.may_be_of(sql)
            })
        };
        let bad = now.into_iter().filter(is_bad);
        let bad: Vec<String> = bad.map(|index| index.shown).collect();
        match bad.is_empty() {
            true => Ok(()),
            false => Err(Failure {
                message: format!(
                    "an index is invalid: {}; drop it and try again; the version is not recorded",
                    bad.join(", ")
                ),
                detail: None,
                effect: JobEffect::Partial,
            }),
        }
    }
}

fn numbered(stop: PgStop, step: &Step<'_>, n: usize) -> PgStop {
    stop.labelled(step.numbered(n, ""))
}

impl MigrationRunner for PgMigrations<'_> {
    fn recorded(&mut self) -> Result<Vec<String>, Failure> {
        let asked = || -> Result<Vec<String>, PgStop> {
            let mut conn = self.driver.connect(self.watch)?;
            self.driver.begin(&mut conn, "READ ONLY", self.watch)?;
            let Some(table) = Self::table(&mut conn)? else {
                return Ok(Vec::new());
            };
            let found = conn.own(&format!("SELECT version::text FROM {table} ORDER BY 1"))?;
            Ok(rows_text(found))
        };
        asked().map_err(|stop| self.failure(stop, JobEffect::RolledBack))
    }

    fn run(
        &mut self,
        step: &Step<'_>,
        returned: &mut Results,
        control: &dyn Control,
    ) -> Result<(), Failure> {
        match step.transactional {
            true => self.in_transaction(step, returned, control),
            false => self.one_by_one(step, returned, control),
        }
    }
}
