//! What a request head may look like, and what the backend then reads.

use super::*;

/// Scans and parses; the head and the forwarded text, or the status.
fn read(text: &[u8]) -> Result<(RequestHead, String), u16> {
    let limits = GateLimits::default();
    let len = HeadScan::default()
        .advance(text, &limits)
        .map_err(|e| e.status())?
        .ok_or(0_u16)?;
    let mut forward = Vec::new();
    let head = parse(&text[..len], &limits, &mut forward).map_err(|e| e.status())?;
    Ok((head, String::from_utf8(forward).unwrap()))
}

fn status(text: &str) -> u16 {
    read(text.as_bytes()).err().unwrap_or(200)
}

#[test]
fn a_request_is_forwarded_without_what_concerns_its_connection() {
    let text = "POST /a/b?q=%20 HTTP/1.1\r\nHost: example.com:3000\r\nConnection: close, X-Mine\r\nKeep-Alive: 5\r\n\
        TE: chunked\r\nX-Mine: 1\r\nX-Internal-Key: forged\r\nx-internal-peer: 1.2.3.4\r\nContent-Length: 5\r\n\
        Expect: 100-Continue\r\nUpgrade: h2c\r\nX-Request-Id: abc-1\r\nAuthorization: Bearer t\r\n\r\nhello";
    let (head, forward) = read(text.as_bytes()).unwrap();
    assert_eq!(
        forward,
        "POST /a/b?q=%20 HTTP/1.1\r\nHost: example.com:3000\r\nX-Mine: 1\r\nAuthorization: Bearer t\r\n"
    );
    assert_eq!(head.method(forward.as_bytes()), "POST");
    assert_eq!(head.path(forward.as_bytes()), "/a/b");
    assert_eq!(head.framing, Framing::Length(5));
    assert_eq!(head.request_id, "abc-1");
    assert!(head.expects_continue && !head.keep_alive && !head.is_head);
    let token = |value: &str| {
        let text = text.replace("Bearer t", value);
        let (head, forward) = read(text.as_bytes()).unwrap();
        let credentials = head.credentials(forward.as_bytes()).unwrap();
        String::from_utf8(credentials.to_vec()).unwrap()
    };
    for same in ["Bearer t", "bearer  t", "BEARER \t t ", "t"] {
        assert_eq!(token(same), "t", "{same:?}");
    }
    assert_eq!(token("Bearer u v"), "u v");
}

#[test]
fn keep_alive_follows_the_version_and_the_connection_field() {
    let keeps = |version: &str, connection: &str| {
        let text = format!("GET / HTTP/{version}\r\nHost: a\r\n{connection}\r\n");
        read(text.as_bytes()).unwrap().0.keep_alive
    };
    assert!(keeps("1.1", ""));
    assert!(!keeps("1.1", "Connection: Close\r\n"));
    assert!(!keeps("1.0", ""));
    assert!(keeps("1.0", "Connection: Keep-Alive\r\n"));
    assert!(!keeps("1.0", "Connection: keep-alive, close\r\n"));
}

#[test]
fn a_bad_request_id_is_replaced() {
    for bad in ["", "a b", "ü", &"x".repeat(65), "a;b"] {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\nx-request-id: {bad}\r\n\r\n");
        if let Ok((head, _)) = read(text.as_bytes()) {
            assert_eq!(head.request_id.len(), 16, "{bad}");
        }
    }
}

