//! What each mode can lose, and how that is noticed; and a copy that is not what the server wrote.

use super::*;
use dbward::store::copy_database;
use rustix::process::{Signal, kill_process};

/// The number of the last event of the log.
fn last_event(admin: &Person) -> i64 {
    let proof = admin.get("/api/audit/verify").is(200);
    proof.json["total_events"].as_i64().unwrap()
}

/// Waits until a renewal of the lease has named that event, or a later one.
fn renewed_with(installation: &Installation, event: i64) {
    eventually("a renewal", || {
        lease(installation)["head"]["seq"].as_i64().unwrap() >= event
    });
}

/// How often everything committed was seen in the copy.
fn confirmations(admin: &Person) -> u64 {
    let page = String::from_utf8(admin.get("/metrics").is(200).body).unwrap();
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix("dbward_replication_sync_duration_seconds_count "));
    line.unwrap().parse().unwrap()
}

/// Stops Litestream where it is, so that it copies nothing more and does not end.
fn freeze_litestream(server: &Program) {
    let children = server.children();
    assert_eq!(children.len(), 1, "{children:?}");
    kill_process(children[0].0, Signal::STOP).unwrap();
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn asynchronous_mode_says_so_loses_last_changes_and_counts_them() {
    let installation = Installation::new("async", 3);
    let first = installation.machine();
    let (server, first_at) = Program::serve(first.path());
    assert!(
        server.errors().contains("answers do not wait for the copy"),
        "{}",
        server.errors()
    );
    let (requester, admin) = (
        person(first_at, first.path(), "developer"),
        person(first_at, first.path(), "admin"),
    );
    let kept = requester.create("production", UPDATE).is(201).text("id");
    // The second from now has begun after it.
    let copied = confirmations(&admin) + 2;
    eventually("a copy of it", || confirmations(&admin) >= copied);
    let second = installation.second(first.path());
    let standby = standby(second.path());
    follows(&standby);

    freeze_litestream(&server);
    let lost: Vec<String> = (0..3)
        .map(|_| requester.create("production", UPDATE).is(201).text("id"))
        .collect();
    let written = last_event(&admin);
    renewed_with(&installation, written);
    server.kill();
    fs::remove_dir_all(first.path().join("state")).unwrap();

    let at_second = address(&standby.line());
    let admin = at(&admin, at_second);
    admin.get(&format!("/api/requests/{kept}")).is(200);
    for id in &lost {
        admin.get(&format!("/api/requests/{id}")).is(404);
    }
    let log = standby.stop();
    // Both numbers: what was known to have been written, and what the next server has.
    let (_, rest) = log
        .split_once("changes are lost: the server of epoch 1 had written ")
        .unwrap_or_else(|| panic!("{log}"));
    let line = rest.lines().next().unwrap();
    let numbers: Vec<i64> = line
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    assert!(
        numbers[0] >= written && numbers[1] <= written - 3,
        "{written}: {line}"
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn state_that_lacks_what_copy_had_is_refused_and_fetched() {
    lacking("confirmed", "nothing is answered before the copy");
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn asynchronous_mode_refuses_an_old_disk_too() {
    lacking("async", "answers do not wait for the copy");
}

/// Puts an older state where the newest lies.
fn put_back(older: &Path, state: &Path) {
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(state.join(format!("dbward.db{suffix}")));
    }
    fs::rename(older, state.join("dbward.db")).unwrap();
}

fn serve(dir: &Path, more: &[&str]) -> Program {
    let mut command = binary();
    command.arg("serve").args(more).arg("--config");
    Program::start(command.arg(dir.join("server.toml")))
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn old_state_is_refused_after_a_clean_stop_too() {
    // No renewal within the test: only the stop may name the last event.
    let installation = Installation::new("confirmed", 300);
    let (dir, server, requester, admin) = installation.served();
    let state = dir.path().join("state");
    let older = dir.path().join("older.db");
    copy_database(&state.join("dbward.db"), &older).unwrap();
    requester.create("production", UPDATE).is(201);
    let last = last_event(&admin);
    server.stop();
    let left = lease(&installation);
    assert_eq!([&left["released"], &left["head_is_last"]], [true, true]);
    assert!(left["head"]["seq"].as_i64().unwrap() >= last, "{left}");
    put_back(&older, &state);
    let (status, errors) = serve(dir.path(), &[]).end();
    assert_eq!(status.code(), Some(3), "{errors}");
    assert!(errors.contains("the copy held event"), "{errors}");
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn lease_that_was_removed_lets_no_old_machine_begin() {
    let installation = Installation::new("confirmed", 3);
    let (first, server, requester, admin) = installation.served();
    let second = installation.second(first.path());
    let standby = super::standby(second.path());
    follows(&standby);
    server.kill();
    let at_second = address(&standby.line());
    at(&requester, at_second)
        .create("production", UPDATE)
        .is(201);
    standby.stop();
    let bucket = patient(&installation.copies);
    let copied = || bucket.names("epoch-00000002", LIST_TIMEOUT).unwrap();
    let before = copied();
    bucket.remove_name("lease", LIST_TIMEOUT).unwrap();
    let empty = installation.second(first.path());
    for dir in [first.path(), empty.path()] {
        let (status, errors) = serve(dir, &[]).end();
        assert_eq!(status.code(), Some(1), "{errors}");
        assert!(
            errors.contains("the copy of epoch 2 and no lease"),
            "{errors}"
        );
    }
    assert_eq!((copied(), lease(&installation)), (before, Value::Null));
    let server = serve(second.path(), &["--accept-rollback", "the lease is gone"]);
    let admin = at(&admin, address(&server.line()));
    assert_eq!(admin.get("/api/requests").is(200).json["total"], 1);
    let accepted = admin.get("/api/audit/events?event_type=audit.rollback_accepted");
    assert!(accepted.is(200).raw().contains("the lease is gone"));
    assert_eq!(lease(&installation)["epoch"], 3);
    server.stop();
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn running_server_writes_a_removed_lease_again() {
    let installation = Installation::new("confirmed", 3);
    let (_dir, server, requester, _) = installation.served();
    let bucket = patient(&installation.copies);
    bucket.remove_name("lease", LIST_TIMEOUT).unwrap();
    eventually("a lease", || lease(&installation)["epoch"] == 1);
    requester.create("production", UPDATE).is(201);
    server.stop();
}

fn lacking(mode: &str, logged: &str) {
    let installation = Installation::new(mode, 3);
    let dir = installation.machine();
    let (server, addr) = Program::serve(dir.path());
    assert!(server.errors().contains(logged), "{}", server.errors());
    let (requester, admin) = (
        person(addr, dir.path(), "developer"),
        person(addr, dir.path(), "admin"),
    );
    let first = requester.create("production", UPDATE).is(201).text("id");
    let state = dir.path().join("state");
    let older = dir.path().join("older.db");
    copy_database(&state.join("dbward.db"), &older).unwrap();
    let second = requester.create("production", UPDATE).is(201).text("id");
    let copied = confirmations(&admin) + 2;
    eventually("a copy of it", || confirmations(&admin) >= copied);
    renewed_with(&installation, last_event(&admin));
    server.kill();
    let before = lease(&installation);
    put_back(&older, &state);

    let mut command = binary();
    command
        .args(["serve", "--config"])
        .arg(dir.path().join("server.toml"));
    let (status, errors) = Program::start(&mut command).end();
    assert_eq!(status.code(), Some(3), "{errors}");
    for words in ["the copy held event", "start with --standby"] {
        assert!(errors.contains(words), "no `{words}` in {errors}");
    }
    // Nobody has lost the lease for it.
    assert_eq!(lease(&installation), before);
    // From the bucket it is all there.
    let server = super::standby(dir.path());
    let admin = at(&admin, address(&server.line()));
    for id in [first, second] {
        admin.get(&format!("/api/requests/{id}")).is(200);
    }
    assert_eq!(admin.get("/api/audit/verify").is(200).json["valid"], true);
    server.stop();
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn stalled_litestream_makes_writes_unknown_until_it_goes_on() {
    let installation = Installation::new("confirmed", 3);
    let (_dir, server, requester, admin) = installation.served();
    requester.create("production", UPDATE).is(201);
    freeze_litestream(&server);
    requester
        .create("production", UPDATE)
        .refused(503, "unavailable")
        .saying("outcome unknown");
    assert_eq!(admin.get("/api/requests").is(200).json["total"], 2);
    kill_process(server.children()[0].0, Signal::CONT).unwrap();
    eventually("writes", || {
        requester.create("production", UPDATE).status == 201
    });
    // One that is killed is started again.
    kill_process(server.children()[0].0, Signal::KILL).unwrap();
    eventually("writes", || {
        requester.create("production", UPDATE).status == 201
    });
    server.stop();
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn standby_refuses_a_copy_of_rows_that_no_server_wrote() {
    let installation = Installation::new("confirmed", 3);
    let (first, server, requester, admin) = installation.served();
    requester.create("production", UPDATE).is(201);
    let second = installation.second(first.path());
    let standby = standby(second.path());
    follows(&standby);
    let file = rusqlite::Connection::open(first.path().join("state/dbward.db")).unwrap();
    let off = rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    file.set_db_config(off, false).unwrap();
    file.execute_batch("PRAGMA busy_timeout = 5000; UPDATE requests SET requester = 'admin'")
        .unwrap();
    let copied = confirmations(&admin) + 2;
    eventually("a copy of it", || confirmations(&admin) >= copied);
    server.kill();
    let (status, errors) = standby.end();
    assert_eq!(status.code(), Some(3), "{errors}");
    assert!(errors.contains("requests"), "{errors}");
}
