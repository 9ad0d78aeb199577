//! Which rows a condition lets through, as far as it says so without looking at one: all, none, or some.
//!
//! Nothing is computed that could fail or depend on a server: what is made of constants alone but not understood here
//! counts as all rows, because a condition on purpose names a column.

use super::lex::leading_number;
use crate::domain::dialect::Dialect;
use sqlparser::ast::{BinaryOperator, Expr, InTarget, SelectItem, SetExpr, UnaryOperator, Value};
use std::cell::Cell;

/// Rows that a condition lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// Every row, or every row in which a column has a value.
    All,
    None,
    /// It depends on the row.
    Some,
}

/// What a part of a condition is.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    /// NULL, which is not true.
    Null,
    /// TRUE or FALSE.
    Bool(bool),
    Number(f64),
    Text(String),
    /// A constant of which nothing is known.
    Constant,
    /// Depends on the row.
    Row,
}

/// What an evaluation may use.
struct Context {
    dialect: Dialect,
    /// Steps that are left: nested parts are evaluated more than once.
    steps: Cell<u32>,
}

/// No honest condition takes a tenth of this; one that does counts as none.
const STEPS_MAX: u32 = 200_000;

/// What `condition` lets through; without one, everything. Needs as much stack as the walk through it.
pub(super) fn rows(condition: Option<&Expr>, dialect: Dialect) -> Rows {
    let ctx = Context {
        dialect,
        steps: Cell::new(STEPS_MAX),
    };
    match let_through(condition, &ctx) {
        _ if ctx.steps.get() == 0 => Rows::All,
        rows => rows,
    }
}

fn let_through(condition: Option<&Expr>, ctx: &Context) -> Rows {
    let Some(condition) = condition else {
        return Rows::All;
    };
    match truth(condition, ctx) {
        Some(true) => Rows::All,
        Some(false) => Rows::None,
        None if part(condition, ctx) == Part::Row => Rows::Some,
        None => Rows::All,
    }
}

/// Whether `expr` is true for every row, or for none; not known otherwise.
fn truth(expr: &Expr, ctx: &Context) -> Option<bool> {
    match expr {
        Expr::Nested(inner) => truth(inner, ctx),
        Expr::BinaryOp {
            op: BinaryOperator::And,
            ..
        } => chain(expr, &BinaryOperator::And, ctx),
        Expr::BinaryOp {
            op: BinaryOperator::Or,
            ..
        } => chain(expr, &BinaryOperator::Or, ctx),
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr,
        } => truth(expr, ctx).map(|t| !t),
        Expr::IsTrue(inner) | Expr::IsNotFalse(inner) => truth(inner, ctx),
        Expr::IsFalse(inner) | Expr::IsNotTrue(inner) => truth(inner, ctx).map(|t| !t),
        Expr::Exists { subquery, negated } => {
            let select = match subquery.body.as_ref() {
                SetExpr::Select(select) => select,
                SetExpr::Values(values) if subquery.limit_clause.is_none() => {
                    return (!values.rows.is_empty()).then_some(!negated);
                }
                _ => return None,
            };
            let has_row = select.from.is_empty()
                && subquery.limit_clause.is_none()
                && subquery.fetch.is_none()
                && select.having.is_none()
                && let_through(select.selection.as_ref(), ctx) == Rows::All;
            has_row.then_some(!negated)
        }
        _ => match part(expr, ctx) {
            Part::Null => Some(false),
            Part::Bool(b) => Some(b),
            Part::Number(n) => Some(n != 0.0),
            // MySQL and SQLite take the number that the string starts with.
            Part::Text(text) => Some(match ctx.dialect {
                Dialect::Postgres => {
                    !matches!(text.as_str(), "f" | "false" | "n" | "no" | "off" | "0")
                }
                _ => leading_number(&text) != 0.0,
            }),
            Part::Constant | Part::Row => None,
        },
    }
}

