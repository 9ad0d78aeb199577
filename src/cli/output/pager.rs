//! The pager of the user, for output that is longer than the terminal.

use signal_hook::consts::SIGINT;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

static IS_PAGING: AtomicBool = AtomicBool::new(false);

/// Whether a pager has the terminal: a Ctrl-C is then for it alone, although the terminal sends it to both.
pub fn is_paging() -> bool {
    IS_PAGING.load(Ordering::SeqCst)
}

/// Shows a text in the pager; whether that worked.
pub(super) fn shows(text: &str) -> bool {
    let pager = ["DBWARD_PAGER", "PAGER"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok())
        .unwrap_or_else(|| "less".to_owned());
    if pager.trim().is_empty() || pager.trim() == "cat" {
        return false;
    }
    IS_PAGING.store(true, Ordering::SeqCst);
    // As long as somebody takes the signal, it does not end this process and leave the pager without a parent.
    let taken = signal_hook::flag::register(SIGINT, Arc::default());
    let shown = run(&pager, text);
    if let Ok(taken) = taken {
        signal_hook::low_level::unregister(taken);
    }
    IS_PAGING.store(false, Ordering::SeqCst);
    shown
}

fn run(pager: &str, text: &str) -> bool {
    let started = Command::new("sh")
        .arg("-c")
        .arg(pager)
        .env(
            "LESS",
            std::env::var("LESS").unwrap_or_else(|_| "FRSX".to_owned()),
        )
        .stdin(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        return false;
    };
    if let Some(mut input) = child.stdin.take() {
        let _ = input.write_all(text.as_bytes());
    }
    // 127: the shell found no such program.
    child.wait().is_ok_and(|status| status.code() != Some(127))
}
