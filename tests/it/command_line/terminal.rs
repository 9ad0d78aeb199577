//! What terminals, pipes and files do to the output: readers that leave, bytes that are not text, files half written.

use super::console::{Console, shown, with_errors_piped, without_colours};
use crate::schemas::{describe, table};
use crate::support::{Server, binary};
use serde_json::json;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

/// The exit code of a command whose readers are both gone before it prints.
fn unread(mut command: Command) -> i32 {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    child.wait().unwrap().code().unwrap()
}

#[test]
fn a_reader_that_has_seen_enough_changes_nothing() {
    let server = Server::shop();
    let console = Console::before(&server);
    let token = server.requester().token.unwrap();
    let home = console.home().to_owned();
    fs::write(
        home.join("server.toml"),
        format!("state_dir = \"s\"\n{}", crate::support::SHOP),
    )
    .unwrap();
    for (call, code) in [
        (&["request", "list"][..], 0),
        (&["execute", "SELECT 1", "-e", "production", "--no-wait"], 2),
        (&["execute", "DELETE FROM items", "-e", "production"], 1),
        (&["doctor"], 0),
        (&["check-config"], 0),
        (&["migrate", "create", "one"], 0),
        (&["logout"], 0),
        (&["completion", "bash"], 0),
        (&["man", "execute"], 0),
        (&["--help"], 0),
        (&["nonsense"], 2),
    ] {
        assert_eq!(
            unread(console.command(Some(&token), call)),
            code,
            "{call:?}"
        );
    }
}

#[test]
fn output_that_is_lost_is_an_error() {
    let server = Server::shop();
    let console = Console::before(&server);
    let token = server.requester().token.unwrap();
    for call in [&["request", "list"][..], &["migrate", "create", "two"]] {
        let mut command = console.command(Some(&token), call);
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = command.stdout(full).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{call:?} {errors}");
        assert!(errors.starts_with("error: "), "{call:?} {errors}");
    }
}

#[test]
fn arguments_and_files_that_are_not_text_are_refused() {
    let server = Server::shop();
    let console = Console::before(&server);
    let token = server.requester().token.unwrap();
    let bytes = std::ffi::OsStr::from_bytes(b"SELECT \xff");
    fs::write(console.home().join("bytes.sql"), bytes.as_bytes()).unwrap();
    let mut argument = console.command(Some(&token), &["execute"]);
    let output = argument.arg(bytes).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let ran = console
        .run(Some(&token), &["execute", "--file", "bytes.sql"])
        .is(1);
    assert!(
        ran.errors.starts_with("error: bytes.sql: "),
        "{}",
        ran.errors
    );
    // A name of a file may be any bytes.
    let name = std::ffi::OsStr::from_bytes(b"one\xff.sql");
    fs::write(console.home().join(name), "SELECT 1").unwrap();
    let mut file = console.command(Some(&token), &["execute", "-e", "production", "--file"]);
    assert_eq!(file.arg(name).output().unwrap().status.code(), Some(2));
}

#[test]
fn a_file_is_written_whole_or_not_at_all() {
    let server = Server::shop();
    let console = Console::before(&server);
    let token = server.requester().token.unwrap();
    let file = console.home().join("list.csv");
    fs::write(&file, "before\n").unwrap();
    // What fails leaves the file as it was.
    let fails = ["request", "show", "nothing", "--output", "list.csv"];
    console.run(Some(&token), &fails).is(1);
    assert_eq!(fs::read_to_string(&file).unwrap(), "before\n");
    let writes = ["databases", "--format", "csv", "--output", "list.csv"];
    assert_eq!(console.run(Some(&token), &writes).is(0).out, "");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("DATABASE,ENVIRONMENT\nshop,"), "{text}");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let nowhere = ["databases", "--output", "nowhere/list.csv"];
    let ran = console.run(Some(&token), &nowhere).is(1);
    assert!(
        ran.errors.starts_with("error: nowhere/list.csv: "),
        "{}",
        ran.errors
    );
    let left = fs::read_dir(console.home()).unwrap().count();
    assert_eq!(left, 1, "nothing else is left");
}

