//! Alterations that rewrite a table or hold a lock on it for as long as it takes to read it.
//!
//! After what migration linters for PostgreSQL (Squawk, strong_migrations) and users of online schema change tools for
//! MySQL (gh-ost, pt-online-schema-change) watch for, held against the documentation of ALTER TABLE of each database.

use super::catalogue;
use super::rules::ReviewRule;
use crate::domain::dialect::Dialect;
use sqlparser::ast::{
    AlterColumnOperation, AlterTableOperation, ColumnDef, ColumnOption, DataType, Expr,
    FunctionArg, FunctionArgExpr, FunctionArguments, GeneratedExpressionMode, TableConstraint,
};

/// What a new column does to the rows that are there.
pub(super) fn new_column(column: &ColumnDef, dialect: Dialect) -> Vec<ReviewRule> {
    let mut rules = Vec::new();
    if dialect == Dialect::Sqlite {
        return rules;
    }
    let options = || column.options.iter().map(|o| &o.option);
    // Since version 11 PostgreSQL keeps a constant default once; what differs by row is written to every row.
    let rewrites = |option: &ColumnOption| match option {
        ColumnOption::Default(expr) => !is_constant(expr, dialect),
        ColumnOption::Generated {
            generation_expr: Some(_),
            generation_expr_mode,
            ..
        } => match generation_expr_mode {
            Some(GeneratedExpressionMode::Virtual) => false,
            Some(GeneratedExpressionMode::Stored) => true,
            // VIRTUAL in MySQL, and an error in PostgreSQL before version 18.
            None => dialect == Dialect::Postgres,
        },
        ColumnOption::Generated { .. } | ColumnOption::Identity(_) => true,
        _ => false,
    };
    if is_serial(&column.data_type, dialect)
        || options().any(rewrites)
        || may_be_domain(&column.data_type, dialect)
    {
        rules.push(ReviewRule::TableRewrite);
    }
    let reads = |option: &ColumnOption| {
        matches!(
            option,
            ColumnOption::Unique(_)
                | ColumnOption::PrimaryKey(_)
                | ColumnOption::ForeignKey(_)
                | ColumnOption::Check(_)
        )
    };
    if options().any(reads) {
        rules.push(ReviewRule::LongLock);
    }
    rules
}

/// Whether the column draws its values from a sequence of its own.
pub(super) fn is_serial(data_type: &DataType, dialect: Dialect) -> bool {
    dialect == Dialect::Postgres
        && matches!(
            data_type.to_string().to_ascii_lowercase().as_str(),
            "serial" | "bigserial" | "smallserial" | "serial2" | "serial4" | "serial8"
        )
}

/// Whether the type is not one of PostgreSQL's own: if it is a domain with a constraint, every row is written anew.
fn may_be_domain(data_type: &DataType, dialect: Dialect) -> bool {
    /// Types of the server and of the extensions that most have, none of them a domain.
    const OWN: &[&str] = &[
        "aclitem",
        "bigserial",
        "box",
        "bpchar",
        "cidr",
        "circle",
        "citext",
        "cube",
        "daterange",
        "datemultirange",
        "geography",
        "geometry",
        "hstore",
        "inet",
        "int4multirange",
        "int4range",
        "int8multirange",
        "int8range",
        "jsonpath",
        "line",
        "lseg",
        "ltree",
        "macaddr",
        "macaddr8",
        "money",
        "name",
        "nummultirange",
        "numrange",
        "oid",
        "path",
        "pg_lsn",
        "pg_snapshot",
        "point",
        "polygon",
        "regclass",
        "regproc",
        "regrole",
        "regtype",
        "serial",
        "serial2",
        "serial4",
        "serial8",
        "smallserial",
        "tid",
        "tsmultirange",
        "tsquery",
        "tsrange",
        "tstzmultirange",
        "tstzrange",
        "tsvector",
        "txid_snapshot",
        "varbit",
        "vector",
        "xid",
        "xid8",
        "xml",
    ];
    let DataType::Custom(name, _) = data_type else {
        return false;
    };
    let name = name.to_string().to_ascii_lowercase();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
    dialect == Dialect::Postgres && !OWN.contains(&name)
}

/// Whether every row gets the same: a literal, or a function that the database computes once for the statement.
fn is_constant(expr: &Expr, dialect: Dialect) -> bool {
    let all = |exprs: &[&Expr]| exprs.iter().all(|e| is_constant(e, dialect));
    match expr {
        Expr::Value(_) | Expr::TypedString(_) | Expr::Interval(_) => true,
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => all(&[inner]),
        Expr::UnaryOp { expr: inner, .. } => all(&[inner]),
        Expr::BinaryOp { left, right, .. } => all(&[left, right]),
        Expr::Array(array) => array.elem.iter().all(|e| is_constant(e, dialect)),
        Expr::Function(function) => {
            let arguments = match &function.args {
                FunctionArguments::None => true,
                FunctionArguments::Subquery(_) => false,
                FunctionArguments::List(list) => list.args.iter().all(|arg| match arg {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => is_constant(e, dialect),
                    _ => false,
                }),
            };
            let name = function.name.to_string().to_ascii_lowercase();
            let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
            let once = match dialect {
                Dialect::Postgres => catalogue::is_stable(name),
                // Any other function of a default is an expression that MySQL computes for each row.
                _ => matches!(
                    name,
                    "current_timestamp" | "now" | "localtime" | "localtimestamp"
                ),
            };
            once && arguments
        }
        _ => false,
    }
}

/// What any other alteration does.
pub(super) fn alteration(operation: &AlterTableOperation, dialect: Dialect) -> Option<ReviewRule> {
    match (operation, dialect) {
        (
            AlterTableOperation::AddConstraint {
                constraint,
                not_valid,
            },
            Dialect::Postgres | Dialect::MySql,
        ) => {
            // An index that is there, and one that MySQL builds while others write.
            let indexed = matches!(
                constraint,
                TableConstraint::PrimaryKeyUsingIndex(_)
                    | TableConstraint::UniqueUsingIndex(_)
                    | TableConstraint::Index(_)
            );
            (!not_valid && !indexed).then_some(ReviewRule::LongLock)
        }
        (
            AlterTableOperation::AlterColumn {
                op: AlterColumnOperation::SetNotNull,
                ..
            },
            Dialect::Postgres,
        ) => Some(ReviewRule::LongLock),
        _ => None,
    }
}
