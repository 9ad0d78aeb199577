//! One call and the backend: sent whole, answered whole, and sent again after each wait.

use super::body::Mark;
use super::{Connection, Next};
use crate::error::Error;
use crate::gate::CallLimits;
use crate::gate::answer::{self, Relayed};
use crate::gate::backend::{self, ResumeReason};
use crate::gate::budget::Share;
use crate::gate::calls::UnderWay;
use crate::gate::head::RequestHead;
use crate::gate::hub::{ParkOutcome, Stay, WakeGrant};
use crate::gate::limits::{PARK_WAIT_MAX, SMALL_ANSWER_BYTES};
use crate::gate::pace::is_pause;
use crate::gate::park::Park;
use crate::gate::pool::PooledConnection;
use crate::gate::tls::TlsStream;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::io::{Read, Write};
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Bytes of a client's certificate, DER; a larger one counts as none.
const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;

/// Head of an answer of the backend; the application's are below 1 KiB.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// First size of the buffer for answers: an ordinary one fits whole.
const START_BYTES: usize = 4 * 1024;
/// A body up to this size is sent in one write with its head.
const COPY_BYTES_MAX: usize = 16 * 1024;

/// Why the call is sent again, and with what.
struct Resend {
    reason: ResumeReason,
    memo: String,
    until: Instant,
}

/// The credentials of a call, valid or not, as the gate distinguishes them.
#[derive(Default)]
pub(super) struct Credentials<'c> {
    /// The same number for the same credentials.
    pub(super) number: Option<u64>,
    /// The call, counted under it.
    pub(super) under_way: Option<UnderWay<'c>>,
}

