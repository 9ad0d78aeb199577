//! What `[[webhooks]]` and `[[notification_policies]]` mean: who is notified, over which address, and where of
//! what.

use super::check::{once, one_of, scope, secret};
use super::policies::selector;
use super::raw::{RawConfig, RawNotificationPolicy, RawWebhook};
use super::{Cidr, Endpoint, NetworkReach, Secret};
use crate::domain::id::Selector;
use crate::domain::policy::Policies;
use crate::domain::policy::notification::{
    CHECKPOINTED, EVENTS, EventFilter, LICENCE_EVENTS, NotificationPolicy, REMINDERS,
};
use crate::error::Shown;
use crate::settings::{GivenSecret, Notes, Spanned, Texts};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

/// Longest id of a webhook, in characters.
const ID_CHARS_MAX: usize = 64;

/// The format that a webhook expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookFormat {
    /// The facts as a JSON object.
    #[default]
    Generic,
    /// A message as Slack's incoming webhooks take it.
    Slack,
    /// An Adaptive Card, as the Workflows webhooks of Microsoft Teams take it.
    Teams,
    /// A card as the incoming webhooks of Google Chat take it.
    GoogleChat,
}

impl WebhookFormat {
    const ALL: [WebhookFormat; 4] = [
        WebhookFormat::Generic,
        WebhookFormat::Slack,
        WebhookFormat::Teams,
        WebhookFormat::GoogleChat,
    ];

    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            WebhookFormat::Generic => "generic",
            WebhookFormat::Slack => "slack",
            WebhookFormat::Teams => "teams",
            WebhookFormat::GoogleChat => "google_chat",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub id: String,
    /// Where it is called.
    pub url: Endpoint,
    /// The format that it expects.
    pub format: WebhookFormat,
    /// Signs what is sent.
    pub secret: Option<Secret>,
    /// Its events where no policy names it.
    pub events: EventFilter,
}

/// Checks every entry of both lists.
pub(super) fn check(
    raw: &RawConfig,
    base: &Path,
    allow_networks: &[Cidr],
    policies: &mut Policies,
    notes: &mut Notes,
) -> Vec<Webhook> {
    let reach = NetworkReach {
        here: raw.process.allow_private_networks,
        private: raw.process.allow_private_networks,
        networks: allow_networks.to_vec(),
        proxy: None,
    };
    let mut webhooks: Vec<Webhook> = Vec::new();
    let mut seen: Vec<&Spanned<String>> = Vec::new();
    for entry in &raw.webhooks {
        let id = id(entry, notes);
        if let Some(id) = id {
            if let Some(first) = seen.iter().find(|s| s.value == id.value) {
                let message = format!(
                    "`{}` is the id of another webhook already, on line {}",
                    Shown(&id.value),
                    first.at.line
                );
                notes.problem(&id.at, message);
            }
            seen.push(id);
        }
        let url = url(entry, &reach, notes);
        let format = one_of(&entry.format, WebhookFormat::default(), notes, |text| {
            WebhookFormat::ALL
                .into_iter()
                .find(|f| f.as_str() == text)
                .ok_or("not one of `generic`, `slack`, `teams`, `google_chat`")
        });
        // Who knows the address of a chat's webhook can write there.
        if let (false, Some(url)) = (format == WebhookFormat::Generic, &entry.url) {
            notes.secrets.push(GivenSecret {
                at: url.at.clone(),
                file: None,
            });
        }
        let secret = secret(&entry.secret, base, notes);
        let events = events(&entry.events, notes);
        if let (Some(id), Some(url)) = (id, url) {
            webhooks.push(Webhook {
                id: id.value.clone(),
                url,
                format,
                secret,
                events,
            });
        }
    }
    let mut scopes = Vec::new();
    for entry in &raw.notification_policies {
        let policy = policy(entry, &seen, policies, notes);
        once("a policy", &policy.scope, &entry.at, &mut scopes, notes);
        policies.notification.push(policy);
    }
    without_effect(raw, policies, notes);
    webhooks
}

