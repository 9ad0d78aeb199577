//! Votes by tokens with the requester in their issuer chain: marked, and refused where the workflow says so.

use super::approvals::{TWO_STEPS, shop};
use crate::support::Person;
use serde_json::json;

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

#[test]
fn votes_by_tokens_of_the_requester_are_marked_and_refused_where_asked() {
    for (line, status) in [("", 200), ("distinct_token_issuer = true\n", 403)] {
        let s = shop(&format!("{line}{TWO_STEPS}"));
        let body = json!({"subject_id": "op-one", "subject_type": "user", "roles": ["readonly"]});
        let token = s.admin().post("/api/tokens", &body).is(201).text("token");
        let puppet = s.bearer("op-one", &token);
        // The administrator makes the request, and the token that votes.
        let request = s.admin().submit("production", UPDATE);
        puppet.approve(&request).is(status);
        if status == 200 {
            let shown = s.admin().show(&request).json;
            let vote = &shown["approval_progress"]["steps"][0]["approvals"][0];
            assert_eq!(vote["issued_by_requester"], true, "{shown}");
        }
    }
}

#[test]
fn a_token_made_with_one_of_the_requester_counts_as_theirs() {
    let s = shop(&format!("distinct_token_issuer = true\n{TWO_STEPS}"));
    let body = json!({"subject_id": "op-one", "subject_type": "user", "roles": ["admin"]});
    let first = s.admin().post("/api/tokens", &body).is(201).text("token");
    let puppet = s.bearer("op-one", &first);
    let second = puppet.post("/api/tokens", &body).is(201).text("token");
    let request = s.admin().submit("production", UPDATE);
    let puppet = s.bearer("op-one", &second);
    puppet.approve(&request).refused(403, "forbidden");
    request.is_pending();
}

#[test]
fn a_token_made_through_a_third_person_is_the_requesters_too() {
    for (line, status) in [("", 200), ("distinct_token_issuer = true\n", 403)] {
        let s = shop(&format!("{line}{TWO_STEPS}"));
        let issue = |by: &Person, subject: &str, role: &str| {
            let asked = json!({"subject_id": subject, "subject_type": "user", "roles": [role]});
            s.bearer(
                subject,
                &by.post("/api/tokens", &asked).is(201).text("token"),
            )
        };
        // Each of them issues the next one's token, and the first may know them all.
        let mut helper = s.admin();
        for subject in ["helper-one", "helper-two", "helper-three"] {
            helper = issue(&helper, subject, "admin");
        }
        let puppet = issue(&helper, "op-one", "readonly");
        let request = s.admin().submit("production", UPDATE);
        puppet.approve(&request).is(status);
        let listed = s.admin().get("/api/tokens").is(200).list("tokens");
        let token = listed.iter().find(|t| t["subject_id"] == "op-one").unwrap();
        assert_eq!(token["issuer"], "helper-three");
        assert_eq!(
            token["issuers"],
            json!(["admin", "helper-one", "helper-three", "helper-two"])
        );
        if status == 200 {
            let shown = s.admin().show(&request).json;
            let vote = &shown["approval_progress"]["steps"][0]["approvals"][0];
            assert_eq!(vote["issued_by_requester"], true, "{shown}");
            let event = s.events("event_type=step.approved").remove(0);
            assert!(
                event["metadata_json"]
                    .to_string()
                    .contains("issued_by_requester")
            );
        }
        // Other tokens are unmarked, and with one of another issuer the same person counts.
        let other = s.requester().submit("production", UPDATE);
        assert_eq!(puppet.approve(&other).is(200).text("status"), "pending");
        let shown = s.admin().show(&other).json;
        let vote = &shown["approval_progress"]["steps"][0]["approvals"][0];
        assert_ne!(vote["issued_by_requester"], true, "{shown}");
        let by_helper = helper.submit("production", UPDATE);
        puppet.approve(&by_helper).is(status);
    }
}
