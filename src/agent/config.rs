//! agent.toml: where the server is, and which databases this agent serves.
//!
//! Read in two stages: `raw` declares the keys, and here is what they mean. Every problem of the file is reported at
//! once, with its key path and line.

pub mod endpoint;
mod old_form;
mod raw;

use crate::client::{BearerToken, ClientOptions};
use crate::crypto::{PublicKey, unhex};
use crate::declare::Plain;
use crate::domain::dialect::Dialect;
use crate::domain::id::Target;
use crate::domain::policy::execution::{ROWS_MAX, STATEMENT_SECS_MAX};
use crate::error::{Error, Shown};
use crate::settings::{self, Env, Location, Notes, Number, Problems, SecretPlaces, Spanned, Text};
pub use endpoint::{DRIVERS, DatabaseEndpoint, Password, Tls};
use old_form::Translated;
pub use raw::{KEYS, Work};
use raw::{RawAgentConfig, RawAgentDatabase, RawServer};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Most bytes of row JSON in a result: the promise of the protocol, and what a server stores by default.
pub const ROWS_BYTES_MAX: usize = 10 << 20;
/// Longest poll, in seconds: the answer must come before existing proxies lose patience at 30.
pub const POLL_WAIT_SECS_MAX: u64 = 25;
/// Most executions at once: each is two threads and a connection.
pub const CONCURRENT_MAX: u64 = 32;
/// Longest drain, in seconds: an hour, for a statement without a limit.
pub const DRAIN_SECS_MAX: u64 = 3600;
/// Most databases of one agent: all of them stand in every poll.
pub const DATABASES_MAX: usize = 200;
/// Where the journal lives if a file of 0.1.6, which had none, does not say.
const STATE_DIR_OF_OLD_FILES: &str = "agent-state";
/// Most entries of `deny`: each is looked for in every statement.
pub const DENY_MAX: usize = 100;
/// Largest token file, in bytes.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// What an agent needs to know.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// Where the server is, and the token.
    pub server: ClientOptions,
    /// The server's signing key, if it is configured and not learnt at first use.
    pub public_key: Option<[u8; 32]>,
    /// The subject of the token, if configured: execution tokens of other agents are refused then.
    pub id: Option<String>,
    /// Where the journal lives. Only one agent at a time uses it.
    pub state_dir: PathBuf,
    pub work: Work,
    /// What it serves; no target twice.
    pub databases: Vec<DatabaseConfig>,
    /// Where the secrets lie, for `doctor`.
    pub secrets: SecretPlaces,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// Its name and environment on the server.
    pub target: Target,
    /// What it really is.
    pub driver: DriverConfig,
    pub caps: Caps,
}

/// What this agent does not do on a database, whatever the server has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// Words and names that no statement may hold.
    pub deny: Vec<String>,
    /// Rows returned at most.
    pub max_rows: u64,
    /// Bytes of rows returned at most.
    pub max_result_bytes: usize,
    /// Seconds that a job may take; 0 leaves it to the server.
    pub max_statement_secs: u64,
}

impl Default for Caps {
    fn default() -> Caps {
        Caps {
            deny: Vec::new(),
            max_rows: ROWS_MAX,
            max_result_bytes: ROWS_BYTES_MAX,
            max_statement_secs: 0,
        }
    }
}

/// How to reach a database. Travels to the child process that does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DriverConfig {
    Sqlite {
        /// The file; never created.
        path: PathBuf,
        /// Refuses whatever is not a read.
        read_only: bool,
    },
    #[cfg(feature = "postgres")]
    Postgres(DatabaseEndpoint),
    /// A MySQL or MariaDB server.
    #[cfg(feature = "mysql")]
    MySql(DatabaseEndpoint),
}

impl DriverConfig {
    /// The certificates that its server's is held against, where those are given.
    pub fn ca_file(&self) -> Option<&Path> {
        match self {
            DriverConfig::Sqlite { .. } => None,
            #[cfg(feature = "postgres")]
            DriverConfig::Postgres(endpoint) => endpoint.ca_file.as_deref(),
            #[cfg(feature = "mysql")]
            DriverConfig::MySql(endpoint) => endpoint.ca_file.as_deref(),
        }
    }

