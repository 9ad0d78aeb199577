// SQL for reading: tokens with colours, line numbers, marks where findings are, hidden characters by their code.
import { h } from "./dom.js";

const KEYWORDS = new Set(
  ("add all alter analyze and any as asc begin between by call cascade case cast check collate column commit concurrently " +
    "conflict constraint create cross current_date current_timestamp database default delete desc distinct do drop each else " +
    "end engine escape except execute exists explain false fetch filter first for foreign from full function grant group having if " +
    "ignore ilike in index inner insert intersect into is join key language last lateral left like limit lock materialized merge " +
    "natural no not null nulls of offset on only or order outer over partition primary procedure references rename replace restrict " +
    "returning revoke right rollback row rows schema select sequence set show similar some start table temporary then to trigger " +
    "true truncate union unique unlogged update using values vacuum view when where window with without").split(" "),
);

/** The text as [kind, text] pairs: k keyword, s string, n number, c comment, q quoted name, p everything else. */
export function tokens(text, dialect) {
  const mysql = dialect === "mysql";
  const found = [];
  let at = 0;
  const take = (kind, end) => {
    found.push([kind, text.slice(at, end)]);
    at = end;
  };
  const closing = (quote, from, escapes) => {
    let i = from;
    while (i < text.length) {
      if (escapes && text[i] === "\\") i += 2;
      else if (text[i] === quote && text[i + 1] === quote) i += 2;
      else if (text[i] === quote) return i + 1;
      else i += 1;
    }
    return text.length;
  };
  while (at < text.length) {
    const c = text[at];
    const rest = text.slice(at, at + 2);
    if (rest === "--" || (mysql && c === "#")) {
      const end = text.indexOf("\n", at);
      take("c", end < 0 ? text.length : end);
    } else if (rest === "/*") {
      let depth = 1;
      let i = at + 2;
      while (i < text.length && depth > 0) {
        if (text.startsWith("*/", i)) {
          depth -= 1;
          i += 2;
        } else if (dialect === "postgresql" && text.startsWith("/*", i)) {
          depth += 1;
          i += 2;
        } else i += 1;
      }
      take("c", i);
    } else if (c === "'") {
      const escaped = mysql || (found.length > 0 && /^e$/i.test(found[found.length - 1][1]));
      take("s", closing("'", at + 1, escaped));
    } else if (c === '"' || c === "`") {
      take(mysql && c === '"' ? "s" : "q", closing(c, at + 1, false));
    } else if (c === "$" && dialect !== "mysql" && /^\$(?:[A-Za-z_]\w*)?\$/.test(text.slice(at, at + 70))) {
      const tag = /^\$(?:[A-Za-z_]\w*)?\$/.exec(text.slice(at, at + 70))[0];
      const end = text.indexOf(tag, at + tag.length);
      take("s", end < 0 ? text.length : end + tag.length);
    } else if (/[A-Za-z_\u0080-\uffff]/.test(c)) {
      let end = at + 1;
      while (end < text.length && /[\w$\u0080-\uffff]/.test(text[end])) end += 1;
      take(KEYWORDS.has(text.slice(at, end).toLowerCase()) ? "k" : "p", end);
    } else if (/[0-9]/.test(c)) {
      const digits = /^(?:0x[0-9a-f]+|[0-9][0-9_]*(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)/i.exec(text.slice(at, at + 100))[0];
      take("n", at + digits.length);
    } else {
      let end = at + 1;
      while (end < text.length && /[^\w'"`$#\-/\u0080-\uffff]/.test(text[end])) end += 1;
      take("p", end);
    }
  }
  return found;
}

function coloured(kind, text) {
  return kind === "p" ? text : h("span", { class: `t-${kind}` }, text);
}

/** One line for a list: blanks and line ends folded. */
export function line(text, dialect) {
  const flat = text.slice(0, 400).replace(/\s+/g, " ").trim();
  return tokens(flat, dialect).map(([kind, part]) => coloured(kind, part));
}

/** The place of a finding as an offset in the text: the server counts bytes of UTF-8. */
function place(text, offset) {
  return new TextDecoder().decode(new TextEncoder().encode(text).slice(0, offset)).length;
}

/** The whole text as numbered lines, the first token at each finding marked. */
export class SqlText extends HTMLElement {
  show(text, { dialect = "", findings = [] } = {}) {
    const marks = findings.filter((f) => Number.isInteger(f.offset)).map((f) => ({ at: place(text, f.offset), finding: f }));
    const lines = [[]];
    let at = 0;
    for (const [kind, part] of tokens(text, dialect)) {
      const hit = marks.find((m) => m.at >= at && m.at < at + part.length);
      part.split("\n").forEach((piece, i) => {
        if (i > 0) lines.push([]);
        if (piece === "") return;
        const node = coloured(kind, piece);
        const row = lines[lines.length - 1];
        row.push(hit && i === 0 ? h("mark", { class: "finding-mark", title: hit.finding.message }, node) : node);
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
    if (lines.length > shown.length) {
      this.append(h("p", { class: "banner warn" }, `The first ${shown.length} of ${lines.length} lines are shown here. Copy the text to read all of it.`));
    }
    return this;
  }
}
customElements.define("dbw-sql", SqlText);
