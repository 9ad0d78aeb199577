// One request: may this run? The text, what is known of it, the votes, the decision, what happened.
import { clock, fill, h, number, plural, time, when } from "./dom.js";
import { ApiError, HELD_SECS, get, pacer, pause, post, query, tagged } from "./api.js";
import { keep } from "./drafts.js";
import { OPERATIONS, card, confirm, copy, cut, empty, facts, isProduction, load, pill, problem, risk, sayAbout, selector, state, target, toast } from "./parts.js";
import { planTree } from "./plan.js";
import { SqlText } from "./sql.js";
import { resultCard } from "./page_results.js";

const OVER = new Set(["executed", "failed", "rejected", "cancelled", "expired", "execution_lost"]);
const DIALECTS = { postgresql: "PostgreSQL", mysql: "MySQL", sqlite: "SQLite" };
/** Why nobody had to approve. */
const REASONS = { empty_steps: "Its workflow asks nobody.", auto_approve: "Its workflow approves what has so little risk.", break_glass: "It was an emergency." };
/** Tables, or statements, that are listed. */
const LISTED_MAX = 50;
/** How often a request that is over is looked at: it may be run again. */
const OVER_MS = 30000;
/** Whether the server would accept that verb from the reader now: it says so itself. */
const may = (r, verb) => (r.actions || []).includes(verb);
/** A factor of the risk in words: the server names it as `Name` or as `Name { key: value }`. */
function factor(text) {
  const [, name, more] = /^(\w+)(?:\s*[({]\s*(.*?)\s*[)}])?$/.exec(String(text)) || [null, String(text), ""];
  const words = name.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return more ? `${words} (${more.replaceAll('"', "")})` : words;
}

