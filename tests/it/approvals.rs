//! Votes: who may, how often, on what, and what a step needs.

use crate::support::{Person, Request, SHOP, Server, golden};
use serde_json::{Value, json};
use std::sync::{Arc, Barrier};
use std::thread;

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

/// A shop whose production has one workflow with these further lines; nothing else runs.
pub(crate) fn shop(workflow: &str) -> Server {
    Server::with(&shop_toml(workflow))
}

pub(crate) fn shop_toml(workflow: &str) -> String {
    format!(
        r#"
        [[databases]]
        name = "shop"
        environments = ["production", "staging"]
        [[auth.groups]]
        name = "ops"
        members = ["op-one", "op-two", "both"]
        [[auth.groups]]
        name = "dba"
        members = ["dba-one", "dba-two", "both"]
        [[auth.roles]]
        name = "lead"
        permissions = ["request.view", "request.create"]
        environments = ["production"]
        [[auth.roles]]
        name = "staging-admin"
        permissions = ["*"]
        environments = ["staging"]
        [[workflows]]
        {workflow}
        "#
    )
}

pub(crate) const TWO_STEPS: &str = r#"
    [[workflows.steps]]
    [[workflows.steps.approvers]]
    group = "ops"
    [[workflows.steps]]
    [[workflows.steps.approvers]]
    group = "dba"
"#;

pub(crate) fn reader(s: &Server, name: &str) -> Person {
    s.person(name, &["readonly"])
}

pub(crate) fn submit(s: &Server) -> Request {
    s.requester().submit("production", UPDATE).is_pending()
}

pub(crate) fn with(
    person: &Person,
    request: &Request,
    verb: &str,
    body: Value,
) -> crate::support::Answer {
    person.post(&request.path(&format!("/{verb}")), &body)
}

#[test]
fn one_approval_of_a_group_member_approves() {
    let s = Server::shop();
    let request = submit(&s);
    let answer = with(
        &s.approver(),
        &request,
        "approve",
        json!({"comment": "fine"}),
    )
    .is(200);
    golden("approve_final", &answer.json);
    let shown = request.by.show(&request).json;
    assert_eq!(
        shown["approval_progress"]["steps"][0]["approvals"][0]["comment"],
        "fine"
    );
    request.is("approved");
}

#[test]
fn bodies_of_votes_may_be_missing_but_not_wrong() {
    let s = Server::shop();
    let (request, approver) = (submit(&s), s.approver());
    for body in [
        json!({"comment": 5}),
        json!({"comment": "c".repeat(1025)}),
        json!({"comment": "a\0"}),
        json!([1]),
        json!({"selector": "everybody"}),
    ] {
        with(&approver, &request, "approve", body.clone()).refused(400, "validation_error");
        if body["selector"].is_null() {
            with(&approver, &request, "reject", body).refused(400, "validation_error");
        }
    }
    approver
        .call("POST", &request.path("/approve"), &[], b"{")
        .refused(400, "validation_error");
    let xml = [("content-type", "text/xml")];
    approver
        .call("POST", &request.path("/approve"), &xml, b"<a/>")
        .refused(415, "unsupported_media_type");
    approver
        .call("POST", &request.path("/approve"), &[], b"{}")
        .is(200);
}

#[test]
fn steps_are_satisfied_in_order() {
    let s = shop(TWO_STEPS);
    let request = submit(&s);
    let (op, dba) = (reader(&s, "op-one"), reader(&s, "dba-one"));
    dba.approve(&request).is(403);
    let first = op.approve(&request).is(200);
    golden("approve_first_step", &first.json);
    reader(&s, "op-two").approve(&request).is(403);
    assert_eq!(dba.ids("pending_for_me=true"), [request.id.as_str()]);
    dba.approve(&request).is(200);
    golden(
        "two_steps_approved",
        &request.by.show(&request).json["approval_progress"],
    );
    request.is("approved");
}

