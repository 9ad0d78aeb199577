//! Every SQL text of the store against the schema: it prepares, it finds by an index, and it writes only where it may.

use super::declared_columns::{declared_columns, filled};
use super::scans::SCANS;
use super::source::{Source, is_name, sources};
use super::{files_under, none, read, root};
use dbward::crypto::sha256_hex;
use rusqlite::Connection;

/// SHA-256 of every migration that has landed. A database out there has stored it: never change a line, only add one.
const LANDED: &str = include_str!("migrations.sha256");
/// Statements put together while the program runs, which are not prepared here: the lists, whose filters vary. Each
/// is covered by a test of its list; and what sums live rows, whose columns are those of `live::columns`. Make it smaller
/// where you can.
const DYNAMIC_MAX: usize = 9;

/// Who may write which table: place, table, columns (none: all), reason. Everything else goes through a `Change`.
const WRITERS: &[(&str, &str, &str, &str)] = &[
    (
        "src/store/apply/",
        "",
        "",
        "each change with its audit event",
    ),
    (
        "src/store/audit.rs",
        "audit_events",
        "",
        "the audit event itself; called by apply",
    ),
    (
        "src/store/slack.rs",
        "slack_messages",
        "",
        "which message is about which request; lost, another is posted",
    ),
    (
        "src/store/retention.rs",
        "audit_events",
        "",
        "events before a signed bound, which the schema compares",
    ),
    (
        "src/store/retention.rs",
        "purged_requests",
        "",
        "what excuses events that are gone themselves",
    ),
    (
        "src/store/retention.rs",
        "outbox",
        "",
        "notifications that have come to an end",
    ),
    (
        "src/store/live/start.rs",
        "audit_head",
        "",
        "the signed head of each commit",
    ),
    (
        "src/store/live/start.rs",
        "audit_recipes",
        "",
        "what the sums of a head are made from; named by the baseline that follows",
    ),
    (
        "src/store/migrate.rs",
        "schema_migrations",
        "",
        "before there is anything to audit",
    ),
    (
        "src/store/migrate.rs",
        "meta",
        "",
        "the id of a new database",
    ),
    (
        "src/store/counts.rs",
        "request_counts",
        "",
        "a start counts what is open anew",
    ),
    (
        "src/store/counts.rs",
        "requester_counts",
        "",
        "as `request_counts`",
    ),
    (
        "src/store/counts.rs",
        "outbox_counts",
        "",
        "as `request_counts`",
    ),
    (
        "src/store/probe.rs",
        "meta",
        "",
        "the probe: when it last wrote",
    ),
    (
        "src/store/bookkeeping.rs",
        "executions",
        "lease_until_ms heartbeats",
        "heartbeats",
    ),
    (
        "src/store/bookkeeping.rs",
        "tokens",
        "last_used_at_ms",
        "may be late by seconds",
    ),
    (
        "src/store/bookkeeping.rs",
        "sessions",
        "last_used_at_ms",
        "may be late by seconds",
    ),
    (
        "src/store/bookkeeping.rs",
        "users",
        "last_seen_at_ms",
        "may be late by seconds",
    ),
    (
        "src/store/bookkeeping.rs",
        "agents",
        "capabilities_json version max_concurrent in_flight draining uptime_secs active_jobs_json last_seen_at_ms",
        "what polls report",
    ),
    (
        "src/store/outbox.rs",
        "outbox",
        "status next_attempt_ms last_error updated_at_ms",
        "how a delivery goes",
    ),
    (
        "src/store/deliveries.rs",
        "outbox",
        "status attempts next_attempt_ms last_error updated_at_ms",
        "how a delivery goes",
    ),
    (
        "src/store/dry_runs.rs",
        "dry_run_jobs",
        "",
        "explaining changes nothing",
    ),
    (
        "src/store/dry_runs.rs",
        "request_contexts",
        "status explain_json updated_at_ms",
        "what was explained, shown to reviewers",
    ),
];

/// Tables whose rows name their audit event, but no trigger compares it yet, and why.
const UNGUARDED: &[(&str, &str)] = &[(
    "schema_snapshots",
    "what an agent saw; decisions keep their own copy of it",
)];

/// A statement of the store.
struct Statement {
    place: String,
    path: String,
    text: String,
    /// Whether parts of it are known only while the program runs.
    dynamic: bool,
}

#[test]
fn every_statement_prepares_on_a_fresh_database() {
    let db = fresh();
    let (mut broken, mut dynamic) = (Vec::new(), Vec::new());
    for statement in statements() {
        if statement.dynamic {
            dynamic.push(statement.place);
        } else {
            for part in statement.text.split(';') {
                let failed = db.prepare(part).err();
                broken.extend(failed.map(|e| format!("{} {e}", statement.place)));
            }
        }
    }
    none("every statement prepares on a fresh database", &broken);
    assert_eq!(
        dynamic.len(),
        DYNAMIC_MAX,
        "DYNAMIC_MAX statements are put together at run time, not more, and the number may only shrink:\n  {}",
        dynamic.join("\n  ")
    );
}

