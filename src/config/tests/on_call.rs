//! Claims about groups whose members take turns.

use super::{loads, refused, warnings};
use crate::clock::Timestamp;
use crate::config::Config;
use crate::domain::policy::on_call::{OnCall, OnCallSource, ServiceKind};
use std::collections::BTreeSet;

const TARGET: &str =
    "state_dir = \"x\"\n[[databases]]\nname = \"app\"\nenvironments = [\"production\"]\n";
const ROTATION: &str = "[[on_call]]\nname = \"night\"\ntime_zone = \"Europe/Berlin\"\npeople = [\"ann\", \"bob\"]\n\
    first_handover = \"2026-01-05T09:00\"\n";
const SERVICE: &str = "[[on_call]]\nname = \"night\"\nservice = \"pagerduty\"\nschedule = \"PS1\"\ntoken = \"hush-hush\"\n";

fn step(approver: &str) -> String {
    format!("[[workflows]]\n[[workflows.steps]]\n[[workflows.steps.approvers]]\n{approver}\n")
}

fn with(more: &str) -> String {
    format!("{TARGET}{more}")
}

fn on_call(config: &Config, at: &str) -> String {
    let now = Timestamp::parse(at).unwrap();
    let on_call = OnCall::at(&config.policies.on_call, |_| BTreeSet::new(), now);
    let people = on_call.0["night"].iter().cloned();
    people.collect::<Vec<_>>().join(" ")
}

#[test]
fn rotations_and_their_overrides_are_those_of_the_file() {
    let overrides = "[[on_call.overrides]]\npeople = [\"eve\"]\nfrom = \"2026-01-06\"\nuntil = \"2026-01-07 12:00\"\n";
    let config = loads(&with(&format!(
        "{ROTATION}{overrides}{}",
        step("group = \"night\"")
    )));
    assert_eq!(on_call(&config, "2026-01-05T08:00:00Z"), "ann");
    assert_eq!(on_call(&config, "2026-01-06T12:00:00Z"), "eve");
    assert_eq!(on_call(&config, "2026-01-07T11:00:00Z"), "ann");
    assert_eq!(on_call(&config, "2026-01-12T08:00:00Z"), "bob");
    assert_eq!(warnings(&config), [""; 0]);
    assert!(config.on_call_tokens.is_empty());
}

#[test]
fn service_address_is_policy_and_its_token_is_not() {
    let config = loads(&with(SERVICE));
    let OnCallSource::Service { service } = &config.policies.on_call[0].source else {
        panic!("a rotation");
    };
    assert_eq!(service.kind, ServiceKind::PagerDuty);
    assert_eq!(
        (&*service.api_base_url, &*service.schedule),
        ("https://api.pagerduty.com", "PS1")
    );
    assert_eq!(config.on_call_tokens["night"].expose(), "hush-hush");
    assert!(!format!("{config:?}").contains("hush-hush"));
    assert!(!config.policies.canonical().contains("hush-hush"));
    let other = SERVICE.replace("pagerduty", "opsgenie");
    let other = loads(&with(&format!(
        "{other}api_base_url = \"https://api.eu.opsgenie.com/\"\n"
    )));
    assert!(
        other
            .policies
            .canonical()
            .contains("\"https://api.eu.opsgenie.com\"")
    );
}

/// Each text is refused by its key, with these words.
#[track_caller]
fn refuses(cases: &[(String, &str, &str)]) {
    for (text, key, says) in cases {
        let problems = refused(&with(text));
        let is_it = |p: &String| p.contains(&format!(": {key}: ")) && p.contains(says);
        assert!(
            problems.iter().any(is_it),
            "{text}\n{problems:#?} and not {key}: {says}"
        );
        assert!(!problems.join("\n").contains("hush-hush"));
    }
}

