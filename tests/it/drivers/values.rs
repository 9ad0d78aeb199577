//! Values as they stand in a result, exactly: one table for all databases.

use super::Place;
use super::places::{mysql, postgres, postgres_made, sqlite};
use serde_json::{Value, json};

/// Database, type of a column, SQL of a value, and how the result has it. What is `mariadb` MySQL does not have, or has in
/// another form.
const VALUES: &str = r#"
sqlite   | TEXT          | NULL                       | null
sqlite   | TEXT          | ''                         | ""
sqlite   | INTEGER       | 9223372036854775807        | 9223372036854775807
sqlite   | INTEGER       | 'no number'                | "no number"
sqlite   | REAL          | 0.1                        | 0.1
sqlite   | REAL          | -9e999                     | "-Infinity"
sqlite   | TEXT          | 'é😀' || char(9)           | "é😀\t"
sqlite   | TEXT          | CAST(x'ff61' AS TEXT)      | "\\xff61"
sqlite   | BLOB          | x'00ff'                    | "\\x00ff"
sqlite   | DATE          | '0000-00-00'               | "0000-00-00"
sqlite   | TEXT          | '{"b": 1.10}'              | "{\"b\": 1.10}"

postgres | text          | NULL                       | null
postgres | text          | ''                         | ""
postgres | text          | E'a\tb\\"é😀'              | "a\tb\\\"é😀"
postgres | varchar(3)    | 'a'                        | "a"
postgres | character(3)  | 'a'                        | "a  "
postgres | name          | 'n'                        | "n"
postgres | "char"        | 'x'                        | "x"
postgres | bytea         | '\x00ff'                   | "\\x00ff"
postgres | smallint      | -32768                     | -32768
postgres | bigint        | 9007199254740993           | 9007199254740993
postgres | bigint        | -9223372036854775808       | -9223372036854775808
postgres | oid           | 4294967295                 | 4294967295
postgres | xid           | '4294967295'               | "4294967295"
postgres | real          | '-Infinity'                | "-Infinity"
postgres | real          | 16777216                   | 1.6777216e+07
postgres | float8        | 0.1                        | 0.1
postgres | float8        | 'NaN'                      | "NaN"
postgres | float8        | 1e300                      | 1e+300
postgres | float8        | '-0'                       | -0
postgres | numeric       | 12345678901234567890.123456789012345678900 | "12345678901234567890.123456789012345678900"
postgres | numeric       | 'NaN'                      | "NaN"
postgres | numeric       | 'Infinity'                 | "Infinity"
postgres | numeric       | 1e-30                      | "0.000000000000000000000000000001"
postgres | numeric(5,2)  | 1                          | "1.00"
postgres | money         | '-92233720368547758.08'    | "-$92,233,720,368,547,758.08"
postgres | boolean       | true                       | true
postgres | boolean       | false                      | false
postgres | date          | 'infinity'                 | "infinity"
postgres | date          | '-infinity'                | "-infinity"
postgres | date          | '0044-03-15 BC'            | "0044-03-15 BC"
postgres | date          | '5874897-12-31'            | "5874897-12-31"
postgres | time          | '24:00:00'                 | "24:00:00"
postgres | timetz        | '12:00:00.5+05:30'         | "12:00:00.5+05:30"
postgres | timestamp     | '2024-02-29 12:00:00.123456' | "2024-02-29 12:00:00.123456"
postgres | timestamp     | '294276-12-31 23:59:59.999999' | "294276-12-31 23:59:59.999999"
postgres | timestamp     | '4714-11-24 00:00:00 BC'   | "4714-11-24 00:00:00 BC"
postgres | timestamp     | 'infinity'                 | "infinity"
postgres | timestamptz   | '-infinity'                | "-infinity"
postgres | timestamp     | '2024-07-01 12:00:00+02'::timestamptz AT TIME ZONE 'UTC' | "2024-07-01 10:00:00"
postgres | interval      | '1 year 2 mons -3 days 04:05:06.7' | "1 year 2 mons -3 days +04:05:06.7"
postgres | interval      | '178956970 years 7 mons 2147483647 days 2562047788:00:54.775807' | "178956970 years 7 mons 2147483647 days 2562047788:00:54.775807"
postgres | interval      | '-178956970 years -8 mons -2147483648 days' | "-178956970 years -8 mons -2147483648 days"
postgres | bit(3)        | '101'                      | "101"
postgres | bit varying   | '0'                        | "0"
postgres | bit varying   | ''                         | ""
postgres | json          | '{"b": 1.10, "a": 123456789012345678901234567890}' | {"b": 1.10, "a": 123456789012345678901234567890}
postgres | json          | '{"a": 1, "a": "\u0000"}'  | {"a": 1, "a": "\u0000"}
postgres | jsonb         | '{"n": 1.10}'              | {"n": 1.10}
postgres | jsonb         | 'null'                     | null
postgres | jsonpath      | '$.a[*]'                   | "$.\"a\"[*]"
postgres | xml           | '<a b="1">é</a>'           | "<a b=\"1\">é</a>"
postgres | tsvector      | 'b:2 a:1A'                 | "'a':1A 'b':2"
postgres | tsquery       | 'a & !b'                   | "'a' & !'b'"
postgres | uuid          | '00112233-4455-6677-8899-AABBCCDDEEFF' | "00112233-4455-6677-8899-aabbccddeeff"
postgres | inet          | '10.0.0.1/8'               | "10.0.0.1/8"
postgres | inet          | '::ffff:1.2.3.4'           | "::ffff:1.2.3.4"
postgres | cidr          | '10.0.0.0/8'               | "10.0.0.0/8"
postgres | macaddr8      | '08:00:2b:01:02:03:04:05'  | "08:00:2b:01:02:03:04:05"
postgres | pg_lsn        | '16/B374D848'              | "16/B374D848"
postgres | int4range     | '[1,5)'                    | "[1,5)"
postgres | numrange      | '(,1.50]'                  | "(,1.50]"
postgres | daterange     | 'empty'                    | "empty"
postgres | int4multirange | '{[1,3),[5,8)}'           | "{[1,3),[5,8)}"
postgres | int4range[]   | '{"[1,3)"}'                | ["[1,3)"]
postgres | integer[]     | ARRAY[1, NULL, 3]          | [1,null,3]
postgres | integer[]     | '{}'                       | []
postgres | integer[]     | '[2:3]={1,2}'              | "[2:3]={1,2}"
postgres | text[]        | ARRAY[['a', 'b c'], ['NULL', '']] | [["a","b c"],["NULL",""]]
postgres | numeric[]     | '{1.10,NaN}'               | ["1.10","NaN"]
postgres | bytea[]       | ARRAY['\x00ff'::bytea]     | ["\\x00ff"]
postgres | mood          | 'ok'                       | "ok"
postgres | mood[]        | '{ok,NULL,"not ok"}'       | ["ok",null,"not ok"]
postgres | positive      | 7                          | 7
postgres | positive[]    | '{7,8}'                    | ["7","8"]
postgres | pair          | (1, 'x y')                 | "(1,\"x y\")"
postgres | pair[]        | ARRAY[(1, NULL)::pair]     | ["(1,)"]
postgres | point         | '(1,2)'                    | "(1,2)"
postgres | box[]         | '{(1,1),(0,0);(3,3),(2,2)}' | "{(1,1),(0,0);(3,3),(2,2)}"
postgres | circle        | '<(1,2),3>'                | "<(1,2),3>"