#[test]
fn no_statement_reads_a_whole_table_unnoticed() {
    let db = fresh();
    let partial = "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql LIKE '% WHERE %'";
    let partial = texts(&db, partial);
    let (mut found, mut used) = (Vec::new(), Vec::new());
    for statement in statements().into_iter().filter(|s| !s.dynamic) {
        let Ok(mut plan) = db.prepare(&format!("EXPLAIN QUERY PLAN {}", statement.text)) else {
            continue;
        };
        // A plan does not depend on values; what is not bound is NULL.
        let mut rows = plan.raw_query();
        while let Some(row) = rows.next().unwrap() {
            let step: String = row.get("detail").unwrap();
            if reads_all(&step, &statement.text, &partial) {
                let says = |known: &&(&str, &str)| statement.text.contains(known.0);
                match SCANS.iter().find(says) {
                    Some(known) => used.push(known),
                    None => found.push(format!("{} {step}: {}", statement.place, statement.text)),
                }
            }
        }
    }
    let idle = SCANS.iter().filter(|known| !used.contains(known));
    found.extend(idle.map(|(part, _)| format!("`{part}` is gone; take it from SCANS")));
    none("a statement finds its rows by an index", &found);
}

/// Whether a step of a plan reads all of a table that the statement names. Others are looked up for foreign keys,
/// which SQLite skips while none is violated. `partial` are indexes of few rows, which may be read whole.
fn reads_all(step: &str, text: &str, partial: &[String]) -> bool {
    let mut words = step.split(' ');
    let table = match (words.next(), words.next()) {
        (Some("SCAN"), Some(table)) => table,
        _ => return false,
    };
    let named = text.split(|c| !is_name(c)).any(|word| word == table);
    let few = words.any(|word| partial.iter().any(|index| index == word));
    named && !few && (text.contains(" WHERE ") || !text.contains(" LIMIT "))
}

/// The first column of all rows.
fn texts(db: &Connection, sql: &str) -> Vec<String> {
    let mut statement = db.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn audited_tables_are_written_only_by_changes() {
    let mut found = Vec::new();
    for statement in statements() {
        for (table, columns) in writes(&statement.text) {
            let allowed = WRITERS.iter().any(|(place, known, may, _)| {
                statement.path.starts_with(place)
                    && (known.is_empty() || *known == table)
                    && (may.is_empty()
                        || (!columns.is_empty()
                            && columns.iter().all(|c| may.split(' ').any(|m| m == c))))
            });
            if !allowed {
                found.push(format!(
                    "{} writes `{table}` ({})",
                    statement.place,
                    columns.join(", ")
                ));
            }
        }
    }
    none("audited tables are written only in src/store/apply", &found);
    let written: Vec<(String, String)> = statements()
        .into_iter()
        .flat_map(|s| {
            writes(&s.text)
                .into_iter()
                .map(move |(table, _)| (s.path.clone(), table))
        })
        .collect();
    let idle = WRITERS.iter().filter(|(place, known, ..)| {
        let is = |(path, table): &(String, String)| {
            path.starts_with(place) && (known.is_empty() || table == known)
        };
        !written.iter().any(is)
    });
    let idle: Vec<String> = idle
        .map(|(place, table, ..)| format!("{place} {table}"))
        .collect();
    none("writes nothing any more; take it from WRITERS", &idle);
}

#[test]
fn every_audited_table_refuses_rows_without_their_event() {
    let db = fresh();
    let tables = "SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' \
                  AND c.name = 'audit_seq' AND NOT EXISTS (SELECT 1 FROM sqlite_schema t WHERE t.type = 'trigger' \
                  AND t.tbl_name = m.name AND t.sql LIKE '%BEFORE INSERT ON%audit_seq%') ORDER BY m.name";
    let bare = texts(&db, tables);
    let mut known: Vec<&str> = UNGUARDED.iter().map(|(table, _)| *table).collect();
    known.sort_unstable();
    assert_eq!(
        bare, known,
        "tables with an audit_seq but no trigger that compares it, and UNGUARDED"
    );
}

#[test]
fn migrations_never_change_once_landed() {
    let found: String = files_under("sql/migrations")
        .into_iter()
        .map(|path| format!("{}  {path}\n", sha256_hex(read(&path).as_bytes())))
        .collect();
    assert_eq!(
        found, LANDED,
        "files of sql/migrations, and what has landed"
    );
}

#[test]
fn schema_sql_is_the_sum_of_the_migrations() {
    let path = root().join("sql/schema.sql");
    let text = format!(
        "-- The sum of all migrations, for reading. Written by `UPDATE_GOLDEN=1 cargo test --test it schema_sql`.\n\n{}",
        dbward::store::schema_text().unwrap()
    );
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "sql/schema.sql is old; accept with `UPDATE_GOLDEN=1 cargo test --test it schema_sql`"
    );
}

