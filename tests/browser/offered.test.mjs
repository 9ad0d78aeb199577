// The page of a request in headless Chromium offers what the server accepts from its reader, and a decision counts for
// what was on the screen: rights, votes, executions that were lost, rehearsals, questions that stand open.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { SLOW, launch, peopled, poll, visit } from "./support.mjs";

const UPDATE = "UPDATE customers SET active = 0 WHERE id = 42";
const PEOPLE = [["ann", "user", "admin"], ["ben", "user", "admin"], ["carl", "user", "developer"], ["dora", "user", "developer"], ["robot", "agent", "agent-default"]];
/** Where two developers have to approve. */
const CRM = `[[databases]]\nname = "crm"\nenvironments = ["production"]\n[[workflows]]\ndatabase = "crm"\nenvironment = "production"\n[[workflows.steps]]\n[[workflows.steps.approvers]]\nrole = "developer"\nmin = 2\n`;

let browser;
let house;
let tokens;
let as;

before(async () => {
  ({ house, tokens, as } = await peopled(PEOPLE, { more: CRM }));
  browser = await launch();
});

after(async () => {
  await browser.close();
  await house.stop();
});

const submit = (reason, more = {}) => as("carl", "POST", "/api/requests", { database: "shop", environment: "production", detail: UPDATE, reason, ...more });

/** A request that was approved and run, and of which the agent does not know what became. */
async function lost(reason, detail) {
  const { id } = await submit(reason, { detail });
  await as("ann", "POST", `/api/requests/${id}/approve`, {});
  await as("carl", "POST", `/api/requests/${id}/resume`, {});
  await poll(as);
  const { execution_id: execution } = await as("robot", "POST", `/api/agent/jobs/${id}/claim`, {});
  await as("robot", "POST", `/api/agent/jobs/${execution}/result`, { success: false, outcome: "unknown", result_data: null, error_message: "the connection broke", rows_affected: null, duration_ms: 12, truncated: false });
  assert.equal((await as("carl", "GET", `/api/requests/${id}`)).status, "execution_lost");
  return id;
}

async function window(who, path, prepare) {
  const { context, open, finish } = await visit(browser, house.url);
  if (prepare) await prepare(context);
  return { context, page: await open(path, tokens[who]), finish };
}

/** The buttons of the decision. */
const buttons = (page) => page.getByRole("region", { name: "Decision" }).getByRole("button").allTextContents();

