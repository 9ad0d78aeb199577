//! Awkward statements from the request to the result: how each ends, how many rows it says it has changed or read, and
//! whether the tables are others afterwards. The tables of cases are next to this file: a statement a line, and below it what
//! came of it; with UPDATE_GOLDEN=1 the second is written instead, to be read line by line.

use super::Place;
use super::places::{mysql, postgres, sqlite};
use super::served::Served;
use crate::support::Request;
use dbward::agent::drivers::RunOutcome;
use dbward::domain::dialect::Dialect;
use serde_json::Value;
use std::path::Path;

/// Begins what came of the statement above it.
const CAME: &str = "=> ";
/// Begins a statement that makes the tables anew, and one whose row shows what is in them.
const MAKES: &str = "!make ";
const SHOWS: &str = "!show ";

/// Where the tables have to be made anew.
const DIFFER: &str = "tables differ";

struct Table<'a> {
    makes: Vec<&'a str>,
    shows: Vec<&'a str>,
    cases: Vec<&'a str>,
}

impl<'a> Table<'a> {
    fn read(text: &'a str) -> Table<'a> {
        let lines = || text.lines().filter(|line| !line.is_empty());
        let begun = |word: &str| {
            let word = word.to_owned();
            lines()
                .filter_map(move |line| line.strip_prefix(&word))
                .collect()
        };
        let others = [CAME, MAKES, SHOWS];
        Table {
            makes: begun(MAKES),
            shows: begun(SHOWS),
            cases: lines()
                .filter(|line| !others.iter().any(|word| line.starts_with(word)))
                .collect(),
        }
    }

    /// Everything that is in the tables; none where it cannot be read.
    fn shown(&self, place: &Place) -> Option<String> {
        match place.read(&self.shows) {
            RunOutcome::Rows { json, .. } => Some(json),
            _ => None,
        }
    }

    /// Makes the tables anew; what is in them.
    fn make(&self, place: &Place) -> String {
        let outcome = place.write(&self.makes);
        let failed = matches!(outcome, RunOutcome::Failed { .. });
        assert!(!failed, "{outcome:?}");
        self.shown(place).unwrap()
    }
}

/// What came of a statement: where its request stands, what is left, rows, and whether anything is different.
fn came(served: &Served, table: &Table<'_>, before: &str, sql: &str) -> String {
    let requester = served.server.requester();
    let answer = requester.create("production", sql);
    if answer.status != 201 {
        return format!(
            "{} {}",
            answer.status,
            answer.json["error"]["code"].as_str().unwrap_or("?")
        );
    }
    let request = Request {
        by: requester,
        id: answer.text("id"),
        answer,
    };
    let operation = request.by.show(&request).text("operation");
    let request = request.approved_by(&served.server.approver()).resumed();
    let result = served.result(&request).is(200);
    let status = request.by.show(&request).text("status");
    let executions = request.by.get(&request.path("/executions")).is(200);
    let execution = &executions.json["executions"][0];
    let outcome = execution["outcome"].as_str().unwrap_or("-");
    let count = |name: &str| result.json["result_data"][name].as_array().map(Vec::len);
    let changed = match execution["rows_affected"].as_u64() {
        Some(rows) => format!("changed {rows}"),
        None => String::new(),
    };
    let read = count("rows").map_or(String::new(), |rows| format!("returned {rows}"));
    let tables = match table.shown(&served.place).as_deref() == Some(before) {
        true => "tables as before",
        false => DIFFER,
    };
    let why = match &execution["error_message"] {
        Value::String(why) => why.split_once(" (").map_or(why.as_str(), |(why, _)| why),
        _ => "",
    };
    let all = [
        operation,
        format!("{status} {outcome}"),
        changed,
        read,
        tables.to_owned(),
        why.to_owned(),
    ];
    let all: Vec<String> = all.into_iter().filter(|part| !part.is_empty()).collect();
    all.join(", ")
}

fn every_case_ends_as_the_table_says(place: Place) {
    let dialect = place.driver.dialect();
    let name = format!("tests/it/drivers/awkward/{}.txt", dialect.as_str());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&name);
    let text = std::fs::read_to_string(&path).unwrap();
    let table = Table::read(&text);
    let served = Served::start(place, 20);
    let (mut seen, mut before) = (String::new(), table.make(&served.place));
    for line in text.lines() {
        if line.starts_with(CAME) {
            continue;
        }
        seen.push_str(&format!("{line}\n"));
        if table.cases.contains(&line) {
            let came = came(&served, &table, &before, line);
            seen.push_str(&format!("{CAME}{came}\n"));
            if came.contains(DIFFER) {
                before = table.make(&served.place);
            }
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &seen).unwrap();
        return;
    }
    let differs = |(was, is): &(&str, &str)| was != is;
    let lines = text.lines().zip(seen.lines()).filter(differs);
    let lines: Vec<String> = lines.map(|(was, is)| format!("- {was}\n+ {is}")).collect();
    assert!(text == seen, "{name} differs:\n{}", lines.join("\n"));
    assert!(dialect == Dialect::Sqlite || table.cases.len() > 40);
}

#[test]
fn awkward_statements_end_truthfully_on_sqlite() {
    every_case_ends_as_the_table_says(sqlite());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn awkward_statements_end_truthfully_on_postgres() {
    every_case_ends_as_the_table_says(postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn awkward_statements_end_truthfully_on_mysql() {
    every_case_ends_as_the_table_says(mysql());
}
