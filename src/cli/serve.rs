//! `dbward serve`: the server until a signal ends it.

use super::{logging, signals};
use crate::config::Config;
use crate::server::{Server, StartOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// What the command line said.
pub struct Options {
    /// The file.
    pub config: PathBuf,
    /// Goes before the address in the file.
    pub listen: Option<SocketAddr>,
    /// Make the first tokens again.
    pub force_bootstrap: bool,
}

/// Serves until SIGTERM or SIGINT; a second one ends the grace. SIGHUP takes a changed configuration over.
pub fn run(options: &Options) -> Result<(), String> {
    let config = Config::load(&options.config).map_err(|problems| problems.to_string())?;
    logging::start(&config.logging);
    for warning in &config.warnings {
        log::warn!("{}: {warning}", options.config.display());
    }
    let signals = signals::Signals::start().map_err(|e| e.to_string())?;
    let start = StartOptions {
        force_bootstrap: options.force_bootstrap,
        listen: options.listen,
        ..StartOptions::default()
    };
    let server = Server::start(&config, start).map_err(|e| super::demo::sentence(&e))?;
    if server.bootstrapped() {
        eprintln!(
            "first tokens written to {0}/admin-token, {0}/developer-token and {0}/agent-token",
            config.state_dir.display()
        );
    }
    println!("listening on http://{}", server.addr());
    let _ = std::io::stdout().flush();
    while signals.wait() == signals::Asked::Reload {
        // Why not, if not, stands in the log and in the audit log.
        let _ = server.reload(&options.config);
    }
    log::info!("stopping");
    let hurry = server.hurry();
    signals.then(move || hurry.store(true, Ordering::SeqCst));
    server.stop().map_err(|e| super::demo::sentence(&e))
}
