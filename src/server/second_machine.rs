//! A server with a second copy of its state: how it comes to the lease, at its start or as a standby.

use super::StartOptions;
use super::state::{self, StateDir};
use crate::config::Config;
use crate::crypto::Keypair;
use crate::domain::server_lease::ServerKeys;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::replication::{Reign, ReignSetup, kept_epoch, server_keys};
use crate::store::{Fatal, Store};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Exit code of a server that another one has replaced.
const REPLACED_CODE: i32 = 75;

/// What a standby hands to the server that it becomes.
pub struct TakeOver {
    pub(super) state: StateDir,
    pub(super) metrics: Arc<Metrics>,
    pub(super) reign: Reign,
}

/// Follows the copy of another server until its lease is over. `pause` waits, and returns true when the process shall
/// end; then there is nothing to take over.
///
/// # Errors
/// `internal` with a sentence for the operator.
pub fn stand_by(
    config: &Config,
    pause: impl Fn(Duration) -> bool,
) -> Result<Option<TakeOver>, Error> {
    let Some(replication) = &config.replication else {
        return Err(Error::bug("--standby needs the section [replication]"));
    };
    let state = StateDir::open(&config.state_dir)?;
    state.write_pid()?;
    for file in key_files(config, &state) {
        if !file.exists() {
            return Err(Error::bug(format!(
                "{} is missing: a standby needs the keys of the server that it stands by",
                file.display()
            )));
        }
    }
    let metrics = Arc::new(Metrics::new());
    let keys = keys(config, &state)?;
    let setup = ReignSetup {
        config,
        replication,
        metrics: &metrics,
        keys: &keys,
        on_lost: &replaced(),
        accept_rollback: None,
    };
    let reign = setup.follow(pause)?;
    Ok(reign.map(|reign| TakeOver {
        state,
        metrics,
        reign,
    }))
}

/// Begins the second copy, if there is to be one.
pub(super) fn copy(reign: Option<&mut Reign>, store: &Arc<Store>) -> Result<(), Error> {
    reign.map_or(Ok(()), |reign| reign.copy(store))
}

/// The state directory, with the lease if there is a second copy.
pub(super) fn begin(
    config: &Config,
    options: &mut StartOptions,
) -> Result<(StateDir, Arc<Metrics>, Option<Reign>), Error> {
    if let Some(TakeOver {
        state,
        metrics,
        reign,
    }) = options.take_over.take()
    {
        return Ok((state, metrics, Some(reign)));
    }
    let state = StateDir::open(&config.state_dir)?;
    state.write_pid()?;
    let metrics = Arc::new(Metrics::new());
    let begin = |replication| {
        let keys = keys(config, &state)?;
        ReignSetup {
            config,
            replication,
            metrics: &metrics,
            keys: &keys,
            on_lost: &replaced(),
            accept_rollback: options.accept_rollback.as_deref(),
        }
        .begin()
    };
    let reign = config.replication.as_ref().map(begin).transpose()?;
    Ok((state, metrics, reign))
}

/// The epoch that execution tokens carry: also of a server that keeps no copy any more.
pub(super) fn epoch(reign: Option<&Reign>, state: &StateDir) -> Result<u64, Error> {
    reign.map_or_else(|| kept_epoch(state.path()), |reign| Ok(reign.epoch()))
}

fn keys(config: &Config, state: &StateDir) -> Result<ServerKeys, Error> {
    let signer = Keypair::load_or_create(&state.path().join(state::SIGNING_KEY))?;
    let audit = state.audit_keys(config.audit_key_file.as_deref())?;
    Ok(server_keys(&signer, &audit.current))
}

fn key_files(config: &Config, state: &StateDir) -> [PathBuf; 2] {
    let audit = config.audit_key_file.clone();
    [
        state.path().join(state::SIGNING_KEY),
        audit.unwrap_or_else(|| state.path().join(state::AUDIT_KEY)),
    ]
}

/// Ends the process at once: another server may write from now on.
fn replaced() -> Fatal {
    Arc::new(|why| {
        log::error!("{why}; stopping, since another server may write now");
        log::logger().flush();
        std::process::exit(REPLACED_CODE);
    })
}
