//! JSON Web Tokens of an identity provider: whether one is good, and what it says. Pure: it gets keys, rules and the
//! time, and returns claims or a reason.
//!
//! The token chooses nothing: the algorithm must be one of five and fit the type of a key that the provider publishes,
//! and everything in a header that would name a key elsewhere, or ask for a feature, is refused.

mod keys;
mod strict;

#[cfg(test)]
mod tests;

pub use keys::{KEY_SET_BYTES_MAX, KEYS_MAX, KeySet, KeySetError};

use crate::clock::Timestamp;
use crate::crypto::base64url;
use crate::domain::id::{Selector, is_subject};
use crate::domain::user::ClaimedAccess;
use crate::error::Error;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Longest token, in bytes; a head of the gate holds no more together with its other fields.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// How far the provider's clock may be from ours, in seconds.
pub const LEEWAY_SECS: u64 = 30;
/// Values of one claim that are looked at, at most: a person is in fewer groups that matter.
pub const VALUES_MAX: usize = 200;
/// Longest value of a claim, in bytes: such a one still fits a selector.
pub const VALUE_BYTES_MAX: usize = Selector::BYTES_MAX - "group:".len();
/// Longest id of a key, in bytes.
const KEY_ID_BYTES_MAX: usize = 1024;

/// What a token must be to count.
#[derive(Debug, Clone)]
pub struct JwtRules<'a> {
    /// `iss`, exactly.
    pub issuer: &'a str,
    /// `aud` must name one of these.
    pub audiences: &'a [String],
    /// The claim that lists groups; a name, or names with dots between them for objects in objects.
    pub groups_claim: &'a str,
    /// The claim that holds the subject's id here; `sub` has to be there in any case.
    pub subject_claim: &'a str,
    pub name_claim: &'a str,
    pub email_claim: &'a str,
    /// Further claims that somebody wants to know.
    pub claims: BTreeSet<&'a str>,
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtClaims {
    /// What the subject is called here: `sub`, or another claim.
    pub subject: String,
    /// What people call them.
    pub name: Option<String>,
    pub email: Option<String>,
    /// The groups it lists, and the values of the further claims.
    pub access: ClaimedAccess,
    /// When the token ends.
    pub expires_at: Timestamp,
    /// The sign-in that it was asked for in, where there is one.
    pub nonce: Option<String>,
}

/// Why a token does not count. For a metric; a client does not learn it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwtError {
    /// Too long, not three parts, not base64url, not JSON, a repeated key, a claim of a wrong type.
    Malformed,
    /// An algorithm other than ours; `none` and HMAC among them.
    Algorithm,
    /// A header that names a key elsewhere or asks for a feature, or a token for another purpose.
    Header,
    /// No key that fits.
    UnknownKey,
    /// The signature is not of that key.
    Signature,
    /// `iss` is not ours, or missing.
    Issuer,
    /// `aud` is not ours, or missing, or `azp` is somebody else.
    Audience,
    /// `exp` is over, or missing.
    Expired,
    /// `nbf` or `iat` is yet to come.
    NotYet,
    /// `sub` is missing, or cannot be an id.
    Subject,
}

