//! `doctor`: a server at an address, and an agent where it runs.

mod outward;

use super::console::Console;
use crate::support::{Program, SHOP, Server, Temp, eventually, settled};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

fn agent_toml(url: &str, token: &str) -> String {
    format!(
        "[server]\nurl = \"{url}\"\ntoken = \"{token}\"\n[agent]\nstate_dir = \"agent-state\"\n[[databases]]\n\
         name = \"shop\"\nenvironment = \"development\"\ndriver = \"sqlite\"\npath = \"shop.db\"\n"
    )
}

#[test]
fn a_server_is_looked_at_without_a_token() {
    let server = Server::shop();
    let url = format!("http://{}", server.inner().addr());
    let console = Console::at("");
    let look = || console.run(None, &["doctor", "--server", &url]);
    let ran = look().is(1);
    assert!(
        ran.out
            .contains(&format!("ok    server         {url} runs dbward ")),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("ok    ready "), "{}", ran.out);
    assert!(
        ran.out
            .contains("BAD   token          there is no token for"),
        "{}",
        ran.out
    );
    // With one that was kept for the address, the rest of the way too.
    server.agent("agent-1").poll();
    let admin = server.admin().token.unwrap();
    let login = ["login", "--server", &url];
    console.run_with(None, &login, &format!("{admin}\n")).is(0);
    let ran = look().is(0);
    assert!(
        ran.out.contains("ok    you            admin, role admin"),
        "{}",
        ran.out
    );
    assert!(ran.out.ends_with("All is well.\n"), "{}", ran.out);
}

#[test]
fn an_agent_is_looked_at_where_it_runs() {
    let server = Server::shop();
    let url = format!("http://{}", server.inner().addr());
    let console = Console::at("");
    let file = console.home().join("agent.toml");
    let look = |text: String| {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        console.run(None, &["doctor", "--agent", "agent.toml"])
    };
    rusqlite::Connection::open(console.home().join("shop.db"))
        .unwrap()
        .execute_batch("CREATE TABLE t (a)")
        .unwrap();
    let agent = server.agent("agent-1").person.token.unwrap();
    let good = agent_toml(&url, &agent);
    let ran = look(good.clone()).is(0);
    assert!(
        ran.out
            .contains("ok    token          it is of agent agent-1"),
        "{}",
        ran.out
    );
    assert!(
        ran.out
            .contains("ok    database       shop/development can be opened"),
        "{}",
        ran.out
    );
    let person = server.requester().token.unwrap();
    let ran = look(agent_toml(&url, &person)).is(1);
    assert!(
        ran.out
            .contains("BAD   token          it is not a token of an agent"),
        "{}",
        ran.out
    );
    let ran = look(agent_toml("http://127.0.0.1:1", &agent)).is(1);
    assert!(
        ran.out.contains("BAD   server ") && ran.out.contains("ok    database "),
        "{}",
        ran.out
    );
    let ran = look(good.replace("shop.db", "nowhere/shop.db")).is(1);
    assert!(
        ran.out.contains("BAD   database       shop/development: "),
        "{}",
        ran.out
    );
    let ran = look(good.replace("[agent]", "[agent]\nid = \"agent-2\"")).is(1);
    assert!(
        ran.out.contains("another agent than `agent-2`"),
        "{}",
        ran.out
    );
    let ran = look("nonsense = 1\n".to_owned()).is(1);
    assert!(
        ran.out.contains("BAD   configuration  agent.toml:1"),
        "{}",
        ran.out
    );
}

/// A receiver that answers every call, and says that it is 1994. It ends with the process of the tests.
fn receiver_of_1994() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = [0; 1024];
            let _ = stream.read(&mut head);
            assert!(
                head.starts_with(b"HEAD "),
                "nothing but a head is asked for"
            );
            let answer = "HTTP/1.1 405 x\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{at}/hook")
}

