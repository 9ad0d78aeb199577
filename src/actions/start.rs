//! What a server does before it serves: applies its configuration, and makes the first tokens.

use super::App;
use super::completions::{Turnover, completed_by};
use super::descendants::Descendants;
use super::last_admin::{self, Loss};
use super::{dialects, users, webhooks};
use crate::config::Config;
use crate::crypto::{hex, random, uuid, write_private};
use crate::domain::actor::{Actor, SubjectType};
use crate::domain::change::{Change, ConfigurationChange, IdentityChange, UserStatus};
use crate::domain::permission::Role;
use crate::domain::token::issue::{IssuerChain, TokenRequest, draft};
use crate::domain::token::{SECRET_PREFIX, StoredToken};
use crate::error::Error;
use crate::store::{Verdict, View};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The first tokens: file, subject, type and role of each.
pub const BOOTSTRAP: [(&str, &str, SubjectType, &str); 3] = [
    ("admin-token", "admin", SubjectType::User, Role::ADMIN),
    (
        "developer-token",
        "developer",
        SubjectType::User,
        "developer",
    ),
    ("agent-token", "agent", SubjectType::Agent, Role::AGENT),
];

/// Stores the policies of `config` and the people it names, audited, and applies them. Somebody who was active by an
/// earlier configuration and is not named any more is suspended.
///
/// # Errors
/// When the store cannot write, or, with `keeps_admin`, 409 `last_admin` when nobody could administer the server any
/// more; what was applied stays applied.
pub fn sync_config(app: &Arc<App>, config: &Config, keeps_admin: bool) -> Result<(), Error> {
    let _alone = app.changing_policies();
    let policies = config.policies.clone();
    let version = policies.version();
    let synced = ConfigurationChange::ConfigSynced {
        policy_version: version.clone(),
        policy_text: policies.canonical(),
        summary: summary(app, config)?,
        routes: Arc::new(config.outlets().routes(&policies)),
    };
    let named: Vec<UserStatus> = config
        .users
        .iter()
        .map(|u| UserStatus {
            id: u.id.clone(),
            active: u.active,
            by_config: true,
        })
        .collect();
    let (cx, before, after) = (Arc::clone(app), app.active(), policies.clone());
    let suspended: Vec<String> = app.store.change(Actor::system(), move |view, now| {
        let leaving = leaving(view, &named)?;
        if keeps_admin {
            let losing = Loss {
                people: &leaving,
                policies: Some(&after),
                ..Loss::default()
            };
            last_admin::ensure_one_stays(&cx, view, &before.policies, &losing, now)?;
        }
        let mut changes = vec![synced.into()];
        let mut turnover = Turnover {
            leaving: leaving.iter().cloned().collect(),
            ..Turnover::default()
        };
        for person in named.iter().filter(|p| p.active) {
            let stored = view.find_user(&person.id)?;
            if !stored
                .as_ref()
                .is_some_and(|s| s.active && s.is_from_config())
            {
                changes.push(IdentityChange::UserActivated(person.clone()).into());
            }
            if stored.is_some_and(|s| !s.active) {
                turnover.back.insert(person.id.clone());
            }
        }
        changes.extend(completed_by(&after, view, &turnover, now)?);
        for id in &leaving {
            changes.extend(users::suspension(view, id, true, false)?.0);
        }
        Ok(Verdict::Write(changes, leaving))
    })?;
    // At once: what the log calls applied must be, whatever becomes of the rest.
    app.activate(
        policies,
        version,
        Arc::new(config.outlets()),
        config.retention,
    );
    if let Err(error) = webhooks::cancel_unrouted(app) {
        log::error!("not all notifications of a webhook that is gone were cancelled: {error}");
    }
    for id in suspended {
        if let Err(error) = users::cancel_rest(app, &Actor::system(), &id) {
            log::error!("not all requests of a suspended person were cancelled: {error}");
        }
    }
    Ok(())
}

/// Who may act now and may not with these entries: those it suspends, and those it does not name any more.
fn leaving(view: &View, named: &[UserStatus]) -> Result<Vec<String>, Error> {
    let mut leaving = Vec::new();
    for person in named.iter().filter(|p| !p.active) {
        let stored = view.find_user(&person.id)?;
        if !stored.is_some_and(|s| !s.active && s.is_from_config()) {
            leaving.push(person.id.clone());
        }
    }
    let gone = view.active_config_users()?;
    leaving.extend(
        gone.into_iter()
            .filter(|id| named.iter().all(|p| p.id != *id)),
    );
    Ok(leaving)
}

/// Audits that a configuration was not applied.
///
/// # Errors
/// When the store cannot write.
pub fn reject_config(app: &Arc<App>, problems: Vec<String>) -> Result<(), Error> {
    app.metrics.config_reload_failures.inc(&[]);
    app.metrics.config_last_reload_success.set(&[], 0);
    app.store.change(Actor::system(), move |_, _| {
        let rejected = ConfigurationChange::ConfigRejected { problems };
        Ok(Verdict::Write(vec![rejected.into()], ()))
    })
}

