//! Dialogs: new requests, long statements, words for what went wrong.

use super::{
    APPROVER, BOUND, REQUESTER, UPDATE, link, link_all, posted, reviewing, server, server_with,
    written_in,
};
use crate::schemas::{describe, table};
use crate::support::{
    Agent, DELIVERS, FakeSlack, SHOP, Server, SlackCall, SlackMood, decision, eventually, submitted,
};
use serde_json::{Value, json};

/// The fields of a new request.
fn filled_in(target: &str, sql: &str, reason: &str) -> Value {
    json!({
        "db_env_block": {"db_env_input": {"selected_option": {"value": target}}},
        "sql_block": {"sql_input": {"value": sql}},
        "reason_block": {"reason_input": {"value": reason}},
    })
}

/// Each field says what is wrong with it.
fn refused_fields(s: &Server, open: &SlackCall) {
    for (values, words) in [
        (
            filled_in("shop/production", "  ", "x"),
            "\"sql_block\":\"Write a statement.",
        ),
        (
            filled_in("nothing", "SELECT 1", "x"),
            "\"db_env_block\":\"Choose a database.",
        ),
        (filled_in("other/place", "SELECT 1", "x"), "db_env_block"),
        (
            filled_in("shop/production", "DROP TABLE items", "x"),
            "sql_block",
        ),
    ] {
        s.submit_dialog(REQUESTER, open, values)
            .is(200)
            .saying(words);
    }
}

#[test]
fn a_request_is_made_by_a_command_once_a_dialog() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    link_all(&s);
    assert!(
        s.command(REQUESTER, "help")
            .is(200)
            .raw()
            .contains("`execute`")
    );
    assert!(
        s.command(REQUESTER, "")
            .is(200)
            .raw()
            .contains("try `help`")
    );
    assert!(
        s.command(REQUESTER, "drop everything")
            .is(200)
            .raw()
            .contains("try `help`")
    );
    assert!(
        s.command(APPROVER, "execute")
            .is(200)
            .raw()
            .contains("no database")
    );
    assert_eq!(s.command(REQUESTER, "execute now").is(200).raw(), "");
    let open = slack.nth("views.open", 1);
    let options = open.body["view"]["blocks"][0]["element"]["options"].clone();
    let names: Vec<&str> = options
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["value"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["shop/development", "shop/production", "shop/staging"]
    );
    refused_fields(&s, &open);
    let good = filled_in("shop/production", UPDATE, "a sale");
    let payload = submitted(REQUESTER, &open, "V-once", good);
    assert_eq!(s.interaction(&payload).is(200).raw(), "");
    // Slack, or a person, sends it once more.
    let mut again = payload.clone();
    again["trigger_id"] = "another".into();
    assert_eq!(s.interaction(&again).is(200).raw(), "");
    let all = s.requester().ids("");
    assert_eq!(all.len(), 1);
    let made = s
        .requester()
        .get(&format!("/api/requests/{}", all[0]))
        .is(200)
        .json;
    assert_eq!(made["reason"], "a sale");
    assert_eq!(
        made["metadata"],
        json!({"source": "slack", "slack_user_id": REQUESTER})
    );
    assert_eq!(made["emergency"], false);
}

/// Explains all that the agent is offered, each statement so.
fn explain(agent: &Agent, plan: &Value) {
    loop {
        let jobs = agent.poll().list("dry_run_jobs");
        if jobs.is_empty() {
            return;
        }
        for job in jobs {
            let path = format!("/api/agent/dry-run/{}", job["id"].as_str().unwrap());
            let token = agent.person.poke(&format!("{path}/claim")).is(200);
            let body = json!({"result": plan, "claim_token": token.text("claim_token")});
            agent.person.post(&format!("{path}/result"), &body).is(200);
        }
    }
}

