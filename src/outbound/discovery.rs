//! What an identity provider says about itself.

use super::guard::NetworkReach;
use super::http::{Http, OutboundFailure};
use crate::config::Endpoint;
use serde_json::Value;

/// Largest answer of the provider about itself, in bytes; they have a few thousand.
const DOCUMENT_BYTES_MAX: u64 = 256 * 1024;
/// Where the provider tells about itself.
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Where the provider of an issuer tells about itself.
pub fn description_url(issuer: &Endpoint) -> String {
    format!("{}{DISCOVERY}", issuer.url().trim_end_matches('/'))
}

/// What calls to the provider may reach whose address the operator wrote: this machine where that says so; nothing that
/// the provider says can.
pub(super) fn provider_reach(reach: &NetworkReach, configured: &Endpoint) -> NetworkReach {
    NetworkReach {
        here: reach.here || (configured.is_plain() && configured.is_here()),
        proxy: reach.proxy.clone().filter(|_| !configured.is_here()),
        ..reach.clone()
    }
}

/// The document of a provider about itself.
pub(super) struct ProviderDocument<'a> {
    issuer: &'a Endpoint,
    allow_private_networks: bool,
    document: Value,
}

impl<'a> ProviderDocument<'a> {
    /// Asks `issuer` for it.
    pub(super) fn fetch(
        http: &Http,
        issuer: &'a Endpoint,
        allow_private_networks: bool,
    ) -> Result<ProviderDocument<'a>, OutboundFailure> {
        let body = http.get(&description_url(issuer), DOCUMENT_BYTES_MAX)?;
        let document: Value = serde_json::from_slice(&body)
            .map_err(|_| OutboundFailure::new("its document is not JSON"))?;
        if document.get("issuer").and_then(Value::as_str) != Some(issuer.url()) {
            return Err(OutboundFailure::new(
                "its document names another issuer than issuer_url",
            ));
        }
        Ok(ProviderDocument {
            issuer,
            allow_private_networks,
            document,
        })
    }

    /// The address that it has under that name.
    pub(super) fn endpoint(&self, name: &str) -> Result<Endpoint, OutboundFailure> {
        let named = self.document.get(name).and_then(Value::as_str);
        let named =
            named.ok_or_else(|| OutboundFailure::new(format!("its document has no {name}")))?;
        let place = Endpoint::parse(named)
            .map_err(|why| OutboundFailure::new(format!("the {name} in its document is {why}")))?;
        // What came encrypted must not lead to what is not.
        let is_as_safe = !place.is_plain() || self.issuer.is_plain();
        if !is_as_safe || !place.is_allowed(self.allow_private_networks) {
            return Err(OutboundFailure::new(format!(
                "the {name} in its document is not encrypted"
            )));
        }
        Ok(place)
    }

    /// Whether a list of that name has `value` in it.
    pub(super) fn lists(&self, name: &str, value: &str) -> bool {
        let list = self.document.get(name).and_then(Value::as_array);
        list.is_some_and(|all| all.iter().any(|one| one == value))
    }
}
