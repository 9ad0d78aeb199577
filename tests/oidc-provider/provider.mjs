// An identity provider on this machine, for one test. It prints its address. What a person would click in a browser is
// `POST /test/approve?user_code=...`; everything else is the provider as it is.
import Provider from "oidc-provider";
import http from "node:http";

const server = http.createServer();
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
    clients: [{
        client_id: "dbward",
        token_endpoint_auth_method: "none",
        grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
        response_types: [],
        redirect_uris: [],
        application_type: "native",
    }],
    features: {deviceFlow: {enabled: true}, devInteractions: {enabled: false}},
    scopes: ["openid", "offline_access"],
    ttl: {AccessToken: 60, IdToken: Number(process.env.ID_TOKEN_SECS ?? 3600), DeviceCode: 60, RefreshToken: 3600, Grant: 3600},
    findAccount: (_, id) => ({accountId: id, claims: () => ({sub: id})}),
    rotateRefreshToken: true,
});

async function approve(userCode) {
    const code = await provider.DeviceCode.findByUserCode(userCode.replace(/[^A-Z0-9]/gi, "").toUpperCase());
    const grant = new provider.Grant({accountId: "somebody", clientId: "dbward"});
    grant.addOIDCScope("openid offline_access");
    code.grantId = await grant.save();
    code.accountId = "somebody";
    code.scope = "openid offline_access";
    code.authTime = Math.floor(Date.now() / 1000);
    await code.save();
}

const serve = provider.callback();
server.on("request", async (request, answer) => {
    const url = new URL(request.url, issuer);
    if (url.pathname !== "/test/approve") return serve(request, answer);
    try {
        await approve(url.searchParams.get("user_code"));
        answer.writeHead(204).end();
    } catch (error) {
        answer.writeHead(500).end(String(error));
    }
});
console.log(issuer);
