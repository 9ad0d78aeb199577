//! What a standby serves once it has the lease, and who does not keep the lease, or get it.

use super::*;
use std::process::Command;

/// The server.toml of a machine, with more at its beginning.
fn rewrite(dir: &Path, from: &str, to: &str) {
    let file = dir.join("server.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&file, text.replace(from, to)).unwrap();
}

fn serving(dir: &Path, more: &[&str]) -> Command {
    let mut command = binary();
    command.arg("serve").args(more).arg("--config");
    command.arg(dir.join("server.toml"));
    command
}

fn has_database(admin: &Person, name: &str) -> bool {
    let list = admin.get("/api/databases").is(200);
    list.raw().contains(&format!("\"{name}\""))
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn standby_serves_configuration_as_it_is_at_the_take_over() {
    let installation = Installation::new("confirmed", 3);
    let (first, server, _, admin) = installation.served();
    let second = installation.second(first.path());
    let at_second = standby(second.path());
    follows(&at_second);
    // One that it was asked to keep, and then one that cannot be applied.
    rewrite(second.path(), "name = \"shop\"", "name = \"books\"");
    let mut reload = binary();
    reload
        .args(["reload", "--config"])
        .arg(second.path().join("server.toml"));
    let ran = reload.output().unwrap();
    let out = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(
        ran.status.success() && out.contains("takes effect with the lease"),
        "{out}"
    );
    rewrite(second.path(), "name = \"books\"", "name = 7");
    server.kill();
    let addr = address(&at_second.line());
    assert!(has_database(&at(&admin, addr), "books"));
    // One that nobody asked it to read.
    let back = standby(first.path());
    follows(&back);
    rewrite(first.path(), "name = \"shop\"", "name = \"tools\"");
    at_second.kill();
    let admin = at(&admin, address(&back.line()));
    assert!(has_database(&admin, "tools"));
    back.stop();
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn copied_state_directory_does_not_take_its_servers_lease() {
    let installation = Installation::new("confirmed", 3);
    let (first, server, requester, admin) = installation.served();
    requester.create("production", UPDATE).is(201);
    let clone = installation.machine();
    let copied = Command::new("cp")
        .arg("-a")
        .arg(first.path().join("state"))
        .arg(clone.path())
        .status();
    assert!(copied.unwrap().success());
    let other = Program::start(serving(clone.path(), &[]).env("RUST_LOG", "info"));
    eventually("a clone that waits", || {
        other.errors().contains("epoch 1 may last")
    });
    requester.create("production", UPDATE).is(201);
    // Once the server is gone, the other is not the newest, whatever the last renewal knew of.
    server.kill();
    let (status, errors) = other.end();
    assert_eq!(status.code(), Some(3), "{errors}");
    assert!(errors.contains("start with --standby"), "{errors}");
    // With what the bucket has, it may go on.
    let other = standby(clone.path());
    let admin = at(&admin, address(&other.line()));
    assert_eq!(admin.get("/api/requests").is(200).json["total"], 2);
    other.stop();
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn server_that_can_copy_nothing_leaves_lease_to_the_standby() {
    let installation = Installation::new("confirmed", 10);
    let (first, server, requester, admin) = installation.served();
    requester.create("production", UPDATE).is(201);
    let second = installation.second(first.path());
    let at_second = standby(second.path());
    follows(&at_second);
    server.kill();
    let program = std::env::var("DBWARD_TEST_LITESTREAM").unwrap();
    rewrite(first.path(), &program, "/nowhere/litestream");
    let (status, errors) = Program::start(&mut serving(first.path(), &[])).end();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("there is no program /nowhere/litestream"),
        "{errors}"
    );
    // One that is there and ends at once is tried for some seconds.
    rewrite(first.path(), "/nowhere/litestream", "/bin/false");
    let (status, errors) = Program::start(&mut serving(first.path(), &[])).end();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("Litestream ends again and again"),
        "{errors}"
    );
    assert!(errors.contains("the lease is given up"), "{errors}");
    let admin = at(&admin, address(&at_second.line()));
    let total = admin.get("/api/requests").is(200).json["total"].as_u64();
    assert_eq!(total, Some(1));
    at_second.stop();
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn start_whose_copy_the_bucket_refuses_gives_the_lease_up() {
    let installation = Installation::new("confirmed", 3);
    let dir = installation.machine();
    let program = std::env::var("DBWARD_TEST_LITESTREAM").unwrap();
    let script = format!("AWS_SECRET_ACCESS_KEY=wrong exec {program} \"$@\"");
    in_place_of_litestream(dir.path(), &script);
    let (status, errors) = Program::start(&mut serving(dir.path(), &[])).end();
    assert_eq!(status.code(), Some(1), "{errors}");
    let words = "the bucket does not take the copy of the state: Litestream: ";
    assert!(errors.contains(words), "{errors}");
    assert_eq!(lease(&installation)["released"], true);
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn standby_names_at_its_start_what_its_take_over_lacks() {
    let installation = Installation::new("confirmed", 3);
    let (first, server, _, _) = installation.served();
    let second = installation.second(first.path());
    let refused = |words: &str| {
        let (status, errors) = Program::start(&mut serving(second.path(), &["--standby"])).end();
        assert_eq!(status.code(), Some(1), "{errors}");
        assert!(errors.contains(words), "{errors}");
    };
    let keys = second.path().join("state/audit-keys.json");
    let known = fs::read(&keys).unwrap();
    fs::remove_file(&keys).unwrap();
    refused("audit-keys.json is missing");
    fs::write(&keys, known).unwrap();
    let section = "[audit]\ncheckpoint_file = \"nowhere/file\"\n[replication]";
    rewrite(second.path(), "[replication]", section);
    refused("nowhere/file");
    server.stop();
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn standby_that_cannot_listen_leaves_the_lease_to_another() {
    let installation = Installation::new("confirmed", 3);
    let (first, server, requester, admin) = installation.served();
    requester.create("production", UPDATE).is(201);
    let second = installation.second(first.path());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap();
    let listen = ["--standby", "--listen", &port.to_string()];
    let (status, errors) = Program::start(&mut serving(second.path(), &listen)).end();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains("is taken by another process"), "{errors}");
    // The port is taken only later: it has the lease by then, and gives it up.
    drop(taken);
    let late = Program::start(serving(second.path(), &listen).env("RUST_LOG", "info"));
    follows(&late);
    let _taken = std::net::TcpListener::bind(port).unwrap();
    server.kill();
    let (status, errors) = late.end();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains("is taken by another process"), "{errors}");
    let last = installation.second(second.path());
    let third = standby(last.path());
    let admin = at(&admin, address(&third.line()));
    assert_eq!(admin.get("/api/requests").is(200).json["total"], 1);
    third.stop();
}
