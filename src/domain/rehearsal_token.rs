//! The rehearsal token: what the server signs when an agent claims a rehearsal. It is not an execution token and is never
//! taken for one: its signed message has a prefix of its own and says `mode` `rehearsal`, and it carries no signature
//! that agents of other versions verify.

use super::dialect::Dialect;
use super::execution_token::{TOKEN_BYTES_MAX, TokenError, ensure_same, framed};
use super::sql::DialectFact;
use crate::clock::Timestamp;
use crate::crypto::{Keypair, PublicKey};
use serde::Deserialize;
use serde_json::json;

/// Opens every message that is signed here, and no other.
const DOMAIN: &[u8] = b"dbward/rehearsal-token/v2\n";
/// What every token says that it is for.
const MODE: &str = "rehearsal";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RehearsalClaims {
    /// The request that nobody has approved yet.
    pub request_id: String,
    /// The one rehearsal that may run.
    pub rehearsal_id: String,
    /// Name of the database.
    pub database: String,
    /// Name of the environment.
    pub environment: String,
    /// Hash of the plan.
    pub detail_hash: String,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// The last moment at which it may be used to start.
    pub expires_at: Timestamp,
    /// The agent that claimed it.
    pub agent_id: String,
    /// Seconds that all of it may take.
    pub statement_timeout_secs: u64,
    /// Seconds that a statement waits for a lock.
    pub lock_timeout_secs: u64,
    /// The dialect that the text was read in.
    pub dialect: DialectFact,
    /// As in [`super::execution_token::ExecutionClaims::epoch`].
    pub epoch: u64,
}

/// What the agent was asked to rehearse, to be held against the token.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedRehearsal<'a> {
    pub request_id: &'a str,
    pub rehearsal_id: &'a str,
    pub database: &'a str,
    pub environment: &'a str,
    /// Hash of the plan that the agent is about to run.
    pub detail_hash: &'a str,
    /// The agent's own id.
    pub agent_id: &'a str,
    /// What the agent's driver of that database speaks.
    pub dialect: Dialect,
}

/// The token for `claims`, as JSON text.
pub fn sign(claims: &RehearsalClaims, key: &Keypair) -> String {
    let issued_at = claims.issued_at.rfc3339_offset();
    let expires_at = claims.expires_at.rfc3339_offset();
    let signature = key.sign_hex(&message(claims, &issued_at, &expires_at));
    let mut token = json!({
        "agent_id": claims.agent_id,
        "database": claims.database,
        "detail_hash": claims.detail_hash,
        "dialect": claims.dialect.as_str(),
        "environment": claims.environment,
        "expires_at": expires_at,
        "issued_at": issued_at,
        "lock_timeout_secs": claims.lock_timeout_secs,
        "mode": MODE,
        "rehearsal_id": claims.rehearsal_id,
        "request_id": claims.request_id,
        "signature_v2": signature,
        "statement_timeout_secs": claims.statement_timeout_secs,
    });
    if claims.epoch > 0 {
        token["epoch"] = claims.epoch.into();
    }
    token.to_string()
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
    expected: &ExpectedRehearsal<'_>,
) -> Result<RehearsalClaims, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Malformed);
    }
    let wire: RehearsalJson = serde_json::from_str(token).map_err(|_| TokenError::Malformed)?;
    if wire.mode != MODE {
        return Err(TokenError::Mismatch("mode"));
    }
    let claims = wire.claims().ok_or(TokenError::Malformed)?;
    let message = message(&claims, &wire.issued_at, &wire.expires_at);
    if !key.verifies(&message, &wire.signature_v2) {
        return Err(TokenError::BadSignature);
    }
    if now > claims.expires_at {
        return Err(TokenError::Expired);
    }
    ensure_same([
        ("request_id", claims.request_id == expected.request_id),
        ("rehearsal_id", claims.rehearsal_id == expected.rehearsal_id),
        ("database", claims.database == expected.database),
        ("environment", claims.environment == expected.environment),
        ("detail_hash", claims.detail_hash == expected.detail_hash),
        ("agent_id", claims.agent_id == expected.agent_id),
        ("dialect", claims.dialect.accepts(expected.dialect)),
    ])?;
    Ok(claims)
}

