//! Lists of requests: who sees which, filtered and paged in SQL, so that both come before LIMIT; and how many there
//! are.

use super::View;
use super::query::{RunStatement, first, tuple};
use super::requests::{LAST_EXECUTION, RequestColumn, read_request};
use super::row_columns::{Columns, ReadColumn};
use super::scopes::within;
use super::unreadable::{UnreadRequest, is_unreadable};
use crate::clock::Timestamp;
use crate::domain::approval::VoteAction;
use crate::domain::id::Operation;
use crate::domain::permission::Scopes;
use crate::domain::request::{Request, Status};
use crate::domain::scope::RoleScope;
use crate::domain::visibility::Viewer;
use crate::error::Error;
use rusqlite::types::Value as Sql;
use rusqlite::{Row, params, params_from_iter};

/// Columns of a request, which come first.
const REQUEST: &str = RequestColumn::LIST;

/// Characters of a statement that lists read; each of them has one to four bytes.
pub const EXCERPT_CHARS: u32 = 1024;

/// A request in a list, with its statement and whom it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestItem {
    pub request: Request,
    /// The first characters of its statement, or of the JSON of its migration: [`EXCERPT_CHARS`] at most.
    pub detail: String,
    /// Bytes of the whole.
    pub detail_bytes: u64,
    /// Selectors of the current step, while pending.
    pub next_approvers: Vec<String>,
    /// The last vote of whom the list is about, where it is about somebody's votes.
    pub vote: Option<(VoteAction, Timestamp)>,
}

/// A row of a list, which one that cannot be read does not end.
pub type Listed<T> = Result<T, UnreadRequest>;
/// A request that may wait for somebody, with the text of its workflow.
pub type Candidate = (Request, Option<String>);

/// Which requests to list; every field that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFilter {
    pub status: Option<Status>,
    pub requester: Option<String>,
    pub database: Option<String>,
    pub environment: Option<String>,
    /// Any of these.
    pub operations: Option<Vec<Operation>>,
    /// Who has voted on it.
    pub voter: Option<String>,
    /// Only requests before this row: the cursor.
    pub before: Option<i64>,
}

