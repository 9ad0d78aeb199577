//! A backup of a running server is whole, proves itself, and is a server again.

use crate::support::{Program, SHOP, Server, Temp, admin_of, binary, settled};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

const SELECT: &str = "SELECT id FROM items WHERE id = 1";

/// A server.toml for the state of `s`.
fn config_of(s: &Server, dir: &Temp) -> PathBuf {
    let path = dir.path().join("source.toml");
    let text = format!(
        "state_dir = \"{}\"\nlisten = \"127.0.0.1:0\"\n{SHOP}",
        s.state_dir().display()
    );
    fs::write(&path, text).unwrap();
    path
}

fn dbward(arguments: &[&str], paths: &[&Path]) -> Output {
    binary().args(arguments).args(paths).output().unwrap()
}

#[track_caller]
fn ended(output: &Output, code: i32) -> String {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

/// A server with a small and a large result, and its backup.
fn backed_up() -> (Server, Temp, PathBuf, [String; 2]) {
    let s = Server::shop();
    let agent = s.agent("agent-1");
    let small = s.requester().submit("development", SELECT);
    agent.run(&small.id);
    let large = s.requester().submit("development", SELECT);
    let claim = agent.claim(&large.id);
    let data = json!({"rows": [{"text": "x".repeat(16 * 1024)}]}).to_string();
    agent.succeed(&claim.execution, &data).is(200);
    s.requester().submit("production", SELECT);
    assert_eq!(s.stored().len(), 1);
    let dir = Temp::new();
    let backup = dir.path().join("backup");
    let config = config_of(&s, &dir);
    let made = dbward(&["backup"], &[&backup, Path::new("--config"), &config]);
    let text = ended(&made, 0);
    assert!(text.contains("1 result"), "{text}");
    (s, dir, backup, [small.id, large.id])
}

#[test]
fn backup_of_a_running_server_is_a_server_again() {
    let (s, _dir, backup, results) = backed_up();
    let token = fs::read(s.state_dir().join("admin-token")).unwrap();
    let later = s.requester().submit("production", SELECT);
    drop(s);
    ended(&dbward(&["restore", "--check"], &[&backup]), 0);
    let new = settled(SHOP);
    let config = new.path().join("server.toml");
    let restore = |code| {
        let done = dbward(&["restore"], &[&backup, Path::new("--config"), &config]);
        ended(&done, code)
    };
    assert!(restore(0).contains("--accept-rollback"));
    let (server, at) = Program::serve(new.path());
    // The secret is in no backup, and the token counts all the same.
    assert!(!new.path().join("state/admin-token").exists());
    fs::write(new.path().join("state/admin-token"), token).unwrap();
    let admin = admin_of(at, new.path());
    for id in results {
        let path = format!("/api/requests/{id}/result/content");
        assert_eq!(admin.get(&path).is(200).json["success"], true);
    }
    assert_eq!(admin.get("/api/audit/verify").is(200).json["valid"], true);
    admin.get(&format!("/api/requests/{}", later.id)).is(404);
    server.stop();
    // A second one would overwrite what has happened since.
    assert!(restore(1).contains("exists already"));
}

#[test]
fn every_changed_file_of_a_backup_is_found() {
    let (_s, _dir, backup, _) = backed_up();
    let mut files = vec![];
    let mut open = vec![backup.clone()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.push(path);
            }
        }
    }
    assert_eq!(files.len(), 7, "{files:?}");
    for path in files {
        let whole = fs::read(&path).unwrap();
        let mut changed = whole.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        fs::write(&path, &changed).unwrap();
        let text = ended(&dbward(&["restore", "--check"], &[&backup]), 1);
        assert!(!text.contains("panicked"), "{text}");
        fs::remove_file(&path).unwrap();
        ended(&dbward(&["restore", "--check"], &[&backup]), 1);
        fs::write(&path, &whole).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    ended(&dbward(&["restore", "--check"], &[&backup]), 0);
}

