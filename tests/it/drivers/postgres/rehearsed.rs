//! What a schema of PostgreSQL runs with a write: only what computes runs in a rehearsal.

use super::super::Place;
use super::super::places::postgres;
use super::super::rehearsals::rehearse;
use dbward::agent::config::{DatabaseEndpoint, DriverConfig};

/// A database in which `noted()` leaves a row and something that no rollback takes back.
fn watched() -> Place {
    let place = postgres();
    place.done(&[
        "CREATE TABLE log (v text)",
        "CREATE SEQUENCE runs",
        "CREATE FUNCTION noted(v text DEFAULT 'x') RETURNS text LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM nextval('runs'); INSERT INTO log VALUES (v); RETURN v; END $$",
        "CREATE FUNCTION fixed(v text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM nextval('runs'); RETURN v; END $$",
        "CREATE FUNCTION holds(v text) RETURNS boolean LANGUAGE sql AS 'SELECT noted(v) IS NOT NULL'",
        "CREATE TABLE t (id integer PRIMARY KEY, v text, w text)",
        "INSERT INTO t VALUES (1, 'a', 'b')",
    ]);
    place
}

/// None of these functions has run.
fn nothing_ran(place: &Place) {
    assert_eq!(place.value("SELECT is_called FROM runs"), "false");
}

#[track_caller]
fn refused(place: &Place, sql: &str, names: &str) {
    let why = rehearse(place, &[sql]).unwrap_err();
    assert!(
        why.starts_with("not rehearsed: ") && why.contains(names),
        "{sql}: {why}"
    );
    nothing_ran(place);
}

#[track_caller]
fn rehearsed(place: &Place, sql: &str) {
    rehearse(place, &[sql]).unwrap_or_else(|why| panic!("{sql}: {why}"));
    nothing_ran(place);
}

