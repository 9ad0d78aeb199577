// How the console looks, in headless Chromium: every page full, empty, loading and failed, light and dark, on a desk and
// on a phone. No serious fault of accessibility, nothing wider than the window. SCREENSHOTS names a folder for new pictures
// of docs/, ALL_SCREENSHOTS one for a picture of each state.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Demo, House, SLOW, faults, launch, picture, visit } from "./support.mjs";

const PAGES = ["/", "/requests", "/requests?user=me", "/new", "/audit", "/operations", "/policies", "/people"];
const SCHEMES = ["light", "dark"];
const DESK = { width: 1280, height: 860 };
const PHONE = { width: 390, height: 780 };

/** An answer of the API that is an error. */
const refused = (status, code, message, hint) => (route) => route.fulfill({ status, contentType: "application/json", body: JSON.stringify({ error: { code, message, request_id: "0123456789abcdef" }, hint }) });

/** What becomes of the calls of a page, but for those that say who reads it. */
const STATES = {
  loading: () => {},
  down: (route) => route.abort(),
  forbidden: refused(403, "forbidden", "you may not see this", "ask an administrator for `request.view`"),
  missing: refused(404, "not_found", "request `0b0e` does not exist"),
  busy: refused(429, "rate_limited", "too many calls with this token", "wait for a moment"),
  unavailable: refused(503, "unavailable", "the server stops", "send the call again"),
};

let browser;
let demo;
/** A server on which nothing happened yet. */
let bare;
const ids = {};

before(async () => {
  [demo, bare, browser] = await Promise.all([Demo.start(), House.start({ hasProvider: false }), launch()]);
  const waits = await demo.submit("production", "UPDATE orders\n   SET status = 'refunded'\n WHERE customer_id = 42 OR id = 17;", "ticket 4471: double charge", { max_affected_rows: 40 });
  await demo.submit("production", "DELETE FROM order_items WHERE order_id = 17", "an order that was never paid");
  const read = await demo.submit("development", "SELECT id, customer_id, status, total_cents FROM orders", "how many are open");
  const rejected = await demo.submit("production", "UPDATE customers SET active = 0 WHERE id < 100", "clean up");
  await demo.call("approver", "POST", `/api/requests/${rejected.id}/reject`, { comment: "these are customers of today" });
  const failed = await demo.submit("development", "SELECT * FROM orders_of_last_year", "report");
  const approved = await demo.submit("production", "UPDATE products SET price_cents = 990 WHERE id = 5", "price list of May");
  await demo.call("approver", "POST", `/api/requests/${approved.id}/approve`, { comment: "as agreed" });
  await demo.call("approver", "POST", `/api/requests/${waits.id}/rehearse`, {});
  Object.assign(ids, { waits: waits.id, read: read.id, rejected: rejected.id, failed: failed.id });
});

after(async () => {
  await browser.close();
  await demo.end();
  await bare.stop();
});

/** Opens `path` of a server as the holder of `token`, in a state, and waits until it stands still. */
async function look(where, token, path, { scheme = "light", viewport = DESK, state = null, prepare = null } = {}) {
  const { context, open, finish } = await visit(browser, where, { colorScheme: scheme, viewport, bypassCSP: true });
  if (state) {
    await context.route(/\/(api\/(?!me$|sign-in$)|metrics)/, STATES[state]);
  }
  const page = await open(path, token);
  await page.locator("h1, .bone").first().waitFor(SLOW);
  if (!state) await page.waitForLoadState("load");
  if (path.endsWith(ids.read) && !state) await page.locator("dbw-grid").waitFor(SLOW);
  if (path === "/operations" && !state) await page.locator(".tile").first().waitFor(SLOW);
  if (state === "loading") await page.locator(".bone").first().waitFor(SLOW);
  else await page.locator(".bone").first().waitFor({ state: "detached", ...SLOW });
  if (prepare) await prepare(page);
  return { page, finish };
}

async function kept(page, name) {
  const folder = process.env.ALL_SCREENSHOTS;
  if (folder) await page.screenshot({ path: join(folder, `${name.replace(/[^a-z0-9]+/gi, "-")}.png`), fullPage: true });
}

