//! Log lines, as text or as JSON, to standard error. `RUST_LOG` overrides the configured level.

use crate::config::{LogFormat, Logging};
use crate::server::rust_log;
use std::io::Write;

/// Starts logging; a second start in one process changes nothing.
pub fn start(logging: &Logging) {
    let mut builder = env_logger::Builder::new();
    // The level is set elsewhere, so that a reload can change it.
    builder.filter_level(log::LevelFilter::Trace);
    if let Some(filters) = rust_log() {
        builder.parse_filters(&filters);
    }
    // Below this, the HTTP client of the agent writes whole requests, and the token with them.
    builder.filter_module("ureq", log::LevelFilter::Warn);
    builder.filter_module("ureq_proto", log::LevelFilter::Warn);
    builder.target(env_logger::Target::Stderr);
    match logging.format {
        LogFormat::Text => {
            builder.format_timestamp_millis();
        }
        LogFormat::Json => {
            builder.format(|out, record| {
                let line = serde_json::json!({
                    "timestamp": crate::clock::Clock::system().now().rfc3339(),
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
