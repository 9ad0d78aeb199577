// What people do in the console, in headless Chromium against a running demo.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Demo, SLOW, edited, ended, file, launch, peopled, proved, until, visit, working } from "./support.mjs";

const PAGES = ["/", "/requests", "/requests?user=me", "/new", "/audit", "/operations", "/policies", "/people"];

let browser;
let demo;

/** A window of its own, signed in as `who`. */
async function window(who, path = "/", options = {}, token = who && demo.token(who)) {
  const { open, finish } = await visit(browser, demo.url, options);
  return { page: await open(path, token), finish };
}

before(async () => {
  demo = await Demo.start();
  browser = await launch();
});

after(async () => {
  await browser.close();
  await demo.end();
});

test("a token signs in, a wrong one is refused, and it is forgotten on signing out", async () => {
  const { page, finish } = await window(null);
  await page.getByLabel("Your token").fill("dbw_00000000000000000000000000000000");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("This token is not known").waitFor(SLOW);
  // Nor is what no header can hold, as the first characters that the page of tokens shows.
  const refused = page.getByText("This token is not known");
  for (const text of ["dbw_1a2b\u2026", "dbw_1a2b\u200b", "dbw 1a2b"]) {
    await page.locator(".banner").evaluate((banner) => banner.remove());
    await page.getByLabel("Your token").fill(text);
    await page.getByRole("button", { name: "Sign in" }).click();
    await refused.waitFor(SLOW);
    assert.equal(await page.locator(".offline").count(), 0);
  }
  await page.getByLabel("Your token").fill(demo.token("approver"));
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  assert.equal(await page.evaluate(() => localStorage.length), 0);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Your token").waitFor(SLOW);
  assert.equal(await page.evaluate(() => sessionStorage.getItem("dbward.token")), null);
  await finish("401 ^/api/me$");
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
  await requester.page.getByText("Waits for group approvers. You asked for it.").waitFor(SLOW);
  // Nobody reloads: the inbox follows.
  await approver.page.getByText("ticket 4471").waitFor(SLOW);
  assert.match(await approver.page.title(), /^\(1\)/);
  await approver.page.locator("a.row").first().click();
  await approver.page.getByText("waits for you", { exact: true }).waitFor(SLOW);
  await approver.page.getByText("0 of 1 so far · you can act").waitFor(SLOW);
  await approver.page.getByLabel("Comment").fill("matches the ticket");
  await approver.page.getByRole("button", { name: /^Approve/ }).click();
  const dialog = approver.page.getByRole("dialog");
  await dialog.getByText("shop / production").waitFor(SLOW);
  await dialog.getByRole("button", { name: /^Approve/ }).click();
  await requester.page.getByText("approved, not yet run").waitFor(SLOW);
  await requester.page.getByText("“matches the ticket”").first().waitFor(SLOW);
  await requester.page.getByText("It can be run now, by requester.").waitFor(SLOW);
  await requester.page.getByRole("button", { name: "Run on shop / production" }).click();
  await requester.page.getByRole("dialog").getByRole("button", { name: "Run on shop / production" }).click();
  await requester.page.getByText("executed").first().waitFor(SLOW);
  await requester.page.getByText("row changed").waitFor(SLOW);
  // Who approved sees that it ran, and learns that its result is not theirs.
  await approver.page.getByText("What it returned is shown to its requester").waitFor(SLOW);
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
  // Asked about are the place, the rows and the risk.
  await page.getByRole("button", { name: new RegExp(`^Approve ${rows} rows?$`) }).click();
  const dialog = page.getByRole("dialog");
  for (const words of [/shop \/ production, asked by requester/, new RegExp(`^${rows} rows? changed when it was rehearsed`), new RegExp(`^At most ${rows} rows? may change`), /^Risk (low|medium)/]) await dialog.getByText(words).waitFor(SLOW);
  await dialog.getByRole("button", { name: "Back" }).click();
  await page.getByText(/^Risk (low|medium)\.$/).waitFor(SLOW);
  await page.getByRole("button", { name: "Rehearse again" }).waitFor(SLOW);
  // Who has not voted sees nothing of a request that is over: the window closes before.
  await finish();
  await demo.cancel(id);
});

