//! People: who is known, linking a Slack account, suspending and letting back in, and deleting a custom role.
//!
//! A suspension takes effect everywhere at once: tokens are revoked, requests that can still be cancelled are, and
//! calls that wait on behalf of the person are woken and refused.

use super::completions::{Turnover, completed_by};
use super::descendants::Descendants;
use super::identify::slack_link_counts;
use super::last_admin::{self, Loss};
use super::refusals::refusal;
use super::slack_links::{unlink, unlinked};
use super::{App, eligible, sessions};
use crate::domain::actor::{Actor, Caller, SubjectType};
use crate::domain::change::{
    Change, ConfigurationChange, IdentityChange, LostStep, RequestChange, RequestRef, UserStatus,
};
use crate::domain::permission::{Permission, Rights, Role};
use crate::domain::policy::Policies;
use crate::domain::request::SUSPENDED_REQUESTER;
use crate::domain::token::{Token, holds_all};
use crate::domain::user::{Access, SeenClaims, User};
use crate::error::{Error, Shown};
use crate::store::{Verdict, View};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Requests of a suspended person cancelled in one transaction; more take several.
const CANCELLED_AT_ONCE: u32 = 500;
/// Longest Slack id, in characters; theirs have eleven or so.
const SLACK_ID_CHARS_MAX: usize = 32;

/// A person with their present status, roles and groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserDetail {
    pub user: User,
    /// Names of the roles held: by binding or default, and those that live tokens grant.
    pub roles: BTreeSet<String>,
    /// Groups the person is in.
    pub groups: BTreeSet<String>,
    /// Both with what gives them.
    pub access: Access,
    /// What the identity provider reported last, if it did since this process started.
    pub seen: Option<Arc<SeenClaims>>,
}

/// What a suspension did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Suspended {
    /// Requests that were cancelled.
    pub cancelled: Vec<String>,
    /// Tokens that were revoked.
    pub revoked_tokens: usize,
    /// Tokens of others that were issued by the person or with their tokens: those that were revoked too, and those that
    /// stay.
    pub descendants: Descendants,
    /// Whether configuration will say otherwise at the next start or reload.
    pub managed_by_config: bool,
}

/// Everybody, newest first.
///
/// # Errors
/// `forbidden` without `user.manage`.
pub fn list(app: &App, caller: &Caller, limit: u32, offset: u32) -> Result<Vec<UserDetail>, Error> {
    caller.require(Permission::UserManage)?;
    app.store.read(|view| {
        let rows = view.list_users(limit, offset)?;
        rows.into_iter()
            .map(|user| detail(app, view, user))
            .collect()
    })
}

/// One person or agent.
///
/// # Errors
/// `forbidden` for somebody else without `user.manage`; 404.
pub fn show(app: &App, caller: &Caller, id: &str) -> Result<UserDetail, Error> {
    if caller.subject != id {
        caller.require(Permission::UserManage)?;
    }
    app.store.read(|view| {
        let user = view.find_user(id)?;
        let user = user.ok_or_else(|| Error::not_found("user", id))?;
        detail(app, view, user)
    })
}

fn detail(app: &App, view: &View, user: User) -> Result<UserDetail, Error> {
    let now = app.clock.now();
    let tokens: Vec<Token> = view
        .tokens_of(&user.id)?
        .into_iter()
        .filter(|stored| stored.counts(now))
        .map(|stored| stored.token)
        .collect();
    let provider = app.sign_in.provider.as_ref();
    let seen = provider.and_then(|provider| provider.seen(&user.id));
    let active = app.active();
    let mut access = Access::of(&active.policies, &user, &tokens, seen.as_deref());
    if user.subject_type == SubjectType::User {
        for group in app.on_call_by(&active, now).groups_of(&user.id) {
            access.on_call(group);
        }
    }
    let names = access.roles.iter().map(|held| held.role.name.clone());
    let groups = access.groups.iter().map(|held| held.group.clone());
    Ok(UserDetail {
        roles: names.collect(),
        groups: groups.collect(),
        access,
        seen,
        user,
    })
}

