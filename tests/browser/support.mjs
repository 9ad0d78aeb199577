// What the tests of the console share: programs on ports of their own, windows that note everything that goes wrong in
// them, certificates, a proxy. DBWARD_BIN names the program, OIDC_PROVIDER a folder with provider.mjs and its packages, WEB
// a folder whose files are shown instead of those in the program, DOCS the folder docs/ where these files are a copy
// elsewhere; Python finds the package `cryptography` by PYTHONPATH.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { alike, small } from "./png.mjs";

const require = createRequire(import.meta.url);
const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const DOCS = process.env.DOCS || new URL("../../docs", import.meta.url).pathname;
const BIN = process.env.DBWARD_BIN || "target/release/dbward";

/** A picture of docs/ has at most so many. */
const PICTURE_BYTES = 60000;
/** How much of a picture has to be as in docs/: times and names differ from run to run, pages do not. */
const ALIKE_MIN = 0.85;

/** How long something on a page may take on a busy machine. */
export const SLOW = { timeout: 15000 };

export function launch(options = {}) {
  return chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"], ...options });
}

/** A port on which nothing listens. */
export async function free() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The first line with these words that a program writes. */
export async function says(child, words) {
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

export async function ended(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await exit;
}

/** A call of the API with a token. */
export async function call(url, token, method, path, body) {
  const response = await fetch(url + path, { method, headers: { authorization: `Bearer ${token}`, "content-type": "application/json" }, body: body && JSON.stringify(body) });
  const text = await response.text();
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

/** A running demo. */
export class Demo {
  static async start() {
    const one = new Demo();
    one.dir = mkdtempSync(join(tmpdir(), "dbward-console-"));
    one.port = await free();
    await one.run();
    return one;
  }

  async run() {
    this.process = spawn(BIN, ["demo", "--listen", `127.0.0.1:${this.port}`, "--state-dir", this.dir], { stdio: ["ignore", "pipe", "pipe"] });
    this.guide = "";
    this.process.stdout.on("data", (chunk) => (this.guide += chunk));
    await says(this.process, /Ctrl-C/);
  }

  async stop() {
    await ended(this.process);
  }

  async end() {
    await this.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  token(who) {
    return readFileSync(join(this.dir, `${who}-token`), "utf8").trim();
  }

  call(who, method, path, body) {
    return call(this.url, this.token(who), method, path, body);
  }

  submit(environment, detail, reason, more = {}) {
    return this.call("requester", "POST", "/api/requests", { database: "shop", environment, detail, reason, ...more });
  }

  cancel(id) {
    return this.call("requester", "POST", `/api/requests/${id}/cancel`, {});
  }
}

/** A certificate for this machine, as files in `folder`. */
export function certificate(folder) {
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const about = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"];
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", ...about, "-keyout", key, "-out", cert], { stdio: "pipe" });
  return { cert, key };
}

/** A reverse proxy that ends TLS and passes calls on as they are, with the address of the client. */
export async function proxy(folder, port, to) {
  const { cert, key } = certificate(folder);
  const server = https.createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (incoming, answer) => {
    const headers = { ...incoming.headers, "x-forwarded-for": incoming.socket.remoteAddress, "x-forwarded-proto": "https" };
    const outgoing = http.request({ host: "127.0.0.1", port: to, method: incoming.method, path: incoming.url, headers }, (got) => {
      // As a proxy that compresses does: what it passes on is no longer byte for byte what was tagged.
      answer.writeHead(got.statusCode, got.rawHeaders.map((text, i, all) => (i % 2 && /^etag$/i.test(all[i - 1]) && text.startsWith('"') ? `W/${text}` : text)));
      got.pipe(answer);
    });
    outgoing.on("error", () => answer.writableEnded || answer.destroy());
    answer.on("close", () => outgoing.destroy());
    incoming.pipe(outgoing);
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** How people reach a house: on this machine, over our own TLS, or through a proxy. */
export const WAYS = ["here", "tls", "proxy"];

/** A server, and a provider from which its people come. */
export class House {
  /** `votes` are needed to approve something; `more` ends the configuration. */
  static async start({ secret = null, way = "here", hasProvider = true, votes = 1, dialect = null, rehearse = "off", more = "" } = {}) {
    const one = new House();
    Object.assign(one, { way, votes, dialect, rehearse, more });
    one.dir = mkdtempSync(join(tmpdir(), "dbward-house-"));
    one.port = await free();
    one.outside = way === "proxy" ? await free() : one.port;
    if (hasProvider) {
      const env = { ...process.env, REDIRECT_URI: `${one.url}/auth/callback`, ...(secret ? { CLIENT_SECRET: secret } : {}) };
      one.provider = spawn("node", [join(process.env.OIDC_PROVIDER, "provider.mjs")], { env, stdio: ["ignore", "pipe", "pipe"] });
      one.issuer = await says(one.provider, /^http:/);
    }
    writeFileSync(join(one.dir, "server.toml"), one.config(secret));
    await one.serve();
    if (way === "proxy") one.proxy = await proxy(one.dir, one.outside, one.port);
    return one;
  }

  config(secret) {
    const { cert, key } = this.way === "tls" ? certificate(this.dir) : {};
    return [
      `listen = "127.0.0.1:${this.port}"`,
      `state_dir = "state"`,
      this.way === "proxy" ? `public_url = "${this.url}"\ntrusted_proxies = ["127.0.0.1"]` : "",
      cert ? `[tls]\ncert_file = "${cert}"\nkey_file = "${key}"` : "",
      this.issuer ? `[auth.oidc]\nissuer_url = "${this.issuer}"\nclient_id = "dbward"\ndefault_role = "developer"` : "",
      secret ? `client_secret = "${secret}"` : "",
      `[[auth.role_bindings]]\nrole = "admin"\nsubjects = ["ann"]`,
      `[[databases]]\nname = "shop"\nenvironments = ["production"]${this.dialect ? `\ndialect = "${this.dialect}"` : ""}`,
      `[[workflows]]\ndatabase = "shop"\nenvironment = "production"\nrehearse = "${this.rehearse}"`,
      `[[workflows.steps]]\n[[workflows.steps.approvers]]\nrole = "admin"\nmin = ${this.votes}\n`,
      this.more,
    ].join("\n");
  }

  /** The address that people open. */
  get url() {
    return `${this.way === "here" ? "http" : "https"}://127.0.0.1:${this.outside}`;
  }

  async serve() {
    this.server = spawn(BIN, ["serve", "--config", join(this.dir, "server.toml")], { stdio: ["ignore", "pipe", "pipe"] });
    this.log = "";
    for (const stream of [this.server.stdout, this.server.stderr]) stream.on("data", (chunk) => (this.log += chunk));
    await says(this.server, /listening|ready/i);
  }

  token() {
    return readFileSync(join(this.dir, "state", "admin-token"), "utf8").trim();
  }

  async stop() {
    if (this.proxy) await this.proxy.stop();
    await ended(this.server);
    if (this.provider) await ended(this.provider);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/**
 * A browser of its own that opens pages of `url`. `finish` closes it and fails on what went wrong in it: errors on the
 * console, in scripts, and violations of the content security policy. The test may have brought about calls that fail:
 * `allowed` has their status, or ERR for no answer, and a pattern of their path, as in "404 ^/api/requests/".
 */
export async function visit(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ignoreHTTPSErrors: true, ...options });
  if (process.env.WEB) await context.route(/\/assets\//, (route) => route.fulfill({ path: join(process.env.WEB, new URL(route.request().url()).pathname.split("/").pop()) }));
  const wrong = [];
  // Holds `token` for the tab before it shows `path`: only the demo takes links with a token.
  const open = async (path, token = null) => {
    const page = await context.newPage();
    const ours = () => page.url().startsWith(url);
    page.on("pageerror", (error) => ours() && wrong.push({ words: `script error: ${error.message}` }));
    // What is not a page of ours names no icon, and the browser asks for one.
    page.on("console", (message) => {
      const address = message.location().url;
      if (message.type() !== "error" || !ours() || address.endsWith("/favicon.ico")) return;
      const failed = /^Failed to load resource: (?:the server responded with a status of (\d+)|net::ERR_)/.exec(message.text());
      wrong.push({ words: `console: ${message.text()} ${address}`, call: failed && { code: failed[1] || "ERR", path: new URL(address).pathname } });
    });
    await page.addInitScript(() => document.addEventListener("securitypolicyviolation", (e) => console.error(`policy violated: ${e.violatedDirective}`)));
    if (token) {
      await page.goto(`${url}/health`);
      await page.evaluate((token) => sessionStorage.setItem("dbward.token", token), token);
    }
    await page.goto(url + path);
    return page;
  };
  const finish = async (...allowed) => {
    // Calls that a route of the test has in hand, as one that is held, are nothing to fail on.
    await context.unrouteAll({ behavior: "ignoreErrors" });
    await context.close();
    const isAllowed = ({ code, path }) =>
      allowed.some((one) => {
        const [wanted, pattern] = one.split(" ");
        return wanted === code && new RegExp(pattern).test(path);
      });
    assert.deepEqual(wrong.filter(({ call }) => !call || !isAllowed(call)).map(({ words }) => words), []);
  };
  return { context, open, finish };
}

/** What docs/verify_export.py says of an export, with the public keys of a state directory alone. */
export function proved(file, state) {
  return execFileSync("python3", [join(DOCS, "verify_export.py"), file, join(state, "audit-keys.json")], { encoding: "utf8", stdio: "pipe" });
}

/** A file of the console as its pages load it. */
export function file(page, name) {
  return page.evaluate((name) => document.querySelector("script[type=module]").src.replace("main.js", name), name);
}

/** Waits until `done` gives something, and returns that. */
export async function until(what, done) {
  for (const end = Date.now() + SLOW.timeout; Date.now() < end; ) {
    const got = await done();
    if (got) return got;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail(`it does not come: ${what}`);
}

/** From our sign-in page through the provider's own pages and back. */
export async function signIn(page, who) {
  await page.getByRole("link", { name: /^Continue with/ }).click();
  await page.locator("input[name=login]").fill(who);
  await page.locator("input[name=password]").fill("anything");
  await page.locator("button[type=submit]").click();
  await page.getByRole("button", { name: "Continue" }).click();
}

/** Serious faults of accessibility of what a page shows now. The page's context has to bypass the policy. */
export async function faults(page, where) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const serious = violations.filter((v) => ["serious", "critical"].includes(v.impact));
  return serious.map((v) => `${where}: ${v.id} ${v.nodes.map((n) => n.html.slice(0, 120)).slice(0, 3).join(" | ")}`);
}

/**
 * Takes a picture of a page. It is saved where pictures are wanted, and otherwise held against the one of docs/; not so
 * where the page `varies`, since what it shows is longer or shorter from run to run.
 */
export async function picture(page, name, varies = false) {
  const bytes = small(await page.screenshot());
  assert.ok(bytes.length < PICTURE_BYTES, `${name} has ${bytes.length} bytes`);
  if (process.env.SCREENSHOTS) return writeFileSync(join(process.env.SCREENSHOTS, name), bytes);
  const same = alike(bytes, readFileSync(join(DOCS, name)));
  console.log(`${name}: ${(same * 100).toFixed(0)} % of what is drawn is as in docs/`);
  assert.ok(varies || same >= ALIKE_MIN, `${name} shows another page than docs/: SCREENSHOTS=docs takes the pictures anew`);
}

/** A house with these people, each of them [name, "user" or "agent", role], their tokens, and calls as one of them. */
export async function peopled(people, options) {
  const house = await House.start({ hasProvider: false, dialect: "sqlite", rehearse: "on_request", ...options });
  const tokens = {};
  for (const [who, type, role] of people) {
    tokens[who] = (await call(house.url, house.token(), "POST", "/api/tokens", { subject_id: who, subject_type: type, roles: [role] })).token;
  }
  return { house, tokens, as: (who, method, path, body) => call(house.url, tokens[who], method, path, body) };
}

/** Has `sql` change the state of a house under its running server, past the trigger that guards it. */
export function edited(house, trigger, sql) {
  const script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], timeout=10, isolation_level=None); name = sys.argv[2]; guard = db.execute('SELECT sql FROM sqlite_schema WHERE name = ?', [name]).fetchone()[0]; db.execute('BEGIN IMMEDIATE'); db.execute('DROP TRIGGER ' + name); assert db.execute(sys.argv[3]).rowcount == 1; db.execute(guard); db.execute('COMMIT')";
  execFileSync("python3", ["-c", script, join(house.dir, "state", "dbward.db"), trigger, sql], { stdio: "pipe" });
}

/** An agent of a house, next to a database that `sql` makes; it returns `rows` rows at most. */
export function working(house, sql, rows) {
  execFileSync("python3", ["-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])", join(house.dir, "shop.db"), sql], { stdio: "pipe" });
  const config = ["[server]", `url = "${house.url}"`, `token_file = "state/agent-token"`, "[agent]", `state_dir = "agent-state"`, "[[databases]]", `name = "shop"`, `environment = "production"`, `driver = "sqlite"`, `path = "shop.db"`, `max_rows = ${rows}`];
  writeFileSync(join(house.dir, "agent.toml"), config.join("\n"));
  return spawn(resolve(BIN), ["agent", "--config", "agent.toml"], { cwd: house.dir, stdio: "ignore" });
}

/** What the agent `robot` of a peopled house says of itself when it asks for work, and what it gets. */
export function poll(as, more = {}, status = {}) {
  const capabilities = { databases: ["shop"], environments: ["production"], operations: ["execute_select", "execute_dml"] };
  const features = ["claims_v2", "outcome", "rehearsal", "row_bound"];
  return as("robot", "POST", "/api/agent/poll", { agent_id: null, capabilities, features, limit: 2, agent_version: "0.3.0", ...more, status: { in_flight: 0, max_concurrent: 2, draining: false, uptime_secs: 7, active_jobs: [], ...status } });
}
