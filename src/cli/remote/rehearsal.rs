//! Rehearsals in words: what an agent found that a request would change.

use super::super::output::{Ages, indented, short_id, visible};
use crate::client::{RehearsalReply, RehearsedReply, RequestReply};
use crate::clock::Clock;
use crate::error::counted;

/// Statements of a rehearsal that are shown; all of them are in `--format json`.
const STATEMENTS_SHOWN: usize = 20;

/// What came of a rehearsal, or comes: one line, and one for everything else that is known of it.
pub fn lines(request: &RequestReply) -> Vec<String> {
    let Some(rehearsal) = &request.rehearsal else {
        return Vec::new();
    };
    let mut lines = vec![words(rehearsal)];
    let all = rehearsal.statements.as_deref().unwrap_or_default();
    for (n, statement) in all.iter().take(STATEMENTS_SHOWN).enumerate() {
        lines.push(format!("{}. {}", n + 1, statement_words(statement)));
        lines.extend(more_words(statement));
    }
    let left_out = all.len().saturating_sub(STATEMENTS_SHOWN);
    if left_out > 0 {
        lines.push(format!("and {}", counted(left_out, "more statement")));
    }
    if let Some(triggers) = rehearsal.triggers.as_ref().filter(|t| !t.is_empty()) {
        lines.push(format!("triggers: {}", visible(&triggers.join(", "))));
    }
    if let Some(ms) = rehearsal.lock_wait_ms.filter(|ms| *ms >= 100) {
        lines.push(format!("waited {ms} ms for a lock"));
    }
    let warnings = rehearsal.warnings.iter().flatten();
    lines.extend(warnings.map(|w| format!("warning: {}", visible(w))));
    lines
}

/// What a rehearsal came to, as a paragraph.
pub fn rehearsed(request: &RequestReply) -> String {
    let mut all = lines(request);
    let Some(first) = all.first_mut() else {
        return String::new();
    };
    first.insert_str(0, "Rehearsal: ");
    all.extend(bound(request));
    format!("{}\n", indented(&all.join("\n")))
}

/// The bound that a rehearsal has set.
pub fn bound(request: &RequestReply) -> Option<String> {
    let rows = request.max_affected_rows?;
    (request.row_bound_source.as_deref() == Some("rehearsal"))
        .then(|| format!("At most {} may change when it runs.", counted(rows, "row")))
}

/// How to ask for a rehearsal, where there is none that says what holds now.
pub fn offer(request: &RequestReply) -> Option<String> {
    let last = request.rehearsal.as_ref();
    let holds = last.is_some_and(|r| r.status == "done" && !r.stale);
    let first = match last {
        None => "not yet; ask with",
        Some(_) => "ask again with",
    };
    (request.rehearsable && !holds)
        .then(|| format!("{first}: dbward request rehearse {}", short_id(&request.id)))
}

/// Where a rehearsal stands, on one line.
pub fn words(rehearsal: &RehearsalReply) -> String {
    // The command may have waited for it.
    let ages = Ages {
        now: Clock::system().now(),
    };
    let agent = rehearsal.agent_id.as_deref();
    let on = agent.map(|agent| format!(" on {}", visible(agent)));
    let on = on.unwrap_or_default();
    let why = rehearsal.error_message.as_deref();
    let why = why.map(|why| format!(": {}", visible(why)));
    let why = why.unwrap_or_default();
    match rehearsal.status.as_str() {
        "waiting" => "waiting for an agent".to_owned(),
        "claimed" => format!("running{on}"),
        "done" => {
            let rows = counted(rehearsal.rows_affected.unwrap_or(0), "row");
            let ago = rehearsal.rehearsed_at.as_deref();
            let ago = ago.map(|at| format!(", {}", ages.ago(at)));
            let stale = match rehearsal.stale {
                true => "; stale: they may be others by now",
                false => "",
            };
            format!("{rows} would change{on}{}{stale}", ago.unwrap_or_default())
        }
        "failed" => format!("failed{on}{why}"),
        "unavailable" => "unavailable: no agent answered within a minute".to_owned(),
        "refused" => format!("refused{why}"),
        other => visible(other),
    }
}

fn statement_words(statement: &RehearsedReply) -> String {
    format!(
        "{} {}: {}",
        visible(&statement.kind),
        visible(&statement.table),
        counted(statement.rows, "row")
    )
}

/// What its triggers and cascades change.
fn more_words(statement: &RehearsedReply) -> Option<String> {
    let tables = statement.more.iter().flatten();
    let each: Vec<String> = tables
        .map(|t| format!("{} {}", visible(&t.table), t.rows))
        .collect();
    let words = match (each.is_empty(), statement.more_rows) {
        (false, _) => each.join(", "),
        (true, 0) => return None,
        (true, rows) => counted(rows, "row"),
    };
    Some(format!("   by its triggers and cascades: {words}"))
}
