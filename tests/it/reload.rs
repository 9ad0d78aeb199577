//! A changed server.toml in the real program: applied whole or not at all, and which of the two is reported everywhere.

mod command;
mod running;

use crate::support::{
    FakeSlack, Person, ROWS, Request, SHOP, SIGNING_SECRET, eventually, form, signed,
};
use dbward::clock::Clock;
use running::Running;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

fn metadata(event: &Value) -> Value {
    serde_json::from_str(event["metadata_json"].as_str().unwrap()).unwrap()
}

fn version(person: &Person) -> String {
    let path = "/api/policy-resolution?database=shop&environment=production";
    person.get(path).is(200).text("policy_version")
}

/// Production lets everything through.
fn open() -> String {
    let head = SHOP.split("[[workflows]]").next().unwrap();
    format!("{head}[[workflows]]\n")
}

#[test]
fn a_changed_file_is_in_effect_at_once_and_reported() {
    let s = Running::start(SHOP);
    let requester = s.requester();
    let waiting = requester.submit("production", UPDATE).is_pending();
    assert_eq!(
        (s.value("generation"), s.value("last_reload_success")),
        (1, 1)
    );
    let more = "[[databases]]\nname = \"depot\"\nenvironments = [\"production\"]\n";
    s.take(&format!("{}{more}", open()));
    assert_eq!(
        (s.value("generation"), s.value("last_reload_success")),
        (2, 1)
    );
    requester.submit("production", UPDATE).is_dispatched();
    requester.submit_with("production", UPDATE, json!({"database": "depot"}));
    // What was made before is decided by what held then.
    let waiting = waiting.is_pending();
    assert_eq!(waiting.by.show(&waiting).json["total_steps"], 1);
    let events = s.events("config.synced");
    assert_eq!(events.len(), 2);
    assert_eq!(
        (&events[0]["resource_id"], &events[0]["actor_id"]),
        (&json!(version(&requester)), &json!("system"))
    );
    assert_eq!(metadata(&events[0])["databases"], 2);
    assert!(s.stop().contains("server.toml is in effect"));
}

#[test]
fn a_broken_file_changes_nothing_and_every_problem_is_reported() {
    let s = Running::start(SHOP);
    let requester = s.requester();
    let before = version(&requester);
    let broken = format!(
        "colour = \"blue\"\n{}workers = 0\n",
        open().replace("\"shop\"", "\"Shop\"")
    );
    s.leave(&broken);
    assert_eq!(
        (s.value("generation"), s.value("last_reload_success")),
        (1, 0)
    );
    requester.submit("production", UPDATE).is_pending();
    assert_eq!(version(&requester), before);
    let event = s.events("config.reload_failed").remove(0);
    assert_eq!(
        (&event["outcome"], &event["actor_id"]),
        (&json!("failure"), &json!("system"))
    );
    let problems = metadata(&event)["problems"].to_string();
    // Neither half a file, nor none.
    s.leave("[[databases]\n");
    fs::remove_file(s.dir.path().join("server.toml")).unwrap();
    s.program.signal(Signal::HUP);
    eventually("left", || s.value("reload_failures_total") == 3);
    requester.submit("production", UPDATE).is_pending();
    assert_eq!(s.events("config.synced").len(), 1);
    s.take(&open());
    assert_eq!(
        (s.value("generation"), s.value("last_reload_success")),
        (2, 1)
    );
    requester.submit("production", UPDATE).is_dispatched();
    let log = s.stop();
    for words in ["colour", "databases[0].name"] {
        assert!(log.contains(words), "no {words} in {log}");
        assert!(problems.contains(words), "no {words} in {problems}");
    }
    for words in [
        "server.toml:3: colour",
        "server.toml:3: syntax",
        "cannot read the file",
    ] {
        assert!(log.contains(words), "no {words} in {log}");
    }
    assert!(log.contains("not applied"));
}

