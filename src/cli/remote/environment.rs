//! What the environment of a person says: variables, and where their own configuration is.

use crate::settings::process_env;
use std::path::PathBuf;

/// A variable that is set and not empty.
pub(super) fn variable(name: &str) -> Option<String> {
    process_env(name).filter(|value| !value.is_empty())
}

/// The folder of the user's own configuration.
pub(super) fn folder() -> Option<PathBuf> {
    let base = variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".config")))?;
    Some(base.join("dbward"))
}
