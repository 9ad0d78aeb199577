//! Whether a statement, or the body of a trigger, may change other rows than it says, by its words alone.

use super::judge::hides_another_write;
use super::token::StatementTokens;
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

#[cfg(test)]
mod tests {
    use super::*;

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
