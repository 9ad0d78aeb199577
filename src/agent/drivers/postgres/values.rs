//! Values of PostgreSQL as cells: numbers, truth values, JSON and arrays as such, everything else as its text.

use crate::agent::drivers::rows::{Cell, is_json, is_number, push_string};

/// Most levels of an array; PostgreSQL has no more.
const ARRAY_LEVELS_MAX: usize = 6;
/// Longest array that is shown as one, in bytes of its text; a longer one stays text.
const ARRAY_BYTES_MAX: usize = 1 << 20;

/// What a type becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PgKind {
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
const TYPES: &[(u32, &str, PgKind)] = &[
    (16, "boolean", PgKind::Truth),
    (17, "bytea", PgKind::Text),
    (18, "\"char\"", PgKind::Text),
    (19, "name", PgKind::Text),
    (20, "bigint", PgKind::Number),
    (21, "smallint", PgKind::Number),
    (23, "integer", PgKind::Number),
    (25, "text", PgKind::Text),
    (26, "oid", PgKind::Number),
    (114, "json", PgKind::Json),
    (142, "xml", PgKind::Text),
    (650, "cidr", PgKind::Text),
    (700, "real", PgKind::Number),
    (701, "double precision", PgKind::Number),
    (705, "unknown", PgKind::Text),
    (790, "money", PgKind::Text),
    (829, "macaddr", PgKind::Text),
    (869, "inet", PgKind::Text),
    (1000, "boolean[]", PgKind::Array(Element::Truth)),
    (1005, "smallint[]", PgKind::Array(Element::Number)),
    (1007, "integer[]", PgKind::Array(Element::Number)),
    (1009, "text[]", PgKind::Array(Element::Text)),
    (1015, "character varying[]", PgKind::Array(Element::Text)),
    (1016, "bigint[]", PgKind::Array(Element::Number)),
    (1021, "real[]", PgKind::Array(Element::Number)),
    (1022, "double precision[]", PgKind::Array(Element::Number)),
    (1042, "character", PgKind::Text),
    (1043, "character varying", PgKind::Text),
    (1082, "date", PgKind::Text),
    (1083, "time without time zone", PgKind::Text),
    (1114, "timestamp without time zone", PgKind::Text),
    (
        1115,
        "timestamp without time zone[]",
        PgKind::Array(Element::Text),
    ),
    (1182, "date[]", PgKind::Array(Element::Text)),
    (1184, "timestamp with time zone", PgKind::Text),
    (
        1185,
        "timestamp with time zone[]",
        PgKind::Array(Element::Text),
    ),
    (1186, "interval", PgKind::Text),
    (1231, "numeric[]", PgKind::Array(Element::Text)),
    (1266, "time with time zone", PgKind::Text),
    (1560, "bit", PgKind::Text),
    (1562, "bit varying", PgKind::Text),
    (1700, "numeric", PgKind::Text),
    (2205, "regclass", PgKind::Text),
    (2249, "record", PgKind::Text),
    (2278, "void", PgKind::Text),
    (2950, "uuid", PgKind::Text),
    (2951, "uuid[]", PgKind::Array(Element::Text)),
    (3802, "jsonb", PgKind::Json),
];

/// Name of the type with this oid and what it becomes, if it is known without asking.
pub fn known(oid: u32) -> Option<(&'static str, PgKind)> {
    TYPES
        .binary_search_by_key(&oid, |(oid, _, _)| *oid)
        .ok()
        .map(|at| (TYPES[at].1, TYPES[at].2))
}

/// What a type that was asked for becomes: `category` is its `typcategory`.
pub fn asked(category: &str) -> PgKind {
    match category {
        "A" => PgKind::Array(Element::Text),
        _ => PgKind::Text,
    }
}

/// `text` as a cell. `room` keeps what has to be made for it.
pub fn cell<'a>(kind: PgKind, text: &'a [u8], room: &'a mut String) -> Cell<'a> {
    match kind {
        PgKind::Truth => match text {
            b"t" => Cell::Truth(true),
            b"f" => Cell::Truth(false),
            _ => Cell::Text(text),
        },
        PgKind::Number => match std::str::from_utf8(text) {
            Ok(digits) if is_number(digits) => Cell::Number(digits),
            // NaN and the infinities.
            _ => Cell::Text(text),
        },
        PgKind::Json => match std::str::from_utf8(text) {
            Ok(json) if is_json(json) => Cell::Json(json),
            _ => Cell::Text(text),
        },
        PgKind::Array(element) => match std::str::from_utf8(text) {
            Ok(array)
                if array.len() <= ARRAY_BYTES_MAX && array_json(array, element, room).is_some() =>
            {
                Cell::Json(room)
            }
            _ => Cell::Text(text),
        },
        PgKind::Text => Cell::Text(text),
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