#[test]
fn waiting_line_says_who_how_long_and_how_to_stop() {
    let server = Server::shop();
    let console = Console::before(&server);
    let token = server.requester().token.unwrap();
    let update = "UPDATE items SET price = 2 WHERE id = 1";
    let call = ["execute", update, "-e", "production", "--timeout", "3"];
    let mut command = console.command(Some(&token), &call);
    command.env("COLUMNS", "80");
    let seen = shown(command, 80, None);
    let line = "waiting for approval · 0 of 1 group approvers";
    let waiting = seen.out.split('\r').find(|part| part.contains(line));
    let waiting = without_colours(&waiting.unwrap().replace('\u{2801}', ""))
        .trim()
        .to_owned();
    assert!(waiting.contains(" s · Ctrl-C to stop waiting"), "{waiting}");
    assert_eq!(seen.code, 124);
    assert!(
        seen.out.contains("Continue with:  dbward request watch"),
        "{}",
        seen.out
    );
}

/// What it showed, and what a pager of this line took; `None` where none was started.
fn paged(mut command: Command, console: &Console, pager: &str) -> (String, Option<String>) {
    command.env("DBWARD_PAGER", pager);
    let seen = shown(command, 200, None).is(0).out;
    let taken = console.home().join("taken");
    let text = fs::read_to_string(&taken).ok();
    let _ = fs::remove_file(taken);
    (seen, text)
}

#[test]
fn output_longer_than_the_terminal_goes_through_the_pager() {
    let server = Server::shop();
    let console = Console::before(&server);
    let token = server.requester().token.unwrap();
    // The terminal of these tests has 50 lines.
    let tables: Vec<_> = (0..60).map(|n| table(&format!("table_{n}"), n)).collect();
    describe(&server, "production", &tables);
    const PAGER: &str = "cat > taken; echo left the pager";
    let long = ["schema", "-e", "production"];
    let command = || console.command(Some(&token), &long);
    let (seen, taken) = paged(command(), &console, PAGER);
    let taken = taken.unwrap();
    assert_eq!(seen, "left the pager\n");
    assert!(
        taken.contains("table_0") && taken.contains("table_59"),
        "{taken}"
    );
    // The one of the system, where there is none for this program.
    let mut other = command();
    other.env_remove("DBWARD_PAGER").env("PAGER", PAGER);
    assert_eq!(shown(other, 200, None).is(0).out, "left the pager\n");
    fs::remove_file(console.home().join("taken")).unwrap();
    // One that is not there, or leaves nothing out, changes nothing.
    for pager in ["no-such-pager", "cat", ""] {
        let (seen, _) = paged(command(), &console, pager);
        assert!(seen.contains("table_59"), "{pager}: {seen}");
    }
    let short = console.command(Some(&token), &["databases"]);
    let mut unpaged = command();
    unpaged.arg("--no-pager");
    for (command, holds) in [(short, "shop"), (unpaged, "table_59")] {
        let (seen, taken) = paged(command, &console, PAGER);
        assert!(seen.contains(holds), "{seen}");
        assert_eq!(taken, None, "{seen}");
    }
    let output = command().env("DBWARD_PAGER", PAGER).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.contains("table_59"), "a pipe: {out}");
    assert!(
        !console.home().join("taken").exists(),
        "a pipe is not paged"
    );
}

/// A result of an execution with three sets, of 30, none and 30 rows.
fn several_sets(server: &Server) -> String {
    let request = server.requester().submit("development", "SELECT 1");
    let agent = server.agent("agent-1");
    let claim = agent.claim(&request.id);
    let rows = |name: &str| -> Vec<_> { (0..30).map(|n| json!({name: n})).collect() };
    let (columns, none) = (
        json!([{"name": "none", "key": "none", "type": "text"}]),
        json!([]),
    );
    let data = json!({
        "rows": rows("first"),
        "more_results": [{"rows": none, "columns": columns}, {"rows": rows("third")}],
    });
    agent.succeed(&claim.execution, &data.to_string()).is(200);
    request.id
}