/// Warns of events that count no more, because policies say when the webhook fires.
fn without_effect(raw: &RawConfig, policies: &Policies, notes: &mut Notes) {
    for entry in &raw.webhooks {
        let named = |id: &Spanned<String>| {
            let mut all = policies.notification.iter();
            all.any(|p| p.webhooks.contains(&id.value))
        };
        // A checkpoint is of no database, so no policy decides about it.
        let is_other = |name: &Spanned<String>| event(&name.value) != Some(CHECKPOINTED);
        let has_others = entry.events.value.iter().any(is_other);
        if has_others && entry.id.as_ref().is_some_and(named) {
            notes.warn(
                &entry.events.at,
                "these have no effect: notification policies name this webhook, and theirs count",
            );
        }
    }
}

fn id<'r>(raw: &'r RawWebhook, notes: &mut Notes) -> Option<&'r Spanned<String>> {
    let Some(spanned) = &raw.id else {
        let place = raw.at.key("id");
        if !notes.has_problem(&place.key) {
            notes.problem(&place, format!("this key is required{}", suggestion(raw)));
        }
        return None;
    };
    if !is_id(&spanned.value) {
        let message = format!(
            "`{}` is not an id: a-z, 0-9 and `-`, which neither begins nor ends it, at most {ID_CHARS_MAX} in all",
            Shown(&spanned.value)
        );
        notes.problem(&spanned.at, message);
        return None;
    }
    Some(spanned)
}

fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=ID_CHARS_MAX).contains(&text.len())
        && text.bytes().all(plain)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// An id that would do, made of the host.
fn suggestion(raw: &RawWebhook) -> String {
    let url = raw
        .url
        .as_ref()
        .and_then(|u| Endpoint::parse(&u.value).ok());
    let slug: String = url
        .iter()
        .flat_map(|u| u.host().chars())
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(ID_CHARS_MAX)
        .collect();
    let slug = slug.trim_matches('-');
    if is_id(slug) {
        format!(", for example `{slug}`")
    } else {
        String::new()
    }
}

/// The URL is never part of a message: anyone who knows that of a chat may write there.
fn url(raw: &RawWebhook, reach: &NetworkReach, notes: &mut Notes) -> Option<Endpoint> {
    let Some(spanned) = &raw.url else {
        let place = raw.at.key("url");
        if !notes.has_problem(&place.key) {
            notes.problem(&place, "this key is required");
        }
        return None;
    };
    let url = match Endpoint::parse(&spanned.value) {
        Ok(url) => url,
        Err(why) => {
            notes.problem(&spanned.at, format!("this is {why}"));
            return None;
        }
    };
    let host: Option<IpAddr> = url.host().parse().ok();
    let is_listed = host.is_some_and(|ip| reach.networks.iter().any(|range| range.contains(ip)));
    let wrong = if !url.is_allowed(reach.private) && !is_listed {
        Some(
            "`http://` is for this machine only, for addresses in `allow_networks`, or with \
             `allow_private_networks = true`",
        )
    } else {
        address_problem(&url, reach)
    };
    if let Some(wrong) = wrong {
        notes.problem(&spanned.at, wrong);
        return None;
    }
    Some(url)
}

/// What is wrong with an address that stands in the URL itself. What a name leads to is looked at when it is called.
fn address_problem(url: &Endpoint, reach: &NetworkReach) -> Option<&'static str> {
    let host = url.host().trim_end_matches('.');
    let Ok(address) = host.parse::<IpAddr>() else {
        let last = host.rsplit('.').next().unwrap_or_default();
        let number = last.starts_with(|c: char| c.is_ascii_digit())
            && (last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x"));
        return number.then_some(
            "the host is a number and no address; write it as a name or as four numbers",
        );
    };
    let here = NetworkReach {
        here: url.is_here() || reach.here,
        ..reach.clone()
    };
    let all = NetworkReach {
        here: true,
        private: true,
        ..NetworkReach::default()
    };
    if here.covers(address) {
        None
    } else if all.covers(address) {
        Some(
            "this address is private; calling it needs `allow_networks` with it, or `allow_private_networks = true`",
        )
    } else {
        Some("no service can have this address")
    }
}

