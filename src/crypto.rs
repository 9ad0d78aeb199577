//! Hashes, random bytes, hexadecimal, Ed25519 keys and the signatures of JSON Web Tokens: thin names over the libraries
//! that do the work.

use crate::error::Error;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use ring::rand::SecureRandom;
use ring::signature;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 of `bytes`, as 64 lower-case hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&sha256(bytes))
}

/// SHA-256 of what is written to it: of a file in constant memory.
#[derive(Default)]
pub struct Sha256Writer(Sha256);

impl Sha256Writer {
    /// The sum of everything written, hexadecimal.
    pub fn finish_hex(self) -> String {
        hex(&self.0.finalize())
    }
}

impl std::io::Write for Sha256Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// SHA-256 over fields each preceded by its length (8 bytes, big endian), so that no two lists of fields collide.
pub fn sha256_fields<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}

/// HMAC-SHA256 of `message` under `key`.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    MacKey::new(key).sign(message)
}

/// A key for many messages: HMAC-SHA256 without preparing the key each time.
pub struct MacKey(ring::hmac::Key);

impl MacKey {
    /// The key of those bytes.
    pub fn new(key: &[u8]) -> MacKey {
        MacKey(ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key))
    }

    /// HMAC-SHA256 of `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 32] {
        let tag = ring::hmac::sign(&self.0, message);
        let mut out = [0; 32];
        out.copy_from_slice(tag.as_ref());
        out
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        out.push(DIGITS[usize::from(b >> 4)] as char);
        out.push(DIGITS[usize::from(b & 15)] as char);
    }
    out
}

/// Reads lower- or upper-case hexadecimal; `None` if it is not.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    bytes
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

/// `N` bytes from the system's generator.
///
/// # Panics
/// When the system has no randomness to give: nothing that needs some may go on.
pub fn random<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    if ring::rand::SystemRandom::new().fill(&mut out).is_err() {
        panic!("the system gives no random bytes");
    }
    out
}

/// A random UUID (version 4) in its 36-character form.
pub fn uuid() -> String {
    let mut b = random::<16>();
    b[6] = b[6] & 0x0f | 0x40;
    b[8] = b[8] & 0x3f | 0x80;
    hyphenated(&b)
}

fn hyphenated(b: &[u8; 16]) -> String {
    let h = hex(b);
    format!(
        "{}-{}-{}-{}-{}",
        &h[..8],
        &h[8..12],
        &h[12..16],
        &h[16..20],
        &h[20..]
    )
}

/// A UUID of version 7 made at `ms` milliseconds since 1970: those of later milliseconds sort after it, so that an
/// index over them grows at its end. The rest is random.
pub fn uuid_at(ms: i64) -> String {
    let mut b = random::<16>();
    b[..6].copy_from_slice(&ms.max(0).to_be_bytes()[2..]);
    b[6] = b[6] & 0x0f | 0x70;
    b[8] = b[8] & 0x3f | 0x80;
    hyphenated(&b)
}

/// Whether two byte strings are equal, in time that depends on their lengths only.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    use subtle::ConstantTimeEq;
    a.ct_eq(b).into()
}

/// An Ed25519 key pair kept in a file of 32 raw bytes.
pub struct Keypair {
    key: SigningKey,
}

impl Keypair {
    /// A key from its 32-byte seed.
    pub fn from_seed(seed: [u8; 32]) -> Keypair {
        Keypair {
            key: SigningKey::from_bytes(&seed),
        }
    }

    /// Loads the key at `path`, or makes one there (mode 0600, synced, created exclusively).
    ///
    /// # Errors
    /// As [`Keypair::load`], and when the file cannot be written.
    pub fn load_or_create(path: &Path) -> Result<Keypair, Error> {
        if let Some(key) = Keypair::load(path)? {
            return Ok(key);
        }
        let seed = random::<32>();
        write_private(path, &seed)
            .map_err(|e| Error::internal(format!("key file {}", path.display()), e))?;
        Ok(Keypair::from_seed(seed))
    }

