//! `[tls]`: the certificate that the server presents, read and checked before anything is served with it.

use super::raw::RawTls;
use crate::settings::{Notes, Spanned};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `[tls]`, with what its files hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    /// The authorities of agents' certificates, where those are required.
    pub agents_ca_file: Option<PathBuf>,
    pub identity: TlsIdentity,
}

/// A certificate chain with its key, ready to serve.
#[derive(Clone)]
pub struct TlsIdentity {
    config: Arc<ServerConfig>,
    leaf: CertificateDer<'static>,
}

impl TlsIdentity {
    /// Reads the files, PEM. The first certificate is the server's, those of its issuers follow. With authorities of
    /// agents, clients may present a certificate of theirs.
    ///
    /// # Errors
    /// A sentence for the operator that names the file; never its content.
    pub fn read(
        cert_file: &Path,
        key_file: &Path,
        agents_ca_file: Option<&Path>,
    ) -> Result<TlsIdentity, String> {
        let chain = certificates(cert_file)?;
        let leaf = chain[0].clone();
        let key = PrivateKeyDer::from_pem_slice(&bytes(key_file)?)
            .map_err(|_| format!("{}: no PEM private key in it", key_file.display()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        let builder = match agents_ca_file {
            Some(file) => builder.with_client_cert_verifier(verifier(file, provider)?),
            None => builder.with_no_client_auth(),
        };
        let config = builder.with_single_cert(chain, key).map_err(|e| {
            format!(
                "{} and {} do not go together: {e}",
                cert_file.display(),
                key_file.display()
            )
        })?;
        let mut config = config;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsIdentity {
            config: Arc::new(config),
            leaf,
        })
    }

    /// For [`TlsSource`](crate::gate::TlsSource).
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// When the server's certificate ends, in seconds since 1970; `None` where its form is unknown.
    pub fn expires_at_secs(&self) -> Option<i64> {
        not_after(&self.leaf)
    }
}

impl PartialEq for TlsIdentity {
    fn eq(&self, other: &TlsIdentity) -> bool {
        self.leaf == other.leaf
    }
}

impl Eq for TlsIdentity {}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsIdentity")
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// One at least.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let list: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&bytes(path)?)
        .collect::<Result<_, _>>()
        .map_err(|_| format!("{}: not a file of PEM certificates", path.display()))?;
    if list.is_empty() {
        return Err(format!("{}: no certificate in it", path.display()));
    }
    Ok(list)
}

