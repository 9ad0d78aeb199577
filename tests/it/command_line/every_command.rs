//! Every command, on terminals of 80 and 200 columns and into a pipe: what it prints is kept, and none is left out.

use super::console::Console;
use super::pages::commands;
use crate::support::{Person, Program, Request, SHOP, Server, eventually};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

const WEBHOOK: &str = r#"
[[webhooks]]
id = "ops"
url = "http://127.0.0.1:9/hook"
events = ["*"]
"#;

/// Commands whose output is not kept, and where it is held instead.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "completion",
        "pages.rs: a script for a shell, held against the parser",
    ),
    ("man", "pages.rs: pages in roff, held against the parser"),
];

/// A shell before a server with a delivery that was given up for each of three runs; their ids.
fn given_up() -> (Server, Console, Vec<String>) {
    let server = Server::with(&format!("{SHOP}{WEBHOOK}"));
    for _ in 0..3 {
        server.requester().submit("production", UPDATE);
    }
    server.turn_only(86_401);
    dbward::jobs::outbox(server.inner().job_state()).unwrap();
    let mut console = Console::before(&server);
    let path = "/api/webhook-deliveries?status=dead";
    let dead = server.admin().get(path).is(200).list("deliveries");
    let ids: Vec<String> = dead
        .iter()
        .map(|d| d["id"].as_str().unwrap().to_owned())
        .collect();
    for id in &ids {
        console.knows(id.strip_prefix("wd-").unwrap());
    }
    (server, console, ids)
}

#[test]
fn redelivery_prints_what_its_golden_says() {
    let (server, mut console, ids) = given_up();
    let admin = server.admin().token.unwrap();
    for (columns, id) in [None, Some(80), Some(200)].into_iter().zip(&ids) {
        console
            .record_at(columns, &admin, &["webhook", "redeliver", id])
            .is(0);
    }
    console.golden("redelivery");
}

#[test]
fn a_repair_prints_what_its_golden_says() {
    let server = Server::shop();
    let mut console = Console::before(&server);
    let (admin, agent) = (server.admin(), server.agent("agent-1"));
    let token = admin.token.clone().unwrap();
    let agent = agent.serving(json!({
        "databases": ["shop"], "environments": ["production"], "operations": ["migrate_repair"],
    }));
    agent.poll();
    for option in ["--mark-applied", "--remove"] {
        let key = option.trim_start_matches('-');
        let call = format!(
            "migrate repair {option} 20260102030405 -e production --reason restored --yes --idempotency-key {key}"
        );
        let call: Vec<&str> = call.split(' ').collect();
        // The first waits for the agent; those that are kept find it done.
        let first = console.start(&token, &call);
        let mut jobs = Vec::new();
        eventually("a job", || {
            jobs = agent.jobs();
            !jobs.is_empty()
        });
        console.knows(&jobs[0]);
        let claim = agent.claim(&jobs[0]);
        let repaired = key.replace('-', "_");
        let data = json!({"repaired": repaired, "version": "20260102030405"}).to_string();
        agent.succeed(&claim.execution, &data).is(200);
        assert!(first.end().0.success());
        console.record_wide(&token, &call).is(0);
    }
    console.golden("repair");
}

#[test]
fn a_reload_prints_what_its_golden_says() {
    let mut console = Console::at("http://127.0.0.1:9");
    let text = format!("state_dir = \"state\"\nlisten = \"127.0.0.1:0\"\n{SHOP}");
    fs::write(console.home().join("server.toml"), text).unwrap();
    let (program, _) = Program::serve(console.home());
    console.record_sentences(&["reload", "--config", "server.toml"], 0);
    program.stop();
    console.golden("reload");
}

/// Everything that a command may be about.
pub(super) struct Stage {
    pub server: Server,
    pub admin: Person,
    pub requester: Person,
    pub approver: Person,
}

