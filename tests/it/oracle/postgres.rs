//! PostgreSQL: each statement in a transaction of its own, over the protocol for one statement, and a look at what the
//! session holds afterwards: a transaction id, locks, settings, cursors, channels.

use super::grammar::Grammar;
use super::{Database, Mode, Outcome, hunt, is_watchful, on_large_stack};
use crate::drivers::places;
use bytes::BytesMut;
use dbward::agent::config::{DatabaseEndpoint, DriverConfig};
use dbward::domain::dialect::Dialect;
use fallible_iterator::FallibleIterator;
use postgres_protocol::IsNull;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What the session holds inside the transaction: all of it as one text, which is the same for every read.
const STATE: &str = "SELECT concat_ws(' ', 'xid', pg_current_xact_id_if_assigned()::text,
    (SELECT string_agg(DISTINCT locktype || ' ' || mode, ', ') FROM pg_locks WHERE pid = pg_backend_pid()
        AND (locktype = 'advisory' OR locktype = 'relation' AND mode <> 'AccessShareLock')),
    (SELECT md5(string_agg(name || setting, ',' ORDER BY name)) FROM pg_settings WHERE source = 'session' AND name NOT LIKE 'transaction%'),
    (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_cursors WHERE name <> ''),
    (SELECT count(*) FROM pg_listening_channels()))";

const SETTINGS: &str = "SET statement_timeout = '2s'; SET lock_timeout = '1s'; LISTEN oracle";

struct Postgres {
    endpoint: DatabaseEndpoint,
    wire: Wire,
    /// What [`STATE`] says when nothing has happened.
    quiet: String,
}

struct Wire {
    stream: TcpStream,
    input: BytesMut,
    notified: bool,
}

/// What a query brought: the first value, and SQLSTATE and message of the error.
#[derive(Default, Debug)]
struct Answer {
    value: String,
    error: Option<(String, String)>,
}

impl Wire {
    fn open(endpoint: &DatabaseEndpoint) -> Result<Wire> {
        let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.set_nodelay(true)?;
        let mut wire = Wire {
            stream,
            input: BytesMut::new(),
            notified: false,
        };
        let names = [
            ("user", endpoint.user.as_str()),
            ("database", endpoint.database.as_str()),
        ];
        wire.send(|out| frontend::startup_message(names, out))?;
        let password = endpoint.password.as_ref().map_or(&b""[..], |p| &p.0);
        let mut scram = ScramSha256::new(password, ChannelBinding::unsupported());
        loop {
            match wire.next()? {
                Message::AuthenticationCleartextPassword => {
                    wire.send(|out| frontend::password_message(password, out))?;
                }
                Message::AuthenticationSasl(_) => {
                    wire.send(|out| {
                        frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), out)
                    })?;
                }
                Message::AuthenticationSaslContinue(body) => {
                    scram.update(body.data())?;
                    wire.send(|out| frontend::sasl_response(scram.message(), out))?;
                }
                Message::AuthenticationSaslFinal(body) => scram.finish(body.data())?,
                Message::ErrorResponse(_) => return Err(Error::from(ErrorKind::PermissionDenied)),
                Message::ReadyForQuery(_) => break,
                _ => {}
            }
        }
        wire.query(SETTINGS)?;
        Ok(wire)
    }

    fn send(&mut self, message: impl FnOnce(&mut BytesMut) -> Result<()>) -> Result<()> {
        let mut out = BytesMut::new();
        message(&mut out)?;
        self.stream.write_all(&out)
    }

    fn next(&mut self) -> Result<Message> {
        loop {
            if let Some(message) = Message::parse(&mut self.input)? {
                return Ok(message);
            }
            let mut buffer = [0; 8192];
            let n = self.stream.read(&mut buffer)?;
            if n == 0 {
                return Err(Error::from(ErrorKind::UnexpectedEof));
            }
            self.input.extend_from_slice(&buffer[..n]);
        }
    }

    /// Reads to the end of the answer.
    fn answer(&mut self) -> Result<Answer> {
        let mut answer = Answer::default();
        loop {
            match self.next()? {
                Message::ReadyForQuery(_) => return Ok(answer),
                Message::NotificationResponse(_) => self.notified = true,
                Message::ErrorResponse(body) => {
                    let mut fields = body.fields();
                    let mut error = (String::new(), String::new());
                    while let Some(field) = fields.next()? {
                        let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
                        match field.type_() {
                            b'C' => error.0 = value,
                            b'M' => error.1 = value,
                            _ => {}
                        }
                    }
                    answer.error.get_or_insert(error);
                }
                Message::DataRow(row) if answer.value.is_empty() => {
                    if let Some(Some(range)) = row.ranges().next()? {
                        answer.value = String::from_utf8_lossy(&row.buffer()[range]).into_owned();
                    }
                }
                Message::CopyInResponse(_) => self.send(|out| frontend::copy_fail("no", out))?,
                _ => {}
            }
        }
    }

    fn query(&mut self, sql: &str) -> Result<Answer> {
        self.send(|out| frontend::query(sql, out))?;
        self.answer()
    }

    /// Runs one statement, and takes a hundred rows of it.
    fn one(&mut self, sql: &str) -> Result<Answer> {
        const ROWS_MAX: i32 = 100;
        self.send(|out| {
            frontend::parse("", sql, None, out)?;
            let nothing: [i32; 0] = [];
            let none = |_: i32, _: &mut BytesMut| Ok(IsNull::Yes);
            frontend::bind("", "", None, nothing, none, None, out)
                .map_err(|_| Error::from(ErrorKind::InvalidInput))?;
            frontend::execute("", ROWS_MAX, out)?;
            frontend::sync(out);
            Ok(())
        })?;
        self.answer()
    }
}

