//! What scripts of the 0.1.6 command line type: commands, options, formats and exit codes.

use super::console::Console;
use crate::support::Server;
use serde_json::{Value, json};
use std::fs;

/// A line of a script, in which names in capitals are ids; how it ends, and what it prints.
type Line = (&'static str, i32, &'static str);

/// What ends with 2 prints: the request is there, and waits. A mistake in the line ends with 2 as well, without it.
const WAITS: &str = "Continue with:  dbward request watch ";

/// Those of the requester.
const REQUESTER: &[Line] = &[
    (
        "execute SELECT_1 --database shop --environment production --reason because",
        2,
        WAITS,
    ),
    (
        "execute SELECT_1 --environment production --no-result-store --share-with user:approver",
        2,
        WAITS,
    ),
    (
        "execute SELECT_1 --environment production --ticket 7 --repo app --idempotency-key k",
        2,
        WAITS,
    ),
    (
        "execute SELECT_1 --environment production --timeout 1",
        124,
        "after the time limit",
    ),
    (
        "execute SELECT_1 --environment production --emergency --reason down --yes",
        1,
        "request.break_glass",
    ),
    ("execute DELETE_ALL", 1, "DELETE without WHERE"),
    ("execute", 1, "SQL"),
    ("execute --nonsense", 2, "--nonsense"),
    ("migrate up --environment production", 2, WAITS),
    ("migrate down --environment production --count 1", 2, WAITS),
    ("migrate status --environment production", 2, WAITS),
    ("request list", 0, "PENDING"),
    (
        "request list --limit 100 --status pending --database shop --environment production --user requester",
        0,
        "PENDING",
    ),
    ("request list --format json", 0, "\"requests\":["),
    ("request show PENDING", 0, "waiting for approval"),
    (
        "request show PENDING --format json",
        0,
        "\"approval_progress\"",
    ),
    ("request result EXECUTED", 0, "37 rows changed"),
    ("request result EXECUTED --list", 0, "completed"),
    (
        "request result EXECUTED --format json",
        0,
        "\"success\":true",
    ),
    ("request results", 0, "EXECUTED"),
    ("request result PENDING", 1, "error: "),
    ("request resume PENDING", 1, "error: "),
    ("request cancel PENDING --reason mistake", 0, "Cancelled"),
    (
        "request show nothing",
        1,
        "no request that you may see begins with `nothing`",
    ),
    ("user update --slack-user-id U012ABCDEF", 0, "U012ABCDEF"),
    (
        "policy resolve --database shop --environment production",
        0,
        "needs approval",
    ),
    ("databases", 0, "shop"),
    ("whoami", 0, "requester"),
    ("doctor", 0, "ok"),
    ("agents", 1, "metrics.view"),
    ("audit", 1, "audit.view"),
];

/// Those of the approver.
const APPROVER: &[Line] = &[
    ("request list --pending-for-me", 0, "PENDING"),
    ("request approve PENDING --comment fine", 0, "Approved"),
    ("request approve PENDING", 1, "error: "),
    ("request reject OTHER --reason no", 0, "Rejected"),
    ("request reject OTHER", 1, "error: "),
];

/// Those of an administrator.
const ADMIN: &[Line] = &[
    (
        "token create --subject-id ci --role readonly --name pipeline --expires-at 2099-01-01T00:00:00Z",
        0,
        "dbw_",
    ),
    (
        "token create --user ci --role readonly --format json",
        0,
        "\"token\":\"dbw_",
    ),
    ("token list", 0, "ci"),
    ("token revoke TOKEN", 0, "Revoked"),
    (
        "audit --limit 5 --user requester --operation execute_dml --status pending",
        0,
        "request.created",
    ),
    (
        "audit --event-type request.created --event-category approval --outcome success --environment production",
        0,
        "request.created",
    ),
    (
        "audit --since 2020-01-01T00:00:00Z --until 2099-01-01T00:00:00Z --format json",
        0,
        "\"events\":[",
    ),
    ("audit --verify", 0, "The audit log holds"),
    ("agents", 0, "agent-1"),
    ("doctor", 0, "All is well."),
    ("doctor --server server.toml", 1, "BAD"),
    ("doctor --agent agent.toml", 1, "BAD"),
    (
        "migrate repair --mark-applied 20260102030405 --environment production --reason x --emergency --yes --timeout 1",
        124,
        "after the time limit",
    ),
];

