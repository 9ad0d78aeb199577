//! Modes of files: whether others can read what is secret, or change what decides.

use super::{Check, check};
use crate::agent::config::AgentConfig;
use crate::config::{Config, SecretPlaces};
use crate::error::counted;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Findings that are shown; a folder may have many of a kind.
const SHOWN_MAX: usize = 8;

/// What is open to others.
#[derive(Default)]
struct OpenFiles(Vec<String>);

impl OpenFiles {
    /// Notes the file, if others have a right of `forbidden`; `can` says what that lets them do.
    fn hold(&mut self, path: &Path, forbidden: u32, can: &str, fix: &str) {
        // What a link leads to has a mode of its own, and is held by its own name where it is ours.
        let Ok(data) = fs::symlink_metadata(path) else {
            return;
        };
        let mode = data.permissions().mode() & 0o777;
        if !data.is_symlink() && mode & forbidden != 0 {
            let path = path.display();
            self.0.push(format!(
                "{path} has mode {mode:o}, so others can {can}: chmod {fix} {path}"
            ));
        }
    }

    /// A configuration, and the files that its secrets are in. Its group may read them: that is how the unit of systemd
    /// has them.
    fn hold_configuration(&mut self, file: &Path, secrets: &SecretPlaces) {
        self.hold(file, 0o022, "change it", "go-w");
        if let [first, ..] = secrets.lines.as_slice() {
            let can = format!("read the secret in line {first}");
            self.hold(file, 0o004, &can, "o-r");
        }
        for secret in &secrets.files {
            self.hold(secret, 0o007, "read it", "o-rwx");
        }
    }

    /// A folder of ours, with all that lies right in it.
    fn hold_folder(&mut self, folder: &Path) {
        self.hold(folder, 0o077, "enter it", "700");
        let entries = fs::read_dir(folder).into_iter().flatten();
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            match path.is_dir() {
                true => self.hold(&path, 0o077, "enter it", "700"),
                false => self.hold(&path, 0o077, "read it", "600"),
            }
        }
    }

    /// What it comes to, where that folder can be looked into.
    fn check(self, folder: &Path, without: &str) -> Check {
        let mut findings = self.0;
        let more = findings.len().saturating_sub(SHOWN_MAX);
        findings.truncate(SHOWN_MAX);
        if more > 0 {
            findings.push(format!("and {}", counted(more, "other file")));
        }
        match fs::read_dir(folder) {
            _ if !findings.is_empty() => check("files", Some(false), findings.join("\n")),
            Ok(_) => {
                let words = format!("{} and all secrets are closed to others", folder.display());
                check("files", Some(true), words)
            }
            Err(e) => check(
                "files",
                None,
                format!("{}: {e}; {without}", folder.display()),
            ),
        }
    }
}

/// The files of a server: its configuration, its state with the keys, and what else it keeps.
pub fn of_server_files(file: &Path, config: &Config, backups: Option<&Path>) -> Check {
    let mut open = OpenFiles::default();
    open.hold_configuration(file, &config.secrets);
    open.hold_folder(&config.state_dir);
    let results = &config.result_storage.root_dir;
    if !results.starts_with(&config.state_dir) {
        open.hold(results, 0o077, "enter it", "700");
    }
    let keys = config.audit_key_file.iter();
    for key in keys.chain(config.tls.iter().map(|tls| &tls.key_file)) {
        open.hold(key, 0o077, "read it", "600");
    }
    if let Some(checkpoints) = &config.checkpoint_file {
        open.hold(checkpoints, 0o022, "change it", "go-w");
    }
    if let Some(backups) = backups {
        open.hold(backups, 0o007, "read the state in it", "o-rwx");
    }
    open.check(
        &config.state_dir,
        "a first start makes it, and later the user of the server may look",
    )
}

/// The files of an agent: its configuration, its journal and its keys.
pub fn of_agent_files(file: &Path, config: &AgentConfig) -> Check {
    let mut open = OpenFiles::default();
    open.hold_configuration(file, &config.secrets);
    open.hold_folder(&config.state_dir);
    if let Some((_, key)) = &config.server.client_certificate {
        open.hold(key, 0o077, "read it", "600");
    }
    open.check(
        &config.state_dir,
        "a first start makes it, and later the user of the agent may look",
    )
}