#[test]
fn edited_row_is_found_even_if_sums_of_backup_fit() {
    let (_s, _dir, backup, _) = backed_up();
    let database = backup.join("dbward.db");
    let db = rusqlite::Connection::open(&database).unwrap();
    let triggers = rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    db.set_db_config(triggers, false).unwrap();
    db.execute_batch("UPDATE request_texts SET detail = 'DROP TABLE items'")
        .unwrap();
    db.close().unwrap();
    with_sums_that_fit(&backup);
    let text = ended(&dbward(&["restore", "--check"], &[&backup]), 1);
    assert!(text.contains("the audit log does not hold"), "{text}");
    assert!(text.contains("request_texts"), "{text}");
}

#[test]
fn trigger_in_a_backup_is_found() {
    let (_s, _dir, backup, _) = backed_up();
    let db = rusqlite::Connection::open(backup.join("dbward.db")).unwrap();
    db.execute_batch(
        "CREATE TRIGGER more AFTER INSERT ON audit_events BEGIN UPDATE sessions SET subject_id = 'admin'; END",
    )
    .unwrap();
    db.close().unwrap();
    with_sums_that_fit(&backup);
    let text = ended(&dbward(&["restore", "--check"], &[&backup]), 1);
    assert!(
        text.contains("no migration made trigger more of table audit_events"),
        "{text}"
    );
}

/// Writes size and SHA-256 of the database into the list of the backup's files.
fn with_sums_that_fit(backup: &Path) {
    let database = backup.join("dbward.db");
    let manifest = backup.join("backup.json");
    let mut text: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    let bytes = fs::read(&database).unwrap();
    let file = text["files"].as_array_mut().unwrap();
    let file = file.iter_mut().find(|f| f["name"] == "dbward.db").unwrap();
    file["bytes"] = bytes.len().into();
    file["sha256"] = dbward::crypto::sha256_hex(&bytes).into();
    fs::write(&manifest, text.to_string()).unwrap();
}

#[test]
fn backups_made_under_load_hold() {
    let s = Server::shop();
    let dir = Temp::new();
    let config = config_of(&s, &dir);
    let done = std::sync::atomic::AtomicBool::new(false);
    let backups = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let person = s.requester();
                    let mut made = 0;
                    while !done.load(std::sync::atomic::Ordering::SeqCst) {
                        let request = person.submit("production", SELECT);
                        person.cancel(&request).is(200);
                        made += 1;
                    }
                    made
                })
            })
            .collect();
        let mut events = Vec::new();
        for n in 0..3 {
            let backup = dir.path().join(format!("backup-{n}"));
            ended(
                &dbward(&["backup"], &[&backup, Path::new("--config"), &config]),
                0,
            );
            let text = fs::read(backup.join("backup.json")).unwrap();
            let manifest: Value = serde_json::from_slice(&text).unwrap();
            events.push(manifest["events"].as_i64().unwrap());
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        let made: usize = writers.into_iter().map(|w| w.join().unwrap()).sum();
        assert!(made > 0);
        events
    });
    assert_eq!(backups.len(), 3);
    assert!(backups.is_sorted(), "{backups:?}");
}

#[test]
fn backup_writes_over_nothing_and_leaves_nothing_half_done() {
    let (s, dir, backup, _) = backed_up();
    let config = config_of(&s, &dir);
    let again = dbward(&["backup"], &[&backup, Path::new("--config"), &config]);
    assert!(ended(&again, 1).contains("exists already"));
    // A state that does not hold is not backed up.
    let keys = s.state_dir().join("audit-keys.json");
    fs::rename(&keys, dir.path().join("keys")).unwrap();
    let other = dir.path().join("other");
    ended(
        &dbward(&["backup"], &[&other, Path::new("--config"), &config]),
        1,
    );
    fs::rename(dir.path().join("keys"), &keys).unwrap();
    let names: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("other"))
        .collect();
    assert_eq!(names, Vec::<String>::new());
    let text = ended(&dbward(&["restore", "--check"], &[dir.path()]), 1);
    assert!(text.contains("is not a backup"), "{text}");
}

/// The one result of `s` that is a file.
fn result_file(s: &Server) -> PathBuf {
    let [key] = &s.stored()[..] else {
        panic!("one result is a file");
    };
    s.state_dir().join("results").join(key)
}

