//! Whether the databases of an agent can be opened, asked before it starts: an agent that polls for a database it cannot
//! reach fails one approved request after another.

use super::config::DatabaseConfig;
use super::wall::Wall;
use crate::error::Error;
use std::thread::Builder;

/// Databases asked at the same time; each is a child process.
const AT_ONCE: usize = 8;

/// Opens each database once; why one cannot be, in the order of the configuration.
pub(super) fn tried(wall: &Wall, databases: &[DatabaseConfig]) -> Vec<Result<(), String>> {
    let mut outcomes = Vec::new();
    for some in databases.chunks(AT_ONCE) {
        let answers: Vec<Result<(), String>> = std::thread::scope(|scope| {
            let asked: Vec<_> = some
                .iter()
                .map(|database| {
                    Builder::new()
                        .name("agent-check".to_owned())
                        .spawn_scoped(scope, || wall.check(&database.driver))
                })
                .collect();
            asked
                .into_iter()
                .map(|thread| match thread.map(|thread| thread.join()) {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(_)) | Err(_) => Err("there is no thread to ask it with".to_owned()),
                })
                .collect()
        });
        outcomes.extend(answers);
    }
    outcomes
}

/// Opens each database once, and logs why one cannot be.
///
/// # Errors
/// `unavailable`, with the first reason.
pub(super) fn ensure(wall: &Wall, databases: &[DatabaseConfig]) -> Result<(), Error> {
    let mut failures = Vec::new();
    for (database, answer) in databases.iter().zip(tried(wall, databases)) {
        if let Err(why) = answer {
            let failure = format!("database {} cannot be opened: {why}", database.target);
            log::error!("{failure}");
            failures.push(failure);
        }
    }
    let Some(first) = failures.first() else {
        return Ok(());
    };
    let more = match failures.len() - 1 {
        0 => String::new(),
        n => format!(", and {n} more (see the log)"),
    };
    Err(Error::unavailable(format!("{first}{more}")))
}
