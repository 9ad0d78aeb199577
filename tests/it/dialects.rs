//! A text runs in the dialect that it was read in, or not at all.

mod constructs;

pub(crate) use constructs::CONSTRUCTS;

use crate::support::{Agent, Answer, Request, SHOP, Server};
use constructs::{HASH, NESTED};
use serde_json::{Value, json};

const DIALECTS: [&str; 3] = ["postgresql", "mysql", "sqlite"];
/// The same in all dialects.
const PLAIN: &str = "UPDATE items SET price = 2 WHERE id = 1";
fn unconfigured() -> String {
    SHOP.replace("dialect = \"postgresql\"\n", "")
}

fn speaking(dialect: &str) -> String {
    SHOP.replace("\"postgresql\"", &format!("\"{dialect}\""))
}

/// A description of the shop's tables, as an agent sends it.
fn report(agent: &Agent, environment: &str, dialect: &str, status: &str) -> Answer {
    agent.poll();
    let mut body = json!({"database": "shop", "environment": environment, "dialect": dialect, "status": status});
    if status != "failed" {
        body["snapshot"] = json!({"tables": [{"name": "items", "estimated_rows": 3}]});
    }
    agent.person.post("/api/agent/schema-sync", &body).is(200)
}

/// An agent that has reported its database in production and development.
fn agent(s: &Server, dialect: &str) -> Agent {
    let agent = s.agent(&format!("agent-{dialect}"));
    for environment in ["development", "production"] {
        report(&agent, environment, dialect, "ready");
    }
    agent
}

fn metadata(event: &Value) -> Value {
    serde_json::from_str(event["metadata_json"].as_str().unwrap()).unwrap()
}

fn detail(request: &Request) -> Value {
    request.by.show(request).is(200).json
}

fn offered(agent: &Agent, request: &Request) -> bool {
    let jobs = agent.poll_with(json!({"limit": 20})).is(200);
    jobs.list("jobs")
        .iter()
        .any(|j| j["id"] == request.id.as_str())
}

#[test]
fn text_of_an_unknown_dialect_is_never_approved_by_itself() {
    for text in [NESTED, HASH] {
        let s = Server::with(&format!(
            "{}\n[[auto_approve]]\nenvironment = \"production\"\nrisk = \"high\"\n",
            unconfigured()
        ));
        s.requester()
            .create("development", text)
            .refused(422, "sql_unparsable")
            .saying("configure `dialect`");
        let request = s.requester().submit("production", text).is_pending();
        assert_eq!(detail(&request)["dialect"], "unknown");
        let event = metadata(&s.events("event_type=request.created")[0]);
        assert_eq!(event["dialect"], "unknown");
        // A human may decide; an agent still gets nothing, whatever its dialect.
        let request = request.approved_by(&s.approver()).resumed();
        let silent = s.agent("agent-silent");
        assert!(!offered(&silent, &request));
        silent
            .try_claim(&request.id)
            .refused(409, "dialect_mismatch");
        for dialect in DIALECTS {
            let agent = s.agent(&format!("agent-{dialect}"));
            report(&agent, "production", dialect, "ready");
            assert!(!offered(&agent, &request));
            agent
                .try_claim(&request.id)
                .refused(409, "dialect_mismatch");
        }
        assert_eq!(detail(&request)["status"], "dispatched");
        assert_eq!(detail(&request)["queue_hint"], "dialect_mismatch");
        s.requester().cancel(&request).is(200);
    }
}

#[test]
fn text_that_is_same_in_all_dialects_runs_in_each() {
    for dialect in DIALECTS {
        let s = Server::with(&format!(
            "{}\n[[auto_approve]]\nenvironment = \"production\"\nrisk = \"high\"\n",
            unconfigured()
        ));
        let request = s.requester().submit("development", PLAIN).is_dispatched();
        let shown = detail(&request);
        assert_eq!(
            (&shown["dialect"], &shown["risk_level"]),
            (&json!("any"), &json!("unknown"))
        );
        // Risk is at best unknown, of a read too.
        s.requester().submit("production", "SELECT 1").is_pending();
        let silent = s.agent("agent-silent");
        assert!(offered(&silent, &request));
        let speaking = agent(&s, dialect);
        assert!(offered(&speaking, &request));
        let claim = speaking.claim(&request.id);
        let token: Value = serde_json::from_str(&claim.answer.text("execution_token")).unwrap();
        assert_eq!(token["dialect"], "any");
        speaking.succeed(&claim.execution, "{}").is(200);
    }
}

