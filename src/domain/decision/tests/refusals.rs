//! What is refused, with which hint, and what opens for which reason: each condition alone.

use super::*;

const EMERGENCY_DDL: &str = "in an emergency, `allow_ddl` permits it to those who may use it";
const NO_WORKFLOW_EVER: &str = "no workflow lets this kind of statement through";

/// Policies with one workflow for everything and nothing else.
fn policies() -> Policies {
    let mut policies = registered();
    policies.workflows.push(workflow(scope("*", "*"), 1));
    policies
}

fn facts_of(sql: &str) -> Facts {
    facts(sql, Schema::Ready(&Snapshot::parse(TABLES).unwrap()))
}

/// How it opens and why, or the code and the hint of the refusal.
fn outcome(policies: &Policies, facts: &Facts) -> String {
    match decided(policies, facts) {
        Ok(d) => format!("{} {}", d.opening.step().to(), d.reason),
        Err(e) => format!("{}: {}", e.code(), e.hint_text().unwrap_or_default()),
    }
}

#[test]
fn a_refused_class_names_the_way_that_there_is() {
    // The statement, whether it is an emergency, with DDL; the hint.
    let table = [
        ("DROP TABLE small", false, false, NO_WORKFLOW_EVER),
        ("DROP TABLE small", true, false, EMERGENCY_DDL),
        (
            "GRANT ALL ON small TO public",
            true,
            false,
            NO_WORKFLOW_EVER,
        ),
        ("GRANT ALL ON small TO public", true, true, NO_WORKFLOW_EVER),
    ];
    for (sql, emergency, allow_ddl, hint) in table {
        let facts = Facts {
            emergency,
            allow_ddl,
            ..facts_of(sql)
        };
        let expected = format!("sql_rejected: {hint}");
        assert_eq!(outcome(&policies(), &facts), expected, "{sql} {emergency}");
    }
    // Of DDL without an emergency nothing is passed, and the hint does not say so.
    let facts = Facts {
        allow_ddl: true,
        ..facts_of("DROP TABLE small")
    };
    let expected = format!("sql_rejected: {NO_WORKFLOW_EVER}");
    assert_eq!(outcome(&policies(), &facts), expected);
}

#[test]
fn an_unknown_target_names_the_environments_of_its_database() {
    let mut facts = facts_of("SELECT 1");
    facts.target = Target::new("app", "staging").unwrap();
    assert_eq!(
        outcome(&policies(), &facts),
        "database_not_registered: `app` has the environments production"
    );
    facts.target = Target::new("other", "production").unwrap();
    assert_eq!(
        outcome(&policies(), &facts),
        "database_not_registered: see GET /api/databases for the registered ones"
    );
}

#[test]
fn only_an_emergency_needs_no_workflow() {
    let mut facts = facts_of("SELECT * FROM small");
    let refused = outcome(&registered(), &facts);
    assert!(refused.starts_with("no_matching_workflow: "), "{refused}");
    facts.emergency = true;
    assert_eq!(outcome(&registered(), &facts), "break_glass break_glass");
    // With a workflow neither is refused.
    assert_eq!(outcome(&policies(), &facts), "break_glass break_glass");
    facts.emergency = false;
    assert_eq!(outcome(&policies(), &facts), "pending no_auto_approve_rule");
}

#[test]
fn reason_is_required_by_the_workflow_and_in_an_emergency() {
    let mut wanting = policies();
    wanting.workflows[0].require_reason = true;
    for (policies, is_wanted) in [(&policies(), false), (&wanting, true)] {
        for emergency in [false, true] {
            for has_reason in [false, true] {
                let facts = Facts {
                    emergency,
                    has_reason,
                    ..facts_of("SELECT * FROM small")
                };
                let refused = decided(policies, &facts).err();
                let expected =
                    (!has_reason && (emergency || is_wanted)).then_some(match emergency {
                        true => "reason is required for an emergency",
                        false => "reason is required by workflow policy",
                    });
                assert_eq!(refused.as_ref().map(Error::message), expected, "{facts:?}");
            }
        }
    }
}

#[test]
fn change_read_by_words_alone_needs_a_human() {
    let mut facts = facts_of("UPDATE small SET a = 1 WHERE b = 2");
    facts.sql.as_mut().unwrap().by_words = Some(1);
    assert_eq!(outcome(&policies(), &facts), "pending no_auto_approve_rule");
    let mut open = policies();
    open.workflows[0].steps.clear();
    let hint = "write it in a plainer form, or ask for it where a workflow has steps";
    assert_eq!(outcome(&open, &facts), format!("sql_unparsable: {hint}"));
    // In an emergency somebody has looked: the one who asks.
    facts.emergency = true;
    assert_eq!(outcome(&open, &facts), "break_glass break_glass");
}

#[test]
fn what_waits_says_why_nobody_let_it_through() {
    let with = |level| {
        let mut policies = policies();
        policies.auto_approve.push(auto(scope("*", "*"), level));
        policies
    };
    let facts = facts_of("UPDATE large SET a = 1 WHERE b = 2");
    // The rule, if there is one; how it opens.
    let table = [
        (policies(), "pending no_auto_approve_rule"),
        (with(None), "pending auto_approve_disabled"),
        (with(Some(RiskLevel::Low)), "pending risk_above_threshold"),
        (
            with(Some(RiskLevel::Medium)),
            "auto_approved risk_below_threshold",
        ),
    ];
    for (policies, expected) in table {
        assert_eq!(outcome(&policies, &facts), expected);
    }
    let migration = outcome(&with(Some(RiskLevel::High)), &facts_of(""));
    assert_eq!(migration, "pending risk_unavailable");
    let mut open = policies();
    open.workflows[0].steps.clear();
    assert_eq!(outcome(&open, &facts), "auto_approved empty_steps");
}

#[test]
fn blocking_rules_are_named_once_each_in_order() {
    let mut strict = policies();
    let blocking: Vec<_> = ReviewRule::ALL.map(|r| (r, RuleAction::Block)).into();
    strict.review.push(review(scope("*", "*"), &blocking));
    let facts = facts_of("UPDATE small SET a = 1; DELETE FROM small; UPDATE large SET a = 1");
    let refused = decided(&strict, &facts).unwrap_err();
    assert_eq!(blocked_rules(&refused), ["NoWhereDelete", "NoWhereUpdate"]);
    let other = decided(&registered(), &facts_of("SELECT 1")).unwrap_err();
    assert_eq!(other.code(), "no_matching_workflow");
    let other = other.details(json!({"findings": [{"rule": "NoWhereUpdate"}]}));
    assert!(blocked_rules(&other).is_empty());
}

#[test]
fn a_text_is_assessed_whatever_may_be_done_with_it() {
    // The statement; the operation, the workflow's steps, the risk.
    let table = [
        ("SELECT * FROM small", "execute_select 1 low"),
        ("UPDATE large SET a = 1 WHERE b = 2", "execute_dml 1 medium"),
        ("DROP TABLE small", "refused - unknown"),
    ];
    for (sql, expected) in table {
        let assessed = assess(&policies(), &facts_of(sql));
        let operation = assessed.operation.map_or("refused", Operation::as_str);
        let steps = assessed.workflow.map(|w| w.steps.len().to_string());
        let steps = steps.unwrap_or_else(|| "-".to_owned());
        let risk = assessed.risk.level.as_str();
        assert_eq!(format!("{operation} {steps} {risk}"), expected, "{sql}");
        assert!(assessed.reason.is_some(), "{sql}");
    }
}
