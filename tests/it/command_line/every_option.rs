//! Every format and every option of every command, as the parser has them: each works, or is refused in the words that
//! stand here. What has no sample value here fails the test, so that no option is forgotten.

use super::console::{Console, Ran};
use super::every_command::{By, CASES, Case, Stage, none, words};
use super::pages::commands;
use clap::{Arg, ArgAction, Command};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Commands that are not run here, and what holds their options.
const ELSEWHERE: &[(&str, &str)] = &[
    ("serve", "process.rs: it runs until it is stopped"),
    ("agent", "agent_start.rs: it runs until it is stopped"),
    ("demo", "demo.rs: it runs until it is stopped"),
    ("reload", "reload/command.rs: it is about a process"),
    ("completion", "pages.rs: its only argument is a shell"),
    ("man", "pages.rs: into a folder and printed"),
    ("backup", "backup.rs: of folders"),
    ("restore", "backup.rs: of folders"),
    ("policy replay", "decisions.rs: of a state file"),
    ("policy test", "decisions.rs: of a state file"),
];

/// What is refused before this server, by these people, and a part of why.
const REFUSED: &[(&str, &str, &str)] = &[
    ("execute", "emergency", "request.break_glass"),
    ("migrate up", "emergency", "--reason <TEXT>"),
    ("migrate down", "emergency", "--reason <TEXT>"),
    ("migrate status", "emergency", "--reason <TEXT>"),
    ("execute", "allow_ddl", "--emergency"),
    ("migrate up", "allow_ddl", "--emergency"),
    ("migrate down", "allow_ddl", "--emergency"),
    ("migrate status", "allow_ddl", "--emergency"),
    ("migrate repair", "emergency", "--reason <TEXT>"),
    ("migrate repair", "allow_ddl", "--reason <TEXT>"),
    ("migrate up", "max_rows_affected", "cannot be held"),
    ("migrate down", "max_rows_affected", "cannot be held"),
    ("migrate status", "max_rows_affected", "cannot be held"),
    ("login", "device", "names no identity provider"),
    ("login", "browser", "names no identity provider"),
    ("doctor", "backups", "--server <NAME|URL>"),
    ("request result", "execution_id", "nothing"),
    ("audit verify", "checkpoint", "--db"),
];

/// Calls of commands that have no golden.
const CALLS: &[Case] = &[
    ("audit", By::Admin, 0, none),
    ("check-config", By::Admin, 0, |_| {
        words("--config server.toml")
    }),
];

/// A value for an option, by the name that the parser has for it.
fn sample(command: &str, id: &str) -> &'static str {
    match (command, id) {
        ("token create", "subject" | "name") | ("token list", "subject") => "ci",
        ("request list", "status") => "pending",
        ("audit list" | "audit", "status") => "pending",
        ("webhook deliveries", "status") => "dead",
        ("check-config", "config") => "server.toml",
        ("audit export", "since") => "2",
        (_, "file") => "one.sql",
        (_, "database") => "shop",
        (_, "environment") => "production",
        (_, "reason" | "comment" | "name") => "because",
        (_, "ticket" | "count" | "limit" | "max_rows_affected") => "7",
        (_, "repo") => "app",
        (_, "share_with") => "user:approver",
        ("execute", "idempotency_key") => "key-1",
        ("migrate up", "idempotency_key") => "key-2",
        ("migrate down", "idempotency_key") => "key-3",
        ("migrate status", "idempotency_key") => "key-4",
        (_, "idempotency_key") => "key-5",
        (_, "timeout") => "1",
        (_, "server") => "here",
        (_, "config") => "only.toml",
        (_, "output") => "out.txt",
        (_, "dir") => "migrations",
        (_, "mark_applied" | "remove") => "20260102030405",
        (_, "user" | "actor") => "requester",
        (_, "selector") => "group:approvers",
        (_, "execution_id") => "nothing",
        (_, "roles") => "readonly",
        (_, "groups") => "approvers",
        (_, "expires") => "90d",
        (_, "bound_to") => "shop/production",
        (_, "slack_user_id") => "U012ABCDEF",
        (_, "webhook") => "ops",
        (_, "operation") => "execute_dml",
        (_, "sql") => "SELECT 1",
        (_, "event") => "request.created",
        (_, "category") => "approval",
        (_, "outcome") => "success",
        (_, "request") => "latest",
        (_, "since") => "2026-01-02T00:00:00Z",
        (_, "until") => "2099-01-02T00:00:00Z",
        (_, "db") => "state.db",
        (_, "export") => "audit.jsonl",
        (_, "public_key") => "audit-keys.json",
        (_, "key_file") => "audit-signing.key",
        (_, "checkpoint") => "checkpoints.jsonl",
        (_, "agent") => "agent.toml",
        (_, "backups") => "backups",
        (_, "token_file") => "kept-token",
        (_, "token_command") => "cat kept-token",
        _ => panic!("`--{id}` of `dbward {command}` has no sample value here"),
    }
}

