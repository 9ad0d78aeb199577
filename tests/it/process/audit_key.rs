//! `[audit] key_file`: the key that signs the audit log, kept elsewhere than the state.

use crate::support::{Program, SHOP, Temp, admin_of, binary, settled};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A configuration whose audit key is in a folder of its own, and that folder.
fn kept_elsewhere() -> (Temp, Temp) {
    let keys = Temp::new();
    let file = keys.path().join("audit.key");
    let dir = settled(&format!("{SHOP}[audit]\nkey_file = {file:?}\n"));
    (dir, keys)
}

/// What `audit verify --db` answers of the state in `dir`.
fn verified(dir: &Path, more: &[&Path]) -> (Option<i32>, String) {
    let mut command = binary();
    command
        .args(["audit", "verify", "--format", "json", "--db"])
        .arg(dir.join("state/dbward.db"));
    if let [key] = more {
        command.arg("--key-file").arg(key);
    }
    let run = command.output().unwrap();
    (run.status.code(), String::from_utf8(run.stdout).unwrap())
}

#[test]
fn log_signed_elsewhere_is_proved_by_that_key_alone() {
    let (dir, keys) = kept_elsewhere();
    let key = keys.path().join("audit.key");
    let (server, at) = Program::serve(dir.path());
    let admin = admin_of(at, dir.path());
    admin
        .create("production", "UPDATE items SET price = 2 WHERE id = 1")
        .is(201);
    assert_eq!(admin.get("/api/audit/verify").is(200).json["valid"], true);
    server.stop();
    let mode = fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!dir.path().join("state/audit-signing.key").exists());
    // Who has the state alone proves the chain by the public key, and cannot prove the live rows.
    let (code, output) = verified(dir.path(), &[]);
    assert_eq!(code, Some(0), "{output}");
    assert!(
        output.contains(r#""live_state":"not_compared""#),
        "{output}"
    );
    let (code, output) = verified(dir.path(), &[&key]);
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains(r#""live_state":"compared""#), "{output}");
    // The same key, and the next start goes on.
    Program::serve(dir.path()).0.stop();
    // Another one in its place, and it does not.
    fs::rename(&key, keys.path().join("kept")).unwrap();
    let refused = super::serve(dir.path()).output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    let output = String::from_utf8(refused.stderr).unwrap();
    assert!(
        output.contains("its head is signed by the audit key"),
        "{output}"
    );
    fs::rename(keys.path().join("kept"), &key).unwrap();
    Program::serve(dir.path()).0.stop();
}

#[test]
fn a_bad_key_file_is_refused_with_the_reason() {
    let (dir, keys) = kept_elsewhere();
    let key = keys.path().join("audit.key");
    let check = |command: &str| {
        let run = binary()
            .args([command, "--config"])
            .arg(dir.path().join("server.toml"))
            .output()
            .unwrap();
        let errors = String::from_utf8(run.stderr).unwrap();
        (run.status.code(), errors)
    };
    let with = |bytes: &[u8], mode: u32| {
        fs::write(&key, bytes).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
    };
    let refused = |reason: &str| {
        for command in ["check-config", "serve"] {
            let (code, errors) = check(command);
            assert_eq!(code, Some(1), "{command}: {errors}");
            let line = errors.lines().find(|line| line.contains("audit.key_file"));
            let line = line.unwrap_or_else(|| panic!("{command}: {errors}"));
            assert!(line.contains(reason), "{command}: {errors}");
            assert!(line.contains("audit.key"), "{command}: {errors}");
        }
    };
    with(&[7; 32], 0o644);
    refused("may be read by others (mode 644); run `chmod 600` on it");
    with(&[7; 31], 0o600);
    refused("is not 32 bytes long");
    fs::remove_file(&key).unwrap();
    fs::create_dir(&key).unwrap();
    refused("key file");
    fs::remove_dir(&key).unwrap();
    fs::remove_dir(keys.path()).unwrap();
    refused("there is no such folder");
    fs::create_dir(keys.path()).unwrap();
    with(&[7; 32], 0o600);
    assert_eq!(check("check-config").0, Some(0));
    fs::remove_file(&key).unwrap();
    // A start makes it.
    assert_eq!(check("check-config").0, Some(0));
}
