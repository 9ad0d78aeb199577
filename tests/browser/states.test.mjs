// What the page of a request says of it in headless Chromium: why no agent takes it, that it runs and what ran before, an
// emergency, and a rehearsal that failed, was refused, is stale or got no answer. The agent is this test.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { SLOW, launch, peopled, poll, visit } from "./support.mjs";

const UPDATE = "UPDATE customers SET active = 0 WHERE id = 42";
const OPERATIONS = ["execute_select", "execute_dml"];

let browser;
let house;
let tokens;
let as;

before(async () => {
  const agents = `[[execution_policies]]\nmax_executions = 5\nretry_on_failure = true\n`;
  const roles = `[[auth.roles]]\nname = "rules"\npermissions = ["workflow.manage", "role.manage", "policy.manage"]\n[[auth.roles]]\nname = "asks"\npermissions = ["request.create"]\n`;
  const people = [["ann", "user", "admin"], ["carl", "user", "admin"], ["robot", "agent", "agent-default"], ["rita", "user", "rules"], ["asks", "user", "asks"]];
  ({ house, tokens, as } = await peopled(people, { more: agents + roles }));
  browser = await launch();
});

after(async () => {
  await browser.close();
  await house.stop();
});

const submit = (reason, more = {}) => as("carl", "POST", "/api/requests", { database: "shop", environment: "production", detail: UPDATE, reason, ...more });

const claim = (id) => as("robot", "POST", `/api/agent/jobs/${id}/claim`, {});

const report = (execution, result) => as("robot", "POST", `/api/agent/jobs/${execution}/result`, { result_data: null, error_message: null, rows_affected: null, duration_ms: 12, truncated: false, ...result });

async function window(who, path) {
  const { context, open, finish } = await visit(browser, house.url);
  return { context, page: await open(path, tokens[who]), finish };
}

/** A request that was approved and handed to the agents. */
async function dispatched(reason) {
  const { id } = await submit(reason);
  await as("ann", "POST", `/api/requests/${id}/approve`, {});
  await as("carl", "POST", `/api/requests/${id}/resume`, {});
  return id;
}

// First, while no agent has come.
test("a request that no agent takes says why, and stops saying so", async () => {
  const id = await dispatched("nobody is there");
  const { page, finish } = await window("carl", `/requests/${id}`);
  await page.getByText("No agent that is online serves this database.").waitFor(SLOW);
  await page.getByText("waits for an agent").first().waitFor(SLOW);
  for (const [capabilities, status, words] of [
    [{ operations: ["migrate_up"] }, {}, "No agent that is online runs this kind of request."],
    [{}, { in_flight: 2 }, "Every agent for it is busy"],
    [{}, { draining: true }, "Every agent for it is about to stop"],
  ]) {
    await poll(as, { capabilities: { databases: ["shop"], environments: ["production"], operations: OPERATIONS, ...capabilities } }, status);
    await page.reload();
    await page.getByText(words).waitFor(SLOW);
  }
  await poll(as);
  await page.reload();
  await page.getByText("The next agent that is free runs it.").waitFor(SLOW);
  assert.equal(await page.getByText(/^(No|Every) agent/).count(), 0);
  await finish();
  await as("carl", "POST", `/api/requests/${id}/cancel`, {});
});

