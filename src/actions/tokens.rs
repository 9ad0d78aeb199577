//! Issuing, listing and revoking API tokens. Nobody issues more than they hold.

mod inspect;

pub use inspect::{TokenDetail, inspect};

use super::App;
use super::descendants::Descendants;
use super::last_admin::{self, Loss};
use super::refusals::refusal;
use super::slack_links::unlinked;
use crate::clock::Timestamp;
use crate::config::ID_BYTES_MAX;
use crate::crypto::{hex, random, uuid};
use crate::domain::actor::{Caller, SubjectType};
use crate::domain::change::{Change, IdentityChange};
use crate::domain::id::is_subject;
use crate::domain::permission::{Permission, Rights, Role};
use crate::domain::policy::Policies;
use crate::domain::scope::Scope;
use crate::domain::token::issue::{self, IssuerChain, TokenRequest};
use crate::domain::token::{SECRET_PREFIX, StoredToken, Token};
use crate::error::{Error, Shown};
use crate::store::{Verdict, View};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Active tokens of one subject, at most: somebody who needs more forgets to revoke.
pub const TOKENS_PER_SUBJECT_MAX: usize = 100;
/// Roles or groups that one token names, at most.
pub const NAMES_MAX: usize = 50;
/// Pairs of a database and an environment that one token is bound to, at most: as many as an agent may say it serves.
pub const SCOPES_MAX: usize = crate::domain::agent::SCOPES_MAX;
/// Longest name of a token, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// An issued token; the only time its secret is seen.
pub struct Issued {
    pub id: String,
    pub secret: String,
    /// The eight characters by which people recognise it.
    pub prefix: String,
    pub subject_id: String,
    pub expires_at: Option<Timestamp>,
    /// Whether that is so because what it was issued with ends then.
    pub expires_at_inherited: bool,
    /// What it permits now, leaving scopes aside.
    pub permissions: Vec<&'static str>,
    /// What somebody may not expect of it: that it can do less than its roles say.
    pub warning: Option<String>,
}

/// Issues a token.
///
/// # Errors
/// 400 `validation_error`; 403 `forbidden` for more than the caller holds; 409 `conflict` for a suspended subject or
/// one of another type, and `too_many_tokens`, `too_many_issuers`.
pub fn create(app: &Arc<App>, caller: &Caller, asked: TokenRequest) -> Result<Issued, Error> {
    let active = app.active();
    let ttl_max_secs = app.sign_in.minted_token_ttl_max_secs();
    if let Err(error) = issue::may_issue(caller, &asked, ttl_max_secs) {
        return Err(refused(app, caller, error));
    }
    check(app, &asked, &active.policies)?;
    let expiry = issue::expiry(caller, &asked, app.clock.now(), ttl_max_secs)?;
    let chain = IssuerChain::of(caller, &asked)?;
    let secret = format!("{SECRET_PREFIX}{}", hex(&random::<16>()));
    let asked = TokenRequest {
        expires_at: expiry.at,
        ..asked
    };
    let session_id = caller.session_id.clone().filter(|_| asked.is_for(caller));
    let new = issue::draft(
        &active.policies,
        chain,
        caller.token_id.clone(),
        asked,
        (uuid(), &secret),
    );
    let new = Token { session_id, ..new };
    let rights = new.grant().rights(&active.policies).0;
    if let Err(error) = issue::within_own(caller, &new, &rights, &active.policies) {
        return Err(refused(app, caller, error));
    }
    let issued = Issued {
        id: new.id.clone(),
        prefix: new.prefix.clone(),
        subject_id: new.subject_id.clone(),
        expires_at: new.expires_at,
        expires_at_inherited: expiry.is_inherited,
        permissions: permissions(&rights),
        warning: inspect::shortfall(&rights),
        secret,
    };
    app.change_by(caller, move |view, now| {
        subject_may_have_one(view, &new, now)?;
        Ok(Verdict::Write(
            vec![IdentityChange::TokenCreated(new).into()],
            (),
        ))
    })?;
    Ok(issued)
}

/// All tokens, newest first.
///
/// # Errors
/// `forbidden` without `token.manage`.
pub fn list(
    app: &App,
    caller: &Caller,
    limit: u32,
    offset: u32,
) -> Result<Vec<StoredToken>, Error> {
    caller.require(Permission::TokenManage)?;
    app.store.read(|view| view.list_tokens(limit, offset))
}

/// What a revocation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// When it was first revoked.
    pub at: Timestamp,
    /// What was issued with it.
    pub descendants: Descendants,
}

