//! The keys of server.toml below `[auth]`.

use super::{DATABASES_MAX, ENVIRONMENTS_MAX, NAMES_MAX, PEOPLE_MAX, ROLES_MAX, SECS_MAX};
use crate::settings::{Number, RawSecret, Text, Texts, section};

/// Seconds that a token lives at most which a person of the provider issues for themselves: a day.
pub const MINTED_SECS_DEFAULT: u64 = 86_400;

section! {
    /// Who people are, and what they may do.
    pub struct RawAuth {
        /// How people authenticate: with a `token` of this server, with one of the identity provider (`oidc`), or with
        /// `both`. Agents always present a token. Default with [auth.oidc]: both. Takes effect at a restart.
        mode: Text, shown "\"token\"";
        /// The role of somebody whom no binding names. Default: none.
        default_role: Text, shown "\"readonly\"";
        roles: Vec<RawRole>, within 0..=ROLES_MAX;
        groups: Vec<RawGroup>, within 0..=ROLES_MAX;
        role_bindings: Vec<RawBinding>, within 0..=ROLES_MAX;
        oidc: Option<RawOidc>;
    }
}

section! {
    /// A role of your own, in addition to admin, developer, readonly and agent-default. No default.
    pub struct RawRole {
        name: Text, shown "\"dba\"";
        /// docs/permissions-and-risk.md says what each allows.
        permissions: Texts, within 0..=NAMES_MAX, shown "[\"request.view\", \"request.approve\", \"result.view\"]";
        /// Databases and environments it covers, [] for all. What belongs to no database is given only by a role for
        /// all of them: audit.view, user.manage, token.manage (but for tokens for oneself), workflow.manage,
        /// policy.manage, role.manage and webhook.manage, be it by name or by `*`.
        databases: Texts, within 0..=DATABASES_MAX, shown "[]";
        environments: Texts, within 0..=ENVIRONMENTS_MAX, shown "[]";
    }
}

section! {
    /// A group of people. No default.
    pub struct RawGroup {
        name: Text, shown "\"backend-team\"";
        members: Texts, within 0..=PEOPLE_MAX, shown "[\"requester-one\", \"approver\"]";
        /// Whether the groups claim of the identity provider adds people to it. A group that is not listed here comes
        /// from the claim alone.
        from_claim: Option<bool>, shown false;
    }
}

section! {
    /// Gives a role to people and groups. No default.
    pub struct RawBinding {
        role: Text, shown "\"developer\"";
        subjects: Texts, within 0..=PEOPLE_MAX, shown "[]";
        groups: Texts, within 0..=ROLES_MAX, shown "[\"backend-team\"]";
    }
}

section! {
    /// The identity provider that vouches for people. No default. Takes effect at a restart, but for the roles.
    pub struct RawOidc {
        /// Its address, exactly as its tokens have it in `iss`; `issuer` is another name of this key.
        issuer_url: Text, shown "\"https://id.example.com\"";
        issuer: Text, shown "\"https://id.example.com\"";
        /// For whom its tokens must be (`aud`): at least one of the two.
        client_id: Text, shown "\"dbward\"";
        audience: Text, shown "\"https://dbward.example.com\"";
        /// With which this server proves there that it is `client_id`, where people sign in to the console; without it,
        /// it is a public client. It comes back to <public_url>/auth/callback.
        client_secret: RawSecret, shown "\"${OIDC_CLIENT_SECRET}\"";
        /// What is asked for then; `openid` always is.
        scopes: Texts, within 0..=NAMES_MAX, shown "[\"openid\", \"profile\", \"email\"]";
        /// Where its keys are. No default: found by <issuer_url>/.well-known/openid-configuration.
        jwks_uri: Text, shown "\"https://id.example.com/keys\"";
        /// The claim that lists groups; dots lead into objects.
        groups_claim: Text, shown "\"groups\"";
        /// The claims that hold a person's id here, their name and their address; dots lead into objects. Ids should
        /// never change, nor pass on to somebody else.
        subject_claim: Text, shown "\"sub\"";
        name_claim: Text, shown "\"name\"";
        email_claim: Text, shown "\"email\"";
        /// The role of somebody to whom neither a mapping nor a binding gives one. No default: that of [auth].
        default_role: Text, shown "\"readonly\"";
        /// Seconds that a token lives at most which somebody who logged in through the provider issues for themselves;
        /// 0 for none. Roles and groups that only the claims give are never in it.
        minted_token_ttl_max_secs: Number, within 0..=SECS_MAX, shown MINTED_SECS_DEFAULT;
        role_mappings: Vec<RawMapping>, within 0..=ROLES_MAX;
    }
}

section! {
    /// Gives a role to people of whom the provider says this: the claim is the value, or has it in its list. No
    /// default.
    pub struct RawMapping {
        claim: Text, shown "\"realm_access.roles\"";
        value: Text, shown "\"database-developers\"";
        role: Text, shown "\"developer\"";
    }
}
