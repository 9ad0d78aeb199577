//! Decisions as a table that a reviewer can read, and as properties over a small universe that is walked whole: every
//! kind of statement, in every state of knowledge, under every set of a few policies.

mod refusals;
mod replayed;
mod shown;

use super::*;
use crate::domain::dialect::Dialect;
use crate::domain::facts::{Requester, SqlFacts};
use crate::domain::id::Selector;
use crate::domain::policy::Database;
use crate::domain::policy::workflow::{ApproverEntry, Mode, WorkflowStep};
use crate::domain::schema::{Schema, Snapshot};
use crate::domain::scope::Scope;
use crate::domain::sql::{ReviewRule, analyze};

const TABLES: &str = r#"{"tables": [
  {"name": "small", "estimated_rows": 10},
  {"name": "large", "estimated_rows": 5000},
  {"name": "parent", "estimated_rows": 5},
  {"name": "child", "estimated_rows": 10, "constraints": [
    {"constraint_type": "foreign_key", "referenced_table": "parent", "on_delete": "CASCADE"}]}
]}"#;

/// One statement of every kind that a decision tells apart; the empty one is a migration.
const STATEMENTS: [&str; 14] = [
    "SELECT * FROM small",
    "SELECT pg_sleep(1)",
    "UPDATE small SET a = 1 WHERE b = 2",
    "UPDATE large SET a = 1 WHERE b = 2",
    "UPDATE missing SET a = 1 WHERE b = 2",
    "UPDATE small SET a = 1",
    "DELETE FROM parent WHERE b = 2",
    "CREATE TABLE fresh (a int)",
    "ALTER TABLE small DROP COLUMN a",
    "DROP TABLE small",
    "TRUNCATE small",
    "GRANT ALL ON small TO public",
    "this is no statement",
    "",
];

/// What is known of the tables, and every combination of what a request says besides its statement.
fn universe() -> Vec<Facts> {
    let snapshot = Snapshot::parse(TABLES).unwrap();
    let mut all = Vec::new();
    for sql in STATEMENTS {
        for schema in [Schema::NotSynced, Schema::Failed, Schema::Ready(&snapshot)] {
            for flags in 0..8u8 {
                let mut facts = facts(sql, schema);
                facts.emergency = flags & 1 != 0;
                facts.allow_ddl = flags & 2 != 0;
                facts.has_reason = flags & 4 != 0;
                // Nobody can ask for the one without the other.
                if facts.emergency || !facts.allow_ddl {
                    all.push(facts);
                }
            }
        }
    }
    all
}

fn facts(sql: &str, schema: Schema<'_>) -> Facts {
    let analysis = (!sql.is_empty()).then(|| analyze(sql, Dialect::Postgres).unwrap());
    Facts {
        target: Target::new("app", "production").unwrap(),
        asked: match analysis {
            Some(_) => Operation::ExecuteSelect,
            None => Operation::MigrateUp,
        },
        emergency: false,
        allow_ddl: false,
        has_reason: true,
        sql: analysis.as_ref().map(|a| SqlFacts::new(a, schema)),
        schema_collected_at: None,
        requester: Requester::default(),
        on_call: std::collections::BTreeMap::new(),
    }
}

fn scope(database: &str, environment: &str) -> Scope {
    Scope {
        database: database.to_owned(),
        environment: environment.to_owned(),
    }
}

fn scopes() -> [Scope; 4] {
    [
        scope("*", "*"),
        scope("app", "*"),
        scope("*", "production"),
        scope("app", "production"),
    ]
}

fn workflow(scope: Scope, steps: usize) -> Workflow {
    let mut workflow = Workflow::new(scope);
    let step = WorkflowStep {
        mode: Mode::All,
        approvers: vec![ApproverEntry {
            selector: Selector::Role("admin".to_owned()),
            min: 1,
        }],
    };
    workflow.steps = vec![step; steps];
    workflow
}

fn auto(scope: Scope, threshold: Option<RiskLevel>) -> AutoApprove {
    AutoApprove {
        threshold,
        ..AutoApprove::new(scope)
    }
}

fn review(scope: Scope, rules: &[(ReviewRule, RuleAction)]) -> ReviewPolicy {
    ReviewPolicy {
        scope,
        actions: rules.iter().copied().collect(),
        ..ReviewPolicy::default_policy()
    }
}

