//! Votes by tokens with the requester in their issuer chain: marked, and refused where the workflow says so.

use super::approvals::{TWO_STEPS, shop};
use crate::support::Person;
use dbward::actions::approve::approve;
use dbward::actions::identify::by_slack;
use dbward::domain::actor::Origin;
use serde_json::json;

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

#[test]
fn votes_by_the_requesters_tokens_are_marked_or_refused() {
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
fn token_made_with_one_of_the_requester_counts_as_theirs() {
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
fn token_made_through_a_third_person_is_the_requesters_too() {
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

#[test]
fn linker_of_a_slack_account_is_an_issuer_of_votes() {
    for (line, refused) in [("", false), ("distinct_token_issuer = true\n", true)] {
        let s = shop(&format!("{line}{TWO_STEPS}"));
        let voter = super::approvals::reader(&s, "op-one");
        let link = |by: &Person, slack: &str| {
            let body = json!({"slack_user_id": slack}).to_string();
            by.call("PATCH", "/api/users/op-one", &[], body.as_bytes())
                .is(200);
        };
        let vote = |request: &crate::support::Request| {
            let app = s.inner().app();
            let caller = by_slack(app, "U0ABC", Origin::default()).unwrap();
            approve(app, &caller, &request.id, None, None, None)
        };
        // The administrator links the account, makes the request, and could vote with it.
        link(&s.admin(), "U0ABC");
        let event = s.events("event_type=user.updated").remove(0);
        assert!(event.to_string().contains("linked_by"), "{event}");
        let request = s.admin().submit("production", UPDATE);
        let answer = vote(&request);
        assert_eq!(answer.is_err(), refused, "{:?}", answer.err());
        if !refused {
            let shown = s.admin().show(&request).json;
            let vote = &shown["approval_progress"]["steps"][0]["approvals"][0];
            assert_eq!(vote["issued_by_requester"], true, "{shown}");
        }
        // Somebody else's request is not theirs.
        vote(&s.requester().submit("production", UPDATE)).unwrap();
        // An account that its person links with a token of the administrator's is the administrator's too.
        link(&s.admin(), "U0DEF");
        link(&voter, "U0ABC");
        let request = s.admin().submit("production", UPDATE);
        assert_eq!(vote(&request).is_err(), refused);
        let app = s.inner().app();
        assert!(by_slack(app, "U0DEF", Origin::default()).is_err());
        super::people::suspend(&s.admin(), "op-one").is(200);
        assert!(by_slack(app, "U0ABC", Origin::default()).is_err());
    }
}
