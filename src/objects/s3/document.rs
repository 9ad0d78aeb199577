//! Documents of a bucket that several servers write: each version has a name (its `etag`), and a write says which
//! version it replaces. A call is made once: a caller that repeats it has to know what became of the one before.

use super::{RetryLimits, S3, S3Failure, S3Request, absent, page, refused};
use crate::error::Error;
use crate::objects::wire::Method;
use std::time::Duration;

/// Largest document, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 64 * 1024;
/// Names of objects that are read at most: a day of a copy has fewer by far, since the store's side joins them.
const NAMES_MAX: usize = 100_000;

/// A document as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketDocument {
    pub bytes: Vec<u8>,
    /// The name of this version.
    pub version: String,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It stands; the name of the new version.
    Written(String),
    /// Another version stands than the one that was to be replaced.
    Conflict,
}

/// A part of a list of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamesPage {
    /// Without the prefix.
    pub names: Vec<String>,
    /// Whether there are more after them.
    pub truncated: bool,
}

impl S3 {
    /// The document of that name below the prefix; `None` if there is none.
    ///
    /// # Errors
    /// `unavailable`; nothing is known of it then.
    pub fn document(&self, name: &str, timeout: Duration) -> Result<Option<BucketDocument>, Error> {
        let object = self.name(name);
        let ask = S3Request {
            answer_bytes_max: DOCUMENT_BYTES_MAX,
            ..S3Request::of(Method::Get, &object)
        };
        let read = self.call(ask, once(timeout)).and_then(|reply| {
            if reply.status != 200 {
                return absent(reply).map(|()| None);
            }
            let version = reply.etag.ok_or(S3Failure::Odd("it has no ETag"))?;
            Ok(Some(BucketDocument {
                bytes: reply.body,
                version,
            }))
        });
        read.map_err(|e| self.failed("reading", name, &e))
    }

    /// Writes the document if `replaces` is the version that stands; `None`: if there is none yet.
    ///
    /// # Errors
    /// `unavailable`: it may have been written, or not.
    pub fn write_document(
        &self,
        name: &str,
        bytes: &[u8],
        replaces: Option<&str>,
        timeout: Duration,
    ) -> Result<WriteOutcome, Error> {
        let condition = match replaces {
            Some(version) => ("if-match", version.to_owned()),
            None => ("if-none-match", "*".to_owned()),
        };
        let ask = S3Request {
            method: Method::Put,
            name: &self.name(name),
            query: &[],
            headers: vec![condition],
            body: bytes,
            answer_bytes_max: 0,
        };
        let written = self.call(ask, once(timeout)).and_then(|reply| {
            match (reply.status, replaces) {
                (200..300, _) => {
                    let version = reply.etag.ok_or(S3Failure::Odd("it has no ETag"))?;
                    Ok(WriteOutcome::Written(version))
                }
                (412, _) => Ok(WriteOutcome::Conflict),
                // What was to be replaced is gone.
                (404, Some(_)) => absent(reply).map(|()| WriteOutcome::Conflict),
                _ => Err(refused(reply)),
            }
        });
        written.map_err(|e| self.failed("writing", name, &e))
    }

    /// Names of the objects below a folder, without the prefix.
    ///
    /// # Errors
    /// `unavailable`, or there are more than can be read.
    pub fn names(&self, folder: &str, timeout: Duration) -> Result<Vec<String>, Error> {
        let (mut names, mut from): (Vec<String>, String) = (Vec::new(), String::new());
        let begins = format!("{folder}/");
        loop {
            let page = self.names_after(&begins, &from, timeout)?;
            let (truncated, last) = (page.truncated, page.names.last().cloned());
            names.extend(page.names);
            match last {
                Some(last) if truncated && last > from && names.len() < NAMES_MAX => from = last,
                _ if truncated => {
                    let odd = S3Failure::Odd("its list does not end");
                    return Err(self.failed("listing", folder, &odd));
                }
                _ => return Ok(names),
            }
        }
    }

    /// The first names that begin so and come after `from`, in the order of their bytes: as many as the store gives at
    /// a time.
    ///
    /// # Errors
    /// `unavailable`.
    pub fn names_after(
        &self,
        begins: &str,
        from: &str,
        timeout: Duration,
    ) -> Result<NamesPage, Error> {
        let (root, prefix, after) = (self.name(""), self.name(begins), self.name(from));
        let failed = |e: S3Failure| self.failed("listing", begins, &e);
        let mut query = vec![("list-type", "2"), ("prefix", prefix.as_str())];
        if !from.is_empty() {
            query.push(("start-after", &after));
        }
        let ask = S3Request {
            query: &query,
            answer_bytes_max: super::PAGE_BYTES_MAX,
            ..S3Request::of(Method::Get, "")
        };
        let reply = self.call(ask, once(timeout)).map_err(failed)?;
        if reply.status != 200 {
            return Err(failed(refused(reply)));
        }
        let unreadable = || failed(S3Failure::Odd("its list cannot be read"));
        let page = page::page(&reply.body).ok_or_else(unreadable)?;
        let names = page
            .objects
            .iter()
            .filter_map(|(name, _)| Some(name.strip_prefix(&root)?.to_owned()));
        Ok(NamesPage {
            names: names.collect(),
            truncated: page.truncated,
        })
    }

    /// Removes the object of that name; one that is not there is removed already.
    ///
    /// # Errors
    /// `unavailable`: it may be gone, or not.
    pub fn remove_name(&self, name: &str, timeout: Duration) -> Result<(), Error> {
        self.remove(name, once(timeout))
            .map_err(|e| self.failed("removing", name, &e))
    }
}

fn once(timeout: Duration) -> RetryLimits {
    RetryLimits {
        tries: 1,
        one: timeout,
        all: timeout,
    }
}
