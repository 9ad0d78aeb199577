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
