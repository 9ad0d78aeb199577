//! A server without TLS that others can reach says so when it starts.

use crate::support::{Program, SHOP, binary, settled};

const WARNING: &str = "tokens and SQL can be read on the way";

/// What the program logs when it listens there, with more of a configuration.
fn log_of(listen: &str, more: &str) -> String {
    let dir = settled(&format!("{SHOP}{more}"));
    let mut command = binary();
    command
        .args(["serve", "--listen", listen, "--config"])
        .arg(dir.path().join("server.toml"));
    let program = Program::start(&mut command);
    assert!(program.line().starts_with("listening on "));
    program.stop()
}

#[test]
fn plain_http_beyond_this_machine_is_warned_of() {
    let log = log_of("0.0.0.0:0", "");
    let line = log.lines().find(|line| line.contains(WARNING));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(
        line.contains("plain HTTP on 0.0.0.0") && line.contains("set [tls]"),
        "{line}"
    );
    assert!(line.to_ascii_lowercase().contains("warn"), "{line}");
    assert!(!log_of("127.0.0.1:0", "").contains(WARNING));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tls");
    let tls =
        format!("[tls]\ncert_file = \"{folder}/first.crt\"\nkey_file = \"{folder}/first.key\"\n");
    assert!(!log_of("0.0.0.0:0", &tls).contains(WARNING));
}
