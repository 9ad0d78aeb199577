//! People, tokens, roles, policies, the log, and what is for everybody.

use super::Lines;
use super::cast::{Stage, Who, shows, status};
use crate::support::Answer;
use serde_json::{Value, json};

fn get(who: &Who, path: &str) -> String {
    status(&who.person.get(path))
}

fn link(who: &Who, id: &str) -> String {
    let answer: Answer = who.person.call(
        "PATCH",
        &format!("/api/users/{id}"),
        &[("content-type", "application/json")],
        br#"{"slack_user_id":null}"#,
    );
    status(&answer)
}

fn turn(who: &Who, id: &str, verb: &str) -> String {
    status(&who.person.poke(&format!("/api/users/{id}/{verb}")))
}

fn issue(who: &Who, subject: &str, kind: &str, roles: Value) -> String {
    let body = json!({"subject_id": subject, "subject_type": kind, "roles": roles});
    status(&who.person.post("/api/tokens", &body))
}

/// The id of a further token of somebody.
fn token(stage: &Stage, subject: &str, kind: &str) -> String {
    let role = if kind == "agent" {
        "agent-default"
    } else {
        "readonly"
    };
    let body = json!({"subject_id": subject, "subject_type": kind, "roles": [role]});
    let answer = stage.s.admin().post("/api/tokens", &body);
    answer.is(201).text("id")
}

/// The same of the caller, if they can have one.
fn own_token(stage: &Stage, who: &Who) -> String {
    if who.agent().is_some() {
        return token(stage, &who.person.subject, "agent");
    }
    let owner = stage.owner(who);
    token(stage, &owner.subject, "user")
}

fn call(who: &Who, method: &str, path: &str) -> String {
    status(&who.person.call(method, path, &[], b""))
}

fn id_of(stage: &Stage, path: &str, list: &str) -> String {
    let all = stage.s.admin().get(path).is(200).list(list);
    format!("{path}/{}", all[0]["id"].as_str().unwrap())
}

fn workflow(stage: &Stage) -> String {
    id_of(stage, "/api/workflows", "workflows")
}

fn execution_policy(stage: &Stage) -> String {
    id_of(stage, "/api/execution-policies", "execution_policies")
}

fn result_policy(stage: &Stage) -> String {
    id_of(stage, "/api/result-policies", "result_policies")
}

fn notification_policy(stage: &Stage) -> String {
    id_of(stage, "/api/notification-policies", "notification_policies")
}

fn webhook(stage: &Stage) -> String {
    id_of(stage, "/api/webhooks", "webhooks")
}

/// A route that takes nothing and is about nothing.
macro_rules! plain {
    ($path:literal) => {
        Lines {
            method: "GET",
            path: $path,
            cases: &[("", |_, w| get(w, $path))],
        }
    };
}

/// A route that only says where the thing is configured.
macro_rules! managed {
    ($method:literal $path:literal, $find:expr) => {
        Lines {
            method: $method,
            path: $path,
            cases: &[("", |s, w| call(w, $method, &$find(s)))],
        }
    };
}

