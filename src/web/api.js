// Calls of the API: one place for the credential, for errors, for waiting and for a lost connection.

import { setClock } from "./dom.js";

const KEY = "dbward.token";
/** Where the address is kept that a sign-in leads back to, in case it fails. */
export const BACK = "dbward.back";
/** Seconds for which a call that waits for news is held. */
export const HELD_SECS = 25;
/** What a page does by itself so long after the last key or click of its reader keeps no session alive. */
const ATTENDED_MS = 60000;
let lost = null;
let ended = null;
let csrf = null;
let reader = null;
let attendedAt = Date.now();
let goodAt = Date.now();
for (const kind of ["keydown", "pointerdown", "wheel"]) addEventListener(kind, () => (attendedAt = Date.now()), { capture: true, passive: true });

export class ApiError extends Error {
  constructor(status, body) {
    const error = body && body.error ? body.error : {};
    super(error.message || `the server answered ${status}`);
    this.status = status;
    this.code = error.code || "";
    this.hint = (body && body.hint) || "";
    this.details = error.details || null;
    this.requestId = error.request_id || "";
  }
}

export const session = {
  token: () => sessionStorage.getItem(KEY),
  open: (token) => sessionStorage.setItem(KEY, token),
  close: () => {
    sessionStorage.removeItem(KEY);
    globalThis.early = null;
    csrf = null;
    reader = null;
  },
};

/** What a link handed over after `#`: a token, or why a sign-in failed. Neither stays in the address. */
export function takeHanded() {
  const handed = new URLSearchParams(location.hash.slice(1));
  const back = sessionStorage.getItem(BACK);
  sessionStorage.removeItem(BACK);
  const [token, failure] = [handed.get("token"), handed.get("sign-in")];
  if (token !== null || failure !== null) history.replaceState(null, "", (failure && back) || location.pathname + location.search);
  return { token, failure };
}

/** Who is signed in: by the token of this tab, or else by the session of the browser. */
export async function whoAmI() {
  const me = await get("/api/me");
  csrf = me.session ? me.session.csrf_token : null;
  reader = me.subject_id;
  setClock(me.server_time);
  return me;
}

/** Called when the server no longer knows the reader, or knows another one: somebody signed in in another window. */
export function onEnd(listener) {
  ended = listener;
}

/**
 * Called with the time of the last good answer when the server cannot be reached, or does not do its work, and with
 * nothing when it does again.
 */
export function onConnection(listener) {
  lost = listener;
}

/** What waits for news got none but errors. */
export function unheard() {
  if (lost) lost(goodAt);
}

/** Whether somebody else answers in the server's place, as a proxy does that cannot reach it. */
const isProxys = (response) => [502, 503, 504].includes(response.status) && !/json/.test(response.headers.get("content-type"));

function heard(response) {
  if (isProxys(response)) return unheard();
  if (response.status >= 500 || response.status === 429) return;
  goodAt = Date.now();
  if (lost) lost(null);
}

async function send(method, path, options) {
  const headers = { accept: "application/json", ...(options.headers || {}) };
  const token = session.token();
  if (token && !/^[\x21-\x7e]+$/.test(token)) throw new ApiError(401, { error: { code: "unauthenticated", message: "this is not a token" } });
  if (token) headers.authorization = `Bearer ${token}`;
  if (csrf && !token && method !== "GET") headers["x-csrf-token"] = csrf;
  if (Date.now() - attendedAt > ATTENDED_MS) headers["x-unattended"] = "1";
  if (options.body !== undefined) headers["content-type"] = "application/json";
  const begun = method === "GET" && !options.signal?.aborted && takeEarly(path, token);
  const init = { method, headers, signal: options.signal, cache: "no-store", credentials: token ? "omit" : "same-origin", redirect: "error" };
  if (options.body !== undefined) init.body = JSON.stringify(options.body);
  try {
    const response = await (begun || fetch(path, init));
    heard(response);
    return response;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    unheard();
    throw unreachable();
  }
}

/** The answer of a call that `early.js` began, once, if it was of the same reader. */
function takeEarly(path, token) {
  const { early } = globalThis;
  const begun = early && early.token === token ? early.calls.get(path) : null;
  if (begun) early.calls.delete(path);
  return begun;
}

function unreachable() {
  return new ApiError(0, { error: { code: "offline", message: "the server cannot be reached" }, hint: "what you typed is kept; try again when the connection is back" });
}

async function parsed(response) {
  const text = await response.text().catch((error) => {
    throw error.name === "AbortError" ? error : unreachable();
  });
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

/** An answer that is not an error. */
async function call(method, path, options) {
  const response = await send(method, path, options);
  if (response.ok || response.status === 304) return response;
  const error = new ApiError(response.status, await parsed(response));
  if (error.code === "csrf_token_invalid" && !options.isSecond) {
    // The browser has a newer session: of the same person it is as good.
    const before = reader;
    const me = await whoAmI();
    if (me.subject_id === before) return call(method, path, { ...options, isSecond: true });
    if (ended) ended("other");
  }
  if (error.status === 401 && ended) ended("over");
  throw error;
}

export async function get(path, options = {}) {
  return parsed(await call("GET", path, options));
}

/** An ETag as the server gave it: a proxy that compresses marks it as weak, or adds how it compressed. */
const bare = (etag) => (etag ? etag.replace(/^W\//, "").replace(/(?:-|;)+(?:gzip|br|zstd|deflate)"$/, '"') : null);

/** The body with its ETag; the body is null where the server says that nothing changed. */
export async function tagged(path, options = {}) {
  const headers = options.etag ? { "if-none-match": options.etag } : {};
  const response = await call("GET", path, { ...options, headers });
  return { body: await parsed(response), etag: bare(response.headers.get("etag")) };
}

export async function post(path, body, options = {}) {
  return parsed(await call("POST", path, { ...options, body: body === undefined ? {} : body }));
}

export async function remove(path, options = {}) {
  return parsed(await call("DELETE", path, options));
}

export async function text(path, options = {}) {
  return (await call("GET", path, { ...options, headers: { accept: "text/plain" } })).text();
}

/** A download with the credential in its header, never in an address: what it holds, and the name that the server gives it. */
export async function download(path, options = {}) {
  const response = await call("GET", path, { ...options, headers: { accept: "*/*" } });
  const [, name] = /filename="([\w.-]+)"/.exec(response.headers.get("content-disposition") || "") || [];
  return { blob: await response.blob(), name };
}

/** A query string of what is set. */
export function query(values) {
  const set = Object.entries(values).filter(([, v]) => v !== "" && v !== null && v !== undefined);
  const text = new URLSearchParams(set).toString();
  return text ? `?${text}` : "";
}

/**
 * Paces calls that are to be held. One that brought news, or was held to its end, may be repeated at once; those that a
 * server answers early, since it stops or has no room, are made more and more seldom.
 */
export function pacer() {
  let unheld = 0;
  return async (began, isNews, signal) => {
    const left = HELD_SECS * 1000 - (Date.now() - began);
    unheld = isNews || left <= 0 ? 0 : unheld + 1;
    if (unheld > 0) await pause(Math.min(left, 1000 * 2 ** unheld), signal);
  };
}

/** Waits, unless the page is left first. */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    const left = () => {
      clearTimeout(timer);
      reject(new DOMException("left", "AbortError"));
    };
    if (signal.aborted) left();
    signal.addEventListener("abort", left);
  });
}
