// The result of an execution: a table that scrolls through any number of rows, downloads, a simple chart.
import { exactly, exactlyPlain, fill, h, number, plural, s, when } from "./dom.js";
import { download, get, query } from "./api.js";
import { card, copy, empty, notice, pill, problem, save } from "./parts.js";

const ROW = 28;
/** Widths of columns, in pixels: of a character, of what stands around one, and bounds of the whole. */
const [CHARACTER, AROUND, NARROW, WIDE] = [7.9, 22, 72, 300];
/** Rows that widths are taken from. */
const MEASURED = 200;
const NUMERIC = /int|float|double|real|numeric|decimal|number/i;

/** Executions that are listed, the newest first. */
const EXECUTIONS_MAX = 20;
/** What is drawn of a table: bars, points of a line or dots. */
const [BARS_MAX, POINTS_MAX] = [60, 1000];

/** Rows drawn only where they are seen. */
export class ResultGrid extends HTMLElement {
  show(given, rows) {
    const columns = given.map((c) => ({ ...c, width: `${width(c, rows)}px` }));
    const head = h("div", { class: "grid-head", role: "row" }, h("div", { class: "grid-cell grid-no", role: "columnheader" }, "#"), columns.map((c) => wide(c, h("div", { class: `grid-cell${NUMERIC.test(c.type || "") ? " num" : ""}`, role: "columnheader", title: `${exactlyPlain(c.name)}${c.type ? ` (${c.type})` : ""}` }, exactly(c.name)))));
    const body = h("div", { role: "rowgroup" });
    body.style.height = `${rows.length * ROW}px`;
    body.style.width = `${columns.reduce((sum, c) => sum + parseFloat(c.width), 64)}px`;
    let drawn = "";
    const draw = () => {
      const first = Math.max(0, Math.floor(this.scrollTop / ROW) - 10);
      const last = Math.min(rows.length, first + Math.ceil((this.clientHeight || 600) / ROW) + 20);
      if (drawn === `${first} ${last}`) return;
      drawn = `${first} ${last}`;
      fill(body, rows.slice(first, last).map((row, i) => gridRow(columns, row, first + i)));
    };
    this.setAttribute("role", "table");
    this.setAttribute("aria-rowcount", String(rows.length + 1));
    this.setAttribute("aria-label", "Result");
    this.tabIndex = 0;
    fill(this, head, body);
    this.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
    draw();
    requestAnimationFrame(() => ((drawn = ""), draw()));
    return this;
  }
}
customElements.define("dbw-grid", ResultGrid);

function gridRow(columns, row, index) {
  const line = h("div", { class: "grid-row", role: "row", "aria-rowindex": index + 2 }, h("div", { class: "grid-cell grid-no", role: "rowheader" }, index + 1), columns.map((c) => wide(c, cell(row[c.key], c))));
  line.style.top = `${index * ROW + ROW}px`;
  return line;
}

/** Pixels for the longest of a column's name and its first values. */
function width(column, rows) {
  const length = (value) => (value === null || value === undefined ? 4 : typeof value === "object" ? WIDE : Math.min(String(value).length, WIDE));
  const most = rows.slice(0, MEASURED).reduce((longest, row) => Math.max(longest, length(row[column.key])), String(column.name).length);
  return Math.min(WIDE, Math.max(NARROW, Math.ceil(most * CHARACTER + AROUND)));
}

function wide(column, cell) {
  cell.style.width = column.width;
  return cell;
}

function cell(value, column) {
  if (value === null || value === undefined) return h("div", { class: "grid-cell null", role: "cell" }, "NULL");
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  const kind = `grid-cell${NUMERIC.test(column.type || "") ? " num" : ""}`;
  if (text.length <= (WIDE - AROUND) / CHARACTER && !text.includes("\n")) return h("div", { class: kind, role: "cell" }, exactly(text));
  const open = h("button", { type: "button", title: "Open the whole value", onclick: () => whole(column.name, text) }, exactly(text.slice(0, 120)), text.length > 120 ? "…" : "");
  return h("div", { class: "grid-cell", role: "cell" }, open);
}

function whole(name, text) {
  const shown = text.slice(0, 200000);
  const value = [
    h("h2", null, name, " ", h("span", { class: "note" }, plural(text.length, "character"))),
    h("pre", { class: "plan" }, exactly(shown)),
    shown.length < text.length && h("p", { class: "banner warn" }, `The first ${number(shown.length)} characters are shown. Copy or download it to have all of it.`),
  ];
  notice(`Value of ${name}`, value, h("button", { class: "button", type: "button", onclick: () => copy(text, "Value") }, "Copy"));
}

