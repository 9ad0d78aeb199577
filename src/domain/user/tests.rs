//! What gives people their roles and groups.

use super::*;
use crate::domain::permission::tests::{roles, team};
use crate::domain::policy::Policies;
use crate::domain::token::{RoleMode, Token};

/// As in [`team`], and the group `dba` is bound to the same role.
fn policies() -> Policies {
    let mut policies = team("writer = request.create; reader = request.view; other = audit.view");
    policies.bindings[0].groups.insert("dba".to_owned());
    policies
}

fn user(id: &str, subject_type: SubjectType, source: &str) -> User {
    User {
        id: id.to_owned(),
        subject_type,
        active: true,
        source: source.to_owned(),
        slack_user_id: None,
        slack_linkers: BTreeSet::new(),
        slack_linked_with: None,
        claimed_email: None,
        kept_claims: None,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        last_seen_at: None,
    }
}

fn token(user: &User, roles: &[&str], groups: &[&str]) -> Token {
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    Token {
        id: "t".to_owned(),
        subject_type: user.subject_type,
        subject_id: user.id.clone(),
        hash: String::new(),
        prefix: String::new(),
        name: None,
        roles: names(roles),
        role_mode: RoleMode::Grant,
        groups: names(groups),
        issuer: "admin".to_owned(),
        issuers: BTreeSet::new(),
        bound_to: None,
        expires_at: None,
        parent_id: None,
        session_id: None,
    }
}

/// `role from source; … / group from source; …`.
fn shown(access: &Access) -> String {
    let source = |source: &AccessSource| match source {
        AccessSource::Config => "config".to_owned(),
        AccessSource::Group(group) => format!("group {group}"),
        AccessSource::Default => "default".to_owned(),
        AccessSource::Token(id) => format!("token {id}"),
        AccessSource::Claims => "claims".to_owned(),
        AccessSource::OnCall => "on_call".to_owned(),
    };
    let roles = access.roles.iter();
    let roles = roles.map(|h| format!("{} from {}", h.role.name, source(&h.source)));
    let groups = access.groups.iter();
    let groups = groups.map(|h| format!("{} from {}", h.group, source(&h.source)));
    let (roles, groups): (Vec<String>, Vec<String>) = (roles.collect(), groups.collect());
    format!("{} / {}", roles.join("; "), groups.join("; "))
}

#[test]
fn access_names_each_source_once() {
    let policies = policies();
    let ann = user("ann", SubjectType::User, "config");
    let eve = user("eve", SubjectType::User, "token");
    let agent = user("agent", SubjectType::Agent, "token");
    let seen = SeenClaims {
        groups: ["dba".to_owned(), "staff".to_owned()].into(),
        roles: roles("reader = request.view; other = audit.view"),
        name: None,
        email: None,
        at: Timestamp(0),
    };
    let all =
        |user: &User, tokens: &[Token], seen| shown(&Access::of(&policies, user, tokens, seen));
    assert_eq!(
        all(&ann, &[], None),
        "writer from config; writer from group dba / dba from config"
    );
    assert_eq!(all(&eve, &[], None), "reader from default / ");
    assert_eq!(
        all(
            &eve,
            &[token(&eve, &["writer", "reader"], &["staff"])],
            None
        ),
        "reader from default; writer from token t / staff from token t"
    );
    let two = [token(&eve, &["other"], &[]), token(&eve, &["other"], &[])];
    assert_eq!(
        all(&eve, &two, None),
        "reader from default; other from token t / "
    );
    assert_eq!(
        all(&ann, &[], Some(&seen)),
        "writer from config; writer from group dba; reader from claims; other from claims \
         / dba from config; staff from claims"
    );
    assert_eq!(
        all(&agent, &[token(&agent, &["writer"], &["staff"])], None),
        "agent-default from token t / "
    );
}

#[test]
fn only_configuration_names_people_again() {
    for source in ["config", "oidc", "token"] {
        let user = user("ann", SubjectType::User, source);
        assert_eq!(user.is_from_config(), source == "config");
    }
}