#[test]
fn what_needs_restart_is_reported_and_the_rest_is_applied() {
    let s = Running::start(SHOP);
    let text = format!(
        "workers = 3\nshutdown_grace_secs = 1\ncalls_per_minute = 1\ntrusted_proxies = [\"192.0.2.0/24\"]\n{}\
         [audit]\nredaction = \"full\"\n[result_channel]\nmax_slots = 7\n\
         [result_storage]\nmax_persist_bytes = 4096\n[logging]\nformat = \"json\"\n",
        open()
    );
    s.take(&text);
    let requester = s.requester();
    for _ in 0..3 {
        requester.submit("production", UPDATE).is_dispatched();
    }
    let file = s.dir.path().join("server.toml");
    let moved = fs::read_to_string(&file)
        .unwrap()
        .replace("127.0.0.1:0", "127.0.0.1:9");
    fs::write(&file, moved.replace("\"state\"", "\"elsewhere\"")).unwrap();
    s.program.signal(Signal::HUP);
    eventually("applied", || s.value("generation") == 3);
    assert!(!s.dir.path().join("elsewhere").exists());
    let log = s.stop();
    for key in [
        "workers",
        "shutdown_grace_secs",
        "calls_per_minute",
        "trusted_proxies",
        "audit.redaction",
        "result_channel",
        "result_storage",
        "logging.format",
        "listen",
        "state_dir",
    ] {
        let reported = format!("`{key}` has changed; it takes effect at the next start");
        assert!(log.contains(&reported), "no {key} in {log}");
    }
}

#[test]
fn how_much_is_logged_can_be_changed() {
    let quiet = format!("{SHOP}[logging]\nlevel = \"error\"\n");
    let s = Running::start(&quiet);
    s.take(&quiet);
    assert!(!s.program.errors().contains("is in effect"));
    s.take(SHOP);
    assert!(s.stop().contains("is in effect"));
}

/// Something of every kind.
const EVERYTHING: &str = r#"
[[auto_approve]]
risk = "high"
[[sql_review]]
no_where_delete = "off"
[[execution_policies]]
max_executions = 5
[[result_policies]]
retention_days = 1
[[users]]
id = "named"
[[auth.roles]]
name = "maker"
permissions = ["request.create", "request.view"]
[[auth.role_bindings]]
role = "maker"
subjects = ["bound"]
"#;

#[test]
fn the_last_entry_of_every_kind_can_be_removed() {
    let s = Running::start(&format!("{SHOP}{EVERYTHING}"));
    let (requester, bound) = (s.requester(), s.person("bound", "user", &[]));
    let named = s.person("named", "user", &["developer"]);
    requester.submit("production", "SELECT 1").is_dispatched();
    let old = requester
        .submit("production", "DELETE FROM items")
        .is_pending();
    bound.submit("production", UPDATE);
    s.take(SHOP);
    requester.submit("production", "SELECT 1").is_pending();
    requester
        .create("production", "DELETE FROM items")
        .refused(422, "sql_blocked_by_review");
    bound.create("production", UPDATE).refused(403, "forbidden");
    named.get("/api/me").refused(401, "unauthenticated");
    let policies = s.admin.get("/api/execution-policies").is(200);
    assert_eq!(policies.json, json!({"execution_policies": []}));
    let roles = s.admin.get("/api/roles").is(200);
    assert!(!roles.raw().contains("maker"));
    s.take("");
    assert_eq!(
        s.admin.get("/api/databases").is(200).json["databases"],
        json!([])
    );
    assert_eq!(
        s.admin.get("/api/workflows").is(200).json["workflows"],
        json!([])
    );
    requester
        .create("production", "SELECT 1")
        .refused(422, "database_not_registered")
        .saying("not registered");
    old.is("pending");
    s.stop();
}

#[test]
fn a_file_suspends_people_and_lets_them_in_again() {
    let named =
        |status: &str| format!("{SHOP}\n[[users]]\nid = \"requester\"\nstatus = \"{status}\"\n");
    let s = Running::start(&named("active"));
    let requester = s.requester();
    let request = requester.submit("production", UPDATE);
    let own = requester.wait(&request.path("?wait=60"));
    let others = s.admin.wait(&request.path("/result/stream"));
    s.parked(2);
    s.take(&named("suspended"));
    own.answer().refused(401, "unauthenticated");
    assert_eq!(
        others.answer().is(200).text("error_message"),
        "request cancelled"
    );
    requester.get("/api/me").refused(401, "unauthenticated");
    let event = s.events("user.disabled").remove(0);
    assert_eq!(event["actor_id"], "system");
    assert_eq!(metadata(&event)["by_config"], true);
    let shown = s.admin.show(&request).is(200).json;
    assert_eq!(shown["cancelled_by"], "system");
    // The same file again suspends nobody again.
    s.take(&named("suspended"));
    assert_eq!(s.events("user.disabled").len(), 1);
    s.take(&named("active"));
    s.requester().submit("production", UPDATE);
    // What was suspended by a call comes back with the file; who is not named any more goes.
    s.admin.poke("/api/users/requester/suspend").is(200);
    s.take(&named("active"));
    let requester = s.requester();
    requester.get("/api/me").is(200);
    s.take(SHOP);
    requester.get("/api/me").refused(401, "unauthenticated");
    s.stop();
}

