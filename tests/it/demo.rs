//! `dbward demo`: what it prints is what works.

use crate::support::{Faults, Person, Program, Temp, binary};
use rustix::process::Signal;
use std::path::PathBuf;
use std::process::Command;

/// What the demo printed: where its state is, and its commands.
struct Guide {
    state: PathBuf,
    /// Links that open the console, one for each person.
    links: Vec<String>,
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
    let titles = lines.iter().zip(&lines[1..]);
    let commands = titles.filter(|(title, _)| title.starts_with("# "));
    let links = lines
        .iter()
        .filter_map(|l| l.trim().strip_prefix("console "));
    Guide {
        state,
        links: links.map(|l| l.trim().to_owned()).collect(),
        commands: commands.map(|(_, command)| command.clone()).collect(),
    }
}

impl Guide {
    /// Exit code and all that a command prints, in a shell that has read the profile.
    fn run(&self, n: usize) -> (i32, String) {
        let home = Temp::new();
        let output = Command::new("sh")
            .arg("-c")
            .arg(format!("{}\n{} 2>&1", self.commands[0], self.commands[n]))
            .current_dir(home.path())
            .env("HOME", home.path())
            // The profile wins over what a shell has for another server.
            .env("DBWARD_SERVER_URL", "http://127.0.0.1:1")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), text)
    }

    #[track_caller]
    fn prints(&self, n: usize, code: i32, words: &str) {
        let (ended, text) = self.run(n);
        assert!(
            ended == code && text.contains(words),
            "{}\n[{ended}] {text}",
            self.commands[n]
        );
    }
}

#[test]
fn the_printed_commands_work_as_printed() {
    let program = Program::start(binary().args(["demo", "--port", "0"]));
    let guide = guide(&program);
    assert_eq!(guide.commands.len(), 8, "{:?}", guide.commands);
    let long = guide.commands.iter().filter(|c| c.len() > 100).count();
    assert!(long <= 1, "{:?}", guide.commands);
    assert!(guide.state.is_dir());
    for (link, person) in guide.links.iter().zip(["requester", "approver", "admin"]) {
        let token = std::fs::read_to_string(guide.state.join(format!("{person}-token"))).unwrap();
        assert!(
            link.contains(&format!("/#token={} ", token.trim())),
            "{link}"
        );
        assert!(link.ends_with(person), "{link}");
    }
    assert_eq!(guide.links.len(), 3);
    // Other servers take no such links (command_line::device).
    let (address, _) = guide.links[0].split_once("/#").unwrap();
    let at = address.strip_prefix("http://").unwrap().parse().unwrap();
    let stranger = Person::new(at, "nobody", None, Faults::default());
    let ways = stranger.get("/api/sign-in").is(200);
    assert_eq!(ways.json["takes_token_links"], true);
    guide.prints(1, 0, "delivered    1222");
    guide.prints(2, 2, "Needs 1 of group approvers.");
    guide.prints(3, 0, "UPDATE customers SET active = 0 WHERE id = 42");
    guide.prints(4, 0, "Approved");
    guide.prints(5, 0, "1 row changed.");
    guide.prints(6, 1, "DELETE without WHERE");
    guide.prints(7, 0, "The audit log holds");
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
fn demo_keeps_its_state_dir_and_starts_on_it_again() {
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
    guide(&first).prints(2, 2, "Needs 1 of group approvers.");
    first.stop();
    assert!(state.join("dbward.db").is_file());
    let second = start();
    let guide = guide(&second);
    // What waited then still waits.
    guide.prints(4, 0, "Approved");
    guide.prints(7, 0, "The audit log holds");
    second.stop();
    assert!(state.join("server.toml").is_file());
}

#[test]
fn demo_on_server_that_is_not_there_ends_with_sentence() {
    let url = "postgres://x:secret@127.0.0.1:1/x";
    let program = Program::start(binary().args(["demo", "--port", "0", "--postgres", url]));
    let (status, errors) = program.end();
    assert_eq!(status.code(), Some(1));
    assert!(
        errors.contains("cannot be reached") && !errors.contains("secret"),
        "{errors}"
    );
}

/// On a PostgreSQL server.
mod postgres {
    use super::*;

    /// A schema of the demo on the server at `url`, whatever it is called.
    fn schemas(url: &str, like: &str) -> String {
        let sql = format!(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'dbward\\_demo\\_{like}' ORDER BY 1"
        );
        let output = Command::new("psql")
            .args([url, "-Atc", &sql])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    #[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
    fn a_demo_leaves_nothing_on_the_server() {
        let url = std::env::var("DBWARD_TEST_POSTGRES_URL").unwrap();
        let program = Program::start(binary().args(["demo", "--port", "0", "--postgres", &url]));
        let guide = guide(&program);
        let made = schemas(&url, "%");
        assert!(
            made.contains("_development\n") && made.contains("_production\n"),
            "{made}"
        );
        guide.prints(1, 0, "delivered");
        guide.prints(2, 2, "Needs 1 of group approvers.");
        guide.prints(4, 0, "Approved");
        guide.prints(5, 0, "1 row changed.");
        program.signal(Signal::INT);
        let (status, errors) = program.end();
        assert!(status.success(), "{status}: {errors}");
        for schema in made.lines() {
            let unique = schema.trim_start_matches("dbward_demo_");
            assert_eq!(schemas(&url, unique), "", "{errors}");
        }
    }
}
