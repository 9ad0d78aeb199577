//! What agents report of the tables of their databases: accepted, kept, and shown to those who may see it.

use crate::support::{Agent, Answer, SHOP, Server};
use serde_json::{Value, json};

/// A table as an agent describes it.
pub(crate) fn table(name: &str, rows: i64) -> Value {
    json!({
        "name": name,
        "schema_name": "public",
        "estimated_rows": rows,
        "columns": [
            {"name": "id", "data_type": "bigint", "nullable": false, "is_primary_key": true},
            {"name": "note", "data_type": "text", "nullable": true, "is_primary_key": false},
        ],
        "constraints": [{"constraint_type": "primary_key", "columns": ["id"]}],
        "indexes": [],
    })
}

/// One whose rows go when those of `parent` go.
pub(crate) fn child(name: &str, rows: i64, parent: &str) -> Value {
    let mut child = table(name, rows);
    let link = json!({
        "constraint_type": "foreign_key", "columns": ["parent_id"], "referenced_table": parent,
        "referenced_columns": ["id"], "on_delete": "CASCADE",
    });
    child["constraints"].as_array_mut().unwrap().push(link);
    child
}

/// What an agent sends of the shop.
fn description(environment: &str, tables: &[Value]) -> Value {
    json!({
        "database": "shop", "environment": environment, "dialect": "postgresql", "status": "ready",
        "snapshot": {"tables": tables}, "error_message": null,
    })
}

fn sync(agent: &Agent, body: &Value) -> Answer {
    agent.person.post("/api/agent/schema-sync", body)
}

/// Describes the shop in one environment, as `agent-1`.
pub(crate) fn describe(s: &Server, environment: &str, tables: &[Value]) {
    let agent = s.agent("agent-1");
    agent.poll();
    sync(&agent, &description(environment, tables)).is(200);
}

fn show(s: &Server, query: &str) -> Answer {
    s.requester().get(&format!("/api/schemas/shop?{query}"))
}

#[test]
fn description_is_shown_in_short_whole_and_table_by_table() {
    let s = Server::shop();
    let items = child("items", 12_345, "orders");
    describe(&s, "production", &[table("orders", -1), items.clone()]);
    let short = show(&s, "").is(200);
    assert_eq!(
        short.json["tables"],
        json!([
            {"name": "orders", "schema_name": "public", "estimated_rows": -1, "column_count": 2,
             "constraint_count": 1, "index_count": 0},
            {"name": "items", "schema_name": "public", "estimated_rows": 12_345, "column_count": 2,
             "constraint_count": 2, "index_count": 0},
        ])
    );
    for (field, want) in [
        ("database", "shop"),
        ("environment", "production"),
        ("dialect", "postgresql"),
        ("status", "ready"),
        ("agent_id", "agent-1"),
    ] {
        assert_eq!(short.text(field), want);
    }
    assert!(short.text("collected_at").ends_with('Z'));
    let whole = show(&s, "summary=false").is(200);
    assert_eq!(whole.json["tables"], json!([table("orders", -1), items]));
    for query in ["table=items", "table=public.items&summary=true"] {
        let one = show(&s, query).is(200);
        assert_eq!(one.json["table"], items);
        assert_eq!(one.json["tables"], Value::Null);
    }
    for query in ["table=", "table=nothing", "table=other.items"] {
        show(&s, query).refused(404, "not_found");
    }
    for query in [
        "summary=yes",
        "summary=",
        "table=a&table=b",
        "environment=a&environment=b",
    ] {
        show(&s, query).refused(400, "validation_error");
    }
}

#[test]
fn a_name_that_two_tables_have_needs_its_schema() {
    let s = Server::shop();
    let mut old = table("items", 1);
    old["schema_name"] = "archive".into();
    describe(&s, "production", &[table("items", 2), old.clone()]);
    show(&s, "table=items")
        .refused(404, "not_found")
        .saying("schema.table");
    assert_eq!(show(&s, "table=archive.items").is(200).json["table"], old);
}

