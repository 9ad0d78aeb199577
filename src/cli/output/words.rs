//! Names and times in plain words, and texts of others made safe to look at.

use crate::clock::Timestamp;
use crate::domain::sql::{escaped, escaped_exactly};

/// Characters of an id that are shown; longer than any prefix that two ids of a list share by chance.
const SHORT: usize = 8;

/// A text of somebody else with what nobody sees written out, as `\u{202e}`. Line ends stay.
pub fn visible(text: &str) -> String {
    escaped(text).replace("\r\n", "\n")
}

/// The same of what a database reads or returns: blanks that are not those of ASCII are written out too.
pub fn exactly(text: &str) -> String {
    escaped_exactly(text).replace("\r\n", "\n")
}

/// The first characters of an id.
pub fn short_id(id: &str) -> String {
    visible(id).chars().take(SHORT).collect()
}

/// Every line of a text, two columns in.
pub fn indented(text: &str) -> String {
    let lines = text.trim_end().lines();
    lines
        .map(|line| format!("  {line}\n").replace("  \n", "\n"))
        .collect()
}

/// The lines of a statement, with the word at a byte offset underlined.
pub fn underlined(sql: &str, offset: Option<usize>) -> String {
    let Some(at) = offset.filter(|at| sql.is_char_boundary(*at) && *at < sql.len()) else {
        return indented(&exactly(sql));
    };
    let start = sql[..at].rfind('\n').map_or(0, |n| n + 1);
    let end = sql[at..].find('\n').map_or(sql.len(), |n| at + n);
    let word = sql[at..end].find(|c: char| !c.is_alphanumeric() && !"_.\"'`".contains(c));
    let word_end = word.map_or(end, |n| at + n.max(1)).max(at + 1);
    let word_end = sql.ceil_char_boundary(word_end).min(end.max(at));
    let blank = exactly(&sql[start..at]).chars().count();
    let length = exactly(&sql[at..word_end]).chars().count().max(1);
    let mark = format!("  {}{}\n", " ".repeat(blank), "~".repeat(length));
    let (before, after) = (
        &sql[..end],
        sql[end..].strip_prefix('\n').unwrap_or_default(),
    );
    let mut out = indented(&visible(before));
    out.push_str(&mark);
    if !after.trim().is_empty() {
        out.push_str(&indented(&visible(after)));
    }
    out
}

/// `group:dba` as `group dba`.
pub fn selector_words(selector: &str) -> String {
    visible(&selector.replacen(':', " ", 1))
}

/// A selector with the people it stands for, as far as the server names them.
pub fn approver_words(selector: &str, people: &[String], others: bool) -> String {
    let words = selector_words(selector);
    let mut names: Vec<String> = people.iter().map(|id| visible(id)).collect();
    let is_named = selector.starts_with("user:") || names.is_empty();
    match others {
        _ if is_named => return words,
        true => names.push("others".to_owned()),
        false => {}
    }
    format!("{words} ({})", names.join(", "))
}

/// What an operation is, in a word.
pub fn operation_words(operation: &str) -> &str {
    match operation {
        "execute_select" => "read",
        "execute_dml" => "write",
        "migrate_up" => "migration",
        "migrate_down" => "migration back",
        "migrate_status" => "migration status",
        "migrate_repair" => "migration repair",
        other => other,
    }
}

/// What policies decide of a request, in words.
pub fn decision_words(decision: &str) -> String {
    match decision {
        "needs_approval" => "needs approval".to_owned(),
        "auto_approved" => "runs without approval".to_owned(),
        "deny" => "refused".to_owned(),
        other => visible(other),
    }
}

/// Why they decide so, in words.
pub fn reason_words(code: &str) -> String {
    let words = match code {
        "no_matching_workflow" => "no workflow takes it",
        "empty_steps" => "its workflow has no steps",
        "read_only_low_risk" => "what only reads is approved automatically",
        "risk_unknown_until_analyzed" => {
            "whether it can do without depends on the statement: add --sql"
        }
        "break_glass" => "it is an emergency",
        "no_auto_approve_rule" => "no rule approves it automatically",
        "auto_approve_disabled" => "automatic approval is off",
        "risk_unavailable" => "its risk is not known well enough for automatic approval",
        "unknown_function" => "it calls a function that is not known to be free of side effects",
        "risk_below_threshold" => "its risk is low enough for automatic approval",
        "risk_above_threshold" => "its risk is too high for automatic approval",
        "no_eligible_approver" => "nobody could approve it",
        "sql_rejected" => "statements of this kind are never run",
        "sql_blocked_by_review" => "a review rule blocks it",
        "sql_unparsable" => "it cannot be read, and nobody would look at it before it ran",
        "reason_required" => "it needs a reason",
        "forbidden" => "you may not ask for it",
        "db_not_registered" | "database_not_registered" => "the database is not registered",
        other => return visible(&other.replace('_', " ")),
    };
    words.to_owned()
}