#[test]
fn damaged_result_is_named_and_costs_nobody_the_backup() {
    let (s, dir, _, [_, large]) = backed_up();
    let config = config_of(&s, &dir);
    let file = result_file(&s);
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let key = file.strip_prefix(s.state_dir().join("results")).unwrap();
    let key = key.to_str().unwrap().to_owned();
    for (name, damage) in [("changed", false), ("missing", true)] {
        if damage {
            fs::remove_file(&file).unwrap();
        }
        let backup = dir.path().join(name);
        let made = dbward(&["backup"], &[&backup, Path::new("--config"), &config]);
        let text = ended(&made, 1);
        assert!(text.contains("without 1 result that was damaged"), "{text}");
        assert!(text.contains("damaged.txt"), "{text}");
        let named = fs::read_to_string(backup.join("damaged.txt")).unwrap();
        assert_eq!(named, format!("{key}\n"));
        assert!(!backup.join("results").join(&key).exists());
        ended(&dbward(&["restore", "--check"], &[&backup]), 0);
    }
    // What the backup does not call damaged has to be in it.
    let backup = dir.path().join("missing");
    fs::write(backup.join("damaged.txt"), "").unwrap();
    ended(&dbward(&["restore", "--check"], &[&backup]), 1);
    let backup = dir.path().join("changed");
    let token = fs::read(s.state_dir().join("admin-token")).unwrap();
    drop(s);
    let new = settled(SHOP);
    let config = new.path().join("server.toml");
    ended(
        &dbward(&["restore"], &[&backup, Path::new("--config"), &config]),
        0,
    );
    let (server, at) = Program::serve(new.path());
    fs::write(new.path().join("state/admin-token"), token).unwrap();
    let admin = admin_of(at, new.path());
    let content = admin.get(&format!("/api/requests/{large}/result/content"));
    assert_eq!(content.json["error"]["code"], "gone", "{}", content.raw());
    assert_eq!(admin.get("/api/audit/verify").is(200).json["valid"], true);
    server.stop();
}

#[test]
fn interrupted_restore_can_be_repeated_and_overwrites_nothing() {
    let (s, _dir, backup, _) = backed_up();
    let file = result_file(&s);
    let key = file.strip_prefix(s.state_dir()).unwrap().to_owned();
    drop(s);
    let new = settled(SHOP);
    let config = new.path().join("server.toml");
    let state = new.path().join("state");
    let restore = |code| {
        let done = dbward(&["restore"], &[&backup, Path::new("--config"), &config]);
        ended(&done, code)
    };
    // Somebody else's file is where one of the backup goes.
    for name in [Path::new("signing.key"), &key] {
        let place = state.join(name);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, "of somebody else").unwrap();
        let text = restore(1);
        assert!(text.contains("is not the file of the backup"), "{text}");
        assert!(text.contains(name.to_str().unwrap()), "{text}");
        assert!(!state.join("dbward.db").exists());
        assert!(!state.join("audit-signing.key").exists());
        fs::remove_file(&place).unwrap();
    }
    // What a first try had put there before it was ended, with a file that was not whole yet.
    for name in [Path::new("signing.key"), &key] {
        let mut from = backup.join(name);
        if !from.exists() {
            from = backup
                .join("results")
                .join(name.strip_prefix("results").unwrap());
        }
        fs::copy(from, state.join(name)).unwrap();
    }
    fs::write(state.join("dbward.db.partial"), "half of it").unwrap();
    restore(0);
    let (server, _) = Program::serve(new.path());
    server.stop();
}

#[test]
fn restore_refuses_the_log_of_a_database_that_is_gone() {
    let (s, _dir, backup, _) = backed_up();
    drop(s);
    let new = settled(SHOP);
    let config = new.path().join("server.toml");
    let state = new.path().join("state");
    fs::create_dir(&state).unwrap();
    for suffix in ["-wal", "-shm", "-journal"] {
        let left = state.join(format!("dbward.db{suffix}"));
        fs::write(&left, "of the old database").unwrap();
        let done = dbward(&["restore"], &[&backup, Path::new("--config"), &config]);
        let text = ended(&done, 1);
        assert!(
            text.contains(&format!("dbward.db{suffix} exists already")),
            "{text}"
        );
        assert!(!state.join("dbward.db").exists() && !state.join("signing.key").exists());
        fs::remove_file(left).unwrap();
    }
    let done = dbward(&["restore"], &[&backup, Path::new("--config"), &config]);
    ended(&done, 0);
    assert!(state.join("restored-from").exists());
}
