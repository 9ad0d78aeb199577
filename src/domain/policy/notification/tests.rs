//! Claims about who is notified of what.

use super::*;
use crate::clock::{LocalTime, Zone};
use crate::domain::policy::on_call::{OnCallGroup, OnCallSource, Rotation};

fn filter(names: &str) -> EventFilter {
    EventFilter::new(names.split_whitespace().map(str::to_owned))
}

fn policy(database: &str, environment: &str, webhooks: &str, events: &str) -> NotificationPolicy {
    NotificationPolicy {
        scope: Scope {
            database: database.to_owned(),
            environment: environment.to_owned(),
        },
        webhooks: webhooks.split_whitespace().map(str::to_owned).collect(),
        events: filter(events),
        remind_after_secs: None,
        escalate_after_secs: None,
        escalate_to: Vec::new(),
    }
}

#[test]
fn the_most_specific_policy_plans_the_reminders_of_what_waits() {
    let lead = [Selector::User("lead".to_owned())];
    let asked = [Selector::Role("dba".to_owned())];
    let mut everywhere = policy("*", "*", "ops", "");
    everywhere.remind_after_secs = Some(600);
    let mut production = policy("*", "production", "ops", "");
    production.escalate_after_secs = Some(3_600);
    production.escalate_to = lead.to_vec();
    let routes = routes(&[everywhere, production]);
    let on = |environment: &str, asked| {
        let target = Target::new("app", environment).unwrap();
        routes.reminders(&target, asked)
    };
    assert_eq!(on("staging", &asked), [(REMINDED, 600, &asked[..])]);
    assert_eq!(on("production", &asked), [(ESCALATED, 3_600, &lead[..])]);
    assert_eq!(on("staging", &[]), []);
}

/// Webhooks `ops` (everything), `chat` (created only) and `free` (break-glass only) under these policies.
fn routes(policies: &[NotificationPolicy]) -> Routes {
    let webhook = |id: &str, events: &str| RoutedWebhook {
        id: id.to_owned(),
        events: filter(events),
    };
    let webhooks = vec![
        webhook("ops", ""),
        webhook("chat", "request.created"),
        webhook("free", "request.break_glass"),
    ];
    Routes::new(webhooks, policies)
}

fn notified(routes: &Routes, event: &str, target: &str) -> String {
    let (database, environment) = target.split_once('/').unwrap();
    let target = Target::new(database, environment).unwrap();
    let notified: Vec<&str> = routes.select(event, &target).collect();
    notified.join(" ")
}

#[test]
fn without_policies_a_webhook_fires_by_its_own_events_everywhere() {
    let routes = routes(&[]);
    for target in ["app/production", "shop/staging"] {
        for (event, who) in [
            ("request.created", "ops chat"),
            ("request.break_glass", "ops free"),
            ("execution.lost", "ops"),
            ("execution.completed", "ops"),
        ] {
            assert_eq!(notified(&routes, event, target), who, "{event} on {target}");
        }
    }
}

#[test]
fn a_webhook_that_a_policy_names_fires_through_policies_only() {
    let routes = routes(&[policy(
        "*",
        "production",
        "ops chat",
        "request.created execution.lost",
    )]);
    for (event, target, who) in [
        ("request.created", "app/production", "ops chat"),
        // Its own events count no more.
        ("execution.lost", "app/production", "ops chat"),
        ("execution.completed", "app/production", ""),
        // Nor does it fire where no policy covers the target.
        ("request.created", "app/staging", ""),
        // Whom no policy names is not touched by any.
        ("request.break_glass", "app/production", "free"),
        ("request.break_glass", "app/staging", "free"),
    ] {
        assert_eq!(notified(&routes, event, target), who, "{event} on {target}");
    }
}

#[test]
fn the_most_specific_scope_decides_alone() {
    let routes = routes(&[
        policy("*", "*", "ops", "*"),
        policy("app", "*", "chat", ""),
        policy("*", "production", "ops chat", "request.approved"),
        policy("app", "production", "", "*"),
    ]);
    for (event, target, who) in [
        ("request.approved", "shop/staging", "ops"),
        ("request.approved", "app/staging", "chat"),
        ("request.approved", "shop/production", "ops chat"),
        ("request.created", "shop/production", ""),
        // An empty list keeps quiet what wider scopes would tell.
        ("request.approved", "app/production", ""),
        ("request.break_glass", "app/production", "free"),
    ] {
        assert_eq!(notified(&routes, event, target), who, "{event} on {target}");
    }
}

#[test]
fn a_star_or_no_name_is_every_event() {
    for all in ["", "*", "request.created *"] {
        assert!(filter(all).takes("execution.lost"), "{all}");
        assert_eq!(filter(all).names(), ["*"]);
    }
    let never = filter(LICENCE_EVENTS[0]);
    assert!(EVENTS.iter().all(|event| !never.takes(event)));
}

fn night_group() -> OnCallGroup {
    OnCallGroup {
        name: "night".to_owned(),
        source: OnCallSource::Rotation {
            rotation: Rotation {
                time_zone: Zone::parse("UTC").unwrap(),
                first_handover: LocalTime::parse("2026-01-05T09:00").unwrap(),
                people: vec!["owl".to_owned()],
                overrides: Vec::new(),
            },
        },
    }
}

