//! Files of a backup: copied whole or not at all, durably, for their owner only.

use crate::crypto::{Sha256Writer, make_private_folder};
use crate::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Added to the name of what is not whole yet; what a crash leaves is recognised by it.
pub(super) const PARTIAL: &str = "partial";
/// Bytes copied at a time.
const PIECE_BYTES: usize = 128 * 1024;

/// What tells files apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileSum {
    pub bytes: u64,
    /// Hexadecimal.
    pub sha256: String,
}

/// Why a file was not copied.
pub(super) enum NotCopied {
    /// What was to be copied is not there.
    Missing(Error),
    /// What was to be copied cannot be read.
    Unreadable(Error),
    /// The copy cannot be written.
    Unwritable(Error),
}

impl From<NotCopied> for Error {
    fn from(reason: NotCopied) -> Self {
        match reason {
            NotCopied::Missing(e) | NotCopied::Unreadable(e) | NotCopied::Unwritable(e) => e,
        }
    }
}

pub(super) fn failed(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    move |e| Error::internal(format!("{}", path.display()), e)
}

/// The length of a file and the SHA-256 of its bytes, in constant memory.
pub(super) fn sum(path: &Path) -> Result<FileSum, Error> {
    let mut file = File::open(path).map_err(failed(path))?;
    let mut sum = Sha256Writer::default();
    let bytes = io::copy(&mut file, &mut sum).map_err(failed(path))?;
    Ok(FileSum {
        bytes,
        sha256: sum.finish_hex(),
    })
}

/// Copies a file to one that only its owner reads, durably, and says what was copied. What had the name is replaced at
/// once or not at all.
pub(super) fn copy_private(from: &Path, to: &Path) -> Result<FileSum, NotCopied> {
    let mut source = File::open(from).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => NotCopied::Missing(failed(from)(e)),
        _ => NotCopied::Unreadable(failed(from)(e)),
    })?;
    let partial = partial_of(to);
    let copied = copy_into(&mut source, from, &partial);
    if copied.is_err() {
        let _ = fs::remove_file(&partial);
        return copied;
    }
    fs::rename(&partial, to).map_err(|e| NotCopied::Unwritable(failed(to)(e)))?;
    copied
}

fn copy_into(source: &mut File, from: &Path, partial: &Path) -> Result<FileSum, NotCopied> {
    let unwritable = |e| NotCopied::Unwritable(failed(partial)(e));
    let mut copy = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(partial)
        .map_err(unwritable)?;
    let mut sum = Sha256Writer::default();
    let mut piece = vec![0; PIECE_BYTES];
    let mut bytes = 0;
    loop {
        let length = match source.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => length,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(NotCopied::Unreadable(failed(from)(e))),
        };
        let part = piece.get(..length).unwrap_or_default();
        copy.write_all(part)
            .and_then(|()| sum.write_all(part))
            .map_err(unwritable)?;
        bytes += length as u64;
    }
    copy.sync_all().map_err(unwritable)?;
    Ok(FileSum {
        bytes,
        sha256: sum.finish_hex(),
    })
}

fn partial_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(PARTIAL);
    PathBuf::from(name)
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed(path)(e)),
        _ => Ok(()),
    }
}

/// Makes a folder that only its owner reads, and those above it.
pub(super) fn make_folder(path: &Path) -> Result<(), Error> {
    make_private_folder(path).map_err(failed(path))
}

pub(super) fn sync_folder(path: &Path) -> Result<(), Error> {
    let path = match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    };
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(failed(path))
}

/// Refuses a place where another file is than the one of that sum: a restore that was ended may be repeated, and nothing
/// is written over.
///
/// # Errors
/// `validation_error` naming the file.
pub(super) fn ensure_free(path: &Path, sum_of_backup: &FileSum) -> Result<(), Error> {
    if path.symlink_metadata().is_err() || sum(path)? == *sum_of_backup {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{} exists, and is not the file of the backup",
        path.display()
    ))
    .hint("move it away, or name another place in server.toml; nothing was written"))
}