impl Postgres {
    fn new(endpoint: DatabaseEndpoint, grammar: &Grammar) -> Postgres {
        let mut wire = Wire::open(&endpoint).unwrap();
        for sql in grammar.lines("!setup") {
            let answer = wire.query(sql).unwrap();
            assert!(answer.error.is_none(), "{sql}: {answer:?}");
        }
        let mut postgres = Postgres {
            endpoint,
            wire,
            quiet: String::new(),
        };
        postgres.quiet = postgres.state().unwrap();
        postgres
    }

    fn state(&mut self) -> Result<String> {
        self.wire.query("BEGIN")?;
        let state = self.wire.query(STATE)?.value;
        self.wire.query("COMMIT")?;
        Ok(state)
    }

    fn try_run(&mut self, sql: &str, mode: Mode) -> Result<Outcome> {
        self.wire.notified = false;
        let begin = match mode {
            Mode::Free => "BEGIN READ WRITE",
            Mode::ReadOnly => "BEGIN READ ONLY",
        };
        self.wire.query(begin)?;
        let answer = self.wire.one(sql)?;
        if let Some((code, message)) = answer.error {
            self.wire.query("ROLLBACK")?;
            return Ok(match code.as_str() {
                "57014" if mode == Mode::Free => Outcome::Wrote(message),
                code => Outcome::Refused {
                    syntax: code == "42601",
                },
            });
        }
        let mut state = self.wire.query(STATE)?;
        self.wire.query("COMMIT")?;
        // To plan a write or a lock is to lock the table itself in its mode, until the transaction ends.
        if is_explain(sql) {
            for mode in ["RowShareLock", "RowExclusiveLock"] {
                state.value = state.value.replace(&format!("relation {mode} "), "");
            }
        }
        if state.value != self.quiet {
            return Ok(Outcome::Wrote(format!(
                "{state:?} instead of {}",
                self.quiet
            )));
        }
        // LISTEN, and a cursor WITH HOLD, begin with the COMMIT.
        let kept = self.wire.query(STATE)?.value;
        if kept != self.quiet {
            return Ok(Outcome::Wrote(format!("{kept} instead of {}", self.quiet)));
        }
        Ok(match self.wire.notified {
            true => Outcome::Wrote("a notification came".to_owned()),
            false => Outcome::Read,
        })
    }
}