fn registered() -> Policies {
    let mut policies = Policies::empty();
    policies.databases = vec![Database {
        name: "app".to_owned(),
        environments: vec!["production".to_owned()],
        dialect: None,
    }];
    policies
}

/// Every set of policies with one or two workflows, at most two auto-approvals and at most one review.
fn candidates() -> Vec<Policies> {
    let levels = [
        None,
        Some(RiskLevel::Low),
        Some(RiskLevel::Medium),
        Some(RiskLevel::High),
    ];
    let rules = [
        vec![],
        vec![(ReviewRule::DropColumn, RuleAction::Block)],
        vec![
            (ReviewRule::NoWhereUpdate, RuleAction::Warn),
            (ReviewRule::DropTable, RuleAction::Off),
        ],
    ];
    let mut all = Vec::new();
    for wide in 0..2 {
        for narrow in [None, Some(0), Some(2)] {
            for level in levels {
                for narrower in [None, Some(None), Some(Some(RiskLevel::Medium))] {
                    for rules in &rules {
                        let mut p = registered();
                        p.workflows.push(workflow(scope("*", "*"), wide));
                        p.workflows
                            .extend(narrow.map(|steps| workflow(scope("*", "production"), steps)));
                        p.auto_approve.push(auto(scope("*", "*"), level));
                        p.auto_approve
                            .extend(narrower.map(|level| auto(scope("app", "*"), level)));
                        p.review.push(review(scope("*", "*"), rules));
                        all.push(p);
                    }
                }
            }
        }
    }
    all
}

fn decided(policies: &Policies, facts: &Facts) -> Result<Decision, Error> {
    decide(policies, facts, classify(facts)?)
}

/// Counts what a walk over the universe met, so that none of its claims holds for want of a case.
#[derive(Default)]
struct Met(usize);

impl Met {
    fn one(&mut self) {
        self.0 += 1;
    }

    #[track_caller]
    fn at_least(self, wanted: usize) {
        assert!(self.0 >= wanted, "only {} cases met the claim", self.0);
    }
}

/// How much stands before the database: 0 nothing, 1 a person, 2 a refusal. What is refused for want of a person who
/// would look at it waits for one as soon as there is one.
fn strictness(policies: &Policies, facts: &Facts) -> u8 {
    match decided(policies, facts) {
        Err(e) if e.code() == "sql_unparsable" => 1,
        Err(_) => 2,
        Ok(d) if d.opening == Opening::Pending => 1,
        Ok(_) => 0,
    }
}

fn shown(policies: &Policies, facts: &Facts) -> String {
    match decided(policies, facts) {
        Err(e) => format!("refused {}", e.code()),
        Ok(d) => {
            let opening = match d.opening {
                Opening::Pending => "waits",
                Opening::AutoApproved => "runs",
                Opening::BreakGlass => "emergency",
            };
            let passed = d.passed.map_or("", |p| match (p.classifier, p.reviewer) {
                (true, true) => " +refusal +review",
                (true, false) => " +refusal",
                (false, _) => " +review",
            });
            format!("{opening} {} {}{passed}", d.risk.as_str(), d.reason)
        }
    }
}

