//! What catalogues say, and what is listed by hand.

use super::*;
use crate::domain::sql::dangerous::NAMES;

#[test]
fn hand_made_lists_are_sorted() {
    for list in [
        POSTGRES_LOOKS,
        POSTGRES_DOUBTFUL,
        POSTGRES_MORE,
        MYSQL_MORE,
        OF_MYSQL,
        OF_MARIADB,
        SQLITE_MORE,
    ] {
        assert!(list.is_sorted(), "{list:?}");
    }
}

/// Each is dangerous, harmless or doubtful; a new one of a later version fails this until it was looked at.
#[test]
fn every_volatile_function_of_postgres_was_judged() {
    let mut unjudged = Vec::new();
    for line in include_str!("postgresql.txt").lines() {
        let (name, volatility) = line.split_once(' ').unwrap();
        let judged = is_dangerous(name)
            || POSTGRES_LOOKS.binary_search(&name).is_ok()
            || POSTGRES_DOUBTFUL.binary_search(&name).is_ok();
        if volatility.starts_with('v') && !judged {
            unjudged.push(name);
        }
    }
    assert!(unjudged.is_empty(), "{unjudged:?}");
}

/// On the other server the name can be somebody's own.
#[test]
fn a_function_of_one_server_computes_there_alone() {
    for (name, of_mysql) in [
        ("bin_to_uuid", true),
        ("st_latitude", true),
        ("nvl", false),
        ("to_char", false),
    ] {
        assert!(!is_pure(name, Dialect::MySql), "{name}");
        assert_eq!(computes_on_mysql(name), of_mysql, "{name}");
        assert_eq!(computes_on_mariadb(name), !of_mysql, "{name}");
    }
    assert!(is_pure("st_distance", Dialect::MySql));
    assert!(!is_pure("st_recalc", Dialect::MySql));
}

#[test]
fn dangerous_functions_are_never_pure() {
    for name in NAMES {
        for dialect in [Dialect::Postgres, Dialect::MySql, Dialect::Sqlite] {
            assert!(!is_pure(name, dialect), "{name}");
        }
        assert!(
            !computes_on_mysql(name) && !computes_on_mariadb(name),
            "{name}"
        );
    }
    for name in ["abs", "count", "lower", "coalesce"] {
        for dialect in [Dialect::Postgres, Dialect::MySql, Dialect::Sqlite] {
            assert!(is_pure(name, dialect), "{name}");
        }
    }
}
