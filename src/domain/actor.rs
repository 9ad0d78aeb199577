//! Who is asking: a person, an agent, or the server itself; and from where.

use crate::clock::Timestamp;
use crate::domain::id::{Selector, Target};
use crate::domain::permission::{Permission, Rights};
use crate::domain::scope::{self, Scope};
use crate::error::Error;
use std::collections::BTreeSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SubjectType {
    /// A person or a program that makes requests.
    User,
    /// An agent next to a database.
    Agent,
}

impl SubjectType {
    /// `user` or `agent`.
    pub fn as_str(self) -> &'static str {
        match self {
            SubjectType::User => "user",
            SubjectType::Agent => "agent",
        }
    }

    /// The type of that name.
    pub fn parse(text: &str) -> Option<SubjectType> {
        match text {
            "user" => Some(SubjectType::User),
            "agent" => Some(SubjectType::Agent),
            _ => None,
        }
    }
}

/// Where a call came from, as the audit log records it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// Address of the connection.
    pub peer_ip: Option<String>,
    /// Address of the client, behind trusted proxies.
    pub client_ip: Option<String>,
    /// `peer` or `xff`: where `client_ip` was read.
    pub client_ip_source: Option<&'static str>,
    /// The id of the HTTP call.
    pub http_request_id: Option<String>,
}

/// Who does something, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Subject id; `system` for the server itself.
    pub id: String,
    /// `user`, `agent` or `system`.
    pub kind: &'static str,
    /// The token of the call.
    pub token_id: Option<String>,
    /// The session of the call.
    pub session_id: Option<String>,
    /// The token with which the Slack account of the call was linked, where it was with one.
    pub slack_linked_with: Option<String>,
    /// Whether the actor makes this call: then the token, or without one the person's status, is read again inside the
    /// transaction. Not where the server writes, even about a person.
    pub acts: bool,
    pub origin: Origin,
}

impl Actor {
    pub fn system() -> Actor {
        Actor {
            id: "system".to_owned(),
            kind: "system",
            token_id: None,
            session_id: None,
            slack_linked_with: None,
            acts: false,
            origin: Origin::default(),
        }
    }
}

/// An authenticated caller with the rights of this moment.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Subject id: a person's name, or an agent's.
    pub subject: String,
    pub kind: SubjectType,
    /// The token of the call; none where the identity provider vouches for the caller.
    pub token_id: Option<String>,
    /// The session of the call, where the person signed in to the console.
    pub session_id: Option<String>,
    /// The token with which the Slack account of the call was linked, where it was with one.
    pub slack_linked_with: Option<String>,
    /// Who counts as the issuer of that token, where somebody does.
    pub token_issuer: Option<String>,
    /// The issuer chain of that token: its issuer, the issuer of the token it was issued with, and so on. Any
    /// of them may know its secret.
    pub token_issuers: BTreeSet<String>,
    /// The targets that an agent's token is bound to, `*` for every name; none where it is bound to none.
    pub bound_to: Option<Vec<Scope>>,
    /// What the caller may do.
    pub rights: Rights,
    /// Groups the caller is in.
    pub groups: BTreeSet<String>,
    /// Number of the policies that `rights` were read from.
    pub generation: u64,
    /// When the credential stops counting, if it does by itself.
    pub expires_at: Option<Timestamp>,
    /// Where the call came from.
    pub origin: Origin,
}

impl Caller {
    /// The caller as the audit log names them.
    pub fn actor(&self) -> Actor {
        Actor {
            id: self.subject.clone(),
            kind: self.kind.as_str(),
            token_id: self.token_id.clone(),
            session_id: self.session_id.clone(),
            slack_linked_with: self.slack_linked_with.clone(),
            acts: true,
            origin: self.origin.clone(),
        }
    }

    /// Whether `person`, somebody else, is in the issuer chain of the caller's token: they issued it, or issued the
    /// token it was issued with, and so on.
    pub fn has_token_of(&self, person: &str) -> bool {
        self.subject != person && self.token_issuers.contains(person)
    }

    /// Whether the agent's token covers `target`, whatever the agent says it serves.
    pub fn reaches(&self, target: &Target) -> bool {
        scope::reaches(self.bound_to.as_deref(), target)
    }

    /// Whether the caller may do this on `target`.
    pub fn may_on(&self, permission: Permission, target: &Target) -> bool {
        self.rights.may_on(permission, target)
    }

    /// Refuses a caller who may not do this where it is not tied to a target; see [`Rights::may`].
    ///
    /// # Errors
    /// `forbidden`.
    pub fn require(&self, permission: Permission) -> Result<(), Error> {
        if self.rights.may(permission) {
            return Ok(());
        }
        let error = Error::forbidden(format!("permission denied: {}", permission.as_str()));
        Err(match self.rights.may_somewhere(permission) {
            true => {
                error.hint("your roles grant it for some databases only, and this belongs to none")
            }
            false => error.hint("ask an administrator for a role that grants it"),
        })
    }

    /// Refuses a caller who may not do this on `target`.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn require_on(&self, permission: Permission, target: &Target) -> Result<(), Error> {
        if self.may_on(permission, target) {
            return Ok(());
        }
        Err(Error::forbidden(format!(
            "permission denied: {} on {target}",
            permission.as_str()
        ))
        .hint("ask an administrator for a role that grants it"))
    }

    /// Whether the caller may vote as somebody `selector` names. A designated approver needs no permission, but a token
    /// with a ceiling does only what the roles it names let through: as `role:x` where it names that role, as `user:x`
    /// or `group:x`, which are not roles, where one of them grants `request.approve` on the target (contract section
    /// 3).
    pub fn votes_as(&self, selector: &Selector, target: &Target, requester: &str) -> bool {
        let lets_through = match selector {
            Selector::User(_) | Selector::Group(_) => {
                self.rights.lets_through(Permission::RequestApprove, target)
            }
            Selector::Role(_) | Selector::Requester => true,
        };
        lets_through && self.matches(selector, target, requester)
    }

    /// Whether `selector` names the caller, for a request on `target` made by `requester`. A role selector matches only
    /// where the role's scope covers the target.
    pub fn matches(&self, selector: &Selector, target: &Target, requester: &str) -> bool {
        match selector {
            Selector::Requester => self.subject == requester,
            Selector::User(id) => *id == self.subject,
            Selector::Group(group) => self.groups.contains(group),
            Selector::Role(name) => self
                .rights
                .acting()
                .any(|role| role.name == *name && role.covers(target)),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
