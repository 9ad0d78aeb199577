//! Messages of MySQL and MariaDB without the values of rows that they quote. The rule: the number, the SQLSTATE and what
//! is known to name only tables, columns and the like stay; of everything else, what a procedure raises included, only
//! that it happened.

use crate::agent::drivers::WITHHELD;

/// Longest name that is passed on, in bytes.
const NAME_BYTES_MAX: usize = 600;

/// Messages that quote names only, with `*` for each. Sorted by number.
const NAMES_ONLY: &[(u16, &str)] = &[
    (1007, "Can't create database '*'; database exists"),
    (1008, "Can't drop database '*'; database doesn't exist"),
    (1022, "Can't write; duplicate key in table '*'"),
    (1046, "No database selected"),
    (1048, "Column '*' cannot be null"),
    (1049, "Unknown database '*'"),
    (1050, "Table '*' already exists"),
    (1051, "Unknown table '*'"),
    (1052, "Column '*' in * is ambiguous"),
    (1054, "Unknown column '*' in '*'"),
    (1060, "Duplicate column name '*'"),
    (1061, "Duplicate key name '*'"),
    (1072, "Key column '*' doesn't exist in table"),
    (1091, "Can't DROP *; check that it exists"),
    (1091, "Can't DROP '*'; check that column/key exists"),
    (1109, "Unknown table '*' in *"),
    (1110, "Column '*' specified twice"),
    (1136, "Column count doesn't match value count at row *"),
    (1146, "Table '*' doesn't exist"),
    (1176, "Key '*' doesn't exist in table '*'"),
    (1193, "Unknown system variable '*'"),
    (
        1205,
        "Lock wait timeout exceeded; try restarting transaction",
    ),
    (
        1213,
        "Deadlock found when trying to get lock; try restarting transaction",
    ),
    (
        1216,
        "Cannot add or update a child row: a foreign key constraint fails",
    ),
    (
        1217,
        "Cannot delete or update a parent row: a foreign key constraint fails",
    ),
    (1242, "Subquery returns more than 1 row"),
    (1264, "Out of range value for column '*' at row *"),
    (1265, "Data truncated for column '*' at row *"),
    (
        1290,
        "The * server is running with the * option so it cannot execute this statement",
    ),
    (1305, "EVENT * does not exist"),
    (1305, "FUNCTION * does not exist"),
    (1305, "PROCEDURE * does not exist"),
    (1305, "SAVEPOINT * does not exist"),
    (1305, "TRIGGER * does not exist"),
    (1317, "Query execution was interrupted"),
    (
        1318,
        "Incorrect number of arguments for *; expected *, got *",
    ),
    (
        1345,
        "EXPLAIN/SHOW can not be issued; lacking privileges for underlying table",
    ),
    (1348, "Column '*' is not updatable"),
    (1364, "Field '*' doesn't have a default value"),
    (1365, "Division by 0"),
    (1406, "Data too long for column '*' at row *"),
    (
        1451,
        "Cannot delete or update a parent row: a foreign key constraint fails (*)",
    ),
    (
        1452,
        "Cannot add or update a child row: a foreign key constraint fails (*)",
    ),
    (
        1553,
        "Cannot drop index '*': needed in a foreign key constraint",
    ),
    (1792, "Cannot execute statement in a READ ONLY transaction"),
    (1792, "Cannot execute statement in a READ ONLY transaction."),
    (1927, "Connection was killed"),
    (
        1969,
        "Query execution was interrupted (max_statement_time exceeded)",
    ),
    (
        3024,
        "Query execution was interrupted, maximum statement execution time exceeded",
    ),
    (3819, "Check constraint '*' is violated."),
    (4025, "CONSTRAINT * failed for *"),
];

/// Ends of messages after the value that they quote: where it was to go.
const PLACES: [&str; 4] = [
    " for column '*' at row *",
    " for column * at row *",
    " for function *",
    " for key '*'",
];

/// Begins the SQLSTATE that a procedure raises, whatever number it gives itself; the servers raise none of the class.
const RAISED: &str = "45";

/// The message without what it may quote of rows; `None` where it quotes none.
pub(super) fn without_values(code: u16, state: &str, message: &str) -> Option<String> {
    if state.starts_with(RAISED) {
        return Some(WITHHELD.to_owned());
    }
    let known = NAMES_ONLY.iter().filter(|(of, _)| *of == code);
    if known.into_iter().any(|(_, shape)| fits(shape, message)) {
        return None;
    }
    let words = match code {
        1044 | 1045 | 1130 | 1698 => Some("the database refuses the user".to_owned()),
        1142 | 1143 | 1227 | 1370 => Some("the agent's user lacks a privilege for it".to_owned()),
        1062 | 1586 => around(message, "Duplicate entry"),
        1064 => Some(syntax(message)),
        1292 | 1366 | 1411 => of_type(message),
        1690 => out_of_range(message),
        _ => None,
    };
    Some(words.unwrap_or_else(|| WITHHELD.to_owned()))
}

/// `begins`, and the place that the message ends with.
fn around(message: &str, begins: &str) -> Option<String> {
    message.starts_with(begins).then(|| {
        let place = place(message).unwrap_or_default();
        format!("{begins}{place}")
    })
}

