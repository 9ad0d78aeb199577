//! `POST /api/preflight` and its command: what would happen, and that nothing does.

use super::console::Console;
use crate::schemas::{describe, table};
use crate::support::{Person, SHOP, Server};
use serde_json::{Value, json};
use std::fs;
use std::thread;

fn tried(server: &Server, sql: &str) -> Value {
    let body = json!({"database": "shop", "environment": "production", "sql": sql});
    server
        .requester()
        .post("/api/preflight", &body)
        .is(200)
        .json
}

#[test]
fn preflight_says_what_request_would_come_to_and_makes_none() {
    let server = Server::shop();
    let requester = server.requester();
    let before = server.events("").len();
    let good = tried(&server, "UPDATE items SET price = 2 WHERE id = 1");
    assert_eq!(good["status"], "requestable", "{good}");
    assert_eq!(good["classification"]["operation"], "execute_dml");
    assert_eq!(good["policy"]["decision"], "needs_approval");
    assert_eq!(
        good["policy"]["workflow"]["steps"][0]["approvers"][0]["selector"],
        "group:approvers"
    );
    assert_eq!(good["impact"]["tables"][0]["name"], "items");
    assert_eq!(
        good["next_actions"],
        json!(["create_request", "wait_for_approval"])
    );
    let unread = tried(&server, "SELECT 1;\n  SELEC 2");
    assert_eq!(unread["status"], "warning", "{unread}");
    assert_eq!(
        (
            &unread["unparsable"]["line"],
            &unread["unparsable"]["column"]
        ),
        (&json!(2), &json!(3))
    );
    let bad = tried(&server, "DELETE FROM items");
    assert_eq!(
        (&bad["status"], &bad["policy"]["decision"]),
        (&json!("blocked"), &json!("deny"))
    );
    assert_eq!(bad["refusal"]["code"], "sql_blocked_by_review");
    assert_eq!(bad["review"]["findings"][0]["rule"], "NoWhereDelete");
    assert!(!bad["fix_hints"].as_array().unwrap().is_empty(), "{bad}");
    assert_eq!(
        tried(&server, "GRANT ALL ON items TO x")["refusal"]["code"],
        "sql_rejected"
    );
    assert_eq!(server.events("").len(), before, "nothing is audited");
    // It agrees with what a submit says.
    let refused = requester.create("production", "DELETE FROM items");
    assert_eq!(refused.json["error"]["message"], bad["refusal"]["message"]);
    assert!(requester.ids("limit=10").is_empty());
}

#[test]
fn refused_text_still_says_what_it_is_and_how_risky() {
    // The only approver is the one who asks.
    let server = Server::with(
        r#"
[[databases]]
name = "shop"
dialect = "postgresql"
environments = ["production"]

[[workflows]]
database = "*"
environment = "*"
admin_override = false
steps = [{ approvers = [{ group = "team", min = 1 }] }]

[[auth.groups]]
name = "team"
members = ["requester"]
"#,
    );
    let unreachable = tried(&server, "UPDATE items SET price = 2 WHERE id = 1");
    assert_eq!(
        unreachable["refusal"]["code"], "no_eligible_approver",
        "{unreachable}"
    );
    assert_eq!(
        unreachable["classification"],
        json!({"operation": "execute_dml", "reason": "updates rows"})
    );
    assert_eq!(
        unreachable["risk"],
        json!({"level": "unknown", "factors": ["SchemaNotSynced"]})
    );
    assert_eq!(
        unreachable["policy"]["workflow"]["steps"][0]["approvers"][0]["selector"],
        "group:team"
    );
    assert_eq!(unreachable["policy"]["approvable"], false);
    let rejected = tried(&server, "GRANT ALL ON items TO x");
    assert_eq!(rejected["classification"]["operation"], json!(null));
    assert!(
        rejected["classification"]["reason"].is_string(),
        "{rejected}"
    );
    assert!(rejected["risk"]["level"].is_string(), "{rejected}");
}

