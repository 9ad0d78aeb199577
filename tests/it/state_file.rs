//! The state file, edited while no server runs: every column of every table, one at a time, and what comes of it.

mod checkpoints;
mod closed;
mod purged;
mod quarantine;
mod schema;
mod unsigned;

use quarantine::untold;

use crate::support::{Request, SHOP, Server, Stopped, Temp, verified};
use dbward::clock::Clock;
use dbward::crypto::Keypair;
use dbward::domain::actor::Actor;
use dbward::domain::change::IdentityChange;
use dbward::domain::session::ConsoleSession;
use dbward::error::Error;
use dbward::server::state::StateDir;
use dbward::store::SlackMessage;
use dbward::store::columns::{ColumnGuard, GuardedTable, LiveRows, NOT_VERIFIED, TABLES, is_open};
use dbward::store::{AuditFilter, Replica, STATE_DIFFERS, StartChecks, Store, Verdict};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const SELECT: &str = "SELECT id FROM items WHERE id = 1";

/// Webhooks that nobody serves, so that notifications stay due; runs that may be repeated; two votes in staging.
const MORE: &str = r#"
[[webhooks]]
id = "ops"
url = "http://127.0.0.1:9/hook"
[[execution_policies]]
max_executions = 5
[[workflows]]
database = "shop"
environment = "staging"
rehearse = "on_request"
[[workflows.steps]]
[[workflows.steps.approvers]]
group = "approvers"
min = 2
"#;

/// Somebody who is signed in to the console.
fn sign_in(s: &Server) {
    let session = ConsoleSession {
        id: "session".to_owned(),
        subject_id: "requester".to_owned(),
        hash: "0".repeat(64),
        issuer: "https://id.example.com".to_owned(),
        access: Default::default(),
        name: None,
        email: None,
        expires_at: s.clock.now().plus_secs(3600),
    };
    let started = IdentityChange::SessionStarted(session);
    let store = &s.inner().app().store;
    store
        .change(Actor::system(), move |_, _| {
            Ok(Verdict::Write(vec![started.into()], ()))
        })
        .unwrap();
}

/// A stopped server's state, with open and closed requests of every kind.
fn busy() -> Stopped {
    let s = Server::with(&format!("shutdown_grace_secs = 1\n{SHOP}{MORE}"));
    let agent = s.agent("agent-1");
    let snapshot = json!({"database": "shop", "environment": "production", "dialect": "postgresql", "status": "ready",
        "snapshot": {"tables": []}});
    agent.poll().is(200);
    agent
        .person
        .post("/api/agent/schema-sync", &snapshot)
        .is(200);
    let person = s.requester();
    let submit = |environment: &str, sql: &str| -> Request {
        person.submit_with(
            environment,
            sql,
            json!({"reason": "ticket", "metadata": {"a": 1}, "share_with": ["group:approvers"]}),
        )
    };
    // Those who act later have their tokens.
    s.person("approver-two", &["readonly"]);
    s.person("stranger", &["developer"]);
    // Closed: executed with its result, cancelled, rejected.
    let executed = submit("development", SELECT);
    agent.run(&executed.id);
    person.cancel(&submit("production", UPDATE)).is(200);
    s.approver().reject(&submit("production", UPDATE)).is(200);
    let rehearse = |request: &Request| {
        let asked = person.poke(&request.path("/rehearse")).is(202);
        let path = format!("/api/agent/rehearsals/{}", asked.text("id"));
        agent.person.poke(&format!("{path}/claim")).is(200);
        let body = json!({"result": {"rows_affected": 1}});
        agent.person.post(&format!("{path}/result"), &body).is(200);
    };
    agent.poll_with(json!({"features": ["rehearsal"]})).is(200);
    let rehearsed = submit("staging", UPDATE);
    rehearse(&rehearsed);
    s.approver().reject(&rehearsed).is(200);
    rehearse(&submit("staging", UPDATE));
    agent.poll().is(200);
    // Open: voted upon, approved, run once and dispatched again, lost, and running.
    let voted = submit("staging", UPDATE);
    s.approver().approve(&voted).is(200);
    submit("production", UPDATE).approved_by(&s.approver());
    person.submit_with("production", UPDATE, json!({"idempotency_key": "once"}));
    let again = submit("development", SELECT);
    agent.run(&again.id);
    person.resume(&again).is(200);
    let running = submit("development", SELECT);
    agent.claim(&running.id);
    let posted = SlackMessage {
        channel: "C0".to_owned(),
        ts: "1.1".to_owned(),
    };
    s.inner()
        .app()
        .store
        .keep_slack_message(1, Some(posted))
        .unwrap();
    sign_in(&s);
    s.flush();
    s.stopped()
}