#[test]
fn framing_faults_are_refused() {
    let with = |fields: &str| status(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    assert_eq!(with("Content-Length: 5\r\n"), 200);
    assert_eq!(with("Transfer-Encoding: Chunked\r\n"), 200);
    for bad in [
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 30x\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 0x10\r\n",
        "Content-Length:\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length : 5\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "X: 1\r\n Transfer-Encoding: chunked\r\n",
        "X: 1\r\n\tfolded\r\n",
        " X: 1\r\n",
        ": 1\r\n",
        "X\r\n",
        "X Y: 1\r\n",
        "Host: b\r\n",
        "Authorization: a\r\nAuthorization: b\r\n",
        "X: a\0b\r\n",
        "X: a\x1bb\r\n",
        "X: a\rb\r\n",
        "X: a\n",
        "X: ü\r\n",
        "X\u{e4}: 1\r\n",
    ] {
        assert_eq!(with(bad), 400, "{bad:?}");
    }
    assert_eq!(with("Expect: other\r\n"), 417);
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(status(old), 400);
}

#[test]
fn a_length_beyond_any_number_is_still_a_length() {
    for digits in [
        "9000000000000000000",
        "18446744073709551615",
        &"9".repeat(40),
    ] {
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {digits}\r\n\r\n");
        let (head, _) = read(text.as_bytes()).unwrap();
        assert!(matches!(head.framing, Framing::Length(n) if n >= 9_000_000_000_000_000_000));
    }
}

#[test]
fn request_lines_are_three_words_of_ours() {
    let line = |line: &str| status(&format!("{line}\r\nHost: a\r\n\r\n"));
    assert_eq!(line("GET / HTTP/1.1"), 200);
    assert_eq!(line("get /%00/../x HTTP/1.1"), 200, "the router's business");
    for bad in [
        "GET /",
        "GET  / HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / x HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\t HTTP/1.1",
        "GET /a\x01 HTTP/1.1",
        "GET /ü HTTP/1.1",
        "GET /#a HTTP/1.1",
        "GET http://a/ HTTP/1.1",
        "GET * HTTP/1.1",
        "CONNECT a:1 HTTP/1.1",
        "G(T / HTTP/1.1",
        "GET / http/1.1",
        "GET / FTP/1.1",
        "",
    ] {
        assert_eq!(line(bad), 400, "{bad:?}");
    }
    assert_eq!(line(&format!("{} / HTTP/1.1", "M".repeat(33))), 400);
    for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/1.10", "HTTP/"] {
        assert_eq!(line(&format!("GET / {version}")), 505, "{version}");
    }
    assert_eq!(status("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
    assert_eq!(status("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), 400, "no host");
    assert_eq!(status("GET / HTTP/1.0\r\n\r\n"), 200);
}

#[test]
fn sizes_are_bounded() {
    let limits = GateLimits::default();
    let target = |n: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(n - 1));
    assert_eq!(status(&target(limits.target_bytes_max)), 200);
    assert_eq!(status(&target(limits.target_bytes_max + 1)), 414);
    assert_eq!(status(&"x".repeat(20_000)), 414, "before its end");
    let fields = |n: usize| {
        let fields = "X: 1\r\n".repeat(n);
        format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
    };
    assert_eq!(status(&fields(HEADERS_MAX - 1)), 200);
    assert_eq!(status(&fields(HEADERS_MAX)), 431);
    let long = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}",
        "x".repeat(limits.head_bytes_max)
    );
    assert_eq!(status(&long), 431, "before its end");
}

#[test]
fn the_scan_gives_the_same_result_however_the_bytes_come() {
    let limits = GateLimits::default();
    let good = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET";
    let bad = b"GET / HTTP/1.1\r\nHost: a\n\r\n";
    for (text, expected) in [(good.as_slice(), Ok(Some(27))), (bad.as_slice(), Err(400))] {
        let mut scan = HeadScan::default();
        let mut last = Ok(None);
        for n in 1..=text.len() {
            last = scan.advance(&text[..n], &limits).map_err(|e| e.status());
            if last != Ok(None) {
                break;
            }
        }
        assert_eq!(last, expected);
    }
}

/// Whatever is let through has, for the backend, exactly one meaning: visible lines, one end, no framing of its own.
#[test]
fn mangled_heads_are_refused_or_forwarded_clean() {
    let seed = b"POST /a?b HTTP/1.1\r\nHost: a\r\nX-Y: z\r\nContent-Length: 3\r\n\r\n";
    let inserts = [
        b"\r\n".as_slice(),
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b":",
        b"\0",
        b"\xff",
        b"\r\nTransfer-Encoding: chunked",
        b"\r\n\r\n",
        b"HTTP/1.1",
    ];
    let mut accepted = 0;
    for at in 0..seed.len() {
        for insert in inserts {
            for cut in 0..3.min(seed.len() - at) {
                let text = [&seed[..at], insert, &seed[at + cut..]].concat();
                let Ok((_, forward)) = read(&text) else {
                    continue;
                };
                accepted += 1;
                let lines: Vec<&str> = forward.split("\r\n").collect();
                assert_eq!(lines.last(), Some(&""));
                for line in &lines[..lines.len() - 1] {
                    assert!(!line.is_empty());
                    assert!(
                        line.bytes()
                            .all(|b| (0x20..=0x7e).contains(&b) || b == b'\t')
                    );
                    let lower = line.to_ascii_lowercase();
                    assert!(!lower.starts_with("transfer-encoding:"));
                    assert!(!lower.starts_with("content-length:"));
                }
                assert_eq!(lines[0].split(' ').count(), 3);
                assert!(lines[0].ends_with(" HTTP/1.1"));
            }
        }
    }
    assert!(accepted > 10);
}
