//! A range of addresses, for `trusted_proxies`.

use std::fmt;
use std::net::IpAddr;

/// An address or a network like `10.0.0.0/8`. IPv4 in IPv6 clothes (`::ffff:10.0.0.1`) counts as IPv4 on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    network: IpAddr,
    bits: u8,
}

impl Cidr {
    /// Reads an address or `address/bits`; `None` if it is neither. Bits beyond the prefix are dropped.
    pub fn parse(text: &str) -> Option<Cidr> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let spanned: IpAddr = address.parse().ok()?;
        let address = spanned.to_canonical();
        let width = width(address);
        let bits = match prefix {
            None => width,
            Some(bits) => {
                if bits.is_empty() || !bits.bytes().all(|b| b.is_ascii_digit()) {
                    return None;
                }
                // The prefix of a mapped network counts the 96 bits of its clothes.
                let clothes = if spanned.is_ipv6() && address.is_ipv4() {
                    96
                } else {
                    0
                };
                bits.parse::<u8>().ok()?.checked_sub(clothes)?
            }
        };
        (bits <= width).then(|| Cidr {
            network: masked(address, bits),
            bits,
        })
    }

    /// Whether `address` lies in this range.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4() && masked(address, self.bits) == self.network
    }

    /// Whether this is every address of its kind.
    pub fn is_everything(&self) -> bool {
        self.bits == 0
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.bits)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}