/// A chain of AND or OR, which may be thousands long and leans left.
fn chain(expr: &Expr, op: &BinaryOperator, ctx: &Context) -> Option<bool> {
    // What settles the chain: false for AND, true for OR.
    let settles = *op == BinaryOperator::Or;
    let mut all_known = true;
    let mut parts: Vec<&Expr> = Vec::new();
    let mut at = expr;
    let mut hold = |part: &Expr| match truth(part, ctx) {
        Some(t) if t == settles => true,
        Some(_) => false,
        None => {
            all_known = false;
            false
        }
    };
    while let Expr::BinaryOp {
        left,
        op: own,
        right,
    } = at
    {
        if own != op {
            break;
        }
        if hold(right) {
            return Some(settles);
        }
        parts.push(right);
        at = left;
    }
    if hold(at) {
        return Some(settles);
    }
    parts.push(at);
    if all_known {
        return Some(!settles);
    }
    (settles && has_complements(&parts)).then_some(true)
}

/// `a IS NULL OR a IS NOT NULL`, `a = 1 OR a <> 1`: one of the two is true of every row. Looked for in short chains.
fn has_complements(parts: &[&Expr]) -> bool {
    const PARTS_MAX: usize = 8;
    parts.len() <= PARTS_MAX
        && parts.iter().enumerate().any(|(i, a)| {
            parts[i + 1..]
                .iter()
                .any(|b| complements(a, b) || complements(b, a))
        })
}

fn complements(a: &Expr, b: &Expr) -> bool {
    match (a, b) {
        (Expr::Nested(a), b) => complements(a, b),
        (a, Expr::Nested(b)) => complements(a, b),
        (Expr::IsNull(a), Expr::IsNotNull(b)) => a == b,
        (
            a,
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr: b,
            },
        ) => a == b.as_ref() || matches!(b.as_ref(), Expr::Nested(b) if a == b.as_ref()),
        (
            Expr::BinaryOp { left, op, right },
            Expr::BinaryOp {
                left: left_b,
                op: op_b,
                right: right_b,
            },
        ) => {
            use BinaryOperator as B;
            let opposite = matches!(
                (op, op_b),
                (B::Eq, B::NotEq) | (B::Lt, B::GtEq) | (B::Gt, B::LtEq)
            );
            opposite && left == left_b && right == right_b
        }
        _ => false,
    }
}

/// The value of an expression, as far as constants give it.
fn part(expr: &Expr, ctx: &Context) -> Part {
    let Some(left) = ctx.steps.get().checked_sub(1) else {
        return Part::Row;
    };
    ctx.steps.set(left);
    match expr {
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => part(inner, ctx),
        Expr::Value(value) => match &value.value {
            Value::Null => Part::Null,
            Value::Boolean(b) => Part::Bool(*b),
            Value::Number(text, _) => text.parse().map_or(Part::Constant, Part::Number),
            Value::Placeholder(_) => Part::Row,
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => {
                Part::Text(text.clone())
            }
            _ => Part::Constant,
        },
        Expr::UnaryOp { op, expr: inner } => match (op, part(inner, ctx)) {
            (_, Part::Row) => Part::Row,
            (UnaryOperator::Minus, Part::Number(n)) => Part::Number(-n),
            (UnaryOperator::Plus, Part::Number(n)) => Part::Number(n),
            _ => truth_part(expr, ctx, &[inner]),
        },
        Expr::Cast { expr: inner, .. } => match part(inner, ctx) {
            kept @ (Part::Row | Part::Null | Part::Bool(_) | Part::Number(_)) => kept,
            // `'f'::boolean`, `'0'::int`: by what it says.
            Part::Text(text) => match text.as_str() {
                "t" | "true" | "yes" | "on" => Part::Bool(true),
                "f" | "false" | "no" | "off" => Part::Bool(false),
                _ => text.parse().map_or(Part::Text(text), Part::Number),
            },
            Part::Constant => Part::Constant,
        },
        Expr::IsNull(inner) => known(part(inner, ctx), |p| p == Part::Null),
        Expr::IsNotNull(inner) => known(part(inner, ctx), |p| p != Part::Null),
        Expr::BinaryOp { left, op, right } => binary(expr, left, op, right, ctx),
        Expr::Between {
            expr: of,
            negated,
            low,
            high,
        } => between(of, *negated, low, high, ctx),
        Expr::In {
            expr: of,
            target: InTarget::List(list),
            negated,
            ..
        } => in_list(of, list, *negated, ctx),
        Expr::Like {
            expr: of,
            pattern,
            negated: false,
            ..
        }
        | Expr::ILike {
            expr: of,
            pattern,
            negated: false,
            ..
        } => match (part(of, ctx), part(pattern, ctx)) {
            (Part::Row, _) if is_column(of) && of == pattern => Part::Bool(true),
            (Part::Row, Part::Text(p)) if !p.is_empty() && p.bytes().all(|b| b == b'%') => {
                Part::Bool(true)
            }
            (Part::Row, _) | (_, Part::Row) => Part::Row,
            _ => Part::Constant,
        },
        other => composed(other, ctx),
    }
}

