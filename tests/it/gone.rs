//! What went away decides nothing and runs nothing: votes of suspended people, databases that left the configuration.

use super::approvals::{reader, shop, shop_toml, submit};
use super::people::{activate, suspend};
use crate::support::{Request, SHOP, Server};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

/// Two votes of one group, then one of another.
const TWO_AND_ONE: &str = r#"
    [[workflows.steps]]
    [[workflows.steps.approvers]]
    group = "ops"
    min = 2
    [[workflows.steps]]
    [[workflows.steps.approvers]]
    group = "dba"
"#;

fn progress(s: &Server, request: &Request) -> Value {
    s.admin().show(request).is(200).json["approval_progress"].clone()
}

fn metadata(event: &Value) -> Value {
    serde_json::from_str(event["metadata_json"].as_str().unwrap()).unwrap()
}

#[test]
fn vote_of_a_suspended_person_is_struck_out_until_activation() {
    let s = shop(TWO_AND_ONE);
    let request = submit(&s);
    reader(&s, "op-one").approve(&request).is(200);
    suspend(&s.admin(), "op-one").is(200);
    let struck = progress(&s, &request);
    let step = &struck["steps"][0];
    assert_eq!(step["approvers_required"][0]["current"], 0);
    assert_eq!(
        (
            &step["approvals"][0]["counts"],
            &step["approvals"][0]["not_counted_because"]
        ),
        (&json!(false), &json!("suspended"))
    );
    // The second vote does not complete the step, and the first does again.
    let second = reader(&s, "op-two").approve(&request).is(200);
    assert_eq!(
        (second.text("status"), &second.json["current_step"]),
        ("pending".to_owned(), &json!(0))
    );
    activate(&s.admin(), "op-one").is(200);
    let counted = progress(&s, &request);
    assert_eq!(
        (&counted["current_step"], &counted["steps"][0]["satisfied"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(counted["steps"][0]["approvals"][0]["counts"], true);
    let shown = s.admin().show(&request).json;
    assert_eq!(
        (&shown["current_step"], &shown["next_approvers"]),
        (&json!(1), &json!(["group:dba"]))
    );
    let event = &s.events("event_type=step.approved")[0];
    assert_eq!(
        (&event["actor_id"], &metadata(event)["counts_again"]),
        (&json!("admin"), &json!("op-one"))
    );
    // A step that is complete stays so.
    suspend(&s.admin(), "op-two").is(200);
    assert_eq!(progress(&s, &request)["current_step"], 1);
    reader(&s, "dba-one").approve(&request).is(200);
    request.is("approved");
}

#[test]
fn a_held_look_is_answered_when_a_vote_stops_counting() {
    let s = shop(TWO_AND_ONE);
    let request = submit(&s);
    reader(&s, "op-one").approve(&request).is(200);
    let context = s.admin().show(&request).json["context"].clone();
    let plans = context["status"].as_str().unwrap_or("none").to_owned();
    let held = |votes: &str| {
        let path = request.path(&format!("?wait=30&seen=pending:0:none:{plans}:{votes}"));
        let waiting = s.admin().begin("GET", &path, &[], b"");
        s.until_parked(1);
        waiting
    };
    let counts =
        |shown: Value| shown["approval_progress"]["steps"][0]["approvals"][0]["counts"].clone();
    let waiting = held("1");
    suspend(&s.admin(), "op-one").is(200);
    assert_eq!(counts(waiting.answer().is(200).json), false);
    let waiting = held("1-1");
    activate(&s.admin(), "op-one").is(200);
    assert_eq!(counts(waiting.answer().is(200).json), true);
}

#[test]
fn activation_approves_and_dispatches_what_it_completes() {
    for (dispatch, status) in [
        ("", "approved"),
        ("dispatch = \"on_approval\"\n", "dispatched"),
    ] {
        let two = "[[workflows.steps]]\n[[workflows.steps.approvers]]\ngroup = \"ops\"\nmin = 2\n";
        let s = shop(&format!("{dispatch}{two}"));
        let (request, other) = (submit(&s), submit(&s));
        for request in [&request, &other] {
            reader(&s, "op-one").approve(request).is(200);
        }
        suspend(&s.admin(), "op-one").is(200);
        reader(&s, "op-two").approve(&request).is(200);
        let waiting = s
            .admin()
            .wait(&format!("/api/requests/{}?wait=30", request.id));
        s.until_parked(1);
        activate(&s.admin(), "op-one").is(200);
        assert_eq!(waiting.answer().is(200).text("status"), status);
        assert!(s.admin().show(&request).json["approved_at"].is_string());
        // One vote is not two.
        other.is_pending();
    }
}

#[test]
fn activation_freezes_what_it_cannot_prove_and_completes_the_rest() {
    for (edited, differs) in [
        (
            "UPDATE request_texts SET detail = 'DELETE FROM items' WHERE request_seq = ?",
            "texts",
        ),
        (
            "UPDATE requests SET risk_level = CAST(X'FF' AS TEXT) WHERE seq = ?",
            "request",
        ),
    ] {
        let two = "[[workflows.steps]]\n[[workflows.steps.approvers]]\ngroup = \"ops\"\nmin = 2\n";
        let s = shop(two);
        let (broken, whole) = (submit(&s), submit(&s));
        for request in [&broken, &whole] {
            reader(&s, "op-one").approve(request).is(200);
        }
        suspend(&s.admin(), "op-one").is(200);
        for request in [&broken, &whole] {
            reader(&s, "op-two").approve(request).is(200);
        }
        s.edit_request(&broken, edited);
        activate(&s.admin(), "op-one").is(200);
        whole.is("approved");
        let frozen = s.events("event_type=request.corrupt");
        assert_eq!(frozen.len(), 1, "{frozen:?}");
        assert_eq!(frozen[0]["request_id"], broken.id.as_str());
        assert_eq!(metadata(&frozen[0])["differs"], differs);
        let about = format!("event_type=request.approved&request_id={}", broken.id);
        assert_eq!(s.events(&about), Vec::<Value>::new());
    }
}

#[test]
fn override_of_a_suspended_administrator_does_not_count() {
    let two = "[[workflows.steps]]\n[[workflows.steps.approvers]]\ngroup = \"ops\"\nmin = 2\n";
    let s = shop(two);
    let request = submit(&s);
    s.person("chief", &["admin"]).approve(&request).is(200);
    suspend(&s.admin(), "chief").is(200);
    reader(&s, "op-one").approve(&request).is(200);
    let request = request.is_pending();
    reader(&s, "op-two").approve(&request).is(200);
    request.is("approved");
}

#[test]
fn database_that_left_the_configuration_runs_nothing() {
    let s = Server::shop();
    let person = s.requester();
    let waiting = person.submit("production", UPDATE).is_pending();
    let approved = person
        .submit("production", UPDATE)
        .approved_by(&s.approver());
    let dispatched = person
        .submit("production", UPDATE)
        .approved_by(&s.approver())
        .resumed();
    let running = person
        .submit("production", UPDATE)
        .approved_by(&s.approver())
        .resumed();
    let agent = s.agent("agent-1");
    let claim = agent.claim(&running.id);
    let s = s.restart_with(&SHOP.replace(", \"production\"]", "]"));
    let (person, agent) = (s.requester(), s.agent("agent-1"));
    s.approver()
        .approve(&waiting)
        .refused(422, "database_not_registered");
    person
        .resume(&approved)
        .refused(422, "database_not_registered");
    assert!(!agent.jobs().contains(&dispatched.id));
    agent
        .try_claim(&dispatched.id)
        .refused(422, "database_not_registered");
    for (request, status) in [
        (&waiting, "pending"),
        (&approved, "approved"),
        (&dispatched, "dispatched"),
    ] {
        assert_eq!(s.admin().show(request).is(200).text("status"), status);
    }
    // What runs may report, and everything else but running goes on.
    agent.heartbeat(&claim.execution).is(200);
    agent.succeed(&claim.execution, "{}").is(200);
    assert_eq!(s.admin().show(&running).text("status"), "executed");
    s.approver().reject(&waiting).is(200);
    person.cancel(&dispatched).is(200);
    let refusals = s.events("event_type=attempt.refused");
    let attempts: Vec<Value> = refusals
        .iter()
        .map(|e| metadata(e)["attempt"].clone())
        .collect();
    assert_eq!(
        attempts,
        ["agent.claim", "request.resume", "request.approve"]
    );
}

/// A step of so many votes of the group `ops`, and what the file says of people.
fn named(min: u32, people: &[(&str, &str)]) -> String {
    let step = format!(
        "[[workflows.steps]]\n[[workflows.steps.approvers]]\ngroup = \"ops\"\nmin = {min}\n"
    );
    let people = people
        .iter()
        .map(|(id, status)| format!("[[users]]\nid = \"{id}\"\nstatus = \"{status}\"\n"));
    format!("{}\n{}", shop_toml(&step), people.collect::<String>())
}

#[test]
fn people_back_by_one_file_complete_a_step_once() {
    // Of three votes two are enough, and then all three are needed: neither is counted for each of the two alone.
    for min in [2, 3] {
        let s = Server::with(&named(min, &[]));
        let request = submit(&s);
        let status = |s: &Server| s.admin().show(&request).is(200).text("status");
        reader(&s, "op-one").approve(&request).is(200);
        let s = s.restart_with(&named(min, &[("op-one", "suspended")]));
        reader(&s, "op-two").approve(&request).is(200);
        let both = |status| [("op-one", status), ("op-two", status)];
        let s = s.restart_with(&named(min, &both("suspended")));
        reader(&s, "both").approve(&request).is(200);
        assert_eq!(status(&s), "pending");
        let s = s.restart_with(&named(min, &both("active")));
        assert_eq!(status(&s), "approved", "{min}");
        let completed = format!("event_type=request.approved&request_id={}", request.id);
        assert_eq!(s.events(&completed).len(), 1, "{min}");
    }
}

#[test]
fn request_of_who_leaves_is_cancelled_not_completed() {
    let s = Server::with(&named(2, &[]));
    let request = submit(&s);
    reader(&s, "op-one").approve(&request).is(200);
    let s = s.restart_with(&named(2, &[("op-one", "suspended")]));
    reader(&s, "op-two").approve(&request).is(200);
    let s = s.restart_with(&named(
        2,
        &[("op-one", "active"), ("requester", "suspended")],
    ));
    let shown = s.admin().show(&request).is(200);
    assert_eq!(shown.text("status"), "cancelled");
}

#[test]
fn vote_of_who_leaves_completes_nothing_that_others_bring_back() {
    let s = Server::with(&named(2, &[]));
    let request = submit(&s);
    reader(&s, "op-one").approve(&request).is(200);
    let s = s.restart_with(&named(2, &[("op-one", "suspended")]));
    reader(&s, "op-two").approve(&request).is(200);
    let s = s.restart_with(&named(2, &[("op-one", "active"), ("op-two", "suspended")]));
    assert_eq!(s.admin().show(&request).text("status"), "pending");
}

#[test]
fn claim_is_not_repeated_where_the_database_has_gone() {
    let s = Server::shop();
    let running = s
        .requester()
        .submit("production", UPDATE)
        .approved_by(&s.approver())
        .resumed();
    let agent = s.agent("agent-1");
    agent.poll();
    agent.claim_keyed(&running.id, "once").is(200);
    let s = s.restart_with(&SHOP.replace(", \"production\"]", "]"));
    let agent = s.agent("agent-1");
    agent.poll();
    agent
        .claim_keyed(&running.id, "once")
        .refused(422, "database_not_registered");
}