/** What is wrong with the page as it stands: for readers of screens, and sideways. */
async function wrong(page, where) {
  await kept(page, where);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  return [...(await faults(page, where)), ...(over > 0 ? [`${where} is ${over} px too wide`] : [])];
}

/** Calls that fail here on purpose. */
const EXPECTED = ["401", "403", "404", "429", "503", "ERR"].map((code) => `${code} ^/(api/|metrics)`);

/** The pages with something on them, each with who reads it. */
const full = () => [...PAGES.map((path) => ["admin", path]), ["approver", "/"], ["requester", "/"], ["approver", `/requests/${ids.waits}`], ["requester", `/requests/${ids.read}`], ["requester", `/requests/${ids.rejected}`], ["requester", `/requests/${ids.failed}`], ["requester", `/new?from=${ids.waits}`], ["requester", "/people"], ["requester", "/policies"]];

for (const scheme of SCHEMES) {
  test(`full pages have no serious fault of accessibility, ${scheme}`, async () => {
    const found = [];
    for (const [who, path] of full()) {
      const { page, finish } = await look(demo.url, demo.token(who), path, { scheme });
      found.push(...(await wrong(page, `${scheme} desk ${who} ${named(path)}`)));
      await finish();
    }
    assert.deepEqual(found, []);
  });

  test(`empty pages have none, ${scheme}`, async () => {
    const found = [];
    for (const path of PAGES) {
      const { page, finish } = await look(bare.url, bare.token(), path, { scheme });
      found.push(...(await wrong(page, `${scheme} desk empty ${path}`)));
      await finish();
    }
    assert.deepEqual(found, []);
  });

  test(`pages that load and that failed have none, ${scheme}`, async () => {
    const found = [];
    // In the dark only colours are others.
    const some = scheme === "dark" ? ["/", "/policies"] : PAGES.filter((path) => !path.includes("?"));
    for (const state of ["loading", "down", "forbidden"]) {
      for (const path of [...some, `/requests/${ids.waits}`]) {
        const { page, finish } = await look(demo.url, demo.token("admin"), path, { scheme, state });
        found.push(...(await wrong(page, `${scheme} desk ${state} ${named(path)}`)));
        await finish(...EXPECTED);
      }
    }
    assert.deepEqual(found, []);
  });

  test(`dialogs have none, ${scheme}`, async () => {
    const found = [];
    const click = (name) => async (page) => {
      await page.getByRole("button", { name }).first().click();
      await page.getByRole("dialog").waitFor(SLOW);
    };
    const comment = async (page) => {
      await page.getByLabel("Comment").fill("no");
      await click(/^Reject/)(page);
    };
    const help = async (page) => {
      await page.keyboard.press("?");
      await page.getByRole("dialog").waitFor(SLOW);
    };
    const value = async (page) => {
      await page.evaluate(async () => {
        const grid = document.createElement("dbw-grid");
        document.querySelector("main .page").append(grid);
        grid.show([{ name: "words", key: 0 }], [["a value that is longer than its cell is wide, so that it opens on its own"]]);
      });
      await page.getByTitle("Open the whole value").click();
    };
    for (const [who, path, prepare] of [
      ["approver", `/requests/${ids.waits}`, click(/^Approve/)],
      ["approver", `/requests/${ids.waits}`, comment],
      ["requester", `/requests/${ids.waits}`, click("Cancel the request")],
      ["admin", "/people", click("Suspend")],
      ["admin", "/people", click("Revoke")],
      ["admin", "/", help],
      ["requester", `/requests/${ids.read}`, value],
    ]) {
      const { page, finish } = await look(demo.url, demo.token(who), path, { scheme, prepare });
      found.push(...(await wrong(page, `${scheme} desk dialog ${found.length} ${prepare.name} ${who} ${named(path)}`)));
      await finish();
    }
    assert.deepEqual(found, []);
  });
}

