//! What is for agents.

use super::Lines;
use super::cast::{Stage, Who, status};
use crate::support::{Agent, Request};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

fn post(who: &Who, path: &str, body: &Value) -> String {
    status(&who.person.post(path, body))
}

/// A job that waits for an agent.
fn job(stage: &Stage, environment: &str) -> Request {
    let request = stage.s.requester().submit(environment, UPDATE);
    request.approved_by(&stage.s.approver()).resumed()
}

/// An execution of the caller, if it is an agent; otherwise of another agent.
fn own_execution(stage: &Stage, who: &Who) -> String {
    let agent = who.agent().unwrap_or_else(|| stage.worker());
    execution(stage, &agent, who.place())
}

fn their_execution(stage: &Stage, who: &Who) -> String {
    execution(stage, &stage.worker(), who.place())
}

fn execution(stage: &Stage, agent: &Agent, environment: &str) -> String {
    agent.claim(&job(stage, environment).id).execution
}

/// A statement that waits to be explained. What other lines left to explain is out of the way then.
fn dry_run(stage: &Stage, environment: &str) -> String {
    let request = stage.s.requester().submit(environment, UPDATE);
    let serves = json!({"databases": ["shop"], "environments": [environment]});
    let worker = stage.worker().serving(serves);
    loop {
        for job in worker.poll().list("dry_run_jobs") {
            let id = job["id"].as_str().unwrap().to_owned();
            if job["request_id"] == request.id.as_str() {
                stage.worker().poll();
                return id;
            }
            let path = format!("/api/agent/dry-run/{id}");
            let claimed = worker.person.poke(&format!("{path}/claim")).is(200);
            let body = json!({"claim_token": claimed.text("claim_token"), "error": "not now"});
            worker.person.post(&format!("{path}/result"), &body).is(200);
        }
    }
}

/// Answers a statement that `claimant` has claimed.
fn answer(stage: &Stage, who: &Who, claimant: &Agent, environment: &str) -> String {
    let path = format!("/api/agent/dry-run/{}", dry_run(stage, environment));
    let claimed = claimant.person.poke(&format!("{path}/claim")).is(200);
    let body = json!({"claim_token": claimed.text("claim_token"), "result": {}});
    let reported = post(who, &format!("{path}/result"), &body);
    claimant.person.post(&format!("{path}/result"), &body);
    reported
}

fn describe(who: &Who, environment: &str) -> String {
    let body = json!({
        "database": "shop", "environment": environment, "dialect": "postgresql", "status": "ready",
        "snapshot": {"tables": []},
    });
    post(who, "/api/agent/schema-sync", &body)
}

fn claim(stage: &Stage, who: &Who, environment: &str) -> String {
    let path = format!("/api/agent/jobs/{}/claim", job(stage, environment).id);
    status(&who.person.poke(&path))
}

fn heartbeat(who: &Who, execution: &str) -> String {
    status(
        &who.person
            .poke(&format!("/api/agent/jobs/{execution}/heartbeat")),
    )
}

fn report(who: &Who, execution: &str) -> String {
    let path = format!("/api/agent/jobs/{execution}/result");
    post(who, &path, &json!({"success": true}))
}

/// Takes a statement, and then has it answered, so that it waits no longer.
fn take(stage: &Stage, who: &Who, environment: &str) -> String {
    let path = format!("/api/agent/dry-run/{}", dry_run(stage, environment));
    let reported = who.person.poke(&format!("{path}/claim"));
    let worker = stage.worker().person;
    let claimed = if reported.status == 200 {
        reported.clone()
    } else {
        worker.poke(&format!("{path}/claim"))
    };
    let person = if reported.status == 200 {
        &who.person
    } else {
        &worker
    };
    let body = json!({"claim_token": claimed.text("claim_token"), "result": {}});
    person.post(&format!("{path}/result"), &body).is(200);
    status(&reported)
}

/// A rehearsal that waits for an agent.
fn rehearsal(stage: &Stage, environment: &str) -> String {
    let request = stage.s.requester().submit(environment, UPDATE);
    let asked = request.by.poke(&request.path("/rehearse")).is(202);
    format!("/api/agent/rehearsals/{}", asked.text("id"))
}

fn able(agent: Agent) -> Agent {
    agent.poll_with(json!({"features": ["rehearsal"]})).is(200);
    agent
}

