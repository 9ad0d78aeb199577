//! Columns that neither sums nor events cover: what is written of each comes true. A start refuses the edit, `verify` finds
//! it, or the server goes on as if nobody had edited anything.

use super::{
    Outcome, SELECT, UPDATE, busy, columns, copied, edit, outcome, purged, stopped, unguarded,
};
use crate::support::{Request, Server, Stopped};
use dbward::clock::{Clock, Timestamp};
use dbward::crypto::sha256_hex;
use dbward::server::state::StateDir;
use dbward::store::columns::{ColumnGuard, GuardedTable, TABLES};
use dbward::store::{STATE_DIFFERS, Store, each_decision};
use rusqlite::Connection;
use rusqlite::types::Value as SqlValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Tables whose edit a start refuses, whatever its guard says of the rest: head, recipes, instance and migrations.
const REFUSED: &[(&str, &[&str])] = &[
    (
        "audit_head",
        &[
            "id",
            "seq",
            "event_hash",
            "recipe_sha256",
            "sums_json",
            "key_id",
            "signature",
        ],
    ),
    ("audit_recipes", &["sha256", "text"]),
    ("meta", &["key", "value"]),
    ("schema_migrations", &["name", "sha256"]),
];

/// Those that a start lets pass and `verify` finds.
const FOUND: &[(&str, &[&str])] = &[
    ("result_bodies", &["execution_seq", "body"]),
    ("result_access", &["selector", "execution_seq"]),
];

/// Those that a start sets anew. Where the edited column is a key, the row that was edited stays next to the new one.
const SET_ANEW: &[(&str, &[&str])] = &[
    ("executions", &["lease_until_ms"]),
    ("request_counts", &["status", "n"]),
    ("requester_counts", &["requester", "status", "n"]),
    ("outbox_counts", &["channel", "status", "n"]),
];

fn is_of(list: &[(&str, &[&str])], table: &str, column: &str) -> bool {
    list.iter()
        .any(|(name, columns)| *name == table && columns.contains(&column))
}

/// Every column that is not digested or verified, with the declared type.
fn unsigned(db: &Connection) -> Vec<(&'static GuardedTable, &'static str, String)> {
    let mut all = Vec::new();
    for table in TABLES.iter().filter(|t| !purged::TABLES.contains(&t.name)) {
        let kinds = columns(db, table.name);
        for (column, guard) in table.columns {
            if matches!(guard, ColumnGuard::Clamped(_) | ColumnGuard::Harmless(_)) {
                let kind = kinds.iter().find(|(name, _)| name == column).unwrap();
                all.push((table, *column, kind.1.clone()));
            }
        }
    }
    all
}

/// Edits a column: sums by another digit, since blanks make no other sums, and the lease of what runs.
fn change(folder: &Path, table: &GuardedTable, column: &str, kind: &str) {
    let sql = match column {
        "sums_json" => "UPDATE audit_head SET sums_json = replace(sums_json, '0', '1')",
        "lease_until_ms" => {
            "UPDATE executions SET lease_until_ms = lease_until_ms + 100000 WHERE status = 'claimed'"
        }
        _ => return edit(folder, table, column, kind),
    };
    assert_eq!(unguarded(folder).execute(sql, []).unwrap(), 1);
}

/// A row by column.
type Row = BTreeMap<String, String>;

/// Every row of every table. A lease is as long as it is.
fn rows(folder: &Path, opened: Timestamp) -> BTreeMap<&'static str, Vec<Row>> {
    let db = unguarded(folder);
    let read = |table: &GuardedTable| {
        let mut statement = db
            .prepare(&format!("SELECT * FROM {}", table.name))
            .unwrap();
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let cells = |row: &rusqlite::Row| -> rusqlite::Result<Row> {
            let claimed = row
                .get("status")
                .is_ok_and(|status: String| status == "claimed");
            let cell = |name: &String| -> rusqlite::Result<String> {
                let value: SqlValue = row.get(name.as_str())?;
                Ok(match (name.as_str(), value) {
                    ("lease_until_ms", SqlValue::Integer(ms)) if claimed => {
                        format!("{} s", (ms - opened.0) / 1000)
                    }
                    (_, value) => format!("{value:?}"),
                })
            };
            names
                .iter()
                .map(|name| Ok((name.clone(), cell(name)?)))
                .collect()
        };
        let mut rows: Vec<Row> = statement
            .query_map([], cells)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        rows.sort();
        (table.name, rows)
    };
    TABLES.iter().map(read).collect()
}

