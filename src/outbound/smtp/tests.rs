//! Mail to a server that answers, refuses, or falls silent.

use super::*;

fn email(server: &str) -> Email {
    Email {
        server: server.to_owned(),
        port: 25,
        security: MailSecurity::StartTls,
        credentials: None,
        from: "dbward <dbward@example.com>".to_owned(),
        ca_file: None,
    }
}

fn mail() -> Mail {
    Mail {
        to: "requester@example.com".to_owned(),
        subject: "Approved\r\nBcc: x@example.com".to_owned(),
        text: "text".to_owned(),
        html: "<p>text</p>".to_owned(),
        id: "wd-1".to_owned(),
        thread: Some("request-7".to_owned()),
        headers: vec![("Auto-Submitted", "auto-generated".to_owned())],
    }
}

#[test]
fn only_addresses_that_may_be_called_are() {
    let strict = NetworkReach::default();
    for server in ["10.0.0.1", "169.254.169.254", "127.0.0.1", "localhost"] {
        let refused = resolved(&email(server), &strict).unwrap_err();
        assert!(refused.contains("may not be called"), "{server}: {refused}");
    }
    assert!(resolved(&email("1.1.1.1"), &strict).is_ok());
}

#[test]
fn a_server_that_never_finishes_holds_few_threads() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let slow = Email {
        port: listener.local_addr().unwrap().port(),
        security: MailSecurity::None,
        ..email("127.0.0.1")
    };
    let reach = NetworkReach::default().of_this_machine();
    let threads = MailThreads::default();
    let failed = |timeout, is_stopping: &dyn Fn() -> bool| {
        let until = Instant::now() + MAIL_TIMEOUT;
        let mut session = MailSession::new(&slow, &reach, &threads, until, is_stopping);
        session.mail_timeout = timeout;
        session.send(mail()).unwrap_err().to_string()
    };
    // Once by time, then by a stop.
    let late = "the mail server takes too long";
    assert_eq!(failed(Duration::ZERO, &|| false), late);
    for _ in 1..THREADS_MAX {
        assert_eq!(failed(MAIL_TIMEOUT, &|| true), late);
    }
    let held = "the mail server still holds earlier attempts";
    assert_eq!(failed(MAIL_TIMEOUT, &|| true), held);
    assert_eq!(threads.0.load(Ordering::SeqCst), THREADS_MAX);
    drop(listener);
    let end = Instant::now() + Duration::from_secs(30);
    while threads.0.load(Ordering::SeqCst) > 0 {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
}

#[test]
fn mail_has_id_and_thread_but_no_injected_header() {
    let written = message(&email("smtp.example.com"), &mail())
        .unwrap()
        .formatted();
    let text = String::from_utf8(written).unwrap();
    for line in [
        "Message-ID: <wd-1@example.com>",
        "References: <request-7@example.com>",
        "Auto-Submitted: auto-generated",
        "To: requester@example.com",
    ] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    assert!(!text.contains("\nBcc:"), "{text}");
    let lost = Mail {
        to: "nobody".to_owned(),
        ..mail()
    };
    assert!(message(&email("smtp.example.com"), &lost).is_err());
}
