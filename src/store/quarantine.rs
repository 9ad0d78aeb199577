//! A state whose live rows are not those of the signed head: which rows differ, as far as the audit log can say, and the
//! start that goes on without them.
//!
//! The walk compares the live rows with their events. Where it finds none in a table that differs, or where events do
//! not say all of a row, every row that may be one is treated as if it were.

use super::live::open::OPEN_STATUSES;
use super::live::{LiveState, columns, rebase};
use super::query::{RunStatement, first};
use super::state_file::differs;
use super::verify::{
    Differences, RequestScope, RowDifference, RowOwner, last_purge, missing_requests, rows_differ,
};
use super::{AuditKeys, log_event, write_baseline};
use crate::clock::Timestamp;
use crate::domain::change::{LogChange, QuarantineSummary, Quarantined};
use crate::error::{Error, counted};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::collections::{BTreeMap, BTreeSet};

/// Rows that the walk names; with more, all are treated as if they differed.
const DIFFERENCES_MAX: usize = 100_000;
/// Rows that the refusal of a start names.
const SHOWN_MAX: usize = 5;

/// Why a row is treated as one that differs.
const MAY_DIFFER: &str = "which rows differ, the log does not show";
/// The same for the tokens of a person.
const OF_PERSON: &str = "its person differs";

/// What the walk found.
struct Damage {
    /// Tables whose rows are not those of the head.
    tables: Vec<String>,
    /// Rows of these tables that are not what their events say.
    rows: Vec<RowDifference>,
    /// Tables in which other rows may differ too.
    untold: BTreeSet<&'static str>,
    /// Up to this number there may be no events any more.
    bound: i64,
}

impl Damage {
    fn find(connection: &Connection, tables: &[String]) -> Result<Damage, Error> {
        let bound = last_purge(connection)?.map_or(0, |p| p.bound_seq);
        let mut differences = Differences::up_to(DIFFERENCES_MAX);
        missing_requests(connection, bound, &mut differences)?;
        rows_differ(connection, bound, RequestScope::Open, &mut differences)?;
        let overflows = differences.found.len() >= DIFFERENCES_MAX;
        let mut rows = differences.found;
        rows.retain(|row| tables.iter().any(|table| table == row.table));
        let frozen = any_frozen(connection)?;
        let mut untold = BTreeSet::new();
        for table in columns::TABLES {
            if !tables.iter().any(|name| name == table.name) {
                continue;
            }
            let shown = rows.iter().any(|row| row.table == table.name);
            let complete = match table.name {
                // Of what is frozen nothing is compared: what differs may be theirs.
                "requests" | "request_texts" | "request_approvers" | "approvals" => shown || frozen,
                "tokens" | "users" => shown && bound == 0,
                _ => false,
            };
            if overflows || !complete {
                untold.insert(table.name);
            }
        }
        Ok(Damage {
            tables: tables.to_vec(),
            rows,
            untold,
            bound,
        })
    }

    /// In one line: the rows and columns that differ, and the tables of which the log shows none.
    fn sentence(&self) -> String {
        let mut parts: Vec<String> = self
            .rows
            .iter()
            .take(SHOWN_MAX)
            .map(ToString::to_string)
            .collect();
        if self.rows.len() > SHOWN_MAX {
            parts.push(format!("{} more", self.rows.len() - SHOWN_MAX));
        }
        let tables = self.tables.iter();
        let unnamed: Vec<&str> = tables
            .filter(|table| self.rows.iter().all(|row| row.table != table.as_str()))
            .map(String::as_str)
            .collect();
        if !unnamed.is_empty() {
            parts.push(format!(
                "which rows of {}, the audit log does not say",
                unnamed.join(", ")
            ));
        }
        parts.join("; ")
    }

    /// The columns of an owner's rows that differ.
    fn differs(&self, owner: &RowOwner) -> String {
        let rows = self.rows.iter().filter(|row| row.owner == *owner);
        let parts: Vec<String> = rows
            .map(|row| match row.columns.as_slice() {
                [] if row.missing => format!("{} (missing)", row.table),
                [] => row.table.to_owned(),
                columns => format!("{} ({})", row.table, columns.join(", ")),
            })
            .collect();
        parts.join("; ")
    }
}

