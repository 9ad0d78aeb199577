//! What the review rules find in a parsed statement. Which of them block is configuration.

use super::locking;
use super::rules::{Finding, IN_LIST_MAX, ReviewRule};
use super::token::{StatementTokens, TokenKind};
use super::walk::Walk;
use crate::domain::dialect::Dialect;
use sqlparser::ast::{
    AlterColumnOperation, AlterTableOperation, ColumnDef, ColumnOption, Expr, ObjectType,
    Statement, Value,
};

/// Findings of one statement beyond this many are left out; a thousand equal warnings help nobody.
const FINDINGS_PER_STATEMENT_MAX: usize = 50;

/// Findings of one parsed statement besides those that the walk itself made; `runs` as in [`Walk`].
pub(super) fn review(statement: &Statement, stmt: &StatementTokens<'_>, walk: &mut Walk) {
    let Some(first) = stmt.toks.first() else {
        return;
    };
    if walk.runs {
        for rule in rules_of(statement, walk.dialect) {
            if !walk.findings.iter().any(|f| f.rule == rule) {
                walk.findings
                    .push(Finding::new(rule, walk.number, first.line, first.column));
            }
        }
    }
    large_in_lists(stmt, walk);
    walk.findings.truncate(FINDINGS_PER_STATEMENT_MAX);
}

fn rules_of(statement: &Statement, dialect: Dialect) -> Vec<ReviewRule> {
    match statement {
        Statement::Truncate(_) => vec![ReviewRule::Truncate],
        // MariaDB drops the old table first.
        Statement::CreateTable(table) if table.or_replace => vec![ReviewRule::DropTable],
        Statement::CreateSequence { .. } => vec![ReviewRule::CreateSequence],
        Statement::CreateIndex(index) if dialect == Dialect::Postgres && !index.concurrently => {
            vec![ReviewRule::CreateIndexNotConcurrently]
        }
        Statement::Drop { object_type, .. } => match object_type {
            ObjectType::Table => vec![ReviewRule::DropTable],
            ObjectType::Index => vec![ReviewRule::DropIndex],
            ObjectType::View | ObjectType::MaterializedView => vec![ReviewRule::DropView],
            ObjectType::Sequence => vec![ReviewRule::DropSequence],
            _ => Vec::new(),
        },
        Statement::AlterTable(alter) => alter
            .operations
            .iter()
            .flat_map(|operation| alteration(operation, dialect))
            .collect(),
        _ => Vec::new(),
    }
}

fn alteration(operation: &AlterTableOperation, dialect: Dialect) -> Vec<ReviewRule> {
    match operation {
        AlterTableOperation::DropColumn { .. } => vec![ReviewRule::DropColumn],
        AlterTableOperation::DropIndex { .. } => vec![ReviewRule::DropIndex],
        AlterTableOperation::AddColumn { column_def, .. } => {
            let mut rules = locking::new_column(column_def, dialect);
            if not_null_without_default(column_def, dialect) {
                rules.push(ReviewRule::NotNullWithoutDefault);
            }
            rules
        }
        AlterTableOperation::AlterColumn {
            op: AlterColumnOperation::SetDataType { .. },
            ..
        }
        | AlterTableOperation::ModifyColumn { .. }
        | AlterTableOperation::ChangeColumn { .. } => vec![ReviewRule::AlterColumnType],
        other => locking::alteration(other, dialect).into_iter().collect(),
    }
}

/// `serial`, identity and AUTO_INCREMENT columns have values of their own; a default of NULL does not count.
fn not_null_without_default(column: &ColumnDef, dialect: Dialect) -> bool {
    let gives_value = |option: &ColumnOption| match option {
        ColumnOption::Default(expr) => !is_null(expr),
        ColumnOption::Generated { .. } | ColumnOption::Identity(_) => true,
        ColumnOption::DialectSpecific(tokens) => {
            let text: String = tokens.iter().map(ToString::to_string).collect();
            text.to_ascii_uppercase().contains("INCREMENT")
        }
        _ => false,
    };
    let options = || column.options.iter().map(|o| &o.option);
    options().any(|o| matches!(o, ColumnOption::NotNull))
        && !options().any(gives_value)
        && !locking::is_serial(&column.data_type, dialect)
}

fn is_null(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => value.value == Value::Null,
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => is_null(inner),
        _ => false,
    }
}

/// Counts the elements of each IN list among the tokens: commas at the list's own depth.
fn large_in_lists(stmt: &StatementTokens<'_>, walk: &mut Walk) {
    let mut lists: Vec<Option<(usize, usize)>> = Vec::new();
    for i in 0..stmt.toks.len() {
        match stmt.kind(i) {
            Some(TokenKind::Open) => {
                let is_list = i > 0
                    && stmt.is(i - 1, "in")
                    && !stmt.is_any(i + 1, &["select", "with", "values", "table"]);
                lists.push(is_list.then(|| (i - 1, 1)));
            }
            Some(TokenKind::Comma) => {
                if let Some(Some((_, count))) = lists.last_mut() {
                    *count += 1;
                }
            }
            Some(TokenKind::Close) => {
                if let Some(Some((at, count))) = lists.pop()
                    && count > IN_LIST_MAX
                {
                    let place = stmt.toks[at];
                    let mut finding = Finding::new(
                        ReviewRule::LargeInList,
                        walk.number,
                        place.line,
                        place.column,
                    );
                    finding.message = format!("IN list with {count} elements (>{IN_LIST_MAX})");
                    walk.findings.push(finding);
                }
            }
            _ => {}
        }
    }
}
