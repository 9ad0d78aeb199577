//! What there is on a server, and the commands of administrators.

use super::console::Console;
use crate::support::{DELIVERS, SHOP, Server, Sink, eventually};
use serde_json::json;
use std::fs;

const WEBHOOK: &str = r#"
[[webhooks]]
id = "ops"
url = "http://127.0.0.1:9/hook"
events = ["*"]
"#;

#[test]
fn lists_fit_every_terminal() {
    let server = Server::with(&format!("{SHOP}{WEBHOOK}"));
    let mut console = Console::before(&server);
    let agent = server.agent("agent-1");
    agent.poll();
    server.admin().get("/api/me").is(200);
    // Lists say when they were last here from now on, and not only after some seconds.
    server.flush();
    let admin = server.admin().token.unwrap();
    for call in [
        &["databases"][..],
        &["agents"],
        &["webhook", "list"],
        &["webhook", "deliveries", "--status", "dead"],
        &["user", "list"],
        &["policy", "resolve", "-e", "production"],
        &[
            "policy",
            "resolve",
            "-e",
            "production",
            "--operation",
            "execute_dml",
            "--sql",
            "DELETE FROM t",
        ],
    ] {
        console.record_wide(&admin, call).is(0);
    }
    console
        .record(&admin, &["databases", "--format", "quiet"])
        .is(0);
    console
        .record(&admin, &["schema", "-e", "production"])
        .is(1);
    let mine = server.requester().token.unwrap();
    console.record(&mine, &["user", "list"]).is(1);
    console.record(&mine, &["agents"]).is(1);
    console.golden("operations");
}

/// Runs what stands in one line, without quotes.
fn call(console: &Console, token: &str, line: &str, code: i32) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    console.run(Some(token), &words).is(code).out
}

#[test]
fn tokens_are_issued_listed_and_revoked() {
    let server = Server::shop();
    let console = Console::before(&server);
    let admin = server.admin().token.unwrap();
    let create = "token create --subject ci --roles readonly --expires 90d --format quiet";
    let token = call(&console, &admin, create, 0).trim().to_owned();
    assert!(token.starts_with("dbw_") && token.len() == 36, "{token}");
    assert_eq!(call(&console, &token, "whoami --format quiet", 0), "ci\n");
    let bound = "token create --subject bot --agent --bound-to shop/production";
    let shown = call(&console, &admin, bound, 0);
    let end = "it does not expire; it is shown only now\n";
    assert!(shown.ends_with(end), "{shown}");
    let list = call(&console, &admin, "token list --subject ci --format csv", 0);
    let row = list.lines().nth(1).unwrap();
    let id = row.split(',').next().unwrap();
    assert!(row.contains(",ci,active,,readonly,"), "{row}");
    assert_eq!(list.lines().count(), 2, "{list}");
    let ran = console.run(Some(&admin), &["token", "revoke", "nothing"]);
    assert!(ran.errors.contains("no active token begins with `nothing`"));
    // The list shows the beginning of an id, and that is enough.
    let table = call(&console, &admin, "token list --subject ci", 0);
    let short = &id[..8];
    assert!(table.contains(short) && !table.contains(id), "{table}");
    let revoked = call(&console, &admin, &format!("token revoke {short}"), 0);
    assert_eq!(revoked, format!("Revoked {id}.\n"));
    call(&console, &token, "whoami", 1);
    let quiet = "token list --subject ci --format quiet";
    assert_eq!(call(&console, &admin, quiet, 0), "");
    let all = call(&console, &admin, &format!("{quiet} --all"), 0);
    assert_eq!(all, format!("{id}\n"));
    call(
        &console,
        &admin,
        "token create --subject x --expires soon",
        2,
    );
    call(
        &console,
        &admin,
        "token create --subject x --bound-to a/b",
        2,
    );
}

