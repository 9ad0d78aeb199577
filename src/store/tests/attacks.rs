//! Attacks by somebody who can run any SQL on our own connection.

use super::*;

/// One statement a line. The schema refuses each: none fails for another reason, such as a misspelt column.
const ATTACKS: &str = "
UPDATE requests SET status = 'approved'
UPDATE requests SET status = 'approved', audit_seq = audit_seq + 1
UPDATE requests SET status = 'executed', audit_seq = (SELECT max(seq) FROM audit_events)
UPDATE requests SET requester = 'approver'
UPDATE requests SET operation = 'execute_select'
UPDATE requests SET emergency = 1
UPDATE requests SET id = 'x'
UPDATE requests SET total_steps = 0
UPDATE requests SET policy_version = 'x'
UPDATE requests SET database_name = 'other'
DELETE FROM requests
INSERT OR REPLACE INTO requests SELECT * FROM requests
UPDATE request_texts SET detail = 'DROP TABLE t'
UPDATE request_texts SET plan_json = '[]'
DELETE FROM request_texts
INSERT OR REPLACE INTO request_texts SELECT * FROM request_texts
UPDATE audit_events SET actor_id = 'somebody'
UPDATE audit_events SET metadata_json = '{}'
DELETE FROM audit_events
DELETE FROM audit_events WHERE seq = (SELECT max(seq) FROM audit_events)
INSERT OR REPLACE INTO audit_events SELECT * FROM audit_events WHERE seq = 1
INSERT INTO audit_events SELECT seq + 1000, id, event_type, event_category, event_version, outcome, actor_id, actor_type, resource_type, resource_id, peer_ip, client_ip, client_ip_source, request_id, operation, database_name, environment, detail_fingerprint, detail_raw, reason, metadata_json, prev_hash, created_at, event_hash, created_at_ms, from_status, to_status FROM audit_events WHERE seq = 1
INSERT INTO audit_events SELECT seq + 1, id, event_type, event_category, event_version, outcome, actor_id, actor_type, resource_type, resource_id, peer_ip, client_ip, client_ip_source, request_id, operation, database_name, environment, detail_fingerprint, detail_raw, reason, metadata_json, prev_hash, created_at, event_hash, created_at_ms, from_status, to_status FROM audit_events ORDER BY seq DESC LIMIT 1
INSERT INTO audit_events SELECT seq + 1, 'x', 'request.approved', event_category, event_version, outcome, actor_id, actor_type, resource_type, resource_id, peer_ip, client_ip, client_ip_source, (SELECT id FROM requests), operation, database_name, environment, detail_fingerprint, detail_raw, reason, '{\"from_status\":\"pending\",\"to_status\":\"executed\"}', event_hash, created_at, event_hash, created_at_ms, 'pending', 'executed' FROM audit_events ORDER BY seq DESC LIMIT 1
INSERT INTO audit_events SELECT seq + 1, 'x', 'request.approved', event_category, event_version, outcome, actor_id, actor_type, resource_type, resource_id, peer_ip, client_ip, client_ip_source, (SELECT id FROM requests), operation, database_name, environment, detail_fingerprint, detail_raw, reason, '{}', event_hash, created_at, event_hash, created_at_ms, 'pending', 'approved' FROM audit_events ORDER BY seq DESC LIMIT 1
INSERT INTO audit_purges VALUES (1, 9999, '0000000000000000000000000000000000000000000000000000000000000000', '', 0, '', '', 0)
INSERT INTO transitions VALUES ('pending', 'executed')
UPDATE transitions SET to_status = 'executed' WHERE from_status = 'pending'
DELETE FROM transitions
UPDATE policy_versions SET text = 'other'
INSERT INTO policy_versions VALUES ('1111111111111111111111111111111111111111111111111111111111111111', 'x', 0, 0)
UPDATE users SET status = 'suspended'
UPDATE users SET status = 'suspended', audit_seq = audit_seq + 1
DELETE FROM users
INSERT OR REPLACE INTO users SELECT * FROM users
UPDATE tokens SET roles_json = '[\"admin\"]'
UPDATE tokens SET roles_json = '[\"admin\"]', audit_seq = (SELECT max(seq) FROM audit_events)
UPDATE tokens SET revoked_at_ms = 1
UPDATE tokens SET expires_at_ms = NULL, audit_seq = (SELECT max(seq) FROM audit_events)
DELETE FROM tokens
INSERT OR REPLACE INTO tokens SELECT * FROM tokens
INSERT INTO approvals (request_seq, step_index, action, actor_id, matched_selector, issued_by_requester, created_at_ms, audit_seq) VALUES (1, 0, 'approve', 'approver', 'role:dba', 0, 0, 1)
INSERT INTO approvals (request_seq, step_index, action, actor_id, matched_selector, issued_by_requester, created_at_ms, audit_seq) VALUES (1, 0, 'approve', 'approver', 'role:dba', 0, 0, (SELECT max(seq) FROM audit_events))
INSERT INTO executions (id, request_seq, attempt, agent_id, status, token_json, statement_timeout_secs, lease_secs, lease_until_ms, started_at_ms, audit_seq) VALUES ('e', 1, 1, 'agent', 'claimed', '{}', 0, 60, 0, 0, 1)
INSERT INTO results VALUES (1, 1, 'local', 'k', 0, '0000000000000000000000000000000000000000000000000000000000000000', 0, 0, 1)
INSERT INTO agents VALUES ('a', '{}', NULL, 1, 0, 0, 0, '[]', 0, 0, 1)
";

