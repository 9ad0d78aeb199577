//! What not every agent can do, and a job may need.

/// Something that an agent can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Reads the second form of execution tokens, which binds more.
    ClaimsV2,
    /// Counts the rows that a write changes, and commits no more than were approved.
    RowBound,
    /// Runs a write that is always rolled back, for reviewers.
    Rehearsal,
    /// Reports what an execution left in the database.
    Outcome,
    /// Refuses a job in another dialect than that of its database.
    Dialect,
}

impl Feature {
    const ALL: [Feature; 5] = [
        Feature::ClaimsV2,
        Feature::RowBound,
        Feature::Rehearsal,
        Feature::Outcome,
        Feature::Dialect,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Feature::ClaimsV2 => "claims_v2",
            Feature::RowBound => "row_bound",
            Feature::Rehearsal => "rehearsal",
            Feature::Outcome => "outcome",
            Feature::Dialect => "dialect",
        }
    }

    /// The feature of that name.
    pub fn parse(text: &str) -> Option<Feature> {
        Feature::ALL.into_iter().find(|f| f.as_str() == text)
    }
}
