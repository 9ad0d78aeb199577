//! Review rules: shapes of statements that are usually a mistake, what they are called, why they matter and how to mend
//! them. Which of them block is configuration; here is only what is found.

use super::token::{Kind, Piece};
use super::walk::Walk;
use crate::domain::dialect::Dialect;
use sqlparser::ast::{
    AlterColumnOperation, AlterTableOperation, ColumnDef, ColumnOption, ObjectType, Statement,
};

/// A review rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// DELETE without a condition.
    NoWhereDelete,
    /// UPDATE without a condition.
    NoWhereUpdate,
    /// DROP TABLE.
    DropTable,
    /// ALTER TABLE ... DROP COLUMN.
    DropColumn,
    /// ADD COLUMN ... NOT NULL without a default.
    NotNullWithoutDefault,
    /// PostgreSQL: CREATE INDEX without CONCURRENTLY.
    CreateIndexNotConcurrently,
    /// A column changes its type.
    AlterColumnType,
    /// TRUNCATE.
    Truncate,
    /// A batch that changes both structure and data.
    MixedDdlDml,
    /// An IN list of more than [`IN_LIST_MAX`] elements.
    LargeInList,
    /// DROP INDEX, ALTER TABLE ... DROP INDEX included.
    DropIndex,
    /// DROP VIEW.
    DropView,
    /// DROP SEQUENCE.
    DropSequence,
    /// CREATE SEQUENCE.
    CreateSequence,
}

/// What a finding does to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// The request is refused.
    Block,
    /// The finding is shown and raises the risk.
    Warn,
    /// The rule is not applied.
    Off,
}

impl Action {
    /// `block`, `warn` or `off`.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Block => "block",
            Action::Warn => "warn",
            Action::Off => "off",
        }
    }

    /// The action of that name.
    pub fn parse(text: &str) -> Option<Action> {
        [Action::Block, Action::Warn, Action::Off]
            .into_iter()
            .find(|a| a.as_str() == text)
    }
}

/// Elements of an IN list above which [`Rule::LargeInList`] fires.
pub const IN_LIST_MAX: usize = 100;

/// Findings of one statement beyond this many are left out; a thousand equal warnings help nobody.
const FINDINGS_PER_STATEMENT_MAX: usize = 50;

impl Rule {
    /// All rules, in the order of the documentation.
    pub const ALL: [Rule; 14] = [
        Rule::NoWhereDelete,
        Rule::NoWhereUpdate,
        Rule::DropTable,
        Rule::DropColumn,
        Rule::NotNullWithoutDefault,
        Rule::CreateIndexNotConcurrently,
        Rule::AlterColumnType,
        Rule::Truncate,
        Rule::MixedDdlDml,
        Rule::LargeInList,
        Rule::DropIndex,
        Rule::DropView,
        Rule::DropSequence,
        Rule::CreateSequence,
    ];

