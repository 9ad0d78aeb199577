//! Notification policies: which webhooks are notified of which events, and where.
//!
//! The rule (contract section 9): a webhook that some policy names fires only through policies, for the scope and the
//! events of the one that applies; a webhook that no policy names fires by its own events, everywhere. Policies know
//! webhooks by their ids; where those lead, and with which secret, is not a policy.

use crate::domain::id::{Selector, Target};
use crate::domain::policy::Policies;
use crate::domain::scope::{Scope, most_specific};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Every event that can be notified. They are the types of the audit events that account for them.
pub const EVENTS: [&str; 15] = [
    "request.created",
    "request.auto_approved",
    "request.break_glass",
    "request.dispatched",
    "request.dispatch_timeout",
    "step.approved",
    "request.approved",
    "request.rejected",
    "request.cancelled",
    "request.expired",
    "request.corrupt",
    "execution.started",
    "execution.completed",
    "execution.failed",
    "execution.lost",
];

/// A signed checkpoint of the audit log, for webhooks whose own events name it: it is of no database.
pub const CHECKPOINTED: &str = crate::domain::audit::CHECKPOINT;

/// Events that configurations of 0.1.6 may name and that are never sent: there are no licences.
pub const LICENCE_EVENTS: [&str; 2] = ["license_grace_warning", "license_downgraded"];

/// Times a delivery is tried before it is given up, as existing clients show it.
pub const ATTEMPTS_MAX: u32 = 10;

/// Reminders of a step that waits for approval, and of one that waits too long. No audit event accounts for them: they
/// are planned where the wait begins.
pub const REMINDED: &str = "request.reminded";
pub const ESCALATED: &str = "request.escalated";
pub const REMINDERS: [&str; 2] = [REMINDED, ESCALATED];

/// The channel of mail; no webhook has such an id.
pub const EMAIL: &str = "@email";
/// The same of the Slack app.
pub const SLACK: &str = "@slack";
/// What the Slack app shows with the next event: agents begin at once.
const UNSEEN_IN_SLACK: &str = "execution.started";

/// People who are asked by mail to approve one step, at most.
pub const ASKED_MAX: usize = 100;

/// What a requester learns by mail: what becomes of the request, also where they did nothing themselves.
const OUTCOMES: [&str; 11] = [
    "request.auto_approved",
    "request.break_glass",
    "request.approved",
    "request.rejected",
    "request.cancelled",
    "request.expired",
    "request.dispatch_timeout",
    "request.corrupt",
    "execution.completed",
    "execution.failed",
    "execution.lost",
];

/// How long a notification may wait for its delivery, in milliseconds: a day. All tries together take some five hours;
/// what is older waits for nobody, and would only fill the database.
pub const PENDING_MS_MAX: i64 = 24 * 60 * 60 * 1000;

/// How long one that was never attempted is kept where the server is started again before it has run for a day: a request
/// keeps its texts for as long as one of its notifications waits.
pub const UNTRIED_MS_MAX: i64 = 7 * PENDING_MS_MAX;

/// Which events a webhook receives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// None for every event.
    names: BTreeSet<String>,
}

impl EventFilter {
    /// Stands for every event.
    pub const EVERY: &'static str = "*";

    /// These events; every one where no name is given, or `*` among them. A checkpoint has to be named besides.
    pub fn new(names: impl IntoIterator<Item = String>) -> EventFilter {
        let mut names: BTreeSet<String> = names.into_iter().collect();
        if names.contains(Self::EVERY) {
            names.retain(|name| name == Self::EVERY || name == CHECKPOINTED);
        }
        if names.len() == 1 && names.contains(Self::EVERY) {
            names.clear();
        }
        EventFilter { names }
    }

    /// Whether `event` is among them.
    pub fn takes(&self, event: &str) -> bool {
        let is_every = self.names.is_empty() || self.names.contains(Self::EVERY);
        is_every || self.names.contains(event)
    }

    /// Their names, sorted; `*` for every event.
    pub fn names(&self) -> Vec<&str> {
        if self.names.is_empty() {
            return vec![Self::EVERY];
        }
        self.names.iter().map(String::as_str).collect()
    }
}

/// Who is notified in a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationPolicy {
    pub scope: Scope,
    /// When those who are asked are reminded, in seconds after a step began to wait.
    pub remind_after_secs: Option<u64>,
    /// When others are notified, in the same way, and who they are.
    pub escalate_after_secs: Option<u64>,
    pub escalate_to: Vec<Selector>,
    /// Ids of the webhooks that fire there; none keeps those that other policies name silent.
    pub webhooks: BTreeSet<String>,
    /// The events they receive.
    pub events: EventFilter,
}

