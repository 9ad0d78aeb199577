//! Who may do what where, as tables. A role is written `name = permission, permission @ database/environment`, without
//! the place where it is for everything; roles are separated by `;`.

use super::*;
use crate::domain::policy::{Binding, Policies};
use std::collections::BTreeSet;

/// Roles of a cell of a table.
pub(crate) fn roles(cell: &str) -> Vec<Role> {
    let roles = cell.split(';').map(str::trim).filter(|r| !r.is_empty());
    roles.map(role).collect()
}

/// Policies with these roles, in which `ann` is in the group `dba` by configuration and bound to the role `writer`, and
/// everybody has the role `reader` by default.
pub(crate) fn team(cell: &str) -> Policies {
    let mut policies = Policies::empty();
    for role in roles(cell) {
        policies.roles.insert(role.name.clone(), role);
    }
    policies
        .groups
        .insert("dba".to_owned(), ["ann".to_owned()].into());
    policies.bindings.push(Binding {
        role: "writer".to_owned(),
        subjects: ["ann".to_owned()].into(),
        groups: BTreeSet::new(),
    });
    policies.default_role = Some("reader".to_owned());
    policies
}

fn role(text: &str) -> Role {
    let (name, rest) = text.split_once('=').unwrap();
    let (permissions, place) = rest.split_once('@').unwrap_or((rest, "/"));
    let (database, environment) = place.trim().split_once('/').unwrap();
    let list = |text: &str| -> Vec<String> {
        let parts = text.split('+').filter(|p| !p.is_empty());
        parts.map(str::to_owned).collect()
    };
    let permissions = permissions.split(',').map(str::trim);
    Role {
        name: name.trim().to_owned(),
        permissions: permissions.flat_map(Permission::from_config).collect(),
        scope: RoleScope {
            databases: list(database),
            environments: list(environment),
        },
        built_in: false,
    }
}

/// The rights of somebody with these roles; `-` means no ceiling.
pub(crate) fn rights(held: &str, ceiling: &str) -> Rights {
    Rights {
        held: roles(held),
        ceiling: (ceiling.trim() != "-").then(|| roles(ceiling)),
    }
}

/// `app/production`.
pub(crate) fn target(text: &str) -> Target {
    let (database, environment) = text.split_once('/').unwrap();
    Target::new(database, environment).unwrap()
}

/// The cells of a table's lines, without its heading.
pub(crate) fn lines(table: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    let lines = table.trim_matches('\n').lines().skip(1);
    lines.map(|line| (line, line.split('|').map(str::trim).collect()))
}

