// A new request: the text, what would happen to it while it is typed, then submit and stay with it.
import { fill, h, plural, visible } from "./dom.js";
import { get, pause, post, query } from "./api.js";
import { OPERATIONS, card, confirm, field, heading, pill, problem, selector } from "./parts.js";
import { planTree } from "./plan.js";
import { SqlText, line } from "./sql.js";

const DRAFT = "dbward.draft";
/** Earlier requests that are offered as a start. */
const EARLIER_MAX = 8;

export async function compose({ page, signal, parameters, me, go }) {
  const { databases } = await get("/api/databases", { signal });
  const draft = JSON.parse(sessionStorage.getItem(DRAFT) || "{}");
  if (parameters.get("from")) {
    const source = await get(`/api/requests/${encodeURIComponent(parameters.get("from"))}`, { signal });
    Object.assign(draft, { detail: source.detail, place: `${source.database}/${source.environment}`, reason: source.reason || "" });
  }
  const place = h("select", { required: true }, h("option", { value: "" }, "Choose"), databases.map((d) => h("option", { value: `${d.database}/${d.environment}`, selected: `${d.database}/${d.environment}` === draft.place }, `${d.database} / ${d.environment}`)));
  const detail = h("textarea", { class: "code", rows: 9, spellcheck: "false", autocapitalize: "off", autocomplete: "off", required: true, "data-key": "c", value: draft.detail || "" });
  const reason = h("input", { maxlength: 1000, value: draft.reason || "", placeholder: "Ticket, and why" });
  const bound = h("input", { type: "number", min: 0, step: 1, placeholder: "no bound" });
  const emergency = h("input", { type: "checkbox" });
  const outcome = h("div", { "aria-live": "polite" });
  const verdict = h("div", { "aria-live": "polite" });
  const submit = h("button", { class: "button accent", type: "submit" }, "Submit");
  const values = () => {
    const [database, environment] = place.value.split("/");
    return { database, environment, detail: detail.value };
  };
  const keep = () => sessionStorage.setItem(DRAFT, JSON.stringify({ detail: detail.value, place: place.value, reason: reason.value }));
  let turn = 0;
  const look = async () => {
    keep();
    turn += 1;
    const mine = turn;
    const { database, environment, detail: sql } = values();
    if (!database || !sql.trim()) return fill(verdict, h("p", { class: "muted" }, "Choose a database and write SQL: what would happen to it is shown here."));
    try {
      await pause(350, signal);
      if (mine !== turn) return;
      const shown = await preview(database, environment, sql, signal);
      if (mine === turn) fill(verdict, shown);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (mine === turn) fill(verdict, problem(error));
    }
  };
  for (const input of [place, detail]) input.addEventListener("input", look);
  reason.addEventListener("input", keep);
  const form = h(
    "form",
    {
      class: "form",
      onsubmit: async (event) => {
        event.preventDefault();
        submit.disabled = true;
        const body = { ...values(), reason: reason.value.trim() || undefined };
        if (bound.value !== "") body.max_affected_rows = Number(bound.value);
        if (emergency.checked) body.emergency = true;
        try {
          const created = await post("/api/requests", body, { signal });
          sessionStorage.removeItem(DRAFT);
          go(`/requests/${created.id}`);
        } catch (error) {
          if (error.name !== "AbortError") fill(outcome, problem(error), placed(error, detail.value));
          submit.disabled = false;
        }
      },
    },
    h("div", { class: "form-row" }, field("Database and environment", place), field("Reason", reason), field("Rows at most", bound, "one more and nothing is committed")),
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
    detail.focus();
    await look();
  };
  const earlier = async () => {
    const { requests } = await get(`/api/requests${query({ user: me.subject_id, limit: 50 })}`, { signal });
    const seen = new Set();
    const distinct = requests.filter((r) => !r.operation.startsWith("migrate") && !seen.has(r.detail) && seen.add(r.detail)).slice(0, EARLIER_MAX);
    if (distinct.length === 0) return;
    fill(templates, card("Earlier requests of yours", "click to start from one", distinct.map((r) => h("button", { class: "template", type: "button", onclick: () => take(r).catch((error) => error.name !== "AbortError" && fill(outcome, problem(error))) }, h("code", { class: "row-sql" }, line(r.detail, "")), h("span", { class: "hint" }, `${r.database} / ${r.environment}`, r.reason ? [" · ", visible(r.reason)] : null)))));
  };
  fill(page, heading("New request", `As ${me.subject_id}.`), h("div", { class: "columns" }, card(null, null, form), h("div", { class: "stack" }, card("What would happen", null, verdict), templates)));
  detail.focus();
  await Promise.all([look(), earlier().catch(() => {})]);
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
async function preview(database, environment, sql, signal) {
  const ask = (include_explain) => post("/api/preflight", { database, environment, sql, include_explain }, { signal });
  const foreseen = await ask(false);
  if (foreseen.status === "blocked" || foreseen.unparsable) return forecast(foreseen);
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
  return [forecast(foreseen), h("div", { class: "actions" }, button), plans];
}

/** How the database would run each statement, or why nobody knows. */
function planned(impact) {
  const sizes = new Map(impact.tables.map((t) => [t.name, t.estimated_rows]));
  if (impact.explain) return impact.explain.map((one) => (one.error ? h("p", { class: "banner warn" }, "The database could not plan this: ", visible(one.error)) : planTree(one, sizes)));
  const why = { timeout: "no agent explained it in time", unavailable: "no agent is online for this database", busy: "too many statements are being explained; try again", disabled: "plans are off for this workflow", forbidden: "it is for those who may see the tables (request.view)" }[impact.explain_status];
  return h("p", { class: "muted" }, `No plan: ${why || "it would be refused"}.`);
}

function forecast(f) {
  const tone = { blocked: "bad", warning: "warn", requestable: "good" }[f.status] || "muted";
  const words = { blocked: "would be refused", warning: "can be requested, with warnings", requestable: "can be requested" }[f.status] || f.status;
  const kind = f.classification && (f.classification.operation || f.classification.resolved_operation);
  const found = (f.review && f.review.findings) || [];
  const policy = f.policy || {};
  const steps = (policy.workflow && policy.workflow.steps) || [];
  const who = policy.decision === "needs_approval" ? steps.flatMap((step) => step.approvers) : [];
  return [
    h("div", { class: "actions" }, pill(tone, words), kind && pill("muted", OPERATIONS[kind] || kind), f.risk && pill(f.risk.level === "high" || f.risk.level === "critical" ? "bad" : "muted", `risk ${String(f.risk.level).toLowerCase()}`)),
    policy.decision && h("p", null, String(policy.decision).replaceAll("_", " ")),
    who.length > 0 && h("p", { class: "muted" }, "Must approve: ", who.map((w) => selector(w.selector)).join(", ")),
    found.map((x) => h("div", { class: `banner ${tone === "bad" ? "bad" : "warn"}` }, h("strong", null, visible(x.message), ". "), x.fix && `Fix: ${x.fix}.`, x.line && h("span", { class: "faint" }, ` Line ${x.line}, column ${x.column}.`))),
    found.length === 0 && h("p", { class: "muted" }, plural(0, "finding")),
    (f.fix_hints || []).slice(0, 5).map((x) => h("p", { class: "muted" }, typeof x === "string" ? x : x.hint || x.message)),
  ];
}
