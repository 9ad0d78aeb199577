//! What MySQL and MariaDB are asked in different words, all in one place.

use crate::domain::sql::{computes_on_mariadb, computes_on_mysql};
use std::time::Duration;

/// Which of the two a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MySqlFlavor {
    MariaDb,
    MySql,
}

impl MySqlFlavor {
    /// By what `VERSION()` says.
    pub(super) fn of_version(version: &str) -> MySqlFlavor {
        match version.to_ascii_lowercase().contains("mariadb") {
            true => MySqlFlavor::MariaDb,
            false => MySqlFlavor::MySql,
        }
    }

    /// Ends every further statement after so long, as one assignment of a SET; that of MySQL reads alone, and for the rest the agent's own limit holds.
    pub(super) fn limits_time(self, left: Duration) -> String {
        match self {
            MySqlFlavor::MariaDb => {
                format!("SESSION max_statement_time = {:.3}", left.as_secs_f64())
            }
            MySqlFlavor::MySql => {
                format!("SESSION max_execution_time = {}", left.as_millis())
            }
        }
    }

    /// Turns warnings on again and allows half a minute, whatever a plan has set.
    pub(super) fn listens_again(self) -> &'static str {
        match self {
            MySqlFlavor::MariaDb => {
                "SET SESSION max_error_count = 64, SESSION max_statement_time = 30"
            }
            MySqlFlavor::MySql => {
                "SET SESSION max_error_count = 64, SESSION max_execution_time = 30000"
            }
        }
    }

    /// Turns off what makes `id IS NULL` find the row that was inserted last; MySQL may no longer have it.
    pub(super) fn reads_null_as_null(self) -> &'static str {
        match self {
            MySqlFlavor::MariaDb => ", SESSION sql_auto_is_null = 0",
            MySqlFlavor::MySql => "",
        }
    }

    /// Asks whether a transaction is open, where that can be asked.
    pub(super) fn asks_for_transaction(self) -> Option<&'static str> {
        match self {
            MySqlFlavor::MariaDb => Some("SELECT @@in_transaction"),
            MySqlFlavor::MySql => None,
        }
    }

    /// Whether `function`, which not both servers have, is one of this server's own that does nothing but compute.
    pub(super) fn computes(self, function: &str) -> bool {
        match self {
            MySqlFlavor::MariaDb => computes_on_mariadb(function),
            MySqlFlavor::MySql => computes_on_mysql(function),
        }
    }

    /// Whether a write is explained in a read-only transaction.
    pub(super) fn explains_writes_read_only(self) -> bool {
        self == MySqlFlavor::MySql
    }

    /// The table of InnoDB's own about foreign keys.
    pub(super) fn engine_keys(self) -> &'static str {
        match self {
            MySqlFlavor::MariaDb => "information_schema.INNODB_SYS_FOREIGN",
            MySqlFlavor::MySql => "information_schema.INNODB_FOREIGN",
        }
    }

    /// The tables that tell which transaction (`r`) waits for which (`b`).
    pub(super) fn lock_waits(self) -> &'static str {
        match self {
            MySqlFlavor::MariaDb => {
                "information_schema.INNODB_LOCK_WAITS w JOIN information_schema.INNODB_TRX r \
                 ON r.trx_id = w.requesting_trx_id JOIN information_schema.INNODB_TRX b ON b.trx_id = w.blocking_trx_id"
            }
            MySqlFlavor::MySql => {
                "performance_schema.data_lock_waits w JOIN information_schema.INNODB_TRX r \
                 ON r.trx_id = w.REQUESTING_ENGINE_TRANSACTION_ID JOIN information_schema.INNODB_TRX b \
                 ON b.trx_id = w.BLOCKING_ENGINE_TRANSACTION_ID"
            }
        }
    }

    /// Whether functions of a library may stand in a schema; MySQL lets none but its own.
    pub(super) fn schema_may_call_libraries(self) -> bool {
        self == MySqlFlavor::MariaDb
    }

    /// Asks when the server was started, in seconds since 1970 by its own clock. Both times of the difference are those of
    /// the statement, so that the answer is the same whenever it is asked for.
    pub(super) fn asks_for_start(self) -> String {
        let status = match self {
            MySqlFlavor::MariaDb => "information_schema.GLOBAL_STATUS",
            MySqlFlavor::MySql => "performance_schema.global_status",
        };
        format!(
            "SELECT CAST(UNIX_TIMESTAMP() - VARIABLE_VALUE AS SIGNED) FROM {status} WHERE VARIABLE_NAME = 'Uptime'"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_version() {
        for (version, kind) in [
            ("10.11.6-MariaDB-0+deb12u1", MySqlFlavor::MariaDb),
            ("5.5.5-11.4.2-mariadb", MySqlFlavor::MariaDb),
            ("8.0.36", MySqlFlavor::MySql),
            ("8.4.0-commercial", MySqlFlavor::MySql),
            ("", MySqlFlavor::MySql),
        ] {
            assert_eq!(MySqlFlavor::of_version(version), kind, "{version}");
        }
    }

    /// The tests run against MariaDB; these are the words that only MySQL gets, as its manual has them.
    #[test]
    fn mysql_is_asked_in_words_of_its_own() {
        let mysql = MySqlFlavor::MySql;
        let left = Duration::from_millis(1500);
        assert_eq!(mysql.limits_time(left), "SESSION max_execution_time = 1500");
        assert_eq!(
            MySqlFlavor::MariaDb.limits_time(left),
            "SESSION max_statement_time = 1.500"
        );
        assert_eq!(
            mysql.listens_again(),
            "SET SESSION max_error_count = 64, SESSION max_execution_time = 30000"
        );
        assert_eq!(mysql.asks_for_transaction(), None);
        assert!(mysql.explains_writes_read_only());
        assert!(!MySqlFlavor::MariaDb.explains_writes_read_only());
        assert_eq!(mysql.engine_keys(), "information_schema.INNODB_FOREIGN");
        assert!(
            mysql
                .lock_waits()
                .starts_with("performance_schema.data_lock_waits w JOIN")
        );
        assert!(!mysql.schema_may_call_libraries());
        assert_eq!(
            mysql.asks_for_start(),
            "SELECT CAST(UNIX_TIMESTAMP() - VARIABLE_VALUE AS SIGNED) FROM performance_schema.global_status \
             WHERE VARIABLE_NAME = 'Uptime'"
        );
    }
}
