//! `dbward backup` and `dbward restore`: the state of a server in one folder, and back.

mod files;
mod folder;
mod results;

use super::Failure;
use super::demo::sentence;
use crate::cli::output::say;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, counted};
use crate::replication::look;
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

/// Exit code where another machine writes the state: the timer that runs on both has nothing to do on this one.
const WRITTEN_ELSEWHERE: u8 = 4;

/// Makes a backup, while the server runs or not.
pub(super) fn back_up(options: &BackupOptions) -> Result<(), Failure> {
    let config = Config::load(&options.config).map_err(|problems| problems.to_string())?;
    ensure_writes_here(&config)?;
    let manifest =
        folder::back_up(&config, &options.destination, &Clock::system()).map_err(explained)?;
    say!("{}: {}", options.destination.display(), holds(&manifest));
    match manifest.results_damaged {
        0 => Ok(()),
        // The backup is there, and whatever runs it each night has to notice.
        damaged => Err(format!(
            "{} in {}: missing, or not what was stored; {} of the backup names what it lacks",
            counted(damaged, "damaged result"),
            config.result_storage.root_dir.display(),
            results::DAMAGED
        )
        .into()),
    }
}

/// Refuses to back up what another machine has gone on with: the state here is that of an earlier epoch, and its backup
/// would bear the date of today. Where the bucket does not say whose the state is, the backup is made all the same.
fn ensure_writes_here(config: &Config) -> Result<(), Failure> {
    let Some(replication) = &config.replication else {
        return Ok(());
    };
    match look::lease(config, replication) {
        Ok(Some(lease)) if !lease.is_ours => {
            let words = format!(
                "another machine writes the state, in epoch {}: what is here is older; back up there",
                lease.epoch
            );
            Err(Failure::new(&words, WRITTEN_ELSEWHERE))
        }
        Ok(_) => Ok(()),
        Err(e) => {
            eprintln!(
                "warning: the bucket does not say whether this machine writes the state: {}",
                sentence(&e)
            );
            Ok(())
        }
    }
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
    if manifest.results_damaged > 0 {
        text.push_str(&format!(
            ", and without {} that was damaged before",
            counted(manifest.results_damaged, "result")
        ));
    }
    text
}
