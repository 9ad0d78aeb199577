//! What the kernel says about this process.

use rustix::process::{Resource, getrlimit};
use std::fs;

/// Sizes in bytes and counts; 0 where the kernel does not say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ProcessState {
    /// Memory in RAM.
    pub resident_bytes: u64,
    pub threads: u64,
    pub open_files: u64,
    /// The soft limit; 0 without one.
    pub open_files_max: u64,
}

/// Looks at `/proc/self`.
pub fn state() -> ProcessState {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let (resident_bytes, threads) = in_status(&status);
    ProcessState {
        resident_bytes,
        threads,
        // One of them is the folder that is looked at.
        open_files: fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64 - 1),
        open_files_max: getrlimit(Resource::Nofile).current.unwrap_or(0),
    }
}

fn in_status(status: &str) -> (u64, u64) {
    let value = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let word = line.and_then(|line| line.split_whitespace().next());
        word.and_then(|word| word.parse().ok()).unwrap_or(0)
    };
    (value("VmRSS:") * 1024, value("Threads:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_threads_are_read_from_the_status() {
        let text = "Name:\tx\nVmRSS:\t    5120 kB\nThreads:\t12\n";
        assert_eq!(in_status(text), (5_242_880, 12));
        assert_eq!(in_status(""), (0, 0));
        let now = state();
        assert!(now.resident_bytes > 100_000 && now.threads >= 1, "{now:?}");
        let held: Vec<_> = (0..7)
            .map(|_| fs::File::open("/dev/null").unwrap())
            .collect();
        assert!(state().open_files >= held.len() as u64);
    }
}
