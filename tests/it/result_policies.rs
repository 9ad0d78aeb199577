//! Result policies: where results go, who else may see them, and for how long.

use super::results::{content, stream};
use crate::support::{OBJECTS, Person, ROWS, Request, SHOP, Server};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SELECT: &str = "SELECT id FROM items WHERE id = 1";

const MODES: &str = r#"
[[result_policies]]
environment = "development"
delivery_mode = "stream"
[[result_policies]]
environment = "staging"
delivery_mode = "store_only"
[[result_policies]]
environment = "production"
delivery_mode = "both"
"#;

/// In every environment everything runs at once.
fn open(more: &str) -> Server {
    let head = SHOP.split("[[workflows]]").next().unwrap();
    Server::with(&format!("{head}[[workflows]]\n{more}"))
}

fn run(s: &Server, environment: &str, more: Value) -> Request {
    let request = s.requester().submit_with(environment, SELECT, more);
    s.agent("agent-1").run(&request.id);
    request
}

fn fail(s: &Server, environment: &str) -> Request {
    let request = s.requester().submit(environment, SELECT);
    let claim = s.agent("agent-1").claim(&request.id);
    s.agent("agent-1")
        .fail(&claim.execution, "no such table")
        .is(200);
    request
}

/// Requests whose results a person's list shows, oldest first.
fn listed(person: &Person) -> Vec<String> {
    let results = person.get("/api/results").is(200).list("results");
    let ids = results.iter().rev();
    ids.map(|r| r["request_id"].as_str().unwrap().to_owned())
        .collect()
}

fn forget_live(s: &Server) {
    s.turn_only(3_600);
    s.flush();
}

#[test]
fn a_result_is_stored_and_streamed_as_its_policy_says() {
    let s = open(&format!("{OBJECTS}{MODES}"));
    for (environment, kept) in [
        ("development", false),
        ("staging", true),
        ("production", true),
    ] {
        let request = s.requester().submit(environment, SELECT);
        let waiting = request.by.wait(&request.path("/result/stream"));
        s.until_parked(1);
        s.agent("agent-1").run(&request.id);
        let live = waiting.answer().is(200);
        assert_eq!(live.json["success"], true, "{environment}");
        let executions = request.by.get(&request.path("/executions")).is(200);
        assert_eq!(executions.json["executions"][0]["has_stored_result"], kept);
        if kept {
            assert_eq!(content(&request.by, &request).is(200).body, live.body);
        } else {
            content(&request.by, &request)
                .refused(410, "gone")
                .saying("result not stored for this request");
        }
        assert_eq!(stream(&request.by, &request).is(200).body, live.body);
        forget_live(&s);
        let later = stream(&request.by, &request);
        match kept {
            true => assert_eq!(later.is(200).body, live.body),
            false => drop(later.refused(410, "gone")),
        }
    }
    assert_eq!((s.stored().len(), listed(&s.requester()).len()), (2, 2));
}

#[test]
fn a_failure_is_kept_whatever_the_policy() {
    let s = open(MODES);
    for environment in ["development", "staging", "production"] {
        let request = fail(&s, environment);
        forget_live(&s);
        let kept = content(&request.by, &request).is(200);
        assert_eq!(kept.text("error_message"), "no such table");
        assert_eq!(stream(&request.by, &request).is(200).body, kept.body);
    }
}

#[test]
fn no_policy_keeps_what_the_requester_wants_unstored() {
    let s = open(MODES);
    for environment in ["development", "staging", "production"] {
        let request = run(&s, environment, json!({"no_result_store": true}));
        content(&request.by, &request).refused(410, "gone");
        stream(&request.by, &request).is(200);
    }
    assert!(s.stored().is_empty());
}

#[test]
fn result_that_is_only_streamed_does_not_survive_a_restart() {
    let s = open(MODES);
    let request = run(&s, "development", json!({}));
    let s = s.restart();
    stream(&s.requester(), &request).refused(410, "gone");
    // The execution did happen, and counts.
    let again = s.requester().resume(&request);
    again.refused(409, "max_executions_reached");
}

