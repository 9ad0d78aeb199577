//! The results of a backup: those that are files, copied, checked and put back.

use super::files::{
    FileSum, NotCopied, copy_private, ensure_free, failed, make_folder, remove, sum, sync_folder,
};
use crate::clock::{Clock, Timestamp};
use crate::crypto::write_private;
use crate::error::{Error, Shown};
use crate::objects::is_key;
use crate::store::{StoredObject, each_object};
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The folder of results within a backup.
const RESULTS: &str = "results";
/// Names the results that were damaged before they could be backed up, a key on each line.
pub(super) const DAMAGED: &str = "damaged.txt";
/// Largest list of damaged results that is read, in bytes: 800,000 of them.
const DAMAGED_BYTES_MAX: u64 = 64 << 20;

/// What became of the results that the database of a backup names.
#[derive(Default)]
pub(super) struct Copied {
    /// Files in the backup.
    pub here: u64,
    /// In a bucket.
    pub elsewhere: u64,
    /// Keys of those that are missing, unreadable or not what was stored. They are not in the backup.
    pub damaged: Vec<String>,
}

/// What one result was found to be.
#[derive(Debug, PartialEq, Eq)]
enum Became {
    Copied,
    Purged,
    Damaged,
}

/// What the copy of a result says of it; a copy that cannot be written says nothing.
fn became(
    copy: Result<FileSum, NotCopied>,
    object: &StoredObject,
    now: Timestamp,
) -> Result<Became, Error> {
    match copy {
        Ok(sum) if sum == stored(object) => Ok(Became::Copied),
        Err(NotCopied::Missing(_)) if object.expires_at <= now => Ok(Became::Purged),
        Ok(_) | Err(NotCopied::Missing(_) | NotCopied::Unreadable(_)) => Ok(Became::Damaged),
        Err(NotCopied::Unwritable(e)) => Err(e),
    }
}

/// Copies the results in `root` that are files into the backup at `folder`, each held against its sum. One that was purged
/// meanwhile is gone in both places. One that is damaged is named in [`DAMAGED`]: the state is worth keeping without it.
pub(super) fn copy(
    database: &Path,
    root: &Path,
    folder: &Path,
    clock: &Clock,
) -> Result<Copied, Error> {
    let mut copied = Copied::default();
    let mut into = Folders::default();
    each_object(database, |object| {
        if object.backend != "local" {
            copied.elsewhere += 1;
            return Ok(());
        }
        let target = place(&folder.join(RESULTS), &object)?;
        into.enter(&target)?;
        let copy = copy_private(&root.join(&object.key), &target);
        match became(copy, &object, clock.now())? {
            Became::Copied => copied.here += 1,
            Became::Purged => {}
            Became::Damaged => {
                remove(&target)?;
                copied.damaged.push(object.key);
            }
        }
        Ok(())
    })?;
    into.leave()?;
    let results = folder.join(RESULTS);
    if results.is_dir() {
        sync_folder(&results)?;
    }
    if !copied.damaged.is_empty() {
        let path = folder.join(DAMAGED);
        let list = copied.damaged.join("\n") + "\n";
        write_private(&path, list.as_bytes()).map_err(failed(&path))?;
    }
    Ok(copied)
}

/// Holds the results in the backup at `folder` against their rows. Only one that has expired or that the backup itself
/// calls damaged may be missing.
///
/// # Errors
/// `validation_error` naming the first that does not hold.
pub(super) fn check(database: &Path, folder: &Path, now: Timestamp) -> Result<(), Error> {
    let damaged = damaged(folder)?;
    each_object(database, |object| {
        if object.backend != "local" {
            return Ok(());
        }
        let path = place(&folder.join(RESULTS), &object)?;
        let may_lack = object.expires_at <= now || damaged.contains(&object.key);
        if may_lack && !path.exists() {
            return Ok(());
        }
        if sum(&path)? == stored(&object) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{} is not the result that was stored",
            path.display()
        )))
    })
}