#[test]
fn several_result_sets_stand_in_one_file() {
    let server = Server::shop();
    let console = Console::before(&server);
    let token = server.requester().token.unwrap();
    let id = several_sets(&server);
    for format in [
        "table", "vertical", "json", "jsonl", "csv", "markdown", "quiet",
    ] {
        let call = ["request", "result", &id, "--format", format];
        let piped = console.run(Some(&token), &call).is(0).out;
        assert!(piped.contains("first") && piped.contains("third") || format == "quiet");
        let into = [&call[..], &["--output", "sets"]].concat();
        assert_eq!(console.run(Some(&token), &into).is(0).out, "");
        let kept = fs::read_to_string(console.home().join("sets")).unwrap();
        assert_eq!(kept, piped, "{format}");
    }
}

#[test]
fn several_result_sets_are_shown_in_one_pager() {
    let server = Server::shop();
    let console = Console::before(&server);
    let token = server.requester().token.unwrap();
    let id = several_sets(&server);
    let command = console.command(Some(&token), &["request", "result", &id]);
    let (seen, taken) = paged(command, &console, "cat > taken; echo left the pager");
    assert_eq!(seen, "left the pager\n");
    let taken = taken.unwrap();
    assert!(
        taken.contains("first") && taken.contains("third"),
        "{taken}"
    );
}

#[test]
fn ctrl_c_in_a_pager_is_for_the_pager() {
    let server = Server::shop();
    let console = Console::before(&server);
    let token = server.requester().token.unwrap();
    let id = several_sets(&server);
    let command = console.command(Some(&token), &["request", "result", &id]);
    // The terminal sends it to both; here the pager sends it to its parent.
    let pager = "cat > taken; kill -INT $PPID; echo left the pager";
    let (seen, taken) = paged(command, &console, pager);
    assert_eq!(seen, "left the pager\n");
    assert!(taken.unwrap().contains("third"));
}

#[test]
fn cut_result_is_warned_of_in_formats_but_json() {
    let server = Server::shop();
    let console = Console::before(&server);
    let token = server.requester().token.unwrap();
    let agent = server.agent("agent-1");
    for data in ["[{\"n\":1}]", "{\"rows\":[{\"n\":1}]}"] {
        let request = server.requester().submit("development", "SELECT 1");
        let claim = agent.claim(&request.id);
        let body = json!({
            "success": true, "result_data": data, "error_message": null, "rows_affected": null, "duration_ms": 12,
            "truncated": true,
        });
        agent.result(&claim.execution, &body).is(200);
        for format in ["table", "vertical", "jsonl", "csv", "markdown", "quiet"] {
            let call = ["request", "result", &request.id, "--format", format];
            let errors = console.run(Some(&token), &call).is(0).errors;
            let warns = "warning: the result was cut; ask for fewer rows, or a higher max_rows\n";
            assert_eq!(errors, warns, "{data} {format}");
        }
        let call = ["request", "result", &request.id, "--format", "json"];
        let ran = console.run(Some(&token), &call).is(0);
        assert!(ran.out.contains("\"truncated\":true"), "{}", ran.out);
    }
}

#[test]
fn colours_are_only_where_a_terminal_shows_them() {
    let server = Server::shop();
    let console = Console::before(&server);
    let token = server.requester().token.unwrap();
    let update = "UPDATE items SET price = 2 WHERE id = 1";
    let call = ["execute", update, "-e", "production", "--no-wait"];
    let colour = '\u{1b}';
    let piped = with_errors_piped(console.command(Some(&token), &call)).is(2);
    assert!(
        piped.errors.starts_with("Request ") && !piped.errors.contains(colour),
        "{}",
        piped.errors
    );
    let captured = super::console::captured(console.command(Some(&token), &call)).is(2);
    assert!(
        captured.errors.contains(colour) && !captured.out.contains(colour),
        "{}",
        captured.errors
    );
}

#[test]
fn a_missing_argument_is_answered_with_its_usage_alone() {
    let output = binary().args(["request", "show"]).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        errors.contains("Usage: dbward request show") && errors.lines().count() < 10,
        "{errors}"
    );
}
