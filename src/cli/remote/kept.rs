//! The tokens that `login` keeps, by address: in a file that only its owner can read. Those of an identity provider are
//! renewed when they end, as long as the provider does so.

use super::CommandError;
use super::environment::folder;
use crate::client::{IdentityProvider, ProviderOptions, ProviderTokens};
use crate::clock::{Clock, Timestamp};
use crate::crypto::{base64url, make_private_folder, write_private};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A token is renewed so many seconds before it ends, so that it counts for the call it is fetched for.
const RENEWED_BEFORE_SECS: u64 = 30;
/// Seconds that a token of a provider counts where nothing says it.
const LIFETIME_SECS: u64 = 300;

/// Which of a provider's tokens the server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderTokenKind {
    Access,
    Id,
}

impl ProviderTokenKind {
    /// That one of these.
    pub fn of(self, tokens: &ProviderTokens) -> Option<&str> {
        match self {
            ProviderTokenKind::Access => Some(&tokens.access_token),
            ProviderTokenKind::Id => tokens.id_token.as_deref(),
        }
    }
}

/// A token for one address.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeptToken {
    token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    renewal: Option<Renewal>,
}

/// How a token of a provider is renewed.
#[derive(Clone, Serialize, Deserialize)]
struct Renewal {
    /// When it ends, in RFC 3339.
    expires_at: String,
    kind: ProviderTokenKind,
    refresh_token: Option<String>,
    provider: ProviderOptions,
}

impl KeptToken {
    /// A token that is kept as it is.
    pub fn plain(token: &str) -> KeptToken {
        KeptToken {
            token: token.to_owned(),
            renewal: None,
        }
    }

    /// The token of that kind out of what a provider gave.
    pub fn of_provider(
        provider: &ProviderOptions,
        kind: ProviderTokenKind,
        tokens: &ProviderTokens,
    ) -> Option<KeptToken> {
        let token = kind.of(tokens)?;
        let by_itself = expiry(token);
        let by_answer = || {
            let secs = tokens.expires_in.unwrap_or(LIFETIME_SECS);
            Clock::system().now().plus_secs(secs)
        };
        Some(KeptToken {
            token: token.to_owned(),
            renewal: Some(Renewal {
                expires_at: by_itself.unwrap_or_else(by_answer).rfc3339(),
                kind,
                refresh_token: tokens.refresh_token.clone(),
                provider: provider.clone(),
            }),
        })
    }

    /// The renewal, if the token has to be renewed now.
    fn due(&self) -> Option<&Renewal> {
        let renewal = self.renewal.as_ref()?;
        let ends = Timestamp::parse(&renewal.expires_at)?;
        let soon = Clock::system().now().plus_secs(RENEWED_BEFORE_SECS);
        (ends <= soon).then_some(renewal)
    }
}

impl Renewal {
    /// The next token, from the provider.
    fn renewed(&self, allow_insecure: bool) -> Result<KeptToken, CommandError> {
        let over = |why: &str| {
            CommandError::new(format!("the sign-in is over: {why}")).hint("`dbward login`")
        };
        let Some(refresh_token) = &self.refresh_token else {
            return Err(over("its token has expired"));
        };
        let mut options = self.provider.clone();
        options.allow_insecure = allow_insecure;
        let provider = IdentityProvider::discover(&options).map_err(|e| CommandError::of(&e))?;
        let mut tokens = provider
            .refresh(refresh_token)
            .map_err(|e| over(e.message()))?;
        // A provider that gives no new one lets the old one count on.
        tokens.refresh_token = tokens.refresh_token.or_else(|| self.refresh_token.clone());
        KeptToken::of_provider(&self.provider, self.kind, &tokens)
            .ok_or_else(|| over("the provider gave no further token of the same kind"))
    }
}

/// When a JSON Web Token ends by its own account. Read to renew in time, never to trust it.
fn expiry(token: &str) -> Option<Timestamp> {
    let payload = token.split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&base64url(payload)?).ok()?;
    let secs = claims["exp"].as_i64()?;
    Some(Timestamp(secs.checked_mul(1000)?))
}

