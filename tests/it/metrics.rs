//! The page of metrics: who may read it, and that it counts what happened.

use crate::support::{SHOP, Server};

fn page(s: &Server) -> String {
    let answer = s.admin().get("/metrics").is(200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    String::from_utf8(answer.body).unwrap()
}

/// The value of the line that begins so.
fn value(page: &str, line: &str) -> f64 {
    let found = page
        .lines()
        .find_map(|l| l.strip_prefix(line)?.strip_prefix(' '));
    found
        .unwrap_or_else(|| panic!("no {line} in\n{page}"))
        .parse()
        .unwrap()
}

#[test]
fn metrics_need_the_right_to_view_them() {
    let s = Server::with(&format!(
        "{SHOP}\n[[auth.roles]]\nname = \"scraper\"\npermissions = [\"metrics.view\"]\n"
    ));
    s.nobody().get("/metrics").refused(401, "unauthenticated");
    s.requester().get("/metrics").refused(403, "forbidden");
    s.agent("agent-1")
        .person
        .get("/metrics")
        .refused(403, "forbidden");
    s.person("scraper", &["scraper"]).get("/metrics").is(200);
    s.person("scraper", &["scraper"]).get("/api/agents").is(200);
    s.person("scraper", &["scraper"])
        .get("/api/audit/events")
        .refused(403, "forbidden");
}

#[test]
fn metrics_count_what_happened() {
    let s = Server::shop();
    let one = s
        .requester()
        .submit("production", "UPDATE items SET a = 1 WHERE id = 1");
    s.requester().submit("production", "SELECT 1");
    let three = s.requester().submit("production", "SELECT 1");
    s.approver().reject(&three).is(200);
    let one = one.approved_by(&s.approver()).resumed();
    s.agent("agent-1").run(&one.id);
    s.nobody().get("/api/me").is(401);
    s.requester()
        .create("production", "DELETE FROM items")
        .is(422);
    let page = page(&s);
    for (line, want) in [
        (
            "dbward_requests_total{status=\"pending\",environment=\"production\",database=\"shop\"}",
            3.0,
        ),
        (
            "dbward_requests_total{status=\"executed\",environment=\"production\",database=\"shop\"}",
            1.0,
        ),
        ("dbward_requests_current{status=\"pending\"}", 1.0),
        ("dbward_requests_current{status=\"running\"}", 0.0),
        ("dbward_approvals_total{action=\"approve\"}", 1.0),
        ("dbward_approvals_total{action=\"reject\"}", 1.0),
        ("dbward_agent_executions_total{status=\"completed\"}", 1.0),
        ("dbward_agents_active", 1.0),
        ("dbward_break_glass_total", 0.0),
        ("dbward_auth_failures_total{reason=\"missing\"}", 1.0),
        ("dbward_refusals_total{code=\"sql_blocked_by_review\"}", 1.0),
        ("dbward_result_storage_total{status=\"stored\"}", 1.0),
        ("dbward_background_panics_total", 0.0),
        ("dbward_call_panics_total", 0.0),
        ("dbward_config_generation", 1.0),
        ("dbward_approval_wait_seconds_count", 1.0),
        (
            "dbward_execution_duration_seconds_count{database=\"shop\",environment=\"production\"}",
            1.0,
        ),
        (
            "dbward_http_requests_total{method=\"POST\",path=\"/api/requests\",status=\"201\"}",
            3.0,
        ),
        (
            "dbward_http_requests_total{method=\"POST\",path=\"/api/requests/{id}/approve\",status=\"200\"}",
            1.0,
        ),
    ] {
        assert!(
            (value(&page, line) - want).abs() < 0.1,
            "{line}: {}",
            value(&page, line)
        );
    }
    s.turn_only(61);
    assert!(value(&self::page(&s), "dbward_agents_active") < 0.5);
}

#[test]
fn labels_cannot_be_grown_from_outside() {
    let s = Server::shop();
    for n in 0..50 {
        s.nobody().get(&format!("/api/nothing-{n}")).is(404);
        s.nobody()
            .call(&format!("M{n}"), "/api/me", &[], b"")
            .is(405);
    }
    let page = page(&s);
    assert!(!page.contains("nothing-") && !page.contains("M49"));
    let line = "dbward_http_requests_total{method=\"GET\",path=\"<unmatched>\",status=\"404\"}";
    assert!(value(&page, line) > 49.0);
}
