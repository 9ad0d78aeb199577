//! Links of people to Slack accounts: what ends with the token that made them.

use crate::domain::change::{Change, IdentityChange};
use crate::domain::token::Token;
use crate::error::Error;
use crate::store::View;
use std::collections::BTreeSet;

/// The ends of the links that people made with tokens of theirs that end now.
pub(super) fn unlinked<'a>(
    view: &View,
    ended: impl Iterator<Item = &'a Token>,
) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    for token in ended {
        let user = view.find_user(&token.subject_id)?;
        let linked = user.filter(|user| user.slack_linked_with.as_ref() == Some(&token.id));
        changes.extend(linked.map(|user| unlink(user.id)));
    }
    Ok(changes)
}

/// The end of the link of a person's Slack account.
pub(super) fn unlink(id: String) -> Change {
    Change::from(IdentityChange::UserUpdated {
        id,
        slack_user_id: None,
        linkers: BTreeSet::new(),
        linked_with: None,
    })
}
