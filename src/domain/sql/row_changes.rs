//! Whether a statement, or the body of a trigger, may change other rows than it says, by its words alone.

use super::judge::hides_another_write;
use super::token::{StatementTokens, TokenKind};
use super::{functions, lex, names_by_words};
use crate::domain::dialect::Dialect;

/// Words without which nothing changes rows, loads them, or runs what does.
const CHANGING: &[&str] = &[
    "insert", "update", "delete", "replace", "merge", "truncate", "load", "call", "execute",
    "handler",
];

/// Whether `body` does nothing but compute: it changes no row but the one it was called for, and calls no function that
/// might. A body that cannot be read does more.
pub fn only_computes(body: &str, dialect: Dialect) -> bool {
    let lexed = lex::lex(body, dialect);
    let computes = |stmt: &StatementTokens<'_>| {
        (0..stmt.toks.len()).all(|i| !stmt.is_any(i, CHANGING))
            && names_by_words::names(stmt, dialect)
                .unknown_functions
                .is_empty()
            && functions::spaced_calls(stmt).is_empty()
            && !functions::may_change_rows(stmt, dialect)
    };
    lexed.lex_error.is_none() && lexed.stmts().iter().all(computes)
}

/// Whether the one statement `text` changes no rows but those of its own kind: no other write stands in it, it writes no
/// file, and nothing that it calls is known to change anything. What functions nobody knows do is not looked at.
pub fn is_plain_write(text: &str, dialect: Dialect) -> bool {
    let lexed = lex::lex(text, dialect);
    let plain = |stmt: &StatementTokens<'_>| {
        !stmt.is(0, "with")
            && !hides_another_write(stmt)
            && !(0..stmt.toks.len()).any(|i| stmt.is_any(i, &["outfile", "dumpfile"]))
            && !functions::may_change_rows(stmt, dialect)
    };
    lexed.lex_error.is_none() && lexed.setting_hint.is_none() && lexed.stmts().iter().all(plain)
}

/// What fires the trigger of SQLite that `text` creates: `INSERT`, `UPDATE` or `DELETE`.
pub fn trigger_event(text: &str) -> Option<&'static str> {
    let lexed = lex::lex(text, Dialect::Sqlite);
    let stmts = lexed.stmts();
    let stmt = stmts.first()?;
    let mut at = (0..stmt.toks.len()).find(|i| stmt.is(*i, "trigger"))? + 1;
    if stmt.is(at, "if") && stmt.is(at + 1, "not") && stmt.is(at + 2, "exists") {
        at += 3;
    }
    // Its name, which may be any word.
    at += match stmt.kind(at + 1) {
        Some(TokenKind::Dot) => 3,
        _ => 1,
    };
    while stmt.is_any(at, &["before", "after", "instead", "of"]) {
        at += 1;
    }
    ["INSERT", "UPDATE", "DELETE"]
        .into_iter()
        .find(|event| stmt.is(at, event))
}

/// The columns to which an INSERT gives values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InsertedColumns {
    /// Those that it lists, without the quotes; in PostgreSQL names without quotes are in lower case.
    Listed(Vec<String>),
    /// Any column may get its default.
    Unknown,
}

/// The columns that the INSERT `text` gives values of its own. It lists them after its table, and DEFAULT does not occur
/// in it.
pub fn inserted_columns(text: &str, dialect: Dialect) -> InsertedColumns {
    let lexed = lex::lex(text, dialect);
    let stmts = lexed.stmts();
    let listed = match stmts.as_slice() {
        [stmt] if lexed.lex_error.is_none() && stmt.is(0, "insert") => {
            listed_columns(stmt, dialect)
        }
        _ => None,
    };
    listed.map_or(InsertedColumns::Unknown, InsertedColumns::Listed)
}

