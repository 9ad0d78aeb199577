//! Proves the schema of a state file and its audit log: the chain event by event, its signed checkpoints and its head,
//! that the moves it records are the ones the requests made, that every row that an event accounts for is as it says, and
//! the sums of the live rows.

mod differences;
mod moves;
mod people;
mod rows;

pub(super) use differences::{Differences, RowDifference, RowOwner};
pub(super) use rows::{RequestScope, columns_differ, missing_requests};

use super::chain::walk_chain;
use super::live::{LiveState, differing_sums, instance, read_head};
use super::migrate::{applied, head_purpose};
use super::query::{RunStatement, tuple};
use super::row_columns::{ReadColumn, columns};
use super::schema::differing_schema;
use super::state_file::STATE_DIFFERS;
use super::{Store, read_only};
use crate::clock::Timestamp;
use crate::crypto::Keypair;
use crate::domain::audit::Purge;
use crate::domain::chain::{ChainStart, ChainWalk, ChainedEvent, KeptLines, KeyLookup};
use crate::domain::head::SignedHead;
use crate::error::Error;
use rusqlite::Connection;
use std::path::Path;

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub valid: bool,
    /// Events examined, the broken one included.
    pub total_events: i64,
    /// The first event that does not hold.
    pub first_broken_id: Option<String>,
    /// What is wrong, for the log and the command line.
    pub problem: Option<String>,
    /// Whether the sums of the live rows were compared, for which the audit key is needed.
    pub live_compared: bool,
    /// Requests that were found to be corrupt and that nothing comes of any more: of their rows, only the sums are
    /// compared. How many, and the first of them by id.
    pub frozen: (i64, Vec<String>),
}

columns! {
    enum PurgeColumn of "audit_purges" from "audit_purges p" {
        Bound = "p.bound_seq",
        LastHash = "p.last_hash",
        Before = "p.purged_before",
        Retained = "p.retained",
        KeyId = "p.key_id",
        Signature = "p.signature",
    }
    NEWEST = "ORDER BY p.id DESC LIMIT 1";
}

/// Frozen requests that a verification names.
const FROZEN_NAMED_MAX: i64 = 100;

/// What is wrong, and the event that says otherwise.
type Difference = Option<(Option<String>, String)>;

/// What a file is verified with.
pub struct VerifyKeys<'a> {
    pub public: &'a KeyLookup<'a>,
    /// What the sums of the live rows are keyed with; without it they are not compared.
    pub live: Option<[u8; 32]>,
}

impl<'a> VerifyKeys<'a> {
    /// Public keys alone, or with the audit key.
    pub fn new(public: &'a KeyLookup<'a>, audit: Option<&Keypair>) -> VerifyKeys<'a> {
        VerifyKeys {
            public,
            live: audit.map(super::live_key),
        }
    }
}

/// Verifies the database file at `path` through a connection of its own that cannot write, so that a long
/// verification holds nobody up; against the lines of a checkpoint file where there are some.
///
/// # Errors
/// `internal` when the file cannot be read at all; `validation_error` for a checkpoint file that cannot.
pub fn verify_chain(
    path: &Path,
    keys: &VerifyKeys,
    kept: Option<KeptLines>,
) -> Result<Verified, Error> {
    let connection = read_only(path)?;
    let mut verified = Verified {
        valid: false,
        total_events: 0,
        first_broken_id: None,
        problem: None,
        live_compared: false,
        frozen: frozen(&connection)?,
    };
    let found = match compare(&connection, keys, kept, &mut verified) {
        // What cannot be read of the head is a difference, and no failure of ours.
        Err(e) if e.code() == STATE_DIFFERS => Some((None, e.reason())),
        found => found?,
    };
    match found {
        None => verified.valid = true,
        Some((id, problem)) => {
            verified.first_broken_id = id;
            verified.problem = Some(problem);
        }
    }
    Ok(verified)
}

/// The first difference: in the schema, in the chain, then at its end, then between the chain and everything else.
fn compare(
    connection: &Connection,
    keys: &VerifyKeys,
    kept: Option<KeptLines>,
    verified: &mut Verified,
) -> Result<Difference, Error> {
    if let Some(what) = differing_schema(connection)? {
        return Ok(Some((None, what)));
    }
    let purge = last_purge(connection)?;
    let bound = purge.as_ref().map_or(0, |p| p.bound_seq);
    // What stands before the bound may be gone, or on its way.
    let start = ChainStart {
        seq: bound,
        hash: purge
            .as_ref()
            .map(|p| p.last_hash.clone())
            .unwrap_or_default(),
    };
    let mut walk = ChainWalk::new(keys.public, start, purge);
    if let Some(kept) = kept {
        walk.hold_against(kept).map_err(Error::invalid)?;
    }
    let mut found = None;
    walk_chain(connection, bound, |event| {
        verified.total_events += 1;
        found = match event {
            Err((id, problem)) => Some((Some(id), format!("unreadable: {problem}"))),
            Ok((event, at)) => step(&mut walk, &event, at)
                .err()
                .map(|problem| (Some(event.id().to_owned()), problem)),
        };
        found.is_none()
    })?;
    if found.is_some() {
        return Ok(found);
    }
    if let Some(problem) = walk.end() {
        return Ok(Some((None, problem)));
    }
    let signed = match head(connection, keys, &walk)? {
        FoundHead::Valid(signed) => signed,
        FoundHead::Invalid(problem) => return Ok(Some((None, problem))),
    };
    if let Some(found) = moves::differ(connection, bound)? {
        return Ok(Some(found));
    }
    let mut first = Differences::up_to(1);
    rows_differ(connection, bound, RequestScope::All, &mut first)?;
    if let Some(row) = first.found.pop() {
        let problem = row.to_string();
        return Ok(Some((row.event, problem)));
    }
    let Some(key) = keys.live else {
        return Ok(None);
    };
    verified.live_compared = true;
    live_differs(connection, &signed, &key, verified.frozen.0)
}

