//! The walk through statements that write: their targets, their sources, and a finding where their condition limits
//! nothing.

use super::condition::{Rows, rows};
use super::rules::ReviewRule;
use super::walk::Walk;
use crate::domain::dialect::Dialect;
use sqlparser::ast::{
    Assignment, Delete, Expr, FromTable, Insert, Join, JoinConstraint, JoinOperator, Merge,
    MergeAction, MergeInsertKind, MergeUpdateKind, OnConflictAction, OnInsert, OutputClause,
    SelectItem, TableFactor, TableObject, TableWithJoins, Update, UpdateTableFromKind, Value,
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
        let joined = match &update.from {
            Some(UpdateTableFromKind::BeforeSet(more) | UpdateTableFromKind::AfterSet(more)) => {
                more.as_slice()
            }
            None => &[],
        };
        let every = rows(update.selection.as_ref(), self.dialect) == Rows::All
            && !few(update.limit.as_ref())
            && !self.join_chooses(std::iter::once(&update.table).chain(joined));
        if every {
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
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
        let joined = delete.using.iter().flatten();
        let every = rows(delete.selection.as_ref(), self.dialect) == Rows::All
            && !few(delete.limit.as_ref())
            && !self.join_chooses(from.iter().chain(joined));
        if every {
            self.find(ReviewRule::NoWhereDelete, &delete.delete_token);
        }
        // `DELETE a FROM users a JOIN ...`: the names before FROM are aliases of what follows it.
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

    /// Whether a join takes rows away from what MySQL updates or deletes: an inner one, with a condition.
    fn join_chooses<'t>(&self, tables: impl Iterator<Item = &'t TableWithJoins>) -> bool {
        use JoinOperator as J;
        let chooses = |join: &Join| match &join.join_operator {
            J::Join(c) | J::Inner(c) | J::CrossJoin(c) | J::StraightJoin(c) => match c {
                JoinConstraint::On(on) => rows(Some(on), self.dialect) != Rows::All,
                JoinConstraint::Using(_) | JoinConstraint::UsingAlias(..) => true,
                JoinConstraint::Natural => true,
                JoinConstraint::None => false,
            },
            _ => false,
        };
        let mut joins = tables.flat_map(|t| &t.joins);
        self.dialect == Dialect::MySql && joins.any(chooses)
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
        let every = rows(Some(&merge.on), self.dialect) == Rows::All;
        for clause in &merge.clauses {
            self.maybe(clause.predicate.as_ref());
            if every && rows(clause.predicate.as_ref(), self.dialect) == Rows::All {
                match &clause.action {
                    MergeAction::Update(_) => {
                        self.find(ReviewRule::NoWhereUpdate, &merge.merge_token)
                    }
                    MergeAction::Delete { .. } => {
                        self.find(ReviewRule::NoWhereDelete, &merge.merge_token);
                    }
                    MergeAction::Insert(_) | MergeAction::DoNothing { .. } => {}
                }
            }
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

/// Whether a LIMIT lets through no more rows than somebody may want to change at once.
fn few(limit: Option<&Expr>) -> bool {
    const ROWS_MAX: u64 = 1_000_000;
    match limit {
        Some(Expr::Value(value)) => match &value.value {
            Value::Number(text, _) => text.parse().is_ok_and(|n: u64| n <= ROWS_MAX),
            _ => false,
        },
        _ => false,
    }
}
