// The frame: who is signed in, which page is shown, keys, the connection. Every page has an address.
import { clock, fill, h, painted, plain, tick } from "./dom.js";
import { HELD_SECS, get, onConnection, onEnd, pacer, pause, query, remove, session, tagged, takeHanded, unheard, whoAmI } from "./api.js";
import { forgetTyped, typedBy } from "./drafts.js";
import { brand, failedPage, mayPass, notice, outdatedPage, sayAbout, skeleton, toast } from "./parts.js";
import { inbox, requests, waits } from "./page_lists.js";

const app = document.getElementById("app");
/** Nothing is known yet of what waits: the newest requests, the cursor of older ones, and how many there are in words. */
const NOTHING = { items: null, older: null, total: "" };
/** So long the page waits for what it would draw a moment later, in milliseconds. */
const TOGETHER_MS = 50;
/** How often the times on a page are told anew. */
const TICK_MS = 30000;
/** `inbox.first` settles with what waited at first, or why that is not known. */
const context = { me: null, go, can, inbox: { ...NOTHING, first: null, listeners: new Set() } };
let leave = null;
let watcher = null;
let shownPage = "";

/** Pages by address; all but the first ones come when they are needed, or when nothing else is done. */
const PAGES = [
  [/^\/$/, "Inbox", async () => inbox],
  [/^\/requests$/, "Requests", async () => requests],
  [/^\/requests\/([^/]+)$/, "Request", async () => (await import("./page_request.js")).request],
  [/^\/new$/, "New request", async () => (await import("./page_compose.js")).compose],
  [/^\/audit$/, "Audit", async () => (await import("./page_audit.js")).audit],
  [/^\/operations$/, "Operations", async () => (await import("./page_operations.js")).operations],
  [/^\/policies$/, "Policies", async () => (await import("./page_policies.js")).policies],
  [/^\/people$/, "People", async () => (await import("./page_people.js")).people],
];

/** The page of an address: its name, how to get it, what its pattern matched. */
function pageAt(path) {
  return PAGES.map(([pattern, name, page]) => ({ match: pattern.exec(path), name, page })).find((one) => one.match);
}

const RAIL = [
  ["/", "Inbox", null],
  ["/requests?user=me", "My requests", null],
  ["/requests", "All requests", "request.view"],
  ["/new", "New request", "request.create_select"],
  [null, "Oversight", null],
  ["/audit", "Audit", "audit.view"],
  ["/operations", "Operations", null],
  ["/policies", "Policies", null],
  ["/people", "People", null],
];

/** Each of them lets somebody ask for something. */
const CREATE = ["request.create", "request.break_glass", "request.break_glass_ddl"];

/** Whether the caller holds a permission somewhere. What it is good for is decided by the server. */
function can(permission) {
  const held = context.me ? context.me.permissions : [];
  return held.includes("*") || held.includes(permission) || (permission === "request.create_select" && CREATE.some((other) => held.includes(other)));
}

/** Goes to a page of ours. */
export function go(address, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", address);
  render();
}

function rail() {
  const here = location.pathname + location.search;
  const links = RAIL.filter(([, , permission]) => !permission || can(permission)).map(([address, name]) => {
    if (!address) return h("div", { class: "rail-label" }, name);
    const current = address === here || (address !== "/" && address === location.pathname && !location.search);
    const waiting = address === "/" ? context.inbox.total : "";
    return h("a", { class: "rail-link", href: address, "aria-current": current ? "page" : null }, name, waiting && h("span", { class: "count", "aria-label": `${waiting} waiting` }, waiting));
  });
  const groups = context.me.groups.length ? `group ${context.me.groups.join(", ")}` : context.me.roles.map((r) => r.name).join(", ");
  return h(
    "div",
    { class: "rail" },
    brand(),
    h("nav", { "aria-label": "Pages" }, links),
    h(
      "div",
      { class: "rail-foot" },
      h("div", { class: "who" }, context.me.subject_id),
      h("div", { class: "faint" }, groups || "no role"),
      h("div", { class: "rail-actions" }, h("button", { class: "link-button", type: "button", onclick: theme }, "Light or dark"), h("button", { class: "link-button", type: "button", onclick: () => signOut(false) }, "Sign out"), context.me.session && h("button", { class: "link-button", type: "button", onclick: () => signOut(true) }, "Sign out everywhere")),
    ),
  );
}

function theme() {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const next = dark ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("dbward.theme", next);
}