    /// The dialect of its SQL.
    pub fn dialect(&self) -> Dialect {
        match self {
            DriverConfig::Sqlite { .. } => Dialect::Sqlite,
            #[cfg(feature = "postgres")]
            DriverConfig::Postgres(_) => Dialect::Postgres,
            #[cfg(feature = "mysql")]
            DriverConfig::MySql(_) => Dialect::MySql,
        }
    }
}

impl AgentConfig {
    /// A configuration with everything else at its default.
    pub fn new(
        server: ClientOptions,
        state_dir: PathBuf,
        databases: Vec<DatabaseConfig>,
    ) -> AgentConfig {
        AgentConfig {
            server,
            public_key: None,
            id: None,
            state_dir,
            work: Work::plain(),
            databases,
            secrets: SecretPlaces::default(),
        }
    }

    /// Reads the file at `path`. Relative paths in it start at its folder.
    ///
    /// # Errors
    /// [`Problems`], all of them.
    pub fn load(path: &Path) -> Result<AgentConfig, Problems> {
        let (text, base) = settings::read_file(path)?;
        AgentConfig::parse(&text, &base, &settings::process_env).map_err(|mut problems| {
            problems.file = path.display().to_string();
            problems
        })
    }

    /// Reads `text`; `base` is where relative paths start, `env` looks up `${NAME}`.
    ///
    /// # Errors
    /// [`Problems`], all of them, under the file name `agent.toml`.
    pub fn parse(text: &str, base: &Path, env: Env<'_>) -> Result<AgentConfig, Problems> {
        let ours = old_form::translated(text);
        let check = |raw: &RawAgentConfig, notes: &mut Notes| check(raw, &ours, base, notes);
        let read = settings::read(&ours.text, "agent.toml", env, check)?;
        Ok(AgentConfig {
            secrets: read.secrets.in_folder(base),
            ..read.value
        })
    }
}

/// The PostgreSQL server that a URL names, by the rules of agent.toml.
///
/// # Errors
/// `validation_error`; the message does not quote the URL, which may hold a password.
#[cfg(feature = "postgres")]
pub fn postgres_at(url: &str) -> Result<DatabaseEndpoint, Error> {
    endpoint::of_url(url).map_err(|why| Error::invalid(format!("the URL of the database: {why}")))
}

fn check(
    raw: &RawAgentConfig,
    ours: &Translated,
    base: &Path,
    notes: &mut Notes,
) -> Option<AgentConfig> {
    let missing = |key: &str, notes: &mut Notes| {
        if !notes.has_problem(key) {
            notes.problem(&raw.at.key(key), "this table is required");
        }
    };
    let server = match &raw.server {
        Some(server) => read_server(server, base, notes),
        None => {
            missing("server", notes);
            None
        }
    };
    let databases = read_databases(raw, &ours.names, base, notes);
    let old_state_dir = || base.join(STATE_DIR_OF_OLD_FILES);
    let Some(own) = &raw.agent else {
        if ours.is_old {
            let (server, public_key) = server?;
            return Some(AgentConfig {
                public_key,
                ..AgentConfig::new(server, old_state_dir(), databases)
            });
        }
        missing("agent", notes);
        return None;
    };
    let state_dir = match given(&own.state_dir) {
        None if ours.is_old => Some(old_state_dir()),
        _ => required(&own.state_dir, &own.at, "state_dir", notes)
            .and_then(|dir| settings::path(dir, base, notes)),
    };
    let (server, public_key) = server?;
    Some(AgentConfig {
        public_key,
        id: given(&own.id).map(|id| id.value.clone()),
        work: own.work.clone(),
        ..AgentConfig::new(server, state_dir?, databases)
    })
}

/// A text that is there; empty is as good as absent, so that a variable can leave it out.
fn given(raw: &Text) -> Option<&Spanned<String>> {
    raw.as_ref().filter(|text| !text.value.is_empty())
}

