//! Sessions: a person who signed in to the console through the identity provider, and how long that counts.

use crate::clock::Timestamp;
use crate::domain::user::ClaimedAccess;

/// Seconds that a session counts at most, however much it is used: a working day.
pub const SESSION_SECS_MAX: u64 = 8 * 60 * 60;
/// Seconds without a call after which it ends.
pub const SESSION_IDLE_SECS: u64 = 60 * 60;
/// Sessions of one person; a further one ends the one that was not used for longest.
pub const SESSIONS_PER_PERSON_MAX: usize = 10;

/// A session as it began; nothing of it changes. The secret itself is never here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleSession {
    /// UUID.
    pub id: String,
    pub subject_id: String,
    /// SHA-256 of the secret, hexadecimal.
    pub hash: String,
    /// The identity provider that vouched for the person.
    pub issuer: String,
    /// What was claimed at sign-in.
    pub access: ClaimedAccess,
    pub name: Option<String>,
    pub email: Option<String>,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

/// A session and how it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSession {
    pub session: ConsoleSession,
    pub started_at: Timestamp,
    /// When it was last used, to within a minute.
    pub last_used_at: Timestamp,
    /// Whether its person may act.
    pub subject_active: bool,
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEnd {
    SignedOut,
    /// Its person ended all of them.
    SignedOutEverywhere,
    /// A newer one took its place.
    Replaced,
    /// Its person was suspended.
    Suspended,
    Idle,
    Expired,
}

impl SessionEnd {
    /// Its name in the audit log and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            SessionEnd::SignedOut => "signed_out",
            SessionEnd::SignedOutEverywhere => "signed_out_everywhere",
            SessionEnd::Replaced => "replaced",
            SessionEnd::Suspended => "suspended",
            SessionEnd::Idle => "idle",
            SessionEnd::Expired => "expired",
        }
    }
}

impl StoredSession {
    /// When it ends, if it was last used then.
    pub fn ends_at(&self, last_used: Timestamp) -> Timestamp {
        let idle = last_used.plus_secs(SESSION_IDLE_SECS);
        idle.min(self.session.expires_at)
    }

    /// Why it is over by itself, if it was last used then.
    pub fn over(&self, last_used: Timestamp, now: Timestamp) -> Option<SessionEnd> {
        if self.session.expires_at <= now {
            Some(SessionEnd::Expired)
        } else if self.ends_at(last_used) <= now {
            Some(SessionEnd::Idle)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(expires_at: i64) -> StoredSession {
        StoredSession {
            session: ConsoleSession {
                id: "s".into(),
                subject_id: "ann".into(),
                hash: "0".repeat(64),
                issuer: "https://id.example.com".into(),
                access: ClaimedAccess::default(),
                name: None,
                email: None,
                expires_at: Timestamp(expires_at * 1000),
            },
            started_at: Timestamp(0),
            last_used_at: Timestamp(0),
            subject_active: true,
        }
    }

    #[test]
    fn session_ends_when_idle_or_at_its_end() {
        let at = |secs: i64| Timestamp(secs * 1000);
        let s = session(28_800);
        assert_eq!(s.over(at(0), at(3_599)), None);
        assert_eq!(s.over(at(0), at(3_600)), Some(SessionEnd::Idle));
        assert_eq!(s.over(at(3_599), at(3_600)), None);
        assert_eq!(s.over(at(28_000), at(28_799)), None);
        assert_eq!(s.over(at(28_799), at(28_800)), Some(SessionEnd::Expired));
        assert_eq!(s.ends_at(at(28_000)), at(28_800));
    }
}
