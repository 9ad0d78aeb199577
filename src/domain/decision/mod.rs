//! The decision about a new request, from policies and facts alone: what it is, what review finds, how risky it is,
//! which workflow applies, and so how it opens. Decided again from the same two, it comes out the same.

pub mod replay;
mod trace;

use crate::domain::facts::Facts;
use crate::domain::id::{Operation, Target};
use crate::domain::policy::Policies;
use crate::domain::policy::auto_approve::AutoApprove;
use crate::domain::policy::review::ReviewPolicy;
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::Opening;
use crate::domain::risk::{self, Risk};
use crate::domain::risk_level::{Allowance, RiskLevel};
use crate::domain::sql::{Class, DialectFact, Finding, RuleAction};
use crate::error::Error;
use serde_json::json;

/// How a request opens, and everything that shows how that was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What the request is.
    pub operation: Operation,
    pub opening: Opening,
    /// Why, as a code: `empty_steps`, `risk_below_threshold`, ...
    pub reason: &'static str,
    /// The workflow that applies; an emergency may do without.
    pub workflow: Option<Workflow>,
    pub risk: RiskLevel,
    /// What an emergency with DDL passed that would have been refused.
    pub passed: Option<Passed>,
    /// `decision_trace` of the request, as JSON.
    pub trace: String,
    /// `context` of the request, as JSON.
    pub context: String,
}

/// What an emergency with `allow_ddl` passed (semantics 1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// Statements that are refused whatever the workflow.
    pub classifier: bool,
    pub reviewer: bool,
    /// How many statements there are.
    pub statements: usize,
}

/// What the request is: the operation that its SQL makes it. Of migrations no class is refused: those that take
/// something back drop things.
///
/// # Errors
/// 422 `sql_rejected`, with the place, unless an emergency with `allow_ddl` lets just this through.
pub fn classify(facts: &Facts) -> Result<Operation, Error> {
    let Some(sql) = facts.sql.as_ref().filter(|_| facts.asked.is_execute()) else {
        return Ok(facts.asked);
    };
    match &sql.class {
        Class::Select => Ok(Operation::ExecuteSelect),
        Class::Dml { .. } | Class::Unparsable { .. } => Ok(Operation::ExecuteDml),
        Class::Rejected { .. } if facts.emergency && facts.allow_ddl && sql.ddl_eligible => {
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
            Err(if facts.emergency && !facts.allow_ddl && sql.ddl_eligible {
                error.hint("in an emergency, `allow_ddl` permits it to those who may use it")
            } else {
                error.hint("no workflow lets this kind of statement through")
            })
        }
    }
}

/// Decides everything else; `operation` is what [`classify`] says.
///
/// # Errors
/// 422 `sql_blocked_by_review`, `database_not_registered`, `no_matching_workflow`, `reason_required` or
/// `sql_unparsable`.
pub fn decide(policies: &Policies, facts: &Facts, operation: Operation) -> Result<Decision, Error> {
    let target = &facts.target;
    if policies.database(target).is_none() {
        return Err(not_registered(target, policies));
    }
    let review = policies.review(target);
    let reviewer = pass_review(facts, &review)?;
    let workflow = policies.workflow(target, operation);
    if workflow.is_none() && !facts.emergency {
        return Err(Error::refused(
            "no_matching_workflow",
            format!("no workflow takes {operation} on {target}"),
        )
        .hint("an administrator has to add a [[workflows]] entry for it to server.toml"));
    }
    ensure_reason(facts, workflow)?;
    let auto = policies.auto_approve(target);
    let risk = risk_of(policies, facts, operation);
    let calls_unknown = facts
        .sql
        .as_ref()
        .is_some_and(|sql| risk::unknown_functions(sql, &review).next().is_some());
    let (opening, reason) = opening(facts, operation, workflow, auto, &risk, calls_unknown);
    if operation.is_execute() {
        ensure_readable(facts, opening)?;
    }
    let judged = facts.sql.as_ref().filter(|_| operation.is_execute());
    let passed = judged.map(|sql| Passed {
        classifier: matches!(sql.class, Class::Rejected { .. }),
        reviewer,
        statements: sql.statements,
    });
    let decided = trace::Decided {
        facts,
        operation,
        opening,
        reason,
        workflow,
        auto,
        risk: &risk,
    };
    Ok(Decision {
        operation,
        opening,
        reason,
        trace: trace::trace(&decided),
        context: trace::context(facts, &review, &risk),
        workflow: workflow.cloned(),
        risk: risk.level,
        passed: passed.filter(|p| p.classifier || p.reviewer),
    })
}

/// Whether reads of the tables of a text would run without anybody's approval. Where an auto-approval lets them through,
/// not those of unknown dialect and not those that call what the text calls, where nobody knows what it does.
pub fn reads_run_at_once(policies: &Policies, facts: &Facts) -> bool {
    let target = &facts.target;
    let Some(workflow) = policies.workflow(target, Operation::ExecuteSelect) else {
        return false;
    };
    if workflow.steps.is_empty() {
        return true;
    }
    let review = policies.review(target);
    let is_known = facts.sql.as_ref().is_some_and(|sql| {
        sql.dialect != Some(DialectFact::Any)
            && risk::unknown_functions(sql, &review).next().is_none()
    });
    is_known
        && policies
            .auto_approve(target)
            .is_some_and(AutoApprove::lets_reads_through)
}

/// What is known of a text before anything is decided about it.
#[derive(Debug)]
pub struct Assessment {
    /// What a request of it would be; none where it is refused whatever policies say.
    pub operation: Option<Operation>,
    /// Why it is that.
    pub reason: Option<String>,
    pub risk: Risk,
    /// As [`Decision::context`].
    pub context: String,
    /// The workflow that takes it.
    pub workflow: Option<Workflow>,
}

