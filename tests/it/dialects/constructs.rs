//! Texts that dialects cut into tokens differently, each in a construct of its own.

/// PostgreSQL nests comments and sees an UPDATE; SQLite and MySQL see the DROP TABLE.
pub(super) const NESTED: &str = "/* /* */ DROP TABLE secret -- */ UPDATE t SET a=1 WHERE id=1";
pub(super) const HASH: &str = "UPDATE t SET a = 1 # 2\n WHERE id = 1";
/// One text for each construct that dialects cut into tokens differently.
pub(crate) const CONSTRUCTS: &[(&str, &str)] = &[
    ("nested comment", NESTED),
    (
        "nested comment over two lines",
        "/* /* */ DROP TABLE secret; /* */ */\nUPDATE t SET a = 1 WHERE id = 1",
    ),
    (
        "nested comment that is not closed",
        "/* /* */ UPDATE t SET a = 1 WHERE id = 1",
    ),
    (
        "`--` without a space",
        "UPDATE t SET a = 5--1 WHERE id = 1\n WHERE id = 1",
    ),
    ("`--` before a line", "SELECT 1 --1\n+ 1"),
    ("hash comment", "SELECT 1 # DELETE FROM t\n"),
    ("hash operator", HASH),
    (
        "backslash in a string",
        "UPDATE t SET a = '\\' WHERE id = 1 OR ''; DELETE FROM t; -- '",
    ),
    (
        "backslash and quote",
        "UPDATE t SET a = 'x\\'' WHERE id = 1",
    ),
    ("dollar quotes", "SELECT $$ ; DELETE FROM t; $$"),
    ("tagged dollar quotes", "SELECT $a$ ' $a$, ' $a$ '"),
    ("backticks", "SELECT `a; DELETE FROM t; ` FROM t"),
    ("brackets", "SELECT [a; DELETE FROM t; ] FROM t"),
    (
        "executable comment",
        "UPDATE t SET a = 1 WHERE id = 1 /*! OR 1 = 1 */",
    ),
    (
        "doubled quotes in a name",
        "SELECT \"a\"\"; DELETE FROM t; \" FROM t",
    ),
    (
        "string of double quotes",
        "UPDATE t SET a = \"b\" WHERE id = \"c\\\" OR 1 = 1 -- \"",
    ),
    (
        "escape string",
        "UPDATE t SET a = E'\\' WHERE id = 1 OR '' = ''; DELETE FROM secret; -- '",
    ),
    (
        "escape string over two lines",
        "UPDATE t SET a = E'x'\n'\\' WHERE id = 1 OR '' = ' -- '",
    ),
    ("unicode string", "UPDATE t SET a = U&'\\0027' WHERE id = 1"),
    (
        "unicode string with its own escape",
        "UPDATE t SET a = U&'!0061' UESCAPE '!' WHERE id = 1",
    ),
    (
        "unicode name",
        "UPDATE t SET U&\"\\0061\" = '1' WHERE id = 1",
    ),
    (
        "quotes of Oracle",
        "UPDATE t SET a = q'[' WHERE id = 1 -- ]'",
    ),
    (
        "national string",
        "UPDATE t SET a = N'\\' WHERE id = 1 OR '' = ''; DELETE FROM secret; -- '",
    ),
    ("hex string", "UPDATE t SET a = x'31' WHERE id = 1"),
    ("bit string", "UPDATE t SET a = b'0' WHERE id = 1"),
    (
        "introducer of a string",
        "UPDATE t SET a = _utf8mb4'\\' WHERE id = 1 OR ''; DELETE FROM secret; -- '",
    ),
    (
        "string over two lines",
        "UPDATE t SET a = 'x'\n'y' WHERE id = 1",
    ),
    ("`--+`", "UPDATE t SET a = 1 --+ 1\n WHERE id = 1"),
    ("hint", "UPDATE /*+ NO_MERGE(t) */ t SET a = 1 WHERE id = 1"),
    (
        "executable comment in another",
        "UPDATE t SET a = 1 /*!50000 , id = 2 /*! , id = 3 */ */ WHERE id = 1",
    ),
    (
        "executable comment in a comment",
        "UPDATE t SET a = 1 /* /*! */ WHERE id = 1 -- */",
    ),
    (
        "executable comment of MariaDB",
        "UPDATE t SET a = 1 WHERE id = 1 /*M! OR 1 = 1 */",
    ),
    (
        "executable comment of MariaDB with a version",
        "UPDATE t SET a = 1 WHERE id = 1 /*M!100100 OR 1 = 1 */",
    ),
    (
        "executable comment of far versions",
        "UPDATE t SET a = 1 /*!999999 WHERE id = 1 */",
    ),
    (
        "almost an executable comment",
        "UPDATE t SET a = 1 WHERE id = 1 /* ! OR 1 = 1 */",
    ),
    (
        "comment that never ends",
        "UPDATE t SET a = 1 WHERE id = 1 /* OR",
    ),
    ("end of no comment", "UPDATE t SET a = 1 WHERE id = 1 */ 1"),
    ("cast", "UPDATE t SET a = '1'::text WHERE id = 1"),
    ("`?` as an operator", "SELECT '{}'::jsonb ? 'a'"),
    ("no-break space", "UPDATE t SET\u{a0}a = 1 WHERE id = 1"),
    (
        "no-break space after dashes",
        "UPDATE t SET a = 5--\u{a0}1\n WHERE id = 1",
    ),
    (
        "ideographic space",
        "UPDATE t SET a = 1\u{3000}WHERE id = 1",
    ),
    (
        "next line in a comment",
        "UPDATE t SET a = 1 -- x\u{85} WHERE id = 1",
    ),
    (
        "line separator in a comment",
        "UPDATE t SET a = 1 -- x\u{2028} WHERE id = 1",
    ),
    ("byte order mark", "\u{feff}UPDATE t SET a = 1 WHERE id = 1"),
    ("vertical tab", "UPDATE t SET a = 1\u{b}WHERE id = 1"),
    (
        "vertical tab after dashes",
        "UPDATE t SET a = 5--\u{b}1\n WHERE id = 1",
    ),
    ("form feed", "UPDATE t SET a = 1\u{c}WHERE id = 1"),
    (
        "form feed in a comment",
        "UPDATE t SET a = 1 -- x\u{c} WHERE id = 1",
    ),
    (
        "control character after dashes",
        "UPDATE t SET a = 5--\u{1}1\n WHERE id = 1",
    ),
    (
        "carriage return in a comment",
        "UPDATE t SET a = 1 -- x\r WHERE id = 1",
    ),
    (
        "carriage return in a hash comment",
        "UPDATE t SET a = 1 # x\r WHERE id = 1",
    ),
    (
        "backslash at the end of a comment",
        "UPDATE t SET a = 1 -- x \\\n WHERE id = 1",
    ),
    (
        "backslash before a quote of a name",
        "UPDATE t SET a = `a\\` WHERE id = 1 -- `",
    ),
    ("doubled backtick", "SELECT `a``; DELETE FROM t; ` FROM t"),
    ("doubled bracket", "SELECT [a]]; DELETE FROM t; ] FROM t"),
    (
        "dollars in a name",
        "UPDATE t SET a = 1 WHERE id$$ = 1; DELETE FROM secret; -- $$",
    ),
    (
        "dollars after a number",
        "UPDATE t SET a = 1$$ WHERE id = 1 -- $$",
    ),
    (
        "dollars in an expression",
        "UPDATE t SET a = $$ WHERE id = 1 -- $$",
    ),
    (
        "dollar quotes in dollar quotes",
        "SELECT $a$ $b$ ; DELETE FROM t; $b$ $a$",
    ),
    ("number and word", "UPDATE t SET a = 1WHERE id = 1"),
    (
        "exponent and dashes",
        "UPDATE t SET a = 1e--1 WHERE id = 1\n WHERE id = 1",
    ),
    ("null of MySQL", "UPDATE t SET a = \\N WHERE id = 1"),
    (
        "quoted variable",
        "UPDATE t SET a = @`x; DELETE FROM secret; ` WHERE id = 1",
    ),
    (
        "variable that is a string",
        "UPDATE t SET a = @'x\\'; DELETE FROM secret; -- ' WHERE id = 1",
    ),
    ("parameter of SQLite", "SELECT $a::b(; DELETE FROM t; )"),
    (
        "operator before a comment",
        "UPDATE t SET a = 5 +-- 1\n 1 WHERE id = 1",
    ),
    (
        "operator before a block comment",
        "UPDATE t SET a = 5 +/* 1 */ 1 WHERE id = 1",
    ),
];