mysql    | VARCHAR(5)    | NULL                       | null
mysql    | VARCHAR(5)    | ''                         | ""
mysql    | TEXT          | 'a"\\\n😀'                 | "a\"\\\n😀"
mysql    | CHAR(3)       | 'a'                        | "a"
mysql    | VARCHAR(5) CHARACTER SET latin1 | 'é'      | "é"
mysql    | VARCHAR(5) CHARACTER SET latin1 | CONVERT(x'80ff' USING latin1) | "€ÿ"
mysql    | VARCHAR(5) CHARACTER SET sjis | CONVERT(x'8365' USING sjis) | "テ"
mysql    | VARCHAR(5) CHARACTER SET binary | x'c3a9'  | "\\xc3a9"
mysql    | BLOB          | x'00ff'                    | "\\x00ff"
mysql    | BINARY(3)     | x'ff'                      | "\\xff0000"
mysql    | VARBINARY(4)  | x'ff00'                    | "\\xff00"
mysql    | BOOLEAN       | TRUE                       | 1
mysql    | MEDIUMINT UNSIGNED | 16777215              | 16777215
mysql    | BIGINT UNSIGNED | 18446744073709551615     | 18446744073709551615
mysql    | BIGINT        | -9223372036854775808       | -9223372036854775808
mysql    | INT(5) ZEROFILL | 42                       | "00042"
mysql    | DECIMAL(30,10) | 12345678901234567890.0123456789 | "12345678901234567890.0123456789"
mysql    | DECIMAL(65,30) | -99999999999999999999999999999999999.999999999999999999999999999999 | "-99999999999999999999999999999999999.999999999999999999999999999999"
mysql    | DOUBLE        | 0.1                        | 0.1
mysql    | DOUBLE        | 1e300                      | 1e300
mysql    | DOUBLE        | -1.7976931348623157e308    | -1.7976931348623157e308
mysql    | FLOAT         | 0.5                        | 0.5
mysql    | BIT(3)        | b'101'                     | "101"
mysql    | BIT(9)        | b'1'                       | "000000001"
mysql    | BIT(64)       | 9223372036854775809        | "1000000000000000000000000000000000000000000000000000000000000001"
mysql    | DATE          | '2024-02-29'               | "2024-02-29"
mysql    | DATE          | '9999-12-31'               | "9999-12-31"
mysql    | TIME          | '838:59:59'                | "838:59:59"
mysql    | TIME(3)       | '-838:59:58.999'           | "-838:59:58.999"
mysql    | DATETIME(6)   | '2024-02-29 12:00:00.123456' | "2024-02-29 12:00:00.123456"
mysql    | DATETIME      | '1000-01-01 00:00:00'      | "1000-01-01 00:00:00"
mysql    | YEAR          | 2024                       | 2024
mysql    | YEAR          | 0                          | "0000"
mysql    | ENUM('a','b') | 'b'                        | "b"
mysql    | SET('a','b')  | 'a,b'                      | "a,b"
mysql    | SET('a','b')  | ''                         | ""
mysql    | GEOMETRY      | ST_GeomFromText('POINT(1.5 -2)') | "POINT(1.5 -2)"
mysql    | GEOMETRY      | ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))') | "POLYGON((0 0,1 0,1 1,0 0))"
mysql    | GEOMETRY      | ST_GeomFromText('MULTIPOINT(0 0,2 1)') | "MULTIPOINT((0 0),(2 1))"
mysql    | GEOMETRY      | ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))') | "GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))"
mariadb  | JSON          | '{"b": 1.10, "a": 123456789012345678901234567890}' | "{\"b\": 1.10, \"a\": 123456789012345678901234567890}"
mariadb  | UUID          | '00112233-4455-6677-8899-AABBCCDDEEFF' | "00112233-4455-6677-8899-aabbccddeeff"
mariadb  | INET6         | '::ffff:10.0.0.1'          | "::ffff:10.0.0.1"
mariadb  | INET4         | '10.0.0.1'                 | "10.0.0.1"
"#;

