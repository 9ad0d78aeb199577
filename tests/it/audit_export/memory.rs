//! What a verification takes of memory, whatever the length of the log.

use super::at_length::{exported, make, wanted};
use crate::support::{Program, SHOP, Server, Stopped, Temp, admin_of, binary};
use serde_json::Value;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// KiB of memory that a longer log may take more.
const MORE_KIB: u64 = 2 << 10;

/// A stopped server with so many requests, each with two events.
fn with_requests(requests: usize) -> Stopped {
    let s = Server::with(SHOP);
    s.fill(requests);
    s.stopped()
}

/// KiB that the server takes at most, while it verifies its own log.
fn server_peak(stopped: &Stopped) -> u64 {
    let (program, at) = stopped.served();
    let found = admin_of(at, stopped.folder())
        .get("/api/audit/verify")
        .is(200);
    assert_eq!(found.json["problem"], Value::Null);
    let peak = program.status("VmHWM");
    program.stop();
    peak
}

#[test]
#[ignore = "needs DBWARD_TEST_EXPORT_EVENTS, a number of events such as 100000"]
fn a_server_verifies_a_longer_log_in_the_same_memory() {
    let requests = usize::try_from(wanted()).unwrap() / 3;
    let (short, long) = (with_requests(requests / 3), with_requests(requests));
    let (short, long) = (server_peak(&short), server_peak(&long));
    println!("{short} and {long} KiB");
    assert!(long < short + MORE_KIB, "{short} and {long} KiB");
}

/// KiB that the program has taken when it has read all of an export but its head.
fn export_peak(folder: &Path, export: &str) -> u64 {
    let pipe = folder.join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let mut verify = binary();
    verify.args(["audit", "verify", "--export"]).arg(&pipe);
    verify
        .arg("--public-key")
        .arg(folder.join("audit-keys.json"));
    let program = Program::start(&mut verify);
    let mut pipe = OpenOptions::new().write(true).open(&pipe).unwrap();
    let head = export.trim_end().rfind('\n').unwrap() + 1;
    // It returns when all but what fits into a pipe was read.
    pipe.write_all(&export.as_bytes()[..head]).unwrap();
    let peak = program.status("VmHWM");
    pipe.write_all(&export.as_bytes()[head..]).unwrap();
    drop(pipe);
    let line = program.line();
    assert!(line.starts_with("The export holds"), "{line}");
    peak
}

#[test]
#[ignore = "needs DBWARD_TEST_EXPORT_EVENTS, a number of events such as 100000"]
fn the_program_verifies_a_longer_export_in_the_same_memory() {
    let peaks = [wanted() / 10, wanted()].map(|events| {
        let folder = Temp::new();
        make(folder.path(), events);
        let export = exported(folder.path());
        export_peak(folder.path(), &export)
    });
    println!("{peaks:?} KiB");
    assert!(peaks[1] < peaks[0] + MORE_KIB, "{peaks:?} KiB");
}
