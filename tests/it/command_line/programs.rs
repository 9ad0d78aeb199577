//! What the programs of a machine print, `serve`, `agent`, `demo` and `check-config`: how they start, and why they do
//! not.

use super::console::Console;
use crate::support::{Program, SHOP, settled};
use std::fs;
use std::net::TcpListener;
use std::process::Command;

fn write(console: &Console, name: &str, text: &str) {
    fs::write(console.home().join(name), text).unwrap();
}

fn server_toml(more: &str) -> String {
    format!("state_dir = \"state\"\nlisten = \"127.0.0.1:0\"\n{more}")
}

/// Two problems, one of them in a line that a reader has to find.
const BROKEN: &str = "workers = 0\nstate_dir = \"state\"\n[[databases]]\nname = \"Shop\"\n";

fn agent_toml(url: &str, token: &str, file: &str) -> String {
    format!(
        "[server]\nurl = \"{url}\"\ntoken = \"{token}\"\n[agent]\nstate_dir = \"agent-state\"\n[[databases]]\n\
         name = \"shop\"\nenvironment = \"development\"\ndriver = \"sqlite\"\npath = \"{file}\"\n"
    )
}

#[test]
fn check_config_prints_what_its_golden_says() {
    let mut console = Console::at("http://nowhere");
    let undriven = SHOP.replace("\"postgresql\"", "\"sqlite\"");
    write(&console, "server.toml", &server_toml(&undriven));
    write(&console, "broken.toml", BROKEN);
    let agent = agent_toml("http://127.0.0.1:1", "x", "shop.db");
    write(&console, "agent.toml", &agent);
    for (call, code) in [
        (&["check-config"][..], 0),
        (&["check-config", "--agent", "agent.toml"], 0),
        (&["check-config", "--config", "broken.toml"], 1),
        (&["check-config", "--config", "nowhere.toml"], 1),
    ] {
        console.record_sentences(call, code);
    }
    console.golden("check-config");
}

#[test]
fn serve_prints_what_its_golden_says() {
    let mut console = Console::at("http://nowhere");
    let state = console.home().join("state");
    write(&console, "server.toml", &server_toml(SHOP));
    write(&console, "broken.toml", BROKEN);
    console.record_until(&["serve"], "listening on ", |_| {
        let _ = fs::remove_dir_all(&state);
    });
    // The port is somebody else's.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    for call in [
        &["serve", "--listen", &at][..],
        &["serve", "--config", "broken.toml"],
        &["serve", "--config", "nowhere.toml"],
    ] {
        console.record_sentences(call, 1);
    }
    console.golden("serve");
}

#[test]
fn agent_prints_what_its_golden_says() {
    let dir = settled(&SHOP.replace("\"postgresql\"", "\"sqlite\""));
    let (server, at) = Program::serve(dir.path());
    let token = fs::read_to_string(dir.path().join("state/agent-token")).unwrap();
    let mut console = Console::at(&format!("http://{at}"));
    rusqlite::Connection::open(console.home().join("shop.db"))
        .unwrap()
        .execute_batch("CREATE TABLE items (id INTEGER PRIMARY KEY)")
        .unwrap();
    let url = format!("http://{at}");
    let good = agent_toml(&url, token.trim(), "shop.db");
    write(&console, "agent.toml", &good);
    let unknown = agent_toml(&url, &token.trim().replace("dbw_", "dbw_0"), "shop.db");
    write(&console, "stranger.toml", &unknown);
    let closed = agent_toml(&url, token.trim(), "nowhere/shop.db");
    write(&console, "closed.toml", &closed);
    write(&console, "broken.toml", "[server]\nurl = 1\n");
    let state = console.home().join("agent-state");
    let fresh = |command: &mut Command| {
        // When the tables are described is for another thread.
        command.env("RUST_LOG", "info,dbward::agent::schema_sync=warn");
        let _ = fs::remove_dir_all(&state);
    };
    console.record_until(&["agent"], "connected to the server", fresh);
    for file in [
        "stranger.toml",
        "closed.toml",
        "broken.toml",
        "nowhere.toml",
    ] {
        console.record_sentences(&["agent", "--config", file], 1);
    }
    console.golden("agent");
    server.stop();
}

#[test]
fn demo_prints_what_its_golden_says() {
    let mut console = Console::at("http://nowhere");
    let state = console.home().join("demo");
    let call = ["demo", "--port", "0", "--state-dir", "demo"];
    console.record_until(&call, "Ctrl-C ends the demo.", |_| {
        let _ = fs::remove_dir_all(&state);
    });
    let away = "postgres://somebody:secret@127.0.0.1:1/x";
    let call = ["demo", "--port", "0", "--postgres", away];
    console.record_sentences(&call, 1);
    console.golden("demo");
}
