//! The address of a service that we call: checked when it is read, so that nothing odd is ever called.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2048;

/// An `https://` or `http://` URL without a name, a password or a fragment in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: String,
    host: String,
    is_plain: bool,
    is_here: bool,
    is_address: bool,
}

impl Endpoint {
    /// Reads a URL.
    ///
    /// # Errors
    /// What it is instead, to stand after the word "is".
    pub fn parse(text: &str) -> Result<Endpoint, &'static str> {
        if text.len() > URL_BYTES_MAX {
            return Err("longer than 2048 bytes");
        }
        let (is_plain, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err("not a URL that begins with `https://` or `http://`"),
        };
        let odd = |c: char| !c.is_ascii_graphic() || "\"<>\\^`{|}".contains(c);
        if text.contains(odd) {
            return Err("not a URL: it holds a character that no URL has");
        }
        if text.contains('#') {
            return Err("a URL with a fragment, which is never sent");
        }
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err("a URL with a name or a password in it");
        }
        let host = host(authority).ok_or("not a URL: its host or port cannot be")?;
        Ok(Endpoint {
            is_here: is_loopback(host),
            is_address: host.parse::<IpAddr>().is_ok(),
            is_plain,
            host: host.to_owned(),
            url: text.to_owned(),
        })
    }

    /// The URL, as it was written.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Scheme and authority, for where a path may be a secret.
    pub fn origin(&self) -> &str {
        let start = self.url.find("://").map_or(0, |at| at + 3);
        let end = self.url[start..].find(['/', '?']);
        end.map_or(&self.url, |at| &self.url[..start + at])
    }

    /// Its host: a name or an address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is not encrypted.
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Whether its host is this machine, by its name: `localhost` or a loopback address.
    pub fn is_here(&self) -> bool {
        self.is_here
    }

    /// Whether its host is an address and not a name.
    pub fn is_address(&self) -> bool {
        self.is_address
    }

    /// Whether it may be called at all: encrypted, or to this machine, or where private networks are trusted.
    pub fn is_allowed(&self, allow_private_networks: bool) -> bool {
        !self.is_plain || self.is_here || allow_private_networks
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn host(authority: &str) -> Option<&str> {
    let is_port = |text: &str| {
        text.bytes().all(|b| b.is_ascii_digit()) && text.parse().is_ok_and(|port: u16| port > 0)
    };
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        address.parse::<Ipv6Addr>().ok()?;
        let port = after.strip_prefix(':');
        return (after.is_empty() || port.is_some_and(is_port)).then_some(address);
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let is_good = !host.is_empty() && host.bytes().all(is_name) && port.is_none_or(is_port);
    is_good.then_some(host)
}

fn is_loopback(host: &str) -> bool {
    let address: Option<IpAddr> = host.parse().ok();
    host.eq_ignore_ascii_case("localhost")
        || address.is_some_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_or_refused() {
        for (text, plain, here) in [
            ("https://id.example.com", false, false),
            ("https://id.example.com:8443/realms/a?b=c", false, false),
            ("http://127.0.0.1:8080/keys", true, true),
            ("http://LOCALHOST", true, true),
            ("http://[::1]:80/", true, true),
            ("http://[::ffff:127.0.0.1]", true, true),
            ("http://127.1/", true, false),
            ("http://localhost.example.com/", true, false),
            ("http://10.0.0.1", true, false),
        ] {
            let read = Endpoint::parse(text).unwrap_or_else(|e| panic!("{text} is {e}"));
            assert_eq!((read.is_plain(), read.is_here()), (plain, here), "{text}");
            assert_eq!(read.url(), text);
        }
        for text in [
            "",
            "id.example.com",
            "ftp://id.example.com",
            "file:///etc/passwd",
            "https://",
            "https:///keys",
            "https://:443/",
            "https://a:0/",
            "https://a:65536/",
            "https://a:+1/",
            "https://a:/",
            "https://user@a/",
            "https://user:secret@a/",
            "https://a/#part",
            "https://a b/",
            "https://a\n/",
            "https://a\\@b/",
            "https://[::1",
            "https://[::1]x/",
            "https://[127.0.0.1]/",
            "https://ä.example.com/",
        ] {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
        let long = format!("https://a/{}", "x".repeat(URL_BYTES_MAX));
        assert!(Endpoint::parse(&long).is_err());
    }

    #[test]
    fn unencrypted_is_for_this_machine_or_trusted_networks() {
        let allowed = |text: &str, trusted| Endpoint::parse(text).unwrap().is_allowed(trusted);
        assert!(allowed("https://id.example.com", false));
        assert!(allowed("http://127.0.0.1", false));
        assert!(!allowed("http://id.example.com", false));
        assert!(!allowed("http://127.1", false));
        assert!(allowed("http://10.0.0.1", true));
    }
}
