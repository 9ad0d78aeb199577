//! `dbward demo`: what it prints is what works.

use crate::support::{Program, Temp, binary};
use rustix::process::Signal;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// What the demo printed: where its state is, and its commands.
struct Guide {
    state: PathBuf,
    commands: Vec<String>,
}

fn guide(program: &Program) -> Guide {
    let mut lines = vec![program.line()];
    while !lines.last().unwrap().contains("Ctrl-C") {
        lines.push(program.line());
    }
    let state = lines
        .iter()
        .find_map(|l| l.trim().strip_prefix("state "))
        .unwrap();
    let state = state.trim().split(" (").next().unwrap().into();
    let mut commands = Vec::new();
    let mut rest = lines.iter().peekable();
    while let Some(line) = rest.next() {
        if line.starts_with("# ") {
            let mut command = Vec::new();
            while let Some(part) = rest.next_if(|l| !l.is_empty() && !l.starts_with("# ")) {
                command.push(part.as_str());
            }
            commands.push(command.join("\n"));
        }
    }
    Guide { state, commands }
}

/// The JSON documents that a command prints, one a line.
fn run(command: &str) -> Vec<Value> {
    let output = Command::new("sh").arg("-c").arg(command).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command}\n{text}{errors}");
    text.lines()
        .filter(|l| !l.trim().is_empty())
        .map(|l| {
            serde_json::from_str(l).unwrap_or_else(|e| panic!("{command}\n{l}: {e}; {errors}"))
        })
        .collect()
}

#[test]
fn the_six_printed_commands_work_as_printed() {
    let program = Program::start(binary().args(["demo", "--port", "0"]));
    let guide = guide(&program);
    assert_eq!(guide.commands.len(), 6, "{:?}", guide.commands);
    assert!(guide.state.is_dir());
    let answers: Vec<Vec<Value>> = guide.commands.iter().map(|c| run(c)).collect();
    let last = |n: usize| {
        answers[n]
            .last()
            .unwrap_or_else(|| panic!("no answer to {}", guide.commands[n]))
    };
    assert_eq!(last(0)["success"], true, "{}", last(0));
    assert!(
        !last(0)["result_data"]["rows"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert_eq!(last(1)["status"], "pending", "{}", last(1));
    assert_eq!(last(2)["status"], "approved", "{}", last(2));
    assert_eq!(last(3)["success"], true, "{}", last(3));
    assert_eq!(last(3)["rows_affected"], 1, "{}", last(3));
    assert_eq!(
        last(4)["error"]["code"],
        "sql_blocked_by_review",
        "{}",
        last(4)
    );
    assert_eq!(last(5)["valid"], true, "{}", last(5));
    program.signal(Signal::INT);
    let (status, errors) = program.end();
    assert!(status.success(), "{status}: {errors}");
    assert!(
        !errors.contains("ERROR") && !errors.contains("panicked"),
        "{errors}"
    );
    assert!(
        !guide.state.exists(),
        "{} is still there",
        guide.state.display()
    );
}

#[test]
fn a_demo_with_a_state_dir_keeps_it_and_starts_again_on_it() {
    let dir = Temp::new();
    let state = dir.path().join("kept");
    let start = || {
        let mut command = binary();
        command
            .args(["demo", "--port", "0", "--state-dir"])
            .arg(&state);
        Program::start(&mut command)
    };
    let first = start();
    run(&guide(&first).commands[1]);
    first.stop();
    assert!(state.join("dbward.db").is_file());
    let second = start();
    let guide = guide(&second);
    // What waited then still waits.
    let answers = run(&guide.commands[2]);
    assert_eq!(answers[0]["status"], "approved", "{answers:?}");
    assert_eq!(run(&guide.commands[5])[0]["valid"], true);
    second.stop();
    assert!(state.join("server.toml").is_file());
}
