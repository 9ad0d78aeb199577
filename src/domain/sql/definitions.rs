//! The verdict on statements that define: CREATE, ALTER and DROP, and everything else that is neither a query nor a
//! change of rows.

use super::analysis::{Category, SqlVerdict, StatementClass};
use super::judged::write;
use super::walk::Walk;
use crate::domain::dialect::Dialect;
use sqlparser::ast::{AlterTableOperation, CreateTable, ObjectName, ObjectType, Statement};

/// CREATE, ALTER and DROP, and what is left.
pub(super) fn definition(statement: &Statement, walk: &mut Walk) -> SqlVerdict {
    let kind = match statement {
        Statement::CreateTable(table) => {
            create_table(table, walk);
            "create_table"
        }
        Statement::CreateView(view) => {
            walk.target(&view.name);
            walk.query(&view.query);
            "create_view"
        }
        Statement::CreateIndex(index) => {
            walk.target(&index.table_name);
            for column in &index.columns {
                walk.expr(&column.column.expr);
            }
            walk.maybe(index.predicate.as_ref());
            "create_index"
        }
        Statement::AlterTable(alter) => {
            walk.target(&alter.name);
            for operation in &alter.operations {
                walk.alteration(operation);
            }
            "alter_table"
        }
        Statement::Drop {
            object_type, names, ..
        } => return dropped(*object_type, names, walk),
        Statement::CreateSequence { .. } => {
            return SqlVerdict::refused(
                "create_sequence",
                Category::BreakGlassDdl,
                "creates a sequence",
            );
        }
        other => return last_resort(other),
    };
    match walk.write {
        Some(why) => write(kind, why, false),
        None if walk.unknown => SqlVerdict {
            kind,
            category: Category::Unknown,
            class: StatementClass::Dml,
            reason: "has a part that is not understood".to_owned(),
            returns_rows: false,
        },
        None => SqlVerdict {
            kind,
            category: if replaces_table(statement) {
                Category::BreakGlassDdl
            } else {
                Category::SafeDdl
            },
            class: StatementClass::Ddl,
            reason: "changes structure".to_owned(),
            returns_rows: false,
        },
    }
}

fn create_table(table: &CreateTable, walk: &mut Walk) {
    walk.target(&table.name);
    for like in [table.partition_of.as_ref(), table.clone.as_ref()]
        .into_iter()
        .flatten()
    {
        walk.relation(like);
    }
    if let Some(query) = &table.query {
        walk.query(query);
    }
    for column in &table.columns {
        walk.column(column);
    }
    for constraint in &table.constraints {
        walk.constraint(constraint);
    }
}

/// MariaDB's CREATE OR REPLACE TABLE drops the old table.
fn replaces_table(statement: &Statement) -> bool {
    matches!(statement, Statement::CreateTable(table) if table.or_replace)
}

fn dropped(object: ObjectType, names: &[ObjectName], walk: &mut Walk) -> SqlVerdict {
    let kind = match object {
        ObjectType::Table => "drop_table",
        ObjectType::View | ObjectType::MaterializedView => "drop_view",
        ObjectType::Index => "drop_index",
        ObjectType::Sequence => "drop_sequence",
        _ => return SqlVerdict::refused("drop", Category::PrivilegeDdl, "drops an object"),
    };
    if matches!(kind, "drop_table" | "drop_view") {
        for name in names {
            walk.target(name);
        }
    }
    SqlVerdict::refused(kind, Category::BreakGlassDdl, "drops an object")
}

/// First words catch these before; should a form ever slip past them, the tree refuses it all the same.
fn last_resort(statement: &Statement) -> SqlVerdict {
    use Category::{CodeExecution, PrivilegeDdl, SecurityBoundary, TxControl};
    let (kind, category) = match statement {
        Statement::StartTransaction { .. }
        | Statement::Commit { .. }
        | Statement::Rollback { .. }
        | Statement::Savepoint { .. }
        | Statement::ReleaseSavepoint { .. } => ("transaction", TxControl),
        Statement::Lock(_) | Statement::LockTables { .. } | Statement::UnlockTables => {
            ("lock", SecurityBoundary)
        }
        Statement::AttachDatabase { .. } | Statement::Pragma { .. } | Statement::Set(_) => {
            ("setting", SecurityBoundary)
        }
        Statement::CreateSchema { .. }
        | Statement::CreateDatabase { .. }
        | Statement::CreateType { .. }
        | Statement::CreateRole(_)
        | Statement::CreateUser(_)
        | Statement::AlterRole { .. }
        | Statement::AlterUser(_)
        | Statement::AlterSchema(_)
        | Statement::AlterIndex { .. }
        | Statement::AlterView(_)
        | Statement::AlterDefaultPrivileges(_)
        | Statement::Grant(_)
        | Statement::GrantRole(_)
        | Statement::Revoke(_)
        | Statement::RevokeRole(_)
        | Statement::Deny(_)
        | Statement::DropDomain(_)
        | Statement::DropPolicy(_)
        | Statement::DropRule(_)
        | Statement::DropTrigger(_)
        | Statement::DropExtension(_)
        | Statement::DropOperator(_)
        | Statement::DropOperatorFamily(_)
        | Statement::DropOperatorClass(_) => ("privilege", PrivilegeDdl),
        Statement::CreateFunction(_)
        | Statement::CreateProcedure { .. }
        | Statement::CreateMacro { .. }
        | Statement::CreateAggregate(_)
        | Statement::AlterFunction(_)
        | Statement::DropFunction(_)
        | Statement::DropProcedure { .. }
        | Statement::Load { .. }
        | Statement::LoadData { .. }
        | Statement::Install { .. } => ("code", CodeExecution),
        _ => {
            return SqlVerdict {
                kind: "unknown",
                category: Category::Unknown,
                class: StatementClass::Dml,
                reason: "a kind of statement that is not listed as reading".to_owned(),
                returns_rows: true,
            };
        }
    };
    SqlVerdict::refused(kind, category, "this kind of statement is refused")
}

/// DDL that adds something empty: it can be undone, and waits for nobody.
pub(super) fn safe_ddl(statement: &Statement, dialect: Dialect) -> bool {
    match statement {
        Statement::CreateTable(table) => !table.or_replace && table.query.is_none(),
        // A materialized view is filled.
        Statement::CreateView(view) => !view.or_replace && !view.materialized,
        Statement::CreateIndex(index) => dialect == Dialect::Postgres && index.concurrently,
        Statement::AlterTable(alter) => {
            dialect == Dialect::Postgres
                && !alter.operations.is_empty()
                && alter
                    .operations
                    .iter()
                    .all(|o| matches!(o, AlterTableOperation::AddColumn { .. }))
        }
        _ => false,
    }
}