#[test]
fn all_entries_of_a_step_need_their_number() {
    let s = shop(
        "[[workflows.steps]]\n[[workflows.steps.approvers]]\ngroup = \"ops\"\nmin = 2\n\
         [[workflows.steps.approvers]]\nuser = \"dba-one\"\n",
    );
    let request = submit(&s);
    reader(&s, "op-one").approve(&request).is(200);
    reader(&s, "dba-one").approve(&request).is(200);
    assert_eq!(request.status(), "pending");
    reader(&s, "op-one")
        .approve(&request)
        .refused(409, "already_approved")
        .saying("already voted");
    reader(&s, "op-two").approve(&request).is(200);
    request.is("approved");
}

#[test]
fn any_entry_of_a_step_suffices_where_it_says_so() {
    let s = shop(
        "[[workflows.steps]]\nmode = \"any\"\n[[workflows.steps.approvers]]\ngroup = \"ops\"\nmin = 2\n\
         [[workflows.steps.approvers]]\nuser = \"dba-one\"\n",
    );
    let request = submit(&s);
    reader(&s, "op-one").approve(&request).is(200);
    assert_eq!(request.status(), "pending");
    reader(&s, "dba-one").approve(&request).is(200);
    request.is("approved");
}

#[test]
fn one_person_has_one_vote_however_many_selectors_match() {
    let s = shop(
        "[[workflows.steps]]\n[[workflows.steps.approvers]]\ngroup = \"ops\"\n\
         [[workflows.steps.approvers]]\ngroup = \"dba\"\n",
    );
    let request = submit(&s);
    let both = reader(&s, "both");
    both.approve(&request).is(200);
    both.approve(&request).refused(409, "already_approved");
    // Another token does not make another human.
    s.person("both", &["developer"])
        .approve(&request)
        .refused(409, "already_approved");
    let shown = request.by.show(&request).json;
    let entries = &shown["approval_progress"]["steps"][0]["approvers_required"];
    assert_eq!(
        (&entries[0]["current"], &entries[1]["current"]),
        (&json!(1), &json!(0))
    );
    // The first that is short was booked, so only the other group can complete the step.
    reader(&s, "op-one")
        .approve(&request)
        .refused(409, "conflict");
    reader(&s, "dba-one").approve(&request).is(200);
    request.is("approved");
}

#[test]
fn vote_is_booked_on_the_entry_that_is_still_short() {
    let s = shop(
        "[[workflows.steps]]\n[[workflows.steps.approvers]]\ngroup = \"ops\"\n\
         [[workflows.steps.approvers]]\ngroup = \"dba\"\n",
    );
    let request = submit(&s);
    reader(&s, "op-one").approve(&request).is(200);
    reader(&s, "both").approve(&request).is(200);
    request.is("approved");
}

#[test]
fn a_voter_may_name_the_entry() {
    let s = shop(
        "[[workflows.steps]]\n[[workflows.steps.approvers]]\ngroup = \"ops\"\n\
         [[workflows.steps.approvers]]\ngroup = \"dba\"\n",
    );
    let request = submit(&s);
    let both = reader(&s, "both");
    for wrong in ["group:nobody", "user:both", "role:admin"] {
        with(&both, &request, "approve", json!({"selector": wrong}))
            .refused(403, "not_an_approver");
    }
    with(
        &reader(&s, "op-one"),
        &request,
        "approve",
        json!({"selector": "group:dba"}),
    )
    .refused(403, "not_an_approver");
    with(&both, &request, "approve", json!({"selector": "group:dba"})).is(200);
    reader(&s, "op-one").approve(&request).is(200);
    request.is("approved");
}

#[test]
fn requester_cannot_approve_own_request() {
    let s = Server::shop();
    let own = s
        .person("approver", &["developer"])
        .submit("production", UPDATE);
    own.by.approve(&own).refused(403, "self_approval");
    s.approver().approve(&own).refused(403, "self_approval");
    // Administrators are not an exception.
    let own = s.admin().submit("production", UPDATE);
    s.admin().approve(&own).refused(403, "self_approval");
    own.is_pending();
}

