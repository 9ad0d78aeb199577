//! Claims about the identity provider in server.toml.

use super::{loads, refused, warnings};
use crate::config::{AuthMode, Config};
use crate::domain::policy::RoleMapping;

const PROVIDER: &str =
    "[auth.oidc]\nissuer_url = \"https://id.example.com/\"\nclient_id = \"dbward\"\n";

fn with(top: &str, auth: &str, oidc: &str) -> String {
    format!("state_dir = \"x\"\n{top}\n[auth]\n{auth}\n{oidc}")
}

fn oidc(lines: &str) -> Vec<String> {
    refused(&with("", "", &format!("[auth.oidc]\n{lines}")))
}

fn mode(config: &Config) -> (AuthMode, bool) {
    (config.auth_mode, config.oidc.is_some())
}

#[test]
fn the_mode_is_given_or_follows_from_the_provider() {
    assert_eq!(mode(&loads("state_dir = \"x\"")), (AuthMode::Token, false));
    let spanned = |auth: &str| loads(&with("", auth, PROVIDER));
    assert_eq!(mode(&spanned("")), (AuthMode::Both, true));
    assert_eq!(mode(&spanned("mode = \"both\"")), (AuthMode::Both, true));
    assert_eq!(mode(&spanned("mode = \"oidc\"")), (AuthMode::Oidc, true));
    let idle = spanned("mode = \"token\"");
    assert_eq!(mode(&idle), (AuthMode::Token, false));
    assert!(warnings(&idle)[0].contains("lets nobody come from this provider"));
    for mode in ["oidc", "both"] {
        let problems = refused(&with("", &format!("mode = \"{mode}\""), ""));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("auth.mode") && problems[0].contains("needs a section"));
    }
}

#[test]
fn every_key_of_the_provider_has_its_effect() {
    let config = loads(&with(
        "",
        "default_role = \"readonly\"",
        "[auth.oidc]\nissuer = \"https://id.example.com/realms/a\"\nclient_id = \"dbward\"\n\
         audience = \"https://dbward.example.com\"\njwks_uri = \"http://127.0.0.1:8080/keys?a=b\"\n\
         groups_claim = \"realm_access.groups\"\ndefault_role = \"developer\"\n\
         [[auth.oidc.role_mappings]]\nclaim = \"level\"\nvalue = \"high\"\nrole = \"admin\"\n",
    ));
    let oidc = config.oidc.unwrap();
    assert_eq!(oidc.issuer.url(), "https://id.example.com/realms/a");
    assert_eq!(oidc.audiences, ["dbward", "https://dbward.example.com"]);
    assert_eq!(
        oidc.jwks_uri.unwrap().url(),
        "http://127.0.0.1:8080/keys?a=b"
    );
    assert_eq!(oidc.groups_claim, "realm_access.groups");
    assert_eq!(
        config.policies.oidc_default_role.as_deref(),
        Some("developer")
    );
    assert_eq!(config.policies.default_role.as_deref(), Some("readonly"));
    let mapping = ["level", "high", "admin"].map(str::to_owned);
    let [claim, value, role] = mapping;
    assert_eq!(
        config.policies.role_mappings,
        [RoleMapping { claim, value, role }]
    );
    assert!(!config.process.allow_private_networks);
}

#[test]
fn what_decides_rights_is_policy_and_the_address_is_not() {
    let version = |oidc: &str| loads(&with("", "", oidc)).policies.version();
    let plain = version(PROVIDER);
    let elsewhere = PROVIDER.replace("id.example.com", "other.example.com");
    assert_eq!(version(&elsewhere), plain);
    let role = format!("{PROVIDER}default_role = \"readonly\"\n");
    let mapping = |role: &str| {
        format!(
            "{PROVIDER}[[auth.oidc.role_mappings]]\nclaim = \"a\"\nvalue = \"b\"\nrole = \"{role}\"\n"
        )
    };
    let all = [
        plain,
        version(&role),
        version(&mapping("admin")),
        version(&mapping("readonly")),
    ];
    for (n, one) in all.iter().enumerate() {
        assert!(!all[..n].contains(one), "{n}");
    }
}

#[test]
fn an_issuer_is_given_once_and_is_an_address() {
    let spanned = |lines: &str, part: &str| {
        let problems = oidc(&format!("client_id = \"a\"\n{lines}"));
        assert!(
            problems.len() == 1 && problems[0].contains(part),
            "{lines}: {problems:?}"
        );
    };
    spanned("", "auth.oidc.issuer_url: this key is required");
    spanned("issuer_url = \"\"", "not a URL that begins with");
    spanned("issuer_url = \"ldap://a\"", "not a URL that begins with");
    spanned("issuer_url = \"https://a?b\"", "no query");
    spanned("issuer_url = \"https://a#b\"", "fragment");
    spanned(
        "issuer_url = \"https://a\"\nissuer = \"https://b\"",
        "says something else",
    );
    spanned(
        "issuer_url = \"https://a\"\njwks_uri = \"\"",
        "not a URL that begins with",
    );
    spanned(
        "issuer_url = \"https://a\"\njwks_uri = \"http://b\"",
        "for this machine only",
    );
    spanned("issuer_url = 7", "a string is wanted here");
    let secret = oidc("client_id = \"a\"\nissuer_url = \"https://u:hunter2@a\"");
    assert!(!secret[0].contains("hunter2"), "{secret:?}");
}

#[test]
fn plain_http_is_for_this_machine_or_trusted_networks() {
    let far = "[auth.oidc]\nissuer_url = \"http://id.internal\"\nclient_id = \"a\"\n";
    assert_eq!(refused(&with("", "", far)).len(), 1);
    assert!(
        loads(&with("allow_private_networks = true", "", far))
            .process
            .allow_private_networks
    );
    let near = far.replace("id.internal", "localhost:8080");
    assert!(loads(&with("", "", &near)).oidc.unwrap().issuer.is_here());
}

#[test]
fn unknown_group_may_come_from_the_provider_only() {
    let binding = "[[auth.role_bindings]]\nrole = \"developer\"\ngroups = [\"theirs\"]\n";
    loads(&with("", "", &format!("{PROVIDER}{binding}")));
    // Shutting the provider out takes one key and not a new file.
    loads(&with(
        "",
        "mode = \"token\"",
        &format!("{PROVIDER}{binding}"),
    ));
    let problems = refused(&with("", "", binding));
    assert!(
        problems[0].contains("group `theirs` is not under"),
        "{problems:?}"
    );
}

#[test]
fn a_mapping_to_the_role_of_agents_is_a_warning() {
    let config = loads(&with(
        "",
        "",
        &format!(
            "{PROVIDER}[[auth.oidc.role_mappings]]\nclaim = \"a\"\nvalue = \"b\"\nrole = \"agent-default\"\n"
        ),
    ));
    assert!(warnings(&config)[0].contains("gives people nothing"));
}
