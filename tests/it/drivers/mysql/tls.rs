//! TLS to MariaDB.

use super::super::failure;
use super::super::places::{mysql, placed};
use super::server::OwnServer;
use dbward::agent::config::{DatabaseEndpoint, DriverConfig, Tls};
use dbward::agent::drivers::RunOutcome;
use std::process::Command;

const CIPHER: &str = "SHOW SESSION STATUS LIKE 'Ssl_cipher'";

fn read(at: DatabaseEndpoint) -> RunOutcome {
    placed(DriverConfig::MySql(at)).read(&[CIPHER])
}

/// Whether the connection was made, and under TLS.
fn is_encrypted(at: DatabaseEndpoint) -> bool {
    match read(at) {
        RunOutcome::Rows { json, .. } => json.contains("TLS_") || json.contains("ECDHE"),
        other => panic!("{other:?}"),
    }
}

fn refusal(at: DatabaseEndpoint) -> String {
    let (message, _) = failure(read(at));
    assert!(!message.contains("secret"), "{message}");
    message
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_is_verified_by_its_name_and_its_authority() {
    let server = OwnServer::start();
    let own = Some(server.authority());
    assert!(is_encrypted(server.endpoint(
        "localhost",
        Tls::VerifyFull,
        own.clone()
    )));
    // Encrypted, to any server.
    assert!(is_encrypted(server.endpoint(
        "127.0.0.1",
        Tls::Require,
        None
    )));
    // The certificate is for another name.
    let other_name = refusal(server.endpoint("127.0.0.1", Tls::VerifyFull, own));
    assert!(other_name.contains("no TLS connection"), "{other_name}");
    // Public authorities have not signed it, nor has this one.
    for ca_file in [None, Some(other_authority(&server))] {
        let unknown = refusal(server.endpoint("localhost", Tls::VerifyFull, ca_file));
        assert!(
            unknown.contains("no TLS connection") && unknown.contains("invalid peer certificate"),
            "{unknown}"
        );
    }
    let nothing = server.folder().join("nothing.pem");
    std::fs::write(&nothing, "").unwrap();
    let nothing = refusal(server.endpoint("localhost", Tls::VerifyFull, Some(nothing)));
    assert!(nothing.contains("`ca_file` cannot be used"), "{nothing}");
    // The user may not come without.
    let plain = refusal(server.endpoint("127.0.0.1", Tls::Off, None));
    assert!(plain.contains("the database refuses the user"), "{plain}");
}

fn other_authority(server: &OwnServer) -> std::path::PathBuf {
    let folder = server.folder();
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ])
        .args([
            "-subj",
            "/CN=authority",
            "-days",
            "2",
            "-keyout",
            "other.key",
            "-out",
            "other.pem",
        ])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(made.status.success());
    folder.join("other.pem")
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn server_without_tls_gets_no_password_where_tls_is_required() {
    let place = mysql();
    let DriverConfig::MySql(plain) = place.driver.clone() else {
        panic!("not MySQL");
    };
    for tls in [Tls::Require, Tls::VerifyFull] {
        let asked = DatabaseEndpoint {
            tls,
            ..plain.clone()
        };
        let message = refusal(asked);
        assert!(
            message.contains("the server does not offer it"),
            "{message}"
        );
    }
}
