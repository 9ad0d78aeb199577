//! How to reach a database server: given as a URL, or key by key. The password stays apart from the rest and is never
//! shown.

use super::raw::RawAgentDatabase;
use super::{given, read_bounded_bytes, required};
use crate::domain::policy::execution::LOCK_SECS_MAX;
use crate::error::Shown;
use crate::settings::{self, GivenSecret, Notes, Spanned};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Names of the drivers that this program was built with.
pub const DRIVERS: &[&str] = &[
    "sqlite",
    #[cfg(feature = "postgres")]
    "postgresql",
    #[cfg(feature = "mysql")]
    "mysql",
];

/// What differs between the kinds of servers.
pub struct ServerKind {
    /// Schemes of its URLs.
    schemes: &'static [&'static str],
    port: u16,
    /// The user where none is given.
    user: &'static str,
    /// Whether its driver takes passwords in UTF-8 only.
    text_password: bool,
}

#[cfg(feature = "postgres")]
pub const POSTGRES: ServerKind = ServerKind {
    schemes: &["postgres", "postgresql"],
    port: 5432,
    user: "postgres",
    text_password: false,
};
#[cfg(feature = "mysql")]
pub const MYSQL: ServerKind = ServerKind {
    schemes: &["mysql", "mariadb"],
    port: 3306,
    user: "root",
    text_password: true,
};

/// A password: any bytes. Never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Password(pub Vec<u8>);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tls {
    Off,
    /// Encrypted; the server is not verified.
    Require,
    /// Encrypted, to the host with this name by a certificate that a trusted authority signed.
    VerifyFull,
}

/// A database on a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseEndpoint {
    /// Name or address of the host; a path that begins with `/` is a Unix socket (for PostgreSQL the folder of it).
    pub host: String,
    pub port: u16,
    /// The user to log in as.
    pub user: String,
    /// The password, where there is one.
    pub password: Option<Password>,
    /// Name of the database.
    pub database: String,
    /// How the connection is protected.
    pub tls: Tls,
    /// Certificates to trust instead of the usual authorities: a file in PEM.
    pub ca_file: Option<PathBuf>,
    /// Refuses whatever is not a read.
    pub read_only: bool,
    /// Seconds that a statement waits for a lock at most, whatever was signed.
    pub lock_timeout_secs: u64,
    /// The only schema that sessions see, where it is not left to the server; of PostgreSQL.
    pub schema: Option<String>,
}

