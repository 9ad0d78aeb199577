//! What the black-box tests stand on: a server in this process, people and agents that call it with raw bytes, the
//! real program, and bodies kept as files.

mod agent;
mod bucket;
mod client;
mod documented;
mod idp;
mod json;
mod program;
mod server;
mod sink;
mod slack;
mod smtp;

pub use agent::{Agent, Claim, ROWS, ids};
pub use bucket::{Bucket, Mood as StoreMood, real_bucket, storage};
pub use client::{Answer, Faults, Person, Request, Waiting, connect};
pub use documented::{given_answers, missing};
pub use idp::{Idp, Key, Mood, key_set};
pub use json::golden;
pub use program::{Program, admin_of, binary, settled};
pub use server::{DELIVERS, NOT_OF_THE_HEAD, OBJECTS, SHOP, Server, Stopped, Temp, verified};
pub use sink::{Manner, Received, Sink};
pub use slack::{
    FakeSlack, SIGNING_SECRET, SlackCall, SlackMood, clicked, decision, form, signed, submitted,
};
pub use smtp::{Letter, PostOffice, SILENCE};

use std::thread;
use std::time::{Duration, Instant};

/// Longest wait for anything; reached only when a test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Longest time from the end of a fault to the first answer, on a machine that is busy; on one that is not, a second.
pub const RECOVERY: Duration = Duration::from_secs(10);

/// Makes the first call after a fault has ended, once: whatever fails in it fails the test. Prints how long it took.
pub fn recovered<T>(fault: &str, first_call: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let answer = first_call();
    let took = start.elapsed();
    println!("{fault}: served again after {took:?}");
    assert!(took < RECOVERY, "{fault}: {took:?}");
    answer
}

/// Whether something may be missing on this machine: not where DBWARD_TEST_ALL is set, as CI does.
#[track_caller]
pub fn skipped(what: &str) {
    assert!(
        std::env::var_os("DBWARD_TEST_ALL").is_none(),
        "{what}, and DBWARD_TEST_ALL wants every test to run"
    );
    println!("skipped: {what}");
}

/// Waits for a condition, not for a time.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        // Nothing tells when it holds, so it is looked at often.
        thread::park_timeout(Duration::from_millis(1));
    }
}
