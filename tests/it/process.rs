//! The real program: how it starts, what it leaves on disk, and how it ends.

mod audit_key;
mod edited;
mod first_tokens;
mod plain_http;

use crate::support::{Program, SHOP, Temp, admin_of, binary, eventually, settled};
use rustix::process::Signal;
use serde_json::json;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

fn run(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn serve(dir: &Path) -> Command {
    let mut command = binary();
    command
        .arg("serve")
        .arg("--config")
        .arg(dir.join("server.toml"));
    command
}

/// One line, one sentence.
#[track_caller]
fn is_one_sentence(errors: &str, words: &str) {
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines.len(), 1, "{errors}");
    assert!(
        lines[0].starts_with("dbward: ") && lines[0].contains(words),
        "{errors}"
    );
}

#[test]
fn the_log_has_the_lines_of_the_checkpoint_file() {
    let elsewhere = Temp::new();
    let file = elsewhere.path().join("checkpoints.jsonl");
    let dir = settled(&format!("{SHOP}[audit]\ncheckpoint_file = {file:?}\n"));
    let (server, _) = Program::serve(dir.path());
    let errors = server.stop();
    let logged: Vec<&str> = errors
        .lines()
        .filter_map(|line| Some(line.split_once("audit checkpoint: ")?.1))
        .collect();
    let kept = fs::read_to_string(&file).unwrap();
    assert!(!logged.is_empty(), "{errors}");
    assert_eq!(logged, kept.lines().collect::<Vec<_>>());
}

#[test]
fn an_idle_server_stops_at_once_and_cleanly() {
    let dir = settled(SHOP);
    for signal in [Signal::TERM, Signal::INT] {
        let (server, at) = Program::serve(dir.path());
        admin_of(at, dir.path()).get("/api/me").is(200);
        let start = Instant::now();
        server.signal(signal);
        let (status, errors) = server.end();
        assert!(status.success(), "{status}: {errors}");
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{:?}",
            start.elapsed()
        );
        assert!(
            !dir.path().join("state/dbward.db-wal").exists()
                || fs::metadata(dir.path().join("state/dbward.db-wal"))
                    .unwrap()
                    .len()
                    == 0
        );
    }
}

#[test]
fn a_second_signal_ends_the_grace() {
    let dir = settled(&format!("shutdown_grace_secs = 3600\n{SHOP}"));
    let (server, at) = Program::serve(dir.path());
    let admin = admin_of(at, dir.path());
    let id = admin.create("development", "SELECT 1").is(201).text("id");
    let token = fs::read_to_string(dir.path().join("state/agent-token")).unwrap();
    let mut agent = admin.clone();
    agent.token = Some(token);
    agent
        .post(
            "/api/agent/poll",
            &json!({"capabilities": {"databases": ["shop"]}}),
        )
        .is(200);
    agent.poke(&format!("/api/agent/jobs/{id}/claim")).is(200);
    server.signal(Signal::TERM);
    eventually("draining", || admin.get("/ready").status == 503);
    server.stop();
}