impl Stage {
    /// A server with an agent, tables, a webhook and people, and a shell whose home has a migration, two configurations
    /// and a token.
    pub fn start() -> (Stage, Console) {
        let workflow = "environment = \"production\"\n";
        let rehearsing = format!("{workflow}rehearse = \"on_request\"\n");
        let shop = SHOP.replace(workflow, &rehearsing);
        let server = Server::with(&format!("{shop}{WEBHOOK}"));
        let visitor = server.person("visitor", &["readonly"]);
        let stage = Stage {
            admin: server.admin(),
            requester: server.requester(),
            approver: server.approver(),
            server,
        };
        let agent = stage.server.agent("agent-1");
        agent.poll();
        let tables = json!({
            "database": "shop", "environment": "production", "dialect": "postgresql", "status": "ready",
            "snapshot": {"tables": []}, "error_message": null,
        });
        agent.person.post("/api/agent/schema-sync", &tables).is(200);
        let console = Console::before(&stage.server);
        agent.poll();
        for person in [&visitor, &stage.admin, &stage.requester, &stage.approver] {
            person.get("/api/me").is(200);
        }
        // Lists say when they were last here from now on, and not only after some seconds.
        stage.server.flush();
        let migrations = console.home().join("migrations");
        fs::create_dir(&migrations).unwrap();
        let text = "-- migrate:up\nALTER TABLE items ADD paid_at text;\n-- migrate:down\nALTER TABLE items DROP paid_at;\n";
        fs::write(migrations.join("20260102030405_add_paid_at.sql"), text).unwrap();
        let checked = format!("state_dir = \"state\"\n{SHOP}{WEBHOOK}");
        fs::write(console.home().join("server.toml"), checked).unwrap();
        // The state of the server, under a name that is the same in every run.
        symlink(stage.server.state_dir(), console.home().join("live")).unwrap();
        let served = format!("state_dir = \"live\"\n{SHOP}{WEBHOOK}");
        fs::write(console.home().join("served.toml"), served).unwrap();
        let token = stage.requester.token.clone().unwrap();
        fs::write(console.home().join("kept-token"), token).unwrap();
        (stage, console)
    }

    /// The token of whose command it is.
    pub fn token(&self, by: By) -> String {
        let who = match by {
            By::Admin => &self.admin,
            By::Requester => &self.requester,
            By::Approver => &self.approver,
        };
        who.token.clone().unwrap()
    }

    pub fn pending(&self) -> String {
        self.requester.submit("production", UPDATE).id
    }

    fn approved(&self) -> Request {
        let request = self.requester.submit("production", UPDATE);
        self.approver.approve(&request).is(200);
        request
    }

    fn executed(&self) -> String {
        let request = self.requester.submit("development", "SELECT 1");
        self.server.agent("agent-1").run(&request.id);
        request.id
    }

    /// The id of a new token of somebody.
    fn new_token(&self) -> String {
        let asked = json!({"subject_id": "ci", "subject_type": "user", "roles": ["readonly"], "name": "pipeline"});
        self.admin.post("/api/tokens", &asked).is(201).text("id")
    }
}

/// Whose command it is.
#[derive(Clone, Copy)]
pub(super) enum By {
    Admin,
    Requester,
    Approver,
}