impl JwtError {
    /// The label of a metric.
    pub fn label(self) -> &'static str {
        match self {
            JwtError::Malformed => "jwt_malformed",
            JwtError::Algorithm => "jwt_algorithm",
            JwtError::Header => "jwt_header",
            JwtError::UnknownKey => "jwt_unknown_key",
            JwtError::Signature => "jwt_signature",
            JwtError::Issuer => "jwt_issuer",
            JwtError::Audience => "jwt_audience",
            JwtError::Expired => "jwt_expired",
            JwtError::NotYet => "jwt_not_yet",
            JwtError::Subject => "jwt_subject",
        }
    }

    /// What a token of the provider has to be and this one is not, in words for the log of those who set the server up.
    /// Holds nothing that the token says.
    pub fn expectation(self, rules: &JwtRules) -> String {
        let issuer = rules.issuer;
        match self {
            JwtError::Malformed => "it is not a JSON Web Token".to_owned(),
            JwtError::Algorithm => {
                "its `alg` is not one of RS256, RS384, RS512, ES256, ES384".to_owned()
            }
            JwtError::Header => {
                "its header names a key or asks for a feature, or it is a token for another purpose"
                    .to_owned()
            }
            JwtError::UnknownKey => format!("its key is not one that `{issuer}` publishes"),
            JwtError::Signature => {
                format!("its signature was not made with the key of `{issuer}` that it names")
            }
            JwtError::Issuer => format!("its `iss` is not `{issuer}` ([auth.oidc] issuer)"),
            JwtError::Audience => format!(
                "its `aud` is not for `{}` ([auth.oidc] client_id, audience)",
                rules.audiences.join("`, `")
            ),
            JwtError::Expired => "its `exp` is missing or over; compare the clocks".to_owned(),
            JwtError::NotYet => "its `nbf` or `iat` is yet to come; compare the clocks".to_owned(),
            JwtError::Subject => format!(
                "its `{}` ([auth.oidc] subject_claim) or `sub` is missing or is not valid as an id",
                rules.subject_claim
            ),
        }
    }
}

/// Where the keys of the provider come from.
pub trait KeySource: Send + Sync {
    /// The keys that are there and may be used now; never waits.
    fn kept(&self) -> Option<Arc<KeySet>>;

    /// The keys that may be used now.
    ///
    /// # Errors
    /// `unavailable` when the provider cannot be reached and no keys are kept that are fresh enough.
    fn keys(&self) -> Result<Arc<KeySet>, Error>;

    /// Keys beyond `seen`, in which a token found none: asks the provider again, if that was not done just now.
    /// `None` when there are none.
    ///
    /// # Errors
    /// `unavailable` when the provider does not answer, so that nobody can tell whether it has such a key.
    fn newer(&self, seen: &Arc<KeySet>) -> Result<Option<Arc<KeySet>>, Error>;
}

/// Checks a token, its signature before anything it claims.
///
/// # Errors
/// The first reason why it does not count.
pub fn verify(
    token: &str,
    keys: &KeySet,
    rules: &JwtRules,
    now: Timestamp,
) -> Result<JwtClaims, JwtError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(JwtError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
    let (head, payload) = signed.split_once('.').ok_or(JwtError::Malformed)?;
    let part = |text: &str| base64url(text).ok_or(JwtError::Malformed);
    // A payload with a dot in it is not base64, so there are three parts.
    let (head, payload, signature) = (part(head)?, part(payload)?, part(signature)?);
    let head = strict::object(&head).ok_or(JwtError::Malformed)?;
    is_plain(&head)?;
    let algorithm = text(&head, "alg")?
        .and_then(keys::algorithm)
        .ok_or(JwtError::Algorithm)?;
    let key_id = text(&head, "kid")?;
    if key_id.is_some_and(|id| id.len() > KEY_ID_BYTES_MAX) {
        return Err(JwtError::Malformed);
    }
    let fitting = keys.fitting(key_id, algorithm);
    if fitting.is_empty() {
        return Err(JwtError::UnknownKey);
    }
    let made_by =
        |key: &&crate::crypto::JwsKey| key.verifies(algorithm, signed.as_bytes(), &signature);
    if !fitting.iter().any(made_by) {
        return Err(JwtError::Signature);
    }
    let claims = strict::object(&payload).ok_or(JwtError::Malformed)?;
    judge(&claims, rules, now)
}

/// Refuses headers that say where a key is, bring one along, or want to be understood; and tokens of another purpose,
/// such as those that end a session.
fn is_plain(head: &Map<String, Value>) -> Result<(), JwtError> {
    const FOREIGN: [&str; 8] = ["crit", "jku", "jwk", "x5u", "x5c", "enc", "zip", "cty"];
    if FOREIGN.iter().any(|name| head.contains_key(*name)) {
        return Err(JwtError::Header);
    }
    if head.get("b64").is_some_and(|b64| *b64 != Value::Bool(true)) {
        return Err(JwtError::Header);
    }
    let Some(kind) = text(head, "typ")? else {
        return Ok(());
    };
    let kind = kind.to_ascii_lowercase();
    let bare = kind.strip_prefix("application/").unwrap_or(&kind);
    match bare {
        "jwt" | "at+jwt" => Ok(()),
        _ => Err(JwtError::Header),
    }
}

