//! What the real program leaves for others to read: its log and its files.

use crate::support::{Program, SHOP, admin_of, settled};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn log_of_every_level_shows_no_statement() {
    for level in ["debug", "trace"] {
        let dir = settled(&format!("{SHOP}[logging]\nlevel = \"{level}\"\n"));
        let (server, at) = Program::serve(dir.path());
        let admin = admin_of(at, dir.path());
        let sql = "UPDATE items SET price = 4711 WHERE name = 'in-the-statement'";
        admin.create("production", sql).is(201);
        admin
            .create("development", "SELECT in_the_statement FROM")
            .is(422);
        let log = server.stop();
        assert!(log.contains("DEBUG") || log.contains("INFO"), "{log}");
        for word in ["in-the-statement", "4711", "in_the_statement"] {
            assert!(!log.contains(word), "{level}: {log}");
        }
    }
}

#[test]
fn loose_database_is_made_private_at_a_start() {
    let dir = settled(SHOP);
    let state = dir.path().join("state");
    Program::serve(dir.path()).0.stop();
    let file = state.join("dbward.db");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let (server, at) = Program::serve(dir.path());
    let nobody = admin_of(at, dir.path());
    nobody.get("/ready").is(200);
    for name in ["dbward.db", "dbward.db-wal", "dbward.db-shm"] {
        let mode = fs::metadata(state.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    // It was ready because it has really written.
    let written: i64 = rusqlite::Connection::open(&file)
        .unwrap()
        .query_row(
            "SELECT count(*) FROM meta WHERE key = 'probed_at'",
            [],
            |r| r.get(0),
        )
        .unwrap();
    assert_eq!(written, 1);
    let log = server.stop();
    assert!(log.contains("made private"), "{log}");
}
