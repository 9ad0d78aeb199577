//! One walk over a parse tree: the tables it names, the writes and locks inside it, the findings of each DELETE and
//! UPDATE however deep it sits.
//!
//! What the walk does not know (a corner of some other dialect that the parser accepts) sets `unknown`, and the
//! statement counts as a write. Depth is bounded before: by the parser's limit for what nests, by the token count of
//! `limits` for what chains.

use super::rules::{Finding, ReviewRule};
use super::{catalogue, dangerous, table_name};
use crate::domain::dialect::Dialect;
use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    Cte, Distinct, Expr, GroupByExpr, GroupByWithModifier, Ident, Join, JoinConstraint,
    JoinOperator, LimitClause, ObjectName, ObjectNamePart, OrderBy, OrderByKind, Query, Select,
    SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Statement, TableFactor, TableSampleKind,
    TableWithJoins,
};
use std::collections::BTreeSet;

/// What a walk has found.
pub(super) struct Walk {
    pub dialect: Dialect,
    /// Position of the statement, from 1.
    pub number: usize,
    /// Whether what is walked is executed: findings about DELETE and UPDATE are for statements that run.
    pub runs: bool,
    pub tables: BTreeSet<String>,
    /// Why a query that contains this is a write; the first reason.
    pub write: Option<&'static str>,
    /// Something the walk does not know.
    pub unknown: bool,
    pub findings: Vec<Finding>,
    /// Functions that are called and not known to be free of side effects.
    pub unknown_functions: BTreeSet<String>,
    /// Names of common table expressions in sight, innermost last.
    scopes: Vec<Vec<String>>,
}

impl Walk {
    pub fn new(dialect: Dialect, number: usize, runs: bool) -> Walk {
        Walk {
            dialect,
            number,
            runs,
            tables: BTreeSet::new(),
            write: None,
            unknown: false,
            findings: Vec::new(),
            unknown_functions: BTreeSet::new(),
            scopes: Vec::new(),
        }
    }

    fn writes(&mut self, why: &'static str) {
        self.write.get_or_insert(why);
    }

    pub fn find(&mut self, rule: ReviewRule, token: &AttachedToken) {
        if self.runs && !self.findings.iter().any(|f| f.rule == rule) {
            let place = token.0.span.start;
            self.findings
                .push(Finding::new(rule, self.number, place.line, place.column));
        }
    }