/// Functions and forms: constant where all that they are made of is.
fn composed(expr: &Expr, ctx: &Context) -> Part {
    use sqlparser::ast::{FunctionArg, FunctionArgExpr, FunctionArguments};
    match expr {
        Expr::TypedString(_) | Expr::Interval(_) => Part::Constant,
        Expr::IsNotDistinctFrom(left, right) => same(left, right, true, ctx),
        Expr::IsDistinctFrom(left, right) => same(left, right, false, ctx),
        Expr::Tuple(parts) => all_constant(parts.iter(), ctx),
        Expr::Array(array) => all_constant(array.elem.iter(), ctx),
        Expr::RLike {
            negated: false,
            expr,
            pattern,
            ..
        } if part(expr, ctx) == Part::Row
            && matches!(part(pattern, ctx), Part::Text(p) if ["", "^", "$", ".*"].contains(&p.as_str())) =>
        {
            Part::Bool(true)
        }
        Expr::AnyOp { left, right, .. } | Expr::AllOp { left, right, .. } => {
            all_constant([left.as_ref(), right.as_ref()].into_iter(), ctx)
        }
        Expr::Subquery(query) => only_value(&query.body).map_or(Part::Row, |v| part(v, ctx)),
        Expr::RLike { expr, pattern, .. } | Expr::Like { expr, pattern, .. } => {
            all_constant([expr.as_ref(), pattern.as_ref()].into_iter(), ctx)
        }
        Expr::Case {
            operand: None,
            conditions,
            ..
        } => match conditions.first() {
            Some(first) => match truth(&first.condition, ctx) {
                Some(true) => part(&first.result, ctx),
                _ => Part::Row,
            },
            None => Part::Row,
        },
        Expr::Function(function) => {
            let FunctionArguments::List(list) = &function.args else {
                return Part::Row;
            };
            let mut parts = Vec::with_capacity(list.args.len());
            for arg in &list.args {
                match arg {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => parts.push(e),
                    _ => return Part::Row,
                }
            }
            // What a function draws from (time, chance) is not a constant; without arguments it may be that.
            if parts.is_empty() {
                return Part::Row;
            }
            match (
                function.name.to_string().to_ascii_lowercase().as_str(),
                parts.first(),
            ) {
                ("coalesce" | "ifnull" | "nullif" | "if", Some(first)) => match part(first, ctx) {
                    Part::Row => Part::Row,
                    kept @ (Part::Bool(_) | Part::Number(_)) if parts.len() == 1 => kept,
                    _ => all_constant(parts.into_iter(), ctx),
                },
                _ => all_constant(parts.into_iter(), ctx),
            }
        }
        _ => Part::Row,
    }
}

/// The 1 of `(SELECT 1)`.
fn only_value(body: &SetExpr) -> Option<&Expr> {
    let SetExpr::Select(select) = body else {
        return None;
    };
    match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(value)]
            if select.from.is_empty() && select.selection.is_none() =>
        {
            Some(value)
        }
        _ => None,
    }
}

fn all_constant<'e>(mut parts: impl Iterator<Item = &'e Expr>, ctx: &Context) -> Part {
    match parts.all(|e| part(e, ctx) != Part::Row) {
        true => Part::Constant,
        false => Part::Row,
    }
}

fn known(part: Part, test: impl Fn(Part) -> bool) -> Part {
    match part {
        Part::Row => Part::Row,
        part => Part::Bool(test(part)),
    }
}

/// The truth of `expr`, or whether it is at least made of constants.
fn truth_part(expr: &Expr, ctx: &Context, of: &[&Expr]) -> Part {
    let truth = match expr {
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            ..
        } => truth(expr, ctx),
        _ => None,
    };
    match truth {
        Some(t) => Part::Bool(t),
        None => all_constant(of.iter().copied(), ctx),
    }
}

