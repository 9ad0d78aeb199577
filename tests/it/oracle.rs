//! What the analysis calls a read, held against real databases: statements made from grammars of our own
//! (`tests/sql/grammar`), and mutations of them, are run, and one that changed anything was not a read.
//!
//! The first databases run where DBWARD_TEST_POSTGRES_URL and DBWARD_TEST_MYSQL_URL name a server on which databases may
//! be made; SQLite always runs. Further variables, for a longer hunt:
//!
//! - DBWARD_ORACLE_STATEMENTS: how many statements are made, and as many mutations of them.
//! - DBWARD_ORACLE_SEED: from which they are made; the same seed gives the same statements.
//! - DBWARD_ORACLE_SHOW: set, the statements that are counted but are not leaks are printed too.
//! - DBWARD_ORACLE_FOLDER: a folder whose `.sql` files are looked at instead, each statement up to a `;` at the end of a
//!   line. They are run if they are reads to us; name a database that can be lost.

mod grammar;
mod mysql;
mod postgres;
mod sqlite;

use dbward::domain::dialect::Dialect;
use dbward::domain::sql::{Analysis, Class, TEXT_BYTES_MAX, analyze};
use grammar::{Dice, Grammar};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// How a statement is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In a transaction that may write, so that what it writes is seen.
    Free,
    /// As an agent runs reads.
    ReadOnly,
}

/// What became of a statement.
#[derive(Debug)]
pub enum Outcome {
    /// It ran, and nothing is different now.
    Read,
    /// It changed something, or took what a read does not take: what.
    Wrote(String),
    /// The database did not run it.
    Refused {
        /// Its grammar is not that of the database.
        syntax: bool,
    },
}

pub trait Database {
    fn dialect(&self) -> Dialect;
    fn run(&mut self, sql: &str, mode: Mode) -> Outcome;
}

/// What a hunt has found.
#[derive(Default)]
struct Report {
    statements: usize,
    /// Reads to us and to the database.
    reads: usize,
    /// Reads to us, writes to the database.
    leaks: Vec<String>,
    /// Reads to the database that we cannot read.
    unparsable: Vec<String>,
    /// The database knows their grammar, we do not, and they did not run for another reason.
    unparsable_only: usize,
    /// Writes or refused to us, reads to the database.
    careful: Vec<String>,
    /// Refused by the database.
    refused: usize,
    examples: Vec<String>,
}

fn number(variable: &str, default: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value.map_or(default, |v| v.parse().expect("a number"))
}

/// Words that a statement may begin with which the database is shown although it is not a read to us.
const READS: [&str; 10] = [
    "select", "with", "values", "table", "show", "explain", "describe", "desc", "pragma", "(",
];

impl Report {
    fn look(&mut self, sql: &str, database: &mut dyn Database, honest: bool) {
        if let Ok(analysis) = analyze(sql, database.dialect()) {
            self.weigh(sql, &analysis, database, honest);
        }
    }

    /// Holds what an analysis says of `sql` against the database.
    fn weigh(&mut self, sql: &str, analysis: &Analysis, database: &mut dyn Database, honest: bool) {
        self.statements += 1;
        match (&analysis.class, &analysis.plan) {
            (Class::Select, Some(plan)) => {
                let known = analysis.unknown_functions.is_empty();
                let mode = if known { Mode::Free } else { Mode::ReadOnly };
                for (statement, facts) in plan.iter().zip(&analysis.statements) {
                    // A setting is meant to be there afterwards.
                    if facts.kind == "set" {
                        continue;
                    }
                    match database.run(statement, mode) {
                        Outcome::Read => self.reads += 1,
                        Outcome::Wrote(what) => self.leaks.push(format!("{sql}\n   {what}")),
                        Outcome::Refused { syntax } => {
                            self.refused += 1;
                            if honest && self.examples.len() < 2000 {
                                self.examples.push(format!(
                                    "{} {sql}",
                                    if syntax { "syntax" } else { "refused" }
                                ));
                            }
                        }
                    }
                }
            }
            (class, _) if honest && begins_as_read(sql) => {
                let outcome = database.run(sql, Mode::ReadOnly);
                match (outcome, class) {
                    (
                        Outcome::Read,
                        Class::Unparsable {
                            message,
                            line,
                            column,
                        },
                    ) => {
                        self.unparsable
                            .push(format!("{sql}\n   {line}:{column} {message}"));
                    }
                    (Outcome::Read, Class::Dml { reason, .. } | Class::Rejected { reason, .. }) => {
                        self.careful.push(format!("{sql}\n   {reason}"));
                    }
                    (Outcome::Refused { syntax: false }, Class::Unparsable { .. }) => {
                        self.unparsable_only += 1;
                    }
                    _ => self.refused += 1,
                }
            }
            _ => {}
        }
    }

    fn text(&self, name: &str) -> String {
        format!(
            "{name}: {} statements; {} reads, {} of them writes to the database; {} reads unparsable, {} more refused \
             by the database; {} reads taken for writes; {} refused by the database",
            self.statements,
            self.reads,
            self.leaks.len(),
            self.unparsable.len(),
            self.unparsable_only,
            self.careful.len(),
            self.refused
        )
    }
}

fn begins_as_read(sql: &str) -> bool {
    let lower = sql.trim_start().to_ascii_lowercase();
    READS.iter().any(|word| lower.starts_with(word))
}

