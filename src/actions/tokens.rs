//! Issuing, listing and revoking API tokens. Nobody issues more than they hold.

mod inspect;

pub use inspect::{TokenDetail, inspect};

use super::App;
use super::descendants::Descendants;
use super::identify::TOKEN_PREFIX;
use super::last_admin::{self, Loss};
use super::refusals::refusal;
use crate::clock::Timestamp;
use crate::config::ID_BYTES_MAX;
use crate::crypto::{hex, random, sha256_hex, uuid};
use crate::domain::actor::{Actor, Caller, SubjectType};
use crate::domain::change::IdentityChange;
use crate::domain::id::is_subject;
use crate::domain::permission::{Permission, Rights, Role};
use crate::domain::policy::Policies;
use crate::domain::scope::Scope;
use crate::domain::token::{Grant, RoleMode, StoredToken, Token, exceeds_ceiling, holds_all};
use crate::error::{Error, Shown};
use crate::store::{Verdict, View};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Active tokens of one subject, at most: somebody who needs more forgets to revoke.
pub const TOKENS_PER_SUBJECT_MAX: usize = 100;
/// Roles or groups that one token names, at most.
pub const NAMES_MAX: usize = 50;
/// People in the issuer chain of one token, at most: a token that issues a token that issues a token is rare, and a
/// chain with anybody left out would be wrong.
pub const ISSUERS_MAX: usize = 50;
/// Pairs of a database and an environment that one token is bound to, at most: as many as an agent may say it serves.
pub const SCOPES_MAX: usize = crate::domain::agent::SCOPES_MAX;
/// Longest name of a token, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// What a client asks for.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// Whose token it is to be.
    pub subject_id: String,
    pub subject_type: SubjectType,
    /// What it is for.
    pub name: Option<String>,
    /// Roles; none for those its subject holds at each call.
    pub roles: Vec<String>,
    /// Whether they are a ceiling even where its subject holds no roles by binding.
    pub is_ceiling: bool,
    pub groups: Vec<String>,
    /// The targets that an agent's token is to be bound to, `*` for every name.
    pub bound_to: Option<Vec<Scope>>,
    pub expires_at: Option<Timestamp>,
}

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
    let mut asked = asked;
    if let Err(error) = may_issue(app, caller, &asked) {
        return Err(refused(app, caller, error));
    }
    check(app, &asked, &active.policies)?;
    let expires_at_inherited = limit_lifetime(app, caller, &mut asked)?;
    let secret = format!("{TOKEN_PREFIX}{}", hex(&random::<16>()));
    let issuer_chain = issuer_chain(caller, &asked)?;
    let parent_id = caller.token_id.clone();
    let new = draft(&active.policies, issuer_chain, parent_id, asked, &secret);
    let rights = new.grant().rights(&active.policies).0;
    let may = match is_for_themselves(caller, &new.grant()) && caller.token_id.is_none() {
        // What only the claims of the identity provider give ends with the login, and is in no token.
        true => within_own(
            &lasting(caller, &active.policies),
            &new,
            &rights,
            &active.policies,
        ),
        false => within_own(caller, &new, &rights, &active.policies),
    };
    if let Err(error) = may {
        return Err(refused(app, caller, error));
    }
    let issued = Issued {
        id: new.id.clone(),
        prefix: new.prefix.clone(),
        subject_id: new.subject_id.clone(),
        expires_at: new.expires_at,
        expires_at_inherited,
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
        let changes: Vec<IdentityChange> = match stored.revoked_at {
            Some(_) => descendants.revocations(Some(&stored.token.id)).collect(),
            None => descendants.with_root(&stored),
        };
        let revoked = Revoked {
            at: stored.revoked_at.unwrap_or(now),
            descendants,
        };
        if changes.is_empty() {
            return Ok(Verdict::Same(revoked));
        }
        Ok(Verdict::Write(
            changes.into_iter().map(Into::into).collect(),
            revoked,
        ))
    })
}

/// The people who issued a token, or a token it was issued with.
#[derive(Debug, Clone)]
pub(super) struct IssuerChain {
    /// Who counts as the issuer.
    pub(super) issuer: String,
    /// Everybody who has one.
    pub(super) all: BTreeSet<String>,
}

/// The issuer chain of what the caller issues. What somebody makes for themselves comes from the issuer of the token
/// they make it with: that issuer may hold it, and a second token must not hide this. For the same reason
/// the issuer chain of that token is part of this one, no matter who gets it.
fn issuer_chain(caller: &Caller, asked: &TokenRequest) -> Result<IssuerChain, Error> {
    let given = caller.token_issuer.as_ref();
    let issuer = given
        .filter(|by| asked.subject_id == caller.subject && *by != Actor::system().id.as_str())
        .unwrap_or(&caller.subject)
        .clone();
    let mut all = caller.token_issuers.clone();
    all.insert(caller.subject.clone());
    if all.len() > ISSUERS_MAX {
        return Err(Error::conflict(
            "too_many_issuers",
            format!("more than {ISSUERS_MAX} people are in the issuer chain of your token"),
        )
        .hint("use a token with a shorter issuer chain"));
    }
    Ok(IssuerChain { issuer, all })
}

