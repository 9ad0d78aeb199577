// The first calls of a page, begun while its other files are on their way: who is signed in, and what waits for them.
// `api.js` takes their answers.
{
  const token = sessionStorage.getItem("dbward.token");
  const calls = new Map();
  const headers = { accept: "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) };
  const begin = (path, then = (answer) => answer) => {
    const sent = fetch(path, { headers, cache: "no-store", credentials: token ? "omit" : "same-origin", redirect: "error" }).then(then);
    // Who takes the answer hears of a failure too.
    sent.catch(() => {});
    calls.set(path, sent);
  };
  const signedIn = () => {
    begin("/api/me");
    begin("/api/requests?pending_for_me=true&limit=100");
  };
  const asked = async (answer) => {
    const way = await answer.clone().json().catch(() => ({}));
    if (way.signed_in) signedIn();
    return answer;
  };
  globalThis.early = { token, calls };
  // What the address hands over counts before anything that is kept.
  if (!location.hash) {
    if (token) signedIn();
    else {
      begin("/api/sign-in", asked);
      // Its failure is told where the page needs it.
      import("./sign_in.js").catch(() => {});
    }
  }
}
