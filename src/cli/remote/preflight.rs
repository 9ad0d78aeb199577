//! `preflight`: what a request of a statement would come to, for people, for SARIF readers and for pull requests.

use super::super::output::{
    Paint, approver_words, factor_words, operation_words, reason_words, underlined, visible,
};
use super::execute::{read_text, standard_input};
use super::plan;
use super::target::TargetOptions;
use super::{CommandError, CommonOptions, ConnectionOptions, ServerSession};
use crate::client::path_of;
use crate::error::counted;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::PathBuf;

pub const EXAMPLES: &str = "Examples:\n  \
    dbward preflight \"DELETE FROM orders\" -d app -e production\n  \
    dbward preflight --file migration.sql -d app -e production --fail-on warning --format github\n  \
    dbward preflight --file migration.sql -d app -e production --format sarif";

/// Exit code where there is no answer, so that a pipeline can tell that from a finding, which is 1.
pub const NOT_TRIED: u8 = 2;

/// What to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PreflightFormat {
    Text,
    Json,
    Sarif,
    Github,
}

/// From where on it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    Warning,
    Blocked,
}

/// What to try.
#[derive(Debug, clap::Args)]
pub struct PreflightOptions {
    /// The SQL; `-`, or none where it is piped in, reads standard input
    #[arg(value_name = "SQL", conflicts_with = "file")]
    sql: Option<String>,
    /// Read the SQL from this file
    #[arg(long, short = 'f', value_name = "FILE")]
    file: Option<PathBuf>,
    /// Ask no database how it would run it
    #[arg(long)]
    no_explain: bool,
    /// Exit with 1 from here on
    #[arg(long, value_enum, default_value = "blocked")]
    fail_on: FailOn,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: PreflightFormat,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    connection: ConnectionOptions,
}

impl PreflightOptions {
    /// Whether a program reads what is printed, errors included.
    pub fn wants_json(&self) -> bool {
        self.format == PreflightFormat::Json
    }
}

/// `preflight`
pub fn run(o: &PreflightOptions) -> Result<u8, CommandError> {
    let session = ServerSession::open(&CommonOptions {
        connection: o.connection.clone(),
        ..CommonOptions::default()
    })?;
    let sql = match (&o.sql, &o.file) {
        (Some(sql), _) if sql != "-" => sql.clone(),
        (_, Some(file)) => read_text(file)?,
        _ => standard_input()?,
    };
    let (database, environment) = o.target.resolve(&session.settings)?;
    let body = json!({
        "database": database,
        "environment": environment,
        "sql": sql,
        "include_explain": !o.no_explain,
    });
    let path = path_of(&["preflight"]);
    let document = session.client.send(&path, &body.to_string())?;
    let tried: Value = document.read()?;
    let file = o
        .file
        .as_ref()
        .map_or("stdin".to_owned(), |file| file.display().to_string());
    let text = match o.format {
        PreflightFormat::Text => words(&tried, &sql, Paint::new(std::io::stdout().is_terminal())),
        PreflightFormat::Json => format!("{}\n", document.text()),
        PreflightFormat::Sarif => format!("{:#}\n", sarif(&tried, &file)),
        PreflightFormat::Github => github(&tried, &file),
    };
    session.screen.write(&text)?;
    let fails = match tried["status"].as_str() {
        Some("requestable") => false,
        Some("warning") => o.fail_on == FailOn::Warning,
        _ => true,
    };
    Ok(u8::from(fails))
}

/// One thing that was found, wherever it stands in the answer.
struct Found {
    rule: String,
    message: String,
    fix: String,
    line: u64,
    column: u64,
    offset: Option<usize>,
    blocks: bool,
}

fn found(tried: &Value) -> Vec<Found> {
    let blocks = tried["status"] == "blocked";
    let text = |value: &Value| value.as_str().map(visible).unwrap_or_default();
    let findings = tried["review"]["findings"].as_array().into_iter().flatten();
    let mut all: Vec<Found> = findings
        .map(|f| Found {
            rule: text(&f["rule"]),
            message: text(&f["message"]),
            fix: text(&f["fix"]),
            line: f["line"].as_u64().unwrap_or(1),
            column: f["column"].as_u64().unwrap_or(1),
            offset: f["offset"].as_u64().and_then(|n| usize::try_from(n).ok()),
            blocks,
        })
        .collect();
    let unparsable = &tried["unparsable"];
    if all.is_empty() && !unparsable.is_null() {
        all.push(Found {
            rule: "Unparsable".to_owned(),
            message: format!("it cannot be read: {}", text(&unparsable["message"])),
            fix: "correct it; as it is, it runs only after somebody approved it".to_owned(),
            line: unparsable["line"].as_u64().unwrap_or(1),
            column: unparsable["column"].as_u64().unwrap_or(1),
            offset: None,
            blocks,
        });
    }
    let refusal = &tried["refusal"];
    if all.is_empty() && !refusal.is_null() {
        all.push(Found {
            rule: text(&refusal["code"]),
            message: text(&refusal["message"]),
            fix: text(&refusal["hint"]),
            line: refusal["details"]["line"].as_u64().unwrap_or(1),
            column: refusal["details"]["column"].as_u64().unwrap_or(1),
            offset: None,
            blocks,
        });
    }
    all
}

