//! Result objects in a bucket of a store that speaks S3: `<prefix>/<request id>/<execution id>`.
//!
//! A call is tried a few times within a bound that is shorter than the patience of an agent, and only so many are under
//! way at once that a slow store never takes all workers. Whatever goes wrong is "not now" to the caller: the agent
//! keeps its report and comes back. The reason is for the log, without anything that was signed.

mod document;
mod failure;
mod page;
mod sign;
#[cfg(test)]
mod tests;
mod turns;

use super::wire::{Method, NoResponse, Wire, WireRequest, WireResponse};
use super::{ObjectMeta, Objects, ensure_key, is_key};
use crate::clock::{Clock, Timestamp};
use crate::config::S3Storage;
use crate::crypto::{hex, random};
use crate::error::Error;
use crate::metrics::Metrics;
pub use document::{BucketDocument, WriteOutcome};
use failure::{S3Failure, absent, is_passing, refused};
use sign::{Unsigned, encode, encode_path, query_text, sign};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use turns::Turns;

/// Tries of one call, at most.
const TRIES_MAX: u32 = 4;
/// Pause before the second try; it doubles with each further one, and a random part of it is left out.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
/// Bytes a second at which a store counts as slow, beyond the time of a call without a body.
const BYTES_PER_SEC_MIN: u64 = 1024 * 1024;
/// Largest page of a list, in bytes: a thousand keys of a thousand bytes, with what stands around them.
const PAGE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Keys of one page: what every store allows.
const PAGE_KEYS_MAX: usize = 1000;
/// Bytes of an error's body that are read; its code is within the first few hundred.
const ERROR_BYTES_MAX: u64 = 64 * 1024;
/// What a probe writes.
const PROBE_BYTES: &[u8] = b"probe";
/// After how many seconds a probe that could not be removed may be: a day.
const PROBE_SECS: u64 = 86_400;

/// How long calls may take. The 0.1.6 agent waits 30 s for the answer to a report, which it has to send first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For one try without a body; one with a body has a second more for each `BYTES_PER_SEC_MIN` of it.
    pub try_base: Duration,
    /// For one try, at most.
    pub try_max: Duration,
    /// For all tries of a call and the pauses between them.
    pub total: Duration,
    /// For each call of a probe, which is made once.
    pub probe: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            try_base: Duration::from_secs(5),
            try_max: Duration::from_secs(15),
            total: Duration::from_secs(20),
            probe: Duration::from_secs(3),
        }
    }
}

pub struct S3 {
    storage: S3Storage,
    wire: Arc<dyn Wire>,
    /// The time of day, which the store compares with its own.
    clock: Clock,
    metrics: Arc<Metrics>,
    patience: Patience,
    /// Scheme and host, for the URL, and the latter for its header.
    origin: String,
    host: String,
    /// The first part of every path: the bucket, or nothing. Begins with a slash, unless empty.
    base: String,
    /// What a probe writes: one name for each process, so that a store that lets nobody remove things does not fill.
    probe_key: String,
    turns: Turns,
}

/// How often a call is tried, and how long.
#[derive(Clone, Copy)]
struct RetryLimits {
    tries: u32,
    one: Duration,
    all: Duration,
}

impl S3 {
    /// Uses this bucket over `wire`, with at most `calls_max` calls at a time. `clock` is asked for the time of day
    /// that is signed.
    pub fn new(
        storage: S3Storage,
        wire: Arc<dyn Wire>,
        clock: Clock,
        metrics: Arc<Metrics>,
        calls_max: usize,
        patience: Patience,
    ) -> S3 {
        let (scheme, host) = place(&storage);
        let (host, base) = match storage.path_style {
            true => (host, format!("/{}", storage.bucket)),
            false => (format!("{}.{host}", storage.bucket), String::new()),
        };
        S3 {
            origin: format!("{scheme}://{host}"),
            host,
            base,
            probe_key: format!(".probe-{}", hex(&random::<4>())),
            storage,
            wire,
            clock,
            metrics,
            patience,
            turns: Turns::new(calls_max),
        }
    }

    /// The name of the object in the bucket.
    fn name(&self, key: &str) -> String {
        match self.storage.prefix.as_str() {
            "" => key.to_owned(),
            prefix => format!("{prefix}/{key}"),
        }
    }

    fn bounds(&self, bytes: u64) -> RetryLimits {
        let patience = &self.patience;
        let one = patience.try_base + Duration::from_secs(bytes / BYTES_PER_SEC_MIN);
        RetryLimits {
            tries: TRIES_MAX,
            one: one.min(patience.try_max),
            all: patience.total,
        }
    }

