//! Requests that wait for approval, edited in the state file: no vote counts for them, none completes them, and no
//! rehearsal of them is signed.

use super::{TWO, UPDATE, metadata, shop};
use crate::people::{activate, suspend};
use crate::support::{Request, SHOP, Server};
use serde_json::{Value, json};

/// Edits of a request that waits, whose row is `?`, and what the event says of each.
const WAITING: &[(&str, &str)] = &[
    (
        "UPDATE request_texts SET detail = 'DELETE FROM items' WHERE request_seq = ?",
        "texts",
    ),
    (
        "UPDATE request_texts SET workflow_json = json_set(workflow_json, '$.steps[0].approvers[0].min', 3) \
         WHERE request_seq = ?",
        "texts",
    ),
    (
        "UPDATE request_texts SET facts_json = json_set(facts_json, '$.sql.dialect', 'mysql') WHERE request_seq = ?",
        "context",
    ),
    (
        "UPDATE requests SET requester = 'somebody' WHERE seq = ?",
        "request",
    ),
    (
        "UPDATE requests SET expires_at_ms = expires_at_ms + 1000 WHERE seq = ?",
        "expiry",
    ),
    (
        "UPDATE approvals SET actor_id = 'admin' WHERE request_seq = ?",
        "votes",
    ),
];

#[test]
fn an_edited_request_takes_no_vote() {
    for (edited, differs) in WAITING {
        for verb in ["approve", "reject"] {
            let s = shop();
            let second = s.person("approver-two", &["readonly"]);
            let request = s.requester().submit("staging", UPDATE);
            s.approver().approve(&request).is(200);
            s.edit_request(&request, edited);
            let path = request.path(&format!("/{verb}"));
            second.poke(&path).refused(409, "corrupt");
            let about = format!("request_id={}", request.id);
            let events = s.events(&format!("event_type=request.corrupt&{about}"));
            assert_eq!(events.len(), 1, "{edited}");
            assert_eq!(metadata(&events[0])["differs"], *differs, "{edited}");
            for voted in ["request.approved", "request.rejected"] {
                let events = s.events(&format!("event_type={voted}&{about}"));
                assert_eq!(events, Vec::<Value>::new(), "{edited}");
            }
        }
    }
}

/// The one event of its corruption, and no move after it.
#[track_caller]
fn was_frozen(s: &Server, request: &Request, differs: &str) {
    let about = format!("request_id={}", request.id);
    let events = s.events(&format!("event_type=request.corrupt&{about}"));
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(metadata(&events[0])["differs"], differs);
    for moved in ["request.approved", "request.rejected", "rehearsal.started"] {
        let events = s.events(&format!("event_type={moved}&{about}"));
        assert_eq!(events, Vec::<Value>::new());
    }
}

#[test]
fn edited_request_is_not_approved_by_vote_that_counts_again() {
    // A vote of another voter is not looked for.
    let edits = WAITING.iter().filter(|(_, differs)| *differs != "votes");
    for (edited, differs) in edits {
        let s = shop();
        let second = s.person("approver-two", &["readonly"]);
        let request = s.requester().submit("staging", UPDATE);
        let other = s.requester().submit("staging", UPDATE);
        for request in [&request, &other] {
            s.approver().approve(request).is(200);
        }
        suspend(&s.admin(), "approver").is(200);
        for request in [&request, &other] {
            second.approve(request).is(200);
        }
        s.edit_request(&request, edited);
        activate(&s.admin(), "approver").is(200);
        was_frozen(&s, &request, differs);
        other.is("approved");
    }
}

#[test]
fn an_edited_request_is_not_rehearsed() {
    let rehearsed = "environment = \"staging\"\nrehearse = \"on_request\"";
    let toml = format!("{SHOP}{TWO}").replace("environment = \"staging\"", rehearsed);
    for (edited, differs) in WAITING {
        let s = Server::with(&toml);
        let agent = s.agent("agent-1");
        agent
            .poll_with(json!({"features": ["rehearsal", "row_bound"]}))
            .is(200);
        let request = s.requester().submit("staging", UPDATE);
        s.approver().approve(&request).is(200);
        let asked = request.by.poke(&request.path("/rehearse")).is(202);
        s.edit_request(&request, edited);
        let path = format!("/api/agent/rehearsals/{}/claim", asked.text("id"));
        agent.person.poke(&path).refused(409, "corrupt");
        was_frozen(&s, &request, differs);
    }
}

#[test]
fn removed_vote_is_missed_even_where_others_suffice() {
    let either = "\n[[workflows]]\ndatabase = \"shop\"\nenvironment = \"staging\"\n[[workflows.steps]]\nmode = \"any\"\n\
                  [[workflows.steps.approvers]]\ngroup = \"approvers\"\nmin = 2\n\
                  [[workflows.steps.approvers]]\nuser = \"lead\"\n";
    let s = Server::with(&format!("{SHOP}{either}"));
    let lead = s.person("lead", &["readonly"]);
    s.person("approver-two", &["readonly"]);
    let agent = s.agent("agent-1");
    let request = s.requester().submit("staging", UPDATE);
    s.approver().approve(&request).is(200);
    let request = request.approved_by(&lead).resumed().is_dispatched();
    s.edit_request(
        &request,
        "DELETE FROM approvals WHERE request_seq = ? AND actor_id = 'approver'",
    );
    agent.poll();
    agent.try_claim(&request.id).refused(409, "corrupt");
    let events = s.events("event_type=request.corrupt");
    assert_eq!(metadata(&events[0])["differs"], "votes");
}

/// Edits of what is shown to those who decide, which somebody could take back before the vote.
const SHOWN: &[(&str, &str)] = &[
    (WAITING[0].0, "texts"),
    (WAITING[2].0, "context"),
    (
        "UPDATE request_contexts SET context_json = json_set(context_json, '$.risk', 'none') WHERE request_seq = ?",
        "context",
    ),
    (
        "UPDATE requests SET reason = 'agreed with the owner' WHERE seq = ?",
        "request",
    ),
    (
        "UPDATE requests SET risk_level = 'critical' WHERE seq = ?",
        "request",
    ),
];

#[test]
fn edited_request_is_shown_to_no_approver() {
    for (edited, differs) in SHOWN {
        let s = shop();
        let person = s.requester();
        let request = person.submit_with("staging", UPDATE, json!({"reason": "ticket"}));
        s.approver().show(&request).is(200);
        s.edit_request(&request, edited);
        s.approver().show(&request).refused(409, "corrupt");
        // From then on it says of itself that it is corrupt.
        assert_eq!(s.approver().show(&request).is(200).json["corrupt"], true);
        s.approver().approve(&request).refused(409, "corrupt");
        was_frozen(&s, &request, differs);
    }
}
