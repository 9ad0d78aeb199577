//! `dbward reload`: checks a changed server.toml, has the server that uses its state directory read it again, and ends
//! as that reload did.

use crate::cli::output::say;
use crate::config::Config;
use crate::server::outcome::{Outcome, ReloadRequest};
use crate::server::state::{StateDir, tell_to_reload};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a reload may take: it waits for the transactions before it.
const OUTCOME_WITHIN: Duration = Duration::from_secs(60);
/// How often the outcome is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// Signals the server and waits for the outcome of that reload.
pub fn run(path: &Path) -> Result<(), String> {
    let config = Config::load(path).map_err(|problems| problems.to_string())?;
    let dir = &config.state_dir;
    let none = || format!("no server uses the state_dir {}", dir.display());
    let number = StateDir::holder(dir).ok_or_else(none)?;
    let asked = ReloadRequest::leave(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    tell_to_reload(number).map_err(|e| format!("process {number}: {e}"))?;
    let end = Instant::now() + OUTCOME_WITHIN;
    let outcome = loop {
        if let Some(outcome) = asked.outcome() {
            break outcome;
        }
        if StateDir::holder(dir) != Some(number) {
            return Err(format!(
                "process {number} ended before it read the file again"
            ));
        }
        if Instant::now() > end {
            let secs = OUTCOME_WITHIN.as_secs();
            return Err(format!(
                "process {number} has not reported within {secs} s whether it applied the file; its log says"
            ));
        }
        std::thread::sleep(LOOK);
    };
    report(path, number, &outcome)
}

fn report(path: &Path, number: u32, outcome: &Outcome) -> Result<(), String> {
    let file = outcome.file.display();
    if let Some(problem) = &outcome.problem {
        return Err(format!(
            "process {number} did not apply {file}, everything stays as it was:\n{problem}"
        ));
    }
    if outcome.generation == 0 {
        say!("{file} is kept by process {number}, a standby, and takes effect with the lease");
        return Ok(());
    }
    say!(
        "{file} is applied by process {number}: generation {}",
        outcome.generation
    );
    if path.canonicalize().ok() != outcome.file.canonicalize().ok() {
        return Err(format!(
            "the server reads {file}, not {}, which was checked",
            path.display()
        ));
    }
    Ok(())
}
