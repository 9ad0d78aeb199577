//! The decision about a new request, from facts alone: what it is, what review finds, how risky it is, which workflow
//! applies, and so how it opens. Everything it was decided from goes with the request, so that it can be decided again.

use super::Active;
use super::schemas::Remembered;
use crate::domain::id::{Operation, Target};
use crate::domain::policy::auto_approve::AutoApprove;
use crate::domain::policy::review::ReviewPolicy;
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::Opening;
use crate::domain::risk::{self, Allowance, Risk, RiskLevel};
use crate::domain::sql::{Action, Analysis, Class, Finding};
use crate::error::Error;
use serde_json::{Value, json};

/// What was asked for, already checked field by field.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// Where.
    pub target: &'a Target,
    /// Operation as asked.
    pub operation: Operation,
    /// An emergency.
    pub emergency: bool,
    /// With DDL that is otherwise refused.
    pub allow_ddl: bool,
    /// Whether there is a reason.
    pub has_reason: bool,
    /// What is known of the SQL; none for a migration.
    pub analysis: Option<&'a Analysis>,
    /// What is known of the tables.
    pub schema: &'a Remembered,
}

/// The decision.
#[derive(Debug, Clone)]
pub struct Decision {
    /// What the request is.
    pub operation: Operation,
    /// How it opens.
    pub opening: Opening,
    /// The workflow that applies.
    pub workflow: Option<Workflow>,
    /// How risky.
    pub risk: RiskLevel,
    /// `decision_trace` of the request.
    pub trace: Value,
    /// `context` of the request.
    pub context: Value,
    /// Findings and the rest that a replay needs.
    pub facts: Value,
}

/// What the request is: the operation that its SQL makes it.
///
/// # Errors
/// 422 `sql_rejected`, with the place, unless an emergency with `allow_ddl` lets just this through.
pub fn classify(asked: &Asked) -> Result<Operation, Error> {
    let Some(analysis) = asked.analysis else {
        return Ok(asked.operation);
    };
    match &analysis.class {
        Class::Select => Ok(Operation::ExecuteSelect),
        Class::Dml { .. } | Class::Unparsable { .. } => Ok(Operation::ExecuteDml),
        Class::Rejected { .. } if asked.emergency && asked.allow_ddl && analysis.ddl.eligible => {
            Ok(Operation::ExecuteDml)
        }
        Class::Rejected {
            reason,
            line,
            column,
        } => {
            let error = Error::refused(
                "sql_rejected",
                format!("statement at line {line}, column {column} is refused: {reason}"),
            )
            .details(json!({"line": line, "column": column, "reason": reason}));
            Err(
                if asked.emergency && !asked.allow_ddl && analysis.ddl.eligible {
                    error.hint("in an emergency, `allow_ddl` lets it through to whoever may use it")
                } else {
                    error.hint("no workflow lets this kind of statement through")
                },
            )
        }
    }
}

/// Decides everything else, from the policies in force.
///
/// # Errors
/// 422 `sql_blocked_by_review`, `database_not_registered`, `no_matching_workflow`, `reason_required` or
/// `sql_unparsable`.
pub fn decide(asked: &Asked, operation: Operation, active: &Active) -> Result<Decision, Error> {
    let policies = &active.policies;
    if policies.database(asked.target).is_none() {
        return Err(not_registered(asked.target, active));
    }
    let review = policies.review(asked.target);
    let blocking = blocking(asked, &review);
    if !blocking.is_empty() {
        return Err(blocked(&blocking));
    }
    let workflow = policies.workflow(asked.target, operation);
    if workflow.is_none() && !asked.emergency {
        return Err(Error::refused(
            "no_matching_workflow",
            format!("no workflow takes {operation} on {}", asked.target),
        )
        .hint("an administrator has to add a [[workflows]] entry for it to server.toml"));
    }
    let wants_reason = asked.emergency || workflow.is_some_and(|w| w.require_reason);
    if wants_reason && !asked.has_reason {
        let why = if asked.emergency {
            "for an emergency"
        } else {
            "by workflow policy"
        };
        return Err(
            Error::refused("reason_required", format!("reason is required {why}"))
                .hint("send a `reason`"),
        );
    }
    let auto = policies.auto_approve(asked.target);
    let risk = risk::score(
        asked.analysis,
        operation,
        &review,
        asked.schema.schema(),
        &auto.map_or_else(Allowance::default, |a| a.allowance),
    );
    let (opening, why) = opening(asked, operation, workflow, auto, &risk);
    if opening != Opening::Pending
        && let Some(Class::Unparsable {
            line,
            column,
            message,
        }) = asked.analysis.map(|a| &a.class)
    {
        return Err(unparsable(*line, *column, message));
    }
    Ok(Decision {
        operation,
        opening,
        workflow: workflow.cloned(),
        trace: trace(asked, operation, workflow, (opening, why), auto, &risk),
        context: context(asked, &review, &risk),
        facts: facts(asked, operation, &risk),
        risk: risk.level,
    })
}