fn words(tried: &Value, sql: &str, paint: Paint) -> String {
    let text = |value: &Value| value.as_str().map(visible).unwrap_or_default();
    let mut out = String::new();
    let operation = tried["classification"]["operation"]
        .as_str()
        .unwrap_or("request");
    let _ = writeln!(
        out,
        "{} · {} on {} / {}{}",
        paint.bold(&text(&tried["status"])),
        operation_words(operation),
        text(&tried["database"]),
        text(&tried["environment"]),
        tried["risk"]["level"]
            .as_str()
            .map(|r| format!(" · risk {}", visible(r)))
            .unwrap_or_default()
    );
    let all = found(tried);
    let _ = write!(
        out,
        "\n{}",
        underlined(sql, all.first().and_then(|f| f.offset))
    );
    for one in &all {
        let kind = if one.blocks { "blocked" } else { "warning" };
        let _ = writeln!(
            out,
            "  {}  line {}: {}",
            paint.accent(kind),
            one.line,
            one.message
        );
        if !one.fix.is_empty() {
            let _ = writeln!(out, "           fix: {}", one.fix);
        }
    }
    out.push('\n');
    let _ = writeln!(out, "  {}", decision(&tried["policy"]));
    let factors = tried["risk"]["factors"].as_array().into_iter().flatten();
    let factors: Vec<String> = factors
        .filter_map(Value::as_str)
        .map(factor_words)
        .collect();
    if !factors.is_empty() {
        let _ = writeln!(
            out,
            "  Risk {}: {}",
            text(&tried["risk"]["level"]),
            factors.join(", ")
        );
    }
    for table in tried["impact"]["tables"].as_array().into_iter().flatten() {
        let rows = table["estimated_rows"].as_u64();
        let rows = rows
            .map(|n| format!(", about {}", counted(n, "row")))
            .unwrap_or_default();
        let _ = writeln!(out, "  Table {}{rows}", text(&table["name"]));
    }
    out.push_str(&plans(&tried["impact"]));
    out
}

/// What the database plans to do, or why nobody asked it.
fn plans(impact: &Value) -> String {
    if let Some(explained) = impact["explain"].as_array() {
        return plan::printed(explained);
    }
    let why = match impact["explain_status"].as_str() {
        Some("timeout") => "no agent explained it in time",
        Some("unavailable") => "no agent is online for this database",
        Some("busy") => "too many statements are being explained; try again",
        Some("disabled") => "the workflow has statements not explained",
        Some("forbidden") => {
            "it is for those who may see tables and results (request.view, result.view)"
        }
        Some("needs_approval") => {
            "reads need an approval here; it is shown once a request is submitted"
        }
        // What would be refused is not sent to a database, and its reason stands above.
        _ => return String::new(),
    };
    format!("  No plan: {why}\n")
}

/// What would be decided, and whose approval it would need.
fn decision(policy: &Value) -> String {
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let step = |step: &Value| {
        let one = |a: &Value| {
            let people = items(&a["people"]);
            let people: Vec<String> = people
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            let selector = a["selector"].as_str().unwrap_or_default();
            let words = approver_words(selector, &people, a["others"] == true);
            format!("{} of {words}", a["min"])
        };
        let approvers: Vec<String> = items(&step["approvers"]).iter().map(one).collect();
        approvers.join(if step["mode"] == "any" {
            " or "
        } else {
            " and "
        })
    };
    match policy["decision"].as_str() {
        Some("needs_approval") => {
            let steps: Vec<String> = items(&policy["workflow"]["steps"])
                .iter()
                .map(step)
                .collect();
            format!("Needs {}.", steps.join(", then "))
        }
        Some("auto_approved") => "Runs without approval.".to_owned(),
        _ => format!(
            "It would be refused: {}.",
            reason_words(policy["reason_code"].as_str().unwrap_or_default())
        ),
    }
}

/// SARIF 2.1.0, as code scanning reads it.
fn sarif(tried: &Value, file: &str) -> Value {
    let all = found(tried);
    let rules: BTreeSet<&str> = all.iter().map(|f| f.rule.as_str()).collect();
    let rules: Vec<Value> = rules.iter().map(|id| json!({"id": id})).collect();
    let results = all.iter().map(|f| {
        let fix = if f.fix.is_empty() {
            String::new()
        } else {
            format!("; {}", f.fix)
        };
        json!({
            "ruleId": f.rule,
            "level": if f.blocks { "error" } else { "warning" },
            "message": {"text": format!("{}{fix}", f.message)},
            "locations": [{"physicalLocation": {
                "artifactLocation": {"uri": uri(file)},
                "region": {"startLine": f.line, "startColumn": f.column},
            }}],
        })
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "dbward", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            // A column counts characters.
            "columnKind": "unicodeCodePoints",
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

/// A path as a reference in the sense of RFC 3986.
fn uri(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

/// Workflow commands of GitHub: one annotation a finding.
fn github(tried: &Value, file: &str) -> String {
    let escaped = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let property = |text: &str| escaped(text).replace(':', "%3A").replace(',', "%2C");
    let mut out = String::new();
    for f in found(tried) {
        let kind = if f.blocks { "error" } else { "warning" };
        let fix = if f.fix.is_empty() {
            String::new()
        } else {
            format!("; {}", f.fix)
        };
        let _ = writeln!(
            out,
            "::{kind} file={},line={},col={},title={}::{}",
            property(file),
            f.line,
            f.column,
            property(&f.rule),
            escaped(&format!("{}{fix}", f.message))
        );
    }
    out
}
