// Signing in to the console in headless Chromium through an identity provider from npm: as a public and as a confidential
// client, on this machine, over our own TLS and through a proxy.
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import { House, SLOW, call, ended, faults, launch, picture, signIn, visit } from "./support.mjs";

let browser;

before(async () => {
  // A name for this machine, as a server has one elsewhere.
  browser = await launch({ args: ["--no-sandbox", "--host-resolver-rules=MAP dbward.test 127.0.0.1"] });
});

after(() => browser.close());

for (const secret of [null, "a secret: with + signs"]) {
  test(`somebody signs in as the provider says, ${secret ? "confidential" : "public"} client`, async () => {
    const house = await House.start({ secret });
    const { context, open, finish } = await visit(browser, house.url);
    const page = await open("/requests?user=me");
    await signIn(page, "bob");
    // Back where they wanted to go, and a reload stays signed in.
    await page.getByText("bob", { exact: true }).first().waitFor(SLOW);
    assert.equal(page.url(), `${house.url}/requests?user=me`);
    await page.reload();
    await page.getByText("bob", { exact: true }).first().waitFor(SLOW);
    const kept = (await context.cookies(house.url)).filter((c) => c.name === "dbward-session");
    assert.equal(kept.length, 1);
    assert.deepEqual([kept[0].httpOnly, kept[0].sameSite, kept[0].path], [true, "Strict", "/"]);
    assert.equal(await page.evaluate(() => document.cookie), "");
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    await finish();
    await house.stop();
  });
}

test("a session makes a request, lives through a restart in two windows, and ends in both", async () => {
  const house = await House.start();
  const { context, open, finish } = await visit(browser, house.url);
  const page = await open("/new");
  await signIn(page, "bob");
  await page.getByLabel("Database and environment").selectOption("shop/production");
  await page.getByLabel("Reason").fill("ticket 4471");
  await page.getByLabel("SQL").fill("UPDATE customers SET active = 0 WHERE id = 42");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.getByText("waits for approval").first().waitFor(SLOW);
  const second = await open("/");
  await second.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  await ended(house.server);
  await second.locator(".offline").waitFor(SLOW);
  await house.serve();
  await second.locator(".offline").waitFor({ state: "detached", timeout: 60000 });
  await page.reload();
  await page.getByText("waits for approval").first().waitFor(SLOW);
  await page.getByRole("button", { name: "Sign out everywhere" }).click();
  await page.getByText("You are signed out here and in every other browser.").waitFor(SLOW);
  // The other window is told at once, and keeps its address.
  await second.getByText("Your session is over").waitFor(SLOW);
  assert.equal((await context.cookies(house.url)).filter((c) => c.name === "dbward-session").length, 0);
  await finish("401 ^/api/", "503 ^/api/", "ERR ^/(api|assets)/");
  await house.stop();
});

