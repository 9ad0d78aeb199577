//! Proves an export line by line, in constant memory: every event is chained to the one before, and the end to a head
//! that a known key signed.

use super::lines::{EventLine, HeadLine, StartLine};
use super::{EXPORT_FORM, ExportStart};
use crate::domain::chain::{ChainWalk, KeptLines, KeyLookup};
use crate::domain::head::HeadPurpose;
use std::io::{self, BufRead, Read};

/// Longest line that is read, in bytes: many times the longest statement with its metadata.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// What an export proves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifiedExport {
    pub valid: bool,
    /// The id of the database that it is of.
    pub instance: String,
    /// It begins after the event of this number: 0, or the last one that retention had removed. Of any other, what comes
    /// before is in another export.
    pub after: i64,
    pub after_hash: String,
    /// Whether nothing is missing before it: it begins with the log, or with the proof of what was removed.
    pub from_beginning: bool,
    /// Number and hash of the last event that holds.
    pub last: i64,
    pub last_hash: String,
    /// Events examined, the broken one included.
    pub total_events: i64,
    /// The first event that does not hold.
    pub first_broken_id: Option<String>,
    /// What is wrong, in words.
    pub problem: Option<String>,
}

/// Verifies the lines of `read` with the public keys of `key`, against those of a checkpoint file where there are some.
///
/// # Errors
/// Only what `read` says: whatever is wrong with the lines is in what is returned.
pub fn verify_export(
    mut read: impl BufRead,
    key: &KeyLookup,
    kept: Option<KeptLines>,
) -> io::Result<VerifiedExport> {
    let mut proof = ExportProof {
        key,
        kept,
        stage: Stage::Nothing,
        begun: false,
        verified: VerifiedExport::default(),
    };
    let mut line = Vec::new();
    let mut number: u64 = 0;
    let problem = loop {
        line.clear();
        number += 1;
        let bytes = Read::take(&mut read, LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if bytes == 0 {
            break proof.end();
        }
        let taken = match line.strip_suffix(b"\n") {
            Some(line) => proof.take(line),
            None => Err("it breaks off".to_owned()),
        };
        if let Err(problem) = taken {
            break Some(format!("line {number}: {problem}"));
        }
    };
    let mut verified = proof.verified;
    verified.valid = problem.is_none();
    verified.problem = problem;
    Ok(verified)
}

struct ExportProof<'a> {
    key: &'a KeyLookup<'a>,
    kept: Option<KeptLines<'a>>,
    stage: Stage<'a>,
    /// Whether the last line was one that begins.
    begun: bool,
    verified: VerifiedExport,
}

enum Stage<'a> {
    Nothing,
    /// Between a line that begins and a head.
    Events(ChainWalk<'a>),
    /// After a head, where nothing may follow but another export that begins there.
    Ended(ChainWalk<'a>),
}

impl<'a> ExportProof<'a> {
    fn take(&mut self, line: &[u8]) -> Result<(), String> {
        match line {
            line if line.starts_with(b"{\"seq\":") => self.event(line),
            line if line.starts_with(b"{\"export\":") => self.start(line),
            line if line.starts_with(b"{\"head\":") => self.head(line),
            _ => Err("it is not a line of an export".to_owned()),
        }
    }

    fn start(&mut self, line: &[u8]) -> Result<(), String> {
        let read: StartLine = parsed(line)?;
        if read.export != EXPORT_FORM {
            return Err(format!("it is of another form than {EXPORT_FORM}"));
        }
        let start = read.into_start();
        let walk = match std::mem::replace(&mut self.stage, Stage::Nothing) {
            Stage::Nothing => self.begin(start)?,
            // Pages of one export may stand in a file as they came, each with where it begins.
            Stage::Events(walk) | Stage::Ended(walk) => {
                let follows = !self.begun
                    && start.after == walk.at
                    && start.purge.is_none()
                    && start.instance == self.verified.instance;
                if !follows {
                    return Err(format!(
                        "it begins after event {} where what is before it ends at {}",
                        start.after.seq, walk.at.seq
                    ));
                }
                walk
            }
        };
        self.stage = Stage::Events(walk);
        self.begun = true;
        Ok(())
    }

    fn begin(&mut self, start: ExportStart) -> Result<ChainWalk<'a>, String> {
        let verified = &mut self.verified;
        verified.instance = start.instance;
        verified.after = start.after.seq;
        verified.last = start.after.seq;
        verified.after_hash.clone_from(&start.after.hash);
        verified.last_hash.clone_from(&start.after.hash);
        verified.from_beginning = start.after.seq == 0 || start.purge.is_some();
        let mut walk = ChainWalk::new(self.key, start.after, start.purge);
        if let Some(kept) = self.kept.take() {
            walk.hold_against(kept)?;
        }
        Ok(walk)
    }

    fn event(&mut self, line: &[u8]) -> Result<(), String> {
        self.verified.total_events += 1;
        self.begun = false;
        let Stage::Events(walk) = &mut self.stage else {
            return Err("an event outside an export".to_owned());
        };
        let event: EventLine = parsed(line)?;
        let taken = match event.chained(|chained| walk.next(chained)) {
            Ok(taken) => taken,
            Err(field) => Err(format!("its `{field}` is an empty text instead of null")),
        };
        match taken {
            Ok(()) => {
                self.verified.last = walk.at.seq;
                self.verified.last_hash.clone_from(&walk.at.hash);
                Ok(())
            }
            Err(problem) => {
                self.verified.first_broken_id = Some(event.id().to_owned());
                Err(format!("event {}: {problem}", event.seq))
            }
        }
    }

    fn head(&mut self, line: &[u8]) -> Result<(), String> {
        let Stage::Events(walk) = std::mem::replace(&mut self.stage, Stage::Nothing) else {
            return Err("a head outside an export".to_owned());
        };
        let signed = parsed::<HeadLine>(line)?.into_signed();
        if signed.head.seq != walk.at.seq || signed.head.hash != walk.at.hash {
            return Err(format!(
                "the events end at {}, and the signed head is {}",
                walk.at.seq, signed.head.seq
            ));
        }
        let key = (self.key)(&signed.key_id)
            .ok_or_else(|| format!("the head is signed by the unknown key {}", signed.key_id))?;
        if !signed.is_valid(HeadPurpose::End, &self.verified.instance, &key) {
            return Err("the signature of the head does not hold".to_owned());
        }
        self.stage = Stage::Ended(walk);
        self.begun = false;
        Ok(())
    }

    /// What is missing after the last line.
    fn end(&self) -> Option<String> {
        match &self.stage {
            Stage::Nothing => Some("it is empty".to_owned()),
            Stage::Events(_) => Some("it ends without a signed head: it was cut".to_owned()),
            Stage::Ended(walk) => walk.end(),
        }
    }
}

/// A line as JSON. The message names the place only: the text around it may be anything.
fn parsed<'l, T: serde::Deserialize<'l>>(line: &'l [u8]) -> Result<T, String> {
    serde_json::from_slice(line)
        .map_err(|e| format!("not as an export writes it (column {})", e.column()))
}
