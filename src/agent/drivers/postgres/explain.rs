//! How PostgreSQL would go about a statement, without running it.

use super::Postgres;
use super::called::called_while_planned;
use super::statement::prepared;
use super::watch::{PgDeadline, PgStop};
use crate::agent::drivers::{Cancel, PLAN_BYTES_MAX, cut, guard};
use crate::domain::dialect::Dialect;

/// Longest time for one statement, in seconds.
const EXPLAIN_SECS_MAX: u64 = 5;

/// The plan of `sql` as PostgreSQL writes it: `[{"Plan":{..}}]`; the message says why it is missing.
pub(super) fn explain(postgres: &Postgres, sql: &str, cancel: &Cancel) -> Result<String, String> {
    let watch = PgDeadline::new(EXPLAIN_SECS_MAX, cancel);
    plan(postgres, sql, &watch).map_err(|stop| cut(watch.why(stop).0))
}

fn plan(postgres: &Postgres, sql: &str, watch: &PgDeadline) -> Result<String, PgStop> {
    let failed = |message: &str| Err(PgStop::Failed(message.to_owned()));
    if sql.contains('\0') {
        return failed("the statement holds a NUL byte");
    }
    match guard::leading_words(sql, Dialect::Postgres).0.as_str() {
        "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "WITH" | "VALUES" | "TABLE"
        | "CREATE" => {}
        _ => return failed("PostgreSQL has no plan for a statement of this kind"),
    }
    let mut conn = postgres.connect(watch)?;
    postgres.begin(&mut conn, "READ ONLY", watch)?;
    if let Some(name) = called_while_planned(&mut conn, sql)? {
        return Err(PgStop::Failed(format!(
            "no plan is made: PostgreSQL may call `{name}` for it, which is not known to do nothing but compute"
        )));
    }
    // Read on its own first: what follows EXPLAIN must be the whole of one statement.
    prepared(&mut conn, sql)?;
    prepared(&mut conn, &format!("EXPLAIN (FORMAT JSON) {sql}"))?;
    let (mut plan, mut too_long) = (String::new(), false);
    conn.execute(&mut |row| {
        too_long |= row.is_none();
        if let Some(text) = row.and_then(|row| row.first().copied().flatten()) {
            plan.push_str(&String::from_utf8_lossy(text));
        }
        true
    })?;
    match too_long || plan.len() > PLAN_BYTES_MAX {
        true => Err(PgStop::Failed(format!(
            "the plan is longer than {} KiB",
            PLAN_BYTES_MAX >> 10
        ))),
        false => Ok(plan),
    }
}
