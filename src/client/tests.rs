//! Claims about the client that need no server.

use super::*;

fn token() -> BearerToken {
    BearerToken::new("dbw_0123456789abcdef0123456789abcdef").unwrap()
}

#[test]
fn a_token_is_only_sent_where_it_may_go() {
    let rows = [
        ("http://127.0.0.1:3000", true, true),
        ("http://127.9.9.9", true, true),
        ("http://localhost:1/", true, true),
        ("http://[::1]:3000", true, true),
        ("http://[::ffff:127.0.0.1]:3000", true, true),
        ("https://dbward.example.com/prefix", true, true),
        ("http://dbward.example.com", false, true),
        ("http://localhost.example.com", false, true),
        ("http://10.0.0.1", false, true),
        ("http://127.0.0.1@example.com", false, false),
        ("https://user:secret@example.com", false, false),
        ("https://example.com/?a=b", false, false),
        ("https://example.com/#a", false, false),
        ("ftp://127.0.0.1", false, false),
        ("127.0.0.1:3000", false, false),
        ("/api", false, false),
        ("", false, false),
    ];
    for (url, safe, with_leave) in rows {
        assert_eq!(checked_url(url, false).is_ok(), safe, "{url}");
        assert_eq!(checked_url(url, true).is_ok(), with_leave, "{url}");
    }
}

#[test]
fn a_token_is_never_shown() {
    let options = ClientOptions::new("http://127.0.0.1:1", token());
    let client = Client::new(&options).unwrap();
    for text in [format!("{options:?}"), format!("{client:?}")] {
        assert!(!text.contains("0123456789abcdef"), "{text}");
    }
    let error = BearerToken::new("dbw_sec ret\n\tx").unwrap_err();
    assert!(!error.to_string().contains("sec"), "{error}");
}

#[test]
fn nobody_there_is_worth_another_try() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::new(&ClientOptions::new(format!("http://{address}"), token())).unwrap();
    let error = client.public_key().unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (None, "unreachable"));
    assert!(error.retryable);
}

#[test]
fn shutdown_ends_a_call_that_waits() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut options = ClientOptions::new(format!("http://{address}"), token());
    options.call_timeout = Duration::from_secs(60);
    let client = Client::new(&options).unwrap();
    let caller = {
        let client = client.clone();
        std::thread::spawn(move || client.public_key())
    };
    // The call is under way once its connection is here; it is never answered.
    let (_held, _) = listener.accept().unwrap();
    client.shutdown();
    let error = caller.join().unwrap().unwrap_err();
    assert_eq!(error.status, None);
    assert_eq!(client.public_key().unwrap_err().code, "stopped");
}

#[test]
fn plain_http_is_for_this_machines_whole_name_only() {
    for (url, beyond) in [
        ("http://localhost:3000", false),
        ("http://LOCALHOST", false),
        ("http://127.0.0.2:3000/dbward", false),
        ("http://[::1]:3000", false),
        ("http://localhost.evil.example", true),
        ("http://127.evil.example:3000", true),
        ("http://127.0.0.1@evil.example", true),
        ("http://192.0.2.1", true),
        ("https://evil.example", false),
    ] {
        assert_eq!(is_plain_http_beyond(url), beyond, "{url}");
    }
}
