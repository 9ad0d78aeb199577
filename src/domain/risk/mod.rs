//! How risky a request is, from facts alone: what the SQL is, what review found, and what is known of its tables.
//!
//! What is not known raises the risk, never lowers it: a statement that may do more than it says, a missing snapshot, a
//! table that it does not have, a row count that the database does not know are `unknown`, which nothing approves by
//! itself.

use crate::domain::facts::{Effect, SchemaStatus, SqlFacts};
use crate::domain::id::Operation;
use crate::domain::policy::review::ReviewPolicy;
use crate::domain::risk_level::{Allowance, RiskLevel};
use crate::domain::sql::{DialectFact, ReviewRule, RuleAction};

/// Findings from which on they alone make the risk high.
pub const MANY_FINDINGS: usize = 3;

/// The risk with what made it, in the words existing clients know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Risk {
    pub level: RiskLevel,
    pub factors: Vec<String>,
}

/// Scores a request; none of `sql` is one without SQL.
pub fn score(
    sql: Option<&SqlFacts>,
    operation: Operation,
    review: &ReviewPolicy,
    allowance: &Allowance,
) -> Risk {
    let only = |level, factor: &str| Risk {
        level,
        factors: vec![factor.to_owned()],
    };
    let Some(sql) = sql.filter(|sql| sql.is_parsed()) else {
        return Risk {
            level: RiskLevel::Unavailable,
            factors: Vec::new(),
        };
    };
    // Which database will read the text is not known, so neither is what it reaches.
    if sql.dialect == Some(DialectFact::Any) {
        return only(RiskLevel::Unknown, "AnyDialect");
    }
    let unknown: Vec<&str> = unknown_functions(sql, review).collect();
    if operation == Operation::ExecuteSelect && allowance.allow_read_only {
        let mut risk = only(RiskLevel::Low, "ReadOnly");
        risk.calls(&unknown);
        return risk;
    }
    let counted: Vec<ReviewRule> = sql
        .findings
        .iter()
        .map(|f| f.rule)
        .filter(|r| review.action(*r) != RuleAction::Off)
        .collect();
    if allowance.allow_safe_ddl && sql.safe_ddl && counted.is_empty() && unknown.is_empty() {
        return only(RiskLevel::Low, "SafeDdl");
    }
    let unknown_reach = match sql.schema {
        _ if !sql.foreseen => Some("Unforeseeable"),
        SchemaStatus::NotSynced => Some("SchemaNotSynced"),
        SchemaStatus::Failed => Some("SchemaUnreadable"),
        SchemaStatus::Ready => None,
    };
    if let Some(factor) = unknown_reach {
        let mut risk = only(RiskLevel::Unknown, factor);
        risk.commits(&sql.commits_at_once);
        return risk;
    }
    let mut risk = Risk {
        level: RiskLevel::Low,
        factors: Vec::new(),
    };
    risk.calls(&unknown);
    if sql.statements > 1 && operation == Operation::ExecuteDml {
        risk.raise(RiskLevel::High, "MultiStatement".to_owned());
    }
    risk.commits(&sql.commits_at_once);
    risk.finds(&counted);
    for effect in &sql.effects {
        reach(&mut risk, effect, allowance);
    }
    risk
}

/// Functions that are called and, also by the policy, not known to be free of side effects.
pub fn unknown_functions<'a>(
    sql: &'a SqlFacts,
    review: &'a ReviewPolicy,
) -> impl Iterator<Item = &'a str> {
    sql.unknown_functions
        .iter()
        .filter(|name| !review.pure_functions.contains(*name))
        .map(String::as_str)
}

/// What a table within reach adds.
fn reach(risk: &mut Risk, effect: &Effect, allowance: &Allowance) {
    match effect {
        Effect::UnknownTable { table } => {
            let factor = format!("UnknownTable {{ table: {table:?} }}");
            risk.raise(RiskLevel::Unknown, factor);
        }
        Effect::UnknownRows { table } => {
            let factor = format!("UnknownRows {{ table: {table:?} }}");
            risk.raise(RiskLevel::Unknown, factor);
        }
        Effect::NotTransactional { table } => {
            let factor = format!("NotTransactional {{ table: {table:?} }}");
            risk.raise(RiskLevel::Medium, factor);
        }
        Effect::Rows { rows, cascade } => {
            let large = *rows > allowance.max_estimated_rows;
            if !cascade.is_empty() {
                let level = if large {
                    RiskLevel::High
                } else {
                    RiskLevel::Medium
                };
                risk.raise(level, format!("CascadeDelete {{ targets: {cascade:?} }}"));
            } else if large {
                risk.raise(RiskLevel::Medium, format!("LargeTable {{ rows: {rows} }}"));
            }
        }
    }
}

impl Risk {
    fn calls(&mut self, unknown: &[&str]) {
        for name in unknown {
            self.raise(
                RiskLevel::Medium,
                format!("UnknownFunction {{ name: {name:?} }}"),
            );
        }
    }

    fn finds(&mut self, counted: &[ReviewRule]) {
        match counted.len() {
            0 => {}
            n if n >= MANY_FINDINGS => {
                self.raise(RiskLevel::High, format!("ManyWarnings {{ count: {n} }}"));
            }
            _ => self.level = self.level.max(RiskLevel::Medium),
        }
        let drops =
            |rule: &ReviewRule| matches!(rule, ReviewRule::DropTable | ReviewRule::Truncate);
        if counted.iter().any(drops) {
            self.raise(RiskLevel::High, "DropOperation".to_owned());
        }
    }

    fn commits(&mut self, statements: &[usize]) {
        if !statements.is_empty() {
            let factor = format!("CommitsAtOnce {{ statements: {statements:?} }}");
            self.raise(RiskLevel::Medium, factor);
        }
    }

    fn raise(&mut self, level: RiskLevel, factor: String) {
        self.level = self.level.max(level);
        if !self.factors.contains(&factor) {
            self.factors.push(factor);
        }
    }
}

/// What makes a risk, in words: `UnknownTable { table: "items" }` as `items is not a known table`.
pub fn factor_words(factor: &str) -> String {
    let (name, rest) = factor.split_once(" { ").unwrap_or((factor, ""));
    let (_, value) = rest.split_once(": ").unwrap_or_default();
    let value = value.strip_suffix(" }").unwrap_or(value);
    let value = value.replace(['[', ']', '"'], "");
    match name {
        "AnyDialect" => "which kind of database reads it is not known".to_owned(),
        "ReadOnly" => "it only reads".to_owned(),
        "SafeDdl" => "its change of tables is a safe one".to_owned(),
        "Unforeseeable" => "what it does cannot be foreseen".to_owned(),
        "SchemaNotSynced" => "no agent has reported the tables yet".to_owned(),
        "SchemaUnreadable" => "the agent could not read the tables".to_owned(),
        "MultiStatement" => "it has more than one statement".to_owned(),
        "ManyWarnings" => format!("{value} findings"),
        "DropOperation" => "it drops or empties a table".to_owned(),
        "UnknownTable" => format!("{value} is not a known table"),
        "UnknownRows" => format!("how many rows {value} has is not known"),
        "CascadeDelete" => format!("deleting goes on in {value}"),
        "CommitsAtOnce" => format!("commits at once, with all before it: statement {value}"),
        "NotTransactional" => format!("changes of {value} stay even if it fails"),
        "LargeTable" => format!("a table of about {value} rows"),
        "UnknownFunction" => format!("function {value} is not known to be free of side effects"),
        _ => factor.to_owned(),
    }
}

#[cfg(test)]
mod tests;
