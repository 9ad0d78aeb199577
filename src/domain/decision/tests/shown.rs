//! What a decision shows of itself, written out as clients read it.

use super::*;
use serde_json::Value;

/// Policies with one step for writes of `app`, that let through what is low, and one rule that is off.
fn policies() -> Policies {
    let mut policies = registered();
    policies.workflows.push(workflow(scope("app", "*"), 1));
    policies
        .auto_approve
        .push(auto(scope("*", "*"), Some(RiskLevel::Low)));
    let off = [(ReviewRule::DropColumn, RuleAction::Off)];
    policies.review.push(review(scope("*", "*"), &off));
    policies
}

fn texts(sql: &str) -> (Value, Value) {
    let snapshot = Snapshot::parse(TABLES).unwrap();
    let mut facts = facts(sql, Schema::Ready(&snapshot));
    facts.schema_collected_at = Some("2026-01-01T00:00:00Z".to_owned());
    let decision = decided(&policies(), &facts).unwrap();
    let read = |text: &str| serde_json::from_str(text).unwrap();
    (read(&decision.trace), read(&decision.context))
}

fn matched() -> Value {
    let id = Workflow::new(scope("app", "*")).id();
    assert!(id.starts_with("wf:app:*:") && id.len() == 21, "{id}");
    json!({"matched": {"id": id, "database": "app", "environment": "*", "step_count": 1}})
}

#[test]
fn a_read_that_runs_shows_why() {
    let (trace, context) = texts("SELECT * FROM small");
    let factors = &trace["risk"]["factors"];
    assert!(factors.is_array());
    assert_eq!(
        trace,
        json!({
            "version": 1,
            "classification": {"resolved_operation": "execute_select", "reason": "reads only"},
            "sql_review": {"findings_count": 0, "parse_failed": false},
            "risk": {"level": "low", "factors": factors, "schema_status": "ready"},
            "workflow": matched(),
            "decision": {
                "outcome": "auto_approved",
                "reasons": ["risk_below_threshold"],
                "auto_approve_threshold": "low",
            },
        })
    );
    assert_eq!(
        context,
        json!({
            "tables": ["small"],
            "sql_review": {"blocked": false, "findings": []},
            "risk": {"level": "Low", "factors": factors},
            "schema_snapshot_collected_at": "2026-01-01T00:00:00Z",
        })
    );
}

#[test]
fn unreadable_text_shows_only_that_it_is_unreadable() {
    let (trace, context) = texts("utter nonsense");
    assert_eq!(
        trace["classification"],
        json!({
            "resolved_operation": "execute_dml",
            "reason": "cannot be understood, so a human must look at it",
        })
    );
    assert_eq!(
        trace["sql_review"],
        json!({"findings_count": 0, "parse_failed": true})
    );
    assert_eq!(trace["risk"]["schema_status"], "unavailable");
    assert_eq!(trace["decision"]["outcome"], "needs_approval");
    assert_eq!(
        context,
        json!({
            "tables": null,
            "sql_review": null,
            "risk": null,
            "schema_snapshot_collected_at": "2026-01-01T00:00:00Z",
        })
    );
}

#[test]
fn migrations_show_no_class_and_no_parse_failure() {
    let (trace, _) = texts("");
    assert_eq!(
        trace["classification"],
        json!({"resolved_operation": "migrate_up", "reason": null})
    );
    assert_eq!(
        trace["sql_review"],
        json!({"findings_count": 0, "parse_failed": false})
    );
}

#[test]
fn findings_of_disabled_rules_are_counted_and_not_shown() {
    let rules = |sql: &str| {
        let (trace, context) = texts(sql);
        let shown = context["sql_review"]["findings"].as_array().unwrap();
        let shown: Vec<&str> = shown.iter().map(|f| f["rule"].as_str().unwrap()).collect();
        format!(
            "{} {}",
            trace["sql_review"]["findings_count"],
            shown.join(" ")
        )
    };
    assert_eq!(rules("ALTER TABLE small DROP COLUMN a"), "1 ");
    assert_eq!(
        rules("ALTER TABLE small RENAME COLUMN a TO b"),
        "1 RenameObject"
    );
}