/// What goes with an option that does not stand alone.
fn company(command: &str, id: &str) -> &'static [&'static str] {
    match (command, id) {
        ("token create", "agent") => &["--subject", "bot"],
        ("token create", "bound_to") => &["--agent", "--subject", "bot"],
        ("audit verify", "public_key") => &["--export", "audit.jsonl"],
        ("audit verify", "export") => &["--public-key", "audit-keys.json"],
        ("audit verify", "part") => &["--export", "audit.jsonl", "--public-key", "audit-keys.json"],
        ("audit verify", "key_file") => &["--db", "state.db"],
        ("request resume", "acknowledge_unknown_outcome") => &["--reason", "seen"],
        // With a reason it is dispatched, and no agent takes it.
        (_, "wait") | ("migrate repair", "reason") => &["--timeout", "1"],
        _ => &[],
    }
}

/// Options of the usual call that cannot stand next to this one.
fn instead_of(command: &str, id: &str) -> &'static [&'static str] {
    match (command, id) {
        ("migrate repair", "remove") => &["--mark-applied"],
        ("token create", "agent" | "bound_to") => &["--roles", "--subject"],
        ("login", "browser" | "device" | "token_command") => &["--token-file"],
        ("check-config", "agent") => &["--config"],
        (_, "wait" | "timeout") => &["--no-wait"],
        _ => &[],
    }
}

/// Whether the option takes the place of the argument of the usual call.
fn replaces_argument(command: &str, id: &str) -> bool {
    matches!(
        (command, id),
        ("execute" | "preflight", "file") | ("user link-slack", "none" | "slack_user_id")
    )
}

fn case_of(name: &str) -> Case {
    let known = CASES.iter().chain(CALLS).find(|(words, ..)| *words == name);
    *known.unwrap_or_else(|| panic!("`dbward {name}` has no call in every_command.rs"))
}

/// Commands that do something, with their names; those of [`ELSEWHERE`] are left out.
fn run_here() -> Vec<(String, Command)> {
    let all = commands().into_iter().map(|(w, c)| (w.join(" "), c));
    let does = |name: &str, c: &Command| name == "audit" || c.get_subcommands().next().is_none();
    let here: Vec<(String, Command)> = all
        .filter(|(name, c)| !name.is_empty() && does(name, c))
        .filter(|(name, _)| !ELSEWHERE.iter().any(|(other, _)| other == name))
        .collect();
    assert!(here.len() > 35, "{}", here.len());
    here
}

/// The call without the options of that name, and without their values.
fn without(call: &[String], names: &[String], takes_value: bool) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = call.iter();
    while let Some(word) = words.next() {
        match names.contains(word) {
            true if takes_value => drop(words.next()),
            true => {}
            false => kept.push(word.clone()),
        }
    }
    kept
}

