//! Auto-approval by risk: what is let through up to which threshold, and what never is.

use super::schemas::{child, describe, table};
use crate::support::{Person, SHOP, Server};
use serde_json::{Value, json};

/// A statement of each risk that the tables of [`server`] give it, with what makes it.
const RISKS: &[(&str, &str, &[&str])] = &[
    ("SELECT * FROM events", "low", &["ReadOnly"]),
    ("CREATE TABLE fresh (id int)", "low", &["SafeDdl"]),
    (
        "CREATE INDEX CONCURRENTLY i ON items (id)",
        "low",
        &["SafeDdl"],
    ),
    ("UPDATE items SET note = 'a' WHERE id = 1", "low", &[]),
    ("INSERT INTO items VALUES (1)", "low", &[]),
    ("DELETE FROM items WHERE id = 1", "low", &[]),
    (
        "UPDATE events SET note = 'a' WHERE id = 1",
        "medium",
        &["LargeTable { rows: 1001 }"],
    ),
    ("ALTER TABLE items DROP COLUMN note", "medium", &[]),
    (
        "DELETE FROM parents WHERE id = 1",
        "medium",
        &["CascadeDelete { targets: [\"children\", \"grandchildren\"] }"],
    ),
    (
        "DELETE FROM owners WHERE id = 1",
        "high",
        &["CascadeDelete { targets: [\"owned\"] }"],
    ),
    (
        "UPDATE items SET note = 'a' WHERE id = 1; UPDATE items SET note = 'b' WHERE id = 2",
        "high",
        &["MultiStatement"],
    ),
    (
        "ALTER TABLE items DROP COLUMN a, DROP COLUMN b, ADD COLUMN c int NOT NULL, ALTER COLUMN d TYPE text; \
         INSERT INTO items VALUES (1)",
        "high",
        &["MultiStatement", "ManyWarnings { count: 4 }"],
    ),
    (
        "UPDATE nowhere SET note = 'a' WHERE id = 1",
        "unknown",
        &["UnknownTable { table: \"nowhere\" }"],
    ),
    (
        "UPDATE foggy SET note = 'a' WHERE id = 1",
        "unknown",
        &["UnknownRows { table: \"foggy\" }"],
    ),
    (
        "UPDATE twice SET note = 'a' WHERE id = 1",
        "unknown",
        &["UnknownTable { table: \"twice\" }"],
    ),
    (
        "DELETE FROM ghosts WHERE id = 1",
        "unknown",
        &["UnknownRows { table: \"ghosts\" }"],
    ),
    ("SELEC nonsense", "unavailable", &[]),
];

fn tables() -> Vec<Value> {
    let mut other = table("twice", 1);
    other["schema_name"] = "archive".into();
    vec![
        table("items", 1_000),
        table("events", 1_001),
        table("parents", 10),
        child("children", 10, "parents"),
        child("grandchildren", 10, "children"),
        table("owners", 1),
        child("owned", 5_000, "public.owners"),
        table("foggy", -1),
        table("twice", 1),
        other,
        table("ghosts", 1),
        child("haunted", -1, "ghosts"),
    ]
}

/// One with this auto-approval for production, and the tables described.
fn server(entry: &str) -> Server {
    let s = Server::with(&format!(
        "{SHOP}\n[[auto_approve]]\nenvironment = \"production\"\n{entry}\n"
    ));
    describe(&s, "production", &tables());
    s
}

/// How a statement opens: status, risk, factors and the reason.
fn opens(person: &Person, environment: &str, sql: &str) -> (String, String, Value, String) {
    let request = person.submit(environment, sql);
    let shown = person.show(&request).is(200).json;
    let trace = &shown["decision_trace"];
    assert_eq!(trace["risk"]["level"], shown["risk_level"], "{sql}");
    (
        shown["status"].as_str().unwrap().to_owned(),
        shown["risk_level"].as_str().unwrap().to_owned(),
        trace["risk"]["factors"].clone(),
        trace["decision"]["reasons"][0].as_str().unwrap().to_owned(),
    )
}

#[test]
fn a_threshold_lets_through_what_is_not_above_it() {
    let levels = ["low", "medium", "high"];
    for (threshold, passing) in [("none", 0), ("low", 1), ("medium", 2), ("high", 3)] {
        let s = server(&format!("risk = \"{threshold}\""));
        for (sql, level, factors) in RISKS {
            let (status, risk, shown, reason) = opens(&s.requester(), "production", sql);
            assert_eq!((risk.as_str(), &shown), (*level, &json!(factors)), "{sql}");
            let passes = levels[..passing].contains(level);
            let want = match (passes, threshold, *level) {
                (true, ..) => ("dispatched", "risk_below_threshold"),
                (_, "none", _) => ("pending", "auto_approve_disabled"),
                (_, _, "unknown" | "unavailable") => ("pending", "risk_unavailable"),
                _ => ("pending", "risk_above_threshold"),
            };
            assert_eq!(
                (status.as_str(), reason.as_str()),
                want,
                "{threshold}: {sql}"
            );
        }
    }
}

