//! Facts as JSON: the shape in which they are kept with a request. A text that is not exactly of this shape is no
//! facts at all, rather than facts that say less.

use super::{Effect, Facts, Requester, SchemaStatus, SqlFacts};
use crate::domain::id::{Operation, Target};
use crate::domain::sql::{Class, DialectFact, Finding, Rule};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The shape. Texts of version 1 kept the outcome of risk without what it was computed from; they are not read.
const VERSION: u32 = 3;
/// Had no dialect, no unknown functions and no offset of findings; it is read as facts that say nothing of them.
const VERSION_BEFORE_DIALECT: u32 = 2;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FactsText<'a> {
    version: u32,
    #[serde(borrow)]
    database: Cow<'a, str>,
    environment: Cow<'a, str>,
    asked_operation: Cow<'a, str>,
    emergency: bool,
    allow_ddl: bool,
    has_reason: bool,
    sql: Option<SqlText<'a>>,
    schema_collected_at: Option<Cow<'a, str>>,
    requester: RequesterText<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SqlText<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    dialect: Option<Cow<'a, str>>,
    #[serde(borrow)]
    class: ClassText<'a>,
    statements: usize,
    ddl_eligible: bool,
    safe_ddl: bool,
    foreseen: bool,
    tables: Cow<'a, [String]>,
    findings: Vec<FindingText<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unknown_functions: Option<Cow<'a, [String]>>,
    schema: Cow<'a, str>,
    effects: Vec<EffectText<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
