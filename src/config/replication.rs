//! `[replication]`: the second copy of the state, and the lease of the one server that writes it.

use super::check::one_of;
use super::raw::RawConfig;
use super::raw::replication::{
    LEASE_SECS_DEFAULT, PREFIX_DEFAULT, PROGRAM_DEFAULT, SYNC_SECS_DEFAULT,
};
use super::storage::{S3Storage, text_or, tidy_prefix};
use super::{ResultStorage, storage};
use crate::settings::{Notes, Text};
use std::path::{Path, PathBuf};

/// `[replication]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replication {
    /// Whether answers wait until their changes are in the bucket.
    pub confirmed: bool,
    /// Litestream's program.
    pub litestream: PathBuf,
    pub lease_secs: u64,
    pub sync_timeout_secs: u64,
    /// The bucket, with the prefix of the copy.
    pub bucket: S3Storage,
}

/// Checks the section; `None` where there is none, or it cannot be used, of which the notes have the reasons.
pub(super) fn check(
    raw: &RawConfig,
    results: Option<&ResultStorage>,
    base: &Path,
    notes: &mut Notes,
) -> Option<Replication> {
    let raw = raw.replication.as_ref()?;
    if raw.mode.is_none() {
        notes.problem(&raw.at, "this section needs `mode`");
    }
    let confirmed = one_of(&raw.mode, true, notes, |text| match text {
        "confirmed" => Ok(true),
        "async" => Ok(false),
        _ => Err("not one of `confirmed`, `async`"),
    });
    let prefix = text_or(
        &raw.prefix,
        PREFIX_DEFAULT,
        notes,
        |text| match tidy_prefix(text)? {
            prefix if prefix.is_empty() => Err("empty: the copy needs a folder of its own"),
            prefix => Ok(prefix),
        },
    )?;
    // Where the section of the results is wrong, it says so itself.
    let Some(bucket) = results?.s3.clone() else {
        notes.problem(
            &raw.at,
            "replication needs `[result_storage] backend = \"s3\"`: what is on this machine only is lost with it",
        );
        return None;
    };
    let within = |inner: &str, outer: &str| {
        inner == outer || outer.is_empty() || inner.starts_with(&format!("{outer}/"))
    };
    if within(&prefix, &bucket.prefix) || within(&bucket.prefix, &prefix) {
        notes.problem(
            raw.prefix.as_ref().map_or(&raw.at, |prefix| &prefix.at),
            format!(
                "`{prefix}` and the prefix of [result_storage], `{}`, lie in one another: orphans are swept there",
                bucket.prefix
            ),
        );
        return None;
    }
    Some(Replication {
        confirmed,
        litestream: program(&raw.litestream, base),
        lease_secs: raw
            .lease_secs
            .as_ref()
            .map_or(LEASE_SECS_DEFAULT, |n| n.value),
        sync_timeout_secs: raw
            .sync_timeout_secs
            .as_ref()
            .map_or(SYNC_SECS_DEFAULT, |n| n.value),
        bucket: storage::S3Storage { prefix, ..bucket },
    })
}

/// A path where it has a slash; otherwise a name for PATH.
fn program(text: &Text, base: &Path) -> PathBuf {
    match text {
        Some(text) if text.value.contains('/') => base.join(&text.value),
        Some(text) => PathBuf::from(&text.value),
        None => PathBuf::from(PROGRAM_DEFAULT),
    }
}
