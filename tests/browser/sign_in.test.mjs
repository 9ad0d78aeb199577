// Signing in to the console in headless Chromium through an identity provider from npm, as a public and as a
// confidential client. DBWARD_BIN names the program, OIDC_PROVIDER a folder with provider.mjs and its packages.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const BIN = process.env.DBWARD_BIN || "target/release/dbward";
const PROVIDER = process.env.OIDC_PROVIDER;
const SLOW = { timeout: 15000 };

let browser;

async function free() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function says(child, words) {
  let said = "";
  return new Promise((resolve, reject) => {
    const take = (chunk) => {
      said += chunk;
      const line = said.split("\n").find((l) => words.test(l));
      if (line) resolve(line);
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.on("exit", (code) => reject(new Error(`it ended with ${code}: ${said}`)));
  });
}

async function ended(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await exit;
}

/** A provider and a server whose people come from it. */
class House {
  static async start(secret) {
    const one = new House();
    one.dir = mkdtempSync(join(tmpdir(), "dbward-sign-in-"));
    one.port = await free();
    const env = { ...process.env, REDIRECT_URI: `${one.url}/auth/callback`, ...(secret ? { CLIENT_SECRET: secret } : {}) };
    one.provider = spawn("node", [join(PROVIDER, "provider.mjs")], { env, stdio: ["ignore", "pipe", "pipe"] });
    one.issuer = await says(one.provider, /^http:/);
    writeFileSync(
      join(one.dir, "server.toml"),
      `listen = "127.0.0.1:${one.port}"\nstate_dir = "state"\n[auth.oidc]\nissuer_url = "${one.issuer}"\nclient_id = "dbward"\n` +
        `${secret ? `client_secret = "${secret}"\n` : ""}default_role = "developer"\n[[auth.role_bindings]]\nrole = "admin"\nsubjects = ["ann"]\n` +
        `[[databases]]\nname = "shop"\nenvironments = ["production"]\n[[workflows]]\ndatabase = "shop"\nenvironment = "production"\n` +
        `[[workflows.steps]]\n[[workflows.steps.approvers]]\nrole = "admin"\nmin = 1\n`,
    );
    await one.serve();
    return one;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async serve() {
    this.server = spawn(BIN, ["serve", "--config", join(this.dir, "server.toml")], { stdio: ["ignore", "pipe", "pipe"] });
    await says(this.server, /listening|ready/i);
  }

  async stop() {
    await ended(this.server);
    await ended(this.provider);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A browser of its own; `finish` closes it and fails on anything that went wrong in the console. */
async function visit(house, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  const wrong = [];
  const open = async (path) => {
    const page = await context.newPage();
    const ours = () => page.url().startsWith(house.url);
    page.on("pageerror", (error) => ours() && wrong.push(`script error: ${error.message}`));
    page.on("console", (message) => message.type() === "error" && ours() && wrong.push(`console: ${message.text()}`));
    await page.addInitScript(() => document.addEventListener("securitypolicyviolation", (e) => console.error(`policy violated: ${e.violatedDirective}`)));
    await page.goto(house.url + path);
    return page;
  };
  const finish = async (allowed = /^$/) => {
    await context.close();
    assert.deepEqual(wrong.filter((w) => !allowed.test(w)), []);
  };
  return { context, open, finish };
}

/** From our sign-in page through the provider's own pages and back. */
async function signIn(page, who) {
  await page.getByRole("link", { name: /^Continue with/ }).click();
  await page.locator("input[name=login]").fill(who);
  await page.locator("input[name=password]").fill("anything");
  await page.locator("button[type=submit]").click();
  await page.getByRole("button", { name: "Continue" }).click();
}

before(async () => {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
});

after(() => browser.close());

for (const secret of [null, "a secret: with + signs"]) {
  test(`somebody signs in as the provider says, ${secret ? "confidential" : "public"} client`, async () => {
    const house = await House.start(secret);
    const { context, open, finish } = await visit(house);
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
  const { context, open, finish } = await visit(house);
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
  await finish(/401|Failed to load|ERR_|503/);
  await house.stop();
});

test("another site can neither change anything nor read with the session of a visitor", async () => {
  const house = await House.start();
  const { context, open, finish } = await visit(house);
  const page = await open("/");
  await signIn(page, "ann");
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  const evil = createServer((socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\nconnection: close\r\n\r\nevil"));
  await new Promise((resolve) => evil.listen(0, "127.0.0.1", resolve));
  const stranger = await context.newPage();
  await stranger.goto(`http://localhost:${evil.address().port}/`);
  const tried = await stranger.evaluate(async (url) => {
    const outcome = [];
    for (const init of [{ method: "GET" }, { method: "POST", body: "{}" }]) {
      try {
        const answer = await fetch(`${url}/api/me`, { ...init, credentials: "include" });
        outcome.push(answer.status);
      } catch (error) {
        outcome.push(error.name);
      }
    }
    return outcome;
  }, house.url);
  assert.deepEqual(tried, ["TypeError", "TypeError"]);
  await page.reload();
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  evil.close();
  await finish();
  await house.stop();
});

test("what goes wrong on the way is said on the page to sign in", async () => {
  const house = await House.start();
  const { open, finish } = await visit(house);
  const page = await open("/auth/callback?code=x&state=y");
  await page.getByText("The sign-in took too long, or began in another browser").waitFor(SLOW);
  assert.equal(page.url(), `${house.url}/`);
  for (const [scheme, theme] of [["light", "light"], ["dark", "dark"]]) {
    await page.emulateMedia({ colorScheme: scheme });
    const looked = await browser.newContext({ bypassCSP: true, colorScheme: scheme });
    const other = await looked.newPage();
    await other.goto(`${house.url}/#sign-in=denied`);
    await other.getByRole("link", { name: /^Continue with/ }).waitFor(SLOW);
    await other.evaluate(AXE);
    const { violations } = await other.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    const serious = violations.filter((v) => ["serious", "critical"].includes(v.impact));
    assert.deepEqual(serious.map((v) => `${theme}: ${v.id}`), []);
    if (process.env.SCREENSHOTS) await other.screenshot({ path: join(process.env.SCREENSHOTS, `console-sign-in-${theme}.png`) });
    await looked.close();
  }
  await ended(house.provider);
  await finish();
  await house.stop();
});
