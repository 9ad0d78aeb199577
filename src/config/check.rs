//! From what the file has to what it means: the keys that concern the server itself. The rest is in `identities` and
//! `workflows`.

use super::raw::{RawConfig, RawLogging, RawScope};
use super::*;
use crate::crypto::Keypair;
use crate::domain::policy::Policies;
use crate::domain::scope::Scope;
use crate::error::Shown;
pub(super) use crate::settings::path;
use crate::settings::{Location, Notes, RawSecret, SecretPlaces, Spanned, Text, Texts};
use std::str::FromStr;

/// Checks everything; `None` only where the state directory is unknown. Problems stand in `notes`.
pub(super) fn check(
    raw: &RawConfig,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    notes: &mut Notes,
) -> Option<Config> {
    let mut policies = Policies::empty();
    let retention = retention(raw, &mut policies);
    if let Some(secs) = &raw.dispatch_timeout_secs {
        policies.dispatch_timeout_secs = secs.value;
    }
    // Also where `mode` shuts the provider out for a while: that must not take more than this one key.
    notes.open_groups = raw.auth.oidc.is_some();
    let users = identities::check(raw, &mut policies, notes);
    let on_call_tokens = on_call::check(raw, base, &mut policies, notes);
    identities::check_roles(raw, &mut policies, notes);
    let (auth_mode, oidc) = oidc::check(raw, base, &mut policies, notes);
    workflows::check(raw, &users, &mut policies, notes);
    policies::check(raw, &mut policies, notes);
    let allow_networks = ranges(&raw.allow_networks, notes);
    let webhooks = webhooks::check(raw, base, &allow_networks, &mut policies, notes);
    let email = email::check(raw, base, notes);
    let slack = slack::check(raw, base, &policies, notes);

    let state_dir = state_dir(raw, base, notes);
    let listen = one_of(&raw.listen, LISTEN_DEFAULT, notes, |text| {
        SocketAddr::from_str(text).map_err(|_| "not an address and port like `127.0.0.1:3000`")
    });
    let tls = tls::check(raw.tls.as_ref(), base, notes);
    let redaction = redaction(raw, notes);
    let logging = logging(&raw.logging, notes);
    let trusted_proxies = proxies(raw, notes);
    let result_storage = storage::check(raw, state_dir.as_deref(), base, env, notes);
    let replication = replication::check(raw, result_storage.as_ref(), base, notes);
    Some(Config {
        state_dir: state_dir?,
        listen,
        tls,
        process: raw.process.clone(),
        policies,
        webhooks,
        public_url: public_url(raw, notes),
        allow_networks,
        outbound_proxy: outbound_proxy(raw, notes),
        email,
        slack,
        on_call_tokens,
        users,
        redaction,
        audit_key_file: audit_key_file(raw, base, notes),
        checkpoint_file: raw
            .audit
            .checkpoint_file
            .as_ref()
            .map(|f| base.join(&f.value)),
        result_storage: result_storage?,
        replication,
        retention,
        result_channel: raw.result_channel.channel.clone(),
        logging,
        trusted_proxies,
        auth_mode,
        oidc,
        warnings: Vec::new(),
        secrets: SecretPlaces::default(),
    })
}

/// How long what is over is kept; how long an approval and a result count is policy.
fn retention(raw: &RawConfig, policies: &mut Policies) -> Retention {
    let raw = &raw.retention;
    if let Some(secs) = &raw.approval_ttl_secs {
        policies.approval_ttl_secs = secs.value;
    }
    if let Some(days) = &raw.result_ttl_days {
        policies.result_ttl_days = days.value as u32;
    }
    raw.kept
}

/// The file of the audit key. There need be none yet, but a start must be able to make it.
fn audit_key_file(raw: &RawConfig, base: &Path, notes: &mut Notes) -> Option<PathBuf> {
    let given = raw.audit.key_file.as_ref()?;
    let file = base.join(&given.value);
    let refused = match Keypair::load(&file) {
        Err(error) => Some(error.reason()),
        Ok(None) if !file.parent().is_some_and(Path::is_dir) => Some(format!(
            "key file {}: there is no such folder",
            file.display()
        )),
        Ok(_) => None,
    };
    match refused {
        Some(reason) => {
            notes.problem(&given.at, reason);
            None
        }
        None => Some(file),
    }
}

