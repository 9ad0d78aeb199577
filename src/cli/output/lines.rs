//! Lines for people, past the log. A reader that is gone, as after `| head`, ends nothing: what was asked for goes on.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether something could not be written to standard output, and not because its reader had seen enough.
static LOST: AtomicBool = AtomicBool::new(false);

/// Writes to standard output.
pub fn to_output(text: Arguments) {
    let mut out = io::stdout().lock();
    if let Err(e) = out.write_fmt(text).and_then(|()| out.flush()) {
        let is_gone = e.kind() == ErrorKind::BrokenPipe;
        if !is_gone && !LOST.swap(true, Ordering::Relaxed) {
            to_errors(format_args!("error: standard output: {e}\n"));
        }
    }
}

/// Writes to standard error.
pub fn to_errors(text: Arguments) {
    let _ = io::stderr().write_fmt(text);
}

/// Whether a part of the output is missing, which the exit code says.
pub fn is_incomplete() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// A line on standard output.
macro_rules! say {
    ($($part:tt)*) => {
        $crate::cli::output::to_output(format_args!("{}\n", format_args!($($part)*)))
    };
}

/// A line on standard error.
macro_rules! note {
    () => {
        $crate::cli::output::to_errors(format_args!("\n"))
    };
    ($($part:tt)*) => {
        $crate::cli::output::to_errors(format_args!("{}\n", format_args!($($part)*)))
    };
}

pub(crate) use {note, say};