test("who approves but did not ask is not offered to run or to cancel", async () => {
  const { id } = await submit("of the colleague", { database: "crm" });
  const { page, finish } = await window("dora", `/requests/${id}`);
  await page.getByText("waits for you and one more").waitFor(SLOW);
  assert.deepEqual(await buttons(page), ["Approve", "Reject", "New request from this text"]);
  await page.getByRole("button", { name: "Approve" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Approve" }).click();
  // Who has voted is not asked again, and may still turn it down.
  await page.getByText("You may still reject it.").waitFor(SLOW);
  assert.deepEqual(await buttons(page), ["Reject", "New request from this text"]);
  await as("ann", "POST", `/api/requests/${id}/approve`, {});
  await page.getByText("approved, not yet run").waitFor(SLOW);
  assert.deepEqual(await buttons(page), ["New request from this text"]);
  const own = await window("carl", `/requests/${id}`);
  await own.page.getByRole("button", { name: "Run on crm / production" }).waitFor(SLOW);
  assert.deepEqual(await buttons(own.page), ["Run on crm / production", "Cancel the request", "New request from this text"]);
  // A token that only reads shows its holder's own request, and nothing to do with it.
  tokens.reader = (await as("ann", "POST", "/api/tokens", { subject_id: "carl", subject_type: "user", roles: ["readonly"] })).token;
  const reader = await window("reader", `/requests/${id}`);
  await reader.page.getByText(/^It can be run now, by .*carl/).waitFor(SLOW);
  assert.deepEqual(await buttons(reader.page), ["New request from this text"]);
  for (const one of [reader, own]) await one.finish();
  await finish();
  await as("carl", "POST", `/api/requests/${id}/cancel`, {});
});

test("who may step in is offered it, whatever is known of the inbox", async () => {
  const { id } = await submit("nobody is there", { database: "crm" });
  const refuse = (context) => context.route(/pending_for_me=true/, (route) => route.fulfill({ status: 503, json: { error: { code: "unavailable", message: "not now" } } }));
  const { page, finish } = await window("ben", `/requests/${id}`, refuse);
  await page.getByText("waits for you and one more").waitFor(SLOW);
  assert.deepEqual(await buttons(page), ["Approve", "Reject", "Cancel the request", "New request from this text"]);
  await finish("503 ^/api/requests$");
  await as("carl", "POST", `/api/requests/${id}/cancel`, {});
});

test("a write that was lost is run again with a reason, which is audited", async () => {
  const id = await lost("lost on the way", UPDATE);
  const { page, finish } = await window("carl", `/requests/${id}`);
  await page.getByText("outcome unknown").first().waitFor(SLOW);
  await page.getByLabel("Comment").fill("a note that is nobody's reason");
  await page.getByRole("button", { name: "Run on shop / production" }).click();
  const dialog = page.getByRole("dialog");
  for (const words of [/it may have taken effect/, /may apply it twice/, /^It runs once more on shop \/ production/, /^No bound on rows is set/]) await dialog.getByText(words).waitFor(SLOW);
  await dialog.getByRole("button", { name: "Run on shop / production" }).click();
  await dialog.getByText("Say why").waitFor(SLOW);
  await dialog.getByLabel("Why it may run again").fill("the row is as it was before");
  // What is typed in a question is kept as well.
  await dialog.getByRole("button", { name: "Back" }).click();
  await page.reload();
  await page.getByRole("button", { name: "Run on shop / production" }).click();
  assert.equal(await dialog.getByLabel("Why it may run again").inputValue(), "the row is as it was before");
  await dialog.getByRole("button", { name: "Run on shop / production" }).click();
  await page.getByText("waits for an agent").first().waitFor(SLOW);
  const { events } = await as("ann", "GET", `/api/audit/events?request_id=${id}`);
  const reasons = events.filter((event) => JSON.stringify(event).includes("the row is as it was before"));
  assert.deepEqual(reasons.map((event) => event.event_type), ["request.dispatched"]);
  assert.ok(!JSON.stringify(events).includes("nobody's reason"));
  assert.equal(await page.getByLabel("Comment").inputValue(), "a note that is nobody's reason");
  await finish();
  await as("carl", "POST", `/api/requests/${id}/cancel`, {});
});

test("a read that was lost is run again without a word", async () => {
  const id = await lost("lost while reading", "SELECT * FROM customers");
  const { page, finish } = await window("carl", `/requests/${id}`);
  await page.getByRole("button", { name: "Run on shop / production" }).click();
  assert.equal(await page.getByRole("dialog").getByRole("textbox").count(), 0);
  await page.getByRole("dialog").getByRole("button", { name: "Run on shop / production" }).click();
  await page.getByText("waits for an agent").first().waitFor(SLOW);
  await finish();
  await as("carl", "POST", `/api/requests/${id}/cancel`, {});
});

/** The agent rehearses a request for which that was asked, and reports `result`. */
async function rehearse(id, result) {
  const { rehearsal_jobs: jobs } = await poll(as);
  const job = jobs.find((one) => one.request_id === id);
  await as("robot", "POST", `/api/agent/rehearsals/${job.id}/claim`, {});
  await as("robot", "POST", `/api/agent/rehearsals/${job.id}/result`, result);
}

test("a comment outlasts a rehearsal, and a vote does not count for another one than was seen", async () => {
  // The requester has bound the rows, so that a rehearsal does not.
  const { id } = await submit("rehearsed meanwhile", { max_affected_rows: 40 });
  await poll(as);
  const { page, finish } = await window("ann", `/requests/${id}`);
  await page.getByLabel("Comment").fill("matches the ticket");
  await page.getByRole("button", { name: "Rehearse", exact: true }).click();
  await page.getByText("Being rehearsed").waitFor(SLOW);
  await rehearse(id, { result: { rows_affected: 37, statements: [] } });
  await page.getByText("37 rows").first().waitFor(SLOW);
  assert.equal(await page.getByLabel("Comment").inputValue(), "matches the ticket");
  await page.getByRole("button", { name: /^Approve/ }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("37 rows changed when it was rehearsed.").waitFor(SLOW);
  await as("carl", "POST", `/api/requests/${id}/rehearse`, {});
  await rehearse(id, { error: "the table is locked" });
  await page.getByText("The rehearsal failed: the table is locked").waitFor(SLOW);
  await dialog.getByRole("button", { name: /^Approve/ }).click();
  await page.getByText("This request changed while you looked").waitFor(SLOW);
  assert.equal((await as("carl", "GET", `/api/requests/${id}`)).status, "pending");
  await page.getByRole("button", { name: /^Approve/ }).click();
  await dialog.getByRole("button", { name: /^Approve/ }).click();
  await page.getByText("approved, not yet run").waitFor(SLOW);
  assert.equal((await as("carl", "GET", `/api/requests/${id}`)).approval_progress.steps[0].approvals[0].comment, "matches the ticket");
  await finish("412 /approve$");
  await as("carl", "POST", `/api/requests/${id}/cancel`, {});
});

test("the back key leaves no question open", async () => {
  const { id } = await submit("asked and left");
  const { page, finish } = await window("ann", "/");
  await page.locator("a.row").filter({ hasText: "asked and left" }).click();
  await page.getByRole("button", { name: "Approve" }).click();
  await page.getByRole("dialog").waitFor(SLOW);
  await page.goBack();
  await page.getByRole("heading", { name: "Waiting for you" }).waitFor(SLOW);
  assert.equal(await page.getByRole("dialog").count(), 0);
  assert.equal((await as("carl", "GET", `/api/requests/${id}`)).status, "pending");
  await finish();
  await as("carl", "POST", `/api/requests/${id}/cancel`, {});
});

test("times on a page pass, by the server's clock", async () => {
  const { id } = await submit("a while ago");
  const { context, open, finish } = await visit(browser, house.url);
  // The clock of this machine is ten minutes behind.
  await context.clock.install({ time: Date.now() - 600000 });
  const page = await open(`/requests/${id}`, tokens.carl);
  await page.getByText("carl, just now").waitFor(SLOW);
  await context.clock.fastForward("05:00");
  await page.getByText(/carl, [45] minutes ago/).waitFor(SLOW);
  await finish();
  await as("carl", "POST", `/api/requests/${id}/cancel`, {});
});

test("a browser that makes no notifications is told what is new all the same", async () => {
  const { context, open, finish } = await visit(browser, house.url);
  await context.addInitScript((token) => {
    sessionStorage.setItem("dbward.token", token);
    Object.defineProperty(document, "hidden", { get: () => true });
    window.Notification = class {
      static permission = "granted";
      constructor() {
        window.tried = (window.tried || 0) + 1;
        throw new TypeError("Illegal constructor. Use ServiceWorkerRegistration.showNotification() instead.");
      }
    };
    // No timer fires, so that a call that failed would not be made again.
    window.setTimeout = window.setInterval = () => 0;
  }, tokens.ann);
  const page = await open("/health");
  const held = page.waitForRequest(/pending_for_me=true.*wait=25/);
  await page.goto(`${house.url}/`);
  await held;
  for (const [n, reason] of ["the first", "the second"].entries()) {
    const { id } = await submit(reason);
    await page.locator("a.row").filter({ hasText: reason }).waitFor(SLOW);
    assert.equal(await page.evaluate(() => window.tried), n + 1);
    await as("carl", "POST", `/api/requests/${id}/cancel`, {});
    await page.locator("a.row").filter({ hasText: reason }).waitFor({ state: "detached", ...SLOW });
  }
  await finish();
});
