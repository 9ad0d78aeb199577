//! Claims about paths and their routes.

use super::*;
use crate::http::pages;

fn found(method: &str, path: &str) -> String {
    match find(method, path) {
        RouteMatch::Route(route, params) => format!("{} {params:?}", route.path),
        RouteMatch::WrongMethod { allow, .. } => format!("405 {allow}"),
        RouteMatch::Unknown => "404".to_owned(),
    }
}

#[test]
fn paths_find_their_routes() {
    for (method, path, want) in [
        ("GET", "/api/me", "/api/me []"),
        ("HEAD", "/api/me", "/api/me []"),
        ("GET", "/api/%6de", "/api/me []"),
        ("GET", "/api/requests/a%20b", "/api/requests/{id} [\"a b\"]"),
        (
            "GET",
            "/api/requests/x/result/content",
            "/api/requests/{id}/result/content [\"x\"]",
        ),
        (
            "GET",
            "/api/workflows/wf:*:prod:e3b0",
            "/api/workflows/{id} [\"wf:*:prod:e3b0\"]",
        ),
        ("GET", "/api/requests/%252e", "/api/requests/{id} [\"%2e\"]"),
        ("POST", "/api/me", "405 GET, HEAD"),
        ("HEAD", "/api/agent/poll", "405 POST"),
        ("get", "/api/me", "405 GET, HEAD"),
        ("PATCH", "/api/requests", "405 POST, GET, HEAD"),
        ("PATCH", "/api/workflows", "405 GET, HEAD"),
        ("DELETE", "/api/tokens/1", "/api/tokens/{id} [\"1\"]"),
    ] {
        assert_eq!(found(method, path), want, "{method} {path}");
    }
}

#[test]
fn paths_in_disguise_find_nothing() {
    for path in [
        "",
        "//",
        "*",
        "api/me",
        "/api",
        "/api/me/",
        "//api/me",
        "/api//me",
        "/api/./me",
        "/api/x/../me",
        "/api/%2e%2e/me",
        "/api%2fme",
        "/api/requests/a%2Fapprove",
        "/api/requests/%00",
        "/api/requests/%ff",
        "/api/requests/%",
        "/api/requests/%4",
        "/api/requests/%zz",
        "/api/requests/",
        "/API/me",
    ] {
        assert_eq!(found("GET", path), "404", "{path:?}");
    }
}

#[test]
fn no_call_fits_two_routes() {
    for (n, one) in ROUTES.iter().enumerate() {
        let sample: Vec<String> = one.path.split('/').skip(1).map(str::to_owned).collect();
        for other in &ROUTES[n + 1..] {
            let both = other.fit(&sample).is_some() && other.method == one.method;
            assert!(!both, "{} {}", one.path, other.path);
        }
    }
}

#[test]
fn only_a_short_list_is_public() {
    let public: Vec<&str> = ROUTES
        .iter()
        .filter(|r| matches!(r.guarded, Public(_)))
        .map(|r| r.path)
        .collect();
    let known = ["/health", "/ready", "/api/openapi.json", "/api/sign-in"];
    assert_eq!(public, known);
    for route in ROUTES.iter().filter(|r| matches!(r.guarded, Signed(_))) {
        assert!(route.path.starts_with("/api/slack/"), "{}", route.path);
    }
    for route in ROUTES.iter().filter(|r| matches!(r.guarded, Page(_))) {
        assert!(!route.path.starts_with("/api"), "{}", route.path);
        assert_eq!(route.method, "GET", "{}", route.path);
    }
    for route in ROUTES.iter().filter(|r| matches!(r.guarded, Agent(_))) {
        let agents = route.path.starts_with("/api/agent/") || route.path == "/api/public-key";
        assert!(agents, "{}", route.path);
    }
}

#[test]
fn pages_are_where_the_table_shows_them() {
    let shown: Vec<&str> = ROUTES
        .iter()
        .filter(|r| matches!(r.guarded, Page(handler) if std::ptr::fn_addr_eq(handler, pages::shell as fn(_, _) -> _)))
        .map(|r| r.path)
        .collect();
    assert_eq!(shown, pages::PATHS);
}
