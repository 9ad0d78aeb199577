//! Tokens with a ceiling: named roles of somebody who is bound to roles are the most the token does. That limits votes
//! too, which need no permission otherwise, and what is issued with it.

use super::people::metadata;
use crate::support::{Answer, Person, SHOP, Server};
use serde_json::{Value, json};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

/// The approver and the clerk are bound, so that tokens of theirs that name roles have a ceiling.
const ROLES: &str = r#"
[[auth.roles]]
name = "voter"
permissions = ["request.approve"]
[[auth.roles]]
name = "staging-voter"
permissions = ["request.approve"]
environments = ["staging"]
[[auth.roles]]
name = "issuer"
permissions = ["token.manage", "request.view"]
[[auth.roles]]
name = "marker"
permissions = ["request.view"]
[[auth.roles]]
name = "meter"
permissions = ["metrics.view"]
[[auth.role_bindings]]
role = "developer"
subjects = ["approver"]
[[auth.role_bindings]]
role = "issuer"
subjects = ["clerk"]
[[auth.role_bindings]]
role = "marker"
subjects = ["clerk"]
"#;

/// The shop, with `selector` in place of its group of approvers.
fn server(selector: &str) -> Server {
    Server::with(&format!(
        "{}{ROLES}",
        SHOP.replace("group = \"approvers\"", selector)
    ))
}

fn issue(by: &Person, roles: &[&str], groups: &[&str]) -> Answer {
    let asked = json!({
        "subject_id": by.subject, "subject_type": "user", "roles": roles, "groups": groups,
    });
    by.post("/api/tokens", &asked)
}

#[test]
fn token_votes_by_selector_with_a_voting_role_only() {
    let table: [(&[&str], bool, bool); 8] = [
        // Roles that the token names; whether it votes in production, and in staging.
        (&[], true, true),
        (&["voter"], true, true),
        (&["admin"], true, true),
        (&["readonly", "voter"], true, true),
        (&["staging-voter"], false, true),
        (&["readonly"], false, false),
        (&["developer"], false, false),
        (&["issuer", "meter"], false, false),
    ];
    for selector in ["group = \"approvers\"", "user = \"approver\""] {
        let s = server(selector);
        for (roles, production, staging) in table {
            let approver = s.person("approver", roles);
            for (environment, votes) in [("production", production), ("staging", staging)] {
                let one = s.requester().submit(environment, UPDATE).is_pending();
                let two = s.requester().submit(environment, UPDATE).is_pending();
                let waits = approver.ids("pending_for_me=true").contains(&one.id);
                let shown = approver.ids("status=pending").contains(&one.id);
                let what = format!("{selector} {roles:?} {environment}");
                assert_eq!((waits, shown), (votes, votes), "{what}");
                if votes {
                    approver.show(&one).is(200);
                    approver.approve(&one).is(200);
                    approver.reject(&two).is(200);
                } else {
                    approver.show(&one).refused(403, "forbidden");
                    let refused = approver.approve(&one).refused(403, "not_an_approver");
                    refused.saying("limited to roles that do not vote");
                    approver.reject(&two).refused(403, "not_an_approver");
                    one.is_pending();
                    two.is_pending();
                }
            }
        }
    }
}

#[test]
fn by_role_it_votes_only_as_role_that_it_names() {
    let s = server("role = \"developer\"");
    for (roles, status) in [
        (&[][..], 200),
        (&["developer"], 200),
        (&["readonly", "developer"], 200),
        // Outranks every role, but gives none that is not held.
        (&["admin"], 200),
        (&["readonly"], 403),
        (&["voter"], 403),
    ] {
        let request = s.requester().submit("production", UPDATE);
        let approver = s.person("approver", roles);
        let answer = approver.approve(&request);
        assert_eq!(answer.status, status, "{roles:?}: {}", answer.raw());
    }
}

#[test]
fn a_refused_vote_of_it_is_audited() {
    let s = server("group = \"approvers\"");
    let request = s.requester().submit("production", UPDATE);
    let limited = s.person("approver", &["readonly"]);
    limited.approve(&request).refused(403, "not_an_approver");
    let events = s.events("event_type=attempt.refused&actor_id=approver");
    assert_eq!(events.len(), 1);
    assert_eq!(metadata(&events[0])["code"], "not_an_approver");
    assert_eq!(events[0]["request_id"], json!(request.id));
}

#[test]
fn token_sees_decided_requests_with_a_viewing_role_only() {
    let s = server("group = \"approvers\"");
    let request = s.requester().submit("production", UPDATE);
    s.person("approver", &[]).approve(&request).is(200);
    for (roles, shown) in [
        (&[][..], true),
        (&["readonly"], true),
        (&["voter"], true),
        (&["staging-voter"], false),
        (&["meter"], false),
    ] {
        let approver = s.person("approver", roles);
        let status = approver.show(&request).status;
        assert_eq!(status, if shown { 200 } else { 403 }, "{roles:?}");
        let listed = approver.ids("status=approved").contains(&request.id);
        assert_eq!(listed, shown, "{roles:?}");
    }
}

#[test]
fn token_rejects_own_requests_only_where_it_may_cancel() {
    let s = server("group = \"approvers\"");
    let request = s.person("approver", &[]).submit("production", UPDATE);
    for roles in [&["readonly"], &["meter"]] {
        let limited = s.person("approver", roles);
        limited.reject(&request).refused(403, "not_an_approver");
    }
    let developer = s.person("approver", &["developer"]);
    assert_eq!(
        developer.reject(&request).is(200).text("status"),
        "rejected"
    );
}

