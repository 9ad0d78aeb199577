//! `dbward demo`: a server, an agent and a sample database in one process, and commands to try.

mod guide;

use super::output::Paint;
use super::{logging, signals};
use crate::actions::{App, identify, start, tokens};
use crate::agent::RunningAgent;
use crate::agent::config::{AgentConfig, Caps, DatabaseConfig};
use crate::agent::sample::SamplePlace;
use crate::cli::output::{note, to_output};
use crate::client::{BearerToken, ClientOptions};
use crate::clock::Clock;
use crate::config::{Config, LogFormat, Logging};
use crate::crypto::{hex, make_private_folder, random, write_private};
use crate::domain::actor::{Origin, SubjectType};
use crate::domain::id::Target;
use crate::domain::token::issue::TokenRequest;
use crate::error::Error;
use crate::server::{Server, StartOptions};
use std::fs;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The people of the demo, and the role of each.
const PEOPLE: [(&str, &str); 2] = [("requester", "developer"), ("approver", "readonly")];
/// Environments of the sample database, each a file of its own.
const ENVIRONMENTS: [&str; 2] = ["development", "production"];
/// How long the agent may take to reach a server in the same process.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// What a running statement of the demo gets at the end.
const DRAIN: Duration = Duration::from_secs(5);

const SERVER_TOML: &str = r#"# Written by `dbward demo`.
state_dir = "."

[[databases]]
name = "shop"
environments = ["development", "production"]
dialect = "sqlite"

# Development: whatever only reads runs at once.
[[workflows]]
environment = "development"
operations = ["execute_select"]

# Development: everything else waits for an approver.
[[workflows]]
environment = "development"
operations = ["execute_dml", "migrate_up", "migrate_down", "migrate_status", "migrate_repair"]
[[workflows.steps]]
[[workflows.steps.approvers]]
group = "approvers"

# Production: everything waits for an approver, and writes may be rehearsed.
[[workflows]]
environment = "production"
rehearse = "on_request"
[[workflows.steps]]
[[workflows.steps.approvers]]
group = "approvers"

[[auth.groups]]
name = "approvers"
members = ["approver"]

[logging]
level = "warn"
"#;

/// What the command line asks for.
pub struct DemoOptions {
    pub listen: SocketAddr,
    /// Where to keep everything; otherwise a directory that is removed at the end.
    pub state_dir: Option<PathBuf>,
    /// The database on a PostgreSQL server that takes the sample tables; otherwise they are files.
    pub postgres: Option<String>,
}

/// Runs the demo until SIGINT or SIGTERM.
pub fn run(options: DemoOptions) -> Result<(), String> {
    logging::start(&Logging {
        level: log::LevelFilter::Warn,
        format: LogFormat::Text,
    });
    let signals = signals::Signals::start().map_err(|e| e.to_string())?;
    let folder = StateFolder::make(options.state_dir).map_err(|e| sentence(&e))?;
    let places = places(&folder.path, options.postgres.as_deref()).map_err(|e| sentence(&e))?;
    let demo = Demo::start(&folder, options.listen, &places).map_err(|e| sentence(&e))?;
    to_output(format_args!("{}", demo.guide(&folder)));
    while signals.wait() == signals::SignalRequest::Reload {
        let _ = demo.server.reload(&folder.path.join("server.toml"));
    }
    note!("\nstopping");
    demo.stop().map_err(|e| sentence(&e))
}

/// An error as one sentence for the operator, with its causes, which the log would have.
pub fn sentence(error: &Error) -> String {
    error.reason()
}

/// Where the demo keeps everything; removed at the end if it was made for it.
struct StateFolder {
    path: PathBuf,
    temporary: bool,
}

impl StateFolder {
    fn make(asked: Option<PathBuf>) -> Result<StateFolder, Error> {
        let temporary = asked.is_none();
        let path = asked.unwrap_or_else(|| {
            std::env::temp_dir().join(format!("dbward-demo-{}", hex(&random::<4>())))
        });
        make_private_folder(&path)
            .and_then(|()| fs::canonicalize(&path))
            .map(|path| StateFolder { path, temporary })
            .map_err(|e| Error::internal("the state directory of the demo", e))
    }
}

impl Drop for StateFolder {
    fn drop(&mut self) {
        if self.temporary
            && let Err(e) = fs::remove_dir_all(&self.path)
        {
            note!("{} could not be removed: {e}", self.path.display());
        }
    }
}

struct Demo {
    server: Server,
    agent: RunningAgent,
}

