//! What a reviewer sees besides the statement: what makes its risk, the tables that it names, findings, rows, and
//! what the database plans to do. Each is cut within Slack's limits, and says so.

use super::blocks::{BLOCK_CHARS, VALUE_MAX, code, context, section};
use crate::actions::view_requests::Detail;
use crate::domain::query_plan;
use crate::domain::rehearsal::RehearsalStatus;
use crate::domain::risk::factor_words;
use crate::domain::sql::escaped;
use crate::error::counted;
use crate::outbound::clip::{line, short};
use serde_json::Value;

/// Entries that are listed, and the longest of them, in bytes.
const FACTORS_MAX: usize = 5;
pub(super) const TABLES_MAX: usize = 3;
const FINDINGS_MAX: usize = 5;
const PLANS_MAX: usize = 5;
const ENTRY_MAX: usize = 400;

/// Tables that the statement names.
pub(super) fn tables(detail: &Detail) -> Vec<String> {
    strings(&stored(detail), "/tables", |table| table)
}

/// The blocks; `rows` are the first tables, with the rows that their database estimates.
pub(super) fn blocks(detail: &Detail, rows: &[(String, Option<i64>)]) -> Vec<Value> {
    let stored = stored(detail);
    let factors = strings(&stored, "/risk/factors", |factor| factor);
    let factors: Vec<String> = factors.iter().map(|f| factor_words(f)).collect();
    let findings = strings(&stored, "/sql_review/findings", |found| &found["message"]);
    let tables: Vec<String> = rows.iter().map(|(name, rows)| sized(name, *rows)).collect();
    let unshown = tables_beyond(&stored, tables.len());
    let texts = [
        listed("Risk", &factors, FACTORS_MAX, 0),
        listed("Tables", &tables, TABLES_MAX, unshown),
        listed("Findings", &findings, FINDINGS_MAX, 0),
        changed_rows(detail),
    ];
    let texts = texts.into_iter().flatten();
    let mut blocks: Vec<Value> = texts.map(|text| section(&text)).collect();
    blocks.extend(plans(detail));
    blocks
}

/// What was known when the request was made; null where it is not to be kept.
fn stored(detail: &Detail) -> Value {
    let text = detail.text.context_json.as_deref().unwrap_or("null");
    serde_json::from_str(text).unwrap_or_default()
}

fn strings(stored: &Value, place: &str, text: impl Fn(&Value) -> &Value) -> Vec<String> {
    let all = stored.pointer(place).and_then(Value::as_array);
    let texts = all
        .into_iter()
        .flatten()
        .filter_map(|one| text(one).as_str());
    texts.map(str::to_owned).collect()
}

fn tables_beyond(stored: &Value, shown: usize) -> usize {
    let all = stored.pointer("/tables").and_then(Value::as_array);
    all.map_or(0, |all| all.len().saturating_sub(shown))
}

fn sized(table: &str, rows: Option<i64>) -> String {
    match rows.and_then(|rows| u64::try_from(rows).ok()) {
        Some(rows) => format!("{table}, about {}", counted(rows, "row")),
        None => table.to_owned(),
    }
}

/// The first entries of a list, and how many more there are; `unshown` of them are not even here.
fn listed(title: &str, entries: &[String], most: usize, unshown: usize) -> Option<String> {
    let mut text = format!("*{title}*");
    for entry in entries.iter().take(most) {
        text.push_str(&format!("\n• {}", short(&escaped(entry), ENTRY_MAX, line)));
    }
    let more = entries.len().saturating_sub(most) + unshown;
    if more > 0 {
        text.push_str(&format!("\nand {more} more"));
    }
    (!entries.is_empty()).then_some(text)
}

/// How many rows it may change at most, and what its last rehearsal came to.
fn changed_rows(detail: &Detail) -> Option<String> {
    let request = &detail.request;
    let bound = request.row_bound.map(|bound| {
        let source = bound.source.as_str();
        let rows = counted(bound.rows, "row");
        format!("It may change at most {rows} ({source}).")
    });
    let rehearsal = detail.rehearsal.as_ref().map(|rehearsal| {
        let has_run = request.execution_id.is_some();
        let age = match rehearsal.is_stale(detail.now, has_run) {
            true => ", which may be others by now",
            false => "",
        };
        match (rehearsal.status_at(detail.now), rehearsal.rows_affected) {
            (RehearsalStatus::Done, Some(rows)) => {
                let rows = counted(rows, "row");
                format!("A rehearsal changed {rows} and was rolled back{age}.")
            }
            (status, _) => {
                let why = rehearsal.error_message.as_deref().unwrap_or_default();
                let why = short(&escaped(why), VALUE_MAX, line);
                format!("Rehearsal: {} {why}", status.as_str())
            }
        }
    });
    let lines: Vec<String> = bound.into_iter().chain(rehearsal).collect();
    (!lines.is_empty()).then(|| format!("*Rows*\n{}", lines.join("\n")))
}

/// What agents explained of the statements.
fn plans(detail: &Detail) -> Vec<Value> {
    let Some((status, explained)) = &detail.context_state else {
        return Vec::new();
    };
    let Some(explained) = explained.as_ref().and_then(Value::as_array) else {
        return match status.as_str() {
            "ready" => Vec::new(),
            _ => vec![context("No agent has explained it yet.")],
        };
    };
    plan_blocks(explained)
}

fn plan_blocks(explained: &[Value]) -> Vec<Value> {
    let texts = explained.iter().zip(1..).take(PLANS_MAX).map(|(one, n)| {
        let text = match one["error"].as_str() {
            Some(why) => format!("not explained: {why}"),
            None => query_plan::steps(&one["plan"]).join("\n"),
        };
        match explained.len() {
            1 => text,
            _ => format!("Statement {n}\n{text}"),
        }
    });
    let text = texts.collect::<Vec<_>>().join("\n\n");
    if text.is_empty() {
        return Vec::new();
    }
    let mut blocks = vec![section("*Plan*")];
    blocks.extend(code(&text, BLOCK_CHARS).0);
    if explained.len() > PLANS_MAX {
        let all = counted(explained.len(), "statement");
        blocks.push(context(&format!("{PLANS_MAX} of {all}")));
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_long_list_says_how_many_more_there_are() {
        let entries = ["a", "<!channel>", "c"].map(str::to_owned);
        let text = listed("Risk", &entries, 2, 4).unwrap();
        assert_eq!(text, "*Risk*\n• a\n• &lt;!channel&gt;\nand 5 more");
        assert_eq!(listed("Risk", &[], 2, 0), None);
    }

    #[test]
    fn plans_are_cut_to_five_statements_and_say_so() {
        let plan = |n: usize| json!({"plan": format!("scan {n} {}", "ä".repeat(720))});
        let many: Vec<Value> = (1..=7).map(plan).collect();
        let written = |blocks: &[Value]| Value::from(blocks.to_vec()).to_string();
        let text = written(&plan_blocks(&many));
        assert!(
            text.contains("Statement 4") && !text.contains("Statement 5"),
            "{text}"
        );
        assert!(text.contains("2900 of 3"), "{text}");
        assert!(text.contains("5 of 7 statements"), "{text}");
        let few = [json!({"plan": "scan"}), json!({"error": "timeout"})];
        let text = written(&plan_blocks(&few));
        assert!(
            text.contains("Statement 1\\nscan\\n\\nStatement 2\\nnot explained: timeout"),
            "{text}"
        );
        assert!(plan_blocks(&[json!({"plan": ""})]).is_empty());
    }
}
