//! The state directory: made private, locked against a second server, and home of the keys.

use crate::clock::Timestamp;
use crate::crypto::{Keypair, PublicKey, hex, make_private_folder, write_private};
use crate::error::Error;
use crate::store::AuditKeys;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Public keys of the audit log, by id.
pub const AUDIT_KEYS: &str = "audit-keys.json";
/// What signs the audit log, unless the configuration names another file.
pub const AUDIT_KEY: &str = "audit-signing.key";
/// Held by the server that uses the directory.
const LOCK: &str = "dbward.lock";
/// What `server.public_key` of agent.toml is to be.
pub const PUBLIC_KEY: &str = "signing.pub";
/// What signs execution tokens.
pub const SIGNING_KEY: &str = "signing.key";
/// When the backup was made that this state comes from, RFC 3339: objects of a bucket that are younger may be another
/// server's.
const RESTORED: &str = "restored-from";
/// Number of that server's process.
const PID: &str = "server.pid";

/// How long another holder of the lock may take to let go of it: a server that is ending, or a process that was just
/// forked from one and still has its files.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// How often the lock is tried meanwhile.
const LOCK_TRY: Duration = Duration::from_millis(20);

/// An open state directory; the lock lasts as long as this.
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

/// Locks the file of the directory at `path`.
fn take(lock: &File, path: &Path) -> Result<(), Error> {
    let start = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(fs::TryLockError::WouldBlock) if start.elapsed() < LOCK_PATIENCE => {
                thread::sleep(LOCK_TRY);
            }
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Error::bug(format!(
                    "another server is using the state_dir {}",
                    path.display()
                )));
            }
            Err(fs::TryLockError::Error(e)) => {
                return Err(Error::internal(format!("state_dir {}", path.display()), e));
            }
        }
    }
}

impl StateDir {
    /// Makes the directory (0700) if it is not there, and locks it.
    ///
    /// # Errors
    /// `internal` with a sentence for the operator.
    pub fn open(path: &Path) -> Result<StateDir, Error> {
        let failed = |e| Error::internal(format!("state_dir {}", path.display()), e);
        if !path.is_dir() {
            make_private_folder(path).map_err(failed)?;
        }
        let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            // Somebody made it for us. Nothing in it is readable by others, but the names in it would be.
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join(LOCK))
            .map_err(failed)?;
        take(&lock, path)?;
        Ok(StateDir {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Writes the number of this process, for `dbward reload` and `doctor`: first of all, since the file may have the
    /// number of an earlier one, which by now is another program's.
    ///
    /// # Errors
    /// `internal` when the file cannot be written.
    pub fn write_pid(&self) -> Result<(), Error> {
        let path = self.path.join(PID);
        write_private(&path, std::process::id().to_string().as_bytes())
            .map_err(|e| Error::internal(format!("{}", path.display()), e))
    }

    /// Notes that the state is that of a backup made at `created_at`.
    ///
    /// # Errors
    /// `internal` when the file cannot be written.
    pub fn note_restored(&self, created_at: &str) -> Result<(), Error> {
        let path = self.path.join(RESTORED);
        write_private(&path, created_at.as_bytes())
            .map_err(|e| Error::internal(format!("{}", path.display()), e))
    }

    /// When the backup was made that the state comes from, until somebody removes the note. One that cannot be read counts
    /// as the oldest.
    pub fn restored_from(&self) -> Option<Timestamp> {
        let path = self.path.join(RESTORED);
        if path.symlink_metadata().is_err() {
            return None;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        log::warn!(
            "this state comes from a backup: objects in a bucket that are younger than it are left, even where nothing \
             refers to them; remove {} once no other server uses the bucket",
            path.display()
        );
        Some(Timestamp::parse(text.trim()).unwrap_or(Timestamp(0)))
    }

    /// Writes the key that agents check execution tokens with, for those who set an agent up.
    ///
    /// # Errors
    /// `internal` when the file cannot be written.
    pub fn write_public_key(&self, key: &PublicKey) -> Result<(), Error> {
        let path = self.path.join(PUBLIC_KEY);
        write_private(&path, hex(&key.bytes()).as_bytes())
            .map_err(|e| Error::internal(format!("{}", path.display()), e))
    }

    /// The process that uses the state directory at `path`, if one does.
    pub fn holder(path: &Path) -> Option<u32> {
        let lock = File::open(path.join(LOCK)).ok()?;
        match lock.try_lock_shared() {
            Err(fs::TryLockError::WouldBlock) => {
                fs::read_to_string(path.join(PID)).ok()?.trim().parse().ok()
            }
            _ => None,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key that signs checkpoints, of `key_file` or of this directory, and every public key that ever did. A new one is added to the file.
    ///
    /// # Errors
    /// `internal` for a file that cannot be read: an audit log that cannot be proved must not be written on.
    pub fn audit_keys(&self, key_file: Option<&Path>) -> Result<AuditKeys, Error> {
        let own = self.path.join(AUDIT_KEY);
        let current = Keypair::load_or_create(key_file.unwrap_or(&own))?;
        let file = self.path.join(AUDIT_KEYS);
        let mut known = match fs::read_to_string(&file) {
            Ok(text) => read_keys(&text)
                .ok_or_else(|| Error::bug(format!("{} is not readable", file.display())))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => return Err(Error::internal(format!("{}", file.display()), e)),
        };
        let public = current.public();
        if known.insert(public.id(), public).is_none() {
            let keys: Map<String, Value> = known
                .iter()
                .map(|(id, key)| (id.clone(), STANDARD.encode(key.bytes()).into()))
                .collect();
            let text = json!({"current": public.id(), "keys": keys}).to_string();
            write_private(&file, text.as_bytes())
                .map_err(|e| Error::internal(format!("{}", file.display()), e))?;
        }
        Ok(AuditKeys { current, known })
    }
}

/// Sends SIGHUP to the server with that process number.
///
/// # Errors
/// When there is no such process, or it is somebody else's.
pub fn tell_to_reload(number: u32) -> std::io::Result<()> {
    let pid = i32::try_from(number)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(std::io::ErrorKind::NotFound)?;
    Ok(kill_process(pid, Signal::HUP)?)
}

/// Reads the text of an `audit-keys.json`: public keys of the audit log, by id. None where it is not one, or where a key
/// stands under the id of another.
pub fn read_keys(text: &str) -> Option<BTreeMap<String, PublicKey>> {
    let file: Value = serde_json::from_str(text).ok()?;
    let mut known = BTreeMap::new();
    for (id, key) in file.get("keys")?.as_object()? {
        let bytes = STANDARD.decode(key.as_str()?).ok()?;
        let key = PublicKey::from_bytes(&bytes)?;
        if key.id() != *id {
            return None;
        }
        known.insert(id.clone(), key);
    }
    Some(known)
}

/// Bytes that are free for us in a folder. Where the file system does not say, enough: a write that fails says so.
pub fn free_bytes(folder: &Path) -> u64 {
    rustix::fs::statvfs(folder).map_or(u64::MAX, |fs| fs.f_bavail.saturating_mul(fs.f_frsize))
}
