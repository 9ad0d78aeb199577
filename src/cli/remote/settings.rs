//! Where the server is and by whose token it is reached: the files and variables of the 0.1.6 command line, several
//! named servers, and the tokens that `login` keeps.
//!
//! Lowest first: `config.toml` in the folder `dbward` of the user's configuration, `dbward.toml` in the working folder,
//! variables. `--config` (or `DBWARD_CONFIG`) reads one file in place of both.

use super::super::output::OutputFormat;
use super::environment::{folder, variable};
use super::kept::KeptTokens;
use super::{CommandError, ConnectionOptions};
use crate::cli::output::note;
use crate::client::{BearerToken, is_plain_http_beyond};
use crate::error::Shown;
use crate::settings::{process_env, read_file, values};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FileText {
    server: ServerText,
    servers: BTreeMap<String, ServerText>,
    default_server: Option<String>,
    default_database: Option<String>,
    default_environment: Option<String>,
    migrations_dir: Option<PathBuf>,
    results: ResultsText,
    /// Connections of the 0.1.6 command line for local work; nothing here uses them.
    #[serde(rename = "databases")]
    _databases: Value,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

/// How one server is reached.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ServerText {
    url: Option<String>,
    token: Option<String>,
    token_file: Option<PathBuf>,
    token_command: Option<String>,
    allow_insecure: Option<bool>,
    database: Option<String>,
    environment: Option<String>,
    oidc: Option<OidcText>,
}

/// The identity provider of a server, as the 0.1.6 command line has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct OidcText {
    pub issuer: Option<String>,
    pub client_id: Option<String>,
    pub discovery_url: Option<String>,
    pub backchannel_url: Option<String>,
    pub browser_url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ResultsText {
    format: Option<String>,
    /// The folder in which the 0.1.6 command line kept results.
    dir: Option<Value>,
}

/// Where a token comes from.
#[derive(Debug, Clone)]
enum TokenSource {
    Text(String),
    File(PathBuf),
    Command(String),
    /// What `login` kept for the address.
    Kept,
}

/// Everything a command needs to know.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    pub url: String,
    source: TokenSource,
    pub database: Option<String>,
    pub environment: Option<String>,
    pub migrations_dir: PathBuf,
    pub results_format: Option<OutputFormat>,
    /// The identity provider that a file names.
    pub oidc: Option<OidcText>,
    /// Whether tokens may be sent unencrypted.
    pub allow_insecure: bool,
    /// Where each part was read, for doctor.
    pub files: Vec<PathBuf>,
}

impl ClientSettings {
    /// What files, variables and options say.
    pub fn load(connection: &ConnectionOptions) -> Result<ClientSettings, CommandError> {
        let alone = connection
            .config
            .clone()
            .or_else(|| variable("DBWARD_CONFIG").map(PathBuf::from));
        let paths = match &alone {
            Some(path) => vec![path.clone()],
            None => [
                folder().map(|f| f.join("config.toml")),
                Some("dbward.toml".into()),
            ]
            .into_iter()
            .flatten()
            .filter(|path: &PathBuf| path.is_file())
            .collect(),
        };
        let layers: Vec<Layer> = paths
            .iter()
            .map(|path| Layer::read(path))
            .collect::<Result<_, _>>()?;
        let named = connection
            .server
            .clone()
            .or_else(|| variable("DBWARD_SERVER"));
        let named = match (named, variable("DBWARD_SERVER_URL")) {
            (Some(name), _) => Some(name),
            (None, Some(_)) => None,
            (None, None) => layers
                .iter()
                .rev()
                .find_map(|l| l.text.default_server.clone()),
        };
        let reached = match named {
            Some(url) if url.contains("://") => Reached::at(url),
            Some(name) => Reached::named(&layers, &name)?,
            None => Reached::plain(&layers)?,
        };
        let last =
            |of: fn(&FileText) -> Option<String>| layers.iter().rev().find_map(|l| of(&l.text));
        let format = last(|t| t.results.format.clone());
        let settings = ClientSettings {
            url: reached.url.trim_end_matches('/').to_owned(),
            source: reached.source,
            database: variable("DBWARD_DATABASE")
                .or(reached.server.database)
                .or_else(|| last(|t| t.default_database.clone())),
            environment: variable("DBWARD_ENV")
                .or(reached.server.environment)
                .or_else(|| last(|t| t.default_environment.clone())),
            migrations_dir: layers
                .iter()
                .rev()
                .find_map(|l| l.text.migrations_dir.as_ref().map(|dir| l.base.join(dir)))
                .unwrap_or_else(|| "migrations".into()),
            results_format: format.and_then(|f| clap::ValueEnum::from_str(&f, true).ok()),
            oidc: reached.server.oidc,
            allow_insecure: reached.server.allow_insecure.unwrap_or(false)
                || variable("DBWARD_ALLOW_INSECURE").is_some_and(|v| v == "1" || v == "true"),
            files: paths,
        };
        settings.warn_of_plain_http();
        Ok(settings)
    }

    fn warn_of_plain_http(&self) {
        if !self.allow_insecure && is_plain_http_beyond(&self.url) {
            note!(
                "warning: {} sends your token unencrypted; use https, or set allow_insecure = true",
                Shown(&self.url)
            );
        }
    }

    pub fn token(&self) -> Result<BearerToken, CommandError> {
        let text = match &self.source {
            TokenSource::Text(text) => text.clone(),
            TokenSource::File(path) => std::fs::read_to_string(path)
                .map_err(|e| CommandError::new(format!("{}: {e}", path.display())))?,
            TokenSource::Command(command) => output_of(command)?,
            TokenSource::Kept => {
                KeptTokens::token_of(&self.url, self.allow_insecure)?.ok_or_else(|| {
                    CommandError::new(format!("there is no token for {}", Shown(&self.url)))
                        .hint("`dbward login`, or set DBWARD_TOKEN")
                })?
            }
        };
        BearerToken::new(&text).map_err(|e| CommandError::of(&e))
    }

