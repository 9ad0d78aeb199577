//! What a decision about a new request is computed from: the request itself, what its SQL is, and what it would touch.
//! All of it is kept with the request as text, before any policy has looked at it, so that the decision can be computed
//! again (`dbward policy replay`), also under other policies (`dbward policy test`), without reading the SQL again.

mod text;

use crate::domain::dialect::Dialect;
use crate::domain::id::{Operation, Target};
use crate::domain::schema::{Schema, Snapshot};
use crate::domain::sql::{
    Analysis, Category, Class, DialectFact, Finding, StatementClass, StatementFacts,
};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that a decision looks at besides the policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub target: Target,
    /// Operation as asked; the SQL decides which it is.
    pub asked: Operation,
    pub emergency: bool,
    /// With DDL that is otherwise refused.
    pub allow_ddl: bool,
    /// Whether there is a reason.
    pub has_reason: bool,
    /// What is known of the SQL; of all migrations together where it is some, none for what carries no SQL.
    pub sql: Option<SqlFacts>,
    /// When the tables were described, RFC 3339.
    pub schema_collected_at: Option<String>,
    /// Who asks, as known at that time.
    pub requester: Requester,
    /// Who was on call at that time, by the name of the group; empty where there are no such groups.
    pub on_call: BTreeMap<String, BTreeSet<String>>,
}

/// Who asked. Decides only whether the request may be made at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requester {
    pub subject: String,
    /// Names of the roles the requester acted in.
    pub roles: Vec<String>,
    pub groups: Vec<String>,
}

/// What is known of an SQL text and of what it touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlFacts {
    /// The dialect it was read in; none in facts of version 2.
    pub dialect: Option<DialectFact>,
    /// What it is as a whole.
    pub class: Class,
    pub statements: usize,
    /// Whether an emergency with `allow_ddl` may pass it.
    pub ddl_eligible: bool,
    /// A single statement of harmless DDL, by shape.
    pub safe_ddl: bool,
    /// Whether what it does shows in its kind and its tables alone, statement by statement.
    pub foreseen: bool,
    /// The first statement, from 1, that changes something and was read by its words alone; none in facts of earlier
    /// builds.
    pub by_words: Option<usize>,
    /// Tables it names, sorted.
    pub tables: Vec<String>,
    /// Findings of every review rule, also of those that are off somewhere.
    pub findings: Vec<Finding>,
    /// Functions it calls that are not known to be free of side effects: `schema.name` or `name`, sorted.
    pub unknown_functions: Vec<String>,
    /// What is known of the tables of its target.
    pub schema: SchemaStatus,
    /// What it would touch, in the order of its statements, each once; empty where no table is known.
    pub effects: Vec<Effect>,
    /// Statements, from 1, that commit at once with everything before them, although there are others.
    pub commits_at_once: Vec<usize>,
}

/// What is known of the tables of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaStatus {
    /// No agent has described them.
    NotSynced,
    /// They were described, but what is stored cannot be read.
    Failed,
    Ready,
}

impl SchemaStatus {
    /// Its name in the decision trace.
    pub fn as_str(self) -> &'static str {
        match self {
            SchemaStatus::NotSynced => "not_synced",
            SchemaStatus::Failed => "failed",
            SchemaStatus::Ready => "ready",
        }
    }
}

/// What a statement would do to a table, as far as a snapshot tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The snapshot does not have the table, or has several that it could be.
    UnknownTable {
        /// Its name in the statement.
        table: String,
    },
    /// How many rows there are is not known.
    UnknownRows {
        /// Its name in the statement.
        table: String,
    },
    Rows {
        /// Rows of the table and of all that go with it.
        rows: i64,
        /// Tables whose rows go with those that are deleted, sorted.
        cascade: Vec<String>,
    },
    /// What is changed in it stays, whatever becomes of the transaction.
    NotTransactional {
        /// Its name in the statement.
        table: String,
    },
}

