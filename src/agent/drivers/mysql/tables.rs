//! What the database says of tables that a write names: whether their engine can roll back, which triggers they have,
//! which keys pass their changes on. What it does not let the agent's user see counts as unknown.

use super::calls::first_unknown;
use super::grants::Grants;
use super::names::named;
use super::session::{MySqlDeadline, MySqlStop, Session};
use super::views;
use crate::agent::drivers::guard;
use crate::domain::dialect::Dialect;
use crate::domain::sql::only_computes;
use std::collections::BTreeMap;

/// A table that a statement names.
#[derive(Debug, Clone)]
pub(super) struct TableFacts {
    /// Whether it is a table, and one whose engine can roll back.
    pub transactional: bool,
    /// Whether all its triggers can be seen.
    pub triggers_visible: bool,
    /// The bodies of those that can be seen.
    pub triggers: Vec<String>,
}

/// The keys that point to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeysToIt {
    /// None of them passes a change of its rows on.
    Keep,
    /// One of them passes a change of its rows on.
    PassOn,
    /// Those that can be seen pass nothing on; others may be there.
    Hidden,
}

/// Tables that were asked about, by the name in the statement.
#[derive(Default)]
pub(super) struct KnownTables {
    grants: Option<Grants>,
    known: BTreeMap<String, TableFacts>,
}

impl KnownTables {
    /// What is known of `table`, a name as the analysis gives it: `schema.table` or `table`.
    pub(super) fn facts(
        &mut self,
        session: &mut Session,
        table: &str,
        watch: &MySqlDeadline,
    ) -> Result<TableFacts, MySqlStop> {
        if let Some(facts) = self.known.get(table) {
            return Ok(facts.clone());
        }
        let grants = grants_of(&mut self.grants, session, watch)?;
        let facts = ask(session, grants, table, watch)?;
        self.known.insert(table.to_owned(), facts.clone());
        Ok(facts)
    }

    /// What the keys that point to `table` do. Only a bound on rows needs to know: the question may have to look at every
    /// table of the server, and waits for those that somebody is making or changing.
    pub(super) fn keys_to(
        &mut self,
        session: &mut Session,
        table: &str,
        watch: &MySqlDeadline,
    ) -> Result<KeysToIt, MySqlStop> {
        let grants = grants_of(&mut self.grants, session, watch)?;
        keys(session, grants, table, watch)
    }
}

/// The grants of the session, asked for once.
fn grants_of<'a>(
    known: &'a mut Option<Grants>,
    session: &mut Session,
    watch: &MySqlDeadline,
) -> Result<&'a Grants, MySqlStop> {
    let grants = match known.take() {
        Some(grants) => grants,
        None => {
            let rows = session.ask("SHOW GRANTS", watch)?;
            Grants::read(rows.into_iter().flatten().flatten())
        }
    };
    Ok(known.insert(grants))
}

fn ask(
    session: &mut Session,
    grants: &Grants,
    table: &str,
    watch: &MySqlDeadline,
) -> Result<TableFacts, MySqlStop> {
    let (schema, name) = named(table);
    let place = session.ask(&format!("SELECT {schema}, {name}"), watch)?;
    let mut place = place.into_iter().flatten().map(Option::unwrap_or_default);
    let (in_schema, bare) = (
        place.next().unwrap_or_default(),
        place.next().unwrap_or_default(),
    );
    // Names that differ by case only are several tables on some systems: then every one has to be as it should.
    let counted = session.ask(
        &format!(
            "SELECT COUNT(*), COALESCE(SUM(COALESCE(ENGINE IN \
             (SELECT ENGINE FROM information_schema.ENGINES WHERE TRANSACTIONS = 'YES'), 0)), 0) \
             FROM information_schema.TABLES WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME = {name}"
        ),
        watch,
    )?;
    let mut counted = counted.into_iter().flatten().map(Option::unwrap_or_default);
    let (all, able) = (
        counted.next().unwrap_or_default(),
        counted.next().unwrap_or_default(),
    );
    let triggers = session.ask(
        &format!(
            "SELECT ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = {schema} \
             AND EVENT_OBJECT_TABLE = {name}"
        ),
        watch,
    )?;
    Ok(TableFacts {
        transactional: all != "0" && all == able,
        triggers_visible: grants.holds("TRIGGER", &in_schema, &bare),
        triggers: triggers
            .into_iter()
            .map(|row| row.into_iter().next().flatten().unwrap_or_default())
            .collect(),
    })
}

