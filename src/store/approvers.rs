//! Whom selectors name beyond what the configuration lists: people who are it by a token that counts, or by what the
//! identity provider claimed of them lately. For those who are notified and shown; a vote is decided by the credentials
//! that are presented with it.

use super::identities::{LIVE_OF_PEOPLE, TokenColumn, read_token};
use super::query::tuple;
use super::row_columns::ReadColumn;
use super::{View, snapshot};
use crate::clock::Timestamp;
use crate::domain::id::Selector;
use crate::domain::permission::Permission;
use crate::domain::policy::Policies;
use crate::domain::token::Token;
use crate::domain::user::KEPT_CLAIMS_SECS_MAX;
use crate::error::Error;
use rusqlite::Connection;
use serde_json::Value;
use std::collections::BTreeSet;

/// People who may be named that are read, and tokens: more than could be asked.
const READ_MAX: usize = 2_000;
/// People with kept claims who are looked at.
const CLAIMS_MAX: usize = 10_000;
/// Who came last comes first.
const CLAIMS: &str = "SELECT id, claims_json FROM users WHERE claims_at_ms > ?1 AND status = 'active' \
     AND subject_type = 'user' ORDER BY claims_at_ms DESC";

/// People whom selectors name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NamedByState {
    pub people: BTreeSet<String>,
    /// There were more than are read, and so there may be others.
    pub is_cut: bool,
}

impl View<'_> {
    /// Active people whom one of these selectors names by a token or by kept claims, at `now`.
    pub fn approvers_by_state(
        &self,
        selectors: &[&Selector],
        policies: &Policies,
        now: Timestamp,
    ) -> Result<NamedByState, Error> {
        by_state(self.connection, selectors, policies, now)
    }
}

/// As [`View::approvers_by_state`].
pub(super) fn by_state(
    connection: &Connection,
    selectors: &[&Selector],
    policies: &Policies,
    now: Timestamp,
) -> Result<NamedByState, Error> {
    let wanted = Wanted::of(selectors);
    let mut named = NamedByState::default();
    if wanted.roles.is_empty() && wanted.groups.is_empty() {
        return Ok(named);
    }
    by_tokens(connection, &wanted, policies, now, &mut named)?;
    by_claims(connection, &wanted, policies, now, &mut named)?;
    Ok(named)
}

/// Roles and groups of which people are wanted.
struct Wanted<'a> {
    roles: BTreeSet<&'a str>,
    groups: BTreeSet<&'a str>,
}

impl<'a> Wanted<'a> {
    fn of(selectors: &[&'a Selector]) -> Wanted<'a> {
        let (mut roles, mut groups) = (BTreeSet::new(), BTreeSet::new());
        for selector in selectors {
            match selector {
                Selector::Role(name) => roles.insert(name.as_str()),
                Selector::Group(name) => groups.insert(name.as_str()),
                Selector::User(_) | Selector::Requester => false,
            };
        }
        Wanted { roles, groups }
    }

    /// What one of must stand in the claims of somebody who is wanted, as JSON writes it; none where anything may.
    fn marks(&self, policies: &Policies) -> Option<Vec<String>> {
        let defaults = [&policies.default_role, &policies.oidc_default_role];
        let is_wanted = |role: &String| self.roles.contains(role.as_str());
        if defaults.into_iter().flatten().any(is_wanted) {
            return None;
        }
        let mapped = policies.role_mappings.iter().filter(|m| is_wanted(&m.role));
        let bound = policies.bindings.iter().filter(|b| is_wanted(&b.role));
        let groups = bound.flat_map(|b| &b.groups).map(String::as_str);
        let names = groups.chain(mapped.map(|m| m.value.as_str()));
        let names = names.chain(self.groups.iter().copied());
        Some(names.map(quoted).collect())
    }
}

/// Whether one of these marks stands in a text.
fn may_have(marks: &Option<Vec<String>>, text: &str) -> bool {
    let has_mark = |marks: &Vec<String>| marks.iter().any(|mark| text.contains(mark));
    marks.as_ref().is_none_or(has_mark)
}

/// A text as it stands in JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn by_tokens(
    connection: &Connection,
    wanted: &Wanted,
    policies: &Policies,
    now: Timestamp,
    named: &mut NamedByState,
) -> Result<(), Error> {
    let marks = wanted.marks(policies);
    let roles: Vec<String> = wanted.roles.iter().map(|name| quoted(name)).collect();
    let mut statement = connection.prepare_cached(LIVE_OF_PEOPLE)?;
    let mut rows = statement.query([])?;
    let mut read = 0;
    while let Some(row) = rows.next()? {
        let (held, groups): (String, String) = (
            row.column(TokenColumn::Roles)?,
            row.column(TokenColumn::Groups)?,
        );
        // A token without such a group gives no more than its roles, or what the configuration gives.
        let has_group = groups != "[]" && may_have(&marks, &groups);
        if !has_group && !roles.iter().any(|role| held.contains(role)) {
            continue;
        }
        read += 1;
        if read > READ_MAX {
            named.is_cut = true;
            break;
        }
        let stored = read_token(row)?;
        if stored.counts(now) && is_wanted_by_token(wanted, policies, &stored.token) {
            named.people.insert(stored.token.subject_id);
        }
    }
    Ok(())
}

fn is_wanted_by_token(wanted: &Wanted, policies: &Policies, token: &Token) -> bool {
    let (rights, groups) = token.grant().rights(policies);
    let mut roles = rights.acting();
    // With some tokens nobody votes as a member of a group.
    let votes = !rights
        .let_through_scopes(&[Permission::RequestApprove])
        .is_empty();
    roles.any(|role| wanted.roles.contains(role.name.as_str()))
        || (votes && groups.iter().any(|g| wanted.groups.contains(g.as_str())))
}

fn by_claims(
    connection: &Connection,
    wanted: &Wanted,
    policies: &Policies,
    now: Timestamp,
    named: &mut NamedByState,
) -> Result<(), Error> {
    let marks = wanted.marks(policies);
    let since = now.0.saturating_sub_unsigned(KEPT_CLAIMS_SECS_MAX * 1000);
    let mut statement = connection.prepare_cached(CLAIMS)?;
    let mut rows = statement.query([since])?;
    let (mut looked_at, mut read) = (0, 0);
    while let Some(row) = rows.next()? {
        looked_at += 1;
        if looked_at > CLAIMS_MAX {
            named.is_cut = true;
            break;
        }
        let (id, claims): (String, String) = tuple(row)?;
        if !may_have(&marks, &claims) {
            continue;
        }
        read += 1;
        if read > READ_MAX {
            named.is_cut = true;
            break;
        }
        let Some(access) = snapshot::read_claims(&claims) else {
            continue;
        };
        let (groups, roles) = access.under(policies, &id);
        let is_wanted = groups.iter().any(|g| wanted.groups.contains(g.as_str()))
            || roles.iter().any(|r| wanted.roles.contains(r.name.as_str()));
        if is_wanted {
            named.people.insert(id);
        }
    }
    Ok(())
}
