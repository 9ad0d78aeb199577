//! SQLite in this process: whether a statement writes is what SQLite itself says of it, and which actions it compiled to.

use super::grammar::Grammar;
use super::{Database, Mode, Outcome, hunt, is_watchful, on_large_stack};
use dbward::domain::dialect::Dialect;
use dbward::domain::sql::analyze;
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

struct Sqlite {
    connection: Connection,
    /// What the statement would do that a read does not.
    acts: Arc<Mutex<Option<String>>>,
    /// Calls of the progress handler for this statement.
    steps: Arc<AtomicU32>,
}

/// Values that a statement must leave as they are.
const VALUES: [&str; 12] = [
    "application_id",
    "busy_timeout",
    "cache_size",
    "foreign_keys",
    "journal_mode",
    "query_only",
    "recursive_triggers",
    "secure_delete",
    "synchronous",
    "temp_store",
    "user_version",
    "writable_schema",
];

/// Ten thousand instructions each.
const STEPS_MAX: u32 = 500;

/// Rows that are looked at.
const ROWS_MAX: usize = 200;

impl Sqlite {
    fn new(grammar: &Grammar) -> Sqlite {
        let mut connection = Connection::open_in_memory().unwrap();
        for sql in grammar.lines("!setup") {
            connection
                .execute_batch(sql)
                .unwrap_or_else(|e| panic!("{sql}: {e}"));
        }
        // Ends what would not end.
        let steps = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&steps);
        let _ = connection.progress_handler(
            10_000,
            Some(move || counted.fetch_add(1, Ordering::Relaxed) > STEPS_MAX),
        );
        let acts = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&acts);
        let authorizer = move |context: AuthContext<'_>| {
            let harmless = match context.action {
                AuthAction::Select
                | AuthAction::Read { .. }
                | AuthAction::Function { .. }
                | AuthAction::Recursive => true,
                // The values are compared.
                AuthAction::Pragma { .. } => true,
                // What a virtual table of this database is made of, when it is first used.
                AuthAction::CreateVtable { .. } | AuthAction::DropVtable { .. } => {
                    context.accessor.is_some()
                }
                _ => false,
            };
            if !harmless {
                seen.lock()
                    .unwrap()
                    .get_or_insert(format!("{:?}", context.action));
            }
            Authorization::Allow
        };
        let _ = connection.authorizer(Some(authorizer));
        Sqlite {
            connection,
            acts,
            steps,
        }
    }

    fn state(&self) -> Vec<String> {
        let value = |name: &str| {
            self.connection
                .query_row(&format!("PRAGMA {name}"), [], |row| {
                    row.get::<_, rusqlite::types::Value>(0)
                })
                .map_or_else(|e| e.to_string(), |v| format!("{name} {v:?}"))
        };
        let changes = format!("changes {}", self.connection.total_changes());
        let open = format!("autocommit {}", self.connection.is_autocommit());
        let objects = "SELECT count(*) || ' objects' FROM (SELECT 1 FROM sqlite_schema UNION ALL SELECT 1 FROM sqlite_temp_schema) UNION ALL SELECT count(*) || ' databases' FROM pragma_database_list";
        let mut statement = self.connection.prepare_cached(objects).unwrap();
        let objects = statement
            .query_map([], |row| row.get::<_, String>(0))
            .unwrap();
        VALUES
            .iter()
            .map(|name| value(name))
            .chain([changes, open])
            .chain(objects.map(Result::unwrap))
            .collect()
    }
}

impl Database for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn run(&mut self, sql: &str, mode: Mode) -> Outcome {
        if mode == Mode::ReadOnly {
            self.connection
                .execute_batch("PRAGMA query_only = 1")
                .unwrap();
        }
        self.steps.store(0, Ordering::Relaxed);
        let before = self.state();
        *self.acts.lock().unwrap() = None;
        let outcome = self.try_run(sql);
        self.steps.store(0, Ordering::Relaxed);
        let after = self.state();
        if mode == Mode::ReadOnly {
            self.connection
                .execute_batch("PRAGMA query_only = 0")
                .unwrap();
        }
        let changed = before.iter().zip(&after).find(|(b, a)| b != a);
        match changed {
            Some((before, after)) => Outcome::Wrote(format!("{before} became {after}")),
            None => outcome,
        }
    }
}

