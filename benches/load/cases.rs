//! The cases, one function each.

use crate::calls::{Creator, Life, Repeat};
use crate::drive::{Measured, run};
use crate::floor_http::{Bare, Gated};
use crate::floor_store::{Heads, Rows};
use crate::parked;
use crate::report::{Goal, Row};
use crate::server::{Folder, Server, Tokens};
use crate::wire::{Connection, request};
use crate::{Outcome, Plan};
use dbward::domain::dialect::Dialect;
use dbward::domain::sql::{InputError, STACK_BYTES, TEXT_BYTES_MAX, analyze};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Clients of the creates.
const CREATORS: [usize; 3] = [1, 16, 64];
/// Clients of everything else that runs at full load.
const CLIENTS: usize = 64;
/// What signed heads leave of the rate of creates: they may cost a tenth.
const HEADS_SHARE: f64 = 0.9;
/// Acknowledged requests that are asked for after the restart, at most.
const ASKED_AFTERWARDS_MAX: usize = 500;

/// Everything that needs the server: starts it, runs the cases that were chosen, restarts it, checks what it kept.
pub fn with_server(plan: &Plan, rows: &mut Vec<Row>) -> Outcome<()> {
    let folder = Folder::new("load")?;
    let server = Server::start(folder.path())?;
    crate::guard(&server);
    rows.push(Row {
        note: format!(
            "{:.0} ms to the first answer; {} threads, {} KiB in memory",
            server.start.as_secs_f64() * 1000.0,
            server.threads()?,
            server.rss_kib()?
        ),
        ..Row::new("start with nothing")
    });
    let mut kept = Vec::new();
    if let Err(e) = on_server(plan, &folder, &server, rows, &mut kept) {
        return Err(server.explain(e));
    }
    if plan.wants("audit") {
        verify(&server, &admin(&folder)?, rows)?;
    }
    let stopped = server.stop()?;
    if plan.wants("audit") {
        restarted(&folder, stopped, &kept, rows)?;
    }
    Ok(())
}

fn admin(folder: &Folder) -> Outcome<String> {
    std::fs::read_to_string(folder.path().join("state/admin-token")).map_err(|e| e.to_string())
}

fn on_server(
    plan: &Plan,
    folder: &Folder,
    server: &Server,
    rows: &mut Vec<Row>,
    kept: &mut Vec<String>,
) -> Outcome<()> {
    let watchers = if plan.wants("parked") {
        parked::TOKENS
    } else {
        0
    };
    let tokens = Tokens::issue(server, watchers)?;
    if plan.wants("me") {
        me(plan, folder, server, &tokens, rows)?;
    }
    if plan.wants("parked") {
        parked::measure(plan, server, &tokens, rows)?;
    }
    if plan.wants("create") {
        for clients in CREATORS {
            create(plan, folder, server, &tokens, clients, rows, kept)?;
        }
    }
    if plan.wants("life") {
        life(plan, server, &tokens, rows)?;
    }
    Ok(())
}

/// A row with what a run measured.
pub fn row(name: &str, clients: usize, measured: &Measured) -> Row {
    Row {
        clients: Some(clients),
        rate: Some(measured.rate()),
        p50: measured.percentile(0.5),
        p99: measured.percentile(0.99),
        slowest: measured.times.last().copied(),
        ..Row::new(name)
    }
}

/// Says what it does, since some take a while.
pub fn announce(what: &str, clients: usize) {
    eprintln!("{what}, {clients} clients");
}

/// Processor time of the server for each operation, and changes in each of its transactions.
pub struct Cost {
    cpu: Duration,
    batches: f64,
    changes: f64,
}

impl Cost {
    /// At this moment.
    pub fn now(server: &Server, admin: &str) -> Outcome<Cost> {
        Ok(Cost {
            batches: server.metric(admin, "dbward_store_batches_total")?,
            changes: server.metric(admin, "dbward_store_changes_total")?,
            cpu: server.cpu()?,
        })
    }

    /// What each operation since then took, in words.
    pub fn since(&self, server: &Server, admin: &str, measured: &Measured) -> Outcome<String> {
        let now = Cost::now(server, admin)?;
        let each = (now.cpu - self.cpu).as_secs_f64() * 1e6 / measured.operations_all.max(1) as f64;
        let batches = now.batches - self.batches;
        let mut note = format!("server {each:.0} us of processor each");
        let changes = now.changes - self.changes;
        if batches > 0.0 && changes > 0.0 {
            note.push_str(&format!(", {:.1} changes a commit", changes / batches));
        }
        Ok(note)
    }
}