fn claimed(groups: &[&str]) -> ClaimedAccess {
    ClaimedAccess {
        groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        values: BTreeMap::new(),
    }
}

#[test]
fn claims_add_groups_that_configuration_leaves_to_them() {
    let mut policies = policies();
    policies.bindings[0].groups.insert("staff".to_owned());
    let under = |access: &ClaimedAccess, policies: &Policies| {
        let (groups, roles) = access.under(policies, "eve");
        let groups: Vec<String> = groups.into_iter().collect();
        let roles: Vec<String> = roles.into_iter().map(|r| r.name).collect();
        format!("{} / {}", groups.join(" "), roles.join(" "))
    };
    let access = claimed(&["dba", "staff"]);
    // Who is in `dba` is for the configuration to say, unless it leaves that to claims too.
    assert_eq!(under(&access, &policies), "staff / writer");
    assert_eq!(under(&claimed(&["dba"]), &policies), " / reader");
    policies.claim_groups.insert("dba".to_owned());
    assert_eq!(under(&access, &policies), "dba staff / writer");
    assert_eq!(under(&claimed(&[]), &policies), " / reader");
}

#[test]
fn claims_are_kept_when_they_change_and_once_a_day() {
    assert_eq!(KEPT_CLAIMS_SECS_MAX, 2_592_000);
    let day = Timestamp(86_400_000);
    let kept = |groups: &[&str]| KeptClaims {
        access: claimed(groups),
        at: Timestamp(0),
    };
    // What is kept since 0, what is claimed, and when; whether it is to be kept now.
    let table = [
        (None, claimed(&[]), day, false),
        (None, claimed(&["dba"]), Timestamp(0), true),
        (
            Some(kept(&["dba"])),
            claimed(&["staff"]),
            Timestamp(0),
            true,
        ),
        (Some(kept(&["dba"])), claimed(&[]), Timestamp(0), true),
        (Some(kept(&["dba"])), claimed(&["dba"]), Timestamp(0), false),
        (
            Some(kept(&["dba"])),
            claimed(&["dba"]),
            Timestamp(day.0 - 1),
            false,
        ),
        (Some(kept(&["dba"])), claimed(&["dba"]), day, true),
        (Some(kept(&[])), claimed(&[]), day, false),
    ];
    for (kept, access, now, due) in table {
        let found = KeptClaims::is_due(kept.as_ref(), &access, now);
        assert_eq!(found, due, "{kept:?} {access:?} {now:?}");
    }
}

#[test]
fn without_claims_the_provider_gives_no_more_than_with_them() {
    let mut policies = policies();
    policies.default_role = Some("writer".to_owned());
    let names = |user: &User, policies: &Policies| {
        let roles = user.roles_without_claims(policies);
        let names: Vec<String> = roles.into_iter().map(|r| r.name).collect();
        names.join(" ")
    };
    let kept = |groups: &[&str]| {
        Some(KeptClaims {
            access: claimed(groups),
            at: Timestamp(0),
        })
    };
    let token = user("eve", SubjectType::User, "token");
    let provider = user("eve", SubjectType::User, "oidc");
    let config = User {
        claimed_email: Some("eve@example.com".to_owned()),
        ..user("eve", SubjectType::User, "config")
    };
    policies.oidc_default_role = Some("reader".to_owned());
    assert_eq!(names(&token, &policies), "writer");
    assert_eq!(names(&provider, &policies), "reader");
    assert_eq!(names(&config, &policies), "reader");
    // Whom the claims give another role has no default.
    policies.bindings[0].groups.insert("staff".to_owned());
    policies.bindings[0].role = "other".to_owned();
    let staff = User {
        kept_claims: kept(&["staff"]),
        ..provider.clone()
    };
    assert_eq!(names(&staff, &policies), "");
    let none = User {
        kept_claims: kept(&[]),
        ..token
    };
    assert_eq!(names(&none, &policies), "reader");
    // A binding that names them stays.
    policies.bindings[0].subjects.insert("eve".to_owned());
    assert_eq!(names(&staff, &policies), "other");
}
