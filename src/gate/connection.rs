//! One client connection on its own thread: head, body, exchange with the inside, answer, and again.

use crate::crypto;
use crate::error::Error;
use crate::gate::answer::{self, Common, Own};
use crate::gate::budget::Share;
use crate::gate::chunks::{Chunks, Fault};
use crate::gate::head::{self, Framing, Head, Scan};
use crate::gate::inbox::Inbox;
use crate::gate::limits::SMALL_BODY_BYTES;
use crate::gate::pace::Pace;
use crate::gate::registry::Seat;
use crate::gate::stream::{Client, Got, Wire};
use crate::gate::{Answer, Inside, Rule};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A body is read in steps of at least this much, and its memory grows with what has come, not with what was
/// announced.
const STEP_BYTES: usize = 64 * 1024;

/// Buffers larger than this are given back between calls.
const KEEP_BYTES: usize = 32 * 1024;

pub(super) struct Connection<'i> {
    pub(super) inside: &'i Inside,
    pub(super) client: Client,
    pub(super) peer: IpAddr,
    pub(super) inbox: Inbox,
    /// Request line and fields as they go inside.
    pub(super) forward: Vec<u8>,
    pub(super) body: Vec<u8>,
    /// What came back from the inside.
    pub(super) answer: Vec<u8>,
    /// What goes to the client.
    pub(super) out: Vec<u8>,
    /// The client has left while the inside worked.
    pub(super) left: bool,
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

