//! Migrations, as far as every kind of database runs them alike: which are pending, in which order, what is reported.
//!
//! The table `schema_migrations` records the versions that were applied, as dbmate keeps it. A migration and its record
//! are one transaction, where its marker and the database let it. No lock outlives a migration: what an agent that is
//! killed leaves is a session that ends.

use super::rows::{Results, push_string};
use super::{Cancel, Control, DriverJob, JobEffect, RunOutcome};
use crate::domain::dialect::Dialect;
use crate::domain::id::Operation;
use crate::domain::migration::{self, Direction, Migration, RepairAction, is_before};
use crate::domain::sql::ScriptStatement;

/// What a result tells where statements of a migration return rows.
const NOT_KEPT: &str = "rows that statements of a migration return are not kept";

/// What becomes of the record of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordChange {
    Add,
    Remove,
}

/// One migration to be run, or none with a record to be changed alone.
pub(super) struct Step<'a> {
    pub version: &'a str,
    pub statements: &'a [ScriptStatement],
    pub transactional: bool,
    pub record: RecordChange,
    /// Whether it is the only one: then nothing stays of a job whose commit was not announced.
    pub alone: bool,
}

impl Step<'_> {
    /// What changes the record in `table`; the version is made of characters that need no escape anywhere.
    pub fn record_sql(&self, table: &str) -> String {
        match self.record {
            RecordChange::Add => {
                format!("INSERT INTO {table} (version) VALUES ('{}')", self.version)
            }
            RecordChange::Remove => {
                format!("DELETE FROM {table} WHERE version = '{}'", self.version)
            }
        }
    }

    /// Which statement it is about, for people.
    pub fn numbered(&self, n: usize, message: &str) -> String {
        match self.statements.get(n) {
            Some(statement) => format!("statement {} at line {}: {message}", n + 1, statement.line),
            None => message.to_owned(),
        }
    }
}

/// Makes the table of versions where it is missing.
pub(super) fn create_table(table: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (version VARCHAR({}) PRIMARY KEY)",
        migration::VERSION_BYTES_MAX
    )
}

/// A step that did not work.
#[derive(Debug)]
pub(super) struct Failure {
    pub message: String,
    pub detail: Option<String>,
    /// What is left of the step.
    pub effect: JobEffect,
}

impl Failure {
    pub fn rolled_back(message: String) -> Failure {
        Failure {
            message,
            detail: None,
            effect: JobEffect::RolledBack,
        }
    }
}

/// What a kind of database does for migrations.
pub(super) trait MigrationRunner {
    /// The versions that are recorded as applied; nothing is written for the question.
    fn recorded(&mut self) -> Result<Vec<String>, Failure>;

    /// Runs a step and changes the record, after [`Control::started`]; announces the commit where the step is alone
    /// and one transaction. What its statements return goes to `returned`, which keeps no row.
    fn run(
        &mut self,
        step: &Step<'_>,
        returned: &mut Results,
        control: &dyn Control,
    ) -> Result<(), Failure>;
}

/// Runs an operation on migrations to its end.
pub(super) fn run(
    job: &DriverJob,
    dialect: Dialect,
    runner: &mut dyn MigrationRunner,
    control: &dyn Control,
) -> RunOutcome {
    let detail = job.plan.first().map_or("", String::as_str);
    if job.max_affected_rows.is_some() {
        return RunOutcome::failed(
            "not run: a number of rows was approved, and migrations are not counted",
        );
    }
    if job.operation == Operation::MigrateStatus {
        return status(runner, control);
    }
    if job.operation == Operation::MigrateRepair {
        return repair(detail, runner, control);
    }
    let Some(direction) = Direction::of(job.operation) else {
        return RunOutcome::failed("this agent does not know the operation");
    };
    let plan = match migration::plan(direction, detail, dialect) {
        Ok(plan) => plan,
        Err(error) => return RunOutcome::failed(error.message()),
    };
    let recorded = match runner.recorded() {
        Ok(recorded) => recorded,
        Err(failure) => return failed(failure),
    };
    let pending = pending(&plan, &recorded);
    let (mut done, mut returned): (Vec<&str>, _) = (Vec::new(), Results::new(0, 0));
    for migration in &pending {
        let step = Step {
            version: &migration.version,
            statements: &migration.statements,
            transactional: migration.transactional,
            record: match direction {
                Direction::Up => RecordChange::Add,
                Direction::Down => RecordChange::Remove,
            },
            alone: pending.len() == 1,
        };
        let ran = match stopped(control.cancel()) {
            Some(why) => Err(Failure::rolled_back(why)),
            None => runner.run(&step, &mut returned, control),
        };
        match ran {
            Ok(()) => done.push(&migration.version),
            Err(failure) => return broken_off(failure, direction, &migration.version, &done),
        }
    }
    all_done(direction, &done, &recorded, returned.truncated())
}

