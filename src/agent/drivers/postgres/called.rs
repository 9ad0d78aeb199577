//! What runs with a write by the schema alone: defaults, checks, generated columns, domains, index expressions, policies
//! and keys of partitions, of its table and of those to which keys pass its changes on. A rehearsal may set off nothing
//! but what computes, since nobody has agreed to it yet; triggers run, and the report names them.

use super::rows_text;
use super::statement::quoted;
use super::watch::PgStop;
use super::wire::PgConnection;
use crate::agent::drivers::rehearsal::{
    OneTableWrite, SchemaExpression, TakenDefaults, does_more, only_computing,
};
use crate::domain::dialect::Dialect;
use std::collections::{BTreeMap, BTreeSet};

/// Extensions of PostgreSQL itself whose functions do nothing but compute.
const COMPUTING_EXTENSIONS: [&str; 14] = [
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "earthdistance",
    "fuzzystrmatch",
    "hstore",
    "intarray",
    "isn",
    "ltree",
    "pg_trgm",
    "pgcrypto",
    "unaccent",
    "uuid-ossp",
];

/// Words of a statement that are looked up in the catalogue, at most; one with more is not rehearsed.
const WORDS_MAX: usize = 10_000;

/// Refuses a write with which a function may run that is not known to do nothing but compute.
pub(super) fn refuse_more_than_computing(
    conn: &mut PgConnection,
    write: &OneTableWrite,
) -> Result<(), PgStop> {
    let words = Words::of(&write.sql);
    if words.all.len() > WORDS_MAX {
        return Err(PgStop::Failed(format!(
            "not rehearsed: a statement of over {WORDS_MAX} words"
        )));
    }
    own_functions(conn, &words)?;
    own_operators(conn, write, &words)?;
    own_casts(conn, write, &words)?;
    let mut expressions: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for row in conn.own(&question(write, &words))? {
        let mut texts = row.into_iter();
        let mut next = || texts.next().flatten();
        let what = next().unwrap_or_default();
        let Some(text) = next() else {
            return Err(PgStop::Failed(format!(
                "not rehearsed: {what} may do more than compute"
            )));
        };
        let (function, extension) = (next(), next());
        let known = expressions.entry((what.clone(), text)).or_default();
        match (function, extension) {
            (Some(name), Some(extension)) => {
                if COMPUTING_EXTENSIONS.contains(&extension.as_str()) {
                    known.push(name);
                }
            }
            // Whatever calls it: an operator or a cast does not show in the words.
            (Some(name), None) => return Err(PgStop::Failed(does_more(&what, &name))),
            (None, _) => {}
        }
    }
    let all: Vec<SchemaExpression> = expressions
        .into_iter()
        .map(|((what, text), known)| SchemaExpression { what, text, known })
        .collect();
    only_computing(&all, Dialect::Postgres).map_err(PgStop::Failed)
}

/// Words that may be names, in lower case, those in literals among them.
struct Words {
    all: BTreeSet<String>,
    /// Those that a parenthesis follows.
    called: BTreeSet<String>,
}

impl Words {
    fn of(sql: &str) -> Words {
        let (mut all, mut called) = (BTreeSet::new(), BTreeSet::new());
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let mut rest = sql;
        while let Some(start) = rest.find(is_name) {
            let text = &rest[start..];
            let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
            let word = text[..end].to_lowercase();
            rest = &text[end..];
            let after = rest.trim_start_matches(|c: char| c == '"' || c.is_whitespace());
            // A comment may stand between.
            if after.starts_with('(') || after.starts_with("/*") || after.starts_with("--") {
                called.insert(word.clone());
            }
            all.insert(word);
        }
        Words { all, called }
    }
}

/// Words as an array of the database.
fn array<'w>(words: impl IntoIterator<Item = &'w String>) -> String {
    let all: Vec<String> = words
        .into_iter()
        .map(|word| format!("'{}'", word.replace('\'', "''")))
        .collect();
    format!("ARRAY[{}]::text[]", all.join(", "))
}

/// Whether `oid` of the catalogue `class` belongs to no extension and was not there from the beginning.
fn is_own(class: &str, oid: &str) -> String {
    format!(
        "{oid} >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.{class}'::regclass \
         AND e.objid = {oid} AND e.deptype = 'e')"
    )
}

/// Refuses the write for what its statement would run, if it would.
fn none_of(what: &str, found: Option<&String>) -> Result<(), PgStop> {
    found.map_or(Ok(()), |name| Err(PgStop::Failed(does_more(what, name))))
}

