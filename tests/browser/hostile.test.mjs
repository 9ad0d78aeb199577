// Text of others in headless Chromium: markup, characters that reorder, cells of a megabyte. Wherever it is shown it stays
// text, and what cannot be seen is shown by its code.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { Demo, SLOW, launch, until, visit } from "./support.mjs";

const MARKUP = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`;
const EVIL = `${MARKUP} \u202e\u200b\u2066\u2800\u180b\ufe0f\u{1d173}`;

let browser;
let demo;

async function window(who, path) {
  const { open, finish } = await visit(browser, demo.url);
  return { page: await open(path, demo.token(who)), finish };
}

/** Fails where markup became elements, or a character that hides or reorders others stands anywhere. */
async function harmless(page, where) {
  const found = await page.evaluate(() => {
    const lies = /[\u00ad\u061c\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\ufe00-\ufe0f\ufeff\u{1d173}-\u{1d17a}]/u;
    const seen = [document.title];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    for (let node = walk.nextNode(); node; node = walk.nextNode()) {
      if (node.nodeType === Node.TEXT_NODE) seen.push(node.data);
      else for (const name of ["title", "aria-label", "alt", "placeholder"]) if (node.hasAttribute(name)) seen.push(node.getAttribute(name));
    }
    return { texts: seen.length, lies: seen.filter((text) => lies.test(text)), elements: document.querySelectorAll("main img, main script, dialog img").length, hacked: window.hacked };
  });
  assert.ok(found.texts > 20, where);
  assert.deepEqual([found.lies, found.elements, found.hacked], [[], 0, undefined], where);
}

before(async () => {
  demo = await Demo.start();
  browser = await launch();
});

after(async () => {
  await browser.close();
  await demo.end();
});

test("a blank that is no space is shown by its code where a database reads or returns it", async () => {
  const made = await demo.submit("development", "SELECT 'a\u00a0b' AS words, '\u6771\u3000\u4eac' AS city", "12\u00a0% of all");
  const { page, finish } = await window("requester", `/requests/${made.id}`);
  await page.getByRole("heading", { name: "12\u00a0% of all" }).waitFor(SLOW);
  await page.locator("dbw-grid .grid-row").first().waitFor(SLOW);
  const texts = await page.locator("dbw-sql code, dbw-grid .grid-row").allTextContents();
  for (const text of texts) assert.match(text, /aU\+00A0b.*\u6771U\+3000\u4eac/);
  assert.equal(texts.length, 2);
  // In what people write to each other it is a space.
  assert.doesNotMatch(await page.locator("h1").textContent(), /U\+/);
  await finish();
});

test("a request, its text, its result and its chart stay text", async () => {
  const sql = `SELECT '${MARKUP}' || char(8238) || id AS "<b>name</b>", id AS n, id * 2 AS m FROM orders LIMIT 5 -- ${MARKUP}`;
  const made = await demo.submit("development", sql, EVIL);
  const { context, open, finish } = await visit(browser, demo.url);
  // No text with such a name gets past the review; a table may have one.
  await context.route(/content\?values=exact/, async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: (await answer.text()).replaceAll("<b>name</b>", "<b>name\u202e</b>").replaceAll('"m"', '"m<i>\u202e"') });
  });
  // Receivers answer what they like, and their addresses may be anything.
  await context.route(new RegExp(`api/requests/${made.id}(\\?.*)?$`), async (route) => {
    const answer = await route.fetch();
    const body = await answer.json();
    body.notifications = [{ recipient: EVIL, channel: EVIL, status: "dead", last_error: EVIL }];
    await route.fulfill({ response: answer, json: body });
  });
  const page = await open(`/requests/${made.id}`, demo.token("requester"));
  await page.getByRole("heading", { level: 1 }).getByText("U+202E").waitFor(SLOW);
  await page.locator("dbw-grid").getByText("U+202E").first().waitFor(SLOW);
  await page.getByText(/: dead \(<img/).waitFor(SLOW);
  await harmless(page, "the request");
  for (const kind of ["bar", "line", "scatter"]) {
    await page.getByRole("button", { name: `Chart: ${kind}` }).click();
    await page.getByRole("img", { name: kind === "scatter" ? /chart of m<i>U\+202E by n/ : /chart of m<i>U\+202E by <b>nameU\+202E/ }).waitFor(SLOW);
    await harmless(page, kind);
  }
  await page.locator("dbw-grid [title='Open the whole value']").first().click();
  await page.getByRole("dialog").getByText("U+202E").first().waitFor(SLOW);
  await harmless(page, "one value");
  await page.keyboard.press("Escape");
  // What is saved is called as the server calls it, and holds the text as it was.
  for (const format of ["CSV", "JSON"]) {
    const [saved] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: format, exact: true }).click()]);
    assert.match(saved.suggestedFilename(), new RegExp(`^result-[0-9a-f-]{36}\\.${format.toLowerCase()}$`));
    assert.ok(readFileSync(await saved.path(), "utf8").includes("\u202e"), format);
  }
  for (const path of ["/requests?user=me", `/new?from=${made.id}`, "/new"]) {
    await page.goto(demo.url + path);
    await page.getByText("U+202E").first().waitFor(SLOW);
    await harmless(page, path);
  }
  await finish();
});

test("the browser refuses what the policy forbids: inline code, markup of strings, policies for it, other origins", async () => {
  const { context, open } = await visit(browser, demo.url);
  await context.addInitScript(() => {
    window.violated = [];
    document.addEventListener("securitypolicyviolation", (e) => window.violated.push(e.effectiveDirective));
  });
  const page = await open("/", demo.token("approver"));
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  const refused = await page.evaluate(async (elsewhere) => {
    const refused = [];
    const attempt = async (name, work) => {
      try {
        await work();
      } catch {
        refused.push(name);
      }
    };
    await attempt("markup", () => (document.createElement("div").innerHTML = "<b>x</b>"));
    await attempt("policy", () => trustedTypes.createPolicy("any", { createHTML: (text) => text }));
    await attempt("call", () => fetch(elsewhere));
    await attempt("inline", () => {
      const script = document.createElement("script");
      script.append("window.hacked = 1");
      document.body.append(script);
      if (!window.hacked) throw new Error("it did not run");
    });
    const loads = (element) => new Promise((loaded, failed) => {
      element.addEventListener("load", loaded);
      element.addEventListener("error", failed);
      document.body.append(element);
    });
    await attempt("image", () => loads(Object.assign(document.createElement("img"), { src: `${elsewhere}/x.png` })));
    await attempt("style", () => loads(Object.assign(document.createElement("link"), { rel: "stylesheet", href: `${elsewhere}/x.css` })));
    return refused;
  }, demo.url.replace("127.0.0.1", "localhost"));
  assert.deepEqual(refused, ["markup", "policy", "call", "inline", "image", "style"]);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  for (const rule of ["connect-src", "img-src", "style-src-elem", "require-trusted-types-for", "trusted-types"]) {
    await until(rule, () => page.evaluate((rule) => window.violated.includes(rule), rule));
  }
  await context.close();
});

test("what others say of a request, of a token and of a failure stays text", async () => {
  const made = await demo.submit("production", "UPDATE customers SET active = 0 WHERE id = 1", EVIL);
  await demo.call("approver", "POST", `/api/requests/${made.id}/reject`, { comment: EVIL });
  const failed = await demo.submit("development", `SELECT * FROM "${MARKUP}"`, "fails");
  const withdrawn = await demo.submit("production", "UPDATE customers SET active = 0 WHERE id = 2", "withdrawn");
  await demo.call("requester", "POST", `/api/requests/${withdrawn.id}/cancel`, { reason: EVIL });
  await demo.call("admin", "POST", "/api/tokens", { subject_id: "visitor", subject_type: "user", roles: ["readonly"], name: `${MARKUP} name` });
  const { page, finish } = await window("admin", "/people");
  await page.getByText("<script>").first().waitFor(SLOW);
  await harmless(page, "/people");
  for (const path of ["/", "/requests", "/audit", "/operations", "/policies", `/audit?request_id=${made.id}`, `/requests/${made.id}`, `/requests/${failed.id}`, `/requests/${withdrawn.id}`]) {
    await page.goto(demo.url + path);
    await page.locator("h1").first().waitFor(SLOW);
    await page.locator(".bone").first().waitFor({ state: "detached", ...SLOW });
    await harmless(page, path);
  }
  const waits = await demo.submit("production", "UPDATE customers SET active = 0 WHERE id = 4", EVIL);
  const approver = await window("approver", "/");
  await approver.page.getByText("U+202E").first().waitFor(SLOW);
  await harmless(approver.page, "an inbox");
  await approver.finish();
  await demo.cancel(waits.id);
  // The whole story of a request, the log proved, and a page that lost its server.
  await page.goto(`${demo.url}/audit?request_id=${made.id}`);
  await page.getByRole("heading", { name: "The story of one request" }).waitFor(SLOW);
  await page.getByText("U+202E").first().waitFor(SLOW);
  await page.getByRole("button", { name: "Verify the whole log" }).click();
  await page.getByText("The log proves itself").waitFor(SLOW);
  await harmless(page, "a story, proved");
  // The requester reads why: the comment is there, as text.
  const own = await window("requester", `/requests/${made.id}`);
  await own.page.getByText(/“.*<script>window.hacked=1<\/script>/).first().waitFor(SLOW);
  await harmless(own.page, "a comment");
  await own.finish();
  // An address can carry anything as well.
  await page.goto(`${demo.url}/audit?actor_id=${encodeURIComponent(EVIL)}&request_id=${encodeURIComponent(EVIL)}`);
  await page.locator("h1").waitFor(SLOW);
  await harmless(page, "filters of the address");
  await page.goto(`${demo.url}/requests/${encodeURIComponent(MARKUP.replace("/", ""))}`);
  await page.getByRole("alert").waitFor(SLOW);
  await harmless(page, "an id of the address");
  await finish("400 ^/api/", "404 ^/api/");
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
