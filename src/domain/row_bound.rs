//! How many rows a request may change at most, and whether that can be held: the agent counts inside the transaction
//! and rolls back what goes over the bound.

use crate::domain::dialect::Dialect;
use crate::domain::id::Operation;
use crate::domain::schema::Snapshot;
use crate::domain::sql::{Analysis, Category, Class, DialectFact, StatementFacts};

/// Largest bound; up to here every reader of JSON has every integer.
pub const BOUND_MAX: u64 = 1 << 53;

/// Where a bound comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowBoundSource {
    /// The requester set it: only an agent that can hold it gets the request.
    Request,
    /// The execution policy: agents that can hold it do.
    Policy,
    /// What a rehearsal changed that the approvers saw: only an agent that can hold it gets the request.
    Rehearsal,
}

impl RowBoundSource {
    pub fn as_str(self) -> &'static str {
        match self {
            RowBoundSource::Request => "request",
            RowBoundSource::Policy => "policy",
            RowBoundSource::Rehearsal => "rehearsal",
        }
    }

    /// The source of that name, for a bound that is stored with its request; that of a rehearsal never is.
    pub fn parse(text: &str) -> Option<RowBoundSource> {
        [RowBoundSource::Request, RowBoundSource::Policy]
            .into_iter()
            .find(|source| source.as_str() == text)
    }
}

/// Rows that a request may change at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowBound {
    pub rows: u64,
    pub source: RowBoundSource,
}

/// Whether only an agent that counts rows may run it. What only reads keeps every bound.
pub fn is_needed(operation: Operation, bound: Option<RowBound>) -> bool {
    let by_people = |bound: RowBound| bound.source != RowBoundSource::Policy;
    !operation.is_read() && bound.is_some_and(by_people)
}

/// The bound that counts, once a rehearsal has changed `rehearsed` rows: that of the requester stays, and no other is
/// higher than what was rehearsed.
pub fn after_rehearsal(stored: Option<RowBound>, rehearsed: Option<u64>) -> Option<RowBound> {
    let Some(rehearsed) = rehearsed else {
        return stored;
    };
    match stored {
        Some(bound) if bound.source == RowBoundSource::Request => Some(bound),
        other => Some(RowBound {
            rows: other.map_or(rehearsed, |bound| bound.rows.min(rehearsed)),
            source: RowBoundSource::Rehearsal,
        }),
    }
}

/// Why nobody can count what a request changes; `None` where it can be counted. PostgreSQL and SQLite count every
/// change of rows themselves; the others, and those whose dialect is unknown, only plain INSERT, UPDATE and DELETE.
pub fn uncountable(operation: Operation, analysis: Option<&Analysis>) -> Option<String> {
    let Some(analysis) = analysis.filter(|_| operation.is_execute()) else {
        return Some("rows that a migration changes are not counted".to_owned());
    };
    match &analysis.class {
        Class::Select => return None,
        Class::Unparsable { .. } => return Some("the text cannot be read".to_owned()),
        Class::Dml { .. } | Class::Rejected { .. } => {}
    }
    let counts = |statement: &StatementFacts| match analysis.dialect_fact {
        DialectFact::Known(Dialect::Postgres | Dialect::Sqlite) => {
            matches!(statement.category, Category::ReadOnly | Category::Dml)
        }
        _ => {
            ["insert", "update", "delete"].contains(&statement.kind) && !statement.tables.is_empty()
        }
    };
    let other = analysis.statements.iter().find(|s| !counts(s))?;
    Some(format!(
        "rows that `{}` at line {}, column {} changes are not counted",
        other.kind, other.line, other.column
    ))
}

/// Why MySQL or MariaDB does not count all that a statement changes, as far as the tables are known: its agent would refuse
/// every number of rows.
pub fn uncounted_in(analysis: &Analysis, snapshot: &Snapshot) -> Option<String> {
    if analysis.dialect_fact != DialectFact::Known(Dialect::MySql) {
        return None;
    }
    let writes = ["insert", "update", "delete"];
    let changing = analysis
        .statements
        .iter()
        .filter(|s| writes.contains(&s.kind));
    let why = |statement: &StatementFacts, name: &String| {
        let table = snapshot.table(name, Dialect::MySql)?;
        if table.transactional == Some(false) {
            return Some(format!("`{name}` is not a table that can roll back"));
        }
        if table.has_triggers {
            return Some(format!("`{name}` has triggers, whose rows are not counted"));
        }
        (statement.kind != "insert" && snapshot.passes_on(table)).then(|| {
            format!("keys that point to `{name}` pass changes on, whose rows are not counted")
        })
    };
    changing
        .flat_map(|statement| statement.tables.iter().map(move |name| (statement, name)))
        .find_map(|(statement, name)| why(statement, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sql::{analyze, analyze_any};

    #[test]
    fn a_rehearsal_lowers_every_bound_but_that_of_the_requester() {
        let bound = |rows, source| Some(RowBound { rows, source });
        let rehearsed = bound(37, RowBoundSource::Rehearsal);
        assert_eq!(after_rehearsal(None, None), None);
        assert_eq!(after_rehearsal(None, Some(37)), rehearsed);
        let policy = |rows| bound(rows, RowBoundSource::Policy);
        assert_eq!(after_rehearsal(policy(1000), Some(37)), rehearsed);
        let lower = bound(5, RowBoundSource::Rehearsal);
        assert_eq!(after_rehearsal(policy(5), Some(37)), lower);
        let own = bound(50, RowBoundSource::Request);
        assert_eq!(after_rehearsal(own, Some(37)), own);
        assert!(is_needed(Operation::ExecuteDml, rehearsed));
        assert!(!is_needed(Operation::ExecuteDml, policy(5)));
    }

    #[test]
    fn what_is_counted_depends_on_the_database() {
        let table = "
UPDATE t SET a = 1 WHERE id = 2                             | postgresql mysql sqlite any
INSERT INTO t VALUES (1); DELETE FROM t WHERE id = 1        | postgresql mysql sqlite any
SELECT 1                                                    | postgresql mysql sqlite any
WITH d AS (DELETE FROM t WHERE id = 1 RETURNING a) SELECT a FROM d | postgresql sqlite
CREATE TABLE t (a int)                                      |
UPDATE t SET a = 1 WHERE id = 2; CREATE INDEX i ON t (a)    |
UPDAT t SET a = 1                                           |
";
        for line in table.trim().lines() {
            let (sql, counted) = line.split_once('|').unwrap();
            let mut found = Vec::new();
            for dialect in [Dialect::Postgres, Dialect::MySql, Dialect::Sqlite] {
                let analysis = analyze(sql.trim(), dialect).unwrap();
                if uncountable(Operation::ExecuteDml, Some(&analysis)).is_none() {
                    found.push(dialect.as_str());
                }
            }
            let any = analyze_any(sql.trim()).unwrap();
            if uncountable(Operation::ExecuteDml, Some(&any)).is_none() {
                found.push("any");
            }
            assert_eq!(found.join(" "), counted.trim(), "{sql}");
        }
        assert!(uncountable(Operation::MigrateUp, None).is_some());
    }
}
