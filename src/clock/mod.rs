//! Time, as a value that can be injected: wall-clock milliseconds for records, a monotonic instant for deadlines.
//!
//! Tests turn the clock instead of sleeping. Both readings move together when it is turned.

mod zone;

pub use zone::{LocalTime, Zone};

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Characters of a day as `2026-01-02`.
const DAY_CHARS: usize = 10;
/// Milliseconds of a day of UTC.
const DAY_MS: u64 = 86_400_000;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// RFC 3339 with milliseconds and `Z`: the form of every time in an API answer.
    pub fn rfc3339(self) -> String {
        self.format_in_zone("Z")
    }

    /// RFC 3339 with milliseconds and `+00:00`: the form that is hashed in the audit chain and signed in tokens.
    pub fn rfc3339_offset(self) -> String {
        self.format_in_zone("+00:00")
    }

    /// Reads RFC 3339 with any offset; a space in place of the `+` of an offset (a query string not encoded) is
    /// read as `+`. `None` if it is not a time.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let fixed;
        let text = if text.is_ascii() && text.len() > 19 && text[19..].contains(' ') {
            fixed = format!("{}{}", &text[..19], text[19..].replace(' ', "+"));
            &fixed
        } else {
            text
        };
        let stamp: jiff::Timestamp = text.parse().ok()?;
        Some(Timestamp(stamp.as_millisecond()))
    }

    /// The same for a bound of what is searched: a time without an offset is of UTC, and so is a day, which stands for its
    /// first instant, or with `to_its_end` for its last.
    pub fn parse_bound(text: &str, to_its_end: bool) -> Option<Timestamp> {
        let utc = |at: jiff::civil::DateTime| {
            let stamp = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
            Some(Timestamp(stamp.as_millisecond()))
        };
        if text.len() == DAY_CHARS {
            let start = utc(text.parse::<jiff::civil::Date>().ok()?.at(0, 0, 0, 0))?;
            return Some(match to_its_end {
                true => start.plus_ms(DAY_MS - 1),
                false => start,
            });
        }
        Timestamp::parse(text).or_else(|| utc(text.parse().ok()?))
    }

    /// Year to minute in the zone of this machine, with the zone's name: for people.
    pub fn local(self) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => time
                .to_zoned(jiff::tz::TimeZone::system())
                .strftime("%Y-%m-%d %H:%M %Z")
                .to_string(),
            Err(_) => self.rfc3339(),
        }
    }

    /// This time plus `secs` seconds, without overflow.
    pub fn plus_secs(self, secs: u64) -> Timestamp {
        let ms = i64::try_from(secs).unwrap_or(i64::MAX).saturating_mul(1000);
        Timestamp(self.0.saturating_add(ms))
    }

    /// This time plus `ms` milliseconds, without overflow.
    pub fn plus_ms(self, ms: u64) -> Timestamp {
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_add(ms))
    }

    /// Reads a date as HTTP writes it, `Wed, 21 Oct 2015 07:28:00 GMT`. `None` if it is not one.
    pub fn parse_http_date(text: &str) -> Option<Timestamp> {
        let at = jiff::fmt::rfc2822::parse(text).ok()?;
        Some(Timestamp(at.timestamp().as_millisecond()))
    }

    /// Milliseconds from `earlier` to this time; zero when the clock went back.
    pub fn since(self, earlier: Timestamp) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    fn format_in_zone(self, zone: &str) -> String {
        // Written by hand: it stands on every row and in every answer, and always has the same 23 characters.
        let days = self.0.div_euclid(86_400_000);
        let ms = self.0.rem_euclid(86_400_000);
        let (year, month, day) = civil(days);
        let (h, m, s, f) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
        format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{f:03}{zone}")
    }
}

/// Days since 1970-01-01 to (year, month, day) of the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The clock of a server. Clones share it.
#[derive(Clone)]
pub struct Clock {
    turned_ms: Arc<AtomicI64>,
    set_back_ms: Arc<AtomicI64>,
}

impl Clock {
    pub fn system() -> Clock {
        Clock {
            turned_ms: Arc::new(AtomicI64::new(0)),
            set_back_ms: Arc::new(AtomicI64::new(0)),
        }
    }

    pub fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        let turned = self.turned_ms.load(Ordering::Relaxed);
        Timestamp(ms.saturating_add(turned) - self.set_back_ms.load(Ordering::Relaxed))
    }

    pub fn instant(&self) -> Instant {
        let turned = u64::try_from(self.turned_ms.load(Ordering::Relaxed)).unwrap_or(0);
        Instant::now() + Duration::from_millis(turned)
    }

    /// Turns the clock forward; only tests do.
    pub fn turn(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.turned_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Sets the time of day forward, as an administrator may; time goes on all the same. Only tests do.
    pub fn set_forward(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.set_back_ms.fetch_sub(ms, Ordering::Relaxed);
    }

    /// Sets the time of day back, as an administrator may; time goes on all the same. Only tests do.
    pub fn set_back(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.set_back_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_times_are_read_back_by_another_implementation() {
        for ms in [
            0,
            1,
            951_782_400_000,
            1_709_210_096_789,
            4_102_444_799_999,
            -1,
        ] {
            let t = Timestamp(ms);
            let read: jiff::Timestamp = t.rfc3339().parse().unwrap();
            assert_eq!(read.as_millisecond(), ms, "{}", t.rfc3339());
            assert_eq!(Timestamp::parse(&t.rfc3339_offset()), Some(t));
        }
    }

    #[test]
    fn a_space_for_a_plus_is_understood() {
        let plain = Timestamp::parse("2026-01-02T03:04:05+01:00");
        assert!(plain.is_some());
        assert_eq!(Timestamp::parse("2026-01-02T03:04:05 01:00"), plain);
        assert_eq!(Timestamp::parse("yesterday"), None);
    }

    #[test]
    fn text_of_long_characters_is_refused_as_a_time() {
        for n in 0..24 {
            let text = format!("{}ü 01:00", "2".repeat(n));
            assert_eq!(Timestamp::parse(&text), None, "{text}");
        }
    }
}