/// The signed message: each field is preceded by its length, and times are as the token writes them.
fn message(claims: &RehearsalClaims, issued_at: &str, expires_at: &str) -> Vec<u8> {
    let (timeout, lock_timeout, epoch) = (
        claims.statement_timeout_secs.to_string(),
        claims.lock_timeout_secs.to_string(),
        claims.epoch.to_string(),
    );
    let mut fields = vec![
        MODE,
        &claims.request_id,
        &claims.rehearsal_id,
        &claims.database,
        &claims.environment,
        &claims.detail_hash,
        issued_at,
        expires_at,
        &claims.agent_id,
        &timeout,
        &lock_timeout,
        claims.dialect.as_str(),
    ];
    // As in an execution token: without an epoch it is signed as ever.
    if claims.epoch > 0 {
        fields.push(&epoch);
    }
    framed(DOMAIN, &fields)
}

/// The JSON of a token; a name that occurs twice is refused by the reader.
#[derive(Deserialize)]
struct RehearsalJson {
    mode: String,
    request_id: String,
    rehearsal_id: String,
    database: String,
    environment: String,
    detail_hash: String,
    issued_at: String,
    expires_at: String,
    agent_id: String,
    statement_timeout_secs: u64,
    lock_timeout_secs: u64,
    dialect: String,
    #[serde(default)]
    epoch: u64,
    signature_v2: String,
}