/// Refuses names that somebody has given to a function of their own as well: which of them the statement calls, its words
/// do not say.
fn own_functions(conn: &mut PgConnection, words: &Words) -> Result<(), PgStop> {
    let found = conn.own(&format!(
        "SELECT p.proname::text FROM pg_catalog.pg_proc p WHERE pg_catalog.lower(p.proname::text) = ANY ({}) AND {} ORDER BY 1 LIMIT 1",
        array(&words.called),
        is_own("pg_proc", "p.oid")
    ))?;
    none_of("the statement", rows_text(found).first())
}

/// Refuses operators that somebody has made for a type of the table.
fn own_operators(
    conn: &mut PgConnection,
    write: &OneTableWrite,
    words: &Words,
) -> Result<(), PgStop> {
    let found = conn.own(&format!(
        "{} SELECT DISTINCT o.oprname::text FROM pg_catalog.pg_operator o \
         WHERE (o.oprleft IN (SELECT oid FROM types) OR o.oprright IN (SELECT oid FROM types)) AND {}",
        tables_and_types(write, words),
        is_own("pg_operator", "o.oid")
    ))?;
    let found = rows_text(found);
    let used = found.iter().find(|name| write.sql.contains(*name));
    none_of("the statement", used)
}

/// Refuses casts that somebody has made between types that the table has or the statement names; some are made without a
/// word.
fn own_casts(conn: &mut PgConnection, write: &OneTableWrite, words: &Words) -> Result<(), PgStop> {
    let found = conn.own(&format!(
        "{}, known(oid) AS (SELECT oid FROM types UNION SELECT t.oid FROM pg_catalog.pg_type t \
         WHERE pg_catalog.lower(t.typname::text) = ANY ({})) \
         SELECT p.proname::text FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc \
         WHERE c.casttarget IN (SELECT oid FROM known) AND (c.castsource < 16384 OR c.castsource IN (SELECT oid FROM known)) \
         AND {} ORDER BY 1 LIMIT 1",
        tables_and_types(write, words),
        array(&words.all),
        is_own("pg_proc", "p.oid")
    ))?;
    none_of("a cast of the statement", rows_text(found).first())
}

/// The tables whose rows may change with the write, and the types of their columns and what these are made of; domains
/// that the statement may name among them.
fn tables_and_types(write: &OneTableWrite, words: &Words) -> String {
    let table = quoted(&write.table);
    let passes_on = write.kind != "insert" || write.sql.to_ascii_lowercase().contains("conflict");
    format!(
        "WITH RECURSIVE hit(oid, named, defaults) AS (\
         SELECT pg_catalog.to_regclass({table})::oid, true, false \
         UNION SELECT n.oid, n.named, n.defaults FROM hit CROSS JOIN LATERAL (\
         SELECT i.inhrelid AS oid, hit.named, hit.defaults FROM pg_catalog.pg_inherits i WHERE i.inhparent = hit.oid \
         UNION ALL SELECT i.inhparent, hit.named, hit.defaults FROM pg_catalog.pg_inherits i \
         JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition WHERE i.inhrelid = hit.oid \
         UNION ALL SELECT k.conrelid, false, 'd' IN (k.confdeltype, k.confupdtype) FROM pg_catalog.pg_constraint k \
         WHERE {passes_on} AND k.contype = 'f' AND k.confrelid = hit.oid \
         AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))) n), \
         types(oid) AS (\
         SELECT a.atttypid FROM hit JOIN pg_catalog.pg_attribute a ON a.attrelid = hit.oid AND a.attnum > 0 \
         AND NOT a.attisdropped \
         UNION SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typtype = 'd' AND pg_catalog.lower(t.typname::text) = ANY ({}) \
         UNION SELECT m.oid FROM types JOIN pg_catalog.pg_type t ON t.oid = types.oid CROSS JOIN LATERAL (\
         SELECT t.typbasetype AS oid WHERE t.typtype = 'd' UNION ALL SELECT t.typelem WHERE t.typelem <> 0 \
         UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid \
         AND a.attnum > 0 AND NOT a.attisdropped \
         UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid) m)",
        array(&words.all)
    )
}

