//! The calls of an agent, and the JSON of both directions. Fields that we do not know are ignored.

use super::{Client, ClientError};
use crate::crypto::hex;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::Duration;

/// Answer of GET /api/public-key.
#[derive(Debug, Clone, Deserialize)]
pub struct PublicKeyReply {
    /// The key that signs execution tokens: 32 bytes in hexadecimal.
    pub public_key: String,
    /// The subject of the agent's token; older servers do not say.
    #[serde(default)]
    pub agent_id: Option<String>,
}

/// Body of POST /api/agent/poll.
#[derive(Debug, Clone, Serialize)]
pub struct Poll {
    /// The agent's own name, where it has one; for the server the token decides.
    pub agent_id: Option<String>,
    /// What it can run, and where.
    pub capabilities: Capabilities,
    /// What it is doing.
    pub status: AgentStatus,
    /// Jobs wanted at most; 0 for none.
    pub limit: u32,
    /// Seconds the server may hold the call until a job is there.
    pub wait: u64,
    /// What it can do that not every agent can: `claims_v2`, `dialect`, `outcome`, `row_bound`.
    pub features: &'static [&'static str],
    pub agent_version: &'static str,
}

/// What an agent can run, and where.
#[derive(Debug, Clone, Serialize)]
pub struct Capabilities {
    /// Every database of `scopes`.
    pub databases: Vec<String>,
    /// Every environment of `scopes`.
    pub environments: Vec<String>,
    /// The pairs that are really there; where the server reads it, the two lists above mean nothing.
    pub scopes: Vec<TargetJson>,
    pub operations: Vec<&'static str>,
}

/// One database in one environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TargetJson {
    /// Name of the database.
    pub database: String,
    /// Name of the environment.
    pub environment: String,
}

impl Capabilities {
    /// The capabilities of an agent that serves `scopes`.
    pub fn new<'a>(
        scopes: impl IntoIterator<Item = (&'a str, &'a str)>,
        operations: Vec<&'static str>,
    ) -> Capabilities {
        let mut scopes: Vec<TargetJson> = scopes
            .into_iter()
            .map(|(database, environment)| TargetJson {
                database: database.to_owned(),
                environment: environment.to_owned(),
            })
            .collect();
        scopes.sort_unstable();
        scopes.dedup();
        let names = |of: fn(&TargetJson) -> &String| {
            let mut all: Vec<String> = scopes.iter().map(of).cloned().collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        Capabilities {
            databases: names(|s| &s.database),
            environments: names(|s| &s.environment),
            scopes,
            operations,
        }
    }
}

/// What an agent is doing.
#[derive(Debug, Clone, Serialize)]
pub struct AgentStatus {
    pub in_flight: u32,
    /// Executions it runs at once.
    pub max_concurrent: u32,
    /// Whether it is about to stop.
    pub draining: bool,
    /// Seconds since it started.
    pub uptime_secs: u64,
    /// The executions running now.
    pub active_jobs: Vec<ActiveJob>,
}

/// One execution that runs now.
#[derive(Debug, Clone, Serialize)]
pub struct ActiveJob {
    pub request_id: String,
    /// Name of the operation.
    pub operation: &'static str,
    /// Seconds it has run.
    pub elapsed_secs: u64,
}

/// Answer of a poll.
#[derive(Debug, Clone, Deserialize)]
pub struct PollReply {
    /// What can be claimed, oldest first.
    pub jobs: Vec<OfferedJob>,
    /// Statements to explain, oldest first.
    #[serde(default)]
    pub dry_run_jobs: Vec<DryRunJob>,
    /// Writes to rehearse, oldest first; older servers have none.
    #[serde(default)]
    pub rehearsal_jobs: Vec<RehearsalJob>,
    /// Whether the server wants a newer agent; there are no jobs then.
    #[serde(default)]
    pub upgrade_required: bool,
    #[serde(default)]
    pub server_version: String,
}

