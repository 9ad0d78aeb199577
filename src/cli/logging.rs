//! Log lines, as text or as JSON, to standard error. `RUST_LOG` overrides the configured level.

use crate::clock::Clock;
use crate::config::{LogFormat, Logging};
use crate::server::rust_log;
use std::io::Write;

/// Crates of others that are never more talkative than this, whatever `RUST_LOG` says.
const QUIET: [&str; 5] = ["ureq", "ureq_proto", "sqlparser", "mysql", "rusqlite"];

/// Starts logging; a second start in one process changes nothing.
pub fn start(logging: &Logging) {
    let mut builder = env_logger::Builder::new();
    // The level is set elsewhere, so that a reload can change it. Others log what they are given, SQL included.
    builder.filter_level(log::LevelFilter::Warn);
    builder.filter_module("dbward", log::LevelFilter::Trace);
    if let Some(filters) = rust_log() {
        builder.parse_filters(&filters);
    }
    // Below this, the HTTP client writes whole requests, and the token with them; the others write SQL.
    for module in QUIET {
        builder.filter_module(module, log::LevelFilter::Warn);
    }
    builder.target(env_logger::Target::Stderr);
    match logging.format {
        LogFormat::Text => {
            builder.format(|out, record| {
                let message = record.args().to_string();
                writeln!(
                    out,
                    "{}",
                    line(&now(), record.level(), record.target(), &message)
                )
            });
        }
        LogFormat::Json => {
            builder.format(|out, record| {
                let line = serde_json::json!({
                    "timestamp": now(),
                    "level": record.level().as_str(),
                    "target": record.target(),
                    "fields": {"message": record.args().to_string()},
                });
                writeln!(out, "{line}")
            });
        }
    }
    if builder.try_init().is_ok() && rust_log().is_none() {
        log::set_max_level(logging.level);
    }
}

/// A line of text. Later lines of a message are indented, so that none looks like an entry of its own.
fn line(time: &str, level: log::Level, target: &str, message: &str) -> String {
    format!(
        "[{time} {level:<5} {target}] {}",
        message.replace('\n', "\n    ")
    )
}

fn now() -> String {
    Clock::system().now().rfc3339()
}

#[cfg(test)]
mod tests {
    use super::line;
    use log::Level;

    #[test]
    fn no_line_of_a_message_looks_like_an_entry() {
        assert_eq!(
            line(
                "2026-01-02T03:04:05.678Z",
                Level::Info,
                "dbward::server",
                "one\n[two"
            ),
            "[2026-01-02T03:04:05.678Z INFO  dbward::server] one\n    [two"
        );
    }
}
