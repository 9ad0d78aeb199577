// Operations: is anything wrong? Requests over time, time to approval, agents, deliveries, the log, the server itself.
import { bytes, fill, h, number, plural, s, since, when } from "./dom.js";
import { get, pause, query, text } from "./api.js";
import { OPERATIONS, card, empty, heading, pill, problem, skeleton, table } from "./parts.js";
import { verify } from "./page_audit.js";

const PAGES_MAX = 5;
/** Places whose workflows are looked up, each by a call. */
const PLACES_MAX = 20;
/** Longer than a long-poll is held. */
const REFRESH_MS = 30000;
const DAY_MS = 86400000;
/** What is counted as it is now. */
const OPEN = ["pending", "dispatched", "execution_lost"];
const DONE = new Set(["executed"]);
const WAITING = new Set(["pending", "approved", "auto_approved", "break_glass", "dispatched", "running"]);

export async function operations({ page, signal, can }) {
  const sees = can("metrics.view");
  const places = Object.fromEntries(["tiles", "chart", "proof", "times", "agents", "deliveries", "health"].map((n) => [n, h("div")]));
  fill(page, heading("Operations", sees ? "What is open now, and the last 24 hours. Refreshed by itself; everything about the server is on /metrics too." : "What is open now, and the last 24 hours, as far as you may see them."), h("div", { class: "stack" }, places.tiles, h("div", { class: "columns wide" }, places.chart, places.proof), places.times, places.agents, places.deliveries, places.health));
  if (can("audit.view")) {
    const verdict = h("div", { "aria-live": "polite" });
    const button = h("button", { class: "button", type: "button", onclick: () => verify(verdict, button, signal) }, "Verify the log");
    fill(places.proof, card("Proof", null, h("p", { class: "muted" }, "Every event of the audit log is bound to the one before it. Prove it again now:"), button, verdict));
  }
  const slow = setTimeout(() => places.tiles.childElementCount === 0 && fill(places.tiles, skeleton(3)), 150);
  const workflows = new Map();
  while (!signal.aborted) {
    const draw = async ([items, more], now) => {
      fill(places.tiles, tiles(items, more, now));
      if (can("request.view")) await lookUp(items, workflows, signal);
      fill(places.times, times(items, more, workflows));
      return card("Requests by hour", legend(), items.length ? byHour(items, Date.now() - DAY_MS) : empty("No request in the last 24 hours."));
    };
    const parts = [part(places.chart, async () => draw(...(await Promise.all([lastDay(signal), open(signal)]))), places.tiles)];
    if (sees) parts.push(part(places.agents, () => agents(signal)), part(places.deliveries, () => deliveries(signal)), part(places.health, () => health(signal)));
    await Promise.all(parts);
    clearTimeout(slow);
    await pause(REFRESH_MS, signal);
    while (document.hidden) await pause(2000, signal);
  }
}

/** A part that failed says so, unless it shows what it was a moment ago, or another part says the same. */
async function part(holder, work, failures = holder) {
  try {
    const content = await work();
    if (failures !== holder) failures.querySelectorAll(":scope > .banner").forEach((banner) => banner.remove());
    fill(holder, content);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (error.status === 0 && holder.childElementCount > 0) return;
    const words = problem(error);
    const elsewhere = [...document.querySelectorAll("main .banner")].some((one) => one.textContent === words.textContent && !failures.contains(one));
    fill(failures, elsewhere ? null : words);
  }
}

/** What is open now, however old: how many requests of each status, and since when the oldest has waited for approval. */
async function open(signal) {
  const of = (status, more) => get(`/api/requests${query({ status, limit: 1, ...more })}`, { signal });
  const [waiting, handed, lost] = await Promise.all(OPEN.map((status) => of(status)));
  // They come newest first.
  const last = waiting.total > 1 && !waiting.total_is_lower_bound ? await of("pending", { offset: waiting.total - 1 }) : waiting;
  const oldest = waiting.total_is_lower_bound ? null : last.requests[0];
  const words = ({ total, total_is_lower_bound: isMore }) => `${number(total)}${isMore ? "+" : ""}`;
  return { waiting: words(waiting), oldest: oldest ? oldest.created_at : null, handed: words(handed), lost: words(lost), isLost: lost.total > 0 };
}

/** The requests of the last day, and whether there are more than are read. */
async function lastDay(signal) {
  const from = Date.now() - DAY_MS;
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
  return [items, more];
}