impl Sqlite {
    fn try_run(&self, sql: &str) -> Outcome {
        let mut statement = match self.connection.prepare(sql) {
            Ok(statement) => statement,
            Err(error) => {
                let message = error.to_string();
                let syntax = [
                    "syntax error",
                    "unrecognized token",
                    "incomplete input",
                    "multiple statements",
                ];
                let syntax = syntax
                    .iter()
                    .any(|s| message.to_ascii_lowercase().contains(s));
                return Outcome::Refused { syntax };
            }
        };
        // Reading the journal mode may have to look into the file, so SQLite does not call it a read. Whether the mode is
        // still the same is compared.
        let lower = sql.to_ascii_lowercase();
        let shows_mode = lower.contains("pragma") && lower.contains("journal_mode");
        // What is only explained is not run.
        if !statement.readonly() && !shows_mode && statement.is_explain() == 0 {
            return Outcome::Wrote("SQLite says that it is not read-only".to_owned());
        }
        let acts = self.acts.lock().unwrap().clone();
        if let (Some(act), 0) = (acts, statement.is_explain()) {
            return Outcome::Wrote(act);
        }
        let mut rows = statement.raw_query();
        for _ in 0..ROWS_MAX {
            match rows.next() {
                Ok(Some(_)) => {}
                Ok(None) => return Outcome::Read,
                Err(_) => return Outcome::Refused { syntax: false },
            }
        }
        Outcome::Read
    }
}

#[test]
fn reads_to_us_are_reads_to_sqlite() {
    on_large_stack(|| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sql/grammar/sqlite.txt");
        let grammar = Grammar::parse(&std::fs::read_to_string(file).unwrap());
        hunt("sqlite", &mut Sqlite::new(&grammar));
    });
}

#[test]
fn write_that_were_called_read_would_be_seen_in_sqlite() {
    on_large_stack(|| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sql/grammar/sqlite.txt");
        let grammar = Grammar::parse(&std::fs::read_to_string(file).unwrap());
        let writes = [
            "INSERT INTO t (b) VALUES (9)",
            "UPDATE t SET b = 'y' WHERE a = 1",
            "DELETE FROM t WHERE a = 2",
            "WITH d AS (SELECT 1) DELETE FROM t",
            "CREATE TABLE made (a)",
            "PRAGMA user_version = 7",
            "PRAGMA cache_size = 77",
            "ATTACH ':memory:' AS made",
            "BEGIN",
            "REINDEX",
        ];
        is_watchful(&mut Sqlite::new(&grammar), &writes);
    });
}

/// Functions of the SQLite that is compiled in: each is known to us, or its call is of medium risk.
#[test]
fn functions_of_sqlite_are_known() {
    /// Of extensions or for tests of SQLite itself; a call of one waits for a human.
    const DOUBTFUL: [&str; 0] = [];
    let connection = Connection::open_in_memory().unwrap();
    let names = "SELECT DISTINCT lower(name) FROM pragma_function_list WHERE builtin AND name GLOB '[a-zA-Z]*'";
    let mut statement = connection.prepare(names).unwrap();
    let names = statement
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap();
    let mut unknown = Vec::new();
    for name in names.map(Result::unwrap) {
        let analysis = analyze(&format!("SELECT {name}(a) FROM t"), Dialect::Sqlite).unwrap();
        let judged = analysis.unknown_functions.is_empty() || DOUBTFUL.contains(&name.as_str());
        if !judged {
            unknown.push(name);
        }
    }
    assert!(unknown.is_empty(), "{unknown:?}");
}