/// `yes` or `no`.
pub(crate) fn word(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

#[test]
fn permissions_have_names_and_some_are_for_everything_or_nothing() {
    // Undivided: about what belongs to no database.
    let table = "
permission              | undivided | built-in roles
request.create          | no        | admin developer
request.create_select   | no        | admin developer readonly
request.view            | no        | admin developer readonly
request.approve         | no        | admin
request.cancel          | no        | admin developer
request.resume          | no        | admin developer
request.break_glass     | no        | admin
request.break_glass_ddl | no        | admin
result.view             | no        | admin developer readonly
audit.view              | yes       | admin
user.manage             | yes       | admin
token.manage            | yes       | admin
token.revoke_own        | no        | admin developer
workflow.manage         | yes       | admin
policy.manage           | yes       | admin
role.manage             | yes       | admin
webhook.manage          | yes       | admin
metrics.view            | yes       | admin
agent.poll              | no        | admin agent-default
agent.claim             | no        | admin agent-default
agent.heartbeat         | no        | admin agent-default
agent.submit_result     | no        | admin agent-default
*                       | no        | admin
";
    let mut got = String::from("\npermission              | undivided | built-in roles\n");
    let built_in = Role::built_in();
    for permission in Permission::ALL {
        let holders = built_in.iter().filter(|r| r.grants(*permission));
        let holders: Vec<&str> = holders.map(|r| r.name.as_str()).collect();
        got.push_str(&format!(
            "{:<23} | {:<9} | {}\n",
            permission.as_str(),
            word(permission.is_undivided()),
            holders.join(" ")
        ));
        assert_eq!(Permission::from_config(permission.as_str()), [*permission]);
    }
    assert_eq!(got, table);
    assert!(built_in.iter().all(|r| r.built_in && r.covers_all()));
}

#[test]
fn older_names_in_configuration_stand_for_permissions() {
    let table = "
name            | permissions
request.execute | request.create
request.query   | request.create_select
audit.read      | audit.view
user.write      | user.manage
token.write     | token.manage
workflow.write  | workflow.manage
policy.write    | policy.manage
role.write      | role.manage
webhook.write   | webhook.manage
workflow.read   | workflow.manage policy.manage role.manage webhook.manage
agent.operate   | agent.poll agent.claim agent.heartbeat agent.submit_result
request.delete  |
Request.create  |
                |
";
    for (line, cell) in lines(table) {
        let meant = Permission::from_config(cell[0]);
        let names: Vec<&str> = meant.iter().map(|p| p.as_str()).collect();
        assert_eq!(names.join(" "), cell[1], "{line}");
    }
}

#[test]
fn a_role_covers_what_both_its_lists_name() {
    let table = "
role                             | target          | covers | everything
r = *                            | app/production  | yes    | yes
r = * @ */*                      | app/production  | yes    | yes
r = * @ */                       | app/production  | yes    | yes
r = * @ app/                     | app/production  | yes    | no
r = * @ app/*                    | app/staging     | yes    | no
r = * @ app/                     | apq/production  | no     | no
r = * @ /production              | app/production  | yes    | no
r = * @ */production             | app/staging     | no     | no
r = * @ app/production           | app/production  | yes    | no
r = * @ app/production           | app/staging     | no     | no
r = * @ app/production           | apq/production  | no     | no
r = * @ app+apq/staging          | apq/staging     | yes    | no
r = * @ app+apq/staging          | apr/staging     | no     | no
r = * @ app+*/staging+production | apr/production  | yes    | no
r = * @ app+*/staging+*          | apr/development | yes    | yes
";
    for (line, cell) in lines(table) {
        let role = role(cell[0]);
        let got = (role.covers(&target(cell[1])), role.covers_all());
        assert_eq!((word(got.0), word(got.1)), (cell[2], cell[3]), "{line}");
    }
}

#[test]
fn right_counts_where_a_role_and_the_ceiling_grant_it() {
    // On the target; tied to none; anywhere at all; shown as of use; what the token lets through.
    let table = "
held                                                    | ceiling                          | permission      | target         | on it | untied | somewhere | of use | through
                                                        | -                                | request.view    | app/production | no    | no     | no        | no     | yes
a = request.view                                        | -                                | request.view    | app/production | yes   | yes    | yes       | yes    | yes
a = request.view                                        | -                                | request.cancel  | app/production | no    | no     | no        | no     | yes
a = *                                                   | -                                | request.cancel  | app/production | yes   | yes    | yes       | yes    | yes
a = request.view @ app/staging                          | -                                | request.view    | app/production | no    | yes    | yes       | yes    | yes
a = request.view @ app/staging                          | -                                | request.view    | app/staging    | yes   | yes    | yes       | yes    | yes
a = request.view @ /staging ; b = *  @ apq/             | -                                | request.view    | app/production | no    | yes    | yes       | yes    | yes
a = audit.view @ app/                                   | -                                | audit.view      | app/production | yes   | no     | yes       | no     | yes
a = audit.view                                          | -                                | audit.view      | app/production | yes   | yes    | yes       | yes    | yes
a = * @ app/                                            | -                                | user.manage     | app/production | yes   | no     | yes       | no     | yes
a = token.manage @ app/                                 | -                                | token.manage    | app/production | yes   | no     | yes       | yes    | yes
a = audit.view ; b = token.manage                       | -                                | token.manage    | app/production | yes   | yes    | yes       | yes    | yes
                                                        | -                                | token.manage    | app/production | no    | no     | no        | no     | yes
a = *                                                   |                                  | request.view    | app/production | no    | no     | no        | no     | no
a = *                                                   | b = request.view                 | request.view    | app/production | yes   | yes    | yes       | yes    | yes
a = *                                                   | b = request.view                 | request.cancel  | app/production | no    | no     | no        | no     | no
a = *                                                   | b = request.view @ app/staging   | request.view    | app/production | no    | yes    | yes       | yes    | no
a = *                                                   | b = audit.view @ app/            | audit.view      | app/production | yes   | no     | yes       | no     | yes
a = audit.view @ app/                                   | b = *                            | audit.view      | app/production | yes   | no     | yes       | no     | yes
a = request.view                                        | b = *                            | request.view    | app/production | yes   | yes    | yes       | yes    | yes
a = request.view                                        | b = request.cancel               | request.view    | app/production | no    | no     | no        | no     | no
a = request.view                                        | b = request.cancel ; c = *       | request.view    | app/production | yes   | yes    | yes       | yes    | yes
                                                        | b = *                            | request.view    | app/production | no    | no     | no        | no     | yes
";
    for (line, cell) in lines(table) {
        let (rights, target) = (rights(cell[0], cell[1]), target(cell[3]));
        let permission = Permission::from_config(cell[2])[0];
        let got = [
            rights.may_on(permission, &target),
            rights.may(permission),
            rights.may_somewhere(permission),
            rights.is_of_use(permission),
            rights.lets_through(permission, &target),
        ];
        assert_eq!(got.map(word), cell[4..], "{line}");
    }
}

#[test]
fn an_administrator_holds_everything_and_the_token_lets_it_through() {
    let table = "
held                      | ceiling            | target         | there | everywhere
                          | -                  | app/production | no    | no
a = *                     | -                  | app/production | yes   | yes
a = * @ app/production    | -                  | app/production | yes   | no
a = * @ app/staging       | -                  | app/production | no    | no
a = request.approve       | -                  | app/production | no    | no
a = *                     | b = *              | app/production | yes   | yes
a = *                     | b = * @ app/       | app/production | yes   | no
a = *                     | b = * @ /staging   | app/production | no    | no
a = *                     | b = request.view   | app/production | no    | no
a = *                     |                    | app/production | no    | no
a = request.view          | b = *              | app/production | no    | no
";
    for (line, cell) in lines(table) {
        let rights = rights(cell[0], cell[1]);
        let got = [rights.is_admin_on(&target(cell[2])), rights.is_admin()];
        assert_eq!(got.map(word), cell[3..], "{line}");
    }
}

#[test]
fn caller_acts_by_roles_that_the_token_names_or_outranks() {
    let table = "
held                                           | ceiling                      | acts as
                                               | -                            |
a = request.view ; b = request.view @ app/     | -                            | a b
a = request.view ; b = request.view            | b = metrics.view             | b
a = request.view ; b = request.view            |                              |
a = request.view ; b = request.view            | c = *                        | a b
a = request.view ; b = request.view            | c = * @ app/                 |
a = request.view ; b = request.view            | a = request.view ; c = *     | a b
a = request.view                               | c = request.approve          |
                                               | a = request.view             |
";
    for (line, cell) in lines(table) {
        let rights = rights(cell[0], cell[1]);
        let names: Vec<&str> = rights.acting().map(|r| r.name.as_str()).collect();
        assert_eq!(names.join(" "), cell[2], "{line}");
        let scoped: Vec<String> = rights.acting_scopes().into_iter().map(|(n, _)| n).collect();
        assert_eq!(scoped.join(" "), cell[2], "{line}");
    }
}

/// Whether a query with these scopes finds what is on `target`.
fn finds(scopes: &[Vec<RoleScope>], target: &Target) -> bool {
    let named = |list: Option<&[String]>, name: &str| {
        list.is_none_or(|list| list.iter().any(|n| n == name))
    };
    let within = |s: &RoleScope| {
        named(s.named_databases(), target.database())
            && named(s.named_environments(), target.environment())
    };
    scopes.iter().any(|all| all.iter().all(within))
}

#[test]
fn queries_find_what_the_rights_cover_and_no_more() {
    let sets = [
        "",
        "a = request.view",
        "a = request.approve",
        "a = *",
        "a = request.view @ */*",
        "a = request.view @ app/",
        "a = request.view @ app+*/production",
        "a = request.view @ app/production ; b = request.approve @ apq/",
        "a = * @ /staging ; b = request.view @ apq/production",
    ];
    let targets = [
        "app/production",
        "app/staging",
        "apq/production",
        "apq/staging",
    ];
    let (view, approve) = (Permission::RequestView, Permission::RequestApprove);
    let mut found = 0;
    for held in sets {
        for ceiling in sets.into_iter().chain(["-"]) {
            let rights = rights(held, ceiling);
            let acting = rights.acting_scopes();
            for at in targets.map(target) {
                let what = format!("{held} under {ceiling} on {at}");
                let seen = rights.may_on(view, &at);
                found += usize::from(seen);
                assert_eq!(finds(&rights.scopes(view), &at), seen, "{what}");
                let either = [view, approve];
                let through = either.iter().any(|p| rights.lets_through(*p, &at));
                let scopes = rights.let_through_scopes(&either);
                assert_eq!(finds(&scopes, &at), through, "{what}");
                let by_role: Vec<bool> = rights.acting().map(|r| r.covers(&at)).collect();
                let by_scope = acting.iter().map(|(_, s)| finds(&[vec![s.clone()]], &at));
                assert_eq!(by_scope.collect::<Vec<_>>(), by_role, "{what}");
            }
        }
    }
    assert!(found > 50, "{found}");
}