impl Demo {
    fn start(
        folder: &StateFolder,
        listen: SocketAddr,
        places: &[SamplePlace],
    ) -> Result<Demo, Error> {
        let databases = databases(places)?;
        let mut config = configuration(&folder.path, places)?;
        config.listen = listen;
        let server = Server::start(
            &config,
            StartOptions {
                takes_token_links: true,
                ..StartOptions::default()
            },
        )?;
        issue_tokens(server.app(), &folder.path)?;
        let url = format!("http://{}", server.addr());
        guide::write_profile(&url, &folder.path, &["requester", "approver", "admin"])?;
        let token = BearerToken::new(&read(&folder.path.join("agent-token"))?)?;
        let client = ClientOptions::new(format!("http://{}", server.addr()), token);
        let agent_config = AgentConfig::new(client, folder.path.join("agent"), databases);
        let agent = RunningAgent::start(agent_config, Clock::system())?;
        if !agent.wait_ready(READY_WITHIN) {
            let why = agent
                .wait_failure(Duration::ZERO)
                .unwrap_or_else(|| "it does not answer".to_owned());
            return Err(Error::bug(format!(
                "the agent cannot reach the server: {why}"
            )));
        }
        Ok(Demo { server, agent })
    }

    fn guide(&self, folder: &StateFolder) -> String {
        guide::text(
            &format!("http://{}", self.server.addr()),
            &folder.path,
            folder.temporary,
            Paint::new(std::io::stdout().is_terminal()),
        )
    }

    fn stop(self) -> Result<(), Error> {
        self.agent.stop(DRAIN);
        self.server.stop()
    }
}

/// The sample tables of each environment. What is on a server is removed when the last of these goes.
fn places(folder: &Path, postgres: Option<&str>) -> Result<Vec<SamplePlace>, Error> {
    let mut places = Vec::new();
    for environment in ENVIRONMENTS {
        let file = folder.join(format!("shop-{environment}.db"));
        places.push(match postgres {
            None => SamplePlace::file(file)?,
            #[cfg(feature = "postgres")]
            Some(url) => SamplePlace::schema(url, environment, &file)?,
            #[cfg(not(feature = "postgres"))]
            Some(_) => return Err(Error::invalid("this program has no driver for PostgreSQL")),
        });
    }
    Ok(places)
}

fn databases(places: &[SamplePlace]) -> Result<Vec<DatabaseConfig>, Error> {
    ENVIRONMENTS
        .iter()
        .zip(places)
        .map(|(environment, place)| {
            Ok(DatabaseConfig {
                target: Target::new("shop", environment)?,
                driver: place.driver().clone(),
                caps: Caps::default(),
            })
        })
        .collect()
}

/// The configuration is a file like any other, so that it can be read, changed and served without the demo.
fn configuration(folder: &Path, places: &[SamplePlace]) -> Result<Config, Error> {
    let path = folder.join("server.toml");
    let dialect = places
        .first()
        .map_or("sqlite", |place| place.driver().dialect().as_str());
    let dialect = format!("dialect = \"{dialect}\"");
    if !path.exists() {
        let text = SERVER_TOML.replace("dialect = \"sqlite\"", &dialect);
        write_private(&path, text.as_bytes())
            .map_err(|e| Error::internal(format!("{}", path.display()), e))?;
    } else if !read(&path)?.contains(&dialect) {
        return Err(Error::invalid(format!(
            "`{}` is of a demo on another kind of database",
            path.display()
        ))
        .hint("choose another --state-dir"));
    }
    Config::load(&path).map_err(|problems| Error::bug(problems.to_string()))
}

/// Tokens of the people of the demo, made at its first start and kept in files like the server's own first ones.
fn issue_tokens(app: &Arc<App>, folder: &Path) -> Result<(), Error> {
    let admin = read(&folder.join(start::BOOTSTRAP[0].0))?;
    let caller = identify::authenticate(
        app,
        identify::Presented::header(&format!("Bearer {admin}")),
        Origin::default(),
    )?;
    for (subject, role) in PEOPLE {
        let file = folder.join(format!("{subject}-token"));
        if file.exists() {
            continue;
        }
        let issued = tokens::create(
            app,
            &caller,
            TokenRequest {
                subject_id: subject.to_owned(),
                subject_type: SubjectType::User,
                name: Some("demo".to_owned()),
                roles: vec![role.to_owned()],
                is_ceiling: false,
                groups: Vec::new(),
                bound_to: None,
                expires_at: None,
            },
        )?;
        write_private(&file, issued.secret.as_bytes())
            .map_err(|e| Error::internal(format!("{}", file.display()), e))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|e| Error::internal(format!("{}", path.display()), e))
}