fn policy(
    raw: &RawNotificationPolicy,
    known: &[&Spanned<String>],
    policies: &Policies,
    notes: &mut Notes,
) -> NotificationPolicy {
    let mut webhooks = BTreeSet::new();
    for spanned in &raw.webhooks.value {
        if !known.iter().any(|k| k.value == spanned.value) && !notes.names_unclear("webhooks") {
            let message = format!(
                "webhook `{}` is not defined; add it under `[[webhooks]]`",
                Shown(&spanned.value)
            );
            notes.problem(&spanned.at, message);
        }
        if !webhooks.insert(spanned.value.clone()) {
            let message = format!("`{}` is in this list twice", Shown(&spanned.value));
            notes.problem(&spanned.at, message);
        }
    }
    if let Some(name) = raw
        .events
        .value
        .iter()
        .find(|n| event(&n.value) == Some(CHECKPOINTED))
    {
        notes.problem(
            &name.at,
            "checkpoints are of no database: name this event under `[[webhooks]]`",
        );
    }
    NotificationPolicy {
        scope: scope(&raw.scope, policies, notes),
        webhooks,
        events: events(&raw.events, notes),
        remind_after_secs: raw.remind_after_secs.as_ref().map(|secs| secs.value),
        escalate_after_secs: raw.escalate_after_secs.as_ref().map(|secs| secs.value),
        escalate_to: escalate_to(raw, policies, notes),
    }
}

fn escalate_to(
    raw: &RawNotificationPolicy,
    policies: &Policies,
    notes: &mut Notes,
) -> Vec<Selector> {
    let mut selectors = Vec::new();
    for spanned in &raw.escalate_to.value {
        match selector(&spanned.value, policies, notes.open_groups) {
            Ok(Selector::Requester) => notes.problem(
                &spanned.at,
                "the requester knows; name a role, a group or a user",
            ),
            Ok(selector) => selectors.push(selector),
            Err(message) => notes.problem(&spanned.at, message),
        }
    }
    if !selectors.is_empty() && raw.escalate_after_secs.is_none() {
        notes.problem(
            &raw.escalate_to.at,
            "this has no effect without `escalate_after_secs`",
        );
    }
    selectors
}

fn events(spanned: &Texts, notes: &mut Notes) -> EventFilter {
    let mut names = Vec::new();
    for spanned in &spanned.value {
        let name = spanned.value.as_str();
        if LICENCE_EVENTS.contains(&name) {
            notes.warn(
                &spanned.at,
                format!("`{name}` is never sent: there are no licences here"),
            );
            names.push(name.to_owned());
        } else if let Some(event) = event(name) {
            names.push(event.to_owned());
        } else {
            notes.problem(&spanned.at, unknown_event(name));
        }
    }
    EventFilter::new(names)
}

/// The event of that name: as it is, with `_` for its dot, or of two words without what is before its dot.
fn event(name: &str) -> Option<&'static str> {
    if name == EventFilter::EVERY {
        return Some(EventFilter::EVERY);
    }
    let mut known = EVENTS.into_iter().chain(REMINDERS).chain([CHECKPOINTED]);
    known.find(|event| {
        let short = event.split_once('.').map_or(*event, |(_, short)| short);
        name == *event || name == event.replace('.', "_") || (name == short && name.contains('_'))
    })
}

fn unknown_event(name: &str) -> String {
    format!(
        "`{}` is not an event; known are `*`, {}",
        Shown(name),
        EVENTS.map(|event| format!("`{event}`")).join(", ")
    )
}