/// Where the value was to go, from the end of the message.
fn place(message: &str) -> Option<&str> {
    let at = message.rfind("' for ")? + 1;
    let place = message.get(at..)?;
    PLACES
        .iter()
        .any(|shape| fits(shape, place))
        .then_some(place)
}

/// `Incorrect integer value: 'VALUE' for column ..`: what is wrong, and where.
fn of_type(message: &str) -> Option<String> {
    let (what, _) = message.split_once(": '")?;
    let words = what.bytes().all(|b| b.is_ascii_alphabetic() || b == b' ');
    words.then(|| {
        let place = place(message).unwrap_or_default();
        format!("{what}{place}")
    })
}

/// `BIGINT value is out of range in 'EXPRESSION'`
fn out_of_range(message: &str) -> Option<String> {
    let (what, _) = message.split_once(" in '")?;
    fits("* value is out of range", what).then(|| what.to_owned())
}

/// A syntax error quotes the text from where it cannot be read on.
fn syntax(message: &str) -> String {
    let line = message.rsplit_once(" at line ").map(|(_, line)| line);
    match line.filter(|line| line.bytes().all(|b| b.is_ascii_digit())) {
        Some(line) => format!("an error in the SQL syntax at line {line}"),
        None => "an error in the SQL syntax".to_owned(),
    }
}

/// Whether `message` is of `shape`, with a name for each `*`.
fn fits(shape: &str, message: &str) -> bool {
    let mut parts = shape.split('*');
    let Some(mut rest) = message.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let at = match (part.is_empty() && parts.peek().is_none(), parts.peek()) {
            (true, _) => Some(rest.len()),
            // The last part ends the message.
            (false, None) => rest
                .len()
                .checked_sub(part.len())
                .filter(|_| rest.ends_with(part)),
            (false, Some(_)) => rest.find(part),
        };
        let Some(at) = at.filter(|at| rest.get(..*at).is_some_and(is_name)) else {
            return false;
        };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.is_empty()
}

/// Whether `text` looks like names: of tables, columns, constraints and their like, several of them in a definition.
fn is_name(text: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || "_$.-` (),".contains(c);
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.chars().all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_rows_are_left_out_of_messages() {
        for (code, message, expected) in [
            (
                1062,
                "Duplicate entry 'a' for key 'b@c' for key 'email'",
                Some("Duplicate entry for key 'email'"),
            ),
            (
                1062,
                "Duplicate entry 'a' for key 'b@c'",
                Some("Duplicate entry"),
            ),
            (
                1366,
                "Incorrect integer value: 'x' for column `a`.`b`.`c` at row 1",
                Some("Incorrect integer value for column `a`.`b`.`c` at row 1"),
            ),
            (
                1292,
                "Truncated incorrect DOUBLE value: 'x'",
                Some("Truncated incorrect DOUBLE value"),
            ),
            (
                1292,
                "Truncated incorrect DOUBLE value: 'a' for ann@example.com'",
                Some("Truncated incorrect DOUBLE value"),
            ),
            (
                1411,
                "Incorrect datetime value: '2020-13' for function str_to_date",
                Some("Incorrect datetime value for function str_to_date"),
            ),
            (
                1690,
                "BIGINT UNSIGNED value is out of range in '(`t`.`v` - 4711)'",
                Some("BIGINT UNSIGNED value is out of range"),
            ),
            (1644, "ann@example.com has no money", Some(WITHHELD)),
            (1105, "XPATH syntax error: 'ann'", Some(WITHHELD)),
            (1526, "Table has no partition for value 77", Some(WITHHELD)),
            (
                1064,
                "You have an error in your SQL syntax; near 'x = 'ann'' at line 3",
                Some("an error in the SQL syntax at line 3"),
            ),
        ] {
            assert_eq!(
                without_values(code, "HY000", message).as_deref(),
                expected,
                "{message}"
            );
        }
    }

    #[test]
    fn names_are_left_in_messages() {
        for (code, message, expected) in [
            // Raised by a procedure under the number of another error.
            (1146, "ann@example.com is missing", Some(WITHHELD)),
            (
                1146,
                "Table 'ann@example.com' doesn't exist",
                Some(WITHHELD),
            ),
            (1146, "Table 'a.b' doesn't exist", None),
            (1406, "Data too long for column 'v' at row 1", None),
            (1305, "PROCEDURE app.p does not exist", None),
            (4025, "CONSTRAINT `c` failed for `a`.`t`", None),
            (
                1452,
                "Cannot add or update a child row: a foreign key constraint fails (`d`.`c`, CONSTRAINT `k` \
                 FOREIGN KEY (`p`) REFERENCES `p` (`id`) ON DELETE CASCADE)",
                None,
            ),
            (
                1142,
                "SELECT command denied to user 'a'@'b' for table `t`",
                Some("the agent's user lacks a privilege for it"),
            ),
        ] {
            assert_eq!(
                without_values(code, "HY000", message).as_deref(),
                expected,
                "{message}"
            );
        }
        let raised = without_values(1305, "45000", "PROCEDURE Ann does not exist");
        assert_eq!(raised.as_deref(), Some(WITHHELD));
        let unlike = without_values(1305, "42000", "Ann does not exist");
        assert_eq!(unlike.as_deref(), Some(WITHHELD));
        assert!(NAMES_ONLY.is_sorted_by_key(|(code, _)| code));
    }
}
