//! Sessions of the console: signing in through the identity provider, looking at one's own, and ending them.

use super::App;
use super::descendants::Descendants;
use super::identify::{ConsoleSignIn, Rejection, id_token, kept_changes};
use super::slack_links::unlinked;
use crate::address::network_of;
use crate::clock::Timestamp;
use crate::crypto::{hex, random, same, sha256_hex, uuid};
use crate::domain::actor::{Actor, Caller, Origin, SubjectType};
use crate::domain::change::{Change, IdentityChange};
use crate::domain::session::{
    ConsoleSession, SESSION_SECS_MAX, SESSIONS_PER_PERSON_MAX, SessionEnd, StoredSession,
};
use crate::domain::sign_in::{CodeGrant, ExchangedCode, SIGN_IN_SECS_MAX, SignInAttempt};
use crate::error::{Error, ErrorKind};
use crate::store::{Verdict, View};
use std::sync::Arc;

/// Sign-ins of one address in a minute, begun and come back: many people may share an address.
const ATTEMPTS_PER_MINUTE: u64 = 60;
/// Sign-ins remembered because they came back; further ones have to wait.
const USED_MAX: usize = 10_000;
/// Sessions that are looked at in one turn; more take several.
const OVER_AT_ONCE: u32 = 200;

/// Buckets of sign-ins, by address.
pub(super) fn rates(minute_ms: u32) -> super::rates::Rates {
    super::rates::Rates::new(ATTEMPTS_PER_MINUTE, minute_ms)
}

/// Where somebody is sent to sign in, and what their browser keeps until they come back.
pub struct Begun {
    pub authorization_endpoint: String,
    pub client_id: String,
    pub scopes: Vec<String>,
    pub state: String,
    pub nonce: String,
    pub challenge: String,
    pub cookie: String,
}

/// What came back from the provider with somebody.
#[derive(Debug, Clone, Copy)]
pub struct CameBack<'a> {
    /// What their browser kept.
    pub cookie: Option<&'a str>,
    pub state: Option<&'a str>,
    pub code: Option<&'a str>,
    /// What the provider says that it is.
    pub issuer: Option<&'a str>,
    pub redirect_uri: &'a str,
}

/// A session that has begun; the only time its secret is seen.
pub struct SignedIn {
    pub secret: String,
    /// The address within the console that the sign-in leads back to.
    pub return_to: String,
}

/// Why nobody is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInFailure {
    /// The browser has no sign-in under way, or not any more.
    Expired,
    /// The answer is to another sign-in, or was used before.
    Foreign,
    /// The provider let nobody in, or did not take its code back.
    Denied,
    /// The ID token does not count.
    Token,
    Suspended,
    /// The provider does not know this server.
    Client,
    /// The provider, or we, cannot now.
    Unavailable,
}

impl SignInFailure {
    /// Its name in addresses and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            SignInFailure::Expired => "expired",
            SignInFailure::Foreign => "foreign",
            SignInFailure::Denied => "denied",
            SignInFailure::Token => "token",
            SignInFailure::Suspended => "suspended",
            SignInFailure::Client => "client",
            SignInFailure::Unavailable => "unavailable",
        }
    }
}

/// The sign-in by browser, where it is configured.
pub struct SignInByBrowser<'a> {
    app: &'a Arc<App>,
    console: &'a ConsoleSignIn,
}

/// The sign-in by browser.
///
/// # Errors
/// 404 where nobody does.
pub fn by_browser(app: &Arc<App>) -> Result<SignInByBrowser<'_>, Error> {
    let found = app.sign_in.browser.as_ref();
    let console = found
        .filter(|_| app.sign_in.mode.takes_oidc())
        .ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "not_found",
                "nobody signs in here by browser",
            )
            .hint("[auth.oidc] of server.toml needs a `client_id`, and people https")
        })?;
    Ok(SignInByBrowser { app, console })
}

/// Refuses an address, or IPv6 network, that begins, or comes back from, more sign-ins than people do.
///
/// # Errors
/// 429 `rate_limited`.
pub fn within_rate(app: &App, origin: &Origin) -> Result<(), Error> {
    let address = origin.client_ip.as_deref().unwrap_or("-");
    let taken = (app.caches.sign_ins).take(&network_of(address), 1, app.clock.now());
    taken.map_err(|secs| {
        let message = "too many sign-ins from this address";
        Error::new(ErrorKind::TooMany, "rate_limited", message).retry_after(secs)
    })
}

