//! The second copy of the state: `[replication]`, as it works on this machine.

use super::{Check, check};
use crate::cli::demo::sentence;
use crate::config::{Config, Replication};
use crate::replication::look::{self, SeenLease};
use std::time::Duration;

/// How long the copy of what is committed may take.
const COPY_PATIENCE: Duration = Duration::from_secs(5);

/// What a server here has to do with the copy.
pub enum CopyPart {
    /// It writes: there is no copy, or it is its own. So too where the bucket does not say.
    Writes,
    /// There is no lease to follow yet.
    Begins,
    /// Another machine has the lease.
    Follows { epoch: u64 },
}

/// What there is to say of `[replication]`, and the part of this machine in it; `runs`: a process of ours uses the state
/// here.
pub fn of_copy(config: &Config, runs: bool) -> (Vec<Check>, CopyPart) {
    let Some(replication) = &config.replication else {
        return (Vec::new(), CopyPart::Writes);
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
            return (checks, CopyPart::Writes);
        }
    };
    let whose = match &lease {
        None => "no server has begun one yet".to_owned(),
        Some(lease) if lease.is_ours => format!("epoch {}, of this machine", lease.epoch),
        Some(lease) => format!("epoch {}, of another machine", lease.epoch),
    };
    let words = format!("a copy in {place}, {whose}; {mode}");
    checks.push(check("replication", Some(true), words));
    let part = match &lease {
        None => CopyPart::Begins,
        Some(lease) if lease.is_ours => CopyPart::Writes,
        Some(lease) => CopyPart::Follows { epoch: lease.epoch },
    };
    match lease {
        Some(lease) if runs && lease.is_ours => checks.push(of_litestream(config, replication)),
        Some(lease) if runs && lease.copy_epoch > 0 => {
            checks.push(of_following(config, replication, &lease));
        }
        _ => {}
    }
    (checks, part)
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

/// Whether all that is committed gets into the bucket.
fn of_litestream(config: &Config, replication: &Replication) -> Check {
    const NAME: &str = "copying";
    match look::copies(replication, &config.state_dir, COPY_PATIENCE) {
        Ok(()) => check(NAME, Some(true), "the bucket has all that is committed"),
        Err(e) => {
            let words = format!("{}; the log of the server says since when", sentence(&e));
            check(NAME, Some(false), words)
        }
    }
}

/// Whether a standby gets what the other machine copies.
fn of_following(config: &Config, replication: &Replication, lease: &SeenLease) -> Check {
    const NAME: &str = "following";
    let epoch = lease.copy_epoch;
    match look::follows(config, replication, epoch) {
        Ok(true) => {
            let words = format!("all that is in the copy of epoch {epoch} is here");
            check(NAME, Some(true), words)
        }
        Ok(false) => {
            let words = format!(
                "the copy of epoch {epoch} has more than is here: the log of the server says why it does not follow; \
                 a take-over fetches the whole first"
            );
            check(NAME, Some(false), words)
        }
        Err(e) => check(
            NAME,
            Some(false),
            format!("{}; see [result_storage]", sentence(&e)),
        ),
    }
}