/// Why a body was not read.
enum Stop {
    Gone,
    Refuse(Error),
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
    pub(super) fn new(inside: &'i Inside, seat: Seat, peer: IpAddr) -> Connection<'i> {
        let wire = Wire::Plain(seat.entry.socket.clone());
        Connection {
            inside,
            client: Client::new(wire, inside.options.clock.clone()),
            peer,
            inbox: Inbox::new(),
            forward: Vec::new(),
            body: Vec::new(),
            answer: Vec::new(),
            out: Vec::new(),
            left: false,
            seat,
        }
    }

    /// Serves calls until the connection ends.
    pub(super) fn run(mut self) {
        loop {
            match self.call() {
                Next::Again => self.trim(),
                Next::Close => {
                    self.client.linger(self.inside.options.limits.linger);
                    return;
                }
                Next::Gone => return,
            }
        }
    }

    fn call(&mut self) -> Next {
        let inside = self.inside;
        let len = match self.await_head() {
            Ok(Some(len)) => len,
            Ok(None) => return Next::Gone,
            Err(e) => return self.refuse_unread(&e),
        };
        let bytes = &self.inbox.bytes()[..len];
        let parsed = head::parse(bytes, &inside.options.limits, &mut self.forward);
        self.inbox.consume(len);
        let head = match parsed {
            Ok(head) => head,
            Err(e) => return self.refuse_unread(&e),
        };
        let _busy = Busy::new(&inside.busy);
        let mut rule = (inside.options.rules)(head.method(&self.forward), head.path(&self.forward));
        if let Some(answer) = rule.answer_here.take() {
            return self.answer_here(&head, &answer);
        }
        let mut share = inside.bodies.share(SMALL_BODY_BYTES);
        match self.read_body(&head, &rule, &mut share) {
            Ok(oversize) => self.exchange(&head, &rule, oversize),
            Err(Stop::Gone) => Next::Gone,
            Err(Stop::Refuse(e)) => self.refuse(&e, &head, false),
        }
    }

    /// Waits for a whole head; its length, or `None` when the client has nothing (more) to say.
    fn await_head(&mut self) -> Result<Option<usize>, Error> {
        let limits = &self.inside.options.limits;
        let clock = &self.inside.options.clock;
        let mut scan = Scan::default();
        let mut deadline = if self.inbox.is_empty() {
            self.seat.entry.idle.store(true, Ordering::SeqCst);
            // Either we see the flag here, or the stopping server sees that we are idle and ends the read below.
            if self.inside.stopping.load(Ordering::SeqCst) {
                return Ok(None);
            }
            clock.instant() + limits.idle
        } else {
            clock.instant() + limits.head
        };
        loop {
            if let Some(len) = scan.advance(self.inbox.bytes(), limits)? {
                return Ok(Some(len));
            }
            let waiting = self.inbox.is_empty();
            let slice = if waiting { limits.idle } else { limits.tick };
            let room = self.inbox.room(limits.head_bytes_max + 1);
            match self.client.read(room, deadline, slice) {
                Got::Bytes(n) => {
                    self.inbox.added(n);
                    if waiting {
                        self.seat.entry.idle.store(false, Ordering::SeqCst);
                        deadline = clock.instant() + limits.head;
                    }
                }
                Got::Late if !waiting => return Err(answer::too_slow("request head")),
                Got::Late | Got::End => return Ok(None),
            }
        }
    }

    /// Reads the body whole into `self.body`. `Some` with its announced size if it is too large and the rule wants
    /// the head delivered all the same.
    #[inline(never)]
    fn read_body(
        &mut self,
        head: &Head,
        rule: &Rule,
        share: &mut Share<'_>,
    ) -> Result<Option<u64>, Stop> {
        self.body.clear();
        match head.framing {
            Framing::Length(0) => Ok(None),
            Framing::Length(n) if n > rule.body_max as u64 => self.oversize(n, rule),
            Framing::Length(n) => {
                self.say_continue(head)?;
                self.read_length(n as usize, share).map(|()| None)
            }
            Framing::Chunked => {
                self.say_continue(head)?;
                self.read_chunks(rule, share)
            }
        }
    }

    fn oversize(&mut self, bytes: u64, rule: &Rule) -> Result<Option<u64>, Stop> {
        self.body.clear();
        if rule.deliver_head_if_oversize {
            return Ok(Some(bytes));
        }
        Err(Stop::Refuse(answer::too_large(rule.body_max)))
    }

    fn say_continue(&mut self, head: &Head) -> Result<(), Stop> {
        if !head.expects_continue || !self.inbox.is_empty() {
            return Ok(());
        }
        let pace = self.reply_pace(0);
        let line = b"HTTP/1.1 100 Continue\r\n\r\n";
        self.client
            .write(line, b"", pace)
            .then_some(())
            .ok_or(Stop::Gone)
    }

    fn read_length(&mut self, total: usize, share: &mut Share<'_>) -> Result<(), Stop> {
        let inside = self.inside;
        let mut pace = self.body_pace(total as u64);
        let have = self.inbox.bytes().len().min(total);
        self.body.extend_from_slice(&self.inbox.bytes()[..have]);
        self.inbox.consume(have);
        let mut filled = have;
        while filled < total {
            if filled == self.body.len() {
                let len = total.min((filled * 2).max(filled + STEP_BYTES));
                cover(share, len)?;
                self.body.resize(len, 0);
            }
            let room = &mut self.body[filled..];
            match self
                .client
                .read(room, pace.deadline(), inside.options.limits.tick)
            {
                Got::Bytes(n) => {
                    filled += n;
                    pace.moved(n, || inside.options.clock.instant());
                }
                Got::Late => return Err(Stop::Refuse(answer::too_slow("request body"))),
                Got::End => return Err(Stop::Gone),
            }
        }
        Ok(())
    }

    fn read_chunks(&mut self, rule: &Rule, share: &mut Share<'_>) -> Result<Option<u64>, Stop> {
        let inside = self.inside;
        let mut pace = self.body_pace(rule.body_max as u64);
        let mut chunks = Chunks::new();
        loop {
            match chunks.feed(self.inbox.bytes(), &mut self.body, rule.body_max) {
                Ok(used) => self.inbox.consume(used),
                Err(Fault::TooLarge) => return self.oversize(rule.body_max as u64 + 1, rule),
                Err(Fault::Malformed(e)) => return Err(Stop::Refuse(e)),
            }
            cover(share, self.body.len())?;
            if chunks.done() {
                return Ok(None);
            }
            let room = self.inbox.room(STEP_BYTES);
            match self
                .client
                .read(room, pace.deadline(), inside.options.limits.tick)
            {
                Got::Bytes(n) => {
                    self.inbox.added(n);
                    pace.moved(n, || inside.options.clock.instant());
                }
                Got::Late => return Err(Stop::Refuse(answer::too_slow("request body"))),
                Got::End => return Err(Stop::Gone),
            }
        }
    }

    /// An answer that needs no worker.
    fn answer_here(&mut self, head: &Head, answer: &Answer) -> Next {
        let keep = self.keep(head) && head.framing == Framing::Length(0);
        let own = Own {
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
        self.inside.count_refused(error.code());
        let common = self.common(&id, false);
        answer::error(&mut self.out, error, &common, false);
        self.send(0..0, false)
    }

    /// Answers a call with an error. `keep` only if its body has been read.
    pub(super) fn refuse(&mut self, error: &Error, head: &Head, keep: bool) -> Next {
        let keep = keep && self.keep(head);
        self.inside.count_refused(error.code());
        let common = self.common(&head.request_id, keep);
        answer::error(&mut self.out, error, &common, head.is_head);
        self.send(0..0, keep)
    }

    /// Sends `self.out` and then that part of `self.answer`.
    pub(super) fn send(&mut self, body: std::ops::Range<usize>, keep: bool) -> Next {
        /// A body up to this size is cheaper to copy behind its head than to write from two places.
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
    pub(super) fn keep(&self, head: &Head) -> bool {
        head.keep_alive && !self.inside.draining.load(Ordering::Acquire)
    }

    pub(super) fn common<'a>(&self, request_id: &'a str, keep_alive: bool) -> Common<'a> {
        Common {
            version: self.inside.options.version,
            request_id,
            keep_alive,
        }
    }

    /// Looks whether the client is still there. What it sent meanwhile is kept for the next call: just peeking would
    /// let one pipelined byte hide that it has closed.
    pub(super) fn client_gone(&mut self) -> bool {
        let room = self.inbox.room(STEP_BYTES);
        if room.is_empty() {
            return false;
        }
        match self.client.read_now(room) {
            Got::Bytes(n) => {
                self.inbox.added(n);
                false
            }
            Got::End => true,
            Got::Late => false,
        }
    }

    fn body_pace(&self, bytes: u64) -> Pace {
        let limits = &self.inside.options.limits;
        let now = self.inside.options.clock.instant();
        Pace::new(now, bytes, limits.body, limits.bytes_per_sec_min)
    }

    fn reply_pace(&self, bytes: u64) -> Pace {
        let limits = &self.inside.options.limits;
        let now = self.inside.options.clock.instant();
        Pace::new(now, bytes, limits.reply, limits.bytes_per_sec_min)
    }

    fn trim(&mut self) {
        self.inbox.trim();
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

fn cover(share: &mut Share<'_>, bytes: usize) -> Result<(), Stop> {
    if share.cover(bytes) {
        return Ok(());
    }
    Err(Stop::Refuse(Error::unavailable(
        "the server holds too many request bodies at the moment",
    )))
}
