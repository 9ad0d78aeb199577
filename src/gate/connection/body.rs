//! Bodies of calls: whose they are is asked first; then they are read whole, dropped, or left where they are.

use super::Connection;
use crate::error::Error;
use crate::gate::answer;
use crate::gate::budget::Share;
use crate::gate::chunks::Chunks;
use crate::gate::head::{Framing, RequestHead};
use crate::gate::pace::Pace;
use crate::gate::stream::Got;
use crate::gate::{Admission, CallLimits, RequestPreview};

/// A body is read in steps of at least this much, and its memory grows with what has come, not with what was
/// announced.
const STEP_BYTES: usize = 64 * 1024;

/// What the backend has to know of a body that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Larger than the rule allows: so many bytes (of a chunked one: at least).
    Oversize(u64),
    /// Nobody may send one here with these credentials.
    BodyUnread,
}

/// How the reading of a body ended. `keep`: the next call may follow on the connection.
pub(super) enum Body {
    /// It is in `Connection::body`, or marked as absent.
    Here { keep: bool, mark: Option<Mark> },
    /// The gate answers by itself.
    Refused { keep: bool, error: Error },
    /// The client has left.
    Gone,
}

/// What came of reading a body.
struct Taken {
    /// The announced size of one that is too large and dropped, where the rule wants the head delivered all the same.
    oversize: Option<u64>,
    keep: bool,
}

/// Why a body was not read.
enum Stop {
    Gone,
    Refuse { error: Error, keep: bool },
}

impl<'i> Connection<'i> {
    /// Reads the body into `self.body`. The share covers it as long as the call lives.
    #[inline(never)]
    pub(super) fn read_body(
        &mut self,
        head: &RequestHead,
        rule: &CallLimits,
        token: Option<u64>,
    ) -> (Body, Option<Share<'i>>) {
        self.body.clear();
        if head.framing == Framing::Length(0) {
            return (Body::here(true, None), None);
        }
        let admission = (self.shared.options.admit)(&RequestPreview {
            method: head.method(&self.forward),
            path: head.path(&self.forward),
            authorization: head.authorization(&self.forward),
            cookie: head.cookie(&self.forward),
        });
        if admission == Admission::HeadOnly {
            let keep = self.skip_body(head);
            return (Body::here(keep, Some(Mark::BodyUnread)), None);
        }
        let mut share = self.shared.share_of_bodies(admission, token);
        // A client that waits for `100 Continue` sends nothing before it.
        let waits = head.expects_continue && self.read_buffer.is_empty();
        let drops = admission == Admission::Result && !waits;
        let taken = match head.framing {
            Framing::Length(n) if n > rule.body_max as u64 => self.too_large(n, rule, drops),
            Framing::Length(n) => self.read_length(head, n as usize, &mut share, drops),
            Framing::Chunked => self.read_chunks(head, rule, &mut share, drops),
        };
        let body = match taken {
            Ok(Taken { oversize, keep }) => Body::here(keep, oversize.map(Mark::Oversize)),
            Err(Stop::Refuse { error, keep }) => Body::Refused { keep, error },
            Err(Stop::Gone) => Body::Gone,
        };
        (body, Some(share))
    }

    /// Drops a body that has come whole with its head; returns whether the next call may follow on the connection.
    pub(super) fn skip_body(&mut self, head: &RequestHead) -> bool {
        match head.framing {
            Framing::Length(n) if n <= self.read_buffer.bytes().len() as u64 => {
                self.read_buffer.consume(n as usize);
                true
            }
            _ => false,
        }
    }

    fn too_large(&mut self, bytes: u64, rule: &CallLimits, drops: bool) -> Result<Taken, Stop> {
        let keep = drops && self.drop_bytes(bytes);
        oversize(bytes, rule, keep)
    }

    /// Reads and drops what is still to come, so that the client can finish sending; returns whether that was all.
    fn drop_bytes(&mut self, bytes: u64) -> bool {
        let bound = bytes.min(self.shared.options.limits.drained_bytes_max);
        let mut pace = self.body_pace(bound);
        let mut dropped = 0;
        while dropped < bound {
            let here = (self.read_buffer.bytes().len() as u64).min(bound - dropped);
            self.read_buffer.consume(here as usize);
            dropped += here;
            if here == 0 && self.read_more(&mut pace).is_err() {
                return false;
            }
        }
        dropped == bytes
    }

    fn say_continue(&mut self, head: &RequestHead) -> Result<(), Stop> {
        if !head.expects_continue || !self.read_buffer.is_empty() {
            return Ok(());
        }
        let pace = self.reply_pace(0);
        let line = b"HTTP/1.1 100 Continue\r\n\r\n";
        self.client
            .write(line, b"", pace)
            .then_some(())
            .ok_or(Stop::Gone)
    }

