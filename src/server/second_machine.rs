//! A server with a second copy of its state: how it gets the lease, at its start or as a standby.

use super::StartOptions;
use super::object_stores::try_bucket;
use super::outcome::{self, Outcome};
use super::state::{self, StateDir};
use crate::config::{Config, Replication};
use crate::crypto::Keypair;
use crate::domain::server_lease::ServerKeys;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::replication::{Reign, ReignSetup, TakenSlot, kept_epoch, look, server_keys};
use crate::store::{Fatal, Store, try_checkpoint_file};
use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
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

/// The configuration of a standby. It follows for weeks, and the server that it replaces has read the file again since:
/// so it reads the file when it is asked to, and once more when it has the lease.
pub struct KeptConfig<'f> {
    file: &'f Path,
    /// As it was when the standby began to follow.
    begun: Config,
    /// The last that could be applied.
    newest: RefCell<Config>,
}

impl KeptConfig<'_> {
    pub fn new(config: Config, file: &Path) -> KeptConfig<'_> {
        KeptConfig {
            file,
            newest: RefCell::new(config.clone()),
            begun: config,
        }
    }

    /// As it was when the standby began to follow.
    pub fn begun(&self) -> &Config {
        &self.begun
    }

    /// Reads the file again, for a reload: it takes effect with the lease. Where it cannot be applied, the one before
    /// is kept.
    pub fn reload(&self) {
        let asked = outcome::take(&self.begun.state_dir);
        let read = Config::load(self.file);
        let problem = read.as_ref().err().map(ToString::to_string);
        match (read, &problem) {
            (Ok(config), _) => {
                log::info!("{} takes effect with the lease", self.file.display());
                *self.newest.borrow_mut() = config;
            }
            (Err(_), problem) => log::error!(
                "the configuration is not kept, the one before is:\n{}",
                problem.as_deref().unwrap_or_default()
            ),
        }
        let outcome = Outcome {
            file: std::path::absolute(self.file).unwrap_or_else(|_| self.file.to_owned()),
            generation: 0,
            problem,
        };
        outcome::answer(&asked, &outcome);
    }

    /// What the server serves that the standby becomes: the file as it is by now, or the last that could be applied; with
    /// the state and the copy that the lease was taken for.
    pub fn at_take_over(self) -> Config {
        self.reload();
        let newest = self.newest.into_inner();
        let begun = self.begun;
        for (key, differs) in [
            ("state_dir", newest.state_dir != begun.state_dir),
            ("replication", newest.replication != begun.replication),
            (
                "audit.key_file",
                newest.audit_key_file != begun.audit_key_file,
            ),
        ] {
            if differs {
                log::error!(
                    "`{key}` has changed since the standby was started: it takes effect at the next start"
                );
            }
        }
        Config {
            state_dir: begun.state_dir,
            replication: begun.replication,
            audit_key_file: begun.audit_key_file,
            ..newest
        }
    }
}

/// Follows the copy of another server until its lease is over. `pause` waits, and returns true when the process shall
/// end; then there is nothing to take over.
///
/// # Errors
/// `internal` with a sentence for the operator.
pub fn stand_by(
    config: &Config,
    listen: Option<SocketAddr>,
    pause: impl Fn(Duration) -> bool,
) -> Result<Option<TakeOver>, Error> {
    let Some(replication) = &config.replication else {
        return Err(Error::bug("--standby needs the section [replication]"));
    };
    // What would keep it from serving is better known now than at the take-over.
    try_to_listen(listen.unwrap_or(config.listen))?;
    find_program(replication)?;
    if let Some(path) = &config.checkpoint_file {
        try_checkpoint_file(path)?;
    }
    let state = StateDir::open(&config.state_dir)?;
    outcome::clear(state.path())?;
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
        taken: &TakenSlot::default(),
    };
    let reign = setup.follow(|| try_bucket(config), pause)?;
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
        find_program(replication)?;
        let keys = keys(config, &state)?;
        ReignSetup {
            config,
            replication,
            metrics: &metrics,
            keys: &keys,
            on_lost: &replaced(),
            accept_rollback: options.accept_rollback.as_deref(),
            taken: &options.taken,
        }
        .begin()
    };
    let reign = config.replication.as_ref().map(begin).transpose()?;
    Ok((state, metrics, reign))
}

/// Refuses an address that somebody else has. One that is not there may come with the lease.
fn try_to_listen(address: SocketAddr) -> Result<(), Error> {
    match TcpListener::bind(address) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => Err(super::bind_failed(address, e)),
        Err(e) => {
            log::warn!("{address} cannot be listened on now: {e}");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// Refuses to take a lease that nothing could be copied under.
fn find_program(replication: &Replication) -> Result<(), Error> {
    match look::program(replication) {
        Some(_) => Ok(()),
        None => Err(Error::bug(format!(
            "there is no program {}: install Litestream 0.5, or name it by `litestream` in [replication]",
            replication.litestream.display()
        ))),
    }
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

fn key_files(config: &Config, state: &StateDir) -> [PathBuf; 3] {
    let audit = config.audit_key_file.clone();
    [
        state.path().join(state::SIGNING_KEY),
        audit.unwrap_or_else(|| state.path().join(state::AUDIT_KEY)),
        state.path().join(state::AUDIT_KEYS),
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
