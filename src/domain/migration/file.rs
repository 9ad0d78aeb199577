//! Migrations in the files of dbmate: a section after `-- migrate:up`, one after `-- migrate:down`.
//!
//! A marker is a comment on a line of its own, so what stands in a literal is not one.

use super::Direction;
use crate::domain::dialect::Dialect;
use crate::domain::sql;

/// The part of a file that one direction runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationSection {
    pub sql: String,
    /// Whether all of it is to be one transaction.
    pub transactional: bool,
}

/// A marker line.
struct Marker {
    direction: Direction,
    line: u64,
    /// Byte offsets of its line, and of the line after it.
    begin: usize,
    end: usize,
    transactional: bool,
}

/// The section of `direction` in `text`; the whole text where it has no marker.
///
/// # Errors
/// The sentence that names what is wrong with the markers.
pub fn section(
    text: &str,
    direction: Direction,
    dialect: Dialect,
) -> Result<MigrationSection, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let markers = markers(text, dialect)?;
    let Some(first) = markers.first() else {
        return Ok(MigrationSection {
            sql: text.to_owned(),
            transactional: true,
        });
    };
    let before = text.get(..first.begin).unwrap_or_default();
    if !sql::statements(before, dialect).is_ok_and(|found| found.is_empty()) {
        return Err(format!(
            "there is SQL before its first marker, at line {}",
            first.line
        ));
    }
    let mut of_direction = (0..markers.len()).filter(|&i| markers[i].direction == direction);
    let name = direction.as_str();
    let Some(at) = of_direction.next() else {
        return Err(format!("it has no section `-- migrate:{name}`"));
    };
    if let Some(second) = of_direction.next() {
        return Err(format!(
            "it has a second section `-- migrate:{name}`, at line {}",
            markers[second].line
        ));
    }
    let end = markers.get(at + 1).map_or(text.len(), |next| next.begin);
    Ok(MigrationSection {
        sql: text
            .get(markers[at].end..end)
            .unwrap_or_default()
            .to_owned(),
        transactional: markers[at].transactional,
    })
}

fn markers(text: &str, dialect: Dialect) -> Result<Vec<Marker>, String> {
    let comments = sql::comments(text, dialect);
    let (mut found, mut begin, mut comment) = (Vec::new(), 0, 0);
    for (line, number) in text.split_inclusive('\n').zip(1_u64..) {
        let end = begin + line.len();
        while comments.get(comment).is_some_and(|(at, _)| *at < number) {
            comment += 1;
        }
        let indent = line.len() - line.trim_start().len();
        let starts = comments.get(comment).is_some_and(|(at, column)| {
            *at == number
                && line.chars().take_while(|c| c.is_whitespace()).count() as u64 + 1 == *column
        });
        if let (true, Some(rest)) = (
            starts,
            line.get(indent..).and_then(|l| l.strip_prefix("--")),
        ) && let Some((direction, options)) = parsed(rest.trim())
        {
            found.push(Marker {
                direction,
                line: number,
                begin,
                end,
                transactional: transactional(options).map_err(|option| {
                    format!("line {number} has an option that is not known: `{option}`")
                })?,
            });
        }
        begin = end;
    }
    Ok(found)
}

/// Direction and options of `migrate:up ...`.
fn parsed(text: &str) -> Option<(Direction, &str)> {
    let rest = text.strip_prefix("migrate:")?;
    [Direction::Up, Direction::Down]
        .into_iter()
        .find_map(|direction| {
            let options = rest.strip_prefix(direction.as_str())?;
            let ends = options.is_empty() || options.starts_with(char::is_whitespace);
            ends.then_some((direction, options))
        })
}

fn transactional(options: &str) -> Result<bool, String> {
    let mut transactional = true;
    for option in options.split_whitespace() {
        match option {
            "transaction:false" => transactional = false,
            "transaction:true" => transactional = true,
            other => return Err(crate::error::Shown(other).to_string()),
        }
    }
    Ok(transactional)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections(text: &str) -> [Result<(String, bool), String>; 2] {
        [Direction::Up, Direction::Down].map(|direction| {
            section(text, direction, Dialect::Postgres).map(|s| (s.sql, s.transactional))
        })
    }

    fn both(up: &str, down: &str) -> [Result<(String, bool), String>; 2] {
        [Ok((up.to_owned(), true)), Ok((down.to_owned(), true))]
    }

    #[test]
    fn sections_are_found_in_every_spelling_of_a_file() {
        for (text, expected) in [
            ("-- migrate:up\nA\n-- migrate:down\nB\n", both("A\n", "B\n")),
            (
                "\u{feff}-- migrate:up\r\nA\r\n  --  migrate:down  \r\nB",
                both("A\r\n", "B"),
            ),
            (
                "-- why\n/* x */\n--migrate:up\nA;\n-- migrate:down",
                both("A;\n", ""),
            ),
            (
                "-- migrate:up\nSELECT '\n-- migrate:down\n', $$\n-- migrate:up\n$$;\n-- migrate:down\nB",
                both(
                    "SELECT '\n-- migrate:down\n', $$\n-- migrate:up\n$$;\n",
                    "B",
                ),
            ),
            (
                "SELECT 1 -- migrate:down\n",
                both("SELECT 1 -- migrate:down\n", "SELECT 1 -- migrate:down\n"),
            ),
            (
                "-- migrate:upward\nA",
                both("-- migrate:upward\nA", "-- migrate:upward\nA"),
            ),
        ] {
            assert_eq!(sections(text), expected, "{text}");
        }
        let alone = "-- migrate:up transaction:false\nA\n-- migrate:down\nB";
        assert_eq!(
            sections(alone),
            [Ok(("A\n".to_owned(), false)), Ok(("B".to_owned(), true))]
        );
    }

    #[test]
    fn markers_that_cannot_be_meant_so_are_errors() {
        for (text, message) in [
            (
                "-- migrate:up\nA\n-- migrate:up\nB",
                "a second section `-- migrate:up`, at line 3",
            ),
            (
                "A;\n-- migrate:up\nB",
                "SQL before its first marker, at line 2",
            ),
            (
                "-- migrate:up transaction:no\nA",
                "an option that is not known: `transaction:no`",
            ),
            ("-- migrate:down\nA", "no section `-- migrate:up`"),
        ] {
            let error = section(text, Direction::Up, Dialect::Postgres).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