/// Refuses a folder of results that has another file where one of the backup goes; the same file may be there.
///
/// # Errors
/// `validation_error` naming it.
pub(super) fn ensure_place(database: &Path, folder: &Path, root: &Path) -> Result<(), Error> {
    each_file(database, folder, |object, _| {
        let to = place(root, object)?;
        ensure_free(&to, &stored(object))
    })
}

/// Puts the results of the backup at `folder` into `root`; those that are there already stay.
pub(super) fn put_back(database: &Path, folder: &Path, root: &Path) -> Result<(), Error> {
    let mut into = Folders::default();
    each_file(database, folder, |object, from| {
        let to = place(root, object)?;
        into.enter(&to)?;
        if !to.exists() {
            copy_private(from, &to)?;
        }
        Ok(())
    })?;
    into.leave()?;
    match root.is_dir() {
        true => sync_folder(root),
        false => Ok(()),
    }
}

/// Calls `each` with every result that is a file of the backup at `folder`, and where it is there.
fn each_file(
    database: &Path,
    folder: &Path,
    mut each: impl FnMut(&StoredObject, &Path) -> Result<(), Error>,
) -> Result<(), Error> {
    each_object(database, |object| {
        let from = place(&folder.join(RESULTS), &object)?;
        match object.backend == "local" && from.exists() {
            true => each(&object, &from),
            false => Ok(()),
        }
    })
}

fn damaged(folder: &Path) -> Result<HashSet<String>, Error> {
    let path = folder.join(DAMAGED);
    if !path.exists() {
        return Ok(HashSet::new());
    }
    let mut text = String::new();
    File::open(&path)
        .and_then(|file| file.take(DAMAGED_BYTES_MAX).read_to_string(&mut text))
        .map_err(failed(&path))?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn stored(object: &StoredObject) -> FileSum {
    FileSum {
        bytes: object.length,
        sha256: object.sha256.clone(),
    }
}

/// Where the object is in a folder of results: its key is a row's, and a file can be edited.
fn place(results: &Path, object: &StoredObject) -> Result<PathBuf, Error> {
    if is_key(&object.key) {
        return Ok(results.join(&object.key));
    }
    Err(Error::bug(format!(
        "the database names a result by what is not a key: {}",
        Shown(&object.key)
    )))
}

/// The folders that files are put into, one after the other: each is made before, and synced after, its files.
#[derive(Default)]
struct Folders {
    now: Option<PathBuf>,
}

impl Folders {
    fn enter(&mut self, file: &Path) -> Result<(), Error> {
        let parent = file.parent().unwrap_or(Path::new("."));
        if self.now.as_deref() == Some(parent) {
            return Ok(());
        }
        self.leave()?;
        make_folder(parent)?;
        self.now = Some(parent.to_owned());
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Error> {
        self.now
            .take()
            .map_or(Ok(()), |folder| sync_folder(&folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_purged_results_may_lack_and_stored_ones_are_copied() {
        let end = Timestamp(60_000);
        let object = StoredObject {
            key: "key".into(),
            backend: "local".into(),
            length: 1,
            sha256: "a".into(),
            expires_at: end,
        };
        let sum = |bytes, sha256: &str| {
            Ok(FileSum {
                bytes,
                sha256: sha256.into(),
            })
        };
        let error = || Error::bug("no");
        let before = Timestamp(end.0 - 1);
        for (copy, now, expected) in [
            (sum(1, "a"), before, Some(Became::Copied)),
            (sum(1, "a"), end, Some(Became::Copied)),
            (sum(2, "a"), end, Some(Became::Damaged)),
            (sum(1, "b"), before, Some(Became::Damaged)),
            (
                Err(NotCopied::Missing(error())),
                before,
                Some(Became::Damaged),
            ),
            (Err(NotCopied::Missing(error())), end, Some(Became::Purged)),
            (
                Err(NotCopied::Unreadable(error())),
                end,
                Some(Became::Damaged),
            ),
            (Err(NotCopied::Unwritable(error())), end, None),
        ] {
            assert_eq!(became(copy, &object, now).ok(), expected);
        }
    }
}
