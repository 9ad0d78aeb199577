//! What a decision shows of itself: the trace and the context of a request, as JSON in the shapes that existing clients
//! know (semantics 3.3).

use crate::domain::facts::{Facts, SqlFacts};
use crate::domain::id::Operation;
use crate::domain::policy::auto_approve::AutoApprove;
use crate::domain::policy::review::ReviewPolicy;
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::Opening;
use crate::domain::risk::Risk;
use crate::domain::risk_level::RiskLevel;
use crate::domain::sql::{Class, Finding, RuleAction};
use serde::Serialize;

/// The parts of a decision.
pub(super) struct Decided<'a> {
    pub facts: &'a Facts,
    pub operation: Operation,
    pub opening: Opening,
    pub reason: &'static str,
    pub workflow: Option<&'a Workflow>,
    pub auto: Option<&'a AutoApprove>,
    pub risk: &'a Risk,
}

#[derive(Serialize)]
struct TraceText<'a> {
    version: u32,
    classification: ClassificationText<'a>,
    sql_review: ReviewCounts,
    risk: RiskText<'a>,
    workflow: MatchText<'a>,
    decision: DecisionText,
}

#[derive(Serialize)]
struct ClassificationText<'a> {
    resolved_operation: &'static str,
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct ReviewCounts {
    findings_count: usize,
    parse_failed: bool,
}

#[derive(Serialize)]
struct RiskText<'a> {
    level: &'static str,
    factors: &'a [String],
    schema_status: &'static str,
}

#[derive(Serialize)]
struct MatchText<'a> {
    matched: Option<MatchedWorkflow<'a>>,
}

#[derive(Serialize)]
struct MatchedWorkflow<'a> {
    id: String,
    database: &'a str,
    environment: &'a str,
    step_count: usize,
}

#[derive(Serialize)]
struct DecisionText {
    outcome: &'static str,
    reasons: [&'static str; 1],
    auto_approve_threshold: Option<&'static str>,
}

#[derive(Serialize)]
struct ContextText<'a> {
    tables: Option<&'a [String]>,
    sql_review: Option<FindingsText<'a>>,
    risk: Option<ShownRisk<'a>>,
    schema_snapshot_collected_at: Option<&'a str>,
}

#[derive(Serialize)]
struct FindingsText<'a> {
    blocked: bool,
    findings: Vec<FindingJson<'a>>,
}

#[derive(Serialize)]
struct ShownRisk<'a> {
    level: &'static str,
    factors: &'a [String],
}

/// A finding as clients see it.
#[derive(Serialize)]
pub(super) struct FindingJson<'a> {
    rule: &'static str,
    message: &'a str,
    statement: usize,
    line: u64,
    column: u64,
    why: &'static str,
    fix: &'static str,
    offset: usize,
    doc: String,
}

impl<'a> FindingJson<'a> {
    pub(super) fn new(f: &'a Finding) -> FindingJson<'a> {
        FindingJson {
            rule: f.rule.wire_name(),
            message: &f.message,
            statement: f.statement,
            line: f.line,
            column: f.column,
            why: f.why,
            fix: f.fix,
            offset: f.offset,
            doc: format!("docs/sql-review.md#{}", f.rule.as_str()),
        }
    }
}

/// `decision_trace`.
pub(super) fn trace(d: &Decided) -> String {
    let sql = d.facts.sql.as_ref();
    let parsed = sql.filter(|sql| sql.is_parsed());
    serialize(&TraceText {
        version: 1,
        classification: ClassificationText {
            resolved_operation: d.operation.as_str(),
            reason: sql.map(class_reason),
        },
        sql_review: ReviewCounts {
            findings_count: sql.map_or(0, |sql| sql.findings.len()),
            parse_failed: sql.is_some() && parsed.is_none(),
        },
        risk: RiskText {
            level: d.risk.level.as_str(),
            factors: &d.risk.factors,
            schema_status: parsed.map_or("unavailable", |sql| sql.schema.as_str()),
        },
        workflow: MatchText {
            matched: d.workflow.map(|w| MatchedWorkflow {
                id: w.id(),
                database: &w.scope.database,
                environment: &w.scope.environment,
                step_count: w.steps.len(),
            }),
        },
        decision: DecisionText {
            outcome: match d.opening {
                Opening::BreakGlass | Opening::AutoApproved => "auto_approved",
                Opening::Pending => "needs_approval",
            },
            reasons: [d.reason],
            auto_approve_threshold: d.auto.and_then(|a| a.threshold).map(RiskLevel::as_str),
        },
    })
}

/// `context`, as far as it is known before statements are explained.
pub(super) fn context(facts: &Facts, review: &ReviewPolicy, risk: &Risk) -> String {
    let parsed = facts.sql.as_ref().filter(|sql| sql.is_parsed());
    let counts = |f: &&Finding| review.action(f.rule) != RuleAction::Off;
    serialize(&ContextText {
        tables: parsed.map(|sql| &sql.tables[..]),
        sql_review: parsed.map(|sql| FindingsText {
            blocked: false,
            findings: sql
                .findings
                .iter()
                .filter(counts)
                .map(FindingJson::new)
                .collect(),
        }),
        risk: parsed.map(|_| ShownRisk {
            level: risk.level.shown(),
            factors: &risk.factors,
        }),
        schema_snapshot_collected_at: facts.schema_collected_at.as_deref(),
    })
}

pub(super) fn class_reason(sql: &SqlFacts) -> &str {
    match &sql.class {
        Class::Select => "reads only",
        Class::Dml { reason, .. } | Class::Rejected { reason, .. } => reason,
        Class::Unparsable { .. } => "cannot be understood, so a human must look at it",
    }
}

/// Strings, numbers and booleans can always be serialized; should they not, the empty text is one that the schema
/// refuses.
fn serialize(text: &impl Serialize) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
