//! Who may issue which token, and what a new one is (contract section 4, `POST /api/tokens`). Nobody issues more than
//! they hold.

use super::{RoleMode, SECRET_PREFIX, Token, exceeds_ceiling, holds_all};
use crate::clock::Timestamp;
use crate::crypto::sha256_hex;
use crate::domain::actor::{Actor, Caller, SubjectType};
use crate::domain::permission::{Permission, Rights};
use crate::domain::policy::Policies;
use crate::domain::scope::Scope;
use crate::error::{Error, Shown};
use std::collections::BTreeSet;

/// People in the issuer chain of one token, at most: a token that issues a token that issues a token is rare, and a
/// chain with anybody left out would be wrong.
pub const ISSUERS_MAX: usize = 50;

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

impl TokenRequest {
    /// Whether a person asks for a token of their own.
    pub fn is_for(&self, caller: &Caller) -> bool {
        self.subject_type == SubjectType::User && self.subject_id == caller.subject
    }
}

/// The people who issued a token, or a token it was issued with.
#[derive(Debug, Clone)]
pub struct IssuerChain {
    /// Who counts as the issuer.
    pub issuer: String,
    /// Everybody who has one.
    pub all: BTreeSet<String>,
}

impl IssuerChain {
    /// The issuer chain of what the caller issues. What somebody makes for themselves comes from the issuer of the token
    /// they make it with: that issuer may hold it, and a second token must not hide this. For the same reason
    /// the issuer chain of that token is part of this one, no matter who gets it.
    ///
    /// # Errors
    /// 409 `too_many_issuers`.
    pub fn of(caller: &Caller, asked: &TokenRequest) -> Result<IssuerChain, Error> {
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
}

/// When a token ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// The moment, if there is one.
    pub at: Option<Timestamp>,
    /// Whether it was not asked for, but comes from what the token is issued with.
    pub is_inherited: bool,
}

/// Refuses callers who may not issue such a token at all, whatever it permits. What callers issue for themselves reaches
/// no further than their own roles, so it needs no role for everything.
///
/// # Errors
/// 403 `forbidden`.
pub fn may_issue(caller: &Caller, asked: &TokenRequest, ttl_max_secs: u64) -> Result<(), Error> {
    if !caller.rights.may_somewhere(Permission::TokenManage) {
        return caller.require(Permission::TokenManage);
    }
    let for_themselves = asked.is_for(caller);
    if !for_themselves && !caller.rights.is_admin() {
        return Err(Error::forbidden(
            "only an administrator issues tokens for others and for agents",
        ));
    }
    let by_provider = caller.token_id.is_none();
    if for_themselves && by_provider && ttl_max_secs == 0 {
        return Err(Error::forbidden(
            "people of the identity provider issue no tokens for themselves here",
        )
        .hint("an administrator may set `minted_token_ttl_max_secs` of [auth.oidc]"));
    }
    Ok(())
}

/// What somebody issues for themselves ends with what they issue it with: with the token, or with the longest time that
/// a person of the identity provider may have one.
///
/// # Errors
/// 400 `validation_error` for a later end.
pub fn expiry(
    caller: &Caller,
    asked: &TokenRequest,
    now: Timestamp,
    ttl_max_secs: u64,
) -> Result<Expiry, Error> {
    let own = Expiry {
        at: asked.expires_at,
        is_inherited: false,
    };
    if !asked.is_for(caller) {
        return Ok(own);
    }
    let longest = now.plus_secs(ttl_max_secs);
    let session = caller.expires_at.filter(|_| caller.session_id.is_some());
    let (end, what) = match (&caller.token_id, session) {
        (Some(_), _) => (caller.expires_at, "the token that it is issued with"),
        (None, Some(end)) if end < longest => (Some(end), "the session that it is issued in"),
        (None, _) => (Some(longest), "`minted_token_ttl_max_secs`"),
    };
    let Some(end) = end else {
        return Ok(own);
    };
    match asked.expires_at {
        None => Ok(Expiry {
            at: Some(end),
            is_inherited: true,
        }),
        Some(at) if at > end => Err(Error::invalid(format!(
            "expires_at is after {}, the end by {what}",
            end.rfc3339()
        ))
        .hint("leave expires_at out for a token that ends then")),
        Some(_) => Ok(own),
    }
}

/// Refuses a token that would make more of somebody than the caller is: by its permissions and their scopes, by the
/// groups and roles that selectors name, or by lacking the ceiling of the caller's own.
///
/// # Errors
/// 403 `forbidden`.
pub fn within_own(
    caller: &Caller,
    new: &Token,
    rights: &Rights,
    policies: &Policies,
) -> Result<(), Error> {
    let is_own = new.subject_type == SubjectType::User && new.subject_id == caller.subject;
    if is_own && caller.token_id.is_none() {
        // What only the claims of the identity provider give ends with the login, and is in no token.
        within(&lasting(caller, policies), new, rights, policies)?;
    }
    within(caller, new, rights, policies)
}

fn within(caller: &Caller, new: &Token, rights: &Rights, policies: &Policies) -> Result<(), Error> {
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

/// A new token as it will be stored. Named roles are a grant where its subject holds none by binding, otherwise a
/// ceiling; which of the two never changes.
pub fn draft(
    policies: &Policies,
    issuer_chain: IssuerChain,
    parent_id: Option<String>,
    asked: TokenRequest,
    (id, secret): (String, &str),
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
        id,
        subject_type: asked.subject_type,
        subject_id: asked.subject_id,
        hash: sha256_hex(secret.as_bytes()),
        prefix: secret.chars().skip(SECRET_PREFIX.len()).take(8).collect(),
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
        session_id: None,
    }
}

#[cfg(test)]
mod tests;
