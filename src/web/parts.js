// What several pages show in the same way.
import { clock, fill, h, number, s, when } from "./dom.js";
import { ApiError } from "./api.js";
import { line } from "./sql.js";

/** Our sign and name, as in icon.svg: a file less to wait for. */
export function brand() {
  const bars = { d: "M5.5 8h9M5.5 12h9", stroke: "#fff", "stroke-width": 2, "stroke-linecap": "round" };
  const sign = s("svg", { viewBox: "0 0 20 20", "aria-hidden": "true" }, s("rect", { width: 20, height: 20, rx: 5, fill: "#2b57d6" }), s("path", bars));
  return h("a", { class: "brand", href: "/" }, sign, "dbward");
}

const STATES = {
  pending: ["accent", "waits for approval"],
  approved: ["accent", "approved, not yet run"],
  auto_approved: ["accent", "approved by policy"],
  break_glass: ["bad", "emergency, runs without approval"],
  dispatched: ["accent", "waits for an agent"],
  running: ["accent", "runs now"],
  executed: ["good", "executed"],
  failed: ["bad", "failed"],
  rejected: ["bad", "rejected"],
  cancelled: ["muted", "cancelled"],
  expired: ["muted", "expired"],
  execution_lost: ["warn", "outcome unknown"],
};

export const OPERATIONS = {
  execute_select: "read",
  execute_dml: "write",
  migrate_up: "migration up",
  migrate_down: "migration down",
  migrate_status: "migration status",
  migrate_repair: "migration repair",
};

/** A request's state in words. */
export function state(request) {
  const [tone, words] = STATES[request.status] || ["muted", request.status];
  const outcome = request.outcome && request.status === "cancelled" ? `, ${request.outcome.replaceAll("_", " ")}` : "";
  return pill(tone, words + outcome);
}

export function pill(tone, ...words) {
  return h("span", { class: `pill ${tone}` }, words);
}

/** Whether an environment is one of production, by the parts of its name: `prod-eu` is, `non-production` and `product` are not. */
export function isProduction(environment) {
  const parts = environment.toLowerCase().split(/[^a-z]+/);
  return parts.some((part, i) => /^(prod|prd|production)$/.test(part) && !/^(non|not|pre)$/.test(parts[i - 1]));
}

/** Where it runs; production is red and nothing else is. */
export function target(database, environment) {
  return pill(isProduction(environment) ? "bad" : "muted", `${database} / ${environment}`);
}

export function risk(level) {
  const tone = { high: "bad", critical: "bad", medium: "warn" }[level];
  return tone ? pill(tone, `risk ${level}`) : h("span", { class: "muted" }, `risk ${level}`);
}

/** A selector in words. */
export function selector(text) {
  const [kind, name] = text.includes(":") ? [text.slice(0, text.indexOf(":")), text.slice(text.indexOf(":") + 1)] : ["", text];
  return kind && kind !== "user" ? `${kind} ${name}` : name;
}

export function card(title, note, ...content) {
  return h(
    "section",
    { class: "card" },
    title && h("header", { class: "card-head" }, h("h2", null, title), note && h("span", { class: "note" }, note)),
    h("div", { class: "card-body" }, content),
  );
}

export function heading(title, sub, ...controls) {
  return h(
    "div",
    { class: "heading" },
    h("div", null, h("h1", { tabindex: "-1" }, title), sub && h("p", { class: "sub" }, sub)),
    controls.length > 0 && h("div", { class: "controls" }, controls),
  );
}

/** An error in one line: the server's words and its hint. */
export function sayAbout(error) {
  const known = error instanceof ApiError;
  const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;
  return known ? [error.message, error.hint].filter(Boolean).map(sentence).join(" ") : "This page failed.";
}

/** Whether the same may go well a moment later. */
export const mayPass = (error) => error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500);

/** An error in the server's words with its hint; `again` tries once more. */
export function problem(error, again) {
  const known = error instanceof ApiError;
  const message = known ? error.message : "this page failed";
  return h(
    "div",
    { class: `banner ${known && error.status < 500 ? "warn" : "bad"}`, role: "alert" },
    h("strong", null, message[0].toUpperCase() + message.slice(1), "."),
    known && error.hint && h("span", null, " ", error.hint[0].toUpperCase() + error.hint.slice(1), "."),
    known && error.requestId && h("span", { class: "faint" }, ` Call ${error.requestId}.`),
    again && mayPass(error) && h("button", { class: "button small", type: "button", onclick: again }, "Try again"),
  );
}

const FAILED = { 0: "The server cannot be reached", 403: "Not yours to see", 404: "Not found", 429: "Too many calls", 503: "Not now" };

/** In place of a page that could not be shown: what happened, and where to go from there. */
export function failedPage(page, error, again) {
  const known = error instanceof ApiError;
  fill(
    page,
    heading((known && FAILED[error.status]) || "This page failed"),
    h(
      "div",
      { class: "card" },
      h(
        "div",
        { class: "empty", role: "alert" },
        h("p", { class: "empty-title" }, sayAbout(error)),
        known && error.requestId && h("p", { class: "note" }, "Call ", h("span", { class: "mono" }, error.requestId)),
        h("div", { class: "actions" }, h("button", { class: "button accent", type: "button", onclick: again }, "Try again"), h("a", { class: "button", href: "/" }, "Go to the inbox")),
      ),
    ),
  );
}