/// A request that waits for an agent.
#[derive(Debug, Clone, Deserialize)]
pub struct OfferedJob {
    /// Id of the request.
    pub id: String,
    /// Name of the database.
    pub database: String,
    /// Name of the environment.
    pub environment: String,
    /// Name of the operation.
    pub operation: String,
}

/// A statement that a reviewer wants explained.
#[derive(Debug, Clone, Deserialize)]
pub struct DryRunJob {
    pub id: String,
    /// Name of the database.
    pub database: String,
    /// Name of the environment.
    pub environment: String,
    /// The dialect that it was read in, or `any`; older servers do not say.
    #[serde(default)]
    pub dialect: Option<String>,
    pub sql: String,
}

/// Answer of a claim of a statement to explain.
#[derive(Debug, Clone, Deserialize)]
pub struct DryRunClaim {
    /// Has to be sent with the plan.
    pub claim_token: String,
}

/// Body of POST /api/agent/dry-run/{id}/result.
#[derive(Debug, Clone, Serialize)]
pub struct DryRunResult<'a> {
    pub claim_token: &'a str,
    /// The plan, in the database's own form.
    pub result: Option<&'a RawValue>,
    /// Why `plan` is missing.
    pub error: Option<&'a str>,
}

/// A write that approvers want to see rehearsed.
#[derive(Debug, Clone, Deserialize)]
pub struct RehearsalJob {
    pub id: String,
    pub request_id: String,
    /// Name of the database.
    pub database: String,
    /// Name of the environment.
    pub environment: String,
    /// The dialect that it was read in, or `any`.
    pub dialect: String,
}

/// Answer of a claim of a rehearsal.
#[derive(Debug, Clone, Deserialize)]
pub struct RehearsalClaim {
    /// Name of the database.
    pub database: String,
    /// Name of the environment.
    pub environment: String,
    pub detail: String,
    /// The statements, as the text of a JSON array.
    pub execution_plan_json: Option<String>,
    pub rehearsal_token: String,
}

/// Body of POST /api/agent/rehearsals/{id}/result.
#[derive(Debug, Clone, Serialize)]
pub struct RehearsalResult<'a> {
    /// What it would have changed.
    pub result: Option<&'a RawValue>,
    /// Why `result` is missing.
    pub error: Option<&'a str>,
}

/// Body of POST /api/agent/schema-sync.
#[derive(Debug, Clone, Serialize)]
pub struct SchemaSync<'a> {
    /// Name of the database.
    pub database: &'a str,
    /// Name of the environment.
    pub environment: &'a str,
    /// Its dialect: `postgresql`, `mysql` or `sqlite`.
    pub dialect: &'static str,
    /// `ready` or `failed`.
    pub status: &'static str,
    /// The tables, where it is ready: `{"tables":[..]}`.
    pub snapshot: Option<&'a RawValue>,
    /// Why it is not.
    pub error_message: Option<&'a str>,
}

/// Answer of a claim. Limits stand in the token, where they are signed.
#[derive(Debug, Clone, Deserialize)]
pub struct Claim {
    pub execution_id: String,
    pub request_id: String,
    /// Name of the operation.
    pub operation: String,
    /// Name of the database.
    pub database: String,
    /// Name of the environment.
    pub environment: String,
    /// What was asked for.
    pub detail: String,
    /// The token: JSON text.
    pub execution_token: String,
    /// What to run, as the text of a JSON array of strings; absent where `detail` is to be run.
    #[serde(default)]
    pub execution_plan_json: Option<String>,
    /// When the execution counts as lost, unless a heartbeat comes.
    #[serde(default)]
    pub lease_expires_at: Option<String>,
}

/// Answer of a heartbeat.
#[derive(Debug, Clone, Deserialize)]
pub struct Heartbeat {
    /// Whether the execution is to be broken off.
    pub cancelled: bool,
}

/// Answer to a result.
#[derive(Debug, Clone, Deserialize)]
pub struct ResultReply {
    /// What became of the request.
    #[serde(default)]
    pub status: String,
}

const AT_ONCE: Duration = Duration::ZERO;

