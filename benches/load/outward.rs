//! What leaves the server by itself: notifications to a receiver, and the files of the console.

use crate::calls::Creator;
use crate::drive::{Span, run};
use crate::report::{Row, percentile};
use crate::server::{Folder, Server, Tokens};
use crate::wire::{Connection, find, request};
use crate::{Outcome, Plan};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Notifications: one for each request.
const NOTIFICATIONS: usize = 10_000;
/// The same in short.
const NOTIFICATIONS_QUICK: usize = 1_000;
/// Clients that make the requests.
const CLIENTS: usize = 64;
/// Longest time until all of them are delivered.
const DELIVERED_MAX: Duration = Duration::from_secs(120);
/// How often the server is asked how many are.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Threads of the receiver: more than the server has connections to it.
const RECEIVERS: usize = 16;
/// Times that the console is loaded.
const PAGE_LOADS: usize = 50;
/// Files that its first page may consist of, at most.
const FILES_MAX: usize = 100;

/// Runs the case on a server of its own.
pub fn measure(plan: &Plan, rows: &mut Vec<Row>) -> Outcome<()> {
    let folder = Folder::new("outward")?;
    let receiver = receiver()?;
    let hook = format!(
        "\n[[webhooks]]\nid = \"measured\"\nurl = \"http://{receiver}/hook\"\nevents = [\"request.created\"]\n"
    );
    let server = Server::start_with(folder.path(), &hook)?;
    crate::guard(&server);
    deliveries(plan, &server, rows).map_err(|e| server.explain(e))?;
    page(&server, rows)?;
    server.stop()?;
    Ok(())
}

/// Accepts everything, on threads that end with the process.
fn receiver() -> Outcome<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    for _ in 0..RECEIVERS {
        let listener = listener.try_clone().map_err(|e| e.to_string())?;
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let _ = receive(stream);
            }
        });
    }
    Ok(address)
}

fn receive(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut got = Vec::new();
    let mut part = [0; 4096];
    loop {
        let n = stream.read(&mut part)?;
        if n == 0 {
            return Ok(());
        }
        got.extend_from_slice(&part[..n]);
        let Some(head) = find(&got, b"\r\n\r\n") else {
            continue;
        };
        let text = String::from_utf8_lossy(&got[..head]).to_ascii_lowercase();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|n| n.trim().parse::<usize>().ok())
            .unwrap_or(0);
        if got.len() >= head + 4 + length {
            got.drain(..head + 4 + length);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        }
    }
}

fn deliveries(plan: &Plan, server: &Server, rows: &mut Vec<Row>) -> Outcome<()> {
    let all = if plan.is_quick() {
        NOTIFICATIONS_QUICK
    } else {
        NOTIFICATIONS
    };
    eprintln!("{all} notifications");
    let tokens = Tokens::issue(server, 0)?;
    let mut creators = Creator::new(&tokens, CLIENTS)?;
    let span = Span {
        warm_up: Duration::ZERO,
        measured: DELIVERED_MAX,
        operations_max: all.div_ceil(CLIENTS),
    };
    let cpu = server.cpu()?;
    let began = Instant::now();
    let made = run(server.address, &mut creators, span)?.operations_all;
    let created = began.elapsed();
    let delivered = "dbward_webhook_deliveries_total{status=\"delivered\"}";
    let delivered_now = || Ok::<_, String>(server.metric(&tokens.admin, delivered)? as usize);
    let waiting = made.saturating_sub(delivered_now()?);
    while delivered_now()? < made {
        if began.elapsed() > DELIVERED_MAX {
            return Err("notifications do not arrive".to_owned());
        }
        thread::sleep(LOOK_EVERY);
    }
    let took = began.elapsed().as_secs_f64();
    let cpu = (server.cpu()? - cpu).as_secs_f64() * 1e6 / made as f64;
    rows.push(Row {
        clients: Some(CLIENTS),
        rate: Some(made as f64 / took),
        note: format!(
            "{made} made in {:.1} s, {waiting} of them not delivered then; server {cpu:.0} us of processor for both",
            created.as_secs_f64()
        ),
        ..Row::new("create and notify")
    });
    Ok(())
}

/// The first page of the console and everything that it loads, over one connection.
fn page(server: &Server, rows: &mut Vec<Row>) -> Outcome<()> {
    eprintln!("the console");
    let mut connection = Connection::open(server.address)?;
    let mut took = Vec::new();
    let (mut files, mut bytes) = (0, 0);
    for _ in 0..PAGE_LOADS {
        let began = Instant::now();
        (files, bytes) = load(&mut connection)?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    rows.push(Row {
        clients: Some(1),
        p50: percentile(&took, 0.5),
        p99: percentile(&took, 0.99),
        slowest: took.last().copied(),
        note: format!("{files} files, {bytes} bytes, one after the other, without a browser"),
        ..Row::new("the console's page")
    });
    Ok(())
}

fn load(connection: &mut Connection) -> Outcome<(usize, usize)> {
    let mut open = vec!["/".to_owned()];
    let mut seen = BTreeSet::new();
    let mut bytes = 0;
    while let Some(target) = open.pop() {
        if !seen.insert(target.clone()) {
            continue;
        }
        if seen.len() > FILES_MAX {
            return Err("the console has no end".to_owned());
        }
        let call = request("GET", &target, "", None);
        let answer = connection.call(&call)?;
        let body = answer.expect(200).map_err(|e| format!("{target}: {e}"))?;
        bytes += body.len();
        let folder = target.rsplit_once('/').map_or("", |(folder, _)| folder);
        open.extend(named_in(&String::from_utf8_lossy(body), folder));
    }
    Ok((seen.len(), bytes))
}

/// The files of the console that a text in that folder names in quotes: `/assets/..`, or `./..` of a module.
fn named_in(text: &str, folder: &str) -> Vec<String> {
    text.split(['"', '\''])
        .filter_map(|word| match word.strip_prefix("./") {
            Some(name) => Some(format!("{folder}/{name}")),
            None => word.starts_with("/assets/").then(|| word.to_owned()),
        })
        .filter(|name| name.ends_with(".js") || name.ends_with(".css") || name.ends_with(".svg"))
        .collect()
}
