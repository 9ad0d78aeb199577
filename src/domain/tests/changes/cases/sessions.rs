//! Sessions of the console that start and end.

use super::AT;
use crate::domain::change::IdentityChange;
use crate::domain::session::{ConsoleSession, SessionEnd};
use crate::domain::user::ClaimedAccess;

pub(super) fn all() -> Vec<(&'static str, IdentityChange)> {
    let session = ConsoleSession {
        id: "session-id".into(),
        subject_id: "requester".into(),
        hash: "5".repeat(64),
        issuer: "https://id.example.com".into(),
        access: ClaimedAccess {
            groups: ["backend".into()].into(),
            values: [("level".into(), ["high".into()].into())].into(),
        },
        name: Some("Ann".into()),
        email: None,
        expires_at: AT,
    };
    let ended = |why, ended: Vec<String>| IdentityChange::SessionEnded {
        id: "session-id".into(),
        subject_id: "requester".into(),
        why,
        ended,
    };
    vec![
        ("", IdentityChange::SessionStarted(session)),
        ("", ended(SessionEnd::Idle, Vec::new())),
        (
            "with tokens",
            ended(SessionEnd::SignedOut, vec!["child".into()]),
        ),
    ]
}