fn binary(expr: &Expr, left: &Expr, op: &BinaryOperator, right: &Expr, ctx: &Context) -> Part {
    use BinaryOperator as B;
    if matches!(op, B::And | B::Or) {
        return match chain(expr, op, ctx) {
            Some(t) => Part::Bool(t),
            None => deep_constant(expr, ctx),
        };
    }
    if matches!(op, B::Is | B::IsNot) {
        return same(left, right, *op == B::Is, ctx);
    }
    let compares = matches!(
        op,
        B::Eq | B::NotEq | B::Lt | B::LtEq | B::Gt | B::GtEq | B::Spaceship
    );
    if !compares {
        return deep_constant(expr, ctx);
    }
    // A column compared with itself: true wherever it has a value.
    if left == right && part(left, ctx) == Part::Row && is_column(left) {
        return match op {
            B::Eq | B::LtEq | B::GtEq | B::Spaceship => Part::Bool(true),
            _ => Part::Bool(false),
        };
    }
    let (a, b) = (part(left, ctx), part(right, ctx));
    let order = match (&a, &b) {
        (Part::Row, _) | (_, Part::Row) => return Part::Row,
        (Part::Null, _) | (_, Part::Null) => return Part::Null,
        (Part::Number(a), Part::Number(b)) => a.partial_cmp(b),
        (Part::Bool(a), Part::Bool(b)) => Some(a.cmp(b)),
        // Collations decide about everything but plain equality.
        (Part::Text(a), Part::Text(b)) if a == b => Some(std::cmp::Ordering::Equal),
        (Part::Text(a), Part::Text(b))
            if !a.eq_ignore_ascii_case(b) && matches!(op, B::Eq | B::NotEq) =>
        {
            Some(a.cmp(b))
        }
        _ => None,
    };
    let Some(order) = order else {
        return Part::Constant;
    };
    Part::Bool(match op {
        B::Eq | B::Spaceship => order.is_eq(),
        B::NotEq => order.is_ne(),
        B::Lt => order.is_lt(),
        B::LtEq => order.is_le(),
        B::Gt => order.is_gt(),
        _ => order.is_ge(),
    })
}

/// Two values that are (not) the same, NULL being one: a column is the same as itself in every row.
fn same(left: &Expr, right: &Expr, same: bool, ctx: &Context) -> Part {
    match left == right && is_column(left) {
        true => Part::Bool(same),
        false => all_constant([left, right].into_iter(), ctx),
    }
}

/// Whether a chain of operators holds nothing but constants.
fn deep_constant(expr: &Expr, ctx: &Context) -> Part {
    let mut at = expr;
    while let Expr::BinaryOp { left, right, .. } = at {
        if part(right, ctx) == Part::Row {
            return Part::Row;
        }
        at = left;
    }
    match part(at, ctx) {
        Part::Row => Part::Row,
        _ => Part::Constant,
    }
}

fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => true,
        Expr::Nested(inner) => is_column(inner),
        _ => false,
    }
}

fn between(of: &Expr, negated: bool, low: &Expr, high: &Expr, ctx: &Context) -> Part {
    match (part(of, ctx), part(low, ctx), part(high, ctx)) {
        (Part::Number(n), Part::Number(low), Part::Number(high)) => {
            Part::Bool((low <= n && n <= high) != negated)
        }
        (Part::Row, ..) if is_column(of) && (of == low && of == high) => Part::Bool(!negated),
        (Part::Row, ..) | (_, Part::Row, _) | (_, _, Part::Row) => Part::Row,
        _ => Part::Constant,
    }
}

fn in_list(of: &Expr, list: &[Expr], negated: bool, ctx: &Context) -> Part {
    if is_column(of) {
        return match list.iter().any(|e| e == of) {
            true => Part::Bool(!negated),
            false => Part::Row,
        };
    }
    let value = part(of, ctx);
    let parts: Vec<Part> = list.iter().map(|e| part(e, ctx)).collect();
    if value == Part::Row || parts.contains(&Part::Row) {
        return Part::Row;
    }
    let number = |p: &Part| matches!(p, Part::Number(_));
    match number(&value) && parts.iter().all(number) {
        true => Part::Bool(parts.contains(&value) != negated),
        false => Part::Constant,
    }
}
