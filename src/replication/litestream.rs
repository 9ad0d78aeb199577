//! Litestream as a child process: its configuration, its control socket, and its end, which is never later than ours.

use crate::config::Replication;
use crate::crypto::write_private;
use crate::error::Error;
use rustix::fs::Mode;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// First argument of this program where it becomes Litestream.
pub const CHILD: &str = "litestream-child";
/// Names in the state directory.
const CONFIG: &str = "litestream.json";
const SOCKET: &str = "litestream.sock";
/// Where Litestream keeps how far it is, next to the database.
const PROGRESS: &str = ".dbward.db-litestream";
/// What the name of an epoch's folder begins with.
pub(super) const EPOCH_FOLDERS: &str = "epoch-";
/// Longest answer of the control socket that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// Pause after a sync that failed at once, before it is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// How often a call that waits looks whether its time is over: a stop shortens it.
const WAIT_LOOK: Duration = Duration::from_millis(100);
/// How long a copy that is fetched may not grow.
const FETCH_STALL: Duration = Duration::from_secs(20);
/// How long it may take to end by itself, and how often it is looked at meanwhile.
pub(super) const END_WITHIN: Duration = Duration::from_secs(5);
const END_LOOK: Duration = Duration::from_millis(20);

/// How Litestream runs in a state directory.
#[derive(Debug, Clone)]
pub(super) struct Litestream {
    program: PathBuf,
    folder: PathBuf,
    replication: Replication,
}

/// Why the copy does not have everything.
#[derive(Debug)]
pub(super) enum Uncopied {
    /// Litestream says so: the bucket refused it, or its own files are in the way.
    Refused(String),
    /// Nothing says so: it does not answer, or not in time.
    Silent(String),
}

impl Uncopied {
    pub(super) fn error(self) -> Error {
        let (Uncopied::Refused(why) | Uncopied::Silent(why)) = self;
        Error::unavailable("the copy is not confirmed").because(why)
    }
}

/// A Litestream that runs.
pub(super) struct RunningChild(Child);

impl Litestream {
    pub(super) fn new(replication: &Replication, state_dir: &Path) -> Litestream {
        Litestream {
            program: replication.litestream.clone(),
            folder: state_dir.to_owned(),
            replication: replication.clone(),
        }
    }

    /// The folder of an epoch in the bucket. In the order of their names they are in the order of their numbers.
    pub(super) fn epoch_folder(epoch: u64) -> String {
        format!("{EPOCH_FOLDERS}{epoch:08}")
    }

    /// The epoch in whose folder an object of that name lies; none for names of other things.
    pub(super) fn epoch_of(name: &str) -> Option<u64> {
        let (number, _) = name.strip_prefix(EPOCH_FOLDERS)?.split_once('/')?;
        number.parse().ok()
    }

