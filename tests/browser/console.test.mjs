// The console in headless Chromium against a running demo. DBWARD_BIN names the program; SCREENSHOTS a folder for
// pictures of the main pages. Every page that is opened fails its test on a console error, a script error or a
// violation of the content security policy.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const BIN = process.env.DBWARD_BIN || "target/release/dbward";
const PAGES = ["/", "/requests", "/requests?user=me", "/new", "/audit", "/operations", "/policies", "/people"];
const SLOW = { timeout: 15000 };

let browser;
let demo;

/** A demo server on a port of its own. */
class Demo {
  static async start() {
    const one = new Demo();
    one.dir = mkdtempSync(join(tmpdir(), "dbward-console-"));
    one.port = await free();
    await one.run();
    return one;
  }

  async run() {
    this.process = spawn(BIN, ["demo", "--listen", `127.0.0.1:${this.port}`, "--state-dir", this.dir], { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve, reject) => {
      let said = "";
      this.process.stdout.on("data", (chunk) => {
        said += chunk;
        if (said.includes("Ctrl-C")) resolve();
      });
      this.process.on("exit", (code) => reject(new Error(`the demo ended with ${code}`)));
    });
  }

  async stop() {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill("SIGTERM");
    await ended;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  token(who) {
    return readFileSync(join(this.dir, `${who}-token`), "utf8").trim();
  }

  async call(who, method, path, body) {
    const response = await fetch(this.url + path, { method, headers: { authorization: `Bearer ${this.token(who)}`, "content-type": "application/json" }, body: body && JSON.stringify(body) });
    const text = await response.text();
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  submit(environment, detail, reason) {
    return this.call("requester", "POST", "/api/requests", { database: "shop", environment, detail, reason });
  }
}

async function free() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A window of its own, signed in as `who`. `finish` closes it and fails on anything that went wrong in it. */
async function window(who, path = "/", options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(`script error: ${error.message}`));
  page.on("console", (message) => message.type() === "error" && wrong.push(`console: ${message.text()}`));
  await page.addInitScript(() => document.addEventListener("securitypolicyviolation", (e) => console.error(`policy violated: ${e.violatedDirective}`)));
  await page.goto(`${demo.url}${path}${who ? `#token=${demo.token(who)}` : ""}`);
  const finish = async (allowed = /^$/) => {
    await context.close();
    assert.deepEqual(wrong.filter((w) => !allowed.test(w)), []);
  };
  return { page, finish, wrong };
}

before(async () => {
  demo = await Demo.start();
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
});

after(async () => {
  await browser.close();
  await demo.stop();
  rmSync(demo.dir, { recursive: true, force: true });
});

test("a token signs in, a wrong one is refused, and it is forgotten on signing out", async () => {
  const { page, finish } = await window(null);
  await page.getByLabel("Your token").fill("dbw_00000000000000000000000000000000");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("This token is not known").waitFor(SLOW);
  await page.getByLabel("Your token").fill(demo.token("approver"));
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  assert.equal(await page.evaluate(() => localStorage.length), 0);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Your token").waitFor(SLOW);
  assert.equal(await page.evaluate(() => sessionStorage.getItem("dbward.token")), null);
  await finish(/401/);
});

test("a request is submitted, approved by somebody else, run, and its result read", async () => {
  const approver = await window("approver");
  await approver.page.getByText("Nothing waits for you.").waitFor(SLOW);
  const requester = await window("requester", "/new");
  await requester.page.getByLabel("Database and environment").selectOption("shop/production");
  await requester.page.getByLabel("Reason").fill("ticket 4471");
  await requester.page.getByLabel("SQL").fill("UPDATE customers\n   SET active = 0\n WHERE id = 42");
  await requester.page.getByRole("button", { name: "Submit" }).click();
  await requester.page.getByText("waits for approval").first().waitFor(SLOW);
  // Nobody reloads: the inbox follows.
  await approver.page.getByText("ticket 4471").waitFor(SLOW);
  assert.match(await approver.page.title(), /^\(1\)/);
  await approver.page.locator("a.row").first().click();
  await approver.page.getByLabel("Comment").fill("matches the ticket");
  await approver.page.getByRole("button", { name: /^Approve/ }).click();
  const dialog = approver.page.getByRole("dialog");
  await dialog.getByText("shop / production").waitFor(SLOW);
  await dialog.getByRole("button", { name: /^Approve/ }).click();
  await requester.page.getByText("approved, not yet run").waitFor(SLOW);
  await requester.page.getByText("“matches the ticket”").first().waitFor(SLOW);
  await requester.page.getByRole("button", { name: "Run on shop / production" }).click();
  await requester.page.getByRole("dialog").getByRole("button", { name: "Run on shop / production" }).click();
  await requester.page.getByText("executed").first().waitFor(SLOW);
  await requester.page.getByText("row changed").waitFor(SLOW);
  await approver.finish();
  await requester.finish();
});

test("a write is rehearsed, its rows are shown, and approving names them", async () => {
  const { id } = await demo.submit("production", "UPDATE orders SET status = 'paid' WHERE customer_id = 42", "ticket 4472");
  const { page, finish } = await window("approver", `/requests/${id}`);
  await page.getByRole("button", { name: "Rehearse", exact: true }).click();
  await page.getByText(/^[\d,.]+ rows? in orders$/).waitFor(SLOW);
  const rows = (await demo.call("approver", "GET", `/api/requests/${id}`)).rehearsal.rows_affected;
  assert.ok(rows > 0);
  await page.getByRole("button", { name: new RegExp(`^Approve ${rows} rows?$`) }).waitFor(SLOW);
  await page.getByRole("button", { name: "Rehearse again" }).waitFor(SLOW);
  // Who has not voted sees nothing of a request that is over: the window closes before.
  await finish();
  await demo.call("requester", "POST", `/api/requests/${id}/cancel`, {});
});

test("a result scrolls through its rows, marks NULL, and can be saved", async () => {
  const made = await demo.submit("development", "SELECT id, NULL AS missing, '' AS empty, 9007199254740993 AS large FROM orders", "rows");
  const { page, finish } = await window("requester", `/requests/${made.id}`);
  const grid = page.locator("dbw-grid");
  await grid.waitFor(SLOW);
  await grid.getByText("9007199254740993").first().waitFor(SLOW);
  await grid.getByText("NULL").first().waitFor(SLOW);
  assert.ok((await grid.locator(".grid-row").count()) < 100);
  await grid.evaluate((g) => (g.scrollTop = g.scrollHeight));
  await grid.getByText("3000", { exact: true }).first().waitFor(SLOW);
  const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "CSV" }).click()]);
  assert.match(saved.suggestedFilename(), /\.csv$/);
  await page.getByRole("button", { name: "Chart: line" }).click();
  await page.getByRole("img", { name: /line chart/ }).waitFor(SLOW);
  await finish();
});

