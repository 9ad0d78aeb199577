//! One client connection on its own thread: head, body, exchange with the backend, answer, and again.

mod body;
mod exchange;

use crate::crypto;
use crate::error::Error;
use crate::gate::answer::{self, Common, OwnResponse};
use crate::gate::head::{self, Framing, HeadScan, RequestHead};
use crate::gate::pace::Pace;
use crate::gate::read_buffer::ReadBuffer;
use crate::gate::registry::{ConnectionLimit, Seat};
use crate::gate::stream::{ClientStream, Got, Transport};
use crate::gate::{CallLimits, DirectResponse, GateShared};
use body::Body;
use exchange::Credentials;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a client may send ahead while its call is under way.
const PEEKED_BYTES_MAX: usize = 64 * 1024;

/// Buffers larger than this are given back between calls.
const KEEP_BYTES: usize = 32 * 1024;

pub(super) struct Connection<'i> {
    pub(super) shared: &'i GateShared,
    pub(super) client: ClientStream,
    pub(super) peer: IpAddr,
    pub(super) read_buffer: ReadBuffer,
    /// Request line and fields as they go inside.
    pub(super) forward: Vec<u8>,
    pub(super) body: Vec<u8>,
    /// What came back from the backend.
    pub(super) answer: Vec<u8>,
    /// What goes to the client.
    pub(super) out: Vec<u8>,
    /// The client has left while the backend worked.
    pub(super) left: bool,
    /// Has had a whole head.
    served: bool,
    seat: Seat,
}

/// What becomes of the connection after a call.
#[derive(PartialEq, Eq)]
pub(super) enum Next {
    Again,
    /// An answer was sent; drain, then close.
    Close,
    /// There is nobody to talk to.
    Gone,
}

/// Counts a call as long as it lives.
pub(super) struct Busy<'i>(&'i AtomicUsize);

