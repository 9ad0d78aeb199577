//! Making requests, finding them again, and looking at them.

use crate::support::{Request, SHOP, Server, golden};
use serde_json::{Value, json};
use std::sync::{Arc, Barrier};
use std::thread;

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";
const SELECT: &str = "SELECT id, name FROM items WHERE id = 1";

#[test]
fn write_in_production_waits_and_a_read_in_development_runs() {
    let s = Server::shop();
    let pending = s.requester().submit("production", UPDATE).is_pending();
    golden("create_pending", &pending.answer.json);
    let running = s.requester().submit("development", SELECT).is_dispatched();
    golden("create_dispatched", &running.answer.json);
}

#[test]
fn the_statement_decides_what_the_request_is() {
    let s = Server::shop();
    let operation = |sql: &str, reported: &str| {
        let more = json!({"operation": reported});
        let request = s.requester().submit_with("production", sql, more);
        request.answer.text("operation")
    };
    assert_eq!(operation(SELECT, "execute_dml"), "execute_select");
    assert_eq!(operation(UPDATE, "execute_select"), "execute_dml");
    assert_eq!(operation("SELECT setval('a', 1)", ""), "execute_dml");
    assert_eq!(
        operation(
            "WITH x AS (DELETE FROM a WHERE b = 1 RETURNING *) SELECT * FROM x",
            "query"
        ),
        "execute_dml"
    );
    assert_eq!(
        operation(
            "EXPLAIN (ANALYZE) UPDATE a SET b = 1 WHERE c = 1",
            "execute"
        ),
        "execute_dml"
    );
    assert_eq!(operation("", "migrate_status"), "migrate_status");
}

#[test]
fn refused_statements_are_422_and_name_the_rule() {
    let s = Server::shop();
    let requester = s.requester();
    for sql in [
        "DELETE FROM items",
        "UPDATE items SET a = 1",
        "TRUNCATE items",
    ] {
        let answer = requester.create("development", sql);
        answer.refused(422, "sql_blocked_by_review");
        assert!(answer.json["error"]["details"]["findings"][0]["rule"].is_string());
    }
    for sql in [
        "GRANT ALL ON items TO public",
        "LOCK TABLE items",
        "DROP FUNCTION f",
        "BEGIN",
        "DROP TABLE items",
        "CREATE ROLE x",
        "SET ROLE admin",
    ] {
        let answer = requester.create("production", sql);
        assert_eq!(answer.status, 422, "{sql}: {}", answer.raw());
    }
}

#[test]
fn what_nobody_would_look_at_must_be_understood() {
    let s = Server::shop();
    let broken = "SELEKT 1 FROM items";
    s.requester()
        .create("development", broken)
        .refused(422, "sql_unparsable")
        .saying("line 1");
    s.requester().submit("production", broken).is_pending();
}

#[test]
fn fields_are_checked_before_anything_is_looked_up() {
    let s = Server::shop();
    let requester = s.requester();
    let long = "x".repeat(100_001);
    for (field, value) in [
        ("database", json!("Shop")),
        ("database", json!("*")),
        ("database", json!(7)),
        ("database", json!("")),
        ("database", json!("a".repeat(64))),
        ("environment", json!("prod uction")),
        ("environment", Value::Null),
        ("detail", json!("")),
        ("detail", json!("  \n")),
        ("detail", json!("SELECT '\0'")),
        ("detail", json!(long)),
        ("detail", json!(["SELECT 1"])),
        ("detail", json!("SELECT 1;".repeat(101))),
        ("operation", json!("drop")),
        ("reason", json!("r".repeat(1025))),
        ("reason", json!("a\0b")),
        ("reason", json!(1)),
        ("idempotency_key", json!("")),
        ("idempotency_key", json!("k".repeat(256))),
        ("share_with", json!("user:x")),
        ("share_with", json!(["everybody"])),
        ("share_with", json!(["user:"])),
        ("share_with", json!(vec!["user:x"; 51])),
        ("emergency", json!("yes")),
        ("allow_ddl", json!(true)),
        ("no_result_store", json!(0)),
        ("metadata", json!("m".repeat(16 * 1024))),
    ] {
        let answer = requester.create_with("production", UPDATE, json!({field: value.clone()}));
        assert_eq!(answer.status, 400, "{field}: {}", answer.raw());
        answer.refused(400, "validation_error");
    }
    let repair = json!({"operation": "migrate_repair", "reason": "x"});
    requester
        .create_with("production", "{}", repair)
        .refused(400, "validation_error");
    for missing in ["database", "environment", "detail"] {
        let mut body = json!({"database": "shop", "environment": "production", "detail": SELECT});
        body.as_object_mut().unwrap().remove(missing);
        requester
            .post("/api/requests", &body)
            .refused(400, "validation_error")
            .saying(missing);
    }
    assert!(requester.ids("").is_empty());
}