/// Refuses a token that would make more of somebody than the caller is: by its permissions and their scopes, by the
/// groups and roles that selectors name, or by lacking the ceiling of the caller's own.
fn within_own(
    caller: &Caller,
    new: &Token,
    rights: &Rights,
    policies: &Policies,
) -> Result<(), Error> {
    let own = &caller.rights;
    if own.is_admin() {
        return Ok(());
    }
    if !holds_all(own, rights) {
        return Err(
            Error::forbidden("the token would permit more than you hold")
                .hint("name roles whose permissions and scopes you hold yourself"),
        );
    }
    if exceeds_ceiling(own, rights) {
        return Err(Error::forbidden("the token would do more than your own")
            .hint("your token is limited to the roles it names; name roles within those"));
    }
    if let Some(group) = new.groups.iter().find(|g| !caller.groups.contains(*g)) {
        let message = format!("you are not in the group `{}`", Shown(group));
        return Err(Error::forbidden(message));
    }
    // Approvers and readers of results are named by role, whatever the role permits. One that nobody is named by is
    // worth its permissions only.
    let foreign = rights.acting().find(|role| {
        policies.names_role(&role.name) && !own.acting().any(|mine| mine.name == role.name)
    });
    match foreign {
        Some(role) => Err(Error::forbidden(format!(
            "you do not hold the role `{}`, by which approvers or readers are named",
            Shown(&role.name)
        ))),
        None => Ok(()),
    }
}

/// A new token as it will be stored. Named roles are a grant where its subject holds none by binding, otherwise a
/// ceiling; which of the two never changes.
pub(super) fn draft(
    policies: &Policies,
    issuer_chain: IssuerChain,
    parent_id: Option<String>,
    asked: TokenRequest,
    secret: &str,
) -> Token {
    let own = policies.groups_of(&asked.subject_id);
    let bound = !policies.bound_roles(&asked.subject_id, &own).is_empty();
    let role_mode = match (asked.subject_type, asked.roles.is_empty(), bound) {
        (SubjectType::Agent, _, _) => RoleMode::Grant,
        (SubjectType::User, true, _) => RoleMode::Resolved,
        (SubjectType::User, false, _) if asked.is_ceiling => RoleMode::Ceiling,
        (SubjectType::User, false, true) => RoleMode::Ceiling,
        (SubjectType::User, false, false) => RoleMode::Grant,
    };
    Token {
        id: uuid(),
        subject_type: asked.subject_type,
        subject_id: asked.subject_id,
        hash: sha256_hex(secret.as_bytes()),
        prefix: secret.chars().skip(TOKEN_PREFIX.len()).take(8).collect(),
        name: asked.name,
        roles: asked.roles,
        role_mode,
        // Groups by configuration apply anyway, for as long as it says so, and no longer.
        groups: asked
            .groups
            .into_iter()
            .filter(|g| !own.contains(g))
            .collect(),
        issuer: issuer_chain.issuer,
        issuers: issuer_chain.all,
        bound_to: asked.bound_to,
        expires_at: asked.expires_at,
        parent_id,
    }
}

/// Whether a person issues a token for themselves.
fn is_for_themselves(caller: &Caller, grant: &Grant) -> bool {
    grant.subject_type == SubjectType::User && grant.subject_id == caller.subject
}

/// The caller without what only the claims of the identity provider give.
fn lasting(caller: &Caller, policies: &Policies) -> Caller {
    let groups = policies.groups_of(&caller.subject);
    let held = policies.roles_of(&caller.subject, &groups);
    Caller {
        rights: Rights {
            held,
            ceiling: None,
        },
        groups,
        ..caller.clone()
    }
}

/// What somebody issues for themselves ends with what they issue it with: with the token, or with the longest time that
/// a person of the identity provider may have one. Whether the end was set here.
fn limit_lifetime(app: &App, caller: &Caller, asked: &mut TokenRequest) -> Result<bool, Error> {
    if asked.subject_type != SubjectType::User || asked.subject_id != caller.subject {
        return Ok(false);
    }
    let (end, what) = match &caller.token_id {
        Some(_) => (caller.expires_at, "the token that it is issued with"),
        None => {
            let secs = app.sign_in.minted_token_ttl_max_secs();
            let end = app.clock.now().plus_secs(secs);
            (Some(end), "`minted_token_ttl_max_secs`")
        }
    };
    let Some(end) = end else {
        return Ok(false);
    };
    match asked.expires_at {
        None => {
            asked.expires_at = Some(end);
            Ok(true)
        }
        Some(at) if at > end => Err(Error::invalid(format!(
            "expires_at is after {}, the end by {what}",
            end.rfc3339()
        ))
        .hint("leave expires_at out for a token that ends then")),
        Some(_) => Ok(false),
    }
}

fn may_issue(app: &App, caller: &Caller, asked: &TokenRequest) -> Result<(), Error> {
    // What callers issue for themselves reaches no further than their own roles, so it needs no role for everything.
    if !caller.rights.may_somewhere(Permission::TokenManage) {
        return caller.require(Permission::TokenManage);
    }
    let for_himself = asked.subject_type == SubjectType::User && asked.subject_id == caller.subject;
    if !for_himself && !caller.rights.is_admin() {
        return Err(Error::forbidden(
            "only an administrator issues tokens for others and for agents",
        ));
    }
    let by_provider = caller.token_id.is_none();
    if for_himself && by_provider && app.sign_in.minted_token_ttl_max_secs() == 0 {
        return Err(Error::forbidden(
            "people of the identity provider issue no tokens for themselves here",
        )
        .hint("an administrator may set `minted_token_ttl_max_secs` of [auth.oidc]"));
    }
    Ok(())
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