async function signOut(everywhere) {
  const { me } = context;
  stop();
  // What ends now is no news to this window.
  context.me = null;
  if (me.session) {
    try {
      await remove(everywhere ? "/api/sessions" : "/api/session");
    } catch (error) {
      if (error.status !== 401) {
        context.me = me;
        begin();
        toast(`You are still signed in: ${sayAbout(error)}`);
        return;
      }
    }
    windows.postMessage(null);
  }
  session.close();
  forgetTyped();
  context.me = null;
  history.pushState(null, "", "/");
  signIn(me.session ? (everywhere ? "You are signed out here and in every other browser." : "You are signed out.") : null);
}

function stop() {
  if (leave) leave.abort();
  leave = null;
  if (watcher) watcher.abort();
  watcher = null;
  Object.assign(context.inbox, NOTHING, { first: null });
  shownPage = "";
  titled();
}

/** The window's title: how much waits, and which page it is. */
function titled() {
  const waiting = context.inbox.total;
  document.title = `${waiting ? `(${waiting}) ` : ""}${shownPage ? `${shownPage} · ` : ""}dbward`;
}

/** What the windows of this browser tell each other of what waits: one of those of a reader asks for all of them. */
const inboxes = new BroadcastChannel("dbward.inbox");

/** Names the reader to the other windows: only who holds the same credential is told the same. */
async function readerName({ session: held }) {
  if (held) return held.id;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(session.token()));
  return new Uint8Array(digest).join();
}

/** Resolves once no other window asks for the reader of that name; the others wait for this one to close. */
function leading(name, signal) {
  return new Promise((resolve, reject) => {
    const hold = () => new Promise((left) => (resolve(), signal.addEventListener("abort", left)));
    navigator.locks.request(`dbward.inbox ${name}`, { signal }, hold).catch(reject);
  });
}

/** Has this window ask what waits by itself: the bar of a lost connection is up, which only a good answer takes down. */
let askAgain = () => {};

/**
 * Follows what waits for the caller: one long-poll for all windows of this browser, which keeps few connections to a
 * server. A window that does not lead takes what it is told, and asks by itself where the one that leads gets no answer.
 */
async function watch() {
  watcher = new AbortController();
  const { signal } = watcher;
  const paced = pacer();
  let etag = null;
  let failures = 0;
  let name = null;
  let leads = false;
  // What came from another window while this one asked may be newer than its answer, or older.
  let [asks, missed] = [false, false];
  let wake = () => {};
  askAgain = () => wake();
  const take = (answer) => {
    etag = answer.etag;
    const before = context.inbox.items;
    Object.assign(context.inbox, waits(answer.body));
    news(before, context.inbox.items);
  };
  const look = async () => {
    const began = Date.now();
    // Whether the server is back shows at once by a call that is not held.
    const path = `/api/requests${query({ pending_for_me: "true", limit: 100, wait: leads && etag && failures === 0 ? HELD_SECS : null })}`;
    [asks, missed] = [true, false];
    const answer = await tagged(path, { signal, etag }).finally(() => (asks = false));
    if (!answer.body) return { began, isNew: false };
    take(answer);
    if (leads && name) inboxes.postMessage({ name, answer });
    return { began, isNew: Boolean(etag) };
  };
  inboxes.onmessage = ({ data }) => {
    if (signal.aborted || data.name !== name || leads) return;
    if (asks) missed = true;
    else if (data.answer) take(data.answer);
    else wake();
  };
  let next = look();
  context.inbox.first = next;
  // A page that came by plain http from elsewhere has no locks: each window asks for itself.
  const named = navigator.locks ? readerName(context.me).catch(() => null) : Promise.resolve(null);
  named.then((mine) => (name = mine));
  next.catch(() => {}).then(painted).then(() => named).then((mine) => mine && leading(mine, signal)).then(
    () => {
      leads = true;
      wake();
    },
    () => {},
  );
  while (!signal.aborted) {
    try {
      const { began, isNew } = await next;
      failures = 0;
      if (leads) await paced(began, isNew, signal);
      else if (!missed) await new Promise((resolve) => (wake = resolve));
    } catch (error) {
      if (error.name === "AbortError" || !context.me) return;
      failures = Math.min(failures + 1, 5);
      if (leads && name && failures === 1) inboxes.postMessage({ name });
      // Who may see no request is refused by a server that is well.
      if (failures > 1 && mayPass(error)) unheard();
      try {
        await pause(1000 * 2 ** failures, signal);
      } catch {
        return;
      }
    }
    next = look();
  }
}