/// `policy` of an answer, as whether somebody can approve it and what is decided.
fn approvable(by: &Person, environment: &str, sql: &str) -> (bool, String) {
    let body = json!({"database": "shop", "environment": environment, "sql": sql});
    let answer = by.post("/api/preflight", &body).is(200).json;
    let policy = &answer["policy"];
    let reason = policy["reason_code"].as_str().unwrap().to_owned();
    (policy["approvable"].as_bool().unwrap(), reason)
}

#[test]
fn what_no_request_can_be_made_of_is_not_approvable() {
    let closed = SHOP.replace("environment = \"staging\"", "environment = \"nowhere\"");
    let closed = closed.replace("\"staging\", ", "\"nowhere\", \"staging\", ");
    let server = Server::with(&closed);
    let (requester, reader) = (server.requester(), server.approver());
    let write = "UPDATE items SET price = 2 WHERE id = 1";
    for (by, environment, sql, can, reason) in [
        (
            &requester,
            "production",
            write,
            true,
            "no_auto_approve_rule",
        ),
        (&requester, "development", write, true, "empty_steps"),
        (
            &reader,
            "production",
            "SELECT 1",
            true,
            "no_auto_approve_rule",
        ),
        (&reader, "production", write, false, "forbidden"),
        (
            &requester,
            "production",
            "DELETE FROM items",
            false,
            "sql_blocked_by_review",
        ),
        (
            &requester,
            "production",
            "GRANT ALL ON items TO x",
            false,
            "sql_rejected",
        ),
        (&requester, "staging", write, false, "no_matching_workflow"),
        (
            &requester,
            "elsewhere",
            write,
            false,
            "database_not_registered",
        ),
    ] {
        assert_eq!(
            approvable(by, environment, sql),
            (can, reason.to_owned()),
            "{environment}: {sql}"
        );
    }
}

#[test]
fn known_row_counts_are_shown_to_those_who_may_view() {
    let blind = "[[auth.roles]]\nname = \"blind\"\npermissions = [\"request.create\"]\n";
    let server = Server::with(&format!("{SHOP}{blind}"));
    let sql = "UPDATE items SET note = 'a' WHERE id IN (SELECT id FROM orders)";
    let rows = |by: &Person| {
        let body = json!({
            "database": "shop", "environment": "production", "sql": sql, "include_explain": false,
        });
        by.post("/api/preflight", &body).is(200).json["impact"]["tables"].clone()
    };
    let named = |items: Value| {
        json!([
            {"name": "items", "estimated_rows": items},
            {"name": "orders", "estimated_rows": null},
        ])
    };
    assert_eq!(rows(&server.requester()), named(Value::Null));
    // A database that has not counted a table says -1.
    describe(
        &server,
        "production",
        &[table("items", 12_345), table("orders", -1)],
    );
    assert_eq!(rows(&server.requester()), named(json!(12_345)));
    let blind = server.person("blind", &["blind"]);
    assert_eq!(rows(&blind), named(Value::Null));
}

#[test]
fn preflight_needs_the_rights_of_a_request_and_is_bounded() {
    let server = Server::shop();
    let body = json!({"database": "shop", "environment": "production", "sql": "SELECT 1"});
    let nobody = server.person("auditor", &[]);
    nobody
        .post("/api/preflight", &body)
        .refused(403, "forbidden");
    // Who may only read learns that, and no more.
    let reader = server.approver();
    let write = json!({"database": "shop", "environment": "production", "sql": "UPDATE t SET a = 1 WHERE b = 2"});
    let answer = reader.post("/api/preflight", &write).is(200).json;
    assert_eq!(answer["refusal"]["code"], "forbidden", "{answer}");
    assert_eq!(
        answer["classification"],
        json!({"operation": null, "reason": null})
    );
    assert_eq!(answer["risk"]["level"], json!(null));
    for bad in [
        json!({"database": "shop", "environment": "production"}),
        json!({"database": "shop", "environment": "production", "sql": " "}),
        json!({"database": "shop", "environment": "production", "sql": "a\0"}),
        json!({"database": "Shop", "environment": "production", "sql": "SELECT 1"}),
        json!({"database": "shop", "environment": "production", "sql": "SELECT 1", "colour": 1}),
    ] {
        reader
            .post("/api/preflight", &bad)
            .refused(400, "validation_error");
    }
    let requester = server.requester();
    for _ in 0..60 {
        requester.post("/api/preflight", &body).is(200);
    }
    requester
        .post("/api/preflight", &body)
        .refused(429, "rate_limited");
    server.turn(60);
    requester.post("/api/preflight", &body).is(200);
}

