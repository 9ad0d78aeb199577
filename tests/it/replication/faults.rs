//! The faults: a machine that is gone with its disk, a bucket that says nothing, a server that sleeps.

use super::*;
use crate::support::{RECOVERY, verified};
use rustix::process::Signal;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const CLIENTS: usize = 64;
/// Changes that are acknowledged before the machine is gone, at least.
const ENOUGH: usize = 400;

/// What was acknowledged: requests, by how far they came.
type Known = Arc<Mutex<Vec<(String, &'static str)>>>;

/// Creates and rejects until the server is gone.
fn load(requester: &Person, admin: &Person, known: &Known, count: &AtomicUsize, stop: &AtomicBool) {
    let call = |who: &Person, path: &str, body: &str| {
        let begun = who.try_begin("POST", path, &[], body.as_bytes()).ok()?;
        let answer = begun.answer_if_any()?;
        Some((
            answer.status,
            answer.json["id"].as_str().unwrap_or_default().to_owned(),
        ))
    };
    while !stop.load(Ordering::SeqCst) {
        let Some((201, id)) = call(requester, "/api/requests", &body()) else {
            continue;
        };
        count.fetch_add(1, Ordering::SeqCst);
        let path = format!("/api/requests/{id}/reject");
        let far = match call(admin, &path, "{\"reason\": \"no\"}") {
            Some((200, _)) => "rejected",
            _ => "pending",
        };
        known.lock().unwrap().push((id, far));
    }
}

fn metrics(admin: &Person) -> String {
    String::from_utf8(admin.get("/metrics").is(200).body).unwrap()
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn nothing_acknowledged_is_lost_with_the_machine() {
    let lease = std::env::var("DBWARD_TEST_LEASE_SECS").ok();
    let lease = lease.and_then(|secs| secs.parse().ok()).unwrap_or(10);
    let installation = Installation::new("confirmed", lease);
    let (first, server, requester, admin) = installation.served();
    let second = installation.second(first.path());
    let standby = standby(second.path());
    follows(&standby);
    let (known, count, stop) = (
        Known::default(),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (requester, admin, known) = (requester.clone(), admin.clone(), Arc::clone(&known));
            let (count, stop) = (Arc::clone(&count), Arc::clone(&stop));
            thread::spawn(move || load(&requester, &admin, &known, &count, &stop))
        })
        .collect();
    eventually("load", || count.load(Ordering::SeqCst) >= ENOUGH);
    let began = Instant::now();
    server.kill();
    fs::remove_dir_all(first.path().join("state")).unwrap();
    stop.store(true, Ordering::SeqCst);
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap());

    let at_second = address(&standby.line());
    println!(
        "served again after {:.1} s of a lease of {lease} s",
        began.elapsed().as_secs_f64()
    );
    let goal = Duration::from_secs(lease + 5);
    assert!(
        began.elapsed() < goal,
        "{:?}: {}",
        began.elapsed(),
        standby.errors()
    );
    let admin = at(&admin, at_second);
    let known = known.lock().unwrap();
    println!("{} acknowledged requests", known.len());
    for (id, far) in known.iter() {
        let status = admin
            .get(&format!("/api/requests/{id}"))
            .is(200)
            .text("status");
        assert!(
            status == *far || status == "rejected",
            "{id} was {far} and is {status}"
        );
    }
    let proof = admin.get("/api/audit/verify").is(200);
    assert_eq!(proof.json["valid"], true, "{}", proof.raw());
    // It copies too, and answers what it writes.
    at(&requester, at_second)
        .create("production", UPDATE)
        .is(201);
    standby.stop();
    assert!(verified(&second.path().join("state")).valid);
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn bucket_that_says_nothing_loses_nobody_a_change() {
    let installation = Installation::new("confirmed", 3);
    let (dir, server, requester, admin) = installation.served();
    let id = requester.create("production", UPDATE).is(201).text("id");
    let total = || {
        admin.get("/api/requests").is(200).json["total"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(total(), 1);

    installation.proxy.shut();
    requester
        .create("production", UPDATE)
        .refused(503, "unavailable")
        .saying("outcome unknown");
    // From then on nothing is written, and reads go on; who asks whether it is ready learns so.
    let ready = || admin.get("/ready");
    assert_eq!(ready().is(503).json["checks"]["replication"], "unavailable");
    requester
        .create("production", UPDATE)
        .refused(503, "unavailable")
        .saying("nothing was changed");
    let reject = format!("/api/requests/{id}/reject");
    admin
        .post(&reject, &json!({"reason": "no"}))
        .refused(503, "unavailable");
    assert_eq!(
        admin
            .get(&format!("/api/requests/{id}"))
            .is(200)
            .text("status"),
        "pending"
    );
    // Beyond the lease, which nobody has taken.
    let failed = |page: &str| {
        let line = page
            .lines()
            .find(|line| line.contains("failures_total{what=\"lease\"}"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
    };
    eventually("the end of the lease", || {
        failed(&metrics(&admin)).is_some_and(|times| times >= 4)
    });
    requester
        .create("production", UPDATE)
        .refused(503, "unavailable")
        .saying("nothing was changed");

    installation.proxy.open();
    let opened = Instant::now();
    eventually("writes", || {
        requester.create("production", UPDATE).status == 201
    });
    println!("writes again after {:.1} s", opened.elapsed().as_secs_f64());
    assert!(opened.elapsed() < RECOVERY, "{:?}", opened.elapsed());
    assert_eq!(ready().json["checks"]["replication"], "ok");
    // The one of which nobody knew stands, and no other.
    assert_eq!(total(), 3);
    admin.post(&reject, &json!({"reason": "no"})).is(200);
    let log = server.stop();
    // Litestream's own writes concern nobody.
    assert!(!log.contains("another process wrote"), "{log}");
    assert!(verified(&dir.path().join("state")).valid);
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn server_that_wakes_up_replaced_writes_nothing_and_ends() {
    let installation = Installation::new("confirmed", 3);
    let (first, server, requester, admin) = installation.served();
    requester.create("production", UPDATE).is(201);
    let second = installation.second(first.path());
    let standby = standby(second.path());
    follows(&standby);

    server.signal(Signal::STOP);
    let at_second = address(&standby.line());
    let admin = at(&admin, at_second);
    at(&requester, at_second)
        .create("production", UPDATE)
        .is(201);
    // A call that the old server finds when it wakes up.
    let pending = requester.begin("POST", "/api/requests", &[], body().as_bytes());
    server.signal(Signal::CONT);
    let (status, errors) = server.end();
    assert_eq!(status.code(), Some(75), "{errors}");
    assert!(errors.contains("the lease is lost to epoch 2"), "{errors}");
    let answer = pending.answer_if_any().map(|answer| answer.status);
    assert!(matches!(answer, None | Some(503)), "{answer:?}");
    let total = admin.get("/api/requests").is(200).json["total"].as_u64();
    assert_eq!(total, Some(2));

    // It comes back as the standby of the new one, and need not wait when that stops.
    let back = super::standby(first.path());
    follows(&back);
    standby.stop();
    let at_first = address(&back.line());
    let admin = at(&admin, at_first);
    assert_eq!(
        admin.get("/api/requests").is(200).json["total"].as_u64(),
        Some(2)
    );
    let replaced = first.path().join("state/dbward.db.replaced-00000001");
    assert!(replaced.exists());
    back.stop();
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn restart_after_kill_goes_on_at_once_in_new_epoch() {
    let installation = Installation::new("async", 10);
    let dir = installation.machine();
    let (server, addr) = Program::serve(dir.path());
    let requester = person(addr, dir.path(), "developer");
    requester.create("production", UPDATE).is(201);
    server.kill();
    let began = Instant::now();
    let (server, addr) = Program::serve(dir.path());
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    let admin = person(addr, dir.path(), "admin");
    assert_eq!(
        admin.get("/api/requests").is(200).json["total"].as_u64(),
        Some(1)
    );
    assert!(metrics(&admin).contains("dbward_replication_epoch 2\n"));
    server.stop();
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn take_over_that_failed_leaves_no_state_that_counts() {
    let installation = Installation::new("async", 3);
    let first = installation.machine();
    let (server, addr) = Program::serve(first.path());
    let requester = person(addr, first.path(), "developer");
    requester.create("production", UPDATE).is(201);
    let second = installation.second(first.path());
    server.stop();
    // A Litestream that fetches nothing.
    let config = second.path().join("server.toml");
    let whole = fs::read_to_string(&config).unwrap();
    in_place_of_litestream(second.path(), "exit 1");
    let (status, errors) = standby(second.path()).end();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains("the lease is ours, epoch 2"), "{errors}");
    // Nothing was fetched, so nothing may begin here as if it were the newest.
    fs::write(&config, whole).unwrap();
    let mut serve = binary();
    serve.arg("serve").arg("--config").arg(&config);
    let (status, errors) = Program::start(&mut serve).end();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains("start with --standby"), "{errors}");
    assert!(!second.path().join("state/dbward.db").exists());
    // It has given the lease up, so that the next need not wait for its end.
    let standby = standby(second.path());
    let admin = person(address(&standby.line()), first.path(), "admin");
    let total = admin.get("/api/requests").is(200).json["total"].as_u64();
    assert_eq!(total, Some(1));
    standby.stop();
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn take_over_whose_fetch_hangs_gives_the_lease_up() {
    let installation = Installation::new("async", 3);
    let first = installation.machine();
    Program::serve(first.path()).0.stop();
    let second = installation.second(first.path());
    in_place_of_litestream(second.path(), "exec sleep 3600");
    let (status, errors) = standby(second.path()).end();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains("has brought nothing for 20 s"), "{errors}");
    assert!(errors.contains("the lease is given up"), "{errors}");
    assert_eq!(lease(&installation)["released"], true);
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn standby_whose_own_state_is_newest_goes_on_with_it() {
    let installation = Installation::new("async", 3);
    let dir = installation.machine();
    let (server, addr) = Program::serve(dir.path());
    let requester = person(addr, dir.path(), "developer");
    // What the bucket never gets.
    installation.proxy.shut();
    requester.create("production", UPDATE).is(201);
    server.kill();
    installation.proxy.open();
    let standby = standby(dir.path());
    let admin = person(address(&standby.line()), dir.path(), "admin");
    let total = admin.get("/api/requests").is(200).json["total"].as_u64();
    assert_eq!(total, Some(1));
    let replaced = dir.path().join("state/dbward.db.replaced-00000001");
    assert!(!replaced.exists());
    standby.stop();
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn machines_with_checkpoint_files_take_over_from_each_other() {
    let mut installation = Installation::new("confirmed", 3);
    installation.toml += "[audit]\ncheckpoint_file = \"checkpoints.jsonl\"\n";
    let first = installation.machine();
    let (server, addr) = Program::serve(first.path());
    let requester = person(addr, first.path(), "developer");
    requester.create("production", UPDATE).is(201);
    let second = installation.second(first.path());
    let at_second = standby(second.path());
    follows(&at_second);
    server.kill();
    let addr = address(&at_second.line());
    at(&requester, addr).create("production", UPDATE).is(201);
    let back = standby(first.path());
    follows(&back);
    // What lies at a machine that stands by is of an earlier epoch.
    let backup = |dir: &Path, name: &str| {
        let mut command = binary();
        command.arg("backup").arg(dir.join(name)).arg("--config");
        Program::start(command.arg(dir.join("server.toml"))).end()
    };
    let (status, errors) = backup(first.path(), "backup");
    assert_eq!(status.code(), Some(4), "{errors}");
    assert!(
        errors.contains("another machine writes the state"),
        "{errors}"
    );
    assert!(!first.path().join("backup").exists());
    let (status, errors) = backup(second.path(), "backup");
    assert!(status.success(), "{errors}");
    at_second.kill();
    let addr = address(&back.line());
    at(&requester, addr).create("production", UPDATE).is(201);
    for dir in [first.path(), second.path()] {
        let text = fs::read_to_string(dir.join("checkpoints.jsonl")).unwrap();
        assert!(text.lines().count() > 0);
    }
    back.stop();
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn restored_backup_begins_above_every_epoch_that_agents_saw() {
    let installation = Installation::new("confirmed", 3);
    let dir = installation.machine();
    let (server, addr) = Program::serve(dir.path());
    let requester = person(addr, dir.path(), "developer");
    requester.create("production", UPDATE).is(201);
    let config = dir.path().join("server.toml");
    let dbward = |arguments: &[&str], config: &Path| {
        let mut command = binary();
        command.args(arguments).arg("--config").arg(config);
        Program::start(&mut command).end()
    };
    let backup = dir.path().join("backup");
    let backup = backup.to_string_lossy();
    let (status, errors) = dbward(&["backup", &backup], &config);
    assert!(status.success(), "{errors}");
    requester.create("production", UPDATE).is(201);
    server.kill();
    let new = installation.machine();
    let config = new.path().join("server.toml");
    let (status, errors) = dbward(&["restore", &backup], &config);
    assert!(status.success(), "{errors}");
    // The bucket has more than the backup.
    let (status, errors) = dbward(&["serve"], &config);
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains("--accept-rollback"), "{errors}");
    let mut command = binary();
    command
        .args(["serve", "--accept-rollback", "the last hour is wrong"])
        .arg("--config")
        .arg(&config);
    let server = Program::start(&mut command);
    let admin = person(address(&server.line()), dir.path(), "admin");
    let total = admin.get("/api/requests").is(200).json["total"].as_u64();
    assert_eq!(total, Some(1));
    let accepted = admin.get("/api/audit/events?event_type=audit.rollback_accepted");
    assert!(accepted.is(200).raw().contains("the last hour is wrong"));
    let page = metrics(&admin);
    let epoch = page
        .lines()
        .find_map(|line| line.strip_prefix("dbward_replication_epoch "))
        .and_then(|number| number.parse::<u64>().ok());
    assert!(epoch > Some(1000), "{epoch:?}");
    server.stop();
}
