//! Tokens that were issued with a token, and what becomes of them when that one goes.
//!
//! What people issued for themselves ends with the token they issued it with, however long the chain. What somebody
//! issued for others stays, unless the call says that it ends too.

use crate::domain::actor::SubjectType;
use crate::domain::change::IdentityChange;
use crate::error::Error;
use crate::store::{TokenRow, View};
use std::collections::BTreeSet;

/// Tokens that are not revoked yet, by what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Descendants {
    /// Ended with the token they come from.
    pub ended: Vec<TokenRow>,
    /// Stay; the answer lists them.
    pub kept: Vec<TokenRow>,
}

impl Descendants {
    /// What comes of revoking `root`; with `all`, what was issued for others ends too.
    pub(super) fn of_token(view: &View, root: &TokenRow, all: bool) -> Result<Descendants, Error> {
        let mut found = Descendants::default();
        let mut seen = BTreeSet::from([root.id.clone()]);
        found.follow(view, root, true, all, &mut seen)?;
        Ok(found)
    }

    /// The same for a person whose own tokens all end: what they issued for others, and what was issued with that.
    pub(super) fn of_person(view: &View, subject: &str, all: bool) -> Result<Descendants, Error> {
        let (mut found, mut seen) = (Descendants::default(), BTreeSet::new());
        for token in view.tokens_issued_by(subject)? {
            let others = token.subject_id != subject;
            if others && seen.insert(token.id.clone()) {
                found.follow(view, &token, all, all, &mut seen)?;
                found.put(token, all);
            }
        }
        Ok(found)
    }

    /// Goes through what was issued with `parent`, which `ends` or not, and with that, however long the chain.
    fn follow(
        &mut self,
        view: &View,
        parent: &TokenRow,
        ends: bool,
        all: bool,
        seen: &mut BTreeSet<String>,
    ) -> Result<(), Error> {
        let mut open = vec![(parent.clone(), ends)];
        while let Some((parent, ends)) = open.pop() {
            for token in view.tokens_issued_with(&parent.id)? {
                let for_themselves = token.subject_type == SubjectType::User
                    && token.subject_id == parent.subject_id;
                let ends = all || (ends && for_themselves);
                if seen.insert(token.id.clone()) {
                    open.push((token.clone(), ends));
                    self.put(token, ends);
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, token: TokenRow, ends: bool) {
        match (token.revoked_at, ends) {
            (Some(_), _) => {}
            (None, true) => self.ended.push(token),
            (None, false) => self.kept.push(token),
        }
    }

    /// The revocations of what ends, `with` that token where there is one.
    pub(super) fn revocations(&self, with: Option<&str>) -> impl Iterator<Item = IdentityChange> {
        self.ended.iter().map(move |token| {
            let (token_id, subject_id) = (token.id.clone(), token.subject_id.clone());
            IdentityChange::TokenRevoked {
                token_id,
                subject_id,
                with: with.map(str::to_owned),
                ended: Vec::new(),
                kept: Vec::new(),
            }
        })
    }

    /// The revocation of `root` and of what ends with it.
    pub(super) fn with_root(&self, root: &TokenRow) -> Vec<IdentityChange> {
        let ids = |tokens: &[TokenRow]| tokens.iter().map(|t| t.id.clone()).collect();
        let mut changes = vec![IdentityChange::TokenRevoked {
            token_id: root.id.clone(),
            subject_id: root.subject_id.clone(),
            with: None,
            ended: ids(&self.ended),
            kept: ids(&self.kept),
        }];
        changes.extend(self.revocations(Some(&root.id)));
        changes
    }
}
