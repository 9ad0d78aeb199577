//! How a reload ended, for the `dbward reload` that asked for it. It leaves an empty file `reload/ID.asked` in the
//! state directory and sends SIGHUP; the server removes the file before it reads its configuration, and writes
//! `reload/ID.outcome` afterwards. So an outcome is always that of a reload which began after it was asked for.

use crate::crypto::write_private;
use crate::error::Error;
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Askers that one reload answers, at most; more than these run into their time limit.
const ASKERS_MAX: usize = 64;
/// Folder below the state directory.
const FOLDER: &str = "reload";

/// How a reload ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The file that the server reads.
    pub file: PathBuf,
    /// The generation in effect afterwards, as in `dbward_config_generation`.
    pub generation: u64,
    /// Why the file is not in effect, one line a problem; nothing where it is.
    pub problem: Option<String>,
}

/// A reload that was asked for.
pub struct ReloadRequest {
    asked: PathBuf,
    outcome: PathBuf,
}

impl ReloadRequest {
    /// Leaves the question. The signal comes after it.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn leave(state_dir: &Path) -> io::Result<ReloadRequest> {
        let folder = state_dir.join(FOLDER);
        let id = crate::crypto::uuid();
        let asked = ReloadRequest {
            asked: folder.join(format!("{id}.asked")),
            outcome: folder.join(format!("{id}.outcome")),
        };
        write_private(&asked.asked, b"")?;
        Ok(asked)
    }

    /// The outcome, once it is there.
    pub fn outcome(&self) -> Option<Outcome> {
        let read: Value = serde_json::from_slice(&fs::read(&self.outcome).ok()?).ok()?;
        Some(Outcome {
            file: read.get("file")?.as_str()?.into(),
            generation: read.get("generation")?.as_u64()?,
            problem: read.get("problem")?.as_str().map(str::to_owned),
        })
    }
}

impl Drop for ReloadRequest {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.asked);
        let _ = fs::remove_file(&self.outcome);
    }
}

/// Makes the folder, without what askers left that nobody answered; for a start.
///
/// # Errors
/// `internal` when it cannot be made.
pub fn clear(state_dir: &Path) -> Result<(), Error> {
    let folder = state_dir.join(FOLDER);
    let made = match fs::remove_dir_all(&folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => fs::DirBuilder::new().mode(0o700).create(&folder),
    };
    made.map_err(|e| Error::internal("the folder of reloads in state_dir", e))
}

/// Takes the open questions; for the beginning of a reload.
pub fn take(state_dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(state_dir.join(FOLDER)) else {
        return Vec::new();
    };
    let asked = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "asked"));
    asked
        .take(ASKERS_MAX)
        .filter(|path| fs::remove_file(path).is_ok())
        .collect()
}

/// Answers the files that were read.
pub fn answer(asked: &[PathBuf], outcome: &Outcome) {
    let text = json!({
        "file": outcome.file.display().to_string(),
        "generation": outcome.generation,
        "problem": outcome.problem,
    });
    let text = text.to_string();
    for path in asked {
        if let Err(e) = write_private(&path.with_extension("outcome"), text.as_bytes()) {
            log::warn!("the outcome of the reload cannot be left: {e}");
        }
    }
}
