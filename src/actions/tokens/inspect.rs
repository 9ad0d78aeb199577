//! What one token can do now, and whether that is less than its roles say.

use crate::actions::App;
use crate::domain::actor::Caller;
use crate::domain::permission::{Permission, Rights, Role};
use crate::domain::token::{StoredToken, holds_all};
use crate::error::Error;
use std::collections::BTreeSet;

/// A token with what it can do now.
pub struct TokenDetail {
    pub stored: StoredToken,
    /// Why it does not count, if it does not.
    pub rejection_reason: Option<&'static str>,
    pub rights: Rights,
    pub groups: BTreeSet<String>,
}

/// One token, with what it can do now.
///
/// # Errors
/// `forbidden` without `token.manage`; 404.
pub fn inspect(app: &App, caller: &Caller, id: &str) -> Result<TokenDetail, Error> {
    caller.require(Permission::TokenManage)?;
    let stored = app.store.read(|view| view.find_token(id))?;
    let stored = stored.ok_or_else(|| Error::not_found("token", id))?;
    let (rights, groups) = stored.token.grant().rights(&app.active().policies);
    Ok(TokenDetail {
        rejection_reason: stored.rejection_reason(app.clock.now()),
        rights,
        groups,
        stored,
    })
}

/// That a token can do less than its roles say, since its subject does not hold as much.
pub(super) fn shortfall(rights: &Rights) -> Option<String> {
    let named = Rights {
        held: rights.ceiling.clone()?,
        ceiling: None,
    };
    let own = Rights {
        held: rights.held.clone(),
        ceiling: None,
    };
    if holds_all(&own, &named) {
        return None;
    }
    let names = |roles: &[Role]| {
        let names: Vec<&str> = roles.iter().map(|role| role.name.as_str()).collect();
        match names.is_empty() {
            true => "no role".to_owned(),
            false => names.join(", "),
        }
    };
    Some(format!(
        "the token can do less than {} permits: its subject holds {} by server.toml, and the roles of the token are a ceiling on that",
        names(&named.held),
        names(&own.held)
    ))
}
