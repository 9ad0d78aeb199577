//! Review rules: shapes of statements that are usually a mistake, what they are called, why they matter and how to fix
//! them.

use crate::domain::dialect::Dialect;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReviewRule {
    /// DELETE of every row: nobody means it, and no transaction brings the rows back. Fix: a WHERE, or batches by key.
    ///
    /// Source: `--safe-updates`, <https://dev.mysql.com/doc/refman/8.4/en/mysql-tips.html>
    NoWhereDelete,
    /// UPDATE of every row: as above, and every row is locked until the end. Fix: a WHERE, or batches by key.
    ///
    /// Source: `--safe-updates`, <https://dev.mysql.com/doc/refman/8.4/en/mysql-tips.html>
    NoWhereUpdate,
    /// The table and its data are gone. Fix: rename it first, drop it once nothing misses it.
    ///
    /// Source: <https://squawkhq.com/docs/ban-drop-table>
    DropTable,
    /// ALTER TABLE ... DROP COLUMN: programs that read it fail. Fix: deploy programs without it first.
    ///
    /// Source: <https://squawkhq.com/docs/ban-drop-column>
    DropColumn,
    /// ADD COLUMN ... NOT NULL without a default: fails where there are rows. Fix: a default, or fill it first.
    ///
    /// Source: <https://squawkhq.com/docs/adding-required-field>
    NotNullWithoutDefault,
    /// PostgreSQL: CREATE INDEX without CONCURRENTLY, so writes wait. Fix: CONCURRENTLY, as a statement of its own.
    ///
    /// Source: <https://squawkhq.com/docs/require-concurrent-index-creation>
    CreateIndexNotConcurrently,
    /// A column changes its type: most changes write every row anew. Fix: a second column, copied in batches.
    ///
    /// Source: <https://squawkhq.com/docs/changing-column-type>
    AlterColumnType,
    /// Every row is gone without row triggers, and MySQL commits at once. Fix: DELETE with a WHERE.
    ///
    /// Source: <https://www.postgresql.org/docs/current/sql-truncate.html>
    Truncate,
    /// A batch that changes both structure and data: half of it stays where DDL commits. Fix: two requests.
    ///
    /// Source: <https://dev.mysql.com/doc/refman/8.4/en/implicit-commit.html>
    MixedDdlDml,
    /// An IN list of more than [`IN_LIST_MAX`] elements: slow to plan, easy to get wrong. Fix: join with the values.
    ///
    /// Source: <https://dev.mysql.com/doc/refman/8.4/en/range-optimization.html>
    LargeInList,
    /// DROP INDEX, ALTER TABLE ... DROP INDEX included: queries become slow. Fix: look at its usage, CONCURRENTLY.
    ///
    /// Source: <https://squawkhq.com/docs/require-concurrent-index-deletion>
    DropIndex,
    /// Programs that read the view fail. Fix: look for its readers first.
    ///
    /// Source: <https://www.postgresql.org/docs/current/sql-dropview.html>
    DropView,
    /// Defaults that draw from it fail. Fix: look for the columns that use it first.
    ///
    /// Source: <https://www.postgresql.org/docs/current/sql-dropsequence.html>
    DropSequence,
    /// An object that somebody must own and grant. Fix: an identity column.
    ///
    /// Source: <https://squawkhq.com/docs/prefer-identity>
    CreateSequence,
    /// Controls, terminal escapes, turned directions, zero width: a reader sees another text than the database. Fix:
    /// delete the character, or write it as an escape.
    ///
    /// Source: <https://www.unicode.org/reports/tr55/>
    HiddenCharacters,
    /// Names that look like others: a reader takes one for the other. Fix: type the name anew.
    ///
    /// Source: <https://www.unicode.org/reports/tr39/>
    ConfusableIdentifier,
    /// Every row of an existing table is written anew. Fix: fill a nullable column in batches; gh-ost in MySQL.
    ///
    /// Source: <https://www.postgresql.org/docs/current/sql-altertable.html>,
    /// <https://dev.mysql.com/doc/refman/8.4/en/innodb-online-ddl-operations.html>
    TableRewrite,
    /// An existing table is read through while nobody may write to it. Fix: NOT VALID then VALIDATE, CONCURRENTLY.
    ///
    /// Source: <https://squawkhq.com/docs/constraint-missing-not-valid>,
    /// <https://docs.percona.com/percona-toolkit/pt-online-schema-change.html>
    LongLock,
    /// A table or a column changes its name: programs that use the old one fail. Fix: both names for a while.
    ///
    /// Source: <https://squawkhq.com/docs/renaming-column>, <https://squawkhq.com/docs/renaming-table>
    RenameObject,
}

