// The audit log: search, one request's story, whether the chain holds, an export.
import { clock, fill, h, number, plural, time } from "./dom.js";
import { download, get, query } from "./api.js";
import { empty, heading, load, pill, problem, save } from "./parts.js";

const FIELDS = ["actor_id", "event_type", "request_id", "database", "environment", "since", "until"];
/** Pages of found events that are saved at most: these are kept in memory. */
const SHOWN_PAGES_MAX = 200;

export async function audit({ page, signal, parameters, go }) {
  const values = Object.fromEntries(FIELDS.map((n) => [n, parameters.get(n) || ""]));
  const change = (name, value) => {
    const next = new URLSearchParams(parameters);
    if (value) next.set(name, value);
    else next.delete(name);
    go(`/audit${next.toString() ? `?${next}` : ""}`, { replace: true });
  };
  const labels = { actor_id: "Who", event_type: "Event, as request.approved", request_id: "Request id", database: "Database", environment: "Environment", since: "Since", until: "Until" };
  const input = (n, i) => {
    if (n !== "since" && n !== "until") return h("input", { "aria-label": labels[n], placeholder: labels[n].split(",")[0], value: values[n], "data-key": i === 0 ? "/" : null, onchange: (e) => change(n, e.target.value.trim()) });
    return h("label", { class: "dated" }, h("span", null, labels[n]), h("input", { type: "datetime-local", value: localTime(values[n]), onchange: (e) => change(n, e.target.value ? new Date(e.target.value).toISOString() : "") }));
  };
  const inputs = FIELDS.map(input);
  const verdict = h("div", { "aria-live": "polite" });
  const prove = h("button", { class: "button", type: "button", onclick: () => verify(verdict, prove, signal) }, "Verify the whole log");
  const isFiltered = FIELDS.some((n) => values[n]);
  const saver = (words, work) => {
    const button = h("button", { class: "button", type: "button", onclick: () => busy(button, verdict, work) }, words);
    return button;
  };
  const shown = isFiltered && saver("Save these events", () => saveShown(values, verdict, signal));
  const whole = saver(values.since ? "Export the log since then" : "Export the log", () => saveLog(values.since, verdict, signal));
  const list = h("div");
  const more = h("div", { class: "controls" });
  fill(page, heading(values.request_id ? "The story of one request" : "Audit", "Everything anybody did, each event bound to the one before it.", shown, whole, prove), verdict, h("div", { class: "filters" }, inputs), list, more);
  let events = [];
  const next = async (cursor) => {
    const answer = await get(`/api/audit/events${query({ ...values, limit: 100, cursor })}`, { signal });
    events = events.concat(answer.events);
    fill(list, events.length ? h("div", { class: "card" }, events.map(eventRow)) : h("div", { class: "card" }, empty("No event matches.", "Loosen a filter.")));
    return answer.next_cursor ? h("button", { class: "button", type: "button", onclick: () => load(more, signal, () => next(answer.next_cursor)) }, "Show older ones") : null;
  };
  await load(more, signal, () => next(null));
}

/** A time of the address as the browser's control for it writes it: local, without a zone. */
function localTime(iso) {
  const at = new Date(iso);
  if (!iso || Number.isNaN(at.getTime())) return "";
  return new Date(at.getTime() - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}

function eventRow(e) {
  const tone = { success: "good", denied: "bad", failure: "bad", error: "bad" }[e.outcome] || "muted";
  const where = e.database_name ? `${e.database_name} / ${e.environment || ""}` : "";
  return h(
    "div",
    { class: "row" },
    h("div", { class: "row-main" }, h("div", null, h("strong", null, e.event_type), " ", tone !== "good" && pill(tone, e.outcome || "recorded")), h("div", { class: "row-sub" }, h("span", null, e.actor_id || "the server", e.client_ip ? ` from ${e.client_ip}` : ""), where && h("span", null, where), e.request_id && h("a", { href: `/requests/${e.request_id}` }, `request ${e.request_id.slice(0, 8)}`), e.reason && h("span", null, e.reason))),
    h("div", { class: "row-side" }, time(e.created_at, clock(e.created_at)), h("span", { class: "note mono", title: e.event_hash }, e.event_hash.slice(0, 12))),
  );
}

export async function verify(holder, button, signal) {
  fill(holder, h("p", { class: "banner" }, "Every event is read and proved again. This can take a while."));
  await busy(button, holder, async () => {
    const answer = await get("/api/audit/verify", { signal });
    const frozen = answer.frozen_total > 0 && h("p", { class: "banner warn" }, h("strong", null, `${plural(answer.frozen_total, "request")} ${answer.frozen_total === 1 ? "differs" : "differ"} from what the log says and ${answer.frozen_total === 1 ? "is" : "are"} frozen: `), answer.frozen_requests.map((id) => [h("a", { href: `/requests/${id}` }, id.slice(0, 8)), " "]), answer.frozen_requests.length < answer.frozen_total && "and others.");
    fill(holder, frozen, answer.valid ? h("p", { class: "banner good" }, h("strong", null, "The log proves itself. "), `${number(answer.total_events)} events, each bound to the one before.`) : h("p", { class: "banner bad", role: "alert" }, h("strong", null, "The log does not hold. "), answer.first_broken_id ? `The first event that differs is ${answer.first_broken_id}. ` : "", answer.message || answer.problem || "", " Keep the file as it is, and restore from a backup."));
  });
}

/** A button that is off while `work` goes on; what fails is said in `holder`. */
async function busy(button, holder, work) {
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    if (error.name !== "AbortError") fill(holder, problem(error));
  }
  button.disabled = false;
}

/**
 * Saves the log as lines that public keys alone prove, from a time on where one is given. Pages are kept as blobs, which
 * the browser puts on its disk: one page is in memory, however long the log is.
 */
async function saveLog(since, holder, signal) {
  const pages = [];
  let from = since || null;
  for (let isWhole = false; !isWhole; ) {
    const { blob: page } = await download(`/api/audit/export${query({ since: from })}`, { signal });
    pages.push(page);
    const lines = (await page.text()).trimEnd();
    const last = JSON.parse(lines.slice(lines.lastIndexOf("\n") + 1));
    isWhole = "head" in last;
    from = isWhole ? last.head.seq : last.seq;
    fill(holder, h("p", { class: "banner" }, `Saving the log: ${number(from)} events so far.`));
  }
  save(new Blob(pages, { type: "application/x-ndjson" }), "audit.jsonl");
  fill(holder, h("p", { class: "banner good" }, `The log up to event ${number(from)} is saved. Its signed head is the last line: `, h("code", null, "dbward audit verify --export audit.jsonl --public-key audit-keys.json"), " proves it on any machine."));
}

/** Saves the events that a filter finds, as the page shows them. */
async function saveShown(values, holder, signal) {
  const lines = [];
  let cursor = null;
  let pages = 0;
  do {
    const answer = await get(`/api/audit/events${query({ ...values, limit: 100, cursor })}`, { signal });
    for (const event of answer.events) lines.push(JSON.stringify(event));
    cursor = answer.next_cursor;
    pages += 1;
  } while (cursor && pages < SHOWN_PAGES_MAX);
  save(new Blob([`${lines.join("\n")}\n`], { type: "application/x-ndjson" }), "audit-shown.jsonl");
  if (cursor) fill(holder, h("p", { class: "banner warn" }, `The newest ${number(lines.length)} of these events were saved; there are more. The whole log has all of them.`));
}
