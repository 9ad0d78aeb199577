//! One child process: started with nothing but its pipes, killed at the latest when it is dropped.

use super::child::TOO_MUCH_DISK;
use super::{FromChild, frame};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// How long a child that says nothing more may take to end, and how often it is looked at meanwhile.
const END_WITHIN: Duration = Duration::from_secs(2);
const END_LOOK: Duration = Duration::from_millis(2);
/// Frames of a child that wait to be read; it says one at a time.
const FRAMES_MAX: usize = 4;
/// Argument of the internal command.
const COMMAND: &str = "agent-child";

/// A child that runs.
pub(super) struct ChildProcess {
    pub(super) child: Child,
    pub(super) to: ChildStdin,
    pub(super) from: Receiver<io::Result<FromChild>>,
}

impl ChildProcess {
    pub(super) fn start(program: &Path) -> io::Result<ChildProcess> {
        let mut command = Command::new(program);
        command
            .arg(COMMAND)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        // Where SQLite sorts.
        if let Some(folder) = std::env::var_os("TMPDIR") {
            command.env("TMPDIR", folder);
        }
        let mut child = command.spawn()?;
        let (Some(to), Some(mut out)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("no pipe"));
        };
        let (send, from) = sync_channel(FRAMES_MAX);
        std::thread::Builder::new()
            .name("agent-child".to_owned())
            .spawn(move || {
                while let Some(frame) = frame::read(&mut out).transpose() {
                    let broken = frame.is_err();
                    if send.send(frame).is_err() || broken {
                        return;
                    }
                }
            })?;
        Ok(ChildProcess { child, to, from })
    }

    pub(super) fn kill(&mut self) {
        if let Err(e) = self.child.kill() {
            log::warn!("a child process cannot be killed: {e}");
        }
    }

    /// Waits a moment for its end, then brings it about; how it came.
    pub(super) fn end(&mut self) -> &'static str {
        let until = Instant::now() + END_WITHIN;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() >= until {
                self.kill();
                break;
            }
            std::thread::park_timeout(END_LOOK);
        }
        match self.child.wait() {
            Ok(status) => how(status),
            Err(_) => "the child process is gone",
        }
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        self.kill();
        // No zombie is left.
        let _status = self.child.wait();
    }
}

/// How a child ended, for the requester. The numbers are the same on every system that we run on.
fn how(status: ExitStatus) -> &'static str {
    const SIGABRT: i32 = 6;
    const SIGKILL: i32 = 9;
    const SIGXCPU: i32 = 24;
    const SIGXFSZ: i32 = 25;
    const MORE_DISK: &str = "the statement needed more temporary disk than 512 MiB";
    if status.code() == Some(TOO_MUCH_DISK) {
        return MORE_DISK;
    }
    match status.signal() {
        Some(SIGABRT) => "the statement needed more memory than 1 GiB",
        Some(SIGXFSZ) => MORE_DISK,
        Some(SIGXCPU) => "the statement needed more processor time than it may",
        Some(SIGKILL) => "the process that ran the statement was killed",
        _ => "the process that ran the statement broke down",
    }
}