/// Links a person to a Slack account, or unlinks them. What people link with a token of theirs ends with it, as what
/// they issue with it.
///
/// # Errors
/// 400 for what is not a Slack id; 403 `forbidden`, also for a token that may do less than its person; 404; 409
/// `slack_id_taken`.
pub fn link_slack(
    app: &Arc<App>,
    caller: &Caller,
    id: &str,
    slack_user_id: Option<String>,
) -> Result<(), Error> {
    if let Err(error) = may_link(caller, id, slack_user_id.is_some()) {
        let refused = refusal("user.update", &error);
        return Err(app.refused(caller.actor(), refused, error));
    }
    if let Some(slack) = &slack_user_id {
        let tail = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        let plausible = (2..=SLACK_ID_CHARS_MAX).contains(&slack.len())
            && slack.starts_with(['U', 'W'])
            && slack.bytes().all(tail);
        if !plausible {
            return Err(Error::invalid("slack_user_id is not a Slack member id")
                .hint("it looks like U0123ABCD; the Slack profile shows it"));
        }
    }
    let id = id.to_owned();
    let mut linkers = caller.token_issuers.clone();
    linkers.insert(caller.subject.clone());
    linkers.remove(&id);
    if slack_user_id.is_none() {
        linkers.clear();
    }
    let linked_with = match &slack_user_id {
        Some(_) if caller.subject == id => caller.token_id.clone(),
        _ => None,
    };
    let (cx, actor) = (Arc::clone(app), caller.clone());
    app.change_by(caller, move |view, now| {
        let user = view
            .find_user(&id)?
            .ok_or_else(|| Error::not_found("user", &id))?;
        if slack_user_id.is_some()
            && actor.subject == id
            && let Err(error) = stands_for(&actor.rights, &user, &cx.active().policies)
        {
            return cx.refuse(&actor.actor(), refusal("user.update", &error), error);
        }
        if user.slack_user_id == slack_user_id && slack_link_counts(view, &user, now)? {
            return Ok(Verdict::Same(()));
        }
        if let Some(slack) = &slack_user_id
            && view
                .find_slack_user(slack)?
                .is_some_and(|owner| owner != id)
        {
            return Err(Error::conflict(
                "slack_id_taken",
                "this Slack account is linked to somebody else",
            ));
        }
        let change = IdentityChange::UserUpdated {
            id,
            slack_user_id,
            linkers,
            linked_with,
        };
        Ok(Verdict::Write(vec![change.into()], ()))
    })
}

/// Refuses who may not link that person, or unlink them. Who acts by the account is the whole person, so a token
/// with a ceiling, which is not, links nobody.
fn may_link(caller: &Caller, id: &str, links: bool) -> Result<(), Error> {
    if caller.subject != id {
        caller.require(Permission::UserManage)?;
    }
    let ceiling = caller.rights.ceiling.as_deref();
    if links && ceiling.is_some_and(|roles| !roles.iter().any(Role::is_admin)) {
        return Err(
            Error::forbidden("a token that is limited to roles links no Slack account")
                .hint("the account would act with all of the person's roles: use a token without `roles`, or sign in"),
        );
    }
    Ok(())
}

/// Refuses people who link themselves with less than their account could do.
fn stands_for(rights: &Rights, user: &User, policies: &Policies) -> Result<(), Error> {
    let in_slack = Rights {
        held: user.roles_without_claims(policies),
        ceiling: None,
    };
    match holds_all(rights, &in_slack) {
        true => Ok(()),
        false => Err(
            Error::forbidden("the Slack account would permit more than your token does")
                .hint("link it with a token without `roles`, which has all of yours"),
        ),
    }
}

