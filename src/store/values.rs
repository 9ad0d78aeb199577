//! Columns as values of the domain: a name that its type does not have, or a number out of its range, is an error
//! where it is read.

use crate::clock::Timestamp;
use crate::domain::actor::SubjectType;
use crate::domain::approval::VoteAction;
use crate::domain::dialect::Dialect;
use crate::domain::execution::ExecutionStatus;
use crate::domain::id::Operation;
use crate::domain::policy::workflow::Workflow;
use crate::domain::rehearsal::RehearsalStatus;
use crate::domain::request::{ExecutionOutcome, Status};
use crate::domain::risk_level::RiskLevel;
use crate::domain::row_bound::RowBoundSource;
use crate::domain::sql::DialectFact;
use crate::domain::token::RoleMode;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};

/// Types that a text names.
macro_rules! named {
    ($($type:ty: $parse:path),+ $(,)?) => {
        $(impl FromSql for $type {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                $parse(value.as_str()?).ok_or(FromSqlError::InvalidType)
            }
        })+
    };
}

named! {
    Status: Status::parse,
    Operation: Operation::parse,
    VoteAction: VoteAction::parse,
    ExecutionStatus: ExecutionStatus::parse,
    ExecutionOutcome: ExecutionOutcome::parse,
    RiskLevel: RiskLevel::parse,
    RowBoundSource: RowBoundSource::parse,
    RehearsalStatus: RehearsalStatus::parse,
    SubjectType: SubjectType::parse,
    RoleMode: RoleMode::parse,
    Dialect: Dialect::parse,
    DialectFact: DialectFact::parse,
    Workflow: Workflow::from_text,
}

/// Milliseconds.
impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Timestamp)
    }
}

/// A number that is not negative: a negative one must not become "no limit".
pub(super) struct NotNegative(pub u64);

impl FromSql for NotNegative {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = i64::column_result(value)?;
        let number = u64::try_from(number).map_err(|_| FromSqlError::OutOfRange(number))?;
        Ok(NotNegative(number))
    }
}
