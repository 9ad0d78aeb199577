//! The walk through expressions that definitions hold: defaults, checks, generated columns, types of columns.

use super::walk::Walk;
use sqlparser::ast::{
    AlterColumnOperation, AlterTableOperation, ColumnDef, ColumnOption, TableConstraint,
};

impl Walk {
    /// A column of a CREATE TABLE or ADD COLUMN.
    pub fn column(&mut self, column: &ColumnDef) {
        for option in &column.options {
            match &option.option {
                ColumnOption::Default(expr) | ColumnOption::OnUpdate(expr) => self.expr(expr),
                ColumnOption::Check(check) => self.expr(&check.expr),
                ColumnOption::Generated {
                    generation_expr, ..
                } => self.maybe(generation_expr.as_ref()),
                _ => {}
            }
        }
    }

    pub fn constraint(&mut self, constraint: &TableConstraint) {
        if let TableConstraint::Check(check) = constraint {
            self.expr(&check.expr);
        }
    }

    /// One part of an ALTER TABLE.
    pub fn alteration(&mut self, operation: &AlterTableOperation) {
        match operation {
            AlterTableOperation::AddColumn { column_def, .. } => self.column(column_def),
            AlterTableOperation::AddConstraint { constraint, .. } => self.constraint(constraint),
            AlterTableOperation::AlterColumn {
                op: AlterColumnOperation::SetDefault { value },
                ..
            } => self.expr(value),
            AlterTableOperation::AlterColumn {
                op:
                    AlterColumnOperation::SetDataType {
                        using: Some(using), ..
                    },
                ..
            } => self.expr(using),
            _ => {}
        }
    }
}