#[test]
fn only_the_owner_reads_what_a_server_writes() {
    let dir = settled(SHOP);
    let (server, at) = Program::serve(dir.path());
    admin_of(at, dir.path())
        .create("production", "SELECT 1")
        .is(201);
    let state = dir.path().join("state");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut open = vec![state.clone()];
    let mut seen = Vec::new();
    while let Some(folder) = open.pop() {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
                seen.push(path.file_name().unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    for name in [
        "admin-token",
        "developer-token",
        "agent-token",
        "signing.key",
        "signing.pub",
        "audit-signing.key",
        "audit-keys.json",
        "dbward.db",
    ] {
        assert!(seen.iter().any(|n| n == name), "no {name} in {seen:?}");
    }
    assert!(state.join("results").is_dir());
    for name in ["admin-token", "developer-token", "agent-token"] {
        let token = fs::read(state.join(name)).unwrap();
        assert!(token.len() == 36 && token.starts_with(b"dbw_"), "{name}");
    }
    assert_eq!(fs::read(state.join("signing.key")).unwrap().len(), 32);
    let errors = server.stop();
    // Where the tokens are is shown; what they are is not.
    assert!(errors.contains("admin-token"));
    assert!(
        !errors.contains(
            fs::read_to_string(state.join("admin-token"))
                .unwrap()
                .as_str()
        )
    );
}

#[test]
fn two_servers_never_share_a_state_dir() {
    let dir = settled(SHOP);
    let (server, at) = Program::serve(dir.path());
    let (code, _, errors) = run(&mut serve(dir.path()));
    assert_eq!(code, 1);
    is_one_sentence(&errors, "another server is using the state_dir");
    admin_of(at, dir.path()).get("/api/me").is(200);
    server.stop();
    Program::serve(dir.path()).0.stop();
}

#[test]
fn a_taken_port_is_one_sentence_and_changes_nothing() {
    let dir = settled(SHOP);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, errors) = run(serve(dir.path()).args(["--listen", &address]));
    assert_eq!(code, 1);
    is_one_sentence(&errors, &address);
    assert!(!dir.path().join("state").exists());
    let (code, _, errors) = run(binary().args(["demo", "--listen", &address]));
    assert_eq!(code, 1);
    is_one_sentence(&errors, &address);
}

#[test]
fn a_revoked_bootstrap_token_does_not_stop_a_later_start() {
    let dir = settled(SHOP);
    let (server, at) = Program::serve(dir.path());
    let admin = admin_of(at, dir.path());
    for token in admin.get("/api/tokens").is(200).list("tokens") {
        if token["subject_id"] != "admin" {
            admin
                .delete(&format!("/api/tokens/{}", token["id"].as_str().unwrap()))
                .is(200);
        }
    }
    server.stop();
    fs::remove_file(dir.path().join("state/agent-token")).unwrap();
    let (server, at) = Program::serve(dir.path());
    let admin = admin_of(at, dir.path());
    assert_eq!(admin.get("/api/tokens").is(200).list("tokens").len(), 3);
    for token in admin.get("/api/tokens").list("tokens") {
        let answer = admin.delete(&format!("/api/tokens/{}", token["id"].as_str().unwrap()));
        // The last administrator's stays; a new one needs a start with --force-bootstrap.
        let wanted = if token["subject_id"] == "admin" {
            409
        } else {
            200
        };
        assert_eq!(answer.status, wanted, "{}", answer.raw());
    }
    server.stop();
    Program::serve(dir.path()).0.stop();
}

#[test]
fn force_bootstrap_makes_the_first_tokens_again() {
    let dir = settled(SHOP);
    let (server, at) = Program::serve(dir.path());
    let old = admin_of(at, dir.path());
    server.stop();
    let server = Program::start(serve(dir.path()).arg("--force-bootstrap"));
    let at = server
        .line()
        .strip_prefix("listening on http://")
        .unwrap()
        .parse()
        .unwrap();
    let new = admin_of(at, dir.path());
    assert_ne!(old.token, new.token);
    new.get("/api/me").is(200);
    let mut stale = new.clone();
    stale.token = old.token;
    stale.get("/api/me").refused(401, "unauthenticated");
    assert_eq!(new.get("/api/audit/verify").is(200).json["valid"], true);
    server.stop();
}

#[test]
fn every_problem_of_a_bad_configuration_is_reported() {
    let dir = settled(
        "colour = \"blue\"\nworkers = 0\n[[databases]]\nname = \"Shop\"\n[[workflows]]\n[[workflows.steps]]\n\
         [[workflows.steps.approvers]]\ngroup = \"nobody\"\n",
    );
    for command in ["serve", "check-config"] {
        let (code, _, errors) = run(binary()
            .arg(command)
            .arg("--config")
            .arg(dir.path().join("server.toml")));
        assert_eq!(code, 1);
        for words in ["colour", "workers", "databases[0].name", "nobody"] {
            assert!(errors.contains(words), "{command}: no {words} in {errors}");
        }
        assert!(!errors.contains("panicked"));
    }
    assert!(!dir.path().join("state").exists());
    let (code, _, errors) = run(binary().args(["serve", "--config", "/nowhere/server.toml"]));
    assert!(
        code == 1 && errors.contains("/nowhere/server.toml"),
        "{errors}"
    );
}

#[test]
fn the_example_configuration_is_accepted() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("server.toml.example");
    let dir = Temp::new();
    let text = fs::read_to_string(example)
        .unwrap()
        .replace("#state_dir", "state_dir");
    fs::write(dir.path().join("server.toml"), text).unwrap();
    let (code, out, errors) = run(binary()
        .arg("check-config")
        .arg("--config")
        .arg(dir.path().join("server.toml")));
    assert!(code == 0 && out.contains("ok"), "{out}{errors}");
}