/// What a finding does to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleAction {
    /// The request is refused.
    Block,
    /// The finding is shown and raises the risk.
    Warn,
    /// The rule is not applied.
    Off,
}

impl RuleAction {
    /// `block`, `warn` or `off`.
    pub fn as_str(self) -> &'static str {
        match self {
            RuleAction::Block => "block",
            RuleAction::Warn => "warn",
            RuleAction::Off => "off",
        }
    }

    /// The action of that name.
    pub fn parse(text: &str) -> Option<RuleAction> {
        [RuleAction::Block, RuleAction::Warn, RuleAction::Off]
            .into_iter()
            .find(|a| a.as_str() == text)
    }
}

/// Elements of an IN list above which [`ReviewRule::LargeInList`] fires.
pub const IN_LIST_MAX: usize = 100;

impl ReviewRule {
    /// All rules, in the order of the documentation.
    pub const ALL: [ReviewRule; 19] = [
        ReviewRule::NoWhereDelete,
        ReviewRule::NoWhereUpdate,
        ReviewRule::DropTable,
        ReviewRule::DropColumn,
        ReviewRule::NotNullWithoutDefault,
        ReviewRule::CreateIndexNotConcurrently,
        ReviewRule::AlterColumnType,
        ReviewRule::Truncate,
        ReviewRule::MixedDdlDml,
        ReviewRule::LargeInList,
        ReviewRule::DropIndex,
        ReviewRule::DropView,
        ReviewRule::DropSequence,
        ReviewRule::CreateSequence,
        ReviewRule::HiddenCharacters,
        ReviewRule::ConfusableIdentifier,
        ReviewRule::TableRewrite,
        ReviewRule::LongLock,
        ReviewRule::RenameObject,
    ];

    /// Whether texts of policies were kept before there was this rule; they do not name it.
    pub fn is_young(self) -> bool {
        matches!(
            self,
            ReviewRule::HiddenCharacters
                | ReviewRule::ConfusableIdentifier
                | ReviewRule::TableRewrite
                | ReviewRule::LongLock
                | ReviewRule::RenameObject
        )
    }