#[test]
fn an_id_is_looked_for_among_the_newest() {
    let hooks: String = (0..20)
        .map(|n| format!("[[webhooks]]\nid = \"ops-{n}\"\nurl = \"http://127.0.0.1:9/hook\"\nevents = [\"request.created\"]\n"))
        .collect();
    let server = Server::with(&format!("{SHOP}{hooks}"));
    let console = Console::before(&server);
    let admin = server.admin();
    // More deliveries than are looked at.
    for _ in 0..26 {
        server
            .requester()
            .submit("production", "SELECT id FROM items");
    }
    let path = "/api/webhook-deliveries?limit=1&offset=519";
    let oldest = admin.get(path).is(200).list("deliveries").remove(0);
    let oldest = oldest["id"].as_str().unwrap();
    let redeliver = |id: &str| {
        let call = ["webhook", "redeliver", id];
        console.run(admin.token.as_deref(), &call).is(1).errors
    };
    let errors = redeliver(&oldest[..20]);
    let why = "error: none of the newest 500 is a delivery that begins with `wd-";
    let hint = "hint: write the whole id of an older one; dbward webhook deliveries\n";
    assert!(
        errors.starts_with(why) && errors.ends_with(hint),
        "{errors}"
    );
    // It waits, and so it is refused by the server, which knows it.
    let errors = redeliver(oldest);
    assert!(!errors.contains("begins with"), "{errors}");
}

#[test]
fn deliveries_and_executions_are_named_by_their_beginning() {
    let sink = Sink::start();
    let server = Server::with(&format!(
        "{SHOP}{DELIVERS}{}",
        sink.webhook("ops", "events = [\"*\"]")
    ));
    let console = Console::before(&server);
    let admin = server.admin();
    server
        .requester()
        .submit("production", "SELECT id FROM items");
    let delivered = || {
        let path = "/api/webhook-deliveries?status=delivered";
        admin.get(path).is(200).list("deliveries")
    };
    eventually("a delivery", || !delivered().is_empty());
    let token = admin.token.clone().unwrap();
    let again = |id: &str, code| {
        console
            .run(Some(&token), &["webhook", "redeliver", id])
            .is(code)
    };
    let id = delivered()[0]["id"].as_str().unwrap().to_owned();
    for short in [&id[..11], &id[3..14]] {
        eventually("the delivery", || !delivered().is_empty());
        assert_eq!(again(short, 0).out, format!("{id} is delivered again.\n"));
    }
    let errors = again("wd-", 1).errors;
    assert!(
        errors.contains("more than one delivery begins with `wd-`"),
        "{errors}"
    );
    let errors = again("wd-nothing", 1).errors;
    assert!(
        errors.contains("no delivery begins with `wd-nothing`"),
        "{errors}"
    );
    let errors = again("00000000-0000-4000-8000-000000000000", 1).errors;
    assert!(errors.contains("no delivery"), "{errors}");
    let read = server.requester().submit("development", "SELECT 1");
    server.agent("agent-1").run(&read.id);
    let listed = call(
        &console,
        &token,
        &format!("request result {} --list --format quiet", read.id),
        0,
    );
    let result = format!(
        "request result {} --execution-id {} --format csv",
        read.id,
        &listed[..8]
    );
    assert!(
        call(&console, &token, &result, 0).starts_with("id,name"),
        "{listed}"
    );
}

#[test]
fn people_are_suspended_activated_and_linked() {
    let server = Server::shop();
    let console = Console::before(&server);
    let admin = server.admin().token.unwrap();
    let mine = server.requester().token.unwrap();
    console.run(Some(&mine), &["whoami"]).is(0);
    let ran = console
        .run(Some(&mine), &["user", "link-slack", "U012ABCDEF"])
        .is(0);
    assert_eq!(ran.out, "requester is U012ABCDEF on Slack.\n");
    console
        .run(
            Some(&mine),
            &["user", "update", "--slack-user-id", "U012ABCDEG"],
        )
        .is(0);
    console
        .run(
            Some(&admin),
            &["user", "link-slack", "--none", "--user", "requester"],
        )
        .is(0);
    let ran = console
        .run(Some(&admin), &["user", "suspend", "requester"])
        .is(0);
    assert_eq!(
        ran.out,
        "requester is suspended: 1 token revoked, 0 requests cancelled.\n"
    );
    console.run(Some(&mine), &["whoami"]).is(1);
    console
        .run(Some(&admin), &["user", "activate", "requester"])
        .is(0);
    console
        .run(Some(&mine), &["user", "suspend", "approver"])
        .is(1);
}

