//! The commands that people give to a server, over its API.

mod accounts;
mod audit;
mod callback;
mod doctor;
mod environment;
mod execute;
mod follow;
mod ids;
mod interrupts;
mod kept;
mod listing;
mod migrate;
mod operations;
mod people;
mod plan;
mod preflight;
mod progress;
mod question;
mod rehearsal;
mod rehearse;
mod requests;
mod result;
mod settings;
mod show;
mod sign_in;
mod target;

pub use super::command_error::CommandError;
pub use operations::ResolveOptions;

use super::Failure;
use super::output::{Ages, OutputOptions, Screen};
use crate::client::{Client, ClientOptions, Document, MeReply, path_of};
use crate::clock::Clock;
use settings::ClientSettings;
use std::path::PathBuf;
use std::time::Duration;

/// How long one call may take, beyond what the server is asked to wait.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub enum RemoteVerb {
    /// Run SQL: send it, wait for approval and result
    #[command(before_help = execute::EXAMPLES)]
    Execute(execute::ExecuteOptions),
    /// Ask what a statement would come to, without making a request
    #[command(before_help = preflight::EXAMPLES)]
    Preflight(preflight::PreflightOptions),
    /// List, look at, approve and follow requests
    #[command(
        subcommand,
        arg_required_else_help = true,
        before_help = "Examples:\n  \
        dbward request list --mine-to-approve\n  \
        dbward request show 69ee3b17"
    )]
    Request(requests::RequestVerb),
    /// List stored results
    #[command(before_help = "Examples:\n  dbward results\n  dbward results --format csv")]
    Results(result::ResultsOptions),
    /// Apply migrations, take them back, and see which are applied
    #[command(
        subcommand,
        arg_required_else_help = true,
        before_help = "Examples:\n  dbward migrate create add_paid_at\n  dbward migrate up -d app -e development"
    )]
    Migrate(migrate::MigrateVerb),
    /// List the databases that you may use
    #[command(before_help = "Examples:\n  dbward databases")]
    Databases(CommonOptions),
    /// Show the tables of a database, or the columns of one
    #[command(before_help = "Examples:\n  \
        dbward schema -d app -e production\n  \
        dbward schema orders -d app --format json")]
    Schema(operations::SchemaOptions),
    /// List the agents, what they serve and how they do
    #[command(before_help = "Examples:\n  dbward agents")]
    Agents(CommonOptions),
    /// Issue, list and revoke tokens
    #[command(
        subcommand,
        arg_required_else_help = true,
        before_help = "Examples:\n  dbward token create --subject ci --roles readonly --expires 90d\n  dbward token list"
    )]
    Token(people::TokenVerb),
    /// List people, suspend them, link their Slack accounts
    #[command(
        subcommand,
        arg_required_else_help = true,
        before_help = "Examples:\n  dbward user list\n  dbward user suspend developer-2"
    )]
    User(people::UserVerb),
    /// List webhooks and deliveries, and deliver again
    #[command(
        subcommand,
        arg_required_else_help = true,
        before_help = "Examples:\n  dbward webhook list\n  dbward webhook deliveries --status dead"
    )]
    Webhook(operations::WebhookVerb),
    /// Read the audit log, prove it, and export it for another machine
    #[command(
        args_conflicts_with_subcommands = true,
        before_help = "Examples:\n  \
            dbward audit list --request 69ee3b17\n  \
            dbward audit list --since 2026-01-02T00:00:00Z --format jsonl\n  \
            dbward audit verify\n  \
            dbward audit export --output audit.jsonl"
    )]
    Audit(Box<audit::AuditOptions>),
    /// Try every part of the way to a result
    #[command(before_help = doctor::EXAMPLES)]
    Doctor(doctor::DoctorOptions),
    /// Show who you are for the server, and what you may do
    #[command(before_help = "Examples:\n  dbward whoami\n  dbward whoami --server production")]
    Whoami(CommonOptions),
    /// Sign in, or keep a token for a server, readable by you alone
    #[command(before_help = accounts::LOGIN_EXAMPLES)]
    Login(accounts::LoginOptions),
    /// Forget the token that `login` kept
    #[command(before_help = "Examples:\n  dbward logout\n  dbward logout --server production")]
    Logout(ConnectionOptions),
}