#[test]
fn check_config_lists_what_deserves_a_second_look() {
    let dir = Temp::new();
    let check = |arguments: &[&str]| {
        run(binary()
            .current_dir(dir.path())
            .arg("check-config")
            .args(arguments))
    };
    let server = "state_dir = \"state\"\n[[databases]]\nname = \"app\"\nenvironments = [\"production\"]\n\
                  dialect = \"mysql\"\n[[workflows]]\n[[workflows.steps]]\n[[workflows.steps.approvers]]\n\
                  group = \"dba\"\n[[auth.groups]]\nname = \"leads\"\nmembers = [\"lead\"]\n\
                  [[auth.groups]]\nname = \"night\"\nfrom_claim = true\n[auth.oidc]\nissuer_url = \"https://id.example.com\"\nclient_id = \"dbward\"\n";
    fs::write(dir.path().join("server.toml"), server).unwrap();
    let (code, out, errors) = check(&[]);
    assert_eq!(code, 0, "{errors}");
    for words in [
        "note: server.toml: workflows: a holder of `*` whom no step names may vote in wf:*:*",
        "note: server.toml: auth.oidc: the claim `groups` alone decides who is in dba",
        "note: server.toml: auth.groups: the claim `groups` adds people to night (from_claim)",
        "note: server.toml: auth.groups: only the file decides who is in leads",
    ] {
        assert!(out.contains(words), "no `{words}` in {out}");
    }
    assert!(!out.contains("is mysql"), "it has a driver: {out}");
    // Both files, and the problems of both.
    let agent = "[server]\nurl = \"http://127.0.0.1:1\"\ntoken = \"x\"\n[agent]\nstate_dir = \"a\"\n[[databases]]\n\
                 name = \"app\"\nenvironment = \"production\"\ndriver = \"sqlite\"\npath = \"app.db\"\n";
    fs::write(dir.path().join("agent.toml"), agent).unwrap();
    let (code, out, _) = check(&["--agent", "agent.toml"]);
    assert_eq!(
        (code, out.as_str()),
        (0, "agent.toml: ok: serves app/production\n")
    );
    fs::write(
        dir.path().join("agent.toml"),
        agent.replace("path", "paths"),
    )
    .unwrap();
    fs::write(dir.path().join("server.toml"), "colour = 1\n").unwrap();
    let (code, _, errors) = check(&["--config", "server.toml", "--agent", "agent.toml"]);
    assert_eq!(code, 1);
    for words in ["server.toml:1: colour", "agent.toml:10: databases[0].paths"] {
        assert!(errors.contains(words), "no `{words}` in {errors}");
    }
}

#[test]
fn an_empty_rust_log_counts_as_unset() {
    let dir = settled(SHOP);
    let program = Program::start(serve(dir.path()).env("RUST_LOG", ""));
    assert!(program.line().starts_with("listening on"));
    let log = program.stop();
    assert!(
        log.contains("stopping"),
        "the configured level counts: {log}"
    );
}