    /// Forgets how far the copy of an earlier epoch was: that of the next begins with the whole state.
    ///
    /// # Errors
    /// `internal` where it cannot be removed.
    pub(super) fn forget_progress(&self) -> Result<(), Error> {
        let path = self.folder.join(PROGRESS);
        match std::fs::remove_dir_all(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::internal(format!("{}", path.display()), e))
            }
            _ => Ok(()),
        }
    }

    /// Starts to copy the database into the folder of the epoch.
    ///
    /// # Errors
    /// `internal` where the program cannot be started.
    pub(super) fn replicate(&self, database: &Path, epoch: u64) -> Result<RunningChild, Error> {
        let _ = std::fs::remove_file(self.folder.join(SOCKET));
        self.write_config(CONFIG, database, epoch)?;
        self.start(&["replicate", "-no-expand-env", "-config", CONFIG])
    }

    /// Starts to bring the copy of the epoch into a file, and to follow it.
    ///
    /// # Errors
    /// `internal` where the program cannot be started.
    pub(super) fn follow(
        &self,
        target: &Path,
        epoch: u64,
        every: Duration,
    ) -> Result<RunningChild, Error> {
        self.restore(
            target,
            epoch,
            &[
                "-f",
                "-follow-interval",
                &format!("{}ms", every.as_millis()),
            ],
        )
    }

    /// Brings the copy of the epoch into a file once. `pause` waits; once it returns true this ends with false.
    ///
    /// # Errors
    /// `internal` where that fails, or nothing comes any more.
    pub(super) fn fetch(
        &self,
        target: &Path,
        epoch: u64,
        pause: impl Fn(Duration) -> bool,
    ) -> Result<bool, Error> {
        let mut child = self.restore(target, epoch, &[])?;
        let (mut bytes, mut grew) = (0, Instant::now());
        loop {
            let there = bytes_of(target);
            if there != bytes {
                (bytes, grew) = (there, Instant::now());
            }
            if grew.elapsed() >= FETCH_STALL {
                return Err(Error::bug(format!(
                    "litestream restore has brought nothing for {} s, after {bytes} bytes",
                    FETCH_STALL.as_secs()
                )));
            }
            match child.0.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(true),
                Ok(Some(status)) => {
                    return Err(Error::bug(format!(
                        "litestream restore ended with {status}"
                    )));
                }
                Ok(None) if pause(END_LOOK) => return Ok(false),
                Ok(None) => {}
                Err(e) => return Err(Error::internal("litestream restore", e)),
            }
        }
    }

    fn restore(&self, target: &Path, epoch: u64, more: &[&str]) -> Result<RunningChild, Error> {
        let config = "litestream-restore.json";
        self.write_config(config, target, epoch)?;
        let target = target.to_string_lossy();
        let mut arguments = vec!["restore", "-no-expand-env", "-config", config];
        arguments.extend(more);
        arguments.extend(["-o", &target, &target]);
        self.start(&arguments)
    }

    fn write_config(&self, name: &str, database: &Path, epoch: u64) -> Result<(), Error> {
        let bucket = &self.replication.bucket;
        let mut replica = json!({
            "type": "s3",
            "bucket": bucket.bucket,
            "path": format!("{}/{}", bucket.prefix, Litestream::epoch_folder(epoch)),
            "region": bucket.region,
            "force-path-style": bucket.path_style,
            "sync-interval": "1s",
        });
        if let Some(endpoint) = &bucket.endpoint {
            replica["endpoint"] = endpoint.url().trim_end_matches('/').into();
        }
        // Read as YAML, of which JSON is a part.
        let config = json!({
            "logging": {"level": "warn"},
            "socket": {"enabled": true, "path": SOCKET, "permissions": 0o600},
            "dbs": [{"path": database.to_string_lossy(), "replica": replica}],
        });
        let path = self.folder.join(name);
        write_private(&path, config.to_string().as_bytes())
            .map_err(|e| Error::internal(format!("{}", path.display()), e))
    }

    /// Starts the program, by way of our own, which asks the system to end it with us.
    fn start(&self, arguments: &[&str]) -> Result<RunningChild, Error> {
        let failed = |e| Error::internal(format!("starting {}", self.program.display()), e);
        let credentials = &self.replication.bucket.credentials;
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command
            .arg(CHILD)
            .arg(std::process::id().to_string())
            .arg(&self.program)
            .args(arguments)
            .current_dir(&self.folder)
            .env("AWS_ACCESS_KEY_ID", &credentials.access_key_id)
            .env(
                "AWS_SECRET_ACCESS_KEY",
                credentials.secret_access_key.expose(),
            )
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("AWS_PROFILE")
            // With it, this version refuses to start.
            .env_remove("AWS_CA_BUNDLE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        if let Some(token) = &credentials.session_token {
            command.env("AWS_SESSION_TOKEN", token.expose());
        }
        command.spawn().map(RunningChild).map_err(failed)
    }

    /// How long a change may take to reach the bucket.
    pub(super) fn sync_patience(&self) -> Duration {
        Duration::from_secs(self.replication.sync_timeout_secs)
    }

    /// Asks a running Litestream to bring everything into the bucket, again where it fails at once; returns when it is
    /// there. `until` says when that must be, and may say an earlier time while this waits.
    ///
    /// # Errors
    /// The reason, after that time.
    pub(super) fn sync(
        &self,
        database: &Path,
        until: impl Fn() -> Instant,
    ) -> Result<(), Uncopied> {
        loop {
            match self.sync_once(database, &until) {
                Ok(()) => return Ok(()),
                Err(why) if Instant::now() + RETRY_PAUSE >= until() => return Err(why),
                Err(_) => thread::sleep(RETRY_PAUSE),
            }
        }
    }

    fn sync_once(&self, database: &Path, until: &impl Fn() -> Instant) -> Result<(), Uncopied> {
        let left = until().saturating_duration_since(Instant::now());
        let secs = left.as_secs().max(1);
        let body = json!({"path": database.to_string_lossy(), "wait": true, "timeout": secs});
        let answer = self
            .ask("/sync", &body.to_string(), until)
            .map_err(|e| Uncopied::Silent(format!("Litestream's control socket: {e}")))?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let value: Value = serde_json::from_str(body).unwrap_or_default();
        let copied = value["replicated_txid"].as_u64();
        match (head.split(' ').nth(1), value["txid"].as_u64(), copied) {
            (Some("200"), Some(there), Some(copied)) if copied >= there => Ok(()),
            (Some("200"), ..) => Err(Uncopied::Silent(
                "Litestream answers that the copy is not complete".to_owned(),
            )),
            _ => {
                let why = value["error"]
                    .as_str()
                    .unwrap_or("an answer that is not expected");
                let words = format!("Litestream: {}", crate::error::Shown(why));
                // Its own time was over: the copy may be under way.
                Err(
                    match why.contains("deadline exceeded") || why.contains("timeout") {
                        true => Uncopied::Silent(words),
                        false => Uncopied::Refused(words),
                    },
                )
            }
        }
    }

    /// A connection to the control socket of the one that copies.
    ///
    /// # Errors
    /// Where none runs.
    pub(super) fn connect(&self) -> io::Result<UnixStream> {
        // The path of a socket may have 108 bytes only, a state directory more.
        let folder = File::open(&self.folder)?;
        UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()))
    }

    /// One call over the control socket: the whole answer.
    fn ask(&self, path: &str, body: &str, until: &impl Fn() -> Instant) -> io::Result<String> {
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(WAIT_LOOK))?;
        stream.set_write_timeout(Some(WAIT_LOOK))?;
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = Vec::new();
        let mut stream = stream.take(ANSWER_BYTES_MAX);
        loop {
            // What has come is kept where the rest is not there yet.
            match stream.read_to_end(&mut answer) {
                Ok(_) => return Ok(String::from_utf8_lossy(&answer).into_owned()),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && Instant::now() < until() => {}
                Err(e) => return Err(e),
            }
        }
    }
}

