//! People who signed in to the console: the session of a browser, with the rights that its claims, bindings and
//! defaults give now.

use super::{CallerCache, Recognized, oidc};
use crate::actions::App;
use crate::clock::Timestamp;
use crate::crypto::{same, sha256_hex};
use crate::domain::actor::{Caller, Origin, SubjectType};
use crate::domain::session::StoredSession;
use crate::error::Error;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

/// Sessions remembered; beyond it remembering starts anew, which costs look-ups only.
const REMEMBERED_MAX: usize = 10_000;
/// A session's last use is noted this often at most.
const NOTE_USE_EVERY_MS: i64 = 30_000;
/// Longest secret that is looked at, in bytes; ours have 64.
const SECRET_BYTES_MAX: usize = 128;

/// Sessions as they were last looked up, by the hash of their secret.
#[derive(Default)]
pub(super) struct SessionCache(Mutex<HashMap<String, Arc<CachedSession>>>);

struct CachedSession {
    epoch: u64,
    generation: u64,
    stored: StoredSession,
    /// The caller, but for where the call comes from.
    caller: Caller,
    used_ms: AtomicI64,
    noted_ms: AtomicI64,
}

impl SessionCache {
    fn find(&self, hash: &str, epoch: u64, generation: u64) -> Option<Arc<CachedSession>> {
        let sessions = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let found = sessions.get(hash);
        found
            .filter(|s| s.epoch == epoch && s.generation == generation)
            .cloned()
    }

    fn keep(&self, hash: &str, session: Arc<CachedSession>) {
        let mut sessions = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if sessions.len() >= REMEMBERED_MAX {
            sessions.clear();
        }
        sessions.insert(hash.to_owned(), session);
    }
}

/// The caller of a session; a call that `is_use` keeps it from being idle.
pub(super) fn caller(
    app: &App,
    secret: &str,
    is_use: bool,
    origin: Origin,
    now: Timestamp,
) -> Result<Caller, oidc::Rejection> {
    use oidc::Rejection::Refused;
    let Some(known) = look_up(app, secret)? else {
        return Err(Refused("session_unknown"));
    };
    if !known.stored.subject_active {
        return Err(Refused("suspended"));
    }
    let used = Timestamp(known.used_ms.load(Ordering::Relaxed));
    if known.stored.over(used, now).is_some() {
        return Err(Refused("session_over"));
    }
    if is_use {
        note_use(app, &known, now);
    }
    let mut caller = Caller {
        origin,
        ..known.caller.clone()
    };
    let on_call = app.on_call(now);
    let duties = on_call.groups_of(&caller.subject).map(str::to_owned);
    caller.groups.extend(duties);
    Ok(caller)
}

/// What is known of a session at once.
pub(super) fn recognize(app: &App, secret: &str, now: Timestamp) -> Recognized {
    match look_up(app, secret) {
        Ok(Some(known)) => {
            let used = Timestamp(known.used_ms.load(Ordering::Relaxed));
            match known.stored.subject_active && known.stored.over(used, now).is_none() {
                true => Recognized::As(SubjectType::User),
                false => Recognized::Nobody,
            }
        }
        Ok(None) => Recognized::Nobody,
        Err(_) => Recognized::Undecided,
    }
}

fn look_up(app: &App, secret: &str) -> Result<Option<Arc<CachedSession>>, Error> {
    let Some(issuer) = app.sign_in.session_issuer() else {
        return Ok(None);
    };
    if secret.len() > SECRET_BYTES_MAX {
        return Ok(None);
    }
    let hash = sha256_hex(secret.as_bytes());
    // Both numbers are read before the database, so that a change in between makes the entry stale, never fresh.
    let identities: &CallerCache = &app.caches.identities;
    let epoch = identities.epoch();
    let active = app.active();
    if let Some(known) = identities.sessions.find(&hash, epoch, active.generation) {
        return Ok(Some(known));
    }
    let stored = app.store.read(|view| view.find_session_by_hash(&hash))?;
    let Some(stored) = stored else {
        return Ok(None);
    };
    let session = &stored.session;
    if !same(session.hash.as_bytes(), hash.as_bytes()) || session.issuer != issuer {
        return Ok(None);
    }
    let vouched = oidc::Vouched {
        subject: &session.subject_id,
        access: &session.access,
        name: &session.name,
        email: &session.email,
    };
    let (mut caller, seen) = vouched.caller(&active, stored.started_at);
    caller.session_id = Some(session.id.clone());
    caller.expires_at = Some(session.expires_at);
    app.sign_in.note_seen(&session.subject_id, seen);
    let used = stored.last_used_at.0;
    let known = Arc::new(CachedSession {
        epoch,
        generation: active.generation,
        caller,
        used_ms: AtomicI64::new(used),
        noted_ms: AtomicI64::new(used),
        stored,
    });
    identities.sessions.keep(&hash, Arc::clone(&known));
    Ok(Some(known))
}

fn note_use(app: &App, known: &CachedSession, now: Timestamp) {
    known.used_ms.fetch_max(now.0, Ordering::Relaxed);
    let noted = known.noted_ms.load(Ordering::Relaxed);
    if now.0 - noted >= NOTE_USE_EVERY_MS {
        known.noted_ms.store(now.0, Ordering::Relaxed);
        let session = &known.stored.session;
        app.store
            .session_used(&session.id, &session.subject_id, now);
    }
}
