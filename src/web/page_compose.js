// A new request: the text, what would happen to it while it is typed, then submit and stay with it.
import { fill, h, plural } from "./dom.js";
import { get, pause, post, query } from "./api.js";
import { keep } from "./drafts.js";
import { OPERATIONS, card, confirm, cut, field, heading, pill, problem, risk, selector } from "./parts.js";
import { planTree } from "./plan.js";
import { SqlText, line } from "./sql.js";

/** Earlier requests that are offered as a start. */
const EARLIER_MAX = 8;
/** Tables that a forecast lists. */
const TABLES_MAX = 20;

export async function compose({ page, signal, parameters, me, can, go }) {
  // Who may ask, but see nothing, knows where.
  const databases = can("request.view") ? (await get("/api/databases", { signal })).databases : null;
  const source = parameters.get("from") ? await get(`/api/requests/${encodeURIComponent(parameters.get("from"))}`, { signal }) : null;
  const from = source ? `${source.database}/${source.environment}` : "";
  const place = !databases ? h("input", { required: true, pattern: "[^\\/]+/[^\\/]+", placeholder: "app/production", value: from }) : h("select", { required: true }, h("option", { value: "" }, "Choose"), databases.map((d) => h("option", { value: `${d.database}/${d.environment}`, selected: `${d.database}/${d.environment}` === from }, `${d.database} / ${d.environment}`)));
  const detail = h("textarea", { class: "code", rows: 9, spellcheck: "false", autocapitalize: "off", autocomplete: "off", required: true, "data-key": "c", value: source ? source.detail : "" });
  const reason = h("input", { maxlength: 1000, value: (source && source.reason) || "", placeholder: "Ticket, and why" });
  const bound = h("input", { type: "number", min: 0, step: 1, placeholder: "no bound" });
  const emergency = h("input", { type: "checkbox" });
  // A call that is sent again, since its answer was lost, makes no second request; what is changed is another one.
  const key = h("input", { type: "hidden", value: newKey() });
  const renew = () => (key.value = newKey());
  for (const control of [place, detail, reason, bound, emergency]) control.addEventListener("input", renew);
  const outcome = h("div", { "aria-live": "polite" });
  const verdict = h("div", { class: "look", "aria-live": "polite" });
  const submit = h("button", { class: "button accent", type: "submit" }, "Submit");
  /** The button says what it does: an emergency runs, and is red. */
  const label = () => {
    const [database, environment] = place.value.split("/");
    submit.className = `button ${emergency.checked ? "danger" : "accent"}`;
    fill(submit, emergency.checked ? `Run now${environment ? ` on ${database} / ${environment}` : ""}, without approval` : "Submit");
  };
  for (const control of [place, emergency]) control.addEventListener("input", label);
  const values = () => {
    const [database, environment] = place.value.split("/");
    return { database, environment, detail: detail.value };
  };
  // An emergency is of this moment: what was ticked for an earlier one does not come back.
  const draft = keep(location.pathname + location.search, { place, detail, reason, bound, key });
  let turn = 0;
  const said = (...content) => fill(verdict, content).removeAttribute("aria-busy");
  const look = async () => {
    turn += 1;
    const mine = turn;
    const { database, environment, detail: sql } = values();
    if (!database || !sql.trim()) return said( h("p", { class: "muted" }, "Choose a database and write SQL: what would happen to it is shown here."));
    if (verdict.childElementCount === 0) fill(verdict, h("p", { class: "muted" }, "Being looked at."));
    // What is shown still is of the text before.
    verdict.setAttribute("aria-busy", "true");
    try {
      await pause(350, signal);
      if (mine !== turn) return;
      const shown = await preview(database, environment, sql, { isEmergency: emergency.checked, hasReason: Boolean(reason.value.trim()) }, signal);
      if (mine === turn) said(shown);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (mine === turn) said(problem(error));
    }
  };
  for (const input of [place, detail, emergency]) input.addEventListener("input", look);
  reason.addEventListener("change", look);
  const form = h(
    "form",
    {
      class: "form",
      onsubmit: async (event) => {
        event.preventDefault();
        if (submit.disabled) return;
        if (emergency.checked && !(await confirm("Run it without approval?", emergencyWords(values(), bound.value), submit.textContent, "danger"))) return;
        submit.disabled = true;
        const body = { ...values(), reason: reason.value.trim() || undefined, idempotency_key: key.value };
        draft.save();
        if (bound.value !== "") body.max_affected_rows = Number(bound.value);
        if (emergency.checked) body.emergency = true;
        try {
          const created = await post("/api/requests", body, { signal });
          draft.forget();
          if (can("request.view")) return go(`/requests/${created.id}`);
          // Its page is not for who may see no request.
          fill(outcome, h("p", { class: "banner good", role: "status" }, "The request was made: ", h("span", { class: "mono" }, created.id), ". Those who may decide on it find it in their inbox."));
          detail.value = "";
          emergency.checked = false;
          label();
          renew();
          submit.disabled = false;
        } catch (error) {
          if (error.name !== "AbortError") fill(outcome, problem(error), placed(error, detail.value));
          submit.disabled = false;
        }
      },
    },
    h("div", { class: "form-row compose" }, field("Database and environment", place), field("Reason", reason), field("Rows at most", bound, "one more and nothing is committed")),
    field("SQL", detail, "Exactly this text is reviewed, approved and run."),
    h("label", { class: "check" }, emergency, "Emergency: run without approval; everybody who watches is notified"),
    outcome,
    h("div", { class: "actions" }, submit),
  );
  const templates = h("div");
  const take = async (item) => {
    if (detail.value.trim() && detail.value !== item.detail && !(await confirm("Replace what you typed?", h("p", null, "The text, the database and the reason of the earlier request take its place."), "Replace"))) return;
    const whole = item.detail_truncated ? await get(`/api/requests/${item.id}`, { signal }) : item;
    detail.value = whole.detail;
    place.value = `${item.database}/${item.environment}`;
    reason.value = item.reason || "";
    renew();
    label();
    draft.save();
    detail.focus();
    await look();
  };
  const earlier = async () => {
    const { requests } = await get(`/api/requests${query({ user: me.subject_id, limit: 50 })}`, { signal });
    const seen = new Set();
    const distinct = requests.filter((r) => !r.operation.startsWith("migrate") && !seen.has(r.detail) && seen.add(r.detail)).slice(0, EARLIER_MAX);
    if (distinct.length === 0) return;
    fill(templates, card("Start from an earlier one", null, h("div", { class: "templates" }, distinct.map((r) => h("button", { class: "template", type: "button", onclick: () => take(r).catch((error) => error.name !== "AbortError" && fill(outcome, problem(error))) }, h("code", { class: "row-sql" }, line(r.detail, r.dialect)), h("span", { class: "hint" }, `${r.database} / ${r.environment}`, r.reason ? [" · ", r.reason] : null))))));
  };
  fill(page, heading("New request", `As ${me.subject_id}.`), h("div", { class: "columns" }, card(null, null, form), h("div", { class: "stack" }, card("What would happen", null, verdict), templates)));
  detail.focus();
  await Promise.all([look(), earlier().catch(() => {})]);
}

