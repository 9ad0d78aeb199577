//! Purges, and what the state begins with anew.

use super::{AT, quarantine};
use crate::domain::change::{LogChange, PurgedRequest, PurgedResult};
use crate::domain::head::{Head, SignedHead};

pub(super) fn purged() -> Vec<(&'static str, LogChange)> {
    let results = [(1, "execution-b"), (2, "execution-a")].map(|(seq, id)| PurgedResult {
        execution_seq: seq,
        execution_id: id.into(),
    });
    let requests =
        [(1, "request-b"), (2, "request-a")].map(|(seq, id)| PurgedRequest { seq, id: id.into() });
    let baseline = SignedHead {
        head: Head {
            seq: 12,
            hash: "8".repeat(64),
            recipe: "9".repeat(64),
            sums: [
                ("tokens".into(), "a".repeat(64)),
                ("users".into(), "b".repeat(64)),
            ]
            .into(),
        },
        key_id: "key-1".into(),
        signature: "c".repeat(128),
    };
    vec![
        ("", LogChange::StateBaselined(baseline)),
        ("", LogChange::CheckpointFileAttached),
        ("request", LogChange::Quarantined(quarantine::request())),
        ("token", LogChange::Quarantined(quarantine::token())),
        ("person", LogChange::Quarantined(quarantine::person())),
        ("state", LogChange::Quarantined(quarantine::state())),
        (
            "",
            LogChange::RollbackAccepted {
                reason: "the disk is gone".into(),
                found: "the file goes to event 200".into(),
            },
        ),
        ("", LogChange::ResultsPurged(results.to_vec())),
        (
            "",
            LogChange::RequestsPurged {
                requests: requests.to_vec(),
                before: AT,
            },
        ),
        (
            "",
            LogChange::AuditPurged {
                bound_seq: 10,
                last_hash: "6".repeat(64),
                before: AT,
                retained: 3,
            },
        ),
    ]
}