/// What a start leaves of a folder.
fn started(folder: &Path) -> BTreeMap<&'static str, Vec<Row>> {
    let keys = StateDir::open(folder).unwrap().audit_keys(None).unwrap();
    let clock = Clock::system();
    let opened = clock.now();
    let fatal = Arc::new(|why: &str| panic!("{why}"));
    let store = Store::open(&folder.join("dbward.db"), clock, keys, fatal).unwrap();
    store.close().unwrap();
    drop(store);
    rows(folder, opened)
}

fn without(rows: &[Row], column: &str) -> Vec<Row> {
    let mut rows = rows.to_vec();
    rows.iter_mut().for_each(|row| drop(row.remove(column)));
    rows.sort();
    rows
}

/// Whether counts of what is open: those of what has ended are totals for lists.
fn is_open(row: &Row) -> bool {
    let ended = [
        "executed",
        "failed",
        "rejected",
        "cancelled",
        "expired",
        "delivered",
        "dead",
        "new",
    ];
    !ended.iter().any(|status| {
        row.get("status")
            .is_some_and(|s| s.contains(&format!("\"{status}\"")))
    })
}

#[test]
fn an_edit_that_no_sum_covers_changes_nothing_else() {
    let folder = stopped();
    let control = copied(folder.path());
    let expected = started(control.path());
    let (mut wrong, mut unnoticed) = (Vec::new(), 0);
    for (table, column, kind) in unsigned(&unguarded(folder.path())) {
        let name = table.name;
        let copy = copied(folder.path());
        change(copy.path(), table, column, &kind);
        let want = match (is_of(REFUSED, name, column), is_of(FOUND, name, column)) {
            (true, _) => Outcome::Refused,
            (_, true) => Outcome::Found,
            _ => Outcome::Unnoticed,
        };
        let came = outcome(copy.path(), "");
        if came != want {
            wrong.push(format!("{name}.{column}: {came:?}, not {want:?}"));
        }
        if came != Outcome::Unnoticed {
            continue;
        }
        unnoticed += 1;
        for (other, rows) in started(copy.path()) {
            let before = &expected[other];
            // Due notifications are made pending by what delivers them, which counts them too.
            let counted_later = (name, column, other) == ("outbox", "status", "outbox_counts");
            let same = if other != name {
                rows == *before || counted_later
            } else if is_of(SET_ANEW, name, column) {
                before
                    .iter()
                    .filter(|row| is_open(row))
                    .all(|row| rows.contains(row))
            } else {
                without(&rows, column) == without(before, column)
            };
            if !same {
                wrong.push(format!("{name}.{column} changes rows of {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(unnoticed > 30, "only {unnoticed} edits came through");
}

#[test]
fn a_start_names_a_head_that_was_edited() {
    let folder = stopped();
    for name in ["audit_head", "audit_recipes", "meta"] {
        let table = TABLES.iter().find(|t| t.name == name).unwrap();
        let kinds = columns(&unguarded(folder.path()), table.name);
        for (column, _) in table.columns {
            let copy = copied(folder.path());
            let (_, kind) = kinds.iter().find(|(name, _)| name == column).unwrap();
            change(copy.path(), table, column, kind);
            let keys = StateDir::open(copy.path())
                .unwrap()
                .audit_keys(None)
                .unwrap();
            let fatal = Arc::new(|why: &str| panic!("{why}"));
            let path = copy.path().join("dbward.db");
            let error = Store::open(&path, Clock::system(), keys, fatal).err();
            let error = error.unwrap_or_else(|| panic!("{}.{column} goes unnoticed", table.name));
            assert_eq!(
                error.code(),
                STATE_DIFFERS,
                "{}.{column}: {error}",
                table.name
            );
        }
    }
}

/// What people and agents are answered by a server of that state, one line a call.
fn transcript(s: &Server) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let requester = s.requester();
    let request = |id: &str| Request {
        by: requester.clone(),
        id: id.to_owned(),
        answer: s.nobody().get("/health"),
    };
    let mut open: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for id in requester.ids("limit=100") {
        let shown = requester.show(&request(&id)).is(200);
        let line = json!([
            id,
            shown.json["status"],
            shown.json["current_step"],
            shown.json["approval_progress"],
            shown.json["risk_level"],
            shown.json["outcome"],
            shown.json["detail"]
        ]);
        lines.push(("shown", line.to_string()));
        let key = format!("{} {}", shown.text("status"), shown.text("environment"));
        open.entry(key).or_default().push(id.clone());
        for who in [&requester, &s.person("stranger", &["developer"])] {
            let content = who.get(&request(&id).path("/result/content"));
            // A refusal has an id of its own.
            let body = if content.status == 200 {
                &content.body[..]
            } else {
                b""
            };
            lines.push((
                "result",
                format!("{id} {} {}", content.status, sha256_hex(body)),
            ));
        }
    }
    lines.extend(verbs(s, &open, &request));
    for path in ["/api/users", "/api/tokens"] {
        let answer = s.admin().get(path).is(200);
        lines.push(("people", rights(&answer.json).to_string()));
    }
    let once = json!({"idempotency_key": "once"});
    let repeat = requester.create_with("production", UPDATE, once);
    lines.push(("repeat", format!("{} {}", repeat.status, repeat.json["id"])));
    lines
}

/// What those are answered who do something with the requests of these statuses and environments.
fn verbs(
    s: &Server,
    open: &BTreeMap<String, Vec<String>>,
    request: &dyn Fn(&str) -> Request,
) -> Vec<(&'static str, String)> {
    let requester = s.requester();
    let mut lines = Vec::new();
    let agent = s.agent("agent-1");
    let mut jobs = agent.jobs();
    jobs.sort();
    lines.push(("jobs", jobs.join(" ")));
    let pick = |key: &str| request(&open[key][0]);
    let running = pick("running development");
    let ran = requester
        .get(&running.path("/executions"))
        .list("executions");
    let execution = ran[0]["id"].as_str().unwrap();
    let voted = open["pending staging"].iter().find(|id| {
        let progress = &requester.show(&request(id)).json["approval_progress"];
        progress["steps"][0]["approvals"][0]["action"] == "approve"
    });
    let voted = request(voted.expect("one with a vote"));
    let answers = [
        ("claim", agent.try_claim(&pick("dispatched development").id)),
        ("heartbeat", agent.heartbeat(execution)),
        ("report", agent.succeed(execution, crate::support::ROWS)),
        (
            "vote",
            s.person("approver-two", &["readonly"]).approve(&voted),
        ),
        ("reject", s.approver().reject(&pick("pending production"))),
        ("resume", requester.resume(&pick("approved production"))),
        (
            "too late",
            s.approver().approve(&pick("rejected production")),
        ),
        ("create", requester.create("development", SELECT)),
    ];
    for (what, answer) in answers {
        lines.push((what, format!("{} {}", answer.status, answer.json["status"])));
    }
    lines
}

/// What an answer says of people and tokens, but when they were last seen.
fn rights(answer: &Value) -> Value {
    let mut answer = answer.clone();
    fn prune(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|key, _| !key.starts_with("last_"));
                map.values_mut().for_each(prune);
            }
            Value::Array(items) => items.iter_mut().for_each(prune),
            _ => {}
        }
    }
    prune(&mut answer);
    answer
}

fn spoken(stopped: &Stopped, edit: impl FnOnce(&Path)) -> Vec<(&'static str, String)> {
    let s = stopped.started(edit);
    let lines = transcript(&s);
    let failed = lines.iter().filter(|(_, line)| line.starts_with("500 "));
    assert_eq!(s.forgive_faults(), failed.count());
    lines
}

#[test]
fn an_edit_that_no_sum_covers_changes_no_answer() {
    let stopped = busy();
    let folder = stopped.state_dir();
    let expected = spoken(&stopped, |_| ());
    // These two are what is read of the state itself, and the table of moves is edited below.
    let own = ["idempotency_keys", "policy_versions", "transitions"];
    let mut tried = 0;
    for (table, column, kind) in unsigned(&unguarded(&folder)) {
        let name = table.name;
        if is_of(REFUSED, name, column) || is_of(FOUND, name, column) || own.contains(&name) {
            continue;
        }
        tried += 1;
        let came = spoken(&stopped, |state| change(state, table, column, &kind));
        assert_eq!(came, expected, "{name}.{column}");
    }
    assert!(tried > 25, "only {tried}");
}

#[test]
fn an_edited_idempotency_key_shows_nobody_elses_request() {
    let stopped = busy();
    let expected = spoken(&stopped, |_| ());
    let (mut repeats, own) = (Vec::new(), expected.last().unwrap().1.clone());
    for edited in [
        "requester = 'approver'",
        "key = 'twice'",
        "fingerprint = 'x'",
        "request_seq = 4000",
    ] {
        let mut came = spoken(&stopped, |state| {
            let sql = format!("UPDATE idempotency_keys SET {edited}");
            unguarded(state).execute_batch(&sql).unwrap();
        });
        repeats.push(came.pop().unwrap().1);
        assert_eq!(came, expected[..came.len()], "{edited}");
    }
    assert!(own.starts_with("200 "), "{own}");
    // A new request, or none.
    for (repeat, status) in repeats.iter().zip(["201 ", "201 ", "409 ", "500 "]) {
        assert!(repeat.starts_with(status) && *repeat != own, "{repeats:?}");
    }
    let s = stopped.started(|_| ());
    let foreign = s.approver().submit("development", SELECT);
    s.edit_state(&format!(
        "UPDATE idempotency_keys SET request_seq = (SELECT seq FROM requests WHERE id = '{}')",
        foreign.id
    ));
    let once = json!({"idempotency_key": "once"});
    let repeat = s.requester().create_with("production", UPDATE, once);
    repeat.refused(500, "internal");
    assert!(!repeat.raw().contains(&foreign.id), "{}", repeat.raw());
    assert_eq!(s.forgive_faults(), 1);
}

#[test]
fn a_table_of_moves_that_was_edited_lets_nothing_through() {
    let stopped = busy();
    // One move less: what it stands for is refused, and nothing is half done.
    let s = stopped.started(|state| {
        let sql = "UPDATE transitions SET to_status = 'executed' WHERE from_status = 'pending' AND to_status = 'approved'";
        unguarded(state).execute_batch(sql).unwrap();
    });
    let request = s.requester().submit("production", UPDATE);
    s.approver().approve(&request).refused(500, "internal");
    assert_eq!(s.forgive_faults(), 1);
    let request = request.is_pending();
    s.requester().cancel(&request).is(200);
    request.is("cancelled");
}

#[test]
fn policies_that_were_edited_decide_nothing_again() {
    for edited in ["text = text || 'x'", "sha256 = 'x' || substr(sha256, 2)"] {
        let copy = stopped();
        let believed = || {
            let mut believed = Vec::new();
            let path = copy.path().join("dbward.db");
            each_decision(&path, Timestamp(0), &mut |recorded, policies| {
                believed.push(policies.is_some_and(|p| p.version() == recorded.policy_version));
            })
            .unwrap();
            believed
        };
        assert!(believed().len() > 5 && believed().iter().all(|b| *b));
        let sql = format!("UPDATE policy_versions SET {edited}");
        unguarded(copy.path()).execute_batch(&sql).unwrap();
        assert!(believed().iter().all(|b| !*b), "{edited}");
    }
}