#[test]
fn unknown_fields_and_text_at_the_limits_are_accepted() {
    let s = Server::shop();
    let mut sql = format!("{UPDATE} AND note = '");
    sql.push_str(&"x".repeat(100_000 - sql.len() - 1));
    sql.push('\'');
    let more = json!({
        "reason": "r".repeat(1024), "idempotency_key": "k".repeat(255), "what": "ever",
        "metadata": {"ticket": "T-1", "n": 12345678901234567890_u64},
    });
    let request = s
        .requester()
        .submit_with("production", &sql, more)
        .is_pending();
    let shown = s.requester().show(&request).json;
    assert_eq!(shown["detail"], sql);
    assert_eq!(shown["metadata"]["n"], 12345678901234567890_u64);
}

#[test]
fn unregistered_target_or_one_without_workflow_is_422() {
    let s = Server::with(
        "[[databases]]\nname = \"shop\"\nenvironments = [\"production\", \"development\"]\n\
         [[workflows]]\nenvironment = \"development\"\noperations = [\"execute_select\"]\n",
    );
    let requester = s.requester();
    requester
        .create("staging", SELECT)
        .refused(422, "database_not_registered")
        .saying("not registered");
    requester
        .create_with("development", SELECT, json!({"database": "nothing"}))
        .refused(422, "database_not_registered");
    requester
        .create("development", UPDATE)
        .refused(422, "no_matching_workflow");
    requester
        .create("production", SELECT)
        .refused(422, "no_matching_workflow");
}

#[test]
fn the_most_specific_workflow_decides() {
    let s = Server::with(
        r#"
        [[databases]]
        name = "shop"
        environments = ["development", "staging", "production"]
        [[databases]]
        name = "other"
        environments = ["production"]
        [[workflows]]
        [[workflows.steps]]
        [[workflows.steps.approvers]]
        role = "admin"
        [[workflows]]
        environment = "production"
        require_reason = true
        [[workflows]]
        database = "shop"
        [[workflows.steps]]
        [[workflows.steps.approvers]]
        user = "approver"
        [[workflows]]
        database = "shop"
        environment = "production"
        operations = ["execute_select"]
        "#,
    );
    let requester = s.requester();
    let on = |database: &str, environment: &str, sql: &str| {
        let more = json!({"database": database, "reason": "because"});
        let request = requester.submit_with(environment, sql, more);
        let shown = requester.show(&request).json;
        shown["decision_trace"]["workflow"]["matched"]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(on("shop", "production", SELECT).starts_with("wf:shop:production:"));
    assert!(on("shop", "production", UPDATE).starts_with("wf:*:production:"));
    assert!(on("shop", "staging", UPDATE).starts_with("wf:shop:*:"));
    assert!(on("other", "production", UPDATE).starts_with("wf:*:production:"));
    let answer = requester.create_with("production", UPDATE, json!({"database": "other"}));
    answer
        .refused(422, "reason_required")
        .saying("reason is required");
    let blank = json!({"database": "other", "reason": "  "});
    requester
        .create_with("production", UPDATE, blank)
        .refused(422, "reason_required");
}

#[test]
fn the_same_key_and_body_find_the_original() {
    let s = Server::shop();
    let requester = s.requester();
    let key = json!({"idempotency_key": "once", "reason": "r"});
    let first = requester.submit_with("production", UPDATE, key.clone());
    assert_eq!(first.answer.json["idempotent"], false);
    let again = requester
        .create_with("production", UPDATE, key.clone())
        .is(200);
    assert_eq!(again.text("id"), first.id);
    assert_eq!(again.json["idempotent"], true);
    assert_eq!(again.list("approvers"), [json!("group:approvers")]);
    requester.cancel(&first).is(200);
    let later = requester.create_with("production", UPDATE, key).is(200);
    assert_eq!(later.text("status"), "cancelled");
}

#[test]
fn the_same_key_with_another_body_is_409() {
    let s = Server::shop();
    let requester = s.requester();
    requester.submit_with("production", UPDATE, json!({"idempotency_key": "once"}));
    for (environment, sql, more) in [
        ("production", SELECT, json!({})),
        ("staging", UPDATE, json!({})),
        ("production", UPDATE, json!({"reason": "other"})),
        ("production", UPDATE, json!({"no_result_store": true})),
        ("production", UPDATE, json!({"share_with": ["user:x"]})),
        ("production", UPDATE, json!({"metadata": {"a": 1}})),
        ("production", UPDATE, json!({"operation": "execute_dml"})),
    ] {
        let mut body = more;
        body["idempotency_key"] = "once".into();
        requester
            .create_with(environment, sql, body)
            .refused(409, "idempotency_key_reused");
    }
}

#[test]
fn keys_of_different_people_do_not_meet() {
    let s = Server::shop();
    let key = json!({"idempotency_key": "once"});
    let one = s.requester().submit_with("production", UPDATE, key.clone());
    let two = s
        .person("other", &["developer"])
        .submit_with("production", SELECT, key);
    assert_ne!(one.id, two.id);
}

#[test]
fn race_for_a_key_gives_one_201_and_otherwise_200() {
    let s = Server::shop();
    let barrier = Arc::new(Barrier::new(16));
    let racers: Vec<_> = (0..16)
        .map(|_| {
            let (requester, barrier) = (s.requester(), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                requester.create_with("production", UPDATE, json!({"idempotency_key": "race"}))
            })
        })
        .collect();
    let answers: Vec<_> = racers.into_iter().map(|r| r.join().unwrap()).collect();
    let made = answers.iter().filter(|a| a.status == 201).count();
    let found = answers.iter().filter(|a| a.status == 200).count();
    assert_eq!((made, found), (1, 15));
    assert!(
        answers
            .iter()
            .all(|a| a.text("id") == answers[0].text("id"))
    );
    assert_eq!(s.requester().ids("").len(), 1);
}

