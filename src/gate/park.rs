//! What the backend says when a call has to wait: which topics, what it saw of them, how long.

use crate::crypto;
use crate::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

/// Topics of one park. A poll over many databases needs one each; beyond this it must name broader ones.
pub const TOPICS_MAX: usize = 64;
/// Bytes of one topic name: two resource names and a word.
pub const TOPIC_BYTES_MAX: usize = 512;
/// Bytes of the memo: a status or two, not a document.
pub const MEMO_BYTES_MAX: usize = 256;

/// A call that waits. The order that loses no wake-up: read [`crate::gate::hub::Hub::generation`] of the topics, read
/// the data, park with those generations.
///
/// The call is sent again when a topic changes, so a call that parks is run more than once: a resumed pass writes
/// nothing before it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Park {
    /// Topic and the generation seen before the data was read; 1 to [`TOPICS_MAX`].
    pub topics: Vec<(String, u64)>,
    /// How long to wait at most, counted from the first park of the call; later parks can only shorten it.
    pub wait: Duration,
    /// Given back on every resume; at most [`MEMO_BYTES_MAX`].
    pub memo: String,
    /// Whether a [`crate::gate::hub::Wake::One`] wakes this call only if it is the first in line.
    pub exclusive: bool,
}

impl Park {
    /// The body of the internal answer: lines `wait <ms>`, `exclusive <0|1>`, `memo <hex>`, then `topic <seen> <name>`.
    ///
    /// # Errors
    /// `internal` when a bound is passed or a topic has a control character: a fault of the caller.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        if self.topics.is_empty() || self.topics.len() > TOPICS_MAX {
            return Err(Error::bug(format!(
                "a park with {} topics",
                self.topics.len()
            )));
        }
        if self.memo.len() > MEMO_BYTES_MAX {
            return Err(Error::bug(format!(
                "a park memo of {} bytes",
                self.memo.len()
            )));
        }
        let mut out = format!(
            "wait {}\nexclusive {}\nmemo {}\n",
            self.wait.as_millis(),
            u8::from(self.exclusive),
            crypto::hex(self.memo.as_bytes())
        );
        for (name, seen) in &self.topics {
            if name.len() > TOPIC_BYTES_MAX || name.chars().any(char::is_control) {
                return Err(Error::bug("a park topic that is too long or has controls"));
            }
            let _ = writeln!(out, "topic {seen} {name}");
        }
        Ok(out.into_bytes())
    }

    /// Reads [`Park::encode`]; `None` for anything else.
    pub fn decode(body: &[u8]) -> Option<Park> {
        let mut lines = std::str::from_utf8(body).ok()?.split_terminator('\n');
        let wait = lines.next()?.strip_prefix("wait ")?.parse().ok()?;
        let exclusive = match lines.next()?.strip_prefix("exclusive ")? {
            "0" => false,
            "1" => true,
            _ => return None,
        };
        let memo = decode_memo(lines.next()?.strip_prefix("memo ")?)?;
        let topics = lines
            .map(|line| {
                let (seen, name) = line.strip_prefix("topic ")?.split_once(' ')?;
                (name.len() <= TOPIC_BYTES_MAX).then_some((name.to_owned(), seen.parse().ok()?))
            })
            .collect::<Option<Vec<_>>>()?;
        (1..=TOPICS_MAX).contains(&topics.len()).then_some(Park {
            topics,
            wait: Duration::from_millis(wait),
            memo,
            exclusive,
        })
    }
}

/// Reads a memo as it travels in a park or in [`crate::gate::backend::MEMO`].
pub fn decode_memo(hex: &str) -> Option<String> {
    let memo = String::from_utf8(crypto::unhex(hex)?).ok()?;
    (memo.len() <= MEMO_BYTES_MAX).then_some(memo)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn park() -> Park {
        Park {
            topics: vec![
                ("request/1".to_owned(), 7),
                ("jobs/a b/ü".to_owned(), u64::MAX),
            ],
            wait: Duration::from_millis(30_500),
            memo: "pending\n\u{1F512}".to_owned(),
            exclusive: true,
        }
    }

    #[test]
    fn a_park_survives_the_way() {
        let encoded = park().encode().unwrap();
        assert_eq!(Park::decode(&encoded), Some(park()));
        let bare = Park {
            memo: String::new(),
            exclusive: false,
            ..park()
        };
        assert_eq!(Park::decode(&bare.encode().unwrap()), Some(bare));
    }

    #[test]
    fn bounds_are_checked_on_both_sides() {
        let many = |n: usize| Park {
            topics: (0..n).map(|i| (i.to_string(), 0)).collect(),
            ..park()
        };
        assert!(many(0).encode().is_err());
        assert!(many(TOPICS_MAX).encode().is_ok());
        assert!(many(TOPICS_MAX + 1).encode().is_err());
        let memo = "x".repeat(MEMO_BYTES_MAX + 1);
        assert!(Park { memo, ..park() }.encode().is_err());
        let topics = vec![("a\nb".to_owned(), 1)];
        assert!(Park { topics, ..park() }.encode().is_err());
    }

    #[test]
    fn what_is_not_a_park_is_not_read_as_one() {
        let good = String::from_utf8(park().encode().unwrap()).unwrap();
        for bad in [
            "",
            "wait 1\n",
            "wait 1\nexclusive 2\nmemo \ntopic 1 a\n",
            "wait 1\nexclusive 1\nmemo \n",
            "wait -1\nexclusive 1\nmemo \ntopic 1 a\n",
            "wait 1\nexclusive 1\nmemo zz\ntopic 1 a\n",
            "wait 1\nexclusive 1\nmemo \ntopic 1\n",
            &good.replace("topic 7", "topic x"),
        ] {
            assert_eq!(Park::decode(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