test("hostile text stays text", async () => {
  const evil = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>";
  const made = await demo.submit("development", `SELECT '${evil}' AS "<b>name</b>", 'safe' || char(8238) || 'dekcah' AS bidi`, `${evil} \u202e reversed`);
  const { page, finish } = await window("requester", `/requests/${made.id}`);
  await page.locator("dbw-grid").getByText("U+202E").waitFor(SLOW);
  await page.getByRole("heading", { level: 1 }).getByText("U+202E").waitFor(SLOW);
  await page.goto(`${demo.url}/requests?user=me`);
  await page.getByText("<script>window.hacked=1</script>").first().waitFor(SLOW);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.equal(await page.locator("main img, main script").count(), 0);
  await finish();
});

test("a cell of a megabyte opens on its own and does not stop the page", async () => {
  const made = await demo.submit("development", "SELECT hex(zeroblob(500000)) AS big", "large");
  const { page, finish } = await window("requester", `/requests/${made.id}`);
  await page.locator("dbw-grid .grid-row").first().waitFor(SLOW);
  await page.locator("dbw-grid [title='Open the whole value']").click();
  await page.getByRole("dialog").getByText("1,000,000 characters").waitFor(SLOW);
  await page.getByText("The first 200,000 characters are shown").waitFor(SLOW);
  await finish();
});

test("every page has an address that can be reloaded, and back works", async () => {
  const { page, finish } = await window("admin");
  for (const path of PAGES) {
    await page.goto(demo.url + path);
    await page.locator("h1").waitFor(SLOW);
    const title = await page.locator("h1").first().textContent();
    await page.reload();
    await page.locator("h1").getByText(title.trim(), { exact: true }).waitFor(SLOW);
  }
  await page.goto(`${demo.url}/`);
  await page.getByRole("link", { name: "Policies" }).click();
  await page.getByRole("heading", { name: "Policies" }).waitFor(SLOW);
  await page.goBack();
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  await page.goto(`${demo.url}/requests/00000000-0000-4000-8000-000000000000`);
  await page.getByRole("alert").waitFor(SLOW);
  await finish(/404/);
});