/** What an emergency does, before it does it. */
function emergencyWords({ database, environment }, bound) {
  const rows = bound === "" ? h("p", { class: "muted" }, "No bound on rows is set.") : h("p", null, `At most ${plural(Number(bound), "row")} may change; one more and nothing is committed.`);
  return [h("p", null, `It runs at once on ${database} / ${environment}, and nobody approves it.`), rows];
}

/** A name for what is about to be sent that no other has. */
function newKey() {
  return `console-${[...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** The text with the places that an error names. */
function placed(error, sql) {
  const details = error.details || {};
  const findings = details.findings || (details.line ? [{ ...details, message: error.message, offset: offset(sql, details.line, details.column) }] : []);
  return findings.length ? new SqlText().show(sql, { findings }) : null;
}

function offset(sql, line, column) {
  const before = sql.split("\n").slice(0, line - 1).join("\n");
  const start = line > 1 ? before.length + 1 : 0;
  return new TextEncoder().encode(sql.slice(0, start + column - 1)).length;
}

/** The server's own forecast; nothing is created. The database is asked for its plan only where somebody wants it. */
async function preview(database, environment, sql, form, signal) {
  const ask = (include_explain) => post("/api/preflight", { database, environment, sql, include_explain }, { signal });
  const foreseen = await ask(false);
  if (foreseen.status === "blocked" || foreseen.unparsable) return forecast(foreseen, form);
  const plans = h("div", { class: "stack", "aria-live": "polite" });
  const look = async () => {
    button.disabled = true;
    try {
      fill(plans, planned((await ask(true)).impact));
    } catch (error) {
      if (error.name !== "AbortError") fill(plans, problem(error));
    }
    button.disabled = false;
  };
  const button = h("button", { class: "button", type: "button", onclick: look }, "Show the plan");
  return [forecast(foreseen, form), h("div", { class: "actions" }, button), plans];
}

/** How the database would run each statement, or why nobody knows. */
function planned(impact) {
  const sizes = new Map(impact.tables.map((t) => [t.name, t.estimated_rows]));
  if (impact.explain) return impact.explain.map((one) => (one.error ? h("p", { class: "banner warn" }, "The database could not plan this: ", one.error) : planTree(one, sizes)));
  const why = { timeout: "no agent explained it in time", unavailable: "no agent is online for this database", busy: "too many statements are being explained; try again", disabled: "plans are off for this workflow", forbidden: "it is for those who may see tables and results (request.view, result.view)", needs_approval: "reads need an approval here, and a plan tells of rows; it is shown once the request is submitted" }[impact.explain_status];
  return h("p", { class: "muted" }, `No plan: ${why || "it would be refused"}.`);
}

function forecast(f, form) {
  const tone = { blocked: "bad", warning: "warn", requestable: "good" }[f.status] || "muted";
  const words = { blocked: "would be refused", warning: "can be requested, with warnings", requestable: "can be requested" }[f.status] || f.status;
  const kind = f.classification && f.classification.operation;
  const found = (f.review && f.review.findings) || [];
  const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;
  const refusal = f.refusal && found.length === 0 ? h("p", { class: "banner bad" }, h("strong", null, sentence(f.refusal.message)), f.refusal.hint && ` ${sentence(f.refusal.hint)}`) : null;
  const tables = (f.impact && f.impact.tables) || [];
  return [
    h("div", { class: "actions" }, pill(tone, words), kind && pill("muted", OPERATIONS[kind] || kind), f.risk && f.risk.level && risk(String(f.risk.level).toLowerCase())),
    refusal,
    f.unparsable && h("p", { class: "banner warn" }, h("strong", null, "This text cannot be read as SQL. "), sentence(f.unparsable.message), h("span", { class: "faint" }, ` Line ${f.unparsable.line}, column ${f.unparsable.column}.`)),
    found.map((x) => h("div", { class: `banner ${tone === "bad" ? "bad" : "warn"}` }, h("strong", null, sentence(x.message)), x.fix && ` Fix: ${x.fix}.`, x.line && h("span", { class: "faint" }, ` Line ${x.line}, column ${x.column}.`))),
    f.status === "blocked" ? null : approvers(f.policy || {}, form),
    tables.length > 0 && [h("dl", { class: "pairs" }, tables.slice(0, TABLES_MAX).map((t) => h("div", null, h("dt", { class: "mono" }, t.name), h("dd", null, Number.isFinite(t.estimated_rows) ? `about ${plural(t.estimated_rows, "row")}` : "size unknown")))), cut(tables, TABLES_MAX, "tables")],
  ];
}

/** Who must approve, step by step; whether a reason is missing, and that an emergency asks nobody. */
function approvers(policy, { isEmergency, hasReason }) {
  const steps = (policy.workflow && policy.workflow.steps) || [];
  const needsReason = isEmergency || (policy.workflow && policy.workflow.require_reason);
  const reason = needsReason && (hasReason ? h("p", { class: "muted" }, "A reason is required.") : h("p", { class: "banner warn" }, "Without a reason it would be refused."));
  if (isEmergency) return [h("p", { class: "banner bad" }, h("strong", null, "An emergency: it runs without approval."), " Everybody who watches is notified, and the audit log says so."), reason];
  if (policy.decision !== "needs_approval") return [h("p", { class: "muted" }, "Runs without approval."), reason];
  const one = (step) => step.approvers.map((a) => `${a.min} of ${selector(a.selector)}`).join(step.mode === "any" ? " or " : " and ");
  return [h("div", null, h("div", { class: "label" }, "Must approve"), h("ol", { class: "plain" }, steps.map((step, i) => h("li", null, steps.length > 1 ? `${i + 1}. ` : "", one(step)))), reason)];
}
