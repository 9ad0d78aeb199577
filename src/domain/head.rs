//! The signed head: what the last commit left, so that a start can tell whether the file is still that one.
//!
//! A head names the last event of the chain and the sums of the live rows, table by table. Somebody who edits the file
//! without the audit key can make neither.

use crate::crypto::{Keypair, PublicKey, sha256_fields};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Sums of keyed hashes of rows: a set hash, to which rows are added and from which they are taken in any order.
///
/// Addition of 256-bit numbers, modulo 2^256. Without the key nobody can find rows with a given sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum([u64; 4]);

impl Sum {
    /// Adds the hash of a row.
    pub fn add(&mut self, mac: &[u8; 32]) {
        let mut carry = false;
        for (limb, word) in self.0.iter_mut().zip(words(mac)) {
            let (sum, over) = limb.overflowing_add(word);
            let (sum, again) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = over || again;
        }
    }

    /// Takes the hash of a row away.
    pub fn subtract(&mut self, mac: &[u8; 32]) {
        let mut borrow = false;
        for (limb, word) in self.0.iter_mut().zip(words(mac)) {
            let (rest, under) = limb.overflowing_sub(word);
            let (rest, again) = rest.overflowing_sub(u64::from(borrow));
            *limb = rest;
            borrow = under || again;
        }
    }

    /// 64 hexadecimal digits, most significant first.
    pub fn hex(&self) -> String {
        let mut text = String::with_capacity(64);
        for limb in self.0.iter().rev() {
            let _ = write!(text, "{limb:016x}");
        }
        text
    }
}

/// The four 64-bit words of a hash, least significant first.
fn words(mac: &[u8; 32]) -> impl Iterator<Item = u64> + '_ {
    mac.chunks_exact(8).map(|chunk| {
        chunk
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte))
    })
}

/// What one head says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Number of the last event, 0 for none.
    pub seq: i64,
    /// Hash of the last event; empty for none.
    pub hash: String,
    /// SHA-256 of the recipe the sums were made by: which rows and columns count.
    pub recipe: String,
    /// Sum of the live rows of each table, as 64 hexadecimal digits.
    pub sums: BTreeMap<String, String>,
}

/// A head with its signature, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    pub head: Head,
    /// Id of the key that signed it.
    pub key_id: String,
    /// Ed25519, 128 hexadecimal digits.
    pub signature: String,
}

/// What a signature is for: none of one purpose holds for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadPurpose {
    /// The last event of the log and the sums after it, in a file or an export.
    End,
    /// An event of the log that names where sums begin. Somebody who cuts the log there must find no head in it.
    Baseline,
    /// As `End`, in a file from before the two were signed apart.
    EarlierEnd,
}

impl HeadPurpose {
    fn prefix(self) -> &'static [u8] {
        match self {
            HeadPurpose::End => b"dbward-head:v2",
            HeadPurpose::Baseline => b"dbward-baseline:v1",
            HeadPurpose::EarlierEnd => b"dbward-head:v1",
        }
    }
}

impl Head {
    /// The bytes that are signed; `instance` is the id of the database, so that no head fits another one.
    fn message(&self, purpose: HeadPurpose, instance: &str) -> [u8; 32] {
        let seq = self.seq.to_string();
        let fixed: [&[u8]; 5] = [
            purpose.prefix(),
            instance.as_bytes(),
            seq.as_bytes(),
            self.hash.as_bytes(),
            self.recipe.as_bytes(),
        ];
        let sums = self
            .sums
            .iter()
            .flat_map(|(table, sum)| [table.as_bytes(), sum.as_bytes()]);
        sha256_fields(fixed.into_iter().chain(sums))
    }

    /// Signs it for the database of that id.
    pub fn sign(self, purpose: HeadPurpose, instance: &str, key: &Keypair) -> SignedHead {
        SignedHead {
            key_id: key.public().id(),
            signature: key.sign_hex(&self.message(purpose, instance)),
            head: self,
        }
    }
}

