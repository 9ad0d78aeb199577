//! Result objects: the envelope of an execution, byte for byte, under a key that no other execution shares.
//!
//! [`Objects`] is where results are kept; [`live`] holds the newest ones in memory for whoever waits.

pub mod live;
mod local;

use crate::error::Error;

pub use local::Local;

/// A place that keeps result objects. Keys are `<request id>/<execution id>`; an object is written whole or not at
/// all and never changed.
pub trait Objects: Send + Sync {
    /// `local` or `s3`.
    fn backend(&self) -> &'static str;

    /// Keeps `bytes` under `key`; durable when it returns.
    ///
    /// # Errors
    /// `internal` or `unavailable`; nothing is kept then.
    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), Error>;

    /// The object; `None` if there is none.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error>;

    /// Removes the object; one that is not there is no error.
    fn delete(&self, key: &str) -> Result<(), Error>;

    /// Whether objects can be written and read now, really tried.
    fn probe(&self) -> Result<(), Error>;
}

/// Whether `key` is one we make: nothing else ever reaches a path or a URL.
fn is_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((request, execution)) => {
            crate::domain::id::is_uuid(request) && crate::domain::id::is_uuid(execution)
        }
        None => false,
    }
}