/// What makes a risk, in words, with what nobody sees written out.
pub fn factor_words(factor: &str) -> String {
    visible(&crate::domain::risk::factor_words(factor))
}

/// What a status means to somebody who waits.
pub fn status_words(status: &str) -> &str {
    match status {
        "pending" => "waiting for approval",
        "approved" => "approved, not yet sent to an agent",
        "auto_approved" => "allowed without approval, not yet sent to an agent",
        "break_glass" => "an emergency, not yet sent to an agent",
        "dispatched" => "waiting for an agent",
        "running" => "running",
        "executed" => "executed",
        "failed" => "failed",
        "rejected" => "rejected",
        "cancelled" => "cancelled",
        "expired" => "expired",
        "execution_lost" => "lost: the agent went silent, and whether it took effect is unknown",
        other => other,
    }
}

/// Times as people say them, seen from now.
#[derive(Debug, Clone, Copy)]
pub struct Ages {
    pub now: Timestamp,
}

impl Ages {
    /// `4 min ago (2026-01-02 03:04 CET)`.
    pub fn full(self, time: &str) -> String {
        match Timestamp::parse(time) {
            Some(at) => format!("{} ({})", self.relative(at), at.local()),
            None => visible(time),
        }
    }

    /// `4 min ago` or `in 3 h`.
    pub fn ago(self, time: &str) -> String {
        Timestamp::parse(time).map_or_else(|| visible(time), |at| self.relative(at))
    }

    /// How long ago, alone: `4 min`.
    pub fn age(self, time: &str) -> String {
        Timestamp::parse(time).map_or_else(|| visible(time), |at| span(self.now.since(at) / 1000))
    }

    fn relative(self, at: Timestamp) -> String {
        if at > self.now {
            return format!("in {}", span(at.since(self.now) / 1000));
        }
        match self.now.since(at) / 1000 {
            0..5 => "just now".to_owned(),
            secs => format!("{} ago", span(secs)),
        }
    }
}

/// A length of time in its largest unit.
pub fn span(secs: u64) -> String {
    match secs {
        0..60 => format!("{secs} s"),
        60..3600 => format!("{} min", secs / 60),
        3600..172_800 => format!("{} h", secs / 3600),
        _ => format!("{} days", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_finding_is_underlined() {
        let sql = "UPDATE a\nSET b = 1\nWHERE c";
        assert_eq!(
            underlined(sql, Some(13)),
            "  UPDATE a\n  SET b = 1\n      ~\n  WHERE c\n"
        );
        assert_eq!(
            underlined("DELETE FROM t", Some(0)),
            "  DELETE FROM t\n  ~~~~~~\n"
        );
        assert_eq!(
            underlined("é\u{202e}x y", Some(5)),
            "  é\\u{202e}x y\n           ~\n"
        );
        for at in 0..40 {
            underlined("a é\u{202e}\n'日本", Some(at));
        }
    }

    #[test]
    fn codes_of_decisions_are_put_in_words() {
        // Every code that a decision or a resolution can give, by the places that make them.
        let made = concat!(
            include_str!("../../domain/decision/mod.rs"),
            include_str!("../../actions/resolve_policy.rs")
        );
        let is_code = |text: &&str| {
            text.contains('_') && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        let codes: Vec<&str> = made.split('"').filter(is_code).collect();
        assert!(codes.len() > 10, "{codes:?}");
        for code in codes {
            let is_decision = decision_words(code) != code;
            let in_words = reason_words(code) != code.replace('_', " ");
            assert!(is_decision || in_words, "{code}");
        }
    }

    #[test]
    fn factors_of_a_risk_are_put_in_words() {
        for (factor, words) in [
            ("ReadOnly", "it only reads"),
            ("ManyWarnings { count: 4 }", "4 findings"),
            (
                "UnknownTable { table: \"items\" }",
                "items is not a known table",
            ),
            (
                "CascadeDelete { targets: [\"a\", \"b\"] }",
                "deleting goes on in a, b",
            ),
            (
                "CommitsAtOnce { statements: [2, 3] }",
                "commits at once, with all before it: statement 2, 3",
            ),
            (
                "NotTransactional { table: \"m\" }",
                "changes of m stay even if it fails",
            ),
            ("Later\u{1b} { x: 1 }", "Later\\u{1b} { x: 1 }"),
        ] {
            assert_eq!(factor_words(factor), words);
        }
    }

    #[test]
    fn times_are_counted_from_now() {
        let ages = Ages {
            now: Timestamp(100_000_000),
        };
        for (ms, words) in [
            (99_999_000, "just now"),
            (99_980_000, "20 s ago"),
            (99_700_000, "5 min ago"),
            (90_000_000, "2 h ago"),
            (-200_000_000, "3 days ago"),
            (100_120_000, "in 2 min"),
        ] {
            assert_eq!(ages.ago(&Timestamp(ms).rfc3339()), words);
        }
        assert_eq!(ages.ago("\u{1b}x"), "\\u{1b}x");
    }
}
