//! Who is connected: the caps, and the handle by which a stopping server reaches idle connections.

use crate::gate::limits::Limits;
use crate::metrics::Metrics;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// All open connections.
pub(super) struct Registry {
    state: Mutex<State>,
    left: Condvar,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct State {
    open: HashMap<u64, Arc<Entry>>,
    by_address: HashMap<IpAddr, usize>,
    next: u64,
}

/// One connection, as the registry knows it.
pub(super) struct Entry {
    pub(super) socket: Arc<TcpStream>,
    /// Whether it waits for the first byte of a request.
    pub(super) idle: AtomicBool,
}

/// A connection's place among the others; gives it up when dropped.
pub(super) struct Seat {
    registry: Arc<Registry>,
    id: u64,
    counted: Option<IpAddr>,
    pub(super) entry: Arc<Entry>,
}

/// Which cap is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    All,
    Address,
}

impl Registry {
    pub(super) fn new(metrics: Arc<Metrics>) -> Arc<Registry> {
        Arc::new(Registry {
            state: Mutex::default(),
            left: Condvar::new(),
            metrics,
        })
    }

    /// A seat for `socket`. `counted` is the address it is counted under, if it is.
    pub(super) fn sit(
        self: &Arc<Registry>,
        socket: &Arc<TcpStream>,
        counted: Option<IpAddr>,
        limits: &Limits,
    ) -> Result<Seat, Over> {
        let counted = counted.map(network);
        let mut state = self.lock();
        if state.open.len() >= limits.connections_max {
            return Err(Over::All);
        }
        if let Some(address) = counted {
            let count = state.by_address.entry(address).or_default();
            if *count >= limits.connections_per_address_max {
                return Err(Over::Address);
            }
            *count += 1;
        }
        let id = state.next;
        state.next += 1;
        let entry = Arc::new(Entry {
            socket: socket.clone(),
            idle: AtomicBool::new(false),
        });
        state.open.insert(id, entry.clone());
        self.metrics
            .gate_connections
            .set(&[], state.open.len() as i64);
        let registry = self.clone();
        Ok(Seat {
            registry,
            id,
            counted,
            entry,
        })
    }

    /// How many wait for a call of which they have nothing yet.
    pub(super) fn idle(&self) -> usize {
        let state = self.lock();
        let idle = |entry: &&Arc<Entry>| entry.idle.load(Ordering::SeqCst);
        state.open.values().filter(idle).count()
    }

    /// Ends the waiting of idle connections; with `all`, of every one.
    pub(super) fn shut(&self, all: bool) {
        for entry in self.lock().open.values() {
            if all {
                let _ = entry.socket.shutdown(Shutdown::Both);
            } else if entry.idle.load(Ordering::SeqCst) {
                let _ = entry.socket.shutdown(Shutdown::Read);
            }
        }
    }

    /// Waits until nobody is connected, at most `within`; says how many still are.
    pub(super) fn wait_empty(&self, within: Duration) -> usize {
        let until = Instant::now() + within;
        let mut state = self.lock();
        while !state.open.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self
                .left
                .wait_timeout(state, left)
                .unwrap_or_else(|e| e.into_inner())
                .0;
        }
        state.open.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.registry.lock();
        state.open.remove(&self.id);
        if let Some(address) = self.counted
            && let Some(count) = state.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                state.by_address.remove(&address);
            }
        }
        let open = state.open.len();
        self.registry.metrics.gate_connections.set(&[], open as i64);
        drop(state);
        self.registry.left.notify_all();
    }
}

/// What counts as one address: an IPv4 address, or the /64 that one IPv6 host has to itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let s = v6.segments();
            IpAddr::V6(Ipv6Addr::new(s[0], s[1], s[2], s[3], 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ipv6_host_is_one_address_and_mapped_ipv4_is_ipv4() {
        let net = |text: &str| network(text.parse().unwrap());
        assert_eq!(net("2001:db8::1"), net("2001:db8::ffff:2"));
        assert_ne!(net("2001:db8::1"), net("2001:db8:0:1::1"));
        assert_eq!(net("::ffff:10.0.0.1"), net("10.0.0.1"));
    }
}