#[test]
fn policy_lets_others_see_results_besides_whom_the_requester_names() {
    let s = open(
        r#"
[[result_policies]]
environment = "production"
access = ["role:readonly", "group:auditors", "user:friend"]
[[auth.groups]]
name = "auditors"
members = ["auditor"]
[[auth.roles]]
name = "viewer"
permissions = ["result.view"]
[[auth.roles]]
name = "blind"
permissions = ["request.view"]
"#,
    );
    let viewer = |name: &str| s.person(name, &["viewer"]);
    let plain = run(&s, "production", json!({}));
    let shared = run(&s, "production", json!({"share_with": ["user:guest"]}));
    let elsewhere = run(&s, "staging", json!({}));
    let named = [
        s.person("reader", &["readonly"]),
        viewer("auditor"),
        viewer("friend"),
    ];
    for person in &named {
        for request in [&plain, &shared] {
            content(person, request).is(200);
            stream(person, request).is(200);
        }
        content(person, &elsewhere).refused(403, "forbidden");
        stream(person, &elsewhere).refused(403, "forbidden");
        assert_eq!(listed(person), [plain.id.clone(), shared.id.clone()]);
    }
    let guest = viewer("guest");
    content(&guest, &shared).is(200);
    content(&guest, &plain).refused(403, "forbidden");
    assert_eq!(listed(&guest), [shared.id.as_str()]);
    let stranger = viewer("stranger");
    content(&stranger, &plain).refused(403, "forbidden");
    assert!(listed(&stranger).is_empty());
    // Being named does not replace the right.
    let blind = s.person("friend", &["blind"]);
    content(&blind, &plain).refused(403, "forbidden");
    stream(&blind, &plain).refused(403, "forbidden");
    assert_eq!(listed(&s.requester()).len(), 3);
    assert_eq!(listed(&s.admin()).len(), 3);
}

#[test]
fn the_list_shows_nothing_that_may_not_be_read() {
    let s = open(
        r#"
[[result_policies]]
access = ["user:friend", "role:stager"]
[[auth.roles]]
name = "stager"
permissions = ["request.view", "result.view"]
environments = ["staging"]
[[auth.roles]]
name = "blind"
permissions = ["request.view"]
[[auth.roles]]
name = "chief-of-staging"
permissions = ["*"]
environments = ["staging"]
"#,
    );
    let requests = [
        run(&s, "production", json!({})),
        run(&s, "staging", json!({})),
    ];
    let mut answers = BTreeSet::new();
    for person in [
        s.person("friend", &["stager"]),
        s.person("friend", &["blind"]),
        s.person("other", &["stager"]),
        s.person("chief", &["chief-of-staging"]),
        s.person("requester", &["stager"]),
        s.person("requester", &["blind"]),
        s.requester(),
        s.admin(),
    ] {
        let readable: Vec<String> = requests
            .iter()
            .filter(|r| content(&person, r).status == 200)
            .map(|r| r.id.clone())
            .collect();
        assert_eq!(listed(&person), readable, "{}", person.subject);
        // Who sees the executions learns there whether to ask for what they returned.
        for request in &requests {
            let executions = person.get(&request.path("/executions"));
            if executions.status == 200 {
                let is_readable = readable.contains(&request.id);
                assert_eq!(executions.json["results_readable"], is_readable);
                answers.insert(is_readable);
            }
        }
    }
    assert_eq!(answers.len(), 2, "one who may read and one who may not");
}

#[test]
fn a_waiting_stream_of_whom_it_is_shared_with_wakes() {
    let s = open("");
    let request = s.requester().submit_with(
        "production",
        SELECT,
        json!({"share_with": ["role:readonly", "requester"]}),
    );
    let waiting = s
        .person("reader", &["readonly"])
        .wait(&request.path("/result/stream"));
    s.until_parked(1);
    s.agent("agent-1").run(&request.id);
    assert_eq!(waiting.answer().is(200).json["success"], true);
}

#[test]
fn a_result_is_gone_when_its_retention_is_over() {
    let s = open("[[result_policies]]\nenvironment = \"production\"\nretention_days = 2\n");
    let (short, long) = (
        run(&s, "production", json!({})),
        run(&s, "staging", json!({})),
    );
    let failed = fail(&s, "production");
    forget_live(&s);
    let day = 24 * 3_600;
    s.turn(2 * day - 3_600 - 60);
    content(&short.by, &short).is(200);
    s.turn(60);
    for request in [&short, &failed] {
        content(&request.by, request)
            .refused(410, "gone")
            .saying("retention");
        stream(&request.by, request).refused(410, "gone");
        content(&s.admin(), request).refused(410, "gone");
    }
    content(&long.by, &long).is(200);
    assert_eq!(listed(&s.requester()), [long.id.as_str()]);
    assert_eq!(listed(&s.admin()), [long.id.as_str()]);
    // Where no policy says, thirty days.
    s.turn(28 * day - 60);
    content(&long.by, &long).is(200);
    s.turn(60);
    content(&long.by, &long).refused(410, "gone");
    assert!(listed(&s.requester()).is_empty());
    // The request itself is still there.
    assert_eq!(long.status(), "executed");
}

