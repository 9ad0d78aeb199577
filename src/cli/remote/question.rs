//! Questions that are asked on a terminal.

use super::CommandError;
use crate::cli::output::to_errors;
use std::io::{self, BufRead, Write};

/// Asks on standard error and reads a line; everything but a yes is a no.
///
/// # Errors
/// When standard input cannot be read.
pub(super) fn agrees(question: &str) -> Result<bool, CommandError> {
    to_errors(format_args!("{question} [y/N] "));
    let _ = io::stderr().flush();
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|e| CommandError::new(e.to_string()))?;
    Ok(is_yes(&line))
}

pub(super) fn is_yes(line: &str) -> bool {
    matches!(line.trim(), "y" | "Y" | "yes")
}
