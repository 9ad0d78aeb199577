//! The walk through statements that write: their targets, their sources, and a finding where their condition is none.

use super::review::ReviewRule;
use super::walk::Walk;
use super::walk_expr::constant;
use sqlparser::ast::{
    Assignment, Delete, FromTable, Insert, Merge, MergeAction, MergeInsertKind, MergeUpdateKind,
    OnConflictAction, OnInsert, OutputClause, SelectItem, TableFactor, TableObject, TableWithJoins,
    Update, UpdateTableFromKind,
};

impl Walk {
    pub fn insert(&mut self, insert: &Insert) {
        match &insert.table {
            TableObject::TableName(name) => self.target(name),
            TableObject::TableFunction(_) => self.unknown = true,
            TableObject::TableQuery(query) => self.query(query),
        }
        if let Some(source) = &insert.source {
            self.query(source);
        }
        self.assignments(&insert.assignments);
        match &insert.on {
            Some(OnInsert::DuplicateKeyUpdate(assignments)) => self.assignments(assignments),
            Some(OnInsert::OnConflict(conflict)) => {
                if let OnConflictAction::DoUpdate(update) = &conflict.action {
                    self.assignments(&update.assignments);
                    self.maybe(update.selection.as_ref());
                }
            }
            Some(_) => self.unknown = true,
            None => {}
        }
        self.returning(insert.returning.as_deref(), insert.output.as_ref());
        self.unknown |= insert.multi_table_insert_type.is_some() || insert.partitioned.is_some();
    }

    pub fn update(&mut self, update: &Update) {
        if constant(update.selection.as_ref()) {
            self.find(ReviewRule::NoWhereUpdate, &update.update_token);
        }
        self.written(&update.table);
        match &update.from {
            Some(
                UpdateTableFromKind::BeforeSet(tables) | UpdateTableFromKind::AfterSet(tables),
            ) => {
                for table in tables {
                    self.table_with_joins(table);
                }
            }
            None => {}
        }
        self.assignments(&update.assignments);
        self.maybe(update.selection.as_ref());
        self.orders(&update.order_by);
        self.maybe(update.limit.as_ref());
        self.returning(update.returning.as_deref(), update.output.as_ref());
    }

    pub fn delete(&mut self, delete: &Delete) {
        if constant(delete.selection.as_ref()) {
            self.find(ReviewRule::NoWhereDelete, &delete.delete_token);
        }
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
        // `DELETE a FROM users a JOIN ...`: the names before FROM are aliases of what stands behind it.
        for table in from {
            self.written(table);
        }
        for table in delete.using.iter().flatten() {
            self.table_with_joins(table);
        }
        self.maybe(delete.selection.as_ref());
        self.orders(&delete.order_by);
        self.maybe(delete.limit.as_ref());
        self.returning(delete.returning.as_deref(), delete.output.as_ref());
    }

    fn written(&mut self, table: &TableWithJoins) {
        match &table.relation {
            TableFactor::Table {
                name, args: None, ..
            } => self.target(name),
            other => self.table_factor(other),
        }
        for join in &table.joins {
            self.join(join);
        }
    }

    pub fn merge(&mut self, merge: &Merge) {
        match &merge.table {
            TableFactor::Table {
                name, args: None, ..
            } => self.target(name),
            _ => self.unknown = true,
        }
        self.table_factor(&merge.source);
        self.expr(&merge.on);
        for clause in &merge.clauses {
            self.maybe(clause.predicate.as_ref());
            match &clause.action {
                MergeAction::Insert(insert) => {
                    if let MergeInsertKind::Values(values) = &insert.kind {
                        for row in &values.rows {
                            self.exprs(&row.content);
                        }
                    }
                    self.maybe(insert.insert_predicate.as_ref());
                }
                MergeAction::Update(update) => {
                    if let MergeUpdateKind::Set(assignments) = &update.kind {
                        self.assignments(assignments);
                    }
                    self.maybe(update.update_predicate.as_ref());
                    self.maybe(update.delete_predicate.as_ref());
                }
                MergeAction::Delete { .. } | MergeAction::DoNothing { .. } => {}
            }
        }
        self.returning(None, merge.output.as_ref());
    }

    fn assignments(&mut self, assignments: &[Assignment]) {
        for assignment in assignments {
            self.expr(&assignment.value);
        }
    }

    fn returning(&mut self, items: Option<&[SelectItem]>, output: Option<&OutputClause>) {
        self.items(items.unwrap_or(&[]));
        match output {
            Some(OutputClause::Returning { select_items, .. }) => self.items(select_items),
            Some(OutputClause::Output { .. }) => self.unknown = true,
            None => {}
        }
    }
}