#[test]
fn failed_attempt_keeps_what_was_known_and_shows_its_age() {
    let s = Server::shop();
    describe(&s, "production", &[table("items", 7)]);
    let first = show(&s, "").is(200);
    assert_eq!(first.json["last_sync"]["status"], "ready");
    s.turn_only(3_600);
    let failed = json!({
        "database": "shop", "environment": "production", "dialect": "postgresql", "status": "failed",
        "error_message": format!("permission denied {}", "x".repeat(9_000)),
    });
    sync(&s.agent("agent-1"), &failed).is(200);
    let stale = show(&s, "").is(200);
    assert_eq!(stale.json["tables"], first.json["tables"]);
    assert_eq!(stale.json["collected_at"], first.json["collected_at"]);
    let last = &stale.json["last_sync"];
    assert_eq!(last["status"], "failed");
    assert_ne!(last["at"], stale.json["collected_at"]);
    let message = last["error_message"].as_str().unwrap();
    assert!(message.starts_with("permission denied") && message.len() == 4_096);
    assert_eq!(s.events("event_type=schema.snapshot_failed").len(), 1);
    assert_eq!(s.events("event_type=schema.snapshot_updated").len(), 1);
    describe(&s, "production", &[table("items", 8)]);
    let fresh = show(&s, "").is(200);
    assert_eq!(fresh.json["tables"][0]["estimated_rows"], 8);
    assert_eq!(fresh.json["last_sync"]["error_message"], Value::Null);
    assert_eq!(fresh.json["last_sync"]["at"], fresh.json["collected_at"]);
}

#[test]
fn failure_alone_is_not_description_and_part_of_one_is() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    agent.poll();
    let mut body = description("production", &[]);
    body["status"] = "failed".into();
    // A snapshot sent with a failure is not believed.
    body["snapshot"] = json!({"tables": [table("items", 1)]});
    sync(&agent, &body).is(200);
    show(&s, "").refused(404, "not_found");
    show(&s, "environment=production").refused(404, "not_found");
    let mut part = description("production", &[table("items", 1)]);
    part["status"] = "partial".into();
    part["error_message"] = "no rights on `orders`".into();
    sync(&agent, &part).is(200);
    let shown = show(&s, "").is(200);
    assert_eq!(shown.json["last_sync"]["status"], "partial");
    assert_eq!(
        shown.json["last_sync"]["error_message"],
        "no rights on `orders`"
    );
    // Without one, what was described stays, and the attempt is shown.
    let tables = shown.json["tables"].clone();
    part.as_object_mut().unwrap().remove("snapshot");
    part["error_message"] = "cut off".into();
    sync(&agent, &part).is(200);
    let shown = show(&s, "").is(200);
    assert_eq!(shown.json["tables"], tables);
    assert_eq!(shown.json["last_sync"]["status"], "partial");
    assert_eq!(shown.json["last_sync"]["error_message"], "cut off");
}

#[test]
fn bad_descriptions_are_refused_and_change_nothing() {
    let s = Server::shop();
    describe(&s, "production", &[table("items", 7)]);
    let agent = s.agent("agent-1");
    for (field, value) in [
        ("database", Value::Null),
        ("database", json!("Shop!")),
        ("environment", json!(7)),
        ("dialect", json!("oracle")),
        ("dialect", Value::Null),
        ("status", json!("fine")),
        ("snapshot", Value::Null),
        ("snapshot", json!("{}")),
        ("snapshot", json!({})),
        ("snapshot", json!({"tables": 7})),
        ("snapshot", json!({"tables": [{"name": "items"}]})),
        (
            "snapshot",
            json!({"tables": [{"name": 1, "estimated_rows": 1}]}),
        ),
        ("error_message", json!({"a": 1})),
    ] {
        let mut body = description("production", &[table("items", 9)]);
        body[field] = value.clone();
        let answer = sync(&agent, &body);
        assert_eq!(answer.status, 400, "{field} {value}: {}", answer.raw());
    }
    let mut many = description("production", &[]);
    let row = json!({"name": "t", "estimated_rows": 1});
    many["snapshot"]["tables"] = vec![row; 20_001].into();
    sync(&agent, &many).refused(400, "validation_error");
    let mut unknown = description("production", &[]);
    unknown["environment"] = "moon".into();
    sync(&agent, &unknown).refused(422, "database_not_registered");
    assert_eq!(show(&s, "").is(200).json["tables"][0]["estimated_rows"], 7);
    assert_eq!(s.events("event_type=schema.snapshot_updated").len(), 1);
}

#[test]
fn a_description_has_a_limit_of_ten_mebibytes() {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    agent.poll();
    let padded = |bytes: usize| {
        let mut body = description("production", &[table("items", 1)]);
        body["padding"] = "".into();
        let length = body.to_string().len();
        body["padding"] = "p".repeat(bytes - length).into();
        body
    };
    sync(&agent, &padded(10 * 1024 * 1024)).is(200);
    sync(&agent, &padded(10 * 1024 * 1024 + 1)).refused(413, "payload_too_large");
}

