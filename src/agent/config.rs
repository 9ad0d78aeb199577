//! agent.toml: where the server is, and which databases this agent serves.
//!
//! Read in two stages: the text becomes a TOML table, the table becomes an [`AgentConfig`]. Every problem of the file
//! is reported at once, under the path of its key.

mod table;

use crate::client::{Options, Token};
use crate::crypto::{PublicKey, unhex};
use crate::domain::id::Target;
use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use table::{Reader, expand};

/// Longest poll, in seconds: the answer must come before existing proxies lose patience at 30.
pub const POLL_WAIT_SECS_MAX: u64 = 25;
/// Most executions at once: each is two threads and a connection.
pub const CONCURRENT_MAX: u64 = 32;
/// Longest drain, in seconds: an hour, for a statement without a limit.
pub const DRAIN_SECS_MAX: u64 = 3600;
/// Most databases of one agent: all of them stand in every poll.
pub const DATABASES_MAX: usize = 200;
/// Largest agent.toml or token file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What an agent needs to know.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// Where the server is, and the token.
    pub server: Options,
    /// The server's signing key, if it is told and not learnt at first use.
    pub public_key: Option<[u8; 32]>,
    /// The subject of the token, if told: execution tokens of other agents are refused then.
    pub id: Option<String>,
    /// Where the journal lives. Only one agent at a time uses it.
    pub state_dir: PathBuf,
    /// Seconds that a poll waits for a job.
    pub poll_wait_secs: u64,
    /// Executions at once.
    pub max_concurrent: u32,
    /// Seconds that running statements get when the agent stops.
    pub drain_secs: u64,
    /// What it serves; no target twice.
    pub databases: Vec<DatabaseConfig>,
}

/// One database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// Its name and environment on the server.
    pub target: Target,
    /// What it really is.
    pub driver: DriverConfig,
}

/// How to reach a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverConfig {
    /// A SQLite file.
    Sqlite {
        /// The file; never created.
        path: PathBuf,
        /// Refuses whatever is not a read.
        read_only: bool,
    },
}

/// One thing that is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Path of the key, like `databases[1].path`; empty where the whole file is meant.
    pub key: String,
    /// One sentence.
    pub message: String,
}

/// Everything that is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            match problem.key.as_str() {
                "" => f.write_str(&problem.message)?,
                key => write!(f, "{key}: {}", problem.message)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl Problems {
    fn file(message: String) -> Problems {
        Problems(vec![Problem {
            key: String::new(),
            message,
        }])
    }
}

impl AgentConfig {
    /// A configuration with everything else at its default.
    pub fn new(server: Options, state_dir: PathBuf, databases: Vec<DatabaseConfig>) -> AgentConfig {
        AgentConfig {
            server,
            public_key: None,
            id: None,
            state_dir,
            poll_wait_secs: POLL_WAIT_SECS_MAX,
            max_concurrent: 2,
            drain_secs: 60,
            databases,
        }
    }

    /// Reads the file at `path`. Relative paths in it start at its folder.
    ///
    /// # Errors
    /// [`Problems`], all of them.
    pub fn load(path: &Path) -> Result<AgentConfig, Problems> {
        let text = read_bounded(path)
            .map_err(|e| Problems::file(format!("`{}` cannot be read: {e}", path.display())))?;
        let base = path.parent().unwrap_or(Path::new("."));
        let base = std::path::absolute(base)
            .map_err(|e| Problems::file(format!("`{}`: {e}", base.display())))?;
        AgentConfig::parse(&text, &base, &|name| std::env::var(name).ok())
    }

    /// Reads `text`; `base` is where relative paths start, `env` looks up `${NAME}`.
    ///
    /// # Errors
    /// [`Problems`], all of them.
    pub fn parse(
        text: &str,
        base: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<AgentConfig, Problems> {
        let text = expand(text, env)?;
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
            let line = e
                .span()
                .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let place = line.map_or(String::new(), |n| format!("line {n}: "));
            Problems::file(format!("{place}{}", e.message()))
        })?;
        let mut root = Reader::root(table);
        let server = root.section("server", |s| read_server(s, base));
        let own = root.section("agent", |s| read_agent(s, base));
        let databases = read_databases(&mut root, base);
        let problems = root.finish();
        match (server, own) {
            (Some((Some(server), public_key)), Some(own)) if problems.is_empty() => {
                Ok(AgentConfig {
                    public_key,
                    id: own.id,
                    poll_wait_secs: own.poll_wait_secs,
                    max_concurrent: own.max_concurrent,
                    drain_secs: own.drain_secs,
                    ..AgentConfig::new(server, own.state_dir, databases)
                })
            }
            _ => Err(Problems(problems)),
        }
    }
}

