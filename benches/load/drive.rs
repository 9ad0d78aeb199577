//! Drives many clients in closed loops: each has one call under way, and sends the next when it has the answer.
//!
//! A few threads drive all of them, each reading its connections in turn: under load most answers are there already
//! when their turn comes, which saves the switches that a thread for each client would cost. A latency is counted to
//! the moment its answer is read, so it is never too small.

use crate::Outcome;
use crate::report::percentile;
use crate::wire::{Answer, Connection, request};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

/// What a client does over and over.
pub trait Client: Send {
    /// The bytes of the next call.
    fn next(&mut self) -> &[u8];
    /// Looks at the answer; true when it ends an operation.
    ///
    /// # Errors
    /// A wrong answer ends the benchmark.
    fn check(&mut self, answer: &Answer<'_>) -> Outcome<bool>;
}

/// How long, and with how much.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Not counted, in the beginning.
    pub warm_up: Duration,
    /// Counted.
    pub measured: Duration,
    /// Operations of one client, at most, so that a fast machine does not fill the disk.
    pub operations_max: usize,
}

/// Threads that drive `clients` clients. Up to this many have a thread each; more share two, one for each core.
const OWN_THREAD_MAX: usize = 4;
const SHARED_THREADS: usize = 2;

/// What came out.
pub struct Measured {
    /// Operations that ended in the counted time.
    pub operations: usize,
    /// All that ended, warm-up and tail included.
    pub operations_all: usize,
    /// The counted time.
    pub elapsed: Duration,
    /// Of the counted operations, sorted.
    pub times: Vec<Duration>,
}

impl Measured {
    /// Operations a second.
    pub fn rate(&self) -> f64 {
        self.operations as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// The time below which that share lies.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        percentile(&self.times, share)
    }
}

struct Seat<'c, C> {
    client: &'c mut C,
    connection: Connection,
    started: Instant,
    done: usize,
    open: bool,
}

#[derive(Default)]
struct Share {
    times: Vec<Duration>,
    all: usize,
    last: Option<Instant>,
}

/// Connects every client, one after the other, and runs them for `span`.
pub fn run<C: Client>(address: SocketAddr, clients: &mut [C], span: Span) -> Outcome<Measured> {
    let threads = match clients.len() {
        n if n <= OWN_THREAD_MAX => n,
        _ => SHARED_THREADS,
    };
    let mut seats = Vec::with_capacity(clients.len());
    let greeting = request("GET", "/health", "", None);
    for client in clients {
        // One at a time, each served once: `tiny_http` alone loses connections that come together.
        let mut connection = Connection::open(address)?;
        connection.call(&greeting)?.expect(200)?;
        seats.push(Seat {
            client,
            connection,
            started: Instant::now(),
            done: 0,
            open: true,
        });
    }
    let from = Instant::now() + span.warm_up;
    let until = from + span.measured;
    let most = seats.len().div_ceil(threads.max(1));
    let shares = thread::scope(|scope| {
        let mut drivers = Vec::new();
        while !seats.is_empty() {
            let rest = seats.split_off(most.min(seats.len()));
            let mine = std::mem::replace(&mut seats, rest);
            drivers.push(scope.spawn(move || drive(mine, from, until, span.operations_max)));
        }
        drivers
            .into_iter()
            .map(|d| {
                d.join()
                    .map_err(|_| "a driving thread panicked".to_owned())?
            })
            .collect::<Outcome<Vec<Share>>>()
    })?;
    let last = shares.iter().filter_map(|s| s.last).max();
    let mut times: Vec<Duration> = Vec::new();
    let mut all = 0;
    for share in shares {
        times.extend(share.times);
        all += share.all;
    }
    times.sort_unstable();
    Ok(Measured {
        operations: times.len(),
        operations_all: all,
        // Shorter than planned where the bound of operations ended it.
        elapsed: last.map_or(span.measured, |last| {
            last.saturating_duration_since(from).min(span.measured)
        }),
        times,
    })
}

fn drive<C: Client>(
    mut seats: Vec<Seat<'_, C>>,
    from: Instant,
    until: Instant,
    operations_max: usize,
) -> Outcome<Share> {
    let mut share = Share::default();
    for seat in &mut seats {
        seat.started = Instant::now();
        seat.connection.send(seat.client.next())?;
    }
    let mut open = seats.len();
    while open > 0 {
        for seat in seats.iter_mut().filter(|seat| seat.open) {
            let answer = seat.connection.receive()?;
            let ended = seat.client.check(&answer)?;
            let now = Instant::now();
            if ended {
                share.all += 1;
                seat.done += 1;
                if (from..until).contains(&now) {
                    share.times.push(now - seat.started);
                    share.last = Some(now);
                }
                if now >= until || seat.done >= operations_max {
                    seat.open = false;
                    open -= 1;
                    continue;
                }
                seat.started = now;
            }
            seat.connection.send(seat.client.next())?;
        }
    }
    Ok(share)
}