test("a result scrolls through its rows, marks NULL, and can be saved", async () => {
  const made = await demo.submit("development", "SELECT id, NULL AS missing, '' AS empty, 9007199254740993 AS large FROM orders", "rows");
  const { page, finish } = await window("requester", `/requests/${made.id}`);
  const grid = page.locator("dbw-grid");
  await grid.waitFor(SLOW);
  await grid.getByText("9007199254740993").first().waitFor(SLOW);
  await grid.getByText("NULL").first().waitFor(SLOW);
  // Nothing and an empty text are not the same.
  const cells = await grid.locator(".grid-row").first().locator(".grid-cell").evaluateAll((all) => all.map((cell) => [cell.textContent, cell.classList.contains("null")]));
  assert.deepEqual(cells.slice(2, 4), [["NULL", true], ["", false]]);
  assert.ok((await grid.locator(".grid-row").count()) < 100);
  await grid.evaluate((g) => (g.scrollTop = g.scrollHeight));
  await grid.getByText("3000", { exact: true }).first().waitFor(SLOW);
  const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "CSV" }).click()]);
  assert.match(saved.suggestedFilename(), /^result-[0-9a-f-]{36}\.csv$/);
  await page.getByRole("button", { name: "Chart: line" }).click();
  await page.getByRole("img", { name: /line chart/ }).waitFor(SLOW);
  await finish();
});

test("a result is drawn as bars, a line or dots, and copied as it is", async () => {
  const sql = "SELECT 'item ' || id AS name, id * 10 AS price, 9007199254740993 AS large, NULL AS missing FROM orders LIMIT 3";
  const made = await demo.submit("development", sql, "drawn");
  const { context, open, finish } = await visit(browser, demo.url);
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await open(`/requests/${made.id}`, demo.token("requester"));
  await page.locator("dbw-grid .grid-row").first().waitFor(SLOW);
  const svg = page.locator("main svg.chart");
  for (const [kind, marks] of [["bar", "rect.one"], ["line", "path.path"], ["scatter", "circle.one"]]) {
    await page.getByRole("button", { name: `Chart: ${kind}` }).click();
    await page.getByRole("img", { name: new RegExp(`^${kind} chart of (price|large) by (name|price)$`) }).waitFor(SLOW);
    assert.equal(await svg.locator(marks).count(), kind === "line" ? 1 : 3, kind);
    assert.equal(await svg.count(), 1);
  }
  // The first two numbers of each row: larger ones are further to the right.
  const places = await svg.locator("circle.one").evaluateAll((dots) => dots.map((dot) => Number(dot.getAttribute("cx"))));
  assert.deepEqual(places, [...places].sort((a, b) => a - b));
  assert.ok(places[0] < places[2]);
  const copied = () => page.evaluate(() => navigator.clipboard.readText());
  await page.locator(".card").filter({ has: page.locator("dbw-grid") }).getByRole("button", { name: "Copy", exact: true }).click();
  await page.getByText("Table copied").waitFor(SLOW);
  const rows = (await copied()).split("\n").map((row) => row.split("\t"));
  assert.deepEqual(rows[0], ["name", "price", "large", "missing"]);
  assert.deepEqual([rows.length, rows[1][2], rows[1][3]], [4, "9007199254740993", ""]);
  await page.getByRole("button", { name: "Copy", exact: true }).first().click();
  await page.getByText("SQL copied").waitFor(SLOW);
  assert.equal(await copied(), sql);
  await finish();
});