function news(before, items) {
  titled();
  const old = document.querySelector(".rail");
  if (old) {
    const held = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const now = rail();
    old.replaceWith(now);
    const same = held && [...now.querySelectorAll("a")].find((a) => a.getAttribute("href") === held);
    if (same) same.focus();
  }
  for (const listener of context.inbox.listeners) listener(items);
  if (before === null || !("Notification" in globalThis) || Notification.permission !== "granted" || !document.hidden) return;
  const known = new Set(before.map((r) => r.id));
  for (const item of items.filter((r) => !known.has(r.id)).slice(0, 3)) {
    try {
      new Notification(plain(`${item.requester} asks for ${item.database} / ${item.environment}`), { body: plain(item.reason || ""), tag: item.id });
    } catch {
      // Chrome on Android has the class, and lets pages make none.
      return;
    }
  }
}

function closeQuestions() {
  for (const open of document.querySelectorAll("dialog")) open.close();
}

/** Shows that the session is over. The address stays, and so does what was typed; what was shown goes. */
function expired() {
  session.close();
  stop();
  context.me = null;
  closeQuestions();
  signIn("Your session is over. Sign in to go on where you were; what you typed is kept.");
}

async function signIn(message, failure, known) {
  // What was shown goes at once.
  fill(app);
  try {
    const { signInPage } = await import("./sign_in.js");
    if (!context.me) await signInPage(app, { message, failure, known, isWanted: () => !context.me, done });
  } catch {
    const page = h("div", { class: "page" });
    fill(app, h("main", null, page));
    outdatedPage(page);
  }
}

/** Somebody signed in with a token of theirs. */
function done(me) {
  context.me = me;
  begin();
}

onEnd((why) => {
  if (!context.me) return;
  if (why === "other") location.reload();
  else expired();
});

/** The windows of this browser: they share a session. Each says when it has another one than before, or none. */
const windows = new BroadcastChannel("dbward.session");
windows.onmessage = async ({ data: started }) => {
  const held = context.me ? context.me.session : null;
  if (session.token() || (held && held.id === started)) return;
  // Who waits here to sign in goes on where they were; whose page this was sees it no longer.
  if (held && started) return location.reload();
  if (held) return void whoAmI().catch(() => {});
  if (!context.me && started) location.reload();
};

/** Everything of somebody who has just signed in; what waits for them is drawn with the rest, if it comes at once. */
async function begin() {
  const { me } = context;
  typedBy(me.subject_id);
  watch();
  const { first } = context.inbox;
  await Promise.race([first.catch(() => {}), new Promise((resolve) => setTimeout(resolve, TOGETHER_MS))]);
  if (context.me !== me) return;
  render();
  const idle = globalThis.requestIdleCallback || ((work) => setTimeout(work, 500));
  const ready = () => idle(readyOthers);
  first.then(ready, ready);
}

/** Has the other pages ready: they open at once, and still do when the server was replaced by a newer one meanwhile. */
function readyOthers() {
  for (const come of [...PAGES.map(([, , page]) => page), () => import("./sign_in.js")]) come().catch(() => {});
}

function render() {
  if (leave) leave.abort();
  context.inbox.listeners.clear();
  // A question is about the page that asked it.
  closeQuestions();
  if (!context.me) return signIn();
  leave = new AbortController();
  const { signal } = leave;
  const page = h("div", { class: "page" });
  const path = location.pathname;
  const found = pageAt(path);
  fill(app, h("a", { class: "skip", href: "#page" }, "Skip to the page"), h("div", { class: "shell" }, rail(), h("main", { id: "page", tabindex: "-1" }, page)));
  if (!found) {
    fill(page, h("h1", null, "No such page"), h("p", { class: "sub" }, h("a", { href: "/" }, "Go to the inbox")));
    return;
  }
  shownPage = found.name;
  titled();
  const parameters = new URLSearchParams(location.search);
  whenSlow(page, signal);
  show(found, { ...context, context, page, signal, parameters, id: found.match[1] ? decodeURIComponent(found.match[1]) : null });
}

async function show(found, about) {
  const { page, signal } = about;
  let draw;
  try {
    draw = await found.page();
  } catch {
    if (!signal.aborted) outdatedPage(page);
    return;
  }
  try {
    if (!signal.aborted) await draw(about);
  } catch (error) {
    if (!signal.aborted && error.name !== "AbortError") failedPage(page, error, render);
  }
}

/** Shows that something is coming where nothing has come yet. */
function whenSlow(holder, signal) {
  const timer = setTimeout(() => holder.childElementCount === 0 && fill(holder, skeleton()), 150);
  if (signal) signal.addEventListener("abort", () => clearTimeout(timer));
}

