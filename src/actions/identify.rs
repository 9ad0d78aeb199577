//! Who is asking: turns a bearer token into a caller with the rights of this moment.
//!
//! Tokens of ours are here, those of an identity provider in `oidc`, the sessions of browsers in `session`. Ours are looked up by the SHA-256 of their secret.
//! What was found is remembered until anything about tokens, people or policies changes; a write reads it again inside
//! its transaction all the same.

mod oidc;
mod session;
mod slack;

pub use oidc::{ConsoleSignIn, Provider, SignIn};
pub(super) use oidc::{Rejection, id_token, kept_changes};
pub use slack::by_slack;
pub(super) use slack::slack_link_counts;

use super::App;
use crate::clock::Timestamp;
use crate::crypto::{same, sha256_hex};
use crate::domain::actor::{Caller, Origin, SubjectType};
use crate::domain::permission::Rights;
use crate::domain::token::{SECRET_PREFIX, StoredToken};
use crate::error::Error;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Longest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 256;
/// Callers remembered; beyond it the memory starts anew, which costs look-ups only.
const REMEMBERED_MAX: usize = 10_000;
/// A token's last use is noted this often at most.
const NOTE_USE_EVERY_MS: i64 = 30_000;

/// Hashes remembered that no token has; beyond it the memory starts anew.
const UNKNOWN_MAX: usize = 10_000;

/// Callers as they were last looked up.
#[derive(Default)]
pub struct CallerCache {
    epoch: AtomicU64,
    callers: Mutex<HashMap<String, Arc<CachedCaller>>>,
    /// Hashes that no token had, each with the epoch in which that was so.
    unknown: Mutex<HashMap<String, u64>>,
    sessions: session::SessionCache,
}

/// What a call presents of who makes it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Presented<'a> {
    /// An `Authorization` header; where there is one, nothing else counts.
    pub authorization: Option<&'a str>,
    /// The secret of a browser's session.
    pub session: Option<&'a str>,
    /// Whether somebody is at the browser: what it does by itself keeps no session from being idle.
    pub is_use: bool,
}