/// A server of its own process, its folder with server.toml and an empty folder for backups, and what `doctor` prints.
fn host() -> (Program, Temp, impl Fn(&Temp) -> String) {
    let webhook = |id: &str, url: &str| format!("[[webhooks]]\nid = \"{id}\"\nurl = \"{url}\"\n");
    let toml = format!(
        "allow_private_networks = true\n{SHOP}{}{}",
        webhook("late", &receiver_of_1994()),
        webhook("gone", "http://127.0.0.1:9/hook")
    );
    let dir = settled(&toml);
    let (program, at) = Program::serve(dir.path());
    // The port that it took, so that it can be asked.
    let text = format!("state_dir = \"state\"\nlisten = \"{at}\"\n{toml}");
    fs::write(dir.path().join("server.toml"), text).unwrap();
    let backups = dir.path().join("backups");
    fs::create_dir(&backups).unwrap();
    fs::set_permissions(&backups, fs::Permissions::from_mode(0o700)).unwrap();
    let look = |dir: &Temp| {
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (file, backups) = (path("server.toml"), path("backups"));
        let call = ["doctor", "--server", &file, "--backups", &backups];
        Console::at("").run(None, &call).is(1).out
    };
    (program, dir, look)
}

#[track_caller]
fn holds(out: &str, findings: &[&str]) {
    for finding in findings {
        assert!(out.contains(finding), "no `{finding}`: {out}");
    }
}

#[test]
fn an_operator_learns_what_is_wrong_and_what_to_do() {
    let (program, dir, look) = host();
    holds(
        &look(&dir),
        &[
            "ok    configuration  ",
            "ok    files          ",
            "ok    webhook        late at http://127.0.0.1:",
            "BAD   webhook        gone at http://127.0.0.1:9",
            "see network, firewall, outbound_proxy and allow_networks",
            "BAD   clock          it differs from that of http://127.0.0.1:",
            "set it by NTP",
            "holds none: `dbward backup ",
            "ok    process        process ",
            "ok    ready          ok",
            "BAD   agents         none is there",
            "ok    approvers      every write that waits for approval finds some",
        ],
    );
    program.stop();
    holds(
        &look(&dir),
        &["BAD   process        none uses ", "`dbward serve --config "],
    );
    fs::write(dir.path().join("server.toml"), "nonsense = 1\n").unwrap();
    holds(&look(&dir), &["BAD   configuration  "]);
}

