//! Databases for the tests: a file, or a database of its own on a server, dropped at the end.

use super::{Journal, Place, committed, job};
use crate::support::Temp;
use dbward::agent::config::{DatabaseEndpoint, DriverConfig, Password, Tls};
use dbward::agent::drivers::Cancel;
use dbward::agent::wall::Wall;
use dbward::crypto::{hex, random};
use dbward::domain::id::Operation;
use std::path::PathBuf;

fn wall() -> Wall {
    Wall::new(PathBuf::from(env!("CARGO_BIN_EXE_dbward")), 1)
}

pub fn sqlite() -> Place {
    let folder = Temp::new();
    let path = folder.path().join("app.db");
    std::fs::write(&path, b"").unwrap();
    Place {
        driver: DriverConfig::Sqlite {
            path,
            read_only: false,
        },
        wall: wall(),
        cleans: None,
        _folder: folder,
    }
}

/// A database that is there already.
pub fn placed(driver: DriverConfig) -> Place {
    Place {
        driver,
        wall: wall(),
        cleans: None,
        _folder: Temp::new(),
    }
}

/// Where the URL in `variable` points to: `scheme://user:password@host:port/database`.
fn endpoint(variable: &str, port: u16) -> DatabaseEndpoint {
    let url = std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set"));
    let (_, rest) = url.split_once("://").unwrap();
    let (authority, database) = rest.split_once('/').unwrap();
    let (login, place) = authority.split_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (host, port) = place
        .split_once(':')
        .map_or((place, port), |(host, port)| (host, port.parse().unwrap()));
    DatabaseEndpoint {
        host: host.to_owned(),
        port,
        user: user.to_owned(),
        password: Some(password)
            .filter(|p| !p.is_empty())
            .map(|p| Password(p.as_bytes().to_vec())),
        database: database.to_owned(),
        tls: Tls::Off,
        ca_file: None,
        read_only: false,
        lock_timeout_secs: 2,
        schema: None,
    }
}

/// Runs one statement of the test's own on the server.
pub fn on_server(driver: &DriverConfig, sql: &str) {
    let outcome = wall().run(
        driver,
        &job(Operation::ExecuteDml, &[sql]),
        &Cancel::new(),
        &mut Journal::default(),
    );
    // What a test that fails leaves may be in the way of its own cleaning, which is not worth a second panic.
    if !std::thread::panicking() {
        committed(outcome);
    }
}

/// Seconds that removing a database waits for a lock.
const CLEANING_SECS: u64 = 60;

fn fresh(
    server: DatabaseEndpoint,
    kind: fn(DatabaseEndpoint) -> DriverConfig,
    how: &str,
    drop: &'static str,
) -> Place {
    let name = format!("dbward_{}", hex(&random::<6>()));
    on_server(
        &kind(server.clone()),
        &format!("CREATE DATABASE {name} {how}"),
    );
    // A statement of an agent that was killed may hold its locks for a while yet.
    let at = kind(DatabaseEndpoint {
        lock_timeout_secs: CLEANING_SECS,
        ..server.clone()
    });
    let database = name.clone();
    Place {
        driver: kind(DatabaseEndpoint {
            database: name,
            ..server
        }),
        wall: wall(),
        cleans: Some(Box::new(move || {
            on_server(&at, &drop.replace("NAME", &database))
        })),
        _folder: Temp::new(),
    }
}

pub fn postgres() -> Place {
    postgres_made("")
}

pub fn postgres_made(how: &str) -> Place {
    let server = endpoint("DBWARD_TEST_POSTGRES_URL", 5432);
    fresh(
        server,
        DriverConfig::Postgres,
        how,
        "DROP DATABASE NAME WITH (FORCE)",
    )
}

pub fn mysql() -> Place {
    let server = endpoint("DBWARD_TEST_MYSQL_URL", 3306);
    fresh(
        server,
        DriverConfig::MySql,
        "CHARACTER SET utf8mb4",
        "DROP DATABASE NAME",
    )
}
