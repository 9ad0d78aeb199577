//! Sends a notification to a person by mail.

use super::messages::{self, NotificationFacts};
use super::{Attempt, Shared};
use crate::config::Outlets;
use crate::domain::delivery::{FailedAttempt, FailureKind};
use crate::outbound::{Mail, MailFailure, smtp};
use crate::store::DueDelivery;

/// Makes one attempt.
pub(super) fn attempt(shared: &Shared, outlets: &Outlets, row: &DueDelivery) -> Attempt {
    let Some(email) = &outlets.email else {
        return Attempt::Cancelled("e-mail is not configured any more");
    };
    let person = row.recipient.as_deref().unwrap_or_default();
    match is_suspended(shared, person) {
        Ok(false) => {}
        Ok(true) => return Attempt::Cancelled("the person is suspended"),
        Err(error) => {
            log::error!("delivery cannot use the store: {error}");
            return failed(
                FailureKind::Rejected,
                "the server could not read who it is for",
            );
        }
    }
    let Some(address) = address(shared, outlets, person) else {
        return Attempt::Cancelled("no e-mail address of this person is known");
    };
    let public_url = outlets.public_url.as_deref();
    let facts = NotificationFacts::read(&row.payload_json, row.risk_level.as_deref(), public_url);
    let Some(facts) = facts else {
        return failed(FailureKind::Refused, "the stored facts are not JSON");
    };
    let letter = messages::letter(&facts, person);
    let mail = Mail {
        to: address,
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
    match smtp::send(email, &shared.reach, &mail) {
        Ok(()) => Attempt::Delivered,
        Err(MailFailure::Refused(why)) => failed(FailureKind::Refused, why),
        Err(MailFailure::NotNow(why)) => failed(FailureKind::Rejected, why),
        Err(MailFailure::Unreachable(why)) => failed(FailureKind::Unreachable, why),
    }
}

fn failed(kind: FailureKind, why: impl Into<String>) -> Attempt {
    Attempt::Failed(FailedAttempt::new(kind, why))
}

fn is_suspended(shared: &Shared, person: &str) -> Result<bool, crate::error::Error> {
    let known = shared.app.store.read(|view| view.find_user(person))?;
    Ok(known.is_some_and(|user| !user.active))
}

/// The configured address, or the one that the identity provider last gave.
fn address(shared: &Shared, outlets: &Outlets, person: &str) -> Option<String> {
    if let Some(address) = outlets.addresses.get(person) {
        return Some(address.clone());
    }
    let provider = shared.app.sign_in.provider.as_ref()?;
    provider.seen(person)?.email.clone()
}
