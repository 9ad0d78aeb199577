//! Facts as JSON: the form in which they are kept with a request. A text that is not exactly of this form is refused
//! rather than read as facts that say less.

use super::{Effect, Facts, Requester, SchemaStatus, SqlFacts};
use crate::domain::id::Operation;
use crate::domain::kept::{Kept, OrDefault, Younger, kept, kept_enum, write};
use crate::domain::sql::{Class, DialectFact, Finding, ReviewRule};
use std::collections::{BTreeMap, BTreeSet};

/// The form. Texts of version 1 kept the outcome of risk without what it was computed from; they are not read.
const VERSION: u32 = 3;
/// Had no dialect, no unknown functions and no offset of findings; it is read as facts that say nothing of them.
const VERSION_BEFORE_DIALECT: u32 = 2;

kept! {
    Facts => FactsText [version VERSION or VERSION_BEFORE_DIALECT pair target] {
        #[serde(rename = "asked_operation")]
        asked: Operation,
        emergency: bool,
        allow_ddl: bool,
        has_reason: bool,
        sql: Option<SqlFacts>,
        schema_collected_at: Option<String>,
        requester: Requester,
        // Younger than the first texts of the version.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on_call: OrDefault<BTreeMap<String, BTreeSet<String>>>,
    }
}

kept! {
    SqlFacts => SqlText {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dialect: Option<DialectFact>,
        class: Class,
        statements: usize,
        ddl_eligible: bool,
        safe_ddl: bool,
        foreseen: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by_words: Option<usize>,
        tables: Vec<String>,
        findings: Vec<Finding>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unknown_functions: Younger<Vec<String>>,
        schema: SchemaStatus,
        effects: Vec<Effect>,
        // Younger than the first texts of the version.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commits_at_once: OrDefault<Vec<usize>>,
    }
}

kept_enum! {
    Class => ClassText, "name" {
        Select {},
        Dml { ddl_only: bool, reason: String },
        Rejected { reason: String, line: u64, column: u64 },
        Unparsable { message: String, line: u64, column: u64 },
    }
}

kept_enum! {
    Effect => EffectText, "effect" {
        UnknownTable { table: String },
        UnknownRows { table: String },
        Rows { rows: i64, cascade: Vec<String> },
        NotTransactional { table: String },
    }
}

kept! {
    Requester => RequesterText {
        subject: String,
        roles: Vec<String>,
        groups: Vec<String>,
    }
}

/// What is kept of a finding; the rest of it follows from the rule.
struct Found {
    rule: ReviewRule,
    statement: usize,
    offset: usize,
    line: u64,
    column: u64,
    message: String,
}

kept! {
    Found => FindingText {
        rule: ReviewRule,
        statement: usize,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Younger<usize>,
        line: u64,
        column: u64,
        message: String,
    }
}

impl Kept for Finding {
    type Text = FindingText;

    fn text(&self) -> FindingText {
        let found = Found {
            rule: self.rule,
            statement: self.statement,
            offset: self.offset,
            line: self.line,
            column: self.column,
            message: self.message.clone(),
        };
        found.text()
    }

    fn of(text: FindingText) -> Option<Finding> {
        let found = Found::of(text)?;
        let mut finding = Finding::new(found.rule, found.statement, found.line, found.column);
        finding.offset = found.offset;
        finding.message = found.message;
        Some(finding)
    }
}

impl Kept for SchemaStatus {
    type Text = String;

    fn text(&self) -> String {
        self.as_str().to_owned()
    }

    fn of(text: String) -> Option<SchemaStatus> {
        match text.as_str() {
            "not_synced" => Some(SchemaStatus::NotSynced),
            "failed" => Some(SchemaStatus::Failed),
            "ready" => Some(SchemaStatus::Ready),
            _ => None,
        }
    }
}

impl FactsText {
    /// Whether it has just the members that texts of its version have.
    fn is_whole(&self) -> bool {
        let wanted = self.version == VERSION;
        self.sql.as_ref().is_none_or(|sql| {
            sql.dialect.is_some() == wanted
                && sql.unknown_functions.is_some() == wanted
                && sql.findings.iter().all(|f| f.offset.is_some() == wanted)
        })
    }
}

impl Facts {
    /// The text of these facts.
    pub fn to_text(&self) -> String {
        write(self)
    }

