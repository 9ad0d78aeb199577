//! Values of PostgreSQL as cells: numbers, truth values, JSON and arrays as such, everything else as its text.

use crate::agent::drivers::rows::{Cell, is_json, is_number, push_string};

/// Most levels of an array; PostgreSQL has no more.
const ARRAY_LEVELS_MAX: usize = 6;
/// Longest array that is shown as one, in bytes of its text; a longer one stays text.
const ARRAY_BYTES_MAX: usize = 1 << 20;

/// What a type becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Truth,
    Number,
    Json,
    Text,
    Array(Element),
}

/// What an element of an array becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    Truth,
    Number,
    Text,
}

/// Types that are known without asking: oid, name, what they become.
const TYPES: &[(u32, &str, Kind)] = &[
    (16, "boolean", Kind::Truth),
    (17, "bytea", Kind::Text),
    (18, "\"char\"", Kind::Text),
    (19, "name", Kind::Text),
    (20, "bigint", Kind::Number),
    (21, "smallint", Kind::Number),
    (23, "integer", Kind::Number),
    (25, "text", Kind::Text),
    (26, "oid", Kind::Number),
    (114, "json", Kind::Json),
    (142, "xml", Kind::Text),
    (650, "cidr", Kind::Text),
    (700, "real", Kind::Number),
    (701, "double precision", Kind::Number),
    (705, "unknown", Kind::Text),
    (790, "money", Kind::Text),
    (829, "macaddr", Kind::Text),
    (869, "inet", Kind::Text),
    (1000, "boolean[]", Kind::Array(Element::Truth)),
    (1005, "smallint[]", Kind::Array(Element::Number)),
    (1007, "integer[]", Kind::Array(Element::Number)),
    (1009, "text[]", Kind::Array(Element::Text)),
    (1015, "character varying[]", Kind::Array(Element::Text)),
    (1016, "bigint[]", Kind::Array(Element::Number)),
    (1021, "real[]", Kind::Array(Element::Number)),
    (1022, "double precision[]", Kind::Array(Element::Number)),
    (1042, "character", Kind::Text),
    (1043, "character varying", Kind::Text),
    (1082, "date", Kind::Text),
    (1083, "time without time zone", Kind::Text),
    (1114, "timestamp without time zone", Kind::Text),
    (
        1115,
        "timestamp without time zone[]",
        Kind::Array(Element::Text),
    ),
    (1182, "date[]", Kind::Array(Element::Text)),
    (1184, "timestamp with time zone", Kind::Text),
    (
        1185,
        "timestamp with time zone[]",
        Kind::Array(Element::Text),
    ),
    (1186, "interval", Kind::Text),
    (1231, "numeric[]", Kind::Array(Element::Text)),
    (1266, "time with time zone", Kind::Text),
    (1560, "bit", Kind::Text),
    (1562, "bit varying", Kind::Text),
    (1700, "numeric", Kind::Text),
    (2205, "regclass", Kind::Text),
    (2249, "record", Kind::Text),
    (2278, "void", Kind::Text),
    (2950, "uuid", Kind::Text),
    (2951, "uuid[]", Kind::Array(Element::Text)),
    (3802, "jsonb", Kind::Json),
];

/// Name of the type with this oid and what it becomes, if it is known without asking.
pub fn known(oid: u32) -> Option<(&'static str, Kind)> {
    TYPES
        .binary_search_by_key(&oid, |(oid, _, _)| *oid)
        .ok()
        .map(|at| (TYPES[at].1, TYPES[at].2))
}

/// What a type that was asked for becomes: `category` is its `typcategory`.
pub fn asked(category: &str) -> Kind {
    match category {
        "A" => Kind::Array(Element::Text),
        _ => Kind::Text,
    }
}

