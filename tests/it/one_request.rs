//! One request from end to end, as docs/one-request.md tells it: the event and the rows that each step leaves.

use crate::support::{SHOP, Server};
use rusqlite::Connection;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// Tables that count or sum up others, and those that the server writes when it has time.
const LEFT_OUT: [&str; 8] = [
    "audit_events",
    "audit_head",
    "outbox_counts",
    "request_counts",
    "requester_counts",
    "schema_migrations",
    "tokens",
    "users",
];

/// Rows by table, and the statuses in those that move.
fn rows(file: &Path) -> BTreeMap<String, (i64, String)> {
    let db = Connection::open(file).unwrap();
    let texts = |sql: &str| -> Vec<String> {
        let mut statement = db.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let tables = texts("SELECT name FROM sqlite_schema WHERE type = 'table'").into_iter();
    let tables = tables.filter(|t| !LEFT_OUT.contains(&t.as_str()));
    tables
        .map(|table| {
            let count = texts(&format!("SELECT CAST(count(*) AS TEXT) FROM {table}"));
            let moves = ["requests", "executions", "request_contexts", "dry_run_jobs"];
            let statuses = match moves.contains(&table.as_str()) {
                true => texts(&format!("SELECT status FROM {table} ORDER BY rowid")),
                false => Vec::new(),
            };
            let count = count[0].parse().unwrap();
            (table, (count, statuses.join(" ")))
        })
        .collect()
}

#[test]
fn one_request_leaves_events_and_rows_that_its_page_names() {
    let ops = "[[webhooks]]\nid = \"ops\"\nurl = \"https://hooks.example.com\"\n[[notification_policies]]\n\
               webhooks = [\"ops\"]\n";
    let s = Server::with(&format!("{SHOP}{ops}"));
    let (requester, approver, agent) = (s.requester(), s.approver(), s.agent("agent-1"));
    s.admin();
    let file = s.state_dir().join("dbward.db");
    let mut known = (s.events("").len(), rows(&file));
    let mut got = Vec::new();
    let mut step = |what: &str| {
        let (events, now) = (s.events(""), rows(&file));
        let fresh = events[..events.len() - known.0].iter().rev();
        let events_text: Vec<String> = fresh
            .map(|e| format!("`{}`", e["event_type"].as_str().unwrap()))
            .collect();
        let mut left = Vec::new();
        for (table, (count, statuses)) in &now {
            let (before, were) = &known.1[table];
            match count - before {
                0 if statuses == were => {}
                0 => left.push(format!("`{table}` is `{statuses}`")),
                1 => left.push(format!("a row of `{table}`")),
                -1 => left.push(format!("one row of `{table}` less")),
                n => left.push(format!("{n} rows of `{table}`")),
            }
        }
        let or = |list: Vec<String>| match list.is_empty() {
            true => "nothing".to_owned(),
            false => list.join(", "),
        };
        got.push(format!("| {what} | {} | {} |", or(events_text), or(left)));
        known = (events.len(), now);
    };

    let update = "UPDATE items SET price = 2 WHERE id = 1";
    let request = requester.submit("production", update);
    step("`POST /api/requests`");
    agent.poll();
    step("`POST /api/agent/poll`, the agent's first");
    let job = agent.poll().list("dry_run_jobs").remove(0);
    let job = format!("/api/agent/dry-run/{}", job["id"].as_str().unwrap());
    let claimed = agent.person.poke(&format!("{job}/claim")).is(200);
    step("`POST /api/agent/dry-run/{id}/claim`");
    let plan = json!({"claim_token": claimed.text("claim_token"), "result": [{"Plan": {}}]});
    agent.person.post(&format!("{job}/result"), &plan).is(200);
    step("`POST /api/agent/dry-run/{id}/result`");
    approver.show(&request).is(200);
    step("`GET /api/requests/{id}` by the approver");
    approver.approve(&request).is(200);
    step("`POST /api/requests/{id}/approve`");
    requester.resume(&request).is(200);
    step("`POST /api/requests/{id}/resume`");
    let claim = agent.claim(&request.id);
    step("`POST /api/agent/jobs/{id}/claim`");
    agent.heartbeat(&claim.execution).is(200);
    step("`POST /api/agent/jobs/{execution_id}/heartbeat`");
    agent
        .succeed(&claim.execution, "{\"rows_affected\":1}")
        .is(200);
    step("`POST /api/agent/jobs/{execution_id}/result`");
    requester.get(&request.path("/result/content")).is(200);
    step("`GET /api/requests/{id}/result/content`");

    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/one-request.md");
    let page = std::fs::read_to_string(page).unwrap();
    let notified: Vec<&str> = page.lines().filter(|l| l.starts_with("| `")).collect();
    assert_eq!(notified.join("\n"), got.join("\n"), "docs/one-request.md");
}