fn summary(app: &App, config: &Config) -> Result<Map<String, Value>, Error> {
    let p = &config.policies;
    let mut summary: Map<String, Value> = [
        ("databases", p.databases.len()),
        ("workflows", p.workflows.len()),
        ("execution_policies", p.execution.len()),
        ("result_policies", p.result.len()),
        ("notification_policies", p.notification.len()),
        ("webhooks", config.webhooks.len()),
        ("roles", p.roles.values().filter(|r| !r.built_in).count()),
        ("groups", p.groups.len()),
        ("role_bindings", p.bindings.len()),
        ("users", config.users.len()),
    ]
    .into_iter()
    .map(|(kind, n)| (kind.to_owned(), n.into()))
    .collect();
    let contradictions = dialects::contradictions(app, p)?;
    for found in &contradictions {
        log::warn!(
            "`dialect` of {} is {}, and agent {} reports {}: it is given nothing to run there",
            found.target,
            found.configured.as_str(),
            found.agent_id,
            found.reported.as_str()
        );
    }
    if !contradictions.is_empty() {
        let list = contradictions.iter().map(|found| {
            json!({
                "database": found.target.database(),
                "environment": found.target.environment(),
                "agent_id": found.agent_id,
                "reported": found.reported.as_str(),
                "configured": found.configured.as_str(),
            })
        });
        summary.insert("dialect_contradictions".to_owned(), list.collect());
    }
    Ok(summary)
}

/// Makes the three first tokens where there has never been one, or again when `force` asks; their secrets are files
/// in `state_dir`. Returns whether it made them.
///
/// # Errors
/// When a file or the store cannot be written.
pub fn bootstrap(app: &Arc<App>, state_dir: &Path, force: bool) -> Result<bool, Error> {
    let any = app
        .store
        .read(|view| Ok(!view.list_tokens(1, 0)?.is_empty()))?;
    if any && !force {
        if let Some(file) = missing_admin_token(app, state_dir)? {
            log::warn!(
                "{} is missing and its token is active: nobody can read that token again; `dbward serve --force-bootstrap` revokes it and writes new ones",
                file.display()
            );
        }
        return Ok(false);
    }
    let active = app.active();
    let mut created = Vec::new();
    for (file, subject, kind, role) in BOOTSTRAP {
        let secret = format!("{SECRET_PREFIX}{}", hex(&random::<16>()));
        let asked = TokenRequest {
            subject_id: subject.to_owned(),
            subject_type: kind,
            name: Some(format!("bootstrap-{subject}")),
            roles: vec![role.to_owned()],
            is_ceiling: false,
            groups: Vec::new(),
            bound_to: None,
            expires_at: None,
        };
        // The file first: a token whose secret nobody has is worse than a file that does not count yet, which the
        // next start writes again.
        let path = state_dir.join(file);
        write_private(&path, secret.as_bytes())
            .map_err(|e| Error::internal(format!("token file {}", path.display()), e))?;
        let issuer_chain = IssuerChain {
            issuer: Actor::system().id,
            all: BTreeSet::new(),
        };
        created.push(draft(
            &active.policies,
            issuer_chain,
            None,
            asked,
            (uuid(), &secret),
        ));
    }
    app.store.change(Actor::system(), move |view, now| {
        let mut changes: Vec<IdentityChange> = Vec::new();
        for (_, subject, _, _) in BOOTSTRAP {
            for old in view.tokens_of(subject)? {
                if is_first_token(&old, subject) {
                    let descendants = Descendants::of_token(view, &old, false)?;
                    changes.extend(descendants.with_root(&old));
                }
            }
        }
        let mut turnover = Turnover::default();
        if force {
            for user in suspended_first_people(view)? {
                turnover.back.insert(user.id.clone());
                changes.push(IdentityChange::UserActivated(user));
            }
        }
        changes.extend(created.into_iter().map(IdentityChange::TokenCreated));
        let mut changes: Vec<Change> = changes.into_iter().map(Into::into).collect();
        changes.extend(completed_by(&active.policies, view, &turnover, now)?);
        Ok(Verdict::Write(changes, ()))
    })?;
    Ok(true)
}

/// People of first tokens who are to act again, since these would not count: who may start the server may let it be
/// administered.
fn suspended_first_people(view: &View) -> Result<Vec<UserStatus>, Error> {
    let mut suspended = Vec::new();
    for (_, subject, _, _) in BOOTSTRAP {
        let stored = view.find_user(subject)?;
        if stored.is_some_and(|user| !user.active && !user.is_from_config()) {
            suspended.push(UserStatus {
                id: subject.to_owned(),
                active: true,
                by_config: false,
            });
        }
    }
    Ok(suspended)
}

fn is_first_token(stored: &StoredToken, subject: &str) -> bool {
    let token = &stored.token;
    token.issuer == "system" && token.name.as_deref() == Some(&format!("bootstrap-{subject}"))
}

/// The file of the first administrator's token, if it is gone and the token still counts.
fn missing_admin_token(app: &App, state_dir: &Path) -> Result<Option<PathBuf>, Error> {
    let (file, subject, _, _) = BOOTSTRAP[0];
    let path = state_dir.join(file);
    if path.exists() {
        return Ok(None);
    }
    let now = app.clock.now();
    let tokens = app.store.read(|view| view.tokens_of(subject))?;
    let counts = tokens
        .iter()
        .any(|token| is_first_token(token, subject) && token.counts(now));
    Ok(counts.then_some(path))
}
