//! Which addresses may be called, by their ranges: the configuration refuses an address that is written into it, and
//! the caller refuses what a name resolves to.

use super::Cidr;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::OnceLock;

/// Addresses of this machine.
const HERE: &[&str] = &["127.0.0.0/8", "::1"];

/// Addresses of private networks, which only an operator can know to be harmless.
const PRIVATE: &[&str] = &[
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    // Between a provider and its customers.
    "100.64.0.0/10",
    "fc00::/7",
    // Site-local, which some networks still have.
    "fec0::/10",
];

/// Where clouds hand out the credentials of their machines, beyond link-local addresses; never called, even where their
/// networks are.
const CREDENTIALS: &[&str] = &[
    "fd00:ec2::254",
    "fd20:ce::254",
    "100.100.100.200",
    "168.63.129.16",
];

/// Addresses that no service has, or that lead somewhere else than they say.
const NEVER: &[&str] = &[
    "0.0.0.0/8",
    // Link-local: where clouds hand out the credentials of their machines.
    "169.254.0.0/16",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    // Multicast, reserved, broadcast.
    "224.0.0.0/3",
    // Beyond the addresses that IPv6 has for everybody, which begin with the bits 001: unspecified, IPv4 that is
    // compatible or translated, link-local, multicast, and what is not given to anybody.
    "::/3",
    "4000::/2",
    "8000::/1",
    // Among these: IPv4 that is tunnelled, identifiers without a place, and examples.
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
];

/// How far calls may reach beyond public addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkReach {
    pub here: bool,
    pub private: bool,
    /// Networks of this machine or private ones that may be called all the same.
    pub networks: Vec<Cidr>,
    /// The proxy that makes all calls by HTTP: then it finds the addresses, and only its own is judged here.
    pub proxy: Option<String>,
}

impl NetworkReach {
    /// The reach of calls to a service that the operator named on this machine: there too, and by no proxy.
    pub fn of_this_machine(&self) -> NetworkReach {
        NetworkReach {
            here: true,
            proxy: None,
            ..self.clone()
        }
    }

    /// Whether `address` may be called. One by which NAT64 leads to IPv4 is judged by where it leads, which is never this
    /// machine; a prefix of a network's own, and tunnels, say it of nobody, and are not called.
    pub fn covers(&self, address: IpAddr) -> bool {
        if let Some(translated) = translated(address) {
            let beyond = NetworkReach {
                here: false,
                ..self.clone()
            };
            return beyond.covers(translated);
        }
        static RANGES: OnceLock<[Vec<Cidr>; 4]> = OnceLock::new();
        let [credentials, here, private, never] = RANGES.get_or_init(|| {
            [CREDENTIALS, HERE, PRIVATE, NEVER]
                .map(|list| list.iter().filter_map(|r| Cidr::parse(r)).collect())
        });
        let within = |ranges: &[Cidr]| ranges.iter().any(|r| r.contains(address));
        let is_listed = || within(&self.networks);
        if within(credentials) {
            return false;
        }
        if within(here) {
            return self.here || is_listed();
        }
        if within(private) {
            return self.private || is_listed();
        }
        !within(never)
    }
}

