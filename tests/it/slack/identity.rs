//! Who acts in Slack: the person to whom the account is linked, with their rights of this moment, and who linked it.

use super::{
    APPROVER, BOUND, REQUESTER, UPDATE, link, link_all, posted, reviewing, server, server_with,
    written_in,
};
use crate::support::{
    DELIVERS, FakeSlack, Person, Request, SHOP, Server, SlackCall, clicked, decision, eventually,
    submitted,
};
use dbward::actions::identify::by_slack;
use dbward::domain::actor::Origin;
use serde_json::{Value, json};

/// What `user` is answered, and nobody else sees, after a click on the review of a request.
fn noted(s: &Server, slack: &FakeSlack, user: &str, request: &Request) -> String {
    let n = slack.of("chat.postEphemeral").len();
    let ts = posted(s, request);
    s.click(user, "dbward_review", &request.id, &ts).is(200);
    let noted = slack.nth("chat.postEphemeral", n + 1);
    assert_eq!(noted.body["user"], user);
    assert_eq!(noted.body["channel"], "C0RESOLVED");
    noted.body["text"].as_str().unwrap().to_owned()
}

#[test]
fn unlinked_person_reads_how_to_link_their_account() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    s.approver().get("/api/me").is(200);
    let request = s.requester().submit("production", UPDATE);
    let words = noted(&s, &slack, APPROVER, &request);
    assert!(
        words.contains(&format!("dbward user link-slack {APPROVER}")),
        "{words}"
    );
    assert!(
        s.command(APPROVER, "execute")
            .is(200)
            .raw()
            .contains("is not linked")
    );
    link(&s.approver(), "approver", APPROVER);
    let note = slack.nth("chat.postMessage", 2);
    assert_eq!(note.body["channel"], APPROVER);
    assert!(
        written_in(&note.body).contains("now acts as *approver*"),
        "{}",
        note.body
    );
    s.click(APPROVER, "dbward_review", &request.id, "1").is(200);
    let open = slack.nth("views.open", 1);
    s.submit_dialog(APPROVER, &open, decision("approve", None))
        .is(200);
    request.is("approved");
}

#[test]
fn rights_are_those_of_the_person_at_that_moment() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    link_all(&s);
    let request = s.requester().submit("production", UPDATE);
    let ts = posted(&s, &request);
    // The requester sees their own request, and does not approve it.
    s.click(REQUESTER, "dbward_review", &request.id, &ts)
        .is(200);
    let open = slack.nth("views.open", 1);
    let answer = s
        .submit_dialog(REQUESTER, &open, decision("approve", None))
        .is(200);
    answer.saying("\"decision_block\":\"forbidden: you cannot approve your own request");
    // Somebody whom no step names does not even see the statement.
    s.person("stranger", &["readonly"]).get("/api/me").is(200);
    link(&s.admin(), "stranger", "U0STRANGER");
    let words = noted(&s, &slack, "U0STRANGER", &request);
    assert!(words.contains("permission denied"), "{words}");
    // Nor does a dialog that somebody else had opened help them.
    let borrowed = s.submit_dialog("U0STRANGER", &open, decision("approve", None));
    borrowed.is(200).saying("permission denied");
    // A role of a token is not one in Slack.
    assert!(
        s.command("U0STRANGER", "execute")
            .raw()
            .contains("no database")
    );
    s.admin().poke("/api/users/approver/suspend").is(200);
    let words = noted(&s, &slack, APPROVER, &request);
    assert!(
        words.contains("not linked to anybody who may act"),
        "{words}"
    );
    let late = s
        .submit_dialog(APPROVER, &open, decision("approve", None))
        .is(200);
    late.saying("not linked to anybody who may act");
    request.is_pending();
}

#[test]
fn members_of_other_workspaces_are_nobody() {
    let (slack, s, request, open) = reviewing();
    let good = submitted(APPROVER, &open, "V1", decision("approve", None));
    for (at, team) in [
        ("/team/id", json!("T0THEIRS")),
        ("/team/id", json!(null)),
        ("/team", json!(null)),
        // In a channel that is shared with them.
        ("/user/team_id", json!("T0THEIRS")),
        ("/user/team_id", json!(null)),
    ] {
        let mut payload = good.clone();
        *payload.pointer_mut(at).unwrap() = team.clone();
        let answer = s.interaction(&payload).is(200);
        answer.saying("its own workspace only");
    }
    let ts = posted(&s, &request);
    let mut click = clicked(APPROVER, "dbward_review", &request.id, &ts);
    click["team"]["id"] = "T0THEIRS".into();
    s.interaction(&click).is(200);
    let noted = slack.nth("chat.postEphemeral", 1);
    assert!(written_in(&noted.body).contains("its own workspace only"));
    assert_eq!(slack.of("views.open").len(), 1);
    request.is_pending();
}

