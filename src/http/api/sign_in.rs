//! `GET /api/sign-in`: how people prove who they are. Strangers read it, so it says nothing else.

use crate::http::HttpContext;
use crate::http::replies;
use crate::http::router::{HandlerResult, RoutedRequest};
use serde_json::json;

/// `GET /api/sign-in`
pub fn show(context: &HttpContext, _: &RoutedRequest) -> HandlerResult {
    let sign_in = &context.app.sign_in;
    let oidc = sign_in.issuer_and_client();
    let oidc = oidc.map(|(issuer, client_id)| json!({"issuer": issuer, "client_id": client_id}));
    let answer = json!({"takes_tokens": sign_in.mode.takes_tokens(), "oidc": oidc});
    replies::json(200, &answer)
}
