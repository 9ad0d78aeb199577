//! What a body says: the members of a JSON object, each kept as the text that came until a handler asks for it.
//!
//! Messages name the member and what was expected, and never quote what was sent. Members that nobody asks for are
//! ignored; one that stands there twice is refused, since nobody can tell which was meant.

use super::call::HttpRequest;
use crate::error::{Error, ErrorKind};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// Largest whole number that may be written with a fraction: up to here a float holds every integer, 2^53.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// The members of an object. `null` is as good as absent.
#[derive(Default)]
pub struct JsonFields<'a> {
    /// `capabilities.` for the members of a member, so that messages name the whole path.
    prefix: String,
    members: BTreeMap<String, &'a RawValue>,
}

impl<'a> JsonFields<'a> {
    /// The members of a call's body.
    ///
    /// # Errors
    /// 415 for another content type; 400 for what is not a JSON object.
    pub fn read(call: &'a HttpRequest) -> Result<JsonFields<'a>, Error> {
        if let Some(given) = call.header("content-type") {
            let essence = given.split(';').next().unwrap_or_default().trim();
            if !essence.eq_ignore_ascii_case("application/json") {
                return Err(Error::new(
                    ErrorKind::UnsupportedMediaType,
                    "unsupported_media_type",
                    "the request body is not declared as JSON",
                )
                .hint("send `Content-Type: application/json`, or none"));
            }
        }
        if call.body.is_empty() {
            return Err(Error::invalid("the request body is empty").hint("send a JSON object"));
        }
        let text = std::str::from_utf8(&call.body)
            .map_err(|_| Error::invalid("the request body is not UTF-8"))?;
        JsonFields::parse(String::new(), text)
    }

    fn parse(prefix: String, text: &'a str) -> Result<JsonFields<'a>, Error> {
        let members: Members = serde_json::from_str(text).map_err(|e| match e.classify() {
            Category::Data if prefix.is_empty() => {
                Error::invalid("the request body must be a JSON object")
            }
            Category::Data => Error::invalid(format!(
                "field `{}` must be an object",
                prefix.trim_end_matches('.')
            )),
            _ => Error::invalid(format!(
                "the request body is not JSON: line {}, column {}",
                e.line(),
                e.column()
            )),
        })?;
        if let Some(name) = members.twice {
            let name = crate::error::Shown(&name).to_string();
            return Err(Error::invalid(format!(
                "field `{prefix}{name}` is given more than once"
            )));
        }
        Ok(JsonFields {
            prefix,
            members: members.by_name,
        })
    }

    /// Whether the member is there.
    pub fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// Whether the member is there, be it `null`.
    pub fn mentions(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Refuses members other than `known`: where a body grants something, one that is silently dropped grants another
    /// thing than was meant.
    ///
    /// # Errors
    /// `validation_error` naming the first one and those that are known.
    pub fn only(&self, known: &[&str]) -> Result<(), Error> {
        let unknown = self.members.keys().find(|name| !known.contains(&&***name));
        match unknown {
            None => Ok(()),
            Some(name) => {
                let name = crate::error::Shown(name);
                Err(
                    Error::invalid(format!("field `{}{name}` is unknown", self.prefix))
                        .hint(format!("known are {}", known.join(", "))),
                )
            }
        }
    }

    /// The JSON text of a member, as it came.
    pub fn raw(&self, name: &str) -> Option<&'a str> {
        let text = self.members.get(name)?.get();
        (text != "null").then_some(text)
    }

    /// A string.
    ///
    /// # Errors
    /// `validation_error` for anything else.
    pub fn text(&self, name: &str) -> Result<Option<String>, Error> {
        self.read_as(name, "a string")
    }

    /// A string that must be there.
    ///
    /// # Errors
    /// `validation_error`.
    pub fn needed_text(&self, name: &str) -> Result<String, Error> {
        self.text(name)?.ok_or_else(|| self.missing(name))
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// `validation_error` for anything else.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Error> {
        self.read_as(name, "true or false")
    }

    /// A whole number; one that is written with a fraction of zero is one too.
    ///
    /// # Errors
    /// `validation_error` for anything else.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Error> {
        const EXPECTED: &str = "a whole number, 0 or more";
        match self.read_as(name, EXPECTED) {
            Err(error) => {
                let float: Option<f64> = self.read_as(name, EXPECTED)?;
                let whole = float.filter(|f| f.fract() == 0.0 && (0.0..=WHOLE_MAX).contains(f));
                // In this range every whole float is exactly the integer.
                whole.map(|f| Some(f as u64)).ok_or(error)
            }
            number => number,
        }
    }

    /// A whole number of at most `u32::MAX`; more counts as that.
    ///
    /// # Errors
    /// `validation_error` for anything else.
    pub fn small_number(&self, name: &str) -> Result<Option<u32>, Error> {
        let number = self.number(name)?;
        Ok(number.map(|n| u32::try_from(n).unwrap_or(u32::MAX)))
    }

    /// Strings; none where the member is absent.
    ///
    /// # Errors
    /// `validation_error` for anything else.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, Error> {
        let texts: Option<Vec<String>> = self.read_as(name, "an array of strings")?;
        Ok(texts.unwrap_or_default())
    }