/// The outcome where all migrations that were pending worked; `returned` if statements of them returned rows.
fn all_done(
    direction: Direction,
    done: &[&str],
    recorded: &[String],
    returned: bool,
) -> RunOutcome {
    let mut json = list(
        match direction {
            Direction::Up => "applied",
            Direction::Down => "reverted",
        },
        done,
    );
    let late: Vec<&str> = match direction {
        Direction::Up => out_of_order(done, recorded),
        Direction::Down => Vec::new(),
    };
    if !late.is_empty() {
        json.pop();
        json.push(',');
        json.push_str(&list("out_of_order", &late)[1..]);
    }
    if returned {
        json.pop();
        json.push_str(",\"truncated\":true,\"truncation_reason\":");
        push_string(&mut json, NOT_KEPT);
        json.push('}');
    }
    RunOutcome::Migrated {
        json,
        truncated: returned,
    }
}

/// The migrations that are to be run, in order: those not applied yet, or the applied ones from the last on.
fn pending<'p>(plan: &'p migration::MigrationPlan, recorded: &[String]) -> Vec<&'p Migration> {
    let is_recorded = |m: &&Migration| recorded.contains(&m.version);
    let max = plan.max_count.unwrap_or(usize::MAX);
    let all = plan.migrations.iter();
    match plan.direction {
        Direction::Up => all.filter(|m| !is_recorded(m)).take(max).collect(),
        Direction::Down => all.rev().filter(is_recorded).take(max).collect(),
    }
}

/// Versions that were applied although a higher one had been before.
fn out_of_order<'v>(done: &[&'v str], recorded: &[String]) -> Vec<&'v str> {
    let late = |version: &&&str| recorded.iter().any(|other| is_before(version, other));
    done.iter().filter(late).copied().collect()
}

fn stopped(cancel: &Cancel) -> Option<String> {
    cancel.asked().map(|reason| reason.message().to_owned())
}

fn status(runner: &mut dyn MigrationRunner, control: &dyn Control) -> RunOutcome {
    if let Err(why) = control.started(None, true) {
        return RunOutcome::failed(why);
    }
    match runner.recorded() {
        Ok(recorded) => {
            let versions: Vec<&str> = recorded.iter().map(String::as_str).collect();
            RunOutcome::Migrated {
                json: list("applied_versions", &versions),
                truncated: false,
            }
        }
        Err(failure) => failed(failure),
    }
}

fn repair(detail: &str, runner: &mut dyn MigrationRunner, control: &dyn Control) -> RunOutcome {
    let repair = match migration::repair(detail) {
        Ok(repair) => repair,
        Err(why) => return RunOutcome::failed(why),
    };
    let recorded = match runner.recorded() {
        Ok(recorded) => recorded.contains(&repair.version),
        Err(failure) => return failed(failure),
    };
    let record = match (repair.action, recorded) {
        (RepairAction::MarkApplied, false) => RecordChange::Add,
        (RepairAction::Remove, true) => RecordChange::Remove,
        (_, recorded) => {
            let is = if recorded {
                "is recorded already"
            } else {
                "is not recorded"
            };
            return RunOutcome::failed(format!(
                "version `{}` {is}: nothing to repair",
                repair.version
            ));
        }
    };
    let step = Step {
        version: &repair.version,
        statements: &[],
        transactional: true,
        record,
        alone: true,
    };
    match runner.run(&step, &mut Results::new(0, 0), control) {
        Ok(()) => {
            let mut json = format!("{{\"repaired\":\"{}\",\"version\":", repair.action.as_str());
            push_string(&mut json, &repair.version);
            json.push('}');
            RunOutcome::Migrated {
                json,
                truncated: false,
            }
        }
        Err(failure) => failed(failure),
    }
}

fn list(name: &str, versions: &[&str]) -> String {
    let mut json = format!("{{\"{name}\":[");
    for (n, version) in versions.iter().enumerate() {
        if n > 0 {
            json.push(',');
        }
        push_string(&mut json, version);
    }
    json.push_str("]}");
    json
}

fn failed(failure: Failure) -> RunOutcome {
    RunOutcome::failure(failure.message, failure.effect).with_detail(failure.detail)
}

/// The outcome where the migration `version` did not work, after those that did.
fn broken_off(failure: Failure, direction: Direction, version: &str, done: &[&str]) -> RunOutcome {
    let mut message = format!("migration `{version}`: {}", failure.message);
    if !done.is_empty() {
        let word = match direction {
            Direction::Up => "applied",
            Direction::Down => "taken back",
        };
        message.push_str(&format!("; {word} before it and kept: {}", done.join(", ")));
    }
    let effect = match failure.effect {
        JobEffect::RolledBack if !done.is_empty() => JobEffect::Partial,
        effect => effect,
    };
    let mut outcome = RunOutcome::failure(message, effect).with_detail(failure.detail);
    if let RunOutcome::Failed { message, json, .. } = &mut outcome
        && effect != JobEffect::RolledBack
    {
        let name = match direction {
            Direction::Up => "applied_before_failure",
            Direction::Down => "reverted_before_failure",
        };
        let mut text = list(name, done);
        text.pop();
        text.push_str(",\"error\":");
        push_string(&mut text, message);
        text.push('}');
        *json = Some(text);
    }
    outcome
}