impl SqlFacts {
    /// What an analysis and a snapshot say.
    pub fn new(analysis: &Analysis, schema: Schema<'_>) -> SqlFacts {
        let (schema, effects) = match schema {
            Schema::NotSynced => (SchemaStatus::NotSynced, Vec::new()),
            Schema::Failed => (SchemaStatus::Failed, Vec::new()),
            Schema::Ready(snapshot) => (SchemaStatus::Ready, effects(analysis, snapshot)),
        };
        SqlFacts {
            dialect: Some(analysis.dialect_fact),
            class: analysis.class.clone(),
            statements: analysis.statements.len(),
            ddl_eligible: analysis.ddl.eligible,
            safe_ddl: analysis.safe_ddl,
            foreseen: analysis.statements.iter().all(|s| s.foreseen),
            by_words: analysis
                .statements
                .iter()
                .position(|s| s.by_words && s.class != StatementClass::Select)
                .map(|at| at + 1),
            tables: analysis.tables.clone(),
            findings: analysis.findings.clone(),
            unknown_functions: analysis.unknown_functions.clone(),
            schema,
            effects,
            commits_at_once: commits_at_once(analysis),
        }
    }

    /// Whether the text could be read with certainty.
    pub fn is_parsed(&self) -> bool {
        !matches!(self.class, Class::Unparsable { .. })
    }
}

/// MySQL and MariaDB commit at changes of structure and of privileges.
fn commits_at_once(analysis: &Analysis) -> Vec<usize> {
    let several = analysis.statements.len() > 1;
    if !several || analysis.dialect_fact != DialectFact::Known(Dialect::MySql) {
        return Vec::new();
    }
    let commits = |statement: &StatementFacts| {
        statement.class == StatementClass::Ddl
            || matches!(
                statement.category,
                Category::SafeDdl | Category::BreakGlassDdl | Category::PrivilegeDdl
            )
            || ["create_", "drop_", "alter_", "rename_"]
                .iter()
                .any(|kind| statement.kind.starts_with(kind))
    };
    let all = analysis.statements.iter().enumerate();
    all.filter(|(_, statement)| commits(statement))
        .map(|(n, _)| n + 1)
        .collect()
}

fn effects(analysis: &Analysis, snapshot: &Snapshot) -> Vec<Effect> {
    let mut effects = Vec::new();
    for statement in &analysis.statements {
        for name in &statement.tables {
            let reach = effect(statement, name, snapshot, analysis.dialect);
            let stays = stays(statement, name, snapshot, analysis.dialect);
            for effect in reach.into_iter().chain(stays) {
                if !effects.contains(&effect) {
                    effects.push(effect);
                }
            }
        }
    }
    effects
}

fn stays(
    statement: &StatementFacts,
    name: &str,
    snapshot: &Snapshot,
    dialect: Dialect,
) -> Option<Effect> {
    let writes = ["insert", "update", "delete"].contains(&statement.kind);
    let table = snapshot.table(name, dialect).filter(|_| writes)?;
    (table.transactional == Some(false)).then(|| Effect::NotTransactional {
        table: name.to_owned(),
    })
}

fn effect(
    statement: &StatementFacts,
    name: &str,
    snapshot: &Snapshot,
    dialect: Dialect,
) -> Option<Effect> {
    let table = name.to_owned();
    let Some(found) = snapshot.table(name, dialect) else {
        // Creating a table names one that is not there yet; what else it reads is looked at all the same.
        let creates = statement.kind == "create_table";
        return (!creates).then_some(Effect::UnknownTable { table });
    };
    let deletes = !matches!(
        statement.kind,
        "insert" | "update" | "select" | "create_table"
    ) && statement.class == StatementClass::Dml;
    let children = if deletes {
        snapshot.cascade(found)
    } else {
        Vec::new()
    };
    let counts = || children.iter().map(|c| c.estimated_rows);
    if found.estimated_rows < 0 || counts().any(|n| n < 0) {
        return Some(Effect::UnknownRows { table });
    }
    let mut cascade: Vec<String> = children.iter().map(|c| c.name.clone()).collect();
    cascade.sort_unstable();
    Some(Effect::Rows {
        rows: counts().fold(found.estimated_rows, i64::saturating_add),
        cascade,
    })
}