/// Suspends a person; with `all`, everything that was issued with their tokens ends too.
///
/// # Errors
/// 403 `forbidden`; 404; 409 `last_admin` for the only person who could undo it.
pub fn suspend(app: &Arc<App>, caller: &Caller, id: &str, all: bool) -> Result<Suspended, Error> {
    let (cx, actor, id) = (Arc::clone(app), caller.clone(), id.to_owned());
    let subject = id.clone();
    let mut done = app.change_by(caller, move |view, now| {
        if let Err(error) = actor.require(Permission::UserManage) {
            return cx.refuse(&actor.actor(), refusal("user.suspend", &error), error);
        }
        let user = view
            .find_user(&id)?
            .ok_or_else(|| Error::not_found("user", &id))?;
        let active = cx.active();
        let managed_by_config = user.is_from_config();
        if !user.active {
            return Ok(Verdict::Same(Suspended {
                managed_by_config,
                ..Suspended::default()
            }));
        }
        let (changes, mut done) = suspension(view, &id, false, all)?;
        let going: Vec<&str> = done
            .descendants
            .ended
            .iter()
            .map(|t| t.token.id.as_str())
            .collect();
        let losing = Loss {
            people: std::slice::from_ref(&id),
            tokens: &going,
            by: Some(&actor),
            ..Loss::default()
        };
        last_admin::ensure_one_stays(&cx, view, &active.policies, &losing, now)?;
        done.managed_by_config = managed_by_config;
        Ok(Verdict::Write(changes, done))
    })?;
    // What began is finished, even where the caller suspends themselves.
    let actor = Actor {
        acts: false,
        ..caller.actor()
    };
    done.cancelled.extend(cancel_rest(app, &actor, &subject)?);
    Ok(done)
}

/// The changes of a suspension: status, tokens, and as many requests as one transaction takes.
pub(super) fn suspension(
    view: &View,
    id: &str,
    by_config: bool,
    all: bool,
) -> Result<(Vec<Change>, Suspended), Error> {
    let mut done = Suspended {
        descendants: Descendants::of_person(view, id, all)?,
        ..Suspended::default()
    };
    let mut changes = vec![Change::from(IdentityChange::UserSuspended(UserStatus {
        id: id.to_owned(),
        active: false,
        by_config,
    }))];
    let own = view.tokens_of(id)?;
    // Who made the link may be why they are suspended.
    let linked = view
        .find_user(id)?
        .filter(|user| user.slack_user_id.is_some());
    changes.extend(linked.map(|user| unlink(user.id)));
    changes.extend(unlinked(view, done.descendants.ended_tokens())?);
    for stored in own {
        done.revoked_tokens += 1;
        changes.push(
            IdentityChange::TokenRevoked {
                token_id: stored.token.id,
                subject_id: stored.token.subject_id,
                with: None,
                ended: Vec::new(),
                kept: Vec::new(),
            }
            .into(),
        );
    }
    changes.extend(done.descendants.revocations(None).map(Change::from));
    changes.extend(sessions::suspended(view, id)?);
    let cancelled = cancellations(view, id)?;
    for change in &cancelled {
        done.cancelled
            .extend(change.request().map(|r| r.id.clone()));
    }
    changes.extend(cancelled.into_iter().map(Change::from));
    Ok((changes, done))
}

fn cancellations(view: &View, id: &str) -> Result<Vec<RequestChange>, Error> {
    view.cancellable_of(id, CANCELLED_AT_ONCE)?
        .iter()
        .map(|request| {
            let step = request.cancel().map_err(|refusal| refusal.error())?;
            Ok(RequestChange::Cancelled {
                request: RequestRef::from(request),
                step,
                reason: Some(SUSPENDED_REQUESTER.to_owned()),
            })
        })
        .collect()
}

/// Cancels what did not fit into the first transaction; which. Nothing new can come: the person cannot act any more.
pub(super) fn cancel_rest(app: &App, actor: &Actor, id: &str) -> Result<Vec<String>, Error> {
    let mut cancelled = Vec::new();
    loop {
        let id = id.to_owned();
        let more: Vec<String> = app.store.change(actor.clone(), move |view, _| {
            if view.find_user(&id)?.is_none_or(|u| u.active) {
                return Ok(Verdict::Same(Vec::new()));
            }
            let changes = cancellations(view, &id)?;
            let ids = changes
                .iter()
                .filter_map(|c| c.request().map(|r| r.id.clone()))
                .collect();
            Ok(Verdict::Write(
                changes.into_iter().map(Into::into).collect(),
                ids,
            ))
        })?;
        if more.is_empty() {
            return Ok(cancelled);
        }
        cancelled.extend(more);
    }
}