#[test]
fn where_the_workspace_cannot_be_learned_nobody_acts() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    link_all(&s);
    let request = s.requester().submit("production", UPDATE);
    slack.next(
        "auth.test",
        crate::support::SlackMood::Error("invalid_auth"),
    );
    let words = noted(&s, &slack, APPROVER, &request);
    assert!(words.contains("cannot reach Slack now"), "{words}");
    // The next one learns it.
    s.click(APPROVER, "dbward_review", &request.id, "1").is(200);
    slack.nth("views.open", 1);
    assert_eq!(slack.of("auth.test").len(), 2);
}

#[test]
fn hanging_slack_is_asked_once_and_nobody_waits() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    link_all(&s);
    let request = s.requester().submit("production", UPDATE);
    posted(&s, &request);
    slack.hold("auth.test");
    // Slack gets its answers while it owes us one.
    let typed = || s.command(REQUESTER, "execute").is(200);
    let open = SlackCall {
        method: "views.open".to_owned(),
        body: json!({"view": {
            "callback_id": "dbward_review_modal",
            "private_metadata": format!("{} {}", request.id, "0".repeat(32)),
        }}),
    };
    typed().saying("cannot reach Slack now");
    s.submit_dialog(APPROVER, &open, decision("approve", None))
        .is(200)
        .saying("\"decision_block\":\"dbward cannot reach Slack now");
    assert_eq!(slack.of("auth.test").len(), 1);
    slack.release();
    // What comes late counts for all that follows, and another configuration has the same bot.
    eventually("it is known", || typed().raw().is_empty());
    let path = s.state_dir().with_file_name("server.toml");
    let own = "state_dir = \"state\"\nlisten = \"127.0.0.1:0\"\n";
    let text = format!("{own}{SHOP}{BOUND}{}", slack.section());
    std::fs::write(&path, text).unwrap();
    s.inner().reload(&path).unwrap();
    assert_eq!(typed().raw(), "");
    assert_eq!(slack.of("auth.test").len(), 1);
    request.is_pending();
}

#[test]
fn who_linked_account_counts_as_an_issuer_of_its_votes() {
    let slack = FakeSlack::start();
    let toml = SHOP.replacen(
        "[[workflows]]\nenvironment = \"production\"\n",
        "[[workflows]]\nenvironment = \"production\"\ndistinct_token_issuer = true\n",
        1,
    );
    assert_ne!(toml, SHOP);
    let s = Server::with(&format!("{toml}{BOUND}{DELIVERS}{}", slack.section()));
    let boss: Person = s.person("boss", &["admin"]);
    s.approver().get("/api/me").is(200);
    link(&boss, "approver", APPROVER);
    let vote = |request: &Request, n: usize| {
        let ts = posted(&s, request);
        s.click(APPROVER, "dbward_review", &request.id, &ts).is(200);
        let open = slack.nth("views.open", n);
        s.submit_dialog(APPROVER, &open, decision("approve", None))
            .is(200)
    };
    let request = boss.submit("production", UPDATE);
    vote(&request, 1).saying("issued by the requester");
    let request = request.is_pending();
    // Of others, the same account decides.
    assert_eq!(
        vote(&s.requester().submit("production", UPDATE), 2).raw(),
        ""
    );
    // Linked by themselves, it is theirs alone.
    link_none(&s.approver(), "approver");
    link(&s.approver(), "approver", APPROVER);
    assert_eq!(vote(&request, 3).raw(), "");
}

fn link_none(by: &Person, person: &str) {
    let head = [("content-type", "application/json")];
    let path = format!("/api/users/{person}");
    by.call("PATCH", &path, &head, b"{\"slack_user_id\":null}")
        .is(200);
}

#[test]
fn a_vote_is_for_the_request_as_it_was_shown() {
    let slack = FakeSlack::start();
    let steps = "[[workflows]]\ndatabase = \"shop\"\nenvironment = \"staging\"\n[[workflows.steps]]\n\
        [[workflows.steps.approvers]]\ngroup = \"approvers\"\nmin = 2\n";
    let s = server_with(&slack, steps);
    link_all(&s);
    let two = s.person("approver-two", &["readonly"]);
    link(&two, "approver-two", "U0TWO");
    let request = s.requester().submit("staging", UPDATE);
    let ts = posted(&s, &request);
    s.click(APPROVER, "dbward_review", &request.id, &ts).is(200);
    let open = slack.nth("views.open", 1);
    two.approve(&request).is(200);
    let late = s
        .submit_dialog(APPROVER, &open, decision("approve", None))
        .is(200);
    late.saying("has changed since you opened this");
    s.submit_dialog(APPROVER, &open, decision("reject", Some("no")))
        .is(200)
        .saying("has changed");
    request.clone().is_pending();
    // "1 of 2" stays actionable, and mentions who is still asked.
    let update = slack.nth("chat.update", 1);
    assert_eq!(update.button().as_deref(), Some("dbward_review"));
    assert!(
        written_in(&update.body).contains("group:approvers 1 of 2"),
        "{}",
        update.body
    );
    s.click(APPROVER, "dbward_review", &request.id, &ts).is(200);
    let open = slack.nth("views.open", 2);
    assert_eq!(
        s.submit_dialog(APPROVER, &open, decision("approve", None))
            .is(200)
            .raw(),
        ""
    );
    request.is("approved");
}

