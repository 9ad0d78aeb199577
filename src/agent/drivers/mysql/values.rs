//! Values of MySQL and MariaDB as cells: the text that the server writes, numbers and JSON as such.

use crate::agent::drivers::rows::{Cell, is_json, is_number};
use ::mysql::Column;
use ::mysql::consts::{ColumnFlags, ColumnType};

/// The character set that means bytes.
const BINARY: u16 = 63;

/// The type of a column as people write it.
pub fn type_name(column: &Column) -> String {
    let bytes = column.character_set() == BINARY;
    let flags = column.flags();
    let either = |binary: &'static str, text: &'static str| if bytes { binary } else { text };
    let name = match column.column_type() {
        ColumnType::MYSQL_TYPE_TINY => "tinyint",
        ColumnType::MYSQL_TYPE_SHORT => "smallint",
        ColumnType::MYSQL_TYPE_INT24 => "mediumint",
        ColumnType::MYSQL_TYPE_LONG => "int",
        ColumnType::MYSQL_TYPE_LONGLONG => "bigint",
        ColumnType::MYSQL_TYPE_FLOAT => "float",
        ColumnType::MYSQL_TYPE_DOUBLE => "double",
        ColumnType::MYSQL_TYPE_DECIMAL | ColumnType::MYSQL_TYPE_NEWDECIMAL => "decimal",
        ColumnType::MYSQL_TYPE_NULL => "null",
        ColumnType::MYSQL_TYPE_DATE | ColumnType::MYSQL_TYPE_NEWDATE => "date",
        ColumnType::MYSQL_TYPE_TIME | ColumnType::MYSQL_TYPE_TIME2 => "time",
        ColumnType::MYSQL_TYPE_DATETIME | ColumnType::MYSQL_TYPE_DATETIME2 => "datetime",
        ColumnType::MYSQL_TYPE_TIMESTAMP | ColumnType::MYSQL_TYPE_TIMESTAMP2 => "timestamp",
        ColumnType::MYSQL_TYPE_YEAR => "year",
        ColumnType::MYSQL_TYPE_BIT => "bit",
        ColumnType::MYSQL_TYPE_JSON => "json",
        ColumnType::MYSQL_TYPE_GEOMETRY => "geometry",
        ColumnType::MYSQL_TYPE_ENUM => "enum",
        ColumnType::MYSQL_TYPE_SET => "set",
        ColumnType::MYSQL_TYPE_STRING if flags.contains(ColumnFlags::ENUM_FLAG) => "enum",
        ColumnType::MYSQL_TYPE_STRING if flags.contains(ColumnFlags::SET_FLAG) => "set",
        ColumnType::MYSQL_TYPE_STRING => either("binary", "char"),
        ColumnType::MYSQL_TYPE_VARCHAR | ColumnType::MYSQL_TYPE_VAR_STRING => {
            either("varbinary", "varchar")
        }
        _ => either("blob", "text"),
    };
    match flags.contains(ColumnFlags::UNSIGNED_FLAG) && is_integer(column.column_type()) {
        true => format!("{name} unsigned"),
        false => name.to_owned(),
    }
}

fn is_integer(kind: ColumnType) -> bool {
    matches!(
        kind,
        ColumnType::MYSQL_TYPE_TINY
            | ColumnType::MYSQL_TYPE_SHORT
            | ColumnType::MYSQL_TYPE_INT24
            | ColumnType::MYSQL_TYPE_LONG
            | ColumnType::MYSQL_TYPE_LONGLONG
    )
}

/// `bytes` of `column` as a cell. `room` keeps what has to be made for it.
pub fn cell<'a>(column: &Column, bytes: &'a [u8], room: &'a mut String) -> Cell<'a> {
    let text = std::str::from_utf8(bytes).ok();
    match column.column_type() {
        kind if is_integer(kind) => number(bytes, text),
        ColumnType::MYSQL_TYPE_FLOAT
        | ColumnType::MYSQL_TYPE_DOUBLE
        | ColumnType::MYSQL_TYPE_YEAR => number(bytes, text),
        ColumnType::MYSQL_TYPE_JSON => match text {
            Some(json) if is_json(json) => Cell::Json(json),
            _ => Cell::Text(bytes),
        },
        ColumnType::MYSQL_TYPE_BIT => {
            bits(bytes, column.column_length(), room);
            Cell::Text(room.as_bytes())
        }
        ColumnType::MYSQL_TYPE_GEOMETRY => match super::super::geometry::wkt(bytes) {
            Some(wkt) => {
                *room = wkt;
                Cell::Text(room.as_bytes())
            }
            None => Cell::Bytes(bytes),
        },
        ColumnType::MYSQL_TYPE_STRING
        | ColumnType::MYSQL_TYPE_VARCHAR
        | ColumnType::MYSQL_TYPE_VAR_STRING
        | ColumnType::MYSQL_TYPE_TINY_BLOB
        | ColumnType::MYSQL_TYPE_MEDIUM_BLOB
        | ColumnType::MYSQL_TYPE_LONG_BLOB
        | ColumnType::MYSQL_TYPE_BLOB
            if column.character_set() == BINARY =>
        {
            Cell::Bytes(bytes)
        }
        _ => Cell::Text(bytes),
    }
}

fn number<'a>(bytes: &'a [u8], text: Option<&'a str>) -> Cell<'a> {
    match text {
        Some(digits) if is_number(digits) => Cell::Number(digits),
        // ZEROFILL, and the year 0000.
        _ => Cell::Text(bytes),
    }
}

/// The bits of a BIT column as digits, as many as it has.
fn bits(bytes: &[u8], length: u32, out: &mut String) {
    out.clear();
    for byte in bytes {
        out.push_str(&format!("{byte:08b}"));
    }
    let length = length as usize;
    if (1..out.len()).contains(&length) {
        *out = out.split_off(out.len() - length);
    }
}