/** The last execution of a request, with what it gave or how long it has run, and those before. */
export async function resultCard(request, signal) {
  const path = `/api/requests/${encodeURIComponent(request.id)}`;
  const { executions, results_readable: readable } = await get(`${path}/executions${query({ limit: EXECUTIONS_MAX })}`, { signal });
  const ran = executions[0];
  if (!ran) return null;
  if (ran.status === "claimed") return card("Execution", `attempt ${ran.attempt}`, h("p", null, h("strong", null, `Runs on ${ran.agent_id}`), ", since ", when(ran.started_at), "."), earlier(executions.slice(1)));
  // It waits to be run once more: what came of the last time is in the past.
  if (!["executed", "failed", "execution_lost", "cancelled"].includes(request.status)) return card("Executions", null, earlier(executions));
  const facts = [ran.agent_id, ran.duration_ms !== null ? `${number(ran.duration_ms)} ms` : null, ran.attempt > 1 ? `attempt ${ran.attempt}` : null].filter(Boolean).join(" · ");
  const parts = [];
  const before = earlier(executions.slice(1));
  if (ran.rows_affected !== null) parts.push(h("div", null, h("div", { class: "big" }, number(ran.rows_affected)), h("div", { class: "muted" }, ran.rows_affected === 1 ? "row changed" : "rows changed")));
  if (ran.error_message) parts.push(h("p", { class: "banner bad" }, ran.error_message));
  if (ran.error_detail) parts.push(h("p", { class: "muted" }, ran.error_detail));
  if (ran.outcome && ran.outcome !== "committed") parts.push(pill(ran.outcome === "unknown" ? "warn" : "muted", `outcome: ${ran.outcome.replaceAll("_", " ")}`));
  if (!ran.has_stored_result) return card("Result", facts, parts.length ? parts : empty("This execution left no result."), before);
  if (!readable) return card("Result", facts, parts, h("p", { class: "muted" }, "What it returned is shown to its requester and to those it is shared with."), before);
  let content;
  try {
    content = await get(`${path}/result/content?values=exact`, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return card("Result", facts, parts, problem(error), before);
  }
  const data = content.result_data;
  const sets = [data, ...((data && data.more_results) || [])];
  const outcome = h("div", { role: "status" });
  const kept = async (format, which) => {
    try {
      const { blob, name = `result.${format}` } = await download(`${path}/result/content${query({ format, result: which })}`);
      // Whether it was cut is in the server's name for it.
      save(blob, which ? name.replace(/(?=\.\w+$)/, `-${which}`) : name);
      fill(outcome);
    } catch (error) {
      if (error.name !== "AbortError") fill(outcome, problem(error));
    }
  };
  parts.push(outcome);
  const hasRows = sets.some((set) => set && Array.isArray(set.columns) && set.columns.length > 0);
  const several = sets.length > 1;
  const buttons = hasRows && [!several && h("button", { class: "button small", type: "button", onclick: () => kept("csv") }, "CSV"), h("button", { class: "button small", type: "button", onclick: () => kept("json") }, "JSON")];
  if (data && (data.truncated || content.truncated)) parts.push(h("p", { class: "banner warn" }, cutWords(data, sets)));
  for (const [i, set] of sets.entries()) {
    if (!set || !Array.isArray(set.columns) || !Array.isArray(set.rows)) continue;
    const chart = h("div");
    const columns = set.columns.map((c) => (typeof c === "string" ? { name: c, key: c } : c));
    const draws = chartKinds(columns, set.rows);
    parts.push(h("div", { class: "actions" }, h("span", { class: "muted" }, `${plural(set.rows.length, "row")}, ${plural(columns.length, "column")}`), set.rows.length > 0 && h("button", { class: "button small", type: "button", onclick: () => copy(tabbed(columns, set.rows), "Table") }, "Copy"), several && h("button", { class: "button small", type: "button", "aria-label": `CSV of table ${i + 1}`, onclick: () => kept("csv", i + 1) }, "CSV"), draws.map((kind) => h("button", { class: "button small", type: "button", onclick: () => fill(chart, draw(kind, columns, set.rows)) }, `Chart: ${kind}`))), chart);
    parts.push(set.rows.length ? document.createElement("dbw-grid").show(columns, set.rows) : empty("No rows."));
  }
  return card("Result", h("span", { class: "actions" }, h("span", null, facts), buttons), parts, before);
}

/** That a result was cut. Of several tables the agent says only that one was, not which. */
export function cutWords({ truncation_reason: reason, rows }, sets) {
  const why = reason ? ` (${reason})` : "";
  if (sets.length > 1) return `One of these ${sets.length} tables was cut${why}: it had more rows than are here.`;
  return `This result was cut${why}: ${plural((rows || []).length, "row")} of more are here.`;
}

/** Executions before the last one: when, by whom, and what came of each. */
function earlier(executions) {
  if (executions.length === 0) return null;
  const outcome = (one) => [one.status, one.outcome && one.outcome.replaceAll("_", " "), one.error_message].filter(Boolean).join(", ");
  const left = executions[executions.length - 1].attempt - 1;
  return [
    h("h3", { class: "label" }, "Earlier executions"),
    h("dl", { class: "pairs" }, executions.map((one) => h("div", null, h("dt", null, `Attempt ${one.attempt} on ${one.agent_id}, `, when(one.started_at)), h("dd", null, outcome(one))))),
    left > 0 && h("p", { class: "hint" }, `${plural(left, "attempt")} before these ${left === 1 ? "is" : "are"} not shown.`),
  ];
}

function tabbed(columns, rows) {
  const clean = (v) => (v === null || v === undefined ? "" : String(typeof v === "object" ? JSON.stringify(v) : v).replace(/[\t\n\r]/g, " "));
  return [columns.map((c) => clean(c.name)).join("\t"), ...rows.map((r) => columns.map((c) => clean(r[c.key])).join("\t"))].join("\n");
}

/** Whether a value is a number that can be drawn: neither NULL nor `NaN`, which may stand in a column of numbers. */
const isDrawn = (value) => ["number", "string"].includes(typeof value) && value !== "" && Number.isFinite(Number(value));

function numeric(columns, rows) {
  const seen = rows.slice(0, MEASURED);
  return columns.filter((c) => seen.some((r) => r[c.key] !== null) && seen.every((r) => r[c.key] === null || isDrawn(r[c.key])));
}

export function chartKinds(columns, rows) {
  if (rows.length < 2 || rows.length > 5000) return [];
  const numbers = numeric(columns, rows);
  if (numbers.length === 0) return [];
  const kinds = columns.length > numbers.length || numbers.length > 1 ? ["bar", "line"] : [];
  return numbers.length > 1 ? [...kinds, "scatter"] : kinds;
}

/** Bars or a line of the last numeric column by the first other one, or dots of the first two numeric ones. */
export function draw(kind, columns, rows) {
  const numbers = numeric(columns, rows);
  const y = kind === "scatter" ? numbers[1] : numbers[numbers.length - 1];
  const x = kind === "scatter" ? numbers[0] : columns.find((c) => c !== y);
  const most = kind === "bar" ? BARS_MAX : POINTS_MAX;
  const first = rows.slice(0, most);
  const shown = first.filter((r) => isDrawn(r[y.key]) && (kind !== "scatter" || isDrawn(r[x.key])));
  const lacking = first.length - shown.length;
  const values = shown.map((r) => Number(r[y.key]));
  const low = Math.min(0, ...values);
  const high = Math.max(0, ...values) || 1;
  const [width, height, left, bottom, top] = [640, 250, 84, 28, 18];
  const up = (v) => top + (height - bottom - top) * (1 - (v - low) / (high - low || 1));
  const xs = kind === "scatter" ? shown.map((r) => Number(r[x.key])) : shown.map((_, i) => i);
  const from = kind === "scatter" ? Math.min(...xs) : -0.5;
  const to = kind === "scatter" ? Math.max(...xs) : shown.length - 0.5;
  const across = (v) => left + ((width - left - 8) * (v - from)) / (to - from || 1);
  const marks = [];
  if (kind === "bar") {
    const wide = Math.max(1, ((width - left) / shown.length) * 0.7);
    values.forEach((v, i) => marks.push(s("rect", { class: "one", x: across(i) - wide / 2, y: Math.min(up(v), up(0)), width: wide, height: Math.max(0.5, Math.abs(up(v) - up(0))), rx: 1 }, s("title", null, exactlyPlain(`${shown[i][x.key]}: ${values[i]}`)))));
  } else if (kind === "line") marks.push(s("path", { class: "path", d: values.map((v, i) => `${i ? "L" : "M"}${across(i)} ${up(v)}`).join("") }));
  else values.forEach((v, i) => marks.push(s("circle", { class: "one", cx: across(xs[i]), cy: up(v), r: 3 })));
  const grid = [low, (low + high) / 2, high].map((v) => [s("line", { class: "axis", x1: left, x2: width, y1: up(v), y2: up(v) }), s("text", { x: left - 8, y: up(v) + 4, "text-anchor": "end" }, Number(v.toPrecision(3)).toLocaleString())]);
  const every = Math.ceil(shown.length / 6);
  const labels = kind === "scatter" ? [s("text", { x: left, y: height - 8 }, from.toLocaleString()), s("text", { x: width - 8, y: height - 8, "text-anchor": "end" }, to.toLocaleString())] : shown.map((r, i) => (i % every === 0 ? s("text", { x: across(i), y: height - 8, "text-anchor": "middle" }, exactlyPlain(String(r[x.key]).slice(0, 14))) : null));
  const chart = s("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${kind} chart of ${y.name} by ${x.name}` }, grid, marks, labels);
  return h("figure", { class: "figure" }, chart, h("figcaption", { class: "note" }, exactly(y.name), " by ", exactly(x.name), lacking > 0 && `, without ${plural(lacking, "row")} that ${lacking === 1 ? "has" : "have"} no number`, rows.length > most && `, the first ${number(most)} of ${number(rows.length)} rows`));
}