/// A database in memory with every migration applied, and the journal of migrations.
fn fresh() -> Connection {
    let db = Connection::open_in_memory().unwrap();
    for path in files_under("sql/migrations") {
        db.execute_batch(&read(&path)).unwrap();
    }
    let migrate = Source::read("src/store/migrate.rs");
    let journal = migrate
        .strings
        .iter()
        .find(|s| s.value.starts_with("CREATE TABLE"));
    db.execute_batch(&journal.unwrap().value).unwrap();
    // What Litestream makes in a file that it copies is read too.
    let schema = Source::read("src/store/schema.rs");
    let copier = schema.strings.iter();
    for table in copier.filter(|s| s.value.starts_with("CREATE TABLE _litestream_")) {
        db.execute_batch(&table.value).unwrap();
    }
    db
}

/// Every statement of the store outside its tests. A `{NAME}` that is a constant of the same file, or of a module that it names, is filled in.
fn statements() -> Vec<Statement> {
    let mut found = Vec::new();
    let files = sources("src/store");
    for source in &files {
        let declared = declared_columns(source);
        for (at, text) in declared.iter().flat_map(|columns| &columns.statements) {
            found.push(Statement {
                place: source.place(*at),
                path: source.path.clone(),
                dynamic: false,
                text: text.clone(),
            });
        }
        for quoted in source.strings.iter().filter(|s| !source.is_test(s.at)) {
            let first = quoted.value.split_whitespace().next().unwrap_or_default();
            if ![
                "SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "BEGIN",
            ]
            .contains(&first)
                || !quoted.value.trim_end().contains(' ')
            {
                continue;
            }
            let text = filled(source, &files, &declared, &quoted.value);
            found.push(Statement {
                place: source.place(quoted.at),
                path: source.path.clone(),
                dynamic: text.contains('{'),
                text,
            });
        }
    }
    assert!(
        found.len() > 50,
        "only {} statements found: this test has lost them",
        found.len()
    );
    found
}

/// Every table that a text writes to, and the columns an UPDATE of it sets.
fn writes(text: &str) -> Vec<(String, Vec<String>)> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut found = Vec::new();
    for (n, word) in words.iter().enumerate() {
        let after = |skip: usize| words.get(n + skip).copied().unwrap_or_default();
        // `INSERT OR IGNORE INTO`, `UPDATE OR REPLACE`.
        let or = if after(1) == "OR" { 2 } else { 0 };
        let table = match word.trim_start_matches('(') {
            "INSERT" | "REPLACE" if after(or + 1) == "INTO" => after(or + 2),
            "DELETE" if after(1) == "FROM" => after(2),
            // `ON CONFLICT DO UPDATE SET` writes the table of its INSERT.
            "UPDATE" if after(1) != "SET" => after(or + 1),
            _ => continue,
        };
        let mut columns = Vec::new();
        if word.ends_with("UPDATE") {
            let rest = words[n + or + 3..].join(" ");
            columns = set_columns(rest.split(" WHERE ").next().unwrap_or_default());
        }
        found.push((table.trim_end_matches([';', '(']).to_owned(), columns));
    }
    found
}

/// `a`, `b` of `a = 1, b = max(b, 2)`.
fn set_columns(assignments: &str) -> Vec<String> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (n, c) in assignments.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&assignments[start..n]);
                start = n + 1;
            }
            _ => {}
        }
    }
    parts.push(&assignments[start..]);
    let names = parts.into_iter().filter_map(|part| part.split_once('='));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}

#[test]
fn written_tables_and_columns_are_recognised() {
    let named = |table: &str, columns: &[&str]| {
        (
            table.to_owned(),
            columns.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>(),
        )
    };
    assert_eq!(
        writes("UPDATE a SET x = max(x, ?1), y = 2 WHERE z = 3"),
        [named("a", &["x", "y"])]
    );
    assert_eq!(
        writes("INSERT OR IGNORE INTO b (x) VALUES (1) ON CONFLICT DO UPDATE SET x = 2"),
        [named("b", &[])]
    );
    assert_eq!(
        writes("BEGIN; DELETE FROM c; UPDATE OR IGNORE d SET e = 1; COMMIT"),
        [named("c", &[]), named("d", &["e"])]
    );
}