    /// The key in server.toml: `no_where_delete`.
    pub const fn as_str(self) -> &'static str {
        match self {
            ReviewRule::NoWhereDelete => "no_where_delete",
            ReviewRule::NoWhereUpdate => "no_where_update",
            ReviewRule::DropTable => "drop_table",
            ReviewRule::DropColumn => "drop_column",
            ReviewRule::NotNullWithoutDefault => "not_null_without_default",
            ReviewRule::CreateIndexNotConcurrently => "create_index_not_concurrently",
            ReviewRule::AlterColumnType => "alter_column_type",
            ReviewRule::Truncate => "truncate",
            ReviewRule::MixedDdlDml => "mixed_ddl_dml",
            ReviewRule::LargeInList => "large_in_list",
            ReviewRule::DropIndex => "drop_index",
            ReviewRule::DropView => "drop_view",
            ReviewRule::DropSequence => "drop_sequence",
            ReviewRule::CreateSequence => "create_sequence",
            ReviewRule::HiddenCharacters => "hidden_characters",
            ReviewRule::ConfusableIdentifier => "confusable_identifier",
            ReviewRule::TableRewrite => "table_rewrite",
            ReviewRule::LongLock => "long_lock",
            ReviewRule::RenameObject => "rename_object",
        }
    }

    /// The name on the wire: `NoWhereDelete`.
    pub fn wire_name(self) -> &'static str {
        match self {
            ReviewRule::NoWhereDelete => "NoWhereDelete",
            ReviewRule::NoWhereUpdate => "NoWhereUpdate",
            ReviewRule::DropTable => "DropTable",
            ReviewRule::DropColumn => "DropColumn",
            ReviewRule::NotNullWithoutDefault => "NotNullWithoutDefault",
            ReviewRule::CreateIndexNotConcurrently => "CreateIndexNotConcurrently",
            ReviewRule::AlterColumnType => "AlterColumnType",
            ReviewRule::Truncate => "Truncate",
            ReviewRule::MixedDdlDml => "MixedDdlDml",
            ReviewRule::LargeInList => "LargeInList",
            ReviewRule::DropIndex => "DropIndex",
            ReviewRule::DropView => "DropView",
            ReviewRule::DropSequence => "DropSequence",
            ReviewRule::CreateSequence => "CreateSequence",
            ReviewRule::HiddenCharacters => "HiddenCharacters",
            ReviewRule::ConfusableIdentifier => "ConfusableIdentifier",
            ReviewRule::TableRewrite => "TableRewrite",
            ReviewRule::LongLock => "LongLock",
            ReviewRule::RenameObject => "RenameObject",
        }
    }

    /// The rule of that key.
    pub fn parse(text: &str) -> Option<ReviewRule> {
        ReviewRule::ALL.into_iter().find(|r| r.as_str() == text)
    }

    /// What the rule does where configuration does not say.
    pub fn default_action(self) -> RuleAction {
        match self {
            ReviewRule::NoWhereDelete
            | ReviewRule::HiddenCharacters
            | ReviewRule::NoWhereUpdate
            | ReviewRule::DropTable
            | ReviewRule::Truncate => RuleAction::Block,
            ReviewRule::CreateSequence => RuleAction::Off,
            _ => RuleAction::Warn,
        }
    }

    /// Whether an emergency request with `allow_ddl` passes a block by this rule.
    pub fn bypassable(self) -> bool {
        !matches!(
            self,
            ReviewRule::NoWhereDelete
                | ReviewRule::NoWhereUpdate
                | ReviewRule::LargeInList
                | ReviewRule::MixedDdlDml
                | ReviewRule::HiddenCharacters
        )
    }

    fn message(self) -> &'static str {
        match self {
            ReviewRule::NoWhereDelete => "DELETE without WHERE clause",
            ReviewRule::NoWhereUpdate => "UPDATE without WHERE clause",
            ReviewRule::DropTable => "DROP TABLE detected",
            ReviewRule::DropColumn => "DROP COLUMN detected",
            ReviewRule::NotNullWithoutDefault => "ADD COLUMN NOT NULL without DEFAULT",
            ReviewRule::CreateIndexNotConcurrently => "CREATE INDEX without CONCURRENTLY",
            ReviewRule::AlterColumnType => "ALTER COLUMN TYPE detected",
            ReviewRule::Truncate => "TRUNCATE detected",
            ReviewRule::MixedDdlDml => "DDL and DML mixed in same batch",
            ReviewRule::LargeInList => "IN list with too many elements",
            ReviewRule::DropIndex => "DROP INDEX detected",
            ReviewRule::DropView => "DROP VIEW detected",
            ReviewRule::DropSequence => "DROP SEQUENCE detected",
            ReviewRule::CreateSequence => "CREATE SEQUENCE detected",
            ReviewRule::HiddenCharacters => "Hidden character",
            ReviewRule::ConfusableIdentifier => "Identifier that looks like another one",
            ReviewRule::TableRewrite => "The table is rewritten",
            ReviewRule::LongLock => "The table is read under a lock",
            ReviewRule::RenameObject => "RENAME detected",
        }
    }

    /// Why it matters, and how to fix it.
    fn advice(self) -> (&'static str, &'static str) {
        match self {
            ReviewRule::NoWhereDelete => (
                "every row of the table is deleted",
                "add a WHERE that names the rows; a condition made of literals counts as none",
            ),
            ReviewRule::NoWhereUpdate => (
                "every row of the table is changed",
                "add a WHERE that names the rows; a condition made of literals counts as none",
            ),
            ReviewRule::DropTable => (
                "the table and its data are gone for good",
                "rename the table first, and drop it once nothing misses it",
            ),
            ReviewRule::DropColumn => (
                "the column's data are gone, and programs that read it fail at once",
                "deploy programs that do not use the column first",
            ),
            ReviewRule::NotNullWithoutDefault => (
                "it fails on a table that has rows",
                "give the column a DEFAULT, or add it nullable, fill it, then set NOT NULL",
            ),
            ReviewRule::CreateIndexNotConcurrently => (
                "writes to the table wait until the index is built",
                "use CREATE INDEX CONCURRENTLY, as a statement of its own",
            ),
            ReviewRule::AlterColumnType => (
                "the table may be rewritten under an exclusive lock",
                "add a column of the new type, copy in batches, then switch",
            ),
            ReviewRule::Truncate => (
                "every row is gone, and row triggers do not fire",
                "use DELETE with a WHERE",
            ),
            ReviewRule::MixedDdlDml => (
                "a failure leaves structure and data at different versions where DDL commits by itself",
                "send the change of structure and the change of data as two requests",
            ),
            ReviewRule::LargeInList => (
                "long lists are slow to plan and easy to get wrong",
                "join with a table of the values, or split the list",
            ),
            ReviewRule::DropIndex => (
                "queries that relied on it become slow at once",
                "look at the index's usage first, and drop it CONCURRENTLY where that exists",
            ),
            ReviewRule::DropView => (
                "programs that read the view fail at once",
                "look for its readers first",
            ),
            ReviewRule::DropSequence => (
                "defaults that take values from it fail",
                "look for columns that use it first",
            ),
            ReviewRule::CreateSequence => (
                "a sequence is a new object that somebody must own",
                "consider an identity column",
            ),
            young => young.advice_of_young(),
        }
    }

    fn advice_of_young(self) -> (&'static str, &'static str) {
        match self {
            ReviewRule::HiddenCharacters => (
                "a reader sees another text than the database runs",
                "remove the character at this place; write one that is meant as data as an escape",
            ),
            ReviewRule::ConfusableIdentifier => (
                "a reader takes the name for another one",
                "type the name anew, or take it from the catalogue of the database",
            ),
            ReviewRule::TableRewrite => (
                "every row is written anew under an exclusive lock, and the table needs its space twice",
                "add the column nullable and without a default, fill it in batches, then set default and NOT NULL",
            ),
            ReviewRule::RenameObject => (
                "programs that use the old name fail at once",
                "keep both names until no program uses the old one: a view of the table's old name, or a second column that \
                 is written too",
            ),
            _ => (
                "the whole table is read while writes to it wait",
                "PostgreSQL: add the constraint NOT VALID, then VALIDATE it; build a unique index CONCURRENTLY, then add \
                 the constraint USING INDEX",
            ),
        }
    }
}

