//! TLS towards clients: whom the server speaks as, and a connection that speaks it.
//!
//! One thread owns a connection, so the session needs no lock. Reads and writes keep the socket's timeouts: what would
//! block for longer comes back as a pause, and the caller's deadlines hold for the handshake as well.

use crate::gate::pace::is_pause;
use rustls::{ServerConfig, ServerConnection};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, PoisonError, RwLock};

/// Bytes of plain text that a session holds for a reader that takes them slowly.
const PENDING_BYTES_MAX: usize = 64 * 1024;

/// The configuration, and so the certificate, of new connections.
#[derive(Debug)]
pub struct TlsSource(RwLock<Arc<ServerConfig>>);

impl TlsSource {
    /// Serves by `config` until it is replaced.
    pub fn new(config: Arc<ServerConfig>) -> TlsSource {
        TlsSource(RwLock::new(config))
    }

    /// Serves connections from now on by `config`; those that stand keep theirs. One on which the client has presented
    /// a certificate ends after the call that is under way, or after the next, since other authorities may count now.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    pub(super) fn accept(&self, socket: Arc<TcpStream>) -> Result<TlsStream, rustls::Error> {
        let config = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let mut session = ServerConnection::new(Arc::clone(&config))?;
        session.set_buffer_limit(Some(PENDING_BYTES_MAX));
        Ok(TlsStream {
            socket,
            session,
            config,
        })
    }

    /// Whether connections are served by `config` now.
    pub(super) fn is(&self, config: &Arc<ServerConfig>) -> bool {
        Arc::ptr_eq(
            &self.0.read().unwrap_or_else(PoisonError::into_inner),
            config,
        )
    }
}

/// A connection that speaks TLS.
pub(super) struct TlsStream {
    socket: Arc<TcpStream>,
    session: ServerConnection,
    /// What it was accepted by.
    config: Arc<ServerConfig>,
}

impl TlsStream {
    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// The certificate, DER, that the client has presented and that was verified.
    pub(super) fn certificate(&self) -> Option<&[u8]> {
        let chain = self.session.peer_certificates()?;
        chain.first().map(|leaf| leaf.as_ref())
    }

    /// Whether what it was verified by has been replaced in `source` since.
    pub(super) fn is_outdated(&self, source: &TlsSource) -> bool {
        self.certificate().is_some() && !source.is(&self.config)
    }

    pub(super) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let socket = Arc::clone(&self.socket);
        self.read_from(buf, &mut &*socket)
    }

    pub(super) fn read_now(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let socket = Arc::clone(&self.socket);
        self.read_from(buf, &mut AtOnce(&socket))
    }

    /// Takes records from `wire` until there is plain text, the other end closes, or `wire` has nothing now.
    fn read_from(&mut self, buf: &mut [u8], wire: &mut dyn Read) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buf) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                // Closed without saying so: as good as closed, since every message of ours has its length.
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                done => return done,
            }
            self.flush()?;
            if self.session.read_tls(wire)? == 0 {
                return Ok(0);
            }
            if let Err(e) = self.session.process_new_packets() {
                // The alert says why, to one that still listens.
                let _ = self.flush();
                return Err(io::Error::new(ErrorKind::InvalidData, e));
            }
        }
    }

    /// Takes what fits; it is on its way when [`TlsStream::flush`] succeeds.
    pub(super) fn write(&mut self, head: &[u8], body: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let mut taken = self.session.writer().write(head)?;
        if taken == head.len() {
            taken += self.session.writer().write(body)?;
        }
        match self.flush() {
            Err(e) if !is_pause(&e) => Err(e),
            _ => Ok(taken),
        }
    }

    /// Sends what is taken and not sent yet.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            if self.session.write_tls(&mut &*self.socket)? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    pub(super) fn close_write(&mut self) {
        self.session.send_close_notify();
        let _ = self.flush();
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

/// Reads what is there already.
struct AtOnce<'s>(&'s TcpStream);

impl Read for AtOnce<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (n, _) = rustix::net::recv(self.0, buf, rustix::net::RecvFlags::DONTWAIT)?;
        Ok(n)
    }
}
