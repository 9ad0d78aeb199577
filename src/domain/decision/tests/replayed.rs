//! Decisions again: what is the same, what differs and in which words, and what other policies would make of a request.

use super::replay::{Outlook, Recorded, Replayed};
use super::*;

/// Policies under which reads run at once and writes wait for `steps` steps.
fn policies(steps: usize) -> Policies {
    let mut policies = registered();
    policies.workflows.push(workflow(scope("*", "*"), steps));
    policies
        .auto_approve
        .push(auto(scope("*", "*"), Some(RiskLevel::Low)));
    policies
}

fn facts_of(sql: &str) -> Facts {
    facts(sql, Schema::Ready(&Snapshot::parse(TABLES).unwrap()))
}

/// The request of that text as it is recorded under `policies`.
fn recorded(policies: &Policies, sql: &str) -> Recorded {
    let facts = facts_of(sql);
    let decision = decided(policies, &facts).unwrap();
    Recorded {
        id: "r".to_owned(),
        operation: decision.operation.as_str().to_owned(),
        opening: decision.opening.step().to().as_str().to_owned(),
        risk_level: decision.risk.as_str().to_owned(),
        policy_version: policies.version(),
        facts: facts.to_text(),
        trace: decision.trace,
        workflow: decision.workflow.as_ref().map(Workflow::to_text),
    }
}

const READ: &str = "SELECT * FROM small";
const WRITE: &str = "UPDATE large SET a = 1 WHERE b = 2";

#[test]
fn the_same_policies_decide_the_same() {
    for steps in [0, 1] {
        let policies = policies(steps);
        for sql in [READ, WRITE, ""] {
            let record = recorded(&policies, sql);
            assert_eq!(record.replay(Some(&policies)), Replayed::Same, "{sql}");
            // The trace is compared as JSON, since stores may have written it in another form.
            let trace: serde_json::Value = serde_json::from_str(&record.trace).unwrap();
            let spaced = Recorded {
                trace: serde_json::to_string_pretty(&trace).unwrap(),
                ..record
            };
            assert_eq!(spaced.replay(Some(&policies)), Replayed::Same, "{sql}");
        }
    }
}

#[test]
fn each_difference_is_a_sentence() {
    let policies = policies(1);
    type Change = fn(&mut Recorded);
    let changes: [(&str, Change); 7] = [
        ("opening: recorded approved, comes out pending", |r| {
            r.opening = "approved".to_owned();
        }),
        (
            "operation: recorded execute_select, comes out execute_dml",
            |r| r.operation = "execute_select".to_owned(),
        ),
        ("risk level: recorded low, comes out medium", |r| {
            r.risk_level = "low".to_owned();
        }),
        ("workflow: recorded none, comes out ", |r| r.workflow = None),
        ("decision trace: recorded {}, comes out ", |r| {
            r.trace = "{}".to_owned();
        }),
        ("decision trace: recorded none, comes out ", |r| {
            r.trace = "none".to_owned();
        }),
        ("its facts cannot be read", |r| r.facts = "{}".to_owned()),
    ];
    for (expected, change) in changes {
        let mut record = recorded(&policies, WRITE);
        change(&mut record);
        match record.replay(Some(&policies)) {
            Replayed::Different(all) => {
                assert_eq!(all.len(), 1, "{all:?}");
                assert!(all[0].starts_with(expected), "{all:?}");
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn what_cannot_be_decided_again_says_why() {
    let policies = policies(1);
    let record = recorded(&policies, WRITE);
    let not_kept = Replayed::Different(vec![format!(
        "the policies {} are not kept whole",
        record.policy_version
    )]);
    assert_eq!(record.replay(None), not_kept);
    assert_eq!(record.replay(Some(&registered())), not_kept);
    let refusing = registered();
    let refused = Recorded {
        policy_version: refusing.version(),
        ..record.clone()
    };
    assert_eq!(
        refused.replay(Some(&refusing)),
        Replayed::Different(vec!["it is refused: no_matching_workflow".to_owned()])
    );
    for (facts, is_too_old) in [
        ("{\"version\":1}", true),
        ("{\"version\":9}", false),
        ("", false),
    ] {
        let record = Recorded {
            facts: facts.to_owned(),
            ..record.clone()
        };
        let replayed = record.replay(Some(&policies));
        assert_eq!(replayed == Replayed::TooOld, is_too_old, "{facts}");
    }
}

#[test]
fn other_policies_would_run_refuse_or_ask_somebody_else() {
    let under = |steps, sql, candidate: &Policies| recorded(&policies(steps), sql).under(candidate);
    let mut others = policies(1);
    others.workflows[0].steps[0].approvers[0].min = 2;
    let mut generous = policies(1);
    generous.auto_approve[0].threshold = Some(RiskLevel::Medium);
    let one = || vec!["all of role:admin (1)".to_owned()];
    assert_eq!(under(1, WRITE, &policies(1)), Outlook::Same);
    assert_eq!(under(0, WRITE, &policies(0)), Outlook::Same);
    assert_eq!(under(1, READ, &generous), Outlook::Same);
    assert_eq!(
        under(1, WRITE, &generous),
        Outlook::AutoApproved {
            risk: "medium",
            reason: "risk_below_threshold",
        }
    );
    assert_eq!(
        under(0, WRITE, &policies(1)),
        Outlook::Waiting {
            approvers: vec!["role:admin (1)".to_owned()],
        }
    );
    assert_eq!(
        under(1, WRITE, &others),
        Outlook::OtherApprovers {
            before: one(),
            after: vec!["all of role:admin (2)".to_owned()],
        }
    );
    assert_eq!(
        under(1, WRITE, &policies(2)),
        Outlook::OtherApprovers {
            before: one(),
            after: [one(), one()].concat(),
        }
    );
    match under(1, WRITE, &registered()) {
        Outlook::Blocked { code, message } => {
            assert_eq!(code, "no_matching_workflow");
            assert_eq!(message, "no workflow takes execute_dml on app/production");
        }
        other => panic!("{other:?}"),
    }
    let unreadable = Recorded {
        facts: "{\"version\":1}".to_owned(),
        ..recorded(&policies(1), WRITE)
    };
    assert_eq!(unreadable.under(&policies(1)), Outlook::Unknown);
}
