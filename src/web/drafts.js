// What somebody types is kept in their tab until it is sent or they sign out: through a reload, through other pages, and
// through the end of a session. It is theirs: another person who signs in here finds nothing of it.

const KEY = "dbward.typed";
/** Pages of which something is kept; the one that was typed in longest ago goes first. */
const PAGES_MAX = 20;
let who = "";

/** Pages with the values of their controls, the one that was typed in last at the end. */
function read() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY));
    if (kept && kept.who === who && Array.isArray(kept.pages)) return kept.pages;
  } catch {
    // Nothing of ours.
  }
  return [];
}

function write(pages) {
  for (let from = 0; from < pages.length; from += 1) {
    try {
      return sessionStorage.setItem(KEY, JSON.stringify({ who, pages: pages.slice(from) }));
    } catch {
      // The browser has no more room: the oldest goes.
    }
  }
  sessionStorage.removeItem(KEY);
}

/** From now on this person types here. */
export function typedBy(subject) {
  who = subject;
  write(read());
}

export function forgetTyped() {
  sessionStorage.removeItem(KEY);
}

/** Puts what was typed on a page back into its controls, by name, and keeps what is typed from now on. */
export function keep(page, controls) {
  const before = read().find(([name]) => name === page);
  const named = Object.entries(controls);
  for (const [name, control] of named) {
    if (before && name in before[1]) control.value = before[1][name];
  }
  const others = () => read().filter(([name]) => name !== page);
  const save = () => {
    const values = Object.fromEntries(named.map(([name, control]) => [name, control.value]));
    write([...others(), [page, values]].slice(-PAGES_MAX));
  };
  for (const [, control] of named) control.addEventListener("input", save);
  return { save, forget: () => write(others()) };
}
