//! The units of systemd name commands, codes and folders that are ours, and systemd can read them.

use crate::support::{Temp, binary};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each unit and the command that it runs.
const UNITS: [(&str, &str); 2] = [("dbward", "serve"), ("dbward-agent", "agent")];

fn unit(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    fs::read_to_string(root.join(format!("{name}.service"))).unwrap()
}

fn values<'u>(unit: &'u str, key: &str) -> Vec<&'u str> {
    let value = |line: &'u str| line.strip_prefix(key)?.strip_prefix('=');
    unit.lines().filter_map(value).collect()
}

#[test]
fn units_run_commands_that_exist() {
    for (name, command) in UNITS {
        let unit = unit(name);
        let [line] = values(&unit, "ExecStart")[..] else {
            panic!("{name}: one ExecStart");
        };
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(
            words[..3],
            ["/usr/bin/dbward", command, "--config"],
            "{name}"
        );
        let help = binary().args([command, "--help"]).output().unwrap();
        assert!(String::from_utf8_lossy(&help.stdout).contains("--config <FILE>"));
        // What it keeps is where the instructions say, and its user is one that is made.
        let state = format!("/var/lib/{}", values(&unit, "StateDirectory")[0]);
        assert!(unit.contains(&format!("state_dir = \"{state}\"")), "{name}");
        let users = include_str!("../../packaging/sysusers.d/dbward.conf");
        let user = values(&unit, "User")[0];
        assert!(users.contains(&format!("\nu {user} - ")), "{user}");
    }
}

#[test]
fn server_that_refuses_its_state_is_not_started_again() {
    let unit = unit("dbward");
    let codes = values(&unit, "RestartPreventExitStatus")[0];
    assert!(codes.split(' ').any(|code| code == "3"), "{codes}");
}

#[test]
fn systemd_reads_the_units_and_finds_them_hardened() {
    let tried = Command::new("systemd-analyze").arg("--version").output();
    if !tried.is_ok_and(|output| output.status.success()) {
        return;
    }
    let dir = Temp::new();
    for (name, _) in UNITS {
        // Neither the program nor its pages are installed here.
        let text: String = unit(name)
            .replace("/usr/bin/dbward", "/bin/true")
            .lines()
            .filter(|line| !line.starts_with("Documentation="))
            .map(|line| format!("{line}\n"))
            .collect();
        let path: PathBuf = dir.path().join(format!("{name}.service"));
        fs::write(&path, text).unwrap();
        let analyze = |arguments: &[&str]| {
            let mut command = Command::new("systemd-analyze");
            let output = command.args(arguments).arg(&path).output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            (output.status.success(), errors)
        };
        let (reads, complaint) = analyze(&["verify"]);
        assert!(reads && complaint.is_empty(), "{name}: {complaint}");
        // Tenths of systemd's exposure level, from 0 to 100.
        let (hardened, complaint) = analyze(&["security", "--offline=true", "--threshold=20"]);
        assert!(hardened, "{name}: {complaint}");
    }
}
