//! The keys of server.toml below `[result_storage]`.

use crate::settings::{Number, Part, Present, RawSecret, Text, section};

/// Largest stored result, in bytes, unless configured: what existing agents send at most.
pub const PERSIST_BYTES_DEFAULT: u64 = 10 * 1024 * 1024;
/// Largest stored result, in bytes: results are held in memory on their way.
const PERSIST_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// The bucket unless configured.
pub const BUCKET_DEFAULT: &str = "dbward";
/// The region unless the file or the environment says another.
pub const REGION_DEFAULT: &str = "us-east-1";
/// What keys begin with unless configured.
pub const PREFIX_DEFAULT: &str = "results";

section! {
    /// Where results are stored.
    pub struct RawResultStorage [present: Present] {
        /// `local`, a folder of this machine, or `s3`, a bucket of a store that speaks S3. Takes effect at a restart,
        /// all of it.
        backend: Text, shown "\"local\"";
        /// The folder. Default: `results` in state_dir. With a bucket, results from before it are still read from here.
        root_dir: Text, shown "\"./state/results\"";
        /// Largest result that is taken from an agent, in bytes, whether it is stored or not; 12582912 is never exceeded. A
        /// larger one is left out: what it proved to be committed counts as executed, and says so.
        max_persist_bytes: Number, within 1..=PERSIST_BYTES_MAX, shown PERSIST_BYTES_DEFAULT;
    } [s3: RawS3]
}

section! {
    /// What counts only with `backend = "s3"`.
    pub struct RawS3 {
        /// For `s3` only, like all keys of this table but backend, root_dir and max_persist_bytes; see
        /// docs/result-storage.md.
        bucket: Text, shown format!("\"{BUCKET_DEFAULT}\"");
        /// Without it, the variables AWS_REGION and AWS_DEFAULT_REGION are asked first.
        region: Text, shown format!("\"{REGION_DEFAULT}\"");
        /// Scheme, host and port of the store. No default: Amazon's of the region. One in a private network, or one
        /// without encryption that is not on this machine, needs allow_private_networks.
        endpoint: Text, shown "\"https://s3.example.com\"";
        /// Whether the bucket stands in the path (`host/bucket/key`) and not in the host name. Default with an
        /// endpoint: true.
        path_style: Option<bool>, shown false;
        /// What all keys begin with; may be empty.
        prefix: Text, shown format!("\"{PREFIX_DEFAULT}\"");
        /// Whether objects are tagged `dbward-expires` with the time from which they may be removed.
        expiry_tag: Option<bool>, shown true;
        /// The access key, or the files that hold its parts. No default: the variables AWS_ACCESS_KEY_ID,
        /// AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, then the profile AWS_PROFILE of the shared credentials file.
        access_key_id: RawSecret, shown "\"example\"";
        secret_access_key: RawSecret, shown "\"example-secret\"";
        /// Of a pair that was lent for a while; when it runs out, the server needs a restart.
        session_token: RawSecret, shown "\"example-token\"";
    }
}

impl RawResultStorage {
    /// Places of the keys of a bucket that are there.
    pub fn s3_keys(&self) -> impl Iterator<Item = &crate::settings::Location> {
        self.present.0.iter().filter(|at| {
            let name = at.key.rsplit('.').next().unwrap_or_default();
            let name = name.strip_suffix("_file").unwrap_or(name);
            RawS3::KEYS.iter().any(|key| key.name == name)
        })
    }
}
