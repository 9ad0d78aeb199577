//! The walk through expressions: only subqueries, and what the walk does not know, matter in them. Functions are found
//! among the tokens instead (see `functions`).

use super::walk::Walk;
use crate::domain::dialect::Dialect;
use sqlparser::ast::{
    AccessExpr, BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArguments, InTarget, JsonPathElem, ObjectName, ObjectNamePart,
    OrderByExpr, Subscript, WindowFrameBound, WindowSpec, WindowType,
};

impl Walk {
    /// Binary chains lean left and may be thousands long, so the left side is walked in a loop.
    pub fn expr(&mut self, expr: &Expr) {
        let mut at = expr;
        loop {
            at = match at {
                Expr::BinaryOp { left, op, right } => {
                    self.operator(op);
                    self.expr(right);
                    left
                }
                Expr::AnyOp { left, right, .. }
                | Expr::AllOp { left, right, .. }
                | Expr::IsDistinctFrom(left, right)
                | Expr::IsNotDistinctFrom(left, right) => {
                    self.expr(right);
                    left
                }
                Expr::IsFalse(e)
                | Expr::IsNotFalse(e)
                | Expr::IsTrue(e)
                | Expr::IsNotTrue(e)
                | Expr::IsNull(e)
                | Expr::IsNotNull(e)
                | Expr::IsUnknown(e)
                | Expr::IsNotUnknown(e)
                | Expr::Nested(e)
                | Expr::UnaryOp { expr: e, .. }
                | Expr::IsJson { expr: e, .. }
                | Expr::IsNormalized { expr: e, .. }
                | Expr::Cast { expr: e, .. }
                | Expr::Collate { expr: e, .. }
                | Expr::Extract { expr: e, .. }
                | Expr::Ceil { expr: e, .. }
                | Expr::Floor { expr: e, .. }
                | Expr::Named { expr: e, .. }
                | Expr::Prefixed { value: e, .. } => e,
                Expr::AtTimeZone {
                    timestamp,
                    time_zone,
                } => {
                    self.expr(time_zone);
                    timestamp
                }
                Expr::In { expr, target, .. } => {
                    self.in_target(target);
                    expr
                }
                Expr::Between {
                    expr, low, high, ..
                } => {
                    self.expr(low);
                    self.expr(high);
                    expr
                }
                Expr::Like {
                    expr,
                    pattern,
                    escape_char,
                    ..
                }
                | Expr::ILike {
                    expr,
                    pattern,
                    escape_char,
                    ..
                }
                | Expr::SimilarTo {
                    expr,
                    pattern,
                    escape_char,
                    ..
                } => {
                    self.expr(pattern);
                    self.maybe(escape_char.as_deref());
                    expr
                }
                Expr::RLike { expr, pattern, .. } => {
                    self.expr(pattern);
                    expr
                }
                other => return self.expr_branch(other),
            };
        }
    }

    /// Expressions that branch or end; none of them chains.
    fn expr_branch(&mut self, expr: &Expr) {
        match expr {
            Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::Value(_)
            | Expr::TypedString(_)
            | Expr::Wildcard(_)
            | Expr::QualifiedWildcard(..)
            | Expr::MatchAgainst { .. } => {}
            Expr::CompoundFieldAccess { root, access_chain } => {
                self.expr(root);
                for access in access_chain {
                    match access {
                        AccessExpr::Dot(e) => self.field(e),
                        AccessExpr::Subscript(s) => self.subscript(s),
                    }
                }
            }
            Expr::JsonAccess { value, path } => {
                self.expr(value);
                for elem in &path.path {
                    match elem {
                        JsonPathElem::Bracket { key } | JsonPathElem::ColonBracket { key } => {
                            self.expr(key);
                        }
                        JsonPathElem::Dot { .. } => {}
                    }
                }
            }
            Expr::Convert { expr, styles, .. } => {
                self.expr(expr);
                self.exprs(styles);
            }
            Expr::Position { expr, r#in } => {
                self.expr(expr);
                self.expr(r#in);
            }
            Expr::Substring {
                expr,
                substring_from,
                substring_for,
                ..
            } => {
                self.expr(expr);
                self.maybe(substring_from.as_deref());
                self.maybe(substring_for.as_deref());
            }
            Expr::Trim {
                trim_what,
                expr,
                trim_characters,
                ..
            } => {
                self.expr(expr);
                self.maybe(trim_what.as_deref());
                self.exprs(trim_characters.as_deref().unwrap_or(&[]));
            }
            Expr::Overlay {
                expr,
                overlay_what,
                overlay_from,
                overlay_for,
            } => {
                self.expr(expr);
                self.expr(overlay_what);
                self.expr(overlay_from);
                self.maybe(overlay_for.as_deref());
            }
            Expr::Function(function) => self.function(function),
            Expr::Case {
                operand,
                conditions,
                else_result,
                ..
            } => {
                self.maybe(operand.as_deref());
                for when in conditions {
                    self.expr(&when.condition);
                    self.expr(&when.result);
                }
                self.maybe(else_result.as_deref());
            }
            Expr::Exists { subquery, .. } | Expr::Subquery(subquery) => self.query(subquery),
            Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
                for set in sets {
                    self.exprs(set);
                }
            }
            Expr::Tuple(exprs) => self.exprs(exprs),
            Expr::Array(array) => self.exprs(&array.elem),
            Expr::Interval(interval) => self.expr(&interval.value),
            Expr::MemberOf(member) => {
                self.expr(&member.value);
                self.expr(&member.array);
            }
            _ => self.unknown = true,
        }
    }