/// Every value of `databases` in a table of its own column each, read back one by one.
fn come_as_they_are(place: &Place, databases: &[&str]) {
    let cases: Vec<[&str; 4]> = VALUES
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let fields: Vec<&str> = line.split(" | ").map(str::trim).collect();
            <[&str; 4]>::try_from(fields).unwrap_or_else(|_| panic!("{line}"))
        })
        .filter(|[database, ..]| databases.contains(database))
        .collect();
    assert!(cases.len() > 10);
    let list = |one: &dyn Fn(usize, &[&str; 4]) -> String| {
        let all: Vec<String> = cases.iter().enumerate().map(|(n, c)| one(n, c)).collect();
        all.join(", ")
    };
    let columns = list(&|n, [_, kind, ..]| format!("c{n} {kind}"));
    place.done(&[&format!("CREATE TABLE v ({columns})")]);
    let values = list(&|_, [_, _, value, _]| (*value).to_owned());
    place.done(&[&format!("INSERT INTO v VALUES ({values})")]);
    let mut others = Vec::new();
    for (n, [_, kind, value, expected]) in cases.iter().enumerate() {
        let found = place.value(&format!("SELECT c{n} FROM v"));
        if found != *expected {
            others.push(format!("{kind} {value}: {found}"));
        }
    }
    assert!(others.is_empty(), "{others:#?}");
    let (two, _) = place.rows("SELECT 1 AS a, 2 AS a, NULL AS b");
    assert_eq!(two["columns"][1]["key"], "a_2");
}

