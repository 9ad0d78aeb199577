//! Measures a place of results: how long it takes, and how often it fails.

use super::{ObjectMeta, Objects};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::metrics::Metrics;
use std::sync::Arc;
use std::time::Instant;

/// A place of results that tells the metrics what it does.
pub struct Measured<O> {
    inner: O,
    metrics: Arc<Metrics>,
}

impl<O: Objects> Measured<O> {
    /// Tells `metrics` of `inner`.
    pub fn new(inner: O, metrics: Arc<Metrics>) -> Measured<O> {
        Measured { inner, metrics }
    }

    fn timed<T>(
        &self,
        operation: &str,
        run: impl FnOnce(&O) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let outcome = run(&self.inner);
        let word = if outcome.is_ok() { "ok" } else { "failed" };
        self.metrics
            .result_store_duration
            .observe(&[operation, word], began.elapsed().as_secs_f64());
        outcome
    }
}

impl<O: Objects> Objects for Measured<O> {
    fn backend(&self) -> &'static str {
        self.inner.backend()
    }

    fn put(&self, key: &str, bytes: &[u8], expires_at: Timestamp) -> Result<(), Error> {
        self.timed("put", |inner| inner.put(key, bytes, expires_at))
    }

    fn get(&self, key: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, Error> {
        self.timed("get", |inner| inner.get(key, bytes_max))
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        self.timed("delete", |inner| inner.delete(key))
    }

    fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>, Error> {
        self.timed("list", |inner| inner.list(after, limit))
    }

    fn probe(&self) -> Result<(), Error> {
        self.timed("probe", Objects::probe)
    }
}
