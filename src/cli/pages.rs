//! What is made from the declared commands: help, completion scripts and man pages.

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What a help page shows, in order; `before-help` holds the examples.
const HELP: &str =
    "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}\n";

/// Which shell to complete in.
#[derive(Debug, clap::Args)]
pub struct CompletionOptions {
    /// The shell
    #[arg(value_parser = ["bash", "zsh", "fish"])]
    shell: String,
}

/// Which man page.
#[derive(Debug, clap::Args)]
pub struct ManOptions {
    /// The command whose page is printed; without it, that of dbward
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    command: Vec<String>,
    /// Write the pages of all commands into this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// A command and all below it, with help pages of our form.
pub fn styled(command: Command) -> Command {
    command.help_template(HELP).mut_subcommands(styled)
}

/// Prints the completion script of the whole command line.
pub fn completion(options: &CompletionOptions, mut root: Command) -> Result<(), String> {
    let shell = match options.shell.as_str() {
        "bash" => Shell::Bash,
        "zsh" => Shell::Zsh,
        _ => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut root, "dbward", &mut script);
    print(&script)
}

/// Prints one man page, or writes all.
pub fn man(options: &ManOptions, root: &Command) -> Result<(), String> {
    if let Some(dir) = &options.dir {
        return write_pages(root, "dbward", dir);
    }
    let mut at = root;
    let mut name = "dbward".to_owned();
    for word in &options.command {
        at = at
            .find_subcommand(word)
            .ok_or_else(|| format!("no command `{} {word}`", name.replace('-', " ")))?;
        name = format!("{name}-{word}");
    }
    print(&page(at, &name)?)
}

/// Writes the page of a command and of all below it.
fn write_pages(command: &Command, name: &str, dir: &Path) -> Result<(), String> {
    let file = dir.join(format!("{name}.1"));
    std::fs::write(&file, page(command, name)?).map_err(|e| format!("{}: {e}", file.display()))?;
    for inner in command.get_subcommands() {
        if !inner.is_hide_set() && inner.get_name() != "help" {
            write_pages(inner, &format!("{name}-{}", inner.get_name()), dir)?;
        }
    }
    Ok(())
}

/// The man page of one command: the sections of the library, with the examples after the synopsis.
fn page(command: &Command, name: &str) -> Result<Vec<u8>, String> {
    let examples = command.get_before_help().map(ToString::to_string);
    let version = format!("dbward {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).title(name).source(version);
    let mut out = Vec::new();
    let sections = || -> io::Result<()> {
        man.render_title(&mut out)?;
        man.render_name_section(&mut out)?;
        man.render_synopsis_section(&mut out)?;
        if let Some(examples) = examples {
            let mut roff = Roff::new();
            roff.control("SH", ["EXAMPLES"]).control("nf", []);
            for line in examples.lines().skip(1) {
                roff.text([roman(line.trim())]);
            }
            roff.control("fi", []).to_writer(&mut out)?;
        }
        man.render_options_section(&mut out)?;
        if command.has_subcommands() {
            man.render_subcommands_section(&mut out)?;
        }
        Ok(())
    };
    sections().map_err(|e| e.to_string())?;
    Ok(out)
}

/// Writes to standard output; a reader that has seen enough is not a failure.
fn print(bytes: &[u8]) -> Result<(), String> {
    match io::stdout().write_all(bytes) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e.to_string()),
        _ => Ok(()),
    }
}
