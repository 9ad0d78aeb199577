//! The second copy of the state: `[replication]`, as it works on this machine.

use super::{Check, check};
use crate::cli::demo::sentence;
use crate::config::{Config, Replication};
use crate::replication::look;

/// What there is to say of `[replication]`; `runs`: a process of ours uses the state here.
pub fn of_copy(config: &Config, runs: bool) -> Vec<Check> {
    let Some(replication) = &config.replication else {
        return Vec::new();
    };
    let mut checks = vec![of_program(replication)];
    let bucket = &replication.bucket;
    let place = format!("{}/{}", bucket.bucket, bucket.prefix);
    let mode = match replication.confirmed {
        true => "confirmed: nothing is answered before it is there",
        false => "async: the last changes may be lost with this machine",
    };
    let lease = match look::lease(config, replication) {
        Ok(lease) => lease,
        Err(e) => {
            let words = format!("{place}: {}; see [result_storage]", sentence(&e));
            checks.push(check("replication", Some(false), words));
            return checks;
        }
    };
    let whose = match &lease {
        None => "no server has begun one yet".to_owned(),
        Some(lease) if lease.is_ours => format!("epoch {}, of this machine", lease.epoch),
        Some(lease) => format!("epoch {}, of another machine", lease.epoch),
    };
    let words = format!("a copy in {place}, {whose}; {mode}");
    checks.push(check("replication", Some(true), words));
    if runs {
        let is_ours = lease.is_some_and(|lease| lease.is_ours);
        checks.push(of_litestream(config, replication, is_ours));
    }
    checks
}

fn of_program(replication: &Replication) -> Check {
    match look::program(replication) {
        Some(path) => check("litestream", Some(true), path.display().to_string()),
        None => {
            let words = format!(
                "there is no program {}: install Litestream 0.5, or name it by `litestream` in [replication]",
                replication.litestream.display()
            );
            check("litestream", Some(false), words)
        }
    }
}

/// Whether what copies the state takes calls, where it is here that it is copied.
fn of_litestream(config: &Config, replication: &Replication, is_ours: bool) -> Check {
    const NAME: &str = "copying";
    if !is_ours {
        let words = "this machine follows: the one that has the lease copies";
        return check(NAME, None, words);
    }
    match look::reach_litestream(replication, &config.state_dir) {
        Ok(()) => check(NAME, Some(true), "Litestream takes calls"),
        Err(e) => {
            let words = format!(
                "Litestream's control socket: {e}; the log of the server says why it does not run"
            );
            check(NAME, Some(false), words)
        }
    }
}
