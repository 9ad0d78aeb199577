// Lists that are longer than a page, and what is red, by Node.js alone: what is not shown is named, and can be reached.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Element, script, served } from "./bare.mjs";

const { people } = await script("page_people.js");
const { operations } = await script("page_operations.js");
const { policies } = await script("page_policies.js");
const { inbox } = await script("page_lists.js");
const { verify } = await script("page_audit.js");
const { target } = await script("parts.js");
const { chartKinds, cutWords, draw } = await script("page_results.js");

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

/** What is open: 4,200 requests wait for approval, the oldest for three days, and two have an unknown outcome. */
function openNow(url) {
  const total = { pending: 4200, dispatched: 0, execution_lost: 2 }[url.searchParams.get("status")];
  const days = Number(url.searchParams.get("offset")) === total - 1 ? 3 : 0.5;
  return { requests: total ? [{ created_at: new Date(Date.now() - days * 86400000 - 60000).toISOString() }] : [], total, total_is_lower_bound: false };
}

/** The page of operations, with so many approved requests in the last day. */
async function shownOperations(count, more = {}) {
  const at = (secs) => new Date(Date.now() - 60000 + secs * 1000).toISOString();
  const requests = numbered(count, (i) => ({ id: `r${i}`, status: "executed", database: "shop", environment: "production", operation: "execute_dml", total_steps: 1, created_at: at(0), approved_at: at(30), ...more }));
  served((url) => {
    if (url.searchParams.has("status")) return openNow(url);
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

test("operations counts what is open however old it is", async () => {
  const text = await shownOperations(3);
  assert.match(text, /4\D?200waiting for approval, the oldest 3 days/);
  assert.match(text, /0waiting for an agent/);
  assert.match(text, /2with unknown outcome/);
});

test("what nobody approved is no time to approval", async () => {
  assert.match(await shownOperations(3), /30 s ?median time to approval/);
  const at = new Date(Date.now() - 60000).toISOString();
  for (const more of [{ created_at: at, approved_at: at }, { emergency: true }]) assert.doesNotMatch(await shownOperations(3, more), /median time to approval/);
});

test("and says nothing of it where it counts all", async () => {
  assert.doesNotMatch(await shownOperations(500), /newest/);
});

/** The page of policies, with so many places; `most` says how many calls were under way at once. */
async function shownPolicies(count, previews = {}) {
  const databases = numbered(count, (i) => ({ database: `d${i}`, environment: "production" }));
  const operations = ["execute_select", "execute_dml", "migrate_up", "migrate_down", "migrate_status", "migrate_repair"];
  const workflows = operations.map((operation) => ({ id: operation, database: "*", environment: "*", operations: [operation], steps: [{ mode: "all", approvers: [{ min: 1, selector: `group:${operation}` }] }] }));
  Object.assign(workflows[1], { admin_override: true, allow_self_approve: true });
  let [open, most] = [0, 0];
  const answer = (url) => ({ "/api/databases": { databases }, "/api/workflows": { workflows }, "/api/policy-resolution": { resolutions: operations.map((operation) => ({ operation, workflow_id: operation, decision_preview: "needs_approval", reason_code: "x", ...previews[operation] })), auto_approve: { max_risk: "low" }, on_call: { migrate_up: ["ann", "ben"] } } })[url.pathname] || { roles: [], execution_policies: [], result_policies: [], notification_policies: [] };
  globalThis.fetch = async (path) => {
    most = Math.max(most, (open += 1));
    await new Promise(setImmediate);
    open -= 1;
    return new Response(JSON.stringify(answer(new URL(path, "http://localhost"))));
  };
  const page = new Element();
  await policies({ page, signal: new AbortController().signal, can: () => true });
  return { page, operations, matrix: () => page.all("table")[0], most: () => most };
}

test("who could approve what is said of each kind of request, by a few calls at once", async () => {
  const { page, operations, matrix, most } = await shownPolicies(40);
  const [head, first] = matrix().all("tr");
  assert.equal(head.all("th").length, 1 + operations.length);
  const said = ["1 of group execute_select", "1 of group execute_dmlor an administrator, own requests too", "1 of group migrate_up (now ann, ben)", "1 of group migrate_down", "1 of group migrate_status", "1 of group migrate_repair"];
  assert.deepEqual(first.all("td").slice(1).map((cell) => cell.textContent), said);
  assert.equal(said.length, operations.length);
  assert.deepEqual(matrix().all("tr").slice(1).map((row) => row.all("td")[0].textContent), numbered(40, (i) => `d${i} / productionrisk up to low runs at once`));
  assert.equal(most(), 6);
  assert.doesNotMatch(page.textContent, /places are shown/);
});

test("what the server decides by itself is said where it is decided", async () => {
  const { matrix } = await shownPolicies(1, { execute_select: { decision_preview: "auto_approved", reason_code: "read_only_low_risk" }, migrate_repair: { decision_preview: "deny", workflow_id: null, reason_code: "no_matching_workflow" } });
  const cells = matrix().all("tr")[1].all("td").map((cell) => cell.textContent);
  assert.deepEqual([cells[1], cells[6]], ["runs at onceby auto-approval", "refused: no workflow"]);
});

test("places after the first hundred are a click away", async () => {
  const { page, matrix } = await shownPolicies(150);
  assert.equal(matrix().all("tr").length, 101);
  assert.match(page.textContent, /The first 100 of 150 places are shown/);
  const more = page.all("button").find((button) => button.textContent === "Show more places");
  await more.click();
  assert.equal(matrix().all("tr").length, 151);
  assert.doesNotMatch(page.textContent, /places are shown/);
});

/** The inbox of somebody with so many open requests of their own, and so many decisions today. */
async function shownInbox(own, decided) {
  const one = (i) => ({ id: `r${i}`, detail: "SELECT 1", dialect: "sqlite", operation: "execute_select", status: "pending", requester: "me", database: "d", environment: "e", created_at: new Date().toISOString(), your_vote: { action: "approve", at: new Date().toISOString() }, total_steps: 0 });
  const list = (count, most) => ({ requests: numbered(Math.min(count, most), one), total: count, total_is_lower_bound: false, next_cursor: count > most ? "c" : null });
  served((url) => {
    const limit = Number(url.searchParams.get("limit"));
    if (url.searchParams.has("decided_by_me")) return url.searchParams.has("cursor") ? list(decided - limit, limit) : list(decided, limit);
    return list(url.searchParams.get("status") === "pending" ? own : 0, limit);
  });
  const page = new Element();
  const context = { inbox: { items: [], older: null, total: "", first: null, listeners: new Set() } };
  await inbox({ page, signal: new AbortController().signal, me: { subject_id: "me" }, can: (right) => right !== "token.manage", context });
  return page.textContent;
}

test("below the inbox, lists that are cut say of how many, and lead to all", async () => {
  const text = await shownInbox(37, 60);
  assert.match(text, /The newest 10 of 37 that wait for approval are shown\. Show all/);
  assert.match(text, /The last 10 of 60 are shown\. Show all/);
  assert.doesNotMatch(await shownInbox(10, 10), /are shown/);
});

test("what was decided today is found behind what was asked for later", async () => {
  const at = (days) => new Date(Date.now() - days * 86400000).toISOString();
  const one = (i, days) => ({ id: `r${i}`, detail: `SELECT ${i}`, dialect: "sqlite", operation: "execute_select", status: "approved", requester: "carl", database: "d", environment: "e", created_at: at(9), your_vote: { action: "approve", at: at(days) }, total_steps: 0 });
  served((url) => {
    if (!url.searchParams.has("decided_by_me")) return { requests: [] };
    return url.searchParams.has("cursor") ? { requests: [one(50, 0)], next_cursor: null } : { requests: numbered(50, (i) => one(i, 2)), next_cursor: "c" };
  });
  const page = new Element();
  const context = { inbox: { items: [], older: null, total: "", first: null, listeners: new Set() } };
  await inbox({ page, signal: new AbortController().signal, me: { subject_id: "me" }, can: () => false, context });
  assert.match(page.textContent, /Decided todaySELECT 50/);
  assert.doesNotMatch(page.textContent, /SELECT 49/);
});

test("a chart draws what is a number, and says what it leaves out", () => {
  const columns = ["n", "m"].map((name) => ({ name, key: name }));
  const rows = numbered(300, (i) => ({ n: i === 7 ? null : i, m: i === 250 ? "NaN" : i === 251 ? "Infinity" : `${i}.5` }));
  for (const [kind, drawn, left] of [["scatter", 297, "3 rows that have"], ["line", 298, "2 rows that have"], ["bar", 60, null]]) {
    const figure = draw(kind, columns, rows);
    const marks = { scatter: "circle", line: "path", bar: "rect" }[kind];
    const places = figure.all(marks).map(({ attributes }) => attributes);
    assert.equal(kind === "line" ? places[0].d.split("L").length : places.length, drawn, kind);
    assert.doesNotMatch(JSON.stringify(places), /NaN|Infinity|null/);
    assert.equal(figure.textContent.includes("no number"), left !== null);
    if (left) assert.ok(figure.textContent.includes(`without ${left} no number`), figure.textContent);
  }
  assert.deepEqual(chartKinds([columns[0]], numbered(3, (i) => ({ n: [i] }))), []);
});

test("labels of a chart show blanks that a database tells from a space", () => {
  const columns = ["name", "n"].map((name) => ({ name, key: name }));
  const figure = draw("bar", columns, numbered(2, (i) => ({ name: `a\u00a0${i}`, n: i })));
  assert.match(figure.textContent, /aU\+00A00/);
});

test("a cut among several tables is told of all of them", () => {
  const set = (count) => ({ columns: [], rows: numbered(count, () => ({})) });
  const first = { ...set(3), truncated: true, truncation_reason: "row limit reached (9)" };
  assert.equal(cutWords(first, [first]), "This result was cut (row limit reached (9)): 3 rows of more are here.");
  assert.equal(cutWords(first, [first, set(9)]), "One of these 2 tables was cut (row limit reached (9)): it had more rows than are here.");
});

test("operations says of how many notifications it shows the newest", async () => {
  const delivery = (i) => ({ id: `w${i}`, event_type: "request.created", webhook_id: "ops", attempts: 1, max_attempts: 8, status: "delivered", updated_at: new Date().toISOString() });
  const shown = async (total) => {
    served((url) => (url.pathname === "/metrics" ? "" : url.pathname === "/api/webhook-deliveries" ? { deliveries: numbered(Math.min(total, 20), delivery), total } : { requests: [], agents: [], next_cursor: null, total: 0 }));
    const page = new Element();
    const left = new AbortController();
    const open = operations({ page, signal: left.signal, can: (right) => right === "metrics.view" });
    for (let turn = 0; turn < 1000 && !/Queues and store/.test(page.textContent); turn += 1) await new Promise(setImmediate);
    left.abort();
    await assert.rejects(open, { name: "AbortError" });
    return page.textContent;
  };
  assert.match(await shown(1234), /the newest 20 of 1\D?234/);
  assert.doesNotMatch(await shown(20), /the newest 20/);
});

test("people are shown with what each role permits, where, and what gives it", async () => {
  const role = (name, permissions, databases, environments, source, group) => ({ name, permissions, databases, environments, source, group });
  const access = { roles: [role("dba", ["request.view", "request.approve"], ["shop", "crm"], ["*"], "group", "oncall"), role("admin", ["*"], ["*"], ["*"], "config")] };
  served((url) => (url.pathname === "/api/users" ? { users: [{ id: "ann", subject_type: "user", roles: ["dba", "admin"], groups: [], access, status: "active" }] } : { tokens: [] }));
  const page = new Element();
  await people({ page, signal: new AbortController().signal, can: () => true, me: { subject_id: "admin", groups: [], permissions: [] } });
  const cell = page.all("table")[0].all("tr")[1].all("td")[1].textContent;
  assert.equal(cell, "dba by group oncallrequest.view, request.approve, on shop or crm / any environmentadmineverything, everywhere");
});

test("tokens are shown with what they let their holder do, and what ends or goes on with one is said", async () => {
  const token = (id, more) => ({ id, token_prefix: `p-${id}`, subject_id: "ann", subject_type: "user", roles: [], role_mode: "grant", groups: [], bound_to: null, issuer: "admin", status: "active", ...more });
  const tokens = [token("all"), token("some", { roles: ["developer", "dba"] }), token("most", { roles: ["developer"], role_mode: "ceiling" }), token("bound", { subject_type: "agent", roles: ["agent-default"], groups: ["night"], bound_to: [{ database: "shop", environment: "*" }] })];
  const revoked = { ended_descendants: [{ token_prefix: "e1", subject_id: "ann" }], kept_descendants: [{ token_prefix: "k1", subject_id: "ben" }] };
  const calls = served((url) => (url.pathname === "/api/tokens" ? { tokens } : url.pathname === "/api/users" ? { users: [] } : revoked));
  const page = new Element();
  await people({ page, signal: new AbortController().signal, can: () => true, me: { subject_id: "admin", groups: [], permissions: [] } });
  const rights = page.all("table")[1].all("tr").slice(1).map((row) => row.all("td")[2].textContent);
  assert.deepEqual(rights, ["what its owner holds", "developer, dba", "at most developer", "agent-defaultin nightonly for shop / any environment"]);
  // The question is answered with what was issued to others included.
  const asked = page.all("button").find((button) => button.textContent === "Revoke").click();
  const dialog = document.body.all("dialog")[0];
  dialog.all("input")[0].checked = true;
  dialog.close("yes");
  await asked;
  assert.ok(calls.includes("/api/tokens/all?descendants=true"), calls.join(" "));
  assert.match(page.textContent, /Ended with it: e1… of ann\./);
  assert.match(page.textContent, /Issued with it and still good: k1… of ben\./);
});

test("a log that holds names the requests that are frozen all the same", async () => {
  const said = async (answer) => {
    served(() => ({ valid: true, total_events: 22, first_broken_id: null, problem: null, ...answer }));
    const holder = new Element();
    await verify(holder, new Element(), new AbortController().signal);
    return holder.textContent;
  };
  assert.match(await said({ frozen_total: 2, frozen_requests: ["0123456789", "abcdefghij"] }), /^2 requests differ from what the log says and are frozen: 01234567 abcdefgh The log proves itself/);
  assert.match(await said({ frozen_total: 0, frozen_requests: [] }), /^The log proves itself/);
});

test("production is red, and what is not production is not", () => {
  const red = (environment) => target("shop", environment).className === "pill bad";
  assert.deepEqual(["production", "prod-eu", "eu_PROD", "prod-canonical", "production-preferred", "prod2", "non-production", "non-prod-eu", "preprod", "pre-production", "product-test", "staging"].map(red), [true, true, true, true, true, true, false, false, false, false, false, false]);
});
