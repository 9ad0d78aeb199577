// Policies in effect, as the server resolved them: who could approve what, and every rule behind it.
import { fill, h, number } from "./dom.js";
import { get, query } from "./api.js";
import { OPERATIONS, card, empty, heading, load, pill, selector, table } from "./parts.js";

/** Places that are resolved at a time, and calls for them that are under way at once. */
const PLACES_MAX = 100;
const CALLS_MAX = 6;

export async function policies({ page, signal, can }) {
  // What the caller may not see is not asked for.
  const optional = (path, name, permission) => (!permission || can(permission) ? get(path, { signal }).then((a) => a[name]) : null);
  const [databases, workflows, roles, executions, results, notices] = await Promise.all([
    optional("/api/databases", "databases", "request.view"),
    optional("/api/workflows", "workflows", "workflow.manage"),
    optional("/api/roles", "roles", "role.manage"),
    optional("/api/execution-policies", "execution_policies", "policy.manage"),
    optional("/api/result-policies", "result_policies", "policy.manage"),
    optional("/api/notification-policies", "notification_policies", "policy.manage"),
  ]);
  const parts = [];
  if (databases && databases.length && workflows && can("request.view")) parts.push(await matrix(databases, workflows, signal));
  if (workflows) parts.push(workflowCard(workflows));
  if (roles) parts.push(card("Roles", null, table(["Role", "Permissions", "Databases", "Environments"], roles.map((r) => [[r.name, r.built_in && h("span", { class: "muted" }, " built in")], r.permissions.includes("*") ? "everything" : r.permissions.join(", "), any(r.databases.join(", "), ""), any(r.environments.join(", "), "")]), "Roles")));
  const plain = (title, list) => list && list.length && parts.push(card(title, null, list.map((p) => h("dl", { class: "pairs" }, Object.entries(p).filter(([, v]) => v !== null).map(([k, v]) => h("div", null, h("dt", null, k.replaceAll("_", " ")), h("dd", null, written(v))))))));
  plain("Execution policies", executions);
  plain("Result policies", results);
  plain("Notification policies", notices);
  fill(page, heading("Policies", "Read-only: they are set in server.toml and take effect with dbward reload."), h("div", { class: "stack" }, parts.length ? parts : card(null, null, empty("You may not see the policies.", "They are shown to holders of workflow.manage, policy.manage and role.manage."))));
}

/** A part of a scope in words. */
const any = (name, what) => (name === "*" ? `any ${what}`.trim() : name);

/** A value of a policy in words. */
function written(value) {
  if (value === true) return "yes";
  if (value === false) return "no";
  if (Array.isArray(value)) return value.length ? value.map(written).join(", ") : "none";
  if (value !== null && typeof value === "object") return Object.entries(value).map(([k, v]) => `${k.replaceAll("_", " ")}: ${written(v)}`).join(", ");
  return String(value);
}

/** What the server resolves for a place: the rule of the most specific scope is its own. */
async function resolved(place, signal) {
  const answer = await get(`/api/policy-resolution${query({ database: place.database, environment: place.environment })}`, { signal });
  return { place, kinds: Object.fromEntries(answer.resolutions.map((r) => [r.operation, r])), auto: answer.auto_approve, onCall: answer.on_call || {} };
}

/** Who approves one kind of request in one place, and who may besides; or that nobody has to. */
function approvers({ workflow_id: id, decision_preview: preview, reason_code: reason }, workflows, onCall) {
  if (preview === "deny") return pill("bad", reason === "no_matching_workflow" ? "refused: no workflow" : `refused: ${String(reason).replaceAll("_", " ")}`);
  const w = workflows.find((one) => one.id === id);
  if (preview === "auto_approved") return [pill("good", "runs at once"), w && w.steps.length > 0 && h("div", { class: "note" }, "by auto-approval")];
  if (!w) return pill("muted", "a workflow that is newer than this page");
  const now = (name) => (onCall[name] ? ` (now ${onCall[name].join(", ") || "nobody"})` : "");
  const one = (a) => `${a.min} of ${selector(a.selector)}${now(a.selector.replace(/^group:/, ""))}`;
  const besides = [w.admin_override && "or an administrator", w.allow_self_approve && "own requests too"].filter(Boolean).join(", ");
  return [w.steps.map((step, i) => h("div", null, w.steps.length > 1 ? `${i + 1}. ` : "", step.approvers.map(one).join(step.mode === "any" ? " or " : " and "))), besides && h("div", { class: "note" }, besides)];
}

/** What runs without approval in a place for its little risk. */
function automatic(auto) {
  if (!auto || !auto.max_risk) return null;
  return h("div", { class: "note" }, `risk up to ${auto.max_risk} runs at once`);
}

/** The places from `from` on, resolved by a few calls at a time. */
async function nextPlaces(databases, from, signal) {
  const wanted = databases.slice(from, from + PLACES_MAX);
  const found = [];
  const left = [...wanted.keys()];
  const work = async () => {
    for (let i = left.shift(); i !== undefined; i = left.shift()) found[i] = await resolved(wanted[i], signal);
  };
  await Promise.all(Array.from({ length: CALLS_MAX }, work));
  return found;
}

/** Who could approve each kind of request in each place; those after the first ones are a click away. */
async function matrix(databases, workflows, signal) {
  const holder = h("div");
  const places = [];
  const next = async () => {
    places.push(...(await nextPlaces(databases, places.length, signal)));
    const more = places.length < databases.length && h("div", { class: "actions" }, h("span", { class: "muted" }, `The first ${number(places.length)} of ${number(databases.length)} places are shown.`), h("button", { class: "button small", type: "button", onclick: () => load(holder, signal, next) }, "Show more places"));
    return card("Who could approve what", "by database and environment", who(places, workflows), more);
  };
  return fill(holder, await next());
}

function who(places, workflows) {
  const kinds = Object.keys(OPERATIONS);
  return table(["Place", ...kinds.map((k) => OPERATIONS[k])], places.map(({ place, kinds: found, auto, onCall }) => [[`${place.database} / ${place.environment}`, automatic(auto)], ...kinds.map((k) => approvers(found[k], workflows, onCall))]), "Who could approve what");
}

function workflowCard(workflows) {
  return card(
    "Workflows",
    null,
    table(
      ["Where", "What", "Steps", "Rules"],
      workflows.map((w) => [
        `${any(w.database, "database")} / ${any(w.environment, "environment")}`,
        w.operations.length ? w.operations.map((o) => OPERATIONS[o] || o).join(", ") : "everything",
        w.steps.length ? w.steps.map((step, i) => h("div", null, w.steps.length > 1 ? `${i + 1}. ` : "", step.approvers.map((a) => `${a.min} of ${selector(a.selector)}`).join(step.mode === "any" ? " or " : " and "))) : "none: runs at once",
        [w.require_reason && "needs a reason", w.allow_self_approve && "own requests may be approved", w.admin_override && "administrators may override", w.distinct_token_issuer && "tokens of distinct issuers", w.dispatch === "on_approval" && "runs when approved"].filter(Boolean).join(", "),
      ]),
      "Workflows",
    ),
  );
}