impl Connection<'_> {
    /// Has the backend answer the call in `self.forward` and `self.body`, waiting in the hub if it says so.
    #[inline(never)]
    pub(super) fn exchange(
        &mut self,
        head: &RequestHead,
        rule: &CallLimits,
        mut caller: Credentials<'_>,
        keep_after: bool,
        mark: Option<Mark>,
    ) -> Next {
        let shared = self.shared;
        self.push_fixed(head, mark);
        let base = self.forward.len();
        let mut resume: Option<Resend> = None;
        let mut grant: Option<WakeGrant> = None;
        loop {
            self.forward.truncate(base);
            let mut share = shared.answers.share(caller.number, SMALL_ANSWER_BYTES);
            // After a body that was not read nothing on this connection can be read any more.
            let keep = self.keep(head) && keep_after;
            let passed = self.pass(head, rule, resume.as_ref(), keep, &mut share);
            if self.left {
                return Next::Gone;
            }
            let (relayed, body) = match passed {
                Ok(passed) => passed,
                Err(e) => return self.refuse(&e, head, keep_after),
            };
            if !relayed.park {
                if grant.is_some() && self.client_gone() {
                    return Next::Gone;
                }
                // Over before its client can read the answer and send the next.
                caller.under_way = None;
                let next = self.send(body, keep);
                if next != Next::Gone
                    && let Some(grant) = grant
                {
                    grant.consumed();
                }
                return next;
            }
            if let Some(grant) = grant.take() {
                grant.consumed();
            }
            let may_wait = resume.as_ref().is_none_or(|r| r.reason.may_wait());
            let park = Park::decode(&self.answer[body]).filter(|_| may_wait);
            let Some(park) = park else {
                log::error!("the backend parked a call that cannot wait");
                return self.refuse(&answer::bad_gateway(), head, keep_after);
            };
            let now = shared.options.clock.instant();
            let asked = now + park.wait.min(PARK_WAIT_MAX);
            let until = resume.as_ref().map_or(asked, |r| r.until.min(asked));
            let reason = match self.wait(&caller, &park, until) {
                ParkOutcome::Gone => return Next::Gone,
                ParkOutcome::Event(woken) => {
                    grant = Some(woken);
                    ResumeReason::Event
                }
                ParkOutcome::Deadline => ResumeReason::Deadline,
                ParkOutcome::Shutdown => ResumeReason::Shutdown,
                ParkOutcome::Full => ResumeReason::Full,
            };
            let memo = park.memo;
            resume = Some(Resend {
                reason,
                memo,
                until,
            });
        }
    }

    fn wait(&mut self, caller: &Credentials<'_>, park: &Park, until: Instant) -> ParkOutcome {
        let options = &self.shared.options;
        let stay = Stay {
            park,
            token: caller.number.unwrap_or_default(),
            until,
            clock: &options.clock,
            tick: options.limits.tick,
        };
        let mut wait = || options.hub.park(&stay, || self.client_gone());
        match &caller.under_way {
            Some(under_way) => under_way.aside(wait),
            None => wait(),
        }
    }

    /// The fields that are the same on every pass.
    fn push_fixed(&mut self, head: &RequestHead, mark: Option<Mark>) {
        let certificate = self.client.tls().and_then(TlsStream::certificate);
        let certificate = certificate.filter(|der| der.len() <= CERTIFICATE_BYTES_MAX);
        let out = &mut self.forward;
        if let Some(der) = certificate {
            let _ = write!(out, "{}: {}\r\n", backend::CERTIFICATE, BASE64.encode(der));
        }
        let key = self.shared.options.key.reveal();
        let _ = write!(
            out,
            "{}: {key}\r\n{}: {}\r\n{}: {}\r\n",
            backend::KEY,
            backend::PEER,
            self.peer,
            backend::ID,
            head.request_id
        );
        let _ = match mark {
            Some(Mark::Oversize(bytes)) => write!(out, "{}: {bytes}\r\n", backend::OVERSIZE),
            Some(Mark::BodyUnread) => write!(out, "{}: 1\r\n", backend::UNREAD),
            None => Ok(()),
        };
    }

    /// The fields of this pass, and the end of the head.
    fn push_pass(&mut self, exchange: u64, resume: Option<&Resend>) {
        let out = &mut self.forward;
        let _ = write!(out, "{}: {exchange}\r\n", backend::EXCHANGE);
        if let Some(resume) = resume {
            let now = self.shared.options.clock.instant();
            let left = resume.until.saturating_duration_since(now);
            let _ = write!(
                out,
                "{}: {}\r\n{}: {}\r\n{}: {}\r\n",
                backend::RESUME,
                resume.reason.as_str(),
                backend::MEMO,
                crate::crypto::hex(resume.memo.as_bytes()),
                backend::LEFT_MS,
                left.as_millis()
            );
        }
        if !self.body.is_empty() {
            let _ = write!(out, "Content-Length: {}\r\n", self.body.len());
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Sends the call once and reads the answer: its head for the client is in `self.out`, its body in that part of
    /// `self.answer`.
    fn pass(
        &mut self,
        head: &RequestHead,
        rule: &CallLimits,
        resume: Option<&Resend>,
        keep: bool,
        share: &mut Share<'_>,
    ) -> Result<(Relayed, Range<usize>), Error> {
        let shared = self.shared;
        let exchange = shared.exchanges.fetch_add(1, Ordering::Relaxed);
        self.push_pass(exchange, resume);
        let lease = shared.pool.lease(shared.options.limits.acquire)?;
        let deadline = shared.options.clock.instant() + rule.deadline;
        self.deliver(&lease, deadline)?;
        let (head_len, filled) = self.receive_head(&lease, deadline)?;
        let common = self.common(&head.request_id, keep);
        let relayed = answer::relay(
            &self.answer[..head_len],
            exchange,
            head.is_head,
            &common,
            &mut self.out,
        )
        .ok_or_else(answer::bad_gateway)?;
        let total = head_len + relayed.body_bytes;
        if filled > total || relayed.body_bytes > shared.options.limits.answer_bytes_max {
            return Err(answer::bad_gateway());
        }
        if let Err(over) = share.cover(relayed.body_bytes) {
            return Err(answer::too_many_bytes(over, "answers"));
        }
        self.receive_rest(&lease, filled, total, deadline)?;
        lease.give_back();
        Ok((relayed, head_len..total))
    }

    /// Writes the call. The backend reads it whole before it works, so this ends quickly once a worker is free.
    fn deliver(&mut self, lease: &PooledConnection<'_>, deadline: Instant) -> Result<(), Error> {
        let copied = self.body.len() <= COPY_BYTES_MAX;
        if copied {
            self.forward.extend_from_slice(&self.body);
        }
        let mut stream = lease.stream().map_err(lost)?;
        let mut at = 0;
        let total = self.forward.len() + if copied { 0 } else { self.body.len() };
        while at < total {
            let part = match at.checked_sub(self.forward.len()) {
                None => &self.forward[at..],
                Some(at) => &self.body[at..],
            };
            match stream.write(part) {
                Ok(n) => at += n,
                Err(e) if is_pause(&e) => self.still_waiting(deadline)?,
                Err(e) => return Err(lost(e)),
            }
        }
        Ok(())
    }

    /// Reads until the head of the answer is whole: its length, and how many bytes are there.
    fn receive_head(
        &mut self,
        lease: &PooledConnection<'_>,
        deadline: Instant,
    ) -> Result<(usize, usize), Error> {
        const END: &[u8] = b"\r\n\r\n";
        if self.answer.len() < START_BYTES {
            self.answer.resize(START_BYTES, 0);
        }
        let mut filled = 0;
        loop {
            if filled == self.answer.len() {
                if filled >= HEAD_BYTES_MAX {
                    return Err(answer::bad_gateway());
                }
                self.answer.resize(filled * 2, 0);
            }
            let n = self.receive(lease, filled, deadline)?;
            let from = filled.saturating_sub(END.len() - 1);
            filled += n;
            let seen = &self.answer[from..filled];
            if let Some(at) = seen.windows(END.len()).position(|w| w == END) {
                return Ok((from + at + END.len(), filled));
            }
        }
    }

    fn receive_rest(
        &mut self,
        lease: &PooledConnection<'_>,
        mut filled: usize,
        total: usize,
        deadline: Instant,
    ) -> Result<(), Error> {
        if self.answer.len() < total {
            self.answer.resize(total, 0);
        }
        while filled < total {
            // Never beyond the end of this answer: what lies there is checked by the next exchange's number.
            self.answer.truncate(total);
            filled += self.receive(lease, filled, deadline)?;
        }
        Ok(())
    }

    fn receive(
        &mut self,
        lease: &PooledConnection<'_>,
        filled: usize,
        deadline: Instant,
    ) -> Result<usize, Error> {
        let mut stream = lease.stream().map_err(lost)?;
        loop {
            match stream.read(&mut self.answer[filled..]) {
                Ok(0) => return Err(lost(std::io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => return Ok(n),
                Err(e) if is_pause(&e) => self.still_waiting(deadline)?,
                Err(e) => return Err(lost(e)),
            }
        }
    }

    /// Once a tick while the backend works. A client that leaves is hung up on, but its exchange is seen through:
    /// the worker is busy either way, and backend connection and worker stay in step.
    fn still_waiting(&mut self, deadline: Instant) -> Result<(), Error> {
        if self.shared.cut.load(Ordering::Acquire) {
            return Err(Error::unavailable("the server is stopping"));
        }
        if self.shared.options.clock.instant() >= deadline {
            return Err(answer::no_answer_in_time());
        }
        if !self.left && self.client_gone() {
            self.left = true;
            self.client.cut();
        }
        Ok(())
    }
}

fn lost(e: std::io::Error) -> Error {
    log::warn!("an backend connection was lost: {e}");
    answer::bad_gateway()
}
