//! Opens the places of results that the configuration names, and tries the one that will be written to.

use crate::clock::Clock;
use crate::config::{Config, S3Storage};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::objects::s3::Patience;
use crate::objects::{Local, Measured, Objects, S3};
use crate::outbound::Http;
use std::sync::Arc;

/// The place of new results, and the one of older results if it is another.
type Places = (Arc<dyn Objects>, Option<Arc<dyn Objects>>);

/// Opens both.
///
/// # Errors
/// What does not work, before anybody relies on it.
pub(super) fn open(config: &Config, metrics: &Arc<Metrics>) -> Result<Places, Error> {
    let storage = &config.result_storage;
    let Some(bucket) = &storage.s3 else {
        let local = Measured::new(Local::open(&storage.root_dir)?, Arc::clone(metrics));
        return Ok((Arc::new(local), None));
    };
    let s3 = s3(bucket, config, metrics);
    s3.probe()?;
    log::info!("results are kept in the bucket {}", bucket.bucket);
    // From the time before the bucket. Where there is no folder, there never were any.
    let older: Option<Arc<dyn Objects>> = match storage.root_dir.is_dir() {
        true => Some(Arc::new(Local::open(&storage.root_dir)?)),
        false => None,
    };
    Ok((Arc::new(Measured::new(s3, Arc::clone(metrics))), older))
}

/// Writes a small object into the bucket of `config`, reads it and removes it; without a bucket there is nothing to try.
///
/// # Errors
/// What does not work.
pub fn try_bucket(config: &Config) -> Result<(), Error> {
    match &config.result_storage.s3 {
        Some(bucket) => s3(bucket, config, &Arc::new(Metrics::default())).probe(),
        None => Ok(()),
    }
}

fn s3(bucket: &S3Storage, config: &Config, metrics: &Arc<Metrics>) -> S3 {
    // However slow the store is, as many workers are left for everything else.
    let calls_max = (config.process.workers / 2).max(1);
    S3::new(
        bucket.clone(),
        Arc::new(Http::keeping(config.bucket_reach(bucket), calls_max)),
        // Signatures carry the time of day, whatever a test has turned its clock to.
        Clock::system(),
        Arc::clone(metrics),
        calls_max,
        Patience::default(),
    )
}
