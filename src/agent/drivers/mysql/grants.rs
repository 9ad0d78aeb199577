//! What the agent's user holds, by its grants and those of its roles that are on.

/// The grants of a session.
#[derive(Debug, Default)]
pub(super) struct Grants(Vec<Grant>);

#[derive(Debug)]
struct Grant {
    /// In upper case; `ALL PRIVILEGES` for all.
    privileges: Vec<String>,
    /// A pattern as after LIKE, or `*` for every schema.
    schema: String,
    /// `*` for every table.
    table: String,
}

impl Grants {
    /// Reads the lines of `SHOW GRANTS`. A line that grants nothing on tables, or is not understood, says nothing.
    pub(super) fn read(lines: impl IntoIterator<Item = String>) -> Grants {
        Grants(lines.into_iter().filter_map(|line| grant(&line)).collect())
    }

    /// Whether `privilege` is held on a table, as far as the grants say.
    pub(super) fn holds(&self, privilege: &str, schema: &str, table: &str) -> bool {
        self.0.iter().any(|grant| {
            grant.gives(privilege)
                && (grant.schema == "*" || like(&grant.schema, schema))
                && (grant.table == "*" || grant.table == table)
        })
    }

    /// Whether `privilege` is held on everything.
    pub(super) fn holds_everywhere(&self, privilege: &str) -> bool {
        let everywhere = |grant: &&Grant| grant.schema == "*" && grant.table == "*";
        self.0.iter().filter(everywhere).any(|g| g.gives(privilege))
    }
}

impl Grant {
    fn gives(&self, privilege: &str) -> bool {
        let named = |own: &String| own == privilege || own == "ALL PRIVILEGES" || own == "ALL";
        self.privileges.iter().any(named)
    }
}

/// ``GRANT SELECT, TRIGGER ON `app`.* TO `agent`@`%` ``
fn grant(line: &str) -> Option<Grant> {
    let (privileges, rest) = line.strip_prefix("GRANT ")?.split_once(" ON ")?;
    // A privilege on columns alone is not one on the table.
    let privileges = privileges.split(',').map(str::trim);
    let privileges = privileges.filter(|p| !p.contains(['(', ')']));
    let (schema, rest) = part(rest)?;
    let (table, rest) = part(rest.strip_prefix('.')?)?;
    rest.starts_with(" TO ").then(|| Grant {
        privileges: privileges.map(str::to_ascii_uppercase).collect(),
        schema,
        table,
    })
}

/// A quoted name, or `*`, and what follows it.
fn part(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('*') {
        return Some(("*".to_owned(), rest));
    }
    let mut name = String::new();
    let mut rest = text.strip_prefix('`')?;
    loop {
        let (before, after) = rest.split_once('`')?;
        name.push_str(before);
        match after.strip_prefix('`') {
            Some(more) => {
                name.push('`');
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

/// Whether `text` is like `pattern`: `%` for anything, `_` for one character, a backslash before what means itself.
fn like(pattern: &str, text: &str) -> bool {
    let mut pattern_rest = pattern.chars();
    let mut text_rest = text.chars();
    match pattern_rest.next() {
        None => text.is_empty(),
        Some('%') => {
            let rest = pattern_rest.as_str();
            (0..=text.len())
                .filter(|at| text.is_char_boundary(*at))
                .any(|at| like(rest, &text[at..]))
        }
        Some('_') => text_rest.next().is_some() && like(pattern_rest.as_str(), text_rest.as_str()),
        Some('\\') => {
            let same = pattern_rest.next() == text_rest.next();
            same && like(pattern_rest.as_str(), text_rest.as_str())
        }
        Some(c) => text_rest.next() == Some(c) && like(pattern_rest.as_str(), text_rest.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_privilege_is_held_where_the_grants_say_so() {
        let grants = Grants::read(
            [
                "GRANT `r` TO `a`@`%`",
                "GRANT USAGE ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*X ON `z`.* TO'",
                "GRANT SELECT, TRIGGER ON `app\\_1`.* TO `a`@`%`",
                "GRANT ALL PRIVILEGES ON `shop%`.* TO `a`@`%`",
                "GRANT TRIGGER (`c`), INSERT ON `one`.`t` TO `r`",
                "GRANT TRIGGER ON `two`.`a``b` TO `r`",
                "GRANT TRIGGER ON FUNCTION `three`.`f` TO `r`",
            ]
            .map(str::to_owned),
        );
        for (schema, table, held) in [
            ("app_1", "t", true),
            ("appx1", "t", false),
            ("shop", "t", true),
            ("shopping", "t", true),
            ("one", "t", false),
            ("two", "a`b", true),
            ("two", "b", false),
            ("three", "f", false),
            ("z", "t", false),
        ] {
            assert_eq!(grants.holds("TRIGGER", schema, table), held, "{schema}");
        }
        assert!(!grants.holds_everywhere("TRIGGER"));
        let all = Grants::read(["GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost`".to_owned()]);
        assert!(all.holds("TRIGGER", "any", "t") && all.holds_everywhere("PROCESS"));
        assert!(!Grants::default().holds_everywhere("USAGE"));
    }
}
