//! Every rule: a text that it finds something in, what the finding says, and where a developer reads more.

use super::*;

/// A dialect and a text in which the rule fires at the first word of line 2.
fn example(rule: ReviewRule) -> (Dialect, String) {
    use Dialect::{MySql, Postgres, Sqlite};
    let (dialect, line) = match rule {
        ReviewRule::NoWhereDelete => (Postgres, "DELETE FROM t".to_owned()),
        ReviewRule::NoWhereUpdate => (Sqlite, "UPDATE t SET a = 1".to_owned()),
        ReviewRule::DropTable => (Postgres, "DROP TABLE t".to_owned()),
        ReviewRule::DropColumn => (Postgres, "ALTER TABLE t DROP COLUMN a".to_owned()),
        ReviewRule::NotNullWithoutDefault => {
            (Postgres, "ALTER TABLE t ADD a int NOT NULL".to_owned())
        }
        ReviewRule::CreateIndexNotConcurrently => (Postgres, "CREATE INDEX i ON t (a)".to_owned()),
        ReviewRule::AlterColumnType => (Postgres, "ALTER TABLE t ALTER a TYPE text".to_owned()),
        ReviewRule::Truncate => (Postgres, "TRUNCATE t".to_owned()),
        ReviewRule::MixedDdlDml => (
            Postgres,
            "DELETE FROM t WHERE a = 1; CREATE TABLE u (a int)".to_owned(),
        ),
        ReviewRule::LargeInList => {
            let list = vec!["1"; IN_LIST_MAX + 1].join(",");
            (Postgres, format!("DELETE FROM t WHERE a IN ({list})"))
        }
        ReviewRule::DropIndex => (MySql, "ALTER TABLE t DROP INDEX i".to_owned()),
        ReviewRule::DropView => (Postgres, "DROP VIEW v".to_owned()),
        ReviewRule::DropSequence => (Postgres, "DROP SEQUENCE s".to_owned()),
        ReviewRule::CreateSequence => (Postgres, "CREATE SEQUENCE s".to_owned()),
        ReviewRule::HiddenCharacters => (Postgres, "\u{200b}SELECT 1".to_owned()),
        ReviewRule::ConfusableIdentifier => (Postgres, "SELECT p\u{430}y FROM t".to_owned()),
        ReviewRule::TableRewrite => (Postgres, "VACUUM FULL t".to_owned()),
        ReviewRule::LongLock => (
            MySql,
            "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)".to_owned(),
        ),
        ReviewRule::RenameObject => (Sqlite, "ALTER TABLE t RENAME TO u".to_owned()),
    };
    (dialect, format!("-- é\n{line}"))
}

#[test]
fn every_rule_finds_something_with_place_reason_and_fix() {
    for rule in ReviewRule::ALL {
        let (dialect, sql) = example(rule);
        let analysis = analyze(&sql, dialect).unwrap();
        let of_rule: Vec<&Finding> = analysis
            .findings
            .iter()
            .filter(|f| f.rule == rule)
            .collect();
        let [found] = of_rule.as_slice() else {
            panic!("{sql:?}: {:?}", analysis.findings);
        };
        let column = match rule {
            ReviewRule::MixedDdlDml => 28,
            ReviewRule::LargeInList => 23,
            ReviewRule::ConfusableIdentifier => 8,
            _ => 1,
        };
        assert_eq!((found.line, found.column), (2, column), "{sql}");
        // The place in bytes is the same place.
        let before = "-- é\n".len() + usize::try_from(column).unwrap() - 1;
        assert_eq!(found.offset, before, "{sql}");
        assert!(found.statement >= 1, "{sql}");
        for words in [found.message.as_str(), found.why, found.fix] {
            assert!(words.len() > 8, "{rule:?}: {words:?}");
        }
    }
}

#[test]
fn every_rule_has_its_section_with_reason_fix_and_source() {
    let page = include_str!("../../../../docs/sql-review.md");
    let code = include_str!("../rules.rs");
    let sections = page.split("\n## ").skip(1).count();
    assert_eq!(sections, ReviewRule::ALL.len());
    for rule in ReviewRule::ALL {
        let heading = format!("\n## {}\n\n", rule.as_str());
        let section = page.split(&heading).nth(1).unwrap_or_default();
        let section = section.split("\n## ").next().unwrap_or_default();
        let (about, rest) = section.split_once("\n\nFix").unwrap_or_default();
        let (fix, source) = rest.split_once("\n\nSource: ").unwrap_or_default();
        let default = format!("Default: {}", rule.default_action().as_str());
        assert!(about.starts_with(&default), "{rule:?}: {about}");
        assert!(about.len() > default.len() + 20, "{rule:?}: {about}");
        assert!(fix.contains(": ") && fix.len() > 14, "{rule:?}: {fix}");
        assert!(source.contains("(https://"), "{rule:?}: {source}");
        // The same in the code, where the rule is declared.
        let variant = format!("\n    {rule:?},\n");
        let before = code.split(&variant).next().unwrap_or_default();
        let doc = before.rsplit(",\n").find(|part| part.contains("Source: "));
        let doc = doc.unwrap_or_default();
        assert!(
            doc.contains("Fix:") && doc.contains("<https://"),
            "{rule:?}: {doc}"
        );
    }
}

/// A finding without a place of its own, or a fix that does not fit the database, would send somebody the wrong way.
#[test]
fn fixes_fit_the_database_and_the_statement() {
    use Dialect::{MySql, Postgres, Sqlite};
    for (dialect, sql, rule, fix) in [
        (
            Postgres,
            "ALTER TABLE t ADD CHECK (a > 0)",
            "long_lock",
            "NOT VALID",
        ),
        (
            MySql,
            "ALTER TABLE t ADD CHECK (a > 0)",
            "long_lock",
            "gh-ost",
        ),
        (
            Sqlite,
            "ALTER TABLE t ADD a int CHECK (a > 0)",
            "long_lock",
            "nobody writes",
        ),
        (
            Postgres,
            "ALTER TABLE t ADD a int DEFAULT f()",
            "table_rewrite",
            "nullable",
        ),
        (
            MySql,
            "ALTER TABLE t ENGINE = InnoDB",
            "table_rewrite",
            "gh-ost",
        ),
        (
            Postgres,
            "REINDEX TABLE t",
            "long_lock",
            "REINDEX ... CONCURRENTLY",
        ),
        (
            Postgres,
            "REFRESH MATERIALIZED VIEW m",
            "long_lock",
            "unique index",
        ),
        (
            Postgres,
            "ALTER TABLE t ATTACH PARTITION p FOR VALUES IN (1)",
            "long_lock",
            "CHECK",
        ),
        (
            Postgres,
            "ALTER TABLE t DETACH PARTITION p",
            "long_lock",
            "DETACH PARTITION ... CONCURRENTLY",
        ),
        (
            Postgres,
            "ALTER DOMAIN d ADD CHECK (value > 0)",
            "long_lock",
            "NOT VALID",
        ),
    ] {
        let analysis = analyze(sql, dialect).unwrap();
        let found = analysis.findings.iter().find(|f| f.rule.as_str() == rule);
        let found = found.unwrap_or_else(|| panic!("{sql}: {:?}", analysis.findings));
        assert!(found.fix.contains(fix), "{sql}: {}", found.fix);
    }
}