export async function request({ page, signal, id, me, can, go }) {
  const path = `/api/requests/${encodeURIComponent(id)}`;
  let { body: shown, etag } = await tagged(path, { signal });
  let sizes = new Map();
  // Sizes of tables are an extra: without them the page is whole. They are asked for where they were known when the request
  // was made, by who may see them.
  const sized = shown.context && shown.context.schema_snapshot_collected_at && mayOn(me, "request.view", shown);
  if (sized) get(`/api/schemas/${encodeURIComponent(shown.database)}${query({ environment: shown.environment, summary: "true" })}`, { signal }).then(
    (schema) => {
      sizes = new Map((schema.tables || []).map((t) => [t.name, t.estimated_rows]));
      draw();
    },
    () => {},
  );
  const text = new SqlText();
  const comment = h("textarea", { "data-key": "c", "aria-label": "Comment", rows: 3 });
  const reason = h("textarea", { rows: 3 });
  const draft = keep(location.pathname, { comment, reason });
  const places = Object.fromEntries(["head", "sql", "impact", "result", "decide", "approval", "timeline"].map((n) => [n, h("div")]));
  fill(page, places.head, h("div", { class: "columns" }, h("div", { class: "stack" }, places.sql, places.impact, places.result), h("div", { class: "stack" }, h("div", { class: "decision" }, places.decide), places.approval, places.timeline)));

  // What is done counts for the request as `seen`, however long a question about it stood open, and goes on when the page
  // is left. Of what was typed only what was `sent` is forgotten.
  const act = async (verb, body, said, seen = etag, sent = null) => {
    try {
      // A decision without a version would be bound to nothing.
      if (!seen) throw new ApiError(412, { error: { message: "a proxy removes the ETag of what the server answers, so nothing can be decided here" }, hint: "ask an administrator to have it pass ETag on" });
      await post(`${path}/${verb}`, body, { headers: { "if-match": seen } });
      toast(said);
      if (sent) {
        sent.value = "";
        if (comment.value || reason.value) draft.save();
        else draft.forget();
      }
      if (!signal.aborted) await refresh();
    } catch (error) {
      if (error.name === "AbortError" || error.status === 401) return;
      if (signal.aborted) return toast(`${shown.database} / ${shown.environment}: ${sayAbout(error)}`);
      const isChanged = error.code === "changed";
      const gone = isChanged && (await refresh().then(() => false, (why) => why.status === 403 || why.status === 404));
      if (gone) return vanished();
      const holder = places.decide.querySelector(".outcome");
      if (holder) fill(holder, isChanged ? h("p", { class: "banner warn", role: "alert" }, "This request changed while you looked. It is shown as it is now: look again, then decide.") : problem(error));
    }
  };

  let isGone = false;
  const vanished = () => {
    isGone = true;
    fill(places.decide, h("p", { class: "banner warn", role: "alert" }, "This request was decided or withdrawn meanwhile, and you may no longer see it."));
  };
  const parts = { can, comment, reason, go, me };
  // What is drawn again must not take the comment from under the hands of who writes it, nor the place of who goes by keys.
  const draw = () => {
    if (isGone) return;
    const held = document.activeElement;
    const at = comment.selectionStart;
    paint(shown);
    if (held === comment) {
      comment.focus();
      comment.setSelectionRange(at, at);
    } else if (held && !held.isConnected) {
      const same = [...page.querySelectorAll("button, a, pre")].find((one) => one.textContent === held.textContent);
      if (same) same.focus({ preventScroll: true });
    }
  };
  const paint = (r) => {
    fill(places.head, h("div", { class: "title-line" }, h("h1", { tabindex: "-1" }, r.reason || `${OPERATIONS[r.operation] || r.operation} on ${r.database}`), target(r.database, r.environment), may(r, "approve") ? pill("accent", forMe(r)) : state(r), r.emergency && pill("bad", "emergency"), r.corrupt && pill("bad", "differs from what was approved")));
    places.head.append(
      facts([
        ["Requested by", [r.requester, ", ", when(r.created_at)]],
        ["Kind", OPERATIONS[r.operation] || r.operation],
        ["Risk", h("span", { class: `risk-${r.risk_level}` }, r.risk_level)],
        [r.status === "pending" ? "Expires" : "Decided", r.status === "pending" ? when(r.expires_at) : r.approved_at && when(r.approved_at)],
        ["Run until", r.status === "approved" && when(r.approval_expires_at)],
        ["At most", r.max_affected_rows !== undefined && r.max_affected_rows !== null && plural(r.max_affected_rows, "row")],
        ["Id", h("button", { class: "link-button mono", type: "button", title: "Copy the id", onclick: () => copy(r.id, "Id") }, r.id.slice(0, 8))],
      ]),
    );
    const size = new TextEncoder().encode(r.detail).length;
    fill(
      places.sql,
      card("SQL", h("span", { class: "actions" }, h("span", null, r.dialect ? `${DIALECTS[r.dialect] || r.dialect} · ` : "", `exactly these ${plural(size, "byte")}${OVER.has(r.status) ? "" : " will run"}`), h("button", { class: "link-button", type: "button", onclick: () => copy(r.detail, "SQL") }, "Copy")), text.show(r.detail, { dialect: r.dialect, findings: found(r) }), findings(r)),
    );
    fill(places.impact, impact(r, sizes, act));
    const seen = etag;
    fill(places.decide, decision(r, { ...parts, act: (verb, body, said, sent) => act(verb, body, said, seen, sent) }));
    fill(places.approval, approval(r, may(r, "approve")));
  };

  let timelineOf = "";
  let wake = () => {};
  const refresh = async () => {
    const answer = await tagged(path, { signal });
    shown = answer.body;
    etag = answer.etag;
    draw();
    wake();
    await after();
  };
  const after = async () => {
    const stamp = `${shown.status} ${shown.updated_at} ${shown.current_step}`;
    if (stamp === timelineOf) return;
    timelineOf = stamp;
    // What came of it is what people come for, once it runs or is over.
    const ran = shown.execution_id !== null;
    if (ran && places.result.nextSibling === null) places.sql.after(places.result);
    await Promise.all([load(places.timeline, signal, () => timeline(shown, can, signal)), ran ? load(places.result, signal, () => resultCard(shown, signal)) : null]);
  };
  draw();
  page.querySelector("h1").focus({ preventScroll: true });
  await after();

  const paced = pacer();
  let failures = 0;
  while (!signal.aborted) {
    try {
      const isOver = OVER.has(shown.status);
      if (isOver) {
        // The server holds no call for what is over; what an action of this page has moved is followed at once.
        await Promise.race([pause(OVER_MS, signal), new Promise((resolve) => (wake = resolve))]);
        if (document.hidden) continue;
      }
      await untilSeen(signal);
      // What moved since the last answer is answered at once.
      const votes = ((shown.approval_progress && shown.approval_progress.steps) || []).flatMap((step) => step.approvals);
      const struck = votes.filter((vote) => vote.counts === false).length;
      const stands = [shown.status, shown.current_step, shown.rehearsal ? shown.rehearsal.status : "none", shown.context ? shown.context.status : "none", `${votes.length}${struck ? `-${struck}` : ""}`].join(":");
      const before = JSON.stringify(shown);
      const began = Date.now();
      const answer = await whileSeen(signal, (held) => tagged(`${path}${query({ wait: HELD_SECS, seen: stands })}`, { signal: held }));
      if (!answer) continue;
      failures = 0;
      const now = JSON.stringify(answer.body);
      // An action of this page may have shown it already.
      if (now !== JSON.stringify(shown)) {
        shown = answer.body;
        etag = answer.etag;
        draw();
        await after();
      }
      if (!isOver) await paced(began, now !== before, signal);
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return;
      if (error.status === 403 || error.status === 404) return vanished();
      failures = Math.min(failures + 1, 5);
      await pause(1000 * 2 ** failures, signal).catch(() => {});
    }
  }
}

