// A database's plan as a tree, its expensive node marked. Each driver's form becomes nodes of one kind.
import { exactly, h } from "./dom.js";

const DEEPEST = 40;
const LINES_MAX = 300;

/** The plan that the database gave for one statement. `sizes` are rows by table, where they are known. */
export function planTree(plan, sizes) {
  const value = plan.plan !== undefined ? plan.plan : plan.explain !== undefined ? plan.explain : plan;
  const nodes = typeof value === "string" ? value.split("\n").map((label) => ({ label, children: [] })) : read(value, sizes);
  const lines = [];
  for (const node of nodes) flatten(node, "", "", lines);
  const whole = lines.reduce((sum, l) => sum + (l.node.own || 0), 0);
  const most = lines.reduce((best, l) => ((l.node.own || 0) > (best ? best.node.own : 0) ? l : best), null);
  return h(
    "pre",
    { class: "plan", tabindex: "0", "aria-label": "Plan" },
    lines.slice(0, LINES_MAX).map((l) => {
      const share = l.node.costed && whole > 0 ? Math.round((100 * l.node.own) / whole) : null;
      const more = [l.node.rows !== undefined && (Number(l.node.rows) === 1 ? "1 row" : `${short(l.node.rows)} rows`), share !== null && (l === most || share >= 5) && `${share} % of cost`].filter(Boolean).map((one) => ` · ${one}`);
      return h("span", { class: l === most ? "costly" : null, title: l === most ? "the most expensive part" : null }, h("span", { class: "plan-edge", "aria-hidden": "true" }, l.edge), exactly(l.node.label), more, l === most && h("span", { class: "sr" }, " (the most expensive part)"), "\n");
    }),
    lines.length > LINES_MAX && h("span", null, `and ${lines.length - LINES_MAX} more lines\n`),
  );
}

function short(rows) {
  if (rows >= 1e6) return `${(rows / 1e6).toFixed(1)} M`;
  return Number(rows).toLocaleString();
}

function flatten(node, edge, below, lines) {
  lines.push({ node, edge });
  node.children.forEach((child, i) => {
    const last = i === node.children.length - 1;
    flatten(child, `${below}${last ? "└ " : "├ "}`, `${below}${last ? "  " : "│ "}`, lines);
  });
}

function read(value, sizes) {
  const list = Array.isArray(value) ? value : [value];
  if (list.length > 0 && list.every((v) => v && v.Plan)) return list.map((v) => postgres(v.Plan, 0));
  if (list.length > 0 && list.every((v) => v && v.detail !== undefined && v.parent !== undefined)) return sqlite(list, sizes);
  return list.flatMap((v) => blocks(v, "", 0));
}

/** PostgreSQL: a node's cost has that of its children in it. */
function postgres(plan, depth) {
  const children = depth < DEEPEST ? (plan.Plans || []).map((p) => postgres(p, depth + 1)) : [];
  const inner = (plan.Plans || []).reduce((sum, p) => sum + (p["Total Cost"] || 0), 0);
  const type = plan["Node Type"] === "ModifyTable" ? plan.Operation || "Modify" : plan["Node Type"];
  const using = plan["Index Name"] ? ` using ${plan["Index Name"]}` : "";
  const on = plan["Relation Name"] ? ` on ${plan["Relation Name"]}` : "";
  const rows = plan["Node Type"] === "ModifyTable" ? undefined : plan["Plan Rows"];
  return { label: `${type}${using}${on}`, rows, own: Math.max(0, (plan["Total Cost"] || 0) - inner), costed: true, children };
}

/** SQLite says no costs: what reads a whole table costs its rows. */
function sqlite(list, sizes) {
  const roots = [];
  const known = new Map();
  for (const { id, parent, detail } of list) {
    const scanned = /^SCAN (\S+)/.exec(detail);
    const rows = scanned ? sizes.get(scanned[1]) : undefined;
    const node = { label: detail, rows: Number.isFinite(rows) ? rows : undefined, own: scanned ? 1 + (rows || 0) : 0, children: [] };
    known.set(id, node);
    const above = known.get(parent);
    (above && above !== node ? above.children : roots).push(node);
  }
  return roots;
}

/** MySQL and MariaDB: objects in objects, tables among them. */
function blocks(value, name, depth) {
  if (depth > DEEPEST || value === null || typeof value !== "object") return [];
  if (Array.isArray(value)) return value.flatMap((v) => blocks(v, name, depth + 1));
  const inner = Object.entries(value).flatMap(([key, item]) => (key === "cost_info" ? [] : blocks(item, key, depth + 1)));
  if (value.table_name !== undefined) {
    const cost = value.cost_info || {};
    const own = Number(value.cost !== undefined ? value.cost : Number(cost.read_cost || 0) + Number(cost.eval_cost || 0)) || 0;
    const rows = value.rows_examined_per_scan !== undefined ? value.rows_examined_per_scan : value.rows;
    const key = value.key ? ` using ${value.key}` : "";
    return [{ label: `${value.access_type || "read"}${key} on ${value.table_name}`, rows, own: own || Number(rows) || 0, costed: own > 0, children: inner }];
  }
  const words = { query_block: "query", filesort: "sort", temporary_table: "temporary table", ordering_operation: "sort", grouping_operation: "group", duplicates_removal: "distinct" }[name];
  if (!words) return inner;
  return [{ label: words, own: 0, children: inner }];
}
