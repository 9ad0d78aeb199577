//! Tokens that were issued with a token, and what becomes of them when that one goes.
//!
//! What people issued for themselves ends with the token they issued it with, however long the chain. What somebody
//! issued for others stays, unless the call says that it ends too.

use crate::domain::actor::SubjectType;
use crate::domain::change::IdentityChange;
use crate::domain::token::{StoredToken, Token};
use crate::error::Error;
use crate::store::View;
use std::collections::BTreeSet;

/// Tokens that are not revoked yet, by what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Descendants {
    /// Ended with the token they come from.
    pub ended: Vec<StoredToken>,
    /// Stay; the answer lists them.
    pub kept: Vec<StoredToken>,
}

impl Descendants {
    /// What comes of revoking `root`; with `all`, what was issued for others ends too.
    pub(super) fn of_token(
        view: &View,
        root: &StoredToken,
        all: bool,
    ) -> Result<Descendants, Error> {
        let mut found = Descendants::default();
        let mut seen = BTreeSet::from([root.token.id.clone()]);
        found.follow(view, root, true, all, &mut seen)?;
        Ok(found)
    }

    /// What comes of the end of a session: what its person issued in it for themselves ends.
    pub(super) fn of_session(view: &View, session_id: &str) -> Result<Descendants, Error> {
        let (mut found, mut seen) = (Descendants::default(), BTreeSet::new());
        for stored in view.tokens_issued_in(session_id)? {
            if seen.insert(stored.token.id.clone()) {
                found.follow(view, &stored, true, false, &mut seen)?;
                found.put(stored, true);
            }
        }
        Ok(found)
    }

    /// The same for a person whose own tokens all end: what they issued for others, and what was issued with that.
    pub(super) fn of_person(view: &View, subject: &str, all: bool) -> Result<Descendants, Error> {
        // Those of the person end anyway, also where somebody issued one with what came of another.
        let own = view.tokens_of(subject)?.into_iter().map(|own| own.token.id);
        let (mut found, mut seen) = (Descendants::default(), own.collect::<BTreeSet<_>>());
        for stored in view.tokens_issued_by(subject)? {
            let others = stored.token.subject_id != subject;
            if others && seen.insert(stored.token.id.clone()) {
                found.follow(view, &stored, all, all, &mut seen)?;
                found.put(stored, all);
            }
        }
        Ok(found)
    }

    /// Goes through what was issued with `parent`, which `ends` or not, and with that, however long the chain.
    fn follow(
        &mut self,
        view: &View,
        parent: &StoredToken,
        ends: bool,
        all: bool,
        seen: &mut BTreeSet<String>,
    ) -> Result<(), Error> {
        let mut open = vec![(parent.clone(), ends)];
        while let Some((parent, ends)) = open.pop() {
            for stored in view.tokens_issued_with(&parent.token.id)? {
                let for_themselves = stored.token.subject_type == SubjectType::User
                    && stored.token.subject_id == parent.token.subject_id;
                let ends = all || (ends && for_themselves);
                if seen.insert(stored.token.id.clone()) {
                    open.push((stored.clone(), ends));
                    self.put(stored, ends);
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, stored: StoredToken, ends: bool) {
        match (stored.revoked_at, ends) {
            (Some(_), _) => {}
            (None, true) => self.ended.push(stored),
            (None, false) => self.kept.push(stored),
        }
    }

    pub(super) fn ended_tokens(&self) -> impl Iterator<Item = &Token> {
        self.ended.iter().map(|stored| &stored.token)
    }

    /// The revocations of what ends, `with` that token where there is one.
    pub(super) fn revocations(&self, with: Option<&str>) -> impl Iterator<Item = IdentityChange> {
        self.ended.iter().map(move |stored| {
            let (token_id, subject_id) = (stored.token.id.clone(), stored.token.subject_id.clone());
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
    pub(super) fn with_root(&self, root: &StoredToken) -> Vec<IdentityChange> {
        let ids = |tokens: &[StoredToken]| tokens.iter().map(|t| t.token.id.clone()).collect();
        let mut changes = vec![IdentityChange::TokenRevoked {
            token_id: root.token.id.clone(),
            subject_id: root.token.subject_id.clone(),
            with: None,
            ended: ids(&self.ended),
            kept: ids(&self.kept),
        }];
        changes.extend(self.revocations(Some(&root.token.id)));
        changes
    }
}
