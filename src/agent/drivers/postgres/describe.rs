//! What the tables of a PostgreSQL database are: five questions to the catalogue in one read-only transaction. Rows are
//! the estimates of the statistics; nothing is scanned.

use super::Postgres;
use super::watch::{PgDeadline, PgStop};
use super::wire::PgConnection;
use crate::agent::drivers::snapshot::{
    ColumnDescription, ConstraintDescription, Index, SchemaDescription, TableDescription, Trigger,
};
use crate::agent::drivers::{Cancel, cut};

/// Longest time for all of it, in seconds.
const DESCRIBE_SECS_MAX: u64 = 30;

/// Tables of the database itself are left out, views too.
const WHICH: &str = "c.relkind IN ('r', 'p', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
     AND n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname NOT LIKE 'pg\\_temp%'";

/// What is described: everything, or the only schema that sessions see.
fn which(postgres: &Postgres) -> String {
    match &postgres.endpoint.schema {
        None => WHICH.to_owned(),
        Some(schema) => format!("{WHICH} AND n.nspname = '{}'", schema.replace('\'', "''")),
    }
}

/// Describes the database of `postgres`; the message says why not.
pub(super) fn describe(postgres: &Postgres, cancel: &Cancel) -> Result<String, String> {
    let watch = PgDeadline::new(DESCRIBE_SECS_MAX, cancel);
    read(postgres, &watch).map_err(|stop| cut(watch.why(stop).0))
}

fn read(postgres: &Postgres, watch: &PgDeadline) -> Result<String, PgStop> {
    let mut conn = postgres.connect(watch)?;
    postgres.begin(
        &mut conn,
        "ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        watch,
    )?;
    let mut snapshot = SchemaDescription::default();
    let which = which(postgres);
    tables(&mut conn, &which, &mut snapshot)?;
    watch.look()?;
    columns(&mut conn, &which, &mut snapshot)?;
    watch.look()?;
    constraints(&mut conn, &which, &mut snapshot)?;
    indexes(&mut conn, &which, &mut snapshot)?;
    triggers(&mut conn, &which, &mut snapshot)?;
    snapshot.finish().map_err(PgStop::Failed)
}

/// The text of one value.
fn text(row: &[Option<String>], n: usize) -> String {
    maybe(row, n).unwrap_or_default()
}

fn maybe(row: &[Option<String>], n: usize) -> Option<String> {
    row.get(n).cloned().flatten()
}

/// A JSON array of strings as the catalogue was asked to write it.
fn list(row: &[Option<String>], n: usize) -> Vec<String> {
    maybe(row, n)
        .and_then(|json| serde_json::from_str(&json).ok())
        .unwrap_or_default()
}

fn tables(
    conn: &mut PgConnection,
    which: &str,
    snapshot: &mut SchemaDescription,
) -> Result<(), PgStop> {
    let rows = conn.own(&format!(
        "SELECT n.nspname, c.relname, CASE WHEN c.reltuples >= 0 AND c.relpages > 0 THEN c.reltuples::bigint \
         ELSE coalesce(nullif(s.n_live_tup, 0), c.reltuples::bigint) END \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = c.oid WHERE {which} ORDER BY 1, 2 LIMIT {}",
        crate::agent::drivers::snapshot::TABLES_MAX + 1
    ))?;
    for row in rows {
        let table = TableDescription {
            schema_name: text(&row, 0),
            name: text(&row, 1),
            estimated_rows: text(&row, 2).parse().unwrap_or(-1),
            ..TableDescription::default()
        };
        snapshot.add(table).map_err(PgStop::Failed)?;
    }
    Ok(())
}

fn columns(
    conn: &mut PgConnection,
    which: &str,
    snapshot: &mut SchemaDescription,
) -> Result<(), PgStop> {
    let rows = conn.own(&format!(
        "SELECT n.nspname, c.relname, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull::text, \
         pg_catalog.pg_get_expr(d.adbin, d.adrelid), coalesce(a.attnum = ANY (k.conkey), false)::text \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
         LEFT JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p' \
         WHERE {which} ORDER BY 1, 2, a.attnum"
    ))?;
    for row in rows {
        if let Some(table) = snapshot.table(&text(&row, 0), &text(&row, 1)) {
            table.columns.push(ColumnDescription {
                name: text(&row, 2),
                data_type: text(&row, 3),
                nullable: text(&row, 4) != "true",
                default_value: maybe(&row, 5),
                is_primary_key: text(&row, 6) == "true",
            });
        }
    }
    Ok(())
}

