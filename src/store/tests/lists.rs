//! Lists show what the rules let their viewer see, and nothing else.

use super::*;
use crate::domain::actor::tests::caller;
use crate::domain::approval::tests::{votes, workflow};
use crate::domain::approval::{Vote, current_step};
use crate::domain::policy::workflow::Workflow;
use crate::domain::request::Request;
use crate::domain::visibility::{Viewer, may_view};

const PEOPLE: [&str; 3] = ["ann", "bob", "eve"];
const TARGETS: [(&str, &str); 3] = [
    ("app", "production"),
    ("app", "dev"),
    ("shop", "production"),
];
/// Steps of workflows, and the vote that satisfies the first of them.
const STEPS: [(&str, &str); 4] = [
    ("group:ops ; role:lead", "0 bob group:ops"),
    ("role:lead ; user:ann", "0 eve role:lead"),
    ("user:eve ; group:dba", "0 eve user:eve"),
    ("group:dba ; group:ops", "0 ann admin_override"),
];
/// Roles held, ceiling and groups of callers.
const CALLERS: [(&str, &str, &str); 14] = [
    ("", "-", ""),
    ("", "-", "ops"),
    ("", "-", "ops dba"),
    ("", "a = request.view", "ops dba"),
    ("", "a = request.approve @ app/", "ops dba"),
    ("lead = request.create", "-", ""),
    ("lead = request.create @ /dev", "-", ""),
    ("a = request.view", "-", ""),
    ("a = request.view @ /production", "-", "dba"),
    ("a = request.approve @ shop/", "-", ""),
    ("a = request.approve ; b = request.view @ app/", "-", ""),
    ("a = * @ app/", "-", ""),
    ("a = *", "-", ""),
    ("a = *", "a = request.create", "ops"),
];

/// A pending request by that workflow.
fn made(store: &Store, requester: &str, at: (&str, &str), by: &Workflow) -> Request {
    let (by, target) = (by.clone(), Target::new(at.0, at.1).unwrap());
    let named = requester.to_owned();
    let id = change(store, requester, move |view| {
        let mut new = new_request(view, Opening::Pending)?;
        new.requester = named;
        new.target = target;
        new.total_steps = u32::try_from(by.steps.len()).unwrap();
        new.approvers = approvers(&by, 0);
        new.text.workflow = Some(by);
        let id = new.id.clone();
        Ok((RequestChange::Created(Box::new(new)), id))
    });
    store.read(|view| view.request(&id)).unwrap()
}

fn approvers(by: &Workflow, step: u32) -> Vec<crate::domain::id::Selector> {
    let step = &by.steps[usize::try_from(step).unwrap()];
    step.approvers.iter().map(|a| a.selector.clone()).collect()
}

fn change<T: Send + 'static>(
    store: &Store,
    who: &str,
    decide: impl FnOnce(&View) -> Result<(RequestChange, T), Error> + Send + 'static,
) -> T {
    let actor = Actor {
        id: who.to_owned(),
        kind: "user",
        ..Actor::system()
    };
    let changed = store.change(actor, move |view, _| {
        let (change, result) = decide(view)?;
        Ok(Verdict::Write(vec![change.into()], result))
    });
    changed.unwrap()
}

/// One vote more on a pending request: an approval of its step, or the rejection.
fn voted(store: &Store, request: &Request, by: &Workflow, vote: Vote) {
    let reference = RequestRef::from(request);
    let mut votes = store.read(|view| view.votes(request)).unwrap();
    votes.push(vote.clone());
    let current = current_step(by, &votes);
    let rejected = request.pending(Timestamp(0)).unwrap().reject();
    let (total_steps, asked) = (request.total_steps, approvers(by, current));
    change(store, &vote.actor.clone(), move |_| {
        let change = match vote.action {
            crate::domain::approval::VoteAction::Reject => RequestChange::Rejected {
                request: reference,
                vote,
                step: rejected,
            },
            crate::domain::approval::VoteAction::Approve => RequestChange::StepApproved {
                request: reference,
                vote,
                current_step: current,
                total_steps,
                approvers: asked,
            },
        };
        Ok((change, ()))
    });
}

#[test]
fn lists_hold_what_the_rules_let_their_viewer_see() {
    let temp = temp();
    let store = open(&temp);
    let mut made_by = Vec::new();
    for requester in PEOPLE {
        for at in TARGETS {
            for (steps, first) in STEPS {
                let by = workflow(steps, "");
                // Untouched, at the second step, and rejected in either.
                for approved in [false, true] {
                    for rejected in [false, true] {
                        let request = made(&store, requester, at, &by);
                        let mut cast = Vec::new();
                        cast.extend(approved.then(|| votes(first).remove(0)));
                        cast.extend(rejected.then(|| votes("-0 bob user:bob").remove(0)));
                        for vote in cast {
                            voted(&store, &request, &by, vote);
                        }
                        made_by.push((request.id.clone(), by.clone()));
                    }
                }
            }
        }
    }
    let (mut seen, mut hidden) = (0, 0);
    for subject in PEOPLE {
        for (held, ceiling, groups) in CALLERS {
            let caller = caller(subject, held, ceiling, groups);
            let listed = store.read(|view| {
                let viewer = Viewer::of_requests(&caller);
                view.list_requests(&viewer, &RequestFilter::default(), 1_000, 0)
            });
            let listed: Vec<String> = listed
                .unwrap()
                .into_iter()
                .map(|row| row.unwrap().request.id.clone())
                .collect();
            for (id, by) in &made_by {
                let sees = store.read(|view| {
                    let request = view.request(id)?;
                    let votes = view.votes(&request)?;
                    Ok(may_view(&caller, &request, Some(by), &votes).is_ok())
                });
                let sees = sees.unwrap();
                assert_eq!(listed.contains(id), sees, "{caller:?} {id} {by:?}");
                if sees { seen += 1 } else { hidden += 1 }
            }
        }
    }
    assert!(seen > 1_000 && hidden > 1_000, "{seen} {hidden}");
}