/// Revokes a token, at once and for good, with everything that its subject issued for themselves with it; with `all`,
/// with everything that was issued with it. Repeating it returns the time it was first revoked.
///
/// # Errors
/// 404; 403 `forbidden`; 409 `last_admin` for the one that the last administrator stands on.
pub fn revoke(app: &Arc<App>, caller: &Caller, id: &str, all: bool) -> Result<Revoked, Error> {
    let (cx, by, id) = (Arc::clone(app), caller, id.to_owned());
    let caller = by.clone();
    app.change_by(by, move |view, now| {
        let manages = caller.rights.may(Permission::TokenManage);
        let found = view.find_token(&id)?;
        let own = found
            .as_ref()
            .is_some_and(|t| t.token.subject_id == caller.subject);
        let mine = [Permission::TokenRevokeOwn, Permission::TokenManage];
        let may = manages || (own && !all && mine.iter().any(|p| caller.rights.may_somewhere(*p)));
        if !may {
            let error = Error::forbidden("permission denied: token.manage");
            return cx.refuse(&caller.actor(), refusal("token.revoke", &error), error);
        }
        let stored = found.ok_or_else(|| Error::not_found("token", &id))?;
        let descendants = Descendants::of_token(view, &stored, all)?;
        let mut going: Vec<&str> = descendants
            .ended
            .iter()
            .map(|t| t.token.id.as_str())
            .collect();
        if stored.revoked_at.is_none() {
            going.push(&stored.token.id);
        }
        let active = cx.active();
        let losing = Loss {
            tokens: &going,
            by: Some(&caller),
            ..Loss::default()
        };
        last_admin::ensure_one_stays(&cx, view, &active.policies, &losing, now)?;
        let revocations: Vec<IdentityChange> = match stored.revoked_at {
            Some(_) => descendants.revocations(Some(&stored.token.id)).collect(),
            None => descendants.with_root(&stored),
        };
        let mut changes: Vec<Change> = revocations.into_iter().map(Change::from).collect();
        let ended = descendants.ended_tokens().chain([&stored.token]);
        changes.extend(unlinked(view, ended)?);
        let revoked = Revoked {
            at: stored.revoked_at.unwrap_or(now),
            descendants,
        };
        if changes.is_empty() {
            return Ok(Verdict::Same(revoked));
        }
        Ok(Verdict::Write(changes, revoked))
    })
}

fn check(app: &App, asked: &TokenRequest, policies: &Policies) -> Result<(), Error> {
    let id = &asked.subject_id;
    if !is_subject(id) {
        return Err(Error::invalid(format!(
            "subject_id must be 1 to {ID_BYTES_MAX} visible bytes without space around them, and no reserved name"
        )));
    }
    for (field, names) in [("roles", &asked.roles), ("groups", &asked.groups)] {
        if names.len() > NAMES_MAX || names.iter().any(|n| n.is_empty() || n.len() > ID_BYTES_MAX) {
            return Err(Error::invalid(format!(
                "{field} may have at most {NAMES_MAX} names of 1 to {ID_BYTES_MAX} bytes"
            )));
        }
    }
    if let Some(name) = &asked.name
        && (name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control))
    {
        return Err(Error::invalid(format!(
            "name may have at most {NAME_BYTES_MAX} bytes and no control characters"
        )));
    }
    if asked.subject_type == SubjectType::Agent {
        if asked.roles != [Role::AGENT] || !asked.groups.is_empty() {
            return Err(Error::invalid(
                "roles of an agent's token must be exactly `agent-default`, and groups empty",
            ));
        }
    } else if asked.roles.iter().any(|r| r == Role::AGENT) {
        return Err(Error::invalid("role `agent-default` is for agents only"));
    }
    if let Some(unknown) = asked
        .roles
        .iter()
        .find(|r| !policies.roles.contains_key(*r))
    {
        return Err(Error::invalid(format!("no role `{}`", Shown(unknown)))
            .hint("see GET /api/roles for the roles there are"));
    }
    if let Some(targets) = &asked.bound_to {
        check_binding(asked.subject_type, targets)?;
    }
    if asked.expires_at.is_some_and(|at| at <= app.clock.now()) {
        return Err(Error::invalid("expires_at is not in the future"));
    }
    Ok(())
}

fn check_binding(subject_type: SubjectType, scopes: &[Scope]) -> Result<(), Error> {
    if subject_type != SubjectType::Agent {
        return Err(
            Error::invalid("only a token of an agent is bound to databases")
                .hint("what a person may do where is a matter of their roles"),
        );
    }
    if scopes.is_empty() || scopes.len() > SCOPES_MAX {
        return Err(Error::invalid(format!(
            "a token is bound to 1 to {SCOPES_MAX} pairs of a database and an environment"
        ))
        .hint("leave them out for a token that is bound to none"));
    }
    match scopes.iter().find_map(Scope::invalid_part) {
        Some(part) => Err(Error::invalid(format!(
            "`{}` is not a name of a database or an environment",
            Shown(part)
        ))),
        None => Ok(()),
    }
}

fn subject_may_have_one(view: &View, new: &Token, now: Timestamp) -> Result<(), Error> {
    if let Some(user) = view.find_user(&new.subject_id)? {
        if user.subject_type != new.subject_type {
            return Err(Error::conflict(
                "conflict",
                format!(
                    "subject `{}` is a {}",
                    Shown(&user.id),
                    user.subject_type.as_str()
                ),
            ));
        }
        if !user.active {
            return Err(Error::conflict(
                "conflict",
                format!("subject `{}` is suspended", Shown(&user.id)),
            ));
        }
    }
    let tokens = view.tokens_of(&new.subject_id)?;
    let live = tokens.iter().filter(|t| t.counts(now)).count();
    if live >= TOKENS_PER_SUBJECT_MAX {
        return Err(Error::conflict(
            "too_many_tokens",
            format!(
                "subject has {live} active tokens, at most {TOKENS_PER_SUBJECT_MAX} are allowed"
            ),
        )
        .hint("revoke those that are not used any more"));
    }
    Ok(())
}

fn permissions(rights: &Rights) -> Vec<&'static str> {
    let names: BTreeSet<&str> = Permission::ALL
        .iter()
        .filter(|p| rights.held.iter().any(|r| r.permissions.contains(*p)))
        .filter(|p| rights.is_of_use(**p))
        .map(|p| p.as_str())
        .collect();
    names.into_iter().collect()
}

fn refused(app: &Arc<App>, caller: &Caller, error: Error) -> Error {
    let refused = refusal("token.create", &error);
    app.refused(caller.actor(), refused, error)
}