impl DatabaseEndpoint {
    /// Whether `host` is this machine.
    fn is_local(host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host.starts_with('/')
            || host.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// What a URL says.
#[derive(Default)]
struct Parts {
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password: Option<Vec<u8>>,
    database: Option<String>,
    tls: Option<Tls>,
}

/// Notes that keys of a database server stand in a table of a file.
pub fn refuse_keys(raw: &RawAgentDatabase, notes: &mut Notes) {
    for key in [
        &raw.url,
        &raw.host,
        &raw.database,
        &raw.user,
        &raw.tls,
        &raw.ca_file,
    ] {
        if let Some(key) = given(key) {
            notes.problem(
                &key.at,
                "this key is of a database server, and the driver is `sqlite`",
            );
        }
    }
}

/// Reads the keys of a database server. Problems are noted without the URL, which may hold a password.
pub fn read(
    raw: &RawAgentDatabase,
    base: &Path,
    kind: &ServerKind,
    notes: &mut Notes,
) -> Option<DatabaseEndpoint> {
    if let Some(path) = given(&raw.path) {
        notes.problem(&path.at, "this key is of the driver `sqlite`");
    }
    let url = given(&raw.url);
    let mut parts = Parts::default();
    if let Some(url) = url {
        parts = read_url(url, kind, notes);
        if given(&raw.host).is_some() || raw.port.is_some() || given(&raw.database).is_some() {
            let message =
                "`url` is given together with `host`, `port` or `database`; use one of the two";
            notes.problem(&url.at, message);
        }
    }
    let text = |key: &settings::Text| given(key).map(|text| text.value.clone());
    let (host, database) = match url {
        Some(_) => (parts.host, parts.database),
        None => (
            required(&raw.host, &raw.at, "host", notes).map(|host| host.value.clone()),
            required(&raw.database, &raw.at, "database", notes).map(|name| name.value.clone()),
        ),
    };
    if let (Some(url), true) = (
        url,
        (host.is_none() || database.is_none()) && notes.problems.is_empty(),
    ) {
        notes.problem(&url.at, "it names no host, or no database");
    }
    let password = read_password(raw, base, notes);
    let bytes = password.as_ref().or(parts.password.as_ref());
    if let (true, Some(bytes)) = (kind.text_password, bytes) {
        refuse_bytes(bytes, raw, notes);
    }
    let tls = read_tls(raw, notes).or(parts.tls);
    let ca_file = match given(&raw.ca_file) {
        Some(path) => Some(settings::path(path, base, notes)?),
        None => None,
    };
    let port = in_bounds(&raw.port, 1..=u64::from(u16::MAX), notes);
    let lock_timeout_secs = in_bounds(&raw.lock_timeout_secs, 1..=LOCK_SECS_MAX, notes);
    let host = host?;
    Some(DatabaseEndpoint {
        tls: tls.unwrap_or_else(|| usual_tls(&host)),
        host,
        port: port
            .and_then(|port| u16::try_from(port).ok())
            .or(parts.port)
            .unwrap_or(kind.port),
        user: text(&raw.user)
            .or(parts.user)
            .unwrap_or_else(|| kind.user.to_owned()),
        password: password.or(parts.password).map(Password),
        database: database?,
        ca_file,
        read_only: raw.read_only == Some(true),
        lock_timeout_secs: lock_timeout_secs.unwrap_or(LOCK_SECS_MAX),
        schema: None,
    })
}

/// What the URL says, of which a password is noted as a secret.
fn read_url(url: &Spanned<String>, kind: &ServerKind, notes: &mut Notes) -> Parts {
    let parts = parse_url(&url.value, kind).unwrap_or_else(|why| {
        notes.problem(&url.at, why);
        Parts::default()
    });
    let secret = parts.password.as_ref().map(|_| GivenSecret {
        at: url.at.clone(),
        file: None,
    });
    notes.secrets.extend(secret);
    parts
}

/// The endpoint that a URL of PostgreSQL says, everything else at its default.
#[cfg(feature = "postgres")]
pub(super) fn of_url(url: &str) -> Result<DatabaseEndpoint, String> {
    let parts = parse_url(url, &POSTGRES)?;
    let missing = || "it names no host, or no database".to_owned();
    let host = parts.host.ok_or_else(missing)?;
    Ok(DatabaseEndpoint {
        tls: parts.tls.unwrap_or_else(|| usual_tls(&host)),
        port: parts.port.unwrap_or(POSTGRES.port),
        user: parts.user.unwrap_or_else(|| POSTGRES.user.to_owned()),
        password: parts.password.map(Password),
        database: parts.database.ok_or_else(missing)?,
        ca_file: None,
        read_only: false,
        lock_timeout_secs: LOCK_SECS_MAX,
        schema: None,
        host,
    })
}

/// How a connection is protected where nothing says so.
fn usual_tls(host: &str) -> Tls {
    match DatabaseEndpoint::is_local(host) {
        true => Tls::Off,
        false => Tls::VerifyFull,
    }
}

pub(super) fn in_bounds(
    raw: &settings::Number,
    bounds: RangeInclusive<u64>,
    notes: &mut Notes,
) -> Option<u64> {
    let number = raw.as_ref()?;
    if !bounds.contains(&number.value) {
        let message = format!(
            "`{}` is not from {} to {}",
            number.value,
            bounds.start(),
            bounds.end()
        );
        notes.problem(&number.at, message);
        return None;
    }
    Some(number.value)
}

fn read_tls(raw: &RawAgentDatabase, notes: &mut Notes) -> Option<Tls> {
    let text = given(&raw.tls)?;
    let tls = tls(&text.value);
    if tls.is_none() {
        let message = format!(
            "`{}` is not one of `off`, `require`, `verify-full`",
            Shown(&text.value)
        );
        notes.problem(&text.at, message);
    }
    tls
}

fn tls(text: &str) -> Option<Tls> {
    match text {
        "off" | "disable" | "disabled" => Some(Tls::Off),
        "require" | "required" => Some(Tls::Require),
        "verify-full" | "verify_full" | "verify_identity" => Some(Tls::VerifyFull),
        _ => None,
    }
}

/// Notes a password that is not text, where the driver takes no other.
fn refuse_bytes(password: &[u8], raw: &RawAgentDatabase, notes: &mut Notes) {
    // One that is written out is text anyway.
    let holds_it = raw.password.file.as_ref().or(given(&raw.url));
    if let (Some(key), Err(_)) = (holds_it, std::str::from_utf8(password)) {
        let message =
            "the password is not UTF-8, and the driver of MySQL and MariaDB takes no other";
        notes.problem(&key.at, message);
    }
}

/// A password of any bytes: as text, or the content of a file without the newline at its end.
fn read_password(raw: &RawAgentDatabase, base: &Path, notes: &mut Notes) -> Option<Vec<u8>> {
    match (&raw.password.raw, &raw.password.file) {
        (Some(password), Some(_)) => {
            let message = "`password` and `password_file` are both there; one is enough";
            notes.problem(&password.at, message);
            None
        }
        (Some(password), None) => Some(password.value.clone().into_bytes()),
        (None, Some(path)) => match read_bounded_bytes(&base.join(&path.value)) {
            Ok(mut bytes) => {
                if bytes.last() == Some(&b'\n') {
                    bytes.pop();
                    if bytes.last() == Some(&b'\r') {
                        bytes.pop();
                    }
                }
                Some(bytes)
            }
            Err(e) => {
                // Without the path: somebody may have put the password itself there.
                notes.problem(&path.at, format!("cannot be read: {e}"));
                None
            }
        },
        (None, None) => None,
    }
}

fn parse_url(url: &str, kind: &ServerKind) -> Result<Parts, String> {
    let (scheme, rest) = url.split_once("://").ok_or("not a URL")?;
    if !kind.schemes.contains(&scheme) {
        return Err(format!(
            "begins with none of `{}://`",
            kind.schemes.join("://`, `")
        ));
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    // The last one: a password may hold an `@` that nobody has encoded.
    let (login, place) = match authority.rsplit_once('@') {
        Some((login, place)) => (Some(login), place),
        None => (None, authority),
    };
    let mut parts = Parts::default();
    if let Some(login) = login {
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (login, None),
        };
        parts.user = Some(decoded(user)?);
        parts.password = password.map(|p| percent_decode_str(p).collect());
    }
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (place, None),
    };
    parts.host = Some(decoded(host.trim_start_matches('[').trim_end_matches(']'))?)
        .filter(|host| !host.is_empty());
    parts.port = match port {
        Some(port) => Some(
            port.parse()
                .map_err(|_| "its port is not a number up to 65535")?,
        ),
        None => None,
    };
    parts.database = Some(decoded(database)?).filter(|name| !name.is_empty());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "sslmode" | "ssl-mode" => {
                parts.tls = Some(
                    tls(&value.to_ascii_lowercase())
                        .ok_or("its sslmode is not one of `disable`, `require`, `verify-full`")?,
                );
            }
            "host" if parts.host.is_none() => parts.host = Some(decoded(value)?),
            _ => {
                return Err(format!(
                    "has a parameter that this agent does not know: `{name}`"
                ));
            }
        }
    }
    Ok(parts)
}

fn decoded(text: &str) -> Result<String, String> {
    percent_decode_str(text)
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| "holds bytes that are not UTF-8".to_owned())
}
