//! The signed head in the file, and what a start proves by it before anything is served: that the chain ends where the
//! head says, and that the live rows have the sums it names.

use super::{LiveState, attach, recipe, sum_rows};
use crate::crypto::sha256_hex;
use crate::domain::head::{Head, HeadPurpose, SignedHead, Sum};
use crate::error::{Error, counted};
use crate::store::AuditKeys;
use crate::store::migrate::{HEADS, applied, head_purpose};
use crate::store::query::{RunStatement, first, tuple};

use crate::store::row_columns::{ReadColumn, columns};
use crate::store::state_file::{differs, has_table};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use std::sync::LazyLock;

const WRITE: &str = "INSERT INTO audit_head (id, seq, event_hash, recipe_sha256, sums_json, key_id, signature) \
     VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, \
     event_hash = excluded.event_hash, recipe_sha256 = excluded.recipe_sha256, sums_json = excluded.sums_json, \
     key_id = excluded.key_id, signature = excluded.signature";

columns! {
    enum HeadColumn of "audit_head" from "audit_head h" {
        Seq = "h.seq",
        Hash = "h.event_hash",
        Recipe = "h.recipe_sha256",
        Sums = "h.sums_json",
        KeyId = "h.key_id",
        Signature = "h.signature",
    }
    HEAD = "WHERE h.id = 1";
}

/// SHA-256 of the recipe of this version: every head names it, so it is computed once and not with each commit.
static RECIPE_SHA256: LazyLock<String> = LazyLock::new(|| sha256_hex(recipe().as_bytes()));

/// What a start found.
pub(in crate::store) enum Proof {
    /// A new file.
    New,
    /// A file of a version from before there were heads: nothing proves its rows.
    BeforeHeads,
    /// Chain and live rows are those of the head. Its recipe, and the sums that were computed by it.
    Holds(String, Vec<(String, Sum)>),
    /// The same by a head that was signed for an earlier purpose: a new one is due.
    HoldsAsEarlier,
    /// The chain is that of the head, the rows of these tables are not.
    Differs(Vec<String>),
}

/// Proves the head of the file, before any migration, by the recipe that the head was made by.
///
/// # Errors
/// `state_differs` when the head is missing, not signed by the audit key, or names another end of the chain.
pub(in crate::store) fn prove(
    connection: &Connection,
    keys: &AuditKeys,
    live: &LiveState,
) -> Result<Proof, Error> {
    let Some(signed) = read_head(connection)? else {
        return match applied(connection)? {
            0 => Ok(Proof::New),
            migrations if migrations < HEADS => Ok(Proof::BeforeHeads),
            _ => Err(differs("the signed head of the audit log is missing")),
        };
    };
    let purpose = head_purpose(applied(connection)?);
    check_signature(connection, keys, &signed, purpose)?;
    check_end(connection, &signed.head)?;
    let (recipe, sums) = sums_by_head(connection, live, &signed)?;
    let differing = differing(&signed, &sums);
    Ok(match differing.is_empty() {
        true if purpose != HeadPurpose::End => Proof::HoldsAsEarlier,
        true => Proof::Holds(recipe, sums),
        false => Proof::Differs(differing),
    })
}

/// The recipe that a head was made by, and what the rows come to by it.
fn sums_by_head(
    connection: &Connection,
    live: &LiveState,
    signed: &SignedHead,
) -> Result<(String, Vec<(String, Sum)>), Error> {
    let recipe = stored_recipe(connection, &signed.head.recipe)?;
    let sums = sum_rows(connection, live, &recipe)?;
    Ok((recipe, sums))
}

/// The tables whose sums are not those that a head names.
fn differing(signed: &SignedHead, sums: &[(String, Sum)]) -> Vec<String> {
    signed.differing(&Head {
        sums: named(sums),
        ..signed.head.clone()
    })
}

/// The tables whose live rows do not have the sums that a valid head names; the sums of `live` are lost.
pub(in crate::store) fn differing_sums(
    connection: &Connection,
    live: &LiveState,
    signed: &SignedHead,
) -> Result<Vec<String>, Error> {
    let (_, sums) = sums_by_head(connection, live, signed)?;
    Ok(differing(signed, &sums))
}

fn named(sums: &[(String, Sum)]) -> BTreeMap<String, String> {
    sums.iter()
        .map(|(table, sum)| (table.clone(), sum.hex()))
        .collect()
}

fn check_signature(
    connection: &Connection,
    keys: &AuditKeys,
    signed: &SignedHead,
    purpose: HeadPurpose,
) -> Result<(), Error> {
    let current = keys.current.public().id();
    if signed.key_id != current {
        return Err(differs(format!(
            "its head is signed by the audit key {}, and this server has {current}",
            signed.key_id
        )));
    }
    match signed.is_valid(purpose, &instance(connection)?, &keys.current.public()) {
        true => Ok(()),
        false => Err(differs("the signature of the audit log's head is invalid")),
    }
}

