//! The stream below a connection to PostgreSQL: TCP, a Unix socket, or TLS over TCP.

use crate::agent::config::{DatabaseEndpoint, Tls};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    StreamOwned,
};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

/// How long one write may take.
const WRITE_WITHIN: Duration = Duration::from_secs(30);
/// Quiet seconds after which the system asks whether the other end is still there.
const KEEPALIVE_SECS: u64 = 30;
/// Milliseconds after which a connection breaks whose other end acknowledges nothing, so that nothing waits for a network
/// that has gone; the system alone takes a quarter of an hour.
#[cfg(target_os = "linux")]
const SILENCE_MS_MAX: u32 = 60_000;

pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Connects without TLS; each address gets `within`.
    pub fn connect(endpoint: &DatabaseEndpoint, within: Duration) -> io::Result<Stream> {
        let stream = match endpoint.host.starts_with('/') {
            true => {
                let path = format!("{}/.s.PGSQL.{}", endpoint.host, endpoint.port);
                Stream::Unix(UnixStream::connect(path)?)
            }
            false => Stream::Tcp(tcp(endpoint, within)?),
        };
        stream.set_read_timeout(within)?;
        match &stream {
            Stream::Tcp(tcp) => tcp.set_write_timeout(Some(WRITE_WITHIN))?,
            Stream::Unix(unix) => unix.set_write_timeout(Some(WRITE_WITHIN))?,
            Stream::Tls(_) => {}
        }
        Ok(stream)
    }

    /// The same stream under TLS; the server has agreed.
    pub fn encrypted(self, endpoint: &DatabaseEndpoint) -> io::Result<Stream> {
        let Stream::Tcp(mut tcp) = self else {
            return Ok(self);
        };
        let name = ServerName::try_from(endpoint.host.clone()).map_err(io::Error::other)?;
        let config = config(endpoint)?;
        let mut session =
            ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut tcp)?;
        }
        Ok(Stream::Tls(Box::new(StreamOwned::new(session, tcp))))
    }

    pub fn set_read_timeout(&self, wait: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(tcp) => tcp.set_read_timeout(Some(wait)),
            Stream::Unix(unix) => unix.set_read_timeout(Some(wait)),
            Stream::Tls(tls) => tls.sock.set_read_timeout(Some(wait)),
        }
    }
}

fn tcp(endpoint: &DatabaseEndpoint, within: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (endpoint.host.as_str(), endpoint.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, within) {
            Ok(tcp) => {
                tcp.set_nodelay(true)?;
                rustix::net::sockopt::set_socket_keepalive(&tcp, true)?;
                rustix::net::sockopt::set_tcp_keepidle(&tcp, Duration::from_secs(KEEPALIVE_SECS))?;
                rustix::net::sockopt::set_tcp_keepintvl(
                    &tcp,
                    Duration::from_secs(KEEPALIVE_SECS / 3),
                )?;
                #[cfg(target_os = "linux")]
                rustix::net::sockopt::set_tcp_user_timeout(&tcp, SILENCE_MS_MAX)?;
                return Ok(tcp);
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn config(endpoint: &DatabaseEndpoint) -> io::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    if endpoint.tls == Tls::Require {
        return Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth());
    }
    let roots = authorities(endpoint)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Whose certificates count: those of the file, or else the public authorities.
fn authorities(endpoint: &DatabaseEndpoint) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match &endpoint.ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let certificates = CertificateDer::pem_file_iter(path).map_err(io::Error::other)?;
            for certificate in certificates {
                let certificate = certificate.map_err(io::Error::other)?;
                roots.add(certificate).map_err(io::Error::other)?;
            }
        }
    }
    Ok(roots)
}

/// Accepts every certificate: `tls = "require"` asks for encryption only, as libpq's `sslmode=require` does.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(tcp) => tcp.read(buf),
            Stream::Unix(unix) => unix.read(buf),
            Stream::Tls(tls) => tls.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(tcp) => tcp.write(buf),
            Stream::Unix(unix) => unix.write(buf),
            Stream::Tls(tls) => tls.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Tcp(tcp) => tcp.flush(),
            Stream::Unix(unix) => unix.flush(),
            Stream::Tls(tls) => tls.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn endpoint(port: u16) -> DatabaseEndpoint {
        DatabaseEndpoint {
            host: "127.0.0.1".to_owned(),
            port,
            user: "u".to_owned(),
            password: None,
            database: "d".to_owned(),
            tls: Tls::VerifyFull,
            ca_file: None,
            read_only: false,
            lock_timeout_secs: 1,
            schema: None,
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_connection_to_nobody_breaks_within_a_minute() {
        use rustix::net::sockopt::{socket_keepalive, tcp_user_timeout};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = endpoint(listener.local_addr().unwrap().port());
        let tcp = tcp(&at, Duration::from_secs(1)).unwrap();
        assert!(socket_keepalive(&tcp).unwrap());
        assert_eq!(tcp_user_timeout(&tcp).unwrap(), 60_000);
    }

    #[test]
    fn a_ca_file_stands_instead_of_the_public_authorities() {
        let mut endpoint = endpoint(5432);
        let public = authorities(&endpoint).unwrap().len();
        assert!(public > 50, "{public}");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/tls/agents-ca.crt");
        endpoint.ca_file = Some(file);
        assert_eq!(authorities(&endpoint).unwrap().len(), 1);
    }
}
