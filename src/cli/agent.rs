//! `dbward agent`: an agent until a signal ends it.

use super::{demo, logging, signals};
use crate::agent::RunningAgent;
use crate::agent::config::AgentConfig;
use crate::agent::wall;
use crate::cli::output::note;
use crate::clock::Clock;
use crate::config::{LogFormat, Logging};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What an agent starts this program with for each task. Not a command of its users, so the parser does not know it.
pub const CHILD: &str = "agent-child";
/// How often an agent that waits for its signal looks whether the server has refused it for good.
const LOOK: Duration = Duration::from_millis(200);

/// Runs the agent until SIGTERM or SIGINT, or until the server refuses it for good; a second signal interrupts what
/// still runs.
pub fn run(path: &Path) -> Result<(), String> {
    let config = AgentConfig::load(path).map_err(|problems| problems.to_string())?;
    logging::start(&Logging {
        level: log::LevelFilter::Info,
        format: LogFormat::Text,
    });
    let signals = signals::Signals::start().map_err(|e| e.to_string())?;
    let drain = Duration::from_secs(config.work.drain_secs);
    log::info!("agent starts");
    let agent = RunningAgent::start(config, Clock::system()).map_err(|e| demo::sentence(&e))?;
    let agent = Arc::new(agent);
    while !signals.arrived(LOOK) {
        if let Some(why) = agent.wait_failure(Duration::ZERO) {
            agent.stop(drain);
            return Err(why);
        }
    }
    log::info!("stopping");
    let second = Arc::clone(&agent);
    signals.then(move || second.interrupt());
    agent.stop(drain);
    Ok(())
}

/// Does the one task that an agent has started this process for.
pub fn child() -> Result<(), String> {
    // A panic may hold values of the database: what the log of the agent gets is its place.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        note!(
            "a child of the agent panicked at {}",
            place.unwrap_or_default()
        );
    }));
    wall::child::run()
}
