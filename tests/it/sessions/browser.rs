//! Sessions that end under the hands of who uses them, in headless Chromium. The browser is driven by
//! tests/browser/session_end.mjs, which says on its output what shall happen here: mostly, that the clock turns.

use super::toml;
use crate::support::{Idp, Key, Server, key_set};
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// A shop on this machine whose provider signs `who` in without a question.
fn shop(who: &Arc<Mutex<String>>) -> (Server, Idp) {
    let key = Key::new("one");
    let idp = Idp::start(&key_set(&[&key]));
    let toml = toml(&idp, "default_role = \"developer\"");
    let (_, here) = toml.split_once('\n').unwrap();
    let s = Server::with(here);
    let (clock, issuer, subject) = (s.clock.clone(), idp.url(), Arc::clone(who));
    idp.signs_in(move |nonce| {
        let now = clock.now().0 / 1000;
        let subject = subject.lock().unwrap().clone();
        key.sign(&json!({
            "iss": issuer, "aud": "dbward", "sub": subject, "iat": now, "exp": now + 600, "nonce": nonce,
        }))
    });
    (s, idp)
}

#[test]
#[ignore = "DBWARD_TEST_BROWSER names a folder with the tests of the console and their packages"]
fn a_session_that_ends_loses_nothing_that_was_typed() {
    let folder = std::env::var("DBWARD_TEST_BROWSER").unwrap();
    let who = Arc::new(Mutex::new("ann".to_owned()));
    let (s, _idp) = shop(&who);
    let mut driver = Command::new("node")
        .arg(format!("{folder}/session_end.mjs"))
        .arg(format!("http://{}", s.inner().addr()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answers = driver.stdin.take().unwrap();
    let mut last = String::new();
    for line in BufReader::new(driver.stdout.take().unwrap()).lines() {
        last = line.unwrap();
        match last.split_once(' ') {
            Some(("turn", secs)) => s.turn(secs.parse().unwrap()),
            Some(("next", subject)) => subject.clone_into(&mut who.lock().unwrap()),
            Some((verb @ ("suspend" | "activate"), subject)) => {
                let path = format!("/api/users/{subject}/{verb}");
                s.admin().poke(&path).is(200);
            }
            _ => continue,
        }
        writeln!(answers, "done").unwrap();
    }
    assert!(driver.wait().unwrap().success());
    assert_eq!(last, "passed");
}