/// Whether any request was found to be corrupt before.
fn any_frozen(connection: &Connection) -> Result<bool, Error> {
    connection.one(
        "SELECT EXISTS (SELECT 1 FROM audit_events WHERE event_type = 'request.corrupt')",
        [],
        first,
    )
}

/// The refusal of a state whose rows in these tables are not those of the signed head.
pub(super) fn refusal(connection: &Connection, tables: &[String]) -> Error {
    let names = tables.join(", ");
    let what = match Damage::find(connection, tables) {
        Ok(damage) => format!(": {}", damage.sentence()),
        // A file of an older version, which this one cannot read before it is migrated.
        Err(error) => {
            log::debug!("which rows differ is not known: {error}");
            String::new()
        }
    };
    differs(format!("rows of {names} are not those of the signed head{what}")).hint(
        "restore the state directory from a backup; where there is none, start once with --quarantine, which freezes \
         these requests, revokes these tokens, suspends these people, and is audited",
    )
}

/// Takes everything out of effect that is not, or may not be, what the signed head covers; afterwards a new head does. Inside
/// the transaction that is open.
///
/// # Errors
/// When the rows cannot be read or written; then the transaction must be rolled back.
pub(super) fn quarantine(
    connection: &Connection,
    keys: &AuditKeys,
    live: &LiveState,
    tables: &[String],
    now: Timestamp,
) -> Result<(), Error> {
    let guards = |on: bool| -> Result<(), Error> {
        let off = if on { "OFF" } else { "ON" };
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, on)?;
        let pragma = format!("PRAGMA ignore_check_constraints = {off}");
        connection.execute_batch(&pragma)?;
        Ok(())
    };
    let done = guards(false).and_then(|()| isolate(connection, keys, live, tables, now));
    guards(true)?;
    let summary = done?;
    log::error!(
        "quarantine: {} frozen, {} revoked, {} suspended, because rows of {} were changed while \
         no server ran; the audit log names them",
        counted(summary.requests.len(), "request"),
        counted(summary.tokens.len(), "token"),
        counted(summary.people.len(), "subject"),
        tables.join(", ")
    );
    Ok(())
}

fn isolate(
    connection: &Connection,
    keys: &AuditKeys,
    live: &LiveState,
    tables: &[String],
    now: Timestamp,
) -> Result<QuarantineSummary, Error> {
    let damage = Damage::find(connection, tables)?;
    let (mut steps, summary) = steps(connection, &damage)?;
    steps.push(Quarantined::State(summary.clone()));
    for step in steps {
        log_event(connection, keys, LogChange::Quarantined(step), now)?;
    }
    rebase(connection, live)?;
    write_baseline(connection, keys, live, now)?;
    Ok(summary)
}

/// Everything to do, and its summary.
fn steps(
    connection: &Connection,
    damage: &Damage,
) -> Result<(Vec<Quarantined>, QuarantineSummary), Error> {
    let mut taken = Taken::default();
    for row in &damage.rows {
        let differs = damage.differs(&row.owner);
        let (into, id) = match &row.owner {
            RowOwner::Request(id) => (&mut taken.requests, id),
            RowOwner::Token(id) => (&mut taken.tokens, id),
            RowOwner::Person(id) => (&mut taken.people, id),
        };
        into.insert(id.clone(), (differs, row.missing));
    }
    for table in &damage.untold {
        taken.all_of(connection, table, damage.bound)?;
    }
    taken.tokens_of_people(connection)?;
    let summary = QuarantineSummary {
        tables: damage.tables.clone(),
        requests: taken.requests.keys().cloned().collect(),
        tokens: taken.tokens.keys().cloned().collect(),
        people: taken.people.keys().cloned().collect(),
        given_up: taken.given_up,
    };
    let requests = taken.requests.into_iter();
    let requests = requests.map(|(id, (differs, _))| Quarantined::Request { id, differs });
    let tokens = taken.tokens.into_iter();
    let tokens = tokens.map(|(id, (differs, missing))| Quarantined::Token {
        id,
        differs,
        missing,
    });
    let people = taken.people.into_iter();
    let people = people.map(|(id, (differs, missing))| Quarantined::Person {
        id,
        differs,
        missing,
    });
    Ok((requests.chain(tokens).chain(people).collect(), summary))
}

