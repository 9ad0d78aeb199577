//! The terminal: how large it is, and whether it may be coloured.

use crate::cli::output::{note, to_errors};
use std::io::{self, BufRead, Write};

/// Columns of a terminal that does not tell.
const COLUMNS: usize = 80;
/// Lines of a terminal that does not tell.
const LINES: usize = 24;

/// Columns of the terminal that standard output is.
pub fn columns() -> usize {
    rustix::termios::tcgetwinsize(io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0)
        .unwrap_or(COLUMNS)
}

/// Lines of the terminal that standard output is.
pub fn lines() -> usize {
    rustix::termios::tcgetwinsize(io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_row))
        .filter(|lines| *lines > 0)
        .unwrap_or(LINES)
}

/// A line of standard input; a terminal is asked for it, and does not show what is typed.
pub fn hidden_line(question: &str) -> io::Result<String> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let before = tcgetattr(io::stdin()).ok();
    if let Some(before) = &before {
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &hidden);
        to_errors(format_args!("{question}"));
        io::stderr().flush()?;
    }
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    if let Some(before) = before {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
        note!();
    }
    read.map(|_| line)
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Colours for a terminal, unless `NO_COLOR` is set or it cannot show any.
    pub fn new(terminal: bool) -> Paint {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Paint {
            on: terminal && !set("NO_COLOR") && !dumb,
        }
    }

    /// For what matters less.
    pub fn dim(self, text: &str) -> String {
        self.styled("2", text)
    }

    /// For what is read first.
    pub fn bold(self, text: &str) -> String {
        self.styled("1", text)
    }

    /// The one accent: what to do next, and what is wrong.
    pub fn accent(self, text: &str) -> String {
        self.styled("36", text)
    }

    fn styled(self, code: &str, text: &str) -> String {
        match self.on && !text.is_empty() {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}
