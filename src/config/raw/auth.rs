//! What server.toml said below `[auth]`.

use super::{DATABASES_MAX, ENVIRONMENTS_MAX, NAMES_MAX, PEOPLE_MAX, ROLES_MAX, Text, Texts, each};
use crate::config::problem::Place;
use crate::config::reader::Section;

/// `[auth]`.
#[derive(Debug, Default)]
pub struct RawAuth {
    pub mode: Text,
    pub default_role: Text,
    pub roles: Vec<RawRole>,
    pub groups: Vec<RawGroup>,
    pub role_bindings: Vec<RawBinding>,
    pub oidc: Option<RawOidc>,
}

/// `[[auth.roles]]`.
#[derive(Debug)]
pub struct RawRole {
    pub at: Place,
    pub name: Text,
    pub permissions: Texts,
    pub databases: Texts,
    pub environments: Texts,
}

/// `[[auth.groups]]`.
#[derive(Debug)]
pub struct RawGroup {
    pub at: Place,
    pub name: Text,
    pub members: Texts,
}

/// `[[auth.role_bindings]]`.
#[derive(Debug)]
pub struct RawBinding {
    pub at: Place,
    pub role: Text,
    pub subjects: Texts,
    pub groups: Texts,
}

/// `[auth.oidc]`.
#[derive(Debug)]
pub struct RawOidc {
    pub at: Place,
    pub issuer_url: Text,
    /// The same under the name that others use.
    pub issuer: Text,
    pub client_id: Text,
    pub audience: Text,
    pub jwks_uri: Text,
    pub groups_claim: Text,
    pub default_role: Text,
    pub role_mappings: Vec<RawMapping>,
}

/// `[[auth.oidc.role_mappings]]`.
#[derive(Debug)]
pub struct RawMapping {
    pub at: Place,
    pub claim: Text,
    pub value: Text,
    pub role: Text,
}

impl RawAuth {
    pub(super) fn from(s: &Section<'_>) -> RawAuth {
        RawAuth {
            mode: s.text("mode"),
            default_role: s.text("default_role"),
            roles: each(s, "roles", ROLES_MAX, |s| RawRole {
                at: s.at.clone(),
                name: s.text("name"),
                permissions: s.texts("permissions", NAMES_MAX),
                databases: s.texts("databases", DATABASES_MAX),
                environments: s.texts("environments", ENVIRONMENTS_MAX),
            }),
            groups: each(s, "groups", ROLES_MAX, |s| RawGroup {
                at: s.at.clone(),
                name: s.text("name"),
                members: s.texts("members", PEOPLE_MAX),
            }),
            role_bindings: each(s, "role_bindings", ROLES_MAX, |s| RawBinding {
                at: s.at.clone(),
                role: s.text("role"),
                subjects: s.texts("subjects", PEOPLE_MAX),
                groups: s.texts("groups", ROLES_MAX),
            }),
            oidc: s.section("oidc").map(|s| RawOidc::from(&s)),
        }
    }
}

impl RawOidc {
    fn from(s: &Section<'_>) -> RawOidc {
        RawOidc {
            at: s.at.clone(),
            issuer_url: s.text("issuer_url"),
            issuer: s.text("issuer"),
            client_id: s.text("client_id"),
            audience: s.text("audience"),
            jwks_uri: s.text("jwks_uri"),
            groups_claim: s.text("groups_claim"),
            default_role: s.text("default_role"),
            role_mappings: each(s, "role_mappings", ROLES_MAX, |s| RawMapping {
                at: s.at.clone(),
                claim: s.text("claim"),
                value: s.text("value"),
                role: s.text("role"),
            }),
        }
    }
}
