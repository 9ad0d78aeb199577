//! The command line: which command, with which options, and how it ends.
//!
//! Exit codes: 0 it did what was asked, 1 it could not, 2 the command line itself was wrong, 3 the state file was changed
//! while no server ran.

mod agent;
mod check_config;
mod demo;
mod logging;
mod policy;
mod reload;
mod serve;
mod signals;

use lexopt::{Arg, Parser, ValueExt};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

const HELP: &str = "\
dbward: an approval server for SQL on production databases

Usage: dbward <command> [options]

Commands:
  demo           Start a server, an agent and a sample database on this machine, and say what to try
  serve          Run the server
  agent          Run an agent beside a database
  check-config   Check server.toml or agent.toml without starting anything
  reload         Make a running server apply a changed server.toml, and say whether it did
  policy replay  Decide recorded requests again, and report every difference
  policy test    Show what a changed server.toml would make of recorded requests

Options of serve:
  --config FILE        Configuration (default: server.toml)
  --listen ADDR        Address to listen on, before the one in the file
  --force-bootstrap    Make the first tokens again; the old ones stop to count
  --accept-rollback REASON
                       Start a state that is older than its checkpoint file; audited

Options of agent:
  --config FILE        Configuration (default: agent.toml)

Options of check-config and reload:
  --config FILE        Configuration (default: server.toml)
  --agent FILE         For check-config: an agent.toml; server.toml is then checked only with --config

Options of policy replay and policy test:
  --config FILE        Configuration (default: server.toml); for a test, the one to try
  --db FILE            The database file (default: dbward.db in the state_dir of the configuration)
  --days DAYS          Only requests made in the last so many days
  --strict             A test fails where anything would change

Options of demo:
  --listen ADDR        Address to listen on (default: 127.0.0.1:3000)
  --port PORT          Port to listen on; 0 takes a free one
  --state-dir DIR      Keep everything there; otherwise it is removed at the end

Everywhere:
  -h, --help           This text
  -V, --version        The version
";

/// Runs the program with these arguments, the program's name first. Answers the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    match parse(Parser::from_iter(arguments)) {
        Ok(Command::Help) => {
            print!("{HELP}");
            0
        }
        Ok(Command::Version) => {
            println!("dbward {}", crate::server::VERSION);
            0
        }
        Ok(command) => match execute(command) {
            Ok(()) => 0,
            Err(Failure { message, code }) => {
                eprintln!("dbward: {message}");
                code
            }
        },
        Err(message) => {
            eprintln!("dbward: {message}\nTry `dbward --help`.");
            2
        }
    }
}

enum Command {
    Help,
    Version,
    Serve(serve::ServeOptions),
    Agent(PathBuf),
    /// Internal: what an agent starts for each task.
    AgentChild,
    CheckConfig(check_config::Options),
    Reload(PathBuf),
    PolicyReplay(policy::PolicyOptions),
    PolicyTest(policy::PolicyOptions),
    Demo(demo::DemoOptions),
}

/// Why a command could not do what was asked.
struct Failure {
    message: String,
    code: u8,
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure { message, code: 1 }
    }
}

fn execute(command: Command) -> Result<(), Failure> {
    let done = match command {
        Command::Help | Command::Version => Ok(()),
        Command::Serve(options) => return serve::run(&options),
        Command::Agent(config) => agent::run(&config),
        Command::AgentChild => agent::child(),
        Command::CheckConfig(options) => check_config::run(&options),
        Command::Reload(config) => reload::run(&config),
        Command::PolicyReplay(options) => policy::replay(&options),
        Command::PolicyTest(options) => policy::test(&options),
        Command::Demo(options) => demo::run(options),
    };
    Ok(done?)
}

