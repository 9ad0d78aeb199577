//! The client's end: reads and writes that hold an absolute deadline, however the bytes trickle.

use crate::clock::Clock;
use crate::gate::pace::{Pace, is_pause};
use crate::gate::tls::TlsStream;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The one place that knows what is on the wire. Its socket is shared with the registry, which may shut it down.
pub(super) enum Transport {
    /// Bytes as they are.
    Plain(Arc<TcpStream>),
    Tls(Box<TlsStream>),
}

impl Transport {
    fn socket(&self) -> &TcpStream {
        match self {
            Transport::Plain(socket) => socket,
            Transport::Tls(stream) => stream.socket(),
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => (&**socket).read(buf),
            Transport::Tls(stream) => stream.read(buf),
        }
    }

    /// Reads what is there already; `WouldBlock` if nothing is.
    fn read_now(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => {
                let flags = rustix::net::RecvFlags::DONTWAIT;
                let (n, _) = rustix::net::recv(&**socket, buf, flags)?;
                Ok(n)
            }
            Transport::Tls(stream) => stream.read_now(buf),
        }
    }

    fn write(&mut self, head: &[u8], body: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) if body.is_empty() => (&**socket).write(head),
            Transport::Plain(socket) => {
                (&**socket).write_vectored(&[IoSlice::new(head), IoSlice::new(body)])
            }
            Transport::Tls(stream) => stream.write(head, body),
        }
    }

    /// Sends what was taken and is not on its way yet.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Transport::Plain(_) => Ok(()),
            Transport::Tls(stream) => stream.flush(),
        }
    }

    fn close_write(&mut self) {
        match self {
            Transport::Plain(socket) => drop(socket.shutdown(Shutdown::Write)),
            Transport::Tls(stream) => stream.close_write(),
        }
    }
}

/// How a read ended.
pub(super) enum Got {
    Bytes(usize),
    /// The other end has closed, or the connection broke.
    End,
    Late,
}

/// A client connection with its clock.
pub(super) struct ClientStream {
    wire: Transport,
    clock: Clock,
    /// What SO_RCVTIMEO is set to, so that it is set only when it changes.
    timeout: Duration,
}

impl ClientStream {
    /// The wire must have a write timeout of a tick (it is inherited from the listener).
    pub(super) fn new(wire: Transport, clock: Clock) -> ClientStream {
        ClientStream {
            wire,
            clock,
            timeout: Duration::ZERO,
        }
    }

    /// The TLS below, where there is any.
    pub(super) fn tls(&self) -> Option<&TlsStream> {
        match &self.wire {
            Transport::Plain(_) => None,
            Transport::Tls(stream) => Some(stream),
        }
    }

    /// Reads some bytes before `deadline`; looks at the clock at least every `slice`.
    pub(super) fn read(&mut self, buf: &mut [u8], deadline: Instant, slice: Duration) -> Got {
        loop {
            let left = deadline.saturating_duration_since(self.clock.instant());
            if left.is_zero() {
                return Got::Late;
            }
            if self.wait_at_most(left.min(slice)).is_err() {
                return Got::End;
            }
            match self.wire.read(buf) {
                Ok(0) => return Got::End,
                Ok(n) => return Got::Bytes(n),
                Err(e) if is_pause(&e) => {}
                Err(_) => return Got::End,
            }
        }
    }

    /// Reads what is there; `Bytes(0)` if nothing is.
    pub(super) fn read_now(&mut self, buf: &mut [u8]) -> Got {
        match self.wire.read_now(buf) {
            Ok(0) => Got::End,
            Ok(n) => Got::Bytes(n),
            Err(e) if is_pause(&e) => Got::Bytes(0),
            Err(_) => Got::End,
        }
    }

    /// Writes head and body whole, or says false when the reader is too slow or gone.
    pub(super) fn write(&mut self, mut head: &[u8], mut body: &[u8], mut pace: Pace) -> bool {
        let mut first = true;
        while !(head.is_empty() && body.is_empty()) {
            // The first try is free: nearly always it takes everything.
            if !first && self.clock.instant() >= pace.deadline() {
                return false;
            }
            first = false;
            match self.wire.write(head, body) {
                Ok(0) => return false,
                Ok(n) => {
                    let of_head = n.min(head.len());
                    head = &head[of_head..];
                    body = &body[n - of_head..];
                    pace.moved(n, || self.clock.instant());
                }
                Err(e) if is_pause(&e) => {}
                Err(_) => return false,
            }
        }
        loop {
            match self.wire.flush() {
                Ok(()) => return true,
                Err(e) if is_pause(&e) && self.clock.instant() < pace.deadline() => {}
                Err(_) => return false,
            }
        }
    }

    /// Says that nothing more will come, and drains what the client still sends until it closes or `time` is over:
    /// closing with unread bytes would reset the connection and could destroy the last answer on its way.
    pub(super) fn linger(&mut self, time: Duration) {
        self.wire.close_write();
        let deadline = self.clock.instant() + time;
        let mut sink = vec![0; 16 * 1024];
        while let Got::Bytes(_) = self.read(&mut sink, deadline, time) {}
    }

    /// Ends the connection both ways, for a client that has left.
    pub(super) fn cut(&mut self) {
        let _ = self.wire.socket().shutdown(Shutdown::Both);
    }

    /// Sets SO_RCVTIMEO, rounded up to a tenth of a second.
    fn wait_at_most(&mut self, time: Duration) -> io::Result<()> {
        const STEP_MS: u64 = 100;
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let rounded = Duration::from_millis((ms / STEP_MS + 1) * STEP_MS);
        if rounded != self.timeout {
            self.wire.socket().set_read_timeout(Some(rounded))?;
            self.timeout = rounded;
        }
        Ok(())
    }
}
