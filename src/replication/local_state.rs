//! What a state directory knows of its own part: `replication.json`.

use crate::crypto::{uuid, write_private};
use crate::domain::server_lease::ServerLease;
use crate::error::Error;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const FILE: &str = "replication.json";

/// Which state lies in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LocalState {
    path: PathBuf,
    /// Who holds a lease that this directory's server takes.
    pub(super) holder: String,
    /// The epoch in which the state here was last written; 0 before the first.
    pub(super) epoch: u64,
    /// The epoch of the copy that the state then came from, or went on from.
    pub(super) from: u64,
    /// A backup was put here: nothing in the bucket is older.
    restored: bool,
    /// Where it was last written: the folder, and the boot of its machine. A copy of the folder has another one.
    place: String,
}

impl LocalState {
    pub(super) fn exists(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }

    /// Reads it, or begins one.
    ///
    /// # Errors
    /// `internal` naming the file.
    pub(super) fn read(folder: &Path) -> Result<LocalState, Error> {
        let path = folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let fresh = LocalState {
                    path,
                    holder: uuid(),
                    epoch: 0,
                    from: 0,
                    restored: false,
                    place: place_of(folder),
                };
                fresh.write()?;
                return Ok(fresh);
            }
            Err(e) => return Err(Error::internal(format!("{}", path.display()), e)),
        };
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        let read = || {
            Some((
                value["holder"].as_str()?.to_owned(),
                value["epoch"].as_u64()?,
                value["from"].as_u64()?,
                value["restored"].as_bool().unwrap_or(false),
                value["place"].as_str().unwrap_or_default().to_owned(),
            ))
        };
        let (holder, epoch, from, restored, place) =
            read().ok_or_else(|| Error::bug(format!("{} is not readable", path.display())))?;
        Ok(LocalState {
            path,
            holder,
            epoch,
            from,
            restored,
            place,
        })
    }

    /// Begins one for a backup that was put into `folder`.
    ///
    /// # Errors
    /// `internal` naming the file.
    pub(super) fn write_restored(folder: &Path, epoch: u64) -> Result<(), Error> {
        LocalState {
            path: folder.join(FILE),
            holder: uuid(),
            epoch,
            from: 0,
            restored: true,
            place: place_of(folder),
        }
        .write()
    }

    /// Notes that the state here is that of the epoch from now on.
    ///
    /// # Errors
    /// `internal` naming the file.
    pub(super) fn enter(&mut self, epoch: u64, from: u64) -> Result<(), Error> {
        (self.epoch, self.from, self.restored) = (epoch, from, false);
        self.place = self.path.parent().map_or_else(String::new, place_of);
        self.write()
    }

    /// Whether it lies where it was written, since the machine was started: then no other server uses it, since ours has
    /// its lock.
    pub(super) fn is_in_place(&self) -> bool {
        !self.place.is_empty() && self.path.parent().map(place_of) == Some(self.place.clone())
    }

    /// Whether nothing was written elsewhere since the state here was.
    pub(super) fn is_newest(&self, lease: &ServerLease) -> bool {
        !self.restored && [self.epoch, self.from].contains(&lease.copy_epoch)
    }

    /// Whether the lease is still the one under which the state here was written: nobody else has written since.
    pub(super) fn wrote_last(&self, lease: &ServerLease) -> bool {
        !self.restored && self.holder == lease.holder && self.epoch == lease.epoch
    }

    fn write(&self) -> Result<(), Error> {
        let text = json!({
            "holder": self.holder,
            "epoch": self.epoch,
            "from": self.from,
            "restored": self.restored,
            "place": self.place,
        });
        write_private(&self.path, text.to_string().as_bytes())
            .map_err(|e| Error::internal(format!("{}", self.path.display()), e))
    }
}

/// The folder by its number in the file system, and the boot of this machine; empty where the system does not say.
fn place_of(folder: &Path) -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    match (boot, fs::metadata(folder)) {
        (Ok(boot), Ok(data)) => format!("{} {}:{}", boot.trim(), data.dev(), data.ino()),
        _ => String::new(),
    }
}