fn redaction(raw: &RawConfig, notes: &mut Notes) -> Redaction {
    one_of(
        &raw.audit.redaction,
        Redaction::Literals,
        notes,
        |text| match text {
            "literals" => Ok(Redaction::Literals),
            "full" => Ok(Redaction::Full),
            "none" => Ok(Redaction::None),
            _ => Err("not one of `literals`, `full`, `none`"),
        },
    )
}

/// The proxy of all calls. What it reaches is for it to decide, which the operator should know.
fn outbound_proxy(raw: &RawConfig, notes: &mut Notes) -> Option<String> {
    let spanned = raw.outbound_proxy.as_ref()?;
    match Endpoint::parse(spanned.value.trim_end_matches('/')) {
        Ok(url) if !url.is_plain() => {
            notes.problem(
                &spanned.at,
                "this is a URL that does not begin with `http://`",
            );
            None
        }
        Ok(url) if url.url().len() != url.origin().len() => {
            notes.problem(&spanned.at, "this is a URL with a path; a proxy has none");
            None
        }
        Ok(url) => {
            notes.warn(
                &spanned.at,
                "the proxy finds the addresses of what is called: `allow_networks` and the refusal of private addresses hold \
                 for its own address only",
            );
            Some(url.url().to_owned())
        }
        Err(why) => {
            notes.problem(&spanned.at, format!("this is {why}"));
            None
        }
    }
}

/// The address without the slash at its end.
fn public_url(raw: &RawConfig, notes: &mut Notes) -> Option<String> {
    let spanned = raw.public_url.as_ref()?;
    match Endpoint::parse(&spanned.value) {
        Ok(url) if url.url().contains('?') => {
            notes.problem(
                &spanned.at,
                "this is a URL with a query; links are made by adding to it",
            );
            None
        }
        Ok(url) => Some(url.url().trim_end_matches('/').to_owned()),
        Err(why) => {
            notes.problem(&spanned.at, format!("this is {why}"));
            None
        }
    }
}

/// A secret, itself or from its file, where there is one. No message has anything of it.
pub(super) fn secret(raw: &RawSecret, base: &Path, notes: &mut Notes) -> Option<Secret> {
    let (at, read) = match (&raw.raw, &raw.file) {
        (Some(_), Some(file)) => {
            notes.problem(
                &file.at,
                "the secret itself is given too; keep one of the two",
            );
            return None;
        }
        (Some(spanned), None) => (&spanned.at, Ok(Secret::new(spanned.value.as_str()))),
        (None, Some(spanned)) => (&spanned.at, Secret::from_file(&path(spanned, base, notes)?)),
        (None, None) => return None,
    };
    match read {
        Ok(secret) if secret.expose().trim().is_empty() => {
            notes.problem(at, "a blank secret keeps nothing secret");
            None
        }
        Ok(secret) => Some(secret),
        Err(why) => {
            notes.problem(at, why);
            None
        }
    }
}

fn state_dir(raw: &RawConfig, base: &Path, notes: &mut Notes) -> Option<PathBuf> {
    match &raw.state_dir {
        Some(spanned) => path(spanned, base, notes),
        None => {
            if !notes.has_problem("state_dir") {
                notes.problem(&raw.at.key("state_dir"), "this key is required");
            }
            None
        }
    }
}

fn logging(raw: &RawLogging, notes: &mut Notes) -> Logging {
    Logging {
        level: one_of(&raw.level, log::LevelFilter::Info, notes, |text| {
            log::LevelFilter::from_str(text)
                .map_err(|_| "not one of `off`, `error`, `warn`, `info`, `debug`, `trace`")
        }),
        format: one_of(
            &raw.format,
            LogFormat::default(),
            notes,
            |text| match text {
                "text" => Ok(LogFormat::Text),
                "json" => Ok(LogFormat::Json),
                _ => Err("not one of `text`, `json`"),
            },
        ),
    }
}

fn proxies(raw: &RawConfig, notes: &mut Notes) -> Vec<Cidr> {
    let list = ranges(&raw.trusted_proxies, notes);
    for spanned in &raw.trusted_proxies.value {
        if Cidr::parse(&spanned.value).is_some_and(|range| range.is_everything()) {
            notes.warn(
                &spanned.at,
                "this trusts everybody: any client can choose the address that is recorded for it",
            );
        }
    }
    list
}

/// Addresses and networks of a list.
fn ranges(texts: &Texts, notes: &mut Notes) -> Vec<Cidr> {
    let mut list = Vec::new();
    for spanned in &texts.value {
        match Cidr::parse(&spanned.value) {
            Some(range) => list.push(range),
            None => {
                let message = format!(
                    "`{}` is not an address or a network like `10.0.0.0/8`",
                    Shown(&spanned.value)
                );
                notes.problem(&spanned.at, message);
            }
        }
    }
    list
}