fn not_registered(target: &Target, active: &Active) -> Error {
    let known: Vec<&str> = active
        .policies
        .databases
        .iter()
        .filter(|d| d.name == target.database)
        .flat_map(|d| d.environments.iter().map(String::as_str))
        .take(5)
        .collect();
    let error = Error::refused(
        "database_not_registered",
        format!("database {target} is not registered"),
    );
    if known.is_empty() {
        error.hint("see GET /api/databases for the registered ones")
    } else {
        error.hint(format!(
            "`{}` has the environments {}",
            target.database,
            known.join(", ")
        ))
    }
}

/// Findings that block; in an emergency with DDL, those that it may pass do not.
fn blocking<'a>(asked: &Asked<'a>, review: &ReviewPolicy) -> Vec<&'a Finding> {
    let Some(analysis) = asked.analysis else {
        return Vec::new();
    };
    let bypass = asked.emergency && asked.allow_ddl;
    let blocks = |f: &&Finding| review.action(f.rule) == Action::Block;
    let found: Vec<&Finding> = analysis.findings.iter().filter(blocks).collect();
    let passes = bypass && analysis.ddl.eligible && found.iter().all(|f| f.rule.bypassable());
    if passes { Vec::new() } else { found }
}

fn blocked(findings: &[&Finding]) -> Error {
    let messages: Vec<&str> = findings.iter().map(|f| f.message.as_str()).collect();
    let list: Vec<Value> = findings.iter().map(|f| finding_json(f)).collect();
    Error::refused(
        "sql_blocked_by_review",
        format!("SQL blocked by review: {}", messages.join("; ")),
    )
    .details(json!({"findings": list}))
    .hint(findings.first().map_or("", |f| f.mend))
}

fn unparsable(line: u64, column: u64, message: &str) -> Error {
    Error::refused(
        "sql_unparsable",
        "the statement cannot be understood, and nobody would look at it before it ran",
    )
    .details(json!({"line": line, "column": column}))
    .hint(format!("line {line}, column {column}: {message}"))
}

fn finding_json(f: &Finding) -> Value {
    json!({
        "rule": f.rule.wire_name(),
        "message": f.message,
        "statement": f.statement,
        "line": f.line,
        "column": f.column,
        "why": f.why,
        "mend": f.mend,
    })
}

/// How the request opens, and why. Migrations are never let through by risk.
fn opening(
    asked: &Asked,
    operation: Operation,
    workflow: Option<&Workflow>,
    auto: Option<&AutoApprove>,
    risk: &Risk,
) -> (Opening, &'static str) {
    if asked.emergency {
        return (Opening::BreakGlass, "break_glass");
    }
    if workflow.is_some_and(|w| w.steps.is_empty()) {
        return (Opening::AutoApproved, "empty_steps");
    }
    let why = match auto {
        None => "no_auto_approve_rule",
        Some(auto) if auto.threshold.is_none() => "auto_approve_disabled",
        Some(_) if risk.level >= RiskLevel::Unknown => "risk_unavailable",
        Some(auto) if operation.is_execute() && auto.lets_through(risk.level) => {
            return (Opening::AutoApproved, "risk_below_threshold");
        }
        Some(_) => "risk_above_threshold",
    };
    (Opening::Pending, why)
}

