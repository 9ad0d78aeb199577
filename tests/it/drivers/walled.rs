//! The children in which statements run, as the system shows them: what others can read of them, and how often one is used.

use super::places::sqlite;
use super::served::{Endless, Served, prepared};
use super::sqlite::ENDLESS;
use crate::support::eventually;
use rustix::process::Pid;
use std::collections::BTreeSet;

/// A marker that stands in the text of what runs.
pub const MARKER: &str = "only_in_the_text";
/// A variable of the agent.
pub const VARIABLE: (&str, &str) = ("DBWARD_TEST_VARIABLE", "only_in_the_environment");

/// A file of a process; none of one that has ended.
fn proc(pid: Pid, file: &str) -> Option<String> {
    let bytes = std::fs::read(format!("/proc/{}/{file}", pid.as_raw_nonzero())).ok()?;
    Some(String::from_utf8_lossy(&bytes).replace('\0', "\n"))
}

/// While a statement runs, no child shows any of `secrets`, nor the agent's environment.
pub fn nothing_is_on_a_command_line(served: &Served, secrets: &[&str]) {
    let mut looked_at = 0;
    for (pid, _) in served.agent().children() {
        // One that is only just being started still has the words of the agent.
        let words = proc(pid, "cmdline").unwrap_or_default();
        if words.lines().nth(1) != Some("agent-child") {
            continue;
        }
        assert_eq!(words.lines().count(), 2, "{words}");
        let Some(environment) = proc(pid, "environ") else {
            continue;
        };
        let shown = format!("{words}{environment}");
        for secret in secrets.iter().chain(&[VARIABLE.0, VARIABLE.1]) {
            assert!(!shown.contains(secret), "{shown}");
        }
        let variables = environment
            .lines()
            .filter(|line| !line.starts_with("TMPDIR="));
        assert_eq!(variables.count(), 0, "{environment}");
        looked_at += 1;
    }
    assert!(looked_at > 0);
}

fn pids(served: &Served) -> BTreeSet<i32> {
    let children = served.agent().children();
    children
        .iter()
        .map(|(pid, _)| pid.as_raw_nonzero().get())
        .collect()
}

/// The child that works.
fn at_work(served: &Served) -> Option<i32> {
    let children = served.agent().children();
    let busy = children.iter().find(|(_, ticks)| *ticks > 50);
    busy.map(|(pid, _)| pid.as_raw_nonzero().get())
}

#[test]
fn nothing_of_task_is_on_command_line_of_a_child() {
    let mut served = Served::start(sqlite(), 60);
    served.kill_agent();
    let at = served.server.requester().at;
    served.start_agent_with(at, "", &[VARIABLE]);
    prepared(&served);
    let request = served.submit(
        &format!("INSERT INTO t {ENDLESS} WHERE '{MARKER}' <> ''"),
        "",
    );
    eventually("the statement works", || at_work(&served).is_some());
    nothing_is_on_a_command_line(&served, &[MARKER, &served.agent_token(), "app.db"]);
    request.by.cancel(&request).is(200);
}

/// One child a slot waits for a task, and none gets a second one.
#[test]
fn a_child_waits_for_each_slot_and_is_used_once() {
    const SLOTS: usize = 2;
    let mut served = Served::start(sqlite(), 60);
    served.kill_agent();
    let at = served.server.requester().at;
    served.start_agent_with(at, &format!("max_concurrent = {SLOTS}\n"), &[]);
    prepared(&served);
    eventually("the tables are described, which takes a child too", || {
        let schema = served
            .server
            .requester()
            .get("/api/schemas/shop?environment=production");
        schema.status == 200 && schema.raw().contains("\"ready\"")
    });
    let mut used = BTreeSet::new();
    for n in 0..3 {
        eventually("a child waits for each slot", || {
            let now = pids(&served);
            now.len() == SLOTS && now.is_disjoint(&used)
        });
        let request = served.submit(&format!("INSERT INTO t {ENDLESS} WHERE i <> {n}"), "");
        eventually("one of them works", || at_work(&served).is_some());
        let works = at_work(&served).unwrap();
        request.by.cancel(&request).is(200);
        eventually("it has ended", || !pids(&served).contains(&works));
        used.insert(works);
    }
    assert_eq!(used.len(), 3);
}

/// The same as with SQLite, and the password of the database.
pub fn no_child_shows_a_password(served: &Served, endless: &Endless, password: &str) {
    prepared(served);
    let request = served.begin(endless);
    nothing_is_on_a_command_line(served, &[password, "pg_sleep", &served.agent_token()]);
    request.by.cancel(&request).is(200);
}
