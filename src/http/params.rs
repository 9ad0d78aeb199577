//! What a query says. A parameter that a handler reads must be well formed; the router refuses names that
//! its route does not know.

use crate::clock::Timestamp;
use crate::error::{Error, Shown};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::percent_decode;

/// Largest offset; a list is read on with its cursor, which costs the same on every page.
pub const OFFSET_MAX: u32 = crate::actions::view_requests::OFFSET_MAX;

/// A query string. Its length is bounded by the gate.
pub struct Query<'a> {
    pairs: Vec<(String, &'a str)>,
    /// What a pair is called in messages.
    pair: &'static str,
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paging {
    pub limit: u32,
    pub offset: u32,
    /// Only what lies before this place: the cursor.
    pub before: Option<i64>,
}

impl<'a> Query<'a> {
    /// The fields of a form, which is written as a query is.
    pub fn form(raw: &'a str) -> Query<'a> {
        Query {
            pair: "form field",
            ..Query::new(Some(raw))
        }
    }

    /// The pairs of a raw query.
    pub fn new(raw: Option<&'a str>) -> Query<'a> {
        let pairs = raw
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                let name = decoded(name).unwrap_or_default();
                (name, value)
            })
            .collect();
        Query {
            pairs,
            pair: "query parameter",
        }
    }

    /// The names of all parameters, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(name, _)| name.as_str())
    }

    /// Whether a parameter of that name is given.
    pub fn has(&self, name: &str) -> bool {
        self.names().any(|n| n == name)
    }

    /// The text of a parameter.
    ///
    /// # Errors
    /// `validation_error` if it stands there twice or is not UTF-8.
    pub fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let mut values = self.pairs.iter().filter(|(n, _)| n == name);
        let Some((_, raw)) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(Error::invalid(format!(
                "{} `{name}` is given more than once",
                self.pair
            )));
        }
        match decoded(raw) {
            Some(text) => Ok(Some(text)),
            None => Err(Error::invalid(format!(
                "{} `{name}` is not UTF-8",
                self.pair
            ))),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// `validation_error` for anything else.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Error> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad(name, &text, "a whole number, 0 or more"));
        }
        // More digits than fit are more than any cap.
        Ok(Some(text.parse().unwrap_or(u64::MAX)))
    }

    /// A whole number of at most `max`; more is `max`.
    ///
    /// # Errors
    /// As [`Query::number`].
    pub fn capped(&self, name: &str, default: u32, max: u32) -> Result<u32, Error> {
        let asked = self.number(name)?.unwrap_or(u64::from(default));
        Ok(u32::try_from(asked).unwrap_or(u32::MAX).min(max))
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// `validation_error` for anything else.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Error> {
        self.one_of(name, "`true` or `false`", |text| match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    /// A value that `read` knows; `expected` says which ones there are.
    ///
    /// # Errors
    /// `validation_error` for one it does not know.
    pub fn one_of<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        match read(&text) {
            Some(value) => Ok(Some(value)),
            None => Err(bad(name, &text, expected)),
        }
    }

    /// A bound of what is searched; see [`Timestamp::parse_bound`].
    ///
    /// # Errors
    /// `validation_error` for anything but a time of ISO 8601.
    pub fn time(&self, name: &str, to_its_end: bool) -> Result<Option<Timestamp>, Error> {
        self.one_of(name, "a time like 2026-01-02T03:04:05Z", |text| {
            Timestamp::parse_bound(text, to_its_end)
        })
    }

    /// `limit`, `offset` and `cursor` of the list that `list` names.
    ///
    /// # Errors
    /// `validation_error` for a bad one, an offset above [`OFFSET_MAX`], a cursor of another list, or a cursor and an
    /// offset together.
    pub fn paging(&self, list: &str, default: u32, max: u32) -> Result<Paging, Error> {
        let limit = self.capped("limit", default, max)?;
        let offset = self.capped("offset", 0, u32::MAX)?;
        if offset > OFFSET_MAX {
            return Err(Error::invalid(format!(
                "query parameter `offset` is {offset}, at most {OFFSET_MAX} is allowed"
            ))
            .hint("read on with `cursor`, which is the `next_cursor` of the page before"));
        }
        let before = self.one_of("cursor", "a `next_cursor` of this list", |text| {
            read_cursor(list, text)
        })?;
        if before.is_some() && offset > 0 {
            return Err(Error::invalid(
                "query parameters `cursor` and `offset` exclude each other",
            ));
        }
        Ok(Paging {
            limit,
            offset,
            before,
        })
    }

    /// `limit` and `offset` of a list without a cursor.
    ///
    /// # Errors
    /// `validation_error` for a bad one, or an offset above [`OFFSET_MAX`].
    pub fn window(&self, default: u32, max: u32) -> Result<(u32, u32), Error> {
        let limit = self.capped("limit", default, max)?;
        let offset = self.capped("offset", 0, u32::MAX)?;
        if offset > OFFSET_MAX {
            return Err(Error::invalid(format!(
                "query parameter `offset` is {offset}, at most {OFFSET_MAX} is allowed"
            )));
        }
        Ok((limit, offset))
    }
}