/// What has come of a file that Litestream restores, in bytes: it writes next to its name first.
fn bytes_of(target: &Path) -> u64 {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.len());
    size(target) + size(&target.with_added_extension("tmp"))
}

impl RunningChild {
    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<String> {
        match self.0.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(status.to_string()),
            Err(e) => Some(e.to_string()),
        }
    }

    /// Asks it to end, and ends it where it has not after that time.
    pub(super) fn stop(mut self, within: Duration) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let until = Instant::now() + within;
        while self.ended().is_none() && Instant::now() < until {
            thread::sleep(END_LOOK);
        }
    }
}

impl Drop for RunningChild {
    fn drop(&mut self) {
        if self.ended().is_none() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Becomes Litestream, which the system ends with the thread that started this process: two of them must never copy one
/// database.
///
/// # Errors
/// Why it did not.
pub fn become_litestream(
    mut arguments: impl Iterator<Item = std::ffi::OsString>,
) -> Result<(), String> {
    use rustix::process::{getppid, set_parent_process_death_signal};
    let parent = arguments.next().unwrap_or_default();
    let program = arguments.next().ok_or("no program")?;
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| e.to_string())?;
    // It may have ended before we asked.
    let now = getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    if parent != now.to_string().as_str() {
        return Err("the server is gone".to_owned());
    }
    // What it makes of the state is as private as the state.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let error = Command::new(&program).args(arguments).exec();
    Err(format!("{}: {error}", Path::new(&program).display()))
}
