//! Functions that are known to have no side effects, a list for each dialect.
//!
//! The lists are the databases' own: `tests/sql/catalogue.sh` writes them from the catalogues of PostgreSQL, MariaDB
//! and SQLite, and a test writes them again and compares. What a catalogue cannot say stands here: volatile functions
//! of PostgreSQL that only look, names of newer versions, of MySQL, and of what is written with keywords. In the dialect
//! of MySQL only what both servers have is known here; the agent knows which of them it asks. A function
//! that is neither here nor in `functions` may do anything, and its call is never approved by risk alone.

mod flavors;

use super::dangerous::{DESCRIBING_PRAGMAS, is_dangerous};
use crate::domain::dialect::Dialect;
use flavors::{OF_MARIADB, OF_MYSQL};
use std::collections::HashMap;
use std::sync::LazyLock;

/// Volatile in PostgreSQL because what they return changes, not because they change anything; sorted.
pub(super) const POSTGRES_LOOKS: &[&str] = &[
    "clock_timestamp",
    "current_query",
    "currtid2",
    "currval",
    "gen_random_uuid",
    "lastval",
    "pg_blocking_pids",
    "pg_collation_actual_version",
    "pg_control_checkpoint",
    "pg_control_init",
    "pg_control_recovery",
    "pg_control_system",
    "pg_current_logfile",
    "pg_current_wal_flush_lsn",
    "pg_current_wal_insert_lsn",
    "pg_current_wal_lsn",
    "pg_database_collation_actual_version",
    "pg_database_size",
    "pg_get_backend_memory_contexts",
    "pg_get_multixact_members",
    "pg_get_shmem_allocations",
    "pg_get_wal_replay_pause_state",
    "pg_get_wal_resource_managers",
    "pg_indexes_size",
    "pg_is_in_recovery",
    "pg_is_wal_replay_paused",
    "pg_jit_available",
    "pg_last_committed_xact",
    "pg_last_wal_receive_lsn",
    "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp",
    "pg_lock_status",
    "pg_notification_queue_usage",
    "pg_partition_ancestors",
    "pg_partition_tree",
    "pg_prepared_xact",
    "pg_relation_size",
    "pg_safe_snapshot_blocking_pids",
    "pg_stat_get_recovery_prefetch",
    "pg_stat_get_xact_blocks_fetched",
    "pg_stat_get_xact_blocks_hit",
    "pg_stat_get_xact_function_calls",
    "pg_stat_get_xact_function_self_time",
    "pg_stat_get_xact_function_total_time",
    "pg_stat_get_xact_numscans",
    "pg_stat_get_xact_tuples_deleted",
    "pg_stat_get_xact_tuples_fetched",
    "pg_stat_get_xact_tuples_hot_updated",
    "pg_stat_get_xact_tuples_inserted",
    "pg_stat_get_xact_tuples_returned",
    "pg_stat_get_xact_tuples_updated",
    "pg_stat_have_stats",
    "pg_table_size",
    "pg_tablespace_size",
    "pg_total_relation_size",
    "pg_xact_commit_timestamp",
    "pg_xact_commit_timestamp_origin",
    "pg_xact_status",
    "random",
    "timeofday",
    "txid_status",
];

/// Volatile in PostgreSQL, and neither listed as dangerous nor as harmless: each call is looked at by a human. Sorted.
#[cfg(test)]
const POSTGRES_DOUBTFUL: &[&str] = &[
    "amvalidate",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_isolation_test_session_is_blocked",
    "pg_show_all_file_settings",
    "pg_show_replication_origin_status",
    "plpgsql_inline_handler",
    "plpgsql_validator",
    "setseed",
];

