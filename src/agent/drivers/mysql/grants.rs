//! What the agent's user holds, by its grants and those of its roles that are on.

/// The grants of a session.
#[derive(Debug, Default)]
pub(super) struct Grants {
    given: Vec<Grant>,
    /// What is taken away from them again (`partial_revokes` of MySQL).
    taken: Vec<Grant>,
    /// Something is taken away that is not understood.
    obscure: bool,
}

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
    /// Reads the lines of `SHOW GRANTS`. A line that grants nothing on tables, or is not understood, says nothing; one that
    /// takes away and is not understood takes everything.
    pub(super) fn read(lines: impl IntoIterator<Item = String>) -> Grants {
        let mut grants = Grants::default();
        for line in lines {
            if line.starts_with("GRANT ") {
                grants.given.extend(grant(&line, "GRANT ", " TO "));
                continue;
            }
            match grant(&line, "REVOKE ", " FROM ") {
                Some(taken) => grants.taken.push(taken),
                None => grants.obscure = true,
            }
        }
        grants
    }

    /// Whether `privilege` is held on a table, as far as the grants say.
    pub(super) fn holds(&self, privilege: &str, schema: &str, table: &str) -> bool {
        let on_it = |grant: &&Grant| {
            (grant.schema == "*" || like(&grant.schema, schema))
                && (grant.table == "*" || grant.table == table)
        };
        let any = |all: &[Grant]| all.iter().filter(on_it).any(|g| g.gives(privilege));
        !self.obscure && any(&self.given) && !any(&self.taken)
    }

    /// Whether `privilege` is held on everything.
    pub(super) fn holds_everywhere(&self, privilege: &str) -> bool {
        let everywhere = |grant: &&Grant| grant.schema == "*" && grant.table == "*";
        let mut given = self.given.iter().filter(everywhere);
        !self.obscure
            && given.any(|g| g.gives(privilege))
            && !self.taken.iter().any(|g| g.gives(privilege))
    }
}

impl Grant {
    fn gives(&self, privilege: &str) -> bool {
        let named = |own: &String| own == privilege || own == "ALL PRIVILEGES" || own == "ALL";
        self.privileges.iter().any(named)
    }
}

/// ``GRANT SELECT, TRIGGER ON `app`.* TO `agent`@`%` ``, or the same with other words before and after.
fn grant(line: &str, begins: &str, ends: &str) -> Option<Grant> {
    let (privileges, rest) = line.strip_prefix(begins)?.split_once(" ON ")?;
    // A privilege on columns alone is not one on the table.
    let privileges = privileges.split(',').map(str::trim);
    let privileges = privileges.filter(|p| !p.contains(['(', ')']));
    let (schema, rest) = part(rest)?;
    let (table, rest) = part(rest.strip_prefix('.')?)?;
    rest.starts_with(ends).then(|| Grant {
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

    #[test]
    fn what_is_revoked_in_part_is_not_held() {
        let all = "GRANT SELECT, TRIGGER, PROCESS ON *.* TO `a`@`%`";
        let read = |line: &str| Grants::read([all.to_owned(), line.to_owned()]);
        let part = read("REVOKE TRIGGER ON `shop`.* FROM `a`@`%`");
        assert!(!part.holds("TRIGGER", "shop", "t") && part.holds("TRIGGER", "app", "t"));
        assert!(!part.holds_everywhere("TRIGGER") && part.holds_everywhere("PROCESS"));
        for unknown in ["REVOKE TRIGGER", "DENY TRIGGER ON *.* TO `a`@`%`"] {
            let none = read(unknown);
            assert!(!none.holds("TRIGGER", "app", "t") && !none.holds_everywhere("PROCESS"));
        }
    }
}
