//! A backup: one folder with everything that a server needs to go on somewhere else, made while it runs, and verified
//! before it gets its name.
//!
//! ```text
//! backup.json        what it is, and a SHA-256 of each file below
//! dbward.db          the state as of one moment
//! audit-keys.json, audit-signing.key, signing.key, signing.pub
//! results/           stored results that are files
//! damaged.txt        keys of results that were damaged before, if any
//! ```
//!
//! Tokens of the first start are not in it: their secrets are in no state. Results in a bucket stay there.

use super::files::{
    FileSum, PARTIAL, copy_private, ensure_free, failed, make_folder, sum, sync_folder,
};
use super::results::{self, DAMAGED};
use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::crypto::{Keypair, write_private};
use crate::error::{Error, counted};
use crate::replication::{kept_epoch, note_restored};
use crate::server::state::{AUDIT_KEY, AUDIT_KEYS, PUBLIC_KEY, SIGNING_KEY, StateDir, read_keys};
use crate::store::{VerifyKeys, broken_pages, copy_database, verify_chain};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The file that says what a backup is.
const MANIFEST: &str = "backup.json";
/// Of the form of a backup.
const FORMAT: u32 = 1;
/// Largest manifest that is read, in bytes; ours are below a thousandth of it.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;
const DATABASE: &str = "dbward.db";

/// What a backup says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: u32,
    /// Of the program that made it.
    pub version: String,
    /// When the state was copied, RFC 3339.
    pub created_at: String,
    /// Events of its audit log.
    pub events: i64,
    /// Results that are files in it.
    pub results: u64,
    /// Results that it names, and that are in a bucket.
    pub results_elsewhere: u64,
    /// Results that were damaged before they could be backed up; [`DAMAGED`] names them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub results_damaged: u64,
    files: Vec<ManifestFile>,
    /// The last epoch of a server with a second copy; 0 of one that never had any.
    #[serde(default, skip_serializing_if = "is_zero")]
    epoch: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestFile {
    name: String,
    bytes: u64,
    sha256: String,
}

impl ManifestFile {
    fn sum(&self) -> FileSum {
        FileSum {
            bytes: self.bytes,
            sha256: self.sha256.clone(),
        }
    }
}

/// Makes a backup of the state of `config` at `destination`, which must not exist. A server may run meanwhile.
///
/// # Errors
/// `validation_error` for a destination that exists; `internal` with a sentence for the operator otherwise. Then there
/// is nothing at `destination`.
pub fn back_up(config: &Config, destination: &Path, clock: &Clock) -> Result<Manifest, Error> {
    if destination.symlink_metadata().is_ok() {
        return Err(
            Error::invalid(format!("{} exists already", destination.display()))
                .hint("name a folder that does not exist yet"),
        );
    }
    let partial = partial_of(destination)?;
    if partial.symlink_metadata().is_ok() {
        return Err(Error::invalid(format!(
            "{} is there: a backup that is being made, or was not finished",
            partial.display()
        ))
        .hint("remove it if no backup is running"));
    }
    make_folder(&partial)?;
    let made = fill(config, &partial, clock).and_then(|manifest| {
        fs::rename(&partial, destination).map_err(failed(destination))?;
        sync_folder(destination.parent().unwrap_or(Path::new(".")))?;
        Ok(manifest)
    });
    if made.is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    made
}

fn partial_of(destination: &Path) -> Result<PathBuf, Error> {
    let name = destination.file_name().ok_or_else(|| {
        Error::invalid(format!(
            "{} is not a name of a folder",
            destination.display()
        ))
    })?;
    let mut name = name.to_owned();
    name.push(".");
    name.push(PARTIAL);
    Ok(destination.with_file_name(name))
}

fn fill(config: &Config, folder: &Path, clock: &Clock) -> Result<Manifest, Error> {
    let from = &config.state_dir;
    let database = folder.join(DATABASE);
    let created_at = clock.now();
    copy_database(&from.join(DATABASE), &database)?;
    let audit_key = config.audit_key_file.clone();
    let mut names = vec![DATABASE, AUDIT_KEYS, SIGNING_KEY, PUBLIC_KEY];
    // A key that the configuration keeps elsewhere is kept elsewhere for a reason.
    if audit_key.is_none() {
        names.push(AUDIT_KEY);
    }
    for name in &names[1..] {
        copy_private(&from.join(name), &folder.join(name))?;
    }
    let root = &config.result_storage.root_dir;
    let results = results::copy(&database, root, folder, clock)?;
    if !results.damaged.is_empty() {
        names.push(DAMAGED);
    }
    let events = verified(folder, audit_key.as_deref())?;
    let files = names.into_iter().map(|name| described(folder, name));
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: created_at.rfc3339(),
        events,
        results: results.here,
        results_elsewhere: results.elsewhere,
        results_damaged: results.damaged.len() as u64,
        files: files.collect::<Result<_, _>>()?,
        epoch: kept_epoch(from)?,
    };
    let text = serde_json::to_vec_pretty(&manifest)
        .map_err(|e| Error::internal(MANIFEST.to_owned(), e))?;
    let path = folder.join(MANIFEST);
    write_private(&path, &text).map_err(failed(&path))?;
    sync_folder(folder)?;
    Ok(manifest)
}