fn read_server(s: &mut Reader, base: &Path) -> (Option<Options>, Option<[u8; 32]>) {
    let url = s.required_text("url");
    let allow_insecure = s.flag("allow_insecure");
    let proxy = s.optional_text("proxy");
    let token = read_token(s, base);
    let public_key = s.optional_text("public_key").and_then(|hex| {
        let key = unhex(&hex).and_then(|bytes| PublicKey::from_bytes(&bytes));
        if key.is_none() {
            s.problem("public_key", "not an Ed25519 public key in hexadecimal");
        }
        key.map(|key| key.bytes())
    });
    let (Some(url), Some(token)) = (url, token) else {
        return (None, public_key);
    };
    let mut options = Options::new(url, token);
    options.allow_insecure = allow_insecure;
    options.proxy = proxy;
    // What the client would refuse at start is a problem of the file now.
    if let Err(e) = crate::client::Client::new(&options) {
        s.problem("url", e.message());
    }
    (Some(options), public_key)
}

fn read_token(s: &mut Reader, base: &Path) -> Option<Token> {
    let (key, text) = match (s.text("token"), s.text("token_file")) {
        (Some(token), None) => ("token", token),
        (None, Some(path)) => match read_bounded(&base.join(&path)) {
            Ok(token) => ("token_file", token),
            Err(e) => {
                // Without the path: somebody may have put the token itself there.
                s.problem("token_file", &format!("cannot be read: {e}"));
                return None;
            }
        },
        (Some(_), Some(_)) => {
            s.problem(
                "token",
                "`token` and `token_file` are both there; one is enough",
            );
            return None;
        }
        (None, None) => {
            s.problem("token", "missing; give `token` or `token_file`");
            return None;
        }
    };
    match Token::new(&text) {
        Ok(token) => Some(token),
        Err(e) => {
            s.problem(key, e.message());
            None
        }
    }
}

struct Own {
    id: Option<String>,
    state_dir: PathBuf,
    poll_wait_secs: u64,
    max_concurrent: u32,
    drain_secs: u64,
}

fn read_agent(s: &mut Reader, base: &Path) -> Own {
    let concurrent = s.number("max_concurrent", 2, 1, CONCURRENT_MAX);
    Own {
        id: s.optional_text("id"),
        state_dir: base.join(s.required_text("state_dir").unwrap_or_default()),
        poll_wait_secs: s.number("poll_wait_secs", POLL_WAIT_SECS_MAX, 1, POLL_WAIT_SECS_MAX),
        max_concurrent: u32::try_from(concurrent).unwrap_or(1),
        drain_secs: s.number("drain_secs", 60, 0, DRAIN_SECS_MAX),
    }
}

fn read_databases(root: &mut Reader, base: &Path) -> Vec<DatabaseConfig> {
    let mut seen = HashSet::new();
    let read = root.sections("databases", |s| {
        let name = s.required_text("name");
        let environment = s.required_text("environment");
        let driver = read_driver(s, base);
        let target = match Target::new(&name?, &environment?) {
            Ok(target) => target,
            Err(e) => {
                s.problem("", e.message());
                return None;
            }
        };
        if !seen.insert(target.clone()) {
            s.problem("", &format!("`{target}` is there twice"));
        }
        Some(DatabaseConfig {
            target,
            driver: driver?,
        })
    });
    match read.len() {
        0 => root.problem(
            "databases",
            "missing; an agent serves at least one database",
        ),
        n if n > DATABASES_MAX => {
            let message = format!("{n} databases; {DATABASES_MAX} are the most");
            root.problem("databases", &message);
        }
        _ => {}
    }
    read.into_iter().flatten().collect()
}

fn read_driver(s: &mut Reader, base: &Path) -> Option<DriverConfig> {
    let kind = s.required_text("driver")?;
    if kind != "sqlite" {
        let message = format!("unknown driver `{kind}`; this version has `sqlite`");
        s.problem("driver", &message);
        s.ignore_rest();
        return None;
    }
    let path = s.required_text("path");
    let read_only = s.flag("read_only");
    Some(DriverConfig::Sqlite {
        path: base.join(path?),
        read_only,
    })
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    let bytes = std::fs::metadata(path)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!(
            "{bytes} bytes are more than {FILE_BYTES_MAX}"
        )));
    }
    std::fs::read_to_string(path)
}

#[cfg(test)]
mod tests;
