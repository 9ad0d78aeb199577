//! What is known about one statement, however it was read.

use super::analysis::{Category, SqlVerdict, StatementClass};
use super::cross_check::ParseFailure;
use super::rules::Finding;
use std::collections::BTreeSet;

/// All that is known about one statement.
pub(super) struct Judged {
    pub verdict: SqlVerdict,
    /// Set where the parser could not read it and its first words did not settle it; the verdict is then a guess.
    pub parse_failure: Option<ParseFailure>,
    pub tables: BTreeSet<String>,
    pub findings: Vec<Finding>,
    /// Functions that are not known to be free of side effects: `schema.name` or `name`.
    pub unknown_functions: BTreeSet<String>,
    /// DDL of a shape that harms nothing, if there are no findings.
    pub safe_ddl: bool,
    /// Read by its words alone, because the parser does not know it.
    pub by_words: bool,
}

impl Judged {
    pub fn settled(verdict: SqlVerdict) -> Judged {
        Judged {
            verdict,
            parse_failure: None,
            tables: BTreeSet::new(),
            findings: Vec::new(),
            unknown_functions: BTreeSet::new(),
            safe_ddl: false,
            by_words: false,
        }
    }
}

/// The verdict on a statement that writes rows.
pub(super) fn write(kind: &'static str, reason: &str, returns_rows: bool) -> SqlVerdict {
    SqlVerdict {
        kind,
        category: Category::Dml,
        class: StatementClass::Dml,
        reason: reason.to_owned(),
        returns_rows,
    }
}