    fn probe_bounds(&self) -> RetryLimits {
        RetryLimits {
            tries: 1,
            one: self.patience.probe,
            all: self.patience.probe,
        }
    }

    fn write(
        &self,
        key: &str,
        bytes: &[u8],
        expires_at: Timestamp,
        bounds: RetryLimits,
    ) -> Result<(), S3Failure> {
        let mut headers = Vec::new();
        if self.storage.expiry_tag {
            let tag = format!("dbward-expires={}", encode(&expires_at.rfc3339()));
            headers.push(("x-amz-tagging", tag));
        }
        let ask = S3Request {
            method: Method::Put,
            name: &self.name(key),
            query: &[],
            headers,
            body: bytes,
            answer_bytes_max: 0,
        };
        match self.call(ask, bounds)? {
            WireResponse { status, .. } if (200..300).contains(&status) => Ok(()),
            reply => Err(refused(reply)),
        }
    }

    fn read(
        &self,
        key: &str,
        bytes_max: u64,
        bounds: RetryLimits,
    ) -> Result<Option<Vec<u8>>, S3Failure> {
        let (name, ask_max) = (self.name(key), bytes_max.saturating_add(1));
        let ask = S3Request {
            answer_bytes_max: ask_max,
            ..S3Request::of(Method::Get, &name)
        };
        let mut reply = self.call(ask, bounds)?;
        match reply.status {
            200 => {
                let kept = usize::try_from(ask_max).unwrap_or(usize::MAX);
                reply.body.truncate(kept);
                Ok(Some(reply.body))
            }
            _ => absent(reply).map(|()| None),
        }
    }

    fn remove(&self, key: &str, bounds: RetryLimits) -> Result<(), S3Failure> {
        let reply = self.call(S3Request::of(Method::Delete, &self.name(key)), bounds)?;
        match reply.status {
            200..300 => Ok(()),
            _ => absent(reply),
        }
    }

