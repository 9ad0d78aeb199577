//! Every bound of the gate, with its unit and its reason.

use std::time::Duration;

/// Header fields in a head; more is 431. Browsers and proxies send about 20.
pub const HEADERS_MAX: usize = 100;

/// Longest method, in bytes; longer is 400. The longest registered one has 17.
pub const METHOD_BYTES_MAX: usize = 32;

/// Time for an answer where a rule names no other: above the slowest ordinary call, below the patience of proxies.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// A body up to this many bytes is not counted against the budget of bodies: all connections together hold 64 MiB of
/// them at most, and nobody who fills the budget can then stop ordinary calls.
pub const SMALL_BODY_BYTES: usize = 16 * 1024;

/// The same for answers: 256 MiB for all connections together.
pub const SMALL_ANSWER_BYTES: usize = 64 * 1024;

/// Longest wait of a parked call, whatever the inside asks for: twice the longest long-poll of the contract.
pub const PARK_WAIT_MAX: Duration = Duration::from_secs(600);

/// Pending connections the kernel keeps for us. The 128 of the standard library lets a burst of reconnecting agents
/// run into one-second retransmits.
pub const BACKLOG: i32 = 4096;

/// Stack of a connection thread. Buffers are on the heap; this is what parsing and the rules need, with room.
pub const STACK_BYTES: usize = 256 * 1024;

/// The bounds that a server (or a test) may set.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open client connections, one thread each; over it: 503 and close.
    pub connections_max: usize,
    /// Of these from one IPv4 address or IPv6 /64, so that one host cannot take them all. Generous, for address
    /// translation; addresses for which `Options::exempt` says true (proxies) are free.
    pub connections_per_address_max: usize,
    /// Connections over a cap that are told so at one time; further ones are closed without a word.
    pub refusals_max: usize,
    /// Bytes of a request head; more is 431. Tokens of an identity provider take up to 16 KiB.
    pub head_bytes_max: usize,
    /// Bytes of a request target; more is 414.
    pub target_bytes_max: usize,
    /// A keep-alive connection without a request is closed after this. Longer than the 60 s at which many clients
    /// and proxies give up theirs, so that they close first.
    pub idle: Duration,
    /// From the first byte of a head to its last: 408.
    pub head: Duration,
    /// For a body, plus its size over `bytes_per_sec_min`: 408. Also the base for every stage of it (see `pace`).
    pub body: Duration,
    /// Waiting for a free connection to the inside: 503.
    pub acquire: Duration,
    /// For writing an answer, plus its size over `bytes_per_sec_min`: then the connection is cut.
    pub reply: Duration,
    /// How long a closing connection is drained, so that the last answer is not lost to a reset.
    pub linger: Duration,
    /// The slowest client we serve: 64 KiB/s.
    pub bytes_per_sec_min: u64,
    /// Calls parked at one time; over it they are answered as if they had asked for no wait.
    pub parked_max: usize,
    /// Of these with the same credentials.
    pub parked_per_token_max: usize,
    /// Bytes of request bodies held at one time, small ones not counted: 503 over it.
    pub bodies_bytes_max: usize,
    /// Bytes of answers held at one time, small ones not counted: 503 over it.
    pub answers_bytes_max: usize,
    /// Bytes of one answer; more is 502. Above the largest stored result with its envelope.
    pub answer_bytes_max: usize,
    /// How often a waiting thread looks whether its client is still there, and at the (injected) clock.
    pub tick: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 4096,
            connections_per_address_max: 1024,
            refusals_max: 64,
            head_bytes_max: 32 * 1024,
            target_bytes_max: 8 * 1024,
            idle: Duration::from_secs(75),
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            acquire: Duration::from_secs(5),
            reply: Duration::from_secs(10),
            linger: Duration::from_secs(1),
            bytes_per_sec_min: 64 * 1024,
            parked_max: 4096,
            parked_per_token_max: 64,
            bodies_bytes_max: 256 * 1024 * 1024,
            answers_bytes_max: 256 * 1024 * 1024,
            answer_bytes_max: 64 * 1024 * 1024,
            tick: Duration::from_secs(1),
        }
    }
}
