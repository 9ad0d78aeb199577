//! TLS to MySQL and MariaDB. The driver trusts the public authorities whatever else it is given, and takes the rest from
//! the process: so where a CA file is to replace them, this process verifies no signature of theirs any more. It serves
//! one database and ends.

use crate::agent::config::{DatabaseEndpoint, Tls};
use ::mysql::SslOpts;
use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
};
use std::path::Path;
use std::sync::OnceLock;

/// How the connection is protected; none for a plain one.
///
/// # Errors
/// The sentence that says what is wrong with the CA file.
pub(super) fn options(at: &DatabaseEndpoint) -> Result<Option<SslOpts>, String> {
    match (at.tls, &at.ca_file) {
        (Tls::Off, _) => Ok(None),
        (Tls::Require, _) => Ok(Some(
            SslOpts::default().with_danger_accept_invalid_certs(true),
        )),
        (Tls::VerifyFull, None) => Ok(Some(SslOpts::default())),
        (Tls::VerifyFull, Some(file)) => {
            static DONE: OnceLock<Result<(), String>> = OnceLock::new();
            DONE.get_or_init(|| trust_only(file)).clone()?;
            Ok(Some(
                SslOpts::default().with_root_cert_path(Some(file.clone())),
            ))
        }
    }
}

/// Lets this process trust nobody but the authorities in `file`.
fn trust_only(file: &Path) -> Result<(), String> {
    let own = authorities(file)?;
    let refused = webpki_roots::TLS_SERVER_ROOTS
        .iter()
        .map(|root| root.subject_public_key_info.as_ref().to_vec())
        .filter(|key| !own.contains(key))
        .collect();
    let provider = CryptoProvider {
        signature_verification_algorithms: without(refused),
        ..ring::default_provider()
    };
    provider
        .install_default()
        .map_err(|_| "this process cannot be kept from trusting public authorities".to_owned())
}

/// The keys of the authorities in `file`, as their certificates hold them.
fn authorities(file: &Path) -> Result<Vec<Vec<u8>>, String> {
    let unusable = |e: &dyn std::fmt::Display| format!("`ca_file` cannot be used: {e}");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|e| unusable(&e))? {
        let certificate = certificate.map_err(|e| unusable(&e))?;
        roots.add(certificate).map_err(|e| unusable(&e))?;
    }
    match roots.is_empty() {
        true => Err(unusable(&"it holds no certificate")),
        false => Ok(roots
            .roots
            .iter()
            .map(|root| root.subject_public_key_info.as_ref().to_vec())
            .collect()),
    }
}

/// The usual algorithms, for all keys but the `refused` ones. They live as long as the process.
fn without(refused: Vec<Vec<u8>>) -> WebPkiSupportedAlgorithms {
    let refused: &'static [Vec<u8>] = Vec::leak(refused);
    let usual = ring::default_provider().signature_verification_algorithms;
    let one = |usual: &&'static dyn SignatureVerificationAlgorithm| {
        let limited: &'static dyn SignatureVerificationAlgorithm = Box::leak(Box::new(Limited {
            usual: *usual,
            refused,
        }));
        limited
    };
    let all = |usual: &[&'static dyn SignatureVerificationAlgorithm]| {
        let limited: &'static [&'static dyn SignatureVerificationAlgorithm] =
            Vec::leak(usual.iter().map(one).collect());
        limited
    };
    let mapping = usual.mapping.iter();
    WebPkiSupportedAlgorithms {
        all: all(usual.all),
        mapping: Vec::leak(
            mapping
                .map(|(scheme, usual)| (*scheme, all(usual)))
                .collect(),
        ),
    }
}

/// An algorithm that verifies nothing which a refused key has signed.
#[derive(Debug)]
struct Limited {
    usual: &'static dyn SignatureVerificationAlgorithm,
    /// Each with its algorithm, as certificates hold them: the key is the end of it.
    refused: &'static [Vec<u8>],
}

impl SignatureVerificationAlgorithm for Limited {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        match self.refused.iter().any(|key| key.ends_with(public_key)) {
            true => Err(InvalidSignature),
            false => self.usual.verify_signature(public_key, message, signature),
        }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.usual.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.usual.signature_alg_id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct AnySignature;

    impl SignatureVerificationAlgorithm for AnySignature {
        fn verify_signature(&self, _: &[u8], _: &[u8], _: &[u8]) -> Result<(), InvalidSignature> {
            Ok(())
        }

        fn public_key_alg_id(&self) -> AlgorithmIdentifier {
            rustls::pki_types::alg_id::ECDSA_P256
        }

        fn signature_alg_id(&self) -> AlgorithmIdentifier {
            rustls::pki_types::alg_id::ECDSA_SHA256
        }
    }

    #[test]
    fn a_public_authority_signs_nothing_where_a_file_replaces_them() {
        let roots = webpki_roots::TLS_SERVER_ROOTS;
        let keys: Vec<Vec<u8>> = roots
            .iter()
            .map(|root| root.subject_public_key_info.as_ref().to_vec())
            .collect();
        let limited = Limited {
            usual: &AnySignature,
            refused: Vec::leak(keys.clone()),
        };
        let refused = keys.iter().filter(|key| {
            // The key without the header that names its algorithm.
            let key = &key[key.len() - 64..];
            limited.verify_signature(key, b"", b"").is_err()
        });
        assert_eq!(refused.count(), keys.len());
        assert!(limited.verify_signature(&[7; 64], b"", b"").is_ok());
    }

    #[test]
    fn a_file_without_authorities_is_refused() {
        let folder = std::env::temp_dir().join(format!("dbward-ca-{}", std::process::id()));
        std::fs::write(&folder, "no certificate").unwrap();
        let refused = authorities(&folder).unwrap_err();
        std::fs::remove_file(&folder).unwrap();
        assert!(refused.contains("no certificate"), "{refused}");
    }
}