#[test]
fn an_operator_learns_of_old_backups_and_open_files() {
    let (program, dir, look) = host();
    let path = |name: &str| dir.path().join(name);
    let (file, one) = (path("server.toml"), path("backups/one"));
    let console = Console::at("");
    let backup = [
        "backup",
        one.to_str().unwrap(),
        "--config",
        file.to_str().unwrap(),
    ];
    console.run(None, &backup).is(0);
    holds(
        &look(&dir),
        &["ok    backups        the newest, ", "/one, is "],
    );
    let manifest = one.join("backup.json");
    let mut made: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    made["created_at"] = "2020-01-02T03:04:05.678Z".into();
    fs::write(&manifest, made.to_string()).unwrap();
    fs::set_permissions(path("state/signing.key"), fs::Permissions::from_mode(0o644)).unwrap();
    holds(
        &look(&dir),
        &[
            "BAD   backups        the newest, ",
            "see what runs `dbward backup`",
            "BAD   files          ",
            "signing.key has mode 644, so others can read it: chmod 600 ",
        ],
    );
    fs::set_permissions(path("state/signing.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let json = [
        "doctor",
        "--server",
        file.to_str().unwrap(),
        "--format",
        "json",
    ];
    let out = console.run(None, &json).is(1).out;
    let read: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(read["ok"], false);
    let mut checks = read["checks"].as_array().unwrap().iter();
    assert!(checks.all(|c| c["name"].is_string()), "{out}");
    program.stop();
}

#[test]
fn an_agent_learns_that_others_can_read_its_token() {
    let server = Server::shop();
    let url = format!("http://{}", server.inner().addr());
    let console = Console::at("");
    let file = console.home().join("agent.toml");
    rusqlite::Connection::open(console.home().join("shop.db"))
        .unwrap()
        .execute_batch("CREATE TABLE t (a)")
        .unwrap();
    let token = server.agent("agent-1").person.token.unwrap();
    fs::write(&file, agent_toml(&url, &token)).unwrap();
    let look = |mode: u32| {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        console.run(None, &["doctor", "--agent", "agent.toml"])
    };
    let finding = "agent.toml has mode 644, so others can read the secret in line 3: chmod o-r ";
    holds(&look(0o644).is(1).out, &[finding]);
    let out = look(0o600).is(0).out;
    assert!(
        out.ends_with("Nothing is wrong; one part was not looked at.\n"),
        "{out}"
    );
}

#[test]
fn every_file_open_to_others_is_named_with_its_fix() {
    let (program, dir, look) = host();
    let path = |name: &str| dir.path().join(name);
    let mode = |name: &str, mode: u32| {
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("server.toml", 0o644);
    mode("backups", 0o755);
    // It holds no secret, and may be read.
    holds(
        &look(&dir),
        &[
            "BAD   files          ",
            "/backups has mode 755, so others can read the state in it: chmod o-rwx ",
        ],
    );
    mode("backups", 0o700);
    holds(&look(&dir), &["ok    files          "]);
    for name in [
        "dbward.db.replaced-00000001",
        "litestream.json",
        "standby.db-wal",
    ] {
        fs::write(path("state").join(name), "").unwrap();
        mode(&format!("state/{name}"), 0o640);
        let finding = format!("/state/{name} has mode 640, so others can read it: chmod 600 ");
        holds(&look(&dir), &["BAD   files          ", &finding]);
        fs::remove_file(path("state").join(name)).unwrap();
    }
    let text = fs::read_to_string(path("server.toml")).unwrap();
    let line = text.lines().count() + 4;
    let more = "[[webhooks]]\nid = \"signed\"\nurl = \"http://127.0.0.1:9/hook\"\n";
    fs::write(
        path("server.toml"),
        format!("{text}{more}secret = \"hush\"\n"),
    )
    .unwrap();
    let finding = format!(
        "/server.toml has mode 644, so others can read the secret in line {line}: chmod o-r "
    );
    holds(&look(&dir), &[&finding]);
    // Its group may, as that of the unit does.
    mode("server.toml", 0o640);
    holds(&look(&dir), &["ok    files          "]);
    mode("server.toml", 0o644);
    fs::write(path("hush"), "hush").unwrap();
    mode("hush", 0o644);
    fs::write(
        path("server.toml"),
        format!("{text}{more}secret_file = \"hush\"\n"),
    )
    .unwrap();
    holds(
        &look(&dir),
        &["/hush has mode 644, so others can read it: chmod o-rwx "],
    );
    mode("hush", 0o640);
    holds(&look(&dir), &["ok    files          "]);
    program.stop();
}

#[test]
fn server_that_listens_everywhere_or_speaks_tls_is_looked_at() {
    let (program, dir, look) = host();
    let file = dir.path().join("server.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"127.0.0.1:", "\"0.0.0.0:")).unwrap();
    holds(&look(&dir), &["ok    ready          ok", "BAD   agents "]);
    // Of what cannot be asked, each part is named.
    let tls = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/tls");
    let tls = format!(
        "{text}[tls]\ncert_file = \"{0}/first.crt\"\nkey_file = \"{0}/first.key\"\n",
        tls.display()
    );
    fs::write(&file, tls).unwrap();
    let parts = ["ready     ", "agents    ", "approvers "];
    let findings = parts.map(|part| format!("skip  {part}     `dbward doctor --server URL`"));
    holds(&look(&dir), &findings.each_ref().map(String::as_str));
    program.stop();
}

#[test]
fn checkpoint_file_that_cannot_be_written_is_named() {
    let (program, dir, look) = host();
    let file = dir.path().join("server.toml");
    let text = fs::read_to_string(&file).unwrap();
    let with = |place: &str| format!("{text}[audit]\ncheckpoint_file = \"{place}\"\n");
    fs::write(&file, with("nowhere/checkpoints.jsonl")).unwrap();
    holds(
        &look(&dir),
        &["BAD   checkpoints    ", "/nowhere/checkpoints.jsonl"],
    );
    fs::write(&file, with("checkpoints.jsonl")).unwrap();
    holds(&look(&dir), &["ok    checkpoints    "]);
    assert!(!dir.path().join("checkpoints.jsonl").exists());
    program.stop();
}

#[test]
fn a_target_that_nobody_could_approve_is_named() {
    let server = Server::with(
        "[[databases]]\nname = \"shop\"\nenvironments = [\"production\"]\n\
         [[workflows]]\ndatabase = \"*\"\nenvironment = \"*\"\nsteps = [{ approvers = [{ user = \"admin\", min = 1 }] }]\n",
    );
    server.agent("agent-1").poll();
    let console = Console::before(&server);
    let ran = console
        .run(server.admin().token.as_deref(), &["doctor"])
        .is(1);
    assert!(
        ran.out.contains("BAD   approvers      shop / production: ")
            && ran.out.contains("add people to the group"),
        "{}",
        ran.out
    );
    // To who may not write it is unknown.
    let reader = server.person("reader", &["readonly"]);
    let out = console.run(reader.token.as_deref(), &["doctor"]).out;
    holds(
        &out,
        &["skip  approvers      known only to who may request writes\n"],
    );
}

#[test]
fn approvers_are_found_only_where_a_workflow_takes_writes() {
    let databases = "[[databases]]\nname = \"shop\"\nenvironments = [\"development\", \"production\", \"staging\"]\n";
    let reads = "[[workflows]]\noperations = [\"execute_select\"]\n";
    let free = "[[workflows]]\nenvironment = \"development\"\n";
    let waits = "[[workflows]]\nenvironment = \"production\"\n\
        steps = [{ approvers = [{ user = \"approver\", min = 1 }] }]\n";
    for (workflows, line) in [
        (
            vec![reads],
            "skip  approvers      no workflow takes a write on shop / development, shop / production, shop / staging\n",
        ),
        (
            vec![reads, free],
            "skip  approvers      no write waits for approval; no workflow takes a write on shop / production, shop / staging\n",
        ),
        (
            vec![reads, free, waits],
            "skip  approvers      every write that waits for approval finds some; no workflow takes a write on shop / staging\n",
        ),
        (
            vec!["[[workflows]]\n", waits],
            "ok    approvers      every write that waits for approval finds some\n",
        ),
        (
            vec!["[[workflows]]\n"],
            "ok    approvers      no write waits for approval\n",
        ),
    ] {
        let server = Server::with(&format!("{databases}{}", workflows.concat()));
        server.agent("agent-1").poll();
        let console = Console::before(&server);
        let out = console
            .run(server.admin().token.as_deref(), &["doctor"])
            .out;
        holds(&out, &[line]);
    }
}

#[test]
fn a_group_in_which_nobody_is_on_call_is_named() {
    let on_call = |more: &str| format!("{SHOP}[[on_call]]\nname = \"night\"\n{more}");
    let rotation =
        "time_zone = \"UTC\"\npeople = [\"approver\"]\nfirst_handover = \"2020-01-06T08:00\"\n";
    let server = Server::with(&on_call(rotation));
    let look = |server: &Server| {
        let console = Console::before(server);
        server.agent("agent-1").poll();
        console.run(server.admin().token.as_deref(), &["doctor"])
    };
    holds(
        &look(&server).is(0).out,
        &["ok    on call        somebody is\n"],
    );
    let service = "service = \"opsgenie\"\nschedule = \"PS1\"\ntoken = \"the-token\"\napi_base_url = \"https://10.1.2.3\"\n";
    let server = Server::with(&on_call(service));
    eventually("it was asked", || {
        let group = server.admin().get("/api/groups/night").is(200).json;
        !group["on_call"]["failure"].is_null()
    });
    let out = look(&server).is(1).out;
    let line = "BAD   on call        nobody in night: its service does not say (";
    holds(&out, &[line, "10.1.2.3"]);
    assert!(!out.contains("the-token"), "{out}");
}