#[test]
fn a_file_that_would_lock_everybody_out_is_left() {
    let suspended = format!("{SHOP}\n[[users]]\nid = \"admin\"\nstatus = \"suspended\"\n");
    let s = Running::start(&format!(
        "{SHOP}\n[[auth.roles]]\nname = \"chief\"\npermissions = [\"*\"]\n"
    ));
    s.leave(&suspended);
    s.admin.get("/api/users").is(200);
    let event = s.events("config.reload_failed").remove(0);
    assert!(event.to_string().contains("could administer"), "{event}");
    assert!(s.events("user.disabled").is_empty());
    // With another administrator it goes.
    let mut s = s;
    let chief = s.person("chief", "user", &["chief"]);
    let old = std::mem::replace(&mut s.admin, chief);
    s.take(&format!(
        "{suspended}\n[[auth.roles]]\nname = \"chief\"\npermissions = [\"*\"]\n"
    ));
    old.get("/api/me").refused(401, "unauthenticated");
    // And then the role stays.
    s.leave(&suspended);
    s.leave(SHOP);
    s.admin.get("/api/users").is(200);
    s.stop();
}

#[test]
fn waiting_callers_are_checked_again() {
    let with = |more: &str| format!("{SHOP}\n{more}");
    let maker =
        "[[auth.roles]]\nname = \"maker\"\npermissions = [\"request.create\", \"request.view\"]\n";
    let s = Running::start(&with(maker));
    let maker_one = s.person("maker", "user", &["maker"]);
    let approver = s.person("approver", "user", &["readonly"]);
    let agent = s.agent().serving(json!({"databases": ["depot", "mill"]}));
    let request = maker_one.submit("production", UPDATE);
    let own = maker_one.wait(&request.path("?wait=60"));
    let voter = approver.wait(&request.path("?wait=60"));
    let other = s.admin.wait(&request.path("?wait=60"));
    s.parked(3);
    // Nothing that this agent serves is registered yet, so it is not let wait.
    assert!(
        agent
            .begin_poll(30)
            .answer()
            .is(200)
            .list("jobs")
            .is_empty()
    );
    let depot = "[[databases]]\nname = \"depot\"\nenvironments = [\"development\"]\n";
    s.take(&with(&format!("{maker}{depot}")));
    s.parked(3);
    let polling = agent.begin_poll(30);
    s.parked(4);
    let mill = depot.replace("depot", "mill");
    s.take(&with(&format!("{maker}{depot}{mill}")));
    s.parked(4);
    // The poll that began before there was a mill learns of its job.
    let more = json!({"database": "mill"});
    let job = maker_one.submit_with("development", UPDATE, more);
    let answer = polling.answer().is(200);
    assert_eq!(answer.json["jobs"][0]["id"], job.id.as_str());
    let elsewhere = with(&format!("{depot}{mill}")).replace(
        "members = [\"approver\", ",
        "members = [\"approver-three\", ",
    );
    s.take(&elsewhere);
    own.answer().refused(403, "forbidden");
    // The request keeps its workflow, the group has other members.
    voter.answer().refused(403, "forbidden");
    s.parked(1);
    s.admin.cancel(&request).is(200);
    assert_eq!(other.answer().is(200).text("status"), "cancelled");
    s.stop();
}

#[test]
fn a_deleted_role_comes_back_with_the_next_reload() {
    let toml =
        format!("{SHOP}\n[[auth.roles]]\nname = \"maker\"\npermissions = [\"request.create\"]\n");
    let s = Running::start(&toml);
    let maker = s.person("maker", "user", &["maker"]);
    s.admin.delete("/api/roles/maker").is(204);
    maker
        .create("development", UPDATE)
        .refused(403, "forbidden");
    s.take(&toml);
    maker.create("development", UPDATE).is(201);
    s.stop();
}

/// What one thread of the storm made, and the answers it got.
fn storm(person: &Person, n: usize, over: &AtomicBool) -> Vec<(Request, String)> {
    let mut made = Vec::new();
    while !over.load(Ordering::SeqCst) || made.len() < 20 {
        let key = json!({"idempotency_key": format!("{n}-{}", made.len())});
        let request = person.submit_with("production", UPDATE, key);
        let status = request.answer.text("status");
        made.push((request, status));
    }
    made
}

