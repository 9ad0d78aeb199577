//! The keys of server.toml below `[replication]`.

use crate::settings::{Number, Text, section};

pub const PREFIX_DEFAULT: &str = "replica";
pub const PROGRAM_DEFAULT: &str = "litestream";
pub const LEASE_SECS_DEFAULT: u64 = 10;
/// Longest time without a server after a crash.
const LEASE_SECS_MAX: u64 = 300;
pub const SYNC_SECS_DEFAULT: u64 = 5;
/// Existing agents wait 30 s for the answer to a report.
const SYNC_SECS_MAX: u64 = 20;

section! {
    /// A second copy of the state in the bucket of [result_storage], kept by Litestream 0.5, which a server that
    /// runs `dbward serve --standby` follows and continues; see docs/high-availability.md. Takes effect at a restart.
    pub struct RawReplication {
        /// `confirmed`: nothing is answered before its change is in the bucket. `async`: answers do not wait, and the
        /// last changes may be lost with the machine. Required in this section.
        mode: Text, shown "\"confirmed\"";
        /// What the keys of the copy begin with; each reign of a server has a folder of its own below it.
        prefix: Text, shown format!("\"{PREFIX_DEFAULT}\"");
        /// Litestream's program: a name that PATH has, or a path that starts at the folder of this file.
        litestream: Text, shown format!("\"{PROGRAM_DEFAULT}\"");
        /// Seconds that the lease of the server in the bucket lasts without being renewed.
        lease_secs: Number, within 3..=LEASE_SECS_MAX, shown LEASE_SECS_DEFAULT;
        /// Seconds that a change may take to reach the bucket; after that its outcome is unknown to the caller.
        sync_timeout_secs: Number, within 1..=SYNC_SECS_MAX, shown SYNC_SECS_DEFAULT;
    }
}
