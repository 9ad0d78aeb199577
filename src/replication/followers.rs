//! Who stands by, as the server that writes sees it: each standby leaves a sign of life in the bucket and replaces it every
//! few seconds. Whether one is there says its change alone, so clocks need not agree.

use super::copier::Copier;
use crate::crypto::{hex, random};
use crate::error::Error;
use crate::objects::S3;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often a standby leaves a sign, and how often the server looks.
const EVERY: Duration = Duration::from_secs(10);
/// A standby whose sign is as old is not there any more.
const GONE_AFTER: Duration = Duration::from_secs(40);
/// Longest time of one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
/// What the names begin with; then comes the standby's id.
const FOLDER: &str = "standby";

/// The signs of one standby.
#[derive(Default)]
pub(super) struct SignsOfLife {
    left: Option<(String, Instant)>,
}

impl SignsOfLife {
    /// Leaves a sign in place of the one before, where it is time. That it fails says what comes of the lease.
    pub(super) fn leave(&mut self, bucket: &S3, holder: &str) {
        if let Some((_, at)) = &self.left
            && at.elapsed() < EVERY
        {
            return;
        }
        let name = format!("{FOLDER}/{holder}/{}", hex(&random::<8>()));
        if bucket
            .write_document(&name, b"", None, CALL_TIMEOUT)
            .is_ok()
        {
            let before = self.left.replace((name, Instant::now()));
            remove(bucket, before);
        }
    }

    /// Takes the last one away.
    pub(super) fn end(self, bucket: &S3) {
        remove(bucket, self.left);
    }
}

fn remove(bucket: &S3, sign: Option<(String, Instant)>) {
    if let Some((name, _)) = sign {
        let _ = bucket.remove_name(&name, CALL_TIMEOUT);
    }
}

/// What the server has seen: the signs that stand, and since when.
#[derive(Default)]
struct Followers(BTreeMap<String, Instant>);

impl Followers {
    /// Notes the signs that stand now; how many standbys are there, and the signs of those that are not.
    fn note(&mut self, names: &[String], now: Instant) -> (usize, Vec<String>) {
        self.0.retain(|name, _| names.contains(name));
        for name in names {
            self.0.entry(name.clone()).or_insert(now);
        }
        let (mut there, mut gone) = (Vec::new(), Vec::new());
        for (name, since) in &self.0 {
            match now.saturating_duration_since(*since) < GONE_AFTER {
                true => there.push(name.rsplit_once('/').map(|(standby, _)| standby)),
                false => gone.push(name.clone()),
            }
        }
        // One that is replaced just now has two.
        there.dedup();
        (there.len(), gone)
    }
}

/// Counts standbys until everything stops.
pub(super) fn count(copier: &Copier) {
    let mut seen = Followers::default();
    loop {
        // Where the bucket does not answer, the last number stays.
        if let Ok(count) = counted(copier, &mut seen) {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            copier.metrics.replication_standbys.set(&[], count);
        }
        if !copier.pause(EVERY) {
            return;
        }
    }
}

fn counted(copier: &Copier, seen: &mut Followers) -> Result<usize, Error> {
    let bucket = copier.keeper.bucket();
    let names = bucket.names(FOLDER, CALL_TIMEOUT)?;
    let (count, gone) = seen.note(&names, Instant::now());
    for name in gone {
        bucket.remove_name(&name, CALL_TIMEOUT)?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standby_is_there_as_long_as_its_sign_changes() {
        let mut seen = Followers::default();
        let begun = Instant::now();
        let mut note = |names: &[&str], secs: u64| {
            let names: Vec<String> = names.iter().map(|name| format!("standby/{name}")).collect();
            seen.note(&names, begun + Duration::from_secs(secs))
        };
        let none = Vec::<String>::new();
        assert_eq!(note(&[], 0), (0, none.clone()));
        assert_eq!(note(&["a/1", "b/1"], 10), (2, none.clone()));
        // One that is replaced has two signs for a moment.
        assert_eq!(note(&["a/1", "a/2", "b/1"], 40), (2, none.clone()));
        let gone = vec!["standby/b/1".to_owned()];
        assert_eq!(note(&["a/2", "b/1"], 50), (1, gone));
        assert_eq!(note(&["a/2"], 60), (1, none.clone()));
        assert_eq!(note(&["a/2", "b/2"], 70), (2, none));
    }
}
