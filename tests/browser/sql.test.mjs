// How the console reads SQL, by Node.js alone: what might run is never shown as a comment, a string or a name.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Element, script } from "./bare.mjs";

const { h } = await script("dom.js");
const { SqlText, line, tokens } = await script("sql.js");

const KNOWN = ["postgresql", "mysql", "sqlite"];
const UNKNOWN = ["", "any", "unknown", undefined];

/** The pieces that are shown as something that does not run by itself, neighbours of a kind as one. */
function marked(pairs) {
  const found = [];
  let last = "";
  for (const [kind, part] of pairs) {
    if (!"csq".includes(kind)) last = "";
    else if (kind === last) found[found.length - 1] += part;
    else found.push(`${kind} ${part}`);
    last = "csq".includes(kind) ? kind : "";
  }
  return found;
}

/** A text, and for each dialect (`unknown` for those that are not known) what is marked in it. */
const CASES = [
  ["backslashes escape in both strings of MySQL", String.raw`SET a = "\" -- ", b = 1`, { mysql: [String.raw`s "\" -- "`], postgresql: [String.raw`q "\"`, 'c -- ", b = 1'], unknown: [] }],
  ["a string of MySQL that ends in a backslash goes on", String.raw`SELECT 'a\', ' -- x`, { mysql: [String.raw`s 'a\', '`, "c -- x"], postgresql: [String.raw`s 'a\'`, "s ' -- x"], unknown: [String.raw`s 'a\'`, "s '"] }],
  ["two dashes subtract in MySQL unless something blank follows", "SET a = 5--1, b = 2", { mysql: [], postgresql: ["c --1, b = 2"], sqlite: ["c --1, b = 2"], unknown: [] }],
  ["two dashes and a blank are a comment everywhere", "SELECT 1 -- x\nFROM t", { postgresql: ["c -- x"], mysql: ["c -- x"], sqlite: ["c -- x"], unknown: ["c -- x"] }],
  ["so are two dashes and a control character, and two at the end", "SELECT 1 --\u0001x\n--", { mysql: ["c --\u0001x", "c --"], unknown: ["c --\u0001x", "c --"] }],
  ["a carriage return ends a comment of PostgreSQL", "SELECT 1 -- x\rDELETE FROM t", { postgresql: ["c -- x"], mysql: ["c -- x\rDELETE FROM t"], unknown: ["c -- x"] }],
  ["a number sign opens a comment in MySQL alone", "SELECT 1 # 'x'", { mysql: ["c # 'x'"], postgresql: ["s 'x'"], unknown: [] }],
  ["comments nest in PostgreSQL alone", "/* a /* b */ DELETE */ x", { postgresql: ["c /* a /* b */ DELETE */"], mysql: ["c /* a /* b */"], sqlite: ["c /* a /* b */"], unknown: ["c /* a /* b */"] }],
  ["executable comments of MySQL are code", "/*!50000 DELETE FROM t WHERE a = 'x' */ -- y", { mysql: ["s 'x'", "c -- y"], postgresql: ["c /*!50000 DELETE FROM t WHERE a = 'x' */", "c -- y"], unknown: ["c -- y"] }],
  ["those of MariaDB are too", "/*M! DELETE FROM t */ -- y", { mysql: ["c -- y"], unknown: ["c -- y"] }],
  ["an older server reads no quotes in one", "/*!99999 ' */ DELETE FROM t -- '", { mysql: [], unknown: [] }],
  ["nor a comment in one", "/*! -- x */ DELETE FROM t", { mysql: [], unknown: [] }],
  ["what opens another comment in one leaves all open", "/*! '/*' */ ' */ DELETE FROM t -- '", { mysql: [], unknown: [] }],
  ["an executable comment ends before a comment that follows at once", "SELECT /*! 5 */* 3", { mysql: [], unknown: [] }],
  ["hints set what a statement runs with", "SELECT /*+ SET_VAR(a = 1) */ 1", { mysql: [], postgresql: [], unknown: [] }],
  ["brackets quote a name in SQLite", "SELECT [a'b], 'c'", { sqlite: ["q [a'b]", "s 'c'"], unknown: ["s '", "s '"] }],
  ["brackets are code elsewhere", "SELECT a['b']", { postgresql: ["s 'b'"], mysql: ["s 'b'"], unknown: [] }],
  ["dollars quote in PostgreSQL alone", "SELECT $a$ -- x $a$ FROM t", { postgresql: ["s $a$ -- x $a$"], mysql: ["c -- x $a$ FROM t"], sqlite: ["c -- x $a$ FROM t"], unknown: [] }],
  ["with tags of any letters and any length", `SELECT $é${"x".repeat(90)}$ -- $é${"x".repeat(90)}$`, { postgresql: [`s $é${"x".repeat(90)}$ -- $é${"x".repeat(90)}$`] }],
  ["dollars within a word are part of it", "SELECT a$$ -- $$", { postgresql: ["c -- $$"] }],
  ["escape strings are PostgreSQL's", String.raw`SELECT e'\' -- '`, { postgresql: [String.raw`s '\' -- '`], sqlite: [String.raw`s '\'`, "c -- '"], unknown: [String.raw`s '\'`] }],
  ["an escape string that goes on in the next line leaves all open", "SELECT e'a'\n'\\' -- '", { postgresql: ["s 'a'"] }],
  ["backticks are an operator of PostgreSQL", "SELECT `a -- x`", { postgresql: ["c -- x`"], mysql: ["q `a -- x`"], sqlite: ["q `a -- x`"], unknown: [] }],
  ["a parameter of SQLite may hold a quote", "SELECT $a('), 1 -- '", { sqlite: ["c -- '"], unknown: [] }],
  ["doubled quotes stay inside", `SELECT 'a''b', "c""d"`, { postgresql: ["s 'a''b'", 'q "c""d"'], mysql: ["s 'a''b'", 's "c""d"'], sqlite: ["s 'a''b'", 'q "c""d"'], unknown: ["s 'a''b'"] }],
  ["what does not end is marked to the end", "SELECT 'a", { postgresql: ["s 'a"], mysql: ["s 'a"], sqlite: ["s 'a"], unknown: ["s 'a"] }],
];

