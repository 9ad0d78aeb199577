//! What protects a column of the state file, and which rows of a table count.

/// What an edit of a column comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnGuard {
    /// Part of the live state: the next start refuses the file.
    Digested,
    /// A start sets it anew, or every use checks it against something else; with the reason.
    Clamped(&'static str),
    /// Part of what `verify` compares with the chain.
    Verified(&'static str),
    /// Nothing is decided by it; with the reason.
    Harmless(&'static str),
}

/// When a row of a table counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveRows {
    Always,
    /// While this condition over its own columns holds; `{}` stands for the row.
    While(&'static str),
    /// As long as its request is open; the table has a column `request_seq`.
    WithRequest,
    /// Never: the table is not part of the live state.
    Never,
}

pub struct GuardedTable {
    pub name: &'static str,
    /// Which of its rows count.
    pub live: LiveRows,
    pub columns: &'static [(&'static str, ColumnGuard)],
}

impl GuardedTable {
    /// The columns that are part of the live state, in order.
    pub fn digested(&self) -> impl Iterator<Item = &'static str> {
        self.columns
            .iter()
            .filter(|(_, guard)| *guard == ColumnGuard::Digested)
            .map(|(column, _)| *column)
    }
}
