//! The audit log on another machine: exported by the server, from its file and over the API, and proved with public keys
//! alone, by the program and by the tool in docs.

mod at_length;
mod attacks;
mod changes;
mod memory;
mod offline;

use crate::command_line::console::Console;
use crate::support::{SHOP, Server, Temp, binary};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dbward::crypto::{Keypair, PublicKey};
use dbward::export::{VerifiedExport, verify_export};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

const UPDATE: &str = "UPDATE items SET price = 2 WHERE name = 'secret'";

/// A server whose log has moves of several kinds and a signed checkpoint.
fn busy() -> Server {
    busy_with("")
}

fn busy_with(toml: &str) -> Server {
    let s = Server::with(&format!("{toml}{SHOP}"));
    let request = s
        .requester()
        .submit("production", UPDATE)
        .approved_by(&s.approver())
        .resumed();
    s.agent("agent-1").run(&request.id);
    s.turn_only(3_601);
    s.minute();
    s.requester().submit("production", UPDATE);
    assert!(!s.events("event_type=audit.signed_checkpoint").is_empty());
    s
}

fn keys(state_dir: &Path) -> BTreeMap<String, PublicKey> {
    let text = fs::read_to_string(state_dir.join("audit-keys.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let keys = file["keys"].as_object().unwrap().iter();
    keys.map(|(id, key)| {
        let bytes = STANDARD.decode(key.as_str().unwrap()).unwrap();
        (id.clone(), PublicKey::from_bytes(&bytes).unwrap())
    })
    .collect()
}

fn proved(lines: &[u8], keys: &BTreeMap<String, PublicKey>) -> VerifiedExport {
    verify_export(lines, &|id: &str| keys.get(id).copied(), None).unwrap()
}

/// The command that verifies an export.
fn verification<'a>(export: &'a str, public: &'a str) -> [&'a str; 6] {
    [
        "audit",
        "verify",
        "--export",
        export,
        "--public-key",
        public,
    ]
}

/// A page or more of the export, as the API sends it.
fn fetched(s: &Server, query: &str) -> String {
    let answer = s.admin().get(&format!("/api/audit/export{query}")).is(200);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    String::from_utf8(answer.body).unwrap()
}

fn events(export: &str) -> Vec<&str> {
    let lines = export.lines();
    lines.filter(|l| l.starts_with("{\"seq\":")).collect()
}

/// The program without a server: exit code and standard output.
fn ran(arguments: &[&str]) -> (i32, String) {
    let output = binary().args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text + &errors)
}

#[test]
fn an_export_is_proved_with_the_public_keys_alone() {
    let s = busy();
    let console = Console::before(&s);
    let admin = s.admin().token;
    let away = Temp::new();
    let (export, public) = (
        away.path().join("audit.jsonl"),
        away.path().join("keys.json"),
    );
    let (export, public) = (export.to_str().unwrap(), public.to_str().unwrap());
    fs::copy(s.state_dir().join("audit-keys.json"), public).unwrap();
    console
        .run(admin.as_deref(), &["audit", "export", "--output", export])
        .is(0);
    let verify = verification(export, public);
    let (code, text) = ran(&verify);
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("The export holds: "), "{text}");
    let (_, text) = ran(&[&verify[..], &["--format", "json"]].concat());
    let json: Value = serde_json::from_str(&text).unwrap();
    let lines = fs::read_to_string(export).unwrap();
    let count = events(&lines).len();
    assert_eq!(
        [
            &json["valid"],
            &json["total_events"],
            &json["last"],
            &json["from_beginning"],
            &json["problem"]
        ],
        [
            &json!(true),
            &json!(count),
            &json!(count),
            &json!(true),
            &Value::Null
        ]
    );
    assert!(count > 15, "only {count} events");
    // The file gives the same events as the server.
    let db = s.state_dir().join("dbward.db");
    let (code, text) = ran(&["audit", "export", "--db", db.to_str().unwrap()]);
    assert_eq!((code, events(&text)), (0, events(&lines)));
}

#[test]
fn another_key_proves_nothing_and_an_edit_is_named() {
    let s = busy();
    let away = Temp::new();
    let export = away.path().join("audit.jsonl");
    let public = s.state_dir().join("audit-keys.json");
    let lines = fetched(&s, "");
    fs::write(&export, &lines).unwrap();
    let (export, public) = (export.to_str().unwrap(), public.to_str().unwrap());
    let verify = verification(export, public);
    assert_eq!(ran(&verify).0, 0);
    // What is not there cannot be tried.
    let other = away.path().join("other");
    fs::write(
        &other,
        dbward::crypto::hex(&Keypair::from_seed([7; 32]).public().bytes()),
    )
    .unwrap();
    let (code, text) = ran(&verification(export, other.to_str().unwrap()));
    assert!(code == 1 && text.contains("unknown key"), "{text}");
    let (code, text) = ran(&verification("missing", public));
    assert!(code == 2 && text.contains("missing"), "{text}");
    fs::write(export, lines.replace("request.created", "request.creative")).unwrap();
    let (code, text) = ran(&verify);
    assert!(
        code == 1 && text.contains("its hash is not the hash of its fields"),
        "{text}"
    );
}

