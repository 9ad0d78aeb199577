//! Sends a notification to a person by mail, or to those of an on-call group, each by a mail of their own.

use super::messages::{self, NotificationFacts};
use super::{Attempt, Shared, asked};
use crate::config::Outlets;
use crate::domain::delivery::{FailedAttempt, FailureKind};
use crate::domain::id::Selector;
use crate::domain::policy::notification::ASKED_MAX;
use crate::error::Error;
use crate::outbound::{Mail, MailFailure, MailSession};
use crate::store::DueDelivery;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Longest time that one attempt sends mails for; addresses that are left have their turn with the next one.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// Events of which is remembered who has their mail; beyond it the oldest is forgotten, and somebody may get one twice.
const REMEMBERED_MAX: usize = 1_000;
/// Longest account of who has a mail and who has not, in bytes.
const ACCOUNT_BYTES_MAX: usize = 1_000;

/// Why there is nobody to send a mail to.
enum NoAddress {
    Nobody(&'static str),
    /// It is not known who it is for, and will be.
    Unknown(String),
    Failed(Error),
}

impl From<Error> for NoAddress {
    fn from(error: Error) -> NoAddress {
        NoAddress::Failed(error)
    }
}

/// Makes one attempt.
pub(super) fn attempt(shared: &Shared, outlets: &Outlets, row: &DueDelivery) -> Attempt {
    let Some(email) = &outlets.email else {
        return Attempt::Cancelled("e-mail is not configured any more");
    };
    let public_url = outlets.public_url.as_deref();
    let facts = NotificationFacts::read(row, public_url);
    let Some(facts) = facts else {
        return failed(FailureKind::Refused, "the stored facts are not JSON");
    };
    let recipient = row.recipient.as_deref().unwrap_or_default();
    let until = Instant::now() + ATTEMPT_TIMEOUT;
    let is_stopping = || shared.is_stopping();
    let threads = &shared.mail_threads;
    let mut session = MailSession::new(email, &shared.reach, threads, until, &is_stopping);
    let mail = |to: String| mail(row, &facts, recipient, to);
    let group = match row.recipient {
        Some(_) => on_call(shared, recipient)
            .map(|people| on_call_people(shared, outlets, row, &facts, people)),
        None => Some(asked_people(shared, outlets, row, &facts)),
    };
    let done = match group {
        Some(people) => people.map(|people| send_to_each(shared, &mut session, row, people, mail)),
        None => address_to_use(shared, outlets, row, &facts).map(|address| {
            match session.send(mail(address)) {
                Ok(()) => Attempt::Delivered(None),
                Err(MailFailure::Refused(why)) => failed(FailureKind::Refused, why),
                Err(MailFailure::NotNow(why)) => failed(FailureKind::Postponed, why),
                Err(MailFailure::Busy(why)) => failed(FailureKind::Rejected, why),
                Err(MailFailure::Unreachable(why)) => failed(FailureKind::Unreachable, why),
            }
        }),
    };
    done.unwrap_or_else(|none| match none {
        NoAddress::Nobody(why) => Attempt::Cancelled(why),
        NoAddress::Unknown(why) => failed(FailureKind::Postponed, why),
        NoAddress::Failed(error) => {
            log::error!("delivery cannot use the store: {error}");
            let why = "the server could not read who it is for";
            failed(FailureKind::Rejected, why)
        }
    })
}

fn failed(kind: FailureKind, why: impl Into<String>) -> Attempt {
    Attempt::Failed(FailedAttempt::new(kind, why))
}

fn mail(row: &DueDelivery, facts: &NotificationFacts, recipient: &str, to: String) -> Mail {
    let letter = messages::letter(facts, recipient);
    Mail {
        to,
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
    }
}

/// Somebody of several who are to get a mail, and their address or why none is known.
type Addressee = (String, Result<String, &'static str>);

/// Several people who are to get a mail each.
struct Addressees {
    people: Vec<Addressee>,
    /// On-call groups of which it is not known who is, and why.
    unknown: Vec<(String, String)>,
}

/// Sends a mail to each by itself: one who is refused, or at whom the server falls silent, keeps it from nobody else, and
/// nobody reads who else got it. Who has it, or was refused, is left out where the others are tried again, and where they
/// are on call in another group that is asked by the same event.
fn send_to_each(
    shared: &Shared,
    session: &mut MailSession<'_>,
    row: &DueDelivery,
    addressees: Addressees,
    mail: impl Fn(String) -> Mail,
) -> Attempt {
    let Addressees {
        mut people,
        unknown,
    } = addressees;
    let mut mails = shared.settled.take(row);
    let is_tried = |mails: &Mails, address: &String| {
        mails
            .get(address)
            .is_some_and(|m| matches!(m.end, MailEnd::NotYet(_)))
    };
    // First those who had no turn: the server may fall silent at one of the others again.
    people.sort_by_key(|(_, address)| address.as_ref().is_ok_and(|a| is_tried(&mails, a)));
    let mut ended = None;
    for (_, address) in &people {
        let Ok(address) = address else { continue };
        let is_open = !mails.contains_key(address) || is_tried(&mails, address);
        if !is_open || ended.is_some() || session.is_over() || shared.is_stopping() {
            continue;
        }
        let end = match session.send(mail(address.clone())) {
            Ok(()) => MailEnd::Sent,
            Err(MailFailure::Refused(why)) => MailEnd::Refused(why),
            Err(MailFailure::NotNow(why)) => MailEnd::NotYet(why),
            Err(MailFailure::Busy(why)) => {
                ended = Some((FailureKind::Rejected, why));
                continue;
            }
            Err(MailFailure::Unreachable(why)) => {
                ended = Some((FailureKind::Unreachable, why));
                continue;
            }
        };
        let settled = SettledMail { row: row.seq, end };
        mails.insert(address.clone(), settled);
    }
    let attempt = judged(row, &people, &unknown, &mails, ended);
    shared.settled.keep(row, mails);
    attempt
}

/// What came of a mail to several people; `ended` is what the server answers to all of them now.
fn judged(
    row: &DueDelivery,
    people: &[Addressee],
    unknown: &[(String, String)],
    mails: &Mails,
    ended: Option<(FailureKind, String)>,
) -> Attempt {
    let (mut sent, mut unsent, mut waits) = (Vec::new(), Vec::new(), false);
    for (person, address) in people {
        let why = match address.as_ref().map(|address| mails.get(address)) {
            Err(why) => why,
            Ok(Some(mail)) => match &mail.end {
                MailEnd::Sent => {
                    sent.push(person.as_str());
                    continue;
                }
                MailEnd::Refused(why) => why.as_str(),
                MailEnd::NotYet(why) => {
                    waits = true;
                    why.as_str()
                }
            },
            Ok(None) => {
                waits = true;
                ended.as_ref().map_or("not tried yet", |(_, why)| why)
            }
        };
        unsent.push(format!("not to {person}: {why}"));
    }
    for (group, why) in unknown {
        waits = true;
        unsent.push(format!(
            "not to group:{group}: it is not known who is on call: {why}"
        ));
    }
    let is_whole = unsent.is_empty();
    sent.sort_unstable();
    if !sent.is_empty() {
        unsent.insert(0, format!("sent to {}", sent.join(", ")));
    }
    let mut account = unsent.join("; ");
    account.truncate(account.floor_char_boundary(ACCOUNT_BYTES_MAX));
    let kind = match (waits, ended) {
        (true, Some((kind, _))) => kind,
        (true, None) => FailureKind::Postponed,
        (false, _) if sent.is_empty() => FailureKind::Refused,
        // What an earlier attempt left to read is true no more.
        (false, _) if is_whole => {
            let is_kept = row.attempts > 0 || row.recipient.is_none();
            return Attempt::Delivered(Some(account).filter(|_| is_kept));
        }
        (false, _) => {
            log::warn!("mail {}: {account}", row.id);
            return Attempt::Delivered(Some(account));
        }
    };
    Attempt::Failed(FailedAttempt {
        reason: account,
        ..FailedAttempt::new(kind, "")
    })
}

/// Who has the mails of events that go to groups, as long as this server runs. Each is sent at least once; what is
/// forgotten is sent again.
#[derive(Default)]
pub(super) struct SettledMails(Mutex<VecDeque<(Event, Mails)>>);

/// An event as its notifications name it: that of the audit log, and what is reported of it.
type Event = (i64, String);

/// Mails of one event, by their addresses.
type Mails = BTreeMap<String, SettledMail>;

struct SettledMail {
    /// The notification that it was sent for.
    row: i64,
    end: MailEnd,
}

enum MailEnd {
    Sent,
    Refused(String),
    NotYet(String),
}

impl SettledMails {
    /// What is known of the event of a notification; nothing of its own mails where it is delivered anew.
    fn take(&self, row: &DueDelivery) -> Mails {
        let mut events = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let is_it = |(seq, name): &Event| *seq == row.audit_seq && *name == row.event_type;
        let at = events.iter().position(|(event, _)| is_it(event));
        let known = at.and_then(|at| events.remove(at));
        let mut mails = known.map(|(_, mails)| mails).unwrap_or_default();
        if row.attempts == 0 {
            mails.retain(|_, mail| mail.row != row.seq);
        }
        mails
    }

    fn keep(&self, row: &DueDelivery, mails: Mails) {
        let mut events = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if events.len() >= REMEMBERED_MAX {
            events.pop_front();
        }
        events.push_back(((row.audit_seq, row.event_type.clone()), mails));
    }
}

/// Who is on call now, where the recipient is such a group.
fn on_call(shared: &Shared, recipient: &str) -> Option<BTreeSet<String>> {
    let Some(Selector::Group(group)) = Selector::parse(recipient) else {
        return None;
    };
    let mut now = shared.app.on_call(shared.app.clock.now()).0;
    now.remove(&group)
}

/// The people on call who are to get a mail; neither the requester, nor those with a mail of their own.
fn on_call_people(
    shared: &Shared,
    outlets: &Outlets,
    row: &DueDelivery,
    facts: &NotificationFacts,
    people: BTreeSet<String>,
) -> Result<Addressees, NoAddress> {
    let group = match row.recipient.as_deref().and_then(Selector::parse) {
        Some(Selector::Group(group)) if people.is_empty() => group,
        _ => String::new(),
    };
    if let Some(why) = shared.app.on_call_unknown(&group, shared.app.clock.now()) {
        let why = format!("it is not known who is on call: {why}");
        return Err(NoAddress::Unknown(why));
    }
    let own = shared
        .app
        .store
        .read(|view| view.recipients_besides(row.seq))?;
    let without_vote = without_vote(shared, facts)?;
    let is_asked = |person: &String| {
        facts.requester() != Some(person.as_str())
            && !own.contains(person.as_str())
            && !without_vote.contains(person.as_str())
    };
    let mut asked = Vec::new();
    for person in people.into_iter().filter(is_asked).take(ASKED_MAX) {
        let address = match address_of(shared, outlets, &person) {
            Ok(address) => Ok(address),
            Err(NoAddress::Nobody(why)) => Err(why),
            Err(failed) => return Err(failed),
        };
        asked.push((person, address));
    }
    match asked.iter().any(|(_, address)| address.is_ok()) {
        true => Ok(Addressees {
            people: asked,
            unknown: Vec::new(),
        }),
        false => Err(NoAddress::Nobody(
            "nobody else is on call whose e-mail address is known",
        )),
    }
}

/// The people whom a reminder asks, as they are now.
fn asked_people(
    shared: &Shared,
    outlets: &Outlets,
    row: &DueDelivery,
    facts: &NotificationFacts,
) -> Result<Addressees, NoAddress> {
    let (active, now) = (shared.app.active(), shared.app.clock.now());
    let everybody = asked::People::new(&shared.app, &active, outlets, now);
    let (asked, unknown) = shared.app.store.read(|view| {
        let id = facts.request_id().unwrap_or_default();
        let Some(waiting) = asked::waiting(view, id, now)? else {
            return Ok((Vec::new(), Vec::new()));
        };
        let selectors = waiting.selectors(&row.event_type, &active.policies);
        let (out, most) = (waiting.without_vote(), asked::LOOKED_AT_MAX);
        let asked = everybody.asked(view, &selectors, &out, most)?;
        Ok((asked, everybody.unknown_groups(&selectors)))
    })?;
    let mut people = Vec::new();
    for person in asked {
        match address_of(shared, outlets, &person.id) {
            Ok(address) if people.len() < ASKED_MAX => people.push((person.id, Ok(address))),
            Ok(_) => {
                log::warn!(
                    "{} goes to {ASKED_MAX} people by mail; more are asked",
                    row.id
                );
                break;
            }
            Err(NoAddress::Nobody(_)) => {}
            Err(failed) => return Err(failed),
        }
    }
    match people.is_empty() && unknown.is_empty() {
        true => Err(NoAddress::Nobody(
            "nobody is asked whose e-mail address is known",
        )),
        false => Ok(Addressees { people, unknown }),
    }
}

/// People who have no vote in the step of a request that waits; nobody where it does not wait.
fn without_vote(shared: &Shared, facts: &NotificationFacts) -> Result<BTreeSet<String>, Error> {
    let (id, now) = (
        facts.request_id().unwrap_or_default(),
        shared.app.clock.now(),
    );
    let waiting = shared
        .app
        .store
        .read(|view| asked::waiting(view, id, now))?;
    let out = waiting.iter().flat_map(|waiting| waiting.without_vote());
    Ok(out.map(str::to_owned).collect())
}

/// The address of the person whom a notification is for.
fn address_to_use(
    shared: &Shared,
    outlets: &Outlets,
    row: &DueDelivery,
    facts: &NotificationFacts,
) -> Result<String, NoAddress> {
    let person = row.recipient.as_deref().unwrap_or_default();
    if facts.is_cancellation_by_suspension_of(person) {
        return address_even_if_suspended(shared, outlets, person);
    }
    if asked::asks(&row.event_type) && without_vote(shared, facts)?.contains(person) {
        let why = "the person has no vote in the step that waits";
        return Err(NoAddress::Nobody(why));
    }
    address_of(shared, outlets, person)
}

/// The address of an active person.
fn address_of(shared: &Shared, outlets: &Outlets, person: &str) -> Result<String, NoAddress> {
    let known = shared.app.store.read(|view| view.find_user(person))?;
    if known.is_some_and(|user| !user.active) {
        return Err(NoAddress::Nobody("the person is suspended"));
    }
    address_even_if_suspended(shared, outlets, person)
}

/// The address of a person: the configured one, or the one that the identity provider last gave.
fn address_even_if_suspended(
    shared: &Shared,
    outlets: &Outlets,
    person: &str,
) -> Result<String, NoAddress> {
    if let Some(address) = outlets.addresses.get(person) {
        return Ok(address.clone());
    }
    let provider = shared.app.sign_in.provider.as_ref();
    let seen = provider.and_then(|provider| provider.seen(person)?.email.clone());
    let known = shared.app.store.read(|view| view.find_user(person))?;
    let address = seen.or_else(|| known?.claimed_email);
    address.ok_or(NoAddress::Nobody(
        "no e-mail address of this person is known",
    ))
}