fn constraints(
    conn: &mut PgConnection,
    which: &str,
    snapshot: &mut SchemaDescription,
) -> Result<(), PgStop> {
    let names = |relation: &str, key: &str| {
        format!(
            "(SELECT pg_catalog.json_agg(a.attname ORDER BY u.n) FROM pg_catalog.unnest(k.{key}) WITH ORDINALITY u(num, n) \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = k.{relation} AND a.attnum = u.num)::text"
        )
    };
    let rows = conn.own(&format!(
        "SELECT n.nspname, c.relname, k.conname, k.contype::text, {}, CASE WHEN k.contype = 'f' THEN \
         (SELECT CASE WHEN rn.nspname = n.nspname THEN r.relname ELSE rn.nspname || '.' || r.relname END \
          FROM pg_catalog.pg_class r JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace WHERE r.oid = k.confrelid) END, \
         {}, k.confdeltype::text \
         FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE k.contype IN ('p', 'f', 'u', 'c') AND {which} ORDER BY 1, 2, 3",
        names("conrelid", "conkey"),
        names("confrelid", "confkey")
    ))?;
    for row in rows {
        let foreign = text(&row, 3) == "f";
        let constraint = ConstraintDescription {
            name: text(&row, 2),
            constraint_type: match text(&row, 3).as_str() {
                "p" => "primary_key",
                "f" => "foreign_key",
                "u" => "unique",
                _ => "check",
            },
            columns: list(&row, 4),
            referenced_table: maybe(&row, 5),
            referenced_columns: foreign.then(|| list(&row, 6)),
            on_delete: foreign.then(|| {
                match text(&row, 7).as_str() {
                    "c" => "CASCADE",
                    "n" => "SET_NULL",
                    "r" => "RESTRICT",
                    "d" => "SET_DEFAULT",
                    _ => "NO_ACTION",
                }
                .to_owned()
            }),
        };
        if let Some(table) = snapshot.table(&text(&row, 0), &text(&row, 1)) {
            table.constraints.push(constraint);
        }
    }
    Ok(())
}

fn indexes(
    conn: &mut PgConnection,
    which: &str,
    snapshot: &mut SchemaDescription,
) -> Result<(), PgStop> {
    let rows = conn.own(&format!(
        "SELECT n.nspname, c.relname, i.relname, x.indisunique::text, m.amname, \
         (SELECT pg_catalog.json_agg(coalesce(a.attname, '(expression)') ORDER BY u.n) \
          FROM pg_catalog.unnest(x.indkey::int2[]) WITH ORDINALITY u(num, n) \
          LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.num AND u.num <> 0)::text \
         FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid \
         JOIN pg_catalog.pg_class c ON c.oid = x.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_am m ON m.oid = i.relam WHERE {which} ORDER BY 1, 2, 3"
    ))?;
    for row in rows {
        if let Some(table) = snapshot.table(&text(&row, 0), &text(&row, 1)) {
            table.indexes.push(Index {
                name: text(&row, 2),
                columns: list(&row, 5),
                is_unique: text(&row, 3) == "true",
                index_type: text(&row, 4),
            });
        }
    }
    Ok(())
}

fn triggers(
    conn: &mut PgConnection,
    which: &str,
    snapshot: &mut SchemaDescription,
) -> Result<(), PgStop> {
    let rows = conn.own(&format!(
        "SELECT n.nspname, c.relname, t.tgname, concat_ws(' OR ', CASE WHEN t.tgtype & 4 > 0 THEN 'INSERT' END, \
         CASE WHEN t.tgtype & 16 > 0 THEN 'UPDATE' END, CASE WHEN t.tgtype & 8 > 0 THEN 'DELETE' END, \
         CASE WHEN t.tgtype & 32 > 0 THEN 'TRUNCATE' END) \
         FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND {which} ORDER BY 1, 2, 3"
    ))?;
    for row in rows {
        if let Some(table) = snapshot.table(&text(&row, 0), &text(&row, 1)) {
            table.triggers.push(Trigger {
                name: text(&row, 2),
                event: text(&row, 3),
            });
        }
    }
    Ok(())
}
