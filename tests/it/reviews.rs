//! Review: what its rules find, what they do where, and what an emergency with DDL passes all the same.

use super::schemas::{describe, table};
use crate::support::{Answer, Person, SHOP, Server};
use serde_json::{Value, json};

const REVIEW: &str = r#"
[[sql_review]]
environment = "staging"
no_where_delete = "warn"
no_where_update = "off"
large_in_list = "block"
[[sql_review]]
no_where_update = "warn"
drop_column = "block"
"#;

const HURRY: &str = r#"
[[auth.roles]]
name = "rescuer"
permissions = ["request.break_glass", "request.view"]
[[auth.roles]]
name = "surgeon"
permissions = ["request.break_glass", "request.break_glass_ddl", "request.view"]
"#;

fn review_of(person: &Person, id: &str) -> Value {
    let shown = person.get(&format!("/api/requests/{id}")).is(200).json;
    shown["context"]["sql_review"].clone()
}

fn rules(findings: &Value) -> Vec<&str> {
    let list = findings.as_array().unwrap();
    list.iter().map(|f| f["rule"].as_str().unwrap()).collect()
}

#[test]
fn blocking_finding_names_place_reason_and_fix() {
    let s = Server::shop();
    let sql = "UPDATE items SET note = 'ü' WHERE id = 1;\n  /* all */ DELETE FROM items;\nUPDATE items SET a = 1";
    let answer = s
        .requester()
        .create("production", sql)
        .refused(422, "sql_blocked_by_review")
        .saying("SQL blocked by review: DELETE without WHERE clause; UPDATE without WHERE clause");
    let findings = &answer.json["error"]["details"]["findings"];
    assert_eq!(rules(findings), ["NoWhereDelete", "NoWhereUpdate"]);
    let first = &findings[0];
    assert_eq!(
        (&first["statement"], &first["line"], &first["column"]),
        (&json!(2), &json!(2), &json!(13))
    );
    assert_eq!(first["message"], "DELETE without WHERE clause");
    assert_eq!(first["why"], "every row of the table is deleted");
    assert_eq!(answer.json["hint"], first["fix"]);
    let refused = s.events("event_type=request.blocked_by_review").remove(0);
    assert!(refused.to_string().contains("sql_blocked_by_review"));
    assert!(!refused.to_string().contains('ü'));
    assert_eq!(
        (
            &refused["outcome"],
            &refused["database_name"],
            &refused["environment"]
        ),
        (&json!("denied"), &json!("shop"), &json!("production"))
    );
    let metadata: Value = serde_json::from_str(refused["metadata_json"].as_str().unwrap()).unwrap();
    assert_eq!(
        metadata["blocked_rules"],
        json!(["NoWhereDelete", "NoWhereUpdate"])
    );
}

#[test]
fn what_review_blocks_is_audited_within_the_caps_of_refusals() {
    let s = Server::shop();
    for _ in 0..30 {
        s.requester()
            .create("production", "DELETE FROM items")
            .refused(422, "sql_blocked_by_review");
    }
    let blocked = |s: &Server| s.events("event_type=request.blocked_by_review").len();
    assert_eq!(blocked(&s), 20);
    s.minute();
    assert_eq!(blocked(&s), 20);
    let rest = s.events("event_type=attempt.refused");
    assert_eq!(rest.len(), 1);
    assert!(rest[0].to_string().contains("\\\"count\\\":10"), "{rest:?}");
}

