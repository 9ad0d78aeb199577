//! The public keys of an identity provider, and which of them fits a token.

use crate::crypto::{JwsAlgorithm, JwsKey, base64url};
use serde_json::Value;

/// Largest set of keys that is read, in bytes; providers publish a handful, each below 10 KiB with its certificates.
pub const KEY_SET_BYTES_MAX: usize = 1024 * 1024;
/// Keys in a set, at most: a provider that rotates has two or three.
pub const KEYS_MAX: usize = 100;
/// Smallest and largest modulus of an RSA key, in bits: below it is weak, above it only slow.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Longest exponent of an RSA key, in bytes; nearly all are 65537, and larger ones only make checking slow.
const EXPONENT_BYTES_MAX: usize = 4;

/// The keys a provider publishes that can sign tokens for us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    /// The only algorithm it may be used with, where the set says so.
    only: Option<JwsAlgorithm>,
    key: JwsKey,
}

/// Why a set of keys was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySetError {
    /// More than [`KEY_SET_BYTES_MAX`].
    TooLarge,
    /// Not a JSON object with a list `keys`.
    Malformed,
    /// More than [`KEYS_MAX`].
    TooMany,
}

impl std::fmt::Display for KeySetError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            KeySetError::TooLarge => "the key set is larger than 1 MiB",
            KeySetError::Malformed => "the key set is not a JSON object with a list `keys`",
            KeySetError::TooMany => "the key set has more than 100 keys",
        })
    }
}

impl std::error::Error for KeySetError {}

impl KeySet {
    /// Reads a JSON Web Key Set. Keys that we cannot use are left out: of another kind, not for signatures, too small,
    /// or damaged.
    ///
    /// # Errors
    /// When it is not such a set, or too large.
    pub fn parse(json: &[u8]) -> Result<KeySet, KeySetError> {
        if json.len() > KEY_SET_BYTES_MAX {
            return Err(KeySetError::TooLarge);
        }
        let set: Value = serde_json::from_slice(json).map_err(|_| KeySetError::Malformed)?;
        let list = set.get("keys").and_then(Value::as_array);
        let list = list.ok_or(KeySetError::Malformed)?;
        if list.len() > KEYS_MAX {
            return Err(KeySetError::TooMany);
        }
        Ok(KeySet {
            keys: list.iter().filter_map(Key::read).collect(),
        })
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key can be used.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that may have made a signature: those of that id which fit the algorithm, or without an id the one key
    /// that fits, if it is one.
    pub(super) fn fitting(&self, id: Option<&str>, algorithm: JwsAlgorithm) -> Vec<&JwsKey> {
        let fit = self.keys.iter().filter(|k| k.takes(algorithm));
        match id {
            Some(id) => fit
                .filter(|k| k.id.as_deref() == Some(id))
                .map(|k| &k.key)
                .collect(),
            None => {
                let all: Vec<_> = fit.map(|k| &k.key).collect();
                if all.len() == 1 { all } else { Vec::new() }
            }
        }
    }
}

impl Key {
    fn read(jwk: &Value) -> Option<Key> {
        let text = |name: &str| match jwk.get(name) {
            None => Some(None),
            Some(Value::String(text)) => Some(Some(text.as_str())),
            Some(_) => None,
        };
        if !matches!(text("use")?, None | Some("sig")) || !verifies(jwk.get("key_ops")) {
            return None;
        }
        let only = match text("alg")? {
            None => None,
            Some(name) => Some(algorithm(name)?),
        };
        let part = |name: &str| base64url(text(name).flatten()?);
        let key = match (text("kty")??, text("crv")?) {
            ("RSA", _) => rsa(&part("n")?, &part("e")?)?,
            ("EC", Some("P-256")) => JwsKey::P256(point(&part("x")?, &part("y")?, 32)?),
            ("EC", Some("P-384")) => JwsKey::P384(point(&part("x")?, &part("y")?, 48)?),
            _ => return None,
        };
        let key = Key {
            id: text("kid")?.map(str::to_owned),
            only,
            key,
        };
        // An `alg` of another kind of key is a contradiction: then nothing about it is trusted.
        key.only.is_none_or(|only| key.is_of(only)).then_some(key)
    }

    fn takes(&self, algorithm: JwsAlgorithm) -> bool {
        self.is_of(algorithm) && self.only.is_none_or(|only| only == algorithm)
    }

    fn is_of(&self, algorithm: JwsAlgorithm) -> bool {
        use JwsAlgorithm::*;
        match self.key {
            JwsKey::Rsa { .. } => matches!(algorithm, Rs256 | Rs384 | Rs512),
            JwsKey::P256(_) => algorithm == Es256,
            JwsKey::P384(_) => algorithm == Es384,
        }
    }
}

/// The algorithm of that name, if it is one of ours.
pub(super) fn algorithm(name: &str) -> Option<JwsAlgorithm> {
    use JwsAlgorithm::*;
    match name {
        "RS256" => Some(Rs256),
        "RS384" => Some(Rs384),
        "RS512" => Some(Rs512),
        "ES256" => Some(Es256),
        "ES384" => Some(Es384),
        _ => None,
    }
}

/// Whether the list of what a key is for, where there is one, has checking signatures in it.
fn verifies(key_ops: Option<&Value>) -> bool {
    match key_ops {
        None => true,
        Some(Value::Array(list)) => list.iter().any(|op| op == "verify"),
        Some(_) => false,
    }
}

fn rsa(n: &[u8], e: &[u8]) -> Option<JwsKey> {
    let bare = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        bytes[zeros..].to_vec()
    };
    let (n, e) = (bare(n), bare(e));
    let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
    let is_good = RSA_BITS.contains(&bits) && e.len() <= EXPONENT_BYTES_MAX && *e.last()? % 2 == 1;
    is_good.then_some(JwsKey::Rsa { n, e })
}

/// A point as it is checked: both coordinates at full width.
fn point(x: &[u8], y: &[u8], width: usize) -> Option<Vec<u8>> {
    (x.len() == width && y.len() == width).then(|| [&[4], x, y].concat())
}
