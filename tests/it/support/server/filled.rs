//! History, made faster than over the API.

use super::Server;
use dbward::crypto::{random, uuid};
use dbward::domain::actor::Actor;
use dbward::domain::change::{Change, NewRequest, RequestChange, RequestRef, RequestText};
use dbward::domain::request::{Opening, Request, Transition};
use dbward::store::Verdict;

/// Requests of one transaction.
const AT_ONCE: usize = 250;

impl Server {
    /// Makes so many requests that are cancelled at once, each with its two events: copies of one that stays.
    pub fn fill(&self, requests: usize) {
        let like = self
            .requester()
            .submit("production", "UPDATE items SET price = 2 WHERE id = 1");
        let store = &self.inner().app().store;
        let actor = Actor {
            id: "requester".to_owned(),
            kind: "user",
            ..Actor::system()
        };
        for made in (0..requests).step_by(AT_ONCE) {
            let id = like.id.clone();
            let count = AT_ONCE.min(requests - made);
            store
                .change(actor.clone(), move |view, _| {
                    let like = view.request(&id)?;
                    let text = view.request_text(&like)?;
                    let step = like.cancel().unwrap();
                    let from = view.next_request_seq()?;
                    let changes = (from..).take(count);
                    let changes = changes.flat_map(|seq| cancelled(seq, &like, &text, step));
                    Ok(Verdict::Write(changes.collect(), ()))
                })
                .unwrap();
        }
    }
}

/// A request like that one, made and cancelled.
fn cancelled(seq: i64, like: &Request, text: &RequestText, step: Transition) -> [Change; 2] {
    let new = NewRequest {
        seq,
        id: uuid(),
        requester: like.requester.clone(),
        token_id: None,
        target: like.target.clone(),
        operation: like.operation,
        dialect: like.dialect,
        step: Opening::Pending.step(),
        emergency: false,
        allow_ddl: false,
        no_result_store: false,
        reason: None,
        total_steps: like.total_steps,
        approvers: Vec::new(),
        risk_level: like.risk_level,
        policy_version: like.policy_version.clone(),
        expires_at: like.expires_at,
        approval_expires_at: None,
        row_bound: None,
        text: text.clone(),
        salt: random(),
    };
    let request = RequestRef {
        seq,
        id: new.id.clone(),
        ..RequestRef::from(like)
    };
    let cancelled = RequestChange::Cancelled {
        request,
        step,
        reason: None,
    };
    [
        RequestChange::Created(Box::new(new)).into(),
        cancelled.into(),
    ]
}