for (const scheme of SCHEMES) {
  test(`a phone shows every page without scrolling sideways, ${scheme}`, async () => {
    const found = [];
    // In the dark only colours are others.
    const some = ["/", "/new", "/operations", `/requests/${ids.waits}`, `/requests/${ids.read}`];
    for (const [who, path] of full().filter(([, path]) => scheme === "light" || some.includes(path))) {
      const { page, finish } = await look(demo.url, demo.token(who), path, { scheme, viewport: PHONE });
      found.push(...(await wrong(page, `${scheme} phone ${who} ${named(path)}`)));
      await finish();
    }
    for (const state of ["loading", "down", "missing"]) {
      const { page, finish } = await look(demo.url, demo.token("admin"), `/requests/${ids.waits}`, { scheme, viewport: PHONE, state });
      found.push(...(await wrong(page, `${scheme} phone ${state} request`)));
      await finish(...EXPECTED);
    }
    assert.deepEqual(found, []);
  });
}

for (const [scheme, viewport] of [["light", DESK], ["dark", PHONE]]) {
  const size = viewport === DESK ? "desk" : "phone";

  test(`what comes of a click or of a loss has no fault either, ${scheme}, ${size}`, async () => {
    const found = [];
    const chart = (kind) => async (page) => {
      await page.getByRole("button", { name: `Chart: ${kind}` }).click();
      await page.getByRole("img", { name: /chart of/ }).waitFor(SLOW);
    };
    const story = (page) => page.getByRole("heading", { name: "The story of one request" }).waitFor(SLOW);
    const proved = async (page) => {
      await page.getByRole("button", { name: /^Verify/ }).click();
      await page.getByText("The log proves itself").waitFor(SLOW);
    };
    const issued = async (page) => {
      await page.getByLabel("Whose").fill("somebody");
      await page.getByRole("button", { name: "Issue" }).click();
      await page.getByText("Copy it now").waitFor(SLOW);
    };
    const refusal = async (page) => {
      await page.getByLabel("Database and environment").selectOption("shop/production");
      await page.getByLabel("SQL").fill("DELETE FROM customers");
      await page.getByText("would be refused").waitFor(SLOW);
    };
    for (const [name, who, path, prepare] of [
      ["bars", "requester", `/requests/${ids.read}`, chart("bar")],
      ["dots", "requester", `/requests/${ids.read}`, chart("scatter")],
      ["story", "admin", `/audit?request_id=${ids.rejected}`, story],
      ["proved", "admin", "/audit", proved],
      ["proof", "admin", "/operations", proved],
      ["issued", "admin", "/people", issued],
      ["refusal", "requester", "/new", refusal],
    ]) {
      const { page, finish } = await look(demo.url, demo.token(who), path, { scheme, viewport, prepare });
      found.push(...(await wrong(page, `${scheme} ${size} after ${name}`)));
      await finish();
    }
    // The server is gone, and a session is over, while a page is shown.
    const { token, id } = await demo.call("admin", "POST", "/api/tokens", { subject_id: "visitor", subject_type: "user", roles: ["admin"] });
    const { page, finish } = await look(demo.url, token, `/requests/${ids.waits}`, { scheme, viewport });
    await page.getByLabel("Comment").fill("half a thought");
    await page.context().setOffline(true);
    await page.getByRole("button", { name: /^(Rehearse|Cancel)/ }).first().click();
    const sure = page.getByRole("dialog").getByRole("button", { name: "Cancel the request" });
    if (await page.getByRole("dialog").count()) await sure.click();
    await page.locator(".offline").waitFor(SLOW);
    found.push(...(await wrong(page, `${scheme} ${size} after a loss`)));
    await page.context().setOffline(false);
    await demo.call("admin", "DELETE", `/api/tokens/${id}`);
    await page.getByText("Your session is over").waitFor({ timeout: 40000 });
    found.push(...(await wrong(page, `${scheme} ${size} after a session`)));
    await finish(...EXPECTED);
    assert.deepEqual(found, []);
  });
}