fn claim_rehearsal(stage: &Stage, who: &Who, environment: &str) -> String {
    who.agent().map(able);
    let path = rehearsal(stage, environment);
    status(&who.person.poke(&format!("{path}/claim")))
}

/// Reports a rehearsal that `claimant` has claimed.
fn report_rehearsal(stage: &Stage, who: &Who, claimant: Agent) -> String {
    let path = rehearsal(stage, who.place());
    let claim = format!("{path}/claim");
    able(claimant).person.poke(&claim).is(200);
    let body = json!({"result": {"rows_affected": 1}});
    post(who, &format!("{path}/result"), &body)
}

pub const LINES: &[Lines] = &[
    Lines {
        method: "GET",
        path: "/api/public-key",
        cases: &[("", |_, w| status(&w.person.get("/api/public-key")))],
    },
    Lines {
        method: "POST",
        path: "/api/agent/poll",
        cases: &[("", |_, w| {
            post(
                w,
                "/api/agent/poll",
                &json!({"capabilities": {"databases": ["shop"]}}),
            )
        })],
    },
    Lines {
        method: "POST",
        path: "/api/agent/jobs/{request_id}/claim",
        cases: &[
            ("in production", |s, w| claim(s, w, "production")),
            ("in staging", |s, w| claim(s, w, "staging")),
            ("unknown", |_, w| {
                status(&w.person.poke("/api/agent/jobs/nothing/claim"))
            }),
        ],
    },
    Lines {
        method: "POST",
        path: "/api/agent/jobs/{execution_id}/heartbeat",
        cases: &[
            ("own", |s, w| heartbeat(w, &own_execution(s, w))),
            ("another agent's", |s, w| {
                heartbeat(w, &their_execution(s, w))
            }),
            ("unknown", |_, w| heartbeat(w, "nothing")),
        ],
    },
    Lines {
        method: "POST",
        path: "/api/agent/jobs/{execution_id}/result",
        cases: &[
            ("own", |s, w| report(w, &own_execution(s, w))),
            ("another agent's", |s, w| report(w, &their_execution(s, w))),
            ("unknown", |_, w| report(w, "nothing")),
        ],
    },
    Lines {
        method: "POST",
        path: "/api/agent/schema-sync",
        cases: &[
            ("production", |_, w| describe(w, "production")),
            ("staging", |_, w| describe(w, "staging")),
            ("where nothing is registered", |_, w| describe(w, "moon")),
        ],
    },
    Lines {
        method: "POST",
        path: "/api/agent/dry-run/{id}/claim",
        cases: &[
            ("in production", |s, w| take(s, w, "production")),
            ("in staging", |s, w| take(s, w, "staging")),
            ("unknown", |_, w| {
                status(&w.person.poke("/api/agent/dry-run/nothing/claim"))
            }),
        ],
    },
    Lines {
        method: "POST",
        path: "/api/agent/dry-run/{id}/result",
        cases: &[
            ("claimed by themselves", |s, w| {
                let claimant = w.agent().unwrap_or_else(|| s.worker());
                answer(s, w, &claimant, w.place())
            }),
            ("claimed by another agent", |s, w| {
                answer(s, w, &s.worker(), w.place())
            }),
            ("unknown", |_, w| {
                post(
                    w,
                    "/api/agent/dry-run/nothing/result",
                    &json!({"claim_token": "a", "result": {}}),
                )
            }),
        ],
    },
    Lines {
        method: "POST",
        path: "/api/agent/rehearsals/{id}/claim",
        cases: &[
            ("in production", |s, w| claim_rehearsal(s, w, "production")),
            ("in staging", |s, w| claim_rehearsal(s, w, "staging")),
            ("unknown", |_, w| {
                status(&w.person.poke("/api/agent/rehearsals/nothing/claim"))
            }),
        ],
    },
    Lines {
        method: "POST",
        path: "/api/agent/rehearsals/{id}/result",
        cases: &[
            ("claimed by themselves", |s, w| {
                report_rehearsal(s, w, w.agent().unwrap_or_else(|| s.worker()))
            }),
            ("claimed by another agent", |s, w| {
                report_rehearsal(s, w, s.worker())
            }),
            ("unknown", |_, w| {
                post(
                    w,
                    "/api/agent/rehearsals/nothing/result",
                    &json!({"error": "not now"}),
                )
            }),
        ],
    },
];
