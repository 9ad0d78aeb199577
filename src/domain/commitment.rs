//! The commitment of a request: a hash in the audit log over what was asked for, so that what is signed later can be
//! held against it.
//!
//! SHA-256 over a random salt and, each preceded by its length, every field that decides what runs and who has to
//! approve it. The salt is kept with the texts and goes with them: without it, the hash says nothing of a short text.
//! A second hash covers what goes along and decides nothing any more.

use crate::crypto::{hex, sha256_fields};

/// Opens what the first hash is over.
const REQUEST: &[u8] = b"dbward/request-commitment/v1";
/// The same for the second.
const CONTEXT: &[u8] = b"dbward/request-context/v1";

pub const SALT_BYTES: usize = 32;

/// What a request is, in the form in which it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedRequest<'a> {
    pub requester: &'a str,
    pub database: &'a str,
    pub environment: &'a str,
    pub operation: &'a str,
    pub detail: &'a str,
    pub plan_json: Option<&'a str>,
    /// The workflow as it was when the request was made.
    pub workflow_json: Option<&'a str>,
    /// The dialect that the text was read in.
    pub dialect: &'a str,
    pub emergency: bool,
    pub allow_ddl: bool,
    pub no_result_store: bool,
    /// Rows it may change at most, and who says so.
    pub row_bound: Option<(u64, &'a str)>,
}

/// What is stored with a request and decides nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedContext<'a> {
    pub facts_json: &'a str,
    pub trace_json: &'a str,
    pub metadata_json: Option<&'a str>,
    pub share_with_json: &'a str,
    /// What reviewers went by; none where the result is not to be kept.
    pub context_json: Option<&'a str>,
}

/// Both hashes of a request, hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commitments {
    pub request: String,
    pub context: String,
}

impl CommittedRequest<'_> {
    pub fn hash(&self, salt: &[u8]) -> String {
        let flags = [self.emergency, self.allow_ddl, self.no_result_store].map(u8::from);
        let plan = present(self.plan_json);
        let workflow = present(self.workflow_json);
        let bound = self
            .row_bound
            .map(|(rows, source)| format!("{rows} {source}"));
        let mut fields = vec![
            REQUEST,
            salt,
            self.requester.as_bytes(),
            self.database.as_bytes(),
            self.environment.as_bytes(),
            self.detail.as_bytes(),
            &plan,
            self.operation.as_bytes(),
            self.dialect.as_bytes(),
            &flags,
            &workflow,
        ];
        // Requests without one keep the hash that they had before there were bounds.
        fields.extend(bound.as_ref().map(String::as_bytes));
        hex(&sha256_fields(fields))
    }
}

impl CommittedContext<'_> {
    pub fn hash(&self, salt: &[u8]) -> String {
        hex(&sha256_fields([
            CONTEXT,
            salt,
            self.facts_json.as_bytes(),
            self.trace_json.as_bytes(),
            &present(self.metadata_json),
            self.share_with_json.as_bytes(),
            &present(self.context_json),
        ]))
    }
}

/// An absent text and an empty one are different fields.
fn present(text: Option<&str>) -> Vec<u8> {
    match text {
        None => Vec::new(),
        Some(text) => [b"+", text.as_bytes()].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const SALT: [u8; SALT_BYTES] = [7; SALT_BYTES];

    fn request() -> CommittedRequest<'static> {
        CommittedRequest {
            requester: "requester",
            database: "shop",
            environment: "production",
            operation: "execute_dml",
            detail: "UPDATE t SET a = 1",
            plan_json: Some("[]"),
            workflow_json: Some("{}"),
            dialect: "sqlite",
            emergency: false,
            allow_ddl: false,
            no_result_store: false,
            row_bound: None,
        }
    }

    #[test]
    fn every_field_and_the_salt_change_the_commitment() {
        let edits: [fn(&mut CommittedRequest<'static>); 16] = [
            |r| r.requester = "x",
            |r| r.database = "x",
            |r| r.environment = "x",
            |r| r.operation = "execute_select",
            |r| r.detail = "UPDATE t SET a = 2",
            |r| r.plan_json = None,
            |r| r.plan_json = Some(""),
            |r| r.workflow_json = None,
            |r| r.dialect = "",
            |r| r.emergency = true,
            |r| r.allow_ddl = true,
            |r| r.no_result_store = true,
            |r| r.row_bound = Some((1, "request")),
            |r| r.row_bound = Some((1, "policy")),
            |r| r.row_bound = Some((11, "policy")),
            // Bytes that move from one field into the next.
            |r| (r.database, r.environment) = ("shopp", "roduction"),
        ];
        let mut hashes = BTreeSet::from([request().hash(&SALT), request().hash(&[8; SALT_BYTES])]);
        for edit in edits {
            let mut edited = request();
            edit(&mut edited);
            hashes.insert(edited.hash(&SALT));
        }
        assert_eq!(hashes.len(), edits.len() + 2);
    }

    #[test]
    fn every_field_of_the_context_changes_its_hash() {
        let context = CommittedContext {
            facts_json: "{}",
            trace_json: "{}",
            metadata_json: None,
            share_with_json: "[]",
            context_json: Some("{}"),
        };
        let edits: [fn(&mut CommittedContext<'static>); 6] = [
            |c| c.facts_json = "[]",
            |c| c.trace_json = "[]",
            |c| c.metadata_json = Some(""),
            |c| c.share_with_json = "{}",
            |c| c.context_json = None,
            |c| c.context_json = Some("{} "),
        ];
        let mut hashes = BTreeSet::from([context.hash(&SALT)]);
        for edit in edits {
            let mut edited = context.clone();
            edit(&mut edited);
            hashes.insert(edited.hash(&SALT));
        }
        assert_eq!(hashes.len(), edits.len() + 1);
    }
}