/// Lets a person act again; their tokens stay revoked. Returns whether configuration will say otherwise.
///
/// # Errors
/// 403 `forbidden`; 404.
pub fn activate(app: &Arc<App>, caller: &Caller, id: &str) -> Result<bool, Error> {
    let (cx, actor, id) = (Arc::clone(app), caller.clone(), id.to_owned());
    app.change_by(caller, move |view, now| {
        if let Err(error) = actor.require(Permission::UserManage) {
            return cx.refuse(&actor.actor(), refusal("user.activate", &error), error);
        }
        let user = view
            .find_user(&id)?
            .ok_or_else(|| Error::not_found("user", &id))?;
        let managed_by_config = user.is_from_config();
        if user.active {
            return Ok(Verdict::Same(managed_by_config));
        }
        let turnover = Turnover {
            back: BTreeSet::from([id.clone()]),
            ..Turnover::default()
        };
        let completed = completed_by(&cx.active().policies, view, &turnover, now)?;
        let change = IdentityChange::UserActivated(UserStatus {
            id,
            active: true,
            by_config: false,
        });
        let mut changes = vec![Change::from(change)];
        changes.extend(completed);
        Ok(Verdict::Write(changes, managed_by_config))
    })
}

/// Steps that nobody could approve without the custom role of that name.
fn lost_steps(app: &App, name: &str) -> Result<Vec<LostStep>, Error> {
    let active = app.active();
    if active.policies.roles.get(name).is_none_or(|r| r.built_in) {
        return Ok(Vec::new());
    }
    let mut without = active.policies.clone();
    without.forget_role(name);
    eligible::lost_steps(app, name, &active.policies, &without)
}

/// Deletes a custom role, effective at once. It comes back with the next start or reload if the file still has it. What
/// nobody can approve any more without it stands in the audit log as a warning.
///
/// # Errors
/// 403 `forbidden`; 404; 422 `built_in_role`; 409 `last_admin` if nobody could administer the server without it.
pub fn delete_role(app: &Arc<App>, caller: &Caller, name: &str) -> Result<(), Error> {
    let (cx, actor, name) = (Arc::clone(app), caller.clone(), name.to_owned());
    let _alone = app.changing_policies();
    let lost = match caller.rights.may(Permission::RoleManage) {
        true => lost_steps(app, &name)?,
        false => Vec::new(),
    };
    for step in &lost {
        log::warn!(
            "without the role `{}` nobody can approve step {} of {} on {}",
            Shown(&name),
            step.step.unwrap_or(0),
            step.workflow,
            step.target
        );
    }
    let without = app.change_by(caller, move |view, now| {
        if let Err(error) = actor.require(Permission::RoleManage) {
            return cx.refuse(&actor.actor(), refusal("role.delete", &error), error);
        }
        let active = cx.active();
        let mut policies = active.policies.clone();
        match policies.roles.get(&name) {
            None => return Err(Error::not_found("role", &name)),
            Some(role) if role.built_in => {
                let error = Error::refused(
                    "built_in_role",
                    format!("role `{}` is built in", Shown(&name)),
                );
                return cx.refuse(&actor.actor(), refusal("role.delete", &error), error);
            }
            Some(_) => {}
        }
        policies.forget_role(&name);
        let losing = Loss {
            policies: Some(&policies),
            by: Some(&actor),
            ..Loss::default()
        };
        last_admin::ensure_one_stays(&cx, view, &active.policies, &losing, now)?;
        let version = policies.version();
        let change = ConfigurationChange::RoleDeleted {
            name,
            lost,
            policy_version: version.clone(),
            policy_text: policies.canonical(),
        };
        let outlets = Arc::clone(&active.outlets);
        let kept = (policies, version, outlets, active.retention);
        Ok(Verdict::Write(vec![change.into()], kept))
    })?;
    let (policies, version, outlets, retention) = without;
    app.activate(policies, version, outlets, retention);
    Ok(())
}
