//! What agents say of themselves, and what follows.

use super::*;
use crate::domain::permission::tests::target;

fn report(databases: &[&str], environments: &[&str], pairs: &[(&str, &str)]) -> AgentReport {
    let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    let pairs = pairs.iter();
    AgentReport {
        databases: owned(databases),
        environments: owned(environments),
        scopes: pairs
            .map(|(d, e)| ((*d).to_owned(), (*e).to_owned()))
            .collect(),
        ..AgentReport::default()
    }
}

fn named(report: &AgentReport) -> Vec<String> {
    let scopes = report.scopes().unwrap();
    scopes
        .iter()
        .map(|s| format!("{}/{}", s.database, s.environment))
        .collect()
}

#[test]
fn a_report_names_each_target_once() {
    let product = report(&["a", "b", "a"], &["x", "y"], &[("a", "x")]);
    assert_eq!(named(&product), ["a/x", "a/y", "b/x", "b/y"]);
    assert_eq!(named(&report(&["a"], &[], &[])), ["a/*"]);
    assert!(report(&["A"], &[], &[]).scopes().is_err());
}

#[test]
fn long_lists_are_refused_before_they_are_multiplied() {
    let many = vec!["a"; SCOPES_MAX + 1];
    assert!(report(&many, &["x"], &[]).scopes().is_err());
    assert!(report(&["a"], &many, &[]).scopes().is_err());
}

#[test]
fn versions_are_compared_by_number() {
    assert!(is_older("0.1.5", "0.1.6"));
    assert!(is_older("0.1.5-beta", "0.1.6"));
    assert!(!is_older("0.1.6", "0.1.6"));
    assert!(!is_older("0.1.10", "0.1.6"));
    assert!(!is_older("1.0.0", "0.1.6"));
    assert!(!is_older("", "0.1.6"));
    assert!(!is_older("next", "0.1.6"));
}

fn reported(report: AgentReport) -> Result<Agent, Error> {
    report.agent("agent", Timestamp(5))
}

#[test]
fn agent_serves_and_runs_what_it_names() {
    let none = reported(report(&[], &[], &[])).unwrap();
    let some = reported(AgentReport {
        operations: vec!["execute_select".to_owned()],
        features: vec!["row_bound".to_owned(), "of tomorrow".to_owned()],
        ..report(&["app"], &[], &[("shop", "prod")])
    })
    .unwrap();
    // Target; served by each.
    for (text, one, other) in [
        ("app/dev", false, true),
        ("shop/prod", false, true),
        ("shop/dev", false, false),
    ] {
        let target = target(text);
        assert_eq!((none.serves(&target), some.serves(&target)), (one, other));
    }
    // An agent that names no operation runs all.
    for operation in Operation::ALL {
        let reads = operation == Operation::ExecuteSelect;
        assert_eq!((none.runs(operation), some.runs(operation)), (true, reads));
    }
    assert_eq!((none.counts_rows(), some.counts_rows()), (false, true));
    assert_eq!(
        some.capabilities_json(),
        r#"{"features":["row_bound"],"operations":["execute_select"],"scopes":[{"database":"shop","environment":"prod"},{"database":"app","environment":"*"}]}"#
    );
}

#[test]
fn what_is_reported_is_checked_and_bounded() {
    let names = |n: usize| vec!["execute_select".to_owned(); n];
    let with = |operations, features| {
        reported(AgentReport {
            operations,
            features,
            ..AgentReport::default()
        })
    };
    assert!(with(names(SCOPES_MAX), Vec::new()).is_ok());
    assert!(with(names(SCOPES_MAX + 1), Vec::new()).is_err());
    assert!(with(vec!["execute".to_owned()], Vec::new()).is_err());
    assert!(with(Vec::new(), vec!["x".to_owned(); FEATURES_MAX]).is_ok());
    assert!(with(Vec::new(), vec!["x".to_owned(); FEATURES_MAX + 1]).is_err());

    let jobs = |jobs: Value| {
        let report = AgentReport {
            active_jobs: Some(jobs),
            ..AgentReport::default()
        };
        reported(report).unwrap().active_jobs
    };
    // With brackets and quotes, 64 KiB.
    let fits = "x".repeat(65_536 - 4);
    assert_eq!(jobs(serde_json::json!([fits])), serde_json::json!([fits]));
    assert_eq!(jobs(serde_json::json!([fits + "x"])), serde_json::json!([]));
    assert_eq!(jobs(serde_json::json!({})), serde_json::json!([]));

    let version = |length: usize| {
        let report = AgentReport {
            agent_version: Some("1".repeat(length)),
            ..AgentReport::default()
        };
        reported(report).unwrap().version.map(|v| v.len())
    };
    assert_eq!(version(VERSION_BYTES_MAX), Some(VERSION_BYTES_MAX));
    assert_eq!(version(VERSION_BYTES_MAX + 1), None);
}