#[test]
fn agent_of_another_dialect_than_configured_gets_nothing() {
    let s = Server::shop();
    let request = s.requester().submit("development", NESTED).is_dispatched();
    assert_eq!(detail(&request)["dialect"], "postgresql");
    let sqlite = s.agent("agent-sqlite");
    report(&sqlite, "development", "sqlite", "ready");
    assert!(!offered(&sqlite, &request));
    sqlite
        .try_claim(&request.id)
        .refused(409, "dialect_mismatch");
    let shown = detail(&request);
    assert_eq!(
        (&shown["status"], &shown["queue_hint"]),
        (&json!("dispatched"), &json!("dialect_mismatch"))
    );
    // Reported in the audit, and its tables are nobody's.
    let event = &s.events("event_type=schema.dialect_differs")[0];
    assert_eq!(
        (
            &event["outcome"],
            &metadata(event)["dialect"],
            &metadata(event)["known_dialect"]
        ),
        (&json!("failure"), &json!("sqlite"), &json!("postgresql"))
    );
    s.requester()
        .get("/api/schemas/shop?environment=development")
        .refused(404, "not_found");
    // Others go on: one that reported nothing, where the dialect is configured.
    let silent = s.agent("agent-silent");
    assert!(offered(&silent, &request));
    let plain = s.requester().submit("development", PLAIN).is_dispatched();
    sqlite.try_claim(&plain.id).refused(409, "dialect_mismatch");
    let claim = silent.claim(&request.id);
    let token: Value = serde_json::from_str(&claim.answer.text("execution_token")).unwrap();
    assert_eq!(token["dialect"], "postgresql");
    silent.succeed(&claim.execution, "{}").is(200);
    // The next start says it again.
    let s = s.restart();
    let synced = metadata(&s.events("event_type=config.synced")[0]);
    assert_eq!(
        synced["dialect_contradictions"],
        json!([{"database": "shop", "environment": "development", "agent_id": "agent-sqlite",
                "reported": "sqlite", "configured": "postgresql"}])
    );
}

#[test]
fn lists_say_the_dialect_of_each_text() {
    for dialect in ["postgresql", "mysql", "sqlite"] {
        let s = Server::with(&speaking(dialect));
        let request = s.requester().submit("production", PLAIN).is_pending();
        for list in ["/api/requests", "/api/requests?pending_for_me=true"] {
            let answer = s.approver().get(list).is(200);
            let item = &answer.list("requests")[0];
            assert_eq!(item["dialect"], detail(&request)["dialect"], "{list}");
            assert_eq!(item["dialect"], dialect, "{list}");
        }
    }
}

#[test]
fn sync_that_failed_or_is_partial_changes_no_dialect() {
    let s = Server::with(&unconfigured());
    agent(&s, "postgresql");
    let other = s.agent("agent-other");
    let reads = |s: &Server, dialect: &str| {
        let request = s.requester().submit("production", NESTED).is_pending();
        assert_eq!(detail(&request)["dialect"], dialect);
    };
    for status in ["failed", "partial"] {
        report(&other, "production", "sqlite", status);
        reads(&s, "postgresql");
        let shown = s
            .requester()
            .get("/api/schemas/shop?environment=production")
            .is(200);
        assert_eq!(shown.json["dialect"], "postgresql");
    }
    // As an agent that reported no dialect, the other one gets only what is the same in all.
    let request = s
        .requester()
        .submit("production", PLAIN)
        .approved_by(&s.approver())
        .resumed();
    assert!(!offered(&other, &request));
    other
        .try_claim(&request.id)
        .refused(409, "dialect_mismatch");
}

#[test]
fn agent_of_another_dialect_gets_nothing_after_a_failed_sync() {
    let s = Server::shop();
    let request = s.requester().submit("development", NESTED).is_dispatched();
    let agent = s.agent("agent-1");
    // Nothing reported, and the dialect is configured.
    assert!(offered(&agent, &request));
    for status in ["failed", "partial"] {
        report(&agent, "development", "sqlite", status);
        assert!(!offered(&agent, &request), "{status}");
        agent
            .try_claim(&request.id)
            .refused(409, "dialect_mismatch");
    }
    // A whole report that it was PostgreSQL does not help once it states another.
    report(&agent, "development", "postgresql", "ready");
    assert!(offered(&agent, &request));
    report(&agent, "development", "sqlite", "failed");
    assert!(!offered(&agent, &request));
    agent
        .try_claim(&request.id)
        .refused(409, "dialect_mismatch");
    report(&agent, "development", "postgresql", "failed");
    agent.claim(&request.id);
}

#[test]
fn report_of_an_agent_without_a_live_token_decides_nothing() {
    let s = Server::with(&unconfigured());
    agent(&s, "postgresql");
    agent(&s, "mysql");
    let reads = |s: &Server| {
        let request = s.requester().submit("production", HASH).is_pending();
        detail(&request)["dialect"].clone()
    };
    assert_eq!(reads(&s), "mysql");
    let tokens = s.admin().get("/api/tokens").is(200).list("tokens");
    let revoke = |subject: &str| {
        for token in tokens.iter().filter(|t| t["subject_id"] == subject) {
            let id = token["id"].as_str().unwrap();
            s.admin().delete(&format!("/api/tokens/{id}")).is(200);
        }
    };
    revoke("agent-mysql");
    assert_eq!(reads(&s), "postgresql");
    revoke("agent-postgresql");
    assert_eq!(reads(&s), "unknown");
}

