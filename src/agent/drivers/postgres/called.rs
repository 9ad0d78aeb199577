//! What runs with a write by the schema alone: defaults, checks, generated columns, domains, index expressions, policies
//! and keys of partitions, of its table and of those to which keys pass its changes on. A rehearsal may set off nothing
//! but what computes, since nobody has agreed to it yet; triggers run, and the report names them.

use super::watch::PgStop;
use super::wire::PgConnection;
use super::{quoted, rows_text};
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

/// Functions of PostgreSQL itself that are given the name of a type as text and run what belongs to the type.
const TAKES_A_TYPES_NAME: [&str; 2] = ["pg_input_error_info", "pg_input_is_valid"];

/// Operators that stand for keywords: BETWEEN, IN, IS DISTINCT FROM, LIKE, ILIKE, SIMILAR TO.
const OF_KEYWORDS: [&str; 12] = [
    "=", "<>", "<", "<=", ">", ">=", "~", "!~", "~~", "!~~", "~~*", "!~~*",
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
    let reads_a_type = |word: &&String| TAKES_A_TYPES_NAME.contains(&word.as_str());
    none_of("the statement", words.called.iter().find(reads_a_type))?;
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

/// Words that may be names, those in literals among them, as [`folded`] compares them.
pub(super) struct Words {
    all: BTreeSet<String>,
    /// Those that a parenthesis follows.
    called: BTreeSet<String>,
    /// Those that follow a dot and have no parenthesis: a column, or a function in the other form of a call (`t.f` is
    /// `f(t)` where `t` has no column `f`).
    fields: BTreeSet<String>,
}

impl Words {
    pub fn of(sql: &str) -> Words {
        let mut words = Words {
            all: BTreeSet::new(),
            called: BTreeSet::new(),
            fields: BTreeSet::new(),
        };
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let comments = sql.contains("--");
        let mut rest = sql;
        while let Some(start) = rest.find(is_name) {
            let (gap, text) = rest.split_at(start);
            let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
            let word = &text[..end];
            rest = &text[end..];
            let after = rest.trim_start_matches(|c: char| c == '"' || c.is_whitespace());
            // A comment may stand between, on either side.
            let comment = after.starts_with("/*") || after.starts_with("--");
            let called = after.starts_with('(');
            if called || comment {
                words.called.extend(forms(word));
            }
            let dot =
                gap.contains('.') || gap.contains("*/") || comments && gap.contains(['\n', '\r']);
            if dot && !called {
                words.fields.extend(forms(word));
            }
            words.all.extend(forms(word));
        }
        words
    }
}

impl Words {
    /// Whether `name`, of the catalogue, may stand among them.
    pub fn may_name(&self, name: &str) -> bool {
        let name = Words::of(name);
        name.all.is_subset(&self.all)
    }
}

/// A word as PostgreSQL may have folded it: letters beyond ASCII stay as they are in most encodings.
fn forms(word: &str) -> [String; 2] {
    [word.to_ascii_lowercase(), word.to_lowercase()]
}

/// A name of the catalogue in the form in which words are compared, whatever the database takes for lower case.
fn folded(name: &str) -> String {
    format!("pg_catalog.lower({name}::text COLLATE pg_catalog.\"C\")")
}

/// Words as an array of the database.
fn array<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    let all: Vec<String> = words
        .into_iter()
        .map(|word| format!("'{}'", word.as_ref().replace('\'', "''")))
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

/// A function of somebody's own that PostgreSQL may call while it plans `sql`, since it is declared to return the same for the
/// same: one that the words of the statement may call, or a view that they may name.
pub(super) fn called_while_planned(
    conn: &mut PgConnection,
    sql: &str,
) -> Result<Option<String>, PgStop> {
    let words = Words::of(sql);
    if words.all.len() > WORDS_MAX {
        return Err(PgStop::Failed(format!(
            "a statement of over {WORDS_MAX} words"
        )));
    }
    let found = conn.own(&format!(
        "WITH RECURSIVE views(oid) AS (SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relkind = 'v' AND c.oid >= 16384 \
         AND {} = ANY ({}) \
         UNION SELECT c.oid FROM views v JOIN pg_catalog.pg_rewrite r ON r.ev_class = v.oid JOIN pg_catalog.pg_depend d \
         ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass \
         JOIN pg_catalog.pg_class c ON c.oid = d.refobjid AND c.relkind = 'v') \
         SELECT p.proname::text FROM pg_catalog.pg_proc p WHERE p.provolatile <> 'v' AND {} \
         AND ({} = ANY ({}) OR p.oid IN (SELECT d.refobjid FROM views v \
         JOIN pg_catalog.pg_rewrite r ON r.ev_class = v.oid JOIN pg_catalog.pg_depend d \
         ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_catalog.pg_proc'::regclass)) \
         ORDER BY 1 LIMIT 1",
        folded("c.relname"),
        array(&words.all),
        is_own("pg_proc", "p.oid"),
        folded("p.proname"),
        array(words.called.union(&words.fields)),
    ))?;
    Ok(rows_text(found).into_iter().next())
}

/// Whether a function is somebody's own, and not one of an extension that only computes.
fn is_own_function() -> String {
    format!(
        "p.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e JOIN pg_catalog.pg_extension x \
         ON x.oid = e.refobjid AND x.extname = ANY ({}) WHERE e.classid = 'pg_catalog.pg_proc'::regclass \
         AND e.objid = p.oid AND e.deptype = 'e')",
        array(COMPUTING_EXTENSIONS)
    )
}

/// Refuses names that somebody has given to a function of their own as well: which of them the statement calls, its words
/// do not say. After a dot that holds of PostgreSQL's own functions too, of those that do not only compute.
fn own_functions(conn: &mut PgConnection, words: &Words) -> Result<(), PgStop> {
    let found = conn.own(&format!(
        "SELECT p.proname::text FROM pg_catalog.pg_proc p WHERE {name} = ANY ({called}) AND {own} \
         OR p.pronargs > 0 AND {name} = ANY ({fields}) AND ({own} OR p.provolatile = 'v') \
         ORDER BY 1 LIMIT 1",
        name = folded("p.proname"),
        called = array(&words.called),
        fields = array(&words.fields),
        own = is_own_function(),
    ))?;
    none_of("the statement", rows_text(found).first())
}

/// Refuses a plan that calls a function of somebody's own and looks as if it read a column: `t.f` is `f(t)` where the rows
/// of `t` have no column `f`. Those who approved it have seen a column, and so has the server's analysis. A table or a type
/// counts where the plan names it or may get its rows from a function.
pub(super) fn refuse_calls_as_columns(
    conn: &mut PgConnection,
    plan: &[String],
) -> Result<(), PgStop> {
    for sql in plan {
        let words = Words::of(sql);
        if words.fields.is_empty() {
            continue;
        }
        if words.fields.contains("u") && sql.to_ascii_lowercase().contains("u&\"") {
            return Err(PgStop::Failed(
                "after a dot, a name with escapes (U&\"...\") may call a function; write its characters"
                    .to_owned(),
            ));
        }
        if words.all.len() > WORDS_MAX {
            return Err(PgStop::Failed(format!(
                "a statement of over {WORDS_MAX} words is not run"
            )));
        }
        let found = conn.own(&format!(
            "WITH RECURSIVE named AS (SELECT p.proname, CASE WHEN p.pronargs = 1 AND p.provariadic <> 0 \
             THEN p.provariadic ELSE p.proargtypes[0] END AS type FROM pg_catalog.pg_proc p \
             WHERE p.pronargs > 0 AND p.pronargs - p.pronargdefaults <= 1 AND {name} = ANY ({fields}) AND {own}), \
             rows(type, oid) AS (SELECT n.type, c.oid FROM named n JOIN pg_catalog.pg_type t ON t.oid = n.type \
             JOIN pg_catalog.pg_class c ON c.oid = t.typrelid OR c.reloftype = t.oid WHERE t.typtype = 'c' \
             UNION SELECT r.type, i.inhrelid FROM rows r JOIN pg_catalog.pg_inherits i ON i.inhparent = r.oid) \
             SELECT n.proname::text FROM named n JOIN pg_catalog.pg_type t ON t.oid = n.type \
             LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype WHERE t.typtype = 'p' \
             OR t.typtype = 'd' AND b.typtype IN ('c', 'd') \
             OR EXISTS (SELECT FROM pg_catalog.pg_cast k JOIN pg_catalog.pg_type s ON s.oid = k.castsource \
             WHERE k.casttarget = t.oid AND k.castcontext = 'i' AND s.typtype = 'c') \
             OR t.typtype = 'c' AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid \
             AND a.attname = n.proname AND NOT a.attisdropped) \
             AND (EXISTS (SELECT FROM rows r JOIN pg_catalog.pg_class c ON c.oid = r.oid WHERE r.type = t.oid \
             AND {table} = ANY ({all})) \
             OR EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_type o ON o.oid = p.prorettype \
             WHERE {name} = ANY ({called}) AND (o.oid = t.oid OR o.typtype IN ('p', 'd')))) \
             ORDER BY 1 LIMIT 1",
            name = folded("p.proname"),
            table = folded("c.relname"),
            own = is_own_function(),
            fields = array(&words.fields),
            called = array(&words.called),
            all = array(&words.all),
        ))?;
        if let Some(name) = rows_text(found).first() {
            return Err(PgStop::Failed(format!(
                "`.{name}` reads like a column and may call the function `{name}`; write `{name}(...)`"
            )));
        }
    }
    Ok(())
}

/// Refuses operators that somebody has made and that the statement can reach, also with `'x'`, which may be of any type.
/// Out of reach is one for a type of their own that the statement does not meet, where PostgreSQL's operator of that name
/// takes the other side twice: it is preferred.
fn own_operators(
    conn: &mut PgConnection,
    write: &OneTableWrite,
    words: &Words,
) -> Result<(), PgStop> {
    let found = conn.own(&format!(
        "{} SELECT DISTINCT o.oprname::text FROM pg_catalog.pg_operator o WHERE {} \
         AND ({by_schema} OR pg_catalog.pg_operator_is_visible(o.oid)) AND ((o.oprleft < 16384 AND o.oprright < 16384) OR o.oprleft >= 16384 AND o.oprleft IN (SELECT oid FROM types) \
         OR o.oprright >= 16384 AND o.oprright IN (SELECT oid FROM types) \
         OR NOT EXISTS (SELECT FROM pg_catalog.pg_operator b WHERE b.oprname = o.oprname AND b.oid < 16384 \
         AND (o.oprleft >= 16384 AND o.oprright >= 16384 \
         OR b.oprleft = b.oprright AND b.oprleft IN (o.oprleft, o.oprright))))",
        tables_and_types(write, words),
        is_own("pg_operator", "o.oid"),
        // `OPERATOR(schema.+)`
        by_schema = write.sql.to_ascii_lowercase().contains("operator"),
    ))?;
    let found = rows_text(found);
    let is_used =
        |name: &&String| write.sql.contains(*name) || OF_KEYWORDS.contains(&name.as_str());
    none_of("the statement", found.iter().find(is_used))
}

/// Refuses casts that somebody has made and that the statement can reach; some are made without a word, also into a type
/// that it does not name.
fn own_casts(conn: &mut PgConnection, write: &OneTableWrite, words: &Words) -> Result<(), PgStop> {
    let found = conn.own(&format!(
        "{} SELECT p.proname::text FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc \
         WHERE (c.castsource < 16384 OR c.castsource IN (SELECT oid FROM types)) \
         AND (c.casttarget < 16384 OR c.castcontext = 'i' OR c.casttarget IN (SELECT oid FROM types)) \
         AND {} ORDER BY 1 LIMIT 1",
        tables_and_types(write, words),
        is_own("pg_proc", "p.oid")
    ))?;
    none_of("a cast of the statement", rows_text(found).first())
}

/// The tables whose rows may change with the write, and the types that it may meet: those of their columns, those that the
/// statement or an expression of the tables may name, those into which values are cast without a word, what these are made
/// of, and arrays of them.
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
         UNION SELECT t.oid FROM pg_catalog.pg_type t WHERE {} = ANY ({}) \
         UNION SELECT c.casttarget FROM pg_catalog.pg_cast c WHERE c.castcontext = 'i' AND c.castsource < 16384 \
         AND c.casttarget >= 16384 \
         UNION SELECT d.refobjid FROM hit CROSS JOIN LATERAL (\
         SELECT 'pg_catalog.pg_attrdef'::regclass AS class, a.oid FROM pg_catalog.pg_attrdef a WHERE a.adrelid = hit.oid \
         UNION ALL SELECT 'pg_catalog.pg_constraint'::regclass, k.oid FROM pg_catalog.pg_constraint k WHERE k.conrelid = hit.oid \
         UNION ALL SELECT 'pg_catalog.pg_policy'::regclass, p.oid FROM pg_catalog.pg_policy p WHERE p.polrelid = hit.oid \
         UNION ALL SELECT 'pg_catalog.pg_class'::regclass, i.indexrelid FROM pg_catalog.pg_index i WHERE i.indrelid = hit.oid \
         UNION ALL SELECT 'pg_catalog.pg_class'::regclass, hit.oid) x JOIN pg_catalog.pg_depend d ON d.classid = x.class \
         AND d.objid = x.oid AND d.refclassid = 'pg_catalog.pg_type'::regclass \
         UNION SELECT m.oid FROM types JOIN pg_catalog.pg_type t ON t.oid = types.oid CROSS JOIN LATERAL (\
         SELECT t.typbasetype AS oid WHERE t.typtype = 'd' UNION ALL SELECT t.typelem WHERE t.typelem <> 0 \
         UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid \
         AND a.attnum > 0 AND NOT a.attisdropped \
         UNION ALL SELECT d.refobjid FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_depend d \
         ON d.classid = 'pg_catalog.pg_constraint'::regclass AND d.objid = k.oid \
         AND d.refclassid = 'pg_catalog.pg_type'::regclass WHERE t.typtype = 'd' AND k.contypid = t.oid \
         UNION ALL SELECT t.typarray WHERE t.typarray <> 0 \
         UNION ALL SELECT r.rngtypid FROM pg_catalog.pg_range r \
         WHERE t.typtype = 'm' AND pg_catalog.to_jsonb(r) ->> 'rngmultitypid' = t.oid::text \
         UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid) m)",
        folded("t.typname"),
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
         UNION ALL SELECT 'the policy `' || p.polname || '`', 'pg_catalog.pg_policy'::regclass, p.oid, NULL \
         FROM hit JOIN pg_catalog.pg_policy p ON p.polrelid = hit.oid JOIN pg_catalog.pg_depend d \
         ON d.classid = 'pg_catalog.pg_policy'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass \
         JOIN pg_catalog.pg_class c ON c.oid = d.refobjid AND c.oid <> hit.oid WHERE pg_catalog.row_security_active(hit.oid) \
         AND CASE WHEN c.relkind IN ('r', 'p') THEN pg_catalog.row_security_active(c.oid) ELSE true END \
         UNION ALL SELECT 'the type `' || t.typname || '`', 'pg_catalog.pg_type'::regclass, t.oid, 'true' \
         FROM types JOIN pg_catalog.pg_type t USING (oid) WHERE t.typtype = 'r' \
         UNION ALL SELECT 'the index `' || i.indexrelid::regclass::text || '`', 'pg_catalog.pg_opclass'::regclass, o.oid, NULL \
         FROM hit JOIN pg_catalog.pg_index i ON i.indrelid = hit.oid JOIN pg_catalog.pg_opclass o ON o.oid = ANY (i.indclass) \
         WHERE {} \
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
        is_own("pg_opclass", "o.oid"),
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
        assert_eq!(list(words.called), "f odd t values É é");
        assert_eq!(list(words.fields), "1");
        assert_eq!(
            list(words.all),
            "1 2 a f insert into odd s t values x y z É é"
        );
        assert_eq!(array(["it's"]), "ARRAY['it''s']::text[]");
    }
}
