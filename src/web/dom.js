// Elements without markup in strings: what comes from the server only ever becomes text, in which characters that hide or
// reorder others are shown by their code.

/** Makes an element. `props`: `class`, `on*` listeners, `data*`, booleans and attributes. Children: nodes, text, lists, null. */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled" || name === "selected") element[name] = value;
    else element.setAttribute(name, value === true ? "" : READ.has(name) ? plain(value) : String(value));
  }
  append(element, children, visible);
  return element;
}

/** Attributes that somebody reads. */
const READ = new Set(["title", "aria-label", "alt", "placeholder", "label"]);

/** Makes an SVG element. */
export function s(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, READ.has(name) ? plain(value) : String(value));
  append(element, children, plain);
  return element;
}

function append(element, children, shown) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    if (child instanceof Node) element.append(child);
    else element.append(...[shown(String(child))].flat());
  }
}

/** Puts `children` in place of what `element` holds. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children, visible);
  return element;
}

/** Resolves once what stands now has been drawn, so that what comes next does not hold that up. */
export function painted() {
  if (!globalThis.requestAnimationFrame || document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    // A window that is hidden before it was drawn is drawn when it is seen again.
    document.addEventListener("visibilitychange", resolve, { once: true });
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => (port1.close(), resolve());
      port2.postMessage(null);
    });
  });
}

const LIES = /\r(?!\n)|[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu;
/** Blanks to a reader that are letters to a database. */
const BLANKS = /[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/gu;
const LIES_AND_BLANKS = new RegExp(`${LIES.source}|${BLANKS.source}`, "gu");

const code = (character) => `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

/** Most texts have nothing to look for in them; that is seen before the browser has to learn the pattern above. */
const ORDINARY = /^[\t\n\x20-\x7e]*$/;

/** Text in which characters that hide or reorder others are replaced by their code, where there can be no element. */
export function plain(text, hidden = LIES) {
  const whole = String(text);
  return ORDINARY.test(whole) ? whole : whole.replace(hidden, code);
}

/** What a database reads or returns: blanks that are not those of ASCII are shown by their code as well. */
export function exactly(text) {
  return visible(text, LIES_AND_BLANKS);
}

/** The same where there can be no element. */
export function exactlyPlain(text) {
  return plain(text, LIES_AND_BLANKS);
}

/** Codes of one text that are elements; the rest is text, so that a page of such characters does not stop the browser. */
const MARKED_MAX = 2000;

/** The same with these codes as elements of their own. Whatever `h` and `fill` are given goes through it. */
function visible(value, hidden = LIES) {
  const text = String(value);
  if (ORDINARY.test(text)) return text;
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(hidden)) {
    if (parts.length >= MARKED_MAX) return [...parts, plain(text.slice(from), hidden)];
    if (match.index > from) parts.push(text.slice(from, match.index));
    parts.push(h("span", { class: "hidden-char", title: "a character that cannot be seen, or looks like a space" }, code(match[0])));
    from = match.index + match[0].length;
  }
  if (from === 0) return text;
  if (from < text.length) parts.push(text.slice(from));
  return parts;
}

const UNITS = [[86400, "day"], [3600, "hour"], [60, "minute"]];

/** "42 minutes", "3 days"; under a minute "less than a minute". */
export function span(seconds) {
  const whole = Math.abs(seconds);
  for (const [size, name] of UNITS) {
    if (whole >= size) {
      const count = Math.floor(whole / size);
      return `${count} ${name}${count === 1 ? "" : "s"}`;
    }
  }
  return "less than a minute";
}

/** How far the server's clock is ahead of this machine's, in milliseconds. */
let ahead = 0;

/** From now on times are told by the server's clock, which shows `iso` now. */
export function setClock(iso) {
  ahead = Date.parse(iso) - Date.now() || 0;
}

/** How a time is told that passes: as long ago or to come, or as how long it has been. */
const TOLD = {
  ago(seconds) {
    if (seconds < -1) return `in ${span(seconds)}`;
    return seconds < 60 ? "just now" : `${span(seconds)} ago`;
  },
  since: span,
};

const words = (iso, how) => TOLD[how]((Date.now() + ahead - Date.parse(iso)) / 1000);

function told(iso, how) {
  const element = time(iso, words(iso, how));
  element.setAttribute("data-told", how);
  return element;
}

/** A time as people say it, the exact one on hover. */
export function when(iso) {
  return iso ? told(iso, "ago") : "never";
}

/** How long it has been since then, the exact time on hover. */
export function since(iso) {
  return told(iso, "since");
}

/** Tells the times on the page anew, which pass while it is open. */
export function tick() {
  for (const element of document.querySelectorAll("time[data-told]")) {
    const now = words(element.dateTime, element.dataset.told);
    if (element.textContent !== now) element.textContent = now;
  }
}

/** A time in `words`, with the exact one on hover, which is written then: that takes the browser long. */
export function time(iso, words) {
  const element = h("time", { datetime: iso, onpointerenter: () => (element.title = exact(iso)) }, words);
  return element;
}

/** The local time with its zone. */
function exact(iso) {
  const options = { dateStyle: "medium", timeStyle: "long" };
  return new Intl.DateTimeFormat(undefined, options).format(new Date(iso));
}

/** The local time of day, with the date unless it is today. */
export function clock(iso) {
  const at = new Date(iso);
  const today = at.toDateString() === new Date().toDateString();
  const time = at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  return today ? time : `${at.toLocaleDateString(undefined, { day: "numeric", month: "short" })} ${time}`;
}

export function number(value) {
  if (value === null || value === undefined) return "-";
  // The browser takes long to load how numbers are written here; short ones are written alike everywhere.
  return Number.isInteger(value) && value >= 0 && value < 1000 ? String(value) : Number(value).toLocaleString();
}

export function bytes(value) {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  let size = Number(value);
  let unit = 0;
  while (size >= 1024 && unit < 3) {
    size /= 1024;
    unit += 1;
  }
  return `${unit ? size.toFixed(1) : size} ${units[unit]}`;
}

export function plural(count, one, many) {
  return `${number(count)} ${count === 1 ? one : many || `${one}s`}`;
}
