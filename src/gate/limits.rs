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

/// Longest wait of a parked call, whatever the backend asks for: twice the longest long-poll of the contract.
pub const PARK_WAIT_MAX: Duration = Duration::from_secs(600);

/// Pending connections the kernel keeps for us. The 128 of the standard library lets a burst of reconnecting agents
/// run into one-second retransmits.
pub const BACKLOG: i32 = 4096;

/// Stack of a connection thread. Buffers are on the heap; this is what parsing and the rules need, with room.
pub const STACK_BYTES: usize = 256 * 1024;

/// The bounds that a server (or a test) may set.
#[derive(Debug, Clone)]
pub struct GateLimits {
    /// Open client connections, one thread each. One IPv4 address or IPv6 /64 has at most half of what others leave
    /// free; addresses for which `Options::exempt` is true (proxies) are not counted. Over it the longest idle is
    /// closed.
    pub connections_max: usize,
    /// Connections that came while no place was free and none was idle, at one time: they get 503, unless the rule of
    /// their call says that it is always served. Over it: closed.
    pub anteroom_max: usize,
    /// Time for the whole head in the anteroom.
    pub anteroom: Duration,
    /// Bytes of a request head; more is 431. Tokens of an identity provider take up to 16 KiB.
    pub head_bytes_max: usize,
    /// Bytes of a request target; more is 414.
    pub target_bytes_max: usize,
    /// From accepting a connection to the first byte of its first request; then it is closed.
    pub first_byte: Duration,
    /// A keep-alive connection without a further request is closed after this. Longer than the 90 s of the most patient
    /// client libraries, so that they close first.
    pub idle: Duration,
    /// From the first byte of a head to its last: 408.
    pub head: Duration,
    /// For a body, plus its size over `bytes_per_sec_min`: 408. Also the base for every stage of it (see `pace`).
    pub body: Duration,
    /// Waiting for a free connection to the backend: 503.
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
    /// Calls under way with the same credentials, parked ones and those that the rules exempt not counted: 429.
    pub calls_per_token_max: usize,
    /// Bytes of request bodies of known callers held at one time, small ones not counted: 503 over it.
    pub bodies_bytes_max: usize,
    /// The same for one token: 429. More than the largest body.
    pub bodies_per_token_max: usize,
    /// The same for callers whom nobody knows (yet).
    pub stranger_bodies_bytes_max: usize,
    /// The same for results of agents, which nobody else can use up.
    pub result_bodies_bytes_max: usize,
    /// The same for results of one token.
    pub result_bodies_per_token_max: usize,
    /// How much of a body is read and dropped before an early answer to an agent's result: twice the largest that is
    /// accepted. Existing agents lose a result when the connection breaks while they send it.
    pub drained_bytes_max: u64,
    /// Bytes of answers held at one time, small ones not counted: 503 over it.
    pub answers_bytes_max: usize,
    /// The same for one token: 429.
    pub answers_per_token_max: usize,
    /// Bytes of one answer; more is 502. Above the largest stored result with its envelope.
    pub answer_bytes_max: usize,
    /// How often a waiting thread looks whether its client is still there, and at the (injected) clock.
    pub tick: Duration,
}

impl Default for GateLimits {
    fn default() -> GateLimits {
        GateLimits {
            connections_max: 4096,
            anteroom_max: 256,
            anteroom: Duration::from_secs(2),
            head_bytes_max: 32 * 1024,
            target_bytes_max: 8 * 1024,
            first_byte: Duration::from_secs(10),
            idle: Duration::from_secs(95),
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            acquire: Duration::from_secs(5),
            reply: Duration::from_secs(10),
            linger: Duration::from_secs(1),
            bytes_per_sec_min: 64 * 1024,
            parked_max: 4096,
            parked_per_token_max: 64,
            calls_per_token_max: 32,
            bodies_bytes_max: 96 * 1024 * 1024,
            bodies_per_token_max: 32 * 1024 * 1024,
            stranger_bodies_bytes_max: 32 * 1024 * 1024,
            result_bodies_bytes_max: 128 * 1024 * 1024,
            result_bodies_per_token_max: 64 * 1024 * 1024,
            drained_bytes_max: 52 * 1024 * 1024,
            answers_bytes_max: 256 * 1024 * 1024,
            answers_per_token_max: 64 * 1024 * 1024,
            answer_bytes_max: 64 * 1024 * 1024,
            tick: Duration::from_secs(1),
        }
    }
}