test("several tables are saved one by one, and what cannot be saved or copied says so", async () => {
  const made = await demo.submit("development", "SELECT id FROM orders LIMIT 3", "two tables");
  const { context, open, finish } = await visit(browser, demo.url);
  await context.route(/result\/content\?values=exact/, async (route) => {
    const answer = await route.fetch();
    const body = await answer.json();
    body.result_data.more_results = [{ columns: body.result_data.columns, rows: body.result_data.rows.slice(1) }];
    await route.fulfill({ response: answer, json: body });
  });
  const asked = [];
  await context.route(/result\/content\?format=csv/, (route) => {
    asked.push(new URL(route.request().url()).searchParams.get("result"));
    return route.fulfill({ status: 410, contentType: "application/json", body: JSON.stringify({ error: { code: "gone", message: "the result was removed" } }) });
  });
  await context.addInitScript(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
  const page = await open(`/requests/${made.id}`, demo.token("requester"));
  assert.equal(await page.locator("dbw-grid").first().waitFor(SLOW).then(() => page.locator("dbw-grid").count()), 2);
  assert.equal(await page.getByRole("button", { name: "CSV", exact: true }).count(), 0);
  await page.getByRole("button", { name: "CSV of table 2" }).click();
  await page.getByText("The result was removed.").waitFor(SLOW);
  assert.deepEqual(asked, ["2"]);
  await page.getByRole("button", { name: "Copy", exact: true }).first().click();
  await page.getByText(/^SQL not copied/).waitFor(SLOW);
  await finish("410 /result/content$");
});

test("a request that is sent again, since its answer was lost, is made once", async () => {
  const { context, open, finish } = await visit(browser, demo.url);
  let lost = 0;
  await context.route(/\/api\/requests$/, async (route) => {
    if (route.request().method() !== "POST" || lost > 0) return route.continue();
    lost += 1;
    await route.fetch();
    return route.abort();
  });
  const page = await open("/new", demo.token("requester"));
  await page.getByLabel("Database and environment").selectOption("shop/production");
  await page.getByLabel("Reason").fill("sent twice");
  await page.getByLabel("SQL").fill("UPDATE customers SET active = 1 WHERE id = 33");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.getByText("The server cannot be reached").first().waitFor(SLOW);
  // Also after the page was loaded anew, which keeps what was typed.
  await page.reload();
  await page.getByRole("button", { name: "Submit" }).click();
  await page.getByText("waits for approval").first().waitFor(SLOW);
  const { requests } = await demo.call("requester", "GET", "/api/requests?user=requester&limit=100");
  const made = requests.filter((r) => r.reason === "sent twice");
  assert.equal(made.length, 1);
  assert.equal(new URL(page.url()).pathname, `/requests/${made[0].id}`);
  await demo.cancel(made[0].id);
  await finish("ERR ^/api/requests$");
});

test("somebody decides on a small screen, with the text before them", async () => {
  const { id } = await demo.submit("production", "UPDATE customers SET active = 0 WHERE id = 34", "on the way", { max_affected_rows: 40 });
  const { page, finish } = await window("approver", "/", { viewport: { width: 390, height: 780 } });
  await page.locator("a.row").filter({ hasText: "on the way" }).click();
  await page.locator("dbw-sql").waitFor(SLOW);
  const approve = page.getByRole("button", { name: "Approve up to 40 rows" });
  // What is drawn again in between has no place for a moment.
  const [text, button] = await until("both are drawn", async () => {
    const boxes = [await page.locator("dbw-sql pre").boundingBox(), await approve.boundingBox()];
    return boxes.every(Boolean) && boxes;
  });
  assert.ok(text.y > 0 && text.y + text.height < button.y && button.y + button.height < 780);
  await approve.click();
  await page.getByRole("dialog").getByRole("button", { name: /^Approve/ }).click();
  await page.getByText("approved, not yet run").waitFor(SLOW);
  assert.equal((await demo.call("requester", "GET", `/api/requests/${id}`)).status, "approved");
  await demo.cancel(id);
  await finish();
});

test("a request names its tables with their rows", async () => {
  const { id } = await demo.submit("production", "UPDATE orders SET status = 'paid' WHERE customer_id = 42", "rows of tables");
  const { page, finish } = await window("approver", `/requests/${id}`);
  const rows = (await demo.call("approver", "GET", "/api/schemas/shop?environment=production&summary=true")).tables.find((t) => t.name === "orders").estimated_rows;
  assert.ok(rows > 0);
  await page.locator(".pairs div").filter({ has: page.getByText("orders", { exact: true }) }).getByText(`of about ${rows.toLocaleString("en")} rows`).waitFor(SLOW);
  await finish();
  await demo.cancel(id);
});

test("lists have the filters of the API in their address", async () => {
  const made = await demo.submit("production", "UPDATE customers SET active = 1 WHERE id = 31", "filtered");
  const { page, finish } = await window("admin", "/requests");
  await page.locator("a.row").first().waitFor(SLOW);
  const filters = { status: "pending", operation: "execute_dml", user: "requester", database: "shop", environment: "production" };
  const inputs = { user: "Requester", database: "Database", environment: "Environment" };
  for (const [name, value] of Object.entries(filters)) {
    if (inputs[name]) {
      await page.getByLabel(inputs[name]).fill(value);
      await page.keyboard.press("Tab");
    } else await page.getByLabel(name === "status" ? "Status" : "Kind").selectOption(value);
    await page.waitForURL(new RegExp(`[?&]${name}=${value}`));
  }
  await page.getByText("filtered").waitFor(SLOW);
  const expected = (await demo.call("admin", "GET", `/api/requests?${new URLSearchParams(filters)}`)).requests.map((r) => r.id);
  assert.ok(expected.length > 0);
  const shown = () => page.locator("a.row").evaluateAll((rows) => rows.map((row) => row.dataset.id));
  assert.deepEqual(await shown(), expected);
  await page.reload();
  await page.getByText("filtered").waitFor(SLOW);
  assert.deepEqual(await shown(), expected);
  assert.equal(await page.getByLabel("Kind").inputValue(), "execute_dml");
  await page.getByLabel("Status").selectOption("expired");
  await page.getByText("No request matches.").waitFor(SLOW);
  await page.goto(`${demo.url}/requests`);
  await page.getByLabel("Decided").selectOption("true");
  await page.waitForURL(/decided_by_me=true/);
  await page.getByText("No request matches.").waitFor(SLOW);
  await demo.cancel(made.id);
  await finish();
});

test("each execution of a request is shown, the last one first", async () => {
  const made = await demo.submit("development", "SELECT * FROM orders_of_last_year", "fails twice");
  const { context, open, finish } = await visit(browser, demo.url);
  await context.route(/\/executions\?/, async (route) => {
    const answer = await route.fetch();
    const body = await answer.json();
    if (body.executions.length) body.executions = [{ ...body.executions[0], attempt: 2 }, { ...body.executions[0], agent_id: "agent-2", status: "lost", outcome: "unknown", error_message: null }];
    await route.fulfill({ response: answer, json: body });
  });
  const page = await open(`/requests/${made.id}`, demo.token("requester"));
  await page.getByText("no such table: orders_of_last_year").first().waitFor(SLOW);
  await page.getByText(/^agent · .* ms · attempt 2$/).waitFor(SLOW);
  await page.getByText(/^Attempt 1 on agent-2/).waitFor(SLOW);
  await page.getByText("lost, unknown").waitFor(SLOW);
  // Its policy lets it run once.
  await page.getByText("Nothing is left to decide.").waitFor(SLOW);
  assert.equal(await page.getByRole("button", { name: /^Run on/ }).count(), 0);
  await finish();
});

test("a request is cancelled with a reason, which is told", async () => {
  const made = await demo.submit("production", "UPDATE customers SET active = 1 WHERE id = 32", "a mistake");
  const { page, finish } = await window("requester", `/requests/${made.id}`);
  await page.getByLabel("Comment").fill("wrong customer");
  await page.getByRole("button", { name: "Cancel the request" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel the request" }).click();
  await page.getByText("cancelled").first().waitFor(SLOW);
  await page.locator(".timeline").getByText("wrong customer").waitFor(SLOW);
  const { status, cancel_reason: reason } = await demo.call("requester", "GET", `/api/requests/${made.id}`);
  assert.deepEqual([status, reason], ["cancelled", "wrong customer"]);
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
  await finish("404 ^/api/requests/0");
});

test("a plan is a tree, and its expensive part is marked, for every database", async () => {
  const { page, finish } = await window("approver");
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  const script = await file(page, "plan.js");
  const shown = (plan, sizes) =>
    page.evaluate(
      async ([script, plan, sizes]) => {
        const { planTree } = await import(script);
        const tree = planTree({ plan }, new Map(sizes));
        return [tree.textContent.trimEnd().split("\n"), [...tree.querySelectorAll(".costly")].map((n) => n.textContent.trim())];
      },
      [script, plan, sizes],
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

test("the plan of a statement is shown before it is requested", async () => {
  const { page, finish } = await window("requester", "/new");
  const where = page.getByLabel("Database and environment");
  await where.selectOption("shop/production");
  await page.getByLabel("SQL").fill("UPDATE customers SET active = 0 WHERE id = 42");
  await page.getByText("1 of group approvers").waitFor(SLOW);
  await page.getByRole("button", { name: "Show the plan" }).click();
  await page.getByText("No plan: reads need an approval here").waitFor(SLOW);
  // In development a read asks nobody.
  await where.selectOption("shop/development");
  await page.getByText("No plan:").waitFor({ state: "detached", ...SLOW });
  await page.getByRole("button", { name: "Show the plan" }).click();
  await page.getByText("SEARCH customers USING INTEGER PRIMARY KEY").waitFor(SLOW);
  await page.getByLabel("SQL").fill("DELETE FROM customers");
  await page.getByText("would be refused").waitFor(SLOW);
  assert.equal(await page.getByRole("button", { name: "Show the plan" }).count(), 0);
  await finish();
});

test("what is typed is looked at once it stands, not with each key", async () => {
  const { page, finish } = await window("requester", "/new");
  await page.getByLabel("Database and environment").selectOption("shop/production");
  const looks = [];
  page.on("request", (request) => request.url().endsWith("/api/preflight") && looks.push(request.postDataJSON().sql));
  const sql = "UPDATE customers SET active = 0 WHERE id = 3";
  // All keys in one turn of the page.
  await page.getByLabel("SQL").evaluate((field, sql) => {
    for (let n = 1; n <= sql.length; n += 1) {
      field.value = sql.slice(0, n);
      field.dispatchEvent(new Event("input"));
    }
  }, sql);
  await page.getByText("can be requested").first().waitFor(SLOW);
  assert.deepEqual(looks, [sql]);
  // Until the next answer is there, the one before is marked as what it is.
  const marked = page.locator(".look[aria-busy]");
  assert.equal(await marked.count(), 0);
  let go;
  await page.route(/api\/preflight/, async (route) => {
    await new Promise((resolve) => (go = resolve));
    await route.continue();
  });
  await page.getByLabel("SQL").fill("DELETE FROM customers");
  await marked.getByText("can be requested").waitFor(SLOW);
  await until("it is asked for", () => go);
  go();
  await page.getByText("would be refused").waitFor(SLOW);
  assert.equal(await marked.count(), 0);
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
  await demo.cancel(made.id);
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

test("what leads past the menu goes to the page, and loads nothing", async () => {
  const { page, finish } = await window("admin");
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  await page.getByText("all keys").waitFor(SLOW);
  const heading = await page.getByRole("heading", { name: "Waiting for you" }).elementHandle();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the page");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "page");
  assert.equal(await heading.evaluate((one) => one.isConnected), true);
  assert.equal(new URL(page.url()).hash, "");
  await page.goto(`${demo.url}/new`);
  await page.getByLabel("SQL").waitFor(SLOW);
  await page.locator("a.skip").focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.getElementById("page").contains(document.activeElement)), true);
  await finish();
});

test("keys go to pages, along rows, and to what is searched or written", async () => {
  const made = [await demo.submit("production", "UPDATE customers SET active = 1 WHERE id = 21", "one"), await demo.submit("production", "UPDATE customers SET active = 1 WHERE id = 22", "two")];
  const { page, finish } = await window("admin");
  const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label") || document.activeElement.getAttribute("data-id") || document.activeElement.tagName);
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  for (const [keys, heading] of [["ga", "Audit"], ["n", "New request"]]) {
    for (const key of keys) await page.keyboard.press(key);
    await page.getByRole("heading", { name: heading }).waitFor(SLOW);
    if (heading !== "Audit") continue;
    await page.keyboard.press("/");
    assert.equal(await focused(), "Who");
    // What is typed into a field is no key.
    await page.keyboard.type("gi/n?");
    assert.equal(await page.getByLabel("Who").inputValue(), "gi/n?");
    await page.getByLabel("Who").fill("");
    await page.evaluate(() => document.activeElement.blur());
  }
  assert.equal(await focused(), "TEXTAREA");
  await page.goto(`${demo.url}/requests`);
  await page.locator("a.row").first().waitFor(SLOW);
  await page.keyboard.press("/");
  assert.equal(await focused(), "Requester");
  await page.evaluate(() => document.activeElement.blur());
  for (const [key, id] of [["j", made[1].id], ["j", made[0].id], ["k", made[1].id]]) {
    await page.keyboard.press(key);
    assert.equal(await focused(), id);
  }
  for (const { id } of made) await demo.cancel(id);
  await finish();
});

/** Presses Tab until the focus is on what is named so. */
async function tabTo(page, name) {
  for (let n = 0; n < 60; n += 1) {
    const focused = await page.evaluate(() => {
      const at = document.activeElement;
      return at.getAttribute("aria-label") || (at.labels && at.labels.length ? at.labels[0].textContent : at.textContent);
    });
    if (name.test(focused)) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`the keyboard does not reach ${name}`);
}

test("the keyboard alone submits, approves, runs and reads", async () => {
  const requester = await window("requester");
  const keys = requester.page.keyboard;
  await requester.page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  await keys.press("n");
  await requester.page.getByRole("heading", { name: "New request" }).waitFor(SLOW);
  await tabTo(requester.page, /^SQL/);
  await keys.type("SELECT id, 'a text that is longer than its cell is wide' AS words FROM customers");
  for (let n = 0; n < 3; n += 1) await keys.press("Shift+Tab");
  await keys.type("shop / prod");
  await keys.press("Tab");
  await keys.type("all by keyboard");
  await tabTo(requester.page, /^Submit$/);
  await keys.press("Enter");
  await requester.page.getByText("waits for approval").first().waitFor(SLOW);

  const approver = await window("approver");
  await approver.page.getByText("all by keyboard").waitFor(SLOW);
  // The newest is the last.
  for (const row of await approver.page.locator("a.row").all()) {
    await approver.page.keyboard.press("j");
    if ((await row.textContent()).includes("all by keyboard")) break;
  }
  await approver.page.keyboard.press("Enter");
  await approver.page.getByRole("heading", { name: "all by keyboard" }).waitFor(SLOW);
  await approver.page.keyboard.press("a");
  await approver.page.getByRole("dialog").getByText("shop / production").waitFor(SLOW);
  await approver.page.keyboard.press("Enter");
  await requester.page.getByText("approved, not yet run").waitFor(SLOW);

  await tabTo(requester.page, /^Run on shop/);
  await keys.press("Enter");
  await requester.page.getByRole("dialog").waitFor(SLOW);
  await keys.press("Enter");
  await requester.page.locator("dbw-grid .grid-row").first().waitFor(SLOW);
  await tabTo(requester.page, /^a text that is longer/);
  await keys.press("Enter");
  await requester.page.getByRole("dialog", { name: "Value of words" }).getByText("a text that is longer than its cell is wide").waitFor(SLOW);
  await keys.press("Escape");
  await requester.page.getByRole("dialog").waitFor({ state: "detached", ...SLOW });
  await approver.finish();
  await requester.finish();
});

test("a decision on what has changed meanwhile is not taken", async () => {
  const made = await demo.submit("production", "UPDATE customers SET active = 1 WHERE id = 8", "raced");
  await demo.call("approver", "POST", `/api/requests/${made.id}/approve`, {});
  // However long the question stands open, the answer counts for what it asked about.
  const { page, finish } = await window("requester", `/requests/${made.id}`);
  await page.getByRole("button", { name: /^Run on/ }).click();
  await demo.cancel(made.id);
  await page.getByText("cancelled").first().waitFor(SLOW);
  await page.getByRole("dialog").getByRole("button", { name: /^Run on/ }).click();
  await page.getByText("This request changed while you looked").waitFor(SLOW);
  await page.getByText("cancelled").first().waitFor(SLOW);
  assert.equal((await demo.call("requester", "GET", `/api/requests/${made.id}`)).status, "cancelled");
  await finish("412 /resume$");
});

test("an approver sees when somebody else was faster", async () => {
  const made = await demo.submit("production", "UPDATE customers SET active = 1 WHERE id = 11", "withdrawn");
  const { page, finish } = await window("approver", `/requests/${made.id}`);
  await page.getByRole("button", { name: /^Approve/ }).waitFor(SLOW);
  await demo.cancel(made.id);
  await page.getByText("decided or withdrawn meanwhile").waitFor(SLOW);
  await finish("403 ^/api/requests/");
});

test("a lost server shows a bar, and the page comes back by itself", async () => {
  const { page, finish } = await window("approver");
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  await demo.stop();
  await page.locator(".offline").waitFor(SLOW);
  await demo.run();
  await page.locator(".offline").waitFor({ state: "detached", timeout: 60000 });
  const { id } = await demo.submit("production", "UPDATE customers SET active = 1 WHERE id = 9", "after the restart");
  await page.getByText("after the restart").waitFor({ timeout: 40000 });
  await demo.cancel(id);
  // Pages that the browser fetches ahead are lost with it.
  await finish("ERR ^/(api|assets)/", "503 ^/api/");
});

test("a proxy that answers in the server's place, and a server that only fails, are told like a lost one", async () => {
  const { context, open, finish } = await visit(browser, demo.url);
  let answer = null;
  await context.route(/\/api\//, (route) => (answer ? route.fulfill(answer) : route.continue()));
  const page = await open("/", demo.token("approver"));
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  for (const [now, words] of [
    [{ status: 502, contentType: "text/html", body: "<h1>Bad Gateway</h1>" }, /cannot be reached.*What is shown is of \d/],
    [{ status: 500, contentType: "application/json", body: '{"error":{"code":"internal","message":"it failed"}}' }, /does not answer as it should/],
  ]) {
    answer = now;
    // The call that is held ends with the news, and the next one fails.
    const { id } = await demo.submit("production", "UPDATE customers SET active = 1 WHERE id = 21", "while it is gone");
    await page.locator(".offline").getByText(words).waitFor({ timeout: 40000 });
    answer = null;
    await page.getByText("while it is gone").first().waitFor({ timeout: 40000 });
    await page.locator(".offline").waitFor({ state: "detached", ...SLOW });
    await demo.cancel(id);
    await page.getByText("while it is gone").first().waitFor({ state: "detached", timeout: 40000 });
  }
  await finish("502 ^/api/", "500 ^/api/");
});

test("a session that ended asks to sign in again and keeps the address", async () => {
  const issued = await demo.call("admin", "POST", "/api/tokens", { subject_id: "visitor", subject_type: "user", roles: ["readonly"] });
  const { page, finish } = await window(null, "/policies", {}, issued.token);
  await page.getByRole("heading", { name: "Policies" }).waitFor(SLOW);
  await demo.call("admin", "DELETE", `/api/tokens/${issued.id}`);
  await page.getByText("Your session is over").waitFor({ timeout: 40000 });
  assert.equal(new URL(page.url()).pathname, "/policies");
  await finish("401 ^/api/");
});

test("operations says how long approvals take, and how the server does", async () => {
  const { page, finish } = await window("admin", "/operations");
  await page.getByText("median time to approval").waitFor(SLOW);
  // By workflow: that of the demo takes everything in any database's production.
  const times = page.getByRole("region", { name: "Time to approval" }).getByRole("row");
  const row = times.filter({ hasText: "any database / production · everything" });
  const [, approved, median, most] = await row.getByRole("cell").allTextContents();
  assert.ok(Number(approved) > 0);
  for (const time of [median, most]) assert.match(time, /^(< 1 s|\d+ s)$/);
  const agent = page.getByRole("region", { name: "Agents" }).getByRole("row").filter({ hasText: "shop / development, shop / production" });
  await agent.getByText("healthy").waitFor(SLOW);
  assert.match(await agent.textContent(), /[0-2] of 2/);
  assert.ok((await page.getByRole("img", { name: "Requests by hour" }).locator("rect").count()) > 0);
  await page.getByRole("img", { name: /^Calls under way: \d+$/ }).waitFor(SLOW);
  await page.getByRole("img", { name: /^Database: [\d.]+ [KM]iB$/ }).waitFor(SLOW);
  await finish();
});

test("who must approve is said while it is written", async () => {
  const { page, finish } = await window("requester", "/new");
  await page.getByLabel("Database and environment").selectOption("shop/production");
  await page.getByLabel("SQL").fill("UPDATE customers SET active = 0 WHERE id = 3");
  await page.getByText("1 of group approvers").waitFor(SLOW);
  await page.getByText(/^about 1?[\d,]+ rows$/).waitFor(SLOW);
  await page.getByLabel("SQL").fill("DELETE FROM customers");
  await page.getByText("would be refused").waitFor(SLOW);
  await page.getByText("DELETE without WHERE clause").waitFor(SLOW);
  await finish();
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

test("a log that does not hold is told in plain words", async () => {
  const { house, as } = await peopled([["ann", "user", "admin"]]);
  const { events } = await as("ann", "GET", "/api/audit/events?event_type=token.created&limit=1");
  edited(house, "audit_no_update", `UPDATE audit_events SET actor_id = 'nobody' WHERE id = '${events[0].id}'`);
  const { open, finish } = await visit(browser, house.url);
  const page = await open("/audit", house.token());
  await page.getByRole("button", { name: "Verify the whole log" }).click();
  await page.getByRole("alert").getByText(new RegExp(`The log does not hold\\. +The first event that differs is ${events[0].id}\\.`)).waitFor(SLOW);
  await finish();
  await house.stop();
});

test("the demo prints links that open the console signed in", async () => {
  const link = /console +(\S+) as approver/.exec(demo.guide)[1];
  const { context, open, finish } = await visit(browser, demo.url);
  const page = await open("/health");
  await page.goto(link);
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  // The token is in the address no longer, and goes to no server in one.
  assert.equal(page.url(), `${demo.url}/`);
  assert.equal((await context.cookies()).length, 0);
  await finish();
});

test("a finding is marked where it is, with its fix, in numbered lines", async () => {
  const many = Array.from({ length: 101 }, (_, i) => i).join(", ");
  const made = await demo.submit("production", `SELECT id\n  FROM orders\n WHERE id IN (${many})`, "a long list");
  const { page, finish } = await window("approver", `/requests/${made.id}`);
  await page.locator("mark.finding-mark").waitFor(SLOW);
  await page.getByText(/Fix: /).waitFor(SLOW);
  assert.equal(await page.locator(".sql-no").count(), 3);
  await finish();
  await demo.cancel(made.id);
});

test("a result that was cut says so", async () => {
  const { house, tokens, as } = await peopled([["ann", "user", "admin"], ["carl", "user", "developer"]]);
  const agent = working(house, "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3), (4), (5);", 3);
  const { id } = await as("carl", "POST", "/api/requests", { database: "shop", environment: "production", detail: "SELECT id FROM t", reason: "cut" });
  await as("ann", "POST", `/api/requests/${id}/approve`, {});
  await as("carl", "POST", `/api/requests/${id}/resume`, {});
  const { open, finish } = await visit(browser, house.url);
  const page = await open(`/requests/${id}`, tokens.carl);
  await page.getByText("This result was cut (row limit reached (3)): 3 rows of more are here.").waitFor(SLOW);
  assert.equal(await page.locator("dbw-grid .grid-row").count(), 3);
  // Who gets the file alone learns it by its name.
  for (const format of ["CSV", "JSON"]) {
    const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: format, exact: true }).click()]);
    assert.match(saved.suggestedFilename(), new RegExp(`^result-[0-9a-f-]{36}-truncated\\.${format.toLowerCase()}$`));
  }
  await finish();
  await ended(agent);
  await house.stop();
});

test("a notification of the desktop tells what came while the window was hidden", async () => {
  const { context, open, finish } = await visit(browser, demo.url);
  await context.addInitScript(() => {
    window.told = [];
    window.Notification = class {
      static permission = "granted";
      constructor(title, { body }) {
        window.told.push([title, body]);
      }
    };
    Object.defineProperty(document, "hidden", { get: () => true });
  });
  const page = await open("/", demo.token("approver"));
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  const made = await demo.submit("production", "UPDATE customers SET active = 1 WHERE id = 12", "unseen \u202e");
  await page.getByText("unseen").waitFor(SLOW);
  assert.deepEqual(await page.evaluate(() => window.told), [["requester asks for shop / production", "unseen U+202E"]]);
  await demo.cancel(made.id);
  await finish();
});

test("an administrator issues, revokes, suspends and activates", async () => {
  const { page, finish } = await window("admin", "/people");
  await page.getByLabel("Whose").fill("newcomer");
  await page.getByLabel("Roles").fill("readonly");
  await page.getByLabel("Name").fill("for a week");
  await page.getByRole("button", { name: "Issue" }).dblclick();
  await page.getByText("Copy it now: it is shown once.").waitFor(SLOW);
  const token = (await page.locator(".banner.good .mono").textContent()).trim();
  const me = async () => (await fetch(`${demo.url}/api/me`, { headers: { authorization: `Bearer ${token}` } })).status;
  assert.equal(await me(), 200);
  const issued = async () => (await demo.call("admin", "GET", "/api/tokens?limit=1000")).tokens.filter((one) => one.subject_id === "newcomer").length;
  assert.equal(await issued(), 1);
  const people = page.getByRole("region", { name: "People" }).getByRole("row").filter({ hasText: "newcomer" });
  const tokens = page.getByRole("region", { name: "Tokens" }).getByRole("row").filter({ hasText: "for a week" });
  await tokens.getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await tokens.getByText("revoked").waitFor(SLOW);
  assert.equal(await me(), 401);
  const status = async () => (await demo.call("admin", "GET", "/api/users/newcomer")).status;
  for (const [verb, next, after] of [["Suspend", "Activate", "suspended"], ["Activate", "Suspend", "active"]]) {
    await people.getByRole("button", { name: verb }).click();
    await page.getByRole("dialog").getByRole("button", { name: verb }).click();
    await people.getByRole("button", { name: next }).waitFor(SLOW);
    assert.equal(await status(), after);
  }
  await finish();
});

test("a token that is made when its issuer has left the page is shown all the same", async () => {
  const { context, open, finish } = await visit(browser, demo.url);
  let answered = () => {};
  const left = new Promise((resolve) => (answered = resolve));
  await context.route(/\/api\/tokens$/, async (route) => {
    const answer = await route.fetch();
    await left;
    await route.fulfill({ response: answer });
  });
  const page = await open("/people", demo.token("admin"));
  await page.getByLabel("Whose").fill("newcomer");
  await page.getByRole("button", { name: "Issue" }).click();
  await page.getByRole("link", { name: "Policies" }).click();
  await page.getByRole("heading", { name: "Policies" }).waitFor(SLOW);
  answered();
  await page.getByRole("dialog").getByText("Copy it now: it is shown once.").waitFor(SLOW);
  const token = (await page.getByRole("dialog").locator(".mono").textContent()).trim();
  assert.equal((await fetch(`${demo.url}/api/me`, { headers: { authorization: `Bearer ${token}` } })).status, 200);
  await finish();
});

test("policies say who could approve what", async () => {
  const { page, finish } = await window("admin", "/policies");
  const matrix = page.getByRole("region", { name: "Who could approve what" });
  await matrix.getByRole("row").filter({ hasText: "shop / production" }).getByText("1 of group approvers").first().waitFor(SLOW);
  await matrix.getByRole("row").filter({ hasText: "shop / development" }).getByText("runs at once").first().waitFor(SLOW);
  await finish();
});

test("the log is exported as lines that public keys alone prove", async () => {
  const { page, finish } = await window("admin", "/audit");
  const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export the log" }).click()]);
  assert.equal(saved.suggestedFilename(), "audit.jsonl");
  await page.getByText(/^The log up to event [\d,]+ is saved/).waitFor(SLOW);
  const file = await saved.path();
  assert.match(proved(file, demo.dir), /begins after event 0 and ends with event \d+/);
  // A line of it that was changed is found.
  const forged = join(demo.dir, "forged.jsonl");
  writeFileSync(forged, readFileSync(file, "utf8").replace('"actor_id":"requester"', '"actor_id":"approver"'));
  assert.throws(() => proved(forged, demo.dir), /does not hold/);
  await finish();
});

test("a log that was cut is exported from its first event on, and from a time on", async () => {
  const { page, finish } = await window("admin", "/audit");
  const since = new Date(Date.now() - 3600000);
  await page.getByLabel("Since").fill(new Date(since - since.getTimezoneOffset() * 60000).toISOString().slice(0, 16));
  await page.waitForURL(/since=/);
  const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export the log since then" }).click()]);
  proved(await saved.path(), demo.dir);
  await finish();
});

test("the events that are shown can be saved, and those of one request are its story", async () => {
  const made = await demo.submit("production", "UPDATE customers SET active = 1 WHERE id = 13", "its story");
  await demo.cancel(made.id);
  const { page, finish } = await window("admin", `/audit?request_id=${made.id}`);
  await page.getByRole("heading", { name: "The story of one request" }).waitFor(SLOW);
  await page.getByText("request.cancelled").waitFor(SLOW);
  const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save these events" }).click()]);
  assert.equal(saved.suggestedFilename(), "audit-shown.jsonl");
  const lines = readFileSync(await saved.path(), "utf8").trim().split("\n").map((line) => JSON.parse(line));
  assert.ok(lines.some((e) => e.event_type === "request.created"));
  assert.deepEqual([...new Set(lines.map((e) => e.request_id))], [made.id]);
  await finish();
});
