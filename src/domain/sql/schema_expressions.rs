//! Expressions that stand in a schema (a default, a check, a policy) and run whenever a row changes: what they call.

use super::token::{StatementTokens, TokenKind};
use super::{functions, lex, names_by_words};
use crate::domain::dialect::Dialect;
use std::collections::BTreeSet;

/// What `expression` calls and nobody knows to do nothing but compute, new values of sequences aside: `schema.name` or
/// `name`, or what it does where that is not a call. Read by its words alone, so that a call of any kind of name counts.
///
/// # Errors
/// It cannot be read with certainty.
pub fn unknown_calls(
    expression: &str,
    dialect: Dialect,
) -> Result<BTreeSet<String>, UnreadableExpression> {
    let text = format!("SELECT {expression}");
    let lexed = lex::lex(&text, dialect);
    let stmts = lexed.stmts();
    let [stmt] = stmts.as_slice() else {
        return Err(UnreadableExpression);
    };
    if lexed.lex_error.is_some() {
        return Err(UnreadableExpression);
    }
    let mut calls = names_by_words::names(stmt, dialect).unknown_functions;
    if dialect == Dialect::MySql {
        calls.extend(functions::spaced_calls(stmt));
    }
    let dangers = functions::dangers(stmt, dialect);
    calls.extend(
        dangers
            .filter(|(_, at)| !takes_next_value(stmt, *at))
            .map(|(does, _)| match does.strip_prefix("calls `") {
                Some(name) => name.trim_end_matches('`').to_owned(),
                None => does,
            }),
    );
    Ok(calls)
}

/// The text cannot be read with certainty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnreadableExpression;

/// Whether token `i` begins `nextval(..)`, `NEXT VALUE FOR` or `s.nextval`.
fn takes_next_value(stmt: &StatementTokens<'_>, i: usize) -> bool {
    stmt.kind(i) == Some(TokenKind::Word) && stmt.is_any(i, &["nextval", "next"])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the databases write them back.
    #[test]
    fn expressions_of_a_schema_are_known_by_what_they_call() {
        let postgres = "
0                                                                       |
'f(x)'::text                                                            |
nextval('t_id_seq'::regclass)                                           |
('INV-'::text || lpad((nextval('public.s'::regclass))::text, 8, '0'::text)) |
now()                                                                   |
(now() AT TIME ZONE 'utc'::text)                                        |
timezone('utc'::text, now())                                            |
CURRENT_TIMESTAMP                                                       |
gen_random_uuid()                                                       |
(CURRENT_DATE + '1 day'::interval)                                      |
((status)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])) |
((price > (0)::numeric) AND ((discount IS NULL) OR (discount < price))) |
((email)::text ~ '^[^@]+@[^@]+$'::text)                                 |
(VALUE ~ '^[0-9]{3}$'::text)                                            |
lower((email)::text)                                                    |
to_tsvector('english'::regconfig, ((title || ' '::text) || body))       |
EXTRACT(epoch FROM created_at)                                          |
date_part('year'::text, day)                                            |
\"substring\"(code, 1, 2)                                               |
(data ->> 'id'::text)                                                   |
CASE WHEN (n > 0) THEN (n * 2) ELSE COALESCE(m, 0) END                  |
(tenant = current_setting('app.tenant'::text))                          |
('x'::character varying(10))::bpchar(10)                                |
tsrange(begins, ends, '[)'::text)                                       |
(a IS DISTINCT FROM b)                                                  |
(NOT (a = b))                                                           |
jsonb_build_object('a', 1)                                              |
(EXISTS ( SELECT 1 FROM members m WHERE (m.id = t.member)))             |
make_id()                                                               | make_id
app.make_id()                                                           | app.make_id
\"Odd\"(1)                                                              | Odd
pg_notify('a'::text, 'b'::text)                                         | pg_notify
pg_advisory_xact_lock((1)::bigint)                                      | pg_advisory_xact_lock
lo_creat('-1'::integer)                                                 | lo_creat
set_config('a.b'::text, 'c'::text, false)                               | set_config
setval('s'::regclass, (7)::bigint)                                      | setval
(pg_sleep((1)::double precision) IS NULL)                               | pg_sleep
(a OPERATOR(app.===) b)                                                 | operator
(EXISTS ( SELECT 1 FROM app.visible(t.id) v))                           | app.visible
";
        let mysql = "
NULL                                                                    |
'it''s'                                                                 |
current_timestamp()                                                     |
nextval(`shop`.`s`)                                                     |
uuid()                                                                  |
`price` > 0 and `discount` < `price`                                    |
json_valid(`data`)                                                      |
concat(`a`,_utf8mb4'-',`b`)                                             |
cast(`a` as char(10) charset utf8mb4)                                   |
`app`.`f`(`a`)                                                          | app.f
get_lock('a',0)                                                         | get_lock
sleep(1)                                                                | sleep
";
        for (table, dialect) in [(postgres, Dialect::Postgres), (mysql, Dialect::MySql)] {
            for line in table.trim().lines() {
                let (text, expected) = line.rsplit_once('|').unwrap();
                let calls = unknown_calls(text.trim(), dialect).unwrap();
                let calls: Vec<String> = calls.into_iter().collect();
                assert_eq!(calls.join(" "), expected.trim(), "{text}");
            }
        }
        for text in ["'never ends", "1; SELECT 2"] {
            assert!(unknown_calls(text, Dialect::Postgres).is_err(), "{text}");
        }
    }
}
