//! What `[auth] mode` and `[auth.oidc]` mean: how people prove who they are, and which identity provider vouches for
//! them.

use super::Endpoint;
use super::check::{id, is_id, one_of};
use super::identities::role_of_people;
use super::raw::{RawConfig, RawOidc};
use crate::domain::policy::{Policies, RoleMapping};
use crate::settings::{Notes, Spanned, Text};

/// The claim in which most providers list groups.
pub const GROUPS_CLAIM_DEFAULT: &str = "groups";
/// Seconds that a token lives at most which a person of the provider issues for themselves: a day.
pub const MINTED_SECS_DEFAULT: u64 = 86_400;

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
    let provider = provider(section, trusts_private, notes);
    if !mode.takes_oidc() {
        notes.warn(
            &section.at,
            "`mode = \"token\"` lets nobody come from this provider",
        );
        return (mode, None);
    }
    (mode, provider)
}

fn provider(raw: &RawOidc, trusts_private: bool, notes: &mut Notes) -> Option<Oidc> {
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
    Some(Oidc {
        issuer: issuer?,
        jwks_uri: match jwks_uri {
            Some(read) => Some(read?),
            None => None,
        },
        client_id: raw
            .client_id
            .as_ref()
            .map(|spanned| spanned.value.clone())
            .filter(|id| !id.is_empty()),
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
