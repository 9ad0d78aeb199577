//! `GET /api/sign-in`: how people prove who they are. Strangers read it, so it says nothing else.

use crate::http::HttpContext;
use crate::http::browser;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use crate::http::site;
use serde_json::json;

/// `GET /api/sign-in`
pub fn show(context: &HttpContext, ask: &RoutedRequest) -> HandlerResult {
    let sign_in = &context.app.sign_in;
    let oidc = sign_in.issuer_and_client();
    let by_browser = browser::can_sign_in(context, ask.call);
    let oidc = oidc.map(|(issuer, client_id)| {
        json!({"issuer": issuer, "client_id": client_id, "by_browser": by_browser})
    });
    let answer = json!({
        "takes_tokens": sign_in.mode.takes_tokens(),
        "takes_token_links": sign_in.takes_token_links,
        "oidc": oidc,
        "signed_in": site::is_signed_in(context, ask.call),
    });
    replies::json(200, &answer)
}