    /// The key in server.toml: `no_where_delete`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Rule::NoWhereDelete => "no_where_delete",
            Rule::NoWhereUpdate => "no_where_update",
            Rule::DropTable => "drop_table",
            Rule::DropColumn => "drop_column",
            Rule::NotNullWithoutDefault => "not_null_without_default",
            Rule::CreateIndexNotConcurrently => "create_index_not_concurrently",
            Rule::AlterColumnType => "alter_column_type",
            Rule::Truncate => "truncate",
            Rule::MixedDdlDml => "mixed_ddl_dml",
            Rule::LargeInList => "large_in_list",
            Rule::DropIndex => "drop_index",
            Rule::DropView => "drop_view",
            Rule::DropSequence => "drop_sequence",
            Rule::CreateSequence => "create_sequence",
        }
    }

    /// The name on the wire: `NoWhereDelete`.
    pub fn wire_name(self) -> &'static str {
        match self {
            Rule::NoWhereDelete => "NoWhereDelete",
            Rule::NoWhereUpdate => "NoWhereUpdate",
            Rule::DropTable => "DropTable",
            Rule::DropColumn => "DropColumn",
            Rule::NotNullWithoutDefault => "NotNullWithoutDefault",
            Rule::CreateIndexNotConcurrently => "CreateIndexNotConcurrently",
            Rule::AlterColumnType => "AlterColumnType",
            Rule::Truncate => "Truncate",
            Rule::MixedDdlDml => "MixedDdlDml",
            Rule::LargeInList => "LargeInList",
            Rule::DropIndex => "DropIndex",
            Rule::DropView => "DropView",
            Rule::DropSequence => "DropSequence",
            Rule::CreateSequence => "CreateSequence",
        }
    }

    /// The rule of that key.
    pub fn parse(text: &str) -> Option<Rule> {
        Rule::ALL.into_iter().find(|r| r.as_str() == text)
    }

    /// What the rule does where configuration does not say.
    pub fn default_action(self) -> Action {
        match self {
            Rule::NoWhereDelete | Rule::NoWhereUpdate | Rule::DropTable | Rule::Truncate => {
                Action::Block
            }
            Rule::CreateSequence => Action::Off,
            _ => Action::Warn,
        }
    }

    /// Whether an emergency request with `allow_ddl` passes a block by this rule.
    pub fn bypassable(self) -> bool {
        !matches!(
            self,
            Rule::NoWhereDelete | Rule::NoWhereUpdate | Rule::LargeInList | Rule::MixedDdlDml
        )
    }

    fn message(self) -> &'static str {
        match self {
            Rule::NoWhereDelete => "DELETE without WHERE clause",
            Rule::NoWhereUpdate => "UPDATE without WHERE clause",
            Rule::DropTable => "DROP TABLE detected",
            Rule::DropColumn => "DROP COLUMN detected",
            Rule::NotNullWithoutDefault => "ADD COLUMN NOT NULL without DEFAULT",
            Rule::CreateIndexNotConcurrently => "CREATE INDEX without CONCURRENTLY",
            Rule::AlterColumnType => "ALTER COLUMN TYPE detected",
            Rule::Truncate => "TRUNCATE detected",
            Rule::MixedDdlDml => "DDL and DML mixed in same batch",
            Rule::LargeInList => "IN list with too many elements",
            Rule::DropIndex => "DROP INDEX detected",
            Rule::DropView => "DROP VIEW detected",
            Rule::DropSequence => "DROP SEQUENCE detected",
            Rule::CreateSequence => "CREATE SEQUENCE detected",
        }
    }

    /// Why it matters, and how to mend it.
    fn advice(self) -> (&'static str, &'static str) {
        match self {
            Rule::NoWhereDelete => (
                "every row of the table is deleted",
                "add a WHERE that names the rows; a condition made of literals counts as none",
            ),
            Rule::NoWhereUpdate => (
                "every row of the table is changed",
                "add a WHERE that names the rows; a condition made of literals counts as none",
            ),
            Rule::DropTable => (
                "the table and its data are gone for good",
                "rename the table first, and drop it once nothing misses it",
            ),
            Rule::DropColumn => (
                "the column's data are gone, and programs that read it fail at once",
                "deploy programs that do not use the column first",
            ),
            Rule::NotNullWithoutDefault => (
                "it fails on a table that has rows",
                "give the column a DEFAULT, or add it nullable, fill it, then set NOT NULL",
            ),
            Rule::CreateIndexNotConcurrently => (
                "writes to the table wait until the index is built",
                "use CREATE INDEX CONCURRENTLY, as a statement of its own",
            ),
            Rule::AlterColumnType => (
                "the table may be rewritten under an exclusive lock",
                "add a column of the new type, copy in batches, then switch",
            ),
            Rule::Truncate => (
                "every row is gone, and row triggers do not fire",
                "use DELETE with a WHERE",
            ),
            Rule::MixedDdlDml => (
                "a failure leaves structure and data at different versions where DDL commits by itself",
                "send the change of structure and the change of data as two requests",
            ),
            Rule::LargeInList => (
                "long lists are slow to plan and easy to get wrong",
                "join with a table of the values, or split the list",
            ),
            Rule::DropIndex => (
                "queries that relied on it become slow at once",
                "look at the index's usage first, and drop it CONCURRENTLY where that exists",
            ),
            Rule::DropView => (
                "programs that read the view fail at once",
                "look for its readers first",
            ),
            Rule::DropSequence => (
                "defaults that take values from it fail",
                "look for columns that use it first",
            ),
            Rule::CreateSequence => (
                "a sequence is a new object that somebody must own",
                "consider an identity column",
            ),
        }
    }
}

