//! Groups whose members take turns: who is in one depends on the moment. A rotation in the configuration decides, or a
//! service that keeps the schedule.

use crate::clock::{LocalTime, Timestamp, Zone};
use std::collections::{BTreeMap, BTreeSet};

/// Days after which the next of a rotation begins.
const TURN_DAYS: i64 = 7;
/// How long what a service answered counts, in milliseconds: an hour. After that nobody is on call by it.
pub const STALE_AFTER_MS: u64 = 60 * 60 * 1000;

/// A group of people who are on call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnCallGroup {
    /// The name by which selectors know it.
    pub name: String,
    pub source: OnCallSource,
}

/// What decides who is on call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnCallSource {
    Rotation { rotation: Rotation },
    Service { service: OnCallService },
}

/// People who are on call a week each, in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// Of the two times below and of those of the overrides.
    pub time_zone: Zone,
    /// When the first of them began; the next begins every week on that day, at that time. Nobody is on call before.
    pub first_handover: LocalTime,
    pub people: Vec<String>,
    /// What overrides the turns, in the order of the file: of two for one time, the later.
    pub overrides: Vec<Override>,
}

/// Who is on call in place of the one whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    pub from: LocalTime,
    /// The first minute after it.
    pub until: LocalTime,
    /// None: nobody is.
    pub people: BTreeSet<String>,
}

/// A service that keeps a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnCallService {
    pub kind: ServiceKind,
    /// Where its API is, without a slash at the end.
    pub api_base_url: String,
    /// Its id of the schedule.
    pub schedule: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceKind {
    PagerDuty,
    Opsgenie,
}

impl ServiceKind {
    pub fn as_str(self) -> &'static str {
        match self {
            ServiceKind::PagerDuty => "pagerduty",
            ServiceKind::Opsgenie => "opsgenie",
        }
    }

    pub fn parse(text: &str) -> Option<ServiceKind> {
        [ServiceKind::PagerDuty, ServiceKind::Opsgenie]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

impl Rotation {
    /// Who is on call at a moment.
    pub fn at(&self, now: Timestamp) -> BTreeSet<String> {
        let overrides = self.overrides.iter().rev();
        let mut covering = overrides.filter(|o| self.covers(o, now));
        match covering.next() {
            Some(o) => o.people.clone(),
            None => self.turn(now).into_iter().cloned().collect(),
        }
    }

    /// Everybody who can be on call.
    pub fn everybody(&self) -> BTreeSet<&str> {
        let others = self.overrides.iter().flat_map(|o| &o.people);
        self.people
            .iter()
            .chain(others)
            .map(String::as_str)
            .collect()
    }

    fn covers(&self, o: &Override, now: Timestamp) -> bool {
        let at = |local| self.time_zone.at(local);
        at(o.from).is_some_and(|from| from <= now) && at(o.until).is_some_and(|until| now < until)
    }

    fn turn(&self, now: Timestamp) -> Option<&String> {
        let today = self.time_zone.local(now)?;
        let week = today.days_since(self.first_handover).div_euclid(TURN_DAYS);
        let handover = self
            .first_handover
            .plus_days(week.checked_mul(TURN_DAYS)?)?;
        let has_begun = self.time_zone.at(handover)? <= now;
        let week = if has_begun { week } else { week - 1 };
        let turn = usize::try_from(week).ok()?;
        self.people.get(turn.checked_rem(self.people.len())?)
    }
}

/// What a service answered last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAnswer {
    /// Who is on call, each with the end of their time where the service names one.
    pub people: Vec<(String, Option<Timestamp>)>,
    /// When it was asked.
    pub at: Timestamp,
}

impl ServiceAnswer {
    /// Whether it still counts; one from the future, before the clock was set back, may be of any age.
    pub fn counts(&self, now: Timestamp) -> bool {
        self.at <= now && now.since(self.at) < STALE_AFTER_MS
    }

    /// Who is on call by it at a moment.
    pub fn people_at(&self, now: Timestamp) -> BTreeSet<String> {
        let on_call = |until: &Option<Timestamp>| until.is_none_or(|until| now < until);
        let people = self.people.iter().filter(|_| self.counts(now));
        let people = people.filter(|(_, until)| on_call(until));
        people.map(|(person, _)| person.clone()).collect()
    }
}

/// Who is on call at one moment, by the name of the group; every on-call group is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnCall(pub BTreeMap<String, BTreeSet<String>>);

impl OnCall {
    /// Who is on call at a moment, where `by_service` is who that is by the last answer of the service of a group.
    pub fn at(
        groups: &[OnCallGroup],
        by_service: impl Fn(&OnCallGroup) -> BTreeSet<String>,
        now: Timestamp,
    ) -> OnCall {
        let people = |group: &OnCallGroup| match &group.source {
            OnCallSource::Rotation { rotation } => rotation.at(now),
            OnCallSource::Service { .. } => by_service(group),
        };
        OnCall(groups.iter().map(|g| (g.name.clone(), people(g))).collect())
    }

    /// The groups in which a person is on call.
    pub fn groups_of(&self, person: &str) -> impl Iterator<Item = &str> {
        let groups = self
            .0
            .iter()
            .filter(move |(_, people)| people.contains(person));
        groups.map(|(name, _)| name.as_str())
    }

    /// Whether somebody who is in `groups` is in just those of them in which they are on call.
    pub fn agrees(&self, person: &str, groups: &BTreeSet<String>) -> bool {
        let mut all = self.0.iter();
        all.all(|(name, people)| people.contains(person) == groups.contains(name))
    }
}

#[cfg(test)]
mod tests;