#[test]
fn finding_that_warns_stands_in_context_and_raises_the_risk() {
    let s = Server::shop();
    describe(&s, "production", &[table("items", 10)]);
    let list = vec!["1"; 101].join(", ");
    let sql = format!("UPDATE items SET a = 1\nWHERE id IN ({list})");
    let request = s.requester().submit("production", &sql);
    let review = review_of(&request.by, &request.id);
    assert_eq!(review["blocked"], false);
    assert_eq!(
        review["findings"],
        json!([{
            "rule": "LargeInList",
            "message": "IN list with 101 elements (>100)",
            "statement": 1,
            "line": 2,
            "column": 10,
            "why": "long lists are slow to plan and easy to get wrong",
            "fix": "join with a table of the values, or split the list",
            "offset": 32,
            "doc": "docs/sql-review.md#large_in_list",
        }])
    );
    let shown = request.by.show(&request).is(200).json;
    assert_eq!(shown["risk_level"], "medium");
    assert_eq!(shown["decision_trace"]["sql_review"]["findings_count"], 1);
    let seen = s.approver().show(&request).is(200).json;
    assert_eq!(seen["context"]["sql_review"], review);
    let fits = sql.replace("1, 1, 1", "1, 1");
    let plain = s.requester().submit("production", &fits);
    assert_eq!(review_of(&plain.by, &plain.id)["findings"], json!([]));
}

/// What becomes of a statement: `422`, or the findings that are shown.
fn outcome(s: &Server, environment: &str, sql: &str) -> String {
    let answer = s.requester().create(environment, sql);
    if answer.status == 422 {
        answer.refused(422, "sql_blocked_by_review");
        return "blocked".to_owned();
    }
    let id = answer.is(201).text("id");
    rules(&review_of(&s.requester(), &id)["findings"]).join(" ")
}

#[test]
fn the_most_specific_review_applies_whole() {
    let s = Server::with(&format!("{SHOP}{REVIEW}"));
    let list = format!(
        "SELECT * FROM items WHERE id IN ({})",
        vec!["1"; 101].join(",")
    );
    for (sql, staging, production) in [
        ("DELETE FROM items", "NoWhereDelete", "blocked"),
        ("UPDATE items SET a = 1", "", "NoWhereUpdate"),
        ("ALTER TABLE items DROP COLUMN a", "DropColumn", "blocked"),
        (list.as_str(), "blocked", "LargeInList"),
        ("TRUNCATE items", "blocked", "blocked"),
        (
            "CREATE INDEX i ON items (a)",
            "CreateIndexNotConcurrently",
            "CreateIndexNotConcurrently",
        ),
    ] {
        assert_eq!(outcome(&s, "staging", sql), staging, "{sql}");
        assert_eq!(outcome(&s, "production", sql), production, "{sql}");
        assert_eq!(outcome(&s, "development", sql), production, "{sql}");
    }
}

#[test]
fn one_table_of_rules_is_a_review_for_everything() {
    let off = "[sql_review]\nno_where_delete = \"off\"\ntruncate = \"warn\"\n";
    let s = Server::with(&format!("{SHOP}{off}"));
    describe(&s, "production", &[table("items", 10)]);
    assert_eq!(outcome(&s, "production", "DELETE FROM items"), "");
    assert_eq!(outcome(&s, "production", "TRUNCATE items"), "Truncate");
    assert_eq!(
        outcome(&s, "production", "UPDATE items SET a = 1"),
        "blocked"
    );
    // What is off does not count for the risk; what warns does.
    let risk = |sql: &str| {
        let request = s.requester().submit("production", sql);
        request.by.show(&request).json["risk_level"].clone()
    };
    assert_eq!(risk("DELETE FROM items"), "low");
    assert_eq!(risk("TRUNCATE items"), "high");
}

#[test]
fn every_rule_fires_and_has_its_default() {
    let s = Server::shop();
    let list = format!(
        "DELETE FROM items WHERE id IN ({})",
        vec!["1"; 101].join(",")
    );
    for (sql, want) in [
        ("DELETE FROM items WHERE 1 = 1", "blocked"),
        ("UPDATE items SET a = 1 WHERE true", "blocked"),
        ("TRUNCATE items, orders", "blocked"),
        (
            "WITH x AS (DELETE FROM items RETURNING *) SELECT * FROM x",
            "blocked",
        ),
        ("ALTER TABLE items DROP COLUMN a", "DropColumn"),
        (
            "ALTER TABLE items ADD COLUMN a int NOT NULL",
            "NotNullWithoutDefault",
        ),
        ("ALTER TABLE items ADD COLUMN a int NOT NULL DEFAULT 1", ""),
        (
            "ALTER TABLE items ALTER COLUMN a TYPE text",
            "AlterColumnType",
        ),
        ("CREATE INDEX i ON items (a)", "CreateIndexNotConcurrently"),
        ("CREATE INDEX CONCURRENTLY i ON items (a)", ""),
        ("ALTER TABLE items RENAME COLUMN a TO b", "RenameObject"),
        ("VACUUM FULL items", "TableRewrite"),
        ("REINDEX TABLE items", "LongLock"),
        (
            "CREATE TABLE t (a int); INSERT INTO t VALUES (1)",
            "MixedDdlDml",
        ),
        (list.as_str(), "LargeInList"),
    ] {
        assert_eq!(outcome(&s, "production", sql), want, "{sql}");
    }
}

