// People and tokens: who can do what now, suspend, activate, issue, revoke.
import { fill, h, number, when } from "./dom.js";
import { get, post, query, remove } from "./api.js";
import { keep } from "./drafts.js";
import { card, confirm, copy, empty, field, heading, load, notice, pill, problem, sayAbout, table, toast } from "./parts.js";

/** People or tokens that are shown at first; that a call of the API gives at most; that it lists whatever the offset. */
const SHOWN = 200;
const CALL_MAX = 1000;
const LISTED_MAX = 10000;

export async function people({ page, signal, can, me }) {
  const counts = { users: SHOWN, tokens: SHOWN };
  const users = h("div");
  const tokens = h("div");
  const issue = h("div");
  const outcome = h("div", { class: "stack", "aria-live": "polite" });
  fill(page, heading("People and tokens", "Who can do what now, and with which credential."), h("div", { class: "stack" }, outcome, users, tokens, issue));
  // `work` gets whether the tokens that were issued with the ended ones end as well, which `others` asks.
  const change = async (question, text, action, work, done, { tone = "danger", others = false } = {}) => {
    const all = h("input", { type: "checkbox" });
    const asked = [h("p", null, text), others && h("label", { class: "check" }, all, "End what was issued with it to others as well")];
    if (!(await confirm(question, asked, action, tone))) return;
    try {
      const answer = await work(all.checked);
      toast(done);
      fill(outcome, others && descendants(answer));
      if (!signal.aborted) await show();
    } catch (error) {
      if (error.name === "AbortError") return;
      // What was sent goes on when the page is left.
      if (signal.aborted) return toast(sayAbout(error));
      fill(outcome, problem(error));
    }
  };
  const showUsers = async () => {
    const { items, hasMore } = await newest("users", counts.users, signal);
    return card(
      "People",
      null,
      table(
        ["Who", "Rights", "Groups", "Seen", "State", ""],
        items.map((u) => [
          [u.display_name ? `${u.display_name} (${u.id})` : u.id, u.subject_type === "agent" && h("span", { class: "muted" }, " agent")],
          rights(u),
          names(u.groups),
          when(u.last_seen_at),
          pill(u.status === "active" ? "good" : "bad", u.status),
          u.id !== me.subject_id && (u.status === "active" ? h("button", { class: "button small bad", type: "button", onclick: () => change(`Suspend ${u.id}?`, "Their tokens and sessions end at once and for good, their open requests are cancelled, and tokens that they issued for themselves end with them.", "Suspend", (all) => post(`/api/users/${encodeURIComponent(u.id)}/suspend${query({ descendants: all || null })}`, {}), `${u.id} is suspended`, { others: true }) }, "Suspend") : h("button", { class: "button small", type: "button", onclick: () => change(`Activate ${u.id}?`, "They can act again. Tokens that were revoked stay revoked: issue a new one, or have them sign in.", "Activate", () => post(`/api/users/${encodeURIComponent(u.id)}/activate`, {}), `${u.id} is active`, { tone: "accent" }) }, "Activate")),
        ]),
        "People",
      ),
      hasMore && older(items.length, () => ((counts.users = Math.min(2 * counts.users, LISTED_MAX)), load(users, signal, showUsers))),
    );
  };
  const showTokens = async () => {
    const { items, hasMore } = await newest("tokens", counts.tokens, signal);
    return card(
      "Tokens",
      null,
      items.length
        ? table(
            ["Token", "Whose", "Rights", "Issued by", "Last used", "Ends", "State", ""],
            items.map((t) => [
              [h("span", { class: "mono" }, `${t.token_prefix}…`), t.name && h("div", { class: "muted" }, t.name)],
              [t.subject_id, t.subject_type === "agent" && h("span", { class: "muted" }, " agent")],
              tokenRights(t),
              t.issuer || h("span", { class: "muted" }, "the server"),
              when(t.last_used_at),
              t.expires_at ? when(t.expires_at) : "never",
              pill(t.status === "active" ? "good" : "muted", t.status),
              t.status === "active" && h("button", { class: "button small bad", type: "button", onclick: () => change(`Revoke ${t.token_prefix}…?`, `It is ${t.subject_id}'s. It stops working at once, and so do the tokens that ${t.subject_id} issued with it for themselves.`, "Revoke", (all) => remove(`/api/tokens/${encodeURIComponent(t.id)}${query({ descendants: all || null })}`), "Revoked", { others: true }) }, "Revoke"),
            ]),
            "Tokens",
          )
        : empty("No tokens."),
      hasMore && older(items.length, () => ((counts.tokens = Math.min(2 * counts.tokens, LISTED_MAX)), load(tokens, signal, showTokens))),
    );
  };
  const show = () => Promise.all([can("user.manage") && load(users, signal, showUsers), can("token.manage") && load(tokens, signal, showTokens)]);
  if (!can("user.manage")) fill(users, card("You", null, h("dl", { class: "pairs" }, [["Subject", me.subject_id], ["Groups", me.groups.join(", ") || "none"], ["Permissions", me.permissions.join(", ") || "none"]].map(([k, v]) => h("div", null, h("dt", null, k), h("dd", null, v))))));
  if (can("token.manage")) fill(issue, issueForm(signal, show, me));
  await show();
}

/** The newest `count` of `users` or `tokens`, and whether there are more. */
async function newest(what, count, signal) {
  const items = [];
  while (items.length <= count) {
    const limit = Math.min(CALL_MAX, count + 1 - items.length);
    const { [what]: read } = await get(`/api/${what}${query({ limit, offset: items.length })}`, { signal });
    items.push(...read);
    if (read.length < limit) break;
  }
  return { items: items.slice(0, count), hasMore: items.length > count };
}