/// Which server, and by whose token.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionOptions {
    /// A server of [servers.NAME] in the configuration, or an address that `login` kept a token for
    #[arg(long, value_name = "NAME|URL")]
    pub server: Option<String>,
    /// The only configuration file to read [default: ~/.config/dbward/config.toml, then dbward.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What every command takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct CommonOptions {
    #[command(flatten)]
    pub connection: ConnectionOptions,
    #[command(flatten)]
    pub output: OutputOptions,
}

/// Runs a command; its exit code is the error where it is not 0.
pub(super) fn run(verb: RemoteVerb) -> Result<(), Failure> {
    let code = match verb {
        RemoteVerb::Execute(o) => with(&o.common, |s| execute::run(s, &o)),
        RemoteVerb::Preflight(o) => preflight::run(&o).map_err(|e| Failure {
            code: preflight::NOT_TRIED,
            ..e.failure(o.wants_json())
        }),
        RemoteVerb::Request(verb) => requests::run(verb),
        RemoteVerb::Results(o) => with(&o.common, |s| result::list(s, &o)),
        RemoteVerb::Migrate(verb) => migrate::run(verb),
        RemoteVerb::Databases(common) => with(&common, operations::databases),
        RemoteVerb::Schema(o) => with(&o.common, |s| operations::schema(s, &o)),
        RemoteVerb::Agents(common) => with(&common, operations::agents),
        RemoteVerb::Token(verb) => people::token(verb),
        RemoteVerb::User(verb) => people::user(verb),
        RemoteVerb::Webhook(verb) => operations::webhook(verb),
        RemoteVerb::Audit(o) => audit::audit(&o),
        RemoteVerb::Doctor(o) => {
            doctor::run(&o).map_err(|e| e.failure(o.common.output.wants_json()))
        }
        RemoteVerb::Whoami(common) => with(&common, accounts::whoami),
        RemoteVerb::Login(o) => accounts::login(&o).map_err(|e| e.failure(false)),
        RemoteVerb::Logout(o) => accounts::logout(&o).map_err(|e| e.failure(false)),
    }?;
    match code {
        0 => Ok(()),
        code => Err(Failure {
            text: String::new(),
            code,
        }),
    }
}

/// `policy resolve`
pub(super) fn resolve(options: &ResolveOptions) -> Result<(), Failure> {
    with(&options.common, |s| operations::resolve(s, options)).map(|_| ())
}

/// Opens the connection that the options name, and runs a command on it.
fn with(
    common: &CommonOptions,
    command: impl FnOnce(&ServerSession) -> Result<u8, CommandError>,
) -> Result<u8, Failure> {
    let json = common.output.wants_json();
    let done = ServerSession::open(common).and_then(|session| command(&session));
    done.map_err(|error| error.failure(json))
}

/// A server, as one person reaches it, and where its answers are printed.
pub struct ServerSession {
    pub client: Client,
    pub settings: ClientSettings,
    pub screen: Screen,
    pub ages: Ages,
}

impl ServerSession {
    fn open(common: &CommonOptions) -> Result<ServerSession, CommandError> {
        let settings = ClientSettings::load(&common.connection)?;
        let token = settings.token()?;
        let mut options = ClientOptions::new(&settings.url, token);
        options.allow_insecure = true;
        options.call_timeout = CALL_TIMEOUT;
        let client = Client::new(&options).map_err(|e| CommandError::of(&e))?;
        let screen = Screen::new(&common.output, settings.results_format);
        let ages = Ages {
            now: Clock::system().now(),
        };
        Ok(ServerSession {
            client,
            settings,
            screen,
            ages,
        })
    }

    fn me(&self) -> Result<MeReply, CommandError> {
        Ok(self.client.fetch(&path_of(&["me"]))?.read()?)
    }

    /// Prints what a command did.
    fn done(&self, document: &Document, sentence: &str, quiet: &str) -> Result<u8, CommandError> {
        self.screen.done(&document.text(), sentence, quiet)?;
        Ok(0)
    }
}