#[test]
fn exports_by_cursor_join_to_the_whole() {
    let s = busy();
    let whole = fetched(&s, "");
    let keys = keys(&s.state_dir());
    let all = events(&whole);
    let mut pages = String::new();
    let mut since = 0;
    while !pages.contains("{\"head\":") {
        let page = fetched(&s, &format!("?limit=3&since={since}"));
        assert!(events(&page).len() <= 3);
        since += events(&page).len();
        pages.push_str(&page);
    }
    assert_eq!(events(&pages), all);
    let proof = proved(pages.as_bytes(), &keys);
    assert!(proof.valid && proof.from_beginning, "{proof:?}");
    // One later export follows the first; without it, or with a gap, it does not.
    s.requester().submit("production", UPDATE);
    let next = fetched(&s, &format!("?since={}", all.len()));
    let joined = format!("{whole}{next}");
    let proof = proved(joined.as_bytes(), &keys);
    assert!(proof.valid && proof.from_beginning, "{proof:?}");
    assert_eq!(events(&joined), events(&fetched(&s, "")));
    let alone = proved(next.as_bytes(), &keys);
    assert!(alone.valid && !alone.from_beginning, "{alone:?}");
    let gap = fetched(&s, &format!("?since={}", all.len() + 1));
    let proof = proved(format!("{whole}{gap}").as_bytes(), &keys);
    assert!(proof.problem.unwrap().contains("begins after event"));
    // By time: from the first event that is not before it.
    let late: Value = serde_json::from_str(events(&next)[0]).unwrap();
    let at = late["created_at"].as_str().unwrap().replace('+', "%2B");
    assert_eq!(events(&fetched(&s, &format!("?since={at}"))), events(&next));
    assert_eq!(events(&fetched(&s, "?since=2999-01-01T00:00:00Z")).len(), 0);
    let empty = fetched(&s, "?since=2999-01-01T00:00:00Z");
    assert!(proved(empty.as_bytes(), &keys).valid);
}

#[test]
fn what_an_export_cannot_begin_with_is_refused() {
    let s = busy();
    for (query, words) in [
        ("?since=yesterday", "the number of an event, or a time"),
        ("?since=-1", "the number of an event"),
        ("?since=999999", "there is no event 999999"),
        ("?since=1&since=2", "more than once"),
        (
            "?limit=0",
            "`limit` is `0`, expected a whole number, 1 or more",
        ),
        ("?cursor=1", "cursor"),
    ] {
        s.admin()
            .get(&format!("/api/audit/export{query}"))
            .refused(400, "validation_error")
            .saying(words);
    }
    s.requester()
        .get("/api/audit/export")
        .refused(403, "forbidden");
}

#[test]
fn an_export_of_a_purged_log_proves_what_was_removed() {
    let s = Server::with(&format!(
        "{SHOP}[retention]\nrequest_ttl_days = 1\naudit_ttl_days = 2\n"
    ));
    for _ in 0..60 {
        let request = s.requester().submit("production", UPDATE);
        s.requester().cancel(&request).is(200);
    }
    s.turn_only(4 * 86_400);
    for _ in 0..8 {
        s.purge();
    }
    s.requester().submit("production", UPDATE);
    let export = fetched(&s, "");
    let keys = keys(&s.state_dir());
    let proof = proved(export.as_bytes(), &keys);
    assert!(
        proof.valid && proof.from_beginning && proof.after > 0,
        "{proof:?}"
    );
    let edited = export.replacen("\"retained\":", "\"retained\":1", 1);
    assert!(!proved(edited.as_bytes(), &keys).valid);
    s.admin()
        .get("/api/audit/export?since=3")
        .refused(410, "gone");
    // By its number it begins there too, and claims no more than that.
    let later = fetched(&s, &format!("?since={}", proof.after));
    assert_eq!(events(&later), events(&export));
    assert!(!proved(later.as_bytes(), &keys).from_beginning);
    if let Some(python) = python() {
        let folder = Temp::new();
        assert_eq!(tool(&python, &folder, &s.state_dir(), &export).0, 0);
        assert_eq!(tool(&python, &folder, &s.state_dir(), &edited).0, 1);
        assert_eq!(tool(&python, &folder, &s.state_dir(), &later).0, 3);
    }
}

/// The Python that has the package which docs/verify_export.py needs, where there is one.
fn python() -> Option<String> {
    std::env::var("DBWARD_TEST_PYTHON").ok()
}

/// Runs the tool of docs/ on an export: exit code and what it printed.
fn tool(python: &str, folder: &Temp, state_dir: &Path, export: &str) -> (i32, String) {
    let file = folder.path().join("export.jsonl");
    fs::write(&file, export).unwrap();
    let output = Command::new(python)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/docs/verify_export.py"
        ))
        .arg(&file)
        .arg(state_dir.join("audit-keys.json"))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(text).unwrap(),
    )
}

#[test]
fn part_of_a_log_proves_nothing_of_its_beginning() {
    let s = busy();
    let away = Temp::new();
    let (export, public) = (
        away.path().join("part.jsonl"),
        away.path().join("keys.json"),
    );
    fs::copy(s.state_dir().join("audit-keys.json"), &public).unwrap();
    fs::write(&export, fetched(&s, "?since=5")).unwrap();
    let verify = verification(export.to_str().unwrap(), public.to_str().unwrap());
    let (code, text) = ran(&verify);
    assert!(
        code == 3 && text.contains("nothing of what came before, to event 5"),
        "{code}: {text}"
    );
    assert_eq!(ran(&[&verify[..], &["--part"]].concat()).0, 0);
}
