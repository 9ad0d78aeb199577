//! Ctrl-C before and after the waiting: while a request is made, before anything is known of it, and while its result is
//! fetched. A server that holds an answer back stands for a slow one.

use super::console::Console;
use crate::support::{Program, eventually};
use rustix::process::Signal;
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};

const ID: &str = "69ee3b17-0000-4000-8000-000000000000";

/// What becomes of the call that is held.
#[derive(Clone, Copy, PartialEq)]
enum Gate {
    Holds,
    Answers,
    HangsUp,
}

/// A server with one request, which holds the answer of one call until the test lets it.
struct Slow {
    at: SocketAddr,
    calls: Receiver<String>,
    gate: Arc<(Mutex<Gate>, Condvar)>,
}

impl Slow {
    /// `status` is that of its request; calls whose first line begins with `held` are held.
    fn start(status: &'static str, held: &'static str) -> Slow {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let (sender, calls) = channel();
        let gate = Arc::new((Mutex::new(Gate::Holds), Condvar::new()));
        let shared = Arc::clone(&gate);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (sender, gate) = (sender.clone(), Arc::clone(&shared));
                std::thread::spawn(move || serve(&stream.unwrap(), &sender, &gate, status, held));
            }
        });
        Slow { at, calls, gate }
    }

    /// Waits for a call that begins so.
    fn until(&self, call: &str) {
        eventually(call, || self.calls.try_iter().any(|c| c.starts_with(call)));
    }

    fn set(&self, gate: Gate) {
        *self.gate.0.lock().unwrap() = gate;
        self.gate.1.notify_all();
    }

    fn execute(&self, more: &[&str]) -> (Console, Program) {
        let console = Console::at(&format!("http://{}", self.at));
        let call = [&["execute", "SELECT 1", "-e", "production"], more].concat();
        let program = console.start("dbw_00000000000000000000000000000000", &call);
        (console, program)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.set(Gate::Answers);
    }
}

/// Answers the calls of one connection.
fn serve(
    stream: &TcpStream,
    calls: &Sender<String>,
    gate: &(Mutex<Gate>, Condvar),
    status: &str,
    held: &str,
) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut call, mut length) = (String::new(), 0);
        if reader.read_line(&mut call).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
        }
        reader.read_exact(&mut vec![0; length]).unwrap();
        let _ = calls.send(call.clone());
        if call.starts_with(held) {
            let mut now = gate.0.lock().unwrap();
            while *now == Gate::Holds {
                now = gate.1.wait(now).unwrap();
            }
            if *now == Gate::HangsUp {
                return;
            }
        }
        let code = if call.starts_with("POST ") { 201 } else { 200 };
        let body = json!({"id": ID, "status": status}).to_string();
        let head = format!(
            "HTTP/1.1 {code} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut writer = stream;
        if writer
            .write_all(format!("{head}{body}").as_bytes())
            .is_err()
        {
            return;
        }
    }
}

/// Its end after Ctrl-C: what it wrote as errors.
fn ended(program: Program) -> String {
    let (status, errors) = program.end();
    assert_eq!(status.code(), Some(130), "{status}: {errors}");
    errors
}

const CONTINUE: &str = "It goes on without you. Continue with:  dbward request watch 69ee3b17\n";

#[test]
fn ctrl_c_before_anything_is_known_of_request_names_it() {
    let slow = Slow::start("pending", "GET /api/requests/");
    let (_console, program) = slow.execute(&["--wait"]);
    slow.until("GET /api/requests/");
    program.signal(Signal::INT);
    let errors = ended(program);
    let still = format!("Still waiting for approval. Request {ID}.\n{CONTINUE}");
    assert!(errors.ends_with(&still), "{errors}");
}

#[test]
fn ctrl_c_during_creation_names_the_request_once_it_exists() {
    let slow = Slow::start("pending", "POST /api/requests ");
    let (_console, program) = slow.execute(&[]);
    slow.until("POST /api/requests ");
    program.signal(Signal::INT);
    let waits =
        "Waiting for the server to say what became of the request. Ctrl-C again stops that.\n";
    eventually(waits, || program.errors().contains(waits));
    slow.set(Gate::Answers);
    let errors = ended(program);
    assert!(
        errors.contains(ID) && errors.ends_with(CONTINUE),
        "{errors}"
    );
}

#[test]
fn second_ctrl_c_while_request_is_made_ends_the_program() {
    use std::os::unix::process::ExitStatusExt;
    let slow = Slow::start("pending", "POST /api/requests ");
    let (_console, program) = slow.execute(&[]);
    slow.until("POST /api/requests ");
    program.signal(Signal::INT);
    eventually("the first is taken", || {
        program.errors().contains("Ctrl-C again")
    });
    program.signal(Signal::INT);
    let (status, errors) = program.end();
    assert_eq!(
        status.signal(),
        Some(Signal::INT.as_raw()),
        "{status}: {errors}"
    );
}

#[test]
fn ctrl_c_during_a_download_says_how_to_get_it() {
    let result = concat!(
        "GET /api/requests/69ee3b17-0000-4000-8000-000000000000",
        "/result"
    );
    let slow = Slow::start("executed", result);
    let (_console, program) = slow.execute(&[]);
    slow.until(result);
    program.signal(Signal::INT);
    let errors = ended(program);
    let end = format!(
        "Request {ID} is executed. Print its result with:  dbward request result 69ee3b17\n"
    );
    assert!(errors.ends_with(&end), "{errors}");
}

#[test]
fn a_request_whose_server_goes_away_is_named() {
    let slow = Slow::start("pending", "GET /api/requests/");
    let (_console, program) = slow.execute(&["--wait"]);
    slow.until("GET /api/requests/");
    slow.set(Gate::HangsUp);
    let (status, errors) = program.end();
    assert_eq!(status.code(), Some(1), "{errors}");
    let hint =
        format!("hint: request {ID} is made; continue with: dbward request watch 69ee3b17\n");
    assert!(errors.ends_with(&hint), "{errors}");
}
