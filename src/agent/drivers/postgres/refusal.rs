//! What PostgreSQL says when it refuses, in two parts: what names objects, and what may quote values of rows. The first is
//! for everybody, the second for the requester alone.
//!
//! A SQLSTATE proves nothing by itself, since `RAISE` and the like take any. What the server itself says comes without
//! a context, which every function leaves, or from a known place in the server's source, which nobody can forge.

use crate::agent::drivers::WITHHELD;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorResponseBody;

/// The function of the server that ends a statement for its time, for a lock, or because somebody asks.
const INTERRUPTS: &str = "ProcessInterrupts";
/// SQLSTATE of a lock that was not free in time.
const LOCK_NOT_FREE: &str = "55P03";
/// Functions of the server that name constraints, tables and columns only, or nothing at all, wherever they are called
/// from.
const NAMING_ROUTINES: [&str; 13] = [
    "DeadLockReport",
    "ExecConstraints",
    "ExecEvalConstraintCheck",
    "ExecEvalConstraintNotNull",
    "ExecPartitionCheckEmitError",
    "PreventCommandIfReadOnly",
    "PreventInTransactionBlock",
    INTERRUPTS,
    "ReportNotNullViolationError",
    "_bt_check_unique",
    "check_exclusion_or_unique_constraint",
    "comparetup_index_btree_tiebreak",
    "ri_ReportViolation",
];
/// The function that `RAISE` of PL/pgSQL ends in.
const RAISE: &str = "exec_stmt_raise";
/// Classes of SQLSTATE whose texts name constraints and their tables.
const CONSTRAINTS: &str = "23";
/// Classes whose texts say what the server cannot do, or name what the statement names.
const NAMING_CLASSES: [&str; 15] = [
    "08", "0A", "25", "28", "2B", "34", "3D", "3F", "40", "42", "53", "54", "55", "57", "58",
];
/// A text that is too long for its type; the text names the type.
const TOO_LONG: &str = "22001";
const SYNTAX_ERROR: &str = "42601";
/// What stands between two names of one message.
const BETWEEN_NAMES: [&str; 9] = [
    " for relation ",
    " for table ",
    " for type ",
    " in schema ",
    " of relation ",
    " of table ",
    " of type ",
    " on table ",
    " to type ",
];
/// Quotation marks of the server's translations.
const OTHER_QUOTES: [char; 12] = [
    '«', '»', '„', '“', '”', '‘', '’', '‹', '›', '「', '」', '『',
];

/// An error that the server sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PgRefusal {
    /// SQLSTATE.
    pub code: String,
    /// The words of the server, or of a function that raised it.
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// The functions that it was raised in, and the statements that these ran.
    pub context: Option<String>,
    /// Whether it is about a text that a function made.
    pub internal: bool,
    /// Place in the statement, in characters from 1.
    pub position: Option<String>,
    /// The function in the server's source that raised it.
    pub routine: String,
    /// The statement of the plan that was refused; none for what is ours.
    pub statement: Option<String>,
    /// Which of several statements it is, as a beginning of the message; may be empty.
    pub label: String,
}

/// How much of a message names objects only.
enum Naming {
    All,
    /// So much of it, with its values left out.
    Part(String),
    Nothing,
}

