//! `dbward serve`: the server until a signal ends it.

use super::signals::{SignalRequest, Signals, StopLimit};
use super::{Failure, logging, values};
use crate::cli::output::{note, say};
use crate::config::Config;
use crate::error::Error;
use crate::replication::TakenSlot;
use crate::server::{KeptConfig, Server, StartOptions, stand_by};
use crate::store::STATE_DIFFERS;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Exit code where the state file is not the one the server left.
const STATE_DIFFERS_CODE: u8 = 3;
/// How long a stop before the server listens may take to give the lease up.
const GIVE_UP_WITHIN: Duration = Duration::from_secs(3);
/// A stop before the server listens: nothing was answered that could be waited for.
const STARTING: StopLimit = StopLimit {
    within: Duration::ZERO,
    code: 0,
    words: "stopped before it listened",
};

#[derive(Debug, clap::Args)]
pub struct ServeOptions {
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "server.toml")]
    pub config: PathBuf,
    /// Address to listen on; overrides the one in the file
    #[arg(long, value_name = "ADDR", value_parser = values::address)]
    pub listen: Option<SocketAddr>,
    /// Make the first tokens again; the old ones stop to count
    #[arg(long)]
    pub force_bootstrap: bool,
    /// Start a state that is older than its checkpoint file, or than signed heads; audited
    #[arg(long, value_name = "REASON", value_parser = values::words)]
    pub accept_rollback: Option<String>,
    /// Start a state file that was changed while no server ran: its changed requests are frozen, its changed tokens
    /// revoked and its changed people suspended; audited
    #[arg(long)]
    pub quarantine: bool,
    /// Follow the copy of another server, and serve once that server's lease is over
    #[arg(long)]
    pub standby: bool,
}

/// Serves until SIGTERM or SIGINT; a second one ends it at once. SIGHUP puts a changed configuration in effect.
pub(super) fn run(options: &ServeOptions) -> Result<(), Failure> {
    let config = Config::load(&options.config).map_err(|problems| problems.to_string())?;
    logging::start(&config.logging);
    for warning in &config.warnings {
        log::warn!("{}: {warning}", options.config.display());
    }
    let signals = Signals::start().map_err(|e| e.to_string())?;
    let limit = |limit| signals.limit(limit).map_err(|e| e.to_string());
    let stopping = StopLimit {
        within: Server::stop_within(&config),
        code: 1,
        words: "something hangs, so the process ends here; all that was acknowledged is on the disk",
    };
    let (config, take_over) = match options.standby {
        true => {
            limit(of_standby(stopping))?;
            let kept = KeptConfig::new(config, &options.config);
            let pause = |time| {
                if signals.reload_asked() {
                    kept.reload();
                }
                signals.arrived(time)
            };
            let taken =
                stand_by(kept.begun(), options.listen, pause).map_err(|e| cannot_start(&e))?;
            let Some(taken) = taken else { return Ok(()) };
            (kept.at_take_over(), Some(taken))
        }
        false => (config, None),
    };
    limit(STARTING)?;
    let taken = TakenSlot::default();
    let given_up = taken.clone();
    signals.before_end(Some(Box::new(move || given_up.give_up(GIVE_UP_WITHIN))));
    let start = StartOptions {
        take_over,
        taken,
        force_bootstrap: options.force_bootstrap,
        accept_rollback: options.accept_rollback.clone(),
        quarantine: options.quarantine,
        listen: options.listen,
        ..StartOptions::default()
    };
    let server = Server::start(&config, start).map_err(|e| cannot_start(&e))?;
    signals.before_end(None);
    limit(stopping)?;
    if server.bootstrapped() {
        note!(
            "first tokens written to {0}/admin-token, {0}/developer-token and {0}/agent-token",
            config.state_dir.display()
        );
    }
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    say!("listening on {scheme}://{}", server.addr());
    let _ = std::io::stdout().flush();
    while signals.wait() == SignalRequest::Reload {
        // Why not, if not, stands in the log and in the audit log.
        let _ = server.reload(&options.config);
    }
    log::info!("stopping");
    let hurry = server.hurry();
    signals.then(move || hurry.store(true, Ordering::SeqCst));
    Ok(server.stop().map_err(|e| super::demo::sentence(&e))?)
}

/// The limit of a standby's stop: it has answered nobody, so nothing of it can be lost.
fn of_standby(stopping: StopLimit) -> StopLimit {
    StopLimit {
        code: 0,
        words: "the standby waits for the bucket, and ends here without it",
        ..stopping
    }
}

fn cannot_start(error: &Error) -> Failure {
    let code = match error.code() {
        STATE_DIFFERS => STATE_DIFFERS_CODE,
        _ => 1,
    };
    let hint = error
        .hint_text()
        .map_or(String::new(), |h| format!("; {h}"));
    Failure::new(&format!("{}{hint}", super::demo::sentence(error)), code)
}
