//! A state file that was edited while no server ran, started with `--quarantine`: nothing is signed, voted or allowed by
//! what was edited, and everything else goes on.

use crate::support::{Request, SHOP, Server};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

fn dispatched(s: &Server) -> Request {
    s.requester()
        .submit("production", UPDATE)
        .approved_by(&s.approver())
        .resumed()
        .is_dispatched()
}

fn metadata(event: &Value) -> Value {
    serde_json::from_str(event["metadata_json"].as_str().unwrap()).unwrap()
}

#[test]
fn an_edited_statement_never_runs_and_the_others_do() {
    let s = Server::shop();
    s.agent("agent-1").poll();
    let (edited, intact) = (dispatched(&s).id, dispatched(&s).id);
    let s = s.quarantined(&format!(
        "UPDATE request_texts SET detail = 'DROP TABLE items' WHERE request_seq = \
         (SELECT seq FROM requests WHERE id = '{edited}')"
    ));
    let agent = s.agent("agent-1");
    assert_eq!(agent.jobs(), std::slice::from_ref(&intact));
    agent.try_claim(&edited).refused(409, "corrupt");
    agent.run(&intact);
    for verb in ["approve", "reject", "cancel", "resume"] {
        let path = format!("/api/requests/{edited}/{verb}");
        s.admin().poke(&path).refused(409, "corrupt");
    }
    let shown = s.admin().get(&format!("/api/requests/{edited}")).is(200);
    assert_eq!(shown.json["corrupt"], true);
    let about = s.events(&format!("event_type=request.corrupt&request_id={edited}"));
    let differs = metadata(&about[0])["differs"].clone();
    assert!(differs.as_str().unwrap().contains("request_texts (detail"));
    let summary = metadata(&s.events("event_type=state.quarantined")[0]);
    assert_eq!(summary["requests"], json!([edited]));
    assert_eq!(summary["tables"], json!(["request_texts"]));
    assert_eq!(
        (&summary["tokens_count"], &summary["users_count"]),
        (&json!(0), &json!(0))
    );
    let proof = s.admin().get("/api/audit/verify").is(200).json;
    assert_eq!(
        (&proof["valid"], &proof["frozen_total"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(proof["frozen_requests"], json!([edited]));
    // The next start has nothing to quarantine.
    let s = s.restart_with(SHOP);
    s.agent("agent-1")
        .try_claim(&edited)
        .refused(409, "corrupt");
}

#[test]
fn a_vote_put_into_the_file_approves_nothing() {
    let s = Server::shop();
    s.agent("agent-1").poll();
    let request = s.requester().submit("production", UPDATE).id.clone();
    // As if the approver had voted and the request been dispatched.
    let other = dispatched(&s).id;
    let s = s.quarantined(&format!(
        "INSERT INTO approvals SELECT id + 50, (SELECT seq FROM requests WHERE id = '{request}'), step_index, action, \
         actor_id, token_id, matched_selector, comment, issued_by_requester, created_at_ms, audit_seq FROM approvals; \
         UPDATE requests SET status = 'dispatched', dispatched_from = 'approved', due_at_ms = NULL, \
         dispatch_deadline_ms = created_at_ms + 300000, approval_expires_at_ms = created_at_ms + 900000, audit_seq = \
         (SELECT audit_seq FROM requests WHERE id = '{other}') WHERE id = '{request}'"
    ));
    let agent = s.agent("agent-1");
    agent.poll();
    agent.try_claim(&request).refused(409, "corrupt");
    agent.run(&other);
    let started = s.events(&format!(
        "event_type=execution.started&request_id={request}"
    ));
    assert_eq!(started, Vec::<Value>::new());
}

#[test]
fn a_token_with_edited_roles_is_revoked_and_others_count() {
    let s = Server::shop();
    let (requester, approver) = (s.requester(), s.approver());
    requester.get("/api/requests").is(200);
    let s = s.quarantined(
        "UPDATE tokens SET roles_json = '[\"admin\"]', role_mode = 'grant' WHERE subject_id = 'requester'",
    );
    assert_eq!(s.requester().get("/api/requests").status, 401);
    assert_eq!(approver.subject, s.approver().subject);
    s.approver().get("/api/requests").is(200);
    let revoked = s.events("event_type=token.revoked");
    assert_eq!(metadata(&revoked[0])["quarantined"], true);
    assert_eq!(s.admin().get("/api/audit/verify").json["valid"], true);
}

#[test]
fn person_with_an_edited_slack_account_is_suspended_without_it() {
    let s = Server::shop();
    s.approver().get("/api/requests").is(200);
    let s = s.quarantined("UPDATE users SET slack_user_id = 'U666' WHERE id = 'approver'");
    assert_eq!(s.approver().get("/api/requests").status, 401);
    let shown = s.admin().get("/api/users/approver").is(200).json;
    assert_eq!(shown["status"], "suspended", "{shown}");
    assert_eq!(shown["slack_user_id"], Value::Null);
    s.admin().poke("/api/users/approver/activate").is(200);
    assert_eq!(s.admin().get("/api/audit/verify").json["valid"], true);
}

#[test]
fn agents_state_their_dialects_again_after_theirs_were_edited() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    agent.poll();
    let s = s.quarantined(
        "INSERT OR REPLACE INTO reported_dialects VALUES ('shop', 'production', 'agent-1', 'mysql', 1, 1)",
    );
    let summary = metadata(&s.events("event_type=state.quarantined")[0]);
    assert_eq!(summary["given_up"], json!(["reported_dialects"]));
    let agent = s.agent("agent-1");
    agent.poll();
    let request = dispatched(&s);
    agent.run(&request.id);
}