    fn listed(&self, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>, S3Failure> {
        let prefix = self.name("");
        let mut from = after.map_or(String::new(), |key| self.name(key));
        let mut found = Vec::new();
        while found.len() < limit {
            let keys = (limit - found.len()).min(PAGE_KEYS_MAX).to_string();
            let mut query = vec![("list-type", "2"), ("max-keys", &keys), ("prefix", &prefix)];
            if !from.is_empty() {
                query.push(("start-after", &from));
            }
            let ask = S3Request {
                query: &query,
                answer_bytes_max: PAGE_BYTES_MAX,
                ..S3Request::of(Method::Get, "")
            };
            let reply = self.call(ask, self.bounds(0))?;
            if reply.status != 200 {
                return Err(refused(reply));
            }
            let page = page::page(&reply.body).ok_or(S3Failure::Odd("its list cannot be read"))?;
            let last = page.objects.last().map(|(name, _)| name.clone());
            for (name, stored_at) in page.objects {
                let key = name.strip_prefix(&prefix).unwrap_or_default();
                // A store that does not know `start-after` begins again.
                if is_key(key) && after.is_none_or(|after| key > after) {
                    found.push(ObjectMeta {
                        key: key.to_owned(),
                        stored_at,
                    });
                }
            }
            match last {
                Some(last) if page.truncated && last > from => from = last,
                Some(_) if page.truncated => {
                    return Err(S3Failure::Odd("its list does not go on"));
                }
                _ => break,
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Makes a call, again where that may help, within its bounds.
    fn call(&self, ask: S3Request<'_>, bounds: RetryLimits) -> Result<WireResponse, S3Failure> {
        let _turn = self.turns.take().ok_or(S3Failure::Busy)?;
        let until = Instant::now() + bounds.all;
        let mut tries = 0;
        loop {
            tries += 1;
            let left = until.saturating_duration_since(Instant::now());
            let outcome = self.try_once(&ask, bounds.one.min(left));
            let reason = match &outcome {
                Err(_) => "lost".to_owned(),
                Ok(reply) if is_passing(reply) => reply.status.to_string(),
                Ok(_) => return outcome.map_err(S3Failure::Lost),
            };
            let pause = pause(tries);
            let left = until.saturating_duration_since(Instant::now());
            if tries >= bounds.tries || left <= pause {
                return outcome.map_err(S3Failure::Lost);
            }
            self.metrics.result_store_retries.inc(&[&reason]);
            thread::sleep(pause);
        }
    }

    fn try_once(&self, ask: &S3Request<'_>, timeout: Duration) -> Result<WireResponse, NoResponse> {
        let path = match ask.name {
            "" if self.base.is_empty() => "/".to_owned(),
            "" => encode_path(&self.base),
            name => encode_path(&format!("{}/{name}", self.base)),
        };
        let call = Unsigned {
            method: ask.method,
            host: &self.host,
            path: &path,
            query: ask.query,
            headers: ask.headers.clone(),
            body: ask.body,
        };
        let (region, credentials) = (&self.storage.region, &self.storage.credentials);
        let headers = sign(call, region, credentials, self.clock.now());
        let url = match query_text(ask.query) {
            query if query.is_empty() => format!("{}{path}", self.origin),
            query => format!("{}{path}?{query}", self.origin),
        };
        self.wire.send(&WireRequest {
            method: ask.method,
            url: &url,
            headers: &headers,
            body: ask.body,
            answer_bytes_max: ask.answer_bytes_max.max(ERROR_BYTES_MAX),
            timeout,
        })
    }

    /// The caller's error, with the reason for the log.
    fn failed(&self, what: &str, key: &str, failure: &S3Failure) -> Error {
        let bucket = &self.storage.bucket;
        Error::unavailable("the result store does not answer now").because(format!(
            "{what} {key} in bucket {bucket} at {}: {failure}",
            self.origin
        ))
    }
}

/// What is asked of the store.
struct S3Request<'a> {
    method: Method,
    /// Of the object; empty for the bucket.
    name: &'a str,
    query: &'a [(&'a str, &'a str)],
    headers: Vec<(&'static str, String)>,
    body: &'a [u8],
    answer_bytes_max: u64,
}

impl<'a> S3Request<'a> {
    fn of(method: Method, name: &'a str) -> S3Request<'a> {
        S3Request {
            method,
            name,
            query: &[],
            headers: Vec::new(),
            body: &[],
            answer_bytes_max: 0,
        }
    }
}

impl Objects for S3 {
    fn backend(&self) -> &'static str {
        "s3"
    }

    fn put(&self, key: &str, bytes: &[u8], expires_at: Timestamp) -> Result<(), Error> {
        ensure_key(key)?;
        self.write(key, bytes, expires_at, self.bounds(bytes.len() as u64))
            .map_err(|e| self.failed("writing", key, &e))
    }

    fn get(&self, key: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, Error> {
        ensure_key(key)?;
        self.read(key, bytes_max, self.bounds(bytes_max))
            .map_err(|e| self.failed("reading", key, &e))
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        ensure_key(key)?;
        self.remove(key, self.bounds(0))
            .map_err(|e| self.failed("removing", key, &e))
    }

    fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>, Error> {
        self.listed(after, limit)
            .map_err(|e| self.failed("listing", "results", &e))
    }

    fn probe(&self) -> Result<(), Error> {
        let (key, bounds) = (self.probe_key.as_str(), self.probe_bounds());
        let failed = |what: &str, e: &S3Failure| self.failed(what, key, e);
        let until = self.clock.now().plus_secs(PROBE_SECS);
        self.write(key, PROBE_BYTES, until, bounds)
            .map_err(|e| failed("writing", &e))?;
        let read = self
            .read(key, PROBE_BYTES.len() as u64, bounds)
            .map_err(|e| failed("reading", &e))?;
        self.remove(key, bounds)
            .map_err(|e| failed("removing", &e))?;
        if read.as_deref() != Some(PROBE_BYTES) {
            let odd = S3Failure::Odd("what was written is not what is read");
            return Err(failed("reading", &odd));
        }
        Ok(())
    }
}

/// Scheme and host of the store.
fn place(storage: &S3Storage) -> (&'static str, String) {
    let Some(endpoint) = &storage.endpoint else {
        let region = &storage.region;
        let country = if region.starts_with("cn-") { ".cn" } else { "" };
        return ("https", format!("s3.{region}.amazonaws.com{country}"));
    };
    let scheme = if endpoint.is_plain() { "http" } else { "https" };
    let host = endpoint.url().split("://").nth(1).unwrap_or_default();
    (scheme, host.trim_end_matches('/').to_owned())
}

/// Half to the whole of a time that doubles with each try.
fn pause(tries: u32) -> Duration {
    let [part] = random::<1>();
    let whole = PAUSE_FIRST * 2_u32.pow(tries.saturating_sub(1).min(10));
    whole / 2 + whole * u32::from(part) / 512
}
