//! The row bound of a new request.

use crate::domain::id::Operation;
use crate::domain::policy::execution::ExecutionPolicy;
use crate::domain::row_bound::{self, BOUND_MAX, RowBound, RowBoundSource};
use crate::domain::schema::Schema;
use crate::domain::sql::Analysis;
use crate::error::Error;

/// What the requester asks for, checked on its own.
///
/// # Errors
/// 400 `validation_error` for more than [`BOUND_MAX`].
pub(super) fn asked(rows: Option<u64>) -> Result<Option<u64>, Error> {
    match rows {
        Some(rows) if rows > BOUND_MAX => Err(Error::invalid(format!(
            "max_affected_rows is {rows}, at most {BOUND_MAX} are allowed"
        ))),
        other => Ok(other),
    }
}

/// How many rows a request may change: as its requester says, else as the policy says where that can be counted, as far as
/// the text and the tables tell.
///
/// # Errors
/// 422 `row_bound_unprovable` for a bound of the requester that nobody could hold.
pub(super) fn of(
    asked: Option<u64>,
    policy: &ExecutionPolicy,
    operation: Operation,
    analysis: Option<&Analysis>,
    schema: Schema<'_>,
) -> Result<Option<RowBound>, Error> {
    let uncountable = row_bound::uncountable(operation, analysis).or_else(|| match schema {
        Schema::Ready(snapshot) => row_bound::uncounted_in(analysis?, snapshot),
        _ => None,
    });
    if let Some(rows) = asked {
        return match uncountable {
            None => Ok(Some(RowBound {
                rows,
                source: RowBoundSource::Request,
            })),
            Some(why) => Err(Error::refused(
                "row_bound_unprovable",
                format!("max_affected_rows cannot be held: {why}"),
            )
            .hint(
                "leave max_affected_rows out, or send statements one by one that only change rows",
            )),
        };
    }
    let bound = policy.max_affected_rows.map(|rows| RowBound {
        rows,
        source: RowBoundSource::Policy,
    });
    Ok(bound.filter(|_| uncountable.is_none() && !operation.is_read()))
}