/// Written with keywords, or newer than the catalogue; sorted.
const POSTGRES_MORE: &[&str] = &[
    "any_value",
    "array_reverse",
    "array_sample",
    "array_shuffle",
    "array_sort",
    "casefold",
    "coalesce",
    "collation",
    "crc32",
    "crc32c",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "erf",
    "erfc",
    "gamma",
    "greatest",
    "grouping",
    "json",
    "json_array",
    "json_arrayagg",
    "json_exists",
    "json_object",
    "json_objectagg",
    "json_query",
    "json_scalar",
    "json_serialize",
    "json_table",
    "json_value",
    "least",
    "lgamma",
    "localtime",
    "localtimestamp",
    "merge_action",
    "nullif",
    "pg_basetype",
    "pg_input_error_info",
    "pg_input_is_valid",
    "random_normal",
    "row",
    "session_user",
    "substring",
    "system_user",
    "to_bin",
    "to_oct",
    "treat",
    "trim",
    "unicode_assigned",
    "unicode_version",
    "unnest",
    "uuid_extract_timestamp",
    "uuid_extract_version",
    "uuidv4",
    "uuidv7",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

/// Written with keywords, or of both servers and not published by MariaDB; sorted.
const MYSQL_MORE: &[&str] = &[
    "ascii",
    "avg",
    "bit_count",
    "cast",
    "char",
    "charset",
    "convert",
    "cume_dist",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "date",
    "day",
    "geometrycollection",
    "get_format",
    "hour",
    "if",
    "insert",
    "interval",
    "json_table",
    "left",
    "linestring",
    "localtime",
    "localtimestamp",
    "match",
    "mbrcontains",
    "mbrdisjoint",
    "mbrequals",
    "mbrintersects",
    "mbroverlaps",
    "mbrtouches",
    "mbrwithin",
    "minute",
    "month",
    "multilinestring",
    "multipoint",
    "multipolygon",
    "point",
    "polygon",
    "repeat",
    "replace",
    "right",
    "row",
    "row_number",
    "schema",
    "second",
    "st_area",
    "st_asbinary",
    "st_asgeojson",
    "st_astext",
    "st_aswkb",
    "st_aswkt",
    "st_buffer",
    "st_centroid",
    "st_contains",
    "st_convexhull",
    "st_crosses",
    "st_difference",
    "st_dimension",
    "st_disjoint",
    "st_distance",
    "st_distance_sphere",
    "st_endpoint",
    "st_envelope",
    "st_equals",
    "st_exteriorring",
    "st_geomcollfromtext",
    "st_geomcollfromwkb",
    "st_geometrycollectionfromtext",
    "st_geometrycollectionfromwkb",
    "st_geometryfromtext",
    "st_geometryfromwkb",
    "st_geometryn",
    "st_geometrytype",
    "st_geomfromgeojson",
    "st_geomfromtext",
    "st_geomfromwkb",
    "st_interiorringn",
    "st_intersection",
    "st_intersects",
    "st_isclosed",
    "st_isempty",
    "st_issimple",
    "st_length",
    "st_linefromtext",
    "st_linefromwkb",
    "st_linestringfromtext",
    "st_linestringfromwkb",
    "st_mlinefromtext",
    "st_mlinefromwkb",
    "st_mpointfromtext",
    "st_mpointfromwkb",
    "st_mpolyfromtext",
    "st_mpolyfromwkb",
    "st_multilinestringfromtext",
    "st_multilinestringfromwkb",
    "st_multipointfromtext",
    "st_multipointfromwkb",
    "st_multipolygonfromtext",
    "st_multipolygonfromwkb",
    "st_numgeometries",
    "st_numinteriorrings",
    "st_numpoints",
    "st_overlaps",
    "st_pointfromtext",
    "st_pointfromwkb",
    "st_pointn",
    "st_polyfromtext",
    "st_polyfromwkb",
    "st_polygonfromtext",
    "st_polygonfromwkb",
    "st_srid",
    "st_startpoint",
    "st_symdifference",
    "st_touches",
    "st_union",
    "st_within",
    "st_x",
    "st_y",
    "sysdate",
    "time",
    "timestamp",
    "timestampadd",
    "timestampdiff",
    "truncate",
    "user",
    "utc_date",
    "utc_time",
    "utc_timestamp",
    "values",
    "week",
    "weight_string",
    "year",
];

/// Of newer versions and of the extensions that are compiled in; sorted.
const SQLITE_MORE: &[&str] = &[
    "avg",
    "bm25",
    "concat",
    "concat_ws",
    "current_date",
    "current_time",
    "current_timestamp",
    "fts5_get_locale",
    "fts5_insttoken",
    "fts5_locale",
    "fts5_source_id",
    "generate_series",
    "highlight",
    "if",
    "json_array_insert",
    "json_each",
    "json_error_position",
    "json_group_array",
    "json_group_object",
    "json_pretty",
    "json_tree",
    "jsonb",
    "jsonb_array",
    "jsonb_array_insert",
    "jsonb_each",
    "jsonb_extract",
    "jsonb_group_array",
    "jsonb_group_object",
    "jsonb_insert",
    "jsonb_object",
    "jsonb_patch",
    "jsonb_remove",
    "jsonb_replace",
    "jsonb_set",
    "jsonb_tree",
    "match",
    "matchinfo",
    "median",
    "octet_length",
    "offsets",
    "percentile",
    "percentile_cont",
    "percentile_disc",
    "raise",
    "regexp",
    "rtreecheck",
    "rtreedepth",
    "rtreenode",
    "snippet",
    "sqlite_offset",
    "string_agg",
    "timediff",
    "unhex",
    "unistr",
    "unistr_quote",
];

/// What is known of a name in PostgreSQL's own catalogue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Volatility {
    Looks,
    Volatile { one_argument: bool },
}

