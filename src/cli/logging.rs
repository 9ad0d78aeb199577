//! Log lines, as text or as JSON, to standard error. `RUST_LOG` overrides the configured level.

use crate::clock::Clock;
use crate::config::{LogFormat, Logging};
use crate::server::rust_log;
use std::io::Write;

/// Starts logging; a second start in one process changes nothing.
pub fn start(logging: &Logging) {
    let mut builder = env_logger::Builder::new();
    // The level is set elsewhere, so that a reload can change it.
    builder.filter_level(log::LevelFilter::Warn);
    builder.filter_module("dbward", log::LevelFilter::Trace);
    if let Some(filters) = rust_log() {
        builder.parse_filters(&filters);
    }
    builder.target(env_logger::Target::Stderr);
    match logging.format {
        LogFormat::Text => {
            builder.format(|out, record| {
                if !is_shown(record.target(), record.level()) {
                    return Ok(());
                }
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
                if !is_shown(record.target(), record.level()) {
                    return Ok(());
                }
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

/// Whether a record is written, once the directives let it through. Below warnings, crates of others write what they are
/// given, such as SQL and whole calls with their tokens: no directive of `RUST_LOG` shows that.
fn is_shown(target: &str, level: log::Level) -> bool {
    let own = target.strip_prefix("dbward");
    own.is_some_and(|rest| rest.is_empty() || rest.starts_with("::")) || level <= log::Level::Warn
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
    use super::{is_shown, line};
    use log::Level;

    #[test]
    fn others_are_written_from_warnings_on() {
        for (target, level, shown) in [
            ("dbward", Level::Trace, true),
            ("dbward::server", Level::Trace, true),
            ("dbwardish::server", Level::Info, false),
            ("sqlparser::parser", Level::Debug, false),
            ("tokio_postgres::query", Level::Info, false),
            ("mysql", Level::Warn, true),
            ("rusqlite", Level::Error, true),
            ("", Level::Info, false),
        ] {
            assert_eq!(is_shown(target, level), shown, "{target} {level}");
        }
    }

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