#[test]
fn an_agent_describes_what_it_serves_and_nothing_else() {
    let s = Server::shop();
    let body = description("production", &[table("items", 1)]);
    sync(&s.agent("never-polled"), &body).refused(403, "forbidden");
    let elsewhere = s
        .agent("agent-2")
        .serving(json!({"databases": ["shop"], "environments": ["staging"]}));
    elsewhere.poll();
    sync(&elsewhere, &body).refused(403, "forbidden");
    sync(&elsewhere, &description("staging", &[table("items", 1)])).is(200);
    for person in [s.requester(), s.admin()] {
        person
            .post("/api/agent/schema-sync", &body)
            .refused(403, "forbidden");
    }
    s.nobody()
        .post("/api/agent/schema-sync", &body)
        .refused(401, "unauthenticated");
    show(&s, "environment=production").refused(404, "not_found");
}

#[test]
fn the_best_environment_answers_where_none_is_named() {
    let names = r#"environments = ["alpha", "zeta", "development", "staging", "production"]"#;
    let shop = SHOP.replace(
        r#"environments = ["development", "staging", "production"]"#,
        names,
    );
    let shop = format!("{shop}\n[[workflows]]\nenvironment = \"*\"\n");
    let s = Server::with(&shop);
    let agent = s.agent("agent-1").serving(json!({"databases": ["*"]}));
    agent.poll();
    show(&s, "").refused(404, "not_found");
    for environment in ["zeta", "alpha", "development", "staging", "production"] {
        sync(&agent, &description(environment, &[table("items", 1)])).is(200);
        assert_eq!(show(&s, "").is(200).text("environment"), environment);
    }
    assert_eq!(
        show(&s, "environment=zeta").is(200).text("environment"),
        "zeta"
    );
    show(&s, "environment=moon").refused(404, "not_found");
    s.requester()
        .get("/api/schemas/moon")
        .refused(404, "not_found");
}

#[test]
fn nobody_sees_the_tables_of_what_they_may_not_view() {
    let roles = r#"
[[auth.roles]]
name = "stager"
permissions = ["request.view"]
environments = ["staging"]
[[auth.roles]]
name = "maker"
permissions = ["request.create"]
"#;
    let s = Server::with(&format!("{SHOP}{roles}"));
    describe(&s, "production", &[table("items", 1)]);
    let (stager, maker) = (
        s.person("stager", &["stager"]),
        s.person("maker", &["maker"]),
    );
    // What the caller may view has no description, and what has one they may not view.
    for path in [
        "",
        "?environment=production",
        "?environment=production&table=items",
    ] {
        stager
            .get(&format!("/api/schemas/shop{path}"))
            .refused(403, "forbidden");
    }
    describe(&s, "staging", &[table("items", 1)]);
    let best = stager.get("/api/schemas/shop").is(200);
    assert_eq!(best.text("environment"), "staging");
    maker.get("/api/schemas/shop").refused(403, "forbidden");
    s.agent("agent-1")
        .person
        .get("/api/schemas/shop")
        .refused(403, "forbidden");
}

#[test]
fn a_description_outlives_a_restart_and_goes_with_its_registration() {
    let s = Server::shop();
    describe(&s, "production", &[table("items", 1)]);
    let s = s.restart();
    show(&s, "").is(200);
    let s = s.restart_with(&SHOP.replace(", \"production\"]", "]"));
    show(&s, "environment=production").refused(404, "not_found");
    show(&s, "").refused(404, "not_found");
}

#[test]
fn dialect_that_an_agent_reports_counts_where_configuration_has_none() {
    let s = Server::with(&SHOP.replace("dialect = \"postgresql\"\n", ""));
    // MySQL reads back quotes as a name, PostgreSQL not at all.
    let sql = "SELECT `id` FROM items WHERE id = 1";
    let before = s.requester().submit("production", sql);
    assert_eq!(before.answer.json["operation"], "execute_dml");
    let agent = s.agent("agent-1");
    agent.poll();
    let mut body = description("production", &[table("items", 1)]);
    body["dialect"] = "mysql".into();
    sync(&agent, &body).is(200);
    let after = s.requester().submit("production", sql);
    assert_eq!(after.answer.json["operation"], "execute_select");
}
