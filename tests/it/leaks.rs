//! What the real program leaves for others to read: its log and its files.

use crate::support::{Person, Program, SHOP, admin_of, settled};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// The most talkative levels, by server.toml and by `RUST_LOG`.
const LEVELS: [(&str, &str); 6] = [
    ("debug", ""),
    ("trace", ""),
    ("info", "debug"),
    ("info", "trace"),
    (
        "info",
        "info,sqlparser::parser=trace,sqlparser::dialect=trace",
    ),
    (
        "info",
        "trace,rusqlite=trace,tokio_postgres::query=trace,mysql=trace,ureq::unversioned=trace,tiny_http=trace",
    ),
];

/// Parts of what [`calls`] give the server, each in another place.
const GIVEN: [&str; 7] = [
    "4711004711",
    "in_the_statement",
    "in_the_unparsable",
    "in_the_broken_body",
    "in_the_query",
    "in_a_header",
    "in_the_credentials",
];

/// Statements, bodies, queries, headers and credentials, right and wrong ones.
fn calls(admin: &Person) {
    let sql = "UPDATE items SET price = 4711004711 WHERE name = 'in_the_statement'";
    admin.create("production", sql).is(201);
    let unparsable = "SELECT in_the_unparsable FROM";
    admin.create("development", unparsable).is(422);
    let json = [("content-type", "application/json")];
    let broken = br#"{"database": "in_the_broken_body", "#;
    admin.call("POST", "/api/requests", &json, broken).is(400);
    admin.get("/api/requests?status=in_the_query").is(400);
    admin
        .get_with("/api/requests", &[("x-note", "in_a_header")])
        .is(200);
    let mut nobody = admin.clone();
    nobody.token = Some("in_the_credentials".to_owned());
    nobody.get("/api/me").is(401);
}

#[test]
fn log_of_every_level_shows_nothing_that_was_given() {
    for (level, directives) in LEVELS {
        let dir = settled(&format!("{SHOP}[logging]\nlevel = \"{level}\"\n"));
        let (server, at) = Program::serve_with(dir.path(), &[("RUST_LOG", directives)]);
        let admin = admin_of(at, dir.path());
        calls(&admin);
        let log = server.stop();
        // It is written at all.
        assert!(log.contains(" dbward::"), "{level} {directives}: {log}");
        let token = admin.token.as_deref().unwrap();
        for word in GIVEN.iter().chain([&token]) {
            assert!(!log.contains(word), "{level} {directives}: {log}");
        }
        for line in log.lines().filter(|line| line.starts_with('[')) {
            let own = line.contains(" dbward::") || line.contains(" dbward]");
            let loud = line.contains(" WARN ") || line.contains(" ERROR ");
            assert!(own || loud, "{level} {directives}: {line}");
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