#[test]
fn requesters_learn_the_outcome_and_approvers_are_asked() {
    let person = |id: &str, role: &str, group: &str| MailedPerson {
        id: id.to_owned(),
        has_address: id != "eve",
        roles: [role.to_owned()].into(),
        groups: [group.to_owned()].into(),
    };
    let people = vec![
        person("ann", "dba", "x"),
        person("bob", "y", "team"),
        person("eve", "y", "team"),
        person("requester", "dba", "team"),
    ];
    let mut policies = Policies::empty();
    policies.on_call.push(night_group());
    let routes = routes(&[]).with_mail(people, Arc::new(policies));
    let dba = [Selector::Role("dba".to_owned())];
    let team = [Selector::Group("team".to_owned())];
    let bob = [Selector::User("bob".to_owned())];
    let night = [dba[0].clone(), Selector::Group("night".to_owned())];
    let none = KnownRecipients::default();
    for (event, actor, asked, wanted) in [
        ("request.created", "requester", &dba[..], &["ann"][..]),
        ("request.created", "requester", &team, &["bob"]),
        ("step.approved", "ann", &bob, &["bob"]),
        // Who of a group that takes turns is known when the mail is sent.
        (
            "request.created",
            "requester",
            &night,
            &["ann", "group:night"],
        ),
        ("request.approved", "ann", &[], &["requester"]),
        ("request.cancelled", "requester", &[], &[]),
        ("request.cancelled", "admin", &[], &["requester"]),
        ("execution.lost", "system", &[], &["requester"]),
        ("execution.started", "agent", &[], &[]),
    ] {
        assert_eq!(
            routes.mailed(event, "requester", actor, asked, &none).named,
            wanted,
            "{event} by {actor}"
        );
    }
    // The identity provider has given an address meanwhile.
    let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
    let mut known = KnownRecipients {
        claimed: set(&["eve", "max", "stranger"]),
        asked_by_state: set(&[]),
    };
    let mailed = |known: &_| {
        let asked = routes.mailed("request.created", "requester", "requester", &team, known);
        assert_eq!(asked.left_out, 0);
        asked.named.join(" ")
    };
    assert_eq!(mailed(&known), "bob eve");
    // Others are asked by a token or by claims: who has an address, and is not the requester.
    known.asked_by_state = set(&["ann", "max", "nowhere", "requester"]);
    assert_eq!(mailed(&known), "ann bob eve max");
    assert!(routes.has(EMAIL) && !Routes::default().has(EMAIL));
    let nobody = Routes::default();
    assert!(
        nobody
            .mailed("request.approved", "requester", "ann", &[], &none)
            .named
            .is_empty()
    );
}

#[test]
fn number_of_approvers_without_mail_is_known() {
    let person = |n: usize| MailedPerson {
        id: format!("person-{n:03}"),
        has_address: true,
        roles: BTreeSet::new(),
        groups: BTreeSet::from(["team".to_owned()]),
    };
    let routes = Routes::default();
    let people = (0..=ASKED_MAX).map(person).collect();
    let routes = routes.with_mail(people, Arc::new(Policies::empty()));
    let asked = [Selector::parse("group:team").unwrap()];
    let none = KnownRecipients::default();
    let mailed = |requester| routes.mailed("request.created", requester, requester, &asked, &none);
    let all = mailed("somebody");
    assert_eq!((all.named.len(), all.left_out), (ASKED_MAX, 1));
    let others = mailed("person-000");
    assert_eq!((others.named.len(), others.left_out), (ASKED_MAX, 0));
}

#[test]
fn routes_are_empty_and_have_webhooks_as_configured() {
    let mail = || Routes::default().with_mail(Vec::new(), Arc::new(Policies::empty()));
    for (routes, channels) in [
        (Routes::default(), ""),
        (routes(&[]), "ops chat free"),
        (mail(), EMAIL),
        (Routes::default().with_slack(), SLACK),
    ] {
        assert_eq!(routes.is_empty(), channels.is_empty(), "{channels}");
        for channel in ["ops", "op", "chat", "free", EMAIL, SLACK] {
            let has = channels.split(' ').any(|c| c == channel);
            assert_eq!(routes.has(channel), has, "{channel} in {channels}");
        }
    }
}

#[test]
fn without_webhooks_there_is_nobody() {
    let none = Routes::new(Vec::new(), &[]);
    assert!(none.is_empty() && !none.has("ops"));
    assert_eq!(none, Routes::default());
}

#[test]
fn slack_shows_every_event_but_the_start_of_an_execution() {
    for slack in [false, true] {
        let routes = match slack {
            true => Routes::default().with_slack(),
            false => Routes::default(),
        };
        assert_eq!(routes.posts("request.created"), slack);
        assert_eq!(routes.posts("execution.completed"), slack);
        assert!(!routes.posts("execution.started"));
    }
}

#[test]
fn whom_the_configuration_has_no_address_of_is_known() {
    let person = |id: &str, has_address, groups: &[&str]| MailedPerson {
        id: id.to_owned(),
        has_address,
        roles: BTreeSet::new(),
        groups: groups.iter().map(|g| (*g).to_owned()).collect(),
    };
    let people = vec![
        person("ann", true, &["team"]),
        person("bob", false, &["team"]),
        person("eve", false, &["other"]),
    ];
    let policies = Arc::new(Policies::empty());
    let routes = Routes::default().with_mail(people, Arc::clone(&policies));
    assert_eq!(routes.policies_of_mail(), Some(&*policies));
    assert_eq!(Routes::default().policies_of_mail(), None);
    // By the state, ann is asked as well, and somebody whom the configuration does not name.
    let by_state = BTreeSet::from(["ann".to_owned(), "guest".to_owned()]);
    let team = [Selector::parse("group:team").unwrap()];
    let unaddressed = |asked, by_state| {
        let found: Vec<&str> = routes.unaddressed(asked, by_state).into_iter().collect();
        found.join(" ")
    };
    assert_eq!(unaddressed(&team, &by_state), "bob guest");
    assert_eq!(unaddressed(&[], &by_state), "guest");
    assert_eq!(unaddressed(&team, &BTreeSet::new()), "bob");
}
