//! Whether a call is from Slack: its signature over time and body, its clock, and that it comes for the first time.

use crate::crypto::{hmac_sha256, same, unhex};
use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;

/// How far Slack's clock and ours may differ, in seconds: an older call may be a recorded one.
const CLOCK_SECS_MAX: u64 = 300;
/// How long a call is remembered, in seconds: one from five minutes ahead counts for ten.
const REMEMBERED_SECS: i64 = 2 * CLOCK_SECS_MAX as i64 + 1;
/// Calls remembered at most; with more in ten minutes further ones are refused, since repeated ones would not be
/// known.
const REMEMBERED_MAX: usize = 20_000;
/// Version of the recipe.
const VERSION: &str = "v0";

/// Calls that came lately, by their signatures.
#[derive(Default)]
pub(super) struct SeenCalls {
    calls: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    known: HashSet<[u8; 32]>,
    /// In the order in which they came, each with the second at which it is forgotten.
    order: VecDeque<(i64, [u8; 32])>,
}

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forged {
    /// No signature, or not one time and one signature as Slack writes them.
    Malformed,
    /// Too old, or from the future.
    Clock,
    /// Not signed with our secret, or something else was signed.
    Signature,
    /// It came before.
    Replayed,
    /// Too many calls are remembered.
    Full,
}

impl Forged {
    /// For the metric and the audit log.
    pub(super) fn label(self) -> &'static str {
        match self {
            Forged::Malformed => "slack_malformed",
            Forged::Clock => "slack_clock",
            Forged::Signature => "slack_signature",
            Forged::Replayed => "slack_replayed",
            Forged::Full => "slack_full",
        }
    }
}

/// The signature of `body`, if it is that of Slack at this second. `time` and `signature` are the header fields.
pub(super) fn verified(
    secret: &str,
    time: &str,
    signature: &str,
    body: &[u8],
    now_secs: i64,
) -> Result<[u8; 32], Forged> {
    let digits = (1..=12).contains(&time.len()) && time.bytes().all(|b| b.is_ascii_digit());
    let sent: i64 = match digits {
        true => time.parse().map_err(|_| Forged::Malformed)?,
        false => return Err(Forged::Malformed),
    };
    let given = signature
        .strip_prefix(VERSION)
        .and_then(|rest| rest.strip_prefix('='))
        .and_then(unhex)
        .ok_or(Forged::Malformed)?;
    if sent.abs_diff(now_secs) > CLOCK_SECS_MAX {
        return Err(Forged::Clock);
    }
    let mut signed = format!("{VERSION}:{time}:").into_bytes();
    signed.extend_from_slice(body);
    let expected = hmac_sha256(secret.as_bytes(), &signed);
    match same(&expected, &given) {
        true => Ok(expected),
        false => Err(Forged::Signature),
    }
}

impl SeenCalls {
    /// Remembers a call that was verified; refuses one that is remembered.
    pub(super) fn note(&self, signature: [u8; 32], now_secs: i64) -> Result<(), Forged> {
        let mut calls = self.calls.lock().unwrap_or_else(|e| e.into_inner());
        while let Some((until, oldest)) = calls.order.front().copied() {
            if until > now_secs {
                break;
            }
            calls.order.pop_front();
            calls.known.remove(&oldest);
        }
        if calls.known.contains(&signature) {
            return Err(Forged::Replayed);
        }
        if calls.known.len() >= REMEMBERED_MAX {
            return Err(Forged::Full);
        }
        calls.known.insert(signature);
        calls
            .order
            .push_back((now_secs.saturating_add(REMEMBERED_SECS), signature));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hex;

    /// The example of Slack's documentation.
    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const TIME: i64 = 1_531_420_618;
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

    #[test]
    fn the_example_of_slack_is_verified() {
        let found = verified(SECRET, "1531420618", SIGNATURE, BODY.as_bytes(), TIME).unwrap();
        assert_eq!(format!("v0={}", hex(&found)), SIGNATURE);
    }

    #[test]
    fn five_minutes_either_way_are_the_most() {
        for (off, good) in [
            (-301, false),
            (-300, true),
            (0, true),
            (300, true),
            (301, false),
        ] {
            let found = verified(SECRET, "1531420618", SIGNATURE, BODY.as_bytes(), TIME + off);
            assert_eq!(found.is_ok(), good, "{off}");
        }
    }

    #[test]
    fn nothing_else_is_a_signature() {
        let short = &SIGNATURE[..66];
        for (time, signature, body, why) in [
            ("1531420618", SIGNATURE, "token=xyzz", Forged::Signature),
            ("1531420619", SIGNATURE, BODY, Forged::Signature),
            ("01531420618", SIGNATURE, BODY, Forged::Signature),
            ("+1531420618", SIGNATURE, BODY, Forged::Malformed),
            ("-1", SIGNATURE, BODY, Forged::Malformed),
            ("", SIGNATURE, BODY, Forged::Malformed),
            ("15314206180000000000", SIGNATURE, BODY, Forged::Malformed),
            ("999999999999", SIGNATURE, BODY, Forged::Clock),
            ("1531420618", "", BODY, Forged::Malformed),
            ("1531420618", "v0=", BODY, Forged::Signature),
            ("1531420618", &SIGNATURE[3..], BODY, Forged::Malformed),
            ("1531420618", "v1=00", BODY, Forged::Malformed),
            ("1531420618", "v0=0g", BODY, Forged::Malformed),
            ("1531420618", short, BODY, Forged::Malformed),
        ] {
            let found = verified(SECRET, time, signature, body.as_bytes(), TIME);
            assert_eq!(found, Err(why), "{time} {signature}");
        }
        let found = verified("other", "1531420618", SIGNATURE, BODY.as_bytes(), TIME);
        assert_eq!(found, Err(Forged::Signature));
    }

    #[test]
    fn call_counts_once_for_as_long_as_its_clock_does() {
        let seen = SeenCalls::default();
        assert_eq!(seen.note([1; 32], 1_000), Ok(()));
        assert_eq!(seen.note([1; 32], 1_000), Err(Forged::Replayed));
        assert_eq!(seen.note([1; 32], 1_600), Err(Forged::Replayed));
        assert_eq!(seen.note([2; 32], 1_600), Ok(()));
        assert_eq!(seen.note([1; 32], 1_601), Ok(()));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_then_refused() {
        let seen = SeenCalls::default();
        for n in 0..REMEMBERED_MAX {
            let mut signature = [0; 32];
            signature[..8].copy_from_slice(&n.to_be_bytes());
            assert_eq!(seen.note(signature, 0), Ok(()));
        }
        assert_eq!(seen.note([255; 32], 0), Err(Forged::Full));
        assert_eq!(seen.note([255; 32], REMEMBERED_SECS), Ok(()));
    }
}