#[test]
fn request_whose_dialect_has_changed_goes_nowhere() {
    let s = Server::with(&unconfigured());
    let postgres = agent(&s, "postgresql");
    let person = s.requester();
    let waiting = person.submit("production", PLAIN).is_pending();
    let approved = person
        .submit("production", PLAIN)
        .approved_by(&s.approver());
    let dispatched = person.submit("development", PLAIN).is_dispatched();
    let inbox = |s: &Server| {
        let answer = s.approver().get("/api/requests?pending_for_me=true");
        answer.is(200).list("requests").len()
    };
    assert_eq!(inbox(&s), 1);
    agent(&s, "sqlite");
    // It waits for nobody who could decide on it.
    assert_eq!(inbox(&s), 0);
    s.approver()
        .approve(&waiting)
        .refused(409, "dialect_changed")
        .saying("was read as postgresql");
    person.resume(&approved).refused(409, "dialect_changed");
    postgres
        .try_claim(&dispatched.id)
        .refused(409, "dialect_changed");
    for (request, status) in [
        (&waiting, "pending"),
        (&approved, "approved"),
        (&dispatched, "dispatched"),
    ] {
        assert_eq!(request.status(), status);
    }
    // The same where the configuration changes it.
    let s = s.restart_with(&speaking("mysql"));
    s.approver()
        .approve(&waiting)
        .refused(409, "dialect_changed");
    // And as it was again, it goes on.
    let s = s.restart_with(&speaking("postgresql"));
    assert_eq!(inbox(&s), 1);
    s.approver().approve(&waiting).is(200);
    s.requester().resume(&approved).is(200);
    s.agent("agent-postgresql").claim(&dispatched.id);
}

#[test]
fn statement_of_another_dialect_is_not_explained() {
    let s = Server::shop();
    let sqlite = agent(&s, "sqlite");
    s.requester().submit("production", NESTED).is_pending();
    let jobs = |agent: &Agent| agent.poll().list("dry_run_jobs");
    assert!(jobs(&sqlite).is_empty());
    let silent = s.agent("agent-silent");
    let job = &jobs(&silent)[0];
    assert_eq!(job["dialect"], "postgresql");
    let path = |verb: &str| format!("/api/agent/dry-run/{}/{verb}", job["id"].as_str().unwrap());
    sqlite
        .person
        .poke(&path("claim"))
        .refused(409, "dialect_mismatch");
    silent.person.poke(&path("claim")).is(200);
}

/// Nine pairs of the dialect that read a text and the one that would run it, and a database of which nothing is known:
/// the text runs where both are the same, or where it is the same in all.
#[test]
fn every_construct_runs_as_read_or_not_at_all() {
    for read_in in ["postgresql", "mysql", "sqlite", "unconfigured"] {
        let toml = match read_in {
            "unconfigured" => unconfigured(),
            dialect => speaking(dialect),
        };
        let s = Server::with(&format!("pending_requests_per_person = 1000\n{toml}"));
        let (person, approver) = (s.requester(), s.approver());
        let texts = CONSTRUCTS.iter().chain(&[("plain", PLAIN)]);
        let mut made = Vec::new();
        for (construct, text) in texts {
            let answer = person.create("production", text);
            if answer.status != 201 {
                // Refused for what it is, whatever would run it.
                assert_eq!(
                    answer.status,
                    422,
                    "{read_in}: {construct}: {}",
                    answer.raw()
                );
                continue;
            }
            let request = Request {
                by: person.clone(),
                id: answer.text("id"),
                answer,
            };
            let fact = detail(&request)["dialect"].as_str().unwrap().to_owned();
            match read_in {
                "unconfigured" if *construct == "plain" => assert_eq!(fact, "any"),
                "unconfigured" => assert!(["any", "unknown"].contains(&&*fact), "{construct}"),
                dialect => assert_eq!(fact, dialect),
            }
            made.push((
                *construct,
                *text,
                fact,
                request.approved_by(&approver).resumed(),
            ));
        }
        assert!(made.len() >= 5, "{read_in}: only {} texts pass", made.len());
        // The one that may run them comes last.
        let mut agents = DIALECTS;
        agents.sort_by_key(|dialect| *dialect == read_in);
        for runs_in in agents {
            let agent = agent(&s, runs_in);
            for (construct, text, fact, request) in &made {
                let case = format!("{construct}, read in {read_in}, by an agent of {runs_in}");
                let runs = fact == runs_in || (fact == "any" && runs_in == "sqlite");
                if fact == "any" && !runs {
                    continue;
                }
                assert_eq!(offered(&agent, request), runs, "{case}");
                let claim = agent.try_claim(&request.id);
                if !runs {
                    claim.refused(409, "dialect_mismatch");
                    assert_eq!(request.status(), "dispatched", "{case}");
                    continue;
                }
                claim.is(200);
                assert_eq!(claim.text("detail"), *text, "{case}");
                agent.succeed(&claim.text("execution_id"), "{}").is(200);
            }
        }
        let page = String::from_utf8(s.admin().get("/metrics").is(200).body).unwrap();
        assert!(page.contains("dbward_refusals_total{code=\"dialect_mismatch\"}"));
    }
}
