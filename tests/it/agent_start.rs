//! How the real agent starts, when it refuses to, and that what it proves arrives.

use crate::support::{Program, SHOP, admin_of, binary, settled};
use serde_json::json;
use std::fs;
use std::path::Path;

/// Writes agent.toml for one database; further lines go into its table.
fn agent_toml(dir: &Path, at: std::net::SocketAddr, database: &str) {
    let text = format!(
        "[server]\nurl = \"http://{at}\"\ntoken_file = \"state/agent-token\"\n[agent]\nstate_dir = \"agent-state\"\n\
         [[databases]]\nname = \"shop\"\nenvironment = \"development\"\n{database}"
    );
    fs::write(dir.join("agent.toml"), text).unwrap();
}

const FILE: &str = "driver = \"sqlite\"\npath = \"shop.db\"\n";

fn shop_db(dir: &Path) {
    rusqlite::Connection::open(dir.join("shop.db"))
        .unwrap()
        .execute_batch("CREATE TABLE a (b)")
        .unwrap();
}

/// The program in that folder, with a bare name for its configuration.
fn agent(dir: &Path) -> std::process::Command {
    let mut command = binary();
    command
        .current_dir(dir)
        .args(["agent", "--config", "agent.toml"]);
    command
}

fn refused(dir: &Path) -> String {
    let output = agent(dir).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn an_agent_starts_from_a_bare_file_name() {
    let dir = settled(&SHOP.replace("\"postgresql\"", "\"sqlite\""));
    shop_db(dir.path());
    let (server, at) = Program::serve(dir.path());
    // Operators read the key to pin where the server keeps its state.
    let key = fs::read_to_string(dir.path().join("state/signing.pub")).unwrap();
    agent_toml(dir.path(), at, FILE);
    let pinned = fs::read_to_string(dir.path().join("agent.toml")).unwrap();
    let pinned = pinned.replace("[agent]", &format!("public_key = \"{key}\"\n[agent]"));
    fs::write(dir.path().join("agent.toml"), pinned).unwrap();
    let running = Program::start(&mut agent(dir.path()));
    let admin = admin_of(at, dir.path());
    let request = admin.submit_with("development", "SELECT b FROM a", json!({}));
    let stream = admin.get(&request.path("/result/stream?wait=30")).is(200);
    assert_eq!(stream.json["success"], true, "{}", stream.raw());
    running.stop();
    server.stop();
}

#[test]
fn what_the_agent_proves_is_what_people_read() {
    let dir = settled(&SHOP.replace("\"postgresql\"", "\"sqlite\""));
    rusqlite::Connection::open(dir.path().join("shop.db"))
        .unwrap()
        .execute_batch("CREATE TABLE a (b); INSERT INTO a VALUES (1), (2)")
        .unwrap();
    let (server, at) = Program::serve(dir.path());
    agent_toml(dir.path(), at, FILE);
    let running = Program::start(&mut agent(dir.path()));
    let admin = admin_of(at, dir.path());
    let run = |sql: &str, rows: Option<u64>| {
        let more = json!({"max_affected_rows": rows});
        let request = admin.submit_with("development", sql, more);
        let stream = admin.get(&request.path("/result/stream?wait=30")).is(200);
        (request, stream.json)
    };
    // More rows than were allowed: nothing is changed, and the agent proves it.
    let (_, over) = run("UPDATE a SET b = 5 WHERE b > 0", Some(1));
    assert_eq!(
        (&over["success"], &over["outcome"]),
        (&json!(false), &json!("rolled_back"))
    );
    let message = over["error_message"].as_str().unwrap();
    let counted = "2 rows would change, 1 approved: nothing was changed";
    assert!(message.starts_with(counted), "{message}");
    let (_, within) = run("UPDATE a SET b = 5 WHERE b > 0", Some(2));
    assert_eq!(
        (&within["success"], &within["rows_affected"]),
        (&json!(true), &json!(2))
    );
    // A text and bytes of the same form, and bytes that are not text, are three different cells.
    let sql =
        "SELECT '\\xff80' AS v UNION ALL SELECT x'ff80' UNION ALL SELECT CAST(x'ff80' AS TEXT)";
    let (request, _) = run(sql, None);
    let exact = admin
        .get(&request.path("/result/content?values=exact"))
        .is(200);
    assert_eq!(
        exact.json["result_data"]["rows"],
        json!([
            {"v": "\\xff80"},
            {"v": {"type": "blob", "value": "\\xff80"}},
            {"v": {"type": "invalid_utf8", "value": "\\xff80"}},
        ])
    );
    running.stop();
    server.stop();
}

#[test]
fn agent_refuses_to_start_where_a_database_cannot_be_opened() {
    let dir = settled(SHOP);
    let (server, at) = Program::serve(dir.path());
    agent_toml(dir.path(), at, FILE);
    let errors = refused(dir.path());
    assert!(
        errors.contains("database shop/development cannot be opened"),
        "{errors}"
    );
    assert!(!dir.path().join("shop.db").exists());
    fs::write(
        dir.path().join("shop.db"),
        "this is a text, and not a database at all",
    )
    .unwrap();
    let errors = refused(dir.path());
    assert!(errors.contains("not a database"), "{errors}");
    // Nobody answers there; the password stays out of the log.
    let closed = "driver = \"postgresql\"\nurl = \"postgresql://app:hunter2@127.0.0.1:1/app\"\n";
    agent_toml(dir.path(), at, closed);
    let errors = refused(dir.path());
    assert!(errors.contains("cannot be opened"), "{errors}");
    assert!(!errors.contains("hunter2"), "{errors}");
    // It never reported that it serves the database.
    let agents = admin_of(at, dir.path()).get("/api/agents").is(200);
    assert_eq!(agents.list("agents").len(), 0);
    server.stop();
}

#[test]
fn agent_with_a_bad_token_gives_up_and_says_why() {
    let dir = settled(SHOP);
    shop_db(dir.path());
    let (server, at) = Program::serve(dir.path());
    agent_toml(dir.path(), at, FILE);
    fs::copy(
        dir.path().join("state/developer-token"),
        dir.path().join("state/agent-token"),
    )
    .unwrap();
    let errors = refused(dir.path());
    assert!(
        errors.contains("agent token required") || errors.contains("forbidden"),
        "{errors}"
    );
    let token = fs::read_to_string(dir.path().join("state/developer-token")).unwrap();
    assert!(!errors.contains(&token));
    server.stop();
}
