//! What happens to a rehearsal: asked for, taken by an agent, ended.

use super::RequestRef;
use crate::domain::rehearsal::RehearsalStatus;

/// A rehearsal that somebody or the workflow asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRehearsal {
    /// UUID.
    pub id: String,
    /// Why there will be none, where the workflow asks for what may not be rehearsed.
    pub refused: Option<String>,
}

/// A rehearsal that an agent takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedRehearsal {
    pub id: String,
    pub agent_id: String,
    pub token_json: String,
}

/// How a rehearsal ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedRehearsal {
    pub id: String,
    /// `done`, `failed` or `unavailable`.
    pub status: RehearsalStatus,
    pub rows_affected: Option<u64>,
    /// What the agent reports of it, as JSON.
    pub result_json: Option<String>,
    pub error_message: Option<String>,
    /// Whether the request may change no more rows from now on: nobody has voted yet.
    pub sets_bound: bool,
}

/// A step of a rehearsal, and the request that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RehearsalChange {
    pub request: RequestRef,
    pub step: RehearsalStep,
}

/// What happens to a rehearsal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RehearsalStep {
    /// Somebody asks for it.
    Asked(NewRehearsal),
    /// An agent takes it.
    Started(StartedRehearsal),
    /// It is over, and nothing of it is left in the database.
    Ended(EndedRehearsal),
}
