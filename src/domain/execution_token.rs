//! The execution token: what the server signs when an agent claims a job, and what the agent checks before it runs.
//!
//! A token is the text of one JSON object. It carries two signatures by the same key. The first, `signature`, is the
//! one that existing agents verify; it does not bind the execution, the agent or any limit. The second,
//! `signature_v2`, binds every claim, each preceded by its length so that no two sets of claims give the same
//! message, after a prefix that no other message of ours begins with. Our own agent insists on the second.

use super::dialect::Dialect;
use super::id::Operation;
use super::sql::DialectFact;
use crate::clock::Timestamp;
use crate::crypto::{Keypair, PublicKey, sha256_hex};
use serde::Deserialize;
use serde_json::Value;
use std::fmt;

/// Seconds that a token is good for; existing agents expect five minutes.
pub const TTL_SECS: u64 = 300;
/// Longest token that is read, in bytes: ten times what the longest names allowed make of it.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Opens every message that `signature_v2` signs.
const DOMAIN: &[u8] = b"dbward/execution-token/v2\n";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionClaims {
    /// The request that was approved.
    pub request_id: String,
    /// The one execution of it that may run; an agent runs it at most once.
    pub execution_id: String,
    /// What kind of work it is.
    pub operation: Operation,
    /// Name of the database.
    pub database: String,
    /// Name of the environment.
    pub environment: String,
    /// See [`detail_hash`].
    pub detail_hash: String,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// The last moment at which it may be used to start.
    pub expires_at: Timestamp,
    /// First role of the requester, or `unknown`; passed on, not interpreted.
    pub requester_role: String,
    /// Who made the request.
    pub requester_subject_id: String,
    /// The agent that claimed it: the subject of its API token.
    pub agent_id: String,
    /// Seconds a statement may run; 0 for no limit.
    pub statement_timeout_secs: u64,
    /// Rows to return at most; none for the agent's own limit.
    pub max_rows: Option<u64>,
    /// Rows that may be changed at most, else everything is rolled back; none for no limit.
    pub max_affected_rows: Option<u64>,
    /// Seconds that a statement waits for a lock.
    pub lock_timeout_secs: u64,
    /// Hash of the policies that the approval was decided under.
    pub policy_version: String,
    /// The dialect that the text was read in when it was approved.
    pub dialect: DialectFact,
    /// The reign of the server that signed it; 0 for a server that has always been the only one. Not in the token then.
    pub epoch: u64,
}

/// What the agent was asked to run, to be held against the token.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// As the claim's answer says.
    pub request_id: &'a str,
    /// As the claim's answer says.
    pub execution_id: &'a str,
    /// As the claim's answer says.
    pub operation: Operation,
    /// As the claim's answer says.
    pub database: &'a str,
    /// As the claim's answer says.
    pub environment: &'a str,
    /// [`detail_hash`] over what the agent is about to run.
    pub detail_hash: &'a str,
    /// The agent's own id.
    pub agent_id: &'a str,
    /// What the agent's driver of that database speaks.
    pub dialect: Dialect,
}

/// Why a token is refused. The text never quotes the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// It is not the JSON object it should be; the field that is missing or wrong, where known.
    Malformed,
    /// It has no `signature_v2`.
    Unbound,
    /// The signature does not hold under the key.
    BadSignature,
    /// Its time has passed.
    Expired,
    /// It is a valid token for something else; names the claim that differs.
    Mismatch(&'static str),
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenError::Malformed => f.write_str("the token is malformed"),
            TokenError::Unbound => f.write_str("the token has no `signature_v2`"),
            TokenError::BadSignature => f.write_str("the signature does not match"),
            TokenError::Expired => f.write_str("the token has expired"),
            TokenError::Mismatch(claim) => {
                write!(f, "the token was issued for another `{claim}`")
            }
        }
    }
}

impl std::error::Error for TokenError {}

/// The hash of what is to be run, as existing agents compute it: SHA-256, 64 lower-case hexadecimal digits, of
/// `plan_json` where there is a plan; else of `detail`, which for the operations that change migrations is first
/// brought to a compact form with sorted keys (left alone if it is not JSON).
///
/// That form passes numbers through a 64-bit value, as existing agents do: an integer that fits neither `i64` nor
/// `u64` becomes a float. No migration carries such a number, and keeping digits that they lose would fail the check
/// at their end.
pub fn detail_hash(plan_json: Option<&str>, operation: Operation, detail: &str) -> String {
    if let Some(plan) = plan_json {
        return sha256_hex(plan.as_bytes());
    }
    if operation.is_migration_change()
        && let Ok(value) = serde_json::from_str::<Value>(detail)
    {
        let mut compact = String::with_capacity(detail.len());
        write_sorted(&mut compact, &value);
        return sha256_hex(compact.as_bytes());
    }
    sha256_hex(detail.as_bytes())
}

