//! Requests, from the first word to the result.

use super::console::{Console, Ran, without_colours};
use crate::support::{Person, Server, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

fn token(person: &Person) -> String {
    person.token.clone().unwrap()
}

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

#[test]
fn a_request_is_listed_shown_approved_and_explained() {
    let server = Server::shop();
    let mut console = Console::before(&server);
    let (requester, approver) = (server.requester(), server.approver());
    let (mine, theirs) = (token(&requester), token(&approver));
    console.record_wide(&mine, &["request", "list"]).is(0);
    let args = [
        "execute",
        UPDATE,
        "-e",
        "production",
        "--reason",
        "ticket 4471",
        "--ticket",
        "4471",
    ];
    let made = console.record(&mine, &args).is(2);
    let id = made.out.trim().to_owned();
    console
        .record_wide(&theirs, &["request", "list", "--mine-to-approve"])
        .is(0);
    console
        .record_wide(&theirs, &["request", "show", &id[..8]])
        .is(0);
    console.record_wide(&mine, &["request", "show", &id]).is(0);
    console
        .record_wide(&mine, &["request", "why", &id[..8]])
        .is(0);
    for format in ["table", "vertical", "csv", "markdown", "quiet"] {
        console
            .record(&mine, &["request", "list", "--format", format])
            .is(0);
    }
    console.record(&mine, &["request", "approve", &id]).is(1);
    console.record(&mine, &["request", "approve", &id, "--format", "json"]);
    console
        .record(
            &theirs,
            &["request", "approve", &id, "--comment", "looks right"],
        )
        .is(0);
    console.record(&theirs, &["request", "approve", &id]).is(1);
    console.record(&mine, &["request", "show", &id]).is(0);
    console
        .record(&mine, &["request", "resume", &id, "--no-wait"])
        .is(0);
    let agent = server.agent("agent-1");
    let claim = agent.claim(&id);
    console.record(&mine, &["request", "show", &id]).is(0);
    console.record(&mine, &["request", "result", &id]).is(1);
    agent
        .succeed(&claim.execution, r#"{"rows_affected":37}"#)
        .is(200);
    console.knows(&claim.execution);
    console.record_wide(&mine, &["request", "watch", &id]).is(0);
    console
        .record_wide(&mine, &["request", "result", &id])
        .is(0);
    console
        .record_wide(&mine, &["request", "result", &id, "--list"])
        .is(0);
    console.record_wide(&mine, &["results"]).is(0);
    console.record(&mine, &["request", "show", &id]).is(0);
    console.golden("request");
}

#[test]
fn a_program_gets_the_bytes_that_the_server_sent() {
    let server = Server::shop();
    let console = Console::before(&server);
    let requester = server.requester();
    let mine = token(&requester);
    requester.submit("production", UPDATE);
    let sent = requester.get("/api/requests?limit=50").raw().to_owned();
    let body = sent[sent.find('{').unwrap()..].to_owned();
    let json = |format: &str| {
        let args = ["request", "list", "--format", format];
        console.run(Some(&mine), &args).is(0).out
    };
    assert_eq!(json("json"), format!("{body}\n"));
    assert!(body.contains(json("jsonl").trim_end()));
}

#[test]
fn rejected_and_cancelled_requests_say_who_and_why() {
    let server = Server::shop();
    let mut console = Console::before(&server);
    let (requester, approver) = (server.requester(), server.approver());
    let (mine, theirs) = (token(&requester), token(&approver));
    let one = requester.submit("production", UPDATE).id;
    console.knows(&one);
    console
        .record(
            &theirs,
            &["request", "reject", &one, "--reason", "no ticket"],
        )
        .is(0);
    console.record(&mine, &["request", "watch", &one]).is(1);
    console.record(&mine, &["request", "show", &one]).is(0);
    let two = requester.submit("production", UPDATE).id;
    console.knows(&two);
    console.record(&theirs, &["request", "cancel", &two]).is(1);
    console
        .record(
            &mine,
            &["request", "cancel", &two, "--reason", "not needed"],
        )
        .is(0);
    console
        .record(&mine, &["request", "watch", &two, "--format", "json"])
        .is(1);
    console.record(&mine, &["request", "show", &two]).is(0);
    console.golden("ended");
}

#[test]
fn refusals_name_the_place_and_one_hint() {
    let server = Server::shop();
    let mut console = Console::before(&server);
    let mine = token(&server.requester());
    console
        .record(&mine, &["execute", "UPDATE items\nSET price = 2"])
        .is(1);
    console
        .record(&mine, &["execute", "SELECT 1;\nGRANT ALL ON items TO x"])
        .is(1);
    console
        .record(&mine, &["execute", "DELETE FROM items", "--format", "json"])
        .is(1);
    console
        .record(&mine, &["execute", "SELECT 1", "-d", "nowhere"])
        .is(1);
    console.record(&mine, &["execute", "  "]).is(1);
    console
        .record(&mine, &["execute", "--file", "missing.sql"])
        .is(1);
    console
        .record("dbw_00000000000000000000000000000000", &["whoami"])
        .is(1);
    console.record(&mine, &["request", "show", "ffff"]).is(1);
    console.golden("refusals");
    let unreachable = Console::at("http://127.0.0.1:1");
    let ran = unreachable.run(Some(&mine), &["whoami"]).is(1);
    assert!(
        ran.errors
            .starts_with("error: the server cannot be reached"),
        "{}",
        ran.errors
    );
    assert_eq!(ran.errors.lines().count(), 2, "{}", ran.errors);
}

/// Runs a statement that an agent answers with `data`, and returns what is printed.
fn executed(server: &Server, console: &Console, arguments: &[&str], data: &str) -> Ran {
    let agent = server.agent("agent-1");
    let requester = server.requester();
    let known = requester.ids("limit=100").len();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| console.run(Some(&token(&requester)), arguments));
        eventually("the request is made", || {
            requester.ids("limit=100").len() > known
        });
        let id = requester.ids("limit=1").remove(0);
        let claim = agent.claim(&id);
        agent.succeed(&claim.execution, data).is(200);
        running.join().unwrap()
    })
}