/// Assesses a text. What [`classify`] refuses is weighed as the write that it could be in an emergency.
pub fn assess(policies: &Policies, facts: &Facts) -> Assessment {
    let review = policies.review(&facts.target);
    let operation = classify(facts).ok();
    let risk = risk_of(policies, facts, operation.unwrap_or(Operation::ExecuteDml));
    let workflow = operation.and_then(|operation| policies.workflow(&facts.target, operation));
    Assessment {
        operation,
        reason: facts
            .sql
            .as_ref()
            .map(|sql| trace::class_reason(sql).to_owned()),
        context: trace::context(facts, &review, &risk),
        workflow: workflow.cloned(),
        risk,
    }
}

fn risk_of(policies: &Policies, facts: &Facts, operation: Operation) -> Risk {
    let review = policies.review(&facts.target);
    let auto = policies.auto_approve(&facts.target);
    let allowance = auto.map_or_else(Allowance::default, |a| a.allowance);
    risk::score(facts.sql.as_ref(), operation, &review, &allowance)
}

fn not_registered(target: &Target, policies: &Policies) -> Error {
    let known: Vec<&str> = policies
        .databases
        .iter()
        .filter(|d| d.name == target.database())
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
            target.database(),
            known.join(", ")
        ))
    }
}

/// Refuses what a finding blocks, unless an emergency with DDL may pass all that do; whether it passed any.
fn pass_review(facts: &Facts, review: &ReviewPolicy) -> Result<bool, Error> {
    let Some(sql) = facts.sql.as_ref().filter(|_| facts.asked.is_execute()) else {
        return Ok(false);
    };
    let blocks = |f: &&Finding| review.action(f.rule) == RuleAction::Block;
    let found: Vec<&Finding> = sql.findings.iter().filter(blocks).collect();
    let passes = facts.emergency
        && facts.allow_ddl
        && sql.ddl_eligible
        && found.iter().all(|f| f.rule.bypassable());
    if found.is_empty() || passes {
        return Ok(!found.is_empty());
    }
    let messages: Vec<&str> = found.iter().map(|f| f.message.as_str()).collect();
    let list: Vec<_> = found.iter().map(|f| trace::FindingJson::new(f)).collect();
    Err(Error::refused(
        "sql_blocked_by_review",
        format!("SQL blocked by review: {}", messages.join("; ")),
    )
    .details(json!({"findings": list}))
    .hint(found.first().map_or("", |f| f.fix)))
}

/// The review rules that blocked a statement, by their names on the wire; none for any other refusal.
pub fn blocked_rules(error: &Error) -> Vec<String> {
    if error.code() != "sql_blocked_by_review" {
        return Vec::new();
    }
    let findings = error.shown_details().and_then(|d| d["findings"].as_array());
    let rules = findings.into_iter().flatten().map(|f| f["rule"].as_str());
    let mut names: Vec<String> = rules.flatten().map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn ensure_reason(facts: &Facts, workflow: Option<&Workflow>) -> Result<(), Error> {
    let wanted = facts.emergency || workflow.is_some_and(|w| w.require_reason);
    if !wanted || facts.has_reason {
        return Ok(());
    }
    let why = if facts.emergency {
        "for an emergency"
    } else {
        "by workflow policy"
    };
    Err(
        Error::refused("reason_required", format!("reason is required {why}"))
            .hint("send a `reason`"),
    )
}

/// What cannot be read runs only after somebody has looked at it.
fn ensure_readable(facts: &Facts, opening: Opening) -> Result<(), Error> {
    match facts.sql.as_ref().map(|sql| &sql.class) {
        Some(Class::Unparsable {
            line,
            column,
            message,
        }) if opening != Opening::Pending => Err(Error::refused(
            "sql_unparsable",
            "the statement cannot be understood, and nobody would look at it before it ran",
        )
        .details(json!({"line": line, "column": column}))
        .hint(format!("line {line}, column {column}: {message}"))),
        _ => match facts.sql.as_ref().and_then(|sql| sql.by_words) {
            Some(statement) if opening == Opening::AutoApproved => Err(Error::refused(
                "sql_unparsable",
                format!(
                    "statement {statement} changes something and was read by its words alone, and nobody would look at \
                     it before it ran"
                ),
            )
            .details(json!({"statement": statement}))
            .hint("write it in a plainer form, or ask for it where a workflow has steps")),
            _ => Ok(()),
        },
    }
}

/// How the request opens, and why. Migrations are never let through by risk, nor is a call of a function of which
/// nobody knows what it does.
fn opening(
    facts: &Facts,
    operation: Operation,
    workflow: Option<&Workflow>,
    auto: Option<&AutoApprove>,
    risk: &Risk,
    calls_unknown: bool,
) -> (Opening, &'static str) {
    if facts.emergency {
        return (Opening::BreakGlass, "break_glass");
    }
    if workflow.is_some_and(|w| w.steps.is_empty()) {
        return (Opening::AutoApproved, "empty_steps");
    }
    let why = match auto {
        None => "no_auto_approve_rule",
        Some(auto) if auto.threshold.is_none() => "auto_approve_disabled",
        Some(_) if risk.level >= RiskLevel::Unknown || !operation.is_execute() => {
            "risk_unavailable"
        }
        Some(_) if calls_unknown => "unknown_function",
        Some(auto) if auto.lets_through(risk.level) => {
            return (Opening::AutoApproved, "risk_below_threshold");
        }
        Some(_) => "risk_above_threshold",
    };
    (Opening::Pending, why)
}

#[cfg(test)]
mod tests;