fn parse(mut parser: Parser) -> Result<Command, String> {
    let name = match parser.next().map_err(text)? {
        None => return Err("no command".to_owned()),
        Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Command::Help),
        Some(Arg::Short('V') | Arg::Long("version")) => return Ok(Command::Version),
        Some(Arg::Value(name)) => name.string().map_err(text)?,
        Some(other) => return Err(text(other.unexpected())),
    };
    let name = match name.as_str() {
        "policy" => format!("policy {}", word(&mut parser)?),
        _ => name,
    };
    let mut args = Args::default();
    while let Some(argument) = parser.next().map_err(text)? {
        match (argument, name.as_str()) {
            (Arg::Short('h') | Arg::Long("help"), _) => return Ok(Command::Help),
            (
                Arg::Long("config"),
                "serve" | "agent" | "check-config" | "reload" | "policy replay" | "policy test",
            ) => {
                args.config = Some(parser.value().map_err(text)?.into());
            }
            (Arg::Long("agent"), "check-config") => {
                args.agent = Some(parser.value().map_err(text)?.into());
            }
            (Arg::Long("listen"), "serve" | "demo") => args.listen = Some(address(&mut parser)?),
            (Arg::Long("port"), "demo") => {
                let value = parser.value().map_err(text)?;
                args.port = Some(value.parse().map_err(text)?);
            }
            (Arg::Long("state-dir"), "demo") => {
                args.state_dir = Some(parser.value().map_err(text)?.into());
            }
            (Arg::Long("force-bootstrap"), "serve") => args.force_bootstrap = true,
            (Arg::Long("accept-rollback"), "serve") => {
                args.accept_rollback = Some(reason(&mut parser)?);
            }
            (Arg::Long("db"), "policy replay" | "policy test") => {
                args.db = Some(parser.value().map_err(text)?.into());
            }
            (Arg::Long("days"), "policy replay" | "policy test") => {
                let value = parser.value().map_err(text)?;
                args.days = Some(value.parse().map_err(text)?);
            }
            (Arg::Long("strict"), "policy test") => args.strict = true,
            (other, _) => return Err(text(other.unexpected())),
        }
    }
    args.command(&name)
}

impl Args {
    /// The command of that name with what was said.
    fn command(self, name: &str) -> Result<Command, String> {
        let args = self;
        let config = |default: &str| args.config.clone().unwrap_or_else(|| default.into());
        match name {
            "serve" => Ok(Command::Serve(serve::ServeOptions {
                config: config("server.toml"),
                listen: args.listen,
                force_bootstrap: args.force_bootstrap,
                accept_rollback: args.accept_rollback,
            })),
            "agent" => Ok(Command::Agent(config("agent.toml"))),
            "agent-child" => Ok(Command::AgentChild),
            "check-config" => Ok(Command::CheckConfig(check_config::Options {
                config: args.config,
                agent: args.agent,
            })),
            "reload" => Ok(Command::Reload(config("server.toml"))),
            "policy replay" | "policy test" => {
                let options = policy::PolicyOptions {
                    config: config("server.toml"),
                    db: args.db,
                    days: args.days,
                    strict: args.strict,
                };
                Ok(match name {
                    "policy replay" => Command::PolicyReplay(options),
                    _ => Command::PolicyTest(options),
                })
            }
            "demo" => {
                let mut listen = args.listen.unwrap_or(crate::config::LISTEN_DEFAULT);
                if let Some(port) = args.port {
                    listen.set_port(port);
                }
                Ok(Command::Demo(demo::DemoOptions {
                    listen,
                    state_dir: args.state_dir,
                }))
            }
            other => Err(format!("no command `{other}`")),
        }
    }
}

#[derive(Default)]
struct Args {
    config: Option<PathBuf>,
    agent: Option<PathBuf>,
    listen: Option<SocketAddr>,
    port: Option<u16>,
    state_dir: Option<PathBuf>,
    force_bootstrap: bool,
    accept_rollback: Option<String>,
    db: Option<PathBuf>,
    days: Option<u32>,
    strict: bool,
}

/// The second word of a command of two.
fn word(parser: &mut Parser) -> Result<String, String> {
    match parser.next().map_err(text)? {
        Some(Arg::Value(word)) => word.string().map_err(text),
        Some(other) => Err(text(other.unexpected())),
        None => Err("`policy` needs a second word: replay or test".to_owned()),
    }
}

fn reason(parser: &mut Parser) -> Result<String, String> {
    let value = parser.value().map_err(text)?.string().map_err(text)?;
    match value.trim() {
        "" => Err("--accept-rollback needs a reason".to_owned()),
        reason => Ok(reason.to_owned()),
    }
}

fn address(parser: &mut Parser) -> Result<SocketAddr, String> {
    let value = parser.value().map_err(text)?.string().map_err(text)?;
    value
        .parse()
        .map_err(|_| format!("`{value}` is no address; write one like 127.0.0.1:3000"))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