/// How an option is written.
fn names(arg: &Arg) -> Vec<String> {
    let long = arg.get_long().map(|l| format!("--{l}"));
    let short = arg.get_short().map(|s| format!("-{s}"));
    long.into_iter().chain(short).collect()
}

fn run(console: &Console, token: &str, call: &[String]) -> Ran {
    let call: Vec<&str> = call.iter().map(String::as_str).collect();
    let ran = console.run(Some(token), &call);
    assert!(!ran.errors.contains("panicked"), "{call:?}: {}", ran.errors);
    ran
}

/// The fields of each line of CSV.
fn fields(csv: &str) -> Vec<usize> {
    let (mut counts, mut quoted) = (vec![1], false);
    for c in csv.trim_end().chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => *counts.last_mut().unwrap() += 1,
            '\n' if !quoted => counts.push(1),
            _ => {}
        }
    }
    assert!(!quoted, "{csv}");
    counts
}

/// Whether what was printed is what the format says.
fn is_in_format(format: &str, out: &str) -> bool {
    let json = |text: &str| serde_json::from_str::<Value>(text).is_ok();
    match format {
        "json" | "sarif" => json(out),
        "jsonl" => out.lines().all(json),
        "csv" => fields(out).windows(2).all(|pair| pair[0] == pair[1]),
        "markdown" => out.is_empty() || (out.starts_with("| ") && out.contains("\n| ---")),
        "github" => out.lines().all(|line| line.starts_with("::")),
        "table" | "vertical" | "text" => !out.starts_with('{'),
        "quiet" => !out.contains("  ") && !out.contains("error"),
        other => panic!("nothing is known of the format {other}"),
    }
}

#[test]
fn every_format_of_every_command_is_what_its_name_says() {
    let (stage, console) = Stage::start();
    let mut seen = 0;
    for (name, command) in run_here() {
        let Some(format) = command.get_arguments().find(|a| a.get_id() == "format") else {
            continue;
        };
        let (_, by, code, rest) = case_of(&name);
        for value in format.get_possible_values() {
            let mut call = words(&name);
            call.extend(rest(&stage));
            call.extend(["--format".to_owned(), value.get_name().to_owned()]);
            let ran = run(&console, &stage.token(by), &call);
            let shown = format!("{call:?} [{}]\n{}{}", ran.code, ran.out, ran.errors);
            assert_eq!(ran.code, code, "{shown}");
            // What waits for approval says so next to its output; what is refused prints nothing there.
            assert!(code != 1 || ran.out.is_empty(), "{shown}");
            let printed = ran.out.trim();
            let right = printed.is_empty() && code != 0 || is_in_format(value.get_name(), &ran.out);
            assert!(right, "{shown}");
            seen += 1;
        }
    }
    assert!(seen > 200, "{seen}");
}