enum ClassText<'a> {
    // With braces, so that what else stands there is refused as everywhere.
    Select {},
    Dml {
        ddl_only: bool,
        reason: Cow<'a, str>,
    },
    Rejected {
        reason: Cow<'a, str>,
        line: u64,
        column: u64,
    },
    Unparsable {
        message: Cow<'a, str>,
        line: u64,
        column: u64,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FindingText<'a> {
    #[serde(borrow)]
    rule: Cow<'a, str>,
    statement: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offset: Option<usize>,
    line: u64,
    column: u64,
    message: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case", deny_unknown_fields)]
enum EffectText<'a> {
    UnknownTable {
        table: Cow<'a, str>,
    },
    UnknownRows {
        table: Cow<'a, str>,
    },
    Rows {
        rows: i64,
        cascade: Cow<'a, [String]>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequesterText<'a> {
    #[serde(borrow)]
    subject: Cow<'a, str>,
    roles: Cow<'a, [String]>,
    groups: Cow<'a, [String]>,
}

impl Facts {
    /// The text of these facts.
    pub fn to_text(&self) -> String {
        let text = FactsText {
            version: VERSION,
            database: (&self.target.database).into(),
            environment: (&self.target.environment).into(),
            asked_operation: self.asked.as_str().into(),
            emergency: self.emergency,
            allow_ddl: self.allow_ddl,
            has_reason: self.has_reason,
            sql: self.sql.as_ref().map(SqlText::new),
            schema_collected_at: self.schema_collected_at.as_ref().map(Cow::from),
            requester: RequesterText {
                subject: (&self.requester.subject).into(),
                roles: (&self.requester.roles).into(),
                groups: (&self.requester.groups).into(),
            },
        };
        // Strings, numbers and booleans always have a spelling; should they not, the empty text is no JSON, which the
        // schema refuses.
        serde_json::to_string(&text).unwrap_or_default()
    }

    /// The facts of such a text; `None` for any other.
    pub fn from_text(text: &str) -> Option<Facts> {
        let text: FactsText = serde_json::from_str(text).ok()?;
        if !matches!(text.version, VERSION | VERSION_BEFORE_DIALECT) {
            return None;
        }
        let sql = match text.sql {
            Some(sql) if sql.is_whole(text.version) => Some(sql.read()?),
            Some(_) => return None,
            None => None,
        };
        Some(Facts {
            target: Target {
                database: text.database.into_owned(),
                environment: text.environment.into_owned(),
            },
            asked: Operation::parse(&text.asked_operation)?,
            emergency: text.emergency,
            allow_ddl: text.allow_ddl,
            has_reason: text.has_reason,
            sql,
            schema_collected_at: text.schema_collected_at.map(Cow::into_owned),
            requester: Requester {
                subject: text.requester.subject.into_owned(),
                roles: text.requester.roles.into_owned(),
                groups: text.requester.groups.into_owned(),
            },
        })
    }
}

impl<'a> SqlText<'a> {
    fn new(sql: &'a SqlFacts) -> SqlText<'a> {
        let finding = |f: &'a Finding| FindingText {
            rule: f.rule.as_str().into(),
            statement: f.statement,
            offset: Some(f.offset),
            line: f.line,
            column: f.column,
            message: (&f.message).into(),
        };
        SqlText {
            dialect: sql.dialect.map(|d| d.as_str().into()),
            class: ClassText::new(&sql.class),
            statements: sql.statements,
            ddl_eligible: sql.ddl_eligible,
            safe_ddl: sql.safe_ddl,
            foreseen: sql.foreseen,
            tables: (&sql.tables).into(),
            findings: sql.findings.iter().map(finding).collect(),
            unknown_functions: Some((&sql.unknown_functions).into()),
            schema: sql.schema.as_str().into(),
            effects: sql.effects.iter().map(EffectText::new).collect(),
        }
    }

    /// Whether it has just what texts of that version have.
    fn is_whole(&self, version: u32) -> bool {
        let wanted = version == VERSION;
        self.dialect.is_some() == wanted
            && self.unknown_functions.is_some() == wanted
            && self.findings.iter().all(|f| f.offset.is_some() == wanted)
    }

    fn read(self) -> Option<SqlFacts> {
        let dialect = match &self.dialect {
            Some(name) => Some(DialectFact::parse(name)?),
            None => None,
        };
        let finding = |f: FindingText| {
            let mut finding = Finding::new(Rule::parse(&f.rule)?, f.statement, f.line, f.column);
            finding.offset = f.offset.unwrap_or(0);
            finding.message = f.message.into_owned();
            Some(finding)
        };
        let findings: Option<Vec<Finding>> = self.findings.into_iter().map(finding).collect();
        Some(SqlFacts {
            dialect,
            class: self.class.read(),
            statements: self.statements,
            ddl_eligible: self.ddl_eligible,
            safe_ddl: self.safe_ddl,
            foreseen: self.foreseen,
            tables: self.tables.into_owned(),
            findings: findings?,
            unknown_functions: self
                .unknown_functions
                .map_or_else(Vec::new, Cow::into_owned),
            schema: match &*self.schema {
                "not_synced" => SchemaStatus::NotSynced,
                "failed" => SchemaStatus::Failed,
                "ready" => SchemaStatus::Ready,
                _ => return None,
            },
            effects: self.effects.into_iter().map(EffectText::read).collect(),
        })
    }
}

impl<'a> ClassText<'a> {
    fn new(class: &'a Class) -> ClassText<'a> {
        match class {
            Class::Select => ClassText::Select {},
            Class::Dml { ddl_only, reason } => ClassText::Dml {
                ddl_only: *ddl_only,
                reason: reason.into(),
            },
            Class::Rejected {
                reason,
                line,
                column,
            } => ClassText::Rejected {
                reason: reason.into(),
                line: *line,
                column: *column,
            },
            Class::Unparsable {
                line,
                column,
                message,
            } => ClassText::Unparsable {
                message: message.into(),
                line: *line,
                column: *column,
            },
        }
    }

    fn read(self) -> Class {
        match self {
            ClassText::Select {} => Class::Select,
            ClassText::Dml { ddl_only, reason } => Class::Dml {
                ddl_only,
                reason: reason.into_owned(),
            },
            ClassText::Rejected {
                reason,
                line,
                column,
            } => Class::Rejected {
                reason: reason.into_owned(),
                line,
                column,
            },
            ClassText::Unparsable {
                message,
                line,
                column,
            } => Class::Unparsable {
                line,
                column,
                message: message.into_owned(),
            },
        }
    }
}

impl<'a> EffectText<'a> {
    fn new(effect: &'a Effect) -> EffectText<'a> {
        match effect {
            Effect::UnknownTable { table } => EffectText::UnknownTable {
                table: table.into(),
            },
            Effect::UnknownRows { table } => EffectText::UnknownRows {
                table: table.into(),
            },
            Effect::Rows { rows, cascade } => EffectText::Rows {
                rows: *rows,
                cascade: cascade.into(),
            },
        }
    }

    fn read(self) -> Effect {
        match self {
            EffectText::UnknownTable { table } => Effect::UnknownTable {
                table: table.into_owned(),
            },
            EffectText::UnknownRows { table } => Effect::UnknownRows {
                table: table.into_owned(),
            },
            EffectText::Rows { rows, cascade } => Effect::Rows {
                rows,
                cascade: cascade.into_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::Dialect;
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
    fn another_text_is_none() {
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
        ] {
            assert_ne!(other, text, "the text no longer has what is replaced");
            assert!(Facts::from_text(&other).is_none(), "{other}");
        }
    }
}