    /// The facts of such a text; `None` for any other.
    pub fn from_text(text: &str) -> Option<Facts> {
        let text: FactsText = serde_json::from_str(text).ok()?;
        if text.is_whole() {
            Facts::of(text)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::dialect::Dialect;
    use crate::domain::id::Target;
    use crate::domain::schema::{Schema, Snapshot};
    use crate::domain::sql::analyze;

    const TABLES: &str = r#"{"tables": [
      {"name": "a", "estimated_rows": 5},
      {"name": "b", "estimated_rows": -1},
      {"name": "c", "estimated_rows": 7, "constraints": [
        {"constraint_type": "foreign_key", "referenced_table": "a", "on_delete": "CASCADE"}]}]}"#;

    fn facts(sql: &str, schema: Schema<'_>) -> Facts {
        let analysis = analyze(sql, Dialect::Postgres).unwrap();
        Facts {
            target: Target::new("app", "production").unwrap(),
            asked: Operation::ExecuteSelect,
            emergency: true,
            allow_ddl: false,
            has_reason: true,
            sql: Some(SqlFacts::new(&analysis, schema)),
            schema_collected_at: Some("2026-01-01T00:00:00Z".to_owned()),
            requester: Requester {
                subject: "re\"quester".to_owned(),
                roles: vec!["developer".to_owned()],
                groups: vec!["backend-team".to_owned()],
            },
            on_call: BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_read_back_is_what_was_written() {
        let snapshot = Snapshot::parse(TABLES).unwrap();
        let list = vec!["1"; 101].join(",");
        for sql in [
            "SELECT 1",
            "DELETE FROM a WHERE i = 1; UPDATE b SET x = 'it''s' WHERE i = 1; DELETE FROM gone",
            "DROP TABLE a",
            "CREATE TABLE fresh (a int)",
            "this is \"nothing\"",
            &format!("DELETE FROM a WHERE i IN ({list})"),
        ] {
            for schema in [Schema::NotSynced, Schema::Failed, Schema::Ready(&snapshot)] {
                let facts = facts(sql, schema);
                let text = facts.to_text();
                assert_eq!(Facts::from_text(&text).as_ref(), Some(&facts), "{text}");
            }
        }
        let mut on_call = facts("SELECT 1", Schema::NotSynced);
        assert!(!on_call.to_text().contains("on_call"));
        on_call.on_call = BTreeMap::from([
            ("day".to_owned(), BTreeSet::new()),
            ("night".to_owned(), BTreeSet::from(["lead".to_owned()])),
        ]);
        let text = on_call.to_text();
        assert!(
            text.contains(r#""on_call":{"day":[],"night":["lead"]}"#),
            "{text}"
        );
        assert_eq!(Facts::from_text(&text), Some(on_call));
        let migration = Facts {
            sql: None,
            schema_collected_at: None,
            ..facts("SELECT 1", Schema::NotSynced)
        };
        assert_eq!(Facts::from_text(&migration.to_text()), Some(migration));
    }

    #[test]
    fn facts_of_version_2_are_read() {
        let now = facts("DELETE FROM a", Schema::NotSynced);
        let text = now
            .to_text()
            .replace("\"version\":3", "\"version\":2")
            .replace("\"dialect\":\"postgresql\",", "")
            .replace("\"unknown_functions\":[],", "")
            .replace("\"offset\":0,", "");
        let mut expected = now;
        expected.sql.as_mut().unwrap().dialect = None;
        assert_eq!(Facts::from_text(&text), Some(expected), "{text}");
    }

    #[test]
    fn another_text_is_refused() {
        let snapshot = Snapshot::parse(TABLES).unwrap();
        let text = facts("DELETE FROM a", Schema::Ready(&snapshot)).to_text();
        assert!(Facts::from_text(&text).is_some(), "{text}");
        for other in [
            String::new(),
            "{}".to_owned(),
            text.replace("\"version\":3", "\"version\":1"),
            text.replace("\"version\":3", "\"version\":2"),
            text.replace("\"dialect\":\"postgresql\",", ""),
            text.replace("\"unknown_functions\":[],", ""),
            text.replace("\"ready\"", "\"fine\""),
            text.replace("no_where_delete", "no_where"),
            text.replace("\"foreseen\":true,", ""),
            text.replace("\"dml\"", "\"select\""),
            text.replace("\"effect\":\"rows\"", "\"effect\":\"none\""),
            text.replace("execute_select", "execute"),
            text.replace("\"production\"", "\"Production\""),
        ] {
            assert_ne!(other, text, "the text no longer has what is replaced");
            assert!(Facts::from_text(&other).is_none(), "{other}");
        }
    }
}