/// The address to which the well-known prefix of NAT64, `64:ff9b::/96`, leads.
fn translated(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(address) = address else {
        return None;
    };
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let bits = u32::from(high) << 16 | u32::from(low);
            Some(IpAddr::V4(Ipv4Addr::from_bits(bits)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: NetworkReach = NetworkReach {
        here: false,
        private: false,
        networks: Vec::new(),
        proxy: None,
    };
    const PRIVATE_TOO: NetworkReach = NetworkReach {
        here: true,
        private: true,
        networks: Vec::new(),
        proxy: None,
    };

    #[test]
    fn every_range_is_one() {
        for range in [HERE, PRIVATE, CREDENTIALS, NEVER].concat() {
            assert!(Cidr::parse(range).is_some(), "{range}");
        }
    }

    #[test]
    fn public_addresses_may_be_called_and_others_where_allowed() {
        let here_too = NetworkReach {
            here: true,
            ..STRICT
        };
        // strict, here too, private too
        for (address, wanted) in [
            ("1.1.1.1", [true, true, true]),
            ("93.184.216.34", [true, true, true]),
            ("2606:4700::1111", [true, true, true]),
            ("::ffff:1.1.1.1", [true, true, true]),
            ("127.0.0.1", [false, true, true]),
            ("127.255.255.255", [false, true, true]),
            ("::1", [false, true, true]),
            ("::ffff:127.0.0.1", [false, true, true]),
            ("10.0.0.1", [false, false, true]),
            ("172.16.0.1", [false, false, true]),
            ("172.31.255.255", [false, false, true]),
            ("172.32.0.1", [true, true, true]),
            ("192.168.1.1", [false, false, true]),
            ("100.64.0.1", [false, false, true]),
            ("100.128.0.1", [true, true, true]),
            ("fd00::1", [false, false, true]),
            ("fec0::1", [false, false, true]),
            ("::ffff:10.0.0.1", [false, false, true]),
            ("0.0.0.0", [false, false, false]),
            ("0.1.2.3", [false, false, false]),
            ("169.254.169.254", [false, false, false]),
            ("::ffff:169.254.169.254", [false, false, false]),
            ("192.0.0.8", [false, false, false]),
            ("198.18.0.1", [false, false, false]),
            ("203.0.113.9", [false, false, false]),
            ("224.0.0.1", [false, false, false]),
            ("240.0.0.1", [false, false, false]),
            ("255.255.255.255", [false, false, false]),
            ("::", [false, false, false]),
            ("::7f00:1", [false, false, false]),
            // NAT64 leads where the rest says; its other prefixes, and tunnels, may lead anywhere.
            ("64:ff9b::1.1.1.1", [true, true, true]),
            ("64:ff9b::10.0.0.1", [false, false, true]),
            ("64:ff9b::127.0.0.1", [false, false, false]),
            ("64:ff9b::a9fe:a9fe", [false, false, false]),
            ("64:ff9b::168.63.129.16", [false, false, false]),
            ("64:ff9b:1::1.1.1.1", [false, false, false]),
            ("64:ff9b:0:0:1::1.1.1.1", [false, false, false]),
            ("::ffff:0:7f00:1", [false, false, false]),
            ("fd00:ec2::254", [false, false, false]),
            ("100.100.100.200", [false, false, false]),
            ("168.63.129.16", [false, false, false]),
            ("5f00::1", [false, false, false]),
            ("2001:20::1", [false, false, false]),
            ("2001:4860:4860::8888", [true, true, true]),
            ("2a00:1450:4001::200e", [true, true, true]),
            ("3fff::1", [false, false, false]),
            ("2002:7f00:1::", [false, false, false]),
            ("2001:0:7f00:1::", [false, false, false]),
            ("fe80::1", [false, false, false]),
            ("ff02::1", [false, false, false]),
        ] {
            let ip: IpAddr = address.parse().unwrap();
            let got = [STRICT, here_too.clone(), PRIVATE_TOO].map(|reach| reach.covers(ip));
            assert_eq!(got, wanted, "{address}");
        }
    }

    #[test]
    fn listed_networks_may_be_called_but_never_unusable_addresses() {
        let reach = NetworkReach {
            networks: [
                "10.1.0.0/16",
                "fd00::/8",
                "169.254.0.0/16",
                "0.0.0.0/8",
                "168.63.0.0/16",
            ]
            .map(|range| Cidr::parse(range).unwrap())
            .to_vec(),
            ..STRICT
        };
        for (address, wanted) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("fd12::1", true),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("fd00:ec2::254", false),
            ("168.63.129.16", false),
            ("0.0.0.0", false),
            ("1.1.1.1", true),
        ] {
            assert_eq!(reach.covers(address.parse().unwrap()), wanted, "{address}");
        }
    }
}
