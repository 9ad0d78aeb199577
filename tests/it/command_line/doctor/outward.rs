//! `doctor --server server.toml`, of what the server of a machine calls and presents: each as it should be, not there,
//! and refusing.

use super::super::console::Console;
use super::holds;
use crate::support::{
    Bucket, FakeSlack, Idp, Key, Mood, PostOffice, Program, SHOP, SlackMood, StoreMood, key_set,
    settled,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dbward::clock::{Clock, Timestamp};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;

/// Where nothing listens.
const CLOSED: &str = "127.0.0.1:9";

/// What `doctor` prints of a server.toml of a shop where no server runs.
fn look(toml: &str) -> String {
    look_in(settled(&format!("{SHOP}{toml}")).path())
}

fn look_in(dir: &Path) -> String {
    let file = dir.join("server.toml");
    let call = ["doctor", "--server", file.to_str().unwrap()];
    Console::at("").run(None, &call).out
}

/// The same section, leading to where nothing listens.
fn away(section: &str) -> String {
    let at = section.find("127.0.0.1:").unwrap();
    let end = at + section[at..].find(['/', '"']).unwrap();
    section.replace(&section[at..end], CLOSED)
}

/// A mail server that takes nobody. It ends with the process of the tests.
fn closed_post() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.write_all(b"554 5.7.1 not for you\r\n");
        }
    });
    mail(port)
}

fn mail(port: u16) -> String {
    format!(
        "[email]\nserver = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\nfrom = \"dbward <dbward@example.com>\"\n"
    )
}

#[test]
fn a_mail_server_is_greeted_and_gets_no_mail() {
    let post = PostOffice::start();
    let out = look(&post.section());
    holds(
        &out,
        &["ok    mail           127.0.0.1:", " takes the connection"],
    );
    assert!(post.letters().is_empty());
    let out = look(&mail(9));
    holds(
        &out,
        &["BAD   mail           127.0.0.1:9: ", "; see [email]"],
    );
    let out = look(&closed_post());
    holds(&out, &["BAD   mail           127.0.0.1:", "not for you"]);
}

#[test]
fn slack_is_asked_whose_token_it_is() {
    let slack = FakeSlack::start();
    holds(
        &look(&slack.section()),
        &["ok    slack          it takes the bot token"],
    );
    slack.next("auth.test", SlackMood::Error("invalid_auth"));
    holds(
        &look(&slack.section()),
        &[
            "BAD   slack          ",
            "invalid_auth",
            "; see [slack] bot_token",
        ],
    );
    holds(&look(&away(&slack.section())), &["BAD   slack          "]);
    assert_eq!(slack.calls().len(), 2);
}

#[test]
fn an_identity_provider_is_looked_for_where_its_keys_are() {
    let idp = Idp::start(&key_set(&[&Key::new("one")]));
    let section =
        |url: &str| format!("[auth.oidc]\nissuer_url = \"{url}\"\nclient_id = \"dbward\"\n");
    holds(
        &look(&section(&idp.url())),
        &[
            "ok    oidc           the provider http://127.0.0.1:",
            " answers",
        ],
    );
    // It does not know the method, and is there.
    idp.mood(Mood::Status(501));
    holds(&look(&section(&idp.url())), &["ok    oidc           "]);
    idp.mood(Mood::Status(503));
    holds(
        &look(&section(&idp.url())),
        &[
            "BAD   oidc           the provider ",
            " answers 503: ask its operator",
        ],
    );
    holds(
        &look(&section(&format!("http://{CLOSED}"))),
        &[
            "BAD   oidc           the provider http://127.0.0.1:9: ",
            "see network, firewall",
        ],
    );
    // It was not asked for its keys.
    assert_eq!(idp.asked(), 0);
}

#[test]
fn a_bucket_is_written_read_and_left_as_it_was() {
    let bucket = Bucket::start();
    holds(
        &look(&bucket.section()),
        &["ok    bucket         shelf takes and gives objects"],
    );
    assert!(bucket.keys().is_empty());
    bucket.mood(StoreMood::Says(403, "AccessDenied"));
    holds(
        &look(&bucket.section()),
        &["BAD   bucket         shelf: ", "AccessDenied"],
    );
    holds(
        &look(&away(&bucket.section())),
        &["BAD   bucket         shelf: "],
    );
}

/// A certificate of the tests.
fn certificate(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/tls");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// The first certificate of the tests with another end. Nobody proves its signature: it is its own.
fn ending(ends: Timestamp) -> String {
    let pem = certificate("first.crt");
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    let mut der = STANDARD.decode(lines.collect::<String>()).unwrap();
    // 2046-11-24T00:06:43Z, as UTCTime.
    let old = b"461124000643Z";
    let found: Vec<usize> = (0..der.len() - old.len())
        .filter(|at| der[*at..].starts_with(old))
        .collect();
    assert_eq!(found.len(), 1, "the certificate has one end");
    let digits = ends.rfc3339().replace(['-', ':', 'T'], "");
    let new = format!("{}Z", &digits[2..14]);
    der[found[0]..found[0] + old.len()].copy_from_slice(new.as_bytes());
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        STANDARD.encode(&der)
    )
}

