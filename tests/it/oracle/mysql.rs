//! MySQL and MariaDB: each statement in a transaction of its own, and a look at what the session counted and holds
//! afterwards: rows written, kinds of statements run, variables, locks.

use super::grammar::Grammar;
use super::{Database, Mode, Outcome, hunt, is_watchful, on_large_stack};
use crate::drivers::places;
use dbward::agent::config::{DatabaseEndpoint, DriverConfig};
use dbward::domain::dialect::Dialect;
use mysql::prelude::Queryable;
use mysql::{Conn, Error, OptsBuilder};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A lock that is named is the whole server's: what takes one and what looks whether one is held run one after the other.
static NAMED_LOCKS: Mutex<()> = Mutex::new(());

/// Longer than any honest statement on three rows takes.
const SLOW: Duration = Duration::from_millis(1500);

/// Rows that are looked at.
const ROWS_MAX: usize = 200;

struct MySql {
    endpoint: DatabaseEndpoint,
    conn: Conn,
    /// Another session, which would have to wait for the locks of the first.
    other: Conn,
    mariadb: bool,
}

impl MySql {
    fn open(endpoint: &DatabaseEndpoint) -> Conn {
        let password = endpoint.password.as_ref();
        let password = password.map(|p| String::from_utf8_lossy(&p.0).into_owned());
        let options = OptsBuilder::new()
            .ip_or_hostname(Some(endpoint.host.clone()))
            .tcp_port(endpoint.port)
            .user(Some(endpoint.user.clone()))
            .pass(password)
            .db_name(Some(endpoint.database.clone()))
            .prefer_socket(false)
            .read_timeout(Some(Duration::from_secs(20)));
        let mut conn = Conn::new(options).unwrap();
        let _ = conn.query_drop("SET SESSION max_statement_time = 3");
        let _ = conn.query_drop("SET SESSION max_execution_time = 3000");
        conn
    }

    fn new(endpoint: DatabaseEndpoint, grammar: &Grammar) -> MySql {
        let mut conn = Self::open(&endpoint);
        let version: String = conn.query_first("SELECT version()").unwrap().unwrap();
        let mariadb = version.contains("MariaDB");
        for sql in grammar.lines("!setup") {
            let result = conn.query_drop(sql);
            // MySQL has no sequences.
            assert!(result.is_ok() || !mariadb, "{sql}: {result:?}");
        }
        MySql {
            other: Self::open(&endpoint),
            endpoint,
            conn,
            mariadb,
        }
    }

    /// What the session has counted, its variables, and what it holds. Each entry is the same after a read.
    fn state(&mut self) -> Result<Vec<String>, Error> {
        const COUNTED: &str = "SHOW SESSION STATUS LIKE 'Com%'";
        const QUIET: [&str; 8] = [
            "Com_select",
            "Com_show",
            "Com_begin",
            "Com_commit",
            "Com_rollback",
            "Com_stmt",
            "Com_analyze",
            "Com_help",
        ];
        let mut state = Vec::new();
        for (name, value) in self.conn.query::<(String, String), _>(COUNTED)? {
            let counts_reads = QUIET.iter().any(|q| name.starts_with(q));
            if !counts_reads && !name.starts_with("Com_ch") {
                state.push(format!("{name} {value}"));
            }
        }
        let changes = |name: &str| {
            [
                "timestamp",
                "error_count",
                "warning_count",
                "pseudo_slave_mode",
            ]
            .contains(&name)
                || name.contains("gtid")
        };
        for (name, value) in self
            .conn
            .query::<(String, String), _>("SHOW SESSION VARIABLES")?
        {
            if !changes(&name) {
                state.push(format!("{name} = {value}"));
            }
        }
        // What InnoDB says of its locks is up to 100 ms old; another session knows at once.
        for table in ["t", "u", "hist", "d"] {
            let lock = format!("SELECT 1 FROM {table} FOR UPDATE NOWAIT");
            let taken = self.other.query::<u32, _>(lock).is_err();
            state.push(format!(
                "{table} is {}",
                if taken { "locked" } else { "free" }
            ));
        }
        state.extend(
            self.conn
                .query::<String, _>("SELECT concat('lock ', coalesce(is_used_lock('l'), 'no'))")?,
        );
        if self.mariadb {
            let variables =
                "SELECT concat('variables ', count(*)) FROM information_schema.user_variables";
            state.extend(self.conn.query::<String, _>(variables)?);
            state.extend(
                self.conn.query::<String, _>(
                    "SELECT concat('sequence ', next_not_cached_value) FROM s",
                )?,
            );
        }
        Ok(state)
    }

