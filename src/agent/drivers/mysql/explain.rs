//! How MySQL or MariaDB would go about a statement, without running it, and without a word of what its rows hold.

use super::session::{MySqlDeadline, MySqlStop};
use super::{MySql, calls, one_statement, plan as shown, views};
use crate::agent::drivers::{Cancel, PLAN_BYTES_MAX, cut, guard};
use crate::domain::dialect::Dialect;
use std::time::Duration;

/// Longest time for one statement, in seconds.
const EXPLAIN_SECS_MAX: u64 = 5;
/// How long the server may say nothing: it looks at its own limit only between two steps.
const EXPLAIN_ANSWER_WITHIN: Duration = Duration::from_secs(EXPLAIN_SECS_MAX + 1);

/// Why there is no plan.
const UNKNOWN_CALLS: &str = "no plan is made: the server may call functions of a statement and of its views for it, and not \
                             all are known to do nothing but compute";

/// The plan of `sql` in the form of the server, `{"query_block":{..}}`, without values of rows; the message says why it is
/// missing.
pub(super) fn explain(mysql: &MySql, sql: &str, cancel: &Cancel) -> Result<String, String> {
    let watch = MySqlDeadline::new(EXPLAIN_SECS_MAX, cancel);
    plan(mysql, sql, &watch).map_err(|stop| cut(watch.why(stop)))
}

fn plan(mysql: &MySql, sql: &str, watch: &MySqlDeadline) -> Result<String, MySqlStop> {
    let failed = |message: &str| Err(MySqlStop::Failed(message.to_owned()));
    if sql.contains('\0') {
        return failed("the statement holds a NUL byte");
    }
    let (first, _) = guard::leading_words(sql, Dialect::MySql);
    let reads = matches!(first.as_str(), "SELECT" | "WITH" | "VALUES" | "TABLE");
    if !reads && !matches!(first.as_str(), "INSERT" | "UPDATE" | "DELETE" | "REPLACE") {
        return failed("MySQL has no plan for a statement of this kind");
    }
    // What it calls itself must not change rows, which would stay where they cannot roll back, nor tell of them: the server
    // calls while it plans.
    let reading = guard::readings(&[sql.to_owned()], Dialect::MySql);
    let reading = reading.into_iter().flatten().next();
    let Some(reading) = reading.filter(|one| one.plain) else {
        return failed(UNKNOWN_CALLS);
    };
    let mut session = mysql.connect(watch, Some(EXPLAIN_ANSWER_WITHIN))?;
    session.read_as_analysed(watch)?;
    session.wait_briefly(watch)?;
    session.of_libraries = calls::of_libraries(&mut session, watch)?;
    mysql.limit_time(&mut session, watch)?;
    if calls::first_unknown(&mut session, sql, &reading, watch)?.is_some()
        || !views::only_compute(&mut session, &reading.tables, watch)?
    {
        return failed(UNKNOWN_CALLS);
    }
    // MariaDB runs a subquery that it holds for cheap while it plans.
    session.own(
        "SET SESSION autocommit = 0 /*M! , SESSION expensive_subquery_limit = 0 */",
        watch,
    )?;
    // MariaDB explains a write only where it could run; the transaction is rolled back, and nothing runs.
    if reads || session.kind.explains_writes_read_only() {
        session.own("START TRANSACTION READ ONLY", watch)?;
    }
    mysql.limit_time(&mut session, watch)?;
    // Read on its own first: what follows EXPLAIN must be the whole of one statement.
    one_statement(&mut session, sql, watch)?;
    let explained = format!("EXPLAIN FORMAT=JSON {sql}");
    one_statement(&mut session, &explained, watch)?;
    let rows = match session.ask(&explained, watch) {
        // An error that quotes values is one of values that were read.
        Err(MySqlStop::Failed(_)) if watch.quoted().is_some() => return Ok(shown::of_rows()),
        // How long the server computes may hang on values as well.
        Err(_) if watch.is_late() && watch.cancel.asked().is_none() => return Ok(shown::of_rows()),
        answer => answer?,
    };
    session.own("ROLLBACK", watch)?;
    let plan = rows
        .into_iter()
        .next()
        .and_then(|row| row.into_iter().next())
        .flatten();
    match plan {
        None => failed("the database gives no plan"),
        Some(plan) if plan.len() > PLAN_BYTES_MAX => Err(MySqlStop::Failed(format!(
            "the plan is longer than {} KiB",
            PLAN_BYTES_MAX >> 10
        ))),
        Some(plan) => match shown::without_values(&plan) {
            Some(plan) => Ok(plan),
            None => failed("the database gives a plan of another form"),
        },
    }
}
