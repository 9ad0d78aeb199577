// Lists of requests: what waits for the caller, their own, all they may see.
import { fill, h, number, painted, plural, since } from "./dom.js";
import { get, query } from "./api.js";
import { OPERATIONS, empty, heading, load, rows } from "./parts.js";

const STATUSES = ["pending", "approved", "auto_approved", "break_glass", "dispatched", "running", "executed", "failed", "rejected", "cancelled", "expired", "execution_lost"];

/** Requests of a short list below the inbox. */
const SHORT_MAX = 10;
/** Decisions that a call gives, and how many calls look for those of today. */
const [DECIDED_PAGE, DECIDED_PAGES_MAX] = [50, 4];

/** What an answer of the inbox says: the newest requests, the cursor of older ones, and how many there are in words. */
export function waits(answer) {
  const count = answer.total === undefined ? answer.requests.length : answer.total;
  return { items: answer.requests, older: answer.next_cursor || null, total: count ? `${number(count)}${answer.total_is_lower_bound ? "+" : ""}` : "" };
}

/** What needs a decision now, oldest first, and what the caller may run. */
export async function inbox({ page, signal, me, can, context }) {
  const head = h("div");
  const list = h("div");
  const mine = h("div");
  const ask = h("div");
  // Those after the newest ones, as far as somebody asks for them; from then on they stay.
  const more = h("div");
  let asked = false;
  const olderOnes = (cursor) => {
    const holder = h("div");
    const look = () => {
      asked = true;
      return load(holder, signal, async () => {
        const answer = await get(`/api/requests${query({ pending_for_me: "true", limit: 100, cursor })}`, { signal });
        return [h("h2", { class: "section-label" }, "Older"), answer.requests.length ? rows(answer.requests) : empty("There are none."), answer.next_cursor && olderOnes(answer.next_cursor)];
      });
    };
    return fill(holder, h("p", { class: "controls ask" }, h("button", { class: "button", type: "button", onclick: look }, "Show older ones")));
  };
  let environment = null;
  const drawn = (items) => {
    const environments = [...new Set(items.map((r) => r.environment))].sort();
    if (!environments.includes(environment)) environment = null;
    const shown = environment ? items.filter((r) => r.environment === environment) : items;
    const sorted = [...shown].sort((a, b) => (a.created_at < b.created_at ? -1 : Number(a.created_at > b.created_at)));
    const oldest = sorted[0];
    const { older, total } = context.inbox;
    if (!asked) fill(more, older && olderOnes(older));
    const sub = older ? `${total} requests need your decision. The newest ${number(items.length)} are shown first.` : oldest ? [`${plural(items.length, "request")} ${items.length === 1 ? "needs" : "need"} your decision. The oldest has waited `, since(oldest.created_at), "."] : "Nothing needs your decision.";
    const filters = environments.length > 1 ? [null, ...environments].map((e) => h("button", { class: "filter", type: "button", "aria-pressed": String(e === environment), onclick: () => ((environment = e), show(items)) }, e || "All")) : [];
    fill(head, heading("Waiting for you", sub, ...filters));
    if (sorted.length) return rows(sorted);
    return h("div", { class: "card" }, empty("Nothing waits for you.", "New requests appear here within a second; this page need not be reloaded.", can("request.create_select") ? h("a", { class: "button", href: "/new" }, "New request") : null));
  };
  const show = (items) => {
    const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.id : null;
    fill(list, drawn(items));
    const again = focused && list.querySelector(`[data-id="${CSS.escape(focused)}"]`);
    if (again) again.focus();
  };
  const [decided, first] = [h("div"), h("div")];
  fill(page, head, first, list, more, decided, mine, ask, keys());
  fill(head, heading("Waiting for you"));
  if ("Notification" in globalThis && Notification.permission === "default") {
    fill(ask, h("p", { class: "hint ask" }, h("button", { class: "link-button", type: "button", onclick: async () => ((await Notification.requestPermission()), fill(ask)) }, "Show a desktop notification when something new waits")));
  }
  const votes = () => load(decided, signal, () => decidedToday(signal));
  // These are extras: without them the page is whole.
  const extra = (holder, work) => work().then((content) => signal.aborted || fill(holder, content), () => {});
  // What waits is on the screen before anything else is asked for.
  const below = async () => {
    await painted();
    if (signal.aborted) return;
    await Promise.all([
      votes(),
      can("token.manage") && extra(first, async () => (await import("./page_first.js")).firstSteps({ signal, can, me })),
      (can("request.resume") || can("request.create_select")) && extra(mine, () => yours(me, signal)),
    ]);
  };
  const follow = (items) => {
    show(items);
    votes();
  };
  if (context.inbox.items) {
    context.inbox.listeners.add(follow);
    show(context.inbox.items);
    return below();
  }
  // The console's own call, and one of this page's once that has failed. What could not be loaded says so once, for the
  // whole page.
  let { first: call } = context.inbox;
  return load(list, signal, async () => {
    const begun = call;
    call = null;
    try {
      if (begun) await begun;
      else if (!context.inbox.items) Object.assign(context.inbox, waits(await get("/api/requests?pending_for_me=true&limit=100", { signal })));
    } finally {
      context.inbox.listeners.add(follow);
    }
    below();
    return drawn(context.inbox.items);
  });
}

