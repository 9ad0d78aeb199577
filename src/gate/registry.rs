//! Who is connected: the places there are, and the handle by which idle connections are reached.
//!
//! One address may take half of what others leave free. Where no place is left, the connection that has been idle for
//! longest makes room; where none is idle, the new one waits in the anteroom, in which only calls that the rules mark
//! as always served are answered.

use crate::address::network;
use crate::gate::limits::GateLimits;
use crate::metrics::Metrics;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// One address has at most one of so many parts of the places that others leave free.
const ADDRESS_SHARE: usize = 2;

pub(super) struct Registry {
    state: Mutex<RegistryState>,
    left: Condvar,
    /// Numbers of idle times: the smallest is the longest.
    idle_times: AtomicU64,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct RegistryState {
    open: BTreeMap<u64, SeatedConnection>,
    /// Places taken, without the anteroom and without those that have been asked to leave.
    seated: usize,
    by_address: HashMap<IpAddr, usize>,
    /// Connections in the anteroom.
    waiting: usize,
    next: u64,
}

struct SeatedConnection {
    entry: Arc<ConnectionEntry>,
    counted: Option<IpAddr>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Seated,
    Waiting,
    /// It was idle and has made room.
    Leaving,
}

/// One connection, as the registry knows it.
struct ConnectionEntry {
    socket: Arc<TcpStream>,
    /// The number of its idle time; 0 while it has a call.
    idle: AtomicU64,
}

/// A connection's place among the others; gives it up when dropped.
pub(super) struct Seat {
    registry: Arc<Registry>,
    id: u64,
    entry: Arc<ConnectionEntry>,
    over: Option<ConnectionLimit>,
}

/// Which bound is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionLimit {
    All,
    Address,
}

impl Registry {
    pub(super) fn new(metrics: Arc<Metrics>) -> Arc<Registry> {
        Arc::new(Registry {
            state: Mutex::default(),
            left: Condvar::new(),
            idle_times: AtomicU64::new(1),
            metrics,
        })
    }

    /// A seat for `socket`. `counted` is the address it is counted under, if it is. `None` when even the anteroom is
    /// full of connections that have sent their request.
    pub(super) fn sit(
        self: &Arc<Registry>,
        socket: &Arc<TcpStream>,
        counted: Option<IpAddr>,
        limits: &GateLimits,
    ) -> Option<Seat> {
        let counted = counted.map(network);
        let mut state = self.lock();
        let over = state
            .over(counted, limits)
            .filter(|over| !state.make_room(*over, counted));
        let kind = match over {
            None => Kind::Seated,
            Some(_) => Kind::Waiting,
        };
        if kind == Kind::Waiting && state.waiting >= limits.anteroom_max && !state.clear_anteroom()
        {
            return None;
        }
        let id = state.next;
        state.next += 1;
        let entry = Arc::new(ConnectionEntry {
            socket: socket.clone(),
            idle: AtomicU64::new(self.idle_times.fetch_add(1, Ordering::Relaxed)),
        });
        let place = SeatedConnection {
            entry: entry.clone(),
            counted,
            kind,
        };
        state.enter(&place);
        state.open.insert(id, place);
        self.metrics
            .gate_connections
            .set(&[], state.open.len() as i64);
        Some(Seat {
            registry: self.clone(),
            id,
            entry,
            over,
        })
    }

    /// How many wait for a call of which they have nothing yet.
    pub(super) fn idle(&self) -> usize {
        let state = self.lock();
        let idle = |place: &&SeatedConnection| place.entry.is_idle().is_some();
        state.open.values().filter(idle).count()
    }

    /// Ends the waiting of idle connections; with `all`, of every one.
    pub(super) fn shut(&self, all: bool) {
        for place in self.lock().open.values() {
            if all {
                let _ = place.entry.socket.shutdown(Shutdown::Both);
            } else if place.entry.is_idle().is_some() {
                let _ = place.entry.socket.shutdown(Shutdown::Read);
            }
        }
    }

    /// Waits until nobody is connected, at most `within`; returns how many still are.
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

    fn lock(&self) -> MutexGuard<'_, RegistryState> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl RegistryState {
    /// The bound that one more connection of that address would pass.
    fn over(&self, counted: Option<IpAddr>, limits: &GateLimits) -> Option<ConnectionLimit> {
        if let Some(address) = counted {
            let own = self.by_address.get(&address).copied().unwrap_or(0);
            let others = self.seated.saturating_sub(own);
            let share = limits.connections_max.saturating_sub(others) / ADDRESS_SHARE;
            if own >= share.max(1) {
                return Some(ConnectionLimit::Address);
            }
        }
        (self.seated >= limits.connections_max).then_some(ConnectionLimit::All)
    }

    /// Asks the connection that has been idle for longest to leave: of all, or of one address.
    fn make_room(&mut self, over: ConnectionLimit, counted: Option<IpAddr>) -> bool {
        let of_them = |p: &SeatedConnection| {
            p.kind == Kind::Seated && (over == ConnectionLimit::All || p.counted == counted)
        };
        self.dismiss(of_them)
    }

    /// The same in the anteroom, where everybody is idle whose head is not whole.
    fn clear_anteroom(&mut self) -> bool {
        self.dismiss(|p| p.kind == Kind::Waiting)
    }