impl PgRefusal {
    /// The error in a message of the protocol.
    pub fn of(body: &ErrorResponseBody) -> PgRefusal {
        let mut refusal = PgRefusal::default();
        let mut fields = body.fields();
        while let Ok(Some(field)) = fields.next() {
            let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => refusal.code = text,
                b'M' => refusal.message = text,
                b'D' => refusal.detail = Some(text),
                b'H' => refusal.hint = Some(text),
                b'P' => refusal.position = Some(text),
                b'W' => refusal.context = Some(text),
                b'R' => refusal.routine = text,
                b'q' => refusal.internal = true,
                _ => {}
            }
        }
        refusal
    }

    /// Whether the server itself says that the statement runs in no transaction; a function may say it of anything.
    pub fn is_of_a_transaction(&self) -> bool {
        self.code == "25001" && self.context.is_none()
    }

    /// Whether the server itself says that a lock was not free in time, wherever it was waited for.
    pub fn is_of_a_lock(&self) -> bool {
        self.code == LOCK_NOT_FREE && self.routine == INTERRUPTS
    }

    /// The sentence for everybody, with SQLSTATE; and apart from it all that may quote values of rows.
    pub fn described(self) -> (String, Option<String>) {
        let naming = self.naming();
        let (shown, whole) = match &naming {
            Naming::All => (self.message.as_str(), true),
            Naming::Part(part) => (part.as_str(), false),
            Naming::Nothing => (WITHHELD, false),
        };
        let mut message = format!("{}{shown} (SQLSTATE {})", self.label, self.code);
        if let Some(position) = &self.position {
            message.push_str(&format!(" at character {position}"));
        }
        let mut apart = Vec::new();
        if !whole {
            apart.push(self.message);
        }
        apart.extend(self.detail);
        match self.hint {
            Some(hint) if whole => message.push_str(&format!("; {hint}")),
            hint => apart.extend(hint.map(|hint| format!("HINT: {hint}"))),
        }
        apart.extend(self.context.map(|context| format!("CONTEXT: {context}")));
        (message, (!apart.is_empty()).then(|| apart.join("; ")))
    }

    fn naming(&self) -> Naming {
        let class = self.code.get(..2).unwrap_or_default();
        if NAMING_ROUTINES.contains(&self.routine.as_str()) {
            return Naming::All;
        }
        if self.context.is_some() || self.internal || self.routine == RAISE {
            return Naming::Nothing;
        }
        let whole = match class {
            CONSTRAINTS => true,
            "22" => self.code == TOO_LONG,
            class => NAMING_CLASSES.contains(&class) && self.names_what_is_written(),
        };
        match whole {
            true => Naming::All,
            false => without_values(&self.message),
        }
    }

    /// Whether it is about a place in the statement, or quotes only what stands in it: `'x'::regclass` says a value where
    /// others say a name.
    fn names_what_is_written(&self) -> bool {
        let Some(statement) = &self.statement else {
            return true;
        };
        // It quotes whatever stands there, a value as well.
        if self.code == SYNTAX_ERROR {
            return false;
        }
        if self.position.is_some() {
            return true;
        }
        // A value may hold quotes itself.
        let parts: Vec<&str> = self.message.split('"').collect();
        let even = parts.len() % 2 == 1 && !self.message.contains(OTHER_QUOTES);
        let last = parts.len() - 1;
        let statement = unquoted(statement);
        let mut named = parts
            .iter()
            .enumerate()
            .skip(1)
            .take_while(|(n, _)| *n < last);
        even && named.all(|(n, part)| match n % 2 {
            0 => BETWEEN_NAMES.contains(part),
            _ => is_written(&unquoted(part), &statement),
        })
    }
}

/// A text in lower case, without the quotes of names and without blanks around their dots.
fn unquoted(text: &str) -> String {
    let bare = text.to_lowercase().replace('"', "");
    let parts: Vec<&str> = bare.split('.').map(str::trim).collect();
    parts.join(".")
}

/// Whether `name` stands in `statement` as a whole, or after a schema.
fn is_written(name: &str, statement: &str) -> bool {
    let in_name = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || c == '@';
    !name.is_empty()
        && statement.match_indices(name).any(|(at, _)| {
            let before = statement[..at].chars().next_back();
            let after = statement[at + name.len()..].chars().next();
            !before.is_some_and(in_name) && !after.is_some_and(in_name)
        })
}