#[test]
fn a_certificate_that_ends_soon_is_renewed_now() {
    let tls = "[tls]\ncert_file = \"server.crt\"\nkey_file = \"server.key\"\n";
    let dir = settled(&format!("{SHOP}{tls}"));
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("server.key", &certificate("first.key"));
    let now = Clock::system().now();
    let day = 86_400;
    for (ends, words) in [
        (
            now.plus_secs(15 * day + 60),
            ["ok    certificate    ", "server.crt ends in 15 days"],
        ),
        (
            now.plus_secs(13 * day),
            ["BAD   certificate    ", ": renew it, then `dbward reload`"],
        ),
        (
            Timestamp(now.0 - 1_000),
            ["BAD   certificate    ", "server.crt ended on "],
        ),
    ] {
        write("server.crt", &ending(ends));
        holds(&look_in(dir.path()), &words);
        // Also the end of an issuer further on in the chain, which clients look at too.
        write("server.crt", &(certificate("first.crt") + &ending(ends)));
        let second = format!("{}certificate 2 of ", words[0]);
        holds(&look_in(dir.path()), &[&second]);
    }
    write(
        "server.crt",
        &(certificate("first.crt") + &certificate("second.crt")),
    );
    holds(
        &look_in(dir.path()),
        &[
            "BAD   certificate    ",
            "certificate 1 is not issued by the one after it",
        ],
    );
}

#[test]
fn authorities_that_end_soon_are_named() {
    let soon = Clock::system().now().plus_secs(13 * 86_400 + 3_600);
    let tls = "[tls]\ncert_file = \"server.crt\"\nkey_file = \"server.key\"\nagents_ca_file = \"agents.crt\"\n";
    let mail = mail(9) + "ca_file = \"mail.crt\"\n";
    let dir = settled(&format!("{SHOP}{tls}{mail}"));
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    for (name, text) in [
        ("server.crt", certificate("first.crt")),
        ("server.key", certificate("first.key")),
        ("agents.crt", certificate("second.crt") + &ending(soon)),
        ("mail.crt", ending(soon)),
    ] {
        write(name, &text);
    }
    holds(
        &look_in(dir.path()),
        &[
            "ok    certificate    ",
            "BAD   authority      certificate 2 of ",
            "agents.crt ends in 13 days: agents whose certificates it has issued are refused",
            "mail.crt ends in 13 days: get that of the mail server's new one",
        ],
    );
    write("agents.crt", &certificate("second.crt"));
    write("mail.crt", &certificate("second.crt"));
    let out = look_in(dir.path());
    assert_eq!(out.matches("ok    authority      ").count(), 2, "{out}");
}

/// The lease of a copy, as a server of that holder wrote it.
fn plant_lease(bucket: &Bucket, holder: &str) {
    let lease = json!({
        "format": 1, "epoch": 3, "copy_epoch": 3, "holder": holder, "renewals": 9, "lease_secs": 10, "released": false,
        "confirmed": true, "signing_key": "s", "audit_key": "a", "head": {"seq": 7, "hash": "h"},
    });
    bucket.plant("replica/lease", lease.to_string().as_bytes());
}

#[test]
fn a_second_copy_is_looked_for_in_the_bucket() {
    let bucket = Bucket::start();
    let section = |mode: &str, program: &str| {
        let bucket = bucket.section();
        format!("{bucket}[replication]\nmode = \"{mode}\"\nlitestream = \"{program}\"\n")
    };
    holds(
        &look(&section("confirmed", "/bin/sh")),
        &[
            "ok    litestream     /bin/sh",
            "ok    replication    a copy in shelf/replica, no server has begun one yet; confirmed: nothing is answered",
        ],
    );
    plant_lease(&bucket, "another");
    holds(
        &look(&section("async", "nowhere/litestream")),
        &[
            "BAD   litestream     there is no program ",
            "install Litestream 0.5",
            "epoch 3, of another machine; async: the last changes may be lost",
        ],
    );
    bucket.mood(StoreMood::Says(403, "AccessDenied"));
    holds(
        &look(&section("confirmed", "sh")),
        &[
            "ok    litestream     /",
            "BAD   replication    shelf/replica: ",
            "; see [result_storage]",
        ],
    );
}

#[test]
fn litestream_has_to_copy_where_the_lease_is() {
    let bucket = Bucket::start();
    let dir = settled(SHOP);
    let (program, _) = Program::serve(dir.path());
    let file = dir.path().join("server.toml");
    let mut text = fs::read_to_string(&file).unwrap();
    text.push_str(&bucket.section());
    text.push_str("[replication]\nmode = \"confirmed\"\nlitestream = \"/bin/sh\"\n");
    fs::write(&file, text).unwrap();
    let state = dir.path().join("state");
    let own = json!({"holder": "this", "epoch": 3, "from": 2});
    fs::write(state.join("replication.json"), own.to_string()).unwrap();
    plant_lease(&bucket, "another");
    // Here it is a standby.
    let folder = "replica/epoch-00000003/0000";
    bucket.plant(
        &format!("{folder}/0000000000000001-000000000000000b.ltx"),
        b"",
    );
    fs::write(state.join("standby.db-txid"), "000000000000000a").unwrap();
    holds(
        &look_in(dir.path()),
        &[
            "BAD   following      the copy of epoch 3 has more than is here",
            "ok    process        process ",
            " listens once it has the lease; another machine has it, epoch 3",
            "skip  agents         `dbward doctor --server URL` asks the server that has the lease",
        ],
    );
    fs::write(state.join("standby.db-txid"), "000000000000000b").unwrap();
    let out = look_in(dir.path());
    holds(
        &out,
        &["ok    following      all that is in the copy of epoch 3 is here"],
    );
    assert!(!out.contains("  ready  "), "{out}");
    plant_lease(&bucket, "this");
    holds(
        &look_in(dir.path()),
        &[
            "epoch 3, of this machine",
            "BAD   copying        ",
            "Litestream's control socket: ",
        ],
    );
    // One that is stopped takes connections, and answers none.
    let _socket = UnixListener::bind(state.join("litestream.sock")).unwrap();
    holds(
        &look_in(dir.path()),
        &["BAD   copying        ", "Litestream's control socket: "],
    );
    program.stop();
}
