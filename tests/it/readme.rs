//! The README's first team, as it stands there: its two configurations, and its commands run by a shell.

use crate::support::{Program, Temp, binary};
use std::fs;
use std::process::Command;

/// The code blocks of that language after that heading, up to the next heading of its level.
fn blocks(heading: &str, language: &str) -> Vec<String> {
    let text = include_str!("../../README.md");
    let start = text.find(heading).unwrap_or_else(|| panic!("no {heading}"));
    let section = &text[start + heading.len()..];
    let end = section.find("\n## ").unwrap_or(section.len());
    let fence = format!("```{language}\n");
    let parts = section[..end].split(&fence).skip(1);
    parts
        .map(|part| part[..part.find("```").unwrap()].to_owned())
        .collect()
}

#[test]
fn the_first_team_of_the_readme_works_as_written() {
    let dir = Temp::new();
    let toml = blocks("## A first team", "toml");
    let shell = blocks("## A first team", "sh");
    assert_eq!((toml.len(), shell.len()), (2, 3));
    fs::write(dir.path().join("server.toml"), &toml[0]).unwrap();
    rusqlite::Connection::open(dir.path().join("app.db"))
        .unwrap()
        .execute_batch(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER); INSERT INTO t VALUES (7, 0)",
        )
        .unwrap();
    let mut serve = binary();
    serve.current_dir(dir.path()).args([
        "serve",
        "--config",
        "server.toml",
        "--listen",
        "127.0.0.1:0",
    ]);
    let server = Program::start(&mut serve);
    let line = server.line();
    let at = line.strip_prefix("listening on http://").unwrap();
    let here = |text: &str| text.replace("127.0.0.1:3000", at);
    fs::write(dir.path().join("agent.toml"), here(&toml[1])).unwrap();
    let mut agent = binary();
    agent
        .current_dir(dir.path())
        .args(["agent", "--config", "agent.toml"]);
    let agent = Program::start(&mut agent);
    // The first block starts what runs here already.
    let script = shell[1..].iter().map(|text| here(text)).collect::<String>();
    let output = Command::new("sh")
        .current_dir(dir.path())
        .args(["-e", "-c", &script])
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{shown}{errors}");
    for says in [
        "\"status\":\"approved\"",
        "\"status\":\"dispatched\"",
        "\"success\":true",
        "\"decision_preview\"",
    ] {
        assert!(shown.contains(says), "no {says}: {shown}{errors}");
    }
    let names = fs::read_dir(dir.path()).unwrap();
    let downloaded = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("result-"))
        .count();
    assert_eq!(downloaded, 1, "{shown}{errors}");
    agent.stop();
    server.stop();
}