/// The tokens that are kept.
#[derive(Default)]
pub struct KeptTokens {
    tokens: BTreeMap<String, KeptToken>,
}

impl KeptTokens {
    fn path() -> Result<PathBuf, CommandError> {
        let folder =
            folder().ok_or_else(|| CommandError::new("neither HOME nor XDG_CONFIG_HOME is set"))?;
        Ok(folder.join("credentials.json"))
    }

    fn read(path: &Path) -> Result<KeptTokens, CommandError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(KeptTokens::default()),
            Err(e) => return Err(CommandError::new(format!("{}: {e}", path.display()))),
        };
        let strange = || {
            CommandError::new(format!(
                "{} is not as `dbward login` writes it",
                path.display()
            ))
            .hint("remove it, and sign in again with `dbward login`")
        };
        let read: Value = serde_json::from_str(&text).map_err(|_| strange())?;
        let tokens = serde_json::from_value(read["servers"].clone()).map_err(|_| strange())?;
        Ok(KeptTokens { tokens })
    }

    /// The token for an address, renewed if it is about to end.
    pub fn token_of(url: &str, allow_insecure: bool) -> Result<Option<String>, CommandError> {
        let path = KeptTokens::path()?;
        let kept = KeptTokens::read(&path)?;
        match kept.tokens.get(url) {
            None => return Ok(None),
            Some(token) if token.due().is_none() => return Ok(Some(token.token.clone())),
            Some(_) => {}
        }
        // One at a time: many providers take each refresh token once.
        let _alone = locked(&path)?;
        let mut kept = KeptTokens::read(&path)?;
        let Some(token) = kept.tokens.get_mut(url) else {
            return Ok(None);
        };
        if let Some(renewal) = token.due() {
            *token = renewal.renewed(allow_insecure)?;
        }
        let secret = token.token.clone();
        kept.write(&path)?;
        Ok(Some(secret))
    }

    /// Keeps a token, and says where.
    pub fn keep(url: &str, token: KeptToken) -> Result<PathBuf, CommandError> {
        let path = KeptTokens::path()?;
        let _alone = locked(&path)?;
        let mut kept = KeptTokens::read(&path)?;
        kept.tokens.insert(url.to_owned(), token);
        kept.write(&path)?;
        Ok(path)
    }

    /// Forgets the token of an address; whether there was one, and whether a provider gave it.
    pub fn forget(url: &str) -> Result<Option<bool>, CommandError> {
        let path = KeptTokens::path()?;
        if !path.exists() {
            return Ok(None);
        }
        let _alone = locked(&path)?;
        let mut kept = KeptTokens::read(&path)?;
        let Some(token) = kept.tokens.remove(url) else {
            return Ok(None);
        };
        kept.write(&path)?;
        Ok(Some(token.renewal.is_some()))
    }

    fn write(&self, path: &Path) -> Result<(), CommandError> {
        let text = format!("{:#}\n", json!({"servers": self.tokens}));
        write_private(path, text.as_bytes())
            .map_err(|e| CommandError::new(format!("{}: {e}", path.display())))
    }
}

/// The lock of the file, held as long as the value lives. It is a file of its own, since the other one is replaced.
fn locked(path: &Path) -> Result<File, CommandError> {
    let failed = |e: io::Error| CommandError::new(format!("{}: {e}", path.display()));
    if let Some(folder) = path.parent() {
        make_private_folder(folder).map_err(failed)?;
    }
    let file = File::create(path.with_extension("lock")).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_when_it_says() {
        // {"exp":1800000000}
        let token = "e30.eyJleHAiOjE4MDAwMDAwMDB9.c2ln";
        assert_eq!(expiry(token), Some(Timestamp(1_800_000_000_000)));
        for other in ["", "opaque", "a.b.c", "e30.e30.c2ln"] {
            assert_eq!(expiry(other), None, "{other}");
        }
    }
}
