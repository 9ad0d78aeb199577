//! Calls without end: callers who fail to authenticate or call too often have to wait, and nobody else suffers.

use crate::support::{Person, SHOP, Server};
use serde_json::{Value, json};

/// Failed authentications that one address has in a minute before it has to wait.
const FAILURES: usize = 600;

const PROXIED: &str = "trusted_proxies = [\"127.0.0.0/8\"]\n";

fn metadata(event: &Value) -> Value {
    serde_json::from_str(event["metadata_json"].as_str().unwrap()).unwrap()
}

#[test]
fn address_with_many_failures_waits_and_valid_tokens_pass() {
    let s = Server::shop();
    let bad = s.bearer("nobody", "dbw_00000000000000000000000000000000");
    for _ in 0..FAILURES {
        bad.get("/api/me").refused(401, "unauthenticated");
    }
    let turned_away = bad.get("/api/me").refused(429, "rate_limited");
    assert_eq!(turned_away.header("retry-after"), Some("60"));
    turned_away.saying("a valid token is accepted at any time");
    for path in ["/api/requests", "/metrics", "/api/public-key"] {
        bad.get(path).refused(429, "rate_limited");
    }
    // Neither the owner of a token, nor an agent, nor what is public, is locked out by somebody at the same address.
    s.admin().get("/api/me").is(200);
    s.requester().submit("development", "SELECT 1");
    s.agent("agent-1").poll();
    s.nobody().get("/health").is(200);
    s.nobody().get("/api/me").refused(401, "unauthenticated");
    s.nobody().get("/api/nothing").refused(404, "not_found");
    // With the minute it is over.
    s.minute();
    bad.get("/api/me").refused(401, "unauthenticated");
}

#[test]
fn every_bad_credential_counts_but_a_missing_one_does_not() {
    let s = Server::shop();
    for _ in 0..2 * FAILURES {
        s.nobody().get("/api/me").refused(401, "unauthenticated");
    }
    let headers = [
        "Basic YTpi",
        "Bearer",
        "Bearer dbw_short",
        "Bearer dbw_00000000000000000000000000000000",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "nonsense",
    ];
    for n in 0..FAILURES {
        let header = [("authorization", headers[n % headers.len()])];
        s.nobody()
            .get_with("/api/me", &header)
            .refused(401, "unauthenticated");
    }
    s.nobody()
        .get_with("/api/me", &[("authorization", headers[0])])
        .refused(429, "rate_limited");
}

#[test]
fn a_thousand_failures_are_one_row_of_the_log() {
    let s = Server::shop();
    let bad = s.bearer("nobody", "dbw_00000000000000000000000000000000");
    for _ in 0..1_000 {
        bad.get("/api/me");
    }
    assert!(s.events("event_type=auth.failures").is_empty());
    s.minute();
    let rows = s.events("event_type=auth.failures");
    assert_eq!(rows.len(), 1);
    assert_eq!(metadata(&rows[0])["count"], 1_000);
    assert_eq!(rows[0]["resource_id"], "127.0.0.1");
    s.minute();
    assert_eq!(s.events("event_type=auth.failures").len(), 1);
}

fn from(person: &Person, address: &str) -> crate::support::Answer {
    person.get_with("/api/me", &[("x-forwarded-for", address)])
}

#[test]
fn addresses_count_apart_and_only_proxies_forward_them() {
    let s = Server::with(&format!("{PROXIED}{SHOP}"));
    let bad = s.bearer("nobody", "dbw_00000000000000000000000000000000");
    for _ in 0..FAILURES {
        from(&bad, "192.0.2.1").refused(401, "unauthenticated");
    }
    from(&bad, "192.0.2.1").refused(429, "rate_limited");
    // A client adds what it likes on the left; the proxy writes on the right.
    from(&bad, "198.51.100.9, 192.0.2.1").refused(429, "rate_limited");
    from(&bad, "192.0.2.2").refused(401, "unauthenticated");
    let s = Server::shop();
    let bad = s.bearer("nobody", "dbw_00000000000000000000000000000000");
    for n in 0..FAILURES {
        from(&bad, &format!("192.0.2.{}", n % 250)).refused(401, "unauthenticated");
    }
    from(&bad, "192.0.2.250").refused(429, "rate_limited");
}

#[test]
fn a_suspended_person_is_turned_away_like_anybody_unknown() {
    let s = Server::shop();
    let requester = s.requester();
    s.admin().poke("/api/users/requester/suspend").is(200);
    for _ in 0..FAILURES {
        requester.get("/api/me").refused(401, "unauthenticated");
    }
    requester.get("/api/me").refused(429, "rate_limited");
}

#[test]
fn a_token_has_its_calls_a_minute() {
    let s = Server::with(&format!("calls_per_minute = 5\n{SHOP}"));
    let (one, two) = (s.requester(), s.person("requester", &["readonly"]));
    for _ in 0..5 {
        one.get("/api/me").is(200);
    }
    let refused = one.get("/api/me").refused(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("12"));
    // Every authenticated call counts; another token of the same person has calls of its own.
    one.create("development", "SELECT 1")
        .refused(429, "rate_limited");
    one.get("/api/nothing").refused(404, "not_found");
    one.get("/health").is(200);
    two.get("/api/me").is(200);
    s.turn_only(11);
    one.get("/api/me").refused(429, "rate_limited");
    s.turn_only(1);
    one.get("/api/me").is(200);
    one.get("/api/me").refused(429, "rate_limited");
    s.turn_only(600);
    for _ in 0..5 {
        one.get("/api/me").is(200);
    }
    one.get("/api/me").refused(429, "rate_limited");
}

#[test]
fn agents_and_what_waits_are_not_counted() {
    let roles: String = (0..5)
        .map(|n| {
            format!("[[auth.roles]]\nname = \"spare-{n}\"\npermissions = [\"metrics.view\"]\n")
        })
        .collect();
    let s = Server::with(&format!("calls_per_minute = 3\n{SHOP}{roles}"));
    let agent = s.agent("agent-1");
    for _ in 0..20 {
        agent.poll();
    }
    let requester = s.requester();
    let request = requester.submit("development", "SELECT 1");
    let waiting = requester.wait(&request.path("/result/stream"));
    s.until_parked(1);
    // Other policies wake everybody; woken again and again it is still one call.
    for n in 0..5 {
        s.turn_only(21);
        s.admin().delete(&format!("/api/roles/spare-{n}")).is(204);
        s.until_parked(1);
    }
    agent.run(&request.id);
    assert_eq!(waiting.answer().is(200).json["success"], true);
}

#[test]
fn refused_attempts_cannot_grow_the_log_at_will() {
    let s = Server::shop();
    for _ in 0..200 {
        s.requester()
            .create("production", "DELETE FROM items")
            .refused(422, "sql_blocked_by_review");
    }
    assert_eq!(s.events("outcome=denied").len(), 20);
    s.minute();
    let rows = s.events("outcome=denied");
    assert_eq!(rows.len(), 21);
    assert_eq!(metadata(&rows[0])["count"], 180);
    assert_eq!(rows[0]["actor_id"], "requester");
    // The next minute has its own.
    s.requester()
        .create("production", "DELETE FROM items")
        .is(422);
    assert_eq!(s.events("outcome=denied").len(), 22);
    // Callers who may not even ask are counted the same way.
    let reader = s.person("reader", &["readonly"]);
    for _ in 0..30 {
        reader
            .create_with("production", "{}", json!({"operation": "migrate_up"}))
            .refused(403, "forbidden");
    }
    assert_eq!(s.events("outcome=denied&actor_id=reader").len(), 20);
}