/// Verifies a backup: its files by their sums, the database by SQLite, the audit log and every row that it accounts for,
/// the results by their sums. Where `audit_key` is not in it, the live state is proved only with that file.
///
/// # Errors
/// `internal` or `validation_error` with what does not hold.
pub fn check(folder: &Path, audit_key: Option<&Path>, now: Timestamp) -> Result<Manifest, Error> {
    let manifest = read_manifest(folder)?;
    for file in &manifest.files {
        if !is_plain(&file.name) {
            return Err(Error::invalid(format!(
                "{MANIFEST} names a file in another folder"
            )));
        }
        if sum(&folder.join(&file.name))? != file.sum() {
            return Err(Error::invalid(format!(
                "{} is not the file that was backed up",
                folder.join(&file.name).display()
            )));
        }
    }
    for needed in [DATABASE, AUDIT_KEYS, SIGNING_KEY] {
        if !manifest.files.iter().any(|file| file.name == needed) {
            return Err(Error::invalid(format!("{MANIFEST} names no {needed}")));
        }
    }
    let events = verified(folder, audit_key)?;
    if events != manifest.events {
        return Err(Error::invalid(format!(
            "the audit log has {}, {MANIFEST} says {}",
            counted(events, "event"),
            manifest.events
        )));
    }
    results::check(&folder.join(DATABASE), folder, now)?;
    Ok(manifest)
}

/// Puts a backup that holds where `config` says: into its `state_dir`, which must have no database and no log of one, and
/// its folder of results.
///
/// # Errors
/// As [`check`]; `validation_error` for a state_dir that is in use or has a database.
pub fn restore(folder: &Path, config: &Config, clock: &Clock) -> Result<Manifest, Error> {
    let manifest = check(folder, config.audit_key_file.as_deref(), clock.now())?;
    let state = StateDir::open(&config.state_dir)?;
    let database = state.path().join(DATABASE);
    // SQLite replays a log that lies next to a database, whichever it belongs to.
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let path = state.path().join(format!("{DATABASE}{suffix}"));
        if path.symlink_metadata().is_ok() {
            return Err(Error::invalid(format!("{} exists already", path.display()))
                .hint("move the old state_dir away first"));
        }
    }
    let root = &config.result_storage.root_dir;
    let (backed_up, others): (Vec<_>, Vec<_>) = manifest
        .files
        .iter()
        .filter(|file| file.name != DAMAGED)
        .partition(|file| file.name == DATABASE);
    // All of it before the first byte is written.
    let copy = folder.join(DATABASE);
    for file in &others {
        ensure_free(&state.path().join(&file.name), &file.sum())?;
    }
    results::ensure_place(&copy, folder, root)?;
    results::put_back(&copy, folder, root)?;
    for file in others {
        copy_private(&folder.join(&file.name), &state.path().join(&file.name))?;
    }
    if manifest.epoch > 0 {
        note_restored(state.path(), manifest.epoch)?;
    }
    state.note_restored(&manifest.created_at)?;
    sync_folder(state.path())?;
    // The database last: without it, a server that starts on what a crash left would start with nothing.
    for file in backed_up {
        copy_private(&folder.join(&file.name), &database)?;
    }
    sync_folder(state.path())?;
    Ok(manifest)
}

/// The newest backup among the folders of `folder`, and when it was made. Other folders are passed over.
///
/// # Errors
/// Where the folder cannot be listed.
pub fn newest_of(folder: &Path) -> Result<Option<(PathBuf, Timestamp)>, Error> {
    let entries = fs::read_dir(folder).map_err(failed(folder))?;
    let made = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let manifest = read_manifest(&path).ok()?;
        Some((path, Timestamp::parse(&manifest.created_at)?))
    });
    Ok(made.max_by_key(|(_, at)| *at))
}

fn read_manifest(folder: &Path) -> Result<Manifest, Error> {
    let path = folder.join(MANIFEST);
    let mut text = String::new();
    let file = File::open(&path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Error::invalid(format!(
            "{} is not a backup: it has no {MANIFEST}",
            folder.display()
        )),
        _ => failed(&path)(e),
    })?;
    file.take(MANIFEST_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(failed(&path))?;
    let manifest: Manifest = serde_json::from_str(&text)
        .map_err(|e| Error::invalid(format!("{}: {e}", path.display())))?;
    if manifest.format != FORMAT {
        return Err(Error::invalid(format!(
            "{} has format {}, this program reads {FORMAT}",
            path.display(),
            manifest.format
        )));
    }
    Ok(manifest)
}

/// Whether SQLite, the audit log and everything that it accounts for agree. Returns the number of events.
fn verified(folder: &Path, audit_key: Option<&Path>) -> Result<i64, Error> {
    let database = folder.join(DATABASE);
    if let Some(complaint) = broken_pages(&database)?.first() {
        return Err(Error::invalid(format!(
            "the database is broken: {complaint}"
        )));
    }
    let path = folder.join(AUDIT_KEYS);
    let text = fs::read_to_string(&path).map_err(failed(&path))?;
    let known = read_keys(&text)
        .ok_or_else(|| Error::invalid(format!("{} is not readable", path.display())))?;
    let own = folder.join(AUDIT_KEY);
    let key = Keypair::load(audit_key.unwrap_or(&own))?.ok_or_else(|| {
        Error::invalid("the audit key is not in the backup, and without it live rows prove nothing")
            .hint("name its file with --key-file")
    })?;
    let public = |id: &str| known.get(id).copied();
    let found = verify_chain(&database, &VerifyKeys::new(&public, Some(&key)), None)?;
    match found.problem {
        None if found.valid => Ok(found.total_events),
        problem => Err(Error::invalid(format!(
            "the audit log does not hold: {}",
            problem.unwrap_or_default()
        ))),
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && name != ".." && name != "."
}

fn described(folder: &Path, name: &str) -> Result<ManifestFile, Error> {
    let sum = sum(&folder.join(name))?;
    Ok(ManifestFile {
        name: name.to_owned(),
        bytes: sum.bytes,
        sha256: sum.sha256,
    })
}