/// Verifies the certificate of a client that presents one; people present none.
fn verifier(
    authorities: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(authorities)? {
        roots
            .add(authority)
            .map_err(|e| format!("{}: {e}", authorities.display()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map_err(|e| format!("{}: {e}", authorities.display()))
}

/// Whether a verified certificate, DER, is for the agent of that name: it must be one of its DNS names.
pub fn is_for(certificate: &[u8], agent: &str) -> bool {
    let certificate = CertificateDer::from(certificate);
    let Ok(parsed) = ParsedCertificate::try_from(&certificate) else {
        return false;
    };
    match ServerName::try_from(agent) {
        Ok(name @ ServerName::DnsName(_)) => verify_server_name(&parsed, &name).is_ok(),
        _ => false,
    }
}

/// Reads the files of the section, relative to `base`.
pub(super) fn check(raw: Option<&RawTls>, base: &Path, notes: &mut Notes) -> Option<ServerTls> {
    let raw = raw?;
    let mut file = |value: &Option<Spanned<String>>, name: &str| match value {
        Some(file) => Some(base.join(&file.value)),
        None => {
            notes.problem(&raw.at, format!("this section needs `{name}`"));
            None
        }
    };
    let (cert_file, key_file) = (
        file(&raw.cert_file, "cert_file"),
        file(&raw.key_file, "key_file"),
    );
    let (cert_file, key_file) = (cert_file?, key_file?);
    let agents_ca_file = raw
        .agents_ca_file
        .as_ref()
        .map(|file| base.join(&file.value));
    match TlsIdentity::read(&cert_file, &key_file, agents_ca_file.as_deref()) {
        Ok(identity) => Some(ServerTls {
            cert_file,
            key_file,
            agents_ca_file,
            identity,
        }),
        Err(problem) => {
            notes.problem(&raw.at, problem);
            None
        }
    }
}

/// What an operator has to know of a certificate in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenCertificate {
    /// When it ends, in seconds since 1970; `None` where its form is unknown.
    pub expires_at_secs: Option<i64>,
    /// The names of issuer and subject, DER.
    names: Option<(Vec<u8>, Vec<u8>)>,
}

impl SeenCertificate {
    /// The certificates of a file, in its order, one at least.
    ///
    /// # Errors
    /// A sentence for the operator that names the file.
    pub fn all_of(file: &Path) -> Result<Vec<SeenCertificate>, String> {
        let seen = |certificate: CertificateDer<'_>| SeenCertificate {
            expires_at_secs: not_after(&certificate),
            names: SignedFields::of(&certificate)
                .map(|fields| (fields.issuer.to_owned(), fields.subject.to_owned())),
        };
        Ok(certificates(file)?.into_iter().map(seen).collect())
    }

    /// Whether it may be issued by the other one, by its name.
    pub fn names_as_issuer(&self, other: &SeenCertificate) -> bool {
        match (&self.names, &other.names) {
            (Some((issuer, _)), Some((_, subject))) => issuer == subject,
            _ => true,
        }
    }
}

/// Some of what is signed in a certificate (RFC 5280, section 4.1).
struct SignedFields<'c> {
    issuer: &'c [u8],
    validity: &'c [u8],
    subject: &'c [u8],
}

impl SignedFields<'_> {
    fn of(certificate: &[u8]) -> Option<SignedFields<'_>> {
        const SEQUENCE: u8 = 0x30;
        const VERSION: u8 = 0xa0;
        let mut rest = element(element(certificate)?.1)?.1;
        if element(rest)?.0 == VERSION {
            rest = element(rest)?.2;
        }
        // The serial number and the algorithm come first.
        for _ in 0..2 {
            rest = element(rest)?.2;
        }
        let mut next = || {
            let (tag, content, after) = element(rest)?;
            rest = after;
            (tag == SEQUENCE).then_some(content)
        };
        Some(SignedFields {
            issuer: next()?,
            validity: next()?,
            subject: next()?,
        })
    }
}

/// The end of a certificate's validity, in seconds since 1970.
fn not_after(certificate: &[u8]) -> Option<i64> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let validity = SignedFields::of(certificate)?.validity;
    let (tag, end, _) = element(element(validity)?.2)?;
    let text = std::str::from_utf8(end).ok()?;
    let text = match tag {
        UTC_TIME => format!("{}{text}", if text.get(..2)? < "50" { "20" } else { "19" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| text.get(from..to);
    let time = format!(
        "{}-{}-{}T{}:{}:{}",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        text.get(12..)?
    );
    crate::clock::Timestamp::parse(&time).map(|t| t.0.div_euclid(1_000))
}

/// Tag, content and what follows of the first DER element.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits.iter().fold(0, |sum, b| sum << 8 | usize::from(*b));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_certificate_is_read_in_both_forms_of_time() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/tls");
        for (name, secs) in [("first", 2_426_630_803), ("second", 4_906_310_789)] {
            let file = |end: &str| folder.join(format!("{name}.{end}"));
            let identity = TlsIdentity::read(&file("crt"), &file("key"), None).unwrap();
            assert_eq!(identity.expires_at_secs(), Some(secs), "{name}");
        }
    }

    #[test]
    fn what_is_not_a_certificate_has_no_end() {
        for bytes in [
            &[][..],
            &[0x30],
            &[0x30, 0x80],
            &[0x30, 0x02, 0x30, 0x05],
            &[0x30, 0x84, 1, 1, 1, 1],
        ] {
            assert_eq!(not_after(bytes), None, "{bytes:?}");
        }
    }
}
