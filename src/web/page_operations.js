// Operations: is anything wrong? Requests over time, agents, deliveries, the log.
import { fill, h, number, plural, s, span, when } from "./dom.js";
import { get, pause, query, text } from "./api.js";
import { card, empty, heading, pill, problem, table } from "./parts.js";
import { verify } from "./page_audit.js";

const PAGES_MAX = 5;
const DONE = new Set(["executed"]);
const WAITING = new Set(["pending", "approved", "auto_approved", "break_glass", "dispatched", "running"]);

export async function operations({ page, signal, can }) {
  const places = Object.fromEntries(["tiles", "chart", "proof", "agents", "deliveries", "health"].map((n) => [n, h("div")]));
  fill(page, heading("Operations", "Last 24 hours, as far as you may see them."), h("div", { class: "stack" }, places.tiles, h("div", { class: "columns" }, places.chart, places.proof), places.agents, places.deliveries, places.health));
  if (can("audit.view")) {
    const verdict = h("div", { "aria-live": "polite" });
    const button = h("button", { class: "button", type: "button", onclick: () => verify(verdict, button, signal) }, "Verify the log");
    fill(places.proof, card("Proof", null, h("p", { class: "muted" }, "Every event of the audit log is bound to the one before it. Prove it again now:"), button, verdict));
  }
  while (!signal.aborted) {
    await Promise.all([requests(places, signal), ...(can("metrics.view") ? [part(places.agents, () => agents(signal)), part(places.deliveries, () => deliveries(signal)), part(places.health, health)] : [])]);
    await pause(30000, signal);
    while (document.hidden) await pause(2000, signal);
  }
}

/** A part that failed says so; the others stay. */
async function part(holder, work) {
  try {
    fill(holder, await work());
  } catch (error) {
    if (error.name === "AbortError" || error.status === 401) throw error;
    fill(holder, problem(error));
  }
}

async function requests(places, signal) {
  const from = Date.now() - 86400000;
  let items = [];
  let cursor = null;
  let more = false;
  for (let i = 0; i < PAGES_MAX; i += 1) {
    const answer = await get(`/api/requests${query({ limit: 100, cursor })}`, { signal });
    const fresh = answer.requests.filter((r) => new Date(r.created_at) >= from);
    items = items.concat(fresh);
    cursor = answer.next_cursor;
    more = Boolean(cursor) && fresh.length === answer.requests.length;
    if (!more) break;
  }
  const waiting = items.filter((r) => r.status === "pending");
  const oldest = waiting.length ? Math.min(...waiting.map((r) => new Date(r.created_at))) : null;
  const count = (status) => items.filter((r) => r.status === status).length;
  const tile = (value, words, tone) => h("div", { class: "card tile" }, h("div", { class: `big ${tone || ""}` }, value), h("div", { class: "muted" }, words));
  fill(
    places.tiles,
    h("div", { class: "tiles" }, tile(number(items.length), more ? `requests, the newest ${items.length} counted` : "requests"), tile(number(waiting.length), oldest ? `waiting, the oldest ${span((Date.now() - oldest) / 1000)}` : "waiting"), tile(number(count("executed")), `executed, ${count("failed")} failed`), tile(number(count("execution_lost")), "with unknown outcome", count("execution_lost") ? "bad" : "")),
  );
  fill(places.chart, card("Requests by hour", "executed · waiting · refused or failed", items.length ? byHour(items, from) : empty("No request in the last 24 hours.")));
}

function byHour(items, from) {
  const hours = Array.from({ length: 24 }, () => [0, 0, 0]);
  for (const r of items) {
    const at = Math.min(23, Math.floor((new Date(r.created_at) - from) / 3600000));
    hours[at][DONE.has(r.status) ? 0 : WAITING.has(r.status) ? 1 : 2] += 1;
  }
  const most = Math.max(1, ...hours.map((x) => x[0] + x[1] + x[2]));
  const [width, height] = [640, 190];
  const bars = hours.flatMap((parts, i) => {
    let y = 160;
    return parts.map((count, k) => {
      const tall = (count / most) * 145;
      y -= tall;
      return count ? s("rect", { class: ["one", "two", "three"][k], x: 36 + i * 25, y, width: 15, height: Math.max(1, tall - 1), rx: 2 }, s("title", null, `${count}`)) : null;
    });
  });
  const label = (i) => new Date(from + i * 3600000).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  return s("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Requests by hour" }, [0, Math.ceil(most / 2), most].map((v) => [s("line", { class: "axis", x1: 30, x2: width, y1: 160 - (v / most) * 145, y2: 160 - (v / most) * 145 }), s("text", { x: 24, y: 164 - (v / most) * 145, "text-anchor": "end" }, v)]), bars, [0, 6, 12, 18].map((i) => s("text", { x: 36 + i * 25, y: 180 }, label(i))));
}

async function agents(signal) {
  const { agents: list } = await get("/api/agents", { signal });
  if (!list.length) return card("Agents", null, empty("No agent has polled yet.", "An agent runs next to a database and asks this server for work:", h("code", null, "dbward agent --config agent.toml")));
  const serves = (a) => ((a.capabilities && a.capabilities.databases) || []).map((d) => (typeof d === "string" ? d : `${d.database} / ${d.environment}`)).join(", ");
  return card("Agents", plural(list.length, "agent"), table(["Agent", "Serves", "Running", "Seen", ""], list.map((a) => [a.id, serves(a), `${a.in_flight} of ${a.max_concurrent ?? "-"}`, when(a.last_seen_at), pill(a.status === "healthy" ? "good" : "bad", a.status)]), "Agents"));
}

async function deliveries(signal) {
  const { deliveries: list } = await get("/api/webhook-deliveries?limit=20", { signal });
  if (!list.length) return null;
  const tone = { delivered: "good", dead: "bad", pending: "muted", in_progress: "accent", cancelled: "muted" };
  return card("Notifications", "newest first", table(["Event", "To", "Attempts", "When", "State", ""], list.map((d) => [d.event_type, d.webhook_id, `${d.attempts} of ${d.max_attempts}`, when(d.updated_at), pill(tone[d.status] || "muted", d.status.replaceAll("_", " ")), d.last_error || ""]), "Notifications"));
}

async function health() {
  const page = await text("/metrics");
  const wanted = /^(dbward_[a-z_]*(?:queue|parked|busy|connections|outbox|bytes|free|pending)[a-z_]*)(\{[^}]*\})? ([-+0-9.e]+)$/;
  const rows = page.split("\n").map((l) => wanted.exec(l)).filter((m) => m && !m[1].endsWith("_bucket")).slice(0, 24);
  return rows.length ? card("Queues and store", "from /metrics", h("dl", { class: "pairs" }, rows.map(([, name, labels, value]) => h("div", null, h("dt", { class: "mono" }, name.replace(/^dbward_/, ""), labels || ""), h("dd", null, number(Number(value))))))) : null;
}
