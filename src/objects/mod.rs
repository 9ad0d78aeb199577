//! Result objects: the envelope of an execution, byte for byte, under a key that no other execution shares.
//!
//! [`Objects`] is where results are kept: [`Local`] in a folder, [`S3`] in a bucket, each counted by [`Measured`];
//! [`live`] holds the newest ones in memory for those who wait. [`wire`] is what the bucket is reached by.

pub mod live;
mod local;
mod measured;
pub mod s3;
pub mod wire;

use crate::clock::Timestamp;
use crate::error::Error;

pub use local::Local;
pub use measured::Measured;
pub use s3::S3;

/// The backend of objects in a folder of this machine.
pub const LOCAL: &str = "local";

/// A place that keeps result objects. Keys are `<request id>/<execution id>`; an object is written whole or not at
/// all. It is written again only by a report that repeats one that was not accepted.
pub trait Objects: Send + Sync {
    /// `local` or `s3`.
    fn backend(&self) -> &'static str;

    /// Keeps `bytes` under `key`; durable when it returns. `expires_at` is for a place that can remove what is
    /// past its time by itself; the owner of the rows removes it all the same.
    ///
    /// # Errors
    /// `internal` or `unavailable`; nothing is kept then, or the same bytes are.
    fn put(&self, key: &str, bytes: &[u8], expires_at: Timestamp) -> Result<(), Error>;

    /// The object; `None` if it does not exist. At most one byte more than `bytes_max` is read, so that an object that
    /// is longer than it was written shows, and takes no memory.
    ///
    /// # Errors
    /// `internal` or `unavailable`: nothing is known of the object then.
    fn get(&self, key: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, Error>;

    /// Removes the object; one that does not exist is not an error.
    ///
    /// # Errors
    /// `internal` or `unavailable`: the object may be there still.
    fn delete(&self, key: &str) -> Result<(), Error>;

    /// Objects of ours in the order of their keys, those after `after` only, at most `limit`. Fewer than that are
    /// the last ones. Whatever else lies there is left out.
    ///
    /// # Errors
    /// `internal` or `unavailable`.
    fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>, Error>;

    /// Whether objects can be written, read and removed now, really tried.
    ///
    /// # Errors
    /// What does not work.
    fn probe(&self) -> Result<(), Error>;
}

/// What a list tells of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    pub key: String,
    /// When it was written, by the clock of the place that keeps it.
    pub stored_at: Timestamp,
}

/// Whether `key` is one we make: nothing else ever reaches a path or a URL.
pub fn is_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((request, execution)) => {
            crate::domain::id::is_uuid(request) && crate::domain::id::is_uuid(execution)
        }
        None => false,
    }
}

/// Refuses a key that is not one of ours.
fn ensure_key(key: &str) -> Result<(), Error> {
    if is_key(key) {
        return Ok(());
    }
    Err(Error::bug(format!(
        "not the key of a result: {}",
        crate::error::Shown(key)
    )))
}
