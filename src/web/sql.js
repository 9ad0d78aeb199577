// SQL for reading: tokens with colours, line numbers, marks where findings are, hidden characters by their code.
import { exactly, h } from "./dom.js";

const KEYWORDS = new Set(
  ("add all alter analyze and any as asc begin between by call cascade case cast check collate column commit concurrently " +
    "conflict constraint create cross current_date current_timestamp database default delete desc distinct do drop each else " +
    "end engine escape except execute exists explain false fetch filter first for foreign from full function grant group having if " +
    "ignore ilike in index inner insert intersect into is join key language last lateral left like limit lock materialized merge " +
    "natural no not null nulls of offset on only or order outer over partition primary procedure references rename replace restrict " +
    "returning revoke right rollback row rows schema select sequence set show similar some start table temporary then to trigger " +
    "true truncate union unique unlogged update using values vacuum view when where window with without").split(" "),
);

const DIALECTS = ["postgresql", "mysql", "sqlite"];
const COMMENT_OF_POSTGRESQL = /[\r\n]|$/g;
const COMMENT = /\n|$/g;
/** `$$` or `$tag$`. */
const TAG = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y;
/** A comment of MySQL or MariaDB that runs, up to the version that it wants. */
const EXECUTABLE = /\/\*M?!\d{0,6}/y;
/** A parameter of SQLite, whose suffix in parentheses may hold quotes. */
const PARAMETER = /[$@:#](?:[\w$\u0080-\uffff]|::)+(?:\([^\t-\r )]*\)?)?/y;
const WORD = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y;
const NUMBER = /0x[0-9a-f]+|[0-9][0-9_]*(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?/iy;
/** What begins nothing but itself. */
const PLAIN = /[^][^\w'"`$#@:[\-/*\u0080-\uffff]*/y;

/**
 * The text as [kind, text] pairs: k keyword, s string, n number, c comment, q quoted name, p everything else.
 *
 * What might run is never shown as what does not. A dialect that is not known is all of them: what one of them reads in
 * another way is p. So is everything from where a version or a setting of the database decides how the text goes on.
 */
export function tokens(text, dialect) {
  return DIALECTS.includes(dialect) ? read(text, dialect) : agreed(text, DIALECTS.map((one) => read(text, one)));
}

/** The text cut where a reading cuts it, each piece of the kind that all give it. */
function agreed(text, readings) {
  const found = [];
  const heads = readings.map((reading) => ({ reading, next: 0, kind: "p", end: 0 }));
  for (let at = 0; at < text.length; ) {
    let end = text.length;
    for (const head of heads) {
      if (head.end === at) {
        const [kind, part] = head.reading[head.next];
        head.kind = kind;
        head.end += part.length;
        head.next += 1;
      }
      end = Math.min(end, head.end);
    }
    const { kind } = heads[0];
    found.push([heads.every((head) => head.kind === kind) ? kind : "p", text.slice(at, end)]);
    at = end;
  }
  return found;
}

/** The tokens of one dialect, by the rules of src/domain/sql/lex.rs; what is refused there is p here. */
function read(text, dialect) {
  const [postgresql, mysql, sqlite] = DIALECTS.map((one) => one === dialect);
  const found = [];
  let at = 0;
  // Where the executable comment that is open ends: a server that is too old for it reads no quotes up to there.
  let open = -1;
  // After an escape string, which may go on in the next line.
  let escaping = false;
  const take = (kind, end) => {
    const crosses = open >= 0 && end > open;
    const part = text.slice(at, crosses ? text.length : end);
    if (kind !== "c" && part.trim() !== "") escaping = false;
    found.push([crosses ? "p" : kind, part]);
    at += part.length;
  };
  const here = (pattern) => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    return match ? match[0] : "";
  };
  const closing = (quote, escapes) => {
    let i = at + 1;
    while (i < text.length) {
      if (escapes && text[i] === "\\") i += 2;
      else if (text[i] === quote && text[i + 1] === quote) i += 2;
      else if (text[i] === quote) return i + 1;
      else i += 1;
    }
    return text.length;
  };
  const after = (words, from) => {
    const end = text.indexOf(words, from);
    return end < 0 ? text.length : end + words.length;
  };
  while (at < text.length) {
    const c = text[at];
    if (at === open) {
      open = -1;
      take("p", at + 2);
    } else if ((mysql && c === "#") || (text.startsWith("--", at) && (!mysql || opensComment(text.charCodeAt(at + 2))))) {
      const end = postgresql ? COMMENT_OF_POSTGRESQL : COMMENT;
      end.lastIndex = at;
      take("c", end.exec(text).index);
    } else if (mysql && here(EXECUTABLE)) {
      const end = text.indexOf("*/", at);
      if (text.slice(at + 2, end < 0 ? text.length : end).includes("/*")) take("p", text.length);
      else take("p", at + here(EXECUTABLE).length);
      open = end < at ? -1 : end;
    } else if (text.startsWith("/*", at)) {
      // A hint changes how a statement runs, and what may be set by it.
      take(text[at + 2] === "+" ? "p" : "c", postgresql ? nested(text, at) : after("*/", at + 2));
    } else if (c === "'") {
      const isEscape = postgresql && found.length > 0 && /^e$/i.test(found[found.length - 1][1]);
      if (escaping) take("p", text.length);
      else take("s", closing(c, mysql || isEscape));
      escaping = isEscape;
    } else if (c === '"' || (c === "`" && !postgresql)) {
      take(mysql && c === '"' ? "s" : "q", closing(c, mysql && c === '"'));
    } else if (sqlite && c === "[") {
      take("q", after("]", at));
    } else if (sqlite && here(PARAMETER)) {
      take("p", at + here(PARAMETER).length);
    } else if (postgresql && here(TAG)) {
      take("s", after(here(TAG), at + here(TAG).length));
    } else if (here(WORD)) {
      take(KEYWORDS.has(here(WORD).toLowerCase()) ? "k" : "p", at + here(WORD).length);
    } else if (here(NUMBER)) {
      take("n", at + here(NUMBER).length);
    } else take("p", at + here(PLAIN).length);
  }
  return found;
}

/** Whether MySQL takes two dashes for a comment before a character of this code, or before the end, which has none. */
function opensComment(code) {
  return !(code > 32) || code === 127;
}

/** Where a comment that may hold others ends. */
function nested(text, from) {
  let depth = 0;
  let i = from;
  do {
    const step = text.startsWith("/*", i) ? 1 : text.startsWith("*/", i) ? -1 : 0;
    depth += step;
    i += step ? 2 : 1;
  } while (depth > 0 && i < text.length);
  return i;
}

function coloured(kind, text) {
  return kind === "p" ? exactly(text) : h("span", { class: `t-${kind}` }, exactly(text));
}

/** One line for a list: blanks and line ends folded, each read as what it was before. A CR alone stays, to be marked. */
export function line(text, dialect) {
  const whole = text.replaceAll("\r\n", "\n").replace(/^[ \t\n]+|[ \t\n]+$/g, "");
  return tokens(whole, dialect).map(([kind, part]) => coloured(kind, part.replace(/[ \t\n]+/g, " ")));
}

/** The place of a finding as an offset in the text: the server counts bytes of UTF-8. */
function place(text, offset) {
  return new TextDecoder().decode(new TextEncoder().encode(text).slice(0, offset)).length;
}

/** The whole text as numbered lines. Where findings are, the token is marked; of one of several lines, theirs. */
export class SqlText extends HTMLElement {
  show(text, { dialect = "", findings = [] } = {}) {
    // What is missing at the end is marked at the last character.
    const last = text.trimEnd().length - 1;
    const marks = findings.filter((f) => Number.isInteger(f.offset)).map((f) => ({ at: Math.min(place(text, f.offset), last), finding: f }));
    const lines = [[]];
    let at = 0;
    for (const [kind, part] of tokens(text, dialect)) {
      let end = at - 1;
      part.split("\n").forEach((whole, i) => {
        if (i > 0) lines.push([]);
        const start = end + 1;
        end += 1 + whole.length;
        // CR and LF together are the end of a line, and nothing to mark.
        const piece = whole.endsWith("\r") && text[end] === "\n" ? whole.slice(0, -1) : whole;
        if (piece === "") return;
        const hits = marks.filter((m) => m.at >= start && m.at < start + piece.length);
        const node = coloured(kind, piece);
        const row = lines[lines.length - 1];
        row.push(hits.length ? h("mark", { class: "finding-mark", title: hits.map((m) => m.finding.message).join("; ") }, node) : node);
      });
      at += part.length;
    }
    const shown = lines.slice(0, 5000);
    this.replaceChildren(
      h(
        "pre",
        { class: "sql", tabindex: "0", "aria-label": "SQL text" },
        shown.map((row, i) => h("span", { class: "sql-line" }, h("span", { class: "sql-no", "aria-hidden": "true" }, i + 1), h("code", null, row, "\n"))),
      ),
    );
    if (text.includes("\r\n")) this.append(h("p", { class: "note" }, "Its lines end with CR LF."));
    if (lines.length > shown.length) {
      this.append(h("p", { class: "banner warn" }, `The first ${shown.length} of ${lines.length} lines are shown here. Copy the text to read all of it.`));
    }
    return this;
  }
}
customElements.define("dbw-sql", SqlText);