#[test]
fn a_vote_says_what_it_was_booked_on() {
    let server = Server::shop();
    let request = server
        .requester()
        .submit("production", "UPDATE items SET price = 2 WHERE id = 1");
    let answer = server.approver().approve(&request).is(200);
    assert_eq!(answer.text("matched_selector"), "group:approvers");
}

#[test]
fn the_command_fails_where_it_should_and_annotates() {
    let server = Server::with(&format!(
        "{SHOP}\n[sql_review]\nno_where_update = \"warn\"\n"
    ));
    let mut console = Console::before(&server);
    let mine = server.requester().token.unwrap();
    fs::write(
        console.home().join("fix.sql"),
        "SELECT 1;\nUPDATE items SET price = 2",
    )
    .unwrap();
    fs::write(console.home().join("bad.sql"), "DELETE FROM items").unwrap();
    let run = |file: &'static str, more: &[&'static str]| {
        let mut args = vec!["preflight", "--file", file, "-e", "production"];
        args.extend(more);
        args
    };
    console
        .record_wide(
            &mine,
            &[
                "preflight",
                "UPDATE items SET price = 2 WHERE id = 1",
                "-e",
                "production",
            ],
        )
        .is(0);
    console.record(&mine, &run("bad.sql", &[])).is(1);
    console
        .record(&mine, &run("bad.sql", &["--format", "github"]))
        .is(1);
    console.record(
        &mine,
        &run("fix.sql", &["--fail-on", "warning", "--format", "github"]),
    );
    let sarif = console
        .run(Some(&mine), &run("bad.sql", &["--format", "sarif"]))
        .is(1)
        .out;
    let sarif: Value = serde_json::from_str(&sarif).unwrap();
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(
        (&result["ruleId"], &result["level"]),
        (&json!("NoWhereDelete"), &json!("error"))
    );
    let region = &result["locations"][0]["physicalLocation"]["region"];
    assert_eq!(region, &json!({"startLine": 1, "startColumn": 1}));
    console.golden("preflight");
}

#[test]
fn a_pipeline_tells_a_finding_from_a_missing_answer() {
    let server = Server::shop();
    let console = Console::before(&server);
    let mine = server.requester().token.unwrap();
    let bad = ["preflight", "DELETE FROM items", "-e", "production"];
    console.run(Some(&mine), &bad).is(1);
    // No file, no right, no server.
    let no_file = ["preflight", "--file", "nothing.sql", "-e", "production"];
    console.run(Some(&mine), &no_file).is(2);
    console
        .run(Some("dbw_00000000000000000000000000000000"), &bad)
        .is(2);
    let json = [&bad[..], &["--format", "json"]].concat();
    let unknown = "dbw_00000000000000000000000000000000";
    let ran = console.run(Some(unknown), &json).is(2);
    let body: Value = serde_json::from_str(&ran.errors).unwrap();
    assert_eq!(body["error"]["code"], "unauthenticated", "{body}");
    let away = Console::at("http://127.0.0.1:9")
        .run(Some(&mine), &bad)
        .is(2);
    let why = "error: the server cannot be reached: ";
    assert!(away.errors.starts_with(why), "{}", away.errors);
}