    fn in_target(&mut self, target: &InTarget) {
        match target {
            InTarget::List(list) => self.exprs(list),
            InTarget::Subquery(query) => self.query(query),
            InTarget::Unnest(expr) => self.expr(expr),
            InTarget::Table { name, args } => match args {
                Some(args) => {
                    self.called(name);
                    self.args(args);
                }
                None => self.relation(name),
            },
        }
    }

    /// `(value).name`: a field, or for PostgreSQL a call of the function `name`.
    /// An operator of a schema that is not the server's own calls a function of somebody's.
    fn operator(&mut self, operator: &BinaryOperator) {
        let BinaryOperator::PGCustomBinaryOperator(parts) = operator else {
            return;
        };
        if let [.., schema, name] = parts.as_slice()
            && schema != "pg_catalog"
        {
            self.unknown_functions.insert(format!("{schema}.{name}"));
        }
    }

    fn field(&mut self, name: &Expr) {
        match name {
            Expr::Identifier(ident) if self.dialect == Dialect::Postgres => {
                self.called(&ObjectName(vec![ObjectNamePart::Identifier(ident.clone())]));
            }
            other => self.expr(other),
        }
    }

    fn subscript(&mut self, subscript: &Subscript) {
        match subscript {
            Subscript::Index { index } => self.expr(index),
            Subscript::Slice {
                lower_bound,
                upper_bound,
                stride,
            } => {
                self.maybe(lower_bound.as_ref());
                self.maybe(upper_bound.as_ref());
                self.maybe(stride.as_ref());
            }
        }
    }

    /// A call: its arguments, ordering, filter and window.
    pub fn function(&mut self, function: &Function) {
        self.called(&function.name);
        self.operands(function);
    }

    /// What is handed to a call.
    pub fn operands(&mut self, function: &Function) {
        self.arguments(&function.parameters);
        self.arguments(&function.args);
        self.orders(&function.within_group);
        self.maybe(function.filter.as_deref());
        if let Some(WindowType::WindowSpec(spec)) = &function.over {
            self.window(spec);
        }
    }

    fn arguments(&mut self, arguments: &FunctionArguments) {
        match arguments {
            FunctionArguments::None => {}
            FunctionArguments::Subquery(query) => self.query(query),
            FunctionArguments::List(list) => {
                self.args(&list.args);
                for clause in &list.clauses {
                    match clause {
                        FunctionArgumentClause::OrderBy(orders) => self.orders(orders),
                        FunctionArgumentClause::Where(expr)
                        | FunctionArgumentClause::Limit(expr) => self.expr(expr),
                        FunctionArgumentClause::IgnoreOrRespectNulls(_)
                        | FunctionArgumentClause::Separator(_)
                        | FunctionArgumentClause::JsonNullClause(_)
                        | FunctionArgumentClause::JsonReturningClause(_) => {}
                        _ => self.unknown = true,
                    }
                }
            }
        }
    }

    /// Arguments of a call, in FROM or elsewhere.
    pub fn args(&mut self, args: &[FunctionArg]) {
        for arg in args {
            let arg = match arg {
                FunctionArg::Named { arg, .. } | FunctionArg::Unnamed(arg) => arg,
                FunctionArg::ExprNamed { name, arg, .. } => {
                    self.expr(name);
                    arg
                }
            };
            match arg {
                FunctionArgExpr::Expr(expr) => self.expr(expr),
                FunctionArgExpr::QualifiedWildcard(_) | FunctionArgExpr::Wildcard => {}
                FunctionArgExpr::WildcardWithOptions(_) => self.unknown = true,
            }
        }
    }

    /// ORDER BY expressions.
    pub fn orders(&mut self, orders: &[OrderByExpr]) {
        for order in orders {
            self.expr(&order.expr);
            self.unknown |= order.with_fill.is_some();
        }
    }

    /// A window's partitions, order and bounds.
    pub fn window(&mut self, spec: &WindowSpec) {
        self.exprs(&spec.partition_by);
        self.orders(&spec.order_by);
        if let Some(frame) = &spec.window_frame {
            for bound in [Some(&frame.start_bound), frame.end_bound.as_ref()] {
                if let Some(WindowFrameBound::Preceding(e) | WindowFrameBound::Following(e)) = bound
                {
                    self.maybe(e.as_deref());
                }
            }
        }
    }
}