#[test]
fn the_audit_log_is_read_and_proved() {
    let server = Server::shop();
    let mut console = Console::before(&server);
    let admin = server.admin().token.unwrap();
    let requester = server.requester();
    let id = requester
        .submit("production", "UPDATE items SET price = 2 WHERE id = 1")
        .id;
    console.knows(&id);
    console
        .record_wide(&admin, &["audit", "list", "--request", &id])
        .is(0);
    console
        .record(&admin, &["audit", "verify", "--format", "quiet"])
        .is(0);
    console.golden("audit");
    // The options of the 0.1.6 command line.
    assert!(console_audit(&server, &["--verify"]).contains("The audit log holds"));
    let listed = console_audit(
        &server,
        &[
            "--limit",
            "1",
            "--event-type",
            "request.created",
            "--format",
            "jsonl",
        ],
    );
    assert_eq!(listed.lines().count(), 1, "{listed}");
}

fn console_audit(server: &Server, more: &[&str]) -> String {
    let console = Console::before(server);
    let mut args = vec!["audit"];
    args.extend(more);
    console
        .run(server.admin().token.as_deref(), &args)
        .is(0)
        .out
}

#[test]
fn doctor_looks_at_every_part_of_the_way() {
    let server = Server::shop();
    let console = Console::before(&server);
    let admin = server.admin().token.unwrap();
    let ran = console.run(Some(&admin), &["doctor"]).is(1);
    assert!(
        ran.out.contains("BAD   agents") && ran.out.ends_with("Something is wrong.\n"),
        "{}",
        ran.out
    );
    server.agent("agent-1").poll();
    let ran = console.run(Some(&admin), &["doctor"]).is(0);
    assert!(
        ran.out.contains("ok    agents         1 agent there"),
        "{}",
        ran.out
    );
    let ran = console
        .run(server.requester().token.as_deref(), &["doctor"])
        .is(0);
    assert!(
        ran.out
            .contains("skip  agents         you may not look at it"),
        "{}",
        ran.out
    );
    let ran = Console::at("http://127.0.0.1:1")
        .run(Some(&admin), &["doctor", "--format", "json"])
        .is(1);
    assert!(ran.out.contains("\"ok\":false"), "{}", ran.out);
}

#[test]
fn migrations_are_sent_as_the_agents_read_them() {
    let server = Server::shop();
    let console = Console::before(&server);
    let requester = server.requester();
    let mine = requester.token.clone().unwrap();
    let file = console
        .run(None, &["migrate", "create", "add paid-at"])
        .is(0)
        .out;
    let file = console.home().join(file.trim());
    assert!(
        file.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .ends_with("_add_paid_at.sql")
    );
    fs::write(&file, "-- migrate:up\nALTER TABLE items ADD paid_at text;\n-- migrate:down\nALTER TABLE items DROP paid_at;\n").unwrap();
    console
        .run(Some(&mine), &["migrate", "up", "-e", "production"])
        .is(2);
    let made = requester.get("/api/requests").list("requests").remove(0);
    assert_eq!(made["operation"], "migrate_up");
    let detail: serde_json::Value = serde_json::from_str(made["detail"].as_str().unwrap()).unwrap();
    assert_eq!(detail["format"], "v2");
    assert_eq!(detail["direction"], "up");
    assert_eq!(
        detail["migrations"][0]["sql"],
        "ALTER TABLE items ADD paid_at text;"
    );
    assert_eq!(detail["migrations"][0]["version"], detail["versions"][0]);
    assert_eq!(detail["dir_sha256"].as_str().unwrap().len(), 64);
    assert!(detail.get("max_count").is_none());
    console
        .run(Some(&mine), &["migrate", "down", "-e", "production"])
        .is(2);
    let made = requester.get("/api/requests").list("requests").remove(0);
    let detail: serde_json::Value = serde_json::from_str(made["detail"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&detail["direction"], &detail["max_count"]),
        (&json!("down"), &json!(1))
    );
    console
        .run(Some(&mine), &["migrate", "repair", "--mark-applied", "1"])
        .is(1);
    console
        .run(Some(&mine), &["migrate", "up", "--dir", "nowhere"])
        .is(1);
}
