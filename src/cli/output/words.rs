//! Names and times in plain words, and texts of others made safe to look at.

use crate::clock::Timestamp;
use crate::domain::sql::escaped;

/// Characters of an id that are shown; longer than any prefix that two ids of a list share by chance.
const SHORT: usize = 8;

/// A text of somebody else with what nobody sees written out, as `\u{202e}`. Line ends stay.
pub fn visible(text: &str) -> String {
    escaped(text).replace("\r\n", "\n")
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
        return indented(&visible(sql));
    };
    let start = sql[..at].rfind('\n').map_or(0, |n| n + 1);
    let end = sql[at..].find('\n').map_or(sql.len(), |n| at + n);
    let word = sql[at..end].find(|c: char| !c.is_alphanumeric() && !"_.\"'`".contains(c));
    let word_end = word.map_or(end, |n| at + n.max(1)).max(at + 1);
    let word_end = sql.ceil_char_boundary(word_end).min(end.max(at));
    let blank = visible(&sql[start..at]).chars().count();
    let length = visible(&sql[at..word_end]).chars().count().max(1);
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