/// Every kind of cell.
const CELLS: &str = r#"{"rows":[{"id":9007199254740993,"name":"日本語","note":"","more":null},{"id":2,"name":"a\u202eb\u001b[31m","note":"x,\"y\"\nz","more":true}],"truncated":true,"truncation_reason":"row limit reached (2)"}"#;

#[test]
fn a_result_is_the_same_in_every_format() {
    let server = Server::shop();
    let mut console = Console::before(&server);
    let ran = executed(
        &server,
        &console,
        &["execute", "SELECT * FROM items"],
        CELLS,
    )
    .is(0);
    assert!(
        ran.out.starts_with("                id  name"),
        "{}",
        ran.out
    );
    assert!(
        ran.errors.contains("warning: the result was cut"),
        "{}",
        ran.errors
    );
    let requester = server.requester();
    let id = requester.ids("limit=1").remove(0);
    let mine = token(&requester);
    console.knows(&id);
    console
        .record_wide(&mine, &["request", "result", &id])
        .is(0);
    console
        .record_wide(&mine, &["request", "result", &id, "-x"])
        .is(0);
    for format in [
        "table", "vertical", "json", "jsonl", "csv", "markdown", "quiet",
    ] {
        console
            .record(&mine, &["request", "result", &id, "--format", format])
            .is(0);
    }
    // The same bytes in a file that nobody else may read.
    let args = [
        "request", "result", &id, "--format", "csv", "--output", "rows.csv",
    ];
    let ran = console.run(Some(&mine), &args).is(0);
    assert_eq!(ran.out, "");
    let file = console.home().join("rows.csv");
    let printed = console
        .run(Some(&mine), &["request", "result", &id, "--format", "csv"])
        .out;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), printed);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    console.golden("result");
}

