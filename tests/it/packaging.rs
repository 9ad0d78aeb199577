//! The units of systemd name commands, codes and folders that are ours, and systemd can read them; the package and the
//! image install what there is.

use crate::support::{Server, Temp, binary, skipped};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Each unit and the command that it runs.
const UNITS: [(&str, &str); 3] = [
    ("dbward", "serve"),
    ("dbward-standby", "serve"),
    ("dbward-agent", "agent"),
];

/// Runs once a night; its timer has its name.
const BACKUP: &str = "dbward-backup";

fn unit(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    fs::read_to_string(root.join(format!("{name}.service"))).unwrap()
}

fn values<'u>(unit: &'u str, key: &str) -> Vec<&'u str> {
    let value = |line: &'u str| line.strip_prefix(key)?.strip_prefix('=');
    unit.lines().filter_map(value).collect()
}

#[test]
fn backup_of_a_machine_that_stands_by_does_not_fail() {
    // `both_machines_have_checkpoint_files_and_take_over_from_each_other` holds the code.
    assert_eq!(values(&unit(BACKUP), "SuccessExitStatus"), ["4"]);
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
fn nightly_backup_reads_the_servers_files_and_writes_its_own() {
    let (backup, server) = (unit(BACKUP), unit("dbward"));
    for key in ["User", "Group", "StateDirectory", "EnvironmentFile"] {
        assert_eq!(values(&backup, key), values(&server, key), "{key}");
    }
    let command = values(&backup, "ExecStart")[0];
    let folder = values(&backup, "ReadWritePaths")[0];
    assert!(command.contains("/usr/bin/dbward backup "), "{command}");
    assert!(
        command.contains("--config /etc/dbward/server.toml"),
        "{command}"
    );
    assert!(command.contains(&format!("\"{folder}/$(date")), "{command}");
    let page = fs::read_to_string(root().join("docs/operating.md")).unwrap();
    assert!(page.contains(&format!("install -d -m 0700 -o dbward {folder}\n")));
}

#[test]
fn server_that_refuses_its_state_is_not_started_again() {
    let prevented = |name: &str, code: &str| {
        let unit = unit(name);
        let codes = values(&unit, "RestartPreventExitStatus")[0];
        codes.split(' ').any(|known| known == code)
    };
    assert!(prevented("dbward", "3") && prevented("dbward-standby", "3"));
    // One that was replaced would refuse to start, and stands by where it can.
    assert!(prevented("dbward", "75") && !prevented("dbward-standby", "75"));
}

#[test]
fn child_processes_are_left_to_the_program_that_started_them() {
    for (name, _) in UNITS {
        assert_eq!(values(&unit(name), "KillMode"), ["mixed"], "{name}");
    }
    // Never both on one machine.
    let standby = unit("dbward-standby");
    assert_eq!(values(&standby, "Conflicts"), ["dbward.service"]);
    assert!(values(&standby, "ExecStart")[0].ends_with(" --standby"));
}

#[test]
fn systemd_reads_the_units_and_finds_them_hardened() {
    let tried = Command::new("systemd-analyze").arg("--version").output();
    if !tried.is_ok_and(|output| output.status.success()) {
        return skipped("systemd-analyze is not installed");
    }
    let dir = Temp::new();
    let timer = root().join("packaging/systemd/dbward-backup.timer");
    fs::copy(timer, dir.path().join("dbward-backup.timer")).unwrap();
    for name in UNITS.map(|(name, _)| name).into_iter().chain([BACKUP]) {
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

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn debian_package_installs_program_units_and_users() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let mut installed = Vec::new();
    for asset in deb["assets"].as_array().unwrap() {
        let [from, to, mode] = [0, 1, 2].map(|n| asset[n].as_str().unwrap());
        let folder = Path::new(from).parent().unwrap();
        // The program is there once it is built.
        assert!(
            from.starts_with("target/") || root().join(folder).is_dir(),
            "{from}"
        );
        assert!(
            from.starts_with("target/") || from.contains('*') || root().join(from).is_file(),
            "{from}"
        );
        let name = Path::new(from).file_name().unwrap().to_str().unwrap();
        installed.push(format!("{mode} {to}{name}"));
    }
    for wanted in ["755 usr/bin/dbward", "644 usr/lib/sysusers.d/dbward.conf"] {
        assert!(
            installed.iter().any(|file| file == wanted),
            "{wanted}: {installed:?}"
        );
    }
    let units: Vec<&str> = deb["systemd-units"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            assert_eq!(entry["unit-scripts"].as_str(), Some("packaging/systemd"));
            assert_eq!(entry["start"].as_bool(), Some(false));
            entry["unit-name"].as_str().unwrap()
        })
        .collect();
    let wanted: Vec<&str> = UNITS
        .iter()
        .map(|(name, _)| *name)
        .chain([BACKUP])
        .collect();
    assert_eq!(units, wanted);
    let script = fs::read_to_string(root().join("packaging/deb/postinst")).unwrap();
    assert!(script.contains("systemd-sysusers dbward.conf") && script.ends_with("#DEBHELPER#\n"));
}

#[test]
fn image_runs_unprivileged_and_checks_readiness() {
    let file = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let run: Vec<&str> = file.split("\nFROM ").last().unwrap().lines().collect();
    let line = |word: &str| -> &str {
        let found: Vec<&&str> = run
            .iter()
            .filter(|line| line.starts_with(&format!("{word} ")))
            .collect();
        assert_eq!(found.len(), 1, "one {word}");
        found[0]
    };
    // By number, so that a cluster which refuses root can see that it is not.
    assert_eq!(line("USER"), "USER 65532:65532");
    assert_eq!(line("ENTRYPOINT"), "ENTRYPOINT [\"/usr/bin/dbward\"]");
    assert_eq!(
        line("CMD"),
        "CMD [\"serve\", \"--config\", \"/etc/dbward/server.toml\"]"
    );
    assert!(
        line("HEALTHCHECK").contains("CMD [\"/bin/bash\"") && file.contains("GET /ready HTTP/1.1")
    );
    // No base without a version, and nothing fetched besides.
    let bases = file.lines().filter_map(|line| line.strip_prefix("FROM "));
    let mut counted = 0;
    for base in bases {
        let (_, tag) = base.split_once(':').unwrap();
        assert!(!tag.starts_with("latest"), "{base}");
        counted += 1;
    }
    assert!(counted >= 2, "{counted}");
    for word in ["curl ", "wget ", "ADD ", "sudo", "apt-get", "chmod 777"] {
        assert!(!file.contains(word), "{word}");
    }
    // What the health check runs, against a server.
    let check = file
        .split("\"-c\", \\\n    \"")
        .nth(1)
        .unwrap()
        .split("\"]")
        .next()
        .unwrap();
    let check = check.replace("\\\\", "\\");
    let s = Server::shop();
    let port = s.inner().addr().port();
    let ready = |port: u16| {
        let check = check.replace("/3000", &format!("/{port}"));
        Command::new("bash")
            .args(["-c", &check])
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    };
    assert!(ready(port));
    drop(s);
    assert!(!ready(port));
}