#[test]
fn decisions_as_a_table() {
    // One workflow with a step, and what is low runs.
    let mut policies = registered();
    policies.workflows.push(workflow(scope("*", "*"), 1));
    policies
        .auto_approve
        .push(auto(scope("*", "*"), Some(RiskLevel::Low)));
    let table = "
                                        |           |    | waits unavailable risk_unavailable
SELECT * FROM small                     |           |    | runs low risk_below_threshold
SELECT * FROM small                     | emergency |    | emergency low break_glass
SELECT pg_sleep(1)                      |           |    | waits unknown risk_unavailable
SELECT purge()                          |           |    | waits medium unknown_function
SELECT lower(a) FROM small              |           |    | runs low risk_below_threshold
UPDATE small SET a = 1 WHERE b = 2      |           |    | runs low risk_below_threshold
UPDATE large SET a = 1 WHERE b = 2      |           |    | waits medium risk_above_threshold
UPDATE missing SET a = 1 WHERE b = 2    |           |    | waits unknown risk_unavailable
UPDATE small SET a = 1                  |           |    | refused sql_blocked_by_review
UPDATE small SET a = 1                  | emergency |    | refused sql_blocked_by_review
UPDATE small SET a = 1                  | emergency | +d | refused sql_blocked_by_review
DELETE FROM parent WHERE b = 2          |           |    | waits medium risk_above_threshold
CREATE TABLE fresh (a int)              |           |    | runs low risk_below_threshold
ALTER TABLE small DROP COLUMN a         |           |    | waits medium risk_above_threshold
DROP TABLE small                        |           |    | refused sql_rejected
DROP TABLE small                        | emergency |    | refused sql_rejected
DROP TABLE small                        | emergency | +d | emergency unknown break_glass +refusal +review
TRUNCATE small                          | emergency |    | refused sql_blocked_by_review
TRUNCATE small                          | emergency | +d | emergency high break_glass +review
GRANT ALL ON small TO public            | emergency | +d | refused sql_rejected
this is no statement                    |           |    | waits unavailable risk_unavailable
this is no statement                    | emergency |    | refused sql_unparsable
";
    let snapshot = Snapshot::parse(TABLES).unwrap();
    let mut got = String::from("\n");
    for line in table.trim_matches('\n').lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let mut facts = facts(cells[0], Schema::Ready(&snapshot));
        facts.emergency = cells[1] == "emergency";
        facts.allow_ddl = cells[2] == "+d";
        let shown = shown(&policies, &facts);
        got.push_str(&format!(
            "{:<40}| {:<10}| {:<3}| {shown}\n",
            cells[0], cells[1], cells[2]
        ));
    }
    assert_eq!(got, table);
}

#[test]
fn the_order_of_entries_does_not_matter() {
    let facts = universe();
    let mut allowed = Met::default();
    for policies in candidates() {
        let mut reversed = policies.clone();
        reversed.workflows.reverse();
        reversed.auto_approve.reverse();
        reversed.review.reverse();
        for facts in &facts {
            let decision = decided(&policies, facts).map_err(|e| e.code());
            if decision.is_ok() {
                allowed.one();
            }
            let other = decided(&reversed, facts).map_err(|e| e.code());
            assert_eq!(decision, other, "{facts:?}");
        }
    }
    allowed.at_least(1_000);
}

/// Everything that somebody may add to or change in a file in order to be stricter.
fn tightened(policies: &Policies) -> Vec<(String, Policies)> {
    let mut all = Vec::new();
    let mut add = |what: String, change: &dyn Fn(&mut Policies)| {
        let mut tighter = policies.clone();
        change(&mut tighter);
        all.push((what, tighter));
    };
    let fresh = |scope: &Scope, taken: &[&Scope]| !taken.contains(&scope);
    for scope in scopes() {
        let taken: Vec<&Scope> = policies.auto_approve.iter().map(|a| &a.scope).collect();
        if fresh(&scope, &taken) {
            add(format!("no auto-approval in {scope}"), &|p| {
                p.auto_approve.push(auto(scope.clone(), None));
            });
        }
        let taken: Vec<&Scope> = policies.review.iter().map(|r| &r.scope).collect();
        if fresh(&scope, &taken) {
            let all: Vec<_> = ReviewRule::ALL
                .iter()
                .map(|r| (*r, RuleAction::Block))
                .collect();
            add(format!("all rules block in {scope}"), &|p| {
                p.review.push(review(scope.clone(), &all));
            });
        }
    }
    for n in 0..policies.workflows.len() {
        add(format!("a step more in workflow {n}"), &|p| {
            let more = workflow(scope("*", "*"), 1).steps;
            p.workflows[n].steps.extend(more);
        });
        add(format!("a reason in workflow {n}"), &|p| {
            p.workflows[n].require_reason = true;
        });
    }
    for n in 0..policies.auto_approve.len() {
        add(format!("auto-approval {n} off"), &|p| {
            p.auto_approve[n].threshold = None;
        });
        add(format!("auto-approval {n} without reads"), &|p| {
            p.auto_approve[n].allowance.allow_read_only = false;
        });
        add(format!("auto-approval {n} without DDL"), &|p| {
            p.auto_approve[n].allowance.allow_safe_ddl = false;
        });
        add(format!("auto-approval {n} for fewer rows"), &|p| {
            p.auto_approve[n].allowance.max_estimated_rows = 0;
        });
    }
    for rule in ReviewRule::ALL {
        add(format!("{} blocks", rule.as_str()), &|p| {
            p.review[0].actions.insert(rule, RuleAction::Block);
        });
    }
    add("nothing registered".to_owned(), &|p| p.databases.clear());
    add("no workflow".to_owned(), &|p| p.workflows.clear());
    all
}