/// The meaning of a value with few spellings, or the default where it is absent or wrong.
pub(super) fn one_of<T>(
    spanned: &Text,
    default: T,
    notes: &mut Notes,
    read: impl FnOnce(&str) -> Result<T, &'static str>,
) -> T {
    let Some(spanned) = spanned else {
        return default;
    };
    match read(&spanned.value) {
        Ok(value) => value,
        Err(why) => {
            notes.problem(&spanned.at, format!("`{}` is {why}", Shown(&spanned.value)));
            default
        }
    }
}

/// The scope of a policy entry. A database that is not registered is a problem, an environment that no such database
/// has is a warning.
pub(super) fn scope(raw: &RawScope, policies: &Policies, notes: &mut Notes) -> Scope {
    let mut scope = Scope::any();
    if let Some(spanned) = &raw.database {
        database_name(spanned, policies, notes);
        scope.database.clone_from(&spanned.value);
    }
    if let Some(spanned) = &raw.environment {
        environment_name(spanned, &scope.database, policies, notes);
        scope.environment.clone_from(&spanned.value);
    }
    scope
}

/// Notes a second entry of one scope.
pub(super) fn once(
    what: &str,
    scope: &Scope,
    at: &Location,
    seen: &mut Vec<(Scope, usize)>,
    notes: &mut Notes,
) {
    if let Some((_, line)) = seen.iter().find(|(s, _)| s == scope) {
        let message = format!("the scope {scope} has {what} already, on line {line}");
        notes.problem(at, message);
    }
    seen.push((scope.clone(), at.line));
}

/// Checks the name of a database that something refers to; `*` is all of them.
pub(super) fn database_name(spanned: &Spanned<String>, policies: &Policies, notes: &mut Notes) {
    let name = &spanned.value;
    if name == "*" || notes.names_unclear("databases") {
        return;
    }
    if !policies.databases.iter().any(|d| d.name == *name) {
        let message = format!(
            "database `{}` is not registered; add it under `[[databases]]`",
            Shown(name)
        );
        notes.problem(&spanned.at, message);
    }
}

/// Checks the name of an environment of `database`, which may be `*`.
pub(super) fn environment_name(
    spanned: &Spanned<String>,
    database: &str,
    policies: &Policies,
    notes: &mut Notes,
) {
    let name = &spanned.value;
    if name == "*" {
        return;
    }
    if !crate::domain::id::is_name(name) {
        not_a_name(spanned, "environment", notes);
        return;
    }
    let known = policies
        .databases
        .iter()
        .filter(|d| database == "*" || d.name == database)
        .any(|d| d.environments.contains(name));
    if !known && !notes.names_unclear("databases") {
        let message = format!("no registered database has the environment `{name}`");
        notes.warn(&spanned.at, message);
    }
}

/// Notes that a name of a database or an environment is misspelled.
pub(super) fn not_a_name(spanned: &Spanned<String>, what: &str, notes: &mut Notes) {
    let message = format!(
        "{what} `{}` is not a name: a lower-case letter, then a-z, 0-9, `_`, `-`, at most 63 in all",
        Shown(&spanned.value)
    );
    notes.problem(&spanned.at, message);
}

/// The required id of a person, a role or a group: not blank, not too long, no control characters.
pub(super) fn id(spanned: &Text, at: &Location, key: &str, notes: &mut Notes) -> Option<String> {
    let Some(spanned) = spanned else {
        let place = at.key(key);
        if !notes.has_problem(&place.key) {
            notes.problem(&place, "this key is required");
        }
        return None;
    };
    is_id(spanned, notes).then(|| spanned.value.clone())
}

/// Whether an id has the shape of one; otherwise a problem is noted.
pub(super) fn is_id(spanned: &Spanned<String>, notes: &mut Notes) -> bool {
    let text = &spanned.value;
    if text.is_empty() || text.trim() != text || text.chars().any(char::is_control) {
        let message = format!(
            "`{}` is empty, has space around it, or holds a control character",
            Shown(text)
        );
        notes.problem(&spanned.at, message);
        return false;
    }
    if text.len() > ID_BYTES_MAX {
        let message = format!("`{}` is longer than {ID_BYTES_MAX} bytes", Shown(text));
        notes.problem(&spanned.at, message);
        return false;
    }
    true
}