impl View<'_> {
    /// Requests that `viewer` may see and that match, newest first.
    pub fn list_requests(
        &self,
        viewer: &Viewer,
        filter: &RequestFilter,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<Listed<RequestItem>>, Error> {
        let (seqs, mut values) = visible(viewer, filter);
        values.push(i64::from(limit).into());
        values.push(i64::from(offset).into());
        let sql = format!(
            "SELECT {REQUEST}, substr(t.detail, 1, {EXCERPT_CHARS}), octet_length(t.detail) FROM (SELECT seq AS s FROM ({seqs} ORDER BY seq DESC LIMIT ? OFFSET ?)) \
             JOIN requests r ON r.seq = s JOIN request_texts t ON t.request_seq = s {LAST_EXECUTION} ORDER BY s DESC"
        );
        let read = |r: &Row<'_>| {
            Ok((
                r.get(RequestColumn::COUNT)?,
                r.get(RequestColumn::COUNT + 1)?,
            ))
        };
        let rows: Vec<Listed<(Request, (String, i64))>> = self.rows(&sql, values, read)?;
        let item = |row: Listed<_>| match row {
            Ok((request, (detail, bytes))) => self.listed(request, |request| {
                let mut item = self.item(request, detail, bytes)?;
                if let Some(voter) = &filter.voter {
                    item.vote = self.last_vote(item.request.seq, voter)?;
                }
                Ok(item)
            }),
            Err(unread) => Ok(Err(unread)),
        };
        rows.into_iter().map(item).collect()
    }

    /// What a list shows of a request.
    ///
    /// # Errors
    /// When the store cannot read; not where it is the request that cannot be read.
    pub fn listed<T>(
        &self,
        request: Request,
        show: impl FnOnce(Request) -> Result<T, Error>,
    ) -> Result<Listed<T>, Error> {
        let (seq, id) = (request.seq, request.id.clone());
        match show(request) {
            Err(error) if is_unreadable(&error) => Ok(Err(UnreadRequest { seq, id })),
            shown => shown.map(Ok),
        }
    }

    fn last_vote(
        &self,
        request_seq: i64,
        voter: &str,
    ) -> Result<Option<(VoteAction, Timestamp)>, Error> {
        self.connection.find(
            "SELECT action, created_at_ms FROM approvals WHERE actor_id = ?1 AND request_seq = ?2 \
             ORDER BY id DESC LIMIT 1",
            params![voter, request_seq],
            tuple,
        )
    }

    /// Pending requests that match and may wait for `viewer`, newest first, each with the text of its workflow:
    /// candidates, which the rules then decide.
    pub fn list_candidates(
        &self,
        viewer: &Viewer,
        filter: &RequestFilter,
        limit: u32,
    ) -> Result<Vec<Listed<Candidate>>, Error> {
        let mut branches = Branches::new(filter);
        branches.designated(viewer);
        branches.scoped(&viewer.admin, Some("r.status = 'pending'"));
        let (seqs, mut values) = branches.finish();
        values.push(i64::from(limit).into());
        let sql = format!(
            "SELECT {REQUEST}, t.workflow_json FROM (SELECT seq AS s FROM ({seqs} ORDER BY seq DESC LIMIT ?)) \
             JOIN requests r ON r.seq = s JOIN request_texts t ON t.request_seq = s {LAST_EXECUTION} ORDER BY s DESC"
        );
        self.rows(&sql, values, |r| r.get(RequestColumn::COUNT))
    }

    /// A request as lists show it.
    pub fn request_item(&self, request: Request) -> Result<RequestItem, Error> {
        const SQL: &str = "SELECT substr(detail, 1, ?2), octet_length(detail) FROM request_texts WHERE request_seq = ?1";
        let params = params![request.seq, EXCERPT_CHARS];
        let (detail, bytes) = self.connection.one(SQL, params, tuple)?;
        self.item(request, detail, bytes)
    }

    fn item(&self, request: Request, detail: String, bytes: i64) -> Result<RequestItem, Error> {
        let next_approvers = if request.status() == Status::Pending {
            self.next_approvers(&request)?
        } else {
            Vec::new()
        };
        Ok(RequestItem {
            request,
            detail,
            detail_bytes: bytes.unsigned_abs(),
            next_approvers,
            vote: None,
        })
    }

    /// How many pending requests somebody has made.
    pub fn pending_requests_of(&self, requester: &str) -> Result<i64, Error> {
        self.connection
            .one("SELECT coalesce(sum(n), 0) FROM requester_counts WHERE requester = ?1 AND status = 'pending'", [requester], first)
    }

    /// How many requests `viewer` may see match, counting no further than `max` + 1. Where nothing but a status is
    /// asked for, own ones and everybody's are not counted but known.
    pub fn count_requests(
        &self,
        viewer: &Viewer,
        filter: &RequestFilter,
        max: i64,
    ) -> Result<i64, Error> {
        let by_status_only = RequestFilter {
            status: filter.status,
            ..RequestFilter::default()
        };
        if *filter != by_status_only {
            return self.count(visible(viewer, filter), max);
        }
        let status = filter.status.map(Status::as_str);
        if everywhere(&viewer.admin) {
            return self.connection.one(
                "SELECT coalesce(sum(n), 0) FROM request_counts WHERE status = ?1 OR ?1 IS NULL",
                [status],
                first,
            );
        }
        if !everywhere(&viewer.view) {
            return self.count(visible(viewer, filter), max);
        }
        let own: i64 = self
            .connection
            .one("SELECT coalesce(sum(n), 0) FROM requester_counts WHERE requester = ?1 AND (status = ?2 OR ?2 IS NULL)", params![viewer.subject, status], first)?;
        if own > max {
            return Ok(own);
        }
        let mut branches = Branches::new(filter);
        branches.not_of(&viewer.subject);
        others(&mut branches, viewer);
        Ok(own + self.count(branches.finish(), max - own)?)
    }

    fn count(&self, (seqs, mut values): (String, Vec<Sql>), max: i64) -> Result<i64, Error> {
        values.push((max + 1).into());
        let sql = format!("SELECT count(*) FROM ({seqs} ORDER BY seq DESC LIMIT ?)");
        self.connection.one(&sql, params_from_iter(values), first)
    }

    /// Requests, each with what follows its own columns.
    fn rows<T>(
        &self,
        sql: &str,
        values: Vec<Sql>,
        more: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<Listed<(Request, T)>>, Error> {
        use RequestColumn as C;
        let read =
            |r: &Row<'_>| -> Result<(Request, T), Error> { Ok((read_request(r)?, more(r)?)) };
        self.connection.list(sql, params_from_iter(values), |r| {
            let seq = r.column(C::Seq)?;
            Ok(read(r).map_err(|_| UnreadRequest {
                seq,
                id: r.column(C::Id).unwrap_or_default(),
            }))
        })
    }
}

/// The query of the rows that `viewer` may see: visibility and filters together, so that both come before LIMIT.
fn visible(viewer: &Viewer, filter: &RequestFilter) -> (String, Vec<Sql>) {
    let mut branches = Branches::new(filter);
    if everywhere(&viewer.admin) {
        branches.push("SELECT r.seq AS seq FROM requests r WHERE 1 = 1", vec![]);
        return branches.finish();
    }
    branches.own(viewer);
    others(&mut branches, viewer);
    branches.finish()
}

/// What `viewer` may see besides their own.
fn others(branches: &mut Branches, viewer: &Viewer) {
    const DECIDED: &str = "SELECT r.seq AS seq FROM approvals a JOIN requests r ON r.seq = a.request_seq \
         WHERE a.actor_id = ?";
    branches.scoped(&viewer.admin, None);
    branches.scoped(&viewer.approve, Some("r.status = 'pending'"));
    branches.designated(viewer);
    for scope in &viewer.decided {
        let (sql, scope_values) = scope_sql(scope);
        let mut values: Vec<Sql> = vec![viewer.subject.clone().into()];
        values.extend(scope_values);
        branches.push(&format!("{DECIDED}{sql}"), values);
    }
}

