//! What counts as one client where clients are counted.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

/// What counts as one address: an IPv4 address, or the /64 that one IPv6 host has to itself.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let s = v6.segments();
            IpAddr::V6(Ipv6Addr::new(s[0], s[1], s[2], s[3], 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// The same of an address as text, an IPv6 network as `2001:db8::/64`; what is not an address stays as it is.
pub fn network_of(address: &str) -> Cow<'_, str> {
    match address.parse().map(network) {
        Ok(IpAddr::V6(v6)) => Cow::Owned(format!("{v6}/64")),
        Ok(v4) if address.contains(':') => Cow::Owned(v4.to_string()),
        Ok(_) | Err(_) => Cow::Borrowed(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_host_is_one_address_and_mapped_ipv4_is_ipv4() {
        for (address, counted) in [
            ("2001:db8::1", "2001:db8::/64"),
            ("2001:db8::ffff:2", "2001:db8::/64"),
            ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.1"),
            ("-", "-"),
            ("2001:db8::/64", "2001:db8::/64"),
        ] {
            assert_eq!(network_of(address), counted, "{address}");
        }
    }
}
