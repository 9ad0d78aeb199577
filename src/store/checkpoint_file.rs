//! A copy of every signed checkpoint outside the state directory, best on another disk: who puts an older state file
//! back cannot put the file back too.
//!
//! A line a checkpoint, appended after the COMMIT that holds it. A start completes the file, and refuses a state that
//! is older than its last line.

use super::audit::checkpoint_now;
use super::query::{RunStatement, first, tuple};
use super::state_file::{STATE_DIFFERS, differs, has_table};
use super::{AuditKeys, StartChecks, Store, Verdict, View};
use crate::clock::Timestamp;
use crate::domain::actor::Actor;
use crate::domain::audit::{CHECKPOINT, CHECKPOINT_FILE, Checkpoint};
use crate::domain::change::LogChange;
use crate::error::{Error, ErrorKind};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes read from the end of the file: many lines, of which the last whole one counts.
const TAIL_BYTES: u64 = 16 * 1024;
/// Checkpoints read from the database at a time.
const PAGE: i64 = 500;

/// An open file, and how far it goes.
pub(super) struct CheckpointFile {
    path: PathBuf,
    file: File,
    /// Number of the last checkpoint's event that it holds.
    written: i64,
    /// Whether it gets only checkpoints that the second copy has.
    confirmed: bool,
}

/// What a start found out about the file.
pub(super) enum Found {
    /// It was never there, and no event says that it should be.
    New,
    /// It holds checkpoints up to the event of that number, all of them in the chain.
    Current(i64),
    /// It is gone or empty, although the log says that there is one; in words.
    Missing(String),
    /// The state is older than its last line; in words.
    Rollback(String),
}

/// Compares the last line with the chain, before anything is written.
///
/// # Errors
/// `state_differs` for a file that cannot be read, or whose last line is not signed by an audit key of this server.
pub(super) fn examine(
    connection: &Connection,
    keys: &AuditKeys,
    path: &Path,
) -> Result<Found, Error> {
    let shown = path.display();
    let attached = has_table(connection, "audit_events")? && is_attached(connection)?;
    let last = match last_line(path) {
        Ok(last) => last,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Ok(match attached {
                true => Found::Missing(format!("the checkpoint file {shown} is missing")),
                false => Found::New,
            });
        }
        Err(e) => {
            return Err(differs(format!(
                "the checkpoint file {shown} cannot be read: {e}"
            )));
        }
    };
    let Some(line) = last else {
        return Ok(match attached {
            true => Found::Missing(format!("the checkpoint file {shown} is empty")),
            false => Found::New,
        });
    };
    let (checkpoint, at) = Checkpoint::read_line(&line).ok_or_else(|| {
        differs(format!(
            "the last line of the checkpoint file {shown} is not a checkpoint"
        ))
    })?;
    let signed = keys
        .known
        .get(&checkpoint.key_id)
        .is_some_and(|key| checkpoint.is_valid(&checkpoint.head, checkpoint.count, &at, key));
    if !signed {
        return Err(differs(format!(
            "the last line of the checkpoint file {shown} is not signed by an audit key of this server"
        )));
    }
    let seq = checkpoint.count + 1;
    let stored = match has_table(connection, "audit_events")? {
        true => stored_checkpoint(connection, seq)?,
        false => None,
    };
    let same = stored.is_some_and(|text| Checkpoint::read(&text).as_ref() == Some(&checkpoint));
    Ok(match same {
        true => Found::Current(seq),
        false => Found::Rollback(format!(
            "the checkpoint file {shown} goes to event {seq} of {at}, which this state does not have"
        )),
    })
}

fn stored_checkpoint(connection: &Connection, seq: i64) -> Result<Option<String>, Error> {
    connection.find(
        "SELECT metadata_json FROM audit_events WHERE seq = ?1 AND event_type = 'audit.signed_checkpoint'",
        [seq],
        first,
    )
}

/// Whether the chain says that there is a checkpoint file.
fn is_attached(connection: &Connection) -> Result<bool, Error> {
    connection.one(
        "SELECT EXISTS (SELECT 1 FROM audit_events WHERE event_type = ?1)",
        [CHECKPOINT_FILE],
        first,
    )
}

