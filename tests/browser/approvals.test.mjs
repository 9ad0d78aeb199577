// Deciding together in headless Chromium: two people have to approve, somebody else is faster, receivers are notified.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { House, SLOW, call, launch, until, visit } from "./support.mjs";

let browser;
let house;
let receiver;
const tokens = {};

before(async () => {
  receiver = createServer((call, answer) => answer.writeHead(call.url === "/there" ? 200 : 500).end("<b>not \u202e today</b>"));
  await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const hook = (id) => `[[webhooks]]\nid = "${id}"\nurl = "http://127.0.0.1:${receiver.address().port}/${id}"\nevents = ["request.created"]\n`;
  house = await House.start({ hasProvider: false, votes: 2, more: hook("there") + hook("failing") });
  for (const [who, role] of [["ann", "admin"], ["ben", "admin"], ["carl", "developer"]]) {
    tokens[who] = (await call(house.url, house.token(), "POST", "/api/tokens", { subject_id: who, subject_type: "user", roles: [role] })).token;
  }
  browser = await launch();
});

after(async () => {
  await browser.close();
  await house.stop();
  receiver.close();
});

const as = (who, method, path, body) => call(house.url, tokens[who], method, path, body);

const submit = (reason) => as("carl", "POST", "/api/requests", { database: "shop", environment: "production", detail: "UPDATE customers SET active = 0 WHERE id = 42", reason });

async function window(who, path) {
  const { open, finish } = await visit(browser, house.url);
  return { page: await open(path, tokens[who]), finish };
}

// First, since a receiver that fails is called more seldom.
test("who was notified of a request is said, and what did not go through", async () => {
  const { id } = await submit("notified");
  const tried = async () => {
    const { notifications } = await as("carl", "GET", `/api/requests/${id}`);
    return notifications.some((n) => n.status === "delivered") && notifications.some((n) => n.last_error);
  };
  await until("both were tried", tried);
  const { page, finish } = await window("carl", `/requests/${id}`);
  await page.getByText(/^there by webhook: delivered$/).waitFor(SLOW);
  await page.getByText(/^failing by webhook: pending \(.*500.*\)$/).waitFor(SLOW);
  assert.equal(await page.locator("main b").count(), 0);
  await finish();
  await as("carl", "POST", `/api/requests/${id}/cancel`, {});
});

