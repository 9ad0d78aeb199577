//! Which addresses may be called. The guard stands where names become addresses, so what it lets through is what gets
//! connected: a name that changes its address between a check and a call changes nothing.

pub use crate::config::NetworkReach;
use std::fmt;
use std::net::SocketAddr;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Finds addresses by `R`, and keeps those that may be called.
#[derive(Debug)]
pub(super) struct Guard<R = DefaultResolver> {
    names: R,
    reach: NetworkReach,
    /// Nothing at all may be called.
    is_closed: bool,
}

impl Guard {
    /// Lets through what `reach` covers.
    pub(super) fn new(reach: NetworkReach) -> Guard {
        Guard {
            names: DefaultResolver::default(),
            reach,
            is_closed: false,
        }
    }

    /// Lets nothing through.
    pub(super) fn closed() -> Guard {
        Guard {
            is_closed: true,
            ..Guard::new(NetworkReach::default())
        }
    }
}

/// Every address of a name may not be called.
#[derive(Debug)]
pub(super) struct Forbidden(SocketAddr);

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} may not be called; private networks need `allow_private_networks` or `allow_networks`",
            self.0.ip()
        )
    }
}

impl std::error::Error for Forbidden {}

impl<R: Resolver> Resolver for Guard<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        if self.is_closed {
            return Err(ureq::Error::HostNotFound);
        }
        let found = self.names.resolve(uri, config, timeout)?;
        let mut kept = self.empty();
        let (good, bad): (Vec<SocketAddr>, Vec<SocketAddr>) =
            found.iter().partition(|a| self.reach.covers(a.ip()));
        for address in good {
            // No more than were found, and those fitted.
            let _ = kept.try_push(address);
        }
        match bad.first() {
            Some(address) if kept.is_empty() => {
                Err(ureq::Error::Other(Box::new(Forbidden(*address))))
            }
            _ => Ok(kept),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicBool, Ordering};
    use ureq::unversioned::transport::DefaultConnector;

    const STRICT: NetworkReach = NetworkReach {
        here: false,
        private: false,
        networks: Vec::new(),
        proxy: None,
    };

    #[test]
    fn no_form_of_this_machines_address_is_called() {
        let http = super::super::Http::new(STRICT);
        for host in [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "2130706433",
            "0x7f.1",
            "127.1",
            "0",
            "[::]",
        ] {
            let failed = http.get(&format!("http://{host}:9/"), 10).unwrap_err();
            let text = failed.to_string();
            // Where the system does not even accept the text, there is no address.
            let stopped = text.contains("may not be called") || text.contains("host");
            assert!(stopped || text.contains("lookup"), "{host}: {text}");
        }
    }

    /// Leads to a public address first, and to one of this machine from then on.
    #[derive(Debug)]
    struct Rebound {
        here: SocketAddr,
        was_asked: AtomicBool,
    }

    impl Resolver for Rebound {
        fn resolve(
            &self,
            _: &Uri,
            _: &Config,
            _: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, ureq::Error> {
            let mut found = self.empty();
            found.push(match self.was_asked.swap(true, Ordering::SeqCst) {
                false => SocketAddr::from(([1, 1, 1, 1], 80)),
                true => self.here,
            });
            Ok(found)
        }
    }

    #[test]
    fn name_that_is_rebound_to_this_machine_is_not_called() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let guard = Guard {
            names: Rebound {
                here: listener.local_addr().unwrap(),
                was_asked: AtomicBool::new(false),
            },
            reach: STRICT,
            is_closed: false,
        };
        let uri = Uri::from_static("http://rebound.example.com/");
        let config = ureq::Agent::config_builder().proxy(None).build();
        let looked = guard.resolve(&uri, &config, NextTimeout::default());
        assert_eq!(looked.unwrap()[0].ip().to_string(), "1.1.1.1");
        let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), guard);
        let failed = agent.get(uri).call().unwrap_err().to_string();
        assert!(failed.contains("127.0.0.1 may not be called"), "{failed}");
        let connected = listener.accept().map(drop);
        assert_eq!(
            connected.unwrap_err().kind(),
            std::io::ErrorKind::WouldBlock
        );
    }
}
