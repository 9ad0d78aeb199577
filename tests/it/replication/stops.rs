//! Stops while the bucket says nothing: none takes longer than its grace, and a second signal ends each.

use super::*;
use rustix::process::Signal;
use std::time::Instant;

/// What the log says of a stop that was ended.
const HANGS: &str = "something hangs, so the process ends here";
/// What it says of one that was in order, without the bucket.
const LACKS: &str = "the bucket could not be given what was answered \"outcome unknown\"";

/// An installation in which what waits for the bucket waits longer than a stop may take.
fn patient_installation(grace_secs: u64) -> Installation {
    let mut installation = Installation::new("confirmed", 300);
    let patient = installation
        .toml
        .replace("sync_timeout_secs = 5", "sync_timeout_secs = 20");
    installation.toml = format!("shutdown_grace_secs = {grace_secs}\n{patient}");
    installation
}

/// Waits until a machine that was just started tries to reach the bucket.
fn reaches_out(dir: &Path) {
    let begun = dir.join("state/replication.json");
    eventually("a start that reaches out", || begun.exists());
}

fn serving(dir: &Path, more: &[&str]) -> Program {
    let mut command = binary();
    command.arg("serve").args(more).arg("--config");
    Program::start(command.arg(dir.join("server.toml")))
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn stop_ends_within_its_grace_while_the_bucket_says_nothing() {
    let installation = patient_installation(5);
    let (dir, server, requester, admin) = installation.served();
    requester.create("production", UPDATE).is(201);
    installation.proxy.shut();
    let waits = requester.begin("POST", "/api/requests", &[], body().as_bytes());
    eventually("the change on the disk", || {
        admin.get("/api/requests").is(200).json["total"] == 2
    });
    let began = Instant::now();
    server.signal(Signal::TERM);
    let (status, errors) = server.end();
    assert!(began.elapsed() < Duration::from_secs(6), "{errors}");
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(
        errors.contains(LACKS) && !errors.contains(HANGS),
        "{errors}"
    );
    let answer = waits.answer_if_any().expect("an answer");
    answer.refused(503, "unavailable").saying("outcome unknown");
    // What was on the disk is there after the next start.
    installation.proxy.open();
    let (server, addr) = Program::serve(dir.path());
    let admin = at(&admin, addr);
    assert_eq!(admin.get("/api/requests").is(200).json["total"], 2);
    server.stop();
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn second_signal_ends_a_stop_that_waits_for_the_bucket() {
    let installation = patient_installation(3600);
    let (_dir, server, requester, admin) = installation.served();
    installation.proxy.shut();
    let waits = requester.begin("POST", "/api/requests", &[], body().as_bytes());
    eventually("the change on the disk", || {
        admin.get("/api/requests").is(200).json["total"] == 1
    });
    server.signal(Signal::TERM);
    eventually("draining", || {
        admin.get("/ready").json["status"] == "draining"
    });
    server.signal(Signal::TERM);
    let (status, errors) = server.end();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(errors.contains(LACKS), "{errors}");
    drop(waits);
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn stop_during_the_first_copy_gives_the_lease_up() {
    let installation = Installation::new("confirmed", 300);
    let dir = installation.machine();
    in_place_of_litestream(dir.path(), "exec sleep 3600");
    let server = serving(dir.path(), &[]);
    eventually("a lease", || lease(&installation)["released"] == false);
    server.signal(Signal::TERM);
    let (status, errors) = server.end();
    assert!(status.success(), "{status}: {errors}");
    assert_eq!(lease(&installation)["released"], true, "{errors}");
}

#[test]
#[ignore = "needs DBWARD_TEST_LITESTREAM and DBWARD_TEST_S3_URL"]
fn start_and_standby_that_wait_for_bucket_can_be_stopped() {
    let installation = patient_installation(5);
    let first = installation.machine();
    installation.proxy.shut();
    let server = serving(first.path(), &[]);
    reaches_out(first.path());
    server.signal(Signal::TERM);
    let (status, errors) = server.end();
    assert!(status.success(), "{status}: {errors}");
    assert!(errors.contains("stopped before it listened"), "{errors}");

    let second = installation.second(first.path());
    let standby = serving(second.path(), &["--standby"]);
    reaches_out(second.path());
    standby.signal(Signal::TERM);
    let (status, errors) = standby.end();
    assert!(status.success(), "{status}: {errors}");
    assert!(errors.contains("ends here without it"), "{errors}");
}
