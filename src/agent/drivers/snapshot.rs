//! What the tables of a database server are, as the server reads it. The drivers fill it from the catalogue.

use serde::Serialize;
use std::collections::BTreeMap;

/// Most tables of one database; more than anybody reads, and soon read.
pub const TABLES_MAX: usize = 5000;
/// Longest description, in bytes: with its frame it fits into the 10 MiB that a server takes.
const BYTES_MAX: usize = 8 << 20;

#[derive(Debug, Default, Serialize)]
pub struct TableDescription {
    pub name: String,
    pub schema_name: String,
    /// As the statistics say; -1 where they say nothing.
    pub estimated_rows: i64,
    pub columns: Vec<ColumnDescription>,
    pub constraints: Vec<ConstraintDescription>,
    pub indexes: Vec<Index>,
    pub triggers: Vec<Trigger>,
    /// `false` where its engine cannot roll back; of MySQL and MariaDB alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transactional: Option<bool>,
}

#[derive(Debug, Serialize)]
pub struct ColumnDescription {
    pub name: String,
    pub data_type: String,
    pub nullable: bool,
    pub default_value: Option<String>,
    pub is_primary_key: bool,
}

#[derive(Debug, Serialize)]
pub struct ConstraintDescription {
    pub name: String,
    /// `primary_key`, `foreign_key`, `unique` or `check`.
    pub constraint_type: &'static str,
    pub columns: Vec<String>,
    pub referenced_table: Option<String>,
    pub referenced_columns: Option<Vec<String>>,
    /// `CASCADE`, `SET_NULL`, `RESTRICT`, `NO_ACTION` or `SET_DEFAULT`.
    pub on_delete: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Index {
    pub name: String,
    pub columns: Vec<String>,
    pub is_unique: bool,
    pub index_type: String,
}

#[derive(Debug, Serialize)]
pub struct Trigger {
    pub name: String,
    /// `INSERT`, `UPDATE`, `DELETE` or `TRUNCATE`, several joined by ` OR `.
    pub event: String,
}

/// Tables in the making, by schema and name.
#[derive(Default)]
pub struct SchemaDescription(BTreeMap<(String, String), TableDescription>);

impl SchemaDescription {
    /// Adds a table.
    ///
    /// # Errors
    /// The sentence about too many.
    pub fn add(&mut self, table: TableDescription) -> Result<(), String> {
        if self.0.len() == TABLES_MAX {
            return Err(format!("the database has more than {TABLES_MAX} tables"));
        }
        self.0
            .insert((table.schema_name.clone(), table.name.clone()), table);
        Ok(())
    }

    /// The table of that schema and name, if it was added.
    pub fn table(&mut self, schema: &str, name: &str) -> Option<&mut TableDescription> {
        self.0.get_mut(&(schema.to_owned(), name.to_owned()))
    }

    /// `{"tables":[..]}`
    ///
    /// # Errors
    /// The sentence about too long a description.
    pub fn finish(self) -> Result<String, String> {
        #[derive(Serialize)]
        struct All {
            tables: Vec<TableDescription>,
        }
        let all = All {
            tables: self.0.into_values().collect(),
        };
        let text = serde_json::to_string(&all).map_err(|e| e.to_string())?;
        match text.len() > BYTES_MAX {
            true => Err(format!(
                "the description of the tables is longer than {} MiB",
                BYTES_MAX >> 20
            )),
            false => Ok(text),
        }
    }
}