#[test]
fn who_may_only_read_makes_requests_that_read() {
    let slack = FakeSlack::start();
    let reads = "[[auth.role_bindings]]\nrole = \"readonly\"\nsubjects = [\"reader\"]\n";
    let s = Server::with(&format!("{SHOP}{reads}{}", slack.section()));
    s.person("reader", &["readonly"]).get("/api/me").is(200);
    link(&s.admin(), "reader", "U0READER");
    s.command("U0READER", "execute").is(200);
    let open = slack.nth("views.open", 1);
    let dialog = written_in(&open.body);
    assert!(dialog.contains("production"), "{dialog}");
}

/// What came of linking a person by themselves.
fn link_own(by: &Person, account: &str) -> crate::support::Answer {
    let body = json!({"slack_user_id": account}).to_string();
    let path = format!("/api/users/{}", by.subject);
    by.call(
        "PATCH",
        &path,
        &[("content-type", "application/json")],
        body.as_bytes(),
    )
}

#[test]
fn limited_token_links_no_account() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    let limited = s.requester();
    let refused = link_own(&limited, "U0EVIL");
    refused.refused(403, "forbidden").saying("limited to roles");
    // Nor does one of fewer roles than its person holds in Slack.
    let s = s.restart_with(&format!(
        "{SHOP}{DELIVERS}{}[auth]\ndefault_role = \"developer\"\n",
        slack.section()
    ));
    let few = s.person("carl", &["readonly"]);
    link_own(&few, "U0EVIL")
        .refused(403, "forbidden")
        .saying("more than your token");
    assert!(by_slack(s.inner().app(), "U0EVIL", Origin::default()).is_err());
    let all = s.person("carl", &[]);
    link_own(&all, "U0CARL").is(200);
    assert!(by_slack(s.inner().app(), "U0CARL", Origin::default()).is_ok());
    assert_eq!(s.events("event_type=attempt.refused").len(), 2);
}

#[test]
fn link_ends_with_the_token_of_its_person() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    let acts = |account: &str| by_slack(s.inner().app(), account, Origin::default()).is_ok();
    let ends = s.clock.now().plus_secs(3_600).rfc3339();
    let asked = json!({"subject_id": "requester", "subject_type": "user", "roles": []});
    let issue = |more: Value| {
        let mut asked = asked.clone();
        asked["expires_at"] = more;
        let answer = s.admin().post("/api/tokens", &asked).is(201);
        (
            answer.text("id"),
            s.bearer("requester", &answer.text("token")),
        )
    };
    let (id, token) = issue(Value::Null);
    link_own(&token, "U0ONE").is(200);
    link_own(&token, "U0TWO").is(200);
    // The account before is notified too.
    slack.nth("chat.postMessage", 3);
    let notified = |account: &str| {
        let mut calls = slack.of("chat.postMessage");
        calls.retain(|call| call.body["channel"] == account);
        calls
            .into_iter()
            .map(|call| written_in(&call.body))
            .collect::<String>()
    };
    assert!(notified("U0ONE").contains("does not act as *requester*"));
    assert!(!acts("U0ONE") && acts("U0TWO"));
    s.admin().delete(&format!("/api/tokens/{id}"));
    assert!(!acts("U0TWO"));
    let person = s.admin().get("/api/users/requester").is(200);
    assert_eq!(person.json["slack_user_id"], Value::Null);
    slack.nth("chat.postMessage", 4);
    assert!(notified("U0TWO").contains("does not act as *requester*"));
    // What ends by itself does too, and can be linked again.
    let (_, token) = issue(ends.into());
    link_own(&token, "U0TWO").is(200);
    assert!(acts("U0TWO"));
    s.turn_only(3_601);
    assert!(!acts("U0TWO"));
    let (_, token) = issue(Value::Null);
    link_own(&token, "U0TWO").is(200);
    assert!(acts("U0TWO"));
    // An administrator's link is theirs to end.
    let boss = s.person("boss", &["admin"]);
    s.approver();
    link(&boss, "approver", APPROVER);
    assert!(acts(APPROVER));
    s.admin().poke("/api/users/boss/suspend").is(200);
    assert!(acts(APPROVER));
    s.admin().poke("/api/users/requester/suspend").is(200);
    s.admin().poke("/api/users/requester/activate").is(200);
    assert!(!acts("U0TWO"));
    // A suspension ends what others linked too.
    s.admin().poke("/api/users/approver/suspend").is(200);
    s.admin().poke("/api/users/approver/activate").is(200);
    assert!(!acts(APPROVER));
    let proof = s.admin().get("/api/audit/verify").is(200);
    assert_eq!(proof.json["valid"], true, "{}", proof.json);
}