const INSERT: &str = "INSERT INTO t (id, v) VALUES (2, 'c')";
const UPDATE: &str = "UPDATE t SET v = 'd' WHERE id = 1";
const DELETE: &str = "DELETE FROM t WHERE id = 1";

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_default_runs_only_where_it_computes() {
    let place = watched();
    place.done(&["ALTER TABLE t ALTER w SET DEFAULT noted()"]);
    refused(&place, INSERT, "the default of `w` calls `noted`");
    refused(&place, "INSERT INTO t VALUES (2, 'c')", "`noted`");
    refused(&place, "UPDATE t SET w = DEFAULT WHERE id = 1", "`noted`");
    // Where it is not taken, it does not run.
    rehearsed(&place, "INSERT INTO t (id, w) VALUES (2, 'c')");
    rehearsed(&place, UPDATE);
    rehearsed(&place, DELETE);
    // Of the server's own, but more than a computation.
    place.done(&["ALTER TABLE t ALTER w SET DEFAULT pg_advisory_xact_lock(7)::text"]);
    refused(&place, INSERT, "`pg_advisory_xact_lock`");
    for computes in [
        "upper('x') || now()::text",
        "gen_random_uuid()::text",
        "NULL",
    ] {
        place.done(&[&format!("ALTER TABLE t ALTER w SET DEFAULT {computes}")]);
        rehearsed(&place, INSERT);
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_default_of_a_sequence_is_rehearsed_with_a_warning() {
    let place = watched();
    place.done(&[
        "CREATE SEQUENCE numbers",
        "ALTER TABLE t ALTER w SET DEFAULT 'W-' || nextval('numbers')",
    ]);
    let report = rehearse(&place, &[INSERT]).unwrap();
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("a sequence of `t` has advanced"),
        "{report}"
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_check_runs_only_where_it_computes() {
    let place = watched();
    place.done(&["ALTER TABLE t ADD CONSTRAINT held CHECK (holds(v)) NOT VALID"]);
    refused(&place, INSERT, "the check `held` calls `holds`");
    refused(&place, UPDATE, "`holds`");
    rehearsed(&place, DELETE);
    place.done(&[
        "ALTER TABLE t DROP CONSTRAINT held",
        "ALTER TABLE t ADD CHECK (v ~ '^[a-z]+$' AND length(v) < 9)",
    ]);
    rehearsed(&place, INSERT);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn what_is_generated_and_indexed_runs_only_where_it_computes() {
    let place = watched();
    let g = "ALTER TABLE t ADD COLUMN g text GENERATED ALWAYS AS (CASE WHEN v = 'never' THEN fixed(v) END) STORED";
    place.done(&[g]);
    refused(&place, UPDATE, "the default of `g` calls `fixed`");
    place.done(&[
        "ALTER TABLE t DROP COLUMN g",
        "ALTER TABLE t ADD COLUMN g text GENERATED ALWAYS AS (lower(v)) STORED",
    ]);
    rehearsed(&place, UPDATE);
    for index in [
        "CREATE INDEX i ON t (fixed(v)) WHERE v = 'never'",
        "CREATE INDEX i ON t (v) WHERE v = 'never' AND fixed(v) = 'x'",
    ] {
        place.done(&[index]);
        refused(&place, INSERT, "the index `i` calls `fixed`");
        rehearsed(&place, DELETE);
        place.done(&["DROP INDEX i"]);
    }
    place.done(&["CREATE UNIQUE INDEX i ON t (lower(v)) WHERE w IS NOT NULL"]);
    rehearsed(&place, INSERT);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_domain_runs_only_where_it_computes() {
    let place = watched();
    place.done(&[
        "CREATE DOMAIN plain AS text CHECK (VALUE <> '')",
        "CREATE DOMAIN careful AS plain CHECK (holds(VALUE))",
        "CREATE TYPE pair AS (a integer, b careful)",
        "CREATE TABLE d (id integer, v careful)",
        "CREATE TABLE e (id integer, v careful[])",
        "CREATE TABLE f (id integer, v pair)",
        "CREATE TABLE g (id integer, v plain)",
    ]);
    for (sql, table) in [
        ("INSERT INTO d VALUES (1, NULL)", "d"),
        ("INSERT INTO e VALUES (1, NULL)", "e"),
        ("INSERT INTO f VALUES (1, NULL)", "f"),
        // Only the statement names it.
        ("INSERT INTO g VALUES (1, 'x'::\"careful\")", "g"),
    ] {
        refused(&place, sql, "the check `careful_check` calls `holds`");
        assert_eq!(place.count(table), 0);
    }
    rehearsed(&place, "INSERT INTO g VALUES (1, 'x')");
    // Only an expression of the table names it, or that of another domain.
    place.done(&[
        "CREATE TABLE k (id integer, v text CHECK (v::careful IS NOT NULL))",
        "CREATE DOMAIN outer_one AS text CHECK (VALUE::careful IS NOT NULL)",
        "CREATE TABLE l (id integer, v outer_one)",
    ]);
    for sql in [
        "INSERT INTO k VALUES (1, 'x')",
        "INSERT INTO l VALUES (1, 'x')",
    ] {
        refused(&place, sql, "the check `careful_check` calls `holds`");
    }
    place.done(&[
        "CREATE DOMAIN given AS text DEFAULT noted()",
        "CREATE TABLE h (id integer, v given)",
    ]);
    refused(
        &place,
        "INSERT INTO h (id) VALUES (1)",
        "the default of the domain `given` calls `noted`",
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn partitions_and_rules_run_only_where_they_compute() {
    let place = watched();
    place.done(&[
        "CREATE TABLE whole (id integer, v text) PARTITION BY LIST (fixed(v))",
        "CREATE TABLE part PARTITION OF whole DEFAULT",
        "CREATE TABLE large (id integer, v text) PARTITION BY RANGE (id)",
        "CREATE TABLE small PARTITION OF large DEFAULT",
        "ALTER TABLE small ADD CONSTRAINT held CHECK (holds(v))",
    ]);
    let key = "the partition key of `whole` calls `fixed`";
    refused(&place, "INSERT INTO whole VALUES (1, 'x')", key);
    refused(&place, "INSERT INTO part VALUES (1, 'x')", key);
    refused(
        &place,
        "INSERT INTO large VALUES (1, 'x')",
        "the check `held` calls `holds`",
    );
    place.done(&["ALTER TABLE small DROP CONSTRAINT held"]);
    rehearsed(&place, "INSERT INTO large VALUES (1, 'x')");
    place.done(&["CREATE RULE also AS ON DELETE TO t DO ALSO SELECT noted()"]);
    refused(&place, DELETE, "`t` is not a plain table");
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn tables_that_keys_reach_run_only_what_computes() {
    let place = watched();
    place.done(&[
        "CREATE TABLE c (t integer DEFAULT length(noted()) REFERENCES t ON DELETE SET NULL)",
        "CREATE TABLE d (t integer REFERENCES t ON DELETE CASCADE, v text CHECK (v <> ''))",
    ]);
    // The default of the other table is not taken.
    rehearsed(&place, DELETE);
    place.done(&["ALTER TABLE c ADD CONSTRAINT held CHECK (holds(t::text)) NOT VALID"]);
    refused(&place, DELETE, "the check `held` calls `holds`");
    rehearsed(&place, INSERT);
    place.done(&[
        "ALTER TABLE c DROP CONSTRAINT held",
        "ALTER TABLE c DROP CONSTRAINT c_t_fkey",
        "ALTER TABLE c ADD FOREIGN KEY (t) REFERENCES t ON DELETE SET DEFAULT",
    ]);
    refused(&place, DELETE, "the default of `t` calls `noted`");
    place.done(&[
        "DROP TABLE c",
        "CREATE RULE also AS ON DELETE TO d DO ALSO SELECT noted()",
    ]);
    refused(&place, DELETE, "the rule `also` may do more than compute");
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_policy_runs_only_where_it_computes() {
    let place = watched();
    let DriverConfig::Postgres(server) = &place.driver else {
        panic!("no server");
    };
    let role = format!("{}_reader", server.database);
    place.done(&[
        &format!("CREATE ROLE {role} LOGIN"),
        &format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"),
        &format!("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}"),
        "CREATE POLICY seen ON t USING (holds(v))",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
    ]);
    let reader = super::super::places::placed(DriverConfig::Postgres(DatabaseEndpoint {
        user: role.clone(),
        ..server.clone()
    }));
    let why = rehearse(&reader, &[UPDATE]);
    let still = place.value("SELECT is_called FROM runs");
    // Policies do not hold for who owns the database.
    let owner = rehearse(&place, &[UPDATE]);
    place.done(&[
        "DROP POLICY seen ON t",
        "CREATE POLICY seen ON t USING (v <> current_user)",
    ]);
    let computes = rehearse(&reader, &[UPDATE]);
    place.done(&[
        &format!("DROP OWNED BY {role}"),
        &format!("DROP ROLE {role}"),
    ]);
    assert!(
        why.as_ref()
            .is_err_and(|why| why.contains("the policy `seen` calls `holds`")),
        "{why:?}"
    );
    assert_eq!(still, "false");
    owner.unwrap();
    computes.unwrap();
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn users_namesake_is_not_taken_for_the_servers_own_name() {
    let place = watched();
    place.done(&[
        "CREATE FUNCTION upper(integer) RETURNS text LANGUAGE sql AS 'SELECT noted($1::text)'",
        "CREATE TYPE kind AS ENUM ('one', 'two')",
        "CREATE FUNCTION like_it(kind, text) RETURNS boolean LANGUAGE sql AS 'SELECT noted($2) IS NOT NULL'",
        "CREATE OPERATOR @> (LEFTARG = kind, RIGHTARG = text, FUNCTION = like_it)",
        "CREATE TABLE k (id integer, v kind)",
        "INSERT INTO k VALUES (1, 'one')",
    ]);
    refused(
        &place,
        "UPDATE t SET v = upper(7) WHERE id = 1",
        "the statement calls `upper`",
    );
    rehearsed(&place, "UPDATE t SET v = lower('X') WHERE id = 1");
    refused(
        &place,
        "DELETE FROM k WHERE v @> 'x'::text",
        "the statement calls `@>`",
    );
    rehearsed(&place, "DELETE FROM k WHERE v = 'one'");
    place.done(&[
        "CREATE FUNCTION to_kind(integer) RETURNS kind LANGUAGE sql AS 'SELECT (noted($1::text))::kind'",
        "CREATE CAST (integer AS kind) WITH FUNCTION to_kind(integer) AS ASSIGNMENT",
    ]);
    let cast = "a cast of the statement calls `to_kind`";
    refused(&place, "INSERT INTO k VALUES (2, 7)", cast);
    refused(&place, "UPDATE t SET v = 7::kind::text WHERE id = 1", cast);
    rehearsed(&place, "UPDATE t SET v = 'x' WHERE id = 1");
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn a_function_is_not_called_as_a_column() {
    let place = watched();
    place.done(&[
        "CREATE FUNCTION of_row(t) RETURNS text LANGUAGE sql AS 'SELECT noted($1.v)'",
        "CREATE TYPE pair AS (a text, b text)",
        "ALTER TABLE t ADD COLUMN p pair",
    ]);
    for (value, name) in [
        ("t.of_row", "of_row"),
        ("(t).of_row", "of_row"),
        ("(t.*).\"of_row\"", "of_row"),
        ("t . /* a */ of_row", "of_row"),
        ("t.--\nof_row", "of_row"),
        ("(v).noted", "noted"),
        ("('x'::text).fixed", "fixed"),
        ("((p).a).fixed", ""),
        ("(ARRAY[v])[1].fixed", "fixed"),
        ("t.U&\"\\006ff_row\"", ""),
    ] {
        refused(
            &place,
            &format!("UPDATE t SET w = {value} WHERE id = 1"),
            name,
        );
        refused(&place, &format!("DELETE FROM t WHERE {value} = 'x'"), name);
    }
    refused(
        &place,
        "DELETE FROM t WHERE id = 1 RETURNING t.of_row",
        "of_row",
    );
    refused(
        &place,
        "UPDATE t SET w = (0.5).setseed::text WHERE id = 1",
        "`setseed`",
    );
    for sql in [
        "UPDATE t SET w = t.v WHERE t.id = 1",
        "DELETE FROM t WHERE \"t\" . \"id\" = 1",
        "INSERT INTO t VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET v = excluded.v || 'of_row'",
    ] {
        rehearsed(&place, sql);
    }
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn an_operator_that_is_named_by_its_schema_is_found() {
    let place = watched();
    place.done(&[
        "CREATE SCHEMA far",
        "CREATE FUNCTION adds(integer, integer) RETURNS integer LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM nextval('runs'); RETURN 1; END $$",
        "CREATE OPERATOR far.+ (LEFTARG = integer, RIGHTARG = integer, FUNCTION = adds)",
    ]);
    let sql = "UPDATE t SET v = 'd' WHERE id = 0 OPERATOR(far.+) 1";
    refused(
        &place,
        sql,
        "`far.+` is not known to do nothing but compute",
    );
    rehearsed(&place, "UPDATE t SET v = 'd' WHERE id = 0 + 1");
}

/// What is made, how it goes again, a statement that runs it without its name in it, and what of it the refusal names.
const UNNAMED: [[&str; 4]; 6] = [
    [
        "OPERATOR @> (LEFTARG = kind, RIGHTARG = text, FUNCTION = likes)",
        "OPERATOR @> (kind, text)",
        "UPDATE t SET v = 'd' WHERE 'one' @> 'x'::text",
        "`@>`",
    ],
    [
        "OPERATOR ~~ (LEFTARG = kind, RIGHTARG = text, FUNCTION = likes)",
        "OPERATOR ~~ (kind, text)",
        "DELETE FROM t WHERE 'one'::kind LIKE 'x'::text",
        "`~~`",
    ],
    [
        "OPERATOR <@ (LEFTARG = integer, RIGHTARG = integer, FUNCTION = same)",
        "OPERATOR <@ (integer, integer)",
        "DELETE FROM t WHERE 1 <@ 2",
        "`<@`",
    ],
    [
        "CAST (t AS text) WITH FUNCTION of_row(t)",
        "CAST (t AS text)",
        "UPDATE t AS x SET v = x::text",
        "`of_row`",
    ],
    [
        "CAST (t[] AS text) WITH FUNCTION of_rows(t[])",
        "CAST (t[] AS text)",
        "UPDATE t AS x SET v = ARRAY[x]::text",
        "`of_rows`",
    ],
    [
        "CAST (kind AS json) WITH FUNCTION of_kind(kind)",
        "CAST (kind AS json)",
        "UPDATE t SET v = to_json('one'::kind)::text",
        "`of_kind`",
    ],
];

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn operators_and_casts_without_columns_are_found() {
    let place = watched();
    let made = |name: &str, takes: &str, returns: &str| {
        place.done(&[&format!(
            "CREATE FUNCTION {name}({takes}) RETURNS {returns} LANGUAGE plpgsql AS \
             $$ BEGIN PERFORM nextval('runs'); RETURN NULL; END $$"
        )]);
    };
    place.done(&["CREATE TYPE kind AS ENUM ('one', 'two')"]);
    made("likes", "kind, text", "boolean");
    made("same", "integer, integer", "boolean");
    made("of_rows", "t[]", "text");
    made("of_row", "t", "text");
    made("of_kind", "kind", "json");
    for [thing, again, sql, name] in UNNAMED {
        rehearsed(&place, UPDATE);
        place.done(&[&format!("CREATE {thing}")]);
        refused(&place, sql, name);
        // What belongs to a type that a statement has nothing to do with does not keep it from being rehearsed.
        if thing.contains("~~") || thing.contains("json") {
            rehearsed(&place, UPDATE);
        }
        place.done(&[&format!("DROP {again}")]);
    }
    made("day", "integer", "date");
    place.done(&["CREATE CAST (integer AS date) WITH FUNCTION day(integer) AS IMPLICIT"]);
    refused(&place, "DELETE FROM t WHERE 1 < current_date", "`day`");
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn range_and_policy_that_reads_elsewhere_run_only_what_computes() {
    let place = watched();
    place.done(&[
        "CREATE FUNCTION apart(text, text) RETURNS float8 IMMUTABLE LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM nextval('runs'); RETURN 1; END $$",
        "CREATE TYPE words AS RANGE (subtype = text, subtype_diff = apart)",
        "CREATE TABLE r (id integer, v words)",
        "CREATE TABLE s (id integer, v int4range)",
        "CREATE VIEW seen AS SELECT noted(v) AS v FROM t",
        "CREATE TABLE names (v text)",
    ]);
    refused(
        &place,
        "INSERT INTO r VALUES (1, '[a,b)')",
        "the type `words` calls `apart`",
    );
    rehearsed(&place, "INSERT INTO s VALUES (1, '[1,5)')");
    let DriverConfig::Postgres(server) = &place.driver else {
        panic!("no server");
    };
    let role = format!("{}_policed", server.database);
    place.done(&[
        &format!("CREATE ROLE {role} LOGIN"),
        &format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"),
        &format!("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}"),
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
    ]);
    let reader = super::super::places::placed(DriverConfig::Postgres(DatabaseEndpoint {
        user: role.clone(),
        ..server.clone()
    }));
    let under = |table: &str| {
        let policy = format!("CREATE POLICY p ON t USING (v IN (SELECT v FROM {table}))");
        place.done(&[&policy]);
        let outcome = rehearse(&reader, &[UPDATE]);
        place.done(&["DROP POLICY p ON t"]);
        outcome
    };
    let (view, table) = (under("seen"), under("names"));
    let still = place.value("SELECT is_called FROM runs");
    place.done(&[
        &format!("DROP OWNED BY {role}"),
        &format!("DROP ROLE {role}"),
    ]);
    assert!(
        view.as_ref()
            .is_err_and(|why| why.contains("the policy `p` may do more than compute")),
        "{view:?}"
    );
    table.unwrap();
    assert_eq!(still, "false");
}