#[test]
fn the_command_shows_the_plan_that_an_agent_brings() {
    let server = Server::shop();
    let console = Console::before(&server);
    let mine = server.requester().token.unwrap();
    let agent = server.agent("agent-1");
    agent.poll();
    let run = |more: &[&str]| {
        let mut call = vec!["preflight", "SELECT * FROM items WHERE id = 1", "-e"];
        call.push("development");
        call.extend(more);
        console.run(Some(&mine), &call).is(0).out
    };
    let shown = thread::scope(|scope| {
        scope.spawn(|| {
            let work = agent.begin_poll(30).answer().is(200).json;
            let id = work["dry_run_jobs"][0]["id"].as_str().unwrap();
            let path = format!("/api/agent/dry-run/{id}");
            let claimed = agent.person.poke(&format!("{path}/claim")).is(200);
            let plan = json!([{"Plan": {
                "Node Type": "Index Scan", "Index Name": "items_pkey", "Relation Name": "items", "Plan Rows": 1,
            }}]);
            let body = json!({"claim_token": claimed.text("claim_token"), "result": plan});
            agent.person.post(&format!("{path}/result"), &body).is(200);
        });
        run(&[])
    });
    let plan = "  Table items\n  Plan\n    Index Scan using items_pkey on items, about 1 row\n";
    assert!(shown.ends_with(plan), "{shown}");
    // Where nobody wants one, nobody is asked and nobody waits.
    assert!(run(&["--no-explain"]).ends_with("  Table items\n"));
    assert_eq!(agent.poll().json["dry_run_jobs"], json!([]));
}

/// What the schema of SARIF 2.1.0 requires of a run with results, and what code scanning needs to show them.
#[test]
fn sarif_and_annotations_say_where_as_their_readers_want_it() {
    let server = Server::with(&format!(
        "{SHOP}\n[sql_review]\nno_where_update = \"warn\"\n"
    ));
    let console = Console::before(&server);
    let mine = server.requester().token.unwrap();
    let file = "a, b: 100%.sql";
    for (text, code) in [
        ("SELECT 1;\nUPDATE items SET price = 2", 0),
        ("DELETE FROM items", 1),
        ("SELECT 1", 0),
        ("SELECT 1;\n  SELEC 2", 0),
    ] {
        fs::write(console.home().join(file), text).unwrap();
        let run = |format: &str| {
            let call = [
                "preflight",
                "--file",
                file,
                "-e",
                "production",
                "--format",
                format,
            ];
            console.run(Some(&mine), &call).is(code).out
        };
        let log: Value = serde_json::from_str(&run("sarif")).unwrap();
        assert_eq!(log["version"], "2.1.0");
        assert!(
            log["$schema"]
                .as_str()
                .unwrap()
                .ends_with("sarif-2.1.0.json")
        );
        let one = &log["runs"].as_array().unwrap()[0];
        let driver = &one["tool"]["driver"];
        assert_eq!(
            (&driver["name"], &one["columnKind"]),
            (&json!("dbward"), &json!("unicodeCodePoints"))
        );
        let rules: Vec<&Value> = driver["rules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| &r["id"])
            .collect();
        let results = one["results"].as_array().unwrap();
        assert_eq!(results.is_empty(), text == "SELECT 1", "{log}");
        let annotations = run("github");
        assert_eq!(annotations.lines().count(), results.len(), "{annotations}");
        for (result, annotation) in results.iter().zip(annotations.lines()) {
            let level = if code == 1 { "error" } else { "warning" };
            assert_eq!(result["level"], level, "{result}");
            assert!(rules.contains(&&result["ruleId"]), "{log}");
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            let place = &result["locations"][0]["physicalLocation"];
            assert_eq!(place["artifactLocation"]["uri"], "a%2C%20b%3A%20100%25.sql");
            let at = |key: &str| place["region"][key].as_u64().unwrap();
            let (line, column) = (at("startLine"), at("startColumn"));
            assert!(line >= 1 && column >= 1, "{place}");
            let begins =
                format!("::{level} file=a%2C b%3A 100%25.sql,line={line},col={column},title=");
            assert!(annotation.starts_with(&begins), "{annotation}");
        }
    }
}

#[test]
fn a_time_limit_below_zero_is_refused() {
    let s = crate::support::Server::shop();
    let body = serde_json::json!({
        "database": "shop", "environment": "production", "sql": "SELECT 1", "explain_timeout_ms": -1
    });
    s.requester()
        .post("/api/preflight", &body)
        .refused(400, "validation_error")
        .saying("explain_timeout_ms");
}