fn rescue(person: &Person, sql: &str, more: Value) -> Answer {
    let mut body = json!({"emergency": true, "reason": "outage"});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    person.create_with("production", sql, body)
}

fn counted(s: &Server, name: &str) -> u64 {
    let page = String::from_utf8(s.admin().get("/metrics").is(200).body).unwrap();
    let line = page
        .lines()
        .find_map(|l| l.strip_prefix(&format!("dbward_{name} ")));
    line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

#[test]
fn an_emergency_skips_the_approval_and_nothing_else() {
    let s = Server::with(&format!("{SHOP}{HURRY}"));
    let rescuer = s.person("rescuer", &["rescuer"]);
    let update = "UPDATE items SET a = 'secret' WHERE id = 1";
    let answer = rescue(&rescuer, update, json!({})).is(201);
    assert_eq!(answer.text("status"), "dispatched");
    for reason in [Value::Null, json!(""), json!(" \n")] {
        rescue(&rescuer, update, json!({"reason": reason}))
            .refused(422, "reason_required")
            .saying("reason is required");
    }
    rescue(&rescuer, "DELETE FROM items", json!({})).refused(422, "sql_blocked_by_review");
    rescue(&rescuer, "GRANT ALL ON items TO public", json!({})).refused(422, "sql_rejected");
    rescue(&rescuer, "SELEC nonsense", json!({})).refused(422, "sql_unparsable");
    rescue(&rescuer, update, json!({"environment": "moon"}))
        .refused(422, "database_not_registered");
    rescue(&s.requester(), update, json!({})).refused(403, "forbidden");
    // Without an emergency the caller may make nothing.
    rescuer
        .create("production", update)
        .refused(403, "forbidden");
    assert_eq!(counted(&s, "break_glass_total"), 1);
    assert_eq!(counted(&s, "break_glass_ddl_attempted_total"), 0);
    let event = s.events("event_type=request.break_glass").remove(0);
    assert_eq!(event["reason"], "outage");
    assert!(!event.to_string().contains("secret"));
    assert_eq!(s.events("event_type=request.dispatched").len(), 1);
}

#[test]
fn an_emergency_may_even_run_where_no_workflow_is() {
    let toml = SHOP.replace(
        "environment = \"production\"\n",
        "environment = \"production\"\noperations = [\"migrate_up\"]\n",
    );
    let s = Server::with(&format!("{toml}{HURRY}"));
    let rescuer = s.person("rescuer", &["rescuer"]);
    let answer = rescue(&rescuer, "UPDATE items SET a = 1 WHERE id = 1", json!({})).is(201);
    assert_eq!(answer.text("status"), "dispatched");
    s.agent("agent-1").run(&answer.text("id"));
}

/// DDL that only an emergency lets through, and only for those who may.
const DDL: &[&str] = &[
    "DROP TABLE items",
    "DROP VIEW v",
    "DROP INDEX i",
    "DROP SEQUENCE s",
    "CREATE SEQUENCE s",
    "TRUNCATE items",
    "DROP TABLE items; TRUNCATE orders; CREATE TABLE items (id int)",
];

#[test]
fn an_emergency_with_ddl_passes_what_is_otherwise_refused() {
    let s = Server::with(&format!("{SHOP}{HURRY}"));
    let (rescuer, surgeon) = (
        s.person("rescuer", &["rescuer"]),
        s.person("surgeon", &["surgeon"]),
    );
    let ddl = json!({"allow_ddl": true});
    for sql in DDL {
        let plain = rescue(&surgeon, sql, json!({}));
        assert_eq!(plain.status, 422, "{sql}: {}", plain.raw());
        rescue(&rescuer, sql, ddl.clone()).refused(403, "forbidden");
        let answer = rescue(&surgeon, sql, ddl.clone()).is(201);
        assert_eq!(
            (answer.text("operation"), answer.text("status")),
            ("execute_dml".to_owned(), "dispatched".to_owned())
        );
        let claim = s.agent("agent-1").run(&answer.text("id"));
        let plan = claim.answer.list("execution_plan");
        assert_eq!(plan.len(), sql.split(';').count(), "{sql}");
        let event = s.events("event_type=request.break_glass").remove(0);
        let metadata: Value =
            serde_json::from_str(event["metadata_json"].as_str().unwrap()).unwrap();
        assert_eq!(
            (&metadata["allow_ddl"], &metadata["emergency"]),
            (&json!(true), &json!(true))
        );
        assert_eq!(event["actor_id"], "surgeon");
    }
    rescue(&surgeon, "DROP TABLE items", json!({}))
        .refused(422, "sql_rejected")
        .saying("allow_ddl");
    let n = DDL.len() as u64;
    assert_eq!(counted(&s, "break_glass_ddl_attempted_total"), 2 * n);
    assert_eq!(counted(&s, "break_glass_ddl_allowed_total"), n);
    assert_eq!(counted(&s, "break_glass_ddl_denied_total"), n);
    assert_eq!(counted(&s, "break_glass_total"), n);
}

#[test]
fn what_pass_let_through_is_an_event_of_its_own() {
    let s = Server::with(&format!("{SHOP}{HURRY}"));
    let surgeon = s.person("surgeon", &["surgeon"]);
    let ddl = json!({"allow_ddl": true});
    let dropped = rescue(&surgeon, "DROP TABLE items", ddl.clone()).is(201);
    // Nothing was passed here.
    rescue(&surgeon, "CREATE TABLE fresh (id int)", ddl).is(201);
    let events = s.events("event_type=ddl.break_glass_bypass");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["request_id"], dropped.json["id"]);
    let metadata: Value =
        serde_json::from_str(events[0]["metadata_json"].as_str().unwrap()).unwrap();
    assert_eq!(
        (
            &metadata["classifier_bypassed"],
            &metadata["reviewer_bypassed"]
        ),
        (&json!(true), &json!(true))
    );
}

