//! Waiting on a terminal: what the line says while an agent runs, and what Ctrl-C leaves.

use super::console::{Console, Ran, Reaction, captured, on_terminal, without_colours};
use crate::support::{Person, SHOP, Server};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

/// What the waiting line ends with; it is shown once Ctrl-C is taken.
const STOP: &str = " s · Ctrl-C to stop waiting";
const QUESTION: &str = "? [y/N] ";

/// Makes a request on a terminal and interrupts the waiting; what was shown, and the request as the server has it.
fn interrupted(server: &Server, answer: Reaction) -> (Ran, Value) {
    let console = Console::before(server);
    let requester = server.requester();
    let call = ["execute", UPDATE, "-e", "production"];
    let command = console.command(requester.token.as_deref(), &call);
    let reactions = vec![(STOP, Reaction::Interrupt), (QUESTION, answer)];
    let ran = on_terminal(command, 80, reactions).is(130);
    (ran, newest(&requester))
}

fn newest(by: &Person) -> Value {
    let id = by.ids("limit=1").remove(0);
    by.get(&format!("/api/requests/{id}")).is(200).json
}

/// The first eight characters of its id, as people type it.
fn short(request: &Value) -> &str {
    &request["id"].as_str().unwrap()[..8]
}

#[test]
fn script_on_terminal_gets_id_at_once_and_code_2() {
    let server = Server::shop();
    let console = Console::before(&server);
    let requester = server.requester();
    // As in ID=$(dbward execute ..), typed at a shell.
    let call = ["execute", UPDATE, "-e", "production"];
    let ran = captured(console.command(requester.token.as_deref(), &call)).is(2);
    let request = newest(&requester);
    assert_eq!(ran.out, format!("{}\n", request["id"].as_str().unwrap()));
    let watch = format!("Continue with:  dbward request watch {}\n", short(&request));
    assert!(ran.errors.ends_with(&watch), "{}", ran.errors);
    // Asked to wait, it waits.
    let call = ["execute", UPDATE, "-e", "production", "--timeout", "1"];
    let ran = captured(console.command(requester.token.as_deref(), &call)).is(124);
    assert_eq!(ran.out, "");
}

#[test]
fn ctrl_c_on_a_terminal_cancels_after_a_yes_only() {
    let server = Server::shop();
    for answer in [
        Reaction::Type("n\n"),
        Reaction::Type("\n"),
        // A second Ctrl-C is not a yes.
        Reaction::Interrupt,
    ] {
        let (ran, request) = interrupted(&server, answer);
        let short = short(&request);
        let asked = format!("Still waiting for approval. Cancel request {short}{QUESTION}");
        assert!(ran.out.contains(&asked), "{}", ran.out);
        let end = format!("It goes on without you. Continue with:  dbward request watch {short}\n");
        assert!(ran.out.ends_with(&end), "{}", ran.out);
        assert_eq!(request["status"], "pending", "{}", ran.out);
    }
    assert!(server.events("event_type=request.cancelled").is_empty());
}

#[test]
fn ctrl_c_on_a_terminal_cancels_for_who_says_yes() {
    let server = Server::shop();
    let (ran, request) = interrupted(&server, Reaction::Type("y\n"));
    let id = request["id"].as_str().unwrap();
    assert_eq!(request["status"], "cancelled");
    let end = format!("Request {id} is cancelled.\n");
    assert!(ran.out.ends_with(&end), "{}", ran.out);
    assert!(!ran.out.contains("goes on without you"), "{}", ran.out);
    let event = server.events("event_type=request.cancelled").remove(0);
    assert_eq!(
        (&event["actor_id"], &event["resource_id"]),
        (&json!("requester"), &json!(id))
    );
}

#[test]
fn waiting_line_names_the_agent_and_the_time() {
    let server = Server::shop();
    let console = Console::before(&server);
    let requester = server.requester();
    let agent = server.agent("agent-1");
    let call = ["execute", "SELECT 1", "-e", "development"];
    let command = console.command(requester.token.as_deref(), &call);
    let claim = || {
        let id = newest(&requester)["id"].as_str().unwrap().to_owned();
        agent.claim(&id);
    };
    let succeed = || {
        let execution = newest(&requester)["execution_id"].clone();
        let rows = r#"{"rows":[{"one":1}],"truncated":false,"truncation_reason":null}"#;
        agent.succeed(execution.as_str().unwrap(), rows).is(200);
    };
    let reactions = vec![
        ("waiting for an agent", Reaction::Do(Box::new(claim))),
        ("running on agent-1", Reaction::Do(Box::new(|| {}))),
        ("1 s · Ctrl-C", Reaction::Do(Box::new(succeed))),
    ];
    let ran = on_terminal(command, 80, reactions).is(0);
    let counts =
        |part: &str| part.contains("running on agent-1") && part.contains(&format!(" 1{STOP}"));
    assert!(ran.out.split('\r').any(counts), "{}", ran.out);
    // In the end the result stands there alone.
    let left = without_colours(&ran.out);
    assert!(!left.contains("running on"), "{left}");
    assert!(left.contains("1 row"), "{left}");
}

#[test]
fn requester_without_view_right_learns_why_nothing_is_shown() {
    let blind = "[[auth.roles]]\nname = \"blind\"\npermissions = [\"request.create\"]\n";
    let server = Server::with(&format!("{SHOP}{blind}"));
    let console = Console::before(&server);
    let blind = server.person("blind", &["blind"]);
    let run = |call: &[&str]| console.run(blind.token.as_deref(), call);
    let made = run(&["execute", UPDATE, "-e", "production"]).is(2);
    let id = made.out.trim();
    let path = format!("/api/requests/{id}");
    assert_eq!(server.admin().get(&path).is(200).text("status"), "pending");
    let why = "permission denied: request.view on shop/production";
    let hint = "your own requests, too, are shown by a role with request.view";
    for call in [
        &["request", "show", id][..],
        &["request", "watch", id],
        &["execute", UPDATE, "-e", "production", "--wait"],
    ] {
        let errors = run(call).is(1).errors;
        assert!(
            errors.contains(why) && errors.contains(hint),
            "{call:?} {errors}"
        );
    }
}
