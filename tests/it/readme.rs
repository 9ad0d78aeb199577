//! The README's first session and the first team of docs/first-team.md, as they stand there: two configurations, and
//! commands run by a shell.

use crate::command_line::console::{shown, without_colours};
use crate::command_line::steady::steady_durations;
use crate::support::{Program, Temp, binary};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// The code blocks of that language on the page of the first team.
fn blocks(language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let parts = include_str!("../../docs/first-team.md")
        .split(&fence)
        .skip(1);
    parts
        .map(|part| part[..part.find("```").unwrap()].to_owned())
        .collect()
}

/// Seconds that the commands may take: people have five minutes.
const SCRIPT_SECS: &str = "120";

/// An address of this machine that nobody listens on.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn the_first_team_works_as_written() {
    let dir = Temp::new();
    let toml = blocks("toml");
    let shell = blocks("sh");
    assert_eq!((toml.len(), shell.len()), (2, 5));
    rusqlite::Connection::open(dir.path().join("app.db"))
        .unwrap()
        .execute_batch(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER); INSERT INTO t VALUES (7, 0)",
        )
        .unwrap();
    let at = free_address();
    let here = |text: &str| text.replace("127.0.0.1:3000", &at);
    fs::write(dir.path().join("server.toml"), here(&toml[0])).unwrap();
    fs::write(dir.path().join("agent.toml"), here(&toml[1])).unwrap();
    symlink(binary().get_program(), dir.path().join("dbward")).unwrap();
    // The database is there already; server and agent end with the shell.
    let script: String = here(&shell.concat())
        .lines()
        .filter(|line| !line.starts_with("sqlite3 "))
        .map(|line| format!("{line}\n"))
        .collect();
    let script = format!(
        "PATH=.:$PATH\ntrap 'kill $(jobs -p)' EXIT\ntrap 'echo \"[$?] $BASH_COMMAND\" >&2' ERR\n{script}"
    );
    let output = Command::new("timeout")
        .current_dir(dir.path())
        .env("HOME", dir.path())
        .args([SCRIPT_SECS, "bash", "-c", &script])
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{shown}{errors}");
    let failed: Vec<&str> = errors.lines().filter(|l| l.starts_with('[')).collect();
    assert!(
        failed.len() == 1 && failed[0].starts_with("[2] ID=$(alice execute"),
        "only what waits for approval ends with anything but 0: {failed:?}\n{shown}{errors}"
    );
    for says in [
        "you can approve step 1 as group team",
        "Approved as group team.",
        "1 row changed.",
        "Needs 1 of group team.",
        "needs approval",
        "\"status\":\"approved\"",
        "\"status\":\"dispatched\"",
        "\"success\":true",
        "\"decision_preview\"",
    ] {
        assert!(shown.contains(says), "no {says}: {shown}{errors}");
    }
    let result = fs::read_to_string(dir.path().join("result.json")).unwrap();
    assert!(result.contains("\"success\":true"), "{result}");
    let names = fs::read_dir(dir.path()).unwrap();
    let downloaded = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("result-"))
        .count();
    assert_eq!(downloaded, 1, "{shown}{errors}");
}

/// Everything that the console has a newcomer paste, but for the address, which is that of the page.
#[test]
fn the_consoles_first_steps_are_those_of_the_first_team() {
    let page = include_str!("../../src/web/page_first.js");
    let team = include_str!("../../docs/first-team.md");
    let here = "http://127.0.0.1:3000";
    let texts: Vec<String> = page
        .split("\nconst ")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("= `")?.1.split_once("`;")?.0))
        .map(|text| text.replace("${location.origin}", here))
        .collect();
    assert_eq!(texts.len(), 4);
    for text in texts {
        assert!(team.contains(&text), "{text}");
    }
}

/// The session at the top of the README, as a terminal of 100 columns shows it before a demo.
#[test]
fn the_session_at_the_top_of_the_readme_was_seen() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let fence = "```console\n";
    let start = readme.find(fence).unwrap() + fence.len();
    let end = start + readme[start..].find("```").unwrap();
    assert!(
        readme[..start].lines().count() < 12,
        "it is on the first screen"
    );
    let kept = &readme[start..end];
    let commands: Vec<&str> = kept.lines().filter_map(|l| l.strip_prefix("$ ")).collect();
    assert!(commands.len() > 2, "{commands:?}");
    assert_eq!(commands[0], ". demo/env");
    let folder = Temp::new();
    let mut demo = binary();
    demo.args(["demo", "--port", "0", "--state-dir", "demo"])
        .current_dir(folder.path());
    let program = Program::start(&mut demo);
    while !program.line().contains("Ctrl-C") {}
    let mut id = String::new();
    let seen: Vec<String> = commands
        .iter()
        .map(|command| {
            let text = match command.starts_with(". ") {
                true => String::new(),
                false => in_demo(folder.path(), &command.replace(SHOWN_ID, short(&id))),
            };
            if id.is_empty() && command.contains("--no-wait") {
                let waiting =
                    "dbward request list --mine-to-approve --server approver --format quiet";
                id = in_demo(folder.path(), waiting).trim().to_owned();
            }
            format!("$ {command}\n{}", steady(&text, &id))
        })
        .collect();
    program.stop();
    let seen = format!("{}\n", seen.join("\n").trim_end());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let text = format!("{}{seen}{}", &readme[..start], &readme[end..]);
        fs::write(&path, text).unwrap();
        return;
    }
    assert_eq!(seen, kept, "run with UPDATE_GOLDEN=1 if it should");
}

/// The id of the session's request as the README has it, and its first characters.
const WHOLE_ID: &str = "5df83ae3-9a41-4c07-8c6e-0b1f2d3e4a55";
const SHOWN_ID: &str = "5df83ae3";

fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(SHOWN_ID)
}

/// What a command shows in a shell that has read the profile.
fn in_demo(folder: &Path, command: &str) -> String {
    let home = Temp::new();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!(". demo/env\n{command}")])
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home.path())
        .env("TZ", "UTC")
        .env("TERM", "xterm")
        .env("DBWARD_PAGER", "cat");
    without_colours(&shown(shell, 100, None).out)
}

/// The text with ids and lengths of time that are the same in every run.
fn steady(text: &str, id: &str) -> String {
    let mut out = Vec::new();
    let text = steady_durations(text);
    let text = match id {
        "" => text,
        id => text.replace(id, WHOLE_ID).replace(short(id), SHOWN_ID),
    };
    for line in text.lines() {
        let words: Vec<String> = line
            .split(' ')
            .map(|word| {
                let hex = word.len() == 8 && word.bytes().all(|b| b.is_ascii_hexdigit());
                let begins = word.len() == 4 && id.starts_with(word);
                match (hex, begins) {
                    (true, _) => SHOWN_ID.to_owned(),
                    (_, true) => SHOWN_ID[..4].to_owned(),
                    _ => word.to_owned(),
                }
            })
            .collect();
        let mut line = words.join(" ");
        if let Some((before, _)) = line.split_once(" · after ") {
            line = format!("{before} · after 41 s");
        }
        if line.starts_with("  5df83ae3 ") {
            for secs in 1..10 {
                line = line.replace(&format!("  {secs} s  "), "  0 s  ");
            }
        }
        out.push(line.trim_end().to_owned());
    }
    match out.join("\n").trim_end() {
        "" => String::new(),
        text => format!("{text}\n"),
    }
}