impl Client {
    /// The key that signs execution tokens, in hexadecimal.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub fn public_key(&self) -> Result<PublicKeyReply, ClientError> {
        self.get("/api/public-key", AT_ONCE)
    }

    /// Says what this agent can run, and asks for jobs.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub fn poll(&self, poll: &Poll) -> Result<PollReply, ClientError> {
        let wait = Duration::from_secs(poll.wait);
        self.post("/api/agent/poll", &json(poll)?, wait)
    }

    /// Claims a job. The same `claim_key` may be sent again by the same agent until the first heartbeat, and yields
    /// the same execution.
    ///
    /// # Errors
    /// As every call: [`ClientError`]; 409 when somebody else was first.
    pub fn claim(&self, request_id: &str, claim_key: &[u8; 16]) -> Result<Claim, ClientError> {
        let body = format!("{{\"claim_key\":\"{}\"}}", hex(claim_key));
        self.post(
            &format!("/api/agent/jobs/{request_id}/claim"),
            &body,
            AT_ONCE,
        )
    }

    /// Renews the lease of an execution.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub fn heartbeat(&self, execution_id: &str) -> Result<Heartbeat, ClientError> {
        self.post(
            &format!("/api/agent/jobs/{execution_id}/heartbeat"),
            "",
            AT_ONCE,
        )
    }

    /// Hands in a result. `body` is the JSON text, sent as it is.
    ///
    /// # Errors
    /// As every call: [`ClientError`]. Repeating an accepted result is accepted again.
    pub fn submit_result(
        &self,
        execution_id: &str,
        body: &str,
    ) -> Result<ResultReply, ClientError> {
        self.post(
            &format!("/api/agent/jobs/{execution_id}/result"),
            body,
            AT_ONCE,
        )
    }

    /// Says what the tables of a database are.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub fn sync_schema(&self, result: &SchemaSync<'_>) -> Result<(), ClientError> {
        self.post::<IgnoredAny>("/api/agent/schema-sync", &json(result)?, AT_ONCE)?;
        Ok(())
    }

    /// Claims a statement to explain.
    ///
    /// # Errors
    /// As every call: [`ClientError`]; 409 when somebody else was first, 404 when nobody wants it any more.
    pub fn claim_dry_run(&self, id: &str) -> Result<DryRunClaim, ClientError> {
        self.post(&format!("/api/agent/dry-run/{id}/claim"), "", AT_ONCE)
    }

    /// Hands in the plan of a statement, or why there is none.
    ///
    /// # Errors
    /// As every call: [`ClientError`]; 409 when the claim does not count any more.
    pub fn finish_dry_run(&self, id: &str, result: &DryRunResult<'_>) -> Result<(), ClientError> {
        let path = format!("/api/agent/dry-run/{id}/result");
        self.post::<IgnoredAny>(&path, &json(result)?, AT_ONCE)?;
        Ok(())
    }

    /// Claims a rehearsal; the agent that has it gets the same answer again.
    ///
    /// # Errors
    /// As every call: [`ClientError`]; 409 when somebody else was first or it is over.
    pub fn claim_rehearsal(&self, id: &str) -> Result<RehearsalClaim, ClientError> {
        self.post(&format!("/api/agent/rehearsals/{id}/claim"), "", AT_ONCE)
    }

    /// Reports what a rehearsal would have changed, or why it was not done.
    ///
    /// # Errors
    /// As every call: [`ClientError`]; 409 when the claim does not count any more.
    pub fn finish_rehearsal(
        &self,
        id: &str,
        result: &RehearsalResult<'_>,
    ) -> Result<(), ClientError> {
        let path = format!("/api/agent/rehearsals/{id}/result");
        self.post::<IgnoredAny>(&path, &json(result)?, AT_ONCE)?;
        Ok(())
    }
}

fn json(body: &impl Serialize) -> Result<String, ClientError> {
    serde_json::to_string(body).map_err(|e| ClientError::no_answer("bad_request", e))
}