/// A command, whose it is, how it ends, and what stands after its words in one run of it.
pub(super) type Case = (&'static str, By, i32, fn(&Stage) -> Vec<String>);

pub(super) fn none(_: &Stage) -> Vec<String> {
    Vec::new()
}

pub(super) fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

static MIGRATIONS: AtomicUsize = AtomicUsize::new(1);
static BACKUPS: AtomicUsize = AtomicUsize::new(1);

pub(super) const CASES: &[Case] = &[
    ("execute", By::Requester, 2, |_| {
        let mut words = words("-e production --reason refund --no-wait");
        words.insert(0, UPDATE.to_owned());
        words
    }),
    ("preflight", By::Requester, 0, |_| {
        // No agent explains anything here.
        let place = ["-e", "production", "--no-explain"].map(str::to_owned);
        [UPDATE.to_owned()].into_iter().chain(place).collect()
    }),
    ("request list", By::Requester, 0, none),
    ("request show", By::Approver, 0, |s| vec![s.pending()]),
    ("request why", By::Requester, 0, |s| vec![s.pending()]),
    ("request approve", By::Approver, 0, |s| vec![s.pending()]),
    ("request reject", By::Approver, 0, |s| {
        [s.pending()]
            .into_iter()
            .chain(words("--reason late"))
            .collect()
    }),
    ("request cancel", By::Requester, 0, |s| vec![s.pending()]),
    ("request resume", By::Requester, 0, |s| {
        vec![s.approved().id, "--no-wait".to_owned()]
    }),
    ("request watch", By::Requester, 0, |s| vec![s.executed()]),
    ("request result", By::Requester, 0, |s| vec![s.executed()]),
    ("results", By::Requester, 0, none),
    ("migrate up", By::Requester, 2, |_| {
        words("-e production --no-wait")
    }),
    ("migrate down", By::Requester, 2, |_| {
        words("-e production --no-wait")
    }),
    ("migrate status", By::Requester, 2, |_| {
        words("-e production --no-wait")
    }),
    ("migrate repair", By::Admin, 1, |_| {
        words("--mark-applied 20260102030405 -e production")
    }),
    ("migrate create", By::Requester, 0, |_| {
        // Within one second, equal names would be one file.
        let n = MIGRATIONS.fetch_add(1, Ordering::SeqCst);
        vec![format!("add_paid_at_{n}")]
    }),
    ("databases", By::Requester, 0, none),
    ("schema", By::Requester, 0, |_| words("-e production")),
    ("agents", By::Admin, 0, none),
    ("token create", By::Admin, 0, |_| {
        words("--subject ci --roles readonly")
    }),
    ("token list", By::Admin, 0, |_| words("--subject ci")),
    ("token revoke", By::Admin, 0, |s| vec![s.new_token()]),
    ("user list", By::Admin, 0, none),
    ("user suspend", By::Admin, 0, |_| words("visitor")),
    ("user activate", By::Admin, 0, |_| words("visitor")),
    ("user link-slack", By::Requester, 0, |_| words("U012ABCDEF")),
    ("webhook list", By::Admin, 0, none),
    ("webhook deliveries", By::Admin, 0, |_| {
        words("--status dead")
    }),
    ("webhook redeliver", By::Admin, 1, |_| words("nothing")),
    ("webhook test", By::Admin, 0, |_| words("ops")),
    ("audit list", By::Admin, 0, |_| {
        words("--event request.rejected")
    }),
    ("audit verify", By::Admin, 0, none),
    ("audit export", By::Admin, 0, |_| {
        words("--output log.jsonl")
    }),
    ("doctor", By::Admin, 0, none),
    ("login", By::Requester, 0, |_| {
        words("--token-file kept-token")
    }),
    ("logout", By::Requester, 0, none),
    ("policy resolve", By::Admin, 0, |_| words("-e production")),
    ("whoami", By::Requester, 0, none),
    // Nothing runs on that state.
    ("reload", By::Admin, 1, |_| words("--config server.toml")),
    ("policy replay", By::Admin, 0, |_| {
        words("--config served.toml")
    }),
    ("policy test", By::Admin, 0, |_| {
        words("--config served.toml")
    }),
    ("backup", By::Admin, 0, |_| {
        let n = BACKUPS.fetch_add(1, Ordering::SeqCst);
        words(&format!("copy-{n} --config served.toml"))
    }),
    ("restore", By::Admin, 0, |_| words("--check copy-1")),
    ("request rehearse", By::Requester, 0, |s| {
        vec![s.pending(), "--no-wait".to_owned()]
    }),
];

#[test]
fn every_command_prints_what_its_golden_says() {
    let (stage, mut console) = Stage::start();
    for (command, by, code, rest) in CASES {
        let token = stage.token(*by);
        for columns in [None, Some(80), Some(200)] {
            let mut call = words(command);
            call.extend(rest(&stage));
            let call: Vec<&str> = call.iter().map(String::as_str).collect();
            console.record_at(columns, &token, &call).is(*code);
        }
    }
    console.golden("every_command");
}

/// The calls of transcripts, without the name of the program, and how each ended.
fn kept_calls(transcripts: &str) -> Vec<(&str, i32)> {
    let blocks = transcripts.split("$ dbward ").skip(1);
    let call = |block: &'_ str| -> i32 {
        let last = block.trim_end().lines().last().unwrap_or_default();
        let code = last.strip_prefix('[').and_then(|l| l.strip_suffix(']'));
        code.and_then(|code| code.parse().ok()).unwrap_or(0)
    };
    blocks
        .map(|block| (block.lines().next().unwrap_or_default(), call(block)))
        .collect()
}

#[test]
fn no_command_is_without_a_golden() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cli");
    let mut kept = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        kept.push_str(&fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    let calls = kept_calls(&kept);
    let mut looked_at = 0;
    for (words, command) in commands() {
        // Commands that only hold others print help, which pages.rs holds against the parser.
        if command.get_subcommands().any(|c| c.get_name() != "help") && words != ["audit"] {
            continue;
        }
        let name = words.join(" ");
        if name.is_empty() || name == "audit" || ELSEWHERE.iter().any(|(other, _)| *other == name) {
            continue;
        }
        looked_at += 1;
        // What waits for approval ends with 2.
        let succeeds = |(line, code): &&(&str, i32)| {
            let rest = line.strip_prefix(&name);
            [0, 2].contains(code) && rest.is_some_and(|r| r.is_empty() || r.starts_with(' '))
        };
        let calls: Vec<&str> = calls
            .iter()
            .filter(succeeds)
            .map(|(line, _)| *line)
            .collect();
        for columns in [" # 80 columns", " # 200 columns"] {
            let found = calls.iter().any(|line| line.ends_with(columns));
            assert!(found, "no golden of `dbward {name}`{columns} that succeeds");
        }
        let piped = calls.iter().any(|line| !line.ends_with(" columns"));
        assert!(
            piped,
            "no golden of `dbward {name}` in a pipe that succeeds"
        );
    }
    assert!(looked_at > 30, "{looked_at}");
    let known: Vec<String> = commands()
        .into_iter()
        .map(|(words, _)| words.join(" "))
        .collect();
    for (name, _) in ELSEWHERE {
        assert!(known.iter().any(|k| k == name), "`{name}` is not a command");
    }
}
