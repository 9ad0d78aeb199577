// Lists that are longer than a page, and what is red, by Node.js alone: what is not shown is named, and can be reached.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Element, script, served } from "./bare.mjs";

const { people } = await script("page_people.js");
const { operations } = await script("page_operations.js");
const { target } = await script("parts.js");

/** A window of a list, as the API gives it. */
function window(items, url, most) {
  const [limit, offset] = ["limit", "offset"].map((name) => Number(url.searchParams.get(name)));
  return items.slice(offset, offset + Math.min(limit, most));
}

const numbered = (count, one) => Array.from({ length: count }, (_, i) => one(i));

/** The page of people for somebody who may do everything, with so many people and tokens. */
async function shownPeople(count, issued) {
  const users = numbered(count, (i) => ({ id: `person-${i}`, subject_type: "user", roles: [], groups: [], status: "active" }));
  const tokens = numbered(issued, (i) => ({ id: `t${i}`, token_prefix: `p${i}`, subject_id: "alice", roles: [], status: "active" }));
  const calls = served((url) => (url.pathname === "/api/users" ? { users: window(users, url, 1000) } : { tokens: window(tokens, url, 1000) }));
  const page = new Element();
  const signal = new AbortController().signal;
  await people({ page, signal, can: () => true, me: { subject_id: "admin", groups: [], permissions: [] } });
  const rows = () => page.all("table").map((table) => table.all("tr").length - 1);
  const more = () => page.all("button").filter((button) => button.textContent === "Show older ones");
  return { page, rows, more, calls };
}

test("people and tokens after the newest 200 are reached by a button", async () => {
  const { page, rows, more } = await shownPeople(450, 201);
  assert.deepEqual(rows(), [200, 200]);
  assert.equal(page.textContent.split("The newest 200 are shown.").length, 3);
  await more()[0].click();
  assert.deepEqual(rows(), [400, 200]);
  assert.match(page.textContent, /The newest 400 are shown/);
  await more()[0].click();
  assert.deepEqual(rows(), [450, 200]);
  await more()[0].click();
  assert.deepEqual(rows(), [450, 201]);
  assert.deepEqual([more().length, /are shown/.test(page.textContent)], [0, false]);
});

test("no button is there where all are shown", async () => {
  const { rows, more } = await shownPeople(200, 1);
  assert.deepEqual([rows(), more().length], [[200, 1], 0]);
});

test("more people than a call gives are read by several", async () => {
  const { rows, more, calls } = await shownPeople(1100, 1);
  for (let i = 0; i < 3; i += 1) await more()[0].click();
  assert.deepEqual([rows(), more().length], [[1100, 1], 0]);
  assert.deepEqual(calls.slice(-2), ["/api/users?limit=1000&offset=0", "/api/users?limit=601&offset=1000"]);
});

test("where the API lists no further, the page says so", async () => {
  const { page, rows, more } = await shownPeople(10001, 1);
  while (more().length) await more()[0].click();
  assert.equal(rows()[0], 10000);
  assert.match(page.textContent, /Only the newest 10\D?000 can be listed/);
});

/** The page of operations, with so many approved requests in the last day. */
async function shownOperations(count) {
  const at = (secs) => new Date(Date.now() - 60000 + secs * 1000).toISOString();
  const requests = numbered(count, (i) => ({ id: `r${i}`, status: "executed", database: "shop", environment: "production", operation: "execute_dml", total_steps: 1, created_at: at(0), approved_at: at(30) }));
  served((url) => {
    const from = Number(url.searchParams.get("cursor") || 0);
    return { requests: requests.slice(from, from + 100), next_cursor: from + 100 < count ? String(from + 100) : null };
  });
  const page = new Element();
  const left = new AbortController();
  const open = operations({ page, signal: left.signal, can: () => false });
  for (let turn = 0; turn < 1000 && page.all("svg").length === 0; turn += 1) await new Promise(setImmediate);
  await new Promise(setImmediate);
  left.abort();
  await assert.rejects(open, { name: "AbortError" });
  return page.textContent;
}

test("operations says where it counts only the newest requests", async () => {
  const text = await shownOperations(501);
  assert.match(text, /median time to approval, of the newest 500 requests/);
  assert.match(text, /from the request to the last vote, of the newest 500 requests/);
  assert.match(text, /the newest 500 are counted here/);
});

test("and says nothing of it where it counts all", async () => {
  assert.doesNotMatch(await shownOperations(500), /newest/);
});

test("production is red, and what is not production is not", () => {
  const red = (environment) => target("shop", environment).className === "pill bad";
  assert.deepEqual(["production", "prod-eu", "non-production", "preprod", "staging"].map(red), [true, true, false, false, false]);
});