test("a request that runs says where and since when, next to what ran before", async () => {
  const id = await dispatched("tried twice");
  await poll(as);
  const first = await claim(id);
  const { page, finish } = await window("carl", `/requests/${id}`);
  await page.getByText("Runs on robot").waitFor(SLOW);
  await page.getByText("It runs now, on robot.").waitFor(SLOW);
  assert.equal(await page.getByText("Earlier executions").count(), 0);
  // Nobody reloads: the page follows to the failure, to the second attempt, and to its end.
  await report(first.execution_id, { success: false, outcome: "rolled_back", error_message: "the table is locked" });
  await page.getByText("the table is locked").first().waitFor(SLOW);
  await page.getByRole("button", { name: "Run on shop / production" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Run on shop / production" }).click();
  await page.getByText("waits for an agent").first().waitFor(SLOW);
  const past = page.locator(".pairs div").filter({ hasText: "Attempt 1 on robot" });
  await past.getByText("failed, rolled back, the table is locked").waitFor(SLOW);
  await poll(as);
  const second = await claim(id);
  await page.getByText("attempt 2").waitFor(SLOW);
  await page.getByText("Runs on robot").waitFor(SLOW);
  await past.waitFor(SLOW);
  await report(second.execution_id, { success: true, outcome: "committed", rows_affected: 1 });
  await page.getByText("row changed").waitFor(SLOW);
  await past.waitFor(SLOW);
  await finish();
});

test("an emergency is red, asks first, and says that nobody approved it", async () => {
  const { page, finish } = await window("carl", "/new");
  const made = [];
  page.on("request", (call) => call.method() === "POST" && call.url().endsWith("/api/requests") && made.push(call.url()));
  await page.getByLabel("Database and environment").selectOption("shop/production");
  await page.getByLabel("SQL").fill(UPDATE);
  await page.getByText("1 of role admin").waitFor(SLOW);
  await page.getByLabel(/^Emergency/).check();
  // What is foreseen is of the form as it is now.
  await page.getByText("An emergency: it runs without approval.").waitFor(SLOW);
  await page.getByText("Without a reason it would be refused.").waitFor(SLOW);
  assert.equal(await page.getByText("1 of role admin").count(), 0);
  await page.getByLabel("Reason").fill("the shop is down");
  await page.getByLabel("Reason").blur();
  await page.getByText("A reason is required.").waitFor(SLOW);
  // The button says what it does, and neither it nor Enter in a field does it without a question.
  const run = page.getByRole("main").getByRole("button", { name: "Run now on shop / production, without approval" });
  assert.match(await run.getAttribute("class"), /\bdanger\b/);
  await page.getByLabel("Reason").press("Enter");
  const dialog = page.getByRole("dialog");
  await dialog.getByText("It runs at once on shop / production, and nobody approves it.").waitFor(SLOW);
  await dialog.getByText("No bound on rows is set.").waitFor(SLOW);
  await dialog.getByRole("button", { name: "Back" }).click();
  // What was ticked is of this moment: it is not kept with what was typed.
  await page.reload();
  await page.getByText("1 of role admin").waitFor(SLOW);
  assert.equal(await page.getByLabel("Reason").inputValue(), "the shop is down");
  assert.equal(await page.getByLabel(/^Emergency/).isChecked(), false);
  assert.deepEqual(made, []);
  await page.getByLabel(/^Emergency/).check();
  await run.click();
  await dialog.getByRole("button", { name: "Run now on shop / production, without approval" }).click();
  await page.locator("h1").getByText("the shop is down").waitFor(SLOW);
  assert.equal(made.length, 1);
  const pill = page.locator(".title-line .pill", { hasText: /^emergency$/ });
  assert.match(await pill.getAttribute("class"), /\bbad\b/);
  await page.getByText("An emergency: nobody had to approve.").waitFor(SLOW);
  const id = new URL(page.url()).pathname.split("/").pop();
  await poll(as);
  const { execution_id: execution } = await claim(id);
  await page.getByText("Runs on robot").waitFor(SLOW);
  await report(execution, { success: true, outcome: "committed", rows_affected: 1 });
  await page.getByText("row changed").waitFor(SLOW);
  // Whoever may see it finds it marked in the list as well.
  await page.goto(`${house.url}/requests`);
  await page.locator("a.row").filter({ hasText: "the shop is down" }).locator(".pill.bad", { hasText: "emergency" }).waitFor(SLOW);
  await finish();
});

test("who may not see requests sees the policies and asks for something all the same", async () => {
  const rules = await window("rita", "/policies");
  await rules.page.getByRole("region", { name: "Workflows" }).getByText("shop / production").waitFor(SLOW);
  assert.equal(await rules.page.getByText("Who could approve what").count(), 0);
  await rules.finish();
  const asks = await window("asks", "/");
  await asks.page.getByRole("link", { name: "New request" }).first().click();
  await asks.page.getByLabel("Database and environment").fill("shop/production");
  await asks.page.getByLabel("SQL").fill(UPDATE);
  await asks.page.getByText("1 of role admin").waitFor(SLOW);
  await asks.page.getByLabel("Reason").fill("asked blindly");
  await asks.page.getByRole("button", { name: "Submit" }).click();
  const made = await asks.page.getByText(/^The request was made: /).locator(".mono").textContent();
  assert.equal((await as("ann", "GET", `/api/requests/${made}`)).reason, "asked blindly");
  await asks.finish();
});

/** Asks for a rehearsal on the page; the agent claims it and reports `result`. */
async function rehearsed(page, id, button, result) {
  await poll(as);
  await page.getByRole("button", { name: button, exact: true }).click();
  await page.getByText("Being rehearsed: waiting for an agent.").waitFor(SLOW);
  const { rehearsal_jobs: jobs } = await poll(as);
  const job = jobs.find((one) => one.request_id === id);
  await as("robot", "POST", `/api/agent/rehearsals/${job.id}/claim`, {});
  await page.getByText("Being rehearsed on robot.").waitFor(SLOW);
  await as("robot", "POST", `/api/agent/rehearsals/${job.id}/result`, result);
}

const DONE = { result: { rows_affected: 37, statements: [{ kind: "update", table: "customers", rows: 37 }], triggers: ["customers_audit"], warnings: ["it waited for a lock"], lock_wait_ms: 40 } };

test("a rehearsal that failed says why, can be repeated, and then names its rows", async () => {
  const { id } = await submit("rehearsed twice");
  const { page, finish } = await window("ann", `/requests/${id}`);
  await rehearsed(page, id, "Rehearse", { error: "duplicate key <b>17</b>" });
  await page.getByText("The rehearsal failed: duplicate key <b>17</b>").waitFor(SLOW);
  await rehearsed(page, id, "Rehearse again", DONE);
  await page.getByText("37 rows in customers").waitFor(SLOW);
  for (const words of ["trigger customers_audit", "it waited for a lock"]) await page.getByText(words).waitFor(SLOW);
  await page.getByRole("button", { name: "Approve 37 rows" }).waitFor(SLOW);
  await finish();
  await as("carl", "POST", `/api/requests/${id}/cancel`, {});
});

// What takes an hour, or a minute, or another agent to come about: the page reads it from the answer.
for (const [name, change, there, isRepeatable] of [
  ["stale", { stale: true }, ["37 rows in customers", "This rehearsal is stale: the rows may be others by now."], true],
  ["without an answer", { status: "unavailable", rows_affected: null, rehearsed_at: null, statements: null }, ["No rehearsal: no agent answered within a minute."], true],
  ["refused", { status: "refused", rows_affected: null, rehearsed_at: null, statements: null, error_message: "it calls nextval" }, ["Not rehearsed: it calls nextval"], false],
]) {
  test(`a rehearsal that is ${name} says so, before a decision too`, async () => {
    const { id } = await submit(name);
    await poll(as);
    const { id: rehearsal } = await as("ann", "POST", `/api/requests/${id}/rehearse`, {});
    await as("robot", "POST", `/api/agent/rehearsals/${rehearsal}/claim`, {});
    await as("robot", "POST", `/api/agent/rehearsals/${rehearsal}/result`, DONE);
    const { context, open, finish } = await visit(browser, house.url);
    await context.route(new RegExp(`api/requests/${id}(\\?.*)?$`), async (route) => {
      const answer = await route.fetch();
      const body = await answer.json();
      await route.fulfill({ response: answer, json: { ...body, rehearsal: { ...body.rehearsal, ...change }, rehearsable: isRepeatable } });
    });
    const page = await open(`/requests/${id}`, tokens.ann);
    for (const words of there) await page.getByText(words).waitFor(SLOW);
    assert.equal(await page.getByRole("button", { name: "Rehearse again" }).count(), isRepeatable ? 1 : 0);
    await page.getByRole("button", { name: /^Approve/ }).click();
    const warned = page.getByRole("dialog").getByText("That is stale: the rows may be others by now.");
    if (name === "stale") await warned.waitFor(SLOW);
    else assert.equal(await page.getByRole("dialog").getByText(/when it was rehearsed/).count(), 0);
    await finish();
    await as("carl", "POST", `/api/requests/${id}/cancel`, {});
  });
}