/// A rule that fired, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub rule: ReviewRule,
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
    pub why: &'static str,
    /// How to fix it.
    pub fix: &'static str,
}

impl Finding {
    /// A finding of a rule at a place, with the words of the rule.
    pub fn new(rule: ReviewRule, statement: usize, line: u64, column: u64) -> Finding {
        let (why, fix) = rule.advice();
        Finding {
            rule,
            statement,
            offset: 0,
            line,
            column,
            message: rule.message().to_owned(),
            why,
            fix,
        }
    }

    /// Says what is different about the rule in `dialect`.
    pub(super) fn fit(&mut self, dialect: Dialect) {
        match (self.rule, dialect) {
            (ReviewRule::NotNullWithoutDefault, Dialect::MySql) => {
                self.why = "rows that are there get a zero or an empty text that nobody chose";
            }
            (ReviewRule::LongLock, Dialect::MySql) => {
                self.fix = "change the table with gh-ost or pt-online-schema-change, or when nobody writes to it";
            }
            (ReviewRule::TableRewrite, Dialect::MySql) => {
                self.why = "every row is written anew, and the table needs its space twice";
                self.fix = "change the table with gh-ost or pt-online-schema-change, or when nobody writes to it";
            }
            (ReviewRule::DropColumn, Dialect::Sqlite) => {
                self.why = "the column's data are gone, programs that read it fail at once, and every row is written anew";
            }
            (ReviewRule::LongLock, Dialect::Sqlite) => {
                self.why = "the whole table is read while writes to the whole file wait";
                self.fix = "do it when nobody writes to the file";
            }
            _ => {}
        }
    }
}
