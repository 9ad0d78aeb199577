//! `dbward reload`: checks a changed server.toml, then tells the server that uses its state directory to take it over.

use crate::config::Config;
use crate::server::state::{StateDir, tell_to_reload};
use std::path::Path;

/// Signals the server; whether the file is in force stands in its log, its audit log and its metrics.
pub fn run(path: &Path) -> Result<(), String> {
    let config = Config::load(path).map_err(|problems| problems.to_string())?;
    let none = || {
        format!(
            "no server uses the state_dir {}",
            config.state_dir.display()
        )
    };
    let number = StateDir::holder(&config.state_dir).ok_or_else(none)?;
    tell_to_reload(number).map_err(|e| format!("process {number}: {e}"))?;
    println!(
        "{} is correct; process {number} was told to take it over",
        path.display()
    );
    Ok(())
}
