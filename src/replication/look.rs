//! What an operator can see of the second copy on a machine of it. Nothing is written, and the lease is not touched.

use super::lease_of;
use super::litestream::{Litestream, Uncopied};
use super::local_state::LocalState;
use super::standby::{LIST_TIMEOUT, catches_up, newest};
use crate::config::{Config, Replication};
use crate::error::Error;
use crate::metrics::Metrics;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The lease as it stands in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenLease {
    pub epoch: u64,
    /// The epoch whose copy a standby follows; 0 before there is one.
    pub copy_epoch: u64,
    /// Whether the server of this state directory has it.
    pub is_ours: bool,
}

/// The lease in the bucket; `None` before a server took one.
///
/// # Errors
/// `unavailable` where the bucket does not say; `internal` for what is not a lease, and for an unreadable file.
pub fn lease(config: &Config, replication: &Replication) -> Result<Option<SeenLease>, Error> {
    let metrics = Arc::new(Metrics::new());
    let Some(standing) = lease_of(config, replication, &metrics).read()? else {
        return Ok(None);
    };
    // Reading it where it is missing would begin one.
    let is_ours = LocalState::exists(&config.state_dir)
        && LocalState::read(&config.state_dir)?.holder == standing.lease.holder;
    Ok(Some(SeenLease {
        epoch: standing.lease.epoch,
        copy_epoch: standing.lease.copy_epoch,
        is_ours,
    }))
}

/// Whether the standby in the folder of the configuration gets what the copy of that epoch has by now, within the time
/// that a take-over waits for it.
///
/// # Errors
/// `unavailable` where the bucket does not say what the copy has.
pub fn follows(config: &Config, replication: &Replication, copy_epoch: u64) -> Result<bool, Error> {
    let metrics = Arc::new(Metrics::new());
    let folder = Litestream::epoch_folder(copy_epoch);
    let bucket = lease_of(config, replication, &metrics).s3;
    let end = newest(&bucket.names(&folder, LIST_TIMEOUT)?).unwrap_or_default();
    Ok(catches_up(&config.state_dir, end))
}

/// Has the Litestream that copies the state in `state_dir` bring all of it into the bucket, within `patience`.
///
/// # Errors
/// `unavailable`: it does not run, does not answer, or the bucket does not take it.
pub fn copies(
    replication: &Replication,
    state_dir: &Path,
    patience: Duration,
) -> Result<(), Error> {
    let until = Instant::now() + patience;
    Litestream::new(replication, state_dir)
        .sync(&state_dir.join("dbward.db"), || until)
        .map_err(Uncopied::error)
}

/// Where Litestream's program is, if it is there: as configured, or in PATH.
pub fn program(replication: &Replication) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        path.metadata()
            .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    let named = &replication.litestream;
    if named.components().count() > 1 {
        return Some(named.clone()).filter(is_program);
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join(named))
        .find(is_program)
}
