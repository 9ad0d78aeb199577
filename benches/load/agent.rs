//! The real agent next to the real server, on a database of SQLite: from the call that dispatches a job to the line in the
//! agent's journal, and to the result in the requester's hands.

use crate::report::{Goal, Row, percentile};
use crate::server::{Folder, Server, Tokens};
use crate::wire::{Connection, request, text_of};
use crate::{Outcome, Plan};
use rusqlite::OpenFlags;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Jobs that are measured, one after the other.
const JOBS: usize = 200;
/// The same in short.
const JOBS_QUICK: usize = 40;
/// Jobs before that: the agent's first statements start its processes.
const WARM_UP: usize = 3;
/// What each of them reads.
const BODY: &str = r#"{"database":"local","environment":"staging","operation":"execute_select","detail":"SELECT name FROM items WHERE id = 1","reason":"measured"}"#;

/// The running agent; killed when it goes.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes and dispatches a request that only an agent of the database `local` can run. Returns its id.
pub fn dispatch_one(server: &Server, tokens: &Tokens) -> Outcome<String> {
    let mut connection = Connection::open(server.address)?;
    let id = approved(&mut connection, tokens)?;
    resume(&mut connection, tokens, &id)?;
    Ok(id)
}

fn approved(connection: &mut Connection, tokens: &Tokens) -> Outcome<String> {
    let call = request("POST", "/api/requests", &tokens.requesters[0], Some(BODY));
    let answer = connection.call(&call)?;
    let id = text_of(answer.expect(201)?, "id").ok_or("a request without an id")?;
    let id = id.to_owned();
    let target = format!("/api/requests/{id}/approve");
    let call = request("POST", &target, &tokens.approvers[0], Some("{}"));
    connection.call(&call)?.expect(200)?;
    Ok(id)
}

fn resume(connection: &mut Connection, tokens: &Tokens, id: &str) -> Outcome<()> {
    let target = format!("/api/requests/{id}/resume");
    let call = request("POST", &target, &tokens.requesters[0], None);
    connection.call(&call)?.expect(200)?;
    Ok(())
}

/// Runs the case.
pub fn measure(plan: &Plan, folder: &Folder, server: &Server, rows: &mut Vec<Row>) -> Outcome<()> {
    eprintln!("the agent");
    let tokens = Tokens::issue(server, 0)?;
    let agent = start(folder.path(), server, &tokens.agents[0])?;
    let jobs = if plan.is_quick() { JOBS_QUICK } else { JOBS };
    let mut connection = Connection::open(server.address)?;
    let mut sent = Vec::new();
    let mut read = Vec::new();
    for n in 0..WARM_UP + jobs {
        let id = approved(&mut connection, &tokens)?;
        let at = now_ms()?;
        let began = Instant::now();
        resume(&mut connection, &tokens, &id)?;
        let target = format!("/api/requests/{id}/result/stream");
        let stream = request("GET", &target, &tokens.requesters[0], None);
        connection.call(&stream)?.expect(200)?;
        if n >= WARM_UP {
            read.push(began.elapsed());
            sent.push((id, at));
        }
    }
    drop(agent);
    let mut started = journalled(folder.path(), &sent)?;
    started.sort_unstable();
    read.sort_unstable();
    rows.push(Row {
        clients: Some(1),
        p50: percentile(&started, 0.5),
        p99: percentile(&started, 0.99),
        slowest: started.last().copied(),
        goal: Some(Goal::P50(Duration::from_millis(4))),
        note: "from sending resume to the agent's journal, in whole milliseconds".to_owned(),
        ..Row::new("resume to agent start")
    });
    rows.push(Row {
        clients: Some(1),
        p50: percentile(&read, 0.5),
        p99: percentile(&read, 0.99),
        slowest: read.last().copied(),
        note: "the statement has a process of its own".to_owned(),
        ..Row::new("resume to result read")
    });
    Ok(())
}

fn now_ms() -> Outcome<i64> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|e| e.to_string())?;
    i64::try_from(since.as_millis()).map_err(|e| e.to_string())
}

fn start(folder: &Path, server: &Server, token: &str) -> Outcome<Agent> {
    let failed = |e: &dyn std::fmt::Display| format!("the agent's files: {e}");
    let database = folder.join("local.db");
    rusqlite::Connection::open(&database)
        .and_then(|db| {
            db.execute_batch(
                "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT);
                 INSERT INTO items VALUES (1, 'one');",
            )
        })
        .map_err(|e| failed(&e))?;
    let config = folder.join("agent.toml");
    let text = format!(
        "[server]\nurl = \"http://{}\"\ntoken = \"{token}\"\n\n[agent]\nstate_dir = \"agent-state\"\n\n\
         [[databases]]\nname = \"local\"\nenvironment = \"staging\"\ndriver = \"sqlite\"\npath = \"local.db\"\n",
        server.address
    );
    fs::write(&config, text).map_err(|e| failed(&e))?;
    let log = fs::File::create(folder.join("agent.log")).map_err(|e| failed(&e))?;
    Command::new(env!("CARGO_BIN_EXE_dbward"))
        .args(["agent", "--config"])
        .arg(&config)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map(Agent)
        .map_err(|e| format!("starting the agent: {e}"))
}

/// From each moment to the journal's line of its request.
fn journalled(folder: &Path, sent: &[(String, i64)]) -> Outcome<Vec<Duration>> {
    let plain = |e: rusqlite::Error| format!("the journal: {e}");
    let entries = fs::read_dir(folder.join("agent-state")).map_err(|e| e.to_string())?;
    let file = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|e| e == "db"))
        .ok_or("the agent has no journal")?;
    let db = rusqlite::Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(plain)?;
    let mut find = db
        .prepare("SELECT started_at FROM executions WHERE request_id = ?1")
        .map_err(plain)?;
    sent.iter()
        .map(|(id, at)| {
            let started: i64 = find.query_row([id], |row| row.get(0)).map_err(plain)?;
            Ok(Duration::from_millis((started - at).max(0).unsigned_abs()))
        })
        .collect()
}
