//! Claims about who is on call when.

use super::*;

fn local(text: &str) -> LocalTime {
    LocalTime::parse(text).unwrap()
}

fn rotation(zone: &str, first: &str, people: &str) -> Rotation {
    Rotation {
        time_zone: Zone::parse(zone).unwrap(),
        first_handover: local(first),
        people: people.split_whitespace().map(str::to_owned).collect(),
        overrides: Vec::new(),
    }
}

fn on_call(rotation: &Rotation, at: &str) -> String {
    let people = rotation.at(Timestamp::parse(at).unwrap());
    people.into_iter().collect::<Vec<_>>().join(" ")
}

#[test]
fn each_is_on_call_for_a_week_in_turn() {
    let rotation = rotation("Europe/Berlin", "2026-01-05T09:00", "ann bob eve");
    for (at, who) in [
        // Nobody before the first hand-over, to the minute.
        ("2025-12-29T12:00:00Z", ""),
        ("2026-01-05T07:59:59Z", ""),
        ("2026-01-05T08:00:00Z", "ann"),
        ("2026-01-12T07:59:59Z", "ann"),
        ("2026-01-12T08:00:00Z", "bob"),
        ("2026-01-18T23:59:59Z", "bob"),
        ("2026-01-19T08:00:00Z", "eve"),
        ("2026-01-26T07:00:00Z", "eve"),
        ("2026-01-26T08:00:00Z", "ann"),
        // 104 weeks later: 104 mod 3 is 2.
        ("2028-01-03T08:00:00Z", "eve"),
    ] {
        assert_eq!(on_call(&rotation, at), who, "{at}");
    }
    let mut nobody = rotation;
    nobody.people.clear();
    assert_eq!(on_call(&nobody, "2026-01-06T00:00:00Z"), "");
}

#[test]
fn hand_overs_follow_the_clocks_of_the_zone() {
    for (zone, first, cases) in [
        // At nine by the clock, in winter and in summer.
        (
            "Europe/Berlin",
            "2026-03-23T09:00",
            [
                ("2026-03-30T06:59:59Z", "ann"),
                ("2026-03-30T07:00:00Z", "bob"),
                ("2026-10-26T07:59:59Z", "ann"),
                ("2026-10-26T08:00:00Z", "bob"),
            ],
        ),
        // At an hour that is skipped in March, and that comes twice in October in Europe.
        (
            "Europe/Berlin",
            "2026-03-22T02:30",
            [
                ("2026-03-29T01:29:59Z", "ann"),
                ("2026-03-29T01:30:00Z", "bob"),
                ("2026-10-25T00:29:59Z", "ann"),
                ("2026-10-25T00:30:00Z", "bob"),
            ],
        ),
        (
            "America/New_York",
            "2026-03-01T02:30",
            [
                ("2026-03-08T07:29:59Z", "ann"),
                ("2026-03-08T07:30:00Z", "bob"),
                ("2026-11-01T07:29:59Z", "ann"),
                ("2026-11-01T07:30:00Z", "bob"),
            ],
        ),
        // Midnight that does not exist, in a zone that changes at midnight.
        (
            "America/Havana",
            "2026-03-01T00:00",
            [
                ("2026-03-08T04:59:59Z", "ann"),
                ("2026-03-08T05:00:00Z", "bob"),
                ("2026-03-15T03:59:59Z", "bob"),
                ("2026-03-15T04:00:00Z", "ann"),
            ],
        ),
        // Half an hour of summer time, and a day ahead of UTC.
        (
            "Australia/Lord_Howe",
            "2026-03-30T08:00",
            [
                ("2026-03-29T20:59:59Z", ""),
                ("2026-03-29T21:00:00Z", "ann"),
                ("2026-04-05T21:29:59Z", "ann"),
                ("2026-04-05T21:30:00Z", "bob"),
            ],
        ),
    ] {
        let rotation = rotation(zone, first, "ann bob");
        for (at, who) in cases {
            let turn = on_call(&rotation, at);
            assert_eq!(turn, who, "{zone} at {at}");
        }
    }
}

#[test]
fn one_person_is_on_call_at_every_hour_of_year() {
    let rotation = rotation("Europe/Berlin", "2026-01-05T02:30", "ann bob eve");
    let begin = Timestamp::parse("2026-01-05T01:30:00Z").unwrap();
    let mut seen = Vec::new();
    for hour in 0..24 * 7 * 52 {
        let people = rotation.at(begin.plus_secs(hour * 3600));
        assert_eq!(people.len(), 1, "hour {hour}");
        let person = people.into_iter().next().unwrap();
        if seen.last() != Some(&person) {
            seen.push(person);
        }
    }
    assert_eq!(seen.len(), 52);
    for turns in seen.windows(4) {
        assert_eq!(turns[0], turns[3]);
    }
}

fn with(overrides: &[(&str, &str, &str)]) -> Rotation {
    let mut rotation = rotation("Europe/Berlin", "2026-01-05T09:00", "ann bob");
    for (from, until, people) in overrides {
        rotation.overrides.push(Override {
            from: local(from),
            until: local(until),
            people: people.split_whitespace().map(str::to_owned).collect(),
        });
    }
    rotation
}

