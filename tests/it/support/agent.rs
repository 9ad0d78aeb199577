//! An agent that calls the server as the 0.1.6 agent does, and runs nothing.

use super::client::{Answer, Person, Waiting};
use serde_json::{Value, json};

/// A fake agent.
#[derive(Clone)]
pub struct Agent {
    pub person: Person,
    capabilities: Value,
}

/// What it claimed.
pub struct Claim {
    pub execution: String,
    pub answer: Answer,
}

impl Agent {
    pub fn new(person: Person) -> Agent {
        Agent {
            person,
            capabilities: json!({
                "databases": ["shop"],
                "environments": ["development", "staging", "production"],
                "operations": ["execute_select", "execute_dml", "migrate_up", "migrate_down", "migrate_status"],
            }),
        }
    }

    /// The same, serving something else.
    pub fn serving(mut self, capabilities: Value) -> Agent {
        self.capabilities = capabilities;
        self
    }

    /// What it sends to poll, with further fields.
    pub fn report(&self, more: Value) -> Value {
        let mut body = json!({
            "agent_id": null,
            "capabilities": self.capabilities,
            "status": {
                "in_flight": 0, "max_concurrent": 2, "draining": false, "uptime_secs": 7, "active_jobs": [],
            },
            "limit": 2,
            "agent_version": "0.1.6",
        });
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    }

    pub fn poll_with(&self, more: Value) -> Answer {
        self.person.post("/api/agent/poll", &self.report(more))
    }

    pub fn poll(&self) -> Answer {
        self.poll_with(json!({})).is(200)
    }

    /// Starts a poll that waits.
    pub fn begin_poll(&self, secs: u64) -> Waiting {
        self.begin_poll_with(json!({"wait": secs}))
    }

    /// The same, with further fields.
    pub fn begin_poll_with(&self, more: Value) -> Waiting {
        let body = self.report(more).to_string();
        self.person.begin(
            "POST",
            "/api/agent/poll",
            &[("content-type", "application/json")],
            body.as_bytes(),
        )
    }

    /// Ids of the jobs it is offered.
    pub fn jobs(&self) -> Vec<String> {
        ids(&self.poll())
    }

    pub fn try_claim(&self, request: &str) -> Answer {
        self.person
            .poke(&format!("/api/agent/jobs/{request}/claim"))
    }

    pub fn claim(&self, request: &str) -> Claim {
        self.poll();
        let answer = self.try_claim(request).is(200);
        Claim {
            execution: answer.text("execution_id"),
            answer,
        }
    }

    pub fn claim_keyed(&self, request: &str, key: &str) -> Answer {
        let path = format!("/api/agent/jobs/{request}/claim");
        self.person.post(&path, &json!({"claim_key": key}))
    }

    pub fn heartbeat(&self, execution: &str) -> Answer {
        self.person
            .poke(&format!("/api/agent/jobs/{execution}/heartbeat"))
    }

    pub fn result(&self, execution: &str, body: &Value) -> Answer {
        self.person
            .post(&format!("/api/agent/jobs/{execution}/result"), body)
    }

    /// Reports success; `data` is the JSON text of the result.
    pub fn succeed(&self, execution: &str, data: &str) -> Answer {
        let body = json!({
            "success": true, "result_data": data, "error_message": null, "rows_affected": null, "duration_ms": 12,
            "truncated": false,
        });
        self.result(execution, &body)
    }

    pub fn fail(&self, execution: &str, message: &str) -> Answer {
        let body = json!({"success": false, "result_data": null, "error_message": message, "duration_ms": 3});
        self.result(execution, &body)
    }

    /// Claims a request and reports a row.
    pub fn run(&self, request: &str) -> Claim {
        let claim = self.claim(request);
        self.succeed(&claim.execution, ROWS).is(200);
        claim
    }
}

/// A result of one row.
pub const ROWS: &str =
    r#"{"rows":[{"id":1,"name":"one"}],"truncated":false,"truncation_reason":null}"#;

/// Ids of the jobs in an answer to a poll.
pub fn ids(answer: &Answer) -> Vec<String> {
    let jobs = answer.list("jobs");
    jobs.iter()
        .map(|j| j["id"].as_str().unwrap().to_owned())
        .collect()
}