/** Waits until the window can be seen: one that is hidden holds none of the few connections to the server. */
async function untilSeen(signal) {
  while (document.hidden && !signal.aborted) await new Promise((resolve) => {
    document.addEventListener("visibilitychange", resolve, { once: true });
    signal.addEventListener("abort", resolve, { once: true });
  });
}

/** What `work` gives, or null where the window was hidden meanwhile, which ends it. */
async function whileSeen(signal, work) {
  const held = new AbortController();
  const look = () => (document.hidden || signal.aborted) && held.abort();
  document.addEventListener("visibilitychange", look);
  signal.addEventListener("abort", look);
  try {
    return await work(held.signal);
  } catch (error) {
    if (held.signal.aborted && !signal.aborted) return null;
    throw error;
  } finally {
    document.removeEventListener("visibilitychange", look);
    signal.removeEventListener("abort", look);
  }
}

function found(r) {
  const review = r.context && r.context.sql_review;
  return review && review.findings ? review.findings : [];
}

function findings(r) {
  return found(r).map((f) =>
    h("div", { class: `banner ${f.level === "block" ? "bad" : "warn"}` }, h("strong", null, f.message, ". "), f.why ? `${f.why[0].toUpperCase()}${f.why.slice(1)}. ` : "", f.fix && `Fix: ${f.fix}.`, f.line && h("span", { class: "faint" }, ` Line ${f.line}, column ${f.column}.`)),
  );
}

function impact(r, sizes, act) {
  const c = r.context || {};
  const factors = (c.risk && c.risk.factors) || [];
  const tables = c.tables || [];
  const content = [];
  content.push(rehearsal(r, act));
  content.push(h("p", null, h("strong", null, `Risk ${r.risk_level}.`), factors.length ? ` Because ${factors.map(factor).join(", ")}.` : ""));
  if (tables.length) content.push(h("dl", { class: "pairs" }, tables.slice(0, LISTED_MAX).map((t) => h("div", null, h("dt", { class: "mono" }, t), h("dd", null, Number.isFinite(sizes.get(t)) ? `of about ${plural(sizes.get(t), "row")}` : "")))), cut(tables, LISTED_MAX, "tables"));
  for (const plan of c.explain || []) {
    if (plan.error) content.push(h("p", { class: "banner warn" }, "The database could not plan this: ", plan.error, plan.hint && ` (${plan.hint})`));
    else content.push(planTree(plan, sizes));
  }
  const note = { collecting: OVER.has(r.status) ? null : "the plan is being asked for", ready: "plan from the database", partial: "some plans are missing", unavailable: "no plan: no agent answered" }[c.status];
  return card(OVER.has(r.status) ? "What was expected" : "What will happen", c.explain_enabled === false ? "plans are off for this workflow" : note, content);
}