#[test]
fn a_refused_create_does_not_use_its_key_up() {
    let s = Server::shop();
    let key = json!({"idempotency_key": "once"});
    s.requester()
        .create_with("production", "DELETE FROM items", key.clone())
        .is(422);
    s.requester()
        .submit_with("production", UPDATE, key)
        .is_pending();
}

#[test]
fn a_retry_finds_its_original_after_the_rules_were_tightened() {
    let s = Server::shop();
    let key = json!({"idempotency_key": "once"});
    let first = s.requester().submit_with("production", UPDATE, key.clone());
    let strict = SHOP.replace(
        "environment = \"production\"",
        "environment = \"production\"\nrequire_reason = true",
    );
    let s = s.restart_with(&strict);
    let again = s.requester().create_with("production", UPDATE, key).is(200);
    assert_eq!(again.text("id"), first.id);
    s.requester()
        .create("production", UPDATE)
        .refused(422, "reason_required");
}

#[test]
fn who_has_no_rights_learns_nothing_about_the_rules() {
    let s = Server::with(&format!(
        "{SHOP}\n[[auth.roles]]\nname = \"viewer\"\npermissions = [\"request.view\"]\n"
    ));
    let viewer = s.person("viewer", &["viewer"]);
    let mut answers = vec![
        viewer.create("production", UPDATE),
        viewer.create("production", "DELETE FROM items"),
        viewer.create("production", "SELEKT"),
        viewer.create("nowhere", UPDATE),
    ];
    answers
        .iter()
        .for_each(|a| drop(a.refused(403, "forbidden")));
    let reader = s.person("reader", &["readonly"]);
    reader
        .create("production", UPDATE)
        .refused(403, "forbidden")
        .saying("request.create");
    reader.create("development", SELECT).is(201);
    // Syntax comes before rights: it says nothing about anybody's rules.
    answers.push(viewer.create("Production", UPDATE));
    answers.last().unwrap().refused(400, "validation_error");
    let refusals = s.events("event_type=attempt.refused&actor_id=viewer");
    assert_eq!(refusals.len(), 4);
    assert!(
        refusals.iter().all(|e| e["detail_raw"].is_null()),
        "{refusals:?}"
    );
}

