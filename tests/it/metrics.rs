//! The page of metrics: who may read it, and that it counts what happened.

use crate::support::{SHOP, Server};
use dbward::metrics::Metrics;
use std::io::Write;
use std::process::{Command, Stdio};

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
        ("dbward_workers_busy", 1.0),
        ("dbward_requests_oldest_pending_seconds", 0.0),
        ("dbward_outbox_oldest_seconds", 0.0),
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
    let build = format!(
        "dbward_build_info{{version=\"{}\"}}",
        dbward::server::VERSION
    );
    assert!(value(&page, &build) > 0.5);
    s.turn_only(61);
    let page = self::page(&s);
    assert!(value(&page, "dbward_agents_active") < 0.5);
    assert!(value(&page, "dbward_requests_oldest_pending_seconds") >= 61.0);
}

#[test]
fn store_is_measured_and_its_chain_shown() {
    let s = Server::shop();
    let before = page(&s);
    s.requester().submit("production", "SELECT 1");
    let after = page(&s);
    let grown = |line: &str| value(&after, line) - value(&before, line);
    let events = value(&after, "dbward_audit_chain_length");
    assert!(events >= s.events("").len() as f64);
    assert!(grown("dbward_audit_chain_length") > 0.5);
    let batches = grown("dbward_store_batches_total");
    assert!(batches > 0.5);
    for family in [
        "dbward_store_commit_duration_seconds",
        "dbward_store_batch_writers",
    ] {
        let counted = grown(&format!("{family}_count"));
        assert!(
            (counted - batches).abs() < 0.1,
            "{family}: {counted}, not {batches}"
        );
    }
    assert!(grown("dbward_store_lock_wait_seconds_count") >= batches);
    for line in [
        "dbward_store_database_bytes",
        "dbward_store_wal_bytes",
        "dbward_disk_free_bytes",
    ] {
        assert!(value(&after, line) > 4_000.0, "{line}");
    }
    for line in [
        "process_resident_memory_bytes",
        "process_threads",
        "process_open_fds",
        "process_max_fds",
        "process_start_time_seconds",
        "dbward_workers",
        "dbward_gate_connections_max",
    ] {
        assert!(value(&after, line) > 0.5, "{line}");
    }
    // An hour after the last checkpoint, the next one is due.
    assert!(value(&after, "dbward_audit_last_checkpoint_seconds") < 0.5);
    s.turn_only(3_700);
    s.requester().submit("production", "SELECT 2");
    let signed = value(&page(&s), "dbward_audit_last_checkpoint_seconds");
    let now = s.clock.now().0 as f64 / 1000.0;
    assert!((now - signed).abs() < 60.0, "{signed} at {now}");
}

#[test]
fn notification_that_waits_gets_older() {
    let s = Server::with(&format!(
        "{SHOP}\n[[webhooks]]\nid = \"ops\"\nurl = \"http://127.0.0.1:9/hook\"\n"
    ));
    s.requester().submit("production", "SELECT 1");
    s.turn_only(40);
    let waited = value(&page(&s), "dbward_outbox_oldest_seconds");
    assert!((40.0..60.0).contains(&waited), "{waited}");
}

/// Needs the package `prometheus_client`, whose folder `DBWARD_TEST_PROMETHEUS_CLIENT` names.
#[test]
#[ignore = "needs a package of Python"]
fn official_parser_reads_every_family() {
    let s = Server::shop();
    let one = s
        .requester()
        .submit("production", "SELECT \"a\nb\" FROM \"c\\d\"");
    let one = one.approved_by(&s.approver()).resumed();
    s.agent("agent-1").run(&one.id);
    let page = page(&s);
    let folder = std::env::var("DBWARD_TEST_PROMETHEUS_CLIENT").unwrap();
    let program = "import sys\nfrom prometheus_client.parser import text_string_to_metric_families as parse\n\
                   for f in parse(sys.stdin.read()): print(f.name, f.type, bool(f.documentation), len(f.samples))";
    let mut python = Command::new("python3")
        .args(["-c", program])
        .env("PYTHONPATH", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let read = String::from_utf8(output.stdout).unwrap();
    let mut samples = 0;
    let families: Vec<String> = read
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            samples += words[3].parse::<usize>().unwrap();
            assert_eq!(words[2], "True", "{line}");
            match words[1] {
                "counter" => format!("{}_total", words[0]),
                _ => words[0].to_owned(),
            }
        })
        .collect();
    let ours: Vec<&str> = Metrics::FAMILIES.iter().map(|(name, _)| *name).collect();
    assert_eq!(families, ours);
    let lines = page.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(samples, lines);
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