impl SignInByBrowser<'_> {
    /// Begins a sign-in that leads back to `return_to`.
    ///
    /// # Errors
    /// `unavailable` when the provider cannot be reached.
    pub fn begin(&self, return_to: String) -> Result<Begun, Error> {
        let console = self.console;
        let attempt = SignInAttempt {
            id: hex(&random::<16>()),
            expires_at: self.app.clock.now().plus_secs(SIGN_IN_SECS_MAX),
            return_to,
        };
        let key = &console.key;
        Ok(Begun {
            authorization_endpoint: console.exchange.authorization_endpoint()?,
            client_id: console.client_id.clone(),
            scopes: console.scopes.clone(),
            state: attempt.state(key),
            nonce: attempt.nonce(key),
            challenge: attempt.challenge(key),
            cookie: attempt.cookie(key),
        })
    }

    /// Ends a sign-in with a session.
    ///
    /// # Errors
    /// Why there is none.
    pub fn finish(&self, back: &CameBack, origin: Origin) -> Result<SignedIn, SignInFailure> {
        let done = signed_in(self.app, self.console, back, origin);
        let outcome = match &done {
            Ok(_) => "ok",
            Err(failure) => failure.as_str(),
        };
        self.app.metrics.sign_ins.inc(&[outcome]);
        done
    }
}

fn signed_in(
    app: &Arc<App>,
    browser: &ConsoleSignIn,
    back: &CameBack,
    origin: Origin,
) -> Result<SignedIn, SignInFailure> {
    let (key, now) = (&browser.key, app.clock.now());
    let attempt = back.cookie.and_then(|c| SignInAttempt::read(c, key, now));
    let attempt = attempt.ok_or(SignInFailure::Expired)?;
    let state = back.state.unwrap_or_default();
    let expected = app.sign_in.issuer_and_client().map(|(issuer, _)| issuer);
    let is_issuer = back.issuer.is_none_or(|named| expected == Some(named));
    if !same(state.as_bytes(), attempt.state(key).as_bytes()) || !is_issuer {
        return Err(SignInFailure::Foreign);
    }
    if browser.is_used(&attempt) {
        return Err(SignInFailure::Foreign);
    }
    let grant = CodeGrant {
        code: back.code.ok_or(SignInFailure::Denied)?,
        verifier: &attempt.verifier(key),
        redirect_uri: back.redirect_uri,
    };
    let token = browser.exchange.id_token(&grant);
    let token = token.map_err(|_| SignInFailure::Unavailable)?;
    let token = match token {
        ExchangedCode::IdToken(token) => token,
        ExchangedCode::CodeRefused => return Err(SignInFailure::Denied),
        ExchangedCode::ClientRefused => return Err(SignInFailure::Client),
    };
    browser.use_up(&attempt, now)?;
    let vouched = id_token(app, &token, &attempt.nonce(key), now);
    let (claims, issuer) = vouched.map_err(|rejected| match rejected {
        Rejection::Refused(reason) => {
            app.metrics.auth_failures.inc(&[reason]);
            SignInFailure::Token
        }
        Rejection::Failed(_) => SignInFailure::Unavailable,
    })?;
    let secret = hex(&random::<32>());
    let session = ConsoleSession {
        id: uuid(),
        subject_id: claims.subject,
        hash: sha256_hex(secret.as_bytes()),
        issuer,
        access: claims.access,
        name: claims.name,
        email: claims.email,
        expires_at: now.plus_secs(SESSION_SECS_MAX),
    };
    start(app, session, origin)?;
    Ok(SignedIn {
        secret,
        return_to: attempt.return_to,
    })
}

impl ConsoleSignIn {
    /// Whether a sign-in has come back before.
    fn is_used(&self, attempt: &SignInAttempt) -> bool {
        let used = self.used.lock().unwrap_or_else(|e| e.into_inner());
        used.contains_key(&attempt.id)
    }

    /// Notes that a sign-in came back with a code that the provider took; of one that did before, nothing comes. What
    /// anybody sends without one is not noted, so that strangers do not use up the room.
    fn use_up(&self, attempt: &SignInAttempt, now: Timestamp) -> Result<(), SignInFailure> {
        let mut used = self.used.lock().unwrap_or_else(|e| e.into_inner());
        if used.len() >= USED_MAX {
            used.retain(|_, until| now < *until);
        }
        if used.contains_key(&attempt.id) {
            return Err(SignInFailure::Foreign);
        }
        if used.len() >= USED_MAX {
            return Err(SignInFailure::Unavailable);
        }
        used.insert(attempt.id.clone(), attempt.expires_at);
        Ok(())
    }
}