impl NotificationPolicy {
    /// Its id, as clients see it.
    pub fn id(&self) -> String {
        format!("np:{}:{}", self.scope.database, self.scope.environment)
    }
}

/// The policy that applies to a target: of those that cover it, the most specific.
pub fn resolve<'p>(
    policies: &'p [NotificationPolicy],
    target: &Target,
) -> Option<&'p NotificationPolicy> {
    most_specific(policies, |p| &p.scope, target)
}

/// A webhook, as far as routing goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutedWebhook {
    pub id: String,
    /// Its events where no policy names it.
    pub events: EventFilter,
}

/// A webhook that fires on a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Firing<'r> {
    pub webhook: &'r str,
    pub events: &'r EventFilter,
    /// By a policy, or by its own events.
    pub by_policy: bool,
}

/// Where every event goes: webhooks and policies of one configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Routes {
    webhooks: Vec<RoutedWebhook>,
    policies: Vec<NotificationPolicy>,
    /// Webhooks that some policy names.
    named: BTreeSet<String>,
    /// Whether requesters learn the outcome by mail.
    mails: bool,
    /// Whether requests are posted by the Slack app.
    slack: bool,
    /// People who can be asked by mail.
    people: Vec<MailedPerson>,
    /// The policies by which tokens and claims make others approvers, where there is mail to ask them by.
    policies_of_mail: Option<Arc<Policies>>,
}

/// What the state knows of the people who may be asked by mail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownRecipients {
    /// Whose address the identity provider gave.
    pub claimed: BTreeSet<String>,
    /// Who is asked by a token or by claims.
    pub asked_by_state: BTreeSet<String>,
}

/// Who is notified by mail of one event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailRecipients {
    /// Ids of people, and on-call groups as selectors.
    pub named: Vec<String>,
    /// People who are asked as well and get none, since they are too many.
    pub left_out: usize,
}

/// A person whom the configuration names, and what they are as an approver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailedPerson {
    pub id: String,
    /// Whether the configuration has their address; otherwise the identity provider may have given one.
    pub has_address: bool,
    /// Names of the roles they have by configuration.
    pub roles: BTreeSet<String>,
    pub groups: BTreeSet<String>,
}

impl MailedPerson {
    fn is(&self, selector: &Selector) -> bool {
        match selector {
            Selector::Requester => false,
            Selector::User(id) => *id == self.id,
            Selector::Role(name) => self.roles.contains(name),
            Selector::Group(name) => self.groups.contains(name),
        }
    }
}

impl Routes {
    /// The routes of these webhooks, in the order of the file, under these policies.
    pub fn new(webhooks: Vec<RoutedWebhook>, policies: &[NotificationPolicy]) -> Routes {
        Routes {
            named: policies.iter().flat_map(|p| p.webhooks.clone()).collect(),
            policies: policies.to_vec(),
            webhooks,
            mails: false,
            slack: false,
            people: Vec::new(),
            policies_of_mail: None,
        }
    }

    /// The same with every request posted by the Slack app.
    pub fn with_slack(self) -> Routes {
        Routes {
            slack: true,
            ..self
        }
    }

    /// Whether the Slack app shows an event.
    pub fn posts(&self, event: &str) -> bool {
        self.slack && event != UNSEEN_IN_SLACK
    }

    /// The same with mail to requesters, and to these people where they are asked to approve, to others who are so by
    /// these policies, and to those on call.
    pub fn with_mail(self, people: Vec<MailedPerson>, policies: Arc<Policies>) -> Routes {
        Routes {
            mails: true,
            people,
            policies_of_mail: Some(policies),
            ..self
        }
    }

    /// The policies by which the state makes people approvers who are asked by mail; none without mail.
    pub fn policies_of_mail(&self) -> Option<&Policies> {
        self.policies_of_mail.as_deref()
    }

    /// Who is notified by mail of an event: the requester of an outcome, unless they cancelled it themselves, and whom it
    /// asks to approve, as far as their address is known.
    pub fn mailed(
        &self,
        event: &str,
        requester: &str,
        actor: &str,
        asked: &[Selector],
        known: &KnownRecipients,
    ) -> MailRecipients {
        if !self.mails {
            return MailRecipients::default();
        }
        let own = event == "request.cancelled" && actor == requester;
        if OUTCOMES.contains(&event) && !own {
            return MailRecipients {
                named: vec![requester.to_owned()],
                left_out: 0,
            };
        }
        let people = self.people_of(requester, asked, known);
        let on_call = asked.iter().filter(|selector| self.is_on_call(selector));
        let first = people.iter().take(ASKED_MAX).map(ToString::to_string);
        MailRecipients {
            named: first.chain(on_call.map(ToString::to_string)).collect(),
            left_out: people.len().saturating_sub(ASKED_MAX),
        }
    }