#[test]
fn request_storm_loses_nothing_and_uses_one_file_each() {
    let s = Running::start(SHOP);
    let requester = s.requester();
    let closed = version(&requester);
    let over = AtomicBool::new(false);
    let made: Vec<(Request, String)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|n| {
                let (requester, over) = (&requester, &over);
                scope.spawn(move || storm(requester, n, over))
            })
            .collect();
        for _ in 0..6 {
            s.take(&open());
            s.leave("colour = \"blue\"\n");
            s.take(SHOP);
        }
        over.store(true, Ordering::SeqCst);
        threads
            .into_iter()
            .flat_map(|t| t.join().unwrap())
            .collect()
    });
    let mut of_closed = 0;
    for (request, status) in &made {
        let shown = request.by.show(request).is(200).json;
        let is_closed = shown["policy_version"] == closed.as_str();
        of_closed += usize::from(is_closed);
        let (want, steps) = if is_closed {
            ("pending", 1)
        } else {
            ("dispatched", 0)
        };
        assert_eq!(
            (status.as_str(), &shown["total_steps"]),
            (want, &json!(steps))
        );
    }
    assert!(
        of_closed > 0 && of_closed < made.len(),
        "{of_closed} of {}",
        made.len()
    );
    let total = s.admin.get("/api/requests?limit=1").is(200).json["total"].clone();
    assert_eq!(total, made.len());
    assert_eq!(s.value("generation"), 13);
    s.stop();
}

#[test]
fn many_signals_at_once_do_no_harm() {
    let s = Running::start(SHOP);
    for _ in 0..200 {
        s.program.signal(Signal::HUP);
    }
    s.take(&open());
    // One of the earlier reloads may have been what `take` saw.
    let path = "/api/policy-resolution?database=shop&environment=production&operation=execute_dml";
    eventually("the new workflow applies", || {
        s.requester().get(path).is(200).text("decision_preview") == "auto_approved"
    });
    s.requester().submit("production", UPDATE).is_dispatched();
    s.program.signal(Signal::HUP);
    let log = s.stop();
    assert!(!log.contains("not applied"), "{log}");
}

#[test]
fn execution_is_finished_though_its_database_was_removed() {
    let s = Running::start(SHOP);
    let (requester, agent) = (s.requester(), s.agent());
    let running = requester.submit("development", UPDATE);
    let dispatched = requester.submit("development", UPDATE);
    let claim = agent.claim(&running.id);
    s.take("");
    agent.heartbeat(&claim.execution).is(200);
    assert!(agent.jobs().is_empty());
    agent.succeed(&claim.execution, ROWS).is(200);
    let result = requester.get(&running.path("/result/stream")).is(200);
    assert_eq!(result.json["success"], true);
    requester.get(&running.path("/result/content")).is(200);
    requester.cancel(&dispatched).is(200);
    s.stop();
}

#[test]
fn the_slack_app_comes_moves_and_goes_with_a_reload() {
    let (first, second) = (FakeSlack::start(), FakeSlack::start());
    let s = Running::start(SHOP);
    let requester = s.requester();
    let call = |secret: &str| {
        let body = form(&[("text", "help"), ("user_id", "U1"), ("trigger_id", "t")]);
        let secs = Clock::system().now().0 / 1_000;
        let head = signed(secret, secs, &body);
        let head: Vec<(&str, &str)> = head.iter().map(|(n, v)| (*n, v.as_str())).collect();
        requester.call("POST", "/api/slack/commands", &head, body.as_bytes())
    };
    call(SIGNING_SECRET).is(404);
    s.take(&format!("{SHOP}{}", first.section()));
    call(SIGNING_SECRET).is(200);
    requester.submit("production", UPDATE);
    first.nth("chat.postMessage", 1);
    // Another workspace, another channel, another secret.
    let other = second
        .section()
        .replace(SIGNING_SECRET, "another-secret-of-the-test");
    s.take(&format!("{SHOP}{}", other.replace("#db", "#elsewhere")));
    call(SIGNING_SECRET).is(401);
    call("another-secret-of-the-test").is(200);
    requester.submit("production", UPDATE);
    assert_eq!(
        second.nth("chat.postMessage", 1).body["channel"],
        "#elsewhere"
    );
    assert_eq!(first.of("chat.postMessage").len(), 1);
    s.take(SHOP);
    call("another-secret-of-the-test").is(404);
    requester.submit("production", UPDATE);
    s.stop();
    assert_eq!(second.of("chat.postMessage").len(), 1);
}