/** What the caller asked for that is open: it waits for somebody, or may be run. */
async function yours(me, signal) {
  const kinds = [["execution_lost", "with an unknown outcome"], ["approved", "that may be run"], ["auto_approved", "that may be run"], ["break_glass", "that may be run"], ["pending", "that wait for approval"]];
  const answers = await Promise.all(kinds.map(([status]) => get(`/api/requests${query({ status, user: me.subject_id, limit: SHORT_MAX })}`, { signal })));
  const found = answers.flatMap((answer) => answer.requests);
  const more = answers.map((answer, i) => answer.next_cursor && others(`The newest ${SHORT_MAX} of ${total(answer)} ${kinds[i][1]} are shown.`, `/requests?user=me&status=${kinds[i][0]}`));
  return found.length ? [h("h2", { class: "section-label" }, "Your open requests"), rows(found, { state: true }), more] : null;
}

/** How many there are of what an answer lists, in words. */
const total = (answer) => `${number(answer.total)}${answer.total_is_lower_bound ? "+" : ""}`;

/** Says that a list was cut, with the way to all of it. */
function others(words, address) {
  return h("p", { class: "hint below" }, words, " ", h("a", { href: address }, "Show all"));
}

function keys() {
  const one = (words, ...names) => h("span", null, names.map((n) => [h("kbd", null, n), " "]), words);
  return h("div", { class: "keys", "aria-hidden": "true" }, one("move", "j", "k"), one("open", "Enter"), one("approve", "a"), one("reject", "r"), one("all keys", "?"));
}

/** What the caller has voted on since midnight, and what came of it; nothing where that is nothing. */
async function decidedToday(signal) {
  const midnight = new Date();
  midnight.setHours(0, 0, 0, 0);
  const today = [];
  let cursor = null;
  // They come by when they were asked for, so an old one may have been decided last.
  for (let page = 0; page < DECIDED_PAGES_MAX && (page === 0 || cursor); page += 1) {
    const answer = await get(`/api/requests${query({ decided_by_me: "true", limit: DECIDED_PAGE, cursor })}`, { signal });
    today.push(...answer.requests.filter((r) => new Date(r.your_vote.at) >= midnight));
    cursor = answer.next_cursor;
  }
  today.sort((a, b) => (a.your_vote.at < b.your_vote.at ? 1 : -Number(a.your_vote.at > b.your_vote.at)));
  // What was asked for before those that were read may have been decided today as well.
  const count = `${number(today.length)}${cursor ? "+" : ""}`;
  const more = today.length > SHORT_MAX && others(`The last ${SHORT_MAX} of ${count} are shown.`, "/requests?decided_by_me=true");
  return today.length ? [h("h2", { class: "section-label" }, "Decided today"), rows(today.slice(0, SHORT_MAX), { state: true, voted: true }), more] : null;
}

/** A list with the filters of the API, kept in the address. */
export async function requests({ page, signal, me, parameters, go }) {
  const mine = parameters.get("user") === "me";
  const values = Object.fromEntries(["status", "user", "database", "environment", "operation", "decided_by_me"].map((n) => [n, parameters.get(n) || ""]));
  if (mine) values.user = me.subject_id;
  const change = (name, value) => {
    const next = new URLSearchParams(parameters);
    if (value) next.set(name, value);
    else next.delete(name);
    const text = next.toString();
    go(`/requests${text ? `?${text}` : ""}`, { replace: true });
  };
  const input = (name, label, extra) => h("input", { placeholder: label, "aria-label": label, value: name === "user" && mine ? "me" : values[name], ...extra, onchange: (e) => change(name, e.target.value.trim()) });
  const choice = (name, label, any, options) => h("select", { "aria-label": label, onchange: (e) => change(name, e.target.value) }, h("option", { value: "" }, any), options.map(([value, words]) => h("option", { value, selected: value === values[name] }, words)));
  const status = choice("status", "Status", "Any status", STATUSES.map((s) => [s, s.replaceAll("_", " ")]));
  const operation = choice("operation", "Kind", "Any kind", Object.entries(OPERATIONS));
  const list = h("div");
  const more = h("div", { class: "controls" });
  fill(page, heading(mine ? "My requests" : "All requests", mine ? "What you asked for, newest first." : "What you may see, newest first."), h("div", { class: "filters" }, status, operation, choice("decided_by_me", "Decided", "Decided by anybody", [["true", "Decided by me"]]), input("user", "Requester", { "data-key": "/" }), input("database", "Database"), input("environment", "Environment")), list, more);
  let items = [];
  const next = async (cursor) => {
    const answer = await get(`/api/requests${query({ ...values, limit: 50, cursor })}`, { signal });
    items = items.concat(answer.requests);
    const older = h("button", { class: "button", type: "button", onclick: () => load(more, signal, () => next(answer.next_cursor)) }, "Show older ones");
    fill(list, items.length ? rows(items, { state: true }) : h("div", { class: "card" }, empty("No request matches.", "Loosen a filter, or make a new request.")));
    return answer.next_cursor ? older : null;
  };
  await load(more, signal, () => next(null));
}
