//! The levels of risk, and what an auto-approval may set about them.

use crate::declare::Plain;

/// Rows above which a table counts as large, where no policy says otherwise.
pub const ESTIMATED_ROWS_MAX: i64 = 1000;
/// Rows that an allowance may call few, at most.
const ROWS_MAX: u64 = 1_000_000_000_000;

/// Levels of risk, least first; the last two say that we do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RiskLevel {
    /// Reads, or harmless.
    Low,
    /// Findings, or a large table.
    Medium,
    /// Several findings, or much that goes at once.
    High,
    /// Kept for what is worse than high; nothing makes it yet.
    Critical,
    /// Depends on what nobody described.
    Unknown,
    /// Could not be computed.
    Unavailable,
}

impl RiskLevel {
    /// All levels, least first.
    pub const ALL: [RiskLevel; 6] = [
        RiskLevel::Low,
        RiskLevel::Medium,
        RiskLevel::High,
        RiskLevel::Critical,
        RiskLevel::Unknown,
        RiskLevel::Unavailable,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            RiskLevel::Low => "low",
            RiskLevel::Medium => "medium",
            RiskLevel::High => "high",
            RiskLevel::Critical => "critical",
            RiskLevel::Unknown => "unknown",
            RiskLevel::Unavailable => "unavailable",
        }
    }

    /// The level of that name.
    pub fn parse(text: &str) -> Option<RiskLevel> {
        RiskLevel::ALL.into_iter().find(|r| r.as_str() == text)
    }

    /// Its name in `context.risk`, which existing clients know in this form.
    pub fn shown(self) -> &'static str {
        match self {
            RiskLevel::Low => "Low",
            RiskLevel::Medium => "Medium",
            RiskLevel::High => "High",
            RiskLevel::Critical => "Critical",
            RiskLevel::Unknown => "Unknown",
            RiskLevel::Unavailable => "Unavailable",
        }
    }
}

crate::declare! {
    /// What the risk allows for; an auto-approval may set it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Allowance {
        /// Whether reads, and harmless DDL (CREATE TABLE and the like), count as low.
        allow_read_only: bool = true;
        allow_safe_ddl: bool = true;
        /// Rows above which a table counts as large, which is at least medium.
        max_estimated_rows: i64 = ESTIMATED_ROWS_MAX, within 0..=ROWS_MAX;
    }
}

impl Default for Allowance {
    fn default() -> Self {
        Allowance::plain()
    }
}
