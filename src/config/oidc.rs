//! What `[auth] mode` and `[auth.oidc]` mean: how people prove who they are, and which identity provider vouches for
//! them.

use super::check::{id, is_id, one_of, secret};
use super::identities::role_of_people;
use super::raw::auth::MINTED_SECS_DEFAULT;
use super::raw::{RawConfig, RawOidc};
use super::{Endpoint, Secret};
use crate::domain::policy::{Policies, RoleMapping};
use crate::settings::{Notes, Spanned, Text, Texts};
use std::path::Path;

/// The claim in which most providers list groups.
pub const GROUPS_CLAIM_DEFAULT: &str = "groups";

/// How people authenticate. Agents always present a token of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthMode {
    /// With a token of ours.
    #[default]
    Token,
    /// With a token of the identity provider.
    Oidc,
    Both,
}

impl AuthMode {
    /// Whether people may authenticate with a token of ours.
    pub fn takes_tokens(self) -> bool {
        self != AuthMode::Oidc
    }

    /// Whether people may authenticate with a token of the identity provider.
    pub fn takes_oidc(self) -> bool {
        self != AuthMode::Token
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// What its tokens say in `iss`, and where it is asked for the rest.
    pub issuer: Endpoint,
    /// Where its keys are; without it, it is asked.
    pub jwks_uri: Option<Endpoint>,
    /// What people's programs are called there; they sign in under that name.
    pub client_id: Option<String>,
    /// With which this server proves that it is `client_id`; without it, it is a public client.
    pub client_secret: Option<Secret>,
    /// What is asked for when somebody signs in to the console.
    pub scopes: Vec<String>,
    /// What its tokens say in `aud` when they are for us; never empty.
    pub audiences: Vec<String>,
    /// The claim that lists groups.
    pub groups_claim: String,
    /// Seconds that a token may live which a person of this provider issues for themselves; 0 for none.
    pub minted_token_ttl_max_secs: u64,
    /// The claim that holds a person's id.
    pub subject_claim: String,
    pub name_claim: String,
    pub email_claim: String,
}

/// Checks the mode and the provider. There is a provider only where the mode lets people come from it.
pub(super) fn check(
    raw: &RawConfig,
    base: &Path,
    policies: &mut Policies,
    notes: &mut Notes,
) -> (AuthMode, Option<Oidc>) {
    let default = match raw.auth.oidc {
        Some(_) => AuthMode::Both,
        None => AuthMode::Token,
    };
    let mode = one_of(&raw.auth.mode, default, notes, |text| match text {
        "token" => Ok(AuthMode::Token),
        "oidc" => Ok(AuthMode::Oidc),
        "both" => Ok(AuthMode::Both),
        _ => Err("not one of `token`, `oidc`, `both`"),
    });
    let Some(section) = &raw.auth.oidc else {
        if let (true, Some(spanned)) = (mode.takes_oidc(), &raw.auth.mode)
            && !notes.has_problem("auth.oidc")
        {
            let message = format!("`{}` needs a section `[auth.oidc]`", spanned.value);
            notes.problem(&spanned.at, message);
        }
        return (mode, None);
    };
    policies.oidc_default_role = role_of_people(&section.default_role, policies, notes);
    mappings(section, policies, notes);
    let trusts_private = raw.process.allow_private_networks;
    let client_secret = secret(&section.client_secret, base, notes);
    let has_public_url = raw.public_url.is_some();
    let provider = provider(
        section,
        client_secret,
        has_public_url,
        trusts_private,
        notes,
    );
    if !mode.takes_oidc() {
        notes.warn(
            &section.at,
            "`mode = \"token\"` lets nobody come from this provider",
        );
        return (mode, None);
    }
    (mode, provider)
}

fn provider(
    raw: &RawOidc,
    client_secret: Option<Secret>,
    has_public_url: bool,
    trusts_private: bool,
    notes: &mut Notes,
) -> Option<Oidc> {
    let scopes = scopes(&raw.scopes, notes);
    let issuer = issuer(raw, trusts_private, notes);
    let jwks_uri = raw
        .jwks_uri
        .as_ref()
        .map(|spanned| endpoint(spanned, trusts_private, notes));
    let mut audiences = Vec::new();
    for spanned in [&raw.client_id, &raw.audience].into_iter().flatten() {
        // Others write an empty one for none.
        if !spanned.value.is_empty() && is_id(spanned, notes) && !audiences.contains(&spanned.value)
        {
            audiences.push(spanned.value.clone());
        }
    }
    let wrong = ["auth.oidc.client_id", "auth.oidc.audience"]
        .iter()
        .any(|key| notes.has_problem(key));
    if audiences.is_empty() && !wrong {
        notes.problem(
            &raw.at,
            "neither `client_id` nor `audience` says for whom its tokens must be",
        );
    }
    let mut claim = |spanned: &Text, default: &str| match spanned {
        Some(spanned) if !is_id(spanned, notes) => None,
        Some(spanned) => Some(spanned.value.clone()),
        None => Some(default.to_owned()),
    };
    let groups_claim = claim(&raw.groups_claim, GROUPS_CLAIM_DEFAULT);
    let subject_claim = claim(&raw.subject_claim, "sub");
    let name_claim = claim(&raw.name_claim, "name");
    let email_claim = claim(&raw.email_claim, "email");
    let client_id = client(raw, client_secret.is_some(), has_public_url, notes);
    Some(Oidc {
        issuer: issuer?,
        jwks_uri: match jwks_uri {
            Some(read) => Some(read?),
            None => None,
        },
        client_id,
        client_secret,
        scopes,
        audiences: Some(audiences).filter(|a| !a.is_empty())?,
        groups_claim: groups_claim?,
        minted_token_ttl_max_secs: raw
            .minted_token_ttl_max_secs
            .as_ref()
            .map_or(MINTED_SECS_DEFAULT, |spanned| spanned.value),
        subject_claim: subject_claim?,
        name_claim: name_claim?,
        email_claim: email_claim?,
    })
}

/// What this server is called there, and what is odd about its secret.
fn client(
    raw: &RawOidc,
    has_secret: bool,
    has_public_url: bool,
    notes: &mut Notes,
) -> Option<String> {
    let client_id = raw
        .client_id
        .as_ref()
        .map(|spanned| spanned.value.clone())
        .filter(|id| !id.is_empty());
    let at = &raw.client_secret.at;
    if has_secret && client_id.is_none() && !notes.has_problem("auth.oidc.client_id") {
        notes.problem(
            at,
            "this is the secret of a client; name it with `client_id`",
        );
    }
    if has_secret && !has_public_url {
        notes.warn(
            at,
            "without `public_url` people who sign in come back to the address in their browser; the provider must know it",
        );
    }
    client_id
}

/// What is asked for at a sign-in to the console, `openid` first.
fn scopes(raw: &Texts, notes: &mut Notes) -> Vec<String> {
    let mut scopes = vec!["openid".to_owned()];
    if raw.value.is_empty() {
        scopes.extend(["profile", "email"].map(str::to_owned));
    }
    for spanned in &raw.value {
        let value = &spanned.value;
        let is_scope = |b: u8| (0x21..=0x7e).contains(&b) && b != b'"' && b != b'\\';
        if value.is_empty() || !value.bytes().all(is_scope) {
            notes.problem(
                &spanned.at,
                "this is not a scope: visible ASCII without blanks",
            );
        } else if !scopes.contains(value) {
            scopes.push(value.clone());
        }
    }
    scopes
}

fn issuer(raw: &RawOidc, trusts_private: bool, notes: &mut Notes) -> Option<Endpoint> {
    let spanned = match (&raw.issuer_url, &raw.issuer) {
        (Some(one), Some(other)) if one.value != other.value => {
            let message = "this is another name of `issuer_url`, and says something else";
            notes.problem(&other.at, message);
            return None;
        }
        (Some(spanned), _) | (None, Some(spanned)) => spanned,
        (None, None) => {
            let place = raw.at.key("issuer_url");
            if !notes.has_problem(&place.key) && !notes.has_problem(&raw.at.key("issuer").key) {
                notes.problem(&place, "this key is required");
            }
            return None;
        }
    };
    if spanned.value.contains('?') {
        notes.problem(&spanned.at, "an issuer has no query in its URL");
        return None;
    }
    endpoint(spanned, trusts_private, notes)
}

fn endpoint(
    spanned: &Spanned<String>,
    trusts_private: bool,
    notes: &mut Notes,
) -> Option<Endpoint> {
    match Endpoint::parse(&spanned.value) {
        Ok(endpoint) if endpoint.is_allowed(trusts_private) => Some(endpoint),
        Ok(_) => {
            notes.problem(
                &spanned.at,
                "`http://` is for this machine only, or with `allow_private_networks = true`",
            );
            None
        }
        Err(why) => {
            // Without the value: it may have a password in it.
            notes.problem(&spanned.at, format!("this is {why}"));
            None
        }
    }
}

fn mappings(raw: &RawOidc, policies: &mut Policies, notes: &mut Notes) {
    for entry in &raw.role_mappings {
        let claim = id(&entry.claim, &entry.at, "claim", notes);
        let value = id(&entry.value, &entry.at, "value", notes);
        let role = match &entry.role {
            Some(_) => role_of_people(&entry.role, policies, notes),
            None => id(&entry.role, &entry.at, "role", notes),
        };
        let (Some(claim), Some(value), Some(role)) = (claim, value, role) else {
            continue;
        };
        let mapping = RoleMapping { claim, value, role };
        if policies.role_mappings.contains(&mapping) {
            notes.problem(&entry.at, "the same mapping is there already");
        } else {
            policies.role_mappings.push(mapping);
        }
    }
}