/// A rule that fired, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The statement, from 1.
    pub statement: usize,
    /// Byte offset in the text, from 0; 0 where it was kept without one.
    pub offset: usize,
    /// Line in the text, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
    /// What was found: `DELETE without WHERE clause`.
    pub message: String,
    /// Why it matters.
    pub why: &'static str,
    /// How to mend it.
    pub mend: &'static str,
}

impl Finding {
    /// A finding of a rule at a place, with the words of the rule.
    pub fn new(rule: Rule, statement: usize, line: u64, column: u64) -> Finding {
        let (why, mend) = rule.advice();
        Finding {
            rule,
            statement,
            offset: 0,
            line,
            column,
            message: rule.message().to_owned(),
            why,
            mend,
        }
    }
}

/// Findings of one parsed statement beside those that the walk itself made; `runs` as in [`Walk`].
pub(super) fn review(statement: &Statement, piece: &Piece<'_>, walk: &mut Walk) {
    let Some(first) = piece.toks.first() else {
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
    large_in_lists(piece, walk);
    walk.findings.truncate(FINDINGS_PER_STATEMENT_MAX);
}

fn rules_of(statement: &Statement, dialect: Dialect) -> Vec<Rule> {
    match statement {
        Statement::Truncate(_) => vec![Rule::Truncate],
        // MariaDB drops the old table first.
        Statement::CreateTable(table) if table.or_replace => vec![Rule::DropTable],
        Statement::CreateSequence { .. } => vec![Rule::CreateSequence],
        Statement::CreateIndex(index) if dialect == Dialect::Postgres && !index.concurrently => {
            vec![Rule::CreateIndexNotConcurrently]
        }
        Statement::Drop { object_type, .. } => match object_type {
            ObjectType::Table => vec![Rule::DropTable],
            ObjectType::Index => vec![Rule::DropIndex],
            ObjectType::View | ObjectType::MaterializedView => vec![Rule::DropView],
            ObjectType::Sequence => vec![Rule::DropSequence],
            _ => Vec::new(),
        },
        Statement::AlterTable(alter) => alter.operations.iter().filter_map(alteration).collect(),
        _ => Vec::new(),
    }
}

fn alteration(operation: &AlterTableOperation) -> Option<Rule> {
    match operation {
        AlterTableOperation::DropColumn { .. } => Some(Rule::DropColumn),
        AlterTableOperation::DropIndex { .. } => Some(Rule::DropIndex),
        AlterTableOperation::AddColumn { column_def, .. } => {
            not_null_without_default(column_def).then_some(Rule::NotNullWithoutDefault)
        }
        AlterTableOperation::AlterColumn {
            op: AlterColumnOperation::SetDataType { .. },
            ..
        }
        | AlterTableOperation::ModifyColumn { .. }
        | AlterTableOperation::ChangeColumn { .. } => Some(Rule::AlterColumnType),
        _ => None,
    }
}

fn not_null_without_default(column: &ColumnDef) -> bool {
    let has = |wanted: fn(&ColumnOption) -> bool| column.options.iter().any(|o| wanted(&o.option));
    has(|o| matches!(o, ColumnOption::NotNull))
        && !has(|o| {
            matches!(
                o,
                ColumnOption::Default(_)
                    | ColumnOption::Generated { .. }
                    | ColumnOption::Identity(_)
            )
        })
}

/// Counts the elements of each IN list among the tokens: commas at the list's own depth.
fn large_in_lists(piece: &Piece<'_>, walk: &mut Walk) {
    let mut lists: Vec<Option<(usize, usize)>> = Vec::new();
    for i in 0..piece.toks.len() {
        match piece.kind(i) {
            Some(Kind::Open) => {
                let is_list = i > 0
                    && piece.is(i - 1, "in")
                    && !piece.is_any(i + 1, &["select", "with", "values", "table"]);
                lists.push(is_list.then(|| (i - 1, 1)));
            }
            Some(Kind::Comma) => {
                if let Some(Some((_, count))) = lists.last_mut() {
                    *count += 1;
                }
            }
            Some(Kind::Close) => {
                if let Some(Some((at, count))) = lists.pop()
                    && count > IN_LIST_MAX
                {
                    let place = piece.toks[at];
                    let mut finding =
                        Finding::new(Rule::LargeInList, walk.number, place.line, place.column);
                    finding.message = format!("IN list with {count} elements (>{IN_LIST_MAX})");
                    walk.findings.push(finding);
                }
            }
            _ => {}
        }
    }
}
