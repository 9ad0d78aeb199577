//! `audit verify` and `audit export` without a server: of a state file, and of an export on any machine.
//!
//! Exit codes: 0 it holds, 1 it does not, 2 it could not be tried.

use super::Failure;
use super::command_error::CommandError;
use super::output::{OutputOptions, Screen, visible};
use crate::clock::Timestamp;
use crate::crypto::{Keypair, PublicKey, hex, random, unhex};
use crate::domain::chain::KeptLines;
use crate::error::{Error, counted};
use crate::export::{VerifiedExport, verify_export};
use crate::server::state::{AUDIT_KEY, AUDIT_KEYS, read_keys};
use crate::store::{ExportSince, Verified, VerifyKeys, export_events, verify_chain};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Longest line of a checkpoint file, in bytes; ours are below half of one.
const CHECKPOINT_LINE_BYTES_MAX: u64 = 4096;
/// Bytes of a file of public keys that are read.
const KEYS_BYTES_MAX: u64 = 1 << 20;
const NOT_TRIED: u8 = 2;
/// The export holds, and nothing proves what came before it. As docs/verify_export.py ends.
const ONLY_A_PART: u8 = 3;

/// What is verified without a server.
#[derive(Debug, clap::Args)]
pub struct OfflineProof {
    /// A state file, of a stopped or of a running server
    #[arg(long, value_name = "FILE", conflicts_with_all = ["export", "server"])]
    db: Option<PathBuf>,
    /// An export, on any machine
    #[arg(
        long,
        value_name = "FILE",
        requires = "public_key",
        conflicts_with = "server"
    )]
    export: Option<PathBuf>,
    /// Public keys of the log: audit-keys.json of its state_dir, or one key in hexadecimal [default: audit-keys.json
    /// next to --db]
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// The audit key, without which live rows are not compared [default: audit-signing.key next to --db]
    #[arg(long, value_name = "FILE", requires = "db")]
    key_file: Option<PathBuf>,
    /// The export is meant to be a part of the log: do not end with 3 for that
    #[arg(long, requires = "export")]
    part: bool,
    /// A checkpoint file: every checkpoint in it must be in the log
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
}

impl OfflineProof {
    /// Whether anything but a server was named.
    pub fn is_asked(&self) -> bool {
        self.db.is_some()
            || self.export.is_some()
            || self.checkpoint.is_some()
            || self.public_key.is_some()
    }

    /// Verifies, and prints what was found. Returns the exit code.
    pub(super) fn run(&self, output: &OutputOptions) -> Result<u8, Failure> {
        let screen = Screen::new(output, None);
        let mut code = 0;
        let (valid, json, sentence) = match (&self.db, &self.export) {
            (Some(db), _) => {
                let verified = self.file(db).map_err(|e| not_tried(&e))?;
                (verified.valid, file_json(&verified), file_words(&verified))
            }
            (None, Some(export)) => {
                let verified = self.lines(export).map_err(|e| not_tried(&e))?;
                if !verified.from_beginning && !self.part {
                    code = ONLY_A_PART;
                }
                (
                    verified.valid,
                    export_json(&verified),
                    export_words(&verified),
                )
            }
            (None, None) => {
                return Err(not_tried(
                    "`--checkpoint` and `--public-key` need `--db` or `--export`",
                ));
            }
        };
        let quiet = if valid { "valid" } else { "invalid" };
        screen
            .done(&json.to_string(), &sentence, quiet)
            .map_err(|e| not_tried(&e))?;
        Ok(if valid { code } else { 1 })
    }

    fn file(&self, db: &Path) -> Result<Verified, String> {
        let beside = |name: &str| db.with_file_name(name);
        let keys = public_keys(
            &self
                .public_key
                .clone()
                .unwrap_or_else(|| beside(AUDIT_KEYS)),
        )?;
        let audit = match &self.key_file {
            Some(path) => Some(
                Keypair::load(path)
                    .map_err(sentence)?
                    .ok_or_else(|| format!("{}: there is no such file", path.display()))?,
            ),
            None => Keypair::load(&beside(AUDIT_KEY)).map_err(sentence)?,
        };
        let public = |id: &str| keys.get(id).copied();
        let keys = VerifyKeys::new(&public, audit.as_ref());
        verify_chain(db, &keys, self.kept()?).map_err(sentence)
    }

    fn lines(&self, export: &Path) -> Result<VerifiedExport, String> {
        let failed = |e: io::Error| format!("{}: {e}", export.display());
        let keys = public_keys(self.public_key.as_deref().unwrap_or(Path::new(AUDIT_KEYS)))?;
        let read = BufReader::new(File::open(export).map_err(failed)?);
        let public = |id: &str| keys.get(id).copied();
        verify_export(read, &public, self.kept()?).map_err(failed)
    }

    /// The lines of the checkpoint file. What a crash left of a last line does not count.
    fn kept(&self) -> Result<Option<KeptLines<'static>>, String> {
        let Some(path) = self.checkpoint.clone() else {
            return Ok(None);
        };
        let mut read =
            BufReader::new(File::open(&path).map_err(|e| format!("{}: {e}", path.display()))?);
        Ok(Some(Box::new(std::iter::from_fn(move || {
            let mut line = String::new();
            let read = Read::take(&mut read, CHECKPOINT_LINE_BYTES_MAX).read_line(&mut line);
            match read {
                Err(e) => Some(Err(format!("{}: {e}", path.display()))),
                Ok(_) => line.strip_suffix('\n').map(|line| Ok(line.to_owned())),
            }
        }))))
    }
}