#[test]
fn the_policy_of_the_most_specific_scope_applies() {
    let s = open(
        r#"
[[result_policies]]
delivery_mode = "stream"
[[result_policies]]
database = "shop"
delivery_mode = "both"
[[result_policies]]
environment = "production"
delivery_mode = "stream"
access = ["user:friend"]
"#,
    );
    let friend = s.person("friend", &["readonly"]);
    let production = run(&s, "production", json!({}));
    content(&production.by, &production).refused(410, "gone");
    stream(&friend, &production).is(200);
    let staging = run(&s, "staging", json!({}));
    content(&staging.by, &staging).is(200);
    stream(&friend, &staging).refused(403, "forbidden");
    let data = serde_json::from_str::<Value>(ROWS).unwrap();
    assert_eq!(content(&staging.by, &staging).json["result_data"], data);
}

/// What `who` reads as the detail of the only execution.
fn detail(who: &Person, id: &str) -> Value {
    let answer = who.get(&format!("/api/requests/{id}/executions")).is(200);
    answer.list("executions")[0]["error_detail"].clone()
}

#[test]
fn row_values_of_an_error_reach_the_requester_alone() {
    const VALUE: &str = "Key (email)=(eve@row.example) already exists.";
    let s = open("[[result_policies]]\nenvironment = \"staging\"\nhide_error_detail = true\n");
    for (environment, shown) in [("development", json!(VALUE)), ("staging", Value::Null)] {
        let request = s.requester().submit(environment, SELECT);
        let agent = s.agent("agent-1");
        let claim = agent.claim(&request.id);
        let report = json!({"success": false, "error_message": "duplicate key (SQLSTATE 23505)",
                            "error_detail": VALUE, "outcome": "rolled_back"});
        agent.result(&claim.execution, &report).is(200);
        assert_eq!(detail(&s.requester(), &request.id), shown, "{environment}");
        assert_eq!(detail(&s.admin(), &request.id), Value::Null);
        let path = format!("/api/requests/{}/result/content", request.id);
        assert!(
            !s.requester()
                .get(&path)
                .is(200)
                .json
                .to_string()
                .contains("row.example")
        );
    }
    let events = s.admin().get("/api/audit/events?limit=100").is(200);
    assert!(
        !events.json.to_string().contains("row.example"),
        "{}",
        events.json
    );
}

#[test]
fn the_list_of_results_follows_the_policy_in_effect() {
    let analysts = "[[auth.groups]]\nname = \"analysts\"\nmembers = [\"ana\"]\n";
    let access = |more: &str| {
        format!(
            "{analysts}[[result_policies]]\naccess = [{more}]\n[[result_policies]]\nenvironment = \"staging\"\n"
        )
    };
    let (with, without) = (access("\"group:analysts\""), access(""));
    let head = SHOP.split("[[workflows]]").next().unwrap();
    let toml = |more: &str| format!("{head}[[workflows]]\n{more}");
    let s = Server::with(&toml(&with));
    let first = run(&s, "production", json!({}));
    let shared = run(&s, "staging", json!({"share_with": ["user:ana"]}));
    run(&s, "staging", json!({}));
    let ana = |s: &Server| s.person("ana", &["readonly"]);
    assert_eq!(listed(&ana(&s)), [first.id.as_str(), shared.id.as_str()]);
    // Taken away: what was shared with her by its request stays.
    let s = s.restart_with(&toml(&without));
    content(&ana(&s), &first).refused(403, "forbidden");
    assert_eq!(listed(&ana(&s)), [shared.id.as_str()]);
    let second = run(&s, "production", json!({}));
    assert_eq!(listed(&s.requester()).len(), 4);
    // Given: of old results too, but where a more specific policy applies.
    let s = s.restart_with(&toml(&with));
    assert_eq!(
        listed(&ana(&s)),
        [first.id.as_str(), shared.id.as_str(), second.id.as_str()]
    );
}
