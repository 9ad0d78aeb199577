// An identity provider on this machine, for the tests. It prints its address. What a person would click in a browser is
// `POST /test/approve?user_code=...`, and for a sign-in that returns to the command line `POST /test/browse` with the
// address as its body; everything else is the provider as it is. With REDIRECT_URI people sign in to a server there, on
// the provider's own page, which asks for a name and a password and takes any; with CLIENT_SECRET that server has to
// prove who it is.
import Provider from "oidc-provider";
import http from "node:http";

const server = http.createServer();
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const issuer = `http://127.0.0.1:${server.address().port}`;
const redirect = process.env.REDIRECT_URI;
const secret = process.env.CLIENT_SECRET;
const provider = new Provider(issuer, {
    clients: [{
        client_id: "dbward",
        token_endpoint_auth_method: secret ? "client_secret_basic" : "none",
        ...(secret ? {client_secret: secret} : {}),
        grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "authorization_code", "refresh_token"],
        response_types: ["code"],
        // A program on this machine comes back to any port of it; a server that speaks TLS is not one.
        redirect_uris: ["http://127.0.0.1/callback", ...(redirect ? [redirect] : [])],
        application_type: redirect?.startsWith("https:") ? "web" : "native",
    }],
    features: {deviceFlow: {enabled: true}, devInteractions: {enabled: Boolean(redirect)}},
    scopes: ["openid", "offline_access", "profile", "email"],
    ttl: {AccessToken: 60, IdToken: Number(process.env.ID_TOKEN_SECS ?? 3600), DeviceCode: 60, RefreshToken: 3600, Grant: 3600},
    findAccount: (_, id) => ({accountId: id, claims: () => ({sub: id})}),
    rotateRefreshToken: true,
});

async function approve(userCode) {
    const code = await provider.DeviceCode.findByUserCode(userCode.replace(/[^A-Z0-9]/gi, "").toUpperCase());
    const grant = new provider.Grant({accountId: "somebody", clientId: "dbward"});
    grant.addOIDCScope("openid offline_access profile email");
    code.grantId = await grant.save();
    code.accountId = "somebody";
    code.scope = "openid offline_access";
    code.authTime = Math.floor(Date.now() / 1000);
    await code.save();
}

// The page on which somebody says who they are and agrees.
async function agree(request, answer) {
    const details = await provider.interactionDetails(request, answer);
    const grant = new provider.Grant({accountId: "somebody", clientId: "dbward"});
    grant.addOIDCScope("openid offline_access profile email");
    const grantId = await grant.save();
    const result = {login: {accountId: "somebody"}, consent: {grantId}};
    await provider.interactionFinished(request, answer, result, {mergeWithLastSubmission: Boolean(details)});
}

// Follows redirects with cookies, as a browser does, to the last page.
async function browse(url) {
    const cookies = new Map();
    for (let hops = 0; hops < 20; hops++) {
        const own = url.startsWith(issuer);
        const cookie = own ? [...cookies].map(([name, value]) => `${name}=${value}`).join("; ") : "";
        const answer = await fetch(url, {redirect: "manual", headers: cookie ? {cookie} : {}});
        for (const line of answer.headers.getSetCookie()) {
            const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
            cookies.set(name, value);
        }
        if (answer.status < 300 || answer.status >= 400) return answer.text();
        url = new URL(answer.headers.get("location"), url).href;
    }
    throw new Error("it goes round in circles");
}

async function text(request) {
    const parts = [];
    for await (const part of request) parts.push(part);
    return Buffer.concat(parts).toString();
}

const serve = provider.callback();
server.on("request", async (request, answer) => {
    const url = new URL(request.url, issuer);
    const isOurs = url.pathname.startsWith("/test/") || (!redirect && url.pathname.startsWith("/interaction/"));
    if (!isOurs) return serve(request, answer);
    try {
        if (url.pathname.startsWith("/interaction/")) return await agree(request, answer);
        if (url.pathname === "/test/browse") return answer.writeHead(200).end(await browse(await text(request)));
        await approve(url.searchParams.get("user_code"));
        answer.writeHead(204).end();
    } catch (error) {
        answer.writeHead(500).end(String(error));
    }
});
console.log(issuer);
