//! Instructions of the server for one call of each kind, counted by callgrind: a number that does not depend on what
//! else the machine does. One client, so each write has a commit of its own; system calls count as one instruction.

use crate::Outcome;
use crate::calls::{Life, Repeat};
use crate::drive::Client;
use crate::parts;
use crate::report::Row;
use crate::server::{Folder, Server, Tokens};
use crate::wire::Connection;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Calls of each kind before counting: caches and statements are as they are in a server that has run for a while.
const WARM_UP: usize = 30;
/// Calls that are counted.
const COUNTED: usize = 100;
/// How much more than the kept number a call may take.
const MORE_MAX: f64 = 1.1;
/// Writes the kept numbers anew.
const RENEW: &str = "UPDATE_GOLDEN";

/// Where the kept numbers stand: a name and a number on each line.
fn kept_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt")
}

/// Counts all kinds, prints a row each, and fails where one takes more than it may.
///
/// # Errors
/// Without valgrind; a wrong answer; more instructions than kept, and a quarter.
pub fn measure(rows: &mut Vec<Row>) -> Outcome<()> {
    let folder = Folder::new("instructions")?;
    let server = Server::start_counted(folder.path())?;
    crate::guard(&server);
    let counted = count_all(&server).map_err(|e| server.explain(e))?;
    server.stop()?;
    let kept = read_kept()?;
    let mut over = Vec::new();
    for (name, each, parts) in &counted {
        let was = kept.get(*name).copied();
        if was.is_none_or(|was| *each as f64 > was as f64 * MORE_MAX) {
            over.push(format!(
                "{name}: {each} instructions, {} kept",
                was.map_or_else(|| "none".to_owned(), |was| was.to_string())
            ));
        }
        rows.push(Row {
            clients: Some(1),
            note: match was {
                Some(was) => format!("{each} a call, {was} kept: {parts}"),
                None => format!("{each} a call: {parts}"),
            },
            ..Row::new(format!("instructions, {name}"))
        });
    }
    if std::env::var_os(RENEW).is_some() {
        let lines = counted
            .iter()
            .map(|(name, each, _)| format!("{name} {each}\n"));
        let text: String = lines.collect();
        return fs::write(kept_file(), text).map_err(|e| format!("writing the numbers: {e}"));
    }
    if over.is_empty() {
        return Ok(());
    }
    Err(format!(
        "more instructions than a quarter over those in benches/instructions.txt: {}. If that is meant, run it again with \
         {RENEW}=1",
        over.join("; ")
    ))
}

fn read_kept() -> Outcome<BTreeMap<String, u64>> {
    let text = fs::read_to_string(kept_file()).unwrap_or_default();
    text.lines()
        .map(|line| {
            let (name, number) = line.split_once(' ').ok_or("a kept line without a number")?;
            let number = number.parse().map_err(|e| format!("kept {name}: {e}"))?;
            Ok((name.to_owned(), number))
        })
        .collect()
}

/// The name of a call, its instructions, and where they go.
type Counted = (&'static str, u64, String);

fn count_all(server: &Server) -> Outcome<Vec<Counted>> {
    let tokens = Tokens::issue(server, 0)?;
    let mut connection = Connection::open(server.address)?;
    let mut all = Vec::new();
    let lives = Life::new(&tokens, WARM_UP + COUNTED)?;
    let (warm_up, counted) = lives.split_at(WARM_UP);
    let (mut warm_up, mut counted) = (warm_up.to_vec(), counted.to_vec());
    for stage in ["create", "approve", "resume", "claim", "report", "stream"] {
        send(&mut connection, &mut warm_up)?;
        let (sum, parts) = server.counting(|| send(&mut connection, &mut counted))?;
        all.push((stage, sum / COUNTED as u64, parts));
    }
    let agent = &tokens.agents[..1];
    let nothing =
        r#"{"capabilities":{"databases":["app"],"environments":["production"]},"limit":1}"#;
    for (name, mut call) in [
        (
            "me",
            Repeat::new("/api/me", &tokens.requesters, 1, "requester-"),
        ),
        (
            "list",
            Repeat::new(
                "/api/requests?limit=20",
                &tokens.requesters,
                1,
                "\"requests\"",
            ),
        ),
        (
            "poll",
            Repeat::with_body("/api/agent/poll", nothing, agent, 1, "\"jobs\""),
        ),
    ] {
        for _ in 0..WARM_UP {
            send(&mut connection, &mut call)?;
        }
        let (sum, parts) = server.counting(|| {
            for _ in 0..COUNTED {
                send(&mut connection, &mut call)?;
            }
            Ok(())
        })?;
        all.push((name, sum / COUNTED as u64, parts));
    }
    Ok(all)
}

/// One call of each client, one after the other.
fn send(connection: &mut Connection, clients: &mut [impl Client]) -> Outcome<()> {
    for client in clients {
        let answer = connection.call(client.next())?;
        client.check(&answer)?;
    }
    Ok(())
}

/// Has callgrind count while `calls` runs in the process `id`, which writes what it counts next to `counts`. Returns the
/// sum, and its parts in words.
pub fn counting(
    id: i32,
    counts: &Path,
    calls: impl FnOnce() -> Outcome<()>,
) -> Outcome<(u64, String)> {
    control(id, "--instr=on")?;
    control(id, "--zero")?;
    calls()?;
    let before = dumps(counts)?;
    control(id, "--dump")?;
    control(id, "--instr=off")?;
    let dump = dumps(counts)?.into_iter().find(|d| !before.contains(d));
    let text = fs::read_to_string(dump.ok_or("callgrind wrote no counts")?)
        .map_err(|e| format!("reading the counts: {e}"))?;
    let sum = text
        .lines()
        .find_map(|line| {
            line.strip_prefix("totals: ")
                .or_else(|| line.strip_prefix("summary: "))
        })
        .and_then(|number| number.trim().parse().ok())
        .ok_or("counts without a total")?;
    Ok((sum, parts::of(&text)))
}

fn control(id: i32, what: &str) -> Outcome<()> {
    let status = Command::new("callgrind_control")
        .args([what, &id.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|e| format!("callgrind_control (of Debian's valgrind): {e}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("callgrind_control {what}: {status}"))
    }
}

fn dumps(counts: &Path) -> Outcome<Vec<PathBuf>> {
    let folder = counts.parent().ok_or("counts without a folder")?;
    let entries = fs::read_dir(folder).map_err(|e| format!("looking for counts: {e}"))?;
    let name = counts
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with(&name))
        })
        .collect())
}
