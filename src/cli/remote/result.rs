//! Results: printed as tables, listed, fetched again.

use super::super::output::{Grid, OutputFormat, visible};
use super::listing::{Kind, Listing};
use super::{CommandError, CommonOptions, ServerSession};
use crate::cli::output::note;
use crate::client::{Document, path_of, with_query};
use crate::error::counted;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// What an execution came to.
#[derive(Deserialize)]
pub struct EnvelopeReply<'a> {
    success: bool,
    #[serde(default)]
    execution_id: Option<String>,
    #[serde(default)]
    error_message: Option<String>,
    #[serde(default, borrow)]
    result_data: Option<&'a RawValue>,
    #[serde(default)]
    rows_affected: Option<u64>,
    #[serde(default)]
    truncated: bool,
}

/// A table of a result.
#[derive(Deserialize)]
struct TableReply<'a> {
    #[serde(borrow)]
    rows: &'a RawValue,
    #[serde(default)]
    columns: Option<Vec<ColumnReply>>,
    #[serde(default)]
    truncation_reason: Option<String>,
    #[serde(default, borrow)]
    more_results: Vec<TableReply<'a>>,
}

#[derive(Deserialize)]
struct ColumnReply {
    name: String,
    key: String,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

/// Prints a result. Returns whether the execution succeeded; why not is printed to standard error.
pub fn print(
    session: &ServerSession,
    document: &Document,
    request: &str,
) -> Result<bool, CommandError> {
    let text = document.text();
    let envelope: EnvelopeReply = serde_json::from_str(&text)
        .map_err(|_| CommandError::new("the result is not as expected"))?;
    if session.screen.format() == OutputFormat::Json {
        session.screen.write(&format!("{}\n", text.trim_end()))?;
    }
    if !envelope.success {
        let why = envelope
            .error_message
            .unwrap_or_else(|| "the agent gave no reason".to_owned());
        if session.screen.format() != OutputFormat::Json {
            note!("Execution failed: {}", visible(&why));
            let ran = execution_of(session, request, envelope.execution_id.as_deref());
            // What the database adds, for the requester alone.
            if let Some(detail) = ran.as_ref().and_then(|ran| ran["error_detail"].as_str()) {
                note!("Detail: {}", visible(detail));
            }
        }
        return Ok(false);
    }
    if session.screen.format() != OutputFormat::Json {
        let took = took(session, request, envelope.execution_id.as_deref());
        print_data(session, &envelope, took)?;
        if envelope.truncated {
            note!("warning: the result was cut; ask for fewer rows, or a higher max_rows");
        }
    }
    Ok(true)
}

/// How many milliseconds an execution took, for people at a terminal.
fn took(session: &ServerSession, request: &str, execution: Option<&str>) -> Option<u64> {
    let asked = execution.filter(|_| session.screen.is_terminal());
    execution_of(session, request, asked)?["duration_ms"].as_u64()
}

/// What the server says of an execution. It is worth no error: the result is there.
fn execution_of(session: &ServerSession, request: &str, execution: Option<&str>) -> Option<Value> {
    let execution = execution?;
    let path = path_of(&["requests", request, "executions"]);
    let mut read: Value = session.client.fetch(&path).ok()?.read().ok()?;
    let all = read["executions"].as_array_mut()?;
    let at = all.iter().position(|one| one["id"] == execution)?;
    Some(all.swap_remove(at))
}

fn print_data(
    session: &ServerSession,
    envelope: &EnvelopeReply,
    took: Option<u64>,
) -> Result<(), CommandError> {
    let data = envelope.result_data.map_or("null", RawValue::get);
    // An array would be read as the members of a table, in their order.
    let is_array = data.starts_with('[');
    if !is_array && let Ok(table) = serde_json::from_str::<TableReply>(data) {
        return print_tables(session, &table, envelope.truncated, took);
    }
    if is_array {
        let rows: &RawValue = serde_json::from_str(data)
            .map_err(|_| CommandError::new("the result is not as expected"))?;
        if let Some(grid) = Grid::of_rows(rows, None) {
            let foot = foot(&grid, envelope.truncated, None, took);
            return Ok(session.screen.rows(data, &grid, Some(&foot))?);
        }
    }
    let value: Value = serde_json::from_str(data).unwrap_or_default();
    let sentence = sentence(envelope.rows_affected, &value);
    let quiet = envelope
        .rows_affected
        .map(|n| n.to_string())
        .unwrap_or_default();
    Ok(session.screen.done(data, &sentence, &quiet)?)
}

fn print_tables(
    session: &ServerSession,
    table: &TableReply,
    truncated: bool,
    took: Option<u64>,
) -> Result<(), CommandError> {
    // Written at once: a file holds all of them, and a pager shows all.
    let mut text = String::new();
    let several = table.more_results.len();
    for (n, one) in std::iter::once(table)
        .chain(&table.more_results)
        .enumerate()
    {
        let columns: Option<Vec<(String, String, String)>> = one.columns.as_ref().map(|columns| {
            let column = |c: &ColumnReply| {
                (
                    c.name.clone(),
                    c.key.clone(),
                    c.kind.clone().unwrap_or_default(),
                )
            };
            columns.iter().map(column).collect()
        });
        let grid = Grid::of_rows(one.rows, columns.as_deref())
            .ok_or_else(|| CommandError::new("the rows of the result are not as expected"))?;
        let last = n == several;
        let foot = foot(
            &grid,
            truncated && last,
            table.truncation_reason.as_deref(),
            took.filter(|_| last),
        );
        text.push_str(&session.screen.formatted("", &grid, Some(&foot)));
    }
    Ok(session.screen.write(&text)?)
}

/// The last line: rows, time, and whether the result was cut.
fn foot(grid: &Grid, truncated: bool, reason: Option<&str>, took: Option<u64>) -> String {
    let rows = counted(grid.rows.len(), "row");
    let took = took.map(|ms| format!(" · {ms} ms")).unwrap_or_default();
    let cut = match truncated {
        true => format!(" · {}", cut_words(reason)),
        false => String::new(),
    };
    format!("{rows}{took}{cut}")
}

fn cut_words(reason: Option<&str>) -> String {
    let reason = reason
        .map(|r| format!(" ({})", visible(r)))
        .unwrap_or_default();
    format!("cut{reason}")
}

/// What a statement without rows did.
fn sentence(rows_affected: Option<u64>, data: &Value) -> String {
    let count = rows_affected.or_else(|| data["rows_affected"].as_u64());
    let list = |value: &Value| -> Option<String> {
        let items = value.as_array()?.iter();
        let items: Vec<String> = items
            .map(|v| v.as_str().map_or_else(|| v.to_string(), visible))
            .collect();
        Some(items.join(", "))
    };
    let applied = list(&data["applied"]).or_else(|| list(&data["applied_versions"]));
    let version = data["version"].as_str().map(visible).unwrap_or_default();
    match data["repaired"].as_str() {
        Some("mark_applied") => return format!("Recorded {version} as applied."),
        Some("remove") => return format!("Removed {version} from what is applied."),
        _ => {}
    }
    match (count, applied, list(&data["reverted"]), data) {
        (_, Some(versions), _, _) if versions.is_empty() => "Nothing to apply.".to_owned(),
        (_, Some(versions), _, _) => format!("Applied {versions}."),
        (_, _, Some(versions), _) if versions.is_empty() => "Nothing to take back.".to_owned(),
        (_, _, Some(versions), _) => format!("Took back {versions}."),
        (Some(n), ..) => format!("{} changed.", counted(n, "row")),
        (.., Value::String(text)) => visible(text),
        (.., Value::Null) => "Done.".to_owned(),
        (.., other) => visible(&format!("{other:#}")),
    }
}

/// Which stored result.
#[derive(Debug, clap::Args)]
pub struct ResultOptions {
    /// The request: its id, or the beginning of it
    #[arg(value_name = "REQUEST")]
    id: String,
    /// Of this execution: its id, or the beginning of it [default: the newest that finished]
    #[arg(long, value_name = "ID")]
    execution_id: Option<String>,
    /// List the executions instead
    #[arg(long)]
    list: bool,
    /// Exit with 3 where the execution failed
    #[arg(long)]
    fail: bool,
    #[command(flatten)]
    pub common: CommonOptions,
}

/// `request result`
pub fn show(session: &ServerSession, options: &ResultOptions) -> Result<u8, CommandError> {
    let id = session.request_id(&options.id)?;
    if options.list {
        return EXECUTIONS.print(
            session,
            &with_query(
                &path_of(&["requests", &id, "executions"]),
                &[("limit", Some("20".to_owned()))],
            ),
        );
    }
    let execution = match &options.execution_id {
        Some(prefix) => Some(session.execution_id(&id, prefix)?),
        None => None,
    };
    let parameters = [("execution_id", execution)];
    let path = with_query(
        &path_of(&["requests", &id, "result", "content"]),
        &parameters,
    );
    let document = session.client.fetch(&path)?;
    let succeeded = print(session, &document, &id)?;
    Ok(if options.fail && !succeeded { 3 } else { 0 })
}

const EXECUTIONS: Listing = Listing {
    key: "executions",
    columns: &[
        ("ID", "id", Kind::Id),
        ("STATUS", "status", Kind::Text),
        ("AGENT", "agent_id", Kind::Text),
        ("STARTED", "started_at", Kind::Time),
        ("MS", "duration_ms", Kind::Number),
        ("ROWS", "rows_affected", Kind::Number),
        ("ERROR", "error_message", Kind::Long),
        ("DETAIL", "error_detail", Kind::Long),
    ],
    empty: "It has not been executed.",
};

/// Which results.
#[derive(Debug, clap::Args)]
pub struct ResultsOptions {
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    pub common: CommonOptions,
}

const RESULTS: Listing = Listing {
    key: "results",
    columns: &[
        ("REQUEST", "request_id", Kind::Id),
        ("STORED", "stored_at", Kind::Time),
        ("WHERE", "database environment", Kind::Where),
        ("WHAT", "operation", Kind::Operation),
        ("BYTES", "content_length", Kind::Number),
    ],
    empty: "There are no stored results that you may see.",
};

/// `results`
pub fn list(session: &ServerSession, options: &ResultsOptions) -> Result<u8, CommandError> {
    let parameters = [("limit", Some(options.limit.to_string()))];
    RESULTS.print(session, &with_query(&path_of(&["results"]), &parameters))
}