fn check_end(connection: &Connection, head: &Head) -> Result<(), Error> {
    let (seq, hash) = last_event(connection)?;
    if seq > head.seq {
        return Err(differs(format!(
            "audit_events has {} after the signed head",
            counted(seq - head.seq, "row")
        )));
    }
    if seq < head.seq {
        return Err(differs(format!(
            "audit_events ends at {seq}, and the signed head is {}",
            head.seq
        )));
    }
    if hash != head.hash {
        return Err(differs(format!(
            "audit_events row {seq}, column event_hash is not that of the signed head"
        )));
    }
    Ok(())
}

/// After the migrations: makes the triggers and continues the sums, or computes them by the recipe of this version.
/// Returns whether a new baseline is due, because nothing signed covers these sums yet.
pub(in crate::store) fn settle(
    connection: &Connection,
    live: &LiveState,
    proof: Proof,
) -> Result<bool, Error> {
    attach(connection)?;
    if let Proof::Holds(by, sums) = proof
        && by == recipe()
    {
        live.set(&sums);
        return Ok(false);
    }
    rebase(connection, live)?;
    Ok(true)
}

/// Computes the sums from the rows as they are, by the recipe of this version.
pub(in crate::store) fn rebase(connection: &Connection, live: &LiveState) -> Result<(), Error> {
    let current = recipe();
    connection.execute(
        "INSERT OR IGNORE INTO audit_recipes (sha256, text) VALUES (?1, ?2)",
        params![*RECIPE_SHA256, current],
    )?;
    let sums = sum_rows(connection, live, &current)?;
    live.set(&sums);
    Ok(())
}

/// The head as the transaction stands.
pub(in crate::store) fn head_now(connection: &Connection, live: &LiveState) -> Result<Head, Error> {
    let (seq, hash) = last_event(connection)?;
    Ok(Head {
        seq,
        hash,
        recipe: RECIPE_SHA256.clone(),
        sums: live.named(),
    })
}

/// Stores a signed head in place of the one before.
pub(in crate::store) fn write_head(
    connection: &Connection,
    signed: &SignedHead,
) -> Result<(), Error> {
    let head = &signed.head;
    let sums = serde_json::to_string(&head.sums).map_err(|e| Error::internal("sums", e))?;
    let values = params![
        head.seq,
        head.hash,
        head.recipe,
        sums,
        signed.key_id,
        signed.signature
    ];
    connection.run(WRITE, values)?;
    Ok(())
}

/// The id of this database.
pub(in crate::store) fn instance(connection: &Connection) -> Result<String, Error> {
    connection
        .find("SELECT value FROM meta WHERE key = 'instance'", [], first)?
        .ok_or_else(|| differs("meta has no row `instance`"))
}

/// The signed head, if the file has one; one of an older version has no table for it.
pub(in crate::store) fn read_head(connection: &Connection) -> Result<Option<SignedHead>, Error> {
    if !has_table(connection, "audit_head")? {
        return Ok(None);
    }
    connection.find(HEAD, [], |r| {
        let sums: String = r.column(HeadColumn::Sums)?;
        let sums = serde_json::from_str(&sums)
            .map_err(|_| differs("audit_head, column sums_json is not readable"))?;
        Ok(SignedHead {
            head: Head {
                seq: r.column(HeadColumn::Seq)?,
                hash: r.column(HeadColumn::Hash)?,
                recipe: r.column(HeadColumn::Recipe)?,
                sums,
            },
            key_id: r.column(HeadColumn::KeyId)?,
            signature: r.column(HeadColumn::Signature)?,
        })
    })
}

fn stored_recipe(connection: &Connection, sha256: &str) -> Result<String, Error> {
    let text: Option<String> = connection.find(
        "SELECT text FROM audit_recipes WHERE sha256 = ?1",
        [sha256],
        first,
    )?;
    text.filter(|text| sha256_hex(text.as_bytes()) == sha256)
        .ok_or_else(|| differs("audit_recipes has no row that hashes to what the head names"))
}

/// Number and hash of the last event; 0 and an empty text where there is none.
pub(in crate::store) fn last_event(connection: &Connection) -> Result<(i64, String), Error> {
    let last = connection.find(
        "SELECT seq, event_hash FROM audit_events ORDER BY seq DESC LIMIT 1",
        [],
        tuple,
    )?;
    Ok(last.unwrap_or_default())
}

/// The hash of an event; none where there is no such event, or no more.
pub(in crate::store) fn hash_of(
    connection: &Connection,
    seq: i64,
) -> Result<Option<String>, Error> {
    connection.find(
        "SELECT event_hash FROM audit_events WHERE seq = ?1",
        [seq],
        first,
    )
}
