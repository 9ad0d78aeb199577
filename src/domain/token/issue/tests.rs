//! Who may issue which token, and when it ends, as tables.

use super::*;
use crate::domain::actor::Origin;
use crate::domain::permission::tests::{lines, rights, team};

/// Longest life of a token that a person of the identity provider issues for themselves, in seconds.
const TTL_MAX: u64 = 100;

/// `ann`, with these rights, by a token or by the identity provider.
fn ann(held: &str, ceiling: &str, token_id: Option<&str>) -> Caller {
    Caller {
        subject: "ann".to_owned(),
        kind: SubjectType::User,
        token_id: token_id.map(str::to_owned),
        session_id: None,
        slack_linked_with: None,
        token_issuer: None,
        token_issuers: BTreeSet::new(),
        bound_to: None,
        rights: rights(held, ceiling),
        groups: ["dba".to_owned()].into(),
        generation: 0,
        expires_at: None,
        origin: Origin::default(),
    }
}

/// The same for `bob`, who is bound to no role.
fn bob(held: &str, ceiling: &str, token_id: Option<&str>) -> Caller {
    Caller {
        subject: "bob".to_owned(),
        ..ann(held, ceiling, token_id)
    }
}

/// `ann`, or `agent:one`, without anything else.
fn asked(subject: &str) -> TokenRequest {
    let (subject_type, subject_id) = match subject.strip_prefix("agent:") {
        Some(id) => (SubjectType::Agent, id),
        None => (SubjectType::User, subject),
    };
    TokenRequest {
        subject_id: subject_id.to_owned(),
        subject_type,
        name: None,
        roles: Vec::new(),
        is_ceiling: false,
        groups: Vec::new(),
        bound_to: None,
        expires_at: None,
    }
}

fn set(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn yes(result: &Result<(), Error>) -> &'static str {
    if result.is_ok() { "yes" } else { "no" }
}

#[test]
fn only_administrators_issue_for_others() {
    let table = "
rights of the caller         | by token | for       | longest | may
r = request.view             | yes      | ann       | 100     | no
r = token.manage             | yes      | ann       | 100     | yes
r = token.manage @ app/      | yes      | ann       | 100     | yes
r = token.manage             | yes      | bob       | 100     | no
r = token.manage             | yes      | agent:one | 100     | no
r = token.manage             | yes      | agent:ann | 100     | no
r = *                        | yes      | bob       | 100     | yes
r = *                        | yes      | agent:one | 100     | yes
r = token.manage             | no       | ann       | 100     | yes
r = token.manage             | no       | ann       | 0       | no
r = token.manage             | yes      | ann       | 0       | yes
r = *                        | no       | ann       | 0       | no
r = *                        | no       | bob       | 0       | yes
";
    for (line, cells) in lines(table) {
        let token_id = (cells[1] == "yes").then_some("t");
        let caller = ann(cells[0], "-", token_id);
        let may = may_issue(&caller, &asked(cells[2]), cells[3].parse().unwrap());
        assert_eq!(yes(&may), cells[4], "{line}");
    }
}

#[test]
fn what_one_issues_for_oneself_ends_with_its_origin() {
    // For whom, by a token that ends then (`-` never, `no` by none), asked for; the end, `+` where it is inherited.
    let table = "
for       | token ends | asked | end
ann       | 50         | -     | +50
ann       | 50         | 50    | 50
ann       | 50         | 49    | 49
ann       | 50         | 51    | refused
ann       | -          | -     | -
ann       | -          | 51    | 51
ann       | no         | -     | +100010
ann       | no         | 100010 | 100010
ann       | no         | 100011 | refused
bob       | 50         | -     | -
bob       | 50         | 51    | 51
agent:ann | 50         | 51    | 51
";
    for (line, cells) in lines(table) {
        let token_id = (cells[1] != "no").then_some("t");
        let caller = Caller {
            expires_at: cells[1].parse().ok().map(Timestamp),
            ..ann("r = *", "-", token_id)
        };
        let asked = TokenRequest {
            expires_at: cells[2].parse().ok().map(Timestamp),
            ..asked(cells[0])
        };
        let end = match expiry(&caller, &asked, Timestamp(10), TTL_MAX) {
            Err(_) => "refused".to_owned(),
            Ok(Expiry { at: None, .. }) => "-".to_owned(),
            Ok(Expiry {
                at: Some(at),
                is_inherited,
            }) => {
                format!("{}{}", if is_inherited { "+" } else { "" }, at.0)
            }
        };
        assert_eq!(end, cells[3], "{line}");
    }
}

#[test]
fn issuer_chain_holds_everybody_who_may_know_the_secret() {
    // The issuer and the chain of the caller's token; for whom; issuer and chain of the new one.
    let table = "
issuer | chain     | for       | issuer | new chain
-      |           | ann       | ann    | ann
bob    | bob       | ann       | bob    | ann bob
bob    | bob eve   | ann       | bob    | ann bob eve
bob    | bob eve   | zoe       | ann    | ann bob eve
bob    | bob       | agent:one | ann    | ann bob
system |           | ann       | ann    | ann
";
    for (line, cells) in lines(table) {
        let caller = Caller {
            token_issuer: (cells[0] != "-").then(|| cells[0].to_owned()),
            token_issuers: set(cells[1]),
            ..ann("r = *", "-", Some("t"))
        };
        let chain = IssuerChain::of(&caller, &asked(cells[2])).unwrap();
        assert_eq!(chain.issuer, cells[3], "{line}");
        assert_eq!(chain.all, set(cells[4]), "{line}");
    }
}

