//! `dbward check-config`: says what is wrong with a configuration, without starting anything.

use crate::config::Config;
use std::path::Path;

/// Prints warnings and how much was understood; every problem is the error.
pub fn run(path: &Path) -> Result<(), String> {
    let config = Config::load(path).map_err(|problems| problems.to_string())?;
    for warning in &config.warnings {
        println!("warning: {}: {warning}", path.display());
    }
    let p = &config.policies;
    println!(
        "{}: ok: {} databases, {} workflows, {} execution policies, {} groups, {} role bindings; policy version {}",
        path.display(),
        p.databases.len(),
        p.workflows.len(),
        p.execution.len(),
        p.groups.len(),
        p.bindings.len(),
        &p.version()[..12]
    );
    Ok(())
}