/// What a start of the store needs of it.
fn stopped() -> Temp {
    copied(&busy().state_dir())
}

fn copied(folder: &Path) -> Temp {
    let copy = Temp::new();
    for name in ["dbward.db", "audit-signing.key", "audit-keys.json"] {
        fs::copy(folder.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

/// The file, with every guard of its schema switched off.
fn unguarded(folder: &Path) -> Connection {
    let db = Connection::open(folder.join("dbward.db")).unwrap();
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)
        .unwrap();
    db.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")
        .unwrap();
    db
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Refused,
    Found,
    Unnoticed,
}

/// What the next start says, or, where it starts, what verification says.
fn outcome(folder: &Path, table: &str) -> Outcome {
    let state = StateDir::open(folder).unwrap();
    let keys = state.audit_keys(None).unwrap();
    let path = folder.join("dbward.db");
    match Store::open(
        &path,
        Clock::system(),
        keys,
        Arc::new(|why| panic!("{why}")),
    ) {
        Err(error) => {
            if !table.is_empty() {
                assert_eq!(error.code(), STATE_DIFFERS, "{table}: {error}");
                assert!(error.to_string().contains(table), "{table}: {error}");
            }
            Outcome::Refused
        }
        Ok(store) => {
            store.close().unwrap();
            match verified(folder).valid {
                true => Outcome::Unnoticed,
                false => Outcome::Found,
            }
        }
    }
}

/// The columns of a table: name and declared type.
fn columns(db: &Connection, table: &str) -> Vec<(String, String)> {
    let mut statement = db
        .prepare("SELECT name, type FROM pragma_table_info(?1)")
        .unwrap();
    let rows = statement
        .query_map([table], |r| Ok((r.get(0)?, r.get(1)?)))
        .unwrap();
    rows.map(Result::unwrap).collect()
}

fn names(db: &Connection, sql: &str, value: &str) -> Vec<String> {
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([value], |r| r.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Edits one column of one row: the first that counts for the live state, or the first at all.
fn edit(folder: &Path, table: &GuardedTable, column: &str, kind: &str) {
    assert_eq!(
        edit_row(folder, table, column, kind, true),
        1,
        "{}.{column}",
        table.name
    );
}

/// Edits one column of the first row that counts for the live state, or that does not. Returns how many there were.
fn edit_row(folder: &Path, table: &GuardedTable, column: &str, kind: &str, live: bool) -> usize {
    let db = unguarded(folder);
    let key = names(
        &db,
        "SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk",
        table.name,
    )
    .join(", ");
    let open = "x.status NOT IN ('executed', 'failed', 'rejected', 'cancelled', 'expired')";
    let counts = match table.live {
        LiveRows::Open => is_open("x"),
        LiveRows::While(condition) => condition.replace("{}", "x"),
        LiveRows::WithRequest => {
            let open = open.replace("x.", "o.");
            format!("EXISTS (SELECT 1 FROM requests o WHERE o.seq = x.request_seq AND {open})")
        }
        LiveRows::Always | LiveRows::Never => "1".to_owned(),
    };
    let counts = match live {
        true => counts,
        false => format!("NOT ({counts})"),
    };
    let value = match kind {
        "INTEGER" => format!("coalesce({column} + 1000, 1)"),
        "BLOB" => format!("CAST({column} || 'x' AS BLOB)"),
        // White space, so that what must be JSON stays JSON.
        _ if column.ends_with("_json") => format!("coalesce({column} || ' ', '[]')"),
        _ => format!("coalesce({column} || 'x', 'x')"),
    };
    let changed = db.execute(
        &format!(
            "UPDATE {0} SET {column} = {value} WHERE ({key}) = (SELECT {key} FROM {0} x WHERE {counts} LIMIT 1)",
            table.name
        ),
        [],
    );
    changed.unwrap()
}

/// Why nothing comes of an edit of a row that does not count any more; none where `verify` finds it.
fn harmless(table: &str, column: &str) -> Option<&'static str> {
    let known = NOT_VERIFIED
        .iter()
        .find(|(name, columns, _)| *name == table && columns.contains(&column));
    known.map(|(_, _, why)| *why)
}

#[test]
fn every_column_of_every_table_has_a_guard() {
    let folder = stopped();
    let db = unguarded(folder.path());
    let mut tables = names(
        &db,
        "SELECT name FROM sqlite_schema WHERE type = ?1 ORDER BY name",
        "table",
    );
    tables.retain(|name| !name.starts_with("sqlite_"));
    let mut known: Vec<&str> = TABLES.iter().map(|t| t.name).collect();
    known.sort_unstable();
    assert_eq!(tables, known);
    for table in TABLES {
        let mut stored: Vec<String> = columns(&db, table.name).into_iter().map(|c| c.0).collect();
        let mut listed: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        stored.sort();
        listed.sort_unstable();
        assert_eq!(stored, listed, "{}", table.name);
    }
}

#[test]
fn edit_of_a_column_that_counts_is_refused_or_found() {
    let folder = stopped();
    let mut wrong = Vec::new();
    let mut refused = 0;
    for table in TABLES {
        let kinds = columns(&unguarded(folder.path()), table.name);
        for (column, guard) in table.columns {
            let kept: fn(Outcome) -> bool = match guard {
                ColumnGuard::Digested => |outcome| outcome == Outcome::Refused,
                ColumnGuard::Verified(_) => |outcome| outcome != Outcome::Unnoticed,
                // `unsigned` has these.
                ColumnGuard::Clamped(_) | ColumnGuard::Harmless(_) => continue,
            };
            if purged::TABLES.contains(&table.name) {
                continue;
            }
            let copy = copied(folder.path());
            let kind = kinds.iter().find(|(name, _)| name == column).unwrap();
            edit(copy.path(), table, column, &kind.1);
            let named = match guard {
                ColumnGuard::Digested => table.name,
                _ => "",
            };
            let outcome = outcome(copy.path(), named);
            refused += i32::from(outcome == Outcome::Refused);
            if !kept(outcome) {
                wrong.push(format!("{}.{column}: {outcome:?}", table.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(refused > 100, "only {refused} edits were refused");
}

#[test]
fn rows_taken_out_or_put_in_are_refused() {
    let attacks = [
        (
            "approvals",
            "DELETE FROM approvals WHERE id = (SELECT max(id) FROM approvals)",
        ),
        (
            "approvals",
            "INSERT INTO approvals SELECT id + 50, request_seq, step_index, action, 'approver-two', token_id, \
             matched_selector, comment, issued_by_requester, created_at_ms, audit_seq FROM approvals a WHERE EXISTS \
             (SELECT 1 FROM requests r WHERE r.seq = a.request_seq AND r.status = 'pending')",
        ),
        (
            "executions",
            "DELETE FROM executions WHERE status = 'claimed'",
        ),
        (
            "tokens",
            "UPDATE tokens SET roles_json = '[\"admin\"]' WHERE subject_id = 'requester'",
        ),
        (
            "requests",
            "UPDATE requests SET status = 'approved' WHERE status = 'pending'",
        ),
        (
            "audit_events",
            "DELETE FROM audit_events WHERE seq = (SELECT max(seq) FROM audit_events)",
        ),
        (
            "audit_events",
            "UPDATE audit_events SET event_hash = upper(event_hash) WHERE seq = (SELECT max(seq) FROM audit_events)",
        ),
        ("head", "DELETE FROM audit_head"),
        ("head", "DELETE FROM audit_head; DELETE FROM audit_events"),
        ("head", "DROP TABLE audit_head"),
        ("head", "UPDATE audit_head SET seq = seq + 1"),
    ];
    let folder = stopped();
    for (names, attack) in attacks {
        let copy = copied(folder.path());
        unguarded(copy.path()).execute_batch(attack).unwrap();
        assert_eq!(outcome(copy.path(), names), Outcome::Refused, "{attack}");
    }
}

#[test]
fn event_with_a_right_hash_is_refused_without_a_signature() {
    let folder = stopped();
    let last = |store: &Store| {
        let newest = store.read(|view| view.list_events(&AuditFilter::default(), 1, 0));
        newest.unwrap().remove(0).unwrap()
    };
    let keys = StateDir::open(folder.path()).unwrap().audit_keys(None);
    let fatal = Arc::new(|why: &str| panic!("{why}"));
    let path = folder.path().join("dbward.db");
    let store = Store::open(&path, Clock::system(), keys.unwrap(), fatal).unwrap();
    let row = last(&store);
    store.close().unwrap();
    drop(store);
    let (mut appended, mut edited) = (row.event.clone(), row.event.clone());
    appended.id = "appended".to_owned();
    appended.prev_hash = Some(row.hash.clone());
    edited.actor_id = "somebody-else".to_owned();
    let forged = [
        format!(
            "CREATE TEMP TABLE forged AS SELECT * FROM audit_events WHERE seq = {0}; \
             UPDATE forged SET seq = {0} + 1, id = 'appended', prev_hash = event_hash, event_hash = '{1}'; \
             INSERT INTO audit_events SELECT * FROM forged",
            row.seq,
            appended.hash()
        ),
        format!(
            "UPDATE audit_events SET actor_id = 'somebody-else', event_hash = '{}' WHERE seq = {}",
            edited.hash(),
            row.seq
        ),
        format!("DELETE FROM audit_events WHERE seq = {}", row.seq),
    ];
    for forged in forged {
        let copy = copied(folder.path());
        unguarded(copy.path()).execute_batch(&forged).unwrap();
        assert_eq!(
            outcome(copy.path(), "audit_events"),
            Outcome::Refused,
            "{forged}"
        );
        assert!(!verified(copy.path()).valid, "{forged}");
    }
}

#[test]
fn a_head_of_another_key_is_refused() {
    let folder = stopped();
    let key = folder.path().join("audit-signing.key");
    fs::remove_file(&key).unwrap();
    Keypair::load_or_create(&key).unwrap();
    assert_eq!(outcome(folder.path(), "key"), Outcome::Refused);
}

#[test]
fn the_program_refuses_an_edited_file_with_exit_code_3() {
    let folder = stopped();
    unguarded(folder.path())
        .execute_batch("UPDATE users SET status = 'suspended' WHERE id = 'approver'")
        .unwrap();
    let config = folder.path().join("server.toml");
    fs::write(&config, "state_dir = \".\"\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_dbward"))
        .args(["serve", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(3));
    let last = String::from_utf8(run.stderr).unwrap();
    let last = last.trim().lines().last().unwrap().to_owned();
    assert_eq!(
        last,
        "dbward: the state file was changed while no server ran: rows of users are not those of the signed head: person \
         approver: users, column status is not what the events say; restore the state directory from a backup; where \
         there is none, start once with --quarantine, which freezes these requests, revokes these tokens, suspends \
         these people, and is audited"
    );
}

/// The page that repeats the table. Written by `UPDATE_GOLDEN=1 cargo test --test it the_page_of_the_state_file`.
#[test]
fn the_page_of_the_state_file_lists_every_column() {
    let mut text = String::from(
        "# The state file, column by column\n\n\
         What comes of an edit of `dbward.db` while no server runs. *Refused*: the next start names table, row and \
         column,\nand ends with exit code 3; *by table*: it names the table, for no event says what the column must hold, and why. \
         *Verified*:\n`verify` finds it. Otherwise the reason why nothing comes of it. Rows of a request count while it is \
         open, and always\nonce it is frozen; notifications while they are due.\n\n| table | column | what comes of an edit |\n| --- | --- | --- |\n",
    );
    for table in TABLES {
        for (column, guard) in table.columns {
            let what = match guard {
                ColumnGuard::Digested => {
                    let refused = match untold(table.name, column) {
                        Some(why) => format!("refused, by table: {why}"),
                        None => "refused".to_owned(),
                    };
                    match (table.live, harmless(table.name, column)) {
                        (LiveRows::Always, _) => refused,
                        (_, None) => format!("{refused}; of a closed request: verified"),
                        (_, Some(why)) => format!("{refused}; otherwise harmless: {why}"),
                    }
                }
                ColumnGuard::Verified(why) => format!("verified: {why}"),
                ColumnGuard::Clamped(why) => format!("no effect: {why}"),
                ColumnGuard::Harmless(why) => format!("harmless: {why}"),
            };
            text.push_str(&format!("| {} | {column} | {what} |\n", table.name));
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/state-file.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        text,
        "docs/state-file.md is old; accept it with UPDATE_GOLDEN=1"
    );
}

#[test]
fn an_untouched_file_starts() {
    let folder = stopped();
    assert_eq!(outcome(folder.path(), ""), Outcome::Unnoticed);
}
