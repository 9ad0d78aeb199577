//! Times as the people of one place say them, and the moments they are. The zone data is that of the program, so that
//! a local time is the same moment on every machine.

use super::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use std::fmt;

/// A time zone of the IANA database.
#[derive(Debug, Clone)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

/// Two zones are the same where their names are.
impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl Zone {
    /// The zone of a name like `Europe/Berlin`.
    pub fn parse(name: &str) -> Option<Zone> {
        let zone = TimeZoneDatabase::bundled().get(name).ok()?;
        // Names are found in any case; only the proper one is written.
        let name = zone.iana_name()?.to_owned();
        Some(Zone { name, zone })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The moment of a local time. One that clocks skip is as much later as they are put forward; of one that comes
    /// twice it is the first.
    pub fn at(&self, local: LocalTime) -> Option<Timestamp> {
        let at = self
            .zone
            .to_ambiguous_timestamp(local.0)
            .compatible()
            .ok()?;
        Some(Timestamp(at.as_millisecond()))
    }

    /// What clocks there show at a moment, to the minute.
    pub fn local(&self, at: Timestamp) -> Option<LocalTime> {
        let at = jiff::Timestamp::from_millisecond(at.0).ok()?;
        let shown = self.zone.to_datetime(at);
        let time = Time::new(shown.hour(), shown.minute(), 0, 0).ok()?;
        Some(LocalTime(DateTime::from_parts(shown.date(), time)))
    }
}

/// What a clock and a calendar show, to the minute; in which zone is for the holder to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalTime(DateTime);

impl LocalTime {
    /// Reads `2026-01-05T09:00`, with a space in place of the `T` too, or `2026-01-05` for the begin of that day.
    pub fn parse(text: &str) -> Option<LocalTime> {
        let (date, time) = match text.len() {
            10 => (text, "00:00"),
            16 => (text.get(..10)?, text.get(11..)?),
            _ => return None,
        };
        if !matches!(text.as_bytes().get(10), None | Some(b'T' | b' ')) {
            return None;
        }
        let (hour, minute) = time.split_once(':')?;
        let two = |digits: &str| {
            let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse::<i8>().ok()).flatten()
        };
        let time = Time::new(two(hour)?, two(minute)?, 0, 0).ok()?;
        let date: Date = date.parse().ok()?;
        Some(LocalTime(DateTime::from_parts(date, time)))
    }

    /// The same time of the day so many days later.
    pub fn plus_days(self, days: i64) -> Option<LocalTime> {
        let date = self.0.date();
        let later = date.checked_add(jiff::Span::new().try_days(days).ok()?);
        Some(LocalTime(DateTime::from_parts(later.ok()?, self.0.time())))
    }

    /// Days from the date of `earlier` to that of this one.
    pub fn days_since(self, earlier: LocalTime) -> i64 {
        let days = self.0.date().since(earlier.0.date());
        days.map_or(0, |span| i64::from(span.get_days()))
    }
}

/// As [`LocalTime::parse`] reads it.
impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.strftime("%Y-%m-%dT%H:%M").to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_times_are_read_in_two_forms_only() {
        for (text, read) in [
            ("2026-01-05T09:00", Some("2026-01-05T09:00")),
            ("2026-01-05 09:00", Some("2026-01-05T09:00")),
            ("2026-01-05", Some("2026-01-05T00:00")),
            ("2026-02-29T09:00", None),
            ("2026-01-05T24:00", None),
            ("2026-01-05T+9:00", None),
            ("2026-01-05T09:00Z", None),
            ("2026-01-05x09:00", None),
            ("5 January", None),
        ] {
            let local = LocalTime::parse(text).map(|local| local.to_string());
            assert_eq!(local.as_deref(), read, "{text}");
        }
    }

    #[test]
    fn local_times_are_moments_when_clocks_change() {
        let berlin = Zone::parse("europe/berlin").unwrap();
        assert_eq!(berlin.name(), "Europe/Berlin");
        assert!(Zone::parse("Europe/Atlantis").is_none());
        for (local, moment) in [
            ("2026-01-05T09:00", "2026-01-05T08:00:00.000Z"),
            ("2026-07-06T09:00", "2026-07-06T07:00:00.000Z"),
            // Skipped: half past two becomes half past three.
            ("2026-03-29T02:30", "2026-03-29T01:30:00.000Z"),
            // Twice: the first counts.
            ("2026-10-25T02:30", "2026-10-25T00:30:00.000Z"),
        ] {
            let at = berlin.at(LocalTime::parse(local).unwrap()).unwrap();
            assert_eq!(at.rfc3339(), moment, "{local}");
        }
        let again = Timestamp::parse("2026-10-25T01:30:00Z").unwrap();
        assert_eq!(berlin.local(again), LocalTime::parse("2026-10-25T02:30"));
    }

    #[test]
    fn days_are_counted_by_the_calendar() {
        let day = |text| LocalTime::parse(text).unwrap();
        assert_eq!(day("2026-03-30").days_since(day("2026-03-23T23:59")), 7);
        assert_eq!(day("2026-03-22").days_since(day("2026-03-23T09:00")), -1);
        assert_eq!(day("2028-01-01").days_since(day("2026-01-01")), 730);
        assert_eq!(
            day("2026-01-05T09:00").plus_days(7).unwrap().to_string(),
            "2026-01-12T09:00"
        );
    }
}