fn not_tried(why: &str) -> Failure {
    Failure::new(why, NOT_TRIED)
}

fn sentence(error: Error) -> String {
    super::demo::sentence(&error)
}

/// The keys of a file: those of an `audit-keys.json`, or one in hexadecimal.
fn public_keys(path: &Path) -> Result<BTreeMap<String, PublicKey>, String> {
    let shown = path.display();
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(KEYS_BYTES_MAX).read_to_string(&mut text))
        .map_err(|e| format!("public keys {shown}: {e}"))?;
    let one = || {
        let key = PublicKey::from_bytes(&unhex(text.trim())?)?;
        Some(BTreeMap::from([(key.id(), key)]))
    };
    read_keys(&text).or_else(one).ok_or_else(|| {
        format!(
            "{shown} holds no public keys: it must be an audit-keys.json, or one key in hexadecimal"
        )
    })
}

fn file_json(verified: &Verified) -> serde_json::Value {
    json!({
        "valid": verified.valid,
        "total_events": verified.total_events,
        "first_broken_id": verified.first_broken_id,
        "problem": verified.problem,
        "live_state": if verified.live_compared { "compared" } else { "not_compared" },
        "frozen_total": verified.frozen.0,
        "frozen_requests": verified.frozen.1,
    })
}

fn broken_words(what: &str, id: Option<&str>, problem: Option<&str>) -> String {
    let id = id.map_or_else(String::new, |id| format!(" at event {}", visible(id)));
    format!(
        "The {what} does not hold{id}: {}.",
        visible(problem.unwrap_or_default())
    )
}

fn file_words(verified: &Verified) -> String {
    if !verified.valid {
        return broken_words(
            "audit log",
            verified.first_broken_id.as_deref(),
            verified.problem.as_deref(),
        );
    }
    let live = match verified.live_compared {
        true => "",
        false => " Live rows were not compared: that needs the audit key.",
    };
    format!(
        "The audit log holds: {}.{}{live}",
        counted(verified.total_events, "event"),
        frozen_words(verified.frozen.0)
    )
}

/// What is known already and does not make a log invalid.
pub(super) fn frozen_words(total: i64) -> String {
    match total {
        0 => String::new(),
        1 => " One request is frozen: see its event request.corrupt.".to_owned(),
        n => format!(" {n} requests are frozen: see their events request.corrupt."),
    }
}

fn export_json(verified: &VerifiedExport) -> serde_json::Value {
    json!({
        "valid": verified.valid,
        "total_events": verified.total_events,
        "first_broken_id": verified.first_broken_id,
        "problem": verified.problem,
        "instance": verified.instance,
        "after": verified.after,
        "after_hash": verified.after_hash,
        "from_beginning": verified.from_beginning,
        "last": verified.last,
        "last_hash": verified.last_hash,
    })
}

fn export_words(verified: &VerifiedExport) -> String {
    if !verified.valid {
        return broken_words(
            "export",
            verified.first_broken_id.as_deref(),
            verified.problem.as_deref(),
        );
    }
    let before = match (verified.after, verified.from_beginning) {
        (0, _) => String::new(),
        (after, true) => format!(" What came before, to event {after}, was removed by retention."),
        (after, false) => format!(" It says nothing of what came before, to event {after}."),
    };
    format!(
        "The export holds: {} to number {}, of the database {}.{before}",
        counted(verified.total_events, "event"),
        verified.last,
        visible(&verified.instance)
    )
}

/// Exports the state file at `db`.
pub(super) fn export_file(
    db: &Path,
    since: Option<&str>,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let since = match since {
        None => ExportSince::Beginning,
        Some(text) => ExportSince::parse(text).ok_or_else(|| {
            CommandError::new(format!(
                "`{}` is neither the number of an event nor a time like {}",
                visible(text),
                Timestamp(0).rfc3339()
            ))
        })?,
    };
    export_events(db, since, None, out).map_err(|e| match e.hint_text() {
        Some(hint) => CommandError::new(super::demo::sentence(&e)).hint(hint),
        None => CommandError::new(super::demo::sentence(&e)),
    })
}

/// Gives `write` standard output, or a new file that only its owner may read and that gets its name once it is whole.
pub(super) fn written(
    file: Option<&Path>,
    write: impl FnOnce(&mut dyn Write) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let Some(path) = file else {
        let mut out = BufWriter::new(io::stdout().lock());
        write(&mut out)?;
        return out.flush().map_err(|e| CommandError::new(e.to_string()));
    };
    let failed = |e: io::Error| CommandError::new(format!("{}: {e}", path.display()));
    let temporary = path.with_extension(format!("tmp-{}", hex(&random::<4>())));
    let part = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(failed)?;
    let mut out = BufWriter::new(part);
    let done = write(&mut out)
        .and_then(|()| out.flush().map_err(failed))
        .and_then(|()| out.get_ref().sync_all().map_err(failed))
        .and_then(|()| fs::rename(&temporary, path).map_err(failed));
    if done.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    done
}