/// The last whole line; none of an empty file. What a crash left of a line does not count.
fn last_line(path: &Path) -> std::io::Result<Option<String>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
    let text = String::from_utf8_lossy(&tail[..whole]).into_owned();
    Ok(text.lines().last().map(str::to_owned))
}

/// Whether the file at `path` could be appended to; one that is not there yet is not made, but another next to it is, and
/// removed.
///
/// # Errors
/// `internal` naming the file.
pub fn try_checkpoint_file(path: &Path) -> Result<(), Error> {
    let failed =
        |e: std::io::Error| Error::internal(format!("checkpoint file {}", path.display()), e);
    if path.exists() {
        return OpenOptions::new()
            .append(true)
            .open(path)
            .map(drop)
            .map_err(failed);
    }
    let next = path.with_added_extension("try");
    File::create(&next)
        .and_then(|_| std::fs::remove_file(&next))
        .map_err(failed)
}

impl CheckpointFile {
    /// Opens the file for appending, and drops what a crash left of a last line.
    pub(super) fn open(
        path: &Path,
        written: i64,
        confirmed: bool,
    ) -> Result<CheckpointFile, Error> {
        let failed =
            |e: std::io::Error| Error::internal(format!("checkpoint file {}", path.display()), e);
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let from = size.saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(from)).map_err(failed)?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail).map_err(failed)?;
        let torn = tail.iter().rev().take_while(|b| **b != b'\n').count() as u64;
        if torn > 0 {
            file.set_len(size - torn).map_err(failed)?;
        }
        Ok(CheckpointFile {
            path: path.to_owned(),
            file,
            written,
            confirmed,
        })
    }

    /// Appends what the chain has and the file has not, up to the event `until`, and syncs it.
    fn complete(&mut self, connection: &Connection, until: i64) -> Result<(), Error> {
        loop {
            let mut rows = checkpoints_after(connection, self.written)?;
            rows.retain(|(seq, ..)| *seq <= until);
            let Some((last, ..)) = rows.last() else {
                return Ok(());
            };
            let last = *last;
            let mut text = String::new();
            for (_, metadata, at) in &rows {
                let mut line: Value = serde_json::from_str(metadata)
                    .map_err(|e| Error::internal("a checkpoint", e))?;
                line["created_at"] = json!(at);
                text.push_str(&line.to_string());
                text.push('\n');
            }
            self.file
                .write_all(text.as_bytes())
                .and_then(|()| self.file.sync_data())
                .map_err(|e| {
                    Error::internal(format!("checkpoint file {}", self.path.display()), e)
                })?;
            self.written = last;
        }
    }
}

/// Number, metadata and time of checkpoints after that event, oldest first.
fn checkpoints_after(
    connection: &Connection,
    seq: i64,
) -> Result<Vec<(i64, String, String)>, Error> {
    connection.list(
        "SELECT seq, metadata_json, created_at FROM audit_events WHERE event_type = ?1 AND seq > ?2 \
         ORDER BY seq LIMIT ?3",
        params![CHECKPOINT, seq, PAGE],
        tuple,
    )
}

/// Where a file goes that belongs to a state that was given up.
pub(super) fn set_aside(path: &Path, now: Timestamp) -> Result<(), Error> {
    if !path.exists() {
        return Ok(());
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", now.0));
    std::fs::rename(path, PathBuf::from(name))
        .map_err(|e| Error::internal(format!("checkpoint file {}", path.display()), e))
}

impl View<'_> {
    /// Whether the log says that a copy of every checkpoint is kept elsewhere.
    pub fn has_checkpoint_file(&self) -> Result<bool, Error> {
        is_attached(self.connection)
    }
}

impl Store {
    /// Says new checkpoints in the log and appends them to their file, after the COMMIT that holds them. What fails is
    /// tried again by the next commit; what the file misses, by the next start too.
    pub(super) fn tell_checkpoints(&self, connection: &Connection) {
        if let Err(error) = self.log_checkpoints(connection) {
            log::error!("checkpoints cannot be read: {error}");
        }
        let mut file = self
            .checkpoint_file
            .lock()
            .unwrap_or_else(|e| e.into_inner());
        if let Some(file) = file.as_mut()
            && let Err(error) = file.complete(connection, self.written_until(file.confirmed))
        {
            log::error!("{error}");
        }
    }

