//! The real program with no descriptors left: those who are connected are served, and everybody is as soon as some are
//! free again.

use super::SELECT;
use crate::support::{Program, SHOP, admin_of, binary, connect, eventually, recovered, settled};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

/// Files that the program may have open: some more than it needs itself.
const FILES: usize = 96;

/// A connection that stays open between calls.
struct Standing {
    stream: TcpStream,
    token: String,
}

impl Standing {
    fn call(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        self.stream.write_all(head.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
        }
        let head = String::from_utf8(bytes).unwrap().to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        self.stream.read_exact(&mut body).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, String::from_utf8(body).unwrap())
    }

    /// Accepts that failed so far.
    fn failed_accepts(&mut self) -> u64 {
        let (status, page) = self.call("GET", "/metrics", "");
        assert_eq!(status, 200, "{page}");
        let name = "dbward_gate_refused_total{reason=\"accept_failed\"} ";
        let line = page.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |n| n.parse().unwrap())
    }
}

fn served_with_few_files(dir: &std::path::Path) -> (Program, SocketAddr) {
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            &format!("ulimit -n {FILES} && exec \"$1\" serve --config \"$2\""),
            "sh",
        ])
        .arg(binary().get_program())
        .arg(dir.join("server.toml"));
    let program = Program::start(&mut command);
    let line = program.line();
    let at = line.strip_prefix("listening on http://").unwrap();
    (program, at.parse().unwrap())
}

#[test]
fn program_without_descriptors_serves_who_is_connected_and_then_everybody() {
    let dir = settled(&format!("workers = 2\n{SHOP}"));
    let (program, at) = served_with_few_files(dir.path());
    let admin = admin_of(at, dir.path());
    let before = admin.submit("production", SELECT);
    let mut standing = Standing {
        stream: connect(at),
        token: admin.token.clone().unwrap(),
    };
    assert_eq!(standing.failed_accepts(), 0);
    let body = json!({"database": "shop", "environment": "production", "detail": SELECT});
    for round in 1..=2 {
        let failed = standing.failed_accepts();
        let crowd: Vec<TcpStream> = (0..2 * FILES).map(|_| connect(at)).collect();
        eventually("no descriptor is left", || {
            standing.failed_accepts() > failed
        });
        let (status, answer) = standing.call("POST", "/api/requests", &body.to_string());
        assert_eq!(status, 201, "{answer}");
        let path = format!("/api/requests/{}", before.id);
        assert_eq!(standing.call("GET", &path, "").0, 200);
        drop(crowd);
        recovered("no descriptors", || admin.get("/health").is(200));
        admin.submit("production", SELECT);
        let listed = admin.get("/api/requests").is(200);
        assert_eq!(listed.json["total"], 1 + 2 * round);
    }
    assert_eq!(admin.get("/api/audit/verify").is(200).json["valid"], true);
    program.stop();
}
