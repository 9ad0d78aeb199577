//! `dbward backup` and `dbward restore`: the state of a server in one folder, and back.

mod folder;

use super::demo::sentence;
use crate::cli::output::say;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, counted};
use folder::Manifest;
pub(super) use folder::newest_of;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct BackupOptions {
    /// The folder to make; it must not exist
    #[arg(value_name = "FOLDER")]
    destination: PathBuf,
    /// Configuration of the server
    #[arg(long, value_name = "FILE", default_value = "server.toml")]
    config: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct RestoreOptions {
    /// A backup
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Only verify it; writes nothing
    #[arg(long)]
    check: bool,
    /// The audit key, where server.toml keeps it outside of state_dir; for --check
    #[arg(long, value_name = "FILE", requires = "check")]
    key_file: Option<PathBuf>,
    /// Configuration that says where it goes
    #[arg(
        long,
        value_name = "FILE",
        default_value = "server.toml",
        conflicts_with = "check"
    )]
    config: PathBuf,
}

/// Makes a backup, while the server runs or not.
pub fn back_up(options: &BackupOptions) -> Result<(), String> {
    let config = Config::load(&options.config).map_err(|problems| problems.to_string())?;
    let manifest =
        folder::back_up(&config, &options.destination, &Clock::system()).map_err(explained)?;
    say!("{}: {}", options.destination.display(), holds(&manifest));
    Ok(())
}

/// Verifies a backup, or puts it back.
pub fn restore(options: &RestoreOptions) -> Result<(), String> {
    let clock = Clock::system();
    if options.check {
        let key = options.key_file.as_deref();
        let manifest = folder::check(&options.folder, key, clock.now()).map_err(explained)?;
        say!("{}: {}", options.folder.display(), holds(&manifest));
        return Ok(());
    }
    let config = Config::load(&options.config).map_err(|problems| problems.to_string())?;
    let manifest = folder::restore(&options.folder, &config, &clock).map_err(explained)?;
    say!("{}: {}", config.state_dir.display(), holds(&manifest));
    say!(
        "What happened after {} is not in it. Where server.toml has a checkpoint_file, start with\n  \
         dbward serve --config {} --accept-rollback \"restored a backup\"",
        manifest.created_at,
        options.config.display()
    );
    Ok(())
}

fn explained(error: Error) -> String {
    match error.hint_text() {
        Some(hint) => format!("{}; {hint}", sentence(&error)),
        None => sentence(&error),
    }
}

fn holds(manifest: &Manifest) -> String {
    let mut text = format!(
        "holds, as of {}: {}, {}",
        manifest.created_at,
        counted(manifest.events, "event"),
        counted(manifest.results, "result")
    );
    if manifest.results_elsewhere > 0 {
        text.push_str(&format!(
            ", and {} in a bucket that it does not contain",
            manifest.results_elsewhere
        ));
    }
    text
}