    fn is_on_call(&self, selector: &Selector) -> bool {
        let policies = self.policies_of_mail.as_ref();
        matches!(selector, Selector::Group(name) if policies.is_some_and(|p| p.is_on_call(name)))
    }

    /// The reminders of a step that waits on a target: event, seconds after which it is sent, and who is asked by mail,
    /// where `asked` are the approvers of the step.
    pub fn reminders<'a>(
        &'a self,
        target: &Target,
        asked: &'a [Selector],
    ) -> Vec<(&'static str, u64, &'a [Selector])> {
        let Some(policy) = resolve(&self.policies, target).filter(|_| !asked.is_empty()) else {
            return Vec::new();
        };
        let remind = policy.remind_after_secs.map(|secs| (REMINDED, secs, asked));
        let escalate = policy
            .escalate_after_secs
            .map(|secs| (ESCALATED, secs, policy.escalate_to.as_slice()));
        remind.into_iter().chain(escalate).collect()
    }

    /// Who is asked, as far as the configuration has no address of them.
    pub fn unaddressed<'a>(
        &'a self,
        asked: &'a [Selector],
        asked_by_state: &'a BTreeSet<String>,
    ) -> BTreeSet<&'a str> {
        let has_address = |id: &str| self.people.iter().any(|p| p.has_address && p.id == id);
        let listed = self.people.iter().filter(|p| !p.has_address);
        let listed = listed.filter(|p| asked.iter().any(|s| p.is(s)));
        let others = asked_by_state.iter().map(String::as_str);
        let others = others.filter(|id| !has_address(id));
        listed.map(|p| p.id.as_str()).chain(others).collect()
    }

    fn people_of<'a>(
        &'a self,
        requester: &str,
        asked: &[Selector],
        known: &'a KnownRecipients,
    ) -> BTreeSet<&'a str> {
        let is_asked = |person: &&MailedPerson| {
            known.asked_by_state.contains(&person.id) || asked.iter().any(|s| person.is(s))
        };
        let has_address =
            |person: &&MailedPerson| person.has_address || known.claimed.contains(&person.id);
        let listed = self.people.iter().filter(has_address).filter(is_asked);
        let listed = listed.map(|person| person.id.as_str());
        let others = known.asked_by_state.intersection(&known.claimed);
        let mut people: BTreeSet<&str> = listed.chain(others.map(String::as_str)).collect();
        people.remove(requester);
        people
    }

    /// Whether nobody is notified of anything.
    pub fn is_empty(&self) -> bool {
        self.webhooks.is_empty() && !self.mails && !self.slack
    }

    /// Whether there is a channel of that name: a webhook's id, mail, or the Slack app.
    pub fn has(&self, id: &str) -> bool {
        match id {
            EMAIL => self.mails,
            SLACK => self.slack,
            id => self.webhooks.iter().any(|w| w.id == id),
        }
    }

    /// The webhooks that fire on a target, in the order of the file.
    pub fn firing(&self, target: &Target) -> impl Iterator<Item = Firing<'_>> {
        let policy = resolve(&self.policies, target);
        self.webhooks.iter().filter_map(move |w| {
            let by_policy = self.named.contains(&w.id);
            let events = match (by_policy, policy) {
                (false, _) => &w.events,
                (true, Some(p)) if p.webhooks.contains(&w.id) => &p.events,
                (true, _) => return None,
            };
            Some(Firing {
                webhook: &w.id,
                events,
                by_policy,
            })
        })
    }

    /// Ids of the webhooks that receive checkpoints, in the order of the file.
    pub fn checkpointed(&self) -> impl Iterator<Item = &str> {
        let asks = |w: &&RoutedWebhook| w.events.names.contains(CHECKPOINTED);
        self.webhooks.iter().filter(asks).map(|w| w.id.as_str())
    }

    /// Ids of the webhooks that receive `event` on a target, in the order of the file.
    pub fn select(&self, event: &str, target: &Target) -> impl Iterator<Item = &str> {
        self.firing(target)
            .filter(move |f| f.events.takes(event))
            .map(|f| f.webhook)
    }
}

#[cfg(test)]
mod tests;
