//! People who authenticate with a token of the identity provider: verified, known to us, and with the rights that its
//! claims, bindings and defaults give them now.

use super::Recognized;
use crate::actions::{Active, App};
use crate::clock::Timestamp;
use crate::config::{AuthMode, Oidc};
use crate::crypto::{MacKey, random, same};
use crate::domain::actor::{Actor, Caller, Origin, SubjectType};
use crate::domain::change::{Change, IdentityChange};
use crate::domain::jwt::{JwtClaims, JwtError, JwtRules, KeySource, LEEWAY_SECS, verify};
use crate::domain::permission::Rights;
use crate::domain::policy::Policies;
use crate::domain::sign_in::CodeExchange;
use crate::domain::user::{ClaimedAccess, KeptClaims, SeenClaims, User};
use crate::error::Error;
use crate::store::Verdict;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// What every JWT starts with: `{"` in base64.
pub(super) const PREFIX: &str = "eyJ";
/// A person's login is audited this often at most.
const LOGIN_EVERY_MS: u64 = 60 * 60 * 1000;
/// A person's last use is noted this often at most.
const NOTE_USE_EVERY_MS: u64 = 30_000;
/// Each reason why a token is refused is logged this often at most: strangers must not fill the log.
const LOG_REFUSAL_EVERY_MS: u64 = 60_000;
/// People remembered; beyond it remembering starts anew, which costs look-ups, and audit rows of logins.
const REMEMBERED_MAX: usize = 10_000;

/// How people may sign in.
#[derive(Default)]
pub struct SignIn {
    /// With which kind of token.
    pub mode: AuthMode,
    /// The identity provider, if there is one.
    pub provider: Option<Provider>,
    /// How people sign in to the console with it, where they can.
    pub browser: Option<ConsoleSignIn>,
    /// Whether a link to the console may bring a token with it. Who follows a stranger's link would work as somebody else
    /// without notice, so only the demo, whose people are made up, has such links.
    pub takes_token_links: bool,
}

/// What signing in by browser needs.
pub struct ConsoleSignIn {
    pub exchange: Arc<dyn CodeExchange>,
    /// What this server is called at the provider.
    pub client_id: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// The key from which state, nonce and verifier of a sign-in are derived; new at every start.
    pub key: MacKey,
    /// Sign-ins that came back, until when they could: none comes back twice.
    pub(in crate::actions) used: Mutex<HashMap<String, Timestamp>>,
}

impl ConsoleSignIn {
    /// Signing in as `oidc` says, where it names the client that this server is.
    pub fn new(oidc: &Oidc, exchange: Arc<dyn CodeExchange>) -> Option<ConsoleSignIn> {
        Some(ConsoleSignIn {
            exchange,
            client_id: oidc.client_id.clone()?,
            scopes: oidc.scopes.clone(),
            key: MacKey::new(&random::<32>()),
            used: Mutex::new(HashMap::new()),
        })
    }
}

/// An identity provider, and who came from it lately.
pub struct Provider {
    oidc: Oidc,
    keys: Arc<dyn KeySource>,
    people: Mutex<HashMap<String, Person>>,
    /// When each reason for a refusal was logged last.
    logged: Mutex<HashMap<&'static str, Timestamp>>,
}

/// Somebody who came lately.
#[derive(Clone)]
struct Person {
    /// The epoch at the last look-up, which accepted the person.
    epoch: u64,
    /// When the login was last audited.
    login: Option<Timestamp>,
    /// When the use was last noted.
    noted: Option<Timestamp>,
    seen: Option<Arc<SeenClaims>>,
}

/// Why somebody is not authenticated.
pub(in crate::actions) enum Rejection {
    /// The token does not count; a label for the metric.
    Refused(&'static str),
    /// It cannot be decided now.
    Failed(Error),
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Rejection {
        Rejection::Failed(error)
    }
}

impl From<JwtError> for Rejection {
    fn from(error: JwtError) -> Rejection {
        Rejection::Refused(error.label())
    }
}

impl SignIn {
    /// The issuer of people's tokens, and the name that their programs have there.
    pub fn issuer_and_client(&self) -> Option<(&str, Option<&str>)> {
        let provider = self.provider.as_ref().filter(|_| self.mode.takes_oidc())?;
        let oidc = &provider.oidc;
        Some((oidc.issuer.url(), oidc.client_id.as_deref()))
    }