/// Runs a hunt on `database`; fails where a read was not one, and where too many cannot be read.
fn hunt(name: &str, database: &mut dyn Database) {
    let file = format!(
        "{}/tests/sql/grammar/{name}.txt",
        env!("CARGO_MANIFEST_DIR")
    );
    let grammar = Grammar::parse(&std::fs::read_to_string(file).unwrap());
    let mut report = Report::default();
    if let Some(folder) = std::env::var_os("DBWARD_ORACLE_FOLDER") {
        for sql in statements_of(Path::new(&folder)) {
            report.look(&sql, database, true);
        }
    } else {
        made(&grammar, database, &mut report);
    }
    println!("{}", report.text(name));
    if std::env::var_os("DBWARD_ORACLE_SHOW").is_some() {
        for (what, list) in [
            ("unparsable", &report.unparsable),
            ("careful", &report.careful),
            ("refused", &report.examples),
        ] {
            for sql in list {
                println!("{what}: {sql}");
            }
        }
    }
    let mut wrong = String::new();
    for leak in &report.leaks {
        let _ = writeln!(wrong, "a read to us, and none to the database: {leak}");
    }
    // Fewer than one honest read in 200 may be refused for its grammar.
    let all = report.reads + report.unparsable.len();
    if report.unparsable.len() * 200 > all {
        for sql in report.unparsable.iter().take(50) {
            let _ = writeln!(wrong, "cannot be read: {sql}");
        }
    }
    assert!(wrong.is_empty(), "{}\n{wrong}", report.text(name));
    // A folder may hold anything; our own corpus holds reads.
    let own = std::env::var_os("DBWARD_ORACLE_FOLDER").is_none();
    assert!(!own || report.reads * 2 > 200, "{}", report.text(name));
}

/// Holds the oracle itself: we never call a known write a read, the database is seen to write, and an analysis that
/// calls it a read is reported as a leak; a read is not reported.
fn is_watchful(database: &mut dyn Database, writes: &[&str]) {
    let read = analyze("SELECT 1", database.dialect()).unwrap();
    let mut honest = Report::default();
    honest.weigh("SELECT 1", &read, database, true);
    assert_eq!((honest.reads, honest.leaks.len()), (1, 0));
    for sql in writes {
        let class = analyze(sql, database.dialect()).map(|a| a.class);
        assert_ne!(class, Ok(Class::Select), "{sql}");
        let wrong = Analysis {
            plan: Some(vec![(*sql).to_owned()]),
            ..read.clone()
        };
        let mut report = Report::default();
        report.weigh(sql, &wrong, database, true);
        assert_eq!(report.leaks.len(), 1, "nobody saw it: {sql}");
    }
}

fn made(grammar: &Grammar, database: &mut dyn Database, report: &mut Report) {
    let count = number("DBWARD_ORACLE_STATEMENTS", 3_000);
    let seed = number("DBWARD_ORACLE_SEED", 0x5eed);
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    for sql in grammar.lines("documented") {
        report.look(sql, database, true);
    }
    let mut before = "SELECT 1".to_owned();
    for _ in 0..count {
        let sql = grammar.statement(&mut dice);
        report.look(&sql, database, true);
        let mutation = grammar.mutation(&sql, &before, &mut dice);
        report.look(&mutation, database, false);
        before = sql;
    }
}

/// The `.sql` files of a folder and of the folders in it, sorted.
fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|e| e == "sql") {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}

#[test]
fn every_sql_file_of_a_folder_is_cut_into_statements() {
    let folder = crate::support::Temp::new();
    std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
    std::fs::write(
        folder.path().join("a/b/one.sql"),
        "SELECT 1;\nSELECT\n 2;\n\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("two.sql"), b"SELECT '\xff'; SELECT 4").unwrap();
    std::fs::write(folder.path().join("three.txt"), "SELECT 5;").unwrap();
    assert_eq!(
        statements_of(folder.path()),
        [
            "SELECT 1;\n",
            "SELECT\n 2;\n",
            "SELECT '\u{fffd}'; SELECT 4\n"
        ]
    );
}

fn statements_of(folder: &Path) -> Vec<String> {
    let files = files_of(folder);
    let mut statements = Vec::new();
    for file in files {
        let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
        let mut statement = String::new();
        for line in text.lines() {
            statement.push_str(line);
            statement.push('\n');
            if line.trim_end().ends_with(';') {
                statements.push(std::mem::take(&mut statement));
            }
        }
        statements.push(statement);
    }
    statements.retain(|s| s.len() <= TEXT_BYTES_MAX && !s.trim().is_empty());
    statements
}

/// Runs `work` with the stack that the analysis of any text may need.
fn on_large_stack(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(dbward::domain::sql::STACK_BYTES)
            .spawn_scoped(scope, work)
            .unwrap();
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// What `tests/sql/catalogue.sh` writes of a database now.
fn catalogue(database: &str, variables: &[(&str, String)]) -> String {
    let folder = crate::support::Temp::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sql/catalogue.sh");
    let output = std::process::Command::new("sh")
        .arg(script)
        .arg(folder.path())
        .arg(database)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    std::fs::read_to_string(folder.path().join(format!("{database}.txt"))).unwrap()
}