/** Seconds that a request waited for people, where people approved it: what runs by policy was approved as it was made. */
const waited = (r) => (r.total_steps > 0 && r.approved_at && !r.emergency && r.approved_at !== r.created_at ? (new Date(r.approved_at) - new Date(r.created_at)) / 1000 : null);

/** The value below which a share of them lies. */
function share(values, part) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)];
}

function short(seconds) {
  if (seconds < 1) return "< 1 s";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${(seconds / 60).toFixed(seconds < 600 ? 1 : 0)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** What a number is of, where there are more requests than are read. */
const of = (items, more) => (more ? `, of the newest ${number(items.length)} requests` : "");

function tiles(items, more, now) {
  const { waiting, oldest, handed, lost, isLost } = now;
  const count = (status) => items.filter((r) => r.status === status).length;
  const approvals = items.map(waited).filter((secs) => secs !== null);
  const tile = (value, words, status, tone) => h(status ? "a" : "div", { class: "card tile", href: status && `/requests?status=${status}` }, h("div", { class: `big ${tone || ""}` }, value), h("div", { class: "muted" }, words));
  const shown = h(
    "div",
    { class: "tiles" },
    approvals.length ? tile(short(share(approvals, 0.5)), `median time to approval${of(items, more)}`) : tile(number(items.length), "requests"),
    tile(waiting, oldest ? ["waiting for approval, the oldest ", since(oldest)] : "waiting for approval", "pending"),
    tile(handed, "waiting for an agent", "dispatched"),
    tile(number(count("executed")), `executed, ${count("failed")} failed`),
    tile(lost, "with unknown outcome", "execution_lost", isLost ? "bad" : ""),
  );
  return [shown, more && h("p", { class: "hint" }, `There were more requests in the last 24 hours: the newest ${number(items.length)} are counted here.`)];
}

/** A scope, which the server writes as `(shop, production)` with `*` for either. */
const scope = (text) => text.replace(/^\((.*), (.*)\)$/, "$1 / $2").replace(/^\*/, "any database").replace(/\*$/, "any environment");

const at = (r) => `${r.database} / ${r.environment}`;

/** Adds the workflows that are in effect to `workflows`, by place and kind, for what people approved. */
async function lookUp(items, workflows, signal) {
  const missing = new Map(items.filter((r) => waited(r) !== null && !workflows.has(at(r))).map((r) => [at(r), r]));
  for (const [place, { database, environment }] of [...missing].slice(0, Math.max(0, PLACES_MAX - workflows.size))) {
    // Where the caller may not look, the place and the kind have to do.
    const answer = await get(`/api/policy-resolution${query({ database, environment })}`, { signal }).catch((error) => {
      if (error.name === "AbortError") throw error;
      return {};
    });
    const all = (answer.resolutions || []).filter((one) => one.workflow_id);
    const kinds = ({ workflow_id: id }) => (all.every((one) => one.workflow_id === id) ? "everything" : all.filter((one) => one.workflow_id === id).map((one) => OPERATIONS[one.operation]).join(", "));
    workflows.set(place, new Map(all.map((one) => [one.operation, `${scope(one.matched_by)} · ${kinds(one)}`])));
  }
}

/** How long people took to approve, by workflow, or by the place and the kind where that is not known. */
function times(items, more, workflows) {
  const found = new Map();
  for (const r of items) {
    const secs = waited(r);
    const known = workflows.get(at(r));
    const name = (known && known.get(r.operation)) || `${at(r)} · ${OPERATIONS[r.operation] || r.operation}`;
    if (secs !== null) found.set(name, [...(found.get(name) || []), secs]);
  }
  if (found.size === 0) return null;
  return card("Time to approval", `from the request to the last vote${of(items, more)}`, table(["Workflow now in effect", "Approved", "Median", "95 of 100 within"], [...found].sort().map(([name, secs]) => [name, number(secs.length), short(share(secs, 0.5)), short(share(secs, 0.95))]), "Time to approval"));
}

function legend() {
  return h("span", { class: "legend" }, [["one", "executed"], ["two", "waiting"], ["three", "refused or failed"]].map(([kind, words]) => h("span", null, h("span", { class: `key ${kind}` }), words)));
}

function byHour(items, from) {
  const hours = Array.from({ length: 24 }, () => [0, 0, 0]);
  for (const r of items) {
    const at = Math.min(23, Math.floor((new Date(r.created_at) - from) / 3600000));
    hours[at][DONE.has(r.status) ? 0 : WAITING.has(r.status) ? 1 : 2] += 1;
  }
  // An even number, so that the line in the middle has a whole one too.
  const most = 2 * Math.ceil(Math.max(2, ...hours.map((x) => x[0] + x[1] + x[2])) / 2);
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
  return s("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Requests by hour" }, [0, most / 2, most].map((v) => [s("line", { class: "axis", x1: 30, x2: width, y1: 160 - (v / most) * 145, y2: 160 - (v / most) * 145 }), s("text", { x: 24, y: 164 - (v / most) * 145, "text-anchor": "end" }, v)]), bars, [0, 6, 12, 18].map((i) => s("text", { x: 36 + i * 25, y: 180 }, label(i))));
}

async function agents(signal) {
  const { agents: list } = await get("/api/agents", { signal });
  if (!list.length) return card("Agents", null, empty("No agent has polled yet.", "An agent runs next to a database and asks this server for work:", h("code", null, "dbward agent --config agent.toml")));
  const serves = (a) => ((a.capabilities && a.capabilities.databases) || []).map((d) => (typeof d === "string" ? d : `${d.database} / ${d.environment}`)).join(", ");
  return card("Agents", plural(list.length, "agent"), table(["Agent", "Serves", "Running", "Seen", ""], list.map((a) => [a.id, serves(a), `${a.in_flight} of ${a.max_concurrent ?? "-"}`, when(a.last_seen_at), pill({ healthy: "good", offline: "bad" }[a.status] || "warn", a.status)]), "Agents"));
}

async function deliveries(signal) {
  const { deliveries: list, total, total_is_lower_bound: isMore } = await get("/api/webhook-deliveries?limit=20", { signal });
  if (!list.length) return null;
  const tone = { delivered: "good", dead: "bad", pending: "muted", in_progress: "accent", cancelled: "muted" };
  const note = total > list.length ? `the newest ${number(list.length)} of ${number(total)}${isMore ? "+" : ""}` : "newest first";
  return card("Notifications", note, table(["Event", "To", "Attempts", "When", "State", ""], list.map((d) => [d.event_type, d.recipient || d.webhook_id || d.channel, `${d.attempts} of ${d.max_attempts}`, when(d.updated_at), pill(tone[d.status] || "muted", d.status.replaceAll("_", " ")), d.last_error || ""]), "Notifications"));
}

/** What is shown of the server: a label, where it is on the page of metrics, and how it is written. */
const SERIES = [
  ["Calls under way", /^dbward_workers_busy$/, number],
  ["Calls that wait for a worker", /^dbward_queue_depth$/, number],
  ["Calls that are held", /^dbward_gate_parked$/, number],
  ["Notifications that wait", /^dbward_outbox_current\{status="pending"\}$/, number],
  ["Database", /^dbward_store_database_bytes$/, bytes],
  ["Write-ahead log", /^dbward_store_wal_bytes$/, bytes],
  ["Free on the disk", /^dbward_disk_free_bytes$/, bytes],
  ["Memory", /^process_resident_memory_bytes$/, bytes],
];
/** Values kept of each: half an hour of them. */
const SAMPLES_MAX = 60;
const samples = new Map();

async function health(signal) {
  const values = new Map();
  for (const line of (await text("/metrics", { signal })).split("\n")) {
    const at = line.lastIndexOf(" ");
    if (at > 0 && line[0] !== "#") values.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  const plots = SERIES.map(([label, name, format]) => {
    const found = [...values].find(([key]) => name.test(key));
    if (!found) return null;
    const kept = [...(samples.get(label) || []), found[1]].slice(-SAMPLES_MAX);
    samples.set(label, kept);
    return h("div", { class: "plot" }, h("div", { class: "label" }, label), h("div", { class: "plot-value" }, format(found[1])), spark(kept, `${label}: ${format(found[1])}`));
  });
  return card("Queues and store", "since this page was opened, at most half an hour", h("div", { class: "plots" }, plots));
}

/** A small line of values, the newest on the right. */
function spark(values, label) {
  const [width, height] = [160, 32];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (i) => width - 2 - ((values.length - 1 - i) * (width - 4)) / (SAMPLES_MAX - 1);
  const y = (v) => (high === low ? height - 4 : 3 + (height - 7) * (1 - (v - low) / (high - low)));
  const path = values.map((v, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join("");
  return s("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "xMinYMid meet", role: "img", "aria-label": label }, s("line", { class: "axis", x1: 0, x2: width, y1: height - 1, y2: height - 1 }), values.length > 1 && s("path", { class: "path", d: path }), s("circle", { class: "one", cx: x(values.length - 1), cy: y(values[values.length - 1]), r: 2 }));
}
