//! Decisions again: under the policies that were in effect, where nothing may differ, and under others, to see what
//! they would change.

use super::{Decision, classify, decide};
use crate::domain::facts::Facts;
use crate::domain::policy::Policies;
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::{Opening, Status};
use crate::error::Error;
use serde_json::Value;
use std::collections::BTreeSet;

/// A decision as it was recorded: what it was made from, and what came out. Texts as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    pub id: String,
    /// What the request was decided to be.
    pub operation: String,
    /// The status in which the audit log says that it opened.
    pub opening: String,
    pub risk_level: String,
    /// The policies that decided, by SHA-256.
    pub policy_version: String,
    /// See [`Facts::from_text`].
    pub facts: String,
    pub trace: String,
    /// The workflow as it was then.
    pub workflow: Option<String>,
}

/// What came of deciding again under the same policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    Same,
    /// It was recorded before facts were kept whole.
    TooOld,
    /// Something else, or it could not even be tried; each difference in a sentence.
    Different(Vec<String>),
}

/// What other policies would make of a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outlook {
    /// It would run without asking anybody; why, as a code.
    AutoApproved {
        risk: &'static str,
        reason: &'static str,
    },
    /// It would be refused, with this code.
    Blocked {
        code: &'static str,
        /// Why, in a sentence.
        message: String,
    },
    /// It would wait where it did not, for these.
    Waiting {
        /// Selectors of the first step.
        approvers: Vec<String>,
    },
    /// It would wait as it did, but for others.
    OtherApprovers {
        /// Selectors of all steps as they were.
        before: Vec<String>,
        /// Selectors of all steps as they would be.
        after: Vec<String>,
    },
    Same,
    /// Nobody can tell: the facts were not kept whole.
    Unknown,
}

/// Decides as for a new request of these facts.
///
/// # Errors
/// As [`classify`] and [`decide`].
pub fn again(policies: &Policies, facts: &Facts) -> Result<Decision, Error> {
    decide(policies, facts, classify(facts)?)
}

impl Recorded {
    /// Whether its facts are of the shape that was kept before facts were whole.
    fn is_too_old(&self) -> bool {
        serde_json::from_str::<Value>(&self.facts).is_ok_and(|facts| facts["version"] == 1)
    }

    /// Decides again under the policies that decided; `None` stands for policies that are not kept or not readable.
    pub fn replay(&self, policies: Option<&Policies>) -> Replayed {
        if self.is_too_old() {
            return Replayed::TooOld;
        }
        let only = |what: String| Replayed::Different(vec![what]);
        let Some(policies) = policies.filter(|p| p.version() == self.policy_version) else {
            return only(format!(
                "the policies {} are not kept whole",
                self.policy_version
            ));
        };
        let Some(facts) = Facts::from_text(&self.facts) else {
            return only("its facts cannot be read".to_owned());
        };
        let decision = match again(policies, &facts) {
            Ok(decision) => decision,
            Err(error) => return only(format!("it is refused: {}", error.code())),
        };
        let opening = decision.opening.step().to().as_str();
        let workflow = decision.workflow.as_ref().map(Workflow::to_text);
        let mut differences = Vec::new();
        let mut hold = |what: &str, recorded: &str, now: &str| {
            if recorded != now {
                differences.push(format!("{what}: recorded {recorded}, comes out {now}"));
            }
        };
        hold("opening", &self.opening, opening);
        hold("operation", &self.operation, decision.operation.as_str());
        hold("risk level", &self.risk_level, decision.risk.as_str());
        hold(
            "workflow",
            self.workflow.as_deref().unwrap_or("none"),
            workflow.as_deref().unwrap_or("none"),
        );
        if !same_json(&self.trace, &decision.trace) {
            hold("decision trace", &self.trace, &decision.trace);
        }
        if differences.is_empty() {
            Replayed::Same
        } else {
            Replayed::Different(differences)
        }
    }

    /// What `candidate` would make of it.
    pub fn under(&self, candidate: &Policies) -> Outlook {
        let (Some(facts), Some(opened)) =
            (Facts::from_text(&self.facts), Status::parse(&self.opening))
        else {
            return Outlook::Unknown;
        };
        let waited = opened == Status::Pending;
        let decision = match again(candidate, &facts) {
            Ok(decision) => decision,
            Err(error) => {
                return Outlook::Blocked {
                    code: error.code(),
                    message: error.message().to_owned(),
                };
            }
        };
        if decision.opening != Opening::Pending {
            return match waited {
                false => Outlook::Same,
                true => Outlook::AutoApproved {
                    risk: decision.risk.as_str(),
                    reason: decision.reason,
                },
            };
        }
        if !waited {
            let first = decision.workflow.as_ref().and_then(|w| w.steps.first());
            let approvers: BTreeSet<String> = first
                .into_iter()
                .flat_map(|step| &step.approvers)
                .map(|a| format!("{} ({})", a.selector, a.min))
                .collect();
            return Outlook::Waiting {
                approvers: approvers.into_iter().collect(),
            };
        }
        let before = self.workflow.as_deref().and_then(Workflow::from_text);
        let (before, after) = (steps(before.as_ref()), steps(decision.workflow.as_ref()));
        if before == after {
            return Outlook::Same;
        }
        Outlook::OtherApprovers { before, after }
    }
}

/// The steps of a workflow, each in a phrase.
fn steps(workflow: Option<&Workflow>) -> Vec<String> {
    let phrase = |step: &crate::domain::policy::workflow::WorkflowStep| {
        let entries: Vec<String> = step
            .approvers
            .iter()
            .map(|a| format!("{} ({})", a.selector, a.min))
            .collect();
        format!("{} of {}", step.mode.as_str(), entries.join(", "))
    };
    workflow
        .into_iter()
        .flat_map(|w| &w.steps)
        .map(phrase)
        .collect()
}

fn same_json(a: &str, b: &str) -> bool {
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    a == b || read(a).is_some_and(|a| read(b) == Some(a))
}
