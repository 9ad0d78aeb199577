//! `/api/sessions`: the caller's sessions of the console.

use super::time;
use crate::actions::sessions;
use crate::domain::actor::Caller;
use crate::http::HttpContext;
use crate::http::browser;
use crate::http::call::HttpResponse;
use crate::http::replies;
use crate::http::route::{HandlerResult, RoutedRequest};
use serde_json::{Value, json};

/// `GET /api/sessions`
pub fn list(context: &HttpContext, caller: &Caller, _: &RoutedRequest) -> HandlerResult {
    let found = sessions::list(&context.app, caller)?;
    let shown: Vec<Value> = found
        .iter()
        .map(|stored| {
            json!({
                "id": stored.session.id,
                "is_current": caller.session_id.as_ref() == Some(&stored.session.id),
                "started_at": time(Some(stored.started_at)),
                "last_used_at": time(Some(stored.last_used_at)),
                "expires_at": time(Some(stored.session.expires_at)),
            })
        })
        .collect();
    replies::json(200, &json!({"sessions": shown}))
}

/// `DELETE /api/sessions`
pub fn end_all(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    let ended = sessions::sign_out_everywhere(&context.app, caller)?;
    let mut reply = replies::json(200, &json!({"ended": ended}))?;
    browser::forget(context, ask.call, &mut reply);
    Ok(reply)
}

/// `DELETE /api/session`
pub fn end(context: &HttpContext, caller: &Caller, ask: &RoutedRequest) -> HandlerResult {
    sessions::sign_out(&context.app, caller)?;
    let mut reply = HttpResponse::empty(204);
    browser::forget(context, ask.call, &mut reply);
    Ok(reply)
}
