//! What an agent reported of a database's tables, as far as risk looks at it.

use crate::domain::dialect::Dialect;
use crate::domain::sql::table_parts;
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeSet, VecDeque};

/// Longest chain of cascading deletes that is followed.
pub const CASCADE_DEPTH_MAX: usize = 3;
/// Tables of one snapshot, at most.
pub const TABLES_MAX: usize = 20_000;

/// What is known of the tables of a target.
#[derive(Debug, Clone, Copy)]
pub enum Schema<'a> {
    /// No agent has described them.
    NotSynced,
    /// They were described, but what is stored cannot be read.
    Failed,
    Ready(&'a Snapshot),
}

/// Tables of one database.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Snapshot {
    pub tables: Vec<Table>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Table {
    pub name: String,
    /// Its schema; empty where the database has none.
    #[serde(default)]
    pub schema_name: String,
    /// Rows as the database estimates them; negative when it does not know.
    pub estimated_rows: i64,
    #[serde(default)]
    pub constraints: Vec<Constraint>,
    /// `false` where changes of its rows stay whatever becomes of the transaction.
    #[serde(default)]
    pub transactional: Option<bool>,
    /// Whether it has triggers, as far as the agent saw.
    #[serde(default, rename = "triggers", deserialize_with = "has_elements")]
    pub has_triggers: bool,
}

/// Whether a list, whatever it holds, has elements; any other value has none.
fn has_elements<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    let value = serde_json::Value::deserialize(value)?;
    Ok(value.as_array().is_some_and(|all| !all.is_empty()))
}

/// A constraint of a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Constraint {
    /// `primary_key`, `foreign_key`, `unique` or `check`.
    pub constraint_type: String,
    /// Of a foreign key: the table it points to.
    #[serde(default)]
    pub referenced_table: Option<String>,
    /// Of a foreign key: what deleting does.
    #[serde(default)]
    pub on_delete: Option<String>,
}

impl Snapshot {
    /// Reads a snapshot; `None` if it is invalid or too large.
    pub fn parse(json: &str) -> Option<Snapshot> {
        let snapshot: Snapshot = serde_json::from_str(json).ok()?;
        (snapshot.tables.len() <= TABLES_MAX).then_some(snapshot)
    }

    /// The table that `name` (`schema.table` or `table`) means: `None` where none matches, or more than one.
    pub fn table(&self, name: &str, dialect: Dialect) -> Option<&Table> {
        let same = |a: &str, b: &str| match dialect {
            Dialect::Postgres => a == b,
            Dialect::MySql | Dialect::Sqlite => a.eq_ignore_ascii_case(b),
        };
        let (schema, table) = table_parts(name);
        let mut found = self.tables.iter().filter(|t| {
            let in_schema = |s: &String| t.schema_name.is_empty() || same(&t.schema_name, s);
            same(&t.name, &table) && schema.as_ref().is_none_or(in_schema)
        });
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// Tables whose rows go when rows of `table` are deleted: those that point to it with ON DELETE CASCADE, and so
    /// on, [`CASCADE_DEPTH_MAX`] deep; a circle is followed once.
    pub fn cascade(&self, table: &Table) -> Vec<&Table> {
        let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
        seen.insert((&table.schema_name, &table.name));
        let mut found = Vec::new();
        let mut queue = VecDeque::from([(table, 0)]);
        while let Some((parent, depth)) = queue.pop_front() {
            if depth == CASCADE_DEPTH_MAX {
                continue;
            }
            for child in self.tables.iter().filter(|t| t.cascades_from(parent)) {
                if seen.insert((&child.schema_name, &child.name)) {
                    found.push(child);
                    queue.push_back((child, depth + 1));
                }
            }
        }
        found
    }
}

impl Snapshot {
    /// Whether keys of other tables pass on what is deleted or changed in `table`.
    pub fn passes_on(&self, table: &Table) -> bool {
        let keeps = |rule: &str| ["RESTRICT", "NO_ACTION", "NO ACTION"].contains(&rule);
        self.tables.iter().any(|other| {
            other
                .keys_to(table)
                .any(|key| key.on_delete.as_deref().is_some_and(|rule| !keeps(rule)))
        })
    }
}

impl Table {
    fn keys_to(&self, parent: &Table) -> impl Iterator<Item = &Constraint> {
        self.constraints.iter().filter(|c| {
            let to_parent = c.referenced_table.as_deref().is_some_and(|name| {
                let table = name.rsplit_once('.').map_or(name, |(_, table)| table);
                table.eq_ignore_ascii_case(&parent.name)
            });
            c.constraint_type == "foreign_key" && to_parent
        })
    }

    fn cascades_from(&self, parent: &Table) -> bool {
        let cascades = |rule: &str| rule.eq_ignore_ascii_case("cascade");
        self.keys_to(parent)
            .any(|key| key.on_delete.as_deref().is_some_and(cascades))
    }
}
