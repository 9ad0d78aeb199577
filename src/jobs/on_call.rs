//! Asks services whose turn it is, once a minute and at once after a reload, and counts who is on call.

use super::JobState;
use crate::clock::Timestamp;
use crate::domain::id::is_subject;
use crate::domain::policy::on_call::{OnCallGroup, OnCallService, OnCallSource, ServiceAnswer};
use crate::outbound::on_call::OnCallPerson;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// How often a service is asked, in milliseconds: the pace of hand-overs that it does not announce.
const ASK_EVERY_MS: u64 = 60_000;

/// When which group's service was asked last.
#[derive(Default)]
pub(super) struct OnCallProgress(Mutex<Asked>);

#[derive(Default)]
struct Asked {
    /// The configuration that the rest is from.
    generation: u64,
    at: BTreeMap<String, Timestamp>,
    /// Groups that are counted.
    counted: BTreeSet<String>,
}

pub(super) fn turn(jobs: &JobState) {
    let app = &jobs.app;
    let active = app.active();
    let groups = &active.policies.on_call;
    let mut asked = jobs
        .on_call
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if asked.generation != active.generation {
        app.caches.on_call.retain(groups);
        asked.generation = active.generation;
        asked.at.clear();
    }
    for group in groups {
        let OnCallSource::Service { service } = &group.source else {
            continue;
        };
        let now = app.clock.now();
        let is_due = |at: &Timestamp| now < *at || now.since(*at) >= ASK_EVERY_MS;
        if asked.at.get(&group.name).is_none_or(is_due) {
            asked.at.insert(group.name.clone(), now);
            ask(jobs, group, service, now);
        }
    }
    let on_call = app.on_call_by(&active, app.clock.now());
    let gone = asked
        .counted
        .iter()
        .filter(|name| !on_call.0.contains_key(*name));
    let gone = gone.map(|name| (name, 0));
    let counts = on_call.0.iter().map(|(name, people)| (name, people.len()));
    for (name, n) in counts.chain(gone) {
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        app.metrics.on_call_people.set(&[name.as_str()], n);
    }
    asked.counted = on_call.0.into_keys().collect();
}

fn ask(jobs: &JobState, group: &OnCallGroup, service: &OnCallService, now: Timestamp) {
    let (app, name) = (&jobs.app, &group.name);
    let active = app.active();
    let answer = match active.outlets.on_call_tokens.get(name) {
        Some(token) => jobs
            .on_call_api
            .ask(service, token)
            .map_err(|e| e.to_string()),
        None => Err("there is no token".to_owned()),
    };
    let outcome = if answer.is_ok() { "ok" } else { "failed" };
    app.metrics.on_call_fetches.inc(&[name.as_str(), outcome]);
    let before = app.caches.on_call.of(group);
    let failed_before = before.as_ref().is_some_and(|k| k.failure.is_some());
    match &answer {
        Err(why) => {
            let counts = before.and_then(|k| k.answer).is_some_and(|a| a.counts(now));
            let until = match counts {
                true => "its last answer counts for an hour",
                false => "nobody is on call by it",
            };
            log::warn!(
                "on-call group {name}: {} does not say who is on call ({why}); {until}",
                service.kind.as_str()
            );
        }
        Ok(_) if failed_before => log::info!("on-call group {name}: its service answers again"),
        Ok(_) => {}
    }
    let ids = |people| ServiceAnswer {
        people: ids_of(people, &active.outlets.addresses, name),
        at: now,
    };
    app.caches.on_call.keep(group, answer.map(ids));
}

/// The people of these addresses: of whom the configuration says so, else those whose id the address is. An address that
/// two people have is nobody's.
fn ids_of(
    people: Vec<OnCallPerson>,
    addresses: &BTreeMap<String, String>,
    group: &str,
) -> Vec<OnCallPerson> {
    let id_of = |address: &str| {
        let is_it = |(_, own): &(&String, &String)| own.eq_ignore_ascii_case(address);
        let mut owners = addresses.iter().filter(is_it);
        match (owners.next(), owners.next()) {
            (Some((id, _)), None) => Some(id.clone()),
            (None, _) if is_subject(address) => Some(address.to_owned()),
            _ => {
                log::warn!(
                    "on-call group {group}: an address of its service is not that of one person"
                );
                None
            }
        }
    };
    let known = people
        .into_iter()
        .filter_map(|(address, until)| Some((id_of(&address)?, until)));
    known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_one_person_or_nobody() {
        let addresses: BTreeMap<String, String> = [
            ("ann", "Ann@Example.com"),
            ("bob", "team@example.com"),
            ("eve", "team@example.com"),
        ]
        .map(|(id, address)| (id.to_owned(), address.to_owned()))
        .into();
        let ids = |address: &str| ids_of(vec![(address.to_owned(), None)], &addresses, "night");
        let is = |id: &str| vec![(id.to_owned(), None)];
        assert_eq!(ids("ann@example.com"), is("ann"));
        assert_eq!(ids("max@example.com"), is("max@example.com"));
        assert_eq!(ids("team@example.com"), []);
        assert_eq!(ids("system"), []);
    }
}
