//! Rows that are believed at every call, edited under the running server: nobody gains by it, the server ends, and the
//! next start names the rows.

use crate::support::{Program, SHOP, admin_of, settled};
use dbward::crypto::sha256_hex;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

/// Edits, and the table that the next start names.
const EDITS: [(&str, &str); 9] = [
    (
        "UPDATE tokens SET roles_json = '[\"admin\"]' WHERE subject_id = 'eve'",
        "tokens",
    ),
    (
        "UPDATE tokens SET groups_json = '[\"approvers\"]' WHERE subject_id = 'eve'",
        "tokens",
    ),
    (
        "UPDATE tokens SET token_hash = 'STOLEN' WHERE subject_id = 'admin'",
        "tokens",
    ),
    (
        "UPDATE tokens SET revoked_at_ms = NULL WHERE subject_id = 'rob'",
        "tokens",
    ),
    (
        "UPDATE tokens SET expires_at_ms = 4102444800000 WHERE subject_id = 'eve'",
        "tokens",
    ),
    (
        "UPDATE tokens SET subject_id = 'admin' WHERE subject_id = 'eve'",
        "tokens",
    ),
    (
        "UPDATE users SET status = 'active' WHERE id = 'sue'",
        "users",
    ),
    (
        "INSERT INTO reported_dialects (database_name, environment, agent_id, dialect, reported_at_ms, audit_seq) \
         VALUES ('shop', 'production', 'agent-1', 'mysql', 0, 1)",
        "reported_dialects",
    ),
    (
        "INSERT INTO sessions (id, subject_id, session_hash, issuer, groups_json, claims_json, started_at_ms, \
         expires_at_ms, last_used_at_ms, audit_seq) VALUES ('s', 'admin', 'STOLEN', 'https://id.example.com', '[]', \
         '{}', 0, 4102444800000, 0, 1)",
        "sessions",
    ),
];

fn edit(dir: &Path, sql: &str) {
    let db = rusqlite::Connection::open(dir.join("state/dbward.db")).unwrap();
    let off = rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    db.set_db_config(off, false).unwrap();
    db.execute_batch(&format!(
        "PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = OFF; {sql}"
    ))
    .unwrap();
    assert!(db.changes() > 0, "{sql}");
}