/// By id, why a row is taken out of effect, and whether it is missing.
type TakenRows = BTreeMap<String, (String, bool)>;

/// What is taken out of effect.
#[derive(Default)]
struct Taken {
    requests: TakenRows,
    tokens: TakenRows,
    people: TakenRows,
    given_up: BTreeSet<&'static str>,
}

impl Taken {
    /// Every row of a table that may be one that differs.
    fn all_of(
        &mut self,
        connection: &Connection,
        table: &'static str,
        bound: i64,
    ) -> Result<(), Error> {
        match table {
            "outbox" | "schema_snapshots" | "stated_dialects" | "reported_dialects"
            | "sessions" => {
                self.given_up.insert(table);
            }
            "tokens" => {
                // Those whose creation the log still has were compared by the walk.
                let all = connection.list(
                    "SELECT id FROM tokens WHERE audit_seq <= ?1 OR ?1 = 0 OR NOT EXISTS (SELECT 1 FROM audit_events \
                     WHERE event_type = 'token.created' AND resource_id = tokens.id)",
                    [bound],
                    first,
                )?;
                add(&mut self.tokens, all, MAY_DIFFER);
            }
            "users" => {
                let all = connection.list("SELECT id FROM users", [], first)?;
                add(&mut self.people, all, MAY_DIFFER);
            }
            _ => add(
                &mut self.requests,
                with_rows(connection, table)?,
                MAY_DIFFER,
            ),
        }
        Ok(())
    }

    /// As with every suspension, a person's tokens end.
    fn tokens_of_people(&mut self, connection: &Connection) -> Result<(), Error> {
        for id in self.people.keys() {
            let of = connection.list(
                "SELECT id FROM tokens WHERE subject_id = ?1 AND revoked_at_ms IS NULL",
                [id],
                first,
            )?;
            add(&mut self.tokens, of, OF_PERSON);
        }
        Ok(())
    }
}

fn add(into: &mut TakenRows, ids: Vec<String>, why: &str) {
    for id in ids {
        into.entry(id).or_insert_with(|| (why.to_owned(), false));
    }
}

/// Open requests that have rows in a table.
fn with_rows(connection: &Connection, table: &str) -> Result<Vec<String>, Error> {
    let sql = format!(
        "SELECT r.id FROM requests r WHERE r.corrupt_seq IS NULL AND r.status IN ({OPEN_STATUSES}) AND CASE ?1 \
         WHEN 'request_texts' THEN EXISTS (SELECT 1 FROM request_texts t WHERE t.request_seq = r.seq) \
         WHEN 'request_contexts' THEN EXISTS (SELECT 1 FROM request_contexts t WHERE t.request_seq = r.seq) \
         WHEN 'request_approvers' THEN EXISTS (SELECT 1 FROM request_approvers t WHERE t.request_seq = r.seq) \
         WHEN 'approvals' THEN EXISTS (SELECT 1 FROM approvals t WHERE t.request_seq = r.seq) \
         WHEN 'executions' THEN EXISTS (SELECT 1 FROM executions t WHERE t.request_seq = r.seq) \
         WHEN 'results' THEN EXISTS (SELECT 1 FROM results t WHERE t.request_seq = r.seq) \
         WHEN 'rehearsals' THEN EXISTS (SELECT 1 FROM rehearsals t WHERE t.request_seq = r.seq) \
         WHEN 'dry_run_jobs' THEN EXISTS (SELECT 1 FROM dry_run_jobs t WHERE t.request_seq = r.seq) \
         ELSE 1 END"
    );
    connection.list(&sql, [table], first)
}
