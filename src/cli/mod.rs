//! The command line: which command, with which options, and how it ends.
//!
//! Exit codes: 0 it did what was asked, 1 it could not, 2 the command line itself was wrong, or an approval is still
//! waited for, 3 the state file was changed while no server ran, or an execution failed under `--fail`, 124 a time limit,
//! 130 Ctrl-C.

mod agent;
mod arguments;
mod audit_offline;
mod backup;
mod check_config;
mod command_error;
mod demo;
mod logging;
mod output;
mod pages;
mod policy;
mod reload;
mod remote;
mod serve;
mod signals;
mod values;

pub use arguments::command;

use crate::cli::output::note;
use crate::replication;
use arguments::{Arguments, PolicyVerb, Verb};
use clap::FromArgMatches;
use std::ffi::OsString;
use std::io::IsTerminal;

/// Runs the program with these arguments, the program's name first. Returns the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.get(1).is_some_and(|first| first == agent::CHILD) {
        return ended(agent::child().map_err(Failure::from));
    }
    if arguments
        .get(1)
        .is_some_and(|first| first == replication::CHILD)
    {
        let rest = arguments.into_iter().skip(2);
        return ended(replication::become_litestream(rest).map_err(Failure::from));
    }
    let read = command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    match read {
        Ok(arguments) => ended(execute(arguments.verb)),
        // Help and the version come this way too, to standard output and with 0.
        Err(e) => {
            match is_help(&e) && std::io::stdout().is_terminal() {
                true => print_page(&e),
                false => drop(e.print()),
            }
            u8::try_from(e.exit_code()).unwrap_or(2)
        }
    }
}

fn is_help(e: &clap::Error) -> bool {
    use clap::error::ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand};
    matches!(
        e.kind(),
        DisplayHelp | DisplayHelpOnMissingArgumentOrSubcommand
    )
}

/// Prints a page of help on a terminal, as wide as that is.
fn print_page(e: &clap::Error) {
    let page = output::wrapped(&e.render().to_string(), output::columns());
    match e.use_stderr() {
        true => output::to_errors(format_args!("{page}")),
        false => output::to_output(format_args!("{page}")),
    }
}

/// Prints why it failed, if it did. Returns the exit code.
fn ended(done: Result<(), Failure>) -> u8 {
    match done {
        Ok(()) => u8::from(output::is_incomplete()),
        Err(Failure { text, code }) => {
            if !text.is_empty() {
                note!("{text}");
            }
            code
        }
    }
}

/// Why a command could not do what was asked.
struct Failure {
    /// What is printed to standard error; nothing where everything is printed already.
    text: String,
    code: u8,
}

impl Failure {
    /// A failure of a command of the server's side.
    fn new(message: &str, code: u8) -> Failure {
        let text = format!("dbward: {message}");
        Failure { text, code }
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure::new(&message, 1)
    }
}

fn execute(verb: Verb) -> Result<(), Failure> {
    let done = match verb {
        Verb::Remote(verb) => return remote::run(*verb),
        Verb::Serve(options) => return serve::run(&options),
        Verb::Agent(options) => agent::run(&options.config),
        Verb::CheckConfig(options) => check_config::run(&options),
        Verb::Reload(options) => reload::run(&options.config),
        Verb::Backup(options) => return backup::back_up(&options),
        Verb::Restore(options) => backup::restore(&options),
        Verb::Policy(PolicyVerb::Replay(options)) => policy::replay(&options),
        Verb::Policy(PolicyVerb::Test(options)) => policy::test(&options),
        Verb::Policy(PolicyVerb::Resolve(options)) => return remote::resolve(&options),
        Verb::Demo(options) => demo::run(options.into()),
        Verb::Completion(options) => pages::completion(&options, command()),
        Verb::Man(options) => pages::man(&options, &command()),
    };
    Ok(done?)
}