#[test]
fn what_is_added_in_order_to_deny_never_loosens() {
    let facts = universe();
    let mut stricter = Met::default();
    // Candidates that differ in nothing but the review say nothing new here.
    for policies in candidates().iter().step_by(6) {
        let before: Vec<u8> = facts.iter().map(|f| strictness(policies, f)).collect();
        for (what, tighter) in tightened(policies) {
            for (facts, before) in facts.iter().zip(&before) {
                let after = strictness(&tighter, facts);
                assert!(after >= *before, "{what}: {before} to {after}: {facts:?}");
                if after > *before {
                    stricter.one();
                }
            }
        }
    }
    stricter.at_least(100);
}

#[test]
fn unreadable_sql_runs_without_a_human_in_emergencies_only() {
    let universe = universe();
    let (mut unreadable, mut unknown) = (Met::default(), Met::default());
    for policies in candidates() {
        for facts in &universe {
            let Ok(decision) = decided(&policies, facts) else {
                continue;
            };
            if facts.sql.as_ref().is_some_and(|sql| !sql.is_parsed()) {
                assert_eq!(decision.opening, Opening::Pending, "{facts:?}");
                unreadable.one();
            }
            if decision.risk >= RiskLevel::Unknown {
                assert_ne!(decision.reason, "risk_below_threshold", "{facts:?}");
                unknown.one();
            }
        }
    }
    unreadable.at_least(500);
    unknown.at_least(1_000);
}

#[test]
fn an_emergency_never_lowers_the_record() {
    let universe = universe();
    let (mut plain, mut passing) = (Met::default(), Met::default());
    for policies in candidates() {
        for facts in universe.iter().filter(|f| f.emergency) {
            let Ok(hurried) = decided(&policies, facts) else {
                continue;
            };
            assert_eq!(hurried.opening, Opening::BreakGlass);
            let calm = Facts {
                emergency: false,
                allow_ddl: false,
                ..facts.clone()
            };
            match decided(&policies, &calm) {
                Ok(calm) => {
                    plain.one();
                    assert_eq!(hurried.passed, None, "{facts:?}");
                    assert_eq!(hurried.risk, calm.risk, "{facts:?}");
                    assert_eq!(hurried.context, calm.context, "{facts:?}");
                }
                // Only what may be passed was, and the record says so.
                Err(error) => {
                    passing.one();
                    let passed = hurried.passed.unwrap_or_else(|| panic!("{facts:?}"));
                    assert!(facts.allow_ddl, "{facts:?}");
                    match error.code() {
                        "sql_rejected" => assert!(passed.classifier, "{facts:?}"),
                        code => {
                            assert_eq!(code, "sql_blocked_by_review");
                            assert!(passed.reviewer, "{facts:?}");
                        }
                    }
                }
            }
        }
    }
    plain.at_least(1_000);
    passing.at_least(1_000);
}

#[test]
fn facts_that_were_stored_decide_the_same() {
    let universe: Vec<(Facts, Facts)> = universe()
        .into_iter()
        .map(|facts| (Facts::from_text(&facts.to_text()).unwrap(), facts))
        .collect();
    let mut allowed = Met::default();
    for policies in candidates().iter().step_by(7) {
        let read = Policies::from_canonical(&policies.canonical()).unwrap();
        for (stored, facts) in &universe {
            let decision = decided(policies, facts).map_err(|e| e.to_string());
            if decision.is_ok() {
                allowed.one();
            }
            let again = decided(&read, stored).map_err(|e| e.to_string());
            assert_eq!(decision, again);
        }
    }
    allowed.at_least(100);
}
