//! Names of tables as an analysis writes them: `schema.table` or `table`. A part that holds a dot, or begins with a double
//! quote, stands in double quotes, those inside doubled; so `"a.b"` is a table and `a.b` one of the schema `a`.

/// The name of these parts.
pub(super) fn joined(parts: &[String]) -> String {
    let written = |part: &String| match part.contains('.') || part.starts_with('"') {
        true => format!("\"{}\"", part.replace('"', "\"\"")),
        false => part.clone(),
    };
    parts.iter().map(written).collect::<Vec<_>>().join(".")
}

/// Schema, if the name has one, and table.
pub fn table_parts(name: &str) -> (Option<String>, String) {
    let (first, rest) = part(name);
    match rest.strip_prefix('.') {
        Some(table) => (Some(first), part(table).0),
        None => (None, first),
    }
}

/// The first part of a name, and what comes after it.
fn part(name: &str) -> (String, &str) {
    let Some(inner) = name.strip_prefix('"') else {
        let end = name.find('.').unwrap_or(name.len());
        return (name[..end].to_owned(), &name[end..]);
    };
    let mut out = String::new();
    let mut rest = inner;
    loop {
        let Some((before, after)) = rest.split_once('"') else {
            return (out + rest, "");
        };
        out.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                out.push('"');
                rest = more;
            }
            None => return (out, after),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::dialect::Dialect;
    use crate::domain::sql::analyze;

    #[test]
    fn dot_inside_name_is_not_the_one_after_a_schema() {
        for (sql, dialect, written, schema, table) in [
            ("DELETE FROM `a.b`", Dialect::MySql, "\"a.b\"", None, "a.b"),
            ("DELETE FROM a.b", Dialect::MySql, "a.b", Some("a"), "b"),
            (
                "DELETE FROM `x.y`.`a.b`",
                Dialect::MySql,
                "\"x.y\".\"a.b\"",
                Some("x.y"),
                "a.b",
            ),
            (
                "DELETE FROM `\"q\"`",
                Dialect::MySql,
                "\"\"\"q\"\"\"",
                None,
                "\"q\"",
            ),
            (
                "DELETE FROM s.\"A.\"\"b\"",
                Dialect::Postgres,
                "s.\"A.\"\"b\"",
                Some("s"),
                "A.\"b",
            ),
            // Read by its words alone.
            (
                "DELETE FROM `a.b` PARTITION (p) WHERE id = 1",
                Dialect::MySql,
                "\"a.b\"",
                None,
                "a.b",
            ),
        ] {
            let analysis = analyze(sql, dialect).unwrap();
            assert_eq!(analysis.tables, [written], "{sql}");
            let parts = table_parts(&analysis.tables[0]);
            assert_eq!(
                parts,
                (schema.map(str::to_owned), table.to_owned()),
                "{sql}"
            );
        }
    }
}