/** How many are shown where that is not all, and the way to the others. */
function older(shown, next) {
  if (shown >= LISTED_MAX) return h("p", { class: "muted" }, `Only the newest ${number(shown)} can be listed.`);
  return h("div", { class: "actions" }, h("span", { class: "muted" }, `The newest ${number(shown)} are shown.`), h("button", { class: "button small", type: "button", onclick: next }, "Show older ones"));
}

/** What somebody may do: role by role, what each permits and where. */
function rights({ access, roles }) {
  if (!access || access.roles.length === 0) return names(roles);
  const where = (r) => (r.databases.includes("*") && r.environments.includes("*") ? "everywhere" : `on ${either(r.databases, "any database")} / ${either(r.environments, "any environment")}`);
  const source = (r) => ({ group: `by group ${r.group}`, token: "by a token", claims: "by the sign-in", default: "by default", on_call: "on call" })[r.source];
  return access.roles.map((r) => h("div", { class: "right" }, h("strong", null, r.name), source(r) && h("span", { class: "muted" }, ` ${source(r)}`), h("div", { class: "note" }, r.permissions.includes("*") ? "everything" : r.permissions.join(", ") || "nothing", `, ${where(r)}`)));
}

/** What a token lets its holder do, as it was issued. */
function tokenRights({ roles, role_mode: mode, groups, bound_to: bound }) {
  const list = (roles || []).join(", ");
  const words = !list ? "what its owner holds" : mode === "ceiling" ? `at most ${list}` : list;
  const places = bound && `only for ${bound.map((b) => `${either([b.database], "any database")} / ${either([b.environment], "any environment")}`).join(", ") || "no database"}`;
  return [words, groups && groups.length > 0 && h("div", { class: "note" }, `in ${groups.join(", ")}`), places && h("div", { class: "note" }, places)];
}

/** What ended with a token or a person, and what they issued that goes on. */
function descendants({ ended_descendants: ended = [], kept_descendants: kept = [] }) {
  const named = (tokens) => tokens.map((t) => `${t.token_prefix}… of ${t.subject_id}`).join(", ");
  return [
    ended.length > 0 && h("p", { class: "banner" }, `Ended with it: ${named(ended)}.`),
    kept.length > 0 && h("p", { class: "banner warn" }, `Issued with it and still good: ${named(kept)}. Revoke those that should not be.`),
  ];
}

const either = (list, any) => (list.includes("*") ? any : list.join(" or "));

function names(list) {
  return (list || []).map((x) => (typeof x === "string" ? x : x.name + (x.source ? ` (${x.source})` : ""))).join(", ") || h("span", { class: "muted" }, "none");
}

/** The secret of a new token, with what to do with it. */
function secret(made) {
  return [h("p", null, "Copy it now: it is shown once."), h("p", { class: "mono" }, made.token), h("button", { class: "button small", type: "button", onclick: () => copy(made.token, "Token") }, "Copy")];
}

/** Shows the secret of a token whose issuer has left the page before it was made. */
function handOver(made) {
  notice("Token", [h("h2", null, `The token of ${made.subject_id}`), secret(made)]);
}

function issueForm(signal, done, me) {
  const subject = h("input", { required: true, value: me.subject_id });
  const type = h("select", null, h("option", { value: "user" }, "person"), h("option", { value: "agent" }, "agent"));
  const roles = h("input", { placeholder: "developer, readonly" });
  const name = h("input", { placeholder: "what it is for" });
  const days = h("input", { type: "number", min: 1, max: 3650, value: me.session ? "" : "90", placeholder: me.session ? "with this session" : "no end" });
  const button = h("button", { class: "button accent", type: "submit" }, "Issue");
  const outcome = h("div", { "aria-live": "polite" });
  const draft = keep("/people", { subject, type, roles, name, days });
  return card(
    "Issue a token",
    null,
    h(
      "form",
      {
        class: "form",
        onsubmit: async (event) => {
          event.preventDefault();
          if (button.disabled) return;
          button.disabled = true;
          const body = { subject_id: subject.value.trim(), subject_type: type.value, name: name.value.trim() || undefined, roles: roles.value.split(",").map((r) => r.trim()).filter(Boolean) };
          if (days.value) body.expires_at = new Date(Date.now() + Number(days.value) * 86400000).toISOString();
          try {
            const made = await post("/api/tokens", body);
            draft.forget();
            // Its secret is shown where its issuer is by now.
            if (signal.aborted) return handOver(made);
            // The secret is in this answer alone: it is shown before anything else is asked for.
            fill(outcome, h("div", { class: "banner good" }, secret(made)), made.expires_at_inherited && h("p", { class: "banner warn" }, "It ends with yours, ", when(made.expires_at), "."), made.warning && h("p", { class: "banner warn" }, made.warning));
            await done();
          } catch (error) {
            if (error.name === "AbortError") return;
            if (signal.aborted) return toast(sayAbout(error));
            fill(outcome, problem(error));
          } finally {
            button.disabled = false;
          }
        },
      },
      h("div", { class: "form-row" }, field("Whose", subject), field("Kind", type), field("Roles", roles, "none: what its owner holds"), field("Name", name), field("Days", days)),
      h("div", { class: "actions" }, button),
      outcome,
    ),
  );
}
