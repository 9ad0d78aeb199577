// What somebody sees whose session ends while they work: run by tests/it/sessions/browser.rs, against a server whose clock
// that test turns. A line on the output says what shall happen there, a line on the input that it did.
import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { SLOW, launch, visit } from "./support.mjs";

const url = process.argv[2];
const HOUR = 3600;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const browser = await launch();

async function there(what) {
  console.log(what);
  const { done } = await lines.next();
  assert.ok(!done, `nobody did: ${what}`);
}

const over = (page) => page.getByText("Your session is over. Sign in to go on where you were; what you typed is kept.").waitFor(SLOW);

/** Signs in from where the page stands; the provider asks nothing. */
const again = (page) => page.getByRole("link", { name: /^Continue with/ }).click();

const { context, open, finish } = await visit(browser, url);
const page = await open("/new");
await again(page);

// An hour without a call of somebody, on a form that is half filled in.
const TYPED = [
  ["Database and environment", "shop/production"],
  ["Reason", "ticket 4471"],
  ["Rows at most", "40"],
  ["SQL", "UPDATE items\n   SET price = 2 WHERE id = 1"],
];
await page.getByLabel("Database and environment").selectOption(TYPED[0][1]);
for (const [label, text] of TYPED.slice(1)) await page.getByLabel(label).fill(text);
await page.getByLabel(/^Emergency/).check();
await page.getByText("can be requested").first().waitFor(SLOW);
await there(`turn ${HOUR}`);
await over(page);
assert.equal(page.url(), `${url}/new`);
assert.equal(await page.locator("textarea").count(), 0, "what was typed is not shown to somebody who comes by");
await again(page);
await page.getByLabel("SQL").waitFor(SLOW);
assert.equal(page.url(), `${url}/new`);
for (const [label, text] of TYPED) assert.equal(await page.getByLabel(label).inputValue(), text, label);
// An emergency is of its moment, and does not come back.
assert.ok(!(await page.getByLabel(/^Emergency/).isChecked()));
await page.getByRole("button", { name: "Submit" }).click();
await page.getByText("waits for approval").first().waitFor(SLOW);
const request = page.url();

// What was sent is not kept.
await page.goto(`${url}/new`);
await page.getByLabel("SQL").waitFor(SLOW);
assert.equal(await page.getByLabel("SQL").inputValue(), "");

// Eight hours, however much it is used, with a comment that is being written and a question that stands open.
await page.goto(request);
await page.getByLabel("Comment").fill("is this still needed");
await page.getByRole("button", { name: "Cancel the request" }).click();
await page.getByRole("dialog").waitFor(SLOW);
for (let n = 0; n < 15; n += 1) {
  await there(`turn ${HOUR / 2}`);
  assert.equal(await page.evaluate(async () => (await fetch("/api/me")).status), 200, `${n}`);
}
await there(`turn ${HOUR / 2}`);
await over(page);
assert.equal(await page.getByRole("dialog").count(), 0);
assert.equal(page.url(), request);
await again(page);
await page.getByLabel("Comment").waitFor(SLOW);
assert.equal(page.url(), request);
assert.equal(await page.getByLabel("Comment").inputValue(), "is this still needed");

// Signed out from another browser.
const other = await visit(browser, url);
const elsewhere = await other.open("/");
await again(elsewhere);
await elsewhere.getByRole("button", { name: "Sign out everywhere" }).click();
await over(page);
await again(page);
await page.getByLabel("Comment").waitFor(SLOW);
assert.equal(await page.getByLabel("Comment").inputValue(), "is this still needed");

// Two windows: who signs in again in one goes on in the other too.
const second = await context.newPage();
await second.goto(`${url}/requests?user=me`);
await second.locator("a.row").first().waitFor(SLOW);
await there(`turn ${HOUR}`);
await over(page);
await over(second);
await again(second);
await second.locator("a.row").first().waitFor(SLOW);
await page.getByLabel("Comment").waitFor(SLOW);
assert.equal(page.url(), request);
await second.close();

// Suspended: the way back is closed, and said so, until an administrator opens it.
await there("suspend ann");
await over(page);
await again(page);
await page.getByText("You are suspended here.").waitFor(SLOW);
assert.equal(page.url(), request);
await there("activate ann");

// Somebody else signs in in the same window: nothing of what the other one typed is theirs.
await there("next bob");
await again(page);
await page.getByText("bob", { exact: true }).first().waitFor(SLOW);
await page.goto(`${url}/new`);
await page.getByLabel("SQL").fill("SELECT 1");
assert.ok(!(await page.evaluate(() => sessionStorage.getItem("dbward.typed"))).includes("still needed"));
await page.getByRole("button", { name: "Sign out", exact: true }).click();
await page.getByText("You are signed out.").waitFor(SLOW);
assert.equal(await page.evaluate(() => sessionStorage.length), 0);

await other.finish("401 ^/api/");
// The next person stands on the page of a request that is not theirs.
await finish("401 ^/api/", "403 ^/api/requests/");
await browser.close();
console.log("passed");
process.exit(0);