    /// Where the token comes from, in words.
    pub fn token_origin(&self) -> String {
        match &self.source {
            TokenSource::Text(_) => "DBWARD_TOKEN or a configuration file".to_owned(),
            TokenSource::File(path) => path.display().to_string(),
            TokenSource::Command(_) => "token_command".to_owned(),
            TokenSource::Kept => "dbward login".to_owned(),
        }
    }
}

/// What a command prints, such as a token out of a password manager.
pub fn output_of(command: &str) -> Result<String, CommandError> {
    let failed =
        |why: String| CommandError::new(format!("the command that prints the token failed: {why}"));
    let output = Command::new("sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| failed(e.to_string()))?;
    match output.status.success() {
        true => String::from_utf8(output.stdout)
            .map_err(|_| failed("its output is not UTF-8".to_owned())),
        false => Err(failed(output.status.to_string())),
    }
}

/// A file that was read.
struct Layer {
    name: String,
    base: PathBuf,
    text: FileText,
}

impl Layer {
    fn read(path: &Path) -> Result<Layer, CommandError> {
        let failed = |e: &dyn std::fmt::Display| CommandError::new(e.to_string());
        let (text, base) = read_file(path).map_err(|e| failed(&e))?;
        let name = path.display().to_string();
        let values = values(&text, &name, &process_env).map_err(|e| failed(&e))?;
        let text: FileText = serde_json::from_value(values)
            .map_err(|e| CommandError::new(format!("{name}: {e}")))?;
        for key in text.unknown.keys() {
            note!("warning: {name}: `{}` means nothing here", Shown(key));
        }
        if text.results.dir.is_some() {
            note!(
                "warning: {name}: `results.dir` is not used; --output FILE writes a result into a file"
            );
        }
        Ok(Layer { name, base, text })
    }

    fn source(&self, server: &ServerText) -> Option<TokenSource> {
        if let Some(token) = server.token.clone().filter(|t| !t.is_empty()) {
            return Some(TokenSource::Text(token));
        }
        if let Some(file) = &server.token_file {
            return Some(TokenSource::File(self.base.join(file)));
        }
        server.token_command.clone().map(TokenSource::Command)
    }
}

/// How the server is reached, out of all layers.
struct Reached {
    url: String,
    source: TokenSource,
    server: ServerText,
}

impl Reached {
    /// The server at an address. Its token is the one that `login` kept for it: others belong to other servers.
    fn at(url: String) -> Reached {
        Reached {
            url,
            source: TokenSource::Kept,
            server: ServerText::default(),
        }
    }

    /// The server of a name. Its token is its own: the variable belongs to another.
    fn named(layers: &[Layer], name: &str) -> Result<Reached, CommandError> {
        let found = layers
            .iter()
            .rev()
            .find_map(|l| Some((l, l.text.servers.get(name)?)));
        let Some((layer, server)) = found else {
            let known: Vec<&str> = layers
                .iter()
                .flat_map(|l| l.text.servers.keys().map(String::as_str))
                .collect();
            let error = CommandError::new(format!("no server `{}` is configured", Shown(name)));
            return Err(match known.is_empty() {
                true => error.hint("add [servers.NAME] with a url to dbward.toml"),
                false => error.hint(format!("known are {}", known.join(", "))),
            });
        };
        let url = server.url.clone().ok_or_else(|| {
            CommandError::new(format!("{}: servers.{name} has no url", layer.name))
        })?;
        Ok(Reached {
            url,
            source: layer.source(server).unwrap_or(TokenSource::Kept),
            server: server.clone(),
        })
    }

    /// The one server of files and variables.
    fn plain(layers: &[Layer]) -> Result<Reached, CommandError> {
        let mut server = ServerText::default();
        // The layer that named each, the variables last.
        let mut url: Option<(usize, String)> = None;
        let mut source: Option<(usize, TokenSource)> = None;
        for (n, layer) in layers.iter().enumerate() {
            let own = &layer.text.server;
            url = own.url.clone().map(|u| (n, u)).or(url);
            source = layer.source(own).map(|s| (n, s)).or(source);
            server.oidc = own.oidc.clone().or(server.oidc);
            server.allow_insecure = own.allow_insecure.or(server.allow_insecure);
        }
        let of = layers.len();
        url = variable("DBWARD_SERVER_URL").map(|u| (of, u)).or(url);
        source = variable("DBWARD_TOKEN")
            .map(|t| (of, TokenSource::Text(t)))
            .or(source);
        let Some((url_at, url)) = url else {
            return Err(CommandError::new("no server is named").hint(
                "set DBWARD_SERVER_URL, or write `[server]` with a url into dbward.toml; `dbward demo` starts one to try",
            ));
        };
        let name = |n: usize| {
            layers
                .get(n)
                .map_or("DBWARD_SERVER_URL", |l| l.name.as_str())
        };
        if let Some((token_at, _)) = source.as_ref().filter(|(at, _)| *at < url_at) {
            return Err(CommandError::new(format!(
                "the server comes from {}, its token from {}: a token is not sent to an address that it was not written for",
                name(url_at),
                name(*token_at)
            ))
            .hint("set the token where the address is set, or use --server NAME"));
        }
        Ok(Reached {
            url,
            source: source.map_or(TokenSource::Kept, |(_, source)| source),
            server,
        })
    }
}
