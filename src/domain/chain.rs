//! The chain of events, walked from a place that is known to an end that is signed: event by event, with the signed
//! checkpoints in it, the proof of a removed prefix, and the checkpoints that somebody kept elsewhere.

use super::audit::{
    CHECKPOINT, CREATED_AT_FIELD, Checkpoint, EVENT_TYPE_FIELD, HASHED_FIELDS, METADATA_FIELD,
    PREV_HASH_FIELD, PURGE, Purge, event_hash,
};
use crate::crypto::PublicKey;

/// An event as it is hashed, with its place and its hash.
#[derive(Debug, Clone, Copy)]
pub struct ChainedEvent<'a> {
    /// Its number, dense from 1.
    pub seq: i64,
    /// In the order of [`super::audit::FIELD_NAMES`]; empty for null.
    pub fields: [&'a str; HASHED_FIELDS],
    pub hash: &'a str,
}

impl<'a> ChainedEvent<'a> {
    pub fn id(&self) -> &'a str {
        self.fields[0]
    }

    /// Its time, as it is hashed.
    pub fn created_at(&self) -> &'a str {
        self.fields[CREATED_AT_FIELD]
    }
}

/// Where a walk begins: after the event of that number and hash. 0 and an empty text before the first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChainStart {
    pub seq: i64,
    pub hash: String,
}

/// Public keys by id.
pub type KeyLookup<'a> = dyn Fn(&str) -> Option<PublicKey> + 'a;

/// Lines of a checkpoint file, oldest first; an error says in words why there are no more.
pub type KeptLines<'a> = Box<dyn Iterator<Item = Result<String, String>> + 'a>;

pub struct ChainWalk<'a> {
    key: &'a KeyLookup<'a>,
    /// Number and hash of the last event that holds.
    pub at: ChainStart,
    /// The purge after which the log begins.
    purge: Option<Purge>,
    /// Whether the event that tells of it has been seen.
    reported: bool,
    kept: Option<KeptLines<'a>>,
    /// The next kept checkpoint, and its time.
    due: Option<(Checkpoint, String)>,
    buffer: Vec<u8>,
}

impl<'a> ChainWalk<'a> {
    /// A walk from `start` on; `purge` is the proof that nothing has to come before it, where it is needed.
    pub fn new(key: &'a KeyLookup<'a>, start: ChainStart, purge: Option<Purge>) -> ChainWalk<'a> {
        ChainWalk {
            key,
            at: start,
            reported: purge.is_none(),
            purge,
            kept: None,
            due: None,
            buffer: Vec::with_capacity(1024),
        }
    }

    /// Holds every checkpoint of the walk against those that were kept; those before its start are not compared.
    ///
    /// # Errors
    /// Why the first of them cannot be read, in words.
    pub fn hold_against(&mut self, kept: KeptLines<'a>) -> Result<(), String> {
        self.kept = Some(kept);
        let start = self.at.seq;
        while self.take_kept()? && self.due_seq().is_some_and(|seq| seq <= start) {}
        Ok(())
    }

    /// Reads the next kept checkpoint; whether there is one.
    fn take_kept(&mut self) -> Result<bool, String> {
        self.due = match self.kept.as_mut().and_then(Iterator::next) {
            None => None,
            Some(line) => Some(
                Checkpoint::read_line(&line?)
                    .ok_or("a line of the checkpoint file is not a checkpoint")?,
            ),
        };
        Ok(self.due.is_some())
    }

    /// The number of the event that the next kept checkpoint is.
    fn due_seq(&self) -> Option<i64> {
        self.due.as_ref().map(|(c, _)| c.count.saturating_add(1))
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn next(&mut self, event: &ChainedEvent) -> Result<(), String> {
        self.proof(event)?;
        if event.seq != self.at.seq.saturating_add(1) {
            return Err(format!("number {} after {}", event.seq, self.at.seq));
        }
        if event.fields[PREV_HASH_FIELD] != self.at.hash {
            return Err("does not name the event before it".to_owned());
        }
        if event_hash(&event.fields, &mut self.buffer) != event.hash {
            return Err("its hash is not the hash of its fields".to_owned());
        }
        let checkpoint = event.fields[EVENT_TYPE_FIELD] == CHECKPOINT;
        if checkpoint {
            self.checkpoint(event)?;
        }
        if self.due_seq().is_some_and(|seq| seq <= event.seq) {
            self.kept(event, checkpoint)?;
        }
        self.at.seq = event.seq;
        self.at.hash.clear();
        self.at.hash.push_str(event.hash);
        Ok(())
    }

    /// The proof of what is gone: signed by a known key, the first event after it is a checkpoint, which says how many
    /// came before, and a later one records it.
    fn proof(&mut self, event: &ChainedEvent) -> Result<(), String> {
        let Some(purge) = &self.purge else {
            return Ok(());
        };
        if event.seq == purge.bound_seq.saturating_add(1) {
            let key = (self.key)(&purge.key_id)
                .ok_or_else(|| format!("purged by the unknown key {}", purge.key_id))?;
            if !purge.is_valid(&key) {
                return Err("the signature of the purge before it does not hold".to_owned());
            }
            if event.fields[EVENT_TYPE_FIELD] != CHECKPOINT {
                return Err("the first event after a purge is not a checkpoint".to_owned());
            }
        }
        if event.seq == purge.event_seq() {
            let described = event.fields[EVENT_TYPE_FIELD] == PURGE
                && purge.is_described_by(event.fields[METADATA_FIELD]);
            if !described {
                return Err("it does not tell of the purge that was made with it".to_owned());
            }
            self.reported = true;
        }
        Ok(())
    }

    fn checkpoint(&self, event: &ChainedEvent) -> Result<(), String> {
        let checkpoint = Checkpoint::read(event.fields[METADATA_FIELD])
            .ok_or("a checkpoint without its facts")?;
        let key = (self.key)(&checkpoint.key_id)
            .ok_or_else(|| format!("signed by the unknown key {}", checkpoint.key_id))?;
        let (hash, seq) = (&self.at.hash, self.at.seq);
        match checkpoint.is_valid(hash, seq, event.created_at(), &key) {
            true => Ok(()),
            false => Err("its checkpoint signature does not hold".to_owned()),
        }
    }

    /// Compares the event with the kept checkpoint that is due.
    fn kept(&mut self, event: &ChainedEvent, checkpoint: bool) -> Result<(), String> {
        let same = self.due.as_ref().is_some_and(|(kept, at)| {
            checkpoint
                && Checkpoint::read(event.fields[METADATA_FIELD]).as_ref() == Some(kept)
                && at == event.created_at()
        });
        if !same {
            return Err("it is not what the checkpoint file says of it".to_owned());
        }
        self.take_kept()?;
        Ok(())
    }

    /// What is missing at the end, in words.
    pub fn end(&self) -> Option<String> {
        if !self.reported {
            return Some("no event tells of the last purge".to_owned());
        }
        self.due_seq().map(|seq| {
            format!(
                "the log ends at event {}, and the checkpoint file goes to event {seq}: it was rolled back",
                self.at.seq
            )
        })
    }
}
