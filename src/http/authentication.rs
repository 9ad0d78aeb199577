//! Who calls, and from where.

use super::call::HttpRequest;
use super::{HttpContext, site};
use crate::actions::identify::{self, Presented};
use crate::config::{Cidr, is_for};
use crate::domain::actor::{Caller, Origin, SubjectType};
use crate::error::Error;
use std::net::{IpAddr, SocketAddr};

/// The caller, with the rights of this moment.
///
/// # Errors
/// `unauthenticated`.
pub(super) fn authenticate(context: &HttpContext, call: &HttpRequest) -> Result<Caller, Error> {
    let origin = origin(context, call);
    let address = origin.client_ip.clone();
    let presented = Presented {
        authorization: call.header("authorization"),
        session: site::session(context, call),
        is_use: site::is_attended(call),
    };
    let caller = identify::authenticate(&context.app, presented, origin)?;
    let presents = |name: &str| {
        let certificate = call.certificate.as_deref();
        certificate.is_some_and(|certificate| is_for(certificate, name))
    };
    if context.agents_certified && caller.kind == SubjectType::Agent && !presents(&caller.subject) {
        identify::failed(&context.app, address.as_deref(), "certificate");
        return Err(Error::unauthenticated().hint(
            "an agent's token counts only on a connection with a certificate for the agent's name",
        ));
    }
    Ok(caller)
}

/// Where a call came from.
pub(super) fn origin(context: &HttpContext, call: &HttpRequest) -> Origin {
    let forwarded = call
        .headers
        .iter()
        .filter(|(name, _)| name == "x-forwarded-for")
        .map(|(_, value)| value.as_str());
    let (client, source) = client(call.peer, forwarded, &context.trusted_proxies);
    Origin {
        peer_ip: call.peer.map(|ip| ip.to_string()),
        client_ip: client.map(|ip| ip.to_string()),
        client_ip_source: client.map(|_| source),
        http_request_id: Some(call.request_id.clone()),
    }
}

/// The address of the client, and where it was read. What a trusted proxy forwards is read from the right, where our
/// own proxies write, to the first address that is not one of them; all lines count, so that a client cannot hide the
/// truth with a line of its own.
fn client<'a>(
    peer: Option<IpAddr>,
    forwarded: impl Iterator<Item = &'a str>,
    trusted: &[Cidr],
) -> (Option<IpAddr>, &'static str) {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|range| range.contains(*ip));
    if !peer.as_ref().is_some_and(is_trusted) {
        return (peer, "peer");
    }
    let chain: Vec<IpAddr> = forwarded
        .flat_map(|line| line.split(','))
        .filter_map(address)
        .collect();
    let found = chain
        .iter()
        .rev()
        .find(|ip| !is_trusted(ip))
        .or_else(|| chain.first());
    match found {
        Some(ip) => (Some(*ip), "xff"),
        None => (peer, "peer"),
    }
}

/// An address as proxies write it, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    let parsed: Option<IpAddr> = bare.parse().ok();
    parsed
        .or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()))
        .map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(peer: &str, lines: &[&str]) -> String {
        let trusted: Vec<Cidr> = ["10.0.0.0/8", "::1"]
            .into_iter()
            .filter_map(Cidr::parse)
            .collect();
        let (ip, source) = client(peer.parse().ok(), lines.iter().copied(), &trusted);
        format!(
            "{} {source}",
            ip.map_or("-".to_owned(), |ip| ip.to_string())
        )
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(from("192.0.2.1", &["203.0.113.9"]), "192.0.2.1 peer");
        assert_eq!(from("10.0.0.1", &["203.0.113.9"]), "203.0.113.9 xff");
        assert_eq!(from("10.0.0.1", &[]), "10.0.0.1 peer");
        assert_eq!(from("::ffff:10.0.0.1", &["203.0.113.9"]), "203.0.113.9 xff");
        assert_eq!(from("", &["203.0.113.9"]), "- peer");
    }

    #[test]
    fn the_chain_is_read_from_the_right() {
        for (lines, want) in [
            (
                &["198.51.100.1, 203.0.113.9, 10.1.1.1"][..],
                "203.0.113.9 xff",
            ),
            (&["198.51.100.1", "203.0.113.9"][..], "203.0.113.9 xff"),
            (&["10.2.2.2, 10.1.1.1"][..], "10.2.2.2 xff"),
            (&["unknown, _hidden, ,"][..], "10.0.0.1 peer"),
            (&["203.0.113.9:4711, nonsense"][..], "203.0.113.9 xff"),
            (&["[2001:db8::1]:443"][..], "2001:db8::1 xff"),
            (&["[2001:db8::1]"][..], "2001:db8::1 xff"),
            (&["::ffff:203.0.113.9"][..], "203.0.113.9 xff"),
        ] {
            assert_eq!(from("10.0.0.1", lines), want, "{lines:?}");
        }
    }
}
