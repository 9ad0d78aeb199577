// Signing in: through the identity provider, or with a token.
import { fill, h } from "./dom.js";
import { BACK, get, query, session, whoAmI } from "./api.js";
import { brand, problem } from "./parts.js";

const FAILED = {
  expired: "The sign-in took too long, or began in another browser. Try again.",
  foreign: "The answer of the identity provider belongs to another sign-in. Try again.",
  denied: "The identity provider did not let you in.",
  token: "What the identity provider says of you does not count here. Ask an administrator: the log of the server says why.",
  suspended: "You are suspended here. Ask an administrator.",
  client: "The identity provider does not know this server by its client_id and secret. Ask an administrator.",
  unavailable: "The identity provider cannot be reached. Try again in a moment.",
  link: "A link with a token signs in to a demo on this machine only. Paste the token here instead.",
};
/** Longest address that a sign-in leads back to, in bytes; one that is longer loses its filters. */
const RETURN_BYTES_MAX = 1024;

/** The ways in that the server knows; a token where it cannot be asked. */
async function ways() {
  try {
    return await get("/api/sign-in");
  } catch {
    return { takes_tokens: true, oidc: null };
  }
}

/** This address as the server takes it. */
function back() {
  const whole = (location.pathname + location.search).replace(/[^\x21-\x7e]|[\\"'<>`]/g, encodeURIComponent).replaceAll("'", "%27");
  const address = whole.length <= RETURN_BYTES_MAX ? whole : location.pathname;
  return address === "/" ? null : address;
}

/**
 * Shows how to sign in, unless that is no longer wanted once it is known. `message` says what came before, `failure` is
 * the name of what went wrong, `known` what the server said of its ways; `done` gets who signed in with a token.
 */
export async function signInPage(app, { message, failure, known, isWanted, done }) {
  const holder = h("div", { "aria-live": "polite" }, failure ? h("p", { class: "banner bad", role: "alert" }, FAILED[failure] || FAILED.expired) : message && h("p", { class: "banner" }, message));
  const form = h("div", { class: "form" }, brand(), h("h1", null, "Sign in"), holder);
  fill(app, h("main", { class: "sign-in" }, h("div", { class: "card" }, h("div", { class: "card-body" }, form))));
  const way = known || (await ways());
  if (!form.isConnected || !isWanted()) return;
  const provider = way.oidc && way.oidc.by_browser ? new URL(way.oidc.issuer).host : null;
  const leave = () => sessionStorage.setItem(BACK, location.pathname + location.search);
  if (provider) form.append(h("a", { class: "button accent wide", href: `/auth/sign-in${query({ to: back() })}`, onclick: leave }, `Continue with ${provider}`));
  if (way.takes_tokens) form.append(...byToken(holder, provider, done));
  if (!provider && !way.takes_tokens) form.append(h("p", { class: "sub" }, way.oidc ? "People sign in by https only. Open the address that an administrator gave you." : "Nobody can sign in here by browser: the server names no identity provider for it."));
  const first = form.querySelector("input, a.wide");
  if (first) first.focus();
}

function byToken(holder, provider, done) {
  const input = h("input", { id: "token", type: "password", autocomplete: "off", spellcheck: "false", placeholder: "dbw_…", required: true });
  const button = h("button", { class: provider ? "button" : "button accent", type: "submit" }, provider ? "Sign in with the token" : "Sign in");
  const form = h(
    "form",
    {
      class: "form",
      onsubmit: async (event) => {
        event.preventDefault();
        button.disabled = true;
        session.open(input.value.trim());
        try {
          done(await whoAmI());
        } catch (error) {
          session.close();
          fill(holder, error.status === 401 ? h("p", { class: "banner bad", role: "alert" }, "This token is not known, or it has ended. Ask an administrator for another one.") : problem(error));
          button.disabled = false;
          input.select();
        }
      },
    },
    h("label", { class: "field" }, h("span", { class: "label" }, "Your token"), input, h("span", { class: "hint" }, "It stays in this tab and is forgotten when the tab closes.")),
    button,
  );
  return [provider && h("div", { class: "or" }, "or"), form].filter(Boolean);
}