    /// The provider whose people may have sessions.
    pub(super) fn session_issuer(&self) -> Option<&str> {
        let provider = self.provider.as_ref().filter(|_| self.mode.takes_oidc())?;
        self.browser.as_ref()?;
        Some(provider.oidc.issuer.url())
    }

    /// What the claims of somebody's sign-in gave them, unless a newer token was presented since.
    pub(super) fn note_seen(&self, subject: &str, seen: SeenClaims) {
        if let Some(provider) = &self.provider {
            provider.remember(subject, |p| {
                if p.seen.as_ref().is_none_or(|old| old.at <= seen.at) {
                    p.seen = Some(Arc::new(seen));
                }
            });
        }
    }

    /// Seconds that a token may live which a person of the identity provider issues for themselves; 0 for none.
    pub(crate) fn minted_token_ttl_max_secs(&self) -> u64 {
        let provider = self.provider.as_ref();
        provider.map_or(0, |p| p.oidc.minted_token_ttl_max_secs)
    }
}

impl Provider {
    /// The provider of that configuration, with keys from there.
    pub fn new(oidc: Oidc, keys: Arc<dyn KeySource>) -> Provider {
        Provider {
            oidc,
            keys,
            people: Mutex::new(HashMap::new()),
            logged: Mutex::new(HashMap::new()),
        }
    }

    fn claims(
        &self,
        token: &str,
        rules: &JwtRules,
        now: Timestamp,
    ) -> Result<JwtClaims, Rejection> {
        let keys = self.keys.keys()?;
        let verified = match verify(token, &keys, rules, now) {
            Err(JwtError::UnknownKey) => match self.keys.newer(&keys)? {
                Some(newer) => verify(token, &newer, rules, now),
                None => Err(JwtError::UnknownKey),
            },
            other => other,
        };
        if let Err(error) = verified {
            self.log_refusal(error, rules, now);
        }
        Ok(verified?)
    }

    /// Logs why a token does not count: what was expected of it, and nothing that it says.
    fn log_refusal(&self, error: JwtError, rules: &JwtRules, now: Timestamp) {
        {
            let mut logged = self.logged.lock().unwrap_or_else(|e| e.into_inner());
            let last = logged.get(error.label());
            if last.is_some_and(|at| now.since(*at) < LOG_REFUSAL_EVERY_MS) {
                return;
            }
            logged.insert(error.label(), now);
        }
        let words = error.expectation(rules);
        log::warn!("a token of the identity provider was refused: {words}");
    }

    /// What the claims of somebody's newest token gave them, if they came since this process started.
    pub fn seen(&self, subject: &str) -> Option<Arc<SeenClaims>> {
        let people = self.people.lock().unwrap_or_else(|e| e.into_inner());
        people.get(subject)?.seen.clone()
    }

    /// What is remembered of somebody, changed by `update`.
    fn remember<T>(&self, subject: &str, update: impl FnOnce(&mut Person) -> T) -> T {
        let mut people = self.people.lock().unwrap_or_else(|e| e.into_inner());
        if people.len() >= REMEMBERED_MAX && !people.contains_key(subject) {
            people.clear();
        }
        // No epoch is so large: a new person has never been accepted.
        update(people.entry(subject.to_owned()).or_insert(Person {
            epoch: u64::MAX,
            login: None,
            noted: None,
            seen: None,
        }))
    }
}

/// The caller of a JWT.
pub(super) fn caller(
    app: &App,
    token: &str,
    origin: Origin,
    now: Timestamp,
) -> Result<Caller, Rejection> {
    let provider = app.sign_in.provider.as_ref();
    let provider = provider
        .filter(|_| app.sign_in.mode.takes_oidc())
        .ok_or(Rejection::Refused("mode"))?;
    let active = app.active();
    let policies = &active.policies;
    let rules = rules(provider, policies);
    let claims = provider.claims(token, &rules, now)?;
    let (mut caller, seen) = Vouched::by(&claims).caller(&active, now);
    let on_call = app.on_call_by(&active, now);
    let duties = on_call.groups_of(&caller.subject).map(str::to_owned);
    caller.groups.extend(duties);
    let caller = Caller {
        expires_at: Some(claims.expires_at.plus_secs(LEEWAY_SECS)),
        origin,
        ..caller
    };
    is_known(app, provider, &caller)?;
    provider.remember(&caller.subject, |p| p.seen = Some(Arc::new(seen)));
    note_login(app, provider, &caller, &claims, now)?;
    note_use(app, provider, &caller, now);
    Ok(caller)
}

/// Somebody for whom the provider vouches.
pub(super) struct Vouched<'a> {
    pub(super) subject: &'a str,
    pub(super) access: &'a ClaimedAccess,
    pub(super) name: &'a Option<String>,
    pub(super) email: &'a Option<String>,
}