#[test]
fn emergency_runs_at_once_with_reason_and_the_right_alone() {
    let s = Server::with(&format!(
        "{SHOP}\n[[auth.roles]]\nname = \"oncall\"\npermissions = [\"request.break_glass\", \"request.view\"]\n\
         [[auth.roles]]\nname = \"oncall-ddl\"\npermissions = [\"request.break_glass\", \"request.break_glass_ddl\"]\n"
    ));
    let oncall = s.person("oncall", &["oncall"]);
    let emergency = |more: Value| {
        let mut body = json!({"emergency": true, "reason": "it burns"});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    oncall
        .submit_with("production", UPDATE, emergency(json!({})))
        .is_dispatched();
    let silent = json!({"emergency": true});
    oncall
        .create_with("production", UPDATE, silent)
        .refused(422, "reason_required");
    oncall
        .create("production", UPDATE)
        .refused(403, "forbidden");
    s.requester()
        .create_with("production", UPDATE, emergency(json!({})))
        .refused(403, "forbidden");
    let ddl = emergency(json!({"allow_ddl": true}));
    oncall
        .create_with("production", "DROP TABLE items", ddl.clone())
        .refused(403, "forbidden");
    let both = s.person("oncall-two", &["oncall-ddl"]);
    both.create_with("production", "DROP TABLE items", ddl.clone())
        .is(201);
    both.create_with("production", "DELETE FROM items", ddl.clone())
        .is(422);
    both.create_with("production", "GRANT ALL ON items TO x", ddl)
        .refused(422, "sql_rejected");
    both.create_with("production", "SELEKT", emergency(json!({})))
        .refused(422, "sql_unparsable");
    assert_eq!(s.events("event_type=request.break_glass").len(), 2);
}

#[test]
fn requests_show_what_the_reference_says() {
    let s = Server::shop();
    let more = json!({"reason": "why", "share_with": ["user:x"], "metadata": {"ticket": "T-1"}, "idempotency_key": "k"});
    let request = s.requester().submit_with("production", UPDATE, more);
    golden("show_pending", &s.requester().show(&request).is(200).json);
    s.approver().approve(&request).is(200);
    request.by.resume(&request).is(200);
    s.agent("agent-1").run(&request.id);
    golden("show_executed", &s.requester().show(&request).is(200).json);
    golden("list", &s.requester().get("/api/requests").is(200).json);
}

#[test]
fn unknown_requests_are_404_for_every_verb() {
    let s = Server::shop();
    let answer = s.requester().submit("production", UPDATE).answer;
    let ghost = Request {
        by: s.requester(),
        id: "00000000-0000-4000-8000-000000000000".to_owned(),
        answer,
    };
    for answer in [
        ghost.by.show(&ghost),
        s.admin().approve(&ghost),
        s.admin().reject(&ghost),
        ghost.by.cancel(&ghost),
        ghost.by.resume(&ghost),
        ghost.by.get(&ghost.path("/result/stream")),
        ghost.by.get(&ghost.path("/result/content")),
        ghost.by.get(&ghost.path("/executions")),
        ghost.by.get("/api/requests/nonsense"),
    ] {
        answer.refused(404, "not_found");
    }
}

#[test]
fn migrations_are_requests_like_others() {
    let s = Server::shop();
    let detail = json!({
        "format": "v2", "direction": "up", "versions": ["1"],
        "migrations": [{"version": "1", "sql": "DROP TABLE old", "transactional": true}], "dir_sha256": "00",
    });
    let more = json!({"operation": "migrate_up"});
    let request = s
        .requester()
        .submit_with("production", &detail.to_string(), more.clone())
        .is_pending();
    assert_eq!(request.answer.text("operation"), "migrate_up");
    s.requester()
        .create_with("production", "not json", more)
        .refused(400, "validation_error");
    let reader = s.person("reader", &["readonly"]);
    let status = json!({"operation": "migrate_status"});
    reader
        .create_with("production", "", status)
        .refused(403, "forbidden");
}

#[test]
fn reason_that_nobody_sees_is_refused() {
    let s = Server::shop();
    for reason in [
        "\u{200b}\u{200d}",
        " \u{2060}\n",
        "\u{ad}",
        "\u{2800}\u{fe0f}",
        "\u{e0041}",
        "\u{3164}",
        "\u{1}\u{7}",
    ] {
        let more = json!({"reason": reason});
        s.requester()
            .create_with("production", UPDATE, more)
            .refused(400, "validation_error")
            .saying("only characters that nobody sees");
    }
    for reason in ["x", "\u{200b}x", "é", "ticket\u{a0}7", "☃\u{fe0f}"] {
        let more = json!({"reason": reason});
        s.requester()
            .create_with("production", UPDATE, more)
            .is(201);
    }
}