    fn read_length(
        &mut self,
        head: &RequestHead,
        total: usize,
        share: &mut Share<'_>,
        drops: bool,
    ) -> Result<Taken, Stop> {
        self.say_continue(head)?;
        let shared = self.shared;
        let mut pace = self.body_pace(total as u64);
        let have = self.read_buffer.bytes().len().min(total);
        self.body
            .extend_from_slice(&self.read_buffer.bytes()[..have]);
        self.read_buffer.consume(have);
        let mut filled = have;
        while filled < total {
            if filled == self.body.len() {
                let len = total.min((filled * 2).max(filled + STEP_BYTES));
                if let Err(over) = share.cover(len) {
                    self.body = Vec::new();
                    let keep = drops && self.drop_bytes((total - filled) as u64);
                    let error = answer::too_many_bytes(over, "request bodies");
                    return Err(Stop::Refuse { error, keep });
                }
                self.body.resize(len, 0);
            }
            let room = &mut self.body[filled..];
            match self
                .client
                .read(room, pace.deadline(), shared.options.limits.tick)
            {
                Got::Bytes(n) => {
                    filled += n;
                    pace.moved(n, || shared.options.clock.instant());
                }
                Got::Late => return Err(Stop::late()),
                Got::End => return Err(Stop::Gone),
            }
        }
        Ok(Taken {
            oversize: None,
            keep: true,
        })
    }

    /// The same for a body in chunks; one that is not kept is decoded all the same, since nothing else shows its end.
    fn read_chunks(
        &mut self,
        head: &RequestHead,
        rule: &CallLimits,
        share: &mut Share<'_>,
        drops: bool,
    ) -> Result<Taken, Stop> {
        self.say_continue(head)?;
        let body_max = rule.body_max as u64;
        let drained_max = self.shared.options.limits.drained_bytes_max;
        let mut pace = self.body_pace(if drops { drained_max } else { body_max });
        let (mut chunks, mut total) = (Chunks::new(), 0_u64);
        let mut early = None;
        loop {
            let before = self.body.len();
            match chunks.feed(self.read_buffer.bytes(), &mut self.body) {
                Ok(used) => self.read_buffer.consume(used),
                Err(error) => return Err(Stop::Refuse { error, keep: false }),
            }
            total += (self.body.len() - before) as u64;
            if early.is_none() && total > body_max {
                early = Some(oversize(body_max + 1, rule, drops));
            } else if early.is_none()
                && let Err(over) = share.cover(self.body.len())
            {
                let error = answer::too_many_bytes(over, "request bodies");
                early = Some(Err(Stop::Refuse { error, keep: drops }));
            }
            if early.is_some() {
                self.body.clear();
            }
            let goes_on = early.is_none() || (drops && total <= drained_max);
            if chunks.done() || !goes_on {
                let whole = Taken {
                    oversize: None,
                    keep: true,
                };
                return early.unwrap_or(Ok(whole)).map(|taken| Taken {
                    // Counted to its end, where it was.
                    oversize: taken
                        .oversize
                        .map(|least| if drops { total } else { least }),
                    keep: taken.keep && chunks.done(),
                });
            }
            self.read_more(&mut pace)?;
        }
    }

    fn read_more(&mut self, pace: &mut Pace) -> Result<(), Stop> {
        let shared = self.shared;
        let room = self.read_buffer.room(STEP_BYTES);
        match self
            .client
            .read(room, pace.deadline(), shared.options.limits.tick)
        {
            Got::Bytes(n) => {
                self.read_buffer.added(n);
                pace.moved(n, || shared.options.clock.instant());
                Ok(())
            }
            Got::Late => Err(Stop::late()),
            Got::End => Err(Stop::Gone),
        }
    }

    fn body_pace(&self, bytes: u64) -> Pace {
        let limits = &self.shared.options.limits;
        let now = self.shared.options.clock.instant();
        Pace::new(now, bytes, limits.body, limits.bytes_per_sec_min)
    }
}

impl Body {
    fn here(keep: bool, mark: Option<Mark>) -> Body {
        Body::Here { keep, mark }
    }
}

impl Stop {
    fn late() -> Stop {
        Stop::Refuse {
            error: answer::too_slow("request body"),
            keep: false,
        }
    }
}

fn oversize(bytes: u64, rule: &CallLimits, keep: bool) -> Result<Taken, Stop> {
    if rule.deliver_head_if_oversize {
        return Ok(Taken {
            oversize: Some(bytes),
            keep,
        });
    }
    let error = answer::too_large(rule.body_max);
    Err(Stop::Refuse { error, keep })
}