#[test]
fn without_a_rule_everything_is_asked_for() {
    let s = Server::shop();
    describe(&s, "production", &tables());
    for (sql, level, _) in RISKS {
        let (status, risk, _, reason) = opens(&s.requester(), "production", sql);
        assert_eq!(
            (status.as_str(), risk.as_str(), reason.as_str()),
            ("pending", *level, "no_auto_approve_rule"),
            "{sql}"
        );
    }
}

#[test]
fn without_description_of_tables_only_reads_and_new_things_pass() {
    let s = Server::with(&format!(
        "{SHOP}\n[[auto_approve]]\nenvironment = \"production\"\nrisk = \"high\"\n"
    ));
    let check = |sql: &str, want: (&str, &str)| {
        let (status, risk, ..) = opens(&s.requester(), "production", sql);
        assert_eq!((status.as_str(), risk.as_str()), want, "{sql}");
    };
    let write = "UPDATE items SET note = 'a' WHERE id = 1";
    check("SELECT * FROM items", ("dispatched", "low"));
    check("CREATE TABLE fresh (id int)", ("dispatched", "low"));
    check(write, ("pending", "unknown"));
    // Neither a failed description, nor one of another environment, is a description.
    describe(&s, "staging", &tables());
    let agent = s.agent("agent-1");
    let failed = json!({
        "database": "shop", "environment": "production", "dialect": "postgresql", "status": "failed",
        "error_message": "no rights",
    });
    agent.person.post("/api/agent/schema-sync", &failed).is(200);
    check(write, ("pending", "unknown"));
    describe(&s, "production", &tables());
    check(write, ("dispatched", "low"));
    // A failure afterwards keeps the last good one.
    agent.person.post("/api/agent/schema-sync", &failed).is(200);
    check(write, ("dispatched", "low"));
}

#[test]
fn migrations_are_never_let_through_by_risk() {
    let s = server("risk = \"high\"");
    for operation in ["migrate_up", "migrate_down", "migrate_status"] {
        let direction = operation.trim_start_matches("migrate_");
        let detail = json!({
            "format": "v2", "direction": direction, "versions": ["1"], "dir_sha256": "00",
            "migrations": [{"version": "1", "sql": "SELECT 1", "transactional": true}],
        });
        let more = json!({"operation": operation});
        let request = s
            .requester()
            .submit_with("production", &detail.to_string(), more);
        let trace = request.by.show(&request).is(200).json["decision_trace"].clone();
        assert_eq!(request.is_pending().answer.json["operation"], operation);
        assert_eq!(trace["decision"]["outcome"], "needs_approval");
    }
}

#[test]
fn a_text_that_calls_itself_a_read_is_not_believed() {
    let s = server("risk = \"low\"");
    for sql in [
        "UPDATE events SET note = 'a' WHERE id = 1",
        "SELECT * FROM nowhere FOR UPDATE",
        "SELECT dblink_exec('a', 'b') FROM events",
        "EXPLAIN ANALYZE DELETE FROM owners WHERE id = 1",
    ] {
        let more = json!({"operation": "execute_select"});
        let request = s.requester().submit_with("production", sql, more);
        assert_eq!(request.answer.json["operation"], "execute_dml", "{sql}");
        request.is_pending();
    }
}

#[test]
fn what_nobody_can_foresee_is_never_let_through() {
    let s = server("risk = \"high\"");
    for sql in [
        "SELECT dblink_exec('a', 'DROP TABLE b')",
        "SELECT dblink_exec('a', 'DROP TABLE b') FROM items",
        "SELECT pg_terminate_backend(1)",
        "CALL anything(1)",
        "EXECUTE anything",
        "CREATE EXTENSION dblink",
        "CREATE TRIGGER t BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION f()",
        "VACUUM",
        "COPY items FROM '/etc/passwd'",
        "ALTER TABLE items ADD COLUMN a text DEFAULT dblink_exec('a', 'b')",
    ] {
        let (status, risk, ..) = opens(&s.requester(), "production", sql);
        assert_eq!(
            (status.as_str(), risk.as_str()),
            ("pending", "unknown"),
            "{sql}"
        );
    }
}

#[test]
fn a_delete_is_as_risky_inside_another_statement() {
    let s = server("risk = \"medium\"");
    let gone = "WITH gone AS (DELETE FROM owners WHERE id = 1 RETURNING *)";
    for rest in [
        "SELECT * FROM gone",
        "INSERT INTO items SELECT * FROM gone",
        "UPDATE items SET note = 'a' WHERE id IN (SELECT id FROM gone)",
    ] {
        let sql = format!("{gone} {rest}");
        let (status, ..) = opens(&s.requester(), "production", &sql);
        assert_eq!(status, "pending", "{sql}");
    }
}