/// Compact JSON with keys in byte order at every level. The order is made here and not left to the map type, which a
/// feature switched on by any crate of the build would change. The parser bounds the depth.
fn write_sorted(out: &mut String, value: &Value) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write_sorted(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut pairs: Vec<(&String, &Value)> = map.iter().collect();
            pairs.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (n, (key, item)) in pairs.into_iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                push_json(out, key);
                out.push(':');
                write_sorted(out, item);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn push_json(out: &mut String, text: &str) {
    out.push_str(&Value::from(text).to_string());
}

/// The token for `claims`: JSON text with both signatures.
pub fn sign(claims: &ExecutionClaims, key: &Keypair) -> String {
    let operation = claims.operation.as_str();
    let issued_at = claims.issued_at.rfc3339_offset();
    let expires_at = claims.expires_at.rfc3339_offset();
    let first = key.sign_hex(
        [
            claims.request_id.as_str(),
            operation,
            &claims.environment,
            &claims.database,
            &claims.detail_hash,
            &expires_at,
            &claims.requester_role,
            &claims.requester_subject_id,
        ]
        .join("|")
        .as_bytes(),
    );
    let second = key.sign_hex(&bound_message(claims, &issued_at, &expires_at));

    let mut out = String::with_capacity(1024);
    let mut member = |name: &str, value: Value| {
        out.push(if out.is_empty() { '{' } else { ',' });
        push_json(&mut out, name);
        out.push(':');
        out.push_str(&value.to_string());
    };
    let number = |n: Option<u64>| n.map_or(Value::Null, Value::from);
    member("agent_id", claims.agent_id.as_str().into());
    member("database", claims.database.as_str().into());
    member("dialect", claims.dialect.as_str().into());
    member("detail_hash", claims.detail_hash.as_str().into());
    member("environment", claims.environment.as_str().into());
    if claims.epoch > 0 {
        member("epoch", claims.epoch.into());
    }
    member("execution_id", claims.execution_id.as_str().into());
    member("expires_at", expires_at.into());
    member("issued_at", issued_at.into());
    member("lock_timeout_secs", claims.lock_timeout_secs.into());
    member("max_affected_rows", number(claims.max_affected_rows));
    member("max_rows", number(claims.max_rows));
    member("operation", operation.into());
    member("policy_version", claims.policy_version.as_str().into());
    member("request_id", claims.request_id.as_str().into());
    member("requester_role", claims.requester_role.as_str().into());
    member(
        "requester_subject_id",
        claims.requester_subject_id.as_str().into(),
    );
    member("signature", first.into());
    member("signature_v2", second.into());
    member(
        "statement_timeout_secs",
        claims.statement_timeout_secs.into(),
    );
    out.push('}');
    out
}

/// Reads `token`, and returns its claims if `key` signed all of them, it has not expired by `now`, and it was issued
/// for `expected`.
///
/// # Errors
/// [`TokenError`]; the signature is checked before anything that the token says is believed.
pub fn verify(
    token: &str,
    key: &PublicKey,
    now: Timestamp,
    expected: &Expected<'_>,
) -> Result<ExecutionClaims, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed);
    }
    let wire: TokenJson = serde_json::from_str(token).map_err(|_| TokenError::Malformed)?;
    let signature = wire.signature_v2.as_deref().ok_or(TokenError::Unbound)?;
    let claims = wire.claims()?;
    let message = bound_message(&claims, &wire.issued_at, &wire.expires_at);
    if !key.verifies(&message, signature) {
        return Err(TokenError::BadSignature);
    }
    if now > claims.expires_at {
        return Err(TokenError::Expired);
    }
    ensure_same([
        ("request_id", claims.request_id == expected.request_id),
        ("execution_id", claims.execution_id == expected.execution_id),
        ("operation", claims.operation == expected.operation),
        ("database", claims.database == expected.database),
        ("environment", claims.environment == expected.environment),
        ("detail_hash", claims.detail_hash == expected.detail_hash),
        ("agent_id", claims.agent_id == expected.agent_id),
        ("dialect", claims.dialect.accepts(expected.dialect)),
    ])?;
    Ok(claims)
}

