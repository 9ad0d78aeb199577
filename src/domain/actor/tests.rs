//! Callers as tables: what their tokens reach, whom a selector names, and who may vote as one it names.

use super::*;
use crate::domain::permission::tests::{lines, rights, target, word};

/// Somebody with these roles, ceiling (`-` for none) and groups, written as in the tables of permissions.
pub(crate) fn caller(subject: &str, held: &str, ceiling: &str, groups: &str) -> Caller {
    Caller {
        subject: subject.to_owned(),
        kind: SubjectType::User,
        token_id: Some("token-1".to_owned()),
        session_id: None,
        slack_linked_with: None,
        token_issuer: None,
        token_issuers: BTreeSet::new(),
        bound_to: None,
        rights: rights(held, ceiling),
        groups: groups.split_whitespace().map(str::to_owned).collect(),
        generation: 1,
        expires_at: None,
        origin: Origin::default(),
    }
}

#[test]
fn subject_types_are_read_by_their_names() {
    for (kind, name) in [(SubjectType::User, "user"), (SubjectType::Agent, "agent")] {
        assert_eq!(
            (kind.as_str(), SubjectType::parse(name)),
            (name, Some(kind))
        );
    }
    for other in ["", "User", "system", "agents"] {
        assert_eq!(SubjectType::parse(other), None, "{other}");
    }
}

#[test]
fn a_caller_acts_and_the_server_does_not() {
    let mut agent = caller("agent-1", "", "-", "");
    agent.kind = SubjectType::Agent;
    agent.origin.peer_ip = Some("192.0.2.1".to_owned());
    let actor = Actor {
        id: "agent-1".to_owned(),
        kind: "agent",
        token_id: Some("token-1".to_owned()),
        session_id: None,
        slack_linked_with: None,
        acts: true,
        origin: agent.origin.clone(),
    };
    assert_eq!(agent.actor(), actor);
    let system = Actor::system();
    let named = (
        system.id.as_str(),
        system.kind,
        system.token_id,
        system.acts,
    );
    assert_eq!(named, ("system", "system", None, false));
}

#[test]
fn an_agent_reaches_what_its_token_is_bound_to() {
    let table = "
bound to                   | target         | reaches
-                          | app/production | yes
app/production             | app/production | yes
app/production             | app/staging    | no
app/production             | apq/production | no
app/*                      | app/staging    | yes
app/*                      | apq/staging    | no
*/production               | apq/production | yes
*/production               | apq/staging    | no
*/*                        | apq/staging    | yes
app/production apq/staging | apq/staging    | yes
app/production apq/staging | app/staging    | no
                           | app/production | no
";
    for (line, cell) in lines(table) {
        let mut agent = caller("agent-1", "", "-", "");
        let pair = |text: &str| {
            let (database, environment) = text.split_once('/').unwrap();
            Scope::of(database, environment)
        };
        let bound = cell[0].split_whitespace().map(pair);
        agent.bound_to = (cell[0] != "-").then(|| bound.collect());
        assert_eq!(word(agent.reaches(&target(cell[1]))), cell[2], "{line}");
    }
}

#[test]
fn a_missing_right_is_named_with_what_would_help() {
    let at = target("app/production");
    let view = Permission::AuditView;
    let may = caller("one", "a = audit.view", "-", "");
    assert!(may.may_on(view, &at));
    may.require(view).unwrap();
    may.require_on(view, &at).unwrap();
    let table = "
held                  | untied: hint                                                                | on the target
                      | ask an administrator for a role that grants it                              | refused
a = audit.view @ app/ | your roles grant it for some databases only, and this belongs to none       | granted
a = audit.view @ apq/ | your roles grant it for some databases only, and this belongs to none       | refused
a = request.view      | ask an administrator for a role that grants it                              | refused
";
    for (line, cell) in lines(table) {
        let caller = caller("one", cell[0], "-", "");
        let error = caller.require(view).unwrap_err();
        assert_eq!(
            (error.status(), error.code(), error.message()),
            (403, "forbidden", "forbidden: permission denied: audit.view"),
            "{line}"
        );
        assert_eq!(error.hint_text(), Some(cell[1]), "{line}");
        assert_eq!(caller.may_on(view, &at), cell[2] == "granted", "{line}");
        match caller.require_on(view, &at) {
            Ok(()) => assert_eq!(cell[2], "granted", "{line}"),
            Err(error) => {
                let message = "forbidden: permission denied: audit.view on app/production";
                assert_eq!((error.code(), error.message()), ("forbidden", message));
                assert_eq!(cell[2], "refused", "{line}");
            }
        }
    }
}

#[test]
fn selector_names_people_and_ceiling_limits_as_whom_they_vote() {
    // The caller is `one`, in group `ops`; the request is on app/production.
    let table = "
selector   | requester | held                           | ceiling                           | named | votes
requester  | one       |                                | -                                 | yes   | yes
requester  | two       | a = *                          | -                                 | no    | no
requester  | one       |                                |                                   | yes   | yes
user:one   | two       |                                | -                                 | yes   | yes
user:two   | two       | a = *                          | -                                 | no    | no
user:one   | two       |                                |                                   | yes   | no
user:one   | two       |                                | v = request.approve               | yes   | yes
user:one   | two       |                                | v = request.approve @ /staging    | yes   | no
user:one   | two       |                                | v = *                             | yes   | yes
user:one   | two       | a = request.approve            | v = request.view                  | yes   | no
user:two   | two       |                                | v = request.approve               | no    | no
group:ops  | two       |                                | -                                 | yes   | yes
group:dba  | two       | a = *                          | -                                 | no    | no
group:ops  | two       |                                | v = request.approve @ app/        | yes   | yes
group:ops  | two       |                                | v = request.view                  | yes   | no
role:lead  | two       |                                | -                                 | no    | no
role:lead  | two       | lead = request.view            | -                                 | yes   | yes
role:lead  | two       | lead = request.view @ /staging | -                                 | no    | no
role:lead  | two       | lead = request.view @ app/     | -                                 | yes   | yes
role:lead  | two       | dba = *                        | -                                 | no    | no
role:lead  | two       | lead = request.view            | lead = request.view               | yes   | yes
role:lead  | two       | lead = request.view            | v = request.approve               | no    | no
role:lead  | two       | lead = request.view            | v = *                             | yes   | yes
role:lead  | two       | lead = request.view            |                                   | no    | no
";
    for (line, cell) in lines(table) {
        let caller = caller("one", cell[2], cell[3], "ops");
        let selector = Selector::parse(cell[0]).unwrap();
        let at = target("app/production");
        let got = [
            caller.matches(&selector, &at, cell[1]),
            caller.votes_as(&selector, &at, cell[1]),
        ];
        assert_eq!(got.map(word), cell[4..], "{line}");
    }
}