/** What a rehearsal found, or why there is none; a button where one may be asked for. */
function rehearsal(r, act) {
  const last = r.rehearsal;
  const ask = r.rehearsable && h("button", { class: "button", type: "button", onclick: () => act("rehearse", {}, "An agent rehearses it") }, last ? "Rehearse again" : "Rehearse");
  if (!last) return ask && h("p", null, ask, h("span", { class: "hint" }, " An agent tries it and takes it back: the rows are shown, nothing stays."));
  const about = {
    waiting: "Being rehearsed: waiting for an agent.",
    claimed: `Being rehearsed on ${last.agent_id}.`,
    failed: "The rehearsal failed: ",
    refused: "Not rehearsed: ",
    unavailable: "No rehearsal: no agent answered within a minute.",
  }[last.status];
  if (about) return h("div", { class: "rehearsal" }, h("p", { class: last.status === "failed" ? "banner warn" : "muted" }, about, last.error_message && last.error_message), ask);
  const statements = last.statements || [];
  const where = new Set(statements.map((s) => s.table));
  const more = (s) => (s.more && s.more.length ? s.more.map((m) => `${number(m.rows)} in ${m.table}`).join(", ") : s.more_rows > 0 ? plural(s.more_rows, "more row") : "");
  const notes = [...(last.triggers || []).map((t) => `trigger ${t}`), ...(last.warnings || [])];
  return h(
    "div",
    { class: "rehearsal" },
    h("div", { class: "big" }, plural(last.rows_affected, "row"), where.size === 1 && h("span", null, " in ", [...where][0])),
    h("div", { class: "muted" }, "changed when it was rehearsed, and taken back, ", when(last.rehearsed_at), last.agent_id && ` on ${last.agent_id}`),
    last.stale && !OVER.has(r.status) && h("p", { class: "banner warn" }, "This rehearsal is stale: the rows may be others by now."),
    (statements.length > 1 || statements.some(more)) && h("dl", { class: "pairs" }, statements.slice(0, LISTED_MAX).map((s) => h("div", null, h("dt", { class: "mono" }, `${s.kind} ${s.table}`), h("dd", null, plural(s.rows, "row"), more(s) && h("span", { class: "muted" }, " and ", more(s), " by triggers or cascades"))))),
    cut(statements, LISTED_MAX, "statements"),
    notes.map((n) => h("p", { class: "muted" }, n)),
    ask,
  );
}

/** What may be decided or done now; `act` counts for the request as it is drawn. */
function decision(r, { act, can, comment, reason, me, go }) {
  const outcome = h("div", { class: "outcome" });
  const mine = r.requester === me.subject_id;
  const waits = may(r, "approve");
  const bound = r.max_affected_rows;
  // A rehearsal says what happens, anything else only what may.
  const rows = bound !== undefined && bound !== null ? `${r.row_bound_source === "rehearsal" ? "" : " up to"} ${plural(bound, "row")}` : "";
  const where = `${r.database} / ${r.environment}`;
  const rehearsed = r.rehearsal && r.rehearsal.status === "done" ? h("p", null, `${plural(r.rehearsal.rows_affected, "row")} changed when it was rehearsed.${r.rehearsal.stale ? " That is stale: the rows may be others by now." : ""}`) : null;
  const asked = (verb) => [h("p", null, `${verb} on ${where}, asked by ${r.requester}.`), rehearsed, bound !== undefined && bound !== null ? h("p", null, `At most ${plural(bound, "row")} may change; one more and nothing is committed.`) : h("p", { class: "muted" }, "No bound on rows is set."), h("p", { class: "muted" }, `Risk ${r.risk_level}. ${found(r).length ? plural(found(r).length, "finding") + "." : "No findings."}`)];
  const approve = async () => {
    if (await confirm("Approve this request?", asked("It may then run"), `Approve${rows}`)) await act("approve", { comment: comment.value.trim() || undefined }, "Approved", comment);
  };
  const reject = async () => {
    if (!comment.value.trim()) {
      fill(outcome, h("p", { class: "banner warn", role: "alert" }, "Say why in the comment: the requester reads it."));
      comment.focus();
      return;
    }
    if (await confirm("Reject this request?", asked("It will not run"), "Reject", "danger")) await act("reject", { comment: comment.value.trim() }, "Rejected", comment);
  };
  const runLabel = `Run on ${where}`;
  const run = async () => {
    const unsure = r.resume_needs_acknowledgement;
    const words = unsure ? [h("p", null, r.status === "execution_lost" ? "The earlier execution was lost: it may have taken effect." : "The earlier execution failed, and may have taken effect in part."), h("p", null, "Look at the data first; running it again may apply it twice."), ...asked("It runs once more")] : asked(OVER.has(r.status) ? "It runs once more" : "It runs now");
    const needed = unsure ? { label: "Why it may run again", control: reason, missing: "Say why: it is kept in the audit log." } : null;
    if (await confirm("Run it?", words, runLabel, isProduction(r.environment) ? "danger" : "accent", needed)) await act("resume", unsure ? { acknowledge_unknown_outcome: true, reason: reason.value.trim() } : {}, "Handed to an agent", unsure ? reason : null);
  };
  const cancel = async () => {
    if (await confirm("Cancel this request?", asked("It will not run"), "Cancel the request", "danger")) await act("cancel", { reason: comment.value.trim() || undefined }, "Cancelled", comment);
  };
  const [mayRun, mayCancel] = [may(r, "resume"), may(r, "cancel")];
  // To reject what one has asked for is to cancel it.
  const mayReject = may(r, "reject") && (waits || !mine || !mayCancel);
  const votes = [];
  if (waits) votes.push(h("button", { class: "button accent wide", type: "button", "data-key": "a", onclick: approve }, `Approve${rows}`));
  if (mayReject) votes.push(h("button", { class: "button bad", type: "button", "data-key": "r", onclick: reject }, "Reject"));
  const buttons = [];
  if (votes.length) buttons.push(h("div", { class: "actions" }, votes));
  if (mayRun) buttons.push(h("button", { class: "button accent", type: "button", onclick: run }, runLabel));
  comment.placeholder = mayReject ? "Comment (needed to reject)" : "Comment";
  const extra = [];
  if (mayCancel) extra.push(h("button", { class: "link-button", type: "button", onclick: cancel }, "Cancel the request"));
  if (mine || can("request.create_select")) extra.push(h("button", { class: "link-button", type: "button", onclick: () => go(`/new?from=${encodeURIComponent(r.id)}`) }, "New request from this text"));
  const note = waits ? "Your vote binds this text, as it is shown here." : r.status === "pending" ? `${whoseTurn(r)} ${mine ? "You asked for it." : mayReject ? "You may still reject it." : "You have nothing to decide here."}` : OVER.has(r.status) ? (mayRun ? "It may be run again." : "Nothing is left to decide.") : whoseTurn(r);
  return h("section", { class: "card", "aria-label": "Decision" }, h("div", { class: "card-body" }, (waits || mayReject || mayCancel) && comment, buttons, outcome, note && h("p", { class: "hint" }, note), r.queue_hint && h("p", { class: "banner warn" }, QUEUE[r.queue_hint] || r.queue_hint.replaceAll("_", " ")), extra.length > 0 && h("div", { class: "actions" }, extra)));
}

