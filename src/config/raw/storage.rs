//! What server.toml said below `[result_storage]`.

use super::{Number, RawSecret, Text};
use crate::config::problem::Place;
use crate::config::reader::Section;

/// Keys that count only with `backend = "s3"`.
pub const S3_KEYS: &[&str] = &[
    "bucket",
    "region",
    "endpoint",
    "path_style",
    "prefix",
    "expiry_tag",
    "access_key_id",
    "access_key_id_file",
    "secret_access_key",
    "secret_access_key_file",
    "session_token",
    "session_token_file",
];

/// `[result_storage]`.
#[derive(Debug)]
pub struct RawResultStorage {
    pub at: Place,
    pub backend: Text,
    pub root_dir: Text,
    pub max_persist_bytes: Number,
    pub bucket: Text,
    pub region: Text,
    pub endpoint: Text,
    pub path_style: Option<bool>,
    pub prefix: Text,
    pub expiry_tag: Option<bool>,
    pub access_key_id: RawSecret,
    pub secret_access_key: RawSecret,
    pub session_token: RawSecret,
    /// Places of the keys of S3 that are there, whatever their values.
    pub s3_keys: Vec<Place>,
}

impl RawResultStorage {
    pub(super) fn from(s: &Section<'_>) -> RawResultStorage {
        RawResultStorage {
            at: s.at.clone(),
            backend: s.text("backend"),
            root_dir: s.text("root_dir"),
            max_persist_bytes: s.number("max_persist_bytes"),
            bucket: s.text("bucket"),
            region: s.text("region"),
            endpoint: s.text("endpoint"),
            path_style: s.flag("path_style"),
            prefix: s.text("prefix"),
            expiry_tag: s.flag("expiry_tag"),
            access_key_id: RawSecret::from(s, "access_key_id"),
            secret_access_key: RawSecret::from(s, "secret_access_key"),
            session_token: RawSecret::from(s, "session_token"),
            s3_keys: S3_KEYS
                .iter()
                .filter(|key| s.says(key))
                .map(|key| s.place(key))
                .collect(),
        }
    }
}
