//! The real program as a child process, ended when the test goes.

use super::client::{Faults, Person};
use super::{PATIENCE, Temp};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

/// The program that was built with these tests.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dbward"));
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Writes server.toml into a folder.
pub fn settled(toml: &str) -> Temp {
    let dir = Temp::new();
    let text = format!("state_dir = \"state\"\nlisten = \"127.0.0.1:0\"\n{toml}");
    fs::write(dir.path().join("server.toml"), text).unwrap();
    dir
}

/// The administrator of a server whose state is in `dir`.
pub fn admin_of(at: SocketAddr, dir: &Path) -> Person {
    let token = fs::read_to_string(dir.join("state/admin-token")).unwrap();
    Person::new(at, "admin", Some(token), Faults::default())
}

/// A running program.
pub struct Program {
    child: Child,
    lines: Receiver<String>,
    errors: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Program {
    pub fn start(command: &mut Command) -> Program {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, lines) = channel();
        let out = child.stdout.take().unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let errors = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&errors);
        let readers = vec![
            std::thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    if send.send(line).is_err() {
                        break;
                    }
                }
            }),
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(n) = err.read(&mut buffer) {
                    if n == 0 {
                        break;
                    }
                    kept.lock()
                        .unwrap()
                        .push_str(&String::from_utf8_lossy(&buffer[..n]));
                }
            }),
        ];
        Program {
            child,
            lines,
            errors,
            readers,
        }
    }

    /// `dbward serve` with the server.toml in `dir`, and where it listens.
    pub fn serve(dir: &Path) -> (Program, SocketAddr) {
        Program::serve_with(dir, &[])
    }

    /// The same with these variables in its environment.
    pub fn serve_with(dir: &Path, variables: &[(&str, &str)]) -> (Program, SocketAddr) {
        let mut command = binary();
        command
            .arg("serve")
            .arg("--config")
            .arg(dir.join("server.toml"))
            .envs(variables.iter().copied());
        let program = Program::start(&mut command);
        let line = program.line();
        let at = line
            .strip_prefix("listening on http://")
            .or(line.strip_prefix("listening on https://"))
            .unwrap_or_else(|| panic!("{line}"))
            .parse()
            .unwrap();
        (program, at)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its output.
    pub fn line(&self) -> String {
        self.lines
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("no line; errors: {}", self.errors()))
    }

    /// The next line of its output, if there is one already.
    pub fn try_line(&self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    /// What it wrote as errors and log so far.
    pub fn errors(&self) -> String {
        self.errors.lock().unwrap().clone()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Its own children, each with the processor time that it has used, in ticks.
    pub fn children(&self) -> Vec<(Pid, u64)> {
        let all = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        all.filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name, in brackets, may hold anything.
            let (_, fields) = stat.rsplit_once(')')?;
            let fields: Vec<u64> = fields
                .split_whitespace()
                .map(|field| field.parse().unwrap_or(0))
                .collect();
            let is_ours = *fields.get(1)? == u64::from(self.id());
            Some((Pid::from_raw(pid)?, *fields.get(11)?)).filter(|_| is_ours)
        })
        .collect()
    }

    /// How many of its threads have a name that begins so.
    pub fn threads(&self, name: &str) -> usize {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let names =
            tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|comm| comm.starts_with(name)).count()
    }

    /// A number of its /proc/PID/status: threads, or KiB of memory.
    pub fn status(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(path).unwrap();
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|l| l.split_whitespace().next());
        number
            .unwrap_or_else(|| panic!("no {name} in {text}"))
            .parse()
            .unwrap()
    }

    /// Waits for its end; how it ended and what it wrote as errors.
    pub fn end(mut self) -> (ExitStatus, String) {
        // Its output ends with it.
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("does not end: {}", self.errors()),
            }
        }
        let status = self.child.wait().unwrap();
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        (status, self.errors())
    }

    /// Asks it to stop, and expects a clean end.
    pub fn stop(self) -> String {
        self.signal(Signal::TERM);
        let (status, errors) = self.end();
        assert!(status.success(), "{status}: {errors}");
        errors
    }

    /// Ends it as a power cut would.
    pub fn kill(self) {
        self.signal(Signal::KILL);
        self.end();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