impl<'i> Busy<'i> {
    fn new(count: &'i AtomicUsize) -> Busy<'i> {
        count.fetch_add(1, Ordering::AcqRel);
        Busy(count)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<'i> Connection<'i> {
    /// None where TLS cannot begin.
    pub(super) fn new(shared: &'i GateShared, seat: Seat, peer: IpAddr) -> Option<Connection<'i>> {
        let wire = match &shared.options.tls {
            None => Transport::Plain(seat.socket()),
            Some(tls) => Transport::Tls(Box::new(tls.accept(seat.socket()).ok()?)),
        };
        Some(Connection {
            shared,
            client: ClientStream::new(wire, shared.options.clock.clone()),
            peer,
            read_buffer: ReadBuffer::new(),
            forward: Vec::new(),
            body: Vec::new(),
            answer: Vec::new(),
            out: Vec::new(),
            left: false,
            served: false,
            seat,
        })
    }

    /// Serves calls until the connection ends.
    pub(super) fn run(mut self) {
        loop {
            match self.call() {
                Next::Again => self.trim(),
                Next::Close => {
                    self.client.linger(self.shared.options.limits.linger);
                    return;
                }
                Next::Gone => return,
            }
        }
    }

    fn call(&mut self) -> Next {
        let shared = self.shared;
        let len = match self.await_head() {
            Ok(Some(len)) => len,
            Ok(None) => return Next::Gone,
            Err(e) => return self.refuse_unread(&e),
        };
        let bytes = &self.read_buffer.bytes()[..len];
        let parsed = head::parse(bytes, &shared.options.limits, &mut self.forward);
        self.read_buffer.consume(len);
        let head = match parsed {
            Ok(head) => head,
            Err(e) => return self.refuse_unread(&e),
        };
        self.served = true;
        let _busy = Busy::new(&shared.busy);
        let mut rule = (shared.options.rules)(head.method(&self.forward), head.path(&self.forward));
        if let Some(answer) = rule.answer_here.take() {
            return self.answer_here(&head, &answer);
        }
        if let Some(over) = self.seat.over().filter(|_| !rule.always_served) {
            return self.refuse(&no_place(over), &head, false);
        }
        let token = match self.token(&head, &rule) {
            Ok(token) => token,
            Err(e) => {
                let keep = self.skip_body(&head);
                return self.refuse(&e, &head, keep);
            }
        };
        // The share holds the bytes of the body until the call is over.
        let (body, _share) = self.read_body(&head, &rule, token.number);
        match body {
            Body::Here { keep, mark } => self.exchange(&head, &rule, token, keep, mark),
            Body::Refused { keep, error } => self.refuse(&error, &head, keep),
            Body::Gone => Next::Gone,
        }
    }

    /// The token of a call, which is counted under it unless its rule exempts it.
    fn token(&self, head: &RequestHead, rule: &CallLimits) -> Result<Credentials<'i>, Error> {
        let shared = self.shared;
        let credentials = head.credentials(&self.forward);
        let mut token = Credentials {
            number: credentials.map(|c| shared.token(c)),
            under_way: None,
        };
        if let Some(number) = token.number.filter(|_| !rule.uncounted) {
            let max = shared.options.limits.calls_per_token_max;
            let entered = shared.calls.enter(number);
            token.under_way = Some(entered.ok_or_else(|| answer::too_many_calls(max))?);
        }
        Ok(token)
    }

    /// Waits for a whole head; its length, or `None` when the client has nothing (more) to say.
    fn await_head(&mut self) -> Result<Option<usize>, Error> {
        let shared = self.shared;
        let limits = &shared.options.limits;
        let clock = &shared.options.clock;
        let in_anteroom = self.seat.over().is_some();
        let mut scan = HeadScan::default();
        let wait = match (in_anteroom, self.served) {
            (true, _) => limits.anteroom,
            (false, true) => limits.idle,
            (false, false) => limits.first_byte,
        };
        let mut deadline = if self.read_buffer.is_empty() {
            self.seat.now_idle();
            // Either we see the flag here, or the stopping server sees that we are idle and ends the read below.
            if shared.stopping.load(Ordering::SeqCst) {
                return Ok(None);
            }
            clock.instant() + wait
        } else {
            clock.instant() + limits.head
        };
        loop {
            if let Some(len) = scan.advance(self.read_buffer.bytes(), limits)? {
                self.seat.now_busy();
                return Ok(Some(len));
            }
            let waiting = self.read_buffer.is_empty();
            let slice = if waiting { wait } else { limits.tick };
            let room = self.read_buffer.room(limits.head_bytes_max + 1);
            match self.client.read(room, deadline, slice) {
                Got::Bytes(n) => {
                    self.read_buffer.added(n);
                    // In the anteroom the whole head has one deadline, and who is slow makes room for others.
                    if waiting && !in_anteroom {
                        self.seat.now_busy();
                        deadline = clock.instant() + limits.head;
                    }
                }
                Got::Late if !waiting => return Err(answer::too_slow("request head")),
                Got::Late | Got::End => return Ok(None),
            }
        }
    }

    /// An answer that needs no worker.
    fn answer_here(&mut self, head: &RequestHead, answer: &DirectResponse) -> Next {
        let keep = self.keep(head) && head.framing == Framing::Length(0);
        let own = OwnResponse {
            status: answer.status,
            content_type: answer.content_type,
            body: &answer.body,
            retry_after_secs: None,
        };
        let common = self.common(&head.request_id, keep);
        answer::own(&mut self.out, &own, &common, head.is_head);
        self.send(0..0, keep)
    }

    /// Refuses a head that could not be read.
    fn refuse_unread(&mut self, error: &Error) -> Next {
        let id = crypto::hex(&crypto::random::<8>());
        self.shared.count_refused(error.code());
        let common = self.common(&id, false);
        answer::error(&mut self.out, error, &common, false);
        self.send(0..0, false)
    }

    /// Answers a call with an error. `keep` only if its body has been read.
    pub(super) fn refuse(&mut self, error: &Error, head: &RequestHead, keep: bool) -> Next {
        let keep = keep && self.keep(head);
        self.shared.count_refused(error.code());
        let common = self.common(&head.request_id, keep);
        answer::error(&mut self.out, error, &common, head.is_head);
        self.send(0..0, keep)
    }

    /// Sends `self.out` and then that part of `self.answer`.
    pub(super) fn send(&mut self, body: std::ops::Range<usize>, keep: bool) -> Next {
        /// A body up to this size is cheaper to copy after its head than to write from two places.
        const COPY_BYTES_MAX: usize = 16 * 1024;
        let pace = self.reply_pace((self.out.len() + body.len()) as u64);
        let mut body = self.answer.get(body).unwrap_or_default();
        if body.len() <= COPY_BYTES_MAX {
            self.out.extend_from_slice(body);
            body = b"";
        }
        match (self.client.write(&self.out, body, pace), keep) {
            (true, true) => Next::Again,
            (true, false) => Next::Close,
            (false, _) => Next::Gone,
        }
    }

    /// Whether the connection stays open after this answer.
    pub(super) fn keep(&self, head: &RequestHead) -> bool {
        head.keep_alive
            && self.seat.over().is_none()
            && !self.shared.draining.load(Ordering::Acquire)
            && !self.outdated()
    }

    /// Whether the client has presented a certificate, and another configuration of TLS is served by now.
    fn outdated(&self) -> bool {
        let source = self.shared.options.tls.as_deref();
        let both = self.client.tls().zip(source);
        both.is_some_and(|(stream, source)| stream.is_outdated(source))
    }

    pub(super) fn common<'a>(&self, request_id: &'a str, keep_alive: bool) -> Common<'a> {
        Common {
            version: self.shared.options.version,
            request_id,
            keep_alive,
        }
    }

    /// Looks whether the client is still there. What it sent meanwhile is kept for the next call: just peeking would
    /// let one pipelined byte hide that it has closed.
    pub(super) fn client_gone(&mut self) -> bool {
        let room = self.read_buffer.room(PEEKED_BYTES_MAX);
        if room.is_empty() {
            return false;
        }
        match self.client.read_now(room) {
            Got::Bytes(n) => {
                self.read_buffer.added(n);
                false
            }
            Got::End => true,
            Got::Late => false,
        }
    }

    pub(super) fn reply_pace(&self, bytes: u64) -> Pace {
        let limits = &self.shared.options.limits;
        let now = self.shared.options.clock.instant();
        Pace::new(now, bytes, limits.reply, limits.bytes_per_sec_min)
    }

    fn trim(&mut self) {
        self.read_buffer.trim();
        for buffer in [
            &mut self.forward,
            &mut self.body,
            &mut self.answer,
            &mut self.out,
        ] {
            if buffer.capacity() > KEEP_BYTES {
                *buffer = Vec::new();
            }
        }
    }
}

fn no_place(over: ConnectionLimit) -> Error {
    Error::unavailable(match over {
        ConnectionLimit::All => "too many connections",
        ConnectionLimit::Address => "too many connections from one address",
    })
}
