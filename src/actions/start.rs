//! What a server does before it serves: puts its configuration in force, and makes the first tokens.

use super::App;
use super::identify::TOKEN_PREFIX;
use super::tokens::{TokenRequest, draft};
use super::users;
use crate::config::Config;
use crate::crypto::{hex, random, write_private};
use crate::domain::actor::{Actor, SubjectType};
use crate::domain::change::{Change, UserStatus};
use crate::domain::permission::Role;
use crate::error::Error;
use crate::store::Verdict;
use serde_json::{Map, Value};
use std::path::Path;
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

/// Stores the policies of `config` and the people it names, audited, and puts them in force.
///
/// # Errors
/// When the store cannot write; what was in force stays so.
pub fn sync_config(app: &Arc<App>, config: &Config) -> Result<(), Error> {
    let policies = config.policies.clone();
    let version = policies.version();
    let synced = Change::ConfigSynced {
        policy_version: version.clone(),
        policy_text: policies.canonical(),
        summary: summary(config),
    };
    let people: Vec<UserStatus> = config
        .users
        .iter()
        .map(|u| UserStatus {
            id: u.id.clone(),
            active: u.active,
            by_config: true,
        })
        .collect();
    let suspended: Vec<String> = app.store.change(Actor::system(), move |view, _| {
        let mut changes = vec![synced];
        let mut suspended = Vec::new();
        for person in people {
            let stored = view.find_user(&person.id)?;
            let same = stored.is_some_and(|s| s.active == person.active && s.source == "config");
            if same {
                continue;
            }
            if person.active {
                changes.push(Change::UserActivated(person));
            } else {
                changes.extend(users::suspension(view, &person.id, true)?.0);
                suspended.push(person.id);
            }
        }
        Ok(Verdict::Write(changes, suspended))
    })?;
    for id in suspended {
        users::cancel_rest(app, &Actor::system(), &id)?;
    }
    app.activate(policies, version);
    Ok(())
}

fn summary(config: &Config) -> Map<String, Value> {
    let p = &config.policies;
    [
        ("databases", p.databases.len()),
        ("workflows", p.workflows.len()),
        ("execution_policies", p.execution.len()),
        ("roles", p.roles.values().filter(|r| !r.built_in).count()),
        ("groups", p.groups.len()),
        ("role_bindings", p.bindings.len()),
        ("users", config.users.len()),
    ]
    .into_iter()
    .map(|(kind, n)| (kind.to_owned(), n.into()))
    .collect()
}

/// Makes the three first tokens where there has never been one, or again when `force` asks; their secrets are files
/// in `state_dir`. Answers whether it made them.
///
/// # Errors
/// When a file or the store cannot be written.
pub fn bootstrap(app: &Arc<App>, state_dir: &Path, force: bool) -> Result<bool, Error> {
    let any = app
        .store
        .read(|view| Ok(!view.list_tokens(1, 0)?.is_empty()))?;
    if any && !force {
        return Ok(false);
    }
    let active = app.active();
    let mut created = Vec::new();
    for (file, subject, kind, role) in BOOTSTRAP {
        let secret = format!("{TOKEN_PREFIX}{}", hex(&random::<16>()));
        let asked = TokenRequest {
            subject_id: subject.to_owned(),
            subject_type: kind,
            name: Some(format!("bootstrap-{subject}")),
            roles: vec![role.to_owned()],
            groups: Vec::new(),
            expires_at: None,
        };
        // The file first: a token whose secret nobody has is worse than a file that does not count yet, which the
        // next start writes again.
        let path = state_dir.join(file);
        write_private(&path, secret.as_bytes())
            .map_err(|e| Error::internal(format!("token file {}", path.display()), e))?;
        created.push(draft(&active.policies, "system".to_owned(), asked, &secret));
    }
    app.store.change(Actor::system(), move |view, _| {
        let mut changes = Vec::new();
        for (_, subject, _, _) in BOOTSTRAP {
            for old in view.tokens_of(subject)? {
                let first = old.issuer == "system"
                    && old.name.as_deref() == Some(&format!("bootstrap-{subject}"));
                if first {
                    changes.push(Change::TokenRevoked {
                        token_id: old.id,
                        subject_id: old.subject_id,
                    });
                }
            }
        }
        changes.extend(created.into_iter().map(Change::TokenCreated));
        Ok(Verdict::Write(changes, ()))
    })?;
    Ok(true)
}