    /// The members of a member; empty where it is absent.
    ///
    /// # Errors
    /// `validation_error` if it is not an object.
    pub fn object(&self, name: &str) -> Result<JsonFields<'a>, Error> {
        let prefix = format!("{}{name}.", self.prefix);
        match self.raw(name) {
            Some(text) => JsonFields::parse(prefix, text),
            None => Ok(JsonFields {
                prefix,
                members: BTreeMap::new(),
            }),
        }
    }

    /// Objects; `None` where the member is absent.
    ///
    /// # Errors
    /// `validation_error` for anything else.
    pub fn objects(&self, name: &str) -> Result<Option<Vec<JsonFields<'a>>>, Error> {
        let Some(text) = self.raw(name) else {
            return Ok(None);
        };
        let items: Vec<&RawValue> =
            serde_json::from_str(text).map_err(|_| self.wrong(name, "an array of objects"))?;
        items
            .into_iter()
            .map(|item| JsonFields::parse(format!("{}{name}[].", self.prefix), item.get()))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// Any JSON, read whole: nested no deeper than any reader of our answers accepts.
    ///
    /// # Errors
    /// `validation_error` for what a strict reader refuses.
    pub fn value(&self, name: &str) -> Result<Option<Value>, Error> {
        self.read_as(
            name,
            "JSON nested no deeper than 127 levels, of numbers that fit",
        )
    }

    /// The error for a member that is not there.
    pub fn missing(&self, name: &str) -> Error {
        Error::invalid(format!("field `{}{name}` is missing", self.prefix))
    }

    fn wrong(&self, name: &str, expected: &str) -> Error {
        Error::invalid(format!("field `{}{name}` must be {expected}", self.prefix))
    }

    fn read_as<T: Deserialize<'a>>(&self, name: &str, expected: &str) -> Result<Option<T>, Error> {
        self.raw(name)
            .map(|text| serde_json::from_str(text).map_err(|_| self.wrong(name, expected)))
            .transpose()
    }
}

struct Members<'a> {
    by_name: BTreeMap<String, &'a RawValue>,
    twice: Option<String>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members<'de>, M::Error> {
                let mut members = Members {
                    by_name: BTreeMap::new(),
                    twice: None,
                };
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if members.by_name.insert(name.clone(), value).is_some() {
                        members.twice.get_or_insert(name);
                    }
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: &str, content_type: Option<&str>) -> HttpRequest {
        HttpRequest {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            query: None,
            headers: content_type
                .map(|t| ("content-type".to_owned(), t.to_owned()))
                .into_iter()
                .collect(),
            body: body.as_bytes().to_vec(),
            peer: None,
            request_id: "r".to_owned(),
            resume: None,
            oversize: None,
            unread: false,
            certificate: None,
        }
    }

    fn message<T>(result: Result<T, Error>) -> String {
        result
            .err()
            .map_or_else(String::new, |e| e.message().to_owned())
    }

    #[test]
    fn body_without_type_is_json_and_another_type_is_not() {
        for good in [
            None,
            Some("application/json"),
            Some("Application/JSON; charset=utf-8"),
        ] {
            assert!(JsonFields::read(&call("{}", good)).is_ok(), "{good:?}");
        }
        for bad in ["text/plain", "application/x-www-form-urlencoded", ""] {
            let error = JsonFields::read(&call("{}", Some(bad))).err().unwrap();
            assert_eq!(error.status(), 415, "{bad:?}");
        }
    }

    #[test]
    fn messages_name_the_member_and_never_quote_it() {
        let call = call(
            r#"{"a":"secret","n":-1,"l":["x",1],"o":{"b":1},"s":{"c":[{"d":2}]},"u":"\ud800"}"#,
            None,
        );
        let fields = JsonFields::read(&call).unwrap();
        let cases = [
            (message(fields.flag("a")), "field `a` must be true or false"),
            (
                message(fields.number("n")),
                "field `n` must be a whole number, 0 or more",
            ),
            (
                message(fields.texts("l")),
                "field `l` must be an array of strings",
            ),
            (message(fields.object("a")), "field `a` must be an object"),
            (
                message(fields.object("o").unwrap().text("b")),
                "field `o.b` must be a string",
            ),
            (
                message(fields.object("s").unwrap().objects("c").unwrap().unwrap()[0].text("d")),
                "field `s.c[].d` must be a string",
            ),
            (message(fields.text("u")), "field `u` must be a string"),
            (message(fields.needed_text("x")), "field `x` is missing"),
        ];
        for (got, want) in cases {
            assert_eq!(got, want);
        }
    }

    #[test]
    fn what_is_not_an_object_is_refused_with_its_place() {
        for (body, want) in [
            ("", "the request body is empty"),
            ("[]", "the request body must be a JSON object"),
            ("\"x\"", "the request body must be a JSON object"),
            ("{", "the request body is not JSON: line 1, column 1"),
            ("{}{}", "the request body is not JSON: line 1, column 3"),
            ("{\"a\":1,\"a\":2}", "field `a` is given more than once"),
        ] {
            assert_eq!(message(JsonFields::read(&call(body, None))), want, "{body}");
        }
    }

    #[test]
    fn text_is_kept_and_depth_is_bounded() {
        let deep = format!("{{\"m\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let call = call(&deep, None);
        let fields = JsonFields::read(&call).unwrap();
        assert_eq!(fields.raw("m").unwrap().len(), 200_000);
        assert!(message(fields.value("m")).starts_with("field `m` must be JSON nested"));
    }

    #[test]
    fn null_is_absent_and_numbers_keep_their_digits() {
        let call = call(r#"{"a":null,"b":123456789012345678901234567890.10}"#, None);
        let fields = JsonFields::read(&call).unwrap();
        assert!(!fields.has("a"));
        assert_eq!(fields.text("a").unwrap(), None);
        assert_eq!(fields.raw("b"), Some("123456789012345678901234567890.10"));
    }
}
