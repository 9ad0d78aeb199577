//! Sends a notification to a person by mail.

use super::messages::{self, NotificationFacts};
use super::{Attempt, Shared};
use crate::config::{Email, Outlets};
use crate::domain::delivery::{FailedAttempt, FailureKind};
use crate::domain::id::Selector;
use crate::domain::policy::notification::ASKED_MAX;
use crate::error::Error;
use crate::outbound::{Mail, MailFailure, smtp};
use crate::store::DueDelivery;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;

/// Mails of which is remembered who has them; beyond it remembering starts anew, and somebody gets one twice.
const PARTLY_SENT_MAX: usize = 1_000;

/// Makes one attempt.
pub(super) fn attempt(shared: &Shared, outlets: &Outlets, row: &DueDelivery) -> Attempt {
    let Some(email) = &outlets.email else {
        return Attempt::Cancelled("e-mail is not configured any more");
    };
    let public_url = outlets.public_url.as_deref();
    let facts = NotificationFacts::read(&row.payload_json, row.risk_level.as_deref(), public_url);
    let Some(facts) = facts else {
        return failed(FailureKind::Refused, "the stored facts are not JSON");
    };
    let recipient = row.recipient.as_deref().unwrap_or_default();
    let found = match on_call(shared, recipient) {
        Some(people) => addresses_on_call(shared, outlets, row, &facts, people),
        None => {
            let found = match facts.is_cancellation_by_suspension_of(recipient) {
                true => address_even_if_suspended(shared, outlets, recipient),
                false => address_of(shared, outlets, recipient),
            };
            found.map(|found| found.map(|one| vec![one]))
        }
    };
    let addresses = match found {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(why)) => return Attempt::Cancelled(why),
        Err(error) => {
            log::error!("delivery cannot use the store: {error}");
            return failed(
                FailureKind::Rejected,
                "the server could not read who it is for",
            );
        }
    };
    let letter = messages::letter(&facts, recipient);
    let mail = Mail {
        to: String::new(),
        subject: letter.subject,
        text: letter.text,
        html: letter.html,
        id: row.id.clone(),
        thread: facts.request_id().map(|id| format!("request-{id}")),
        headers: vec![
            // So that no absence notice answers.
            ("Auto-Submitted", "auto-generated".to_owned()),
            ("X-Dbward-Event", row.event_type.clone()),
            ("X-Dbward-Delivery", row.id.clone()),
        ],
    };
    send_to_each(shared, email, mail, addresses)
}

/// Sends a mail to each address by itself: one that is refused keeps it from nobody else, and nobody reads who else got
/// it. Who has it, or was refused, is left out where the others are tried again.
fn send_to_each(shared: &Shared, email: &Email, mail: Mail, addresses: Vec<String>) -> Attempt {
    let mut settled = shared.partly_sent.take(&mail.id);
    let mut mail = mail;
    let mut later = None;
    for address in addresses {
        if settled.contains_key(&address) {
            continue;
        }
        mail.to = address;
        match smtp::send(email, &shared.reach, &mail) {
            Ok(()) => drop(settled.insert(mail.to.clone(), None)),
            Err(MailFailure::Refused(why)) => drop(settled.insert(mail.to.clone(), Some(why))),
            Err(MailFailure::NotNow(why)) => later = Some(failed(FailureKind::Rejected, why)),
            Err(MailFailure::Unreachable(why)) => {
                later = Some(failed(FailureKind::Unreachable, why));
                break;
            }
        }
    }
    if let Some(failure) = later {
        shared.partly_sent.keep(&mail.id, settled);
        return failure;
    }
    let is_sent = settled.values().any(Option::is_none);
    let all = settled.len();
    let mut refused = settled.into_values().flatten().peekable();
    match refused.peek().cloned() {
        Some(why) if !is_sent => failed(FailureKind::Refused, why),
        Some(why) => {
            let refused = refused.count();
            log::warn!(
                "mail {}: {refused} of {all} addresses are refused: {why}",
                mail.id
            );
            Attempt::Delivered
        }
        None => Attempt::Delivered,
    }
}

/// Mails to several people of whom some are to be tried again.
#[derive(Default)]
pub(super) struct PartlySent(Mutex<HashMap<String, SettledAddresses>>);

/// Addresses that need no further attempt, each with why it was refused, if it was.
type SettledAddresses = BTreeMap<String, Option<String>>;

impl PartlySent {
    fn take(&self, id: &str) -> SettledAddresses {
        let mut mails = self.0.lock().unwrap_or_else(|e| e.into_inner());
        mails.remove(id).unwrap_or_default()
    }

    fn keep(&self, id: &str, settled: SettledAddresses) {
        if settled.is_empty() {
            return;
        }
        let mut mails = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if mails.len() >= PARTLY_SENT_MAX {
            mails.clear();
        }
        mails.insert(id.to_owned(), settled);
    }
}

fn failed(kind: FailureKind, why: impl Into<String>) -> Attempt {
    Attempt::Failed(FailedAttempt::new(kind, why))
}

/// Who is on call now, where the recipient is such a group.
fn on_call(shared: &Shared, recipient: &str) -> Option<BTreeSet<String>> {
    let Some(Selector::Group(group)) = Selector::parse(recipient) else {
        return None;
    };
    let mut now = shared.app.on_call(shared.app.clock.now()).0;
    now.remove(&group)
}

/// The addresses of people, or why there are none; none for the requester, nor for those with a mail of their own.
fn addresses_on_call(
    shared: &Shared,
    outlets: &Outlets,
    row: &DueDelivery,
    facts: &NotificationFacts,
    people: BTreeSet<String>,
) -> Result<Result<Vec<String>, &'static str>, Error> {
    let own = shared
        .app
        .store
        .read(|view| view.recipients_besides(row.seq))?;
    let is_asked = |person: &&String| {
        facts.requester() != Some(person.as_str()) && !own.contains(person.as_str())
    };
    let mut addresses = Vec::new();
    for person in people.iter().filter(is_asked).take(ASKED_MAX) {
        addresses.extend(address_of(shared, outlets, person)?.ok());
    }
    Ok(match addresses.is_empty() {
        true => Err("nobody else is on call whose e-mail address is known"),
        false => Ok(addresses),
    })
}

/// The address of an active person, or why there is none.
fn address_of(
    shared: &Shared,
    outlets: &Outlets,
    person: &str,
) -> Result<Result<String, &'static str>, Error> {
    let known = shared.app.store.read(|view| view.find_user(person))?;
    if known.is_some_and(|user| !user.active) {
        return Ok(Err("the person is suspended"));
    }
    address_even_if_suspended(shared, outlets, person)
}

/// The address of a person, or why there is none: the configured one, or the one that the identity provider last gave.
fn address_even_if_suspended(
    shared: &Shared,
    outlets: &Outlets,
    person: &str,
) -> Result<Result<String, &'static str>, Error> {
    if let Some(address) = outlets.addresses.get(person) {
        return Ok(Ok(address.clone()));
    }
    let provider = shared.app.sign_in.provider.as_ref();
    let seen = provider.and_then(|provider| provider.seen(person)?.email.clone());
    let known = shared.app.store.read(|view| view.find_user(person))?;
    let address = seen.or_else(|| known?.claimed_email);
    Ok(address.ok_or("no e-mail address of this person is known"))
}