/** Why no agent takes it, or would. */
const QUEUE = {
  no_agents: "No agent that is online serves this database.",
  no_agents_for_operation: "No agent that is online runs this kind of request.",
  agents_lack_row_bound: "No agent that is online can keep to a bound on rows.",
  dialect_mismatch: "The agents that are online read this SQL in another dialect.",
  agents_saturated: "Every agent for it is busy; it runs when one has room.",
  agents_draining: "Every agent for it is about to stop; it runs when another one comes.",
};

/** Whether the caller holds a permission on a request's target: by a role, and by one of the token's ceiling if it has one. */
function mayOn(me, permission, { database, environment }) {
  const has = (list, name) => list.includes("*") || list.includes(name);
  const grants = (roles) => roles.some((role) => has(role.permissions, permission) && has(role.databases, database) && has(role.environments, environment));
  return grants(me.roles) && (!me.token_ceiling || grants(me.token_ceiling));
}

const all = (selectors) => selectors.map(selector).join(" or ");

/** Who can act now, in words. */
function whoseTurn(r) {
  const next = r.next;
  if (!next) return "";
  if (next.action === "approve") return `Waits for ${all(next.by) || "an approver"}${next.remaining && next.remaining.steps_after > 0 ? `, then ${plural(next.remaining.steps_after, "more step")}` : ""}.`;
  if (next.action === "resume") return `It can be run now, by ${all(next.by)}.`;
  if (next.action === "run") return "The next agent that is free runs it.";
  return `It runs now, on ${next.by.join(", ") || "an agent"}.`;
}

/** The state of a request that waits for who reads it. */
function forMe(r) {
  const votes = (r.next && r.next.remaining && r.next.remaining.votes) || 1;
  const steps = (r.next && r.next.remaining && r.next.remaining.steps_after) || 0;
  return `waits for you${votes > 1 ? ` and ${votes === 2 ? "one" : votes - 1} more` : ""}${steps > 0 ? `, then ${plural(steps, "more step")}` : ""}`;
}

