//! The keys of policies in server.toml: what decides about requests.

use super::{APPROVERS_MAX, NAMES_MAX, STEPS_MAX};
use crate::declare::{KeyKind, KeySpec};
use crate::domain::policy::execution::ExecutionPolicy;
use crate::domain::policy::result::RESULT_TTL_DAYS;
use crate::domain::policy::workflow::Workflow;
use crate::domain::risk_level::Allowance;
use crate::domain::sql::ReviewRule;
use crate::settings::{Number, Part, Present, Section, Spanned, Text, Texts, section};

/// Most approvals that one entry may ask for.
const APPROVALS_MAX: u64 = 100;

section! {
    /// Where a policy applies.
    pub struct RawScope {
        /// Names, or "*" for all.
        database: Text, shown "\"*\"";
        environment: Text, shown "\"*\"";
    }
}

section! {
    /// Whose approval requests need. The most specific scope decides: (database, environment) before (*, environment)
    /// before (database, *) before (*, *). No default: where no workflow applies, requests are refused.
    pub struct RawWorkflow [scope: RawScope] {
        /// Operations it covers, [] for all: execute_select, execute_dml, migrate_up, migrate_down, migrate_status,
        /// migrate_repair. In one scope, an operation may stand in one workflow only.
        operations: Texts, within 0..=NAMES_MAX, shown "[]";
        steps: Vec<RawStep>, within 0..=STEPS_MAX;
    } [workflow: Workflow]
}

section! {
    /// A step; steps are satisfied in order. A workflow without steps needs no approval.
    pub struct RawStep {
        /// `approval` is the only type.
        kind as "type": Text, shown "\"approval\"";
        /// `all` entries must be satisfied, or `any` one.
        mode: Text, shown "\"all\"";
        approvers: Spanned<Vec<RawApprover>>, within 0..=APPROVERS_MAX;
    }
}

section! {
    /// Who approves: exactly one of role, group, user. No default.
    pub struct RawApprover {
        role: Text, shown "\"admin\"";
        group: Text, shown "\"backend-team\"";
        user: Text, shown "\"approver\"";
        /// How many different people.
        min: Number, within 1..=APPROVALS_MAX, shown 1;
    }
}

section! {
    /// How often, how long and how much requests of a scope may run. The most specific scope decides.
    pub struct RawExecutionPolicy [present: Present, scope: RawScope, policy: ExecutionPolicy] {}
}

section! {
    /// Up to which risk requests of a scope need no approval. What is unknown always needs one.
    pub struct RawAutoApprove [scope: RawScope] {
        /// none, low, medium or high; docs/permissions-and-risk.md says when each arises.
        risk: Text, shown "\"none\"";
    } [allowance: Allowance]
}

section! {
    /// Where results of a scope go, how long they are kept, and who may see them besides their requester.
    pub struct RawResultPolicy [scope: RawScope] {
        /// Days that a stored result is kept. Default: result_ttl_days of [retention].
        retention_days: Number, within 1..=crate::config::DAYS_MAX, shown RESULT_TTL_DAYS;
        /// both, store_only (a waiting client gets the stored one) or stream (never stored). A failure is always
        /// stored.
        delivery_mode: Text, shown "\"both\"";
        /// requester, role:<name>, group:<name>, user:<id>
        access: Texts, within 0..=NAMES_MAX, shown "[]";
        /// Drops what a database adds to an error and that quotes values of rows, such as `Key (email)=(..)`. Otherwise
        /// the requester sees it, and nobody else; it stands in no event, message or log.
        hide_error_detail: Option<bool>, shown false;
    }
}

section! {
    /// What each rule of the SQL review does: block, warn or off. One [sql_review] for everything, or several
    /// [[sql_review]], of which the most specific scope decides, whole.
    pub struct RawReview [scope: RawScope, actions: RawActions] {
        /// Functions of your own that have no side effects: "name" as statements call it, or "schema.name". A call of a
        /// function that is not known to have none is at least of medium risk and never approved by risk alone.
        pure_functions: Texts, within 0..=NAMES_MAX, shown "[]";
    }
}

/// Rules that are named, with what they are to do.
#[derive(Debug)]
pub struct RawActions(pub Vec<(ReviewRule, Spanned<String>)>);

macro_rules! rules {
    ($($(#[doc = $doc:literal])* $rule:ident;)*) => {
        impl Part for RawActions {
            const KEYS: &'static [KeySpec] = &[$(KeySpec {
                name: ReviewRule::$rule.as_str(),
                doc: &[$($doc),*],
                kind: KeyKind::Text,
                shown: || format!("\"{}\"", ReviewRule::$rule.default_action().as_str()),
            },)*];

            fn read(section: &Section<'_>) -> RawActions {
                let given = |rule: &ReviewRule| Some((*rule, section.text(rule.as_str())?));
                RawActions([$(ReviewRule::$rule),*].iter().filter_map(given).collect())
            }
        }
    };
}

rules! {
    /// DELETE and UPDATE that change every row.
    NoWhereDelete;
    NoWhereUpdate;
    /// What takes data away. Most of these are refused whatever the review says, but in an emergency with allow_ddl.
    DropTable;
    Truncate;
    DropColumn;
    DropIndex;
    DropView;
    DropSequence;
    CreateSequence;
    /// What locks or rewrites a table for long.
    NotNullWithoutDefault;
    CreateIndexNotConcurrently;
    AlterColumnType;
    /// A batch that changes both structure and data, and an IN list of more than 100 elements.
    MixedDdlDml;
    LargeInList;
    /// Characters that nobody sees, and names that look like others.
    HiddenCharacters;
    ConfusableIdentifier;
    /// Alterations that write every row anew, or read the table through under a lock.
    TableRewrite;
    LongLock;
    /// A table or a column gets another name.
    RenameObject;
}