/// Asks for the expressions that run with the write: what each is, its text, and for each function that it calls and that
/// did not come with the database its name, and its extension if it has one.
fn question(write: &OneTableWrite, words: &Words) -> String {
    let writes_rows = write.writes_rows();
    let takes_default = match &write.defaults {
        TakenDefaults::None => "false".to_owned(),
        TakenDefaults::Any => "true".to_owned(),
        TakenDefaults::AllBut(given) => format!("a.attname::text <> ALL ({})", array(given)),
    };
    format!(
        "{}, found(what, class, id, text) AS (\
         SELECT 'the default of `' || a.attname || '`', 'pg_catalog.pg_attrdef'::regclass, d.oid, \
         pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM hit JOIN pg_catalog.pg_attrdef d ON d.adrelid = hit.oid \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum \
         WHERE CASE WHEN coalesce(pg_catalog.to_jsonb(a) ->> 'attgenerated', '') <> '' THEN NOT hit.named OR {writes_rows} \
         WHEN hit.named THEN {takes_default} ELSE hit.defaults END \
         UNION ALL SELECT 'the default of the domain `' || t.typname || '`', 'pg_catalog.pg_type'::regclass, t.oid, \
         pg_catalog.pg_get_expr(t.typdefaultbin, 0) FROM types JOIN pg_catalog.pg_type t USING (oid) \
         WHERE t.typtype = 'd' AND t.typdefaultbin IS NOT NULL AND {any_default} \
         UNION ALL SELECT 'the check `' || k.conname || '`', 'pg_catalog.pg_constraint'::regclass, k.oid, \
         pg_catalog.pg_get_expr(k.conbin, k.conrelid) FROM hit JOIN pg_catalog.pg_constraint k ON k.conrelid = hit.oid \
         WHERE k.contype = 'c' AND (NOT hit.named OR {writes_rows}) \
         UNION ALL SELECT 'the check `' || k.conname || '`', 'pg_catalog.pg_constraint'::regclass, k.oid, \
         pg_catalog.pg_get_expr(k.conbin, 0) FROM types JOIN pg_catalog.pg_constraint k ON k.contypid = types.oid \
         WHERE k.contype = 'c' \
         UNION ALL SELECT 'the index `' || i.indexrelid::regclass::text || '`', 'pg_catalog.pg_class'::regclass, i.indexrelid, \
         e.text FROM hit JOIN pg_catalog.pg_index i ON i.indrelid = hit.oid CROSS JOIN LATERAL (\
         SELECT pg_catalog.pg_get_expr(i.indexprs, i.indrelid) AS text \
         UNION ALL SELECT pg_catalog.pg_get_expr(i.indpred, i.indrelid)) e \
         WHERE e.text IS NOT NULL AND (NOT hit.named OR {writes_rows}) \
         UNION ALL SELECT 'the policy `' || p.polname || '`', 'pg_catalog.pg_policy'::regclass, p.oid, e.text \
         FROM hit JOIN pg_catalog.pg_policy p ON p.polrelid = hit.oid CROSS JOIN LATERAL (\
         SELECT pg_catalog.pg_get_expr(p.polqual, p.polrelid) AS text \
         UNION ALL SELECT pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)) e \
         WHERE e.text IS NOT NULL AND pg_catalog.row_security_active(hit.oid) \
         UNION ALL SELECT 'the partition key of `' || p.partrelid::regclass::text || '`', 'pg_catalog.pg_class'::regclass, \
         p.partrelid, pg_catalog.pg_get_expr(p.partexprs, p.partrelid) FROM hit \
         JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = hit.oid WHERE p.partexprs IS NOT NULL \
         UNION ALL SELECT 'the rule `' || r.rulename || '`', 'pg_catalog.pg_rewrite'::regclass, r.oid, NULL \
         FROM hit JOIN pg_catalog.pg_rewrite r ON r.ev_class = hit.oid), \
         calls(class, id, function) AS (\
         SELECT d.classid, d.objid, d.refobjid FROM pg_catalog.pg_depend d \
         WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass \
         UNION SELECT d.classid, d.objid, o.oprcode::oid FROM pg_catalog.pg_depend d \
         JOIN pg_catalog.pg_operator o ON o.oid = d.refobjid AND d.refclassid = 'pg_catalog.pg_operator'::regclass) \
         SELECT f.what, f.text, p.proname::text, x.extname::text FROM found f \
         LEFT JOIN calls ON calls.class = f.class AND calls.id = f.id AND calls.function >= 16384 \
         LEFT JOIN pg_catalog.pg_proc p ON p.oid = calls.function \
         LEFT JOIN pg_catalog.pg_depend e ON e.classid = 'pg_catalog.pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e' \
         LEFT JOIN pg_catalog.pg_extension x ON x.oid = e.refobjid",
        tables_and_types(write, words),
        any_default = write.defaults != TakenDefaults::None,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_wherever_they_stand() {
        let words = Words::of("INSERT INTO s.T (a) VALUES (\"Odd\" ('x y'), f/**/(1), É(2), 'z')");
        let list = |words: BTreeSet<String>| words.into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(list(words.called), "f odd t values é");
        assert_eq!(
            list(words.all),
            "1 2 a f insert into odd s t values x y z é"
        );
        assert_eq!(array(&["it's".to_owned()]), "ARRAY['it''s']::text[]");
    }
}