impl<'a> Vouched<'a> {
    fn by(claims: &'a JwtClaims) -> Vouched<'a> {
        Vouched {
            subject: &claims.subject,
            access: &claims.access,
            name: &claims.name,
            email: &claims.email,
        }
    }

    /// The caller with the rights that these claims give under the policies in effect, and what they gave at `at`.
    pub(super) fn caller(&self, active: &Active, at: Timestamp) -> (Caller, SeenClaims) {
        let policies = &active.policies;
        let (claimed, held) = self.access.under(policies, self.subject);
        let mut groups = policies.groups_of(self.subject);
        groups.extend(claimed.iter().cloned());
        let seen = SeenClaims {
            groups: claimed,
            roles: held.clone(),
            name: self.name.clone(),
            email: self.email.clone(),
            at,
        };
        let caller = Caller {
            subject: self.subject.to_owned(),
            kind: SubjectType::User,
            token_id: None,
            session_id: None,
            slack_linked_with: None,
            token_issuer: None,
            token_issuers: BTreeSet::new(),
            bound_to: None,
            rights: Rights {
                held,
                ceiling: None,
            },
            groups,
            generation: active.generation,
            expires_at: None,
            origin: Origin::default(),
        };
        (caller, seen)
    }
}

/// What the ID token of a sign-in says: it is for this client, and of that sign-in.
pub(in crate::actions) fn id_token(
    app: &App,
    token: &str,
    nonce: &str,
    now: Timestamp,
) -> Result<(JwtClaims, String), Rejection> {
    let sign_in = &app.sign_in;
    let provider = sign_in.provider.as_ref();
    let (Some(provider), Some(browser)) = (provider, &sign_in.browser) else {
        return Err(Rejection::Refused("mode"));
    };
    let active = app.active();
    let audiences = [browser.client_id.clone()];
    let rules = JwtRules {
        audiences: &audiences,
        ..rules(provider, &active.policies)
    };
    let claims = provider.claims(token, &rules, now)?;
    let held = claims.nonce.as_deref().unwrap_or_default();
    if !same(held.as_bytes(), nonce.as_bytes()) {
        return Err(Rejection::Refused("jwt_nonce"));
    }
    Ok((claims, provider.oidc.issuer.url().to_owned()))
}

fn rules<'a>(provider: &'a Provider, policies: &'a Policies) -> JwtRules<'a> {
    let mapped = policies.role_mappings.iter().map(|m| m.claim.as_str());
    JwtRules {
        issuer: provider.oidc.issuer.url(),
        audiences: &provider.oidc.audiences,
        groups_claim: &provider.oidc.groups_claim,
        subject_claim: &provider.oidc.subject_claim,
        name_claim: &provider.oidc.name_claim,
        email_claim: &provider.oidc.email_claim,
        claims: mapped.collect(),
    }
}

/// What the cached keys say of a JWT. Somebody not seen lately, or with a key that is not there yet, is left
/// to [`caller`].
pub(super) fn recognize(app: &App, token: &str, now: Timestamp) -> Recognized {
    let provider = app.sign_in.provider.as_ref();
    let Some(provider) = provider.filter(|_| app.sign_in.mode.takes_oidc()) else {
        return Recognized::Nobody;
    };
    let Some(keys) = provider.keys.kept() else {
        return Recognized::Undecided;
    };
    let active = app.active();
    match verify(token, &keys, &rules(provider, &active.policies), now) {
        Ok(claims) => {
            let epoch = app.caches.identities.epoch();
            match provider.remember(&claims.subject, |p| p.epoch == epoch) {
                true => Recognized::As(SubjectType::User),
                false => Recognized::Undecided,
            }
        }
        Err(JwtError::UnknownKey) => Recognized::Undecided,
        Err(_) => Recognized::Nobody,
    }
}

/// Ensures that the person is known and may act.
fn is_known(app: &App, provider: &Provider, caller: &Caller) -> Result<(), Rejection> {
    // Read before the database, so that a change in between makes what is remembered stale, never fresh.
    let epoch = app.caches.identities.epoch.load(Ordering::SeqCst);
    let subject = &caller.subject;
    if provider.remember(subject, |p| p.epoch == epoch) {
        return Ok(());
    }
    let stored = match app.store.read(|view| view.find_user(subject))? {
        Some(stored) => Some(stored),
        None => {
            let (id, system) = (subject.clone(), Actor::system());
            let actor = Actor {
                origin: caller.origin.clone(),
                ..system
            };
            app.store.change(actor, move |view, _| {
                let stored = view.find_user(&id)?;
                Ok(match stored {
                    Some(_) => Verdict::Same(stored),
                    None => Verdict::Write(vec![IdentityChange::UserCreated { id }.into()], None),
                })
            })?
        }
    };
    if let Some(stored) = stored {
        if stored.subject_type != SubjectType::User {
            return Err(JwtError::Subject.into());
        }
        if !stored.active {
            return Err(Rejection::Refused("suspended"));
        }
    }
    provider.remember(subject, |p| p.epoch = epoch);
    Ok(())
}

/// Keeps what the provider says of somebody where it is not what is kept: the e-mail address (a token that names none
/// says nothing of it), and the claims that may give groups and roles.
pub(in crate::actions) fn kept_changes(
    known: Option<&User>,
    id: &str,
    email: Option<&str>,
    access: &ClaimedAccess,
    now: Timestamp,
) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let kept = known.and_then(|user| user.claimed_email.as_deref());
    if let Some(email) = email.filter(|email| kept != Some(*email)) {
        let (id, email) = (id.to_owned(), email.to_owned());
        changes.push(IdentityChange::UserEmailChanged { id, email }.into());
    }
    let mut access = access.clone();
    access.values.retain(|_, values| !values.is_empty());
    let kept = known.and_then(|user| user.kept_claims.as_ref());
    if KeptClaims::is_due(kept, &access, now) {
        let id = id.to_owned();
        changes.push(IdentityChange::UserClaimsKept { id, access }.into());
    }
    changes
}