#[test]
fn reads_and_new_objects_need_their_allowance() {
    let s = server("risk = \"low\"\nallow_read_only = false\nallow_safe_ddl = false");
    for (sql, status, risk) in [
        ("SELECT * FROM items", "dispatched", "low"),
        ("SELECT * FROM events", "pending", "medium"),
        ("SELECT * FROM nowhere", "pending", "unknown"),
        ("CREATE TABLE fresh (id int)", "dispatched", "low"),
        (
            "CREATE INDEX CONCURRENTLY i ON events (id)",
            "pending",
            "medium",
        ),
        ("ALTER TABLE nowhere ADD COLUMN a int", "pending", "unknown"),
    ] {
        let (done, level, factors, _) = opens(&s.requester(), "production", sql);
        assert_eq!((done.as_str(), level.as_str()), (status, risk), "{sql}");
        assert!(
            !factors.to_string().contains("ReadOnly"),
            "{sql}: {factors}"
        );
        assert!(!factors.to_string().contains("SafeDdl"), "{sql}: {factors}");
    }
    let s = Server::with(&format!(
        "{SHOP}\n[[auto_approve]]\nrisk = \"high\"\nallow_read_only = false\n"
    ));
    let (status, risk, factors, _) = opens(&s.requester(), "production", "SELECT 1");
    assert_eq!((status.as_str(), risk.as_str()), ("pending", "unknown"));
    assert_eq!(factors, json!(["SchemaNotSynced"]));
}

#[test]
fn how_many_rows_are_many_is_configuration() {
    for (max, level) in [(1_001, "low"), (1_000, "medium"), (0, "medium")] {
        let s = server(&format!("risk = \"low\"\nmax_estimated_rows = {max}"));
        let sql = "UPDATE events SET note = 'a' WHERE id = 1";
        assert_eq!(opens(&s.requester(), "production", sql).1, level, "{max}");
    }
}

#[test]
fn the_most_specific_scope_decides_alone() {
    let entry = |scope: &str, risk: &str| format!("[[auto_approve]]\n{scope}\nrisk = \"{risk}\"\n");
    let toml = [
        SHOP.to_owned(),
        entry("", "high"),
        entry("database = \"shop\"", "medium"),
        entry("environment = \"staging\"", "low"),
        entry("database = \"shop\"\nenvironment = \"production\"", "none"),
    ];
    let s = Server::with(&toml.join("\n"));
    for environment in ["staging", "production"] {
        describe(&s, environment, &tables());
    }
    let opened = |environment: &str, sql: &str| opens(&s.requester(), environment, sql);
    // The environment overrides the database; both together override either.
    let (low, medium) = (RISKS[3].0, RISKS[6].0);
    assert_eq!(opened("staging", low).0, "dispatched");
    assert_eq!(opened("staging", medium).0, "pending");
    for sql in [low, medium] {
        let (status, _, _, reason) = opened("production", sql);
        assert_eq!(
            (status.as_str(), reason.as_str()),
            ("pending", "auto_approve_disabled")
        );
    }
    let trace = |environment: &str| {
        let path = format!("/api/policy-resolution?database=shop&environment={environment}");
        s.requester().get(&path).is(200).json["auto_approve"]["matched_by"].clone()
    };
    assert_ne!(trace("staging"), trace("production"));
}

#[test]
fn what_no_workflow_takes_is_refused_however_harmless() {
    let toml = SHOP.replace(
        "environment = \"production\"\n",
        "environment = \"production\"\noperations = [\"execute_dml\"]\n",
    );
    let s = Server::with(&format!("{toml}\n[[auto_approve]]\nrisk = \"high\"\n"));
    s.requester()
        .create("production", "SELECT 1")
        .refused(422, "no_matching_workflow");
}

/// The words of each say what it is, but no tree does; the same in a form that the parser knows runs.
#[test]
fn write_that_only_its_words_tell_runs_nowhere_without_person() {
    let s = server("risk = \"high\"");
    for sql in [
        "SELEC nonsense",
        "UPDATE items SET a[1].b[2] = 0 WHERE id = 1",
        "ALTER TABLE items ALTER a SET STATISTICS 5",
        "REINDEX TABLE CONCURRENTLY items",
        "VACUUM (ANALYZE) items",
        "INSERT INTO items VALUES (1) ON CONFLICT (lower(x)) DO NOTHING",
        "SELECT 1; ALTER SEQUENCE s RESTART WITH 1",
    ] {
        // Development has a workflow without steps, production one with.
        let answer = s.requester().create("development", sql);
        answer.refused(422, "sql_unparsable");
        let (status, risk, ..) = opens(&s.requester(), "production", sql);
        assert_eq!(status, "pending", "{sql}");
        assert!(["unknown", "unavailable"].contains(&risk.as_str()), "{sql}");
    }
    for sql in [
        "UPDATE items SET a = 0 WHERE id = 1",
        "INSERT INTO items VALUES (1) ON CONFLICT (id) DO NOTHING",
        // A read that only words tell is run as a read, in a transaction that cannot write.
        "SELECT * FROM items TABLESAMPLE system (1) REPEATABLE (1), ROWS FROM (generate_series(1, 2)) z",
    ] {
        let answer = s.requester().create("development", sql).is(201);
        assert_eq!(answer.json["status"], "dispatched", "{sql}");
    }
}