#[test]
fn issuer_chain_has_an_end() {
    let with = |people: usize| Caller {
        token_issuers: (0..people).map(|n| format!("p{n}")).collect(),
        ..ann("r = *", "-", Some("t"))
    };
    assert!(IssuerChain::of(&with(ISSUERS_MAX - 1), &asked("ann")).is_ok());
    let refused = IssuerChain::of(&with(ISSUERS_MAX), &asked("ann")).unwrap_err();
    assert_eq!(refused.code(), "too_many_issuers");
}

/// Roles `writer`, `reader` and `everything`; approvers are named by `voter`.
fn policies() -> Policies {
    let mut policies = team(
        "writer = request.create; reader = request.view; everything = *; voter = request.view; plain = request.view",
    );
    let scope = Scope::of("app", "production");
    policies
        .result
        .push(crate::domain::policy::result::ResultPolicy {
            scope,
            access: vec![crate::domain::id::Selector::Role("voter".to_owned())],
            ..policies.plain_result()
        });
    policies
}

#[test]
fn nobody_issues_more_than_they_hold() {
    let both = "writer = request.create; reader = request.view";
    let table = [
        // Rights of the caller, their ceiling, roles of the token (after `=` as a ceiling), its groups, whether it may be.
        ("everything = *", "-", "everything", "ops", true),
        (both, "-", "reader", "", true),
        (both, "-", "writer reader", "dba", true),
        (both, "-", "everything", "", false),
        (both, "-", "reader", "ops", false),
        // The same permissions by a role that someone is named by.
        (both, "-", "plain", "", true),
        (both, "-", "voter", "", false),
        ("voter = request.view", "-", "voter", "", true),
        // A ceiling stays one.
        (both, "reader = request.view", "reader", "", false),
        (both, "reader = request.view", "=reader", "", true),
        (both, "reader = request.view", "=writer", "", false),
        (both, "reader = request.view", "", "", false),
    ];
    for (held, ceiling, named, groups, may) in table {
        let caller = bob(held, ceiling, Some("t"));
        let asked = TokenRequest {
            roles: set(named.trim_start_matches('=')).into_iter().collect(),
            is_ceiling: named.starts_with('='),
            groups: set(groups).into_iter().collect(),
            ..asked("bob")
        };
        let chain = IssuerChain::of(&caller, &asked).unwrap();
        let new = draft(
            &policies(),
            chain,
            None,
            asked,
            ("t".to_owned(), "dbw_secret"),
        );
        let rights = new.grant().rights(&policies()).0;
        let result = within_own(&caller, &new, &rights, &policies());
        assert_eq!(result.is_ok(), may, "{held}, {ceiling}: {named}, {groups}");
    }
}

#[test]
fn claims_of_a_login_are_in_no_token() {
    // In `ops`, and everything held, by claims alone; by configuration a `reader`.
    let by_claims = Caller {
        groups: set("ops"),
        ..bob("reader = request.view; writer = request.create", "-", None)
    };
    let may = |caller: &Caller, named: &str, groups: &str| {
        let asked = TokenRequest {
            roles: set(named).into_iter().collect(),
            groups: set(groups).into_iter().collect(),
            ..asked("bob")
        };
        let chain = IssuerChain::of(caller, &asked).unwrap();
        let new = draft(
            &policies(),
            chain,
            None,
            asked,
            ("t".to_owned(), "dbw_secret"),
        );
        let rights = new.grant().rights(&policies()).0;
        within_own(caller, &new, &rights, &policies()).is_ok()
    };
    assert!(may(&by_claims, "reader", ""));
    assert!(!may(&by_claims, "writer", ""));
    assert!(!may(&by_claims, "reader", "ops"));
    let by_token = Caller {
        token_id: Some("t".to_owned()),
        ..by_claims
    };
    assert!(may(&by_token, "writer", "ops"));
}

#[test]
fn draft_decides_once_how_its_roles_count() {
    // Subject, roles, asked for as a ceiling; the mode. `ann` is bound to a role, `bob` to none.
    let table = [
        ("ann", "", false, RoleMode::Resolved),
        ("ann", "", true, RoleMode::Resolved),
        ("ann", "reader", false, RoleMode::Ceiling),
        ("bob", "reader", false, RoleMode::Grant),
        ("bob", "reader", true, RoleMode::Ceiling),
        ("bob", "", false, RoleMode::Resolved),
        ("agent:ann", "agent-default", true, RoleMode::Grant),
    ];
    for (subject, named, is_ceiling, mode) in table {
        let asked = TokenRequest {
            roles: set(named).into_iter().collect(),
            is_ceiling,
            groups: vec!["dba".to_owned(), "ops".to_owned()],
            ..asked(subject)
        };
        let caller = ann("r = *", "-", Some("t"));
        let chain = IssuerChain::of(&caller, &asked).unwrap();
        let id = ("new".to_owned(), "dbw_0123456789");
        let token = draft(&policies(), chain, Some("t".to_owned()), asked, id);
        assert_eq!(token.role_mode, mode, "{subject}, {named}");
        assert_eq!(token.hash, sha256_hex(b"dbw_0123456789"));
        assert_eq!(
            (token.id.as_str(), token.prefix.as_str()),
            ("new", "01234567")
        );
        assert_eq!(token.parent_id.as_deref(), Some("t"));
        // A group by configuration applies for as long as the configuration says so, and is in no token.
        let is_in_dba = token.subject_id == "ann";
        assert_eq!(token.groups.contains(&"dba".to_owned()), !is_in_dba);
        assert!(token.groups.contains(&"ops".to_owned()));
    }
}