setInterval(tick, TICK_MS);
document.addEventListener("visibilitychange", tick);
addEventListener("popstate", () => render());
// To a place on the page goes no new page.
document.addEventListener("click", (event) => {
  if (!event.target.closest("a.skip")) return;
  event.preventDefault();
  document.getElementById("page").focus();
});
// A link with a token that is opened in a window of the console begins anew.
addEventListener("hashchange", () => /^#(token|sign-in)=/.test(location.hash) && location.reload());
// A page that the browser kept while somebody was elsewhere may show what is no longer theirs.
addEventListener("pageshow", (event) => event.persisted && location.reload());
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || link.hasAttribute("download")) return;
  const address = new URL(link.href);
  if (address.origin !== location.origin || address.hash || ["/api/", "/assets/", "/auth/"].some((start) => address.pathname.startsWith(start))) return;
  event.preventDefault();
  go(address.pathname + address.search);
});

const KEYS = [
  ["j, k", "next and previous row"],
  ["Enter", "open it"],
  ["a", "approve"],
  ["r", "reject"],
  ["c", "write a comment"],
  ["/", "search"],
  ["g i", "inbox"],
  ["g a", "audit"],
  ["n", "new request"],
  ["?", "these keys"],
];

function help() {
  notice("Keys", [h("h2", null, "Keys"), h("dl", { class: "key-list" }, KEYS.map(([key, what]) => [h("dt", null, h("kbd", null, key)), h("dd", null, what)]))]);
}

let prefix = 0;
document.addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey || !context.me) return;
  if (event.target.closest("input, textarea, select, dialog")) return;
  const goes = Date.now() - prefix < 1000;
  prefix = 0;
  const press = (name) => {
    const target = document.querySelector(`[data-key="${name}"]`);
    if (!target) return;
    event.preventDefault();
    if (target.matches("input, textarea")) target.focus();
    else target.click();
  };
  if (event.key === "g") prefix = Date.now();
  else if (goes && event.key === "i") go("/");
  else if (goes && event.key === "a") go("/audit");
  else if (event.key === "n") go("/new");
  else if (event.key === "?") help();
  else if (event.key === "j" || event.key === "k") {
    const all = [...document.querySelectorAll("a.row")];
    const at = all.indexOf(document.activeElement);
    const next = all[Math.max(0, Math.min(all.length - 1, at + (event.key === "j" ? 1 : -1)))];
    if (next) next.focus();
  } else if (["a", "r", "c", "/"].includes(event.key)) press(event.key);
});

let offline = null;
onConnection((since) => {
  if (since && !offline) {
    offline = h("div", { class: "banner warn offline", role: "status" }, `The server cannot be reached, or does not answer as it should. What is shown is of ${clock(new Date(since).toISOString())}. This page tries again by itself; what you typed is kept.`);
    document.body.append(offline);
    askAgain();
  } else if (!since && offline) {
    offline.remove();
    offline = null;
  }
});

const chosen = localStorage.getItem("dbward.theme");
if (chosen) document.documentElement.dataset.theme = chosen;

/** How often it could not be asked who is signed in, for the pauses in between. */
let refusals = 0;

/** Shows the page of the address, or how to sign in. */
async function enter({ token, failure }) {
  whenSlow(app);
  try {
    const way = session.token() && !token ? null : await get("/api/sign-in");
    // A stranger's link could have somebody work as somebody else without notice; people of the demo are made up.
    const isTaken = token && way.takes_token_links && ["127.0.0.1", "[::1]", "localhost"].includes(location.hostname);
    if (isTaken) session.open(token);
    if (way && !way.signed_in && !session.token()) return signIn(null, token ? "link" : failure, way);
    context.me = await whoAmI();
    begin();
    if (context.me.session) windows.postMessage(context.me.session.id);
  } catch (error) {
    if (error.status === 401) return expired();
    const page = h("div", { class: "page" });
    fill(app, h("main", null, page));
    const again = () => {
      clearTimeout(timer);
      enter({ token, failure });
    };
    failedPage(page, error, again);
    // A server that starts is there a moment later.
    refusals = Math.min(refusals + 1, 4);
    const timer = mayPass(error) ? setTimeout(again, 1000 * 2 ** refusals) : 0;
  }
}

const handed = takeHanded();
const first = pageAt(location.pathname);
// What will be shown comes while it is asked who is signed in.
if (first) first.page().catch(() => {});
if (!session.token()) import("./sign_in.js").catch(() => {});
enter(handed);
