//! What `[[on_call]]` means: groups whose members take turns.

use super::check::{id, is_id, secret};
use super::identities::{is_new, is_person, people};
use super::raw::{RawConfig, RawOnCall, RawOverride};
use super::{Endpoint, Secret};
use crate::clock::{LocalTime, Zone};
use crate::domain::policy::Policies;
use crate::domain::policy::on_call::{
    OnCallGroup, OnCallService, OnCallSource, Override, Rotation, ServiceKind,
};
use crate::error::Shown;
use crate::settings::{Location, Notes, Spanned, Text};
use std::collections::BTreeMap;
use std::path::Path;

/// Fills in the on-call groups, and returns the tokens of services, by the name of the group.
pub(super) fn check(
    raw: &RawConfig,
    base: &Path,
    policies: &mut Policies,
    notes: &mut Notes,
) -> BTreeMap<String, Secret> {
    let mut tokens = BTreeMap::new();
    for entry in &raw.on_call {
        let name = id(&entry.name, &entry.at, "name", notes);
        let (source, token) = match &entry.service {
            Some(service) => match of_service(entry, service, base, notes) {
                Some((service, token)) => (Some(OnCallSource::Service { service }), Some(token)),
                None => (None, None),
            },
            None => (of_rotation(entry, notes), None),
        };
        let (Some(name), Some(spanned), Some(source)) = (name, &entry.name, source) else {
            continue;
        };
        let taken = policies.groups.contains_key(&name) || policies.is_on_call(&name);
        if is_new(spanned, "group", taken, notes) {
            tokens.extend(token.map(|token| (name.clone(), token)));
            policies.on_call.push(OnCallGroup { name, source });
        }
    }
    tokens
}

fn of_rotation(raw: &RawOnCall, notes: &mut Notes) -> Option<OnCallSource> {
    let of_services = [&raw.schedule, &raw.api_base_url];
    let stray = of_services.into_iter().flatten().map(|s| &s.at);
    for at in stray.chain(raw.token.given_at()) {
        notes.problem(at, "this is for a `service` only");
    }
    let time_zone = required(&raw.time_zone, &raw.at, "time_zone", notes, |text| {
        Zone::parse(text).ok_or("not a time zone like `Europe/Berlin`")
    });
    let first_handover = required(&raw.first_handover, &raw.at, "first_handover", notes, time);
    let mut turns = Vec::new();
    for spanned in &raw.people.value {
        if is_id(spanned, notes) && is_person(spanned, notes) {
            turns.push(spanned.value.clone());
        }
    }
    let place = &raw.people.at;
    if raw.people.value.is_empty() && !notes.has_problem(&place.key) {
        notes.problem(
            place,
            "a rotation needs at least one person, or a `service`",
        );
    }
    let read: Vec<_> = raw
        .overrides
        .iter()
        .map(|o| (over(o, notes), &o.at))
        .collect();
    let (time_zone, first_handover) = (time_zone?, first_handover?);
    let mut overrides = Vec::new();
    for (one, at) in read {
        let one = one?;
        let earlier = overrides
            .iter()
            .position(|e: &Override| e.from < one.until && one.from < e.until);
        if let Some(n) = earlier {
            let line = raw.overrides.get(n).map_or(0, |o| o.at.line);
            let message =
                format!("this overlaps the one on line {line}; while both last, this one counts");
            notes.warn(at, message);
        }
        overrides.push(one);
    }
    Some(OnCallSource::Rotation {
        rotation: Rotation {
            time_zone,
            first_handover,
            people: turns,
            overrides,
        },
    })
}

fn over(raw: &RawOverride, notes: &mut Notes) -> Option<Override> {
    let from = required(&raw.from, &raw.at, "from", notes, time);
    let until = required(&raw.until, &raw.at, "until", notes, time);
    let people = people(&raw.people, notes);
    let (from, until) = (from?, until?);
    if until <= from {
        let at = raw.until.as_ref().map_or(&raw.at, |s| &s.at);
        notes.problem(at, "this is not after `from`");
        return None;
    }
    Some(Override {
        from,
        until,
        people,
    })
}

fn time(text: &str) -> Result<LocalTime, &'static str> {
    LocalTime::parse(text).ok_or("not a date like `2026-01-05`, nor a time like `2026-01-05T09:00`")
}

fn of_service(
    raw: &RawOnCall,
    service: &Spanned<String>,
    base: &Path,
    notes: &mut Notes,
) -> Option<(OnCallService, Secret)> {
    let of_rotations = [&raw.time_zone, &raw.first_handover];
    let lists = [
        (!raw.people.value.is_empty()).then_some(&raw.people.at),
        raw.overrides.first().map(|o| &o.at),
    ];
    let stray = of_rotations.into_iter().flatten().map(|s| &s.at);
    for at in stray.chain(lists.into_iter().flatten()) {
        notes.problem(at, "the service decides that; leave one of both out");
    }
    let kind = ServiceKind::parse(&service.value);
    if kind.is_none() {
        let message = format!(
            "`{}` is not one of `pagerduty`, `opsgenie`",
            Shown(&service.value)
        );
        notes.problem(&service.at, message);
    }
    let schedule = required(&raw.schedule, &raw.at, "schedule", notes, |text| {
        let is_id = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let good = (1..=SCHEDULE_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_id);
        good.then(|| text.to_owned())
            .ok_or("not the id of a schedule: a-z, A-Z, 0-9, `-` and `_`")
    });
    let token = secret(&raw.token, base, notes);
    let file_key = raw.token.file_key();
    if token.is_none() && !notes.has_problem(&raw.token.at.key) && !notes.has_problem(&file_key) {
        notes.problem(&raw.token.at, "this key is required");
    }
    let api_base_url = api(raw, kind?, notes);
    let service = OnCallService {
        kind: kind?,
        api_base_url: api_base_url?,
        schedule: schedule?,
    };
    Some((service, token?))
}

/// Longest id of a schedule, in bytes.
const SCHEDULE_BYTES_MAX: usize = 100;

/// The configured address of the API; a plain one only on this machine, since the token goes there.
fn api(raw: &RawOnCall, kind: ServiceKind, notes: &mut Notes) -> Option<String> {
    let Some(spanned) = &raw.api_base_url else {
        let usual = match kind {
            ServiceKind::PagerDuty => "https://api.pagerduty.com",
            ServiceKind::Opsgenie => "https://api.opsgenie.com",
        };
        return Some(usual.to_owned());
    };
    let problem = match Endpoint::parse(spanned.value.trim_end_matches('/')) {
        Ok(url) if url.url().contains('?') => "a URL with a query; paths are added to it",
        Ok(url) if url.is_plain() && !url.is_here() => {
            "a URL without encryption, and the token would be sent there"
        }
        Ok(url) => return Some(url.url().to_owned()),
        Err(why) => why,
    };
    notes.problem(&spanned.at, format!("this is {problem}"));
    None
}

/// The meaning of a value that must be there.
fn required<T>(
    spanned: &Text,
    at: &Location,
    key: &str,
    notes: &mut Notes,
    read: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Option<T> {
    let Some(spanned) = spanned else {
        let place = at.key(key);
        if !notes.has_problem(&place.key) {
            notes.problem(&place, "this key is required");
        }
        return None;
    };
    match read(&spanned.value) {
        Ok(value) => Some(value),
        Err(why) => {
            notes.problem(&spanned.at, format!("`{}` is {why}", Shown(&spanned.value)));
            None
        }
    }
}