/// A cursor as clients hold it: the place in `list`, in a form that does not invite arithmetic.
pub fn cursor(list: &str, place: Option<i64>) -> Option<String> {
    place.map(|place| URL_SAFE_NO_PAD.encode(format!("{list}:{place}")))
}

fn read_cursor(list: &str, text: &str) -> Option<i64> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (of, place) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    let digits = !place.is_empty() && place.bytes().all(|b| b.is_ascii_digit());
    (of == list && digits).then(|| place.parse().ok())?
}

fn bad(name: &str, text: &str, expected: &str) -> Error {
    Error::invalid(format!(
        "query parameter `{name}` is `{}`, expected {expected}",
        Shown(text)
    ))
}

/// Form decoding: `+` is a space, then escapes.
fn decoded(raw: &str) -> Option<String> {
    let spaced: Vec<u8> = raw
        .bytes()
        .map(|b| if b == b'+' { b' ' } else { b })
        .collect();
    let text = percent_decode(&spaced).decode_utf8().ok()?;
    Some(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
        result.unwrap_err().message().to_owned()
    }

    #[test]
    fn values_are_decoded_and_strangers_ignored() {
        let q = Query::new(Some("a=x+y%2Bz&b&%63=1&zzz=%ff&a2=&=1"));
        assert_eq!(q.text("a").unwrap().as_deref(), Some("x y+z"));
        assert_eq!(q.text("b").unwrap().as_deref(), Some(""));
        assert_eq!(q.number("c").unwrap(), Some(1));
        assert_eq!(q.text("d").unwrap(), None);
        assert!(message(q.text("zzz")).contains("`zzz` is not UTF-8"));
    }

    #[test]
    fn bad_values_name_their_parameter() {
        let q = Query::new(Some(
            "limit=-1&offset=1.5&wait=&flag=yes&twice=1&twice=2&at=now",
        ));
        assert!(message(q.capped("limit", 1, 2)).contains("`limit` is `-1`"));
        assert!(message(q.number("offset")).contains("`offset`"));
        assert!(message(q.number("wait")).contains("`wait`"));
        assert!(message(q.flag("flag")).contains("`true` or `false`"));
        assert!(message(q.text("twice")).contains("more than once"));
        assert!(message(q.time("at", false)).contains("`at`"));
    }

    #[test]
    fn caps_apply_however_large_the_number() {
        let q = Query::new(Some("limit=99999999999999999999999"));
        assert_eq!(q.capped("limit", 50, 100).unwrap(), 100);
        assert_eq!(Query::new(None).capped("limit", 50, 100).unwrap(), 50);
    }

    #[test]
    fn cursors_belong_to_their_list() {
        let text = cursor("requests", Some(42)).unwrap();
        assert_eq!(read_cursor("requests", &text), Some(42));
        assert_eq!(read_cursor("events", &text), None);
        for bad in ["", "42", "@", &URL_SAFE_NO_PAD.encode("requests:-1")] {
            assert_eq!(read_cursor("requests", bad), None, "{bad:?}");
        }
        let both = format!("cursor={text}&offset=1");
        let q = Query::new(Some(&both));
        assert!(message(q.paging("requests", 50, 100)).contains("exclude"));
        let q = Query::new(Some("offset=10001"));
        let error = q.paging("requests", 50, 100).unwrap_err();
        assert!(error.body("r").contains("\"hint\":\"read on with `cursor`"));
        assert!(
            Query::new(Some("offset=10000"))
                .paging("requests", 50, 100)
                .is_ok()
        );
    }

    #[test]
    fn bounds_may_be_days_and_times_of_utc() {
        let at = |text: &str, to_its_end| {
            let raw = format!("at={text}");
            Query::new(Some(&raw)).time("at", to_its_end).ok().flatten()
        };
        let is = |text: &str| Timestamp::parse(text);
        assert_eq!(at("2026-01-02", false), is("2026-01-02T00:00:00Z"));
        assert_eq!(at("2026-01-02", true), is("2026-01-02T23:59:59.999Z"));
        let time = is("2026-01-02T03:04:05Z");
        assert!(time.is_some());
        for to_its_end in [false, true] {
            assert_eq!(at("2026-01-02T03:04:05", to_its_end), time);
            assert_eq!(at("2026-01-02T03:04:05Z", to_its_end), time);
            for bad in ["2026-01-32", "2026-13-01", "2026-01-02T", "yesterday!"] {
                assert_eq!(at(bad, to_its_end), None, "{bad}");
            }
        }
    }

    #[test]
    fn a_plus_of_an_offset_survives() {
        let want = Timestamp::parse("2026-01-02T03:04:05+01:00");
        for raw in [
            "at=2026-01-02T03:04:05+01:00",
            "at=2026-01-02T03:04:05%2B01:00",
        ] {
            assert_eq!(
                Query::new(Some(raw)).time("at", false).unwrap(),
                want,
                "{raw}"
            );
        }
    }
}