/// Rows that differ from the events after number `bound`.
pub(super) fn rows_differ(
    connection: &Connection,
    bound: i64,
    scope: RequestScope,
    differences: &mut Differences,
) -> Result<(), Error> {
    rows::requests(connection, scope, differences)?;
    people::tokens(connection, bound, differences)?;
    people::users(connection, bound, differences)
}

/// How many requests are frozen, and the first of them.
fn frozen(connection: &Connection) -> Result<(i64, Vec<String>), Error> {
    let frozen = "SELECT id, count(*) OVER () FROM requests WHERE corrupt_seq IS NOT NULL ORDER BY id LIMIT ?1";
    let rows: Vec<(String, i64)> = connection.list(frozen, [FROZEN_NAMED_MAX], tuple)?;
    let total = rows.first().map_or(0, |(_, n)| *n);
    Ok((total, rows.into_iter().map(|(id, _)| id).collect()))
}

fn step(walk: &mut ChainWalk, event: &ChainedEvent, at: Timestamp) -> Result<(), String> {
    walk.next(event)?;
    // Retention reads the column, which is not hashed.
    match Timestamp::parse(event.created_at()) == Some(at) {
        true => Ok(()),
        false => Err("its time is not the hashed one".to_owned()),
    }
}

/// The signed head, as a verification finds it.
enum FoundHead {
    /// Signed, and for the end of the chain.
    Valid(SignedHead),
    Invalid(String),
}

/// The signed head, held against the end of the chain.
fn head(connection: &Connection, keys: &VerifyKeys, walk: &ChainWalk) -> Result<FoundHead, Error> {
    let Some(signed) = read_head(connection)? else {
        return Ok(FoundHead::Invalid("the signed head is missing".to_owned()));
    };
    if signed.head.seq != walk.at.seq || signed.head.hash != walk.at.hash {
        return Ok(FoundHead::Invalid(format!(
            "the log ends at {}, and its signed head is {}",
            walk.at.seq, signed.head.seq
        )));
    }
    let instance = instance(connection)?;
    let purpose = head_purpose(applied(connection)?);
    let valid =
        (keys.public)(&signed.key_id).is_some_and(|key| signed.is_valid(purpose, &instance, &key));
    Ok(match valid {
        true => FoundHead::Valid(signed),
        false => FoundHead::Invalid("the signature of the head does not hold".to_owned()),
    })
}

/// The tables whose live rows do not have the sums that the head names. The head must have been found valid: it names
/// the statements that are run.
fn live_differs(
    connection: &Connection,
    signed: &SignedHead,
    key: &[u8; 32],
    frozen: i64,
) -> Result<Difference, Error> {
    let live = LiveState::new(key);
    live.register(connection)?;
    let tables = differing_sums(connection, &live, signed)?;
    Ok((!tables.is_empty()).then(|| {
        let tables = tables.join(", ");
        let frozen = match frozen {
            0 => String::new(),
            n => format!("of the frozen requests ({n}), or of others: "),
        };
        let problem = format!("{frozen}rows of {tables} are not those of the signed head");
        (None, problem)
    }))
}

/// The newest bound: everything up to it may be gone.
pub(super) fn last_purge(connection: &Connection) -> Result<Option<Purge>, Error> {
    use PurgeColumn as C;
    connection.find(NEWEST, [], |r| {
        Ok(Purge {
            bound_seq: r.column(C::Bound)?,
            last_hash: r.column(C::LastHash)?,
            purged_before: r.column(C::Before)?,
            retained: r.column(C::Retained)?,
            key_id: r.column(C::KeyId)?,
            signature: r.column(C::Signature)?,
        })
    })
}

impl Store {
    /// Verifies this store's own file.
    pub fn verify(&self, path: &Path) -> Result<Verified, Error> {
        let public = |id: &str| self.audit_key(id);
        let keys = VerifyKeys::new(&public, Some(&self.audit_keys.current));
        let verified = verify_chain(path, &keys, None)?;
        if let Some(problem) = &verified.problem {
            log::error!("the audit log does not verify: {problem}");
        }
        Ok(verified)
    }
}