/// Audits a login, once an hour, and keeps what it says of the person.
fn note_login(
    app: &App,
    provider: &Provider,
    caller: &Caller,
    claims: &JwtClaims,
    now: Timestamp,
) -> Result<(), Rejection> {
    // Noted before it is written, so that of two calls at once only one writes.
    let before = provider.remember(&caller.subject, |p| {
        let is_due = p.login.is_none_or(|at| now.since(at) >= LOGIN_EVERY_MS);
        is_due.then(|| p.login.replace(now))
    });
    let Some(before) = before else {
        return Ok(());
    };
    let roles: BTreeSet<String> = caller.rights.held.iter().map(|r| r.name.clone()).collect();
    let change = IdentityChange::LoginSucceeded {
        id: caller.subject.clone(),
        roles,
    };
    let (id, email) = (caller.subject.clone(), claims.email.clone());
    let access = claims.access.clone();
    let written = app.store.change(caller.actor(), move |view, now| {
        let known = view.find_user(&id)?;
        let mut changes = vec![Change::from(change)];
        let kept = kept_changes(known.as_ref(), &id, email.as_deref(), &access, now);
        changes.extend(kept);
        Ok(Verdict::Write(changes, ()))
    });
    if written.is_err() {
        provider.remember(&caller.subject, |p| p.login = before);
    }
    Ok(written?)
}

fn note_use(app: &App, provider: &Provider, caller: &Caller, now: Timestamp) {
    let is_due = provider.remember(&caller.subject, |p| {
        let is_due = p.noted.is_none_or(|at| now.since(at) >= NOTE_USE_EVERY_MS);
        if is_due {
            p.noted = Some(now);
        }
        is_due
    });
    if is_due {
        app.store.user_seen(&caller.subject, now);
    }
}
