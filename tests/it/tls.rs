//! TLS on the server's own listener, with the real program.

use crate::support::{Program, Temp, binary, eventually, recovered, settled, skipped};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

const SECTION: &str = "[tls]\ncert_file = \"server.crt\"\nkey_file = \"server.key\"\n";

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/tls");
    fs::read(folder.join(name)).unwrap()
}

fn install(dir: &Path, name: &str) {
    for end in ["crt", "key"] {
        fs::write(
            dir.join(format!("server.{end}")),
            fixture(&format!("{name}.{end}")),
        )
        .unwrap();
    }
}

fn folder() -> Temp {
    let more = "[[databases]]\nname = \"shop\"\ndialect = \"sqlite\"\nenvironments = [\"development\"]\n[[workflows]]\n";
    let dir = settled(&format!("{SECTION}{more}"));
    install(dir.path(), "first");
    dir
}

/// A client that trusts the certificate of that name alone.
struct Client {
    agent: ureq::Agent,
    at: SocketAddr,
    token: String,
}

impl Client {
    fn new(at: SocketAddr, dir: &Path, trusted: &str) -> Client {
        let token = fs::read_to_string(dir.join("state/admin-token")).unwrap();
        Client::presenting(at, trusted, token, None)
    }

    /// With the certificate of that name, if any.
    fn presenting(at: SocketAddr, trusted: &str, token: String, own: Option<&str>) -> Client {
        let certificate = own.map(|own| {
            let chain = [Certificate::from_pem(&fixture(&format!("{own}.crt"))).unwrap()];
            let key = PrivateKey::from_pem(&fixture(&format!("{own}.key"))).unwrap();
            ClientCert::new_with_certs(&chain, key)
        });
        let root = Certificate::from_pem(&fixture(&format!("{trusted}.crt"))).unwrap();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&[root]))
            .client_cert(certificate)
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        Client {
            agent: config.into(),
            at,
            token,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.at)
    }

    /// Status and body.
    fn ask(&self, path: &str) -> Result<(u16, String), ureq::Error> {
        let call = self.agent.get(self.url(path));
        let mut answer = call
            .header("authorization", format!("Bearer {}", self.token))
            .call()?;
        let status = answer.status().as_u16();
        Ok((status, answer.body_mut().read_to_string()?))
    }

    fn get(&self, path: &str) -> Result<Value, ureq::Error> {
        let call = self.agent.get(self.url(path));
        let mut answer = call
            .header("authorization", format!("Bearer {}", self.token))
            .call()?;
        assert_eq!(answer.status(), 200, "{path}");
        let text = answer.body_mut().read_to_string()?;
        Ok(serde_json::from_str(&text).unwrap())
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let call = self.agent.post(self.url(path));
        let mut answer = call
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .send(body.to_string())
            .unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        assert!(answer.status().is_success(), "{text}");
        serde_json::from_str(&text).unwrap()
    }
}

#[test]
fn calls_waits_and_large_bodies_go_over_tls() {
    let dir = folder();
    let (program, at) = Program::serve(dir.path());
    let client = Client::new(at, dir.path(), "first");
    assert_eq!(client.get("/api/me").unwrap()["subject_id"], "admin");
    // More than a record, in both directions, on one connection.
    let padding = "x".repeat(90_000);
    let sql = format!("SELECT '{padding}'");
    let made = client.post(
        "/api/requests",
        &json!({"database": "shop", "environment": "development", "detail": sql}),
    );
    let path = format!("/api/requests/{}", made["id"].as_str().unwrap());
    assert_eq!(client.get(&path).unwrap()["detail"], sql.as_str());
    // A call that waits is answered when it is over.
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            Client::new(at, dir.path(), "first")
                .get(&format!("{path}?wait=60"))
                .unwrap()
        });
        eventually("it waits", || {
            let call = client.agent.get(client.url("/metrics"));
            let call = call.header("authorization", format!("Bearer {}", client.token));
            let text = call.call().unwrap().body_mut().read_to_string().unwrap();
            text.lines().any(|l| l == "dbward_gate_parked 1")
        });
        client.post(&format!("{path}/cancel"), &json!({}));
        assert_eq!(waits.join().unwrap()["status"], "cancelled");
    });
    program.stop();
}

