//! Result objects as files: `<root>/<request id>/<execution id>`, mode 0600, written beside their place, synced, and
//! renamed into it.

use super::{Objects, is_key};
use crate::crypto::{hex, random, write_private};
use crate::error::Error;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

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
        make_folder(root)
            .map_err(|e| Error::internal(format!("result directory {}", root.display()), e))?;
        Ok(Local {
            root: root.to_owned(),
        })
    }

    fn path(&self, key: &str) -> Result<PathBuf, Error> {
        if !is_key(key) {
            return Err(Error::bug(format!("not the key of a result: {key}")));
        }
        Ok(self.root.join(key))
    }
}

impl Objects for Local {
    fn backend(&self) -> &'static str {
        "local"
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path(key)?;
        let failed = |e| Error::internal(format!("result {key}"), e);
        if let Some(folder) = path.parent()
            && !folder.is_dir()
        {
            make_folder(folder).map_err(failed)?;
            // The new folder must survive a power cut as well as the file in it.
            fs::File::open(&self.root)
                .and_then(|root| root.sync_all())
                .map_err(failed)?;
        }
        write_private(&path, bytes).map_err(failed)
    }

    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        match fs::read(self.path(key)?) {
            Ok(bytes) => Ok(Some(bytes)),
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

    fn probe(&self) -> Result<(), Error> {
        let path = self.root.join(format!(".probe-{}", hex(&random::<4>())));
        let failed = |e| Error::internal("result directory", e);
        write_private(&path, b"probe").map_err(failed)?;
        fs::remove_file(&path).map_err(failed)
    }
}

fn make_folder(path: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::uuid;

    #[test]
    fn objects_come_back_as_they_were_and_only_under_keys_of_ours() {
        let root = std::env::temp_dir().join(format!("dbward-local-{}", uuid()));
        let store = Local::open(&root).unwrap();
        let key = format!("{}/{}", uuid(), uuid());
        assert_eq!(store.get(&key).unwrap(), None);
        store.put(&key, b"bytes\0\xff").unwrap();
        assert_eq!(
            store.get(&key).unwrap().as_deref(),
            Some(&b"bytes\0\xff"[..])
        );
        store.probe().unwrap();
        store.delete(&key).unwrap();
        store.delete(&key).unwrap();
        assert_eq!(store.get(&key).unwrap(), None);
        assert!(store.put("../../etc/passwd", b"").is_err());
        assert!(store.get("a/b").is_err());
        fs::remove_dir_all(root).unwrap();
    }
}
