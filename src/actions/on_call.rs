//! Who is on call now: by the rotations of the configuration, and by what services answered last.

use super::{Active, App};
use crate::clock::Timestamp;
use crate::domain::actor::{Caller, SubjectType};
use crate::domain::policy::on_call::{OnCall, OnCallGroup, OnCallSource, ServiceAnswer};
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

/// What services answered last, by the name of the group. Nothing here outlives the process: after a start, nobody is on
/// call by a service until it has answered.
#[derive(Default)]
pub struct ServiceAnswers {
    kept: RwLock<BTreeMap<String, KeptAnswer>>,
}

/// What a service answered, and how asking it last went.
#[derive(Debug, Clone)]
pub struct KeptAnswer {
    /// As it was configured then: an answer to another question does not count.
    group: OnCallGroup,
    pub answer: Option<ServiceAnswer>,
    /// Why the newest question has no answer.
    pub failure: Option<String>,
}

impl ServiceAnswers {
    /// Keeps what came of asking the service of a group; a failure leaves the answer before it.
    pub fn keep(&self, group: &OnCallGroup, answer: Result<ServiceAnswer, String>) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        let before = kept.remove(&group.name).filter(|k| k.group == *group);
        let (answer, failure) = match answer {
            Ok(answer) => (Some(answer), None),
            Err(why) => (before.and_then(|k| k.answer), Some(why)),
        };
        let new = KeptAnswer {
            group: group.clone(),
            answer,
            failure,
        };
        kept.insert(group.name.clone(), new);
    }

    /// Forgets the answers of all groups but these.
    pub fn retain(&self, groups: &[OnCallGroup]) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, k| groups.contains(&k.group));
    }

    /// What came of asking the service of a group last, if it was asked.
    pub fn of(&self, group: &OnCallGroup) -> Option<KeptAnswer> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.get(&group.name).filter(|k| k.group == *group).cloned()
    }
}

impl App {
    /// Who is on call at a moment, by the configuration in effect.
    pub fn on_call(&self, now: Timestamp) -> OnCall {
        self.on_call_by(&self.active(), now)
    }

    /// The same by another.
    pub fn on_call_by(&self, active: &Active, now: Timestamp) -> OnCall {
        let groups = &active.policies.on_call;
        let answered = |group: &OnCallGroup| {
            let kept = self.caches.on_call.of(group)?;
            Some(kept.answer?.people_at(now))
        };
        OnCall::at(groups, |group| answered(group).unwrap_or_default(), now)
    }

    /// Why it is not known who is on call in a group: its service has not answered since the start, or for too long.
    pub fn on_call_unknown(&self, group: &str, now: Timestamp) -> Option<String> {
        let active = self.active();
        let found = active.policies.on_call.iter().find(|g| g.name == group)?;
        if !matches!(found.source, OnCallSource::Service { .. }) {
            return None;
        }
        let kept = self.caches.on_call.of(found);
        let answer = kept.as_ref().and_then(|kept| kept.answer.as_ref());
        // That nobody is on call is an answer; that a turn has ended says nothing of the next one.
        let is_known = answer.is_some_and(|answer| {
            answer.counts(now) && (answer.people.is_empty() || !answer.people_at(now).is_empty())
        });
        let failure = kept.and_then(|kept| kept.failure);
        (!is_known).then(|| failure.unwrap_or_else(|| "its service has not answered".to_owned()))
    }

    /// Whether a caller was authenticated before another configuration was applied, or before a hand-over of theirs:
    /// then it has to be done again.
    pub fn is_overtaken(&self, caller: &Caller, now: Timestamp) -> bool {
        let active = self.active();
        active.generation != caller.generation
            || (caller.kind == SubjectType::User
                && !self
                    .on_call_by(&active, now)
                    .agrees(&caller.subject, &caller.groups))
    }
}