static POSTGRES: LazyLock<HashMap<&str, Volatility>> = LazyLock::new(|| {
    let line = |line: &'static str| {
        let (name, volatility) = line.split_once(' ')?;
        let looks = POSTGRES_LOOKS.binary_search(&name).is_ok();
        let volatility = match volatility {
            _ if looks => Volatility::Looks,
            "v" | "v1" => Volatility::Volatile {
                one_argument: volatility == "v1",
            },
            _ => Volatility::Looks,
        };
        Some((name, volatility))
    };
    let catalogue = include_str!("catalogue/postgresql.txt");
    let more = POSTGRES_MORE.iter().map(|n| (*n, Volatility::Looks));
    catalogue.lines().filter_map(line).chain(more).collect()
});

static MYSQL: LazyLock<HashMap<&str, ()>> =
    LazyLock::new(|| names(include_str!("catalogue/mysql.txt"), MYSQL_MORE));

static SQLITE: LazyLock<HashMap<&str, ()>> =
    LazyLock::new(|| names(include_str!("catalogue/sqlite.txt"), SQLITE_MORE));

fn names(catalogue: &'static str, more: &'static [&'static str]) -> HashMap<&'static str, ()> {
    let all = catalogue.lines().chain(more.iter().copied());
    all.map(|name| (name, ())).collect()
}

/// Whether the function `name` (lower case, of the database itself) is known to have no side effects.
pub(super) fn is_pure(name: &str, dialect: Dialect) -> bool {
    let listed = match dialect {
        Dialect::Postgres => POSTGRES.get(name) == Some(&Volatility::Looks),
        // Which of the two servers runs it is known to the agent alone.
        Dialect::MySql => MYSQL.contains_key(name) && OF_MARIADB.binary_search(&name).is_err(),
        Dialect::Sqlite => {
            let pragma = name.strip_prefix("pragma_");
            SQLITE.contains_key(name)
                || pragma.is_some_and(|p| DESCRIBING_PRAGMAS.binary_search(&p).is_ok())
        }
    };
    listed && !is_dangerous(name)
}

/// Whether the function `name` (lower case) is one of MySQL's own, not one of every MariaDB, and has no side effects.
pub fn computes_on_mysql(name: &str) -> bool {
    OF_MYSQL.binary_search(&name).is_ok() && !is_dangerous(name)
}

/// The same of MariaDB and every MySQL.
pub fn computes_on_mariadb(name: &str) -> bool {
    OF_MARIADB.binary_search(&name).is_ok() && !is_dangerous(name)
}

/// Whether PostgreSQL computes the function once for a statement: it is immutable or stable.
pub(super) fn is_stable(name: &str) -> bool {
    is_pure(name, Dialect::Postgres)
        && POSTGRES_LOOKS.binary_search(&name).is_err()
        && !matches!(
            name,
            "random_normal" | "uuidv4" | "uuidv7" | "array_shuffle" | "array_sample"
        )
}

/// Whether PostgreSQL takes `value.name` for a call of this function of its own, which is not known to be harmless.
pub(super) fn is_called_as_field(name: &str) -> bool {
    matches!(
        POSTGRES.get(name),
        Some(Volatility::Volatile { one_argument: true })
    )
}

#[cfg(test)]
mod tests;
