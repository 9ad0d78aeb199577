//! What a child may use. It sets the limits itself, before it opens anything.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Address space, in bytes: a result at its limit several times over, and what a driver needs.
pub const MEMORY_BYTES_MAX: u64 = 1 << 30;
/// Longest file that a read may write, in bytes: what SQLite sorts on disk.
pub const TEMPORARY_BYTES_MAX: u64 = 512 << 20;
const FILES_MAX: u64 = 256;
/// Seconds of processor time beyond the limit of the job.
const CPU_GRACE_SECS: u64 = 60;

/// Sets the limits for a task that only reads, or not, and may take `timeout_secs` (0 for no limit).
///
/// # Errors
/// The sentence that names the limit.
pub fn apply(reads: bool, timeout_secs: u64) -> Result<(), String> {
    let cpu = (timeout_secs > 0).then(|| timeout_secs.saturating_add(CPU_GRACE_SECS));
    let limits = [
        ("memory", Resource::As, Some(MEMORY_BYTES_MAX)),
        ("core files", Resource::Core, Some(0)),
        ("open files", Resource::Nofile, Some(FILES_MAX)),
        // A write may make the database file itself as large as it gets.
        (
            "file size",
            Resource::Fsize,
            reads.then_some(TEMPORARY_BYTES_MAX),
        ),
        ("processor time", Resource::Cpu, cpu),
    ];
    for (name, resource, limit) in limits {
        if limit.is_some() {
            let both = Rlimit {
                current: limit,
                maximum: limit,
            };
            setrlimit(resource, both)
                .map_err(|e| format!("the child cannot limit its {name}: {e}"))?;
        }
    }
    Ok(())
}