/// The status of a call, or nothing where the server is gone.
fn status(at: SocketAddr, token: &str) -> Option<u16> {
    let call = format!(
        "GET /api/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    let mut answer = String::new();
    let mut stream = TcpStream::connect(at).ok()?;
    stream.write_all(call.as_bytes()).ok()?;
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

#[test]
fn what_is_believed_gives_nobody_more_under_a_running_server() {
    for (sql, table) in EDITS {
        let dir = settled(SHOP);
        let (server, at) = Program::serve(dir.path());
        let admin = admin_of(at, dir.path());
        let issue = |subject: &str, roles: serde_json::Value| {
            let body = json!({"subject_id": subject, "subject_type": "user", "roles": roles});
            let answer = admin.post("/api/tokens", &body).is(201);
            (answer.text("token"), answer.text("id"))
        };
        let (eve, _) = issue("eve", json!(["readonly"]));
        let (rob, revoked) = issue("rob", json!(["admin"]));
        admin.delete(&format!("/api/tokens/{revoked}")).is(200);
        let (sue, _) = issue("sue", json!(["admin"]));
        admin.poke("/api/users/sue/suspend").is(200);
        let stolen = "not-a-token-of-this-server";
        for token in [&eve, &rob, &sue, stolen] {
            assert!(matches!(status(at, token), Some(401 | 403)));
        }
        edit(
            dir.path(),
            &sql.replace("STOLEN", &sha256_hex(stolen.as_bytes())),
        );
        // Who is known is remembered, so it is the administrator's list that reads first, at the latest.
        let known = admin.token.clone().unwrap_or_default();
        for token in [stolen, &rob, &sue, &eve, &known] {
            let answered = status(at, token);
            assert!(!matches!(answered, Some(200)), "{sql}: {answered:?}");
        }
        let (status, log) = server.end();
        assert_eq!(status.code(), Some(74), "{sql}: {log}");
        assert!(
            log.contains(&format!("another process changed rows of {table}")),
            "{log}"
        );
        let refused = super::serve(dir.path()).output().unwrap();
        assert_eq!(refused.status.code(), Some(3), "{sql}");
        let words = String::from_utf8(refused.stderr).unwrap();
        assert!(
            words.contains(&format!("rows of {table}")),
            "{sql}: {words}"
        );
    }
}

/// Changes of the schema, each of which would make the server's next commit do more than it says or less than it must, and
/// what the server and the next start say.
const SCHEMA: [(&str, &str); 4] = [
    (
        "CREATE TRIGGER more AFTER INSERT ON audit_events BEGIN UPDATE tokens SET roles_json = '[\"admin\"]'; END",
        "no migration made trigger more of table audit_events",
    ),
    (
        "CREATE TRIGGER more AFTER UPDATE ON meta BEGIN UPDATE tokens SET roles_json = '[\"admin\"]'; END",
        "no migration made trigger more of table meta",
    ),
    (
        "DROP TRIGGER tokens_update",
        "trigger tokens_update of table tokens is missing",
    ),
    (
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, '<= OLD.audit_seq', '< 0') \
         WHERE name = 'requests_move'",
        "trigger requests_move of table requests is not the one that a migration made",
    ),
];

#[test]
fn schema_that_is_changed_under_a_running_server_does_nothing() {
    for (sql, words) in SCHEMA {
        let dir = settled(SHOP);
        let (server, at) = Program::serve(dir.path());
        let admin = admin_of(at, dir.path());
        admin.get("/ready").is(200);
        let stored = || {
            let db = rusqlite::Connection::open(dir.path().join("state/dbward.db")).unwrap();
            let text = "SELECT group_concat(id || roles_json) || (SELECT max(seq) FROM audit_events) FROM tokens";
            db.query_row(text, [], |r| r.get::<_, String>(0)).unwrap()
        };
        let before = stored();
        let db = rusqlite::Connection::open(dir.path().join("state/dbward.db")).unwrap();
        db.execute_batch(&format!("PRAGMA busy_timeout = 5000; {sql}"))
            .unwrap();
        drop(db);
        let known = admin.token.clone().unwrap_or_default();
        let answered = status(at, &known);
        assert!(!matches!(answered, Some(200)), "{sql}: {answered:?}");
        let (status, log) = server.end();
        assert_eq!(status.code(), Some(74), "{sql}: {log}");
        assert!(
            log.contains(&format!("another process changed the schema: {words}")),
            "{log}"
        );
        assert_eq!(stored(), before, "{sql}");
        let refused = super::serve(dir.path()).output().unwrap();
        assert_eq!(refused.status.code(), Some(3), "{sql}");
        let refusal = String::from_utf8(refused.stderr).unwrap();
        assert!(refusal.contains(words), "{sql}: {refusal}");
    }
}

#[test]
fn another_process_that_writes_nothing_believed_does_not_end_server() {
    let dir = settled(SHOP);
    let (server, at) = Program::serve(dir.path());
    let admin = admin_of(at, dir.path());
    edit(
        dir.path(),
        "INSERT INTO meta (key, value) VALUES ('note', 'x')",
    );
    admin.get("/api/users").is(200);
    // As Litestream does when it begins to copy the file.
    edit(
        dir.path(),
        "CREATE TABLE IF NOT EXISTS _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER); \
         CREATE TABLE IF NOT EXISTS _litestream_lock (id INTEGER); \
         INSERT INTO _litestream_seq (id, seq) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET seq = seq + 1",
    );
    admin.get("/api/users").is(200);
    admin
        .create("production", "UPDATE items SET price = 2 WHERE id = 1")
        .is(201);
    assert!(
        server
            .stop()
            .contains("another process wrote into the state file")
    );
}
