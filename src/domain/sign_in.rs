//! Signing in by browser: the authorization code flow of OpenID Connect with PKCE (RFC 7636). What is secret about one
//! sign-in is derived from its number, so that nothing is stored while somebody types a password elsewhere.

use crate::clock::Timestamp;
use crate::crypto::{MacKey, base64url, base64url_of, hex, same, sha256, sha256_fields};
use crate::error::Error;

/// Seconds that a sign-in may take.
pub const SIGN_IN_SECS_MAX: u64 = 10 * 60;
/// Longest address within the console that a sign-in leads back to, in bytes.
pub const RETURN_BYTES_MAX: usize = 1024;

/// Asks the identity provider about a sign-in. Calls take a few seconds at most.
pub trait CodeExchange: Send + Sync {
    /// Where people are sent to sign in.
    ///
    /// # Errors
    /// `unavailable` when the provider cannot be reached, or too many ask.
    fn authorization_endpoint(&self) -> Result<String, Error>;

    /// What the provider gives for `code`.
    ///
    /// # Errors
    /// As above.
    fn id_token(&self, grant: &CodeGrant) -> Result<ExchangedCode, Error>;
}

/// What an identity provider gives for a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExchangedCode {
    IdToken(String),
    /// It does not take the code: it has ended, or was used.
    CodeRefused,
    /// It does not know this server by its `client_id` and secret, or lets it sign nobody in.
    ClientRefused,
}

/// What an ID token is asked for with.
#[derive(Debug, Clone, Copy)]
pub struct CodeGrant<'a> {
    pub code: &'a str,
    /// What the challenge of the sign-in was the hash of.
    pub verifier: &'a str,
    pub redirect_uri: &'a str,
}

/// A sign-in that is under way. The browser holds it in a cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInAttempt {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Until when it may come back.
    pub expires_at: Timestamp,
    /// The address within the console that it leads back to.
    pub return_to: String,
}

impl SignInAttempt {
    /// The number of the sign-in as the provider carries it, so that an answer to another one is not taken for this.
    pub fn state(&self, key: &MacKey) -> String {
        self.derive(key, b"state")
    }

    /// What the ID token must carry.
    pub fn nonce(&self, key: &MacKey) -> String {
        self.derive(key, b"nonce")
    }

    /// What only this server can show to get the ID token: 43 characters.
    pub fn verifier(&self, key: &MacKey) -> String {
        self.derive(key, b"verifier")
    }

    /// What the provider holds the verifier against (`S256`).
    pub fn challenge(&self, key: &MacKey) -> String {
        base64url_of(&sha256(self.verifier(key).as_bytes()))
    }

    fn derive(&self, key: &MacKey, what: &[u8]) -> String {
        let fields = sha256_fields([what, self.id.as_bytes()]);
        base64url_of(&key.sign(&fields))
    }

    fn tag(&self, key: &MacKey) -> String {
        let expires_at = self.expires_at.0.to_be_bytes();
        let fields: [&[u8]; 4] = [
            b"cookie",
            self.id.as_bytes(),
            &expires_at,
            self.return_to.as_bytes(),
        ];
        hex(&key.sign(&sha256_fields(fields)))
    }

    /// The value of its cookie.
    pub fn cookie(&self, key: &MacKey) -> String {
        let to = base64url_of(self.return_to.as_bytes());
        format!("{}.{}.{to}.{}", self.id, self.expires_at.0, self.tag(key))
    }

    /// The sign-in of a cookie, where we made it and it may still come back.
    pub fn read(cookie: &str, key: &MacKey, now: Timestamp) -> Option<SignInAttempt> {
        let mut parts = cookie.split('.');
        let (id, expires_at, to, tag) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let attempt = SignInAttempt {
            id: id.to_owned(),
            expires_at: Timestamp(expires_at.parse().ok()?),
            return_to: String::from_utf8(base64url(to)?).ok()?,
        };
        let is_ours = same(attempt.tag(key).as_bytes(), tag.as_bytes());
        let is_whole = parts.next().is_none();
        (is_ours && is_whole && now < attempt.expires_at).then_some(attempt)
    }
}

/// Whether an address leads nowhere but to a page of this console: a path and a query, and nothing that a browser could
/// read as another host.
pub fn is_return_address(text: &str) -> bool {
    let visible = |b: u8| (0x21..=0x7e).contains(&b) && !b"\\\"'<>`".contains(&b);
    text.starts_with('/')
        && !text.starts_with("//")
        && text.len() <= RETURN_BYTES_MAX
        && text.bytes().all(visible)
}

/// What a page must send with a change made in the session of that secret.
pub fn csrf_token(secret: &str) -> String {
    base64url_of(&sha256_fields([
        b"dbward csrf v1".as_slice(),
        secret.as_bytes(),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt() -> SignInAttempt {
        SignInAttempt {
            id: "0".repeat(32),
            expires_at: Timestamp(1_000),
            return_to: "/requests?user=me".into(),
        }
    }

    #[test]
    fn cookie_counts_unchanged_and_until_its_end() {
        let (key, now) = (MacKey::new(b"one"), Timestamp(999));
        let cookie = attempt().cookie(&key);
        assert_eq!(SignInAttempt::read(&cookie, &key, now), Some(attempt()));
        assert_eq!(SignInAttempt::read(&cookie, &key, Timestamp(1_000)), None);
        let other = MacKey::new(b"two");
        assert_eq!(SignInAttempt::read(&cookie, &other, now), None);
        for at in 0..cookie.len() {
            let mut bytes = cookie.clone().into_bytes();
            bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            let forged = String::from_utf8(bytes).unwrap();
            assert_eq!(SignInAttempt::read(&forged, &key, now), None, "{forged}");
        }
        for more in ["", ".", "..", "a.b.c.d", &format!("{cookie}.x")] {
            assert_eq!(SignInAttempt::read(more, &key, now), None, "{more}");
        }
    }

    #[test]
    fn challenge_is_hash_of_verifier_and_nothing_is_used_twice() {
        let key = MacKey::new(b"one");
        let a = attempt();
        let all = [
            a.state(&key),
            a.nonce(&key),
            a.verifier(&key),
            a.challenge(&key),
        ];
        for (n, one) in all.iter().enumerate() {
            assert_eq!(one.len(), 43);
            assert!(!all[..n].contains(one));
        }
        let hash = sha256(a.verifier(&key).as_bytes());
        assert_eq!(a.challenge(&key), base64url_of(&hash));
        let b = SignInAttempt {
            id: "1".repeat(32),
            ..attempt()
        };
        assert_ne!(b.state(&key), a.state(&key));
    }

    #[test]
    fn a_return_address_stays_in_the_console() {
        for good in ["/", "/requests/1?x=%2F&y=a+b", "/new#x"] {
            assert!(is_return_address(good), "{good}");
        }
        for bad in [
            "",
            "x",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a b",
            "/\"><b>",
            "/\u{e9}",
            "/\r\nset-cookie: x",
            &format!("/{}", "x".repeat(RETURN_BYTES_MAX)),
        ] {
            assert!(!is_return_address(bad), "{bad}");
        }
    }
}