fn create(
    plan: &Plan,
    folder: &Folder,
    server: &Server,
    tokens: &Tokens,
    clients: usize,
    rows: &mut Vec<Row>,
    kept: &mut Vec<String>,
) -> Outcome<()> {
    announce("create", clients);
    let mut creators = Creator::new(tokens, clients)?;
    let before = Cost::now(server, &tokens.admin)?;
    let span = plan.span(clients);
    let measured = run(server.address, &mut creators, span)?;
    let note = before.since(server, &tokens.admin, &measured)?;
    kept.extend(creators.into_iter().flat_map(|c| c.remembered));
    announce("create, floor", clients);
    let copied = Rows::read(&server.database())?;
    let floor = copied.run(folder.path(), clients, span, Heads::Without)?;
    announce("create, floor with signed heads", clients);
    let signed = copied.run(folder.path(), clients, span, Heads::Signed)?;
    rows.push(Row {
        floor: Some(floor.rate()),
        goal: (clients == CLIENTS).then_some(Goal::RateAndShare(6000.0, 0.6)),
        note,
        ..row("create, durable", clients, &measured)
    });
    rows.push(Row {
        note: format!("SQLite alone, {} rows each", copied.count()),
        ..row("  its floor", clients, &floor)
    });
    rows.push(Row {
        floor: Some(floor.rate()),
        goal: Some(Goal::Share(HEADS_SHARE)),
        note: "the same with a signed head in each commit".to_owned(),
        ..row("  its floor, signed", clients, &signed)
    });
    Ok(())
}

fn life(plan: &Plan, server: &Server, tokens: &Tokens, rows: &mut Vec<Row>) -> Outcome<()> {
    announce("life cycle", CLIENTS);
    let mut lives = Life::new(tokens, CLIENTS)?;
    let before = Cost::now(server, &tokens.admin)?;
    let measured = run(server.address, &mut lives, plan.span(CLIENTS))?;
    let note = before.since(server, &tokens.admin, &measured)?;
    rows.push(Row {
        goal: Some(Goal::Rate(1500.0)),
        note,
        ..row("life cycle, six calls", CLIENTS, &measured)
    });
    Ok(())
}

fn me(
    plan: &Plan,
    folder: &Folder,
    server: &Server,
    tokens: &Tokens,
    rows: &mut Vec<Row>,
) -> Outcome<()> {
    let call = request("GET", "/api/me", &tokens.requesters[0], None);
    let mut connection = Connection::open(server.address)?;
    let body = connection.call(&call)?.expect(200)?.to_vec();
    drop(connection);
    let span = plan.span(CLIENTS);
    let ask = |expected: &str| Repeat::new("/api/me", &tokens.requesters, CLIENTS, expected);

    announce("me, floor: tiny_http alone", CLIENTS);
    let bare = Bare::start(&body)?;
    let bare_measured = run(bare.address, &mut ask("requester-1"), span)?;
    bare.stop();
    announce("me, floor: the same through the gate", CLIENTS);
    let gated = Gated::start(folder.path(), &body)?;
    let gated_measured = run(gated.address, &mut ask("requester-1"), span)?;
    gated.stop();
    announce("me", CLIENTS);
    let before = Cost::now(server, &tokens.admin)?;
    let measured = run(
        server.address,
        &mut ask("\"subject_id\":\"requester-"),
        span,
    )?;
    let note = before.since(server, &tokens.admin, &measured)?;

    rows.push(Row {
        floor: Some(gated_measured.rate()),
        goal: Some(Goal::Share(0.7)),
        note,
        ..row("GET /api/me", CLIENTS, &measured)
    });
    rows.push(Row {
        floor: Some(bare_measured.rate()),
        note: format!("the same {} bytes through the gate", body.len()),
        ..row("  its floor, gated", CLIENTS, &gated_measured)
    });
    rows.push(Row {
        note: "the same bytes from tiny_http alone".to_owned(),
        ..row("  its floor, bare", CLIENTS, &bare_measured)
    });
    Ok(())
}

/// Has the server verify its chain; says how many events it has.
fn verify(server: &Server, admin: &str, rows: &mut Vec<Row>) -> Outcome<()> {
    announce("audit verify", 1);
    let mut connection = Connection::open(server.address)?;
    let call = request("GET", "/api/audit/verify", admin, None);
    let began = Instant::now();
    let answer = connection.call(&call)?;
    let took = began.elapsed();
    let json: Value = serde_json::from_slice(answer.expect(200)?).map_err(|e| e.to_string())?;
    if json["valid"] != true {
        return Err(format!("the audit chain does not verify: {json}"));
    }
    let events = json["total_events"].as_u64().ok_or("no total_events")?;
    rows.push(Row {
        clients: Some(1),
        rate: Some(events as f64 / took.as_secs_f64()),
        goal: Some(Goal::Rate(250_000.0)),
        note: format!("{events} events, valid"),
        ..Row::new("audit verify, events")
    });
    Ok(())
}