/// Whether the first word after comments is EXPLAIN.
fn is_explain(sql: &str) -> bool {
    let mut rest = sql.trim_start();
    loop {
        let end = match rest.get(..2) {
            Some("--") => rest.find('\n').map(|e| e + 1),
            Some("/*") => rest.find("*/").map(|e| e + 2),
            _ => None,
        };
        let Some(end) = end else { break };
        rest = rest[end..].trim_start();
    }
    rest.get(..7)
        .is_some_and(|word| word.eq_ignore_ascii_case("explain"))
}

impl Database for Postgres {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn run(&mut self, sql: &str, mode: Mode) -> Outcome {
        let outcome = match self.try_run(sql, mode) {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Wrote(format!("the connection is gone: {error}")),
        };
        if matches!(outcome, Outcome::Wrote(_)) {
            self.wire = Wire::open(&self.endpoint).unwrap();
        }
        outcome
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn reads_to_us_are_reads_to_postgres() {
    let place = places::postgres();
    let DriverConfig::Postgres(endpoint) = place.driver.clone() else {
        panic!("no server");
    };
    on_large_stack(|| {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/sql/grammar/postgres.txt"
        );
        let grammar = Grammar::parse(&std::fs::read_to_string(file).unwrap());
        hunt("postgres", &mut Postgres::new(endpoint, &grammar));
    });
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn write_that_were_called_read_would_be_seen_in_postgres() {
    let place = places::postgres();
    let DriverConfig::Postgres(endpoint) = place.driver.clone() else {
        panic!("no server");
    };
    on_large_stack(|| {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/sql/grammar/postgres.txt"
        );
        let grammar = Grammar::parse(&std::fs::read_to_string(file).unwrap());
        let writes = [
            "INSERT INTO u VALUES (1, 'x')",
            "UPDATE u SET b = 'y' WHERE a = 1",
            "DELETE FROM u WHERE a = 2",
            "WITH d AS (DELETE FROM u RETURNING 1) SELECT 1",
            "SELECT * FROM t FOR UPDATE",
            "SELECT a INTO made FROM t",
            "SELECT nextval('s')",
            "SELECT set_config('work_mem', '1MB', false)",
            "SELECT pg_advisory_lock(1)",
            "SELECT pg_notify('oracle', 'x')",
            "SELECT ('s'::regclass).nextval",
            "CREATE TABLE made_too (a int)",
            "TRUNCATE u",
            "LOCK TABLE u IN SHARE MODE",
            "LISTEN another",
        ];
        is_watchful(&mut Postgres::new(endpoint, &grammar), &writes);
    });
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn catalogue_of_postgres_is_the_one_we_keep() {
    let place = places::postgres();
    let DriverConfig::Postgres(endpoint) = place.driver.clone() else {
        panic!("no server");
    };
    let mut wire = Wire::open(&endpoint).unwrap();
    let version = wire.query("SHOW server_version_num").unwrap().value;
    let now = super::catalogue("postgresql", &[]);
    let kept = include_str!("../../../src/domain/sql/catalogue/postgresql.txt");
    // The version that the list is of.
    if version.starts_with("15") {
        assert_eq!(now, kept);
    }
    // In any version: what we take for harmless is not volatile there.
    let volatile = |line: &&str| line.ends_with(" v") || line.ends_with(" v1");
    assert!(now.lines().filter(volatile).count() > 100, "{now}");
    for line in now.lines().filter(volatile) {
        let name = line.split(' ').next().unwrap();
        for harmless in ["i", "s"] {
            let ours = format!("{name} {harmless}");
            assert!(!kept.lines().any(|l| l == ours), "{name} is volatile");
        }
    }
}