    fn dismiss(&mut self, of_them: impl Fn(&SeatedConnection) -> bool) -> bool {
        let longest = self
            .open
            .iter()
            .filter(|(_, place)| of_them(place))
            .filter_map(|(id, place)| place.entry.is_idle().map(|since| (since, *id)))
            .min();
        let Some((_, id)) = longest else {
            return false;
        };
        let Some(mut place) = self.open.remove(&id) else {
            return false;
        };
        // What it has sent already is still read and answered.
        let _ = place.entry.socket.shutdown(Shutdown::Read);
        self.leave(&place);
        place.kind = Kind::Leaving;
        self.open.insert(id, place);
        true
    }

    fn enter(&mut self, place: &SeatedConnection) {
        match place.kind {
            Kind::Seated => {
                self.seated += 1;
                if let Some(address) = place.counted {
                    *self.by_address.entry(address).or_default() += 1;
                }
            }
            Kind::Waiting => self.waiting += 1,
            Kind::Leaving => {}
        }
    }

    fn leave(&mut self, place: &SeatedConnection) {
        match place.kind {
            Kind::Seated => {
                self.seated -= 1;
                if let Some(address) = place.counted
                    && let Some(count) = self.by_address.get_mut(&address)
                {
                    *count -= 1;
                    if *count == 0 {
                        self.by_address.remove(&address);
                    }
                }
            }
            Kind::Waiting => self.waiting -= 1,
            Kind::Leaving => {}
        }
    }
}

impl ConnectionEntry {
    fn is_idle(&self) -> Option<u64> {
        let since = self.idle.load(Ordering::SeqCst);
        (since > 0).then_some(since)
    }
}

impl Seat {
    pub(super) fn socket(&self) -> Arc<TcpStream> {
        self.entry.socket.clone()
    }

    /// The bound that was reached when it came: it sits in the anteroom then.
    pub(super) fn over(&self) -> Option<ConnectionLimit> {
        self.over
    }

    /// It waits for the first byte of a call.
    pub(super) fn now_idle(&self) {
        let since = self.registry.idle_times.fetch_add(1, Ordering::Relaxed);
        self.entry.idle.store(since, Ordering::SeqCst);
    }

    /// It has a call, or a part of one.
    pub(super) fn now_busy(&self) {
        self.entry.idle.store(0, Ordering::SeqCst);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.registry.lock();
        if let Some(place) = state.open.remove(&self.id) {
            state.leave(&place);
        }
        let open = state.open.len();
        self.registry.metrics.gate_connections.set(&[], open as i64);
        drop(state);
        self.registry.left.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    struct Room {
        registry: Arc<Registry>,
        socket: Arc<TcpStream>,
        limits: GateLimits,
    }

    impl Room {
        fn new(connections_max: usize) -> Room {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            Room {
                registry: Registry::new(Arc::new(Metrics::new())),
                socket: Arc::new(socket),
                limits: GateLimits {
                    connections_max,
                    anteroom_max: 2,
                    ..GateLimits::default()
                },
            }
        }

        fn sit(&self, address: &str, idle: bool) -> Option<Seat> {
            let address = address.parse().ok();
            let seat = self.registry.sit(&self.socket, address, &self.limits)?;
            if !idle {
                seat.now_busy();
            }
            Some(seat)
        }

        fn seated(&self) -> usize {
            self.registry.lock().seated
        }
    }

    #[test]
    fn each_address_has_half_of_what_others_leave() {
        let room = Room::new(64);
        let mut seats = Vec::new();
        let mut got = Vec::new();
        for n in 1..=5 {
            let before = room.seated();
            for _ in 0..64 {
                seats.extend(room.sit(&format!("192.0.2.{n}"), false));
            }
            got.push(room.seated() - before);
        }
        assert_eq!(got, [32, 16, 8, 4, 2]);
        drop(seats);
        let state = room.registry.lock();
        assert!(state.open.is_empty() && state.by_address.is_empty());
        assert_eq!((state.seated, state.waiting), (0, 0));
    }

    #[test]
    fn the_longest_idle_makes_room() {
        let room = Room::new(4);
        let old = room.sit("192.0.2.1", true).unwrap();
        let young = room.sit("192.0.2.2", true).unwrap();
        let kind = |seat: &Seat| room.registry.lock().open[&seat.id].kind;
        let third = room.sit("", false).unwrap();
        let fourth = room.sit("", false).unwrap();
        old.now_busy();
        old.now_idle();
        // Now the other one has been idle for longer.
        let fifth = room.sit("192.0.2.9", false).unwrap();
        assert!(kind(&young) == Kind::Leaving && kind(&old) == Kind::Seated);
        assert!([&third, &fourth, &fifth].iter().all(|s| s.over().is_none()));
        drop(young);
        assert_eq!(room.seated(), 4, "its place was given away before it left");
    }

    #[test]
    fn the_anteroom_takes_newcomers_while_everybody_is_busy() {
        let room = Room::new(1);
        let seated = room.sit("192.0.2.1", false).unwrap();
        assert_eq!(seated.over(), None);
        let waiting: Vec<Seat> = (0..2).filter_map(|_| room.sit("192.0.2.2", true)).collect();
        assert!(
            waiting
                .iter()
                .all(|s| s.over() == Some(ConnectionLimit::All))
        );
        waiting[1].now_busy();
        let third = room.sit("192.0.2.1", false).unwrap();
        assert_eq!(third.over(), Some(ConnectionLimit::Address));
        assert!(
            room.sit("192.0.2.3", false).is_none(),
            "nobody in there is idle"
        );
    }
}