test("what may pass can be tried again, in place", async () => {
  const { context, open, finish } = await visit(browser, demo.url);
  let state = "busy";
  await context.route(/\/api\/(requests|databases|workflows)/, (route) => (state ? STATES[state](route) : route.continue()));
  const page = await open("/requests", demo.token("admin"));
  for (const next of ["unavailable", "down", null]) {
    await page.getByRole("alert").getByText({ busy: "Too many calls", unavailable: "The server stops", down: "The server cannot be reached" }[state]).waitFor(SLOW);
    state = next;
    await page.getByRole("button", { name: "Try again" }).click();
  }
  await page.locator("a.row").first().waitFor(SLOW);
  // A page that cannot be shown at all says so in its place, and where to go.
  state = "missing";
  await page.goto(`${demo.url}/requests/${ids.waits}`);
  await page.getByRole("heading", { name: "Not found" }).waitFor(SLOW);
  state = null;
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("heading", { name: "ticket 4471: double charge" }).waitFor(SLOW);
  await finish(...EXPECTED);
});

test("a new server says what to do next, with commands to copy", async () => {
  const { context, open, finish } = await visit(browser, bare.url);
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await open("/", bare.token());
  // Its workflow has been written.
  await page.getByText("1 of 3 done").waitFor(SLOW);
  await page.getByRole("button", { name: "Copy the commands for people", exact: true }).click();
  await page.getByText("The commands for people copied").waitFor(SLOW);
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^dbward token create --subject alice/);
  await page.getByRole("button", { name: "Copy the text of agent.toml", exact: true }).click();
  await page.getByText("The text of agent.toml copied").waitFor(SLOW);
  assert.ok((await page.evaluate(() => navigator.clipboard.readText())).includes(`url = "${bare.url}"`));
  // Who finds requests here knows how to go on.
  const looked = page.waitForResponse(/api\/requests\?limit=1$/);
  await page.goto(`${demo.url}/#token=${demo.token("admin")}`);
  await (await looked).finished();
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  await page.getByText("Show a desktop notification").or(page.getByText("all keys")).first().waitFor(SLOW);
  assert.equal(await page.getByText("First steps").count(), 0);
  await finish();
});

/** A path in words, without what differs from run to run. */
function named(path) {
  return Object.entries(ids).reduce((text, [name, id]) => text.replace(id, name), path);
}

test("the main pages look as on the pictures of docs/", async () => {
  const made = await demo.submit("development", "SELECT status, count(*) AS orders, sum(total_cents) / 100 AS total\n  FROM orders\n GROUP BY status", "orders by status, for the weekly report");
  const bars = async (page) => {
    await page.getByRole("button", { name: "Chart: bar" }).click();
    await page.getByRole("img", { name: /chart of/ }).waitFor(SLOW);
    await page.mouse.move(0, 0);
  };
  const compose = async (page) => {
    await page.getByLabel("Database and environment").selectOption("shop/development");
    await page.getByLabel("Reason").fill("ticket 4499: prices of May");
    await page.getByLabel("SQL").fill("UPDATE products\n   SET price_cents = price_cents * 2\n WHERE id IN (5, 7, 9)");
    await page.getByRole("button", { name: "Show the plan" }).click();
    await page.getByText(/^SEARCH products/).waitFor(SLOW);
  };
  const proved = async (page) => {
    await page.getByRole("button", { name: /^Verify/ }).click();
    await page.getByText("The log proves itself").waitFor(SLOW);
  };
  for (const [who, path, name, options] of [
    ["approver", "/", "inbox"],
    ["approver", `/requests/${ids.waits}`, "request"],
    ["approver", `/requests/${ids.waits}`, "request-dark", { scheme: "dark" }],
    ["approver", `/requests/${ids.waits}`, "small", { viewport: PHONE }],
    ["requester", `/requests/${made.id}`, "result", { prepare: bars }],
    ["requester", "/new", "compose", { prepare: compose }],
    ["admin", "/audit", "audit", { prepare: proved, varies: true }],
    ["admin", "/operations", "operations", { varies: true }],
    ["admin", "/policies", "policies", { varies: true }],
    ["admin", "/people", "people", { varies: true }],
  ]) {
    const { page, finish } = await look(demo.url, demo.token(who), path, options);
    await page.locator(".card").first().waitFor(SLOW);
    await picture(page, `console-${name}.png`, options?.varies);
    await finish();
  }
});
