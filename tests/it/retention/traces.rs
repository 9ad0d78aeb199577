//! What retention removed stands in no file any more: not in the state, nor in its log, nor in a backup made afterwards.

use super::{DAY, SHORT, UPDATE, chatter, executed, purged, short};
use crate::support::{SHOP, Server, Temp, binary};
use dbward::crypto::{hex, random};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// A server that keeps texts as they are, and notes whom it would notify.
fn server() -> Server {
    let hook = "[[webhooks]]\nid = \"ops\"\nurl = \"http://127.0.0.1:9/\"\n";
    Server::with(&format!(
        "{SHOP}{SHORT}{hook}[audit]\nredaction = \"none\"\n"
    ))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path],
        })
        .collect()
}

/// Which of these words stand in files of the folder, as their bytes are on the disk.
fn found(folder: &Path, words: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    // The socket cannot be read.
    for path in files(folder).iter().filter(|path| path.is_file()) {
        let bytes = fs::read(path).unwrap();
        for word in words {
            if bytes.windows(word.len()).any(|w| w == word.as_bytes()) {
                let name = path.file_name().unwrap().to_string_lossy();
                found.push(format!("{name}: {word}"));
            }
        }
    }
    found
}

fn backup(s: &Server, dir: &Temp) -> PathBuf {
    let config = dir.path().join("server.toml");
    let text = format!(
        "state_dir = \"{}\"\nlisten = \"127.0.0.1:0\"\n{SHOP}",
        s.state_dir().display()
    );
    fs::write(&config, text).unwrap();
    let backup = dir.path().join("backup");
    let made = binary()
        .arg("backup")
        .arg(&backup)
        .arg("--config")
        .arg(&config)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    backup
}

/// Requests with one of these words each in everything that people and agents may write.
fn write(s: &Server, word: &dyn Fn(&str) -> String) {
    let (requester, agent) = (s.requester(), s.agent("agent-1"));
    let sql = format!("UPDATE items SET name = '{}' WHERE id = 1", word("detail"));
    let more = json!({
        "reason": word("reason"), "metadata": {"ticket": word("metadata")}, "idempotency_key": word("key"),
    });
    let request = requester.submit_with("production", &sql, more);
    let vote = json!({"reason": word("vote")});
    let path = request.path("/reject");
    s.approver().post(&path, &vote).is(200);
    for (name, length) in [("row", 10), ("object", 40_000)] {
        let request = requester.submit("development", "SELECT id FROM items WHERE id = 1");
        let claim = agent.claim(&request.id);
        let rows = json!({"rows": [{"a": format!("{}{}", word(name), "x".repeat(length))}]});
        agent.succeed(&claim.execution, &rows.to_string()).is(200);
    }
    let request = requester.submit("development", "SELECT id FROM items WHERE id = 1");
    let claim = agent.claim(&request.id);
    agent.fail(&claim.execution, &word("failure")).is(200);
}

const PLACES: [&str; 8] = [
    "detail", "reason", "metadata", "key", "vote", "row", "object", "failure",
];

#[test]
fn purged_text_is_in_no_state_file_or_later_backup() {
    let s = server();
    let id = hex(&random::<6>());
    let word = |place: &str| format!("lingers-{place}-{id}");
    write(&s, &word);
    let words = PLACES.map(word);
    let before = found(&s.state_dir(), &words);
    for word in &words {
        assert!(
            before.iter().any(|at| at.ends_with(word)),
            "{word} was never written: {before:?}"
        );
    }
    chatter(&s);
    // Three turns of days: the log goes once everything that it accounts for has gone.
    for _ in 0..3 {
        s.turn(25 * DAY);
        chatter(&s);
        // Nobody delivers what is to be notified: it is given up.
        dbward::jobs::outbox(s.inner().job_state()).unwrap();
        for _ in 0..4 {
            s.purge();
        }
    }
    let none: [String; 0] = [];
    assert_eq!(found(&s.state_dir(), &words), none);
    let dir = Temp::new();
    assert_eq!(found(&backup(&s, &dir), &words), none);
    let s = s.restart();
    assert_eq!(found(&s.state_dir(), &words), none);
}

#[test]
fn one_turn_of_retention_leaves_nothing_in_write_ahead_log() {
    let s = Server::with(&format!("{SHOP}{SHORT}"));
    let id = hex(&random::<6>());
    let word = |place: &str| format!("lingers-{place}-{id}");
    write(&s, &word);
    // What the audit log does not have, which is kept longer.
    let words = ["detail", "metadata", "key", "row"].map(word);
    let log = s.state_dir().join("dbward.db-wal");
    let held = found(&s.state_dir(), &words);
    assert!(
        words
            .iter()
            .all(|word| held.contains(&format!("dbward.db-wal: {word}"))),
        "{held:?}"
    );
    s.turn(11 * DAY);
    s.purge();
    let none: [String; 0] = [];
    assert_eq!(found(&s.state_dir(), &words), none);
    assert_eq!(fs::metadata(&log).unwrap().len(), 0);
    // It works on.
    write(&s, &word);
    assert!(fs::metadata(&log).unwrap().len() > 0);
}

/// Edits of a request, whose row is `?`, by which it would be over.
const OVER: [&str; 2] = [
    "UPDATE requests SET updated_at_ms = 0 WHERE seq = ?",
    "UPDATE requests SET updated_at_ms = 0, status = 'cancelled', resolved_at_ms = 0, due_at_ms = NULL, \
     dispatched_from = NULL, dispatch_deadline_ms = NULL WHERE seq = ?",
];

#[test]
fn an_edited_request_is_not_removed_before_its_time() {
    for edited in OVER {
        let s = short();
        let ran = executed(&s);
        let waits = s.requester().submit("production", UPDATE);
        s.edit_state("DELETE FROM results");
        // The first edit alone does not end what waits.
        let requests = match edited.contains("status") {
            true => vec![&ran, &waits],
            false => vec![&ran],
        };
        for request in &requests {
            s.edit_request(request, edited);
        }
        for _ in 0..2 {
            s.purge();
        }
        assert_eq!(purged(&s, "request"), 0, "{edited}");
        assert!(s.events("event_type=request.purged").is_empty());
        let frozen = s.events("event_type=request.corrupt");
        assert_eq!(frozen.len(), requests.len(), "{edited}");
        for request in requests {
            assert_eq!(s.admin().show(request).is(200).json["corrupt"], true);
        }
        s.abandon();
    }
}