/// How the schema says no.
const REFUSALS: &[&str] = &[
    "never change",
    "never changes",
    "are kept",
    "are fixed",
    "out of chain",
    "out of bounds",
    "without its audit event",
    "constraint failed",
    "FOREIGN KEY",
];

/// Every row of every table, as text, with the name of its table.
fn contents(connection: &Connection) -> Vec<String> {
    let texts = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let tables = texts("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
    let mut all = Vec::new();
    for table in tables {
        let columns = texts(&format!("SELECT name FROM pragma_table_info('{table}')"));
        let quoted: Vec<String> = columns.iter().map(|c| format!("quote(\"{c}\")")).collect();
        let row = quoted.join(" || ' ' || ");
        all.extend(texts(&format!(
            "SELECT '{table} ' || {row} FROM \"{table}\" ORDER BY 1"
        )));
    }
    all
}

#[test]
fn the_schema_refuses_attacks() {
    let temp = temp();
    let store = open(&temp);
    let id = create(&store).unwrap();
    store
        .change(Actor::system(), |_, _| {
            Ok(Verdict::Write(vec![token("t1", 'a')], ()))
        })
        .unwrap();
    let connection = store.connection.lock().unwrap();
    let before = contents(&connection);
    for attack in ATTACKS.trim().lines() {
        match connection.execute(attack, []) {
            Ok(n) => panic!("{n} rows changed by: {attack}"),
            Err(e) => {
                let text = e.to_string();
                let by_schema = REFUSALS.iter().any(|m| text.contains(m));
                assert!(by_schema, "{attack}\n  failed for another reason: {text}");
            }
        }
        assert_eq!(contents(&connection), before, "{attack}");
    }
    drop(connection);
    assert_eq!(
        store.read(|v| v.request(&id)).unwrap().status(),
        Status::Pending
    );
    assert!(verified(&temp, &store).valid);
}

#[test]
fn contents_show_a_row_added_changed_and_removed() {
    let connection = Connection::open_in_memory().unwrap();
    let after = |sql: &str| {
        connection.execute_batch(sql).unwrap();
        contents(&connection)
    };
    assert_eq!(after("CREATE TABLE t (a, b)"), [""; 0]);
    assert_eq!(
        after("INSERT INTO t VALUES (1, NULL), (2, 'x')"),
        ["t 1 NULL", "t 2 'x'"]
    );
    assert_eq!(
        after("UPDATE t SET b = x'00' WHERE a = 1"),
        ["t 1 X'00'", "t 2 'x'"]
    );
    assert_eq!(after("DELETE FROM t WHERE a = 2"), ["t 1 X'00'"]);
}