#[test]
fn review_shows_risk_tables_and_plans_to_permitted_people() {
    let slack = FakeSlack::start();
    let sees = "[[auth.role_bindings]]\nrole = \"readonly\"\nsubjects = [\"approver\"]\n";
    let s = server_with(&slack, sees);
    link_all(&s);
    let names = ["customers", "items", "orders", "stock"];
    let tables = names.map(|name| table(name, 1_200));
    describe(&s, "production", &tables);
    let sql: String = (1..=7)
        .map(|n| format!("UPDATE {} SET price = {n} WHERE id = 1;", names[n % 4]))
        .collect();
    let request = s.requester().submit("production", &sql);
    let ts = posted(&s, &request);
    let review = |n: usize| {
        s.click(APPROVER, "dbward_review", &request.id, &ts).is(200);
        written_in(&slack.nth("views.open", n).body)
    };
    let text = review(1);
    for words in [
        "*Risk*\\n• it has more than one statement",
        "• customers, about 1200 rows\\n",
        "and 1 more",
        "No agent has explained it yet.",
    ] {
        assert!(text.contains(words), "no {words} in {text}");
    }
    assert_eq!(text.matches(", about 1200 rows").count(), 3, "{text}");
    // As large as the widest plan, which does not break the dialog.
    let nodes: Vec<Value> = (0..40)
        .map(|n| json!({"Node Type": "Seq Scan", "Relation Name": format!("t<!channel>{n}{}", "x".repeat(60))}))
        .collect();
    let plan = json!([{"Plan": {"Node Type": "ModifyTable", "Plans": nodes}}]);
    explain(&s.agent("agent-1"), &plan);
    let text = review(2);
    assert!(text.contains("Statement 1\\nModifyTable\\n  Seq Scan on t<!channel>0"));
    assert!(
        text.contains("2900 of ") && text.contains("5 of 7 statements"),
        "{text}"
    );
    assert!(text.contains("decision_input"), "{text}");
    // Somebody who may not see the request is shown nothing of it.
    link(
        &s.person("stranger", &["developer"]),
        "stranger",
        "U0STRANGER",
    );
    s.click("U0STRANGER", "dbward_review", &request.id, &ts)
        .is(200);
    slack.nth("chat.postEphemeral", 1);
    assert_eq!(slack.of("views.open").len(), 2);
}

#[test]
fn review_hides_table_sizes_from_those_without_the_right() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    link_all(&s);
    describe(&s, "production", &[table("items", 1_200)]);
    let request = s.requester().submit("production", UPDATE);
    let ts = posted(&s, &request);
    s.click(APPROVER, "dbward_review", &request.id, &ts).is(200);
    let text = written_in(&slack.nth("views.open", 1).body);
    assert!(text.contains("*Tables*\\n• items\""), "{text}");
}

#[test]
fn a_long_statement_is_cut_and_decided_and_executed_elsewhere() {
    let slack = FakeSlack::start();
    let public = "public_url = \"https://dbward.example.com\"\n";
    let s = Server::with(&format!(
        "{public}{SHOP}{BOUND}{DELIVERS}{}",
        slack.section()
    ));
    link_all(&s);
    let long = format!(
        "UPDATE items SET name = '{}' WHERE id = 1",
        "x".repeat(14_500)
    );
    let request = s.requester().submit("production", &long);
    let ts = posted(&s, &request);
    let is_cut = |open: &SlackCall| {
        let text = written_in(&open.body);
        let shown = format!("14500 of {} characters", long.len());
        let place = format!("<https://dbward.example.com/requests/{}|", request.id);
        assert!(text.contains(&shown) && text.contains(&place), "{text}");
        let offers = ["decision_input", "callback_id", "submit"];
        assert!(offers.iter().all(|offer| !text.contains(offer)), "{text}");
    };
    s.click(APPROVER, "dbward_review", &request.id, &ts).is(200);
    is_cut(&slack.nth("views.open", 1));
    s.approver().approve(&request).is(200);
    s.click(REQUESTER, "dbward_resume", &request.id, &ts)
        .is(200);
    is_cut(&slack.nth("views.open", 2));
}

