//! What a quarantine writes.

use crate::domain::change::{QuarantineSummary, Quarantined};

pub(super) fn request() -> Quarantined {
    Quarantined::Request {
        id: "request-1".into(),
        differs: "request_texts (detail, plan_json, workflow_json, salt)".into(),
    }
}

pub(super) fn token() -> Quarantined {
    Quarantined::Token {
        id: "token-1".into(),
        differs: "tokens (roles_json)".into(),
        missing: false,
    }
}

pub(super) fn person() -> Quarantined {
    Quarantined::Person {
        id: "person-1".into(),
        differs: "users (missing)".into(),
        missing: true,
    }
}

pub(super) fn state() -> Quarantined {
    Quarantined::State(QuarantineSummary {
        tables: vec!["outbox".into(), "request_texts".into(), "users".into()],
        requests: vec!["request-1".into()],
        tokens: vec!["token-1".into()],
        people: vec!["person-1".into()],
        given_up: ["outbox"].into(),
    })
}
