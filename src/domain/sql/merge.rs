//! The analyses of several texts that one request runs, as one.

use super::analysis::{Analysis, Class, Redacted};
use crate::crypto::sha256_hex;
use crate::domain::dialect::DialectFact;
use std::collections::BTreeSet;

impl Analysis {
    /// One analysis of all `parts`, each with what it is called; `None` without any. Findings name their part, and
    /// number statements from the first part on. There is no plan.
    pub fn merged(parts: Vec<(String, Analysis)>) -> Option<Analysis> {
        let single = parts.len() == 1;
        let mut parts = parts.into_iter();
        let (name, first) = parts.next()?;
        let mut whole = named(&name, first, 0);
        for (name, part) in parts {
            let part = named(&name, part, whole.statements.len());
            whole.dialect_fact = match (whole.dialect_fact, part.dialect_fact) {
                (one, other) if one == other => one,
                _ => DialectFact::Unknown,
            };
            if rank(&part.class) > rank(&whole.class) {
                whole.class = part.class;
            }
            whole.statements.extend(part.statements);
            whole.findings.extend(part.findings);
            whole.tables.extend(part.tables);
            whole.unknown_functions.extend(part.unknown_functions);
            whole.redacted.literals.push_str("; ");
            whole.redacted.literals.push_str(&part.redacted.literals);
        }
        let sorted = |names: Vec<String>| {
            let names: BTreeSet<String> = names.into_iter().collect();
            names.into_iter().collect()
        };
        Some(Analysis {
            plan: None,
            safe_ddl: single && whole.safe_ddl,
            tables: sorted(whole.tables),
            unknown_functions: sorted(whole.unknown_functions),
            fingerprint: sha256_hex(whole.redacted.literals.as_bytes()),
            redacted: Redacted {
                literals: whole.redacted.literals,
            },
            ..whole
        })
    }
}

/// What makes the whole: what cannot be read, then what is refused elsewhere, then writes.
fn rank(class: &Class) -> u8 {
    match class {
        Class::Select => 0,
        Class::Dml { ddl_only: true, .. } => 1,
        Class::Dml {
            ddl_only: false, ..
        } => 2,
        Class::Rejected { .. } => 3,
        Class::Unparsable { .. } => 4,
    }
}

fn named(name: &str, mut part: Analysis, before: usize) -> Analysis {
    for finding in &mut part.findings {
        finding.statement += before;
        finding.message = format!("{name}: {}", finding.message);
    }
    match &mut part.class {
        Class::Select => {}
        Class::Dml { reason, .. } | Class::Rejected { reason, .. } => {
            *reason = format!("{name}: {reason}");
        }
        Class::Unparsable { message, .. } => *message = format!("{name}: {message}"),
    }
    part
}

#[cfg(test)]
mod tests {
    use crate::domain::dialect::Dialect;
    use crate::domain::sql::{Analysis, Class, analyze};

    #[test]
    fn whole_has_findings_of_every_part_and_the_worst_class() {
        let part =
            |name: &str, sql: &str| (name.to_owned(), analyze(sql, Dialect::Postgres).unwrap());
        let whole = Analysis::merged(vec![
            part("migration `1`", "CREATE TABLE a (b int); SELECT 1"),
            part("migration `2`", "DELETE FROM a"),
            part("migration `3`", "DROP TABLE c"),
        ])
        .unwrap();
        assert!(
            matches!(&whole.class, Class::Rejected { reason, .. } if reason.starts_with("migration `3`: "))
        );
        assert_eq!(
            (whole.tables, whole.plan),
            (vec!["a".to_owned(), "c".to_owned()], None)
        );
        let found: Vec<(usize, String)> = whole
            .findings
            .into_iter()
            .map(|f| (f.statement, f.message))
            .collect();
        assert_eq!(found[0].0, 3);
        assert!(found[0].1.starts_with("migration `2`: "), "{found:?}");
        assert_eq!(found.last().unwrap().0, 4);
        assert_eq!(Analysis::merged(Vec::new()), None);
    }
}