fn trace(
    asked: &Asked,
    operation: Operation,
    workflow: Option<&Workflow>,
    (opening, why): (Opening, &str),
    auto: Option<&AutoApprove>,
    risk: &Risk,
) -> Value {
    let outcome = match opening {
        Opening::BreakGlass | Opening::AutoApproved => "auto_approved",
        Opening::Pending => "needs_approval",
    };
    let threshold = auto.and_then(|a| a.threshold).map(RiskLevel::as_str);
    let parsed = asked
        .analysis
        .is_some_and(|a| !matches!(a.class, Class::Unparsable { .. }));
    json!({
        "version": 1,
        "classification": {"resolved_operation": operation.as_str(), "reason": class_reason(asked.analysis)},
        "sql_review": {
            "findings_count": asked.analysis.map_or(0, |a| a.findings.len()),
            "parse_failed": asked.analysis.is_some() && !parsed,
        },
        "risk": {
            "level": risk.level.as_str(),
            "factors": risk.factors,
            "schema_status": if parsed { asked.schema.schema().status() } else { "unavailable" },
        },
        "workflow": {"matched": workflow.map(|w| json!({
            "id": w.id(),
            "database": w.scope.database,
            "environment": w.scope.environment,
            "step_count": w.steps.len(),
        }))},
        "decision": {"outcome": outcome, "reasons": [why], "auto_approve_threshold": threshold},
    })
}

fn class_reason(analysis: Option<&Analysis>) -> Option<&str> {
    match &analysis?.class {
        Class::Select => Some("reads only"),
        Class::Dml { reason, .. } | Class::Rejected { reason, .. } => Some(reason),
        Class::Unparsable { .. } => Some("cannot be understood, so a human must look at it"),
    }
}

fn context(asked: &Asked, review: &ReviewPolicy, risk: &Risk) -> Value {
    let parsed = asked
        .analysis
        .filter(|a| !matches!(a.class, Class::Unparsable { .. }));
    let findings = |a: &Analysis| -> Vec<Value> {
        a.findings
            .iter()
            .filter(|f| review.action(f.rule) != Action::Off)
            .map(finding_json)
            .collect()
    };
    json!({
        "tables": parsed.map(|a| a.tables.clone()),
        "sql_review": parsed.map(|a| json!({"blocked": false, "findings": findings(a)})),
        "risk": parsed.map(|_| json!({"level": risk.level.shown(), "factors": risk.factors})),
        "schema_snapshot_collected_at": asked.schema.collected_at(),
    })
}

fn facts(asked: &Asked, operation: Operation, risk: &Risk) -> Value {
    json!({
        "version": 1,
        "database": asked.target.database,
        "environment": asked.target.environment,
        "asked_operation": asked.operation.as_str(),
        "operation": operation.as_str(),
        "emergency": asked.emergency,
        "allow_ddl": asked.allow_ddl,
        "has_reason": asked.has_reason,
        "class": asked.analysis.map(class_facts),
        "risk": {
            "level": risk.level.as_str(),
            "factors": risk.factors,
            "schema": asked.schema.schema().status(),
            "schema_collected_at": asked.schema.collected_at(),
        },
    })
}

fn class_facts(a: &Analysis) -> Value {
    let name = match a.class {
        Class::Select => "select",
        Class::Dml { .. } => "dml",
        Class::Rejected { .. } => "rejected",
        Class::Unparsable { .. } => "unparsable",
    };
    let findings: Vec<Value> = a
        .findings
        .iter()
        .map(|f| json!({"rule": f.rule.as_str(), "statement": f.statement}))
        .collect();
    json!({
        "name": name,
        "reason": class_reason(Some(a)),
        "statements": a.statements.len(),
        "ddl_eligible": a.ddl.eligible,
        "safe_ddl": a.safe_ddl,
        "tables": a.tables,
        "findings": findings,
    })
}