    /// The key at `path`; none where there is no such file.
    ///
    /// # Errors
    /// `internal` when the file cannot be read, is not 32 bytes long, or may be read by others.
    pub fn load(path: &Path) -> Result<Option<Keypair>, Error> {
        let failed = |e: std::io::Error| Error::internal(format!("key file {}", path.display()), e);
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Error::bug(format!(
                "key file {} may be read by others (mode {:o}); run `chmod 600` on it",
                path.display(),
                mode & 0o777
            )));
        }
        let seed: [u8; 32] = bytes
            .try_into()
            .map_err(|_| Error::bug(format!("key file {} is not 32 bytes long", path.display())))?;
        Ok(Some(Keypair::from_seed(seed)))
    }

    /// A key for another purpose, which says nothing about this one: HMAC-SHA256 of `purpose` under the seed.
    pub fn derive(&self, purpose: &[u8]) -> [u8; 32] {
        hmac_sha256(&self.key.to_bytes(), purpose)
    }

    /// The 64-byte signature of `message`, in hexadecimal.
    pub fn sign_hex(&self, message: &[u8]) -> String {
        hex(&self.key.sign(message).to_bytes())
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.key.verifying_key())
    }
}

/// An Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// The key from its 32 bytes; `None` for bytes that are not a key, or a weak one.
    pub fn from_bytes(bytes: &[u8]) -> Option<PublicKey> {
        let key = VerifyingKey::from_bytes(bytes.try_into().ok()?).ok()?;
        (!key.is_weak()).then_some(PublicKey(key))
    }

    pub fn bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The first 16 hexadecimal digits of its SHA-256: the name of the key.
    pub fn id(&self) -> String {
        sha256_hex(&self.bytes())[..16].to_owned()
    }

    /// Whether `signature_hex` signs `message` under this key.
    pub fn verifies(&self, message: &[u8], signature_hex: &str) -> bool {
        let Some(bytes) = unhex(signature_hex) else {
            return false;
        };
        let Ok(bytes) = <[u8; 64]>::try_from(bytes) else {
            return false;
        };
        self.0
            .verify_strict(message, &Signature::from_bytes(&bytes))
            .is_ok()
    }
}

/// Reads base64 in the alphabet of URLs. `None` for padding, white space, or bits that say nothing: every value has
/// exactly one text.
pub fn base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// `bytes` as base64, with padding.
pub fn base64_text(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The one text that [`base64url`] reads as these bytes.
pub fn base64url_of(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// How a JSON Web Token may be signed; nothing else is ever checked, so nothing else is ever good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JwsAlgorithm {
    /// RSA, PKCS #1 v1.5, SHA-256.
    Rs256,
    /// The same with SHA-384.
    Rs384,
    /// The same with SHA-512.
    Rs512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
}

/// A public key of an identity provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwsKey {
    /// RSA: modulus and exponent, big endian, without leading zeros.
    Rsa {
        /// The modulus, of 2048 to 8192 bits.
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// A point on P-256, uncompressed: 65 bytes.
    P256(Vec<u8>),
    /// A point on P-384, uncompressed: 97 bytes.
    P384(Vec<u8>),
}

impl JwsKey {
    /// Whether `signature` signs `message` under this key. Never for an algorithm of another kind of key, nor for an
    /// RSA key of less than 2048 or more than 8192 bits, nor for a point that is not on its curve.
    pub fn verifies(&self, algorithm: JwsAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        use JwsAlgorithm::*;
        let rsa = |parameters| match self {
            JwsKey::Rsa { n, e } => signature::RsaPublicKeyComponents { n, e }
                .verify(parameters, message, signature)
                .is_ok(),
            _ => false,
        };
        let point = |parameters, bytes: &[u8]| {
            signature::UnparsedPublicKey::new(parameters, bytes)
                .verify(message, signature)
                .is_ok()
        };
        match (algorithm, self) {
            (Rs256, _) => rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            (Rs384, _) => rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            (Rs512, _) => rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            (Es256, JwsKey::P256(bytes)) => point(&signature::ECDSA_P256_SHA256_FIXED, bytes),
            (Es384, JwsKey::P384(bytes)) => point(&signature::ECDSA_P384_SHA384_FIXED, bytes),
            (Es256 | Es384, _) => false,
        }
    }
}

/// Makes a folder, and those above it, with mode 0700; one that is there already stays as it is.
pub fn make_private_folder(path: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Writes a new file with mode 0600 and syncs it and its folder: temporary name, then rename, so that nobody ever
/// reads half of it.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("tmp-{}", hex(&random::<4>())));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(e) = written.and_then(|()| fs::rename(&temporary, path)) {
        let _ = fs::remove_file(&temporary);
        return Err(e);
    }
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_ordered_uuids_sort_by_their_millisecond() {
        let (early, late) = (uuid_at(1_700_000_000_000), uuid_at(1_700_000_000_001));
        assert!(early < late, "{early} {late}");
        for id in [&early, &late] {
            assert_eq!((id.len(), &id[14..15]), (36, "7"), "{id}");
        }
        assert_ne!(early, uuid_at(1_700_000_000_000));
    }
}
