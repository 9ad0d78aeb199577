// How soon the console's first page can be used where many requests are stored. DBWARD_BIN names the program, STORED how
// many requests (100,000 unless it is set). The figures are printed; what is asserted would be wrong on any machine.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const { chromium } = createRequire(import.meta.url)("playwright-core");
const BIN = process.env.DBWARD_BIN || "target/release/dbward";
const STORED = Number(process.env.STORED || 100000);
const CLIENTS = 32;
const VISITS = 9;
const MS_MAX = 1000;

/** Makes requests as fast as the server takes them. */
async function fill(port, token, count) {
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  let left = count;
  const one = (body) =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json", "content-length": Buffer.byteLength(body) };
      const call = request({ port, host: "127.0.0.1", path: "/api/requests", method: "POST", agent, headers }, (answer) => {
        answer.resume();
        answer.on("end", () => (answer.statusCode === 201 ? resolve() : reject(new Error(`${answer.statusCode}`))));
      });
      call.on("error", reject);
      call.end(body);
    });
  const client = async () => {
    while (left > 0) {
      left -= 1;
      await one(JSON.stringify({ database: "shop", environment: "production", detail: `UPDATE orders SET status = 'paid' WHERE id = ${left}`, reason: `ticket ${left}` }));
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  agent.destroy();
}

test("the first page can be used at once, however much is stored", async () => {
  const dir = mkdtempSync(join(tmpdir(), "dbward-speed-"));
  const demo = spawn(BIN, ["demo", "--listen", "127.0.0.1:0", "--state-dir", dir], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  await new Promise((resolve, reject) => {
    demo.stdout.on("data", (chunk) => ((said += chunk), said.includes("Ctrl-C") && resolve()));
    demo.on("exit", (code) => reject(new Error(`the demo ended with ${code}`)));
  });
  const port = Number(/http:\/\/127\.0\.0\.1:(\d+)/.exec(said)[1]);
  const token = (who) => readFileSync(join(dir, `${who}-token`), "utf8").trim();
  await fill(port, token("admin"), STORED);
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
  for (const [who, path] of [["requester", "/"], ["approver", "/"], ["admin", "/requests"]]) {
    const took = [];
    for (let n = 0; n < VISITS; n += 1) {
      const context = await browser.newContext();
      const page = await context.newPage();
      // From the first byte asked for until the list stands and takes clicks.
      await page.addInitScript(() => {
        const seen = () => {
          if (window.usableAt || !document.querySelector("main a.row, main .empty")) return;
          requestAnimationFrame(() => setTimeout(() => (window.usableAt = window.usableAt || performance.now())));
        };
        new MutationObserver(seen).observe(document, { childList: true, subtree: true });
      });
      await page.goto(`http://127.0.0.1:${port}${path}#token=${token(who)}`);
      await page.waitForFunction(() => window.usableAt, null, { timeout: 30000 });
      took.push(await page.evaluate(() => window.usableAt));
      await context.close();
    }
    took.sort((a, b) => a - b);
    const median = Math.round(took[(VISITS - 1) / 2]);
    console.log(`${STORED.toLocaleString("en")} requests stored, ${path} as ${who}: usable after ${median} ms (median of ${VISITS} first visits, slowest ${Math.round(took[VISITS - 1])} ms)`);
    assert.ok(median < MS_MAX, `${median} ms`);
  }
  await browser.close();
  const ended = new Promise((resolve) => demo.once("exit", resolve));
  demo.kill("SIGTERM");
  await ended;
  rmSync(dir, { recursive: true, force: true });
});