function approval(r, isMine) {
  const progress = r.approval_progress || { steps: [] };
  // An emergency keeps the workflow that would have applied.
  if (r.emergency || progress.steps.length === 0) {
    const why = r.decision_trace && r.decision_trace.decision;
    return card("Approval", null, h("p", null, r.emergency ? "An emergency: nobody had to approve." : "No approval is needed here."), why && why.reasons && h("p", { class: "muted" }, why.reasons.map((w) => REASONS[w] || String(w).replaceAll("_", " ")).join(" ")));
  }
  return card(
    "Approval",
    null,
    h(
      "ol",
      { class: "steps" },
      progress.steps.map((step, i) => {
        const now = r.status === "pending" && i === progress.current_step;
        const against = step.approvals.some((v) => v.action === "reject");
        return h(
          "li",
          null,
          h("span", { class: `dot ${against ? "bad" : step.satisfied ? "good" : now ? "now" : ""}` }),
          h(
            "div",
            null,
            h("div", null, h("strong", null, `Step ${i + 1}`), ` · ${step.approvers_required.map((a) => `${a.min} of ${selector(a.selector)}`).join(step.mode === "any" ? " or " : " and ")}`),
            now && h("div", { class: "muted" }, `${step.approvers_required.map((a) => `${a.current} of ${a.min}`).join(", ")} so far${isMine ? " · you can act" : ""}`),
            step.approvals.map((v) => h("div", { class: v.counts === false ? "muted struck" : null }, `${v.user} ${v.action === "reject" ? "rejected" : "approved"} `, when(v.at), v.comment && h("div", { class: "muted" }, "“", v.comment, "”"))),
          ),
        );
      }),
    ),
  );
}

const EVENTS = {
  "request.created": "asked",
  "request.approved": "approved",
  "step.approved": "approved a step",
  "request.rejected": "rejected",
  "request.cancelled": "cancelled",
  "request.expired": "expired",
  "request.dispatched": "handed to an agent",
  "rehearsal.requested": "asked for a rehearsal",
  "rehearsal.started": "started to rehearse it",
  "rehearsal.completed": "rehearsed it",
  "execution.started": "started to run it",
  "execution.completed": "finished",
  "execution.lost": "the agent was lost",
  "result.viewed": "read the result",
};

async function timeline(r, can, signal) {
  const notices = (r.notifications || []).map((n) => h("div", { class: n.status === "dead" ? "banner bad" : "muted" }, `${n.recipient || n.webhook || n.webhook_id} by ${n.channel || n.format || "webhook"}: ${n.status}${n.last_error ? ` (${n.last_error})` : ""}`));
  if (r.notifications_truncated) notices.push(h("div", { class: "muted" }, "Older notifications are not shown."));
  if (!can("audit.view")) {
    const known = [["asked", r.created_at, r.requester, "good"], ...(r.approval_progress ? r.approval_progress.steps : []).flatMap((s) => s.approvals.map((v) => [v.action === "reject" ? "rejected" : "approved", v.at, v.user, v.action === "reject" ? "bad" : "good"])), r.resolved_at && r.status !== "rejected" ? [r.status.replaceAll("_", " "), r.resolved_at, r.cancelled_by || "", { executed: "good", failed: "bad", execution_lost: "warn" }[r.status] || "muted", r.cancel_reason] : null].filter(Boolean);
    return card("Timeline", null, h("ul", { class: "timeline" }, known.map(([what, at, who, tone, reason]) => entry(at, `${who} ${what}`, tone, reason))), notices);
  }
  const answer = await get(`/api/audit/events${query({ request_id: r.id, limit: 100 })}`, { signal });
  const events = [...answer.events].reverse();
  return card(
    "Timeline",
    answer.next_cursor ? h("a", { href: `/audit?request_id=${r.id}` }, "all events") : plural(events.length, "event"),
    events.length ? h("ul", { class: "timeline" }, events.map((e) => entry(e.created_at, `${e.actor_id || "the server"} ${EVENTS[e.event_type] || e.event_type.replaceAll(".", " ").replaceAll("_", " ")}`, e.outcome === "success" ? "good" : e.outcome === "denied" || e.outcome === "failure" ? "bad" : "muted", e.reason))) : empty("No events."),
    notices,
  );
}

function entry(at, words, tone, reason) {
  return h("li", null, h("span", { class: `dot ${tone}` }), h("div", null, time(at, clock(at)), " ", words, reason && h("div", { class: "muted" }, reason)));
}