#[test]
fn an_emergency_with_ddl_does_not_pass_everything() {
    let s = Server::with(&format!("{SHOP}{HURRY}"));
    let surgeon = s.person("surgeon", &["surgeon"]);
    let list = format!(
        "DELETE FROM items WHERE id IN ({})",
        vec!["1"; 101].join(",")
    );
    for (sql, code) in [
        ("DELETE FROM items", "sql_blocked_by_review"),
        ("UPDATE items SET a = 1", "sql_blocked_by_review"),
        // One statement that is not DDL takes the pass from all.
        ("DROP TABLE items; DELETE FROM orders", "sql_rejected"),
        (
            "TRUNCATE items; UPDATE orders SET a = 1 WHERE id = 1",
            "sql_blocked_by_review",
        ),
        ("DROP SCHEMA public", "sql_rejected"),
        ("DROP DATABASE shop", "sql_rejected"),
        ("DROP FUNCTION f", "sql_rejected"),
        ("DROP ROLE r", "sql_rejected"),
        ("CREATE ROLE r", "sql_rejected"),
        ("GRANT ALL ON items TO public", "sql_rejected"),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "sql_rejected",
        ),
        ("LOCK TABLE items", "sql_rejected"),
        ("SET ROLE postgres", "sql_rejected"),
        ("BEGIN; DROP TABLE items; COMMIT", "sql_rejected"),
        ("SELEC nonsense", "sql_unparsable"),
    ] {
        let answer = rescue(&surgeon, sql, json!({"allow_ddl": true}));
        assert_eq!(answer.status, 422, "{sql}: {}", answer.raw());
        assert_eq!(
            answer.json["error"]["code"],
            code,
            "{sql}: {}",
            answer.raw()
        );
    }
    // A warning does not block.
    rescue(&surgeon, &list, json!({"allow_ddl": true})).is(201);
    let alone = surgeon.create_with("production", "DROP TABLE items", json!({"allow_ddl": true}));
    alone.refused(400, "validation_error").saying("emergency");
    assert_eq!(counted(&s, "break_glass_total"), 1);
}