for (const [claim, text, expected] of CASES) {
  test(claim, () => {
    for (const [name, pieces] of Object.entries(expected)) {
      for (const dialect of name === "unknown" ? UNKNOWN : [name]) assert.deepEqual(marked(tokens(text, dialect)), pieces, `${dialect}: ${text}`);
    }
  });
}

test("keywords and numbers have their kinds in every dialect", () => {
  for (const dialect of [...KNOWN, ...UNKNOWN]) {
    const found = tokens("SELECT id FROM t WHERE n = 1.5", dialect).filter(([, part]) => part.trim() !== "");
    assert.deepEqual(found.map(([kind, part]) => `${kind} ${part.trim()}`), ["k SELECT", "p id", "k FROM", "p t", "k WHERE", "p n", "p =", "n 1.5"], String(dialect));
  }
});

/** Texts of pieces that begin, end and escape something, the same at every run. */
function* made(count) {
  const pieces = ["'", '"', "`", "[", "]", "$", "$$", "$a$", "\\", "--", "-- ", "#", "/*", "*/", "/*!", "/*M!", "/*!50000", "/*+", "\n", "\r", " ", "e", "E'", "1", "a", "(", ")", "@", ":", "é", ";", "*", "-"];
  let seed = 1;
  const next = (below) => {
    seed = (seed * 48271) % 2147483647;
    return seed % below;
  };
  for (let i = 0; i < count; i += 1) yield Array.from({ length: 1 + next(14) }, () => pieces[next(pieces.length)]).join("");
}

test("no text loses a character, and an unknown dialect marks only what all three mark in the same way", () => {
  for (const text of made(5000)) {
    const kinds = (dialect) => tokens(text, dialect).flatMap(([kind, part]) => [...Array(part.length)].map(() => kind));
    const known = KNOWN.map(kinds);
    for (const dialect of [...KNOWN, ""]) assert.equal(tokens(text, dialect).map(([, part]) => part).join(""), text, dialect);
    kinds("").forEach((kind, i) => kind !== "p" && assert.deepEqual(known.map((one) => one[i]), [kind, kind, kind], `at ${i} of ${JSON.stringify(text)}`));
  }
});

test("a list folds the line ends after it has read them", () => {
  const shown = line("  -- a note\n  DELETE  FROM t\r\n", "mysql");
  assert.deepEqual(
    shown.map((part) => (part instanceof Element ? [part.className, part.textContent] : part)).filter((part) => part !== " "),
    [["t-c", "-- a note"], ["t-k", "DELETE"], ["t-k", "FROM"], "t"],
  );
  assert.equal(shown.map((part) => part.textContent ?? part).join(""), "-- a note DELETE FROM t");
});

test("a list shows what stands after many blanks", () => {
  assert.match(line(`SELECT 1;${" ".repeat(900)}DELETE FROM t`, "").map((part) => part.textContent ?? part).join(""), /^SELECT 1; DELETE FROM t$/);
});

test("every finding is marked on its own line, of one token too, and at the end of the text", () => {
  const sql = "SELECT 'a\nb\nc' FROM t -- x\n";
  const at = (words) => new TextEncoder().encode(sql.slice(0, sql.indexOf(words))).length;
  const finding = (message, offset) => ({ message, offset });
  const shown = new SqlText().show(sql, { findings: [finding("second line", at("b\n")), finding("of t", at("t --")), finding("of t too", at("t --")), finding("at the end", sql.length)] });
  const marks = shown.all("mark").map((mark) => [mark.attributes.title, mark.textContent]);
  assert.deepEqual(marks, [["second line", "b"], ["of t; of t too", "t"], ["at the end", "-- x"]]);
  assert.deepEqual(shown.all("code").map((one) => one.all("mark").length), [0, 1, 2, 0]);
});

/** The lines of a text as they are numbered, and the codes that are marked in it. */
function numbered(text, dialect) {
  const shown = new SqlText().show(text, { dialect });
  const codes = shown.all("span").filter((one) => one.className === "hidden-char");
  return { lines: shown.all("code").map((one) => one.textContent), codes: codes.map((one) => one.textContent), all: shown.textContent };
}

test("CR LF ends a line and is said once, and a CR alone is marked", () => {
  for (const dialect of [...KNOWN, ""]) {
    const ordinary = numbered("SELECT 'a\r\nb' -- x\r\n/* y\r\n */ FROM t\r\n", dialect);
    assert.deepEqual(ordinary.lines, ["SELECT 'a\n", "b' -- x\n", "/* y\n", " */ FROM t\n", "\n"], dialect);
    assert.deepEqual(ordinary.codes, []);
    assert.match(ordinary.all, /Its lines end with CR LF\.$/);
    const alone = numbered("SELECT 1 -- x\rDELETE FROM t\r\r\n", dialect);
    assert.deepEqual(alone.codes, ["U+000D", "U+000D"], dialect);
    assert.match(alone.lines[0], /U\+000DDELETE FROM tU\+000D\n$/);
    assert.doesNotMatch(numbered("SELECT 1\n", dialect).all, /CR LF/);
    const listed = h("code", null, line("SELECT 1 -- x\rDELETE FROM t\r\nWHERE a\r\n", dialect)).textContent;
    assert.equal(listed, "SELECT 1 -- xU+000DDELETE FROM t WHERE a", dialect);
  }
});