test("a plan is a tree, and its expensive part is marked, for every database", async () => {
  const { page, finish } = await window("approver");
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  const shown = (plan, sizes) =>
    page.evaluate(
      async ([plan, sizes]) => {
        const { planTree } = await import("/assets/plan.js");
        const tree = planTree({ plan }, new Map(sizes));
        return [tree.textContent.trimEnd().split("\n"), [...tree.querySelectorAll(".costly")].map((n) => n.textContent.trim())];
      },
      [plan, sizes],
    );
  const scan = { "Node Type": "Seq Scan", "Relation Name": "orders", "Total Cost": 96, "Plan Rows": 2104882 };
  const index = { "Node Type": "Index Scan", "Index Name": "customers_pkey", "Relation Name": "customers", "Total Cost": 3, "Plan Rows": 1 };
  const postgres = [{ Plan: { "Node Type": "ModifyTable", Operation: "Update", "Relation Name": "orders", "Total Cost": 100, Plans: [scan, index] } }];
  const costly = "Seq Scan on orders · 2.1 M rows · 96 % of cost (the most expensive part)";
  assert.deepEqual(await shown(postgres, []), [["Update on orders", `├ ${costly}`, "└ Index Scan using customers_pkey on customers · 1 row"], [`├ ${costly}`]]);
  const sqlite = [{ id: 2, parent: 0, detail: "SCAN orders" }, { id: 5, parent: 0, detail: "SEARCH customers USING INTEGER PRIMARY KEY (rowid=?)" }];
  assert.deepEqual((await shown(sqlite, [["orders", 3000]]))[1], ["SCAN orders · 3,000 rows (the most expensive part)"]);
  const mysql = { query_block: { nested_loop: [{ table: { table_name: "a", access_type: "ALL", rows: 500, cost: 9 } }, { table: { table_name: "b", access_type: "ref", key: "b_a", rows: 1, cost: 1 } }] } };
  assert.deepEqual((await shown(mysql, []))[1], ["├ ALL on a · 500 rows · 90 % of cost (the most expensive part)"]);
  // Whatever a database writes, it stays text.
  assert.deepEqual((await shown("<b>x</b>", []))[0], ["<b>x</b>"]);
  await finish();
});

test("a new request starts from an earlier one", async () => {
  const made = await demo.submit("production", "UPDATE customers SET active = 0 WHERE id = 77", "as last month");
  const { page, finish } = await window("requester", "/new");
  await page.getByRole("button", { name: /as last month/ }).click();
  assert.equal(await page.getByLabel("SQL").inputValue(), "UPDATE customers SET active = 0 WHERE id = 77");
  assert.equal(await page.getByLabel("Reason").inputValue(), "as last month");
  // What was typed is asked about before it goes.
  await page.getByLabel("SQL").fill("SELECT 1");
  await page.getByRole("button", { name: /as last month/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Back" }).click();
  assert.equal(await page.getByLabel("SQL").inputValue(), "SELECT 1");
  await demo.call("requester", "POST", `/api/requests/${made.id}/cancel`, {});
  await finish();
});

test("the keyboard alone decides", async () => {
  const made = await demo.submit("production", "UPDATE customers SET active = 1 WHERE id = 7", "by keyboard");
  const { page, finish } = await window("approver");
  await page.getByText("by keyboard").waitFor(SLOW);
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "by keyboard" }).waitFor(SLOW);
  await page.keyboard.press("c");
  await page.keyboard.type("no ticket");
  await page.keyboard.press("Tab");
  await page.keyboard.press("r");
  await page.getByRole("dialog").waitFor(SLOW);
  await page.keyboard.press("Enter");
  await page.getByText("rejected").first().waitFor(SLOW);
  assert.equal((await demo.call("requester", "GET", `/api/requests/${made.id}`)).status, "rejected");
  await page.keyboard.press("g");
  await page.keyboard.press("i");
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  await page.keyboard.press("?");
  await page.getByRole("dialog").getByText("next and previous row").waitFor(SLOW);
  await finish();
});

test("a decision on what has changed meanwhile is not taken", async () => {
  const made = await demo.submit("production", "UPDATE customers SET active = 1 WHERE id = 8", "raced");
  await demo.call("approver", "POST", `/api/requests/${made.id}/approve`, {});
  // What is approved is looked at only now and then: the page does not know of the change before it decides.
  const { page, finish } = await window("requester", `/requests/${made.id}`);
  await page.getByRole("button", { name: /^Run on/ }).click();
  await demo.call("requester", "POST", `/api/requests/${made.id}/cancel`, {});
  await page.getByRole("dialog").getByRole("button", { name: /^Run on/ }).click();
  await page.getByText("This request changed while you looked").waitFor(SLOW);
  await page.getByText("cancelled").first().waitFor(SLOW);
  assert.equal((await demo.call("requester", "GET", `/api/requests/${made.id}`)).status, "cancelled");
  await finish(/412/);
});

