//! The files of the first tokens, where one is gone.

use crate::support::{Program, SHOP, admin_of, eventually, settled};
use std::fs;

#[test]
fn a_missing_admin_token_is_reported_at_each_start() {
    let dir = settled(SHOP);
    let file = dir.path().join("state/admin-token");
    let words = "admin-token is missing and its token is active";
    let (server, at) = Program::serve(dir.path());
    let admin = admin_of(at, dir.path());
    assert!(!server.stop().contains(words));
    fs::remove_file(&file).unwrap();
    let (server, at) = Program::serve(dir.path());
    eventually("the log names the file and the way back", || {
        let errors = server.errors();
        errors.contains(words) && errors.contains("`dbward serve --force-bootstrap`")
    });
    // Somebody who put it elsewhere still has it.
    let mut elsewhere = admin;
    elsewhere.at = at;
    elsewhere.get("/api/me").is(200);
    assert!(!file.exists());
    server.stop();
    let mut command = super::serve(dir.path());
    let server = Program::start(command.arg("--force-bootstrap"));
    server.line();
    assert!(file.exists());
    assert!(!server.stop().contains(words));
}

#[test]
fn quarantine_that_takes_every_token_is_administered_by_new_ones() {
    let dir = settled(SHOP);
    Program::serve(dir.path()).0.stop();
    let db = rusqlite::Connection::open(dir.path().join("state/dbward.db")).unwrap();
    let triggers = rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    db.set_db_config(triggers, false).unwrap();
    db.execute_batch(
        "UPDATE users SET source = 'oidc' WHERE id = 'admin'; UPDATE tokens SET name = 'x', roles_json = '[\"admin\"]'",
    )
    .unwrap();
    drop(db);
    let refused = super::serve(dir.path()).output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(
        words.contains("person admin: users, column source"),
        "{words}"
    );
    assert!(words.contains("start once with --quarantine"), "{words}");
    let old = admin_of("127.0.0.1:9".parse().unwrap(), dir.path());
    let mut command = super::serve(dir.path());
    let server = Program::start(command.args(["--quarantine", "--force-bootstrap"]));
    server.line();
    let log = server.stop();
    assert!(log.contains("quarantine: 0 requests frozen"), "{log}");
    let (server, at) = Program::serve(dir.path());
    let mut old = old;
    old.at = at;
    assert_eq!(old.get("/api/me").status, 401);
    let admin = admin_of(at, dir.path());
    admin.get("/api/me").is(200);
    let proof = admin.get("/api/audit/verify").is(200).json;
    assert_eq!(proof["valid"], true, "{proof}");
    server.stop();
}