#[test]
fn every_option_of_every_command_works_or_says_why_not() {
    let (stage, console) = Stage::start();
    prepare(&stage, &console);
    let (mut refused, mut wrong) = (Vec::new(), Vec::new());
    for (name, command) in run_here() {
        let case = case_of(&name);
        for arg in command.get_arguments() {
            let id = arg.get_id().as_str();
            if ["help", "version", "format"].contains(&id) || arg.is_positional() {
                continue;
            }
            let values: Vec<String> = match arg.get_action() {
                ArgAction::SetTrue => vec![String::new()],
                _ if !arg.get_possible_values().is_empty() => {
                    let all = arg.get_possible_values();
                    all.iter().map(|v| v.get_name().to_owned()).collect()
                }
                _ => vec![sample(&name, id).to_owned()],
            };
            for value in values {
                match works(&stage, &console, case, arg, &value) {
                    Ok(true) => {}
                    Ok(false) => refused.push((name.clone(), id.to_owned())),
                    Err(unexpected) => wrong.push(unexpected),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (command, id, _) in REFUSED {
        let known = refused.iter().any(|(c, i)| c == command && i == id);
        assert!(
            known,
            "`dbward {command}` is not refused with {id} any more"
        );
    }
}

/// Files that options name.
fn prepare(stage: &Stage, console: &Console) {
    let (home, admin) = (console.home(), stage.token(By::Admin));
    stage.requester.submit("production", "SELECT 1");
    fs::write(
        home.join("one.sql"),
        "UPDATE items SET price = 2 WHERE id = 1",
    )
    .unwrap();
    let export = ["audit", "export", "--output", "audit.jsonl"];
    console.run(Some(&admin), &export).is(0);
    let state = stage.server.state_dir();
    for file in ["audit-keys.json", "audit-signing.key"] {
        fs::copy(state.join(file), home.join(file)).unwrap();
    }
    std::os::unix::fs::symlink(state.join("dbward.db"), home.join("state.db")).unwrap();
    fs::write(home.join("checkpoints.jsonl"), "").unwrap();
    rusqlite::Connection::open(home.join("app.db")).unwrap();
    let agent = stage.server.agent("agent-2").person.token.unwrap();
    let token = home.join("agent-token");
    fs::write(&token, agent).unwrap();
    fs::set_permissions(token, fs::Permissions::from_mode(0o600)).unwrap();
    let url = format!("http://{}", stage.server.inner().addr());
    let agent = format!(
        "[server]\nurl = \"{url}\"\ntoken_file = \"agent-token\"\n[agent]\nstate_dir = \"agent-state\"\n\
         [[databases]]\nname = \"shop\"\nenvironment = \"development\"\ndriver = \"sqlite\"\npath = \"app.db\"\n"
    );
    fs::write(home.join("agent.toml"), agent).unwrap();
}

/// Runs the usual call with the option; whether it ends as without it.
fn works(
    stage: &Stage,
    console: &Console,
    case: Case,
    arg: &Arg,
    value: &str,
) -> Result<bool, String> {
    let (command, by, code, rest) = case;
    let (id, token) = (arg.get_id().as_str(), stage.token(by));
    let mut usual = rest(stage);
    if replaces_argument(command, id) {
        usual.remove(0);
    }
    for other in instead_of(command, id) {
        usual = without(&usual, &[(*other).to_owned()], *other != "--no-wait");
    }
    usual = without(&usual, &names(arg), !value.is_empty());
    let mut call = words(command);
    call.extend(usual);
    call.push(names(arg)[0].clone());
    call.extend([value.to_owned()].into_iter().filter(|v| !v.is_empty()));
    call.extend(company(command, id).iter().map(|w| (*w).to_owned()));
    let url = format!("http://{}", stage.server.inner().addr());
    let server = format!("url = \"{url}\"\ntoken = \"{token}\"\n");
    let file = match id {
        "server" => Some(("dbward.toml", format!("[servers.here]\n{server}"))),
        "config" if value == "only.toml" => Some(("only.toml", format!("[server]\n{server}"))),
        _ => None,
    };
    if let Some((file, text)) = &file {
        fs::write(console.home().join(file), text).unwrap();
    }
    let ran = run(console, &token, &call);
    if let Some((file, _)) = &file {
        fs::remove_file(console.home().join(file)).unwrap();
    }
    if id == "output" && ran.code == 0 {
        let written = fs::read(console.home().join(value)).unwrap();
        assert!(!written.is_empty() && ran.out.is_empty(), "{call:?}");
        fs::remove_file(console.home().join(value)).unwrap();
    }
    let waits = call.iter().any(|word| word == "--timeout") && ran.code == 124;
    // A wrong command line ends with 2, as what waits for approval does.
    let misused = ran.errors.contains("Usage: ");
    if !misused && (ran.code == code || waits) {
        return Ok(true);
    }
    let all = format!("{}{}", ran.out, ran.errors);
    let why = REFUSED.iter().find(|(c, i, _)| *c == command && *i == id);
    match why.is_some_and(|(.., why)| all.contains(why)) {
        true => Ok(false),
        false => Err(format!("{call:?} [{}]\n{all}", ran.code)),
    }
}