    fn try_run(&mut self, sql: &str, mode: Mode) -> Result<Outcome, Error> {
        let begin = match mode {
            Mode::Free => "START TRANSACTION",
            Mode::ReadOnly => "START TRANSACTION READ ONLY",
        };
        self.conn.query_drop(begin)?;
        let before = self.state()?;
        let began = Instant::now();
        let ran = self.conn.query_iter(sql).and_then(|mut result| {
            let columns = result.columns().as_ref().len();
            for row in result.by_ref().take(ROWS_MAX) {
                row?;
            }
            Ok(columns)
        });
        let took = began.elapsed();
        let columns = match ran {
            Ok(columns) => columns,
            Err(Error::MySqlError(error)) => {
                let _ = self.conn.query_drop("ROLLBACK");
                return Ok(match error.code {
                    1969 | 3024 | 1317 if mode == Mode::Free => Outcome::Wrote(error.message),
                    code => Outcome::Refused {
                        syntax: code == 1064 || code == 1149,
                    },
                });
            }
            Err(error) => return Err(error),
        };
        let after = self.state()?;
        self.conn.query_drop("COMMIT")?;
        if took > SLOW {
            return Ok(Outcome::Wrote(format!("it took {took:?}")));
        }
        if columns == 0 {
            return Ok(Outcome::Wrote("it has no columns".to_owned()));
        }
        let changed = before.iter().zip(&after).find(|(b, a)| b != a);
        Ok(match changed {
            Some((before, after)) => Outcome::Wrote(format!("{before} became {after}")),
            None => Outcome::Read,
        })
    }
}

impl Database for MySql {
    fn dialect(&self) -> Dialect {
        Dialect::MySql
    }

    fn run(&mut self, sql: &str, mode: Mode) -> Outcome {
        let outcome = match self.try_run(sql, mode) {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Wrote(format!("the connection is gone: {error}")),
        };
        if matches!(outcome, Outcome::Wrote(_)) {
            self.conn = Self::open(&self.endpoint);
        }
        outcome
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn reads_to_us_are_reads_to_mysql() {
    let _alone = NAMED_LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    let place = places::mysql();
    let DriverConfig::MySql(endpoint) = place.driver.clone() else {
        panic!("no server");
    };
    on_large_stack(|| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sql/grammar/mysql.txt");
        let grammar = Grammar::parse(&std::fs::read_to_string(file).unwrap());
        hunt("mysql", &mut MySql::new(endpoint, &grammar));
    });
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn write_that_were_called_read_would_be_seen_in_mysql() {
    let _alone = NAMED_LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    let place = places::mysql();
    let DriverConfig::MySql(endpoint) = place.driver.clone() else {
        panic!("no server");
    };
    on_large_stack(|| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sql/grammar/mysql.txt");
        let grammar = Grammar::parse(&std::fs::read_to_string(file).unwrap());
        let writes = [
            "INSERT INTO u VALUES (9, 'x', 9)",
            "UPDATE u SET b = 'y' WHERE a = 1",
            "DELETE FROM u WHERE a = 2",
            "REPLACE INTO t (a, b) VALUES (1, 'z')",
            "SELECT * FROM t FOR UPDATE",
            "SELECT a FROM t LIMIT 1 INTO @made",
            "SELECT get_lock('l', 1)",
            "SELECT sleep(2)",
            "SET SESSION sort_buffer_size = 65536",
            "CREATE TABLE made (a INT)",
            "TRUNCATE u",
            "DO sleep(0)",
        ];
        is_watchful(&mut MySql::new(endpoint, &grammar), &writes);
    });
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn catalogue_of_mariadb_is_the_one_we_keep() {
    let place = places::mysql();
    let DriverConfig::MySql(endpoint) = place.driver.clone() else {
        panic!("no server");
    };
    let mut conn = MySql::open(&endpoint);
    let version: String = conn.query_first("SELECT version()").unwrap().unwrap();
    if !version.contains("MariaDB") {
        // MySQL does not publish its functions.
        return;
    }
    let arguments = format!(
        "-h {} -P {} -u {}",
        endpoint.host, endpoint.port, endpoint.user
    );
    let password = endpoint
        .password
        .map(|p| String::from_utf8(p.0.clone()).unwrap());
    let mut variables = vec![("MARIADB_ARGS", arguments)];
    variables.extend(password.map(|p| ("MYSQL_PWD", p)));
    let now = super::catalogue("mysql", &variables);
    let kept = include_str!("../../../src/domain/sql/catalogue/mysql.txt");
    let unknown: Vec<&str> = now
        .lines()
        .filter(|name| !kept.lines().any(|k| k == *name))
        .collect();
    // The version that the list is of; a later one may have more.
    if version.starts_with("10.11.") {
        assert_eq!(now, kept);
    } else {
        println!("not in our list, and so of medium risk: {unknown:?}");
    }
}
