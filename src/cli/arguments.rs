//! Every command and its options, declared once: parser, help, completion and man pages are made from this.

use super::values::address;
use super::{backup, check_config, demo, pages, policy, remote, serve};
use std::net::SocketAddr;
use std::path::PathBuf;

/// An approval server for SQL on production databases
#[derive(Debug, clap::Parser)]
#[command(
    name = "dbward",
    version,
    arg_required_else_help = true,
    before_help = "Examples:\n  \
                   dbward demo\n  \
                   dbward execute \"SELECT 1\" -d app\n  \
                   dbward request list --mine-to-approve\n  \
                   dbward serve --config server.toml\n  \
                   dbward help serve"
)]
pub struct Arguments {
    #[command(subcommand)]
    pub verb: Verb,
}

/// The whole command line, every page in the same style.
pub fn command() -> clap::Command {
    let mut command = pages::styled(<Arguments as clap::CommandFactory>::command());
    // Names of the subcommands become whole: `dbward policy test`.
    command.build();
    command
}

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    #[command(flatten)]
    Remote(Box<remote::RemoteVerb>),
    /// Start a server, an agent and a sample database on this machine, and say what to try
    #[command(before_help = "Examples:\n  \
        dbward demo\n  \
        dbward demo --port 0 --state-dir demo-state")]
    Demo(DemoArguments),
    /// Run the server
    #[command(before_help = "Examples:\n  \
        dbward serve --config server.toml\n  \
        dbward serve --listen 127.0.0.1:8080\n  \
        dbward serve --accept-rollback \"restored the backup of last night\"")]
    Serve(serve::ServeOptions),
    /// Run an agent next to a database
    #[command(before_help = "Examples:\n  dbward agent --config agent.toml")]
    Agent(AgentArguments),
    /// Check server.toml or agent.toml without starting anything
    #[command(before_help = "Examples:\n  \
        dbward check-config --config server.toml\n  \
        dbward check-config --agent agent.toml")]
    CheckConfig(check_config::Options),
    /// Make a running server apply a changed server.toml, and report whether it did
    #[command(before_help = "Examples:\n  dbward reload --config server.toml")]
    Reload(ReloadArguments),
    /// Copy the state of a server, running or not, into a folder, and verify the copy
    #[command(before_help = "Examples:\n  \
        dbward backup backups/2026-11-29\n  \
        dbward backup --config server.toml /mnt/backup/dbward")]
    Backup(backup::BackupOptions),
    /// Verify a backup, or put it where server.toml says
    #[command(before_help = "Examples:\n  \
        dbward restore --check backups/2026-11-29\n  \
        dbward restore backups/2026-11-29 --config server.toml")]
    Restore(backup::RestoreOptions),
    /// See what policies decide: now, of recorded requests again, or if they were changed
    #[command(
        subcommand,
        arg_required_else_help = true,
        before_help = "Examples:\n  \
            dbward policy resolve -d app -e production\n  \
            dbward policy replay --days 30\n  \
            dbward policy test --config new.toml --strict"
    )]
    Policy(PolicyVerb),
    /// Print the completion script of a shell
    #[command(before_help = "Examples:\n  \
        source <(dbward completion bash)\n  \
        dbward completion fish > ~/.config/fish/completions/dbward.fish")]
    Completion(pages::CompletionOptions),
    /// Print the man page of a command, or write all of them into a folder
    #[command(before_help = "Examples:\n  \
        dbward man policy test | man -l -\n  \
        dbward man --dir /usr/local/share/man/man1")]
    Man(pages::ManOptions),
}

/// The commands under `policy`.
#[derive(Debug, clap::Subcommand)]
pub enum PolicyVerb {
    /// Decide recorded requests again, and report every difference
    #[command(before_help = "Examples:\n  \
        dbward policy replay\n  \
        dbward policy replay --db copy.db --days 7")]
    Replay(policy::PolicyOptions),
    /// Show what a changed server.toml would make of recorded requests
    #[command(before_help = "Examples:\n  \
        dbward policy test --config new.toml\n  \
        dbward policy test --config new.toml --days 30 --strict")]
    Test(policy::PolicyTestOptions),
    /// Show which policies apply to a database, and what they would decide
    #[command(before_help = "Examples:\n  \
        dbward policy resolve -d app -e production\n  \
        dbward policy resolve -d app -e production --sql \"UPDATE t SET a = 1 WHERE id = 7\"")]
    Resolve(remote::ResolveOptions),
}

#[derive(Debug, clap::Args)]
pub struct AgentArguments {
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "agent.toml")]
    pub config: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct ReloadArguments {
    /// Configuration
    #[arg(long, value_name = "FILE", default_value = "server.toml")]
    pub config: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct DemoArguments {
    /// Address to listen on
    #[arg(long, value_name = "ADDR", value_parser = address, default_value_t = crate::config::LISTEN_DEFAULT)]
    listen: SocketAddr,
    /// Port to listen on; 0 takes a free one
    #[arg(long)]
    port: Option<u16>,
    /// Keep everything there; otherwise it is removed at the end
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Put the sample tables on a PostgreSQL server, into schemas of their own that are removed at the end
    #[cfg(feature = "postgres")]
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
}

impl From<DemoArguments> for demo::DemoOptions {
    fn from(arguments: DemoArguments) -> demo::DemoOptions {
        let mut listen = arguments.listen;
        if let Some(port) = arguments.port {
            listen.set_port(port);
        }
        demo::DemoOptions {
            listen,
            state_dir: arguments.state_dir,
            #[cfg(feature = "postgres")]
            postgres: arguments.postgres,
            #[cfg(not(feature = "postgres"))]
            postgres: None,
        }
    }
}