/// A text that must be there and not be empty.
fn required<'r>(
    raw: &'r Text,
    table: &Location,
    key: &str,
    notes: &mut Notes,
) -> Option<&'r Spanned<String>> {
    let text = given(raw);
    if text.is_none() {
        let place = raw
            .as_ref()
            .map_or_else(|| table.key(key), |raw| raw.at.clone());
        if !notes.has_problem(&place.key) {
            notes.problem(&place, "this key is required");
        }
    }
    text
}

fn read_server(
    raw: &RawServer,
    base: &Path,
    notes: &mut Notes,
) -> Option<(ClientOptions, Option<[u8; 32]>)> {
    let url = required(&raw.url, &raw.at, "url", notes);
    let token = read_token(raw, base, notes);
    let public_key = given(&raw.public_key).and_then(|hex| {
        let key = unhex(&hex.value).and_then(|bytes| PublicKey::from_bytes(&bytes));
        if key.is_none() {
            notes.problem(&hex.at, "not an Ed25519 public key in hexadecimal");
        }
        key.map(|key| key.bytes())
    });
    let url = url?;
    let mut options = ClientOptions::new(url.value.clone(), token?);
    options.allow_insecure = raw.allow_insecure == Some(true);
    options.ca_file = match given(&raw.ca_file) {
        Some(path) => Some(settings::path(path, base, notes)?),
        None => None,
    };
    options.client_certificate = match (given(&raw.client_cert_file), given(&raw.client_key_file)) {
        (Some(certificate), Some(key)) => Some((
            settings::path(certificate, base, notes)?,
            settings::path(key, base, notes)?,
        )),
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => {
            notes.problem(
                &one.at,
                "`client_cert_file` and `client_key_file` go together",
            );
            None
        }
    };
    options.proxy = given(&raw.proxy).map(|proxy| proxy.value.clone());
    // What the client would refuse at start is a problem of the file now.
    if let Err(e) = crate::client::Client::new(&options) {
        notes.problem(&url.at, e.message());
    }
    Some((options, public_key))
}

fn read_token(raw: &RawServer, base: &Path, notes: &mut Notes) -> Option<BearerToken> {
    let (raw, file) = (&raw.token.raw, &raw.token.file);
    let (at, text) = match (raw, file) {
        (Some(token), None) => (&token.at, token.value.clone()),
        (None, Some(path)) => match read_bounded(&base.join(&path.value)) {
            Ok(token) => (&path.at, token),
            Err(e) => {
                // Without the path: somebody may have put the token itself there.
                notes.problem(&path.at, format!("cannot be read: {e}"));
                return None;
            }
        },
        (Some(token), Some(_)) => {
            let message = "`token` and `token_file` are both there; one is enough";
            notes.problem(&token.at, message);
            return None;
        }
        (None, None) => {
            let place = Location {
                key: "server.token".to_owned(),
                line: 1,
            };
            if !notes.has_problem(&place.key) && !notes.has_problem("server.token_file") {
                notes.problem(&place, "missing; give `token` or `token_file`");
            }
            return None;
        }
    };
    match BearerToken::new(&text) {
        Ok(token) => Some(token),
        Err(e) => {
            notes.problem(at, e.message());
            None
        }
    }
}

