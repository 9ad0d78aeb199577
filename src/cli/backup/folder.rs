//! A backup: one folder with everything that a server needs to go on somewhere else, made while it runs, and verified
//! before it gets its name.
//!
//! ```text
//! backup.json        what it is, and a SHA-256 of each file below
//! dbward.db          the state as of one moment
//! audit-keys.json, audit-signing.key, signing.key, signing.pub
//! results/           stored results that are files
//! ```
//!
//! Tokens of the first start are not in it: their secrets are in no state. Results in a bucket stay there.

use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::crypto::{Keypair, Sha256Writer, make_private_folder, write_private};
use crate::error::{Error, counted};
use crate::objects::is_key;
use crate::replication::{kept_epoch, note_restored};
use crate::server::state::{AUDIT_KEY, AUDIT_KEYS, PUBLIC_KEY, SIGNING_KEY, StateDir, read_keys};
use crate::store::{
    StoredObject, VerifyKeys, broken_pages, copy_database, each_object, verify_chain,
};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file that says what a backup is.
const MANIFEST: &str = "backup.json";
/// Of the form of a backup.
const FORMAT: u32 = 1;
/// Largest manifest that is read, in bytes; ours are below a thousandth of it.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;
const DATABASE: &str = "dbward.db";
const RESULTS: &str = "results";
/// Added to the name of a backup that is not done; what a crash leaves is recognised by it.
const PARTIAL: &str = "partial";

/// What a backup says of itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: u32,
    /// Of the program that made it.
    pub version: String,
    /// RFC 3339.
    pub created_at: String,
    /// Events of its audit log.
    pub events: i64,
    /// Results that are files in it.
    pub results: u64,
    /// Results that it names, and that are in a bucket.
    pub results_elsewhere: u64,
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

fn failed(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    move |e| Error::internal(format!("{}", path.display()), e)
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
    let (results, results_elsewhere) = copy_results(config, folder, clock.now())?;
    let events = verified(folder, audit_key.as_deref())?;
    let files = names.into_iter().map(|name| described(folder, name));
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: clock.now().rfc3339(),
        events,
        results,
        results_elsewhere,
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

/// Copies the results that are files; how many, and how many are in a bucket. One that was purged meanwhile is gone in
/// both places.
fn copy_results(config: &Config, folder: &Path, now: Timestamp) -> Result<(u64, u64), Error> {
    let root = &config.result_storage.root_dir;
    let to = folder.join(RESULTS);
    let (mut copied, mut elsewhere) = (0, 0);
    each_object(&folder.join(DATABASE), |object| {
        if object.backend != "local" {
            elsewhere += 1;
            return Ok(());
        }
        let target = place(&to, &object)?;
        if let Some(parent) = target.parent() {
            make_folder(parent)?;
        }
        match copy_private(&root.join(&object.key), &target) {
            Ok(()) => copied += 1,
            Err(_) if object.expires_at <= now => {}
            Err(e) => return Err(e),
        }
        Ok(())
    })?;
    if to.is_dir() {
        sync_folder(&to)?;
    }
    Ok((copied, elsewhere))
}

/// Where the object is in a folder of results: its key is a row's, and a file can be edited.
fn place(results: &Path, object: &StoredObject) -> Result<PathBuf, Error> {
    if is_key(&object.key) {
        return Ok(results.join(&object.key));
    }
    Err(Error::bug(
        "the database names a result by what is not a key",
    ))
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
        let found = described(folder, &file.name)?;
        if (found.bytes, &found.sha256) != (file.bytes, &file.sha256) {
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
    let results = folder.join(RESULTS);
    each_object(&folder.join(DATABASE), |object| {
        if object.backend != "local" {
            return Ok(());
        }
        let path = place(&results, &object)?;
        if !path.exists() && object.expires_at <= now {
            return Ok(());
        }
        let (bytes, sha256) = sum(&path)?;
        if (bytes, &sha256) == (object.length, &object.sha256) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{} is not the result that was stored",
            path.display()
        )))
    })?;
    Ok(manifest)
}

/// Puts a backup that holds where `config` says: into its `state_dir`, which must have no database, and its folder of
/// results.
///
/// # Errors
/// As [`check`]; `validation_error` for a state_dir that is in use or has a database.
pub fn restore(folder: &Path, config: &Config, clock: &Clock) -> Result<Manifest, Error> {
    let manifest = check(folder, config.audit_key_file.as_deref(), clock.now())?;
    let state = StateDir::open(&config.state_dir)?;
    let database = state.path().join(DATABASE);
    if database.symlink_metadata().is_ok() {
        return Err(
            Error::invalid(format!("{} exists already", database.display()))
                .hint("move the old state_dir away first"),
        );
    }
    let root = &config.result_storage.root_dir;
    each_object(&folder.join(DATABASE), |object| {
        let from = place(&folder.join(RESULTS), &object)?;
        if object.backend == "local" && from.exists() {
            let to = place(root, &object)?;
            if let Some(parent) = to.parent() {
                make_folder(parent)?;
            }
            copy_private(&from, &to)?;
        }
        Ok(())
    })?;
    // The database last: without it, a server that starts on what a crash left would start with nothing.
    let (databases, others): (Vec<_>, Vec<_>) = manifest
        .files
        .iter()
        .partition(|file| file.name == DATABASE);
    for file in others {
        copy_private(&folder.join(&file.name), &state.path().join(&file.name))?;
    }
    if manifest.epoch > 0 {
        note_restored(state.path(), manifest.epoch)?;
    }
    for file in databases {
        let partial = state.path().join(format!("{DATABASE}.{PARTIAL}"));
        let _ = fs::remove_file(&partial);
        copy_private(&folder.join(&file.name), &partial)?;
        fs::rename(&partial, &database).map_err(failed(&database))?;
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
    let (bytes, sha256) = sum(&folder.join(name))?;
    Ok(ManifestFile {
        name: name.to_owned(),
        bytes,
        sha256,
    })
}

/// The length of a file and the SHA-256 of its bytes, in constant memory.
fn sum(path: &Path) -> Result<(u64, String), Error> {
    let mut file = File::open(path).map_err(failed(path))?;
    let mut sum = Sha256Writer::default();
    let bytes = io::copy(&mut file, &mut sum).map_err(failed(path))?;
    Ok((bytes, sum.finish_hex()))
}

/// Copies a file to a new one that only its owner reads, durably.
fn copy_private(from: &Path, to: &Path) -> Result<(), Error> {
    let mut source = File::open(from).map_err(failed(from))?;
    let mut copy = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(failed(to))?;
    io::copy(&mut source, &mut copy).map_err(failed(to))?;
    copy.sync_all().map_err(failed(to))
}

fn make_folder(path: &Path) -> Result<(), Error> {
    make_private_folder(path).map_err(failed(path))
}

fn sync_folder(path: &Path) -> Result<(), Error> {
    let path = match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    };
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(failed(path))
}
