//! What tokens let their subjects do, and which tokens may issue which, as tables.

use super::*;
use crate::domain::permission::tests::{lines, rights, team, word};

/// `ann` is in the group `dba` by configuration and bound to the role `writer`; nobody else is bound to anything.
fn policies() -> Policies {
    team("writer = request.create; reader = request.view; everything = *")
}

fn names(roles: &[Role]) -> String {
    let names: Vec<&str> = roles.iter().map(|r| r.name.as_str()).collect();
    match names.is_empty() {
        true => "-".to_owned(),
        false => names.join(" "),
    }
}

fn words(cell: &str) -> Vec<String> {
    cell.split(' ')
        .filter(|w| !w.is_empty() && *w != "-")
        .map(str::to_owned)
        .collect()
}

#[test]
fn rights_of_a_token_follow_its_subject_roles_and_mode() {
    let table = "
subject | mode     | roles                | groups | held          | ceiling       | groups of the caller
ann     | resolved | -                    | -      | writer        | -             | dba
ann     | grant    | reader               | -      | reader        | -             | dba
ann     | ceiling  | reader               | -      | writer        | reader        | dba
ann     | ceiling  | -                    | -      | writer        |               | dba
ann     | grant    | unknown              | -      | -             | -             | dba
ann     | grant    | agent-default reader | -      | reader        | -             | dba
bob     | resolved | -                    | -      | reader        | -             |
bob     | grant    | everything           | ops    | everything    | -             | ops
bob     | ceiling  | everything           | ops    | reader        | everything    | ops
agent:a | grant    | everything           | ops    | agent-default | -             |
agent:a | resolved | -                    | -      | agent-default | -             |
";
    for (line, cells) in lines(table) {
        let (named, groups) = (words(cells[2]), words(cells[3]));
        let (subject_type, subject_id) = match cells[0].strip_prefix("agent:") {
            Some(id) => (SubjectType::Agent, id),
            None => (SubjectType::User, cells[0]),
        };
        let grant = Grant {
            subject_type,
            subject_id,
            roles: &named,
            role_mode: RoleMode::parse(cells[1]).unwrap(),
            groups: &groups,
        };
        let (rights, of_caller) = grant.rights(&policies());
        assert_eq!(names(&rights.held), cells[4], "{line}");
        let ceiling = match &rights.ceiling {
            None => "-".to_owned(),
            Some(roles) if roles.is_empty() => String::new(),
            Some(roles) => names(roles),
        };
        assert_eq!(ceiling, cells[5], "{line}");
        let of_caller: Vec<String> = of_caller.into_iter().collect();
        assert_eq!(of_caller.join(" "), cells[6], "{line}");
    }
}

#[test]
fn tokens_issue_no_more_than_their_issuer_holds() {
    let table = "
own held                           | own ceiling             | wanted held                     | wanted ceiling                 | holds all | exceeds ceiling
a = *                              | -                       | b = *                           | -                              | yes       | no
a = request.view                   | -                       | b = request.view                | -                              | yes       | no
a = request.view                   | -                       | b = request.view, request.create | -                             | no        | no
a = request.view @ app/            | -                       | b = request.view                | -                              | no        | no
a = request.view                   | -                       | b = request.view @ app/         | -                              | yes       | no
a = request.view @ app/dev         | -                       | b = request.view @ app/dev+prod | -                              | no        | no
a = request.view; c = audit.view   | -                       | b = request.view, audit.view    | -                              | yes       | no
a = *                              | c = request.view        | b = request.view                | -                              | yes       | yes
a = *                              | c = request.view        | b = request.create              | -                              | no        | yes
a = *                              | c = request.view        | b = *                           | d = request.view               | yes       | no
a = *                              | c = request.view        | b = *                           | d = request.view, audit.view   | no        | yes
a = *                              | c = *                   | b = request.view                | -                              | yes       | no
a = request.view                   | c = *                   | b = audit.view                  | -                              | no        | no
                                   | -                       | b = request.view                | -                              | no        | no
                                   | -                       |                                 | -                              | yes       | no
";
    for (line, cells) in lines(table) {
        let (own, wanted) = (rights(cells[0], cells[1]), rights(cells[2], cells[3]));
        assert_eq!(word(holds_all(&own, &wanted)), cells[4], "{line}");
        assert_eq!(word(exceeds_ceiling(&own, &wanted)), cells[5], "{line}");
    }
}

/// A token of `ann` that nothing speaks against, as of 10.
fn stored() -> StoredToken {
    StoredToken {
        token: Token {
            id: "t".to_owned(),
            subject_type: SubjectType::User,
            subject_id: "ann".to_owned(),
            hash: String::new(),
            prefix: String::new(),
            name: None,
            roles: Vec::new(),
            role_mode: RoleMode::Resolved,
            groups: Vec::new(),
            issuer: "admin".to_owned(),
            issuers: BTreeSet::new(),
            bound_to: None,
            expires_at: None,
            parent_id: None,
            session_id: None,
        },
        created_at: Timestamp(0),
        revoked_at: None,
        last_used_at: None,
        subject_active: true,
    }
}

#[test]
fn token_counts_until_something_speaks_against_it() {
    // Revoked at, expires at, whether its subject may act; why it does not count at 10.
    let table = [
        (None, None, true, None),
        (None, Some(11), true, None),
        (None, Some(10), true, Some("expired")),
        (None, None, false, Some("suspended")),
        (Some(10), Some(10), false, Some("revoked")),
        (None, Some(10), false, Some("expired")),
    ];
    for (revoked, expires, subject_active, reason) in table {
        let mut stored = StoredToken {
            revoked_at: revoked.map(Timestamp),
            subject_active,
            ..stored()
        };
        stored.token.expires_at = expires.map(Timestamp);
        assert_eq!(stored.rejection_reason(Timestamp(10)), reason);
        assert_eq!(stored.counts(Timestamp(10)), reason.is_none());
    }
}

#[test]
fn bound_token_reaches_what_it_names() {
    let target = crate::domain::permission::tests::target("app/prod");
    let scope = |database, environment| Scope::of(database, environment);
    for (bound_to, reaches) in [
        (None, true),
        (Some(vec![]), false),
        (Some(vec![scope("app", "dev")]), false),
        (Some(vec![scope("app", "dev"), scope("*", "prod")]), true),
    ] {
        let token = Token {
            bound_to,
            ..stored().token
        };
        assert_eq!(token.reaches(&target), reaches, "{:?}", token.bound_to);
    }
}

#[test]
fn modes_of_roles_have_names() {
    for (mode, name) in [
        (RoleMode::Resolved, "resolved"),
        (RoleMode::Grant, "grant"),
        (RoleMode::Ceiling, "ceiling"),
    ] {
        assert_eq!((mode.as_str(), RoleMode::parse(name)), (name, Some(mode)));
    }
    assert_eq!(RoleMode::parse("Grant"), None);
}