fn read_databases(
    raw: &RawAgentConfig,
    names: &[Option<(String, String)>],
    base: &Path,
    notes: &mut Notes,
) -> Vec<DatabaseConfig> {
    let mut seen = HashSet::new();
    let mut databases = Vec::new();
    for (n, entry) in raw.databases.value.iter().enumerate() {
        let named = match names.get(n).and_then(Option::as_ref) {
            Some((name, environment)) => Some((name.as_str(), environment.as_str())),
            None => {
                let name = required(&entry.name, &entry.at, "name", notes);
                let environment = required(&entry.environment, &entry.at, "environment", notes);
                name.zip(environment)
                    .map(|(name, environment)| (name.value.as_str(), environment.value.as_str()))
            }
        };
        let driver = read_driver(entry, base, notes);
        let caps = read_caps(entry, notes);
        let Some((name, environment)) = named else {
            continue;
        };
        let target = match Target::new(name, environment) {
            Ok(target) => target,
            Err(e) => {
                notes.problem(&entry.at, e.message());
                continue;
            }
        };
        if !seen.insert(target.clone()) {
            notes.problem(&entry.at, format!("`{target}` is there twice"));
        }
        if let Some(driver) = driver {
            databases.push(DatabaseConfig {
                target,
                driver,
                caps,
            });
        }
    }
    if raw.databases.value.is_empty() && !notes.has_problem("databases") {
        let message = "missing; an agent serves at least one database";
        notes.problem(&raw.databases.at, message);
    }
    databases
}

fn read_caps(raw: &RawAgentDatabase, notes: &mut Notes) -> Caps {
    let usual = Caps::default();
    let bytes = u64::try_from(usual.max_result_bytes).unwrap_or(u64::MAX);
    let mut number = |raw: &Number, bounds: std::ops::RangeInclusive<u64>, otherwise: u64| {
        endpoint::in_bounds(raw, bounds, notes).unwrap_or(otherwise)
    };
    Caps {
        max_rows: number(&raw.max_rows, 1..=usual.max_rows, usual.max_rows),
        max_result_bytes: usize::try_from(number(&raw.max_result_bytes, 1..=bytes, bytes))
            .unwrap_or(usual.max_result_bytes),
        max_statement_secs: number(&raw.max_statement_secs, 0..=STATEMENT_SECS_MAX, 0),
        deny: raw
            .deny
            .value
            .iter()
            .map(|words| words.value.clone())
            .collect(),
    }
}

/// The driver that a database of this URL wants, where none is named.
fn driver_of_url(url: &str) -> Option<&'static str> {
    match url.split_once("://")?.0 {
        "postgres" | "postgresql" => Some("postgresql"),
        "mysql" | "mariadb" => Some("mysql"),
        _ => None,
    }
}

fn read_driver(raw: &RawAgentDatabase, base: &Path, notes: &mut Notes) -> Option<DriverConfig> {
    let of_url = given(&raw.url).filter(|_| given(&raw.driver).is_none());
    let kind = match of_url.and_then(|url| Some((url, driver_of_url(&url.value)?))) {
        Some((url, driver)) => &Spanned {
            value: driver.to_owned(),
            at: url.at.clone(),
        },
        None => required(&raw.driver, &raw.at, "driver", notes)?,
    };
    match kind.value.as_str() {
        "sqlite" => {
            endpoint::refuse_keys(raw, notes);
            let path = required(&raw.path, &raw.at, "path", notes)?;
            Some(DriverConfig::Sqlite {
                path: settings::path(path, base, notes)?,
                read_only: raw.read_only == Some(true),
            })
        }
        #[cfg(feature = "postgres")]
        "postgresql" | "postgres" => {
            let endpoint = endpoint::read(raw, base, &endpoint::POSTGRES, notes);
            endpoint.map(DriverConfig::Postgres)
        }
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => {
            let endpoint = endpoint::read(raw, base, &endpoint::MYSQL, notes);
            endpoint.map(DriverConfig::MySql)
        }
        other => {
            let known = DRIVERS.join("`, `");
            let message = format!(
                "unknown driver `{}`; this program has `{known}`",
                Shown(other)
            );
            notes.problem(&kind.at, message);
            None
        }
    }
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    let bytes = read_bounded_bytes(path)?;
    String::from_utf8(bytes).map_err(|_| std::io::Error::other("it is not UTF-8"))
}

/// The content of a file that holds a token or a password.
fn read_bounded_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let bytes = std::fs::metadata(path)?.len();
    if bytes > TOKEN_BYTES_MAX {
        return Err(std::io::Error::other(format!(
            "{bytes} bytes are more than {TOKEN_BYTES_MAX}"
        )));
    }
    std::fs::read(path)
}

#[cfg(test)]
mod tests;
