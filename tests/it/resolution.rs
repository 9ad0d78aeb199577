//! Asking beforehand: which policies apply to a target, and what would become of a statement.

use super::schemas::{describe, table};
use crate::support::{Answer, Person, SHOP, Server, golden};
use serde_json::{Value, json};

/// What differs from environment to environment.
const POLICIES: &str = r#"
[[auto_approve]]
environment = "staging"
risk = "low"
max_estimated_rows = 50
[[auto_approve]]
environment = "production"
risk = "medium"
allow_read_only = false
allow_safe_ddl = false
[[execution_policies]]
database = "shop"
environment = "production"
statement_timeout_secs = 7
max_rows = 100
[[result_policies]]
environment = "production"
retention_days = 3
delivery_mode = "store_only"
[[sql_review]]
environment = "staging"
no_where_delete = "warn"
large_in_list = "off"
"#;

fn server() -> Server {
    Server::with(&format!("{SHOP}{POLICIES}"))
}

/// Escapes every byte that is not plain.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => char::from(b).to_string(),
            _ => format!("%{b:02X}"),
        })
        .collect()
}

fn ask(person: &Person, environment: &str, query: &str) -> Answer {
    person.get(&format!(
        "/api/policy-resolution?database=shop&environment={environment}{query}"
    ))
}

#[test]
fn all_operations_or_one_are_resolved() {
    let s = server();
    let requester = s.requester();
    let all = ask(&requester, "production", "").is(200);
    golden("resolution_all", &all.json);
    let one = ask(&requester, "production", "&operation=execute_dml").is(200);
    golden("resolution_one", &one.json);
    let plain = ask(&requester, "development", "&operation=execute_query").is(200);
    assert_eq!(plain.text("operation"), "execute_select");
    assert_eq!(
        (&plain.json["decision_preview"], &plain.json["reason_code"]),
        (&json!("auto_approved"), &json!("empty_steps"))
    );
    assert_eq!(plain.json["auto_approve"], Value::Null);
    assert_eq!(plain.json["execution_policy"]["explicit"], false);
    let reads = ask(&requester, "staging", "&operation=execute_select").is(200);
    assert_eq!(reads.text("reason_code"), "read_only_low_risk");
    let writes = ask(&requester, "staging", "&operation=execute_dml").is(200);
    assert_eq!(writes.text("reason_code"), "risk_unknown_until_analyzed");
}

#[test]
fn unregistered_target_is_denied_and_nothing_more_is_shown() {
    let s = server();
    for query in ["", "&operation=execute_dml", "&sql=SELECT%201"] {
        let answer = ask(&s.requester(), "moon", query).is(200);
        assert_eq!(
            answer.json,
            json!({
                "database": "shop", "environment": "moon", "registered": false,
                "decision_preview": "deny", "reason_code": "db_not_registered",
            })
        );
    }
}