#[test]
fn what_cannot_be_a_rotation_is_refused_by_its_key() {
    let rotation = |from: &str, to: &str| ROTATION.replace(from, to);
    refuses(&[
        (
            rotation("Europe/Berlin", "Mars/Olympus"),
            "on_call[0].time_zone",
            "not a time zone",
        ),
        (
            rotation("T09:00", "T9:00"),
            "on_call[0].first_handover",
            "nor a time like",
        ),
        (
            rotation("[\"ann\", \"bob\"]", "[]"),
            "on_call[0].people",
            "at least one person",
        ),
        (
            rotation("\"bob\"", "\"system\""),
            "on_call[0].people[1]",
            "reserved",
        ),
        (
            rotation("name = \"night\"\n", ""),
            "on_call[0].name",
            "required",
        ),
        (
            rotation("time_zone = \"Europe/Berlin\"\n", ""),
            "on_call[0].time_zone",
            "required",
        ),
        (
            format!("{ROTATION}schedule = \"S\"\n"),
            "on_call[0].schedule",
            "for a `service` only",
        ),
        (
            format!("{ROTATION}token = \"t\"\n"),
            "on_call[0].token",
            "for a `service` only",
        ),
        (
            format!("{ROTATION}{ROTATION}"),
            "on_call[1].name",
            "there already",
        ),
        (
            format!("{ROTATION}[[auth.groups]]\nname = \"night\"\nmembers = [\"ann\"]\n"),
            "on_call[0].name",
            "there already",
        ),
        (
            format!(
                "{ROTATION}[[auth.role_bindings]]\nrole = \"readonly\"\ngroups = [\"night\"]\n"
            ),
            "auth.role_bindings[0].groups[0]",
            "take turns",
        ),
        (
            format!("{ROTATION}{}", step("group = \"night\"\nmin = 3")),
            "workflows[0].steps[0].approvers[0].min",
            "has 2 members",
        ),
    ]);
}

#[test]
fn what_cannot_be_an_override_is_refused_by_its_key() {
    let over = |keys: &str| format!("{ROTATION}[[on_call.overrides]]\n{keys}");
    refuses(&[
        (
            over("from = \"2026-01-06\"\n"),
            "on_call[0].overrides[0].until",
            "required",
        ),
        (
            over("from = \"2026-01-06\"\nuntil = \"2026-01-06\"\n"),
            "on_call[0].overrides[0].until",
            "not after `from`",
        ),
    ]);
}

#[test]
fn what_cannot_be_a_service_is_refused_by_its_key() {
    let service = |more: &str| format!("{SERVICE}{more}");
    refuses(&[
        (
            service("people = [\"ann\"]\n"),
            "on_call[0].people",
            "leave one of both out",
        ),
        (
            service("time_zone = \"UTC\"\n"),
            "on_call[0].time_zone",
            "leave one of both out",
        ),
        (
            SERVICE.replace("pagerduty", "pager"),
            "on_call[0].service",
            "not one of",
        ),
        (
            SERVICE.replace("PS1", "a/../b"),
            "on_call[0].schedule",
            "not the id",
        ),
        (
            SERVICE.replace("token = \"hush-hush\"\n", ""),
            "on_call[0].token",
            "required",
        ),
        (
            service("api_base_url = \"http://pager.example.com\"\n"),
            "on_call[0].api_base_url",
            "without encryption",
        ),
        (
            service("api_base_url = \"https://pager.example.com/?a\"\n"),
            "on_call[0].api_base_url",
            "with a query",
        ),
    ]);
}

#[test]
fn overrides_that_overlap_are_a_warning() {
    let over = |from: &str, until: &str| {
        format!(
            "[[on_call.overrides]]\npeople = [\"eve\"]\nfrom = \"{from}\"\nuntil = \"{until}\"\n"
        )
    };
    let first = over("2026-01-06", "2026-01-08");
    for (second, overlap) in [
        (over("2026-01-07", "2026-01-09"), true),
        (over("2026-01-01", "2026-01-10"), true),
        (over("2026-01-08", "2026-01-09"), false),
        (over("2026-01-01", "2026-01-06"), false),
    ] {
        let config = loads(&with(&format!("{ROTATION}{first}{second}")));
        let warned = warnings(&config);
        assert_eq!(warned.len(), usize::from(overlap), "{second} {warned:?}");
        assert!(
            warned
                .iter()
                .all(|w| w.contains("on_call[0].overrides[1]") && w.contains("overlaps"))
        );
    }
}

#[test]
fn one_person_who_takes_all_turns_cannot_approve_their_own() {
    let alone = ROTATION.replace(", \"bob\"", "");
    let config = loads(&with(&format!("{alone}{}", step("group = \"night\""))));
    let warned = warnings(&config);
    assert!(
        warned
            .iter()
            .any(|w| w.contains("requests of `ann` cannot")),
        "{warned:?}"
    );
}