#[test]
fn scripts_of_the_old_command_line_work() {
    let server = Server::shop();
    let console = Console::before(&server);
    let (requester, approver, admin) = (server.requester(), server.approver(), server.admin());
    let agent = server.agent("agent-1");
    let update = "UPDATE items SET price = 2 WHERE id = 1";
    let done = requester.submit("development", update);
    let claim = agent.claim(&done.id);
    agent
        .succeed(&claim.execution, r#"{"rows_affected":37}"#)
        .is(200);
    add_migration(&console);
    for name in ["server.toml", "agent.toml"] {
        fs::write(console.home().join(name), "nonsense = true\n").unwrap();
    }
    for (person, lines) in [
        (&requester, REQUESTER),
        (&approver, APPROVER),
        (&admin, ADMIN),
    ] {
        let pending = requester.submit("production", update).id;
        let other = requester.submit("production", update).id;
        let token = newest_token(&admin.get("/api/tokens").is(200).json);
        agent.poll();
        for (line, code, prints) in lines {
            let named = |text: &str| {
                text.replace("PENDING", &pending)
                    .replace("OTHER", &other)
                    .replace("EXECUTED", &done.id)
                    .replace("TOKEN", &token)
            };
            let line = named(line);
            let words: Vec<String> = line
                .split(' ')
                .map(|word| match word {
                    "SELECT_1" => "UPDATE items SET price = 3 WHERE id = 1".to_owned(),
                    "DELETE_ALL" => "DELETE FROM items".to_owned(),
                    word => word.to_owned(),
                })
                .collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let ran = console.run(person.token.as_deref(), &words);
            let all = format!("{}{}", ran.out, ran.errors);
            // Lists show the beginning of an id.
            let prints = named(prints);
            let found = all.contains(&prints) || (prints.len() == 36 && all.contains(&prints[..8]));
            let is_misread = all.contains("Usage:") && !line.contains("--nonsense");
            assert!(
                ran.code == *code && found && !is_misread,
                "dbward {line}\n[{}] {all}",
                ran.code
            );
        }
    }
}

fn add_migration(console: &Console) {
    let migrations = console.home().join("migrations");
    fs::create_dir(&migrations).unwrap();
    let text = "-- migrate:up\nALTER TABLE items ADD paid_at text;\n-- migrate:down\nALTER TABLE items DROP paid_at;\n";
    fs::write(migrations.join("20260102030405_add_paid_at.sql"), text).unwrap();
}

#[test]
fn options_of_old_scripts_reach_the_server() {
    let server = Server::shop();
    let console = Console::before(&server);
    let requester = server.requester();
    add_migration(&console);
    let made = |line: &str| {
        let words = line.split(' ').map(|word| match word {
            "UPDATE_1" => "UPDATE items SET price = 3 WHERE id = 1",
            word => word,
        });
        let words: Vec<&str> = words.collect();
        let ran = console.run(requester.token.as_deref(), &words).is(2);
        let path = format!("/api/requests/{}", ran.out.trim());
        requester.get(&path).is(200).json
    };
    let plain = made("execute UPDATE_1 --environment production --reason because");
    assert_eq!(plain["reason"], "because");
    assert_eq!(
        (
            &plain["no_result_store"],
            &plain["share_with"],
            &plain["metadata"]
        ),
        (&json!(false), &json!([]), &Value::Null)
    );
    let silent = made(
        "execute UPDATE_1 --environment production --no-result-store --share-with user:approver --share-with group:approvers",
    );
    assert_eq!(silent["no_result_store"], true);
    assert_eq!(
        silent["share_with"],
        json!(["user:approver", "group:approvers"])
    );
    let keyed =
        "execute UPDATE_1 --environment production --ticket 7 --repo app --idempotency-key k";
    let first = made(keyed);
    assert_eq!(first["metadata"], json!({"ticket": "7", "repo": "app"}));
    assert_eq!(made(keyed)["id"], first["id"], "made once");
    for (line, operation, count) in [
        ("migrate up", "migrate_up", Value::Null),
        ("migrate down", "migrate_down", json!(1)),
        ("migrate down --count 3", "migrate_down", json!(3)),
        ("migrate status", "migrate_status", Value::Null),
    ] {
        let request = made(&format!("{line} --environment production"));
        assert_eq!(request["operation"], operation, "{line}");
        // To ask where a database stands, nothing is sent.
        let detail: Value =
            serde_json::from_str(request["detail"].as_str().unwrap()).unwrap_or_default();
        assert_eq!(detail["max_count"], count, "{line}");
    }
}

/// The id of a token that somebody else than the administrator holds.
fn newest_token(list: &Value) -> String {
    let tokens = list["tokens"].as_array().unwrap().iter();
    let mut of_others = tokens.filter(|t| t["subject_id"] == "agent-1");
    of_others.next().unwrap()["id"].as_str().unwrap().to_owned()
}
