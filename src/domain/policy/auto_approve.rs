//! Auto-approval: up to which risk nobody has to be asked.

use crate::domain::risk_level::{Allowance, RiskLevel};
use crate::domain::scope::Scope;

/// Up to which risk requests of a scope need no approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoApprove {
    pub scope: Scope,
    /// The highest risk that is let through; none lets nothing through.
    pub threshold: Option<RiskLevel>,
    /// What counts as low.
    pub allowance: Allowance,
}

impl AutoApprove {
    /// An entry of that scope with every option at its default: it lets nothing through.
    pub fn new(scope: Scope) -> AutoApprove {
        AutoApprove {
            scope,
            threshold: None,
            allowance: Allowance::default(),
        }
    }

    /// Whether a read needs no approval, whatever tables it names.
    pub fn lets_reads_through(&self) -> bool {
        self.allowance.allow_read_only && self.lets_through(RiskLevel::Low)
    }

    /// Whether a request of that risk needs no approval. What is unknown or could not be computed always needs one.
    pub fn lets_through(&self, level: RiskLevel) -> bool {
        let known = level < RiskLevel::Unknown;
        known && self.threshold.is_some_and(|threshold| level <= threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_never_let_through() {
        let mut entry = AutoApprove::new(Scope::any());
        assert!(!entry.lets_through(RiskLevel::Low));
        let table = [
            (RiskLevel::Low, "low"),
            (RiskLevel::Medium, "low medium"),
            (RiskLevel::High, "low medium high"),
            // No configuration says these; even so they let nothing unknown through.
            (RiskLevel::Critical, "low medium high critical"),
            (RiskLevel::Unknown, "low medium high critical"),
            (RiskLevel::Unavailable, "low medium high critical"),
        ];
        let all = [
            RiskLevel::Low,
            RiskLevel::Medium,
            RiskLevel::High,
            RiskLevel::Critical,
            RiskLevel::Unknown,
            RiskLevel::Unavailable,
        ];
        for (threshold, wanted) in table {
            entry.threshold = Some(threshold);
            let passed: Vec<&str> = all
                .iter()
                .filter(|level| entry.lets_through(**level))
                .map(|level| level.as_str())
                .collect();
            assert_eq!(passed.join(" "), wanted);
        }
    }
}
