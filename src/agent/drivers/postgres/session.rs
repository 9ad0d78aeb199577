//! A session of ours on PostgreSQL: what holds in it whatever the server and those before have set, and what is taken back
//! when it ends.

use super::Postgres;
use super::watch::{PgDeadline, PgStop};
use super::wire::{Fault, PgConnection};

/// Milliseconds that a transaction may stand idle: between two statements of ours pass microseconds.
const IDLE_MS_MAX: u64 = 60_000;
/// How often the server looks whether the agent is still there while a statement runs.
const CHECK_INTERVAL_MS: u64 = 5000;

/// Takes back what a statement has done to its session and not to the database; all of it works in a transaction.
pub(super) const LEAVE_NOTHING: &str = "CLOSE ALL; RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; DEALLOCATE ALL; UNLISTEN *; \
     SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES";

/// Takes back what somebody else may have left to a session of a pooler, so that names mean what they mean in a new one:
/// another role, another search_path, temporary tables that hide others.
const INHERIT_NOTHING: &str = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; DISCARD TEMP";

/// Sets these, for the transaction or for the session.
pub(super) fn set(all: &[(&str, String)], local: bool) -> String {
    let calls: Vec<String> = all
        .iter()
        .map(|(name, value)| format!("pg_catalog.set_config('{name}', '{value}', {local})"))
        .collect();
    format!("SELECT {}", calls.join(", "))
}

/// Has the server look whether the agent is still there while a statement runs; not every system can.
pub(super) fn checks_for_the_client(local: bool) -> String {
    format!(
        "SELECT pg_catalog.set_config(name, '{CHECK_INTERVAL_MS}', {local}) FROM pg_catalog.pg_settings \
         WHERE name = 'client_connection_check_interval'; "
    )
}

/// Renews the limits of a transaction, in which a statement may have changed them; a shorter wait for locks stays.
pub(super) fn renew_limits(conn: &mut PgConnection, watch: &PgDeadline) -> Result<(), PgStop> {
    let lock_ms = watch.lock_secs * 1000;
    conn.own(&format!(
        "SELECT pg_catalog.set_config('statement_timeout', '{}', true), pg_catalog.set_config('lock_timeout', \
         CASE WHEN setting::pg_catalog.int8 OPERATOR(pg_catalog.>) 0::pg_catalog.int8 \
         AND setting::pg_catalog.int8 OPERATOR(pg_catalog.<) {lock_ms}::pg_catalog.int8 THEN setting ELSE '{lock_ms}' END, true) \
         FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'lock_timeout'",
        watch.left_ms()
    ))?;
    Ok(())
}

impl Postgres {
    /// Begins a transaction with everything that holds in it; its name for [`crate::agent::drivers::Driver::interrupt`]: process, start of the
    /// process and, where the database tracks it, start of the transaction, joined by `@`.
    pub(super) fn begin(
        &self,
        conn: &mut PgConnection,
        mode: &str,
        watch: &PgDeadline,
    ) -> Result<String, PgStop> {
        let begin =
            |checks: bool| self.settings(conn.server_encoding == "SQL_ASCII", mode, watch, checks);
        let (with, without) = (begin(true), begin(false));
        let rows = match conn.own(&with) {
            // Not every system can check whether the client is still there.
            Err(Fault::Refused(_)) => {
                conn.own("ROLLBACK")?;
                conn.own(&without)?
            }
            done => done?,
        };
        let session = rows
            .into_iter()
            .next_back()
            .and_then(|row| row.into_iter().next_back());
        Ok(session.flatten().unwrap_or_default())
    }

    fn settings(&self, raw_bytes: bool, mode: &str, watch: &PgDeadline, checks: bool) -> String {
        let mut limits = vec![
            ("statement_timeout", watch.left_ms().to_string()),
            ("lock_timeout", (watch.lock_secs * 1000).to_string()),
            (
                "idle_in_transaction_session_timeout",
                IDLE_MS_MAX.to_string(),
            ),
        ];
        limits.extend(self.reading(raw_bytes));
        let mut out = format!("BEGIN {mode}; {INHERIT_NOTHING}; {}; ", set(&limits, true));
        if checks {
            out.push_str(&checks_for_the_client(true));
        }
        out.push_str(
            "SELECT pid::text || '@' || extract(epoch FROM backend_start)::text \
             || coalesce('@' || extract(epoch FROM xact_start)::text, '') \
             FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()",
        );
        out
    }

    /// How the server is to read text, as the analysis did, and to write values.
    pub(super) fn reading(&self, raw_bytes: bool) -> Vec<(&'static str, String)> {
        // Bytes of which nobody knows what they mean come as they are: as UTF-8 the first invalid one would cost the whole
        // result.
        let encoding = if raw_bytes { "SQL_ASCII" } else { "UTF8" };
        let mut all = vec![
            ("standard_conforming_strings", "on".to_owned()),
            ("bytea_output", "hex".to_owned()),
            ("extra_float_digits", "3".to_owned()),
            ("datestyle", "ISO, MDY".to_owned()),
            ("intervalstyle", "postgres".to_owned()),
            ("client_encoding", encoding.to_owned()),
        ];
        if let Some(schema) = &self.endpoint.schema {
            all.push(("search_path", schema.replace('\'', "''")));
        }
        all
    }
}

/// Takes back a transaction, and what a session keeps of it all the same: what is prepared, locks of the session, values
/// of sequences. Where that fails, the connection is closed inside a transaction, and then no pooler gives its session
/// to anybody.
pub(super) fn abandon(mut conn: PgConnection) {
    if conn
        .own(&format!("ROLLBACK; BEGIN; {LEAVE_NOTHING}"))
        .is_ok()
    {
        // Closed before it is answered, it is inside the transaction as well.
        let _left = conn.own("COMMIT");
    }
}