/// What the log of an agent says that trusts `trusted`, until it is connected or has given up.
fn agent_log(dir: &Path, at: SocketAddr, trusted: &str) -> String {
    agent_log_with(dir, at, trusted, "")
}

/// The same, with more in the section of its server.
fn agent_log_with(dir: &Path, at: SocketAddr, trusted: &str, more: &str) -> String {
    fs::write(dir.join("agent-ca.pem"), fixture(&format!("{trusted}.crt"))).unwrap();
    let text = format!(
        "[server]\nurl = \"https://localhost:{}\"\nca_file = \"agent-ca.pem\"\nagent_token_file = \"state/agent-token\"\n{more}\
         [agent]\nstate_dir = \"agent-{trusted}\"\n\
         [[databases]]\nname = \"shop\"\nenvironment = \"development\"\ndriver = \"sqlite\"\npath = \"shop.db\"\n",
        at.port()
    );
    fs::write(dir.join("agent.toml"), text).unwrap();
    for end in ["crt", "key"] {
        let name = format!("agent.{end}");
        fs::write(dir.join(&name), fixture(&name)).unwrap();
    }
    rusqlite::Connection::open(dir.join("shop.db"))
        .and_then(|c| c.execute_batch("CREATE TABLE IF NOT EXISTS items (id INTEGER)"))
        .unwrap();
    let mut child = binary()
        .args(["agent", "--config"])
        .arg(dir.join("agent.toml"))
        .current_dir(dir)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = String::new();
    let lines = std::io::BufReader::new(child.stderr.take().unwrap());
    for line in std::io::BufRead::lines(lines) {
        let line = line.unwrap();
        log.push_str(&line);
        log.push('\n');
        let refused = line.contains("trying again") || line.contains("authenticat");
        if line.contains("connected to the server") || refused {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    log
}

#[test]
fn an_agent_trusts_the_authority_in_its_file_alone() {
    let dir = folder();
    let (program, at) = Program::serve(dir.path());
    let log = agent_log(dir.path(), at, "first");
    assert!(log.contains("connected to the server"), "{log}");
    let log = agent_log(dir.path(), at, "second");
    assert!(!log.contains("connected to the server"), "{log}");
    assert!(log.to_lowercase().contains("certificate"), "{log}");
    program.stop();
}

#[test]
fn clients_that_speak_something_else_disturb_nobody() {
    let dir = folder();
    let (program, at) = Program::serve(dir.path());
    let mut silent = TcpStream::connect(at).unwrap();
    for bytes in [
        &b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"[..],
        &[0x16, 3, 1, 0xff, 0xff, 0],
        &[0; 64],
    ] {
        let mut other = TcpStream::connect(at).unwrap();
        other.write_all(bytes).unwrap();
        other.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = other.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    let client = Client::new(at, dir.path(), "first");
    assert_eq!(client.get("/health").unwrap()["status"], "ok");
    silent.write_all(b"x").unwrap();
    program.stop();
}

#[test]
fn a_reload_presents_the_certificate_that_the_files_hold() {
    let dir = folder();
    let (program, at) = Program::serve(dir.path());
    let old = Client::new(at, dir.path(), "first");
    let new = Client::new(at, dir.path(), "second");
    old.get("/health").unwrap();
    new.get("/health").unwrap_err();

    // A key that does not fit changes nothing.
    fs::write(dir.path().join("server.key"), fixture("second.key")).unwrap();
    program.signal(Signal::HUP);
    eventually("it is refused", || {
        program.errors().contains("do not go together")
    });
    Client::new(at, dir.path(), "first").get("/health").unwrap();

    install(dir.path(), "second");
    program.signal(Signal::HUP);
    eventually("the new one is presented", || new.get("/health").is_ok());
    // The connection that stood goes on; a new one is served with the new certificate.
    old.get("/health").unwrap();
    Client::new(at, dir.path(), "first")
        .get("/health")
        .unwrap_err();
    program.stop();
}

#[test]
fn what_cannot_be_served_is_named_before_the_start() {
    let dir = folder();
    let check = |message: &str| {
        let config = dir.path().join("server.toml");
        let out = binary()
            .arg("check-config")
            .arg("--config")
            .arg(config)
            .output();
        let text = String::from_utf8(out.unwrap().stderr).unwrap();
        assert!(text.contains(message), "{message}: {text}");
        assert!(!text.contains("PRIVATE"), "{text}");
    };
    fs::write(dir.path().join("server.key"), fixture("second.key")).unwrap();
    check("do not go together");
    fs::write(dir.path().join("server.key"), "nothing").unwrap();
    check("no PEM private key");
    fs::remove_file(dir.path().join("server.key")).unwrap();
    check("server.key");
    install(dir.path(), "first");
    fs::write(dir.path().join("server.crt"), "").unwrap();
    check("no certificate");
    let text = fs::read_to_string(dir.path().join("server.toml")).unwrap();
    let without = text.replace("key_file = \"server.key\"\n", "");
    fs::write(dir.path().join("server.toml"), without).unwrap();
    check("needs `key_file`");
}

/// The same folder, with certificates required of agents.
fn certified() -> Temp {
    let dir = folder();
    let text = fs::read_to_string(dir.path().join("server.toml")).unwrap();
    let section = format!("{SECTION}agents_ca_file = \"agents-ca.crt\"\n");
    fs::write(
        dir.path().join("server.toml"),
        text.replace(SECTION, &section),
    )
    .unwrap();
    fs::write(dir.path().join("agents-ca.crt"), fixture("agents-ca.crt")).unwrap();
    dir
}

#[test]
fn token_of_an_agent_counts_only_next_to_its_certificate() {
    let dir = certified();
    let (program, at) = Program::serve(dir.path());
    let admin = Client::new(at, dir.path(), "first");
    assert_eq!(admin.get("/api/me").unwrap()["subject_id"], "admin");
    let token = fs::read_to_string(dir.path().join("state/agent-token")).unwrap();
    let other = admin.post(
        "/api/tokens",
        &json!({"subject_id": "agent-2", "subject_type": "agent", "roles": ["agent-default"]}),
    );
    let other = other["token"].as_str().unwrap().to_owned();
    let ask = |token: &str, own| {
        Client::presenting(at, "first", token.to_owned(), own).ask("/api/public-key")
    };
    assert_eq!(ask(&token, Some("agent")).unwrap().0, 200);
    for (token, own) in [(&token, None), (&other, None), (&other, Some("agent"))] {
        let (status, body) = ask(token, own).unwrap();
        assert_eq!(status, 401, "{own:?}: {body}");
        assert!(body.contains("certificate for the agent's name"), "{body}");
    }
    // Nobody whom the authorities have not signed comes as far as a call.
    ask(&token, Some("second")).unwrap_err();
    let (_, page) = admin.ask("/metrics").unwrap();
    assert!(
        page.contains("dbward_auth_failures_total{reason=\"certificate\"} 3\n"),
        "{page}"
    );
    // The real agent.
    let log = agent_log(dir.path(), at, "first");
    assert!(!log.contains("connected to the server"), "{log}");
    let own = "client_cert_file = \"agent.crt\"\nclient_key_file = \"agent.key\"\n";
    let log = agent_log_with(dir.path(), at, "first", own);
    assert!(log.contains("connected to the server"), "{log}");
    program.stop();
}

#[test]
fn reload_replaces_agent_authorities_and_ends_old_connections() {
    let dir = certified();
    let (program, at) = Program::serve(dir.path());
    let token = fs::read_to_string(dir.path().join("state/agent-token")).unwrap();
    let agent = Client::presenting(at, "first", token, Some("agent"));
    assert_eq!(agent.ask("/api/public-key").unwrap().0, 200);
    fs::write(dir.path().join("agents-ca.crt"), "nothing").unwrap();
    program.signal(Signal::HUP);
    eventually("it is refused", || {
        program.errors().contains("no certificate in it")
    });
    assert_eq!(agent.ask("/api/public-key").unwrap().0, 200);
    fs::write(dir.path().join("agents-ca.crt"), fixture("second.crt")).unwrap();
    program.signal(Signal::HUP);
    // Its standing connection carries one more call at most.
    eventually("it is refused", || agent.ask("/api/public-key").is_err());
    Client::new(at, dir.path(), "first").get("/api/me").unwrap();
    program.stop();
}

/// Handshakes that are held open at one time, and how many addresses they come from.
const HELD: usize = 2_000;
const ADDRESSES: usize = 20;
/// Threads and KiB that each of them may cost, besides those of one call.
const THREADS_MORE: u64 = 50;
const KIB_EACH: u64 = 100;
/// Longest time of a whole call meanwhile, with its own handshake.
const CALL_MAX: Duration = Duration::from_secs(5);

/// A connection from one of many addresses.
fn from(n: usize, at: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let own = SocketAddr::from(([127, 0, 3, (n % ADDRESSES) as u8], 0));
    bind(&socket, &own).unwrap();
    connect(&socket, &at).unwrap();
    TcpStream::from(socket)
}

#[test]
fn thousands_of_handshakes_that_never_end_deny_nothing_and_end() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    setrlimit(Resource::Nofile, files).unwrap();
    if files.current.is_some_and(|most| most < HELD as u64 + 2_000) {
        return skipped("so many files cannot be open here");
    }
    let dir = folder();
    let (program, at) = Program::serve(dir.path());
    let client = Client::new(at, dir.path(), "first");
    client.get("/health").unwrap();
    let (threads, memory) = (program.status("Threads"), program.status("VmRSS"));
    // A record that announces 512 bytes of a ClientHello; some of them in time, or none.
    let begun = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let mut held: Vec<TcpStream> = (0..HELD)
        .map(|n| {
            let mut stream = from(n, at);
            stream.write_all(&begun[..n % begun.len()]).unwrap();
            stream
        })
        .collect();
    let (mut worst, mut n) = (Duration::ZERO, 0);
    for round in 0..20 {
        // Some say one byte more, others are whole, but not TLS: closed with an alert at once.
        for stream in held.iter_mut().skip(round).step_by(20) {
            let _ = stream.write_all(&[1]);
        }
        let mut other = from(round, at);
        other.write_all(&[0x16, 3, 1, 0, 4, 1, 0, 0, 0]).unwrap();
        let _ = other.read_to_end(&mut Vec::new());
        let start = Instant::now();
        let fresh = Client::new(at, dir.path(), "first");
        assert_eq!(fresh.get("/health").unwrap()["status"], "ok");
        worst = worst.max(start.elapsed());
        n += 1;
    }
    println!("{HELD} handshakes: {n} calls of /health, the slowest {worst:?}");
    assert!(worst < CALL_MAX, "{worst:?}");
    let most = threads + HELD as u64 + THREADS_MORE;
    assert!(program.status("Threads") <= most);
    let grown = program.status("VmHWM").saturating_sub(memory);
    assert!(grown <= HELD as u64 * KIB_EACH, "{grown} KiB");
    // They end by themselves, although nobody hangs up.
    eventually("their end", || {
        program.status("Threads") <= threads + THREADS_MORE
    });
    assert_eq!(held.len(), HELD);
    recovered("handshakes", || {
        Client::new(at, dir.path(), "first").get("/health").unwrap()
    });
    program.stop();
}