impl<'a> Presented<'a> {
    /// An `Authorization` header alone.
    pub fn header(authorization: &'a str) -> Presented<'a> {
        Presented {
            authorization: Some(authorization),
            ..Presented::default()
        }
    }
}

struct CachedCaller {
    epoch: u64,
    generation: u64,
    stored: StoredToken,
    rights: Rights,
    groups: BTreeSet<String>,
    noted_ms: AtomicI64,
}

impl CallerCache {
    /// Forgets everybody: tokens or people changed.
    pub fn forget(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts up whenever tokens or people changed.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    fn find(&self, hash: &str, epoch: u64, generation: u64) -> Option<Arc<CachedCaller>> {
        let callers = self.callers.lock().unwrap_or_else(|e| e.into_inner());
        callers
            .get(hash)
            .filter(|r| r.epoch == epoch && r.generation == generation)
            .cloned()
    }

    fn is_unknown(&self, hash: &str, epoch: u64) -> bool {
        let unknown = self.unknown.lock().unwrap_or_else(|e| e.into_inner());
        unknown.get(hash) == Some(&epoch)
    }

    fn keep_unknown(&self, hash: &str, epoch: u64) {
        let mut unknown = self.unknown.lock().unwrap_or_else(|e| e.into_inner());
        if unknown.len() >= UNKNOWN_MAX {
            unknown.clear();
        }
        unknown.insert(hash.to_owned(), epoch);
    }

    fn keep(&self, hash: String, remembered: Arc<CachedCaller>) {
        let mut callers = self.callers.lock().unwrap_or_else(|e| e.into_inner());
        if callers.len() >= REMEMBERED_MAX {
            callers.clear();
        }
        callers.insert(hash, remembered);
    }
}

/// The caller of what a call presents.
///
/// # Errors
/// `unauthenticated`, in the same words whatever is wrong; what it was is counted. `unavailable` for a token of an
/// identity provider that cannot be reached.
pub fn authenticate(app: &App, presented: Presented, origin: Origin) -> Result<Caller, Error> {
    let now = app.clock.now();
    let failed = |reason| {
        failed(app, origin.client_ip.as_deref(), reason);
        Error::unauthenticated()
    };
    let decided = |rejected: oidc::Rejection| match rejected {
        oidc::Rejection::Refused(reason) => failed(reason),
        oidc::Rejection::Failed(error) => error,
    };
    let header = match (presented.authorization, presented.session) {
        (Some(header), _) => header,
        (None, Some(secret)) => {
            let found = session::caller(app, secret, presented.is_use, origin.clone(), now);
            return found.map_err(decided);
        }
        (None, None) => {
            app.metrics.auth_failures.inc(&["missing"]);
            return Err(Error::unauthenticated());
        }
    };
    let Some(secret) = bearer(header) else {
        return Err(failed("malformed"));
    };
    if secret.starts_with(oidc::PREFIX) {
        return oidc::caller(app, secret, origin.clone(), now).map_err(decided);
    }
    if !is_ours(secret) {
        return Err(failed("malformed"));
    }
    let hash = sha256_hex(secret.as_bytes());
    let Some(known) = look_up(app, &hash)? else {
        return Err(failed("unknown"));
    };
    if let Some(rejection_reason) = known.stored.rejection_reason(now) {
        return Err(failed(rejection_reason));
    }
    let is_person = known.stored.token.subject_type == SubjectType::User;
    if is_person && !app.sign_in.mode.takes_tokens() {
        return Err(failed("mode"));
    }
    note_use(app, &known, now);
    let mut groups = known.groups.clone();
    if is_person {
        let on_call = app.on_call(now);
        let subject = &known.stored.token.subject_id;
        groups.extend(on_call.groups_of(subject).map(str::to_owned));
    }
    Ok(Caller {
        subject: known.stored.token.subject_id.clone(),
        kind: known.stored.token.subject_type,
        token_id: Some(known.stored.token.id.clone()),
        session_id: None,
        slack_linked_with: None,
        token_issuer: Some(known.stored.token.issuer.clone()),
        token_issuers: known.stored.token.issuers.clone(),
        bound_to: known.stored.token.bound_to.clone(),
        rights: known.rights.clone(),
        groups,
        generation: known.generation,
        expires_at: known.stored.token.expires_at,
        origin,
    })
}

/// Counts that a call was not authenticated, under its client's address where that is known.
pub fn failed(app: &App, address: Option<&str>, reason: &'static str) {
    app.metrics.auth_failures.inc(&[reason]);
    if let Some(address) = address {
        app.caches.refusals.note_failure(address, reason);
    }
}

/// What is known of credentials at once, without a call to the identity provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognized {
    /// They are valid, and of a subject of that type.
    As(SubjectType),
    /// They are not valid.
    Nobody,
    /// Only [`authenticate`] can decide.
    Undecided,
}

/// Whether what a call presents is worth reading a body for. Nothing is counted or audited here: a call that is
/// refused comes to [`authenticate`] without its body.
pub fn recognize(app: &App, presented: Presented) -> Recognized {
    let now = app.clock.now();
    if let (None, Some(secret)) = (presented.authorization, presented.session) {
        return session::recognize(app, secret, now);
    }
    let Some(secret) = presented.authorization.and_then(bearer) else {
        return Recognized::Nobody;
    };
    if secret.starts_with(oidc::PREFIX) {
        return oidc::recognize(app, secret, now);
    }
    if !is_ours(secret) {
        return Recognized::Nobody;
    }
    match look_up(app, &sha256_hex(secret.as_bytes())) {
        Ok(Some(known)) if known.stored.counts(now) => match known.stored.token.subject_type {
            SubjectType::User if !app.sign_in.mode.takes_tokens() => Recognized::Nobody,
            kind => Recognized::As(kind),
        },
        Ok(_) => Recognized::Nobody,
        Err(_) => Recognized::Undecided,
    }
}

/// The secret of a `Bearer` header; the scheme is matched without regard to case.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, secret) = header.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| secret.trim_matches(' '))
}

/// Whether a secret may be one of ours.
fn is_ours(secret: &str) -> bool {
    secret.starts_with(SECRET_PREFIX)
        && secret.is_ascii()
        && (12..=TOKEN_BYTES_MAX).contains(&secret.len())
}

fn look_up(app: &App, hash: &str) -> Result<Option<Arc<CachedCaller>>, Error> {
    // Both numbers are read before the database, so that a change in between makes the entry stale, never fresh.
    let epoch = app.caches.identities.epoch();
    let active = app.active();
    if let Some(known) = app.caches.identities.find(hash, epoch, active.generation) {
        return Ok(Some(known));
    }
    if app.caches.identities.is_unknown(hash, epoch) {
        return Ok(None);
    }
    let Some(stored) = app.store.read(|view| view.find_token_by_hash(hash))? else {
        app.caches.identities.keep_unknown(hash, epoch);
        return Ok(None);
    };
    if !same(stored.token.hash.as_bytes(), hash.as_bytes()) {
        return Ok(None);
    }
    let (rights, groups) = stored.token.grant().rights(&active.policies);
    let known = Arc::new(CachedCaller {
        epoch,
        generation: active.generation,
        stored,
        rights,
        groups,
        noted_ms: AtomicI64::new(0),
    });
    app.caches
        .identities
        .keep(hash.to_owned(), Arc::clone(&known));
    Ok(Some(known))
}

fn note_use(app: &App, known: &CachedCaller, now: Timestamp) {
    let noted = known.noted_ms.load(Ordering::Relaxed);
    if now.0 - noted >= NOTE_USE_EVERY_MS {
        known.noted_ms.store(now.0, Ordering::Relaxed);
        app.store
            .token_used(&known.stored.token.id, &known.stored.token.subject_id, now);
    }
}