    /// A DML statement, at the top or inside a common table expression.
    pub fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Query(q) => self.query(q),
            Statement::Insert(i) => self.insert(i),
            Statement::Update(u) => self.update(u),
            Statement::Delete(d) => self.delete(d),
            Statement::Merge(m) => self.merge(m),
            _ => self.unknown = true,
        }
    }

    /// Adds a table that is written or altered; no common table expression can stand for it.
    pub fn target(&mut self, name: &ObjectName) {
        match self.full_name(name) {
            Some(name) => {
                self.tables.insert(name);
            }
            None => self.unknown = true,
        }
    }

    /// Adds a table that is read, unless the name is that of a common table expression in sight.
    pub fn relation(&mut self, name: &ObjectName) {
        if let [ObjectNamePart::Identifier(only)] = name.0.as_slice() {
            let name = self.folded(only);
            if self.scopes.iter().flatten().any(|n| *n == name) {
                return;
            }
        }
        self.target(name);
    }

    /// Notes a call: kept where nobody knows that the function does nothing but compute.
    pub fn called(&mut self, name: &ObjectName) {
        let Some(ObjectNamePart::Identifier(last)) = name.0.last() else {
            self.unknown = true;
            return;
        };
        let last = self.folded(last);
        let schema = match name.0.as_slice() {
            [.., ObjectNamePart::Identifier(schema), _] => Some(self.folded(schema)),
            _ => None,
        };
        // The server's own, and what makes a write of its statement anyway, need no check.
        let own = match (self.dialect, schema.as_deref()) {
            (_, None) => true,
            (Dialect::Postgres, Some(schema)) => schema == "pg_catalog",
            _ => false,
        };
        if (own && catalogue::is_pure(&last, self.dialect)) || dangerous::is_dangerous(&last) {
            return;
        }
        self.unknown_functions.insert(match schema {
            Some(schema) => format!("{schema}.{last}"),
            None => last,
        });
    }

    /// The name as of `table_name`; in PostgreSQL unquoted parts are folded to lower case, as the server does.
    fn full_name(&self, name: &ObjectName) -> Option<String> {
        let mut parts = Vec::with_capacity(2);
        for part in name.0.iter().rev().take(2) {
            let ObjectNamePart::Identifier(ident) = part else {
                return None;
            };
            let folds = self.dialect == Dialect::Postgres && ident.quote_style.is_none();
            parts.push(if folds {
                ident.value.to_lowercase()
            } else {
                ident.value.clone()
            });
        }
        parts.reverse();
        (!parts.is_empty()).then(|| table_name::joined(&parts))
    }

    /// A name as it is compared: case counts only for quoted names of PostgreSQL.
    fn folded(&self, ident: &Ident) -> String {
        if self.dialect == Dialect::Postgres && ident.quote_style.is_some() {
            ident.value.clone()
        } else {
            ident.value.to_lowercase()
        }
    }

    pub fn query(&mut self, query: &Query) {
        let scoped = query.with.is_some();
        if let Some(with) = &query.with {
            self.scopes.push(Vec::new());
            // SQLite lets every expression of a WITH see all of them, with or without RECURSIVE.
            let all_at_once = with.recursive || self.dialect == Dialect::Sqlite;
            if all_at_once {
                for cte in &with.cte_tables {
                    self.name_cte(cte);
                }
            }
            for cte in &with.cte_tables {
                self.query(&cte.query);
                if !all_at_once {
                    self.name_cte(cte);
                }
            }
        }
        self.set_expr(&query.body);
        if let Some(order_by) = &query.order_by {
            self.order_by(order_by);
        }
        match &query.limit_clause {
            Some(LimitClause::LimitOffset {
                limit,
                offset,
                limit_by,
            }) => {
                self.maybe(limit.as_ref());
                self.maybe(offset.as_ref().map(|o| &o.value));
                self.exprs(limit_by);
            }
            Some(LimitClause::OffsetCommaLimit { offset, limit }) => {
                self.expr(offset);
                self.expr(limit);
            }
            None => {}
        }
        self.maybe(query.fetch.as_ref().and_then(|f| f.quantity.as_ref()));
        if !query.locks.is_empty() {
            self.writes("locks rows");
        }
        self.unknown |= query.for_clause.is_some()
            || query.settings.is_some()
            || query.format_clause.is_some()
            || !query.pipe_operators.is_empty();
        if scoped {
            self.scopes.pop();
        }
    }

    fn name_cte(&mut self, cte: &Cte) {
        let name = self.folded(&cte.alias.name);
        if let Some(scope) = self.scopes.last_mut() {
            scope.push(name);
        }
    }

    /// A chain of set operations leans left and may be long, so it is walked in a loop.
    fn set_expr(&mut self, set_expr: &SetExpr) {
        let mut at = set_expr;
        while let SetExpr::SetOperation { left, right, .. } = at {
            self.set_expr(right);
            at = left;
        }
        match at {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::Values(values) => {
                for row in &values.rows {
                    self.exprs(&row.content);
                }
            }
            SetExpr::Insert(s) => self.nested(s, "an INSERT inside"),
            SetExpr::Update(s) => self.nested(s, "an UPDATE inside"),
            SetExpr::Delete(s) => self.nested(s, "a DELETE inside"),
            SetExpr::Merge(s) => self.nested(s, "a MERGE inside"),
            SetExpr::Table(table) => {
                let parts: Vec<String> = [&table.schema_name, &table.table_name]
                    .into_iter()
                    .flatten()
                    .map(|i| i.value.clone())
                    .collect();
                self.tables.insert(table_name::joined(&parts));
            }
            SetExpr::SetOperation { .. } => {}
        }
    }

    fn nested(&mut self, statement: &Statement, why: &'static str) {
        self.writes(why);
        self.statement(statement);
    }

    fn select(&mut self, select: &Select) {
        if let Some(into) = &select.into {
            self.writes("SELECT INTO");
            // `INTO @variable` of MySQL names no table.
            if self.dialect == Dialect::Postgres {
                for target in &into.targets {
                    self.made(target);
                }
            }
        }
        if let Some(Distinct::On(on)) = &select.distinct {
            self.exprs(on);
        }
        self.items(&select.projection);
        for table in &select.from {
            self.table_with_joins(table);
        }
        self.maybe(select.selection.as_ref());
        match &select.group_by {
            GroupByExpr::All(modifiers) => self.group_modifiers(modifiers),
            GroupByExpr::Expressions(exprs, modifiers) => {
                self.exprs(exprs);
                self.group_modifiers(modifiers);
            }
        }
        self.maybe(select.having.as_ref());
        for window in &select.named_window {
            if let sqlparser::ast::NamedWindowExpr::WindowSpec(spec) = &window.1 {
                self.window(spec);
            }
        }
        self.unknown |= select.top.is_some()
            || select.exclude.is_some()
            || !select.lateral_views.is_empty()
            || select.prewhere.is_some()
            || !select.connect_by.is_empty()
            || !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.sort_by.is_empty()
            || select.qualify.is_some()
            || select.value_table_mode.is_some();
    }

    /// The table that SELECT INTO makes, which the parser takes for an expression.
    fn made(&mut self, target: &Expr) {
        let parts = match target {
            Expr::Identifier(name) => std::slice::from_ref(name),
            Expr::CompoundIdentifier(names) => names.as_slice(),
            _ => {
                self.unknown = true;
                return;
            }
        };
        let parts = parts.iter().cloned().map(ObjectNamePart::Identifier);
        self.target(&ObjectName(parts.collect()));
    }

    fn group_modifiers(&mut self, modifiers: &[GroupByWithModifier]) {
        for modifier in modifiers {
            match modifier {
                GroupByWithModifier::Rollup => {}
                GroupByWithModifier::GroupingSets(expr) => self.expr(expr),
                _ => self.unknown = true,
            }
        }
    }

    pub fn items(&mut self, items: &[SelectItem]) {
        for item in items {
            match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                    self.expr(expr);
                }
                SelectItem::QualifiedWildcard(kind, _) => {
                    if let SelectItemQualifiedWildcardKind::Expr(expr) = kind {
                        self.expr(expr);
                    }
                }
                SelectItem::Wildcard(_) => {}
                SelectItem::ExprWithAliases { .. } => self.unknown = true,
            }
        }
    }

    fn order_by(&mut self, order_by: &OrderBy) {
        match &order_by.kind {
            OrderByKind::Expressions(exprs) => self.orders(exprs),
            OrderByKind::All(_) => self.unknown = true,
        }
        self.unknown |= order_by.interpolate.is_some();
    }

    pub fn table_with_joins(&mut self, table: &TableWithJoins) {
        self.table_factor(&table.relation);
        for join in &table.joins {
            self.join(join);
        }
    }

    pub fn join(&mut self, join: &Join) {
        use JoinOperator as J;
        self.table_factor(&join.relation);
        let constraint = match &join.join_operator {
            J::Join(c)
            | J::Inner(c)
            | J::Left(c)
            | J::LeftOuter(c)
            | J::Right(c)
            | J::RightOuter(c)
            | J::FullOuter(c)
            | J::CrossJoin(c)
            | J::StraightJoin(c) => c,
            _ => {
                self.unknown = true;
                return;
            }
        };
        match constraint {
            JoinConstraint::On(expr) => self.expr(expr),
            JoinConstraint::Using(_)
            | JoinConstraint::UsingAlias(..)
            | JoinConstraint::Natural
            | JoinConstraint::None => {}
        }
    }

    pub fn table_factor(&mut self, factor: &TableFactor) {
        match factor {
            TableFactor::Table {
                name,
                args,
                with_hints,
                version,
                json_path,
                sample,
                ..
            } => {
                match args {
                    Some(args) => {
                        self.called(name);
                        self.args(&args.args);
                    }
                    None => self.relation(name),
                }
                self.exprs(with_hints);
                self.unknown |= version.is_some() || json_path.is_some();
                self.sample(sample.as_ref());
            }
            TableFactor::Derived {
                subquery, sample, ..
            } => {
                self.query(subquery);
                self.sample(sample.as_ref());
            }
            TableFactor::TableFunction { expr, .. } => self.expr(expr),
            TableFactor::Function { name, args, .. } => {
                self.called(name);
                self.args(args);
            }
            TableFactor::UNNEST { array_exprs, .. } => self.exprs(array_exprs),
            TableFactor::JsonTable { json_expr, .. } => self.expr(json_expr),
            TableFactor::NestedJoin {
                table_with_joins, ..
            } => self.table_with_joins(table_with_joins),
            TableFactor::XmlTable {
                row_expression,
                passing,
                ..
            } => {
                self.expr(row_expression);
                for argument in &passing.arguments {
                    self.expr(&argument.expr);
                }
            }
            _ => self.unknown = true,
        }
    }

    fn sample(&mut self, sample: Option<&TableSampleKind>) {
        if let Some(
            TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample),
        ) = sample
        {
            self.maybe(sample.quantity.as_ref().map(|q| &q.value));
            self.maybe(sample.offset.as_ref());
        }
    }

    pub fn exprs(&mut self, exprs: &[Expr]) {
        for expr in exprs {
            self.expr(expr);
        }
    }

    pub fn maybe(&mut self, expr: Option<&Expr>) {
        if let Some(expr) = expr {
            self.expr(expr);
        }
    }
}