impl SignedHead {
    /// Whether `key` signed it for that purpose and the database of that id.
    pub fn is_valid(&self, purpose: HeadPurpose, instance: &str, key: &PublicKey) -> bool {
        key.id() == self.key_id
            && key.verifies(&self.head.message(purpose, instance), &self.signature)
    }

    /// The tables whose sums are not those of `other`, which was made by the same recipe.
    pub fn differing(&self, other: &Head) -> Vec<String> {
        let mut tables: Vec<String> = self
            .head
            .sums
            .iter()
            .filter(|(table, sum)| other.sums.get(*table) != Some(*sum))
            .map(|(table, _)| table.clone())
            .collect();
        let unknown = other
            .sums
            .keys()
            .filter(|t| !self.head.sums.contains_key(*t));
        tables.extend(unknown.cloned());
        tables
    }
}

#[cfg(test)]
mod tests {
    use super::HeadPurpose::End;
    use super::*;
    use crate::crypto::sha256;

    fn head() -> Head {
        Head {
            seq: 7,
            hash: "a".repeat(64),
            recipe: "b".repeat(64),
            sums: [("tokens".to_owned(), Sum::default().hex())].into(),
        }
    }

    #[test]
    fn sum_depends_on_rows_and_not_on_their_order() {
        let rows: Vec<[u8; 32]> = (0u8..50).map(|n| sha256(&[n])).collect();
        let mut forward = Sum::default();
        rows.iter().for_each(|row| forward.add(row));
        let mut backward = Sum::default();
        rows.iter().rev().for_each(|row| backward.add(row));
        assert_eq!(forward, backward);
        let mut without = forward;
        without.subtract(&rows[3]);
        assert_ne!(without, forward);
        without.add(&rows[3]);
        assert_eq!(without, forward);
        rows.iter().for_each(|row| forward.subtract(row));
        assert_eq!(forward, Sum::default());
    }

    #[test]
    fn sum_carries_between_its_words() {
        let mut sum = Sum::default();
        sum.add(&[0xff; 32]);
        let mut one = [0; 32];
        one[0] = 1;
        sum.add(&one);
        assert_eq!(sum, Sum::default());
        sum.subtract(&one);
        assert_eq!(sum.hex(), "f".repeat(64));
    }

    #[test]
    fn every_field_of_a_head_is_signed() {
        let key = Keypair::from_seed([1; 32]);
        let signed = head().sign(End, "here", &key);
        assert!(signed.is_valid(End, "here", &key.public()));
        assert!(!signed.is_valid(End, "elsewhere", &key.public()));
        let other = Keypair::from_seed([2; 32]).public();
        assert!(!signed.is_valid(End, "here", &other));
        for purpose in [HeadPurpose::Baseline, HeadPurpose::EarlierEnd] {
            assert!(!signed.is_valid(purpose, "here", &key.public()));
        }
        let edits: [fn(&mut Head); 5] = [
            |h| h.seq += 1,
            |h| h.hash = "c".repeat(64),
            |h| h.recipe = "c".repeat(64),
            |h| h.sums = BTreeMap::new(),
            |h| h.sums = [("users".to_owned(), Sum::default().hex())].into(),
        ];
        for edit in edits {
            let mut forged = signed.clone();
            edit(&mut forged.head);
            assert!(!forged.is_valid(End, "here", &key.public()), "{forged:?}");
        }
    }

    #[test]
    fn differing_names_tables_of_either_side() {
        let key = Keypair::from_seed([1; 32]);
        let signed = head().sign(End, "here", &key);
        let mut other = head();
        assert_eq!(signed.differing(&other), Vec::<String>::new());
        other.sums.insert("tokens".into(), "1".into());
        other.sums.insert("users".into(), "1".into());
        assert_eq!(signed.differing(&other), ["tokens", "users"]);
    }
}