#[test]
fn requester_may_approve_own_request_where_the_workflow_says_so() {
    let s = shop(
        "allow_self_approve = true\n[[workflows.steps]]\n[[workflows.steps.approvers]]\ngroup = \"ops\"\n",
    );
    let own = s
        .person("op-one", &["developer"])
        .submit("production", UPDATE);
    assert_eq!(own.by.ids("pending_for_me=true"), [own.id.as_str()]);
    own.by.approve(&own).is(200);
    // Stepping in never applies to one's own.
    let own = s.admin().submit("production", UPDATE);
    s.admin().approve(&own).is(403);
}

#[test]
fn role_selectors_match_where_the_role_covers_the_request() {
    let s = shop("[[workflows.steps]]\n[[workflows.steps.approvers]]\nrole = \"lead\"\n");
    let lead = s.person("lead-one", &["lead"]);
    let here = submit(&s);
    lead.approve(&here).is(200);
    // The role ends at production.
    let there = s.requester().submit("staging", UPDATE).is_pending();
    lead.approve(&there).refused(403, "forbidden");
    there.is_pending();
}

#[test]
fn user_selectors_match_one_person() {
    let s = shop("[[workflows.steps]]\n[[workflows.steps.approvers]]\nuser = \"the-one\"\n");
    let request = submit(&s);
    reader(&s, "another")
        .approve(&request)
        .refused(403, "forbidden");
    reader(&s, "the-one").approve(&request).is(200);
    request.is("approved");
}

#[test]
fn groups_of_a_token_count() {
    let s = Server::shop();
    let body = json!({"subject_id": "guest", "subject_type": "user", "roles": ["readonly"], "groups": ["approvers"]});
    let token = s.admin().post("/api/tokens", &body).is(201).text("token");
    let request = submit(&s);
    s.bearer("guest", &token).approve(&request).is(200);
    request.is("approved");
}

#[test]
fn who_may_view_only_may_not_vote() {
    let s = Server::with(&format!(
        "{SHOP}\n[[auth.roles]]\nname = \"watcher\"\npermissions = [\"request.approve\", \"request.view\"]\n"
    ));
    let watcher = s.person("watcher", &["watcher"]);
    let request = submit(&s);
    watcher.show(&request).is(200);
    watcher.approve(&request).refused(403, "not_an_approver");
    watcher.reject(&request).refused(403, "not_an_approver");
    assert!(watcher.ids("pending_for_me=true").is_empty());
    let refused = s.events("event_type=attempt.refused&actor_id=watcher");
    assert_eq!(refused.len(), 2);
    assert!(
        refused
            .iter()
            .all(|e| e["request_id"] == request.id.as_str())
    );
}

#[test]
fn an_administrator_may_step_in_once() {
    let s = shop(TWO_STEPS);
    let request = submit(&s);
    assert_eq!(s.admin().approve(&request).is(200).json["current_step"], 1);
    s.admin().approve(&request).is(403);
    s.person("admin-two", &["admin"]).approve(&request).is(403);
    reader(&s, "dba-one").approve(&request).is(200);
    let shown = request.by.show(&request).json;
    assert!(
        shown["approval_progress"]["steps"][0]
            .to_string()
            .contains("admin")
    );
    let events = s.events("event_type=step.approved");
    assert!(
        events[0]["metadata_json"]
            .as_str()
            .unwrap()
            .contains("admin_override")
    );
    request.is("approved");
}

#[test]
fn an_administrator_who_steps_in_is_one_of_two() {
    for (steps, other) in [
        ("group = \"ops\"\nmin = 2\n", "op-one"),
        (
            "group = \"ops\"\n[[workflows.steps.approvers]]\ngroup = \"dba\"\n",
            "dba-one",
        ),
    ] {
        let s = shop(&format!(
            "[[workflows.steps]]\n[[workflows.steps.approvers]]\n{steps}"
        ));
        let request = submit(&s);
        let answer = s.admin().approve(&request).is(200);
        assert_eq!(answer.text("status"), "pending");
        assert_eq!(answer.json["current_step"], 0);
        s.admin().approve(&request).refused(409, "already_approved");
        s.person("admin-two", &["admin"]).approve(&request).is(403);
        let answer = reader(&s, other).approve(&request).is(200);
        assert_eq!(answer.text("status"), "approved");
    }
}

