//! Ids by their beginning, as people type them.

use super::super::output::visible;
use super::{CommandError, ServerSession};
use crate::client::{path_of, with_query};
use serde_json::Value;

/// Items of a page, and pages, in which the beginning of an id is looked for.
const ID_PAGE: usize = 100;
const ID_PAGES: usize = 5;

/// What the ids of deliveries begin with.
const DELIVERY: &str = "wd-";

/// Where ids of a kind are found.
struct Ids<'a> {
    path: &'a str,
    /// Items of a page; `None` takes as many as the server gives.
    page: Option<usize>,
    /// The member of the answer that holds the items.
    key: &'a str,
    /// One of them, for the message.
    what: &'a str,
    /// The command that lists them.
    list: &'a str,
}

impl ServerSession {
    /// The whole id of a request whose id begins so; `latest` is the newest that the caller may see.
    pub(super) fn request_id(&self, prefix: &str) -> Result<String, CommandError> {
        let ids = Ids {
            path: &path_of(&["requests"]),
            page: Some(ID_PAGE),
            key: "requests",
            what: "request that you may see",
            list: "dbward request list",
        };
        if prefix != "latest" {
            return self.whole_id(prefix, &ids, |_| true);
        }
        let path = with_query(ids.path, &[("limit", Some("1".to_owned()))]);
        let page: Value = self.client.fetch(&path)?.read()?;
        let newest = page[ids.key][0]["id"].as_str();
        newest
            .map(str::to_owned)
            .ok_or_else(|| CommandError::new("there is no request that you may see"))
    }

    /// The whole id of a request that a vote is about. A vote names its request: another may have come since.
    pub(super) fn voted_id(&self, prefix: &str) -> Result<String, CommandError> {
        match prefix {
            "latest" => Err(CommandError::new(
                "a vote needs the id of its request: `latest` may be another by now",
            )
            .hint("dbward request list --mine-to-approve")),
            prefix => self.request_id(prefix),
        }
    }

    /// The whole id of a token whose id begins so, among those that are not revoked and have not expired.
    pub(super) fn token_id(&self, prefix: &str) -> Result<String, CommandError> {
        let ids = Ids {
            path: &path_of(&["tokens"]),
            page: None,
            key: "tokens",
            what: "active token",
            list: "dbward token list",
        };
        self.whole_id(prefix, &ids, |token| token["status"] == "active")
    }

    /// The whole id of a delivery whose id begins so.
    pub(super) fn delivery_id(&self, prefix: &str) -> Result<String, CommandError> {
        let ids = Ids {
            path: &path_of(&["webhook-deliveries"]),
            page: Some(ID_PAGE),
            key: "deliveries",
            what: "delivery",
            list: "dbward webhook deliveries",
        };
        // People copy what differs.
        let prefix = match prefix.starts_with(DELIVERY) {
            true => prefix.to_owned(),
            false => format!("{DELIVERY}{prefix}"),
        };
        self.whole_id(&prefix, &ids, |_| true)
    }

    /// The whole id of an execution of a request whose id begins so.
    pub(super) fn execution_id(&self, request: &str, prefix: &str) -> Result<String, CommandError> {
        let list = format!("dbward request result {} --list", visible(request));
        let ids = Ids {
            path: &path_of(&["requests", request, "executions"]),
            page: Some(ID_PAGE),
            key: "executions",
            what: "execution of the request",
            list: &list,
        };
        self.whole_id(prefix, &ids, |_| true)
    }

    /// The one id among the items that begins with `prefix`.
    fn whole_id(
        &self,
        prefix: &str,
        ids: &Ids,
        counts: impl Fn(&Value) -> bool,
    ) -> Result<String, CommandError> {
        if is_whole_id(prefix) {
            return Ok(prefix.to_owned());
        }
        let mut cursor: Option<String> = None;
        let mut found: Vec<String> = Vec::new();
        for _ in 0..ID_PAGES {
            let limit = ids.page.map(|items| items.to_string());
            let parameters = [("limit", limit), ("cursor", cursor.take())];
            let path = with_query(ids.path, &parameters);
            let page: Value = self.client.fetch(&path)?.read()?;
            let items = page[ids.key].as_array().into_iter().flatten();
            let all = items
                .filter(|item| counts(item))
                .filter_map(|item| item["id"].as_str());
            let begun = all.filter(|id| id.starts_with(&prefix.to_lowercase()));
            found.extend(begun.map(str::to_owned));
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() || found.len() > 1 {
                break;
            }
        }
        only(prefix, &found, ids, cursor.is_some())
    }
}

/// The one id that was found, or why there is not one; `is_cut` where older ones were not looked at.
fn only(prefix: &str, found: &[String], ids: &Ids, is_cut: bool) -> Result<String, CommandError> {
    let (shown, what) = (visible(prefix), ids.what);
    match found {
        [id] if !prefix.is_empty() && prefix != DELIVERY => Ok(id.clone()),
        [] if is_cut => {
            let newest = ID_PAGE * ID_PAGES;
            let message =
                format!("none of the newest {newest} is a {what} that begins with `{shown}`");
            Err(CommandError::new(message)
                .hint(format!("write the whole id of an older one; {}", ids.list)))
        }
        [] => Err(CommandError::new(format!("no {what} begins with `{shown}`")).hint(ids.list)),
        [first, ..] => {
            let longer = first.get(..prefix.len().max(13)).unwrap_or_default();
            Err(
                CommandError::new(format!("more than one {what} begins with `{shown}`"))
                    .hint(format!("write more of it, such as {longer}")),
            )
        }
    }
}

/// Whether it is an id and not the beginning of one.
fn is_whole_id(text: &str) -> bool {
    let text = text.strip_prefix(DELIVERY).unwrap_or(text);
    let dashes = [8, 13, 18, 23];
    text.len() == 36 && dashes.iter().all(|at| text.as_bytes()[*at] == b'-')
}