#[test]
fn row_wider_than_terminal_is_shown_one_line_a_column() {
    let server = Server::shop();
    let console = Console::before(&server);
    let cells: Vec<String> = (0..12)
        .map(|n| format!("\"column_number_{n}\":\"a text of some length {n}\""))
        .collect();
    let data = format!("{{\"rows\":[{{{}}}]}}", cells.join(","));
    executed(&server, &console, &["execute", "SELECT 1"], &data).is(0);
    let requester = server.requester();
    let id = requester.ids("limit=1").remove(0);
    let show = |more: &[&str]| {
        let mut args = vec!["request", "result", &id];
        args.extend(more);
        without_colours(&console.on_terminal(80, &token(&requester), &args).is(0).out)
    };
    assert!(
        show(&[]).starts_with("  column_number_0   a text of some length 0\n"),
        "{}",
        show(&[])
    );
    assert!(show(&["--format", "table"]).contains('…'));
    assert!(
        !console
            .run(Some(&token(&requester)), &["request", "result", &id])
            .out
            .contains('…')
    );
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let server = Server::shop();
    let console = Console::before(&server);
    let mine = token(&server.requester());
    let seen = |variable: Option<(&str, &str)>| {
        let mut command = console.command(Some(&mine), &["request", "list", "--format", "table"]);
        server.requester().submit("production", UPDATE);
        command.envs(variable);
        super::console::shown(command, 80, None).out
    };
    assert!(seen(None).contains('\u{1b}'));
    assert!(!seen(Some(("NO_COLOR", "1"))).contains('\u{1b}'));
    assert!(!seen(Some(("TERM", "dumb"))).contains('\u{1b}'));
    assert!(
        !console
            .run(Some(&mine), &["request", "list"])
            .out
            .contains('\u{1b}')
    );
}

#[test]
fn exit_codes_tell_what_came_of_it() {
    let server = Server::shop();
    let console = Console::before(&server);
    let requester = server.requester();
    let mine = token(&requester);
    // Pending: 2, at once in a pipe; 124 when the time is over.
    console
        .run(Some(&mine), &["execute", UPDATE, "-e", "production"])
        .is(2);
    let ran = console
        .run(
            Some(&mine),
            &["execute", UPDATE, "-e", "production", "--timeout", "1"],
        )
        .is(124);
    assert!(
        ran.errors.contains("dbward request watch "),
        "{}",
        ran.errors
    );
    assert_eq!(ran.out, "");
    // A failed execution is only a failure where somebody says so.
    let agent = server.agent("agent-1");
    let detail = "Key (email)=(a@example.com)";
    for (flag, code, added) in [(None, 0, None), (Some("--fail"), 3, Some(detail))] {
        let args: Vec<&str> = ["execute", "SELECT nope"].into_iter().chain(flag).collect();
        let ran = std::thread::scope(|scope| {
            let running = scope.spawn(|| console.run(Some(&mine), &args));
            let mut job = None;
            eventually("a job", || {
                job = agent.jobs().pop();
                job.is_some()
            });
            let claim = agent.claim(&job.unwrap());
            let message = "no such column: nope";
            let report = json!({"success": false, "error_message": message, "error_detail": added});
            agent.result(&claim.execution, &report).is(200);
            running.join().unwrap()
        });
        let added = added.map_or(String::new(), |added| format!("Detail: {added}\n"));
        let ends = format!("Execution failed: no such column: nope\n{added}");
        assert!(ran.errors.ends_with(&ends), "{}", ran.errors);
        ran.is(code);
    }
}