#[test]
fn state_of_an_agent_tells_what_matters_most() {
    let minute = i64::try_from(OFFLINE_AFTER_MS).unwrap();
    // Draining, in flight of four, milliseconds after its last report.
    for (draining, in_flight, after, state) in [
        (false, 3, minute, "healthy"),
        (false, 4, minute, "saturated"),
        (true, 4, minute, "draining"),
        (true, 4, minute + 1, "offline"),
    ] {
        let agent = reported(AgentReport {
            draining,
            in_flight,
            ..AgentReport::default()
        })
        .unwrap();
        assert_eq!(agent.state(Timestamp(5 + after)), state);
    }
}

#[test]
fn only_agent_that_states_an_older_version_is_too_old() {
    for (version, too_old) in [(None, false), (Some("0.1.5"), true), (Some("0.1.6"), false)] {
        let report = AgentReport {
            agent_version: version.map(str::to_owned),
            ..AgentReport::default()
        };
        assert_eq!(report.is_too_old(), too_old, "{version:?}");
    }
}

#[test]
fn as_many_targets_as_allowed_pass_and_no_more() {
    let names = |n: usize| -> Vec<String> { (0..n).map(|n| format!("a{n}")).collect() };
    let with = |databases: usize, environments: usize| {
        let report = AgentReport {
            databases: names(databases),
            environments: names(environments),
            ..AgentReport::default()
        };
        report.scopes().map(|scopes| scopes.len()).ok()
    };
    assert_eq!(with(SCOPES_MAX, 0), Some(SCOPES_MAX));
    assert_eq!(with(SCOPES_MAX / 2, 2), Some(SCOPES_MAX));
    // Neither list is too long by itself.
    assert_eq!(with(SCOPES_MAX / 2 + 1, 2), None);
    assert_eq!(with(2, SCOPES_MAX), None);
}

/// An agent of that report: `app/dev shop/prod ; execute_select ; row_bound`.
fn offering(text: &str) -> Agent {
    let [pairs, operations, features] = text.split(';').collect::<Vec<_>>()[..] else {
        panic!("{text}");
    };
    let names = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    let pairs = pairs.split_whitespace().map(|p| p.split_once('/').unwrap());
    reported(AgentReport {
        operations: names(operations),
        features: names(features),
        ..report(&[], &[], &pairs.collect::<Vec<_>>())
    })
    .unwrap()
}

#[test]
fn reports_offer_the_same_where_nothing_differs() {
    let one = "app/dev ; execute_select ; row_bound";
    for (other, same) in [
        (one, true),
        ("shop/dev ; execute_select ; row_bound", false),
        ("app/dev ; execute_dml ; row_bound", false),
        ("app/dev ; execute_select ; rehearsal", false),
    ] {
        assert_eq!(
            offering(one).offers_the_same(&offering(other)),
            same,
            "{other}"
        );
    }
}

#[test]
fn programs_of_one_token_offer_what_either_does() {
    for (one, other, scopes, operations) in [
        (
            "app/dev ; execute_select ;",
            "app/dev ; execute_select ;",
            "app/dev",
            "execute_select",
        ),
        (
            "app/dev ; execute_select ;",
            "shop/dev app/dev ; execute_dml execute_select ;",
            "app/dev shop/dev",
            "execute_select execute_dml",
        ),
        // One that names no operation runs all.
        ("app/dev ; ;", "app/dev ; execute_dml ;", "app/dev", ""),
        ("app/dev ; execute_select ;", "app/dev ; ;", "app/dev", ""),
    ] {
        let mut agent = offering(one);
        agent.also_offers(&offering(other));
        assert_eq!(
            (agent.scopes, agent.operations),
            (
                offering(&format!("{scopes} ; ;")).scopes,
                offering(&format!("; {operations} ;")).operations
            ),
            "{one} and {other}"
        );
    }
}

#[test]
fn only_an_agent_with_the_feature_rehearses() {
    assert!(offering("app/dev ; ; rehearsal").rehearses());
    assert!(!offering("app/dev ; ; row_bound").rehearses());
}
