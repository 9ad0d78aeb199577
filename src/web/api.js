// Calls of the API: one place for the credential, for errors, for waiting and for a lost connection.

const KEY = "dbward.token";
let lost = null;
let csrf = null;

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
    csrf = null;
  },
};

/** Who is signed in: by the token of this tab, or else by the session of the browser. */
export async function whoAmI() {
  const me = await get("/api/me");
  csrf = me.session ? me.session.csrf_token : null;
  return me;
}

/** Called with true when the server cannot be reached, with false when it can again. */
export function onConnection(listener) {
  lost = listener;
}

async function send(method, path, options) {
  const headers = { accept: "application/json", ...(options.headers || {}) };
  const token = session.token();
  if (token) headers.authorization = `Bearer ${token}`;
  if (csrf && !token && method !== "GET") headers["x-csrf-token"] = csrf;
  if (options.body !== undefined) headers["content-type"] = "application/json";
  const init = { method, headers, signal: options.signal, cache: "no-store", credentials: token ? "omit" : "same-origin", redirect: "error" };
  if (options.body !== undefined) init.body = JSON.stringify(options.body);
  try {
    const response = await fetch(path, init);
    if (lost) lost(false);
    return response;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (lost) lost(true);
    throw new ApiError(0, { error: { code: "offline", message: "the server cannot be reached" }, hint: "what you typed is kept; try again when the connection is back" });
  }
}

async function read(response) {
  const text = await response.text();
  let body = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    body = null;
  }
  if (!response.ok && response.status !== 304) throw new ApiError(response.status, body);
  return body;
}

export async function get(path, options = {}) {
  return read(await send("GET", path, options));
}

/** The body with its ETag; the body is null where the server says that nothing changed. */
export async function tagged(path, options = {}) {
  const headers = options.etag ? { "if-none-match": options.etag } : {};
  const response = await send("GET", path, { ...options, headers });
  const body = await read(response);
  return { body: response.status === 304 ? null : body, etag: response.headers.get("etag") };
}

export async function post(path, body, options = {}) {
  return read(await send("POST", path, { ...options, body: body === undefined ? {} : body }));
}

export async function remove(path, options = {}) {
  return read(await send("DELETE", path, options));
}

export async function text(path) {
  const response = await send("GET", path, { headers: { accept: "text/plain" } });
  if (!response.ok) return read(response);
  return response.text();
}

/** A download with the credential in its header, never in an address. */
export async function blob(path) {
  const response = await send("GET", path, { headers: { accept: "*/*" } });
  if (!response.ok) return read(response);
  return response.blob();
}

/** A query string of what is set. */
export function query(values) {
  const set = Object.entries(values).filter(([, v]) => v !== "" && v !== null && v !== undefined);
  const text = new URLSearchParams(set).toString();
  return text ? `?${text}` : "";
}

/** Waits, unless the page is left first. */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("left", "AbortError"));
    });
  });
}