/// A message up to the first value that it may quote, and the plain words after the last one.
fn without_values(message: &str) -> Naming {
    let quotes = |c: char| c == '"' || c == ':' || c.is_ascii_digit() || OTHER_QUOTES.contains(&c);
    let Some(at) = message.find(quotes) else {
        return Naming::All;
    };
    let before = message[..at].trim_end();
    let after = message.rsplit('"').next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphabetic() || c == ' ';
    let after = match message.contains('"') && after.chars().all(plain) {
        true => after.trim(),
        false => "",
    };
    Naming::Part(match (before, after) {
        ("", "") => return Naming::Nothing,
        (before, "") => before.to_owned(),
        (before, after) => format!("{before} … {after}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: &str, message: &str) -> PgRefusal {
        PgRefusal {
            code: code.to_owned(),
            message: message.to_owned(),
            statement: Some("SELECT f(a) FROM orders".to_owned()),
            ..PgRefusal::default()
        }
    }

    fn shown(refusal: PgRefusal) -> String {
        let (message, _) = refusal.described();
        message.split(" (SQLSTATE").next().unwrap().to_owned()
    }

    #[test]
    fn the_servers_own_words_name_objects_and_no_values() {
        for (code, message, says) in [
            (
                "23505",
                "duplicate key value violates unique constraint \"u\"",
                None,
            ),
            (
                "40001",
                "could not serialize access due to concurrent update",
                None,
            ),
            ("42P01", "relation \"orders\" does not exist", None),
            ("42501", "permission denied for table orders", None),
            ("22012", "division by zero", None),
            (
                "22001",
                "value too long for type character varying(3)",
                None,
            ),
            (
                "22P02",
                "invalid input syntax for type integer: \"secret\"",
                Some("invalid input syntax for type integer"),
            ),
            (
                "22003",
                "value \"99999999999\" is out of range for type integer",
                Some("value … is out of range for type integer"),
            ),
            (
                "22003",
                "value \"a\" secret\" is out of range",
                Some("value … is out of range"),
            ),
            (
                "22021",
                "invalid byte sequence for encoding \"UTF8\": 0xff",
                Some("invalid byte sequence for encoding"),
            ),
            (
                "42P01",
                "relation \"secret\" does not exist",
                Some("relation … does not exist"),
            ),
            (
                "42601",
                "syntax error at or near \"orders\"",
                Some("syntax error at or near"),
            ),
            ("XX000", "secret", None),
        ] {
            assert_eq!(shown(refusal(code, message)), says.unwrap_or(message));
        }
    }

    #[test]
    fn only_what_stands_in_the_statement_is_named() {
        for (code, message, says) in [
            ("3F000", "schema \"orders\" does not exist", None),
            (
                "42704",
                "unrecognized configuration parameter \"a secret.\"",
                Some("unrecognized configuration parameter"),
            ),
            (
                "3F000",
                "schema \"ann@example.orders\" does not exist",
                Some("schema … does not exist"),
            ),
            (
                "3F000",
                "schema \"order\" does not exist",
                Some("schema … does not exist"),
            ),
            (
                "3F000",
                "schema \"\" does not exist",
                Some("schema … does not exist"),
            ),
            (
                "42704",
                "role \"a\" secret \"f\" does not exist",
                Some("role … does not exist"),
            ),
            (
                "42704",
                "type \"a\" secret\" does not exist",
                Some("type … does not exist"),
            ),
            ("42704", "le rôle « secret » n'existe pas", Some("le rôle")),
        ] {
            assert_eq!(shown(refusal(code, message)), says.unwrap_or(message));
        }
    }

    #[test]
    fn words_of_functions_are_for_the_requester_alone() {
        for code in ["P0001", "23505", "42P01", "22001"] {
            let raised = PgRefusal {
                hint: Some("ask secret".to_owned()),
                context: Some("PL/pgSQL function f() line 3 at RAISE".to_owned()),
                ..refusal(code, "no secret here")
            };
            let (message, apart) = raised.described();
            assert_eq!(message, format!("{WITHHELD} (SQLSTATE {code})"));
            let all =
                "no secret here; HINT: ask secret; CONTEXT: PL/pgSQL function f() line 3 at RAISE";
            assert_eq!(apart.as_deref(), Some(all));
        }
        let inside = PgRefusal {
            context: Some("SQL statement \"INSERT\"".to_owned()),
            routine: "ri_ReportViolation".to_owned(),
            ..refusal("23503", "violates foreign key constraint \"k\"")
        };
        assert_eq!(shown(inside), "violates foreign key constraint \"k\"");
        for forged in [
            PgRefusal {
                routine: RAISE.to_owned(),
                ..refusal("23505", "secret")
            },
            PgRefusal {
                internal: true,
                ..refusal("42601", "secret")
            },
        ] {
            assert_eq!(shown(forged), WITHHELD);
        }
    }
}
