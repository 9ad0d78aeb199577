//! Log lines, as text or as JSON, to standard error. `RUST_LOG` overrides the configured level.

use crate::clock::Clock;
use crate::config::{LogFormat, Logging};
use crate::domain::sql::escaped;
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

/// A line of text. Later lines of a message are indented, so that none looks like an entry of its own, and what would
/// move the cursor of a terminal is written as `\u{1b}`: others wrote part of it.
fn line(time: &str, level: log::Level, target: &str, message: &str) -> String {
    let message = escaped(message);
    let mut lines = String::with_capacity(message.len());
    for c in message.chars() {
        match c {
            '\n' => lines.push_str("\n    "),
            '\r' => lines.extend(c.escape_unicode()),
            c => lines.push(c),
        }
    }
    format!("[{time} {level:<5} {target}] {lines}")
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
        for (message, written) in [
            ("one\n[two", "one\n    [two"),
            ("550 \r[two\x1b[K", "550 \\u{d}[two\\u{1b}[K"),
            ("a\r\nb\x1b]0;c\x07", "a\\u{d}\n    b\\u{1b}]0;c\\u{7}"),
            ("\u{9b}2J\u{202e}é", "\\u{9b}2J\\u{202e}é"),
        ] {
            assert_eq!(
                line(
                    "2026-01-02T03:04:05.678Z",
                    Level::Info,
                    "dbward::server",
                    message
                ),
                format!("[2026-01-02T03:04:05.678Z INFO  dbward::server] {written}")
            );
        }
    }
}
