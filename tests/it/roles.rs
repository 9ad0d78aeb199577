//! Deleting a custom role: effective at once, everywhere, until configuration brings it back.

use crate::support::{SHOP, Server, eventually};
use serde_json::{Value, json};
use std::sync::{Arc, Barrier};
use std::thread;

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

const ROLES: &str = r#"
[[auth.roles]]
name = "maker"
permissions = ["request.create", "request.view", "result.view"]
[[auth.roles]]
name = "chief"
permissions = ["*"]
[[auth.roles]]
name = "keeper"
permissions = ["role.manage"]
"#;

fn server() -> Server {
    Server::with(&format!("{SHOP}{ROLES}"))
}

fn names(s: &Server) -> Vec<String> {
    let roles = s.admin().get("/api/roles").is(200).list("roles");
    roles
        .iter()
        .map(|r| r["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_deleted_role_counts_no_more_at_the_next_call() {
    let s = server();
    let maker = s.person("maker", &["maker"]);
    let request = maker.submit("production", UPDATE);
    let keeper = s.person("keeper", &["keeper"]);
    let answer = keeper.delete("/api/roles/maker").is(204);
    assert!(answer.body.is_empty());
    maker.create("production", UPDATE).refused(403, "forbidden");
    maker.show(&request).refused(403, "forbidden");
    assert_eq!(maker.get("/api/me").is(200).json["permissions"], json!([]));
    assert!(!names(&s).contains(&"maker".to_owned()));
    let asked = json!({"subject_id": "maker", "subject_type": "user", "roles": ["maker"]});
    s.admin()
        .post("/api/tokens", &asked)
        .refused(400, "validation_error");
    keeper.delete("/api/roles/maker").refused(404, "not_found");
    let event = s.events("event_type=role.deleted").remove(0);
    assert_eq!(
        (&event["actor_id"], &event["resource_id"]),
        (&json!("keeper"), &json!("maker"))
    );
}

#[test]
fn refused_requester_without_view_right_learns_why() {
    let roles = "[[auth.roles]]\nname = \"blind\"\npermissions = [\"request.create\"]\n";
    let s = Server::with(&format!("{SHOP}{roles}"));
    let blind = s.person("blind", &["blind"]);
    let request = blind.submit("production", UPDATE);
    let refused = blind.show(&request).refused(403, "forbidden");
    let message = refused.json["error"]["message"].as_str().unwrap();
    assert_eq!(
        message,
        "forbidden: permission denied: request.view on shop/production"
    );
    assert!(refused.text("hint").contains("request.view"));
}

#[test]
fn a_deleted_role_ends_what_waits_by_it() {
    let s = server();
    let maker = s.person("maker", &["maker"]);
    let request = maker.submit("production", UPDATE);
    let looking = maker.wait(&request.path("?wait=60"));
    let streaming = maker.wait(&request.path("/result/stream"));
    let unconcerned = s.admin().wait(&request.path("?wait=60"));
    s.until_parked(3);
    s.admin().delete("/api/roles/maker").is(204);
    looking.answer().refused(403, "forbidden");
    streaming.answer().refused(403, "forbidden");
    eventually("parked again", || s.parked() == 1);
    assert!(unconcerned.is_waiting());
    s.admin().cancel(&request).is(200);
    assert_eq!(unconcerned.answer().is(200).text("status"), "cancelled");
}

#[test]
fn a_deleted_role_comes_back_with_the_file() {
    let s = server();
    s.admin().delete("/api/roles/maker").is(204);
    s.person("maker", &["readonly"]);
    let s = s.restart();
    assert!(names(&s).contains(&"maker".to_owned()));
    s.person("maker", &["maker"]).submit("production", UPDATE);
    // With a file that has it no more, it stays away.
    let s = s.restart_with(&format!("{SHOP}{}", ROLES.replace("maker", "baker")));
    s.person("maker", &["maker"])
        .create("production", UPDATE)
        .refused(403, "forbidden");
}

#[test]
fn built_in_roles_stay() {
    let s = server();
    for name in ["admin", "developer", "readonly", "agent-default"] {
        s.admin()
            .delete(&format!("/api/roles/{name}"))
            .refused(422, "built_in_role")
            .saying(name);
    }
    s.admin()
        .delete("/api/roles/nobody")
        .refused(404, "not_found");
    s.admin()
        .delete("/api/roles/a%20b")
        .refused(404, "not_found");
    s.admin()
        .delete("/api/roles")
        .refused(405, "method_not_allowed");
    for name in ["admin", "maker", "nobody"] {
        s.requester()
            .delete(&format!("/api/roles/{name}"))
            .refused(403, "forbidden");
    }
    assert_eq!(s.events("event_type=attempt.refused").len(), 7);
    assert_eq!(names(&s).len(), 7);
}

#[test]
fn the_role_that_the_last_administrator_stands_on_stays() {
    let s = server();
    let chief = s.person("chief", &["chief"]);
    s.admin().delete("/api/roles/chief").is(204);
    chief.get("/api/users").refused(403, "forbidden");
    let s = s.restart();
    let chief = s.person("chief", &["chief"]);
    chief.poke("/api/users/admin/suspend").is(200);
    chief.delete("/api/roles/chief").refused(409, "last_admin");
    chief.get("/api/users").is(200);
}

#[test]
fn a_step_that_loses_its_role_waits_for_nobody_unseen() {
    let steps = SHOP.replace("group = \"approvers\"", "role = \"chief\"");
    let s = Server::with(&format!("{steps}{ROLES}"));
    let chief = s.person("chief", &["chief"]);
    let before = s.requester().submit("production", UPDATE);
    s.admin().delete("/api/roles/chief").is(204);
    let events = s.events("event_type=role.deleted");
    let metadata: Value =
        serde_json::from_str(events[0]["metadata_json"].as_str().unwrap()).unwrap();
    let workflows = s.admin().get("/api/workflows").is(200).list("workflows");
    let of = |environment: &str| {
        let found = workflows.iter().find(|w| w["environment"] == environment);
        json!({
            "workflow": found.unwrap()["id"], "step": 1, "database": "shop", "environment": environment,
        })
    };
    assert_eq!(
        metadata["unreachable_steps"],
        json!([of("staging"), of("production")])
    );
    chief.approve(&before).refused(403, "forbidden");
    // An administrator may still step in, so it is not refused.
    let after = s.requester().create("production", UPDATE).is(201);
    assert_eq!(after.json["approvers"], json!(["role:chief"]));
    s.admin().approve(&before).is(200);
    assert_eq!(before.status(), "approved");
    let progress = before.by.show(&before).json["approval_progress"].clone();
    let vote: Value = progress["steps"][0]["approvals"][0].clone();
    assert_eq!(vote["selector"], "admin_override");
}

#[test]
fn only_steps_that_lose_their_last_approver_are_a_warning() {
    let either = r#"group = "approvers"
[[workflows.steps.approvers]]
role = "chief""#;
    for (mode, lost) in [("any", 0), ("all", 2)] {
        let steps = SHOP.replace("group = \"approvers\"", either).replace(
            "[[workflows.steps]]",
            &format!("[[workflows.steps]]\nmode = \"{mode}\""),
        );
        let s = Server::with(&format!("{steps}{ROLES}"));
        // Whether somebody holds it now or could be given it makes no difference.
        if mode == "any" {
            s.person("chief", &["chief"]);
        }
        s.admin().delete("/api/roles/maker").is(204);
        s.admin().delete("/api/roles/chief").is(204);
        let events = s.events("event_type=role.deleted");
        let steps = |event: &Value| {
            let metadata: Value =
                serde_json::from_str(event["metadata_json"].as_str().unwrap()).unwrap();
            metadata["unreachable_steps"].as_array().map_or(0, Vec::len)
        };
        assert_eq!((steps(&events[1]), steps(&events[0])), (0, lost), "{mode}");
    }
}

#[test]
fn roles_deleted_at_once_are_all_gone() {
    const MANY: usize = 12;
    let role = |n| format!("[[auth.roles]]\nname = \"role-{n}\"\npermissions = [\"audit.view\"]\n");
    let roles: String = (0..MANY).map(role).collect();
    let s = Server::with(&format!("{SHOP}\n{roles}"));
    let barrier = Arc::new(Barrier::new(MANY));
    let racers: Vec<_> = (0..MANY)
        .map(|n| {
            let (admin, barrier) = (s.admin(), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                admin.delete(&format!("/api/roles/role-{n}")).status
            })
        })
        .collect();
    for racer in racers {
        let status = racer.join().unwrap();
        // A caller overtaken twice is asked to come back; no deletion is taken back.
        assert!(status == 204 || status == 503, "{status}");
    }
    for n in 0..MANY {
        let again = s.admin().delete(&format!("/api/roles/role-{n}")).status;
        let deleted = s.events("event_type=role.deleted");
        assert!(again == 404 || again == 204, "{again}");
        let name = format!("role-{n}");
        let times = deleted.iter().filter(|e| e["resource_id"] == name.as_str());
        assert_eq!(times.count(), 1, "{name} came back");
    }
}

#[test]
fn metrics_of_one_environment_show_nothing_of_the_server() {
    let roles = "[[auth.roles]]\nname = \"meter\"\npermissions = [\"metrics.view\"]\n\
        [[auth.roles]]\nname = \"meter-staging\"\npermissions = [\"metrics.view\"]\nenvironments = [\"staging\"]\n";
    let s = Server::with(&format!("{SHOP}{roles}"));
    let (all, staging) = (
        s.person("all", &["meter"]),
        s.person("one", &["meter-staging"]),
    );
    for path in ["/api/webhook-deliveries", "/api/agents", "/metrics"] {
        assert_eq!(all.get(path).status, 200, "{path}");
        assert_eq!(staging.get(path).status, 403, "{path}");
    }
}