/// The message of `signature_v2`. Times are passed as written in the token, so that what is verified is what stands
/// there. An absent number is the empty field, which no number is.
fn bound_message(claims: &ExecutionClaims, issued_at: &str, expires_at: &str) -> Vec<u8> {
    let number = |n: Option<u64>| n.map_or(String::new(), |n| n.to_string());
    let (timeout, lock_timeout) = (
        claims.statement_timeout_secs.to_string(),
        claims.lock_timeout_secs.to_string(),
    );
    let (max_rows, max_affected_rows) = (number(claims.max_rows), number(claims.max_affected_rows));
    let epoch = claims.epoch.to_string();
    let mut fields = vec![
        claims.request_id.as_str(),
        &claims.execution_id,
        claims.operation.as_str(),
        &claims.database,
        &claims.environment,
        &claims.detail_hash,
        issued_at,
        expires_at,
        &claims.requester_role,
        &claims.requester_subject_id,
        &claims.agent_id,
        &timeout,
        &max_rows,
        &max_affected_rows,
        &lock_timeout,
        &claims.policy_version,
        claims.dialect.as_str(),
    ];
    // One more field at the end, so that a token without an epoch is signed as ever.
    if claims.epoch > 0 {
        fields.push(&epoch);
    }
    framed(DOMAIN, &fields)
}

/// A message to sign: what its kind opens with, then each field, preceded by its length.
pub(super) fn framed(domain: &[u8], fields: &[&str]) -> Vec<u8> {
    let mut message = Vec::with_capacity(640);
    message.extend_from_slice(domain);
    for field in fields {
        message.extend_from_slice(&(field.len() as u64).to_be_bytes());
        message.extend_from_slice(field.as_bytes());
    }
    message
}

/// Refuses a token by the first of its claims that is not the expected one.
pub(super) fn ensure_same<const N: usize>(
    claims: [(&'static str, bool); N],
) -> Result<(), TokenError> {
    match claims.into_iter().find(|(_, equal)| !equal) {
        Some((claim, _)) => Err(TokenError::Mismatch(claim)),
        None => Ok(()),
    }
}

/// The JSON of a token; a name that occurs twice is refused by the reader.
#[derive(Deserialize)]
struct TokenJson {
    request_id: String,
    operation: String,
    database: String,
    environment: String,
    detail_hash: String,
    issued_at: String,
    expires_at: String,
    requester_role: String,
    requester_subject_id: String,
    #[serde(default)]
    execution_id: String,
    #[serde(default)]
    agent_id: String,
    #[serde(default)]
    statement_timeout_secs: u64,
    max_rows: Option<u64>,
    max_affected_rows: Option<u64>,
    #[serde(default)]
    lock_timeout_secs: u64,
    #[serde(default)]
    policy_version: String,
    #[serde(default)]
    dialect: String,
    #[serde(default)]
    epoch: u64,
    signature_v2: Option<String>,
}

impl TokenJson {
    fn claims(&self) -> Result<ExecutionClaims, TokenError> {
        let time = |text: &str| Timestamp::parse(text).ok_or(TokenError::Malformed);
        Ok(ExecutionClaims {
            request_id: self.request_id.clone(),
            execution_id: self.execution_id.clone(),
            operation: Operation::parse(&self.operation).ok_or(TokenError::Malformed)?,
            database: self.database.clone(),
            environment: self.environment.clone(),
            detail_hash: self.detail_hash.clone(),
            issued_at: time(&self.issued_at)?,
            expires_at: time(&self.expires_at)?,
            requester_role: self.requester_role.clone(),
            requester_subject_id: self.requester_subject_id.clone(),
            agent_id: self.agent_id.clone(),
            statement_timeout_secs: self.statement_timeout_secs,
            max_rows: self.max_rows,
            max_affected_rows: self.max_affected_rows,
            lock_timeout_secs: self.lock_timeout_secs,
            policy_version: self.policy_version.clone(),
            // A token that names none is for no driver.
            dialect: DialectFact::parse(&self.dialect).unwrap_or(DialectFact::Unknown),
            epoch: self.epoch,
        })
    }
}

#[cfg(test)]
mod tests;
