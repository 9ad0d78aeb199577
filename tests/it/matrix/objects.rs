//! Requests, results, and what is known of databases.

use super::Lines;
use super::cast::{Stage, Who, shows, status};
use crate::support::Request;
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

fn create(who: &Who, environment: &str, sql: &str, more: Value) -> String {
    status(&who.person.create_with(environment, sql, more))
}

/// What the caller is shown as theirs to do is what is accepted from them.
fn verb(who: &Who, request: &Request, verb: &str) -> String {
    let shown = who.person.show(request);
    let answer = who.person.poke(&request.path(verb));
    if shown.status == 200 {
        let offered = shown.list("actions").contains(&json!(verb[1..]));
        assert_eq!(offered, answer.status < 300, "{} {verb}", who.mark);
    }
    status(&answer)
}

fn look(who: &Who, request: &Request, rest: &str) -> String {
    status(&who.person.get(&request.path(rest)))
}

fn listed(who: &Who, request: &Request) -> String {
    let page = who.person.get("/api/requests?limit=100");
    shows(&page, "requests", "id", &request.id)
}

fn result_listed(who: &Who, request: &Request) -> String {
    let page = who.person.get("/api/results?limit=100");
    shows(&page, "results", "request_id", &request.id)
}

fn own(stage: &Stage, who: &Who) -> Request {
    stage.pending(&stage.owner(who))
}

fn theirs(stage: &Stage) -> Request {
    stage.pending(&stage.s.requester())
}