test("an approver sees when somebody else was faster", async () => {
  const made = await demo.submit("production", "UPDATE customers SET active = 1 WHERE id = 11", "withdrawn");
  const { page, finish } = await window("approver", `/requests/${made.id}`);
  await page.getByRole("button", { name: /^Approve/ }).waitFor(SLOW);
  await demo.call("requester", "POST", `/api/requests/${made.id}/cancel`, {});
  await page.getByText("decided or withdrawn meanwhile").waitFor(SLOW);
  await finish(/403/);
});

test("a lost server shows a bar, and the page comes back by itself", async () => {
  const { page, finish } = await window("approver");
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  await demo.stop();
  await page.locator(".offline").waitFor(SLOW);
  await demo.run();
  await page.locator(".offline").waitFor({ state: "detached", timeout: 60000 });
  await demo.submit("production", "UPDATE customers SET active = 1 WHERE id = 9", "after the restart");
  await page.getByText("after the restart").waitFor({ timeout: 40000 });
  await finish(/Failed to load|ERR_|503/);
});

test("a session that ended asks to sign in again and keeps the address", async () => {
  const issued = await demo.call("admin", "POST", "/api/tokens", { subject_id: "visitor", subject_type: "user", roles: ["readonly"] });
  const { page, finish } = await window(null, `/policies#token=${issued.token}`);
  await page.getByRole("heading", { name: "Policies" }).waitFor(SLOW);
  await demo.call("admin", "DELETE", `/api/tokens/${issued.id}`);
  await page.getByText("Your session is over").waitFor({ timeout: 40000 });
  assert.equal(new URL(page.url()).pathname, "/policies");
  await finish(/401/);
});

test("the log is proved again on demand", async () => {
  const { page, finish } = await window("admin", "/audit");
  await page.getByRole("button", { name: "Verify the whole log" }).click();
  await page.getByText("The log proves itself").waitFor({ timeout: 30000 });
  await page.getByLabel("Event, as request.approved").fill("request.created");
  await page.keyboard.press("Tab");
  await page.waitForURL(/event_type=request.created/);
  await page.getByText("request.created").first().waitFor(SLOW);
  assert.equal(await page.getByText("execution.completed").count(), 0);
  await finish();
});

for (const scheme of ["light", "dark"]) {
  test(`no page has a serious fault of accessibility, ${scheme}`, async () => {
    const { id } = await demo.submit("production", "UPDATE orders\n   SET status = 'refunded'\n WHERE customer_id = 42 OR id = 17;", "ticket 4471: double charge");
    const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, colorScheme: scheme, bypassCSP: true });
    const page = await context.newPage();
    const found = [];
    for (const path of [...PAGES, `/requests/${id}`, `/new?from=${id}`]) {
      await page.goto(`${demo.url}${path}#token=${demo.token(path.includes(id) ? "approver" : "admin")}`);
      await page.locator("h1").first().waitFor(SLOW);
      await page.waitForLoadState("load");
      await page.locator(".bone").first().waitFor({ state: "detached", ...SLOW });
      await page.evaluate(AXE);
      const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
      for (const v of violations.filter((x) => ["serious", "critical"].includes(x.impact))) found.push(`${path}: ${v.id} ${v.nodes.map((n) => n.html.slice(0, 120)).slice(0, 3).join(" | ")}`);
      await page.evaluate(() => sessionStorage.clear());
    }
    await context.close();
    assert.deepEqual(found, []);
  });
}

test("a phone shows every page without scrolling sideways", async () => {
  const { page, finish } = await window("admin", "/", { viewport: { width: 390, height: 780 } });
  const { requests } = await demo.call("requester", "GET", "/api/requests?limit=1");
  for (const path of [...PAGES, `/requests/${requests[0].id}`]) {
    await page.goto(demo.url + path);
    await page.locator("h1").first().waitFor(SLOW);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(over <= 0, `${path} is ${over} px too wide`);
  }
  await finish();
});

test("pictures of the main pages", { skip: !process.env.SCREENSHOTS }, async () => {
  const into = (name) => join(process.env.SCREENSHOTS, name);
  const { requests } = await demo.call("approver", "GET", "/api/requests?pending_for_me=true&limit=10");
  const shown = requests.find((r) => (r.reason || "").startsWith("ticket 4471: double")) || requests[0];
  for (const [who, path, name, scheme] of [
    ["approver", "/", "console-inbox.png", "light"],
    ["approver", `/requests/${shown.id}`, "console-request.png", "light"],
    ["approver", `/requests/${shown.id}`, "console-request-dark.png", "dark"],
    ["admin", "/operations", "console-operations.png", "light"],
  ]) {
    const { page, finish } = await window(who, path, { colorScheme: scheme });
    await page.locator(".card").first().waitFor(SLOW);
    await page.locator(".bone").first().waitFor({ state: "detached", ...SLOW });
    await page.screenshot({ path: into(name) });
    await finish();
  }
});