#[test]
fn request_is_refused_where_stepping_in_would_not_be_enough() {
    let steps = |min: u32| {
        format!(
            "[[workflows.steps]]\n[[workflows.steps.approvers]]\nrole = \"nobody\"\nmin = {min}\n"
        )
    };
    let role = "\n[[auth.roles]]\nname = \"nobody\"\npermissions = [\"request.view\"]\n";
    let s = shop(&format!("{}{role}", steps(1)));
    submit(&s);
    let s = shop(&format!("{}{role}", steps(2)));
    s.requester()
        .create("production", UPDATE)
        .refused(422, "no_eligible_approver");
}

#[test]
fn an_administrator_who_voted_does_not_step_in() {
    let s = shop(&TWO_STEPS.replace("group = \"ops\"", "role = \"admin\""));
    let request = submit(&s);
    s.admin().approve(&request).is(200);
    s.admin().approve(&request).is(403);
    s.person("admin-two", &["admin"]).approve(&request).is(200);
    request.is("approved");
}

#[test]
fn nobody_steps_in_where_the_workflow_forbids_it() {
    let s = shop(&format!("admin_override = false\n{TWO_STEPS}"));
    let request = submit(&s);
    s.admin().approve(&request).refused(403, "not_an_approver");
    s.admin().reject(&request).refused(403, "not_an_approver");
    assert!(s.admin().ids("pending_for_me=true").is_empty());
    request.is_pending();
}

#[test]
fn an_administrator_of_elsewhere_does_not_step_in() {
    let s = shop(TWO_STEPS);
    let request = submit(&s);
    let elsewhere = s.person("elsewhere", &["staging-admin"]);
    elsewhere.approve(&request).is(403);
    elsewhere.reject(&request).is(403);
    request.is_pending();
}

#[test]
fn the_same_person_may_approve_two_steps_unless_forbidden() {
    for (line, last) in [
        ("", 200),
        ("allow_same_approver_across_steps = false\n", 403),
    ] {
        let s = shop(&format!("{line}{TWO_STEPS}"));
        let request = submit(&s);
        let both = reader(&s, "both");
        both.approve(&request).is(200);
        assert_eq!(both.ids("pending_for_me=true").is_empty(), last == 403);
        both.approve(&request).is(last);
        assert_eq!(
            request.status(),
            if last == 200 { "approved" } else { "pending" }
        );
    }
}

#[test]
fn two_last_approvals_at_once_never_strand_a_request() {
    let s = shop("[[workflows.steps]]\n[[workflows.steps.approvers]]\ngroup = \"ops\"\nmin = 2\n");
    let (one, two) = (reader(&s, "op-one"), reader(&s, "op-two"));
    for _ in 0..8 {
        let request = submit(&s);
        let barrier = Arc::new(Barrier::new(2));
        let racers = [&one, &two].map(|person| {
            let (person, request, barrier) =
                (person.clone(), request.clone(), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                person.approve(&request).is(200).text("status")
            })
        });
        let mut statuses = racers.map(|r| r.join().unwrap());
        statuses.sort();
        assert_eq!(statuses, ["approved", "pending"]);
        request.is("approved");
    }
}

#[test]
fn pending_request_keeps_the_rules_it_was_made_under() {
    let s = Server::shop();
    let request = submit(&s);
    let other = SHOP.replace(
        "members = [\"approver\", \"approver-two\"]",
        "members = [\"approver\", \"late\"]",
    );
    let other = format!("{other}\n[[auth.groups]]\nname = \"bosses\"\nmembers = [\"boss\"]\n");
    let other = other.replace("group = \"approvers\"", "group = \"bosses\"");
    let s = s.restart_with(&other);
    reader(&s, "boss").approve(&request).is(403);
    reader(&s, "approver")
        .approve(&Request {
            by: s.requester(),
            ..request.clone()
        })
        .is(200);
}