/// What the keys that point to `table` do. Who may ask the engine needs no other answer where it knows none; otherwise
/// every table of the server is opened, and those of other schemas are seen only by who may see every table.
fn keys(
    session: &mut Session,
    grants: &Grants,
    table: &str,
    watch: &MySqlDeadline,
) -> Result<KeysToIt, MySqlStop> {
    let (schema, name) = named(table);
    let asks_engine = grants.holds_everywhere("PROCESS");
    if asks_engine {
        let catalogue = session.kind.engine_keys();
        // The engine encodes other characters than these; then any key to such a name could be one to this table.
        let found = session.ask(
            &format!(
                "SELECT COUNT(*) FROM {catalogue} WHERE TYPE & 15 AND (REF_NAME = CONCAT({schema}, '/', {name}) \
                 OR CONCAT({schema}, {name}) REGEXP '[^0-9A-Za-z_]' AND REF_NAME LIKE '%@%')"
            ),
            watch,
        )?;
        if is_zero(found) {
            return Ok(KeysToIt::Keep);
        }
    }
    let seen = session.ask(
        &format!(
            "SELECT COUNT(*) FROM information_schema.REFERENTIAL_CONSTRAINTS \
             WHERE UNIQUE_CONSTRAINT_SCHEMA = {schema} AND REFERENCED_TABLE_NAME = {name} \
             AND (DELETE_RULE NOT IN ('RESTRICT', 'NO ACTION') OR UPDATE_RULE NOT IN ('RESTRICT', 'NO ACTION'))"
        ),
        watch,
    )?;
    Ok(if !is_zero(seen) {
        KeysToIt::PassOn
    } else if grants.holds_everywhere("SELECT") {
        KeysToIt::Keep
    } else if asks_engine {
        KeysToIt::PassOn
    } else {
        KeysToIt::Hidden
    })
}

fn is_zero(count: Vec<Vec<Option<String>>>) -> bool {
    count.into_iter().flatten().flatten().next().as_deref() == Some("0")
}

/// Whether nothing of each statement stays that is not committed: it reads, or it is a plain write of tables whose
/// engines can roll back, as the database says, and nothing that it sets off writes into others.
pub(super) fn revocable(
    session: &mut Session,
    plan: &[String],
    watch: &MySqlDeadline,
) -> Result<Vec<bool>, MySqlStop> {
    let mut tables = KnownTables::default();
    let mut all = Vec::with_capacity(plan.len());
    let readings = guard::readings(plan, Dialect::MySql);
    for (sql, reading) in plan.iter().zip(readings) {
        let plain = reading.filter(|one| {
            one.plain && (one.reads || ["insert", "update", "delete", "select"].contains(&one.kind))
        });
        let mut leaves_nothing = match &plain {
            Some(one) => first_unknown(session, sql, one, watch)?.is_none(),
            None => false,
        };
        for one in plain.iter().filter(|one| one.reads) {
            leaves_nothing &= views::only_compute(session, &one.tables, watch)?;
        }
        let writes = plain
            .iter()
            .filter(|one| ["insert", "update", "delete"].contains(&one.kind));
        for table in writes.flat_map(|one| &one.tables) {
            let facts = tables.facts(session, table, watch)?;
            leaves_nothing &= facts.transactional
                && facts.triggers_visible
                && facts.triggers.iter().all(|body| computes_alone(body));
        }
        all.push(leaves_nothing);
    }
    Ok(all)
}

/// Whether the body of a trigger does nothing but compute, and reads no table: that could be a view which does more.
fn computes_alone(body: &str) -> bool {
    let words = body.to_ascii_lowercase();
    only_computes(body, Dialect::MySql) && !words.contains("select") && !words.contains("table")
}