/** In place of a page whose files are not there. */
export function outdatedPage(page) {
  fill(page, heading("This page could not be loaded"), h("div", { class: "card" }, h("div", { class: "empty", role: "alert" }, h("p", { class: "empty-title" }, "The server cannot be reached, or it is newer than this page."), h("p", { class: "muted" }, "What you typed is kept."), h("div", { class: "actions" }, h("button", { class: "button accent", type: "button", onclick: () => location.reload() }, "Load it again")))));
}

export function empty(title, ...more) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), more.map((m) => (m instanceof Node ? m : h("p", { class: "muted" }, m))));
}

export function skeleton(rows = 4) {
  return h("div", { class: "skeleton", role: "status", "aria-busy": "true", "aria-label": "loading" }, Array.from({ length: rows }, () => h("div", { class: "bone" })));
}

/** Puts what `work` gives into `holder`: a skeleton after 150 ms, the error in its place if it fails. */
export async function load(holder, signal, work) {
  const timer = setTimeout(() => fill(holder, skeleton()), 150);
  try {
    const content = await work();
    if (!signal.aborted) fill(holder, content);
  } catch (error) {
    if (error.name === "AbortError" || signal.aborted) return;
    fill(holder, problem(error, () => load(holder, signal, work)));
  } finally {
    clearTimeout(timer);
  }
}

/** A line of a list of requests. */
export function requestRow(request, options = {}) {
  const steps = request.total_steps > 0 && request.status === "pending" ? ` · step ${Math.min(request.current_step + 1, request.total_steps)} of ${request.total_steps}` : "";
  return h(
    "a",
    { class: "row", href: `/requests/${request.id}`, "data-id": request.id },
    h(
      "div",
      { class: "row-main" },
      h("code", { class: "row-sql" }, line(request.detail, request.dialect), request.detail_truncated ? " …" : null),
      h(
        "div",
        { class: "row-sub" },
        h("span", null, request.requester, options.voted ? ` · you ${request.your_vote.action === "reject" ? "rejected" : "approved"} at ${clock(request.your_vote.at)}` : request.reason ? [" · ", request.reason] : null),
        request.emergency && pill("bad", "emergency"),
        h("span", { class: "muted" }, OPERATIONS[request.operation] || request.operation),
        risk(request.risk_level),
      ),
    ),
    h("div", { class: "row-side" }, options.state ? state(request) : target(request.database, request.environment), h("div", { class: "row-time" }, options.state ? h("span", null, `${request.database} / ${request.environment} · `) : null, when(request.created_at), steps)),
  );
}

export function rows(items, options) {
  return h("div", { class: "card rows" }, items.map((item) => requestRow(item, options)));
}

/** Says that a list was cut, where it was. */
export function cut(list, most, what) {
  return list.length > most && h("p", { class: "hint" }, `The first ${number(most)} of ${number(list.length)} ${what} are shown.`);
}

export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(([, v]) => v !== null && v !== undefined && v !== "" && v !== false).map(([k, v]) => h("div", null, h("dt", null, k), h("dd", null, v))));
}

export function table(head, body, label) {
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": label || "table" },
    h("table", { class: "table" }, h("thead", null, h("tr", null, head.map((c) => h("th", { scope: "col" }, c)))), h("tbody", null, body.map((r) => h("tr", null, r.map((c) => h("td", null, c)))))),
  );
}

/**
 * Asks before something is done. Resolves to true, or to false when it is closed in another way. `needed` is a control
 * that has to be filled in for it: `{ label, control, missing }`.
 */
export function confirm(title, text, action, tone = "accent", needed = null) {
  return new Promise((resolve) => {
    const lacking = h("div");
    const agree = () => {
      if (!needed || needed.control.value.trim()) return dialog.close("yes");
      fill(lacking, h("p", { class: "banner warn", role: "alert" }, needed.missing));
      needed.control.focus();
    };
    const dialog = h(
      "dialog",
      { class: "dialog", "aria-labelledby": "dialog-title" },
      h("h2", { id: "dialog-title" }, title),
      h("div", null, text),
      needed && field(needed.label, needed.control),
      lacking,
      h(
        "div",
        { class: "dialog-actions" },
        h("button", { class: "button", type: "button", onclick: () => dialog.close("") }, "Back"),
        h("button", { class: `button ${tone}`, type: "button", onclick: agree }, action),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
    (needed ? needed.control : dialog.querySelectorAll("button")[1]).focus();
  });
}

/** Shows something until it is closed; `buttons` stand next to the one that closes it. */
export function notice(label, content, ...buttons) {
  const dialog = h("dialog", { class: "dialog", "aria-label": label }, content, h("div", { class: "dialog-actions" }, buttons, h("button", { class: "button accent", type: "button", onclick: () => dialog.close() }, "Close")));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

let toastTimer = 0;

/** Says shortly that something was done. */
export function toast(text) {
  let holder = document.getElementById("toast");
  if (!holder) {
    holder = h("div", { id: "toast", class: "toast", role: "status" });
    document.body.append(holder);
  }
  fill(holder, text);
  holder.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (holder.hidden = true), 4000);
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what} copied`);
  } catch {
    toast(`${what} not copied: this browser lets pages of this address copy nothing`);
  }
}

/** Lets the browser save something. */
export function save(blob, name) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

export function field(label, control, hint) {
  return h("label", { class: "field" }, h("span", { class: "label" }, label), control, hint && h("span", { class: "hint" }, hint));
}
