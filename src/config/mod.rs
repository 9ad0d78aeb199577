//! What server.toml means.
//!
//! Two stages: `RawConfig` (in `raw`) is what was said, [`Config`] what it means. Loading is pure but for reading the file
//! and its variables, so a reload calls the same function and compares. Every problem is reported at once, with its
//! key path and line.

mod check;
mod cidr;
mod endpoint;
mod expand;
mod identities;
mod oidc;
mod policies;
mod problem;
mod raw;
mod reach;
mod reader;
mod secret;
mod slack;
mod storage;
mod webhooks;
mod workflows;

#[cfg(test)]
mod tests;

pub use cidr::Cidr;
pub use endpoint::Endpoint;
pub use oidc::{AuthMode, Oidc};
pub use problem::{Problem, Problems};
pub use raw::KEYS;
pub use reach::Reach;
pub use secret::Secret;
pub use slack::Slack;
pub use storage::{Credentials, ResultStorage, S3Storage};
pub use webhooks::{Webhook, WebhookFormat};

use crate::domain::audit::Redaction;
use crate::domain::policy::Policies;
use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Largest configuration file, in bytes: thousands of workflows fit.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Longest id of a person and longest name of a group or role, in bytes: such a one still fits a selector.
pub const ID_BYTES_MAX: usize = crate::domain::id::Selector::BYTES_MAX - "group:".len();
/// Where the server listens unless it is told otherwise: this machine only.
pub const LISTEN_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 3000);
/// `[retention]`: how long what is over is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Days after its last change that a request that ended is kept.
    pub request_ttl_days: u32,
    /// Days that audit events are kept.
    pub audit_ttl_days: u32,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            request_ttl_days: 90,
            audit_ttl_days: 365,
        }
    }
}

/// Threads that answer calls, unless configured: so many writes can share a commit.
pub const WORKERS_DEFAULT: usize = 48;
/// Seconds a stop waits for what runs, unless configured.
pub const SHUTDOWN_GRACE_SECS_DEFAULT: u64 = 20;
/// Live results waiting for their readers, unless configured.
pub const SLOTS_DEFAULT: usize = 10_000;
/// Seconds a live result waits for its reader, unless configured.
pub const SLOT_TTL_SECS_DEFAULT: u64 = 600;

/// A checked configuration of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Folder of everything the server keeps; absolute.
    pub state_dir: PathBuf,
    /// Address to listen on; `--listen` goes before it.
    pub listen: SocketAddr,
    /// Threads that answer calls.
    pub workers: usize,
    /// Seconds a stop waits at most for what runs.
    pub shutdown_grace_secs: u64,
    /// Everything that decides about requests.
    pub policies: Policies,
    /// Who is told of what happens, in the order of the file.
    pub webhooks: Vec<Webhook>,
    /// How the server speaks to Slack, if it does.
    pub slack: Option<Slack>,
    /// People named in `[[users]]`, in the order of the file.
    pub users: Vec<ConfiguredUser>,
    /// How much of the SQL text the audit log keeps.
    pub redaction: Redaction,
    /// Where results are stored.
    pub result_storage: ResultStorage,
    /// How long what is over is kept.
    pub retention: Retention,
    /// How live results are handed on.
    pub result_channel: ResultChannel,
    /// What is logged, and how.
    pub logging: Logging,
    /// Calls a minute of one person's token; 0 for no limit.
    pub calls_per_minute: u32,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// How people prove who they are.
    pub auth_mode: AuthMode,
    /// The identity provider, where people may come from one.
    pub oidc: Option<Oidc>,
    /// Whether what we call may be in a private network.
    pub allow_private_networks: bool,
    /// What is odd, but no error; for the log and `check-config`.
    pub warnings: Vec<Problem>,
}

/// An entry of `[[users]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredUser {
    /// Subject id.
    pub id: String,
    /// Whether the person may come in; otherwise suspended.
    pub active: bool,
}

/// `[result_channel]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultChannel {
    /// Live results that may wait for their readers.
    pub max_slots: usize,
    /// Seconds each of them waits.
    pub slot_ttl_secs: u64,
}

/// `[logging]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// Least important level that is written.
    pub level: log::LevelFilter,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads and checks the file at `path`. Relative paths in it start at its folder; variables come from the
    /// environment of the process.
    ///
    /// # Errors
    /// All problems of the file, or the one that it cannot be read.
    pub fn load(path: &Path) -> Result<Config, Problems> {
        let unreadable = |message: String| Problems {
            file: path.display().to_string(),
            list: vec![Problem {
                key: String::new(),
                line: None,
                message,
            }],
        };
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(|e| unreadable(format!("cannot read the file: {e}")))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(unreadable(format!(
                "the file is larger than {FILE_BYTES_MAX} bytes"
            )));
        }
        let text = String::from_utf8(bytes).map_err(|e| {
            let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
            let line = 1 + valid.iter().filter(|b| **b == b'\n').count();
            unreadable(format!("line {line} is not UTF-8"))
        })?;
        let absolute = std::path::absolute(path)
            .map_err(|e| unreadable(format!("cannot tell the folder of the file: {e}")))?;
        let base = absolute.parent().unwrap_or(Path::new("/"));
        Config::parse(&text, base, &|name| std::env::var(name).ok()).map_err(|mut problems| {
            problems.file = path.display().to_string();
            problems
        })
    }

    /// Checks `text`, with relative paths starting at `base` (absolute) and variables from `env`.
    ///
    /// # Errors
    /// All problems, under the file name `server.toml`.
    pub fn parse(
        text: &str,
        base: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, Problems> {
        let (expanded, mut list) = expand::expand(text, env);
        let spoiled: Vec<_> = list.iter().map(|p| p.line).collect();
        let (raw, mut notes) = raw::RawConfig::read(&expanded);
        let config = raw.and_then(|raw| check::check(&raw, base, env, &mut notes));
        // What a missing variable left behind is no problem of its own.
        let own = notes.problems.into_iter();
        list.extend(own.filter(|p| p.line.is_none() || !spoiled.contains(&p.line)));
        match config {
            Some(mut config) if list.is_empty() => {
                config.warnings = in_order(notes.warnings);
                Ok(config)
            }
            _ => Err(Problems {
                file: "server.toml".to_owned(),
                list: in_order(list),
            }),
        }
    }
}

fn in_order(mut list: Vec<Problem>) -> Vec<Problem> {
    list.sort_by_key(|p| p.line);
    list
}
