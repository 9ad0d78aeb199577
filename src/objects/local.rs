//! Result objects as files: `<root>/<request id>/<execution id>`, mode 0600, written under another name, synced, and
//! renamed into it.

use super::{ObjectMeta, Objects, ensure_key, is_key};
use crate::clock::Timestamp;
use crate::crypto::{hex, make_private_folder, random, write_private};
use crate::error::Error;
use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The local directory of results.
pub struct Local {
    root: PathBuf,
}

impl Local {
    /// Uses `root`, making it (0700) if it is not there.
    ///
    /// # Errors
    /// `internal` naming the directory.
    pub fn open(root: &Path) -> Result<Local, Error> {
        make_private_folder(root)
            .map_err(|e| Error::internal(format!("result directory {}", root.display()), e))?;
        Ok(Local {
            root: root.to_owned(),
        })
    }

    fn path(&self, key: &str) -> Result<PathBuf, Error> {
        ensure_key(key)?;
        Ok(self.root.join(key))
    }

    /// Objects of one request, in order.
    fn of_request(&self, request: &str) -> std::io::Result<Vec<ObjectMeta>> {
        let mut found = Vec::new();
        let entries = match fs::read_dir(self.root.join(request)) {
            Ok(entries) => entries,
            // Removed since it was listed, or no folder.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(found);
            }
            Err(e) => return Err(e),
        };
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let key = format!("{request}/{name}");
            if !is_key(&key) {
                continue;
            }
            match entry.metadata().and_then(|m| m.modified()) {
                Ok(at) => found.push(ObjectMeta {
                    key,
                    stored_at: since_epoch(at),
                }),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    /// Names of folders from `from` on, in order, at most `limit`: however many there are, no more are held.
    fn folders(
        &self,
        from: Option<&str>,
        past: bool,
        limit: usize,
    ) -> std::io::Result<Vec<String>> {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(&self.root)? {
            let Ok(name) = entry?.file_name().into_string() else {
                continue;
            };
            let is_next = from.is_none_or(|from| name.as_str() > from || (!past && name == from));
            if is_next && crate::domain::id::is_uuid(&name) {
                names.insert(name);
                if names.len() > limit {
                    names.pop_last();
                }
            }
        }
        Ok(names.into_iter().collect())
    }

    fn listed(&self, after: Option<&str>, limit: usize) -> std::io::Result<Vec<ObjectMeta>> {
        let mut found = Vec::new();
        let mut from = after
            .and_then(|key| key.split('/').next())
            .map(str::to_owned);
        let mut past = false;
        while found.len() < limit {
            let folders = self.folders(from.as_deref(), past, limit)?;
            let Some(last) = folders.last() else { break };
            (from, past) = (Some(last.clone()), true);
            for folder in &folders {
                let objects = self.of_request(folder)?.into_iter();
                found.extend(objects.filter(|o| after.is_none_or(|after| o.key.as_str() > after)));
                if found.len() >= limit {
                    break;
                }
            }
        }
        found.truncate(limit);
        Ok(found)
    }
}

impl Objects for Local {
    fn backend(&self) -> &'static str {
        super::LOCAL
    }

    fn put(&self, key: &str, bytes: &[u8], _: Timestamp) -> Result<(), Error> {
        let path = self.path(key)?;
        let failed = |e| Error::internal(format!("result {key}"), e);
        if let Some(folder) = path.parent()
            && !folder.is_dir()
        {
            make_private_folder(folder).map_err(failed)?;
            // The new folder must survive a power cut as well as the file in it.
            fs::File::open(&self.root)
                .and_then(|root| root.sync_all())
                .map_err(failed)?;
        }
        write_private(&path, bytes).map_err(failed)
    }

    fn get(&self, key: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, Error> {
        let mut bytes = Vec::new();
        let read = fs::File::open(self.path(key)?).and_then(|file| {
            file.take(bytes_max.saturating_add(1))
                .read_to_end(&mut bytes)
        });
        match read {
            Ok(_) => Ok(Some(bytes)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::internal(format!("result {key}"), e)),
        }
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        let path = self.path(key)?;
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(Error::internal(format!("result {key}"), e)),
        }
        if let Some(folder) = path.parent() {
            // Fails while other executions have results there, which is what we want.
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>, Error> {
        self.listed(after, limit)
            .map_err(|e| Error::internal("list of results", e))
    }

    fn probe(&self) -> Result<(), Error> {
        let path = self.root.join(format!(".probe-{}", hex(&random::<4>())));
        let failed = |e| Error::internal("result directory", e);
        write_private(&path, b"probe").map_err(failed)?;
        fs::remove_file(&path).map_err(failed)
    }
}

fn since_epoch(at: std::time::SystemTime) -> Timestamp {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
