//! Rows that are not what the events say, as verification, a refused start and a quarantine name them.

use std::fmt;

/// What a row belongs to, with its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum RowOwner {
    Request(String),
    Token(String),
    Person(String),
}

/// A row that is not what the events say, that no event accounts for, or that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct RowDifference {
    pub owner: RowOwner,
    pub table: &'static str,
    /// Which of the rows of its owner, where there may be several.
    pub row: Option<String>,
    /// The columns that differ, as far as the log shows them; none for a whole row.
    pub columns: Vec<&'static str>,
    pub missing: bool,
    /// The event that says otherwise.
    pub event: Option<String>,
}

impl RowDifference {
    /// A row that differs in these columns.
    pub(super) fn new(
        owner: RowOwner,
        table: &'static str,
        columns: Vec<&'static str>,
    ) -> RowDifference {
        RowDifference {
            owner,
            table,
            row: None,
            columns,
            missing: false,
            event: None,
        }
    }

    /// A row that should be there and is not.
    pub(super) fn missing(owner: RowOwner, table: &'static str) -> RowDifference {
        RowDifference {
            missing: true,
            ..RowDifference::new(owner, table, Vec::new())
        }
    }

    /// The same, of one of several rows of its owner.
    pub(super) fn of_row(self, row: &str) -> RowDifference {
        RowDifference {
            row: Some(row.to_owned()),
            ..self
        }
    }
}

impl fmt::Display for RowDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.owner {
            RowOwner::Request(id) => write!(f, "request {id}: ")?,
            RowOwner::Token(id) => write!(f, "token {id}: ")?,
            RowOwner::Person(id) => write!(f, "person {id}: ")?,
        }
        f.write_str(self.table)?;
        if let Some(row) = &self.row {
            write!(f, ", row {row}")?;
        }
        match self.columns.as_slice() {
            [] => {}
            [column] => write!(f, ", column {column}")?,
            columns => write!(f, ", columns {}", columns.join(", "))?,
        }
        f.write_str(match self.missing {
            true => " is missing",
            false => " is not what the events say",
        })
    }
}

/// Differences up to a number of them.
pub(in crate::store) struct Differences {
    most: usize,
    pub found: Vec<RowDifference>,
}

impl Differences {
    /// None yet, and `most` at most.
    pub fn up_to(most: usize) -> Differences {
        Differences {
            most,
            found: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, difference: RowDifference) {
        if !self.is_full() {
            self.found.push(difference);
        }
    }

    /// Whether looking further is of no use.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= self.most
    }
}
