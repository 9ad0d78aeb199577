//! Names and identifiers, checked where they enter: database, environment, operation, selector, and UUIDs.

use super::characters::is_invisible;
use crate::error::{Error, Shown};
use std::fmt;

/// Longest name of a database or an environment, in bytes.
pub const NAME_BYTES_MAX: usize = 63;

/// Whether `text` has the form of a name: 1 to 63 bytes, first a lower-case letter, then `[a-z0-9_-]`.
pub fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let tail = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_' || *b == b'-';
    bytes.len() <= NAME_BYTES_MAX
        && bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.iter().all(tail)
}

/// Names that no person and no agent has: the server's own in the audit log, nobody's, and everybody's.
const RESERVED_SUBJECTS: [&str; 3] = ["system", "anonymous", "*"];

/// Whether `text` can be the id of a person or an agent: it fits a selector, reads as it is written, without control or
/// invisible characters or space around it, so that nobody is mistaken for somebody else in a list of approvers or in
/// the audit log, and is not one of the reserved names.
pub fn is_subject(text: &str) -> bool {
    (1..=Selector::BYTES_MAX - "group:".len()).contains(&text.len())
        && text.trim() == text
        && !text.chars().any(|c| c.is_control() || is_invisible(c))
        && !RESERVED_SUBJECTS.contains(&text)
}

/// Whether `text` has the shape of a UUID: 36 characters, lower-case hexadecimal with hyphens in their places.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(n, b)| match n {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        })
}

/// One database in one environment: where a request runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    database: String,
    environment: String,
}

impl Target {
    /// Both names, checked.
    ///
    /// # Errors
    /// `validation_error` naming the field.
    pub fn new(database: &str, environment: &str) -> Result<Target, Error> {
        for (field, value) in [("database", database), ("environment", environment)] {
            if !is_name(value) {
                return Err(
                    Error::invalid(format!("{field} `{}` is not a name", Shown(value)))
                        .hint("1 to 63 characters: a lower-case letter, then a-z, 0-9, `_`, `-`"),
                );
            }
        }
        Ok(Target {
            database: database.to_owned(),
            environment: environment.to_owned(),
        })
    }

    /// Name of the database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Name of the environment.
    pub fn environment(&self) -> &str {
        &self.environment
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.database, self.environment)
    }
}

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// A statement that only reads.
    ExecuteSelect,
    /// Everything else that is one piece of SQL text.
    ExecuteDml,
    MigrateUp,
    MigrateDown,
    MigrateStatus,
    /// Repairs the table of applied migrations.
    MigrateRepair,
}

impl Operation {
    /// All six, in the order of the reference.
    pub const ALL: [Operation; 6] = [
        Operation::ExecuteSelect,
        Operation::ExecuteDml,
        Operation::MigrateUp,
        Operation::MigrateDown,
        Operation::MigrateStatus,
        Operation::MigrateRepair,
    ];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::ExecuteSelect => "execute_select",
            Operation::ExecuteDml => "execute_dml",
            Operation::MigrateUp => "migrate_up",
            Operation::MigrateDown => "migrate_down",
            Operation::MigrateStatus => "migrate_status",
            Operation::MigrateRepair => "migrate_repair",
        }
    }

    /// The operation of that exact name.
    pub fn parse(text: &str) -> Option<Operation> {
        Operation::ALL.into_iter().find(|op| op.as_str() == text)
    }

    /// What a client may write: the names, and `execute_query`, `execute`, `query` and nothing at all for
    /// [`Operation::ExecuteSelect`], which classification then settles.
    pub fn parse_input(text: &str) -> Option<Operation> {
        match text {
            "" | "execute_query" | "execute" | "query" => Some(Operation::ExecuteSelect),
            other => Operation::parse(other),
        }
    }

    /// What a filter may name: the names, and `execute_query`, `execute` and `query` for both that carry SQL, as
    /// classification may have settled either.
    pub fn parse_filter(text: &str) -> Option<Vec<Operation>> {
        match text {
            "execute_query" | "execute" | "query" => {
                Some(vec![Operation::ExecuteSelect, Operation::ExecuteDml])
            }
            other => Operation::parse(other).map(|one| vec![one]),
        }
    }

    /// Whether this operation carries SQL that the server classifies; the others carry migrations.
    pub fn is_execute(self) -> bool {
        matches!(self, Operation::ExecuteSelect | Operation::ExecuteDml)
    }

    /// Whether the operation only reads, so that losing it loses nothing.
    pub fn is_read(self) -> bool {
        matches!(self, Operation::ExecuteSelect | Operation::MigrateStatus)
    }

    /// Whether the operation changes migrations; only one such runs on a target at a time.
    pub fn is_migration_change(self) -> bool {
        matches!(
            self,
            Operation::MigrateUp | Operation::MigrateDown | Operation::MigrateRepair
        )
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names a set of people: `requester`, `role:x`, `group:x` or `user:x`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selector {
    /// The person who made the request; only where results are shared, never as an approver.
    Requester,
    /// Everybody who holds a role that covers the request.
    Role(String),
    /// Everybody in a group.
    Group(String),
    User(String),
}

impl Selector {
    /// Longest selector, in bytes.
    pub const BYTES_MAX: usize = 255;

    /// Reads a selector; `None` for an unknown prefix, a missing value or too long a text.
    pub fn parse(text: &str) -> Option<Selector> {
        if text == "requester" {
            return Some(Selector::Requester);
        }
        if text.len() > Selector::BYTES_MAX || text.chars().any(char::is_control) {
            return None;
        }
        let (kind, value) = text.split_once(':')?;
        if value.is_empty() {
            return None;
        }
        let value = value.to_owned();
        match kind {
            "role" => Some(Selector::Role(value)),
            "group" => Some(Selector::Group(value)),
            "user" => Some(Selector::User(value)),
            _ => None,
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Requester => f.write_str("requester"),
            Selector::Role(v) => write!(f, "role:{v}"),
            Selector::Group(v) => write!(f, "group:{v}"),
            Selector::User(v) => write!(f, "user:{v}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_read_as_written_and_stand_for_nobody_else() {
        for good in [
            "a",
            "first.last@example.com",
            "auth0|42",
            "Zo\u{eb}",
            "role:x",
            "requester",
        ] {
            assert!(is_subject(good), "{good}");
        }
        for bad in [
            "",
            " a",
            "a ",
            "a\u{a0}",
            "\u{2003}a",
            "a\0b",
            "a\u{85}b",
            "a\u{ad}b",
            "a\u{200b}b",
            "a\u{200d}b",
            "\u{202e}a",
            "a\u{2066}b",
            "a\u{feff}",
            "a\u{e0041}",
            "system",
            "anonymous",
            "*",
        ] {
            assert!(!is_subject(bad), "{bad:?}");
        }
        let width = |n: usize| is_subject(&"x".repeat(n));
        assert_eq!((width(249), width(250)), (true, false));
    }
}