/// A JSON list of their names.
fn names(operations: &[Operation]) -> String {
    let names: Vec<&str> = operations.iter().map(|o| o.as_str()).collect();
    serde_json::Value::from(names).to_string()
}

/// Whether one of these scopes covers every target.
fn everywhere(scopes: &Scopes) -> bool {
    scopes.iter().any(|scope| {
        scope
            .iter()
            .all(|s| s.databases.is_empty() && s.environments.is_empty())
    })
}

/// A UNION of queries, each followed by the filters.
struct Branches {
    filters: String,
    filter_values: Vec<Sql>,
    parts: Vec<String>,
    values: Vec<Sql>,
}

impl Branches {
    fn new(filter: &RequestFilter) -> Branches {
        let mut filters = String::new();
        let mut filter_values: Vec<Sql> = Vec::new();
        let mut add = |condition: &str, value: Option<Sql>| {
            if let Some(value) = value {
                filters.push_str(" AND ");
                filters.push_str(condition);
                filter_values.push(value);
            }
        };
        let text = |v: &Option<String>| v.clone().map(Sql::from);
        add(
            "r.status = ?",
            filter.status.map(|s| s.as_str().to_owned().into()),
        );
        add("r.requester = ?", text(&filter.requester));
        add("r.database_name = ?", text(&filter.database));
        add("r.environment = ?", text(&filter.environment));
        add(
            "r.operation IN (SELECT value FROM json_each(?))",
            filter.operations.as_deref().map(|all| names(all).into()),
        );
        add(
            "r.seq IN (SELECT request_seq FROM approvals WHERE actor_id = ?)",
            text(&filter.voter),
        );
        add("r.seq < ?", filter.before.map(Sql::from));
        Branches {
            filters,
            filter_values,
            parts: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Leaves out what `requester` made.
    fn not_of(&mut self, requester: &str) {
        self.filters.push_str(" AND r.requester <> ?");
        self.filter_values.push(requester.to_owned().into());
    }

    fn push(&mut self, sql: &str, values: Vec<Sql>) {
        self.parts.push(format!("{sql}{}", self.filters));
        self.values.extend(values);
        self.values.extend(self.filter_values.iter().cloned());
    }

    fn scoped(&mut self, scopes: &Scopes, condition: Option<&str>) {
        for scope in scopes {
            let (sql, values) = scope_sql(scope);
            let condition = condition.unwrap_or("1 = 1");
            self.push(
                &format!("SELECT r.seq AS seq FROM requests r WHERE {condition}{sql}"),
                values,
            );
        }
    }

    fn own(&mut self, viewer: &Viewer) {
        for scope in &viewer.view {
            let (sql, scope_values) = scope_sql(scope);
            let mut values: Vec<Sql> = vec![viewer.subject.clone().into()];
            values.extend(scope_values);
            self.push(
                &format!("SELECT r.seq AS seq FROM requests r WHERE r.requester = ?{sql}"),
                values,
            );
        }
    }

    /// Pending requests whose current step names the viewer.
    fn designated(&mut self, viewer: &Viewer) {
        const NAMED: &str = "SELECT r.seq AS seq FROM request_approvers p JOIN requests r ON r.seq = p.request_seq \
             WHERE p.selector IN (SELECT value FROM json_each(?))";
        const AS_ROLE: &str = "SELECT r.seq AS seq FROM request_approvers p JOIN requests r ON r.seq = p.request_seq \
             WHERE p.selector = ?";
        // One query for all of them: SQLite joins some hundreds of queries by UNION, and no more.
        let selectors = serde_json::Value::from(viewer.selectors.clone()).to_string();
        for scope in &viewer.votes {
            let (sql, scope_values) = scope_sql(scope);
            let mut values: Vec<Sql> = vec![selectors.clone().into()];
            values.extend(scope_values);
            self.push(&format!("{NAMED}{sql}"), values);
        }
        for (role, scope) in &viewer.roles {
            let (sql, scope_values) = scope_sql(std::slice::from_ref(scope));
            let mut values: Vec<Sql> = vec![format!("role:{role}").into()];
            values.extend(scope_values);
            self.push(&format!("{AS_ROLE}{sql}"), values);
        }
    }

    fn finish(self) -> (String, Vec<Sql>) {
        if self.parts.is_empty() {
            return ("SELECT 0 AS seq WHERE 0".to_owned(), Vec::new());
        }
        (self.parts.join(" UNION "), self.values)
    }
}

fn scope_sql(scope: &[RoleScope]) -> (String, Vec<Sql>) {
    let mut sql = String::new();
    let mut values: Vec<Sql> = Vec::new();
    for part in scope {
        within("r", part, &mut sql, &mut values);
    }
    (sql, values)
}