test("who approves what has changed meanwhile looks again, then decides", async () => {
  const { id } = await submit("two must approve");
  const { page, finish } = await window("ann", `/requests/${id}`);
  await page.getByText("waits for you and one more").waitFor(SLOW);
  await page.getByLabel("Comment").fill("matches the ticket");
  await page.getByRole("button", { name: /^Approve/ }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("shop / production").waitFor(SLOW);
  await as("ben", "POST", `/api/requests/${id}/approve`, { comment: "seen by ben" });
  // The page follows behind the question, which counts for what it asked about all the same.
  await page.getByText("1 of 2 so far").waitFor(SLOW);
  await dialog.getByRole("button", { name: /^Approve/ }).click();
  await page.getByText("This request changed while you looked").waitFor(SLOW);
  const votes = async () => (await as("carl", "GET", `/api/requests/${id}`)).approval_progress.steps[0].approvals.map((v) => v.user);
  assert.deepEqual(await votes(), ["ben"]);
  assert.equal(await page.getByLabel("Comment").inputValue(), "matches the ticket");
  await page.getByRole("button", { name: /^Approve/ }).click();
  await dialog.getByRole("button", { name: /^Approve/ }).click();
  await page.getByText("approved, not yet run").waitFor(SLOW);
  assert.deepEqual(await votes(), ["ben", "ann"]);
  await finish("412 /approve$");
});

test("nothing is decided where a proxy takes away what a decision is bound to", async () => {
  const { id } = await submit("unbound");
  const { context, open, finish } = await visit(browser, house.url);
  await context.route(new RegExp(`api/requests/${id}(\\?.*)?$`), async (route) => {
    const answer = await route.fetch();
    const { etag, ...headers } = answer.headers();
    assert.ok(etag);
    await route.fulfill({ response: answer, headers });
  });
  const page = await open(`/requests/${id}`, tokens.ann);
  await page.getByRole("button", { name: /^Approve/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: /^Approve/ }).click();
  await page.getByText("removes the ETag of what the server answers, so nothing can be decided here").waitFor(SLOW);
  assert.equal((await as("carl", "GET", `/api/requests/${id}`)).status, "pending");
  await finish();
  await as("carl", "POST", `/api/requests/${id}/cancel`, {});
});

test("many windows of one browser hold few calls, and one follows when another closes", async () => {
  const made = [];
  for (const n of [1, 2, 3, 4]) made.push((await submit(`window ${n}`)).id);
  const { context, open, finish } = await visit(browser, house.url);
  await context.addInitScript(() => {
    let hidden = false;
    Object.defineProperty(document, "hidden", { get: () => hidden });
    window.hide = (now) => ((hidden = now), document.dispatchEvent(new Event("visibilitychange")));
  });
  const held = new Map();
  context.on("request", (call) => /[?&]wait=25/.test(call.url()) && held.set(call, /pending_for_me/.test(call.url()) ? "inbox" : "request"));
  for (const event of ["requestfinished", "requestfailed"]) context.on(event, (call) => held.delete(call));
  const calls = () => [...held.values()].sort().join(" ");
  const pages = [];
  for (const id of made) {
    // As a browser does it: the window before is hidden by the next one.
    if (pages.length) await pages.at(-1).evaluate(() => window.hide(true));
    const page = await open(`/requests/${id}`, tokens.ann);
    await page.getByRole("button", { name: /^Approve/ }).waitFor(SLOW);
    pages.push(page);
    await until("one call for what waits, and one for what is seen", () => calls() === "inbox request");
  }
  const began = Date.now();
  await pages[3].getByRole("button", { name: /^Approve/ }).click();
  await pages[3].getByRole("dialog").getByRole("button", { name: /^Approve/ }).click();
  await pages[3].getByText(/Waits for/).first().waitFor(SLOW);
  console.log(`a vote in the fourth window took ${Date.now() - began} ms`);
  // The windows tell each other, and another one asks when that which does is closed.
  await until("all have the news", async () => (await Promise.all(pages.map((page) => page.title()))).every((title) => title.startsWith("(3)")));
  await pages[0].close();
  await until("another window follows", () => calls() === "inbox request");
  await as("carl", "POST", `/api/requests/${made[1]}/cancel`, {});
  await until("it tells the others", async () => (await Promise.all(pages.slice(1).map((page) => page.title()))).every((title) => title.startsWith("(2)")));
  // What is seen again is as it is now.
  await pages[1].evaluate(() => window.hide(false));
  await pages[1].locator(".title-line").getByText("cancelled").waitFor(SLOW);
  await finish();
  for (const id of [made[0], made[2], made[3]]) await as("carl", "POST", `/api/requests/${id}/cancel`, {});
});

test("what waits for somebody is there by the call that is held, with no timer", async () => {
  const { context, open, finish } = await visit(browser, house.url);
  // No timer of the page fires, and the call that is held ends by itself only after 25 seconds.
  await context.addInitScript((token) => {
    sessionStorage.setItem("dbward.token", token);
    window.setTimeout = window.setInterval = () => 0;
  }, tokens.ann);
  const page = await open("/health");
  const held = page.waitForRequest(/pending_for_me=true.*wait=25/);
  await page.goto(`${house.url}/`);
  await held;
  const began = Date.now();
  const { id } = await submit("just now");
  await page.getByText("just now", { exact: false }).first().waitFor({ timeout: 10000 });
  console.log(`the inbox showed a new request ${Date.now() - began} ms after it was begun to be made`);
  assert.match(await page.title(), /^\(1\)/);
  await as("carl", "POST", `/api/requests/${id}/cancel`, {});
  await page.getByText("Nothing waits for you.").waitFor({ timeout: 10000 });
  assert.doesNotMatch(await page.title(), /^\(/);
  await finish();
});

test("more than the inbox shows at first are counted and reached, and nobody decides on their own", async () => {
  const made = [];
  // A token may have 32 calls under way.
  while (made.length < 105) made.push(...(await Promise.all(Array.from({ length: 15 }, () => submit("one of many")))));
  const own = await as("ann", "POST", "/api/requests", { database: "shop", environment: "production", detail: "UPDATE customers SET active = 0 WHERE id = 7", reason: "asked by ann" });
  const { page, finish } = await window("ann", "/");
  await page.getByText("105 requests need your decision. The newest 100 are shown first.").waitFor(SLOW);
  assert.match(await page.title(), /^\(105\)/);
  assert.equal(await page.locator("a.row[href]").filter({ hasText: "one of many" }).count(), 100);
  await page.getByRole("button", { name: "Show older ones" }).click();
  await page.getByRole("heading", { name: "Older" }).waitFor(SLOW);
  const shown = await page.locator("a.row").filter({ hasText: "one of many" }).evaluateAll((rows) => rows.map((row) => row.dataset.id));
  assert.deepEqual([...shown].sort(), made.map(({ id }) => id).sort());
  // One that is not among the newest can be decided on, one's own cannot.
  await page.goto(`${house.url}/requests/${shown[shown.length - 1]}`);
  await page.getByRole("button", { name: /^Approve/ }).waitFor(SLOW);
  await page.goto(`${house.url}/requests/${own.id}`);
  await page.getByText("You asked for it.").waitFor(SLOW);
  assert.equal(await page.getByRole("button", { name: /^(Approve|Reject)/ }).count(), 0);
  await finish();
  for (const { id } of made) await as("carl", "POST", `/api/requests/${id}/cancel`, {});
  await as("ann", "POST", `/api/requests/${own.id}/cancel`, {});
});

test("the timeline tells who did what, from the log or from what its reader may see", async () => {
  const { id } = await submit("told in order");
  await as("ben", "POST", `/api/requests/${id}/approve`, { comment: "seen by ben" });
  await as("ann", "POST", `/api/requests/${id}/reject`, { comment: "not this week" });
  const told = async (who) => {
    const { page, finish } = await window(who, `/requests/${id}`);
    const line = page.locator(".timeline li");
    await line.getByText(/ann rejected/).waitFor(SLOW);
    const all = await line.evaluateAll((lines) => lines.map((one) => one.querySelector("div").childNodes[2].textContent.trim()));
    const times = await line.locator("time").evaluateAll((list) => list.map((one) => one.dateTime));
    await finish();
    assert.deepEqual(times, [...times].sort());
    return all;
  };
  const whole = await told("ann");
  assert.deepEqual(whole.filter((words) => /asked|approved|rejected/.test(words)), ["carl asked", "ben approved a step", "ann rejected"]);
  assert.deepEqual(await told("carl"), ["carl asked", "ben approved", "ann rejected"]);
});