test("another site can neither change anything nor read with the session of a visitor", async () => {
  const house = await House.start();
  const { context, open, finish } = await visit(browser, house.url);
  const page = await open("/");
  await signIn(page, "ann");
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  const evil = createServer((socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\nconnection: close\r\n\r\nevil"));
  await new Promise((resolve) => evil.listen(0, "127.0.0.1", resolve));
  // Of another site, and of the same site at another port, to whose pages the browser gives the cookie.
  for (const host of ["localhost", "127.0.0.1"]) {
    const stranger = await context.newPage();
    await stranger.goto(`http://${host}:${evil.address().port}/`);
    const tried = await stranger.evaluate(async (url) => {
      const body = JSON.stringify({ database: "shop", environment: "production", detail: "UPDATE customers SET active = 0 WHERE id = 42", reason: "by a stranger" });
      const outcome = [];
      for (const [path, init] of [["/api/me", {}], ["/api/requests", { method: "POST", body }], ["/api/requests", { method: "POST", body, mode: "no-cors" }]]) {
        try {
          const answer = await fetch(url + path, { ...init, credentials: "include" });
          outcome.push(answer.type);
        } catch (error) {
          outcome.push(error.name);
        }
      }
      return outcome;
    }, house.url);
    // The last one is sent, whatever comes back of it.
    assert.deepEqual(tried, ["TypeError", "TypeError", "opaque"], host);
    await stranger.close();
  }
  assert.equal((await call(house.url, house.token(), "GET", "/api/requests?limit=1")).total, 0);
  await page.reload();
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  evil.close();
  await finish();
  await house.stop();
});

test("what goes wrong on the way is said on the page to sign in", async () => {
  const house = await House.start();
  const { open, finish } = await visit(browser, house.url);
  const page = await open("/auth/callback?code=x&state=y");
  await page.getByText("The sign-in took too long, or began in another browser").waitFor(SLOW);
  assert.equal(page.url(), `${house.url}/`);
  for (const scheme of ["light", "dark"]) {
    const looking = await visit(browser, house.url, { bypassCSP: true, colorScheme: scheme });
    const other = await looking.open("/#sign-in=denied");
    await other.getByRole("link", { name: /^Continue with/ }).waitFor(SLOW);
    assert.deepEqual(await faults(other, scheme), []);
    await picture(other, `console-sign-in-${scheme}.png`);
    await looking.finish();
  }
  await ended(house.provider);
  await finish();
  await house.stop();
});

for (const way of ["tls", "proxy"]) {
  test(`a session is kept to TLS and does everything, ${way === "tls" ? "over our own" : "through a proxy"}`, async () => {
    const house = await House.start({ way });
    const [one, two, approver] = [await visit(browser, house.url), await visit(browser, house.url), await visit(browser, house.url)];
    const ann = await approver.open("/");
    await signIn(ann, "ann");
    await ann.getByText("Nothing waits for you.").waitFor(SLOW);
    const page = await one.open("/new");
    await page.getByRole("link", { name: /^Continue with/ }).click();
    await page.locator("input[name=login]").waitFor(SLOW);
    // What is kept while somebody is at the provider, and what comes of it: no other host of the domain can set either.
    const underWay = (await one.context.cookies(house.url)).filter((c) => c.name.includes("dbward"));
    assert.deepEqual(underWay.map((c) => [c.name, c.secure, c.httpOnly, c.sameSite, c.path]), [["__Host-dbward-sign-in", true, true, "Lax", "/"]]);
    await page.goBack();
    await signIn(page, "bob");
    await page.getByLabel("Database and environment").selectOption("shop/production");
    const kept = (await one.context.cookies(house.url)).filter((c) => c.name.includes("dbward"));
    assert.deepEqual(kept.map((c) => [c.name, c.secure, c.httpOnly, c.sameSite, c.path]), [["__Host-dbward-session", true, true, "Strict", "/"]]);
    // A change of a page of ours; one without its token is refused.
    await page.getByLabel("Reason").fill("ticket 4471");
    await page.getByLabel("SQL").fill("UPDATE customers SET active = 0 WHERE id = 42");
    await page.getByRole("button", { name: "Submit" }).click();
    await page.getByText("waits for approval").first().waitFor(SLOW);
    const bare = await page.evaluate(async () => (await (await fetch("/api/sessions", { method: "DELETE" })).json()).error.code);
    assert.equal(bare, "csrf_token_invalid");
    // The inbox of another person hears of it while its call is held: asking again would take 25 seconds.
    await ann.getByText("ticket 4471").waitFor({ timeout: 8000 });
    await ann.locator("a.row").first().click();
    await ann.getByRole("button", { name: /^Approve/ }).click();
    await ann.getByRole("dialog").getByRole("button", { name: /^Approve/ }).click();
    await page.getByText("approved, not yet run").waitFor({ timeout: 8000 });
    // Another browser of the same person is signed out from this one.
    const elsewhere = await two.open("/requests?user=me");
    await signIn(elsewhere, "bob");
    await elsewhere.getByText("ticket 4471").waitFor(SLOW);
    await page.getByRole("button", { name: "Sign out everywhere" }).click();
    await page.getByText("You are signed out here and in every other browser.").waitFor(SLOW);
    await elsewhere.getByText("Your session is over").waitFor(SLOW);
    assert.equal(new URL(elsewhere.url()).search, "?user=me");
    for (const { context } of [one, two]) assert.deepEqual((await context.cookies(house.url)).filter((c) => c.name === kept[0].name && c.value === kept[0].value), []);
    // Nothing of this is in the log: no secret, no code, no state.
    for (const secret of [kept[0].value, underWay[0].value, "code=", "state="]) assert.ok(!house.log.includes(secret), secret);
    const log = await approver.context.request.get(`${house.url}/api/audit/events?event_type=session.started&limit=100`, { headers: { authorization: `Bearer ${house.token()}` } });
    const { events } = await log.json();
    assert.ok(events.length >= 3);
    assert.deepEqual([...new Set(events.map((e) => e.client_ip_source))], [way === "tls" ? "peer" : "xff"]);
    // What the test itself sent without its token.
    await one.finish("403 ^/api/sessions$");
    await two.finish("401 ^/api/");
    await approver.finish();
    await house.stop();
  });

  test(`a token signs in and leaves no cookie, ${way === "tls" ? "over our own TLS" : "through a proxy"}`, async () => {
    const house = await House.start({ way });
    const { context, open, finish } = await visit(browser, house.url);
    const page = await open("/people");
    await page.getByLabel("Your token").fill(house.token());
    await page.getByRole("button", { name: "Sign in with the token" }).click();
    await page.getByRole("heading", { name: "People and tokens" }).waitFor(SLOW);
    assert.deepEqual((await context.cookies(house.url)).filter((c) => c.name.includes("dbward")), []);
    assert.ok(!house.log.includes(house.token()));
    await finish();
    await house.stop();
  });
}

for (const way of ["here", "tls"]) test(`a link with a token signs nobody in but at a demo, ${way}`, async () => {
  const house = await House.start({ way, hasProvider: false });
  const url = way === "here" ? house.url : `https://dbward.test:${house.port}`;
  const { open, finish } = await visit(browser, url);
  const page = await open(`/policies#token=${house.token()}`);
  await page.getByText("A link with a token signs in to a demo on this machine only").waitFor(SLOW);
  assert.equal(page.url(), `${url}/policies`);
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await page.getByLabel("Your token").fill(house.token());
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Policies" }).waitFor(SLOW);
  await finish();
  await house.stop();
});

test("a window learns that somebody else signed in next to it before it changes anything", async () => {
  const house = await House.start();
  const { context, open, finish } = await visit(browser, house.url);
  const page = await open("/new");
  await signIn(page, "bob");
  await page.getByLabel("Reason").fill("typed by bob");
  const second = await open("/");
  await second.getByRole("button", { name: "Sign out", exact: true }).click();
  await second.getByRole("link", { name: /^Continue with/ }).waitFor(SLOW);
  await page.getByText("Your session is over").waitFor(SLOW);
  // The provider knows bob still; somebody else is at the keyboard now.
  await context.clearCookies();
  await second.reload();
  await signIn(second, "ann");
  await second.getByText("ann", { exact: true }).first().waitFor(SLOW);
  // The first window goes on as the person of now, to whom nothing of the other one is shown.
  await page.getByText("ann", { exact: true }).first().waitFor(SLOW);
  assert.equal(new URL(page.url()).pathname, "/new");
  assert.equal(await page.getByLabel("Reason").inputValue(), "");
  await finish("401 ^/api/");
  await house.stop();
});
