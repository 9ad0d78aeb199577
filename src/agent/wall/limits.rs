//! What a child may use. It sets the limits itself, before it opens anything.

use rustix::process::{Resource, Rlimit, setrlimit};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// Address space, in bytes: a result at its limit several times over, and what a driver needs.
pub const MEMORY_BYTES_MAX: u64 = 1 << 30;
/// Temporary files together, in bytes: what SQLite sorts on disk. Also the longest file that a read may write.
pub const TEMPORARY_BYTES_MAX: u64 = 512 << 20;
/// How often temporary files are measured: well below what a disk takes of the limit meanwhile.
const MEASURE_EVERY: Duration = Duration::from_millis(20);
/// Bytes of a block, as files are measured.
const BLOCK_BYTES: u64 = 512;
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

/// Calls `over` once the temporary files of this process take more than [`TEMPORARY_BYTES_MAX`]. A write may make files of
/// any size, so the system cannot limit it; and a read may have several. Nothing is measured where the system does not
/// show open files.
///
/// # Errors
/// Where there is no thread for it.
pub fn watch_temporary_files(over: fn()) -> io::Result<()> {
    std::thread::Builder::new()
        .name("child-files".to_owned())
        .spawn(move || {
            while temporary_bytes() <= TEMPORARY_BYTES_MAX {
                std::thread::park_timeout(MEASURE_EVERY);
            }
            over();
        })?;
    Ok(())
}

/// Bytes on disk of the files that this process has open and that have no name, as those that SQLite sorts in.
fn temporary_bytes() -> u64 {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else {
        return 0;
    };
    let bytes = open.filter_map(|entry| {
        let file = std::fs::metadata(entry.ok()?.path()).ok()?;
        (file.is_file() && file.nlink() == 0).then(|| file.blocks() * BLOCK_BYTES)
    });
    bytes.fold(0, u64::saturating_add)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn files_without_a_name_are_measured() {
        let path = std::env::temp_dir().join(crate::crypto::hex(&crate::crypto::random::<8>()));
        let mut file = std::fs::File::create_new(&path).unwrap();
        file.write_all(&vec![7; 3 << 20]).unwrap();
        file.sync_all().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(temporary_bytes() >= 3 << 20);
    }
}