impl RehearsalJson {
    fn claims(&self) -> Option<RehearsalClaims> {
        Some(RehearsalClaims {
            request_id: self.request_id.clone(),
            rehearsal_id: self.rehearsal_id.clone(),
            database: self.database.clone(),
            environment: self.environment.clone(),
            detail_hash: self.detail_hash.clone(),
            issued_at: Timestamp::parse(&self.issued_at)?,
            expires_at: Timestamp::parse(&self.expires_at)?,
            agent_id: self.agent_id.clone(),
            statement_timeout_secs: self.statement_timeout_secs,
            lock_timeout_secs: self.lock_timeout_secs,
            dialect: DialectFact::parse(&self.dialect)?,
            epoch: self.epoch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::execution_token;
    use crate::domain::id::Operation;
    use serde_json::Value;

    fn claims() -> RehearsalClaims {
        RehearsalClaims {
            request_id: "request".to_owned(),
            rehearsal_id: "rehearsal".to_owned(),
            database: "shop".to_owned(),
            environment: "production".to_owned(),
            detail_hash: "0".repeat(64),
            issued_at: Timestamp(1_000),
            expires_at: Timestamp(61_000),
            agent_id: "agent".to_owned(),
            statement_timeout_secs: 10,
            lock_timeout_secs: 2,
            dialect: DialectFact::Known(Dialect::Sqlite),
            epoch: 3,
        }
    }

    fn verified(token: &str, key: &PublicKey, now: i64) -> Result<RehearsalClaims, TokenError> {
        let claims = claims();
        let expected = ExpectedRehearsal {
            request_id: &claims.request_id,
            rehearsal_id: &claims.rehearsal_id,
            database: &claims.database,
            environment: &claims.environment,
            detail_hash: &claims.detail_hash,
            agent_id: &claims.agent_id,
            dialect: Dialect::Sqlite,
        };
        verify(token, key, Timestamp(now), &expected)
    }

    #[test]
    fn every_claim_of_a_rehearsal_is_bound() {
        let key = Keypair::from_seed([7; 32]);
        let token = sign(&claims(), &key);
        assert_eq!(verified(&token, &key.public(), 61_000), Ok(claims()));
        let late = verified(&token, &key.public(), 61_001);
        assert_eq!(late, Err(TokenError::Expired));
        let other = Keypair::from_seed([8; 32]);
        let forged = verified(&token, &other.public(), 1_000);
        assert_eq!(forged, Err(TokenError::BadSignature));
        let whole: Value = serde_json::from_str(&token).unwrap();
        let members = whole.as_object().unwrap();
        assert_eq!(members.len(), 14);
        for (name, value) in members {
            let mut edited = whole.clone();
            edited[name] = match value {
                Value::Number(n) => (n.as_u64().unwrap() + 1).into(),
                Value::String(text) if name == "dialect" => text.replace("sqlite", "mysql").into(),
                Value::String(text) if name.ends_with("_at") => text.replace("00:", "01:").into(),
                Value::String(text) => format!("{text}0").into(),
                other => panic!("{other}"),
            };
            let result = verified(&edited.to_string(), &key.public(), 1_000);
            assert!(result.is_err(), "{name}");
        }
        // Nor may the epoch be left out.
        let mut edited = whole.clone();
        edited.as_object_mut().unwrap().remove("epoch");
        let result = verified(&edited.to_string(), &key.public(), 1_000);
        assert_eq!(result, Err(TokenError::BadSignature));
    }

    #[test]
    fn without_an_epoch_the_token_says_none() {
        let key = Keypair::from_seed([7; 32]);
        let token = sign(
            &RehearsalClaims {
                epoch: 0,
                ..claims()
            },
            &key,
        );
        assert!(!token.contains("epoch"), "{token}");
        let read = verified(&token, &key.public(), 1_000).unwrap();
        assert_eq!(read.epoch, 0);
    }

    #[test]
    fn a_rehearsal_token_is_never_an_execution_token() {
        let key = Keypair::from_seed([7; 32]);
        let rehearsal: Value = serde_json::from_str(&sign(&claims(), &key)).unwrap();
        // What existing agents verify is not there at all.
        assert!(rehearsal.get("signature").is_none());
        let claims = claims();
        let execution = execution_token::ExecutionClaims {
            request_id: claims.request_id.clone(),
            execution_id: claims.rehearsal_id.clone(),
            operation: Operation::ExecuteDml,
            database: claims.database.clone(),
            environment: claims.environment.clone(),
            detail_hash: claims.detail_hash.clone(),
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            requester_role: "developer".to_owned(),
            requester_subject_id: "requester".to_owned(),
            agent_id: claims.agent_id.clone(),
            statement_timeout_secs: 10,
            max_rows: None,
            max_affected_rows: None,
            lock_timeout_secs: 2,
            policy_version: "policy".to_owned(),
            dialect: claims.dialect,
            epoch: 0,
        };
        let token = execution_token::sign(&execution, &key);
        // Dressed up as a rehearsal, an execution's signature does not hold, nor the other way round.
        let mut dressed: Value = serde_json::from_str(&token).unwrap();
        let bound = dressed["signature_v2"].clone();
        dressed["signature_v2"] = rehearsal["signature_v2"].clone();
        let expected = execution_token::Expected {
            request_id: &execution.request_id,
            execution_id: &execution.execution_id,
            operation: execution.operation,
            database: &execution.database,
            environment: &execution.environment,
            detail_hash: &execution.detail_hash,
            agent_id: &execution.agent_id,
            dialect: Dialect::Sqlite,
        };
        let now = Timestamp(1_000);
        let as_execution =
            execution_token::verify(&dressed.to_string(), &key.public(), now, &expected);
        assert_eq!(as_execution, Err(TokenError::BadSignature));
        let mut undressed = rehearsal.clone();
        undressed["signature_v2"] = bound;
        let as_rehearsal = verified(&undressed.to_string(), &key.public(), 1_000);
        assert_eq!(as_rehearsal, Err(TokenError::BadSignature));
    }
}