#[test]
fn an_operation_without_a_workflow_is_denied() {
    let toml = SHOP.replace(
        "environment = \"development\"\n",
        "environment = \"development\"\noperations = [\"execute_select\"]\n",
    );
    let s = Server::with(&toml);
    let all = ask(&s.requester(), "development", "").is(200);
    let previews: Vec<(&str, &str)> = all.json["resolutions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            (
                r["operation"].as_str().unwrap(),
                r["reason_code"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        previews,
        [
            ("execute_select", "empty_steps"),
            ("execute_dml", "no_matching_workflow"),
            ("migrate_up", "no_matching_workflow"),
            ("migrate_down", "no_matching_workflow"),
            ("migrate_status", "no_matching_workflow"),
            ("migrate_repair", "no_matching_workflow"),
        ]
    );
}

#[test]
fn bad_questions_are_400_and_foreign_ones_403() {
    let roles = "[[auth.roles]]\nname = \"stager\"\npermissions = [\"request.view\", \"request.create_select\"]\n\
                 environments = [\"staging\"]\n";
    let s = Server::with(&format!("{SHOP}{POLICIES}{roles}"));
    for path in [
        "",
        "?database=shop",
        "?environment=production",
        "?database=Shop&environment=production",
        "?database=shop&environment=a%20b",
        "?database=shop&environment=production&operation=dance",
        "?database=shop&environment=production&operation=a&operation=b",
        "?database=shop&environment=production&sql=%ff",
        "?database=shop&database=shop&environment=production",
    ] {
        s.requester()
            .get(&format!("/api/policy-resolution{path}"))
            .refused(400, "validation_error");
    }
    let stager = s.person("stager", &["stager"]);
    ask(&stager, "production", "").refused(403, "forbidden");
    // Not even whether it is registered.
    ask(&stager, "moon", "").refused(403, "forbidden");
    ask(&stager, "staging", "").is(200);
    let denied = ask(
        &stager,
        "staging",
        &format!("&sql={}", escaped("DELETE FROM items")),
    )
    .is(200);
    assert_eq!(denied.json["prediction"]["reason_code"], "forbidden");
    assert!(s.events("event_type=attempt.refused").is_empty());
}

/// Statements of every kind.
const STATEMENTS: &[&str] = &[
    "SELECT 1",
    "SELECT * FROM items WHERE id = 1",
    "SELECT * FROM items FOR UPDATE",
    "SELECT pg_sleep(10)",
    "SHOW search_path",
    "EXPLAIN DELETE FROM items",
    "EXPLAIN ANALYZE DELETE FROM items WHERE id = 1",
    "SET statement_timeout = 10; SELECT 1",
    "SET ROLE postgres",
    "SELECT 1; SELECT 2",
    "UPDATE items SET note = 'a' WHERE id = 1",
    "UPDATE items SET note = 'a'",
    "UPDATE events SET note = 'a' WHERE id = 1",
    "UPDATE nowhere SET note = 'a' WHERE id = 1",
    "UPDATE items SET note = 'a' WHERE id = 1; UPDATE items SET note = 'b' WHERE id = 2",
    "DELETE FROM items",
    "DELETE FROM items WHERE id = 1",
    "INSERT INTO items VALUES (1, 'a')",
    "WITH gone AS (DELETE FROM items WHERE id = 1 RETURNING *) SELECT * FROM gone",
    "MERGE INTO items USING events ON items.id = events.id WHEN MATCHED THEN DELETE",
    "TRUNCATE items",
    "CREATE TABLE fresh (id int)",
    "CREATE TABLE fresh AS SELECT * FROM items",
    "CREATE INDEX i ON items (id)",
    "ALTER TABLE items ADD COLUMN a int",
    "ALTER TABLE items ADD COLUMN a int NOT NULL",
    "ALTER TABLE items DROP COLUMN note",
    "DROP TABLE items",
    "DROP FUNCTION f",
    "GRANT ALL ON items TO public",
    "LOCK TABLE items",
    "DO $$ BEGIN END $$",
    "COPY items TO '/tmp/x'",
    "BEGIN",
    "SELEC nonsense",
    "SELECT 'unfinished",
    "",
    "   ",
    "-- nothing",
    ";",
    "SELECT 1 /* ü */; ",
    "SELECT 'a''b' || \"items\".\"note\" FROM \"items\" WHERE id = 1",
];

/// What a submit really came to, in the words of a prediction.
fn really(person: &Person, environment: &str, sql: &str) -> Value {
    let answer = person.create_with(environment, sql, json!({"reason": "because"}));
    if answer.status != 201 {
        return json!({
            "decision_preview": "deny",
            "reason_code": answer.json["error"]["code"],
            "message": answer.json["error"]["message"],
            "hint": answer.json["hint"],
        });
    }
    let id = answer.text("id");
    let shown = person.get(&format!("/api/requests/{id}")).is(200).json;
    let preview = match shown["status"].as_str().unwrap() {
        "dispatched" => "auto_approved",
        "pending" => "needs_approval",
        other => panic!("{sql}: {other}"),
    };
    let mut context = shown["context"].clone();
    for of_explaining in ["status", "explain_enabled", "explain"] {
        context.as_object_mut().unwrap().remove(of_explaining);
    }
    json!({
        "operation": shown["operation"],
        "decision_preview": preview,
        "reason_code": shown["decision_trace"]["decision"]["reasons"][0],
        "risk_level": shown["risk_level"],
        "context": context,
        "decision_trace": shown["decision_trace"],
    })
}

fn predicted(person: &Person, environment: &str, sql: &str) -> Value {
    let answer = ask(person, environment, &format!("&sql={}", escaped(sql))).is(200);
    let mut prediction = answer.json["prediction"].clone();
    prediction.as_object_mut().unwrap().remove("plan");
    prediction
}

#[test]
fn a_prediction_is_what_a_submit_then_does() {
    let s = server();
    let tables = [table("items", 10), table("events", 1_000_000)];
    describe(&s, "production", &tables);
    describe(&s, "staging", &tables);
    let reader = s.person("reader", &["readonly"]);
    for person in [s.requester(), reader] {
        for environment in ["development", "staging", "production"] {
            // So many statements are tried a minute.
            s.turn_only(60);
            for sql in STATEMENTS {
                let (reported, done) = (
                    predicted(&person, environment, sql),
                    really(&person, environment, sql),
                );
                let what = format!("{} on {environment}: {sql:?}", person.subject);
                if sql.trim().is_empty() {
                    // There is no `detail` here that could be named.
                    assert_eq!(reported["reason_code"], done["reason_code"], "{what}");
                    continue;
                }
                assert_eq!(reported, done, "{what}");
            }
        }
    }
}

#[test]
fn a_prediction_writes_nothing() {
    let s = server();
    let before = s.events("").len();
    for sql in STATEMENTS {
        predicted(&s.requester(), "production", sql);
    }
    assert!(s.requester().ids("").is_empty());
    assert_eq!(
        s.events("").len(),
        before + 1,
        "only the token of who asked"
    );
}

#[test]
fn a_prediction_knows_when_nobody_could_approve() {
    let one = SHOP.replace(
        "members = [\"approver\", \"approver-two\"]",
        "members = [\"requester\"]",
    );
    let s = Server::with(&one.replace(
        "[[workflows.steps]]",
        "admin_override = false\n[[workflows.steps]]",
    ));
    let sql = "UPDATE items SET note = 'a' WHERE id = 1";
    let done = really(&s.requester(), "production", sql);
    assert_eq!(done["reason_code"], "no_eligible_approver");
    assert_eq!(predicted(&s.requester(), "production", sql), done);
}

#[test]
fn a_prediction_shows_the_statements_that_would_run() {
    let s = server();
    let sql = escaped("update items set note = 'a' where id = 1; select 1");
    let answer = ask(&s.requester(), "production", &format!("&sql={sql}")).is(200);
    let plan = answer.json["prediction"]["plan"].clone();
    let id = s
        .requester()
        .submit(
            "development",
            "update items set note = 'a' where id = 1; select 1",
        )
        .id;
    let claim = s.agent("agent-1").claim(&id);
    assert_eq!(plan, claim.answer.json["execution_plan"]);
    assert_eq!(plan.as_array().unwrap().len(), 2);
}

#[test]
fn statements_tried_by_resolution_count_with_preflights() {
    let s = Server::shop();
    let requester = s.requester();
    let path = "/api/policy-resolution?database=shop&environment=production";
    let tried = format!("{path}&sql=SELECT%201");
    for _ in 0..60 {
        requester.get(&tried).is(200);
    }
    requester.get(&tried).refused(429, "rate_limited");
    requester.get(path).is(200);
}