fn listed_columns(stmt: &StatementTokens<'_>, dialect: Dialect) -> Option<Vec<String>> {
    if (0..stmt.toks.len()).any(|i| stmt.is(i, "default")) {
        return None;
    }
    let open = (0..stmt.toks.len()).find(|i| stmt.kind(*i) == Some(TokenKind::Open))?;
    let target_ends = ["values", "value", "select", "set", "table", "with"];
    if (0..=open + 1).any(|i| stmt.is_any(i, &target_ends)) {
        return None;
    }
    let mut columns = Vec::new();
    let mut at = open + 1;
    loop {
        match stmt.kind(at)? {
            TokenKind::Word | TokenKind::Quoted => {
                columns.push(names_by_words::compared(stmt, at, dialect));
            }
            _ => return None,
        }
        match stmt.kind(at + 1)? {
            TokenKind::Comma => at += 2,
            TokenKind::Close => return Some(columns),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_of_sqlite_says_what_fires_it() {
        for (sql, event) in [
            (
                "CREATE TRIGGER a AFTER INSERT ON t BEGIN DELETE FROM u; END",
                Some("INSERT"),
            ),
            (
                "CREATE TRIGGER \"insert\" BEFORE UPDATE OF a, b ON t BEGIN SELECT 1; END",
                Some("UPDATE"),
            ),
            (
                "create trigger insert delete on t begin select 1; end",
                Some("DELETE"),
            ),
            (
                "CREATE TRIGGER IF NOT EXISTS main.x INSTEAD OF DELETE ON v BEGIN SELECT 1; END",
                Some("DELETE"),
            ),
            ("CREATE TABLE t (a)", None),
            ("CREATE TRIGGER", None),
        ] {
            assert_eq!(trigger_event(sql), event, "{sql}");
        }
    }

    #[test]
    fn the_columns_of_an_insert_are_those_that_it_lists() {
        let listed = |sql: &str, dialect| match inserted_columns(sql, dialect) {
            InsertedColumns::Listed(columns) => columns.join(" "),
            InsertedColumns::Unknown => "?".to_owned(),
        };
        for (sql, columns) in [
            (
                "INSERT INTO t (a, B, \"C d\") VALUES (1, 2, f(3))",
                "a b C d",
            ),
            ("/* (x) */ insert into s.t as u (a) select 1", "a"),
            ("INSERT INTO t VALUES (1)", "?"),
            ("INSERT INTO t SELECT (1)", "?"),
            ("INSERT INTO t (SELECT 1)", "?"),
            ("INSERT INTO t DEFAULT VALUES", "?"),
            ("INSERT INTO t (a) VALUES (DEFAULT)", "?"),
            ("INSERT INTO t (a.b) VALUES (1)", "?"),
            ("INSERT INTO t (a", "?"),
            ("UPDATE t SET a = (1)", "?"),
        ] {
            assert_eq!(listed(sql, Dialect::Postgres), columns, "{sql}");
        }
        let quoted = "INSERT INTO `a.b` (`C`, d) VALUES (1, 2)";
        assert_eq!(listed(quoted, Dialect::MySql), "c d");
        assert_eq!(listed("INSERT INTO t SET a = (1)", Dialect::MySql), "?");
    }

    #[test]
    fn a_body_that_could_change_rows_does_more_than_compute() {
        for (body, computes) in [
            ("SET NEW.v = upper(NEW.v)", true),
            ("BEGIN IF NEW.id = 1 THEN SET NEW.v = 7; END IF; END", true),
            ("BEGIN INSERT INTO log VALUES (1); END", false),
            ("BEGIN IF NEW.id = 1 THEN DELETE FROM t; END IF; END", false),
            ("CALL p()", false),
            ("SET NEW.v = f(NEW.v)", false),
            ("SET NEW.v = app.upper(NEW.v)", false),
            ("SET NEW.v = count (NEW.v)", false),
            ("SET NEW.v = nextval(s)", false),
            ("SET NEW.v = 'it never ends", false),
        ] {
            assert_eq!(only_computes(body, Dialect::MySql), computes, "{body}");
        }
    }

    #[test]
    fn a_plain_write_hides_no_other() {
        for (sql, plain) in [
            ("UPDATE t SET v = upper(v) WHERE id = 1", true),
            ("REPLACE INTO t VALUES (1)", true),
            ("INSERT INTO t SELECT 7 + sleep(1)", true),
            ("INSERT INTO t VALUES (nextval(s))", false),
            ("WITH a AS (SELECT 1) DELETE FROM t", false),
            ("SELECT 1 INTO OUTFILE '/x'", false),
            ("SELECT @a := 1", false),
        ] {
            assert_eq!(is_plain_write(sql, Dialect::MySql), plain, "{sql}");
        }
    }
}