pub const LINES: &[Lines] = &[
    plain!("/health"),
    plain!("/ready"),
    plain!("/api/openapi.json"),
    plain!("/api/sign-in"),
    plain!("/metrics"),
    plain!("/api/me"),
    plain!("/api/sessions"),
    Lines {
        method: "DELETE",
        path: "/api/sessions",
        cases: &[("", |_, w| call(w, "DELETE", "/api/sessions"))],
    },
    Lines {
        method: "DELETE",
        path: "/api/session",
        cases: &[("", |_, w| call(w, "DELETE", "/api/session"))],
    },
    plain!("/api/agents"),
    plain!("/api/audit/events"),
    plain!("/api/audit/export"),
    plain!("/api/audit/verify"),
    Lines {
        method: "GET",
        path: "/api/users",
        cases: &[("somebody else", |s, w| {
            let id = s.victim(w);
            shows(&w.person.get("/api/users?limit=1000"), "users", "id", &id)
        })],
    },
    Lines {
        method: "GET",
        path: "/api/users/{id}",
        cases: &[
            ("themselves", |_, w| {
                get(w, &format!("/api/users/{}", w.person.subject))
            }),
            ("somebody else", |s, w| {
                get(w, &format!("/api/users/{}", s.victim(w)))
            }),
            ("unknown", |_, w| get(w, "/api/users/nothing")),
        ],
    },
    Lines {
        method: "PATCH",
        path: "/api/users/{id}",
        cases: &[
            ("themselves", |_, w| link(w, &w.person.subject)),
            ("somebody else", |s, w| link(w, &s.victim(w))),
            ("unknown", |_, w| link(w, "nothing")),
        ],
    },
    Lines {
        method: "POST",
        path: "/api/users/{id}/suspend",
        cases: &[
            ("themselves", |_, w| turn(w, &w.person.subject, "suspend")),
            ("somebody else", |s, w| turn(w, &s.victim(w), "suspend")),
            ("unknown", |_, w| turn(w, "nothing", "suspend")),
        ],
    },
    Lines {
        method: "POST",
        path: "/api/users/{id}/activate",
        cases: &[
            ("themselves", |_, w| turn(w, &w.person.subject, "activate")),
            ("somebody else", |s, w| turn(w, &s.victim(w), "activate")),
            ("unknown", |_, w| turn(w, "nothing", "activate")),
        ],
    },
    plain!("/api/groups"),
    Lines {
        method: "GET",
        path: "/api/groups/{name}",
        cases: &[
            ("known", |_, w| get(w, "/api/groups/approvers")),
            ("unknown", |_, w| get(w, "/api/groups/nothing")),
        ],
    },
    Lines {
        method: "POST",
        path: "/api/tokens",
        cases: &[
            ("for themselves, of their role", |_, w| {
                issue(w, &w.person.subject, "user", json!([]))
            }),
            ("for themselves, administrator", |_, w| {
                issue(w, &w.person.subject, "user", json!(["admin"]))
            }),
            ("for somebody else", |s, w| {
                issue(w, &s.victim(w), "user", json!(["readonly"]))
            }),
            ("for an agent", |_, w| {
                issue(w, "worker", "agent", json!(["agent-default"]))
            }),
        ],
    },
    Lines {
        method: "GET",
        path: "/api/tokens",
        cases: &[("somebody else's", |s, w| {
            let id = token(s, &s.victim(w), "user");
            shows(&w.person.get("/api/tokens?limit=1000"), "tokens", "id", &id)
        })],
    },
    Lines {
        method: "GET",
        path: "/api/tokens/{id}/inspect",
        cases: &[
            ("own", |s, w| {
                get(w, &format!("/api/tokens/{}/inspect", own_token(s, w)))
            }),
            ("somebody else's", |s, w| {
                let id = token(s, &s.victim(w), "user");
                get(w, &format!("/api/tokens/{id}/inspect"))
            }),
            ("unknown", |_, w| get(w, "/api/tokens/nothing/inspect")),
        ],
    },
    Lines {
        method: "DELETE",
        path: "/api/tokens/{id}",
        cases: &[
            ("own", |s, w| {
                call(w, "DELETE", &format!("/api/tokens/{}", own_token(s, w)))
            }),
            ("somebody else's", |s, w| {
                call(
                    w,
                    "DELETE",
                    &format!("/api/tokens/{}", token(s, &s.victim(w), "user")),
                )
            }),
            ("unknown", |_, w| call(w, "DELETE", "/api/tokens/nothing")),
        ],
    },
    plain!("/api/roles"),
    Lines {
        method: "POST",
        path: "/api/roles",
        cases: &[("", |_, w| call(w, "POST", "/api/roles"))],
    },
    Lines {
        method: "DELETE",
        path: "/api/roles/{name}",
        cases: &[
            ("custom", |_, w| {
                let column = w.mark.split('-').next().unwrap();
                call(w, "DELETE", &format!("/api/roles/spare-{column}"))
            }),
            ("built in", |_, w| call(w, "DELETE", "/api/roles/readonly")),
            ("unknown", |_, w| call(w, "DELETE", "/api/roles/nothing")),
        ],
    },
    plain!("/api/workflows"),
    Lines {
        method: "POST",
        path: "/api/workflows",
        cases: &[("", |_, w| call(w, "POST", "/api/workflows"))],
    },
    Lines {
        method: "GET",
        path: "/api/workflows/{id}",
        cases: &[
            ("known", |s, w| get(w, &workflow(s))),
            ("unknown", |_, w| get(w, "/api/workflows/nothing")),
        ],
    },
    managed!("PUT" "/api/workflows/{id}", workflow),
    managed!("DELETE" "/api/workflows/{id}", workflow),
    plain!("/api/execution-policies"),
    Lines {
        method: "POST",
        path: "/api/execution-policies",
        cases: &[("", |_, w| call(w, "POST", "/api/execution-policies"))],
    },
    Lines {
        method: "GET",
        path: "/api/execution-policies/{id}",
        cases: &[
            ("known", |s, w| get(w, &execution_policy(s))),
            ("unknown", |_, w| get(w, "/api/execution-policies/nothing")),
        ],
    },
    managed!("PUT" "/api/execution-policies/{id}", execution_policy),
    managed!("DELETE" "/api/execution-policies/{id}", execution_policy),
    plain!("/api/result-policies"),
    Lines {
        method: "POST",
        path: "/api/result-policies",
        cases: &[("", |_, w| call(w, "POST", "/api/result-policies"))],
    },
    Lines {
        method: "GET",
        path: "/api/result-policies/{id}",
        cases: &[
            ("known", |s, w| get(w, &result_policy(s))),
            ("unknown", |_, w| get(w, "/api/result-policies/nothing")),
        ],
    },
    managed!("PUT" "/api/result-policies/{id}", result_policy),
    managed!("DELETE" "/api/result-policies/{id}", result_policy),
    plain!("/api/notification-policies"),
    Lines {
        method: "POST",
        path: "/api/notification-policies",
        cases: &[("", |_, w| call(w, "POST", "/api/notification-policies"))],
    },
    Lines {
        method: "GET",
        path: "/api/notification-policies/{id}",
        cases: &[
            ("known", |s, w| get(w, &notification_policy(s))),
            ("unknown", |_, w| {
                get(w, "/api/notification-policies/nothing")
            }),
        ],
    },
    managed!("PUT" "/api/notification-policies/{id}", notification_policy),
    managed!("DELETE" "/api/notification-policies/{id}", notification_policy),
    plain!("/api/webhooks"),
    Lines {
        method: "POST",
        path: "/api/webhooks",
        cases: &[("", |_, w| call(w, "POST", "/api/webhooks"))],
    },
    Lines {
        method: "GET",
        path: "/api/webhooks/{id}",
        cases: &[
            ("known", |s, w| get(w, &webhook(s))),
            ("unknown", |_, w| get(w, "/api/webhooks/nothing")),
        ],
    },
    managed!("PUT" "/api/webhooks/{id}", webhook),
    managed!("DELETE" "/api/webhooks/{id}", webhook),
    Lines {
        method: "POST",
        path: "/api/webhooks/{id}/test",
        cases: &[
            ("known", |s, w| {
                call(w, "POST", &format!("{}/test", webhook(s)))
            }),
            ("unknown", |_, w| {
                call(w, "POST", "/api/webhooks/nothing/test")
            }),
        ],
    },
    Lines {
        method: "POST",
        path: "/api/slack/commands",
        cases: &[("", |_, w| call(w, "POST", "/api/slack/commands"))],
    },
    Lines {
        method: "POST",
        path: "/api/slack/interactions",
        cases: &[("", |_, w| call(w, "POST", "/api/slack/interactions"))],
    },
    plain!("/api/webhook-deliveries"),
    Lines {
        method: "POST",
        path: "/api/webhook-deliveries/{id}/redeliver",
        cases: &[("unknown", |_, w| {
            call(w, "POST", "/api/webhook-deliveries/nothing/redeliver")
        })],
    },
];