#[test]
fn where_no_link_is_known_a_command_is_named() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    link_all(&s);
    let long = format!(
        "UPDATE items SET name = '{}' WHERE id = 1",
        "x".repeat(14_500)
    );
    let request = s.requester().submit("production", &long);
    let ts = posted(&s, &request);
    s.click(APPROVER, "dbward_review", &request.id, &ts).is(200);
    let text = written_in(&slack.nth("views.open", 1).body);
    assert!(text.contains(&format!("dbward request show {}", request.id)));
    assert!(!text.contains("decision_input"), "{text}");
}

#[test]
fn the_one_who_clicked_reads_what_slack_refuses() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    link_all(&s);
    let request = s.requester().submit("production", UPDATE);
    let ts = posted(&s, &request);
    for (error, words) in [
        ("expired_trigger_id", "took too long"),
        ("internal_error", "could not be opened"),
    ] {
        slack.next("views.open", SlackMood::Error(error));
        let n = slack.of("chat.postEphemeral").len();
        s.click(APPROVER, "dbward_review", &request.id, &ts).is(200);
        let noted = slack.nth("chat.postEphemeral", n + 1);
        assert!(written_in(&noted.body).contains(words), "{}", noted.body);
    }
    slack.next("views.open", SlackMood::Babbles);
    assert_eq!(s.command(REQUESTER, "execute").is(200).raw(), "");
    let noted = slack.nth("chat.postEphemeral", 3);
    assert_eq!(noted.body["channel"], "C0CHANNEL");
}

#[test]
fn what_is_over_is_reported_and_a_refused_execution_too() {
    let slack = FakeSlack::start();
    let s = server(&slack);
    link_all(&s);
    let request = s.requester().submit("production", UPDATE);
    let ts = posted(&s, &request);
    let request = request.approved_by(&s.approver());
    s.click(REQUESTER, "dbward_resume", &request.id, &ts)
        .is(200);
    let open = slack.nth("views.open", 1);
    s.requester().cancel(&request).is(200);
    let answer = s.submit_dialog(REQUESTER, &open, json!({})).is(200);
    answer
        .saying("\"response_action\":\"update\"")
        .saying("has changed");
    for (button, user) in [("dbward_review", APPROVER), ("dbward_resume", REQUESTER)] {
        let n = slack.of("chat.postEphemeral").len();
        s.click(user, button, &request.id, &ts).is(200);
        let noted = slack.nth("chat.postEphemeral", n + 1);
        let words = written_in(&noted.body);
        assert!(
            words.contains("cancelled already") || words.contains("permission denied"),
            "{words}"
        );
    }
    eventually("the message has no button", || {
        slack
            .of("chat.update")
            .last()
            .is_some_and(|call| call.button().is_none())
    });
    let missing = s.click(REQUESTER, "dbward_review", "no-such-request", &ts);
    missing.is(200);
    let noted = slack.nth("chat.postEphemeral", 3);
    assert!(
        written_in(&noted.body).contains("no request"),
        "{}",
        noted.body
    );
}

#[test]
fn dialog_without_a_valid_choice_is_not_a_vote() {
    let (_slack, s, request, open) = reviewing();
    s.submit_dialog(APPROVER, &open, json!({}))
        .is(200)
        .saying("Choose one.");
    s.submit_dialog(APPROVER, &open, decision("maybe", None))
        .is(200)
        .saying("Choose one.");
    let long = "ä".repeat(600);
    let answer = s.submit_dialog(APPROVER, &open, decision("approve", Some(&long)));
    answer
        .is(200)
        .saying("\"comment_block\":\"comment is 1200 bytes long");
    for metadata in ["", "x", "x y", &format!("{} *", request.id)] {
        let mut payload = submitted(APPROVER, &open, "V1", decision("approve", None));
        payload["view"]["private_metadata"] = metadata.into();
        s.interaction(&payload).is(200).saying("look again");
    }
    let mut payload = submitted(APPROVER, &open, "V1", decision("approve", None));
    payload["view"]["callback_id"] = "another_dialog".into();
    assert_eq!(s.interaction(&payload).is(200).raw(), "");
    request.is_pending();
}