#[test]
fn a_wrong_command_line_is_reported_and_ends_with_two() {
    for arguments in [
        &[][..],
        &["dance"],
        &["serve", "--colour"],
        &["serve", "--config"],
        &["demo", "--port", "x"],
        &["serve", "extra"],
    ] {
        let (code, out, errors) = run(binary().args(arguments));
        assert_eq!(code, 2, "{arguments:?}: {errors}");
        assert!(
            out.is_empty() && errors.contains("--help"),
            "{arguments:?}: {errors}"
        );
    }
    let (code, out, _) = run(binary().arg("--help"));
    assert!(
        code == 0
            && ["demo", "serve", "agent", "check-config"]
                .iter()
                .all(|c| out.contains(c))
    );
    let (code, out, _) = run(binary().arg("--version"));
    assert_eq!(
        (code, out),
        (0, format!("dbward {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn a_damaged_state_is_refused_in_one_sentence() {
    let dir = settled(SHOP);
    let (server, _) = Program::serve(dir.path());
    server.stop();
    let state = dir.path().join("state");
    fs::set_permissions(state.join("signing.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _, errors) = run(&mut serve(dir.path()));
    assert_eq!(code, 1);
    is_one_sentence(&errors, "signing.key");
    fs::set_permissions(state.join("signing.key"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(state.join("dbward.db"), vec![b'x'; 8192]).unwrap();
    let (code, _, errors) = run(&mut serve(dir.path()));
    assert_eq!(code, 1);
    is_one_sentence(&errors, "dbward.db");
}

fn agent_toml(dir: &Path, at: std::net::SocketAddr) -> std::path::PathBuf {
    let path = dir.join("agent.toml");
    let text = format!(
        "[server]\nurl = \"http://{at}\"\ntoken_file = \"state/agent-token\"\n[agent]\nstate_dir = \"agent-state\"\n\
         [[databases]]\nname = \"shop\"\nenvironment = \"development\"\ndriver = \"sqlite\"\npath = \"shop.db\"\n"
    );
    fs::write(&path, text).unwrap();
    path
}

fn agent(dir: &Path, at: std::net::SocketAddr) -> Program {
    Program::start(
        binary()
            .arg("agent")
            .arg("--config")
            .arg(agent_toml(dir, at)),
    )
}

fn rows(db: &Path, sql: &str) -> i64 {
    rusqlite::Connection::open(db)
        .unwrap()
        .query_row(sql, [], |r| r.get(0))
        .unwrap()
}

#[test]
fn server_and_agent_run_statements_on_a_real_database() {
    let dir = settled(&SHOP.replace("\"postgresql\"", "\"sqlite\""));
    let db = dir.path().join("shop.db");
    rusqlite::Connection::open(&db)
        .unwrap()
        .execute_batch(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, big INTEGER);
             INSERT INTO items VALUES (1, 'one', 9223372036854775807), (2, NULL, 0);",
        )
        .unwrap();
    let (server, at) = Program::serve(dir.path());
    let agent = agent(dir.path(), at);
    let admin = admin_of(at, dir.path());
    let result = |sql: &str| {
        let request = admin.submit("development", sql);
        admin.get(&request.path("/result/stream?wait=30")).is(200)
    };
    let read = result("SELECT name, id, big FROM items ORDER BY id");
    assert_eq!(read.json["success"], true, "{}", read.raw());
    assert!(read.raw().contains("9223372036854775807"));
    let name = read.raw().find("\"name\"").unwrap();
    assert!(name < read.raw().rfind("\"big\"").unwrap());
    let write = result("UPDATE items SET name = 'two' WHERE id = 2");
    assert_eq!(write.json["rows_affected"], 1, "{}", write.raw());
    assert_eq!(
        rows(&db, "SELECT count(*) FROM items WHERE name = 'two'"),
        1
    );
    let broken = result("UPDATE missing_table SET a = 1 WHERE id = 2");
    assert_eq!(broken.json["success"], false);
    assert!(
        broken.text("error_message").contains("missing_table"),
        "{}",
        broken.raw()
    );
    // Half of a failing text is rolled back with the rest.
    let half = result(
        "INSERT INTO items VALUES (3, 'three', 0); INSERT INTO items VALUES (1, 'again', 0)",
    );
    assert_eq!(half.json["success"], false);
    assert_eq!(rows(&db, "SELECT count(*) FROM items"), 2);
    agent.stop();
    assert_eq!(admin.get("/api/audit/verify").is(200).json["valid"], true);
    server.stop();
}

#[test]
fn agent_survives_restart_of_its_server_and_refuses_another_key() {
    let dir = settled(&SHOP.replace("\"postgresql\"", "\"sqlite\""));
    let db = dir.path().join("shop.db");
    rusqlite::Connection::open(&db)
        .unwrap()
        .execute_batch("CREATE TABLE items (id INTEGER)")
        .unwrap();
    let (server, at) = Program::serve(dir.path());
    let agent = agent(dir.path(), at);
    let run = |at, n: i64| {
        let admin = admin_of(at, dir.path());
        let request = admin.submit("development", &format!("INSERT INTO items VALUES ({n})"));
        admin.get(&request.path("/result/stream?wait=30"))
    };
    assert_eq!(run(at, 1).is(200).json["success"], true);
    server.stop();
    let server = Program::start(serve(dir.path()).args(["--listen", &at.to_string()]));
    server.line();
    assert_eq!(run(at, 2).is(200).json["success"], true);
    server.stop();
    // A server that lost its key, or that is not ours.
    fs::remove_file(dir.path().join("state/signing.key")).unwrap();
    let server = Program::start(serve(dir.path()).args(["--listen", &at.to_string()]));
    server.line();
    let admin = admin_of(at, dir.path());
    let request = admin.submit("development", "INSERT INTO items VALUES (3)");
    let refused = admin.get(&request.path("/result/stream?wait=20"));
    assert!(
        refused.status == 204 || refused.json["success"] == false,
        "{}",
        refused.raw()
    );
    assert_eq!(rows(&db, "SELECT count(*) FROM items"), 2);
    drop(agent);
    server.stop();
}