/// Starts the server again on what it has written, and asks for what it acknowledged.
fn restarted(
    folder: &Folder,
    stopped: Duration,
    kept: &[String],
    rows: &mut Vec<Row>,
) -> Outcome<()> {
    let server = Server::start(folder.path())?;
    crate::guard(&server);
    let admin = admin(folder)?;
    let every = kept.len().div_ceil(ASKED_AFTERWARDS_MAX).max(1);
    let mut connection = Connection::open(server.address)?;
    let mut asked = 0;
    for id in kept.iter().step_by(every) {
        let call = request("GET", &format!("/api/requests/{id}"), &admin, None);
        connection
            .call(&call)?
            .expect(200)
            .map_err(|e| format!("request {id} was acknowledged and is lost: {e}"))?;
        asked += 1;
    }
    rows.push(Row {
        note: format!(
            "{:.0} ms to the first answer, {:.0} ms to stop before; {asked} acknowledged requests found",
            server.start.as_secs_f64() * 1000.0,
            stopped.as_secs_f64() * 1000.0,
        ),
        ..Row::new("start with all of it")
    });
    server.stop()?;
    Ok(())
}

/// How fast short statements are understood, on one core.
pub fn sql(plan: &Plan, rows: &mut Vec<Row>) -> Outcome<()> {
    const STATEMENTS: [&str; 8] = [
        "SELECT id, email FROM customers WHERE id = 42",
        "SELECT count(*) FROM orders WHERE created_at > now() - interval '1 day'",
        "SELECT o.id, c.email FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.status = 'open' LIMIT 50",
        "UPDATE orders SET status = 'sent' WHERE id = 1234 AND status = 'paid'",
        "DELETE FROM sessions WHERE expires_at < '2026-01-01'",
        "INSERT INTO audit_notes (order_id, note) VALUES (17, 'called the customer')",
        "WITH late AS (SELECT id FROM orders WHERE due < now()) SELECT * FROM late ORDER BY id",
        "ALTER TABLE customers ADD COLUMN nickname text",
    ];
    eprintln!("SQL analysis, one thread");
    let until = Instant::now() + plan.measured / 2;
    let began = Instant::now();
    let mut times = Vec::new();
    while Instant::now() < until {
        for text in STATEMENTS {
            let started = Instant::now();
            let analysis = analyze(std::hint::black_box(text), Dialect::Postgres)
                .map_err(|e| format!("{text}: {e:?}"))?;
            std::hint::black_box(&analysis);
            times.push(started.elapsed());
        }
    }
    let elapsed = began.elapsed();
    times.sort_unstable();
    let measured = Measured {
        operations: times.len(),
        operations_all: times.len(),
        elapsed,
        times,
    };
    rows.push(Row {
        goal: Some(Goal::Rate(20_000.0)),
        note: "short statements, one core".to_owned(),
        ..row("SQL analysis", 1, &measured)
    });
    worst(rows)
}

/// The longest accepted texts of the shapes that take the longest, each the best of three times.
fn worst(rows: &mut Vec<Row>) -> Outcome<()> {
    const SHAPES: [(&str, &str); 14] = [
        ("SELECT ", "1 OR "),
        ("SELECT * FROM t WHERE ", "1 DIV "),
        ("SELECT * FROM t WHERE ", "1 REGEXP "),
        ("SELECT * FROM t WHERE ", "a = 1 AND "),
        ("DELETE FROM t WHERE ", "(a = a) OR "),
        ("SELECT ", "1 BETWEEN 1 AND "),
        ("SELECT ", "(SELECT "),
        ("SELECT ", "f("),
        ("SELECT ", "1,"),
        ("INSERT INTO t VALUES ", "(1),"),
        ("SELECT * FROM ", "t JOIN "),
        ("SELECT ", "$a$"),
        ("", "ALTER TABLE t ADD a int, "),
        (
            "ALTER TABLE t ",
            "ADD CONSTRAINT c CHECK (a > 0) NOT VALID, ",
        ),
    ];
    let measure = || -> Vec<(Duration, String)> {
        let mut times = Vec::new();
        for dialect in [Dialect::Postgres, Dialect::MySql, Dialect::Sqlite] {
            for (frame, unit) in SHAPES {
                // Half as long until it is accepted.
                let mut bytes = TEXT_BYTES_MAX;
                let text = loop {
                    let text = format!("{frame}{}1", unit.repeat((bytes - 50) / unit.len()));
                    match analyze(&text, dialect) {
                        Err(InputError::TooComplex { .. }) => bytes = bytes / 4 * 3,
                        _ => break text,
                    }
                };
                let once = || {
                    let began = Instant::now();
                    std::hint::black_box(analyze(std::hint::black_box(&text), dialect)).ok();
                    began.elapsed()
                };
                let best = (0..3).map(|_| once()).min().unwrap_or_default();
                times.push((best, format!("{frame}{unit} in {dialect:?}")));
            }
        }
        times
    };
    let thread = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(measure)
        .map_err(|e| e.to_string())?;
    let times = thread.join().map_err(|_| "the analysis panicked")?;
    let (slowest, which) = times.into_iter().max().unwrap_or_default();
    rows.push(Row {
        slowest: Some(slowest),
        goal: Some(Goal::Slowest(Duration::from_millis(200))),
        note: format!("the slowest of long texts: {which}"),
        ..Row::new("SQL analysis, worst text")
    });
    Ok(())
}
