//! What a server may answer.

use super::*;
use std::net::TcpListener;

/// What becomes of a COMMIT that a server answers with `tag`.
fn answered(tag: &str) -> Result<(), Fault> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let body = format!("{tag}\0");
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let _startup = client.read(&mut [0; 1024]).unwrap();
        let ready = b"Z\0\0\0\x05I";
        client.write_all(b"R\0\0\0\x08\0\0\0\0").unwrap();
        client.write_all(ready).unwrap();
        let _query = client.read(&mut [0; 1024]).unwrap();
        let length = u32::try_from(body.len() + 4).unwrap();
        client.write_all(b"C").unwrap();
        client.write_all(&length.to_be_bytes()).unwrap();
        client.write_all(body.as_bytes()).unwrap();
        client.write_all(ready).unwrap();
    });
    let endpoint = DatabaseEndpoint {
        host: "127.0.0.1".to_owned(),
        port,
        user: "u".to_owned(),
        password: None,
        database: "d".to_owned(),
        tls: Tls::Off,
        ca_file: None,
        read_only: false,
        lock_timeout_secs: 1,
        schema: None,
    };
    let mut connection = PgConnection::open(&endpoint, None, &Cancel::new()).unwrap();
    let committed = connection.commit();
    server.join().unwrap();
    committed
}

#[test]
fn only_a_commit_that_says_so_has_committed() {
    answered("COMMIT").unwrap();
    for tag in ["ROLLBACK", "", "PREPARE TRANSACTION"] {
        match answered(tag) {
            Err(Fault::Lost(why)) => assert!(why.contains("COMMIT with `"), "{why}"),
            other => panic!("{tag}: {other:?}"),
        }
    }
}