fn judge(
    claims: &Map<String, Value>,
    rules: &JwtRules,
    now: Timestamp,
) -> Result<JwtClaims, JwtError> {
    if text(claims, "iss")? != Some(rules.issuer) {
        return Err(JwtError::Issuer);
    }
    is_for_us(claims, rules)?;
    let expires_at = time(claims, "exp")?.ok_or(JwtError::Expired)?;
    if expires_at.plus_secs(LEEWAY_SECS) <= now {
        return Err(JwtError::Expired);
    }
    for name in ["nbf", "iat"] {
        if time(claims, name)?.is_some_and(|at| at > now.plus_secs(LEEWAY_SECS)) {
            return Err(JwtError::NotYet);
        }
    }
    let required = text(claims, "sub")?.ok_or(JwtError::Subject)?;
    let subject = match rules.subject_claim {
        "sub" => Some(required),
        name => find(claims, name).and_then(Value::as_str),
    };
    let subject = subject
        .filter(|subject| is_subject(subject))
        .ok_or(JwtError::Subject)?;
    let shown = |name: &str| {
        let value = find(claims, name).and_then(Value::as_str);
        value.filter(|text| is_value(text)).map(str::to_owned)
    };
    // An address that its provider does not vouch for may be somebody else's.
    let is_unverified = match claims.get("email_verified") {
        Some(Value::Bool(verified)) => !verified,
        Some(Value::String(verified)) => verified == "false",
        _ => false,
    };
    Ok(JwtClaims {
        subject: subject.to_owned(),
        name: shown(rules.name_claim),
        email: shown(rules.email_claim).filter(|_| !is_unverified),
        access: ClaimedAccess {
            groups: values(claims, rules.groups_claim),
            values: rules
                .claims
                .iter()
                .map(|name| ((*name).to_owned(), values(claims, name)))
                .collect(),
        },
        expires_at,
        nonce: text(claims, "nonce")?.map(str::to_owned),
    })
}

/// `aud` names us; where it names others too, `azp`, if it is there, must be us.
fn is_for_us(claims: &Map<String, Value>, rules: &JwtRules) -> Result<(), JwtError> {
    let ours = |name: &str| rules.audiences.iter().any(|a| a == name);
    let named: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(list)) => list
            .iter()
            .map(|name| name.as_str().ok_or(JwtError::Malformed))
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(JwtError::Malformed),
        None => Vec::new(),
    };
    let party = text(claims, "azp")?;
    let is_shared = named.len() > 1;
    if !named.into_iter().any(ours) || (is_shared && party.is_some_and(|p| !ours(p))) {
        return Err(JwtError::Audience);
    }
    Ok(())
}

/// A string that may be absent.
fn text<'a>(map: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, JwtError> {
    match map.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwtError::Malformed),
    }
}

/// Seconds since 1970, whole or not, that may be absent.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, JwtError> {
    /// Seconds to the year 9999: beyond it is a mistake, not a time.
    const SECS_MAX: f64 = 253_402_300_799.0;
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let secs = value.as_f64().ok_or(JwtError::Malformed)?;
    if !(0.0..=SECS_MAX).contains(&secs) {
        return Err(JwtError::Malformed);
    }
    Ok(Some(Timestamp((secs * 1000.0) as i64)))
}

/// Whether a text can be a name.
fn is_value(text: &str) -> bool {
    (1..=VALUE_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// The strings of a claim: itself, or those in its list. What cannot be a name is left out.
fn values(claims: &Map<String, Value>, name: &str) -> BTreeSet<String> {
    let list = match find(claims, name) {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    list.iter()
        .take(VALUES_MAX)
        .filter_map(Value::as_str)
        .filter(|text| is_value(text))
        .map(str::to_owned)
        .collect()
}

/// The claim of that name. Names may have dots in them, as URLs do; where none has, the dots lead into objects.
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    let mut value = claims.get(first)?;
    for step in rest.split('.') {
        value = value.as_object()?.get(step)?;
    }
    Some(value)
}