/// Writes the session, the person where they are new, and the end of the one that has to make room.
fn start(app: &Arc<App>, session: ConsoleSession, origin: Origin) -> Result<(), SignInFailure> {
    let actor = Actor {
        id: session.subject_id.clone(),
        kind: SubjectType::User.as_str(),
        origin,
        ..Actor::system()
    };
    let started = app.store.change(actor, move |view, now| {
        let mut changes: Vec<Change> = Vec::new();
        let known = view.find_user(&session.subject_id)?;
        match &known {
            None => {
                let id = session.subject_id.clone();
                changes.push(IdentityChange::UserCreated { id }.into());
            }
            Some(user) if user.subject_type != SubjectType::User => {
                return Ok(Verdict::Same(Err(SignInFailure::Token)));
            }
            Some(user) if !user.active => {
                return Ok(Verdict::Same(Err(SignInFailure::Suspended)));
            }
            Some(_) => {}
        }
        let email = session.email.as_deref();
        let access = &session.access;
        changes.extend(kept_changes(
            known.as_ref(),
            &session.subject_id,
            email,
            access,
            now,
        ));
        let held = view.sessions_of(&session.subject_id)?;
        let room = SESSIONS_PER_PERSON_MAX.saturating_sub(1);
        for old in &held[..held.len().saturating_sub(room)] {
            changes.extend(ended(view, old, SessionEnd::Replaced)?);
        }
        changes.push(IdentityChange::SessionStarted(session).into());
        Ok(Verdict::Write(changes, Ok(())))
    });
    started.map_err(|error| {
        log::error!("a session could not be written: {error}");
        SignInFailure::Unavailable
    })?
}

/// The end of a session, and of the tokens that its person issued in it for themselves.
fn ended(view: &View, stored: &StoredSession, why: SessionEnd) -> Result<Vec<Change>, Error> {
    let session = &stored.session;
    let descendants = Descendants::of_session(view, &session.id)?;
    let tokens = descendants.ended.iter().map(|t| t.token.id.clone());
    let mut changes = vec![Change::from(IdentityChange::SessionEnded {
        id: session.id.clone(),
        subject_id: session.subject_id.clone(),
        why,
        ended: tokens.collect(),
    })];
    changes.extend(descendants.revocations(None).map(Change::from));
    changes.extend(unlinked(view, descendants.ended_tokens())?);
    Ok(changes)
}

/// The ends of all sessions of somebody who is suspended; their tokens end by that itself.
pub(super) fn suspended(view: &View, subject: &str) -> Result<Vec<Change>, Error> {
    let ends = view.sessions_of(subject)?.into_iter().map(|stored| {
        Change::from(IdentityChange::SessionEnded {
            id: stored.session.id,
            subject_id: stored.session.subject_id,
            why: SessionEnd::Suspended,
            ended: Vec::new(),
        })
    });
    Ok(ends.collect())
}

/// The caller's sessions, the one used last first.
///
/// # Errors
/// When the store cannot read.
pub fn list(app: &App, caller: &Caller) -> Result<Vec<StoredSession>, Error> {
    let now = app.clock.now();
    let mut found = app.store.read(|view| view.sessions_of(&caller.subject))?;
    found.retain(|s| s.over(s.last_used_at, now).is_none());
    found.reverse();
    Ok(found)
}

/// Signs the caller out of the session of this call; without one there is nothing to do.
///
/// # Errors
/// When the store cannot write.
pub fn sign_out(app: &App, caller: &Caller) -> Result<(), Error> {
    let Some(id) = caller.session_id.clone() else {
        return Ok(());
    };
    app.store.change(caller.actor(), move |view, _| {
        Ok(match view.find_session(&id)? {
            None => Verdict::Same(()),
            Some(stored) => Verdict::Write(ended(view, &stored, SessionEnd::SignedOut)?, ()),
        })
    })
}

/// Signs the caller out of every session; how many there were.
///
/// # Errors
/// When the store cannot write.
pub fn sign_out_everywhere(app: &App, caller: &Caller) -> Result<usize, Error> {
    let subject = caller.subject.clone();
    app.store.change(caller.actor(), move |view, _| {
        let (mut changes, held) = (Vec::new(), view.sessions_of(&subject)?);
        for stored in &held {
            changes.extend(ended(view, stored, SessionEnd::SignedOutEverywhere)?);
        }
        Ok(match changes.is_empty() {
            true => Verdict::Same(0),
            false => Verdict::Write(changes, held.len()),
        })
    })
}

/// Ends sessions that are over by themselves; how many.
///
/// # Errors
/// When the store cannot read or write.
pub fn end_those_over(app: &App) -> Result<usize, Error> {
    let mut count = 0;
    loop {
        let now = app.clock.now();
        let due = app
            .store
            .read(|view| view.sessions_over(now, OVER_AT_ONCE))?;
        let before = count;
        for id in due {
            let is_ended = app.store.change(Actor::system(), move |view, now| {
                let Some(stored) = view.find_session(&id)? else {
                    return Ok(Verdict::Same(false));
                };
                // It may have been used since the look, or since that was written.
                Ok(match stored.over(stored.last_used_at, now) {
                    None => Verdict::Same(false),
                    Some(why) => Verdict::Write(ended(view, &stored, why)?, true),
                })
            })?;
            count += usize::from(is_ended);
        }
        if count == before {
            return Ok(count);
        }
    }
}
