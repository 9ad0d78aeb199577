//! How the real agent starts, and when it refuses to.

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
fn an_agent_refuses_to_start_where_a_database_cannot_be_opened() {
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
fn an_agent_with_a_bad_token_gives_up_and_says_why() {
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