/// `text` as a cell. `room` keeps what has to be made for it.
pub fn cell<'a>(kind: Kind, text: &'a [u8], room: &'a mut String) -> Cell<'a> {
    match kind {
        Kind::Truth => match text {
            b"t" => Cell::Truth(true),
            b"f" => Cell::Truth(false),
            _ => Cell::Text(text),
        },
        Kind::Number => match std::str::from_utf8(text) {
            Ok(digits) if is_number(digits) => Cell::Number(digits),
            // NaN and the infinities.
            _ => Cell::Text(text),
        },
        Kind::Json => match std::str::from_utf8(text) {
            Ok(json) if is_json(json) => Cell::Json(json),
            _ => Cell::Text(text),
        },
        Kind::Array(element) => match std::str::from_utf8(text) {
            Ok(array)
                if array.len() <= ARRAY_BYTES_MAX && array_json(array, element, room).is_some() =>
            {
                Cell::Json(room)
            }
            _ => Cell::Text(text),
        },
        Kind::Text => Cell::Text(text),
    }
}

/// The JSON of an array in PostgreSQL's text form; `None` where it does not begin as one (`[2:3]={..}`, whose bounds
/// JSON cannot tell) or does not end well.
fn array_json(text: &str, element: Element, out: &mut String) -> Option<()> {
    out.clear();
    let rest = level(text, element, out, 1)?;
    rest.is_empty().then_some(())
}

fn level<'a>(text: &'a str, element: Element, out: &mut String, depth: usize) -> Option<&'a str> {
    let mut rest = text
        .strip_prefix('{')
        .filter(|_| depth <= ARRAY_LEVELS_MAX)?;
    out.push('[');
    if let Some(rest) = rest.strip_prefix('}') {
        out.push(']');
        return Some(rest);
    }
    loop {
        rest = match rest.chars().next()? {
            '{' => level(rest, element, out, depth + 1)?,
            '"' => quoted(rest, out)?,
            _ => bare(rest, element, out)?,
        };
        match rest.chars().next()? {
            ',' => {
                out.push(',');
                rest = &rest[1..];
            }
            '}' => {
                out.push(']');
                return Some(&rest[1..]);
            }
            // Another delimiter, as box has: text.
            _ => return None,
        }
    }
}

fn quoted<'a>(text: &'a str, out: &mut String) -> Option<&'a str> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                push_string(out, &value);
                return Some(&text[at + 1..]);
            }
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

fn bare<'a>(text: &'a str, element: Element, out: &mut String) -> Option<&'a str> {
    let end = text.find([',', '}', ';'])?;
    let value = &text[..end];
    match (element, value) {
        (_, "NULL") => out.push_str("null"),
        (Element::Truth, "t") => out.push_str("true"),
        (Element::Truth, "f") => out.push_str("false"),
        (Element::Number, digits) if is_number(digits) => out.push_str(digits),
        _ => push_string(out, value),
    }
    Some(&text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_types_is_sorted() {
        assert!(TYPES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn arrays_become_json_or_stay_text() {
        let rows = [
            ("{}", Element::Number, Some("[]")),
            ("{1,NULL,-2}", Element::Number, Some("[1,null,-2]")),
            ("{NaN,1e+300}", Element::Number, Some("[\"NaN\",1e+300]")),
            ("{t,f,NULL}", Element::Truth, Some("[true,false,null]")),
            (
                "{a,\"b c\",\"q\\\"\\\\\",\"NULL\",\"\"}",
                Element::Text,
                Some("[\"a\",\"b c\",\"q\\\"\\\\\",\"NULL\",\"\"]"),
            ),
            ("{{1,2},{3,4}}", Element::Number, Some("[[1,2],[3,4]]")),
            ("[2:3]={1,2}", Element::Number, None),
            ("{(1,1),(0,0);(2,2),(1,1)}", Element::Text, None),
            ("{1", Element::Number, None),
            ("{\"a", Element::Text, None),
            ("{1}x", Element::Number, None),
            ("{{{{{{{1}}}}}}}", Element::Number, None),
        ];
        for (text, element, json) in rows {
            let mut room = String::new();
            let made = array_json(text, element, &mut room).map(|()| room.as_str());
            assert_eq!(made, json, "{text}");
        }
    }
}