#[test]
fn who_waits_sees_each_change_once_and_gets_the_result() {
    let server = Server::shop();
    let console = Console::before(&server);
    let (requester, approver) = (server.requester(), server.approver());
    let agent = server.agent("agent-1");
    agent.poll();
    let args = ["execute", UPDATE, "-e", "production", "--wait", "--fail"];
    let program = console.start(&token(&requester), &args);
    eventually("it waits", || {
        program.errors().contains("waiting for approval")
    });
    let id = requester.ids("limit=1").remove(0);
    approver
        .post(&format!("/api/requests/{id}/approve"), &json!({}))
        .is(200);
    let mut job = None;
    eventually("it is sent to the agents", || {
        job = agent.jobs().pop();
        job.is_some()
    });
    let claim = agent.claim(&job.unwrap());
    eventually("it runs", || {
        program.errors().contains("running on agent-1")
    });
    agent
        .succeed(&claim.execution, r#"{"rows_affected":1}"#)
        .is(200);
    assert_eq!(program.line(), "1 row changed.");
    let (status, errors) = program.end();
    assert!(status.success(), "{errors}");
    let lines: Vec<&str> = errors.lines().filter(|l| l.starts_with(&id[..8])).collect();
    let short = &id[..8];
    assert_eq!(
        lines[0],
        format!("{short} waiting for approval · 0 of 1 group approvers")
    );
    assert_eq!(lines.last().unwrap(), &format!("{short} executed"));
    let mut unlike = lines.clone();
    unlike.dedup();
    assert_eq!(unlike, lines, "each once");
}

#[test]
fn ctrl_c_leaves_the_id_and_the_command_that_continues() {
    let server = Server::shop();
    let console = Console::before(&server);
    let requester = server.requester();
    let args = ["execute", UPDATE, "-e", "production", "--wait"];
    let program = console.start(&token(&requester), &args);
    eventually("it waits", || {
        program.errors().contains("waiting for approval")
    });
    program.signal(Signal::INT);
    let (status, errors) = program.end();
    assert_eq!(status.code(), Some(130), "{errors}");
    let id = requester.ids("limit=1").remove(0);
    assert!(errors.contains(&format!("Request {id}.")), "{errors}");
    assert!(
        errors.ends_with(&format!(
            "Continue with:  dbward request watch {}\n",
            &id[..8]
        )),
        "{errors}"
    );
    assert_eq!(
        requester.get(&format!("/api/requests/{id}")).text("status"),
        "pending"
    );
}

#[test]
fn a_change_between_two_calls_is_not_waited_for() {
    let server = Server::shop();
    let requester = server.requester();
    let request = requester.submit("production", UPDATE);
    server.approver().approve(&request).is(200);
    // Seen as it is: it waits; seen as it was: it does not.
    let start = std::time::Instant::now();
    let shown = requester
        .get(&request.path("?wait=30&seen=pending:0"))
        .is(200);
    assert_eq!(shown.text("status"), "approved");
    assert!(start.elapsed().as_secs() < 20);
    let waiting = requester.wait(&request.path("?wait=30&seen=approved:1"));
    eventually("it waits", || server.parked() == 1);
    requester.cancel(&request).is(200);
    assert_eq!(waiting.answer().is(200).text("status"), "cancelled");
}

#[test]
fn sql_comes_from_a_file_or_from_standard_input() {
    let server = Server::shop();
    let console = Console::before(&server);
    let requester = server.requester();
    let mine = token(&requester);
    std::fs::write(console.home().join("fix.sql"), UPDATE).unwrap();
    console
        .run(
            Some(&mine),
            &["execute", "--file", "fix.sql", "-e", "production"],
        )
        .is(2);
    console
        .run_with(
            Some(&mine),
            &["execute", "-", "--env", "production"],
            UPDATE,
        )
        .is(2);
    console
        .run_with(Some(&mine), &["execute", "-e", "production"], UPDATE)
        .is(2);
    let page = requester.get("/api/requests").list("requests");
    assert_eq!(page.len(), 3);
    assert!(page.iter().all(|r| r["detail"] == UPDATE), "{page:?}");
    let bounded = [
        "execute",
        UPDATE,
        "-e",
        "production",
        "--max-rows-affected",
        "5",
    ];
    console.run(Some(&mine), &bounded).is(2);
    let shown = console
        .run(Some(&mine), &["request", "show", "latest"])
        .is(0);
    assert!(shown.out.contains("at most 5 rows"), "{}", shown.out);
    // The same key twice is one request.
    let keyed = [
        "execute",
        UPDATE,
        "-e",
        "production",
        "--idempotency-key",
        "k1",
        "--share-with",
        "user:x",
    ];
    let one = console.run(Some(&mine), &keyed).is(2).out;
    assert_eq!(console.run(Some(&mine), &keyed).is(2).out, one);
    let shown: Value = requester.get(&format!("/api/requests/{}", one.trim())).json;
    assert_eq!(shown["share_with"], json!(["user:x"]));
}