#[test]
fn overrides_take_the_place_of_turns() {
    for (overrides, cases) in [
        // Its last minute is the one before `until`, and the turn goes on as if nothing had been.
        (
            vec![("2026-01-06T18:00", "2026-01-07T09:00", "eve")],
            vec![
                ("2026-01-06T16:59:59Z", "ann"),
                ("2026-01-06T17:00:00Z", "eve"),
                ("2026-01-07T07:59:59Z", "eve"),
                ("2026-01-07T08:00:00Z", "ann"),
                ("2026-01-12T08:00:00Z", "bob"),
            ],
        ),
        // Over a hand-over, and of two people.
        (
            vec![("2026-01-12", "2026-01-13", "eve max")],
            vec![
                ("2026-01-11T22:59:59Z", "ann"),
                ("2026-01-11T23:00:00Z", "eve max"),
                ("2026-01-12T22:59:59Z", "eve max"),
                ("2026-01-12T23:00:00Z", "bob"),
            ],
        ),
        // Of nobody: a gap.
        (
            vec![("2026-01-06", "2026-01-07", "")],
            vec![
                ("2026-01-05T22:59:59Z", "ann"),
                ("2026-01-06T12:00:00Z", ""),
                ("2026-01-06T23:00:00Z", "ann"),
            ],
        ),
    ] {
        let rotation = with(&overrides);
        for (at, who) in cases {
            assert_eq!(on_call(&rotation, at), who, "{overrides:?} at {at}");
        }
    }
}

#[test]
fn of_two_overrides_the_later_in_the_file_counts() {
    for (overrides, cases) in [
        // Two that overlap: the later in the file, also where it began earlier; between two that touch there is no gap.
        (
            vec![
                ("2026-01-06", "2026-01-08", "eve"),
                ("2026-01-07", "2026-01-09", "max"),
                ("2026-01-09", "2026-01-10", "eve"),
                ("2026-01-05T12:00", "2026-01-06T06:00", "bob"),
            ],
            vec![
                ("2026-01-05T10:59:59Z", "ann"),
                ("2026-01-06T04:59:59Z", "bob"),
                ("2026-01-06T05:00:00Z", "eve"),
                ("2026-01-06T22:59:59Z", "eve"),
                ("2026-01-06T23:00:00Z", "max"),
                ("2026-01-08T22:59:59Z", "max"),
                ("2026-01-08T23:00:00Z", "eve"),
                ("2026-01-09T23:00:00Z", "ann"),
            ],
        ),
        // Before the first hand-over.
        (
            vec![("2026-01-04", "2026-01-05T09:00", "eve")],
            vec![
                ("2026-01-03T22:59:59Z", ""),
                ("2026-01-03T23:00:00Z", "eve"),
                ("2026-01-05T08:00:00Z", "ann"),
            ],
        ),
        // From a minute that is skipped until one that comes twice.
        (
            vec![("2026-03-29T02:30", "2026-10-25T02:30", "eve")],
            vec![
                ("2026-03-29T01:29:59Z", "bob"),
                ("2026-03-29T01:30:00Z", "eve"),
                ("2026-10-25T00:29:59Z", "eve"),
                ("2026-10-25T00:30:00Z", "bob"),
            ],
        ),
    ] {
        let rotation = with(&overrides);
        for (at, who) in cases {
            assert_eq!(on_call(&rotation, at), who, "{overrides:?} at {at}");
        }
    }
}

#[test]
fn everybody_of_turns_and_overrides_can_be_on_call() {
    let rotation = with(&[("2026-01-06", "2026-01-07", "eve ann")]);
    let all: Vec<&str> = rotation.everybody().into_iter().collect();
    assert_eq!(all, ["ann", "bob", "eve"]);
}

#[test]
fn answer_of_a_service_counts_an_hour_or_less() {
    let asked = Timestamp(1_000_000);
    let minutes = |n: u64| asked.plus_secs(n * 60);
    let answer = ServiceAnswer {
        people: vec![
            ("ann".to_owned(), None),
            ("bob".to_owned(), Some(minutes(10))),
        ],
        at: asked,
    };
    let who = |now| {
        answer
            .people_at(now)
            .into_iter()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(who(minutes(9)), "ann bob");
    assert_eq!(who(minutes(10)), "ann");
    assert_eq!(who(Timestamp(minutes(60).0 - 1)), "ann");
    assert_eq!(who(minutes(60)), "");
}

#[test]
fn person_is_only_in_groups_they_are_on_call_in() {
    let set = |names: &str| {
        names
            .split_whitespace()
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    let on_call = OnCall(BTreeMap::from([
        ("day".to_owned(), set("ann bob")),
        ("night".to_owned(), set("bob")),
    ]));
    assert_eq!(
        on_call.groups_of("bob").collect::<Vec<_>>(),
        ["day", "night"]
    );
    assert_eq!(on_call.groups_of("eve").count(), 0);
    for (person, groups, agrees) in [
        ("bob", "day night other", true),
        ("bob", "day other", false),
        ("ann", "day", true),
        ("ann", "day night", false),
        ("eve", "other", true),
    ] {
        assert_eq!(
            on_call.agrees(person, &set(groups)),
            agrees,
            "{person} {groups}"
        );
    }
}

#[test]
fn services_are_read_by_their_names() {
    for (kind, name) in [
        (ServiceKind::PagerDuty, "pagerduty"),
        (ServiceKind::Opsgenie, "opsgenie"),
    ] {
        assert_eq!(
            (kind.as_str(), ServiceKind::parse(name)),
            (name, Some(kind))
        );
    }
    assert_eq!(ServiceKind::parse(""), None);
    assert_eq!(ServiceKind::parse("PagerDuty"), None);
}