#[test]
fn rules_that_a_pass_does_not_cover_block_even_ddl() {
    let strict = "[sql_review]\ndrop_index = \"block\"\ncreate_sequence = \"block\"\nmixed_ddl_dml = \"block\"\n\
                  large_in_list = \"block\"\ndrop_column = \"block\"\nalter_column_type = \"block\"\n";
    let s = Server::with(&format!("{SHOP}{HURRY}{strict}"));
    let surgeon = s.person("surgeon", &["surgeon"]);
    let list = vec!["1"; 101].join(",");
    let ddl = json!({"allow_ddl": true});
    for sql in [
        "DROP INDEX i",
        "CREATE SEQUENCE s",
        "ALTER TABLE items DROP COLUMN a, ALTER COLUMN b TYPE text",
    ] {
        assert_eq!(rescue(&surgeon, sql, json!({})).status, 422, "{sql}");
        rescue(&surgeon, sql, ddl.clone()).is(201);
    }
    for sql in [
        format!("CREATE VIEW v AS SELECT * FROM items WHERE id IN ({list})"),
        "CREATE TABLE t (a int); INSERT INTO t VALUES (1)".to_owned(),
    ] {
        rescue(&surgeon, &sql, ddl.clone()).refused(422, "sql_blocked_by_review");
    }
}

#[test]
fn scopes_bound_an_emergency_too() {
    let scoped = HURRY.replace(
        "\"request.break_glass_ddl\", \"request.view\"]",
        "\"request.break_glass_ddl\", \"request.view\"]\nenvironments = [\"staging\"]",
    );
    let s = Server::with(&format!("{SHOP}{scoped}"));
    let surgeon = s.person("surgeon", &["surgeon"]);
    let ddl = json!({"allow_ddl": true});
    rescue(&surgeon, "DROP TABLE items", ddl.clone()).refused(403, "forbidden");
    let there = json!({"allow_ddl": true, "environment": "staging"});
    rescue(&surgeon, "DROP TABLE items", there).is(201);
    // Two roles that cover it together are not one that does.
    let both = s.person("both", &["rescuer", "surgeon"]);
    rescue(&both, "DROP TABLE items", ddl).refused(403, "forbidden");
    rescue(&both, "UPDATE items SET a = 1 WHERE id = 1", json!({})).is(201);
}

#[test]
fn sum_of_refusals_names_nothing_that_differs_among_them() {
    let s = Server::shop();
    let mixed = |n: usize| {
        for sql in ["DELETE FROM items", "DELETE FROM others"]
            .iter()
            .cycle()
            .take(n)
        {
            let refused = s.requester().create("production", sql);
            refused.refused(422, "sql_blocked_by_review");
        }
    };
    mixed(22);
    let waiting = "UPDATE items SET price = 2 WHERE id = 1";
    let request = s.requester().submit("production", waiting).is_pending();
    for _ in 0..3 {
        assert_eq!(s.requester().approve(&request).status, 403);
    }
    s.minute();
    let sums: Vec<Value> = s
        .events("event_type=attempt.refused")
        .iter()
        .map(|event| {
            let facts: Value =
                serde_json::from_str(event["metadata_json"].as_str().unwrap()).unwrap();
            json!([
                facts["attempt"],
                facts["count"],
                event["detail_fingerprint"]
            ])
        })
        .collect();
    assert_eq!(
        sums,
        [
            json!(["request.create", 2, null]),
            json!(["request.approve", 3, null]),
        ]
    );
}