pub const LINES: &[Lines] = &[
    Lines {
        method: "POST",
        path: "/api/requests",
        cases: &[
            ("read in production", |_, w| {
                create(w, "production", "SELECT 1", json!({}))
            }),
            ("write in production", |_, w| {
                create(w, "production", UPDATE, json!({}))
            }),
            ("migration status in production", |_, w| {
                create(
                    w,
                    "production",
                    "{}",
                    json!({"operation": "migrate_status"}),
                )
            }),
            ("read in staging", |_, w| {
                create(w, "staging", "SELECT 1", json!({}))
            }),
            ("write in staging", |_, w| {
                create(w, "staging", UPDATE, json!({}))
            }),
            ("where nothing is registered", |_, w| {
                create(w, "moon", UPDATE, json!({}))
            }),
            ("what review blocks", |_, w| {
                create(w, "production", "DELETE FROM items", json!({}))
            }),
            ("what nobody may", |_, w| {
                create(w, "production", "GRANT ALL ON items TO public", json!({}))
            }),
            ("emergency in production", |_, w| {
                create(
                    w,
                    "production",
                    UPDATE,
                    json!({"emergency": true, "reason": "outage"}),
                )
            }),
            ("emergency with DDL in production", |_, w| {
                let more = json!({"emergency": true, "allow_ddl": true, "reason": "outage"});
                create(w, "production", "DROP TABLE items", more)
            }),
            ("emergency in staging", |_, w| {
                create(
                    w,
                    "staging",
                    UPDATE,
                    json!({"emergency": true, "reason": "outage"}),
                )
            }),
        ],
    },
    Lines {
        method: "GET",
        path: "/api/requests",
        cases: &[
            ("own, pending in production", |s, w| listed(w, &own(s, w))),
            ("the requester's, pending", |s, w| listed(w, &theirs(s))),
            ("the requester's, approved", |s, w| {
                listed(w, &s.approved(&s.s.requester()))
            }),
        ],
    },
    Lines {
        method: "GET",
        path: "/api/requests/{id}",
        cases: &[
            ("own, pending in production", |s, w| look(w, &own(s, w), "")),
            ("own, approved", |s, w| {
                look(w, &s.approved(&s.owner(w)), "")
            }),
            ("the requester's, pending", |s, w| look(w, &theirs(s), "")),
            ("the requester's, approved", |s, w| {
                look(w, &s.approved(&s.s.requester()), "")
            }),
            ("unknown", |_, w| {
                status(&w.person.get("/api/requests/nothing"))
            }),
        ],
    },
    Lines {
        method: "POST",
        path: "/api/requests/{id}/approve",
        cases: &[
            ("own, pending in production", |s, w| {
                verb(w, &own(s, w), "/approve")
            }),
            ("the requester's, pending", |s, w| {
                verb(w, &theirs(s), "/approve")
            }),
            ("the requester's, approved", |s, w| {
                verb(w, &s.approved(&s.s.requester()), "/approve")
            }),
            ("unknown", |_, w| {
                status(&w.person.poke("/api/requests/nothing/approve"))
            }),
        ],
    },
    Lines {
        method: "POST",
        path: "/api/requests/{id}/rehearse",
        cases: &[
            ("own, pending in production", |s, w| {
                verb(w, &own(s, w), "/rehearse")
            }),
            ("the requester's, pending", |s, w| {
                verb(w, &theirs(s), "/rehearse")
            }),
            ("the requester's, approved", |s, w| {
                verb(w, &s.approved(&s.s.requester()), "/rehearse")
            }),
            ("unknown", |_, w| {
                status(&w.person.poke("/api/requests/nothing/rehearse"))
            }),
        ],
    },
    Lines {
        method: "POST",
        path: "/api/requests/{id}/reject",
        cases: &[
            ("own, pending in production", |s, w| {
                verb(w, &own(s, w), "/reject")
            }),
            ("the requester's, pending", |s, w| {
                verb(w, &theirs(s), "/reject")
            }),
            ("the requester's, approved", |s, w| {
                verb(w, &s.approved(&s.s.requester()), "/reject")
            }),
            ("unknown", |_, w| {
                status(&w.person.poke("/api/requests/nothing/reject"))
            }),
        ],
    },
    Lines {
        method: "POST",
        path: "/api/requests/{id}/cancel",
        cases: &[
            ("own, pending in production", |s, w| {
                verb(w, &own(s, w), "/cancel")
            }),
            ("the requester's, pending", |s, w| {
                verb(w, &theirs(s), "/cancel")
            }),
            ("the requester's, executed", |s, w| {
                verb(w, &s.executed(&s.s.requester()), "/cancel")
            }),
            ("unknown", |_, w| {
                status(&w.person.poke("/api/requests/nothing/cancel"))
            }),
        ],
    },
    Lines {
        method: "POST",
        path: "/api/requests/{id}/resume",
        cases: &[
            ("own, approved in production", |s, w| {
                verb(w, &s.approved(&s.owner(w)), "/resume")
            }),
            ("own, pending", |s, w| verb(w, &own(s, w), "/resume")),
            ("the requester's, approved", |s, w| {
                verb(w, &s.approved(&s.s.requester()), "/resume")
            }),
            ("the requester's, pending", |s, w| {
                verb(w, &theirs(s), "/resume")
            }),
            ("unknown", |_, w| {
                status(&w.person.poke("/api/requests/nothing/resume"))
            }),
        ],
    },
    Lines {
        method: "GET",
        path: "/api/requests/{id}/executions",
        cases: &[
            ("own, executed in production", |s, w| {
                look(w, &s.executed(&s.owner(w)), "/executions")
            }),
            ("the requester's, executed", |s, w| {
                look(w, &s.executed(&s.s.requester()), "/executions")
            }),
            ("the requester's, pending", |s, w| {
                look(w, &theirs(s), "/executions")
            }),
            ("unknown", |_, w| {
                status(&w.person.get("/api/requests/nothing/executions"))
            }),
        ],
    },
    Lines {
        method: "GET",
        path: "/api/requests/{id}/result/stream",
        cases: &[
            ("own, executed in production", |s, w| {
                look(w, &s.executed(&s.owner(w)), "/result/stream?wait=0")
            }),
            ("the requester's, executed", |s, w| {
                look(w, &s.executed(&s.s.requester()), "/result/stream?wait=0")
            }),
            ("the requester's, pending", |s, w| {
                look(w, &theirs(s), "/result/stream?wait=0")
            }),
            ("unknown", |_, w| {
                status(&w.person.get("/api/requests/nothing/result/stream?wait=0"))
            }),
        ],
    },
    Lines {
        method: "GET",
        path: "/api/requests/{id}/result/content",
        cases: &[
            ("own, executed in production", |s, w| {
                look(w, &s.executed(&s.owner(w)), "/result/content")
            }),
            ("the requester's, executed", |s, w| {
                look(w, &s.executed(&s.s.requester()), "/result/content")
            }),
            ("the requester's, pending", |s, w| {
                look(w, &theirs(s), "/result/content")
            }),
            ("unknown", |_, w| {
                status(&w.person.get("/api/requests/nothing/result/content"))
            }),
        ],
    },
    Lines {
        method: "GET",
        path: "/api/results",
        cases: &[
            ("own, in production", |s, w| {
                result_listed(w, &s.executed(&s.owner(w)))
            }),
            ("the requester's", |s, w| {
                result_listed(w, &s.executed(&s.s.requester()))
            }),
        ],
    },
    Lines {
        method: "GET",
        path: "/api/databases",
        cases: &[
            ("production", |_, w| {
                shows(
                    &w.person.get("/api/databases"),
                    "databases",
                    "environment",
                    "production",
                )
            }),
            ("staging", |_, w| {
                shows(
                    &w.person.get("/api/databases"),
                    "databases",
                    "environment",
                    "staging",
                )
            }),
        ],
    },
    Lines {
        method: "GET",
        path: "/api/schemas/{database}",
        cases: &[
            ("in production", |_, w| {
                status(&w.person.get("/api/schemas/shop?environment=production"))
            }),
            ("in staging", |_, w| {
                status(&w.person.get("/api/schemas/shop?environment=staging"))
            }),
            ("where it may be seen", |_, w| {
                status(&w.person.get("/api/schemas/shop"))
            }),
            ("unknown", |_, w| {
                status(&w.person.get("/api/schemas/nothing"))
            }),
        ],
    },
    Lines {
        method: "GET",
        path: "/api/policy-resolution",
        cases: &[
            ("in production", |_, w| resolution(w, "production")),
            ("in staging", |_, w| resolution(w, "staging")),
            ("where nothing is registered", |_, w| resolution(w, "moon")),
        ],
    },
    Lines {
        method: "POST",
        path: "/api/preflight",
        cases: &[
            ("in production", |_, w| tried(w, "production")),
            ("in staging", |_, w| tried(w, "staging")),
            ("where nothing is registered", |_, w| tried(w, "moon")),
        ],
    },
];

fn tried(who: &Who, environment: &str) -> String {
    let body = json!({
        "database": "shop", "environment": environment, "sql": "SELECT 1", "include_explain": false,
    });
    status(&who.person.post("/api/preflight", &body))
}

fn resolution(who: &Who, environment: &str) -> String {
    let path =
        format!("/api/policy-resolution?database=shop&environment={environment}&sql=SELECT%201");
    status(&who.person.get(&path))
}