    /// Up to which event checkpoints may stand in their file. One that the second copy lacks may be of a change that
    /// nobody was acknowledged, and that is gone when this machine is.
    fn written_until(&self, confirmed: bool) -> i64 {
        match confirmed {
            true => self.copied_head().map_or(0, |head| head.seq),
            false => i64::MAX,
        }
    }

    /// Each as a line of a checkpoint file, so that one can be made of the log.
    fn log_checkpoints(&self, connection: &Connection) -> Result<(), Error> {
        let mut logged = self
            .checkpoints_logged
            .lock()
            .unwrap_or_else(|e| e.into_inner());
        for (seq, metadata, at) in checkpoints_after(connection, *logged)? {
            if let Some(checkpoint) = Checkpoint::read(&metadata) {
                log::info!("audit checkpoint: {}", checkpoint.line(&at));
            }
            *logged = seq;
        }
        Ok(())
    }
}

impl StartChecks {
    /// What is known of the checkpoint file, where there is one to be held against.
    pub(super) fn examine(
        &self,
        connection: &Connection,
        keys: &AuditKeys,
    ) -> Result<Option<Found>, Error> {
        let Some(path) = &self.checkpoint_file else {
            return Ok(None);
        };
        let found = examine(connection, keys, path)?;
        match &found {
            Found::Missing(_) if self.fetched => Ok(Some(found)),
            // Such a copy may lack the last changes, and says so.
            Found::Rollback(_) if self.fetched && !self.confirmed => Ok(Some(found)),
            Found::Missing(what) | Found::Rollback(what) if self.accept_rollback.is_none() => {
                Err(differs(format!(
                    "it is older than what was acknowledged: {what}"
                ))
                .hint(
                    "restore the newest state; where there is none, start once with --accept-rollback REASON, which is audited",
                ))
            }
            _ => Ok(Some(found)),
        }
    }
}

impl StartChecks {
    /// What the log says of a start with a state from before signed heads.
    ///
    /// # Errors
    /// `state_differs` where no reason is given.
    pub(super) fn accept_unproved(&self) -> Result<LogChange, Error> {
        let found = "it is from before signed heads, and nothing proves its rows";
        match &self.accept_rollback {
            Some(reason) => Ok(LogChange::RollbackAccepted {
                reason: reason.clone(),
                found: found.to_owned(),
            }),
            None => Err(Error::new(
                ErrorKind::Internal,
                STATE_DIFFERS,
                format!("the state file has no signed head: {found}"),
            )
            .hint("where it is yours, start once with --accept-rollback REASON, which is audited")),
        }
    }
}

impl Store {
    /// Says in the log that there is such a file, and completes it.
    pub(super) fn attach_checkpoint_file(
        &self,
        path: &Path,
        found: Found,
        checks: &StartChecks,
    ) -> Result<(), Error> {
        let mut changes = vec![LogChange::CheckpointFileAttached.into()];
        let written = match found {
            Found::New => 0,
            Found::Current(seq) => seq,
            Found::Missing(_) if checks.fetched => 0,
            Found::Missing(found) | Found::Rollback(found) => {
                set_aside(path, self.now())?;
                let fetched = || "the state is a copy that answers do not wait for".to_owned();
                let reason = checks.accept_rollback.clone().unwrap_or_else(fetched);
                changes.insert(0, LogChange::RollbackAccepted { reason, found }.into());
                0
            }
        };
        let mut file = CheckpointFile::open(path, written, checks.confirmed)?;
        self.change(Actor::system(), move |_, _| Ok(Verdict::Write(changes, ())))?;
        // Whatever is started can be missed: there is a line from the first start on.
        let (keys, now) = (Arc::clone(&self.audit_keys), self.now());
        self.bookkeep_routed(move |connection, routes| {
            checkpoint_now(connection, &keys, now, routes)
        })?;
        file.complete(&self.lock(), self.written_until(checks.confirmed))?;
        *self
            .checkpoint_file
            .lock()
            .unwrap_or_else(|e| e.into_inner()) = Some(file);
        Ok(())
    }
}