#[test]
fn it_issues_nothing_that_does_more_than_itself() {
    let s = Server::with(&format!(
        "{}{ROLES}",
        SHOP.replace("\"approver-two\"", "\"approver-two\", \"clerk\"")
    ));
    let request = s.requester().submit("production", UPDATE);
    let limited = s.person("clerk", &["issuer"]);
    limited.approve(&request).refused(403, "not_an_approver");
    // Neither all roles, nor one that votes: with either the holder would vote after all.
    issue(&limited, &[], &[]).refused(403, "forbidden");
    issue(&limited, &["voter"], &[]).refused(403, "forbidden");
    issue(&limited, &["admin"], &[]).refused(403, "forbidden");
    issue(&limited, &["issuer", "meter"], &[]).refused(403, "forbidden");
    let again = issue(&limited, &["issuer"], &["approvers"]).is(201);
    let again = s.bearer("clerk", &again.text("token"));
    again.approve(&request).refused(403, "not_an_approver");
    issue(&again, &[], &[]).refused(403, "forbidden");
    // Without a ceiling the holder issues any of their roles.
    let whole = s.person("clerk", &[]);
    issue(&whole, &["voter"], &[]).is(201);
    issue(&whole, &[], &[]).is(201);
    whole.approve(&request).is(200);
}

#[test]
fn approver_role_is_issued_by_its_holders_only() {
    for (selector, named) in [("role = \"marker\"", true), ("role = \"voter\"", false)] {
        let s = server(selector);
        // By its permissions the role is less than what the issuer holds.
        let issuer = s.person("somebody", &["issuer"]);
        let answer = issue(&issuer, &["marker"], &[]);
        assert_eq!(answer.status, if named { 403 } else { 201 }, "{selector}");
        if named {
            answer.saying("you do not hold the role `marker`");
        }
        let limited = s.person("clerk", &["issuer"]);
        let answer = issue(&limited, &["marker"], &[]);
        assert_eq!(answer.status, if named { 403 } else { 201 }, "{selector}");
        let holder = s.person("somebody", &["issuer", "marker"]);
        issue(&holder, &["marker"], &[]).is(201);
    }
    let reads = "[[result_policies]]\nenvironment = \"production\"\naccess = [\"role:marker\"]\n";
    let s = Server::with(&format!("{SHOP}{ROLES}{reads}"));
    let issuer = s.person("somebody", &["issuer"]);
    issue(&issuer, &["marker"], &[]).refused(403, "forbidden");
}

#[test]
fn who_leaves_group_leaves_it_with_every_token_at_once() {
    let with = SHOP.replace("\"approver-two\"", "\"approver-two\", \"clerk\"");
    let s = Server::with(&format!("{with}{ROLES}"));
    let request = s.requester().submit("production", UPDATE);
    let made = issue(&s.person("clerk", &[]), &[], &["approvers"]).is(201);
    let clerk = s.bearer("clerk", &made.text("token"));
    assert_eq!(clerk.get("/api/me").json["groups"], json!(["approvers"]));
    assert_eq!(clerk.ids("pending_for_me=true"), [request.id.as_str()]);
    let s = s.restart_with(&format!("{SHOP}{ROLES}"));
    let clerk = s.bearer("clerk", &made.text("token"));
    assert_eq!(clerk.get("/api/me").is(200).json["groups"], json!([]));
    clerk.approve(&request).refused(403, "forbidden");
}

#[test]
fn right_without_database_needs_a_role_for_all() {
    const PAGES: [(&str, &str); 6] = [
        ("audit.view", "/api/audit/events"),
        ("user.manage", "/api/users"),
        ("token.manage", "/api/tokens"),
        ("workflow.manage", "/api/workflows"),
        ("policy.manage", "/api/execution-policies"),
        ("role.manage", "/api/roles"),
    ];
    let role = |name: String, permission: &str, scope: &str| {
        format!("[[auth.roles]]\nname = \"{name}\"\npermissions = [\"{permission}\"]\n{scope}\n")
    };
    let mut toml = SHOP.to_owned();
    for (permission, _) in PAGES {
        toml += &role(
            format!("all {permission}"),
            permission,
            "databases = [\"*\"]",
        );
        toml += &role(
            format!("part {permission}"),
            permission,
            "environments = [\"staging\"]",
        );
    }
    toml += &role("chief".into(), "*", "environments = [\"staging\"]");
    toml += &role(
        "meter".into(),
        "metrics.view",
        "environments = [\"staging\"]",
    );
    let s = Server::with(&toml);
    let chief = s.person("chief", &["chief"]);
    for (n, (permission, page)) in PAGES.into_iter().enumerate() {
        let all = s.person(&format!("all-{n}"), &[&format!("all {permission}")]);
        all.get(page).is(200);
        let part = s.person(&format!("part-{n}"), &[&format!("part {permission}")]);
        part.get(page)
            .refused(403, "forbidden")
            .saying("belongs to none");
        chief.get(page).refused(403, "forbidden");
        let may = |person: &Person| {
            let me = person.get("/api/me").is(200);
            me.list("permissions").contains(&Value::from(permission))
        };
        // A token for oneself reaches no further than its issuer.
        assert_eq!(
            (may(&all), may(&part)),
            (true, permission == "token.manage")
        );
    }
    chief
        .poke("/api/users/all-0/suspend")
        .refused(403, "forbidden");
    chief.delete("/api/roles/meter").refused(403, "forbidden");
    s.person("meter", &["meter"])
        .get("/metrics")
        .refused(403, "forbidden");
    let part = s.person("part-2", &["part token.manage"]);
    issue(&part, &["part token.manage"], &[]).is(201);
    issue(&part, &["all token.manage"], &[]).refused(403, "forbidden");
}