/// The marks of a result's only cell.
fn marks(place: &Place, sql: &str) -> Value {
    place.rows(sql).0["cell_types"].clone()
}

#[test]
fn sqlite_values_come_as_they_are() {
    let place = sqlite();
    come_as_they_are(&place, &["sqlite"]);
    let sql = "SELECT CAST(x'ff61' AS TEXT) AS v";
    assert_eq!(marks(&place, sql), json!([[0, 0, "invalid_utf8"]]));
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_values_come_as_they_are() {
    let place = postgres();
    place.done(&[
        "CREATE TYPE mood AS ENUM ('ok', 'not ok')",
        "CREATE TYPE pair AS (a integer, b text)",
        "CREATE DOMAIN positive AS integer CHECK (VALUE > 0)",
    ]);
    come_as_they_are(&place, &["postgres"]);
    assert_eq!(place.value("SELECT ROW(1, 'x') AS v"), "\"(1,x)\"");
    // Nested deeper than readers of JSON take it, it becomes text.
    let (open, close) = ("[".repeat(200), "]".repeat(200));
    let deep = format!("SELECT '{open}{close}'::json AS v");
    assert_eq!(place.value(&deep), format!("\"{open}{close}\""));
    let (typed, _) = place
        .rows("SELECT 'ok'::mood AS m, 1::numeric(5,2) AS n, '[1,2)'::int4range AS r WHERE false");
    let types: Vec<&Value> = (0..3).map(|n| &typed["columns"][n]["type"]).collect();
    assert_eq!(types, ["mood", "numeric", "int4range"]);
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn postgres_bytes_that_are_not_text_are_marked() {
    let place =
        postgres_made("ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    place.done(&["CREATE TABLE t (v TEXT)"]);
    place.done(&["INSERT INTO t VALUES (convert_from('\\xff61', 'SQL_ASCII'))"]);
    assert_eq!(place.value("SELECT v FROM t"), "\"\\\\xff61\"");
    assert_eq!(
        marks(&place, "SELECT v FROM t"),
        json!([[0, 0, "invalid_utf8"]])
    );
    // The first byte of a character alone.
    let place = postgres();
    let half = place.value("SELECT 'é'::\"char\" AS v");
    assert!(
        ["\"\\\\xc3\"", "\"\\\\303\""].contains(&half.as_str()),
        "{half}"
    );
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_values_come_as_they_are() {
    let place = mysql();
    let version = place.value("SELECT VERSION() AS v");
    match version.contains("MariaDB") {
        true => come_as_they_are(&place, &["mysql", "mariadb"]),
        false => come_as_they_are(&place, &["mysql"]),
    }
    place.done(&["CREATE TABLE w (d DATE, s DATETIME, p DATE)"]);
    let zero = "INSERT INTO w VALUES ('0000-00-00', '0000-00-00 00:00:00', '2024-00-00')";
    place.done(&["SET sql_mode = ''", zero]);
    for (column, json) in [
        ("d", "\"0000-00-00\""),
        ("s", "\"0000-00-00 00:00:00\""),
        ("p", "\"2024-00-00\""),
    ] {
        assert_eq!(place.value(&format!("SELECT {column} FROM w")), json);
    }
}

/// Half of a character of UTF-16, which UTF-8 does not have.
#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn mysql_bytes_that_are_not_text_are_marked() {
    let place = mysql();
    place.done(&["CREATE TABLE t (v VARCHAR(5) CHARACTER SET ucs2)"]);
    place.done(&["INSERT INTO t VALUES (CONVERT(x'D83D' USING ucs2))"]);
    assert_eq!(place.value("SELECT v FROM t"), "\"\\\\xeda0bd\"");
    assert_eq!(
        marks(&place, "SELECT v FROM t"),
        json!([[0, 0, "invalid_utf8"]])
    );
}
