//! Permissions, roles, and what a caller may do where.

use crate::domain::id::Target;
use crate::domain::scope::RoleScope;
use std::collections::BTreeSet;

macro_rules! permissions {
    ($($variant:ident = $name:literal,)*) => {
        /// A right, by the seed's name for it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Permission { $(#[doc = concat!("`", $name, "`")] $variant,)* }

        impl Permission {
            /// Every permission there is.
            pub const ALL: &'static [Permission] = &[$(Permission::$variant,)*];

            /// Its name in configuration and on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Permission::$variant => $name,)* }
            }
        }
    };
}

permissions! {
    RequestCreate = "request.create",
    RequestCreateSelect = "request.create_select",
    RequestView = "request.view",
    RequestApprove = "request.approve",
    RequestCancel = "request.cancel",
    RequestResume = "request.resume",
    RequestBreakGlass = "request.break_glass",
    RequestBreakGlassDdl = "request.break_glass_ddl",
    ResultView = "result.view",
    AuditView = "audit.view",
    UserManage = "user.manage",
    TokenManage = "token.manage",
    TokenRevokeOwn = "token.revoke_own",
    WorkflowManage = "workflow.manage",
    PolicyManage = "policy.manage",
    RoleManage = "role.manage",
    WebhookManage = "webhook.manage",
    MetricsView = "metrics.view",
    AgentPoll = "agent.poll",
    AgentClaim = "agent.claim",
    AgentHeartbeat = "agent.heartbeat",
    AgentSubmitResult = "agent.submit_result",
    All = "*",
}

impl Permission {
    /// The four rights of an agent.
    pub const AGENT: [Permission; 4] = [
        Permission::AgentPoll,
        Permission::AgentClaim,
        Permission::AgentHeartbeat,
        Permission::AgentSubmitResult,
    ];

    /// Whether the right is about people, tokens, the audit log, the rules or the numbers of the server, which belong to no
    /// database: only a role for all databases and environments gives it. Somebody who rules staging alone must not
    /// suspend whom production relies on, nor read what happened there.
    pub fn is_undivided(self) -> bool {
        use Permission::*;
        matches!(
            self,
            AuditView
                | UserManage
                | TokenManage
                | WorkflowManage
                | PolicyManage
                | RoleManage
                | WebhookManage
                | MetricsView
        )
    }

    /// What a name in `[[auth.roles]]` stands for: a permission, or one of the aliases that existing configurations
    /// use (contract section 3). Empty for an unknown name.
    pub fn from_config(name: &str) -> Vec<Permission> {
        use Permission::*;
        match name {
            "request.execute" => vec![RequestCreate],
            "request.query" => vec![RequestCreateSelect],
            "audit.read" => vec![AuditView],
            "user.write" => vec![UserManage],
            "token.write" => vec![TokenManage],
            "workflow.write" => vec![WorkflowManage],
            "policy.write" => vec![PolicyManage],
            "role.write" => vec![RoleManage],
            "webhook.write" => vec![WebhookManage],
            "workflow.read" => vec![WorkflowManage, PolicyManage, RoleManage, WebhookManage],
            "agent.operate" => Permission::AGENT.to_vec(),
            other => Permission::ALL
                .iter()
                .copied()
                .filter(|p| p.as_str() == other)
                .collect(),
        }
    }
}

/// A named set of permissions, valid for some databases and environments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub name: String,
    pub permissions: BTreeSet<Permission>,
    pub scope: RoleScope,
    /// Whether it is one of the four that cannot be redefined or deleted.
    pub built_in: bool,
}

impl Role {
    /// Name of the built-in role of an administrator.
    pub const ADMIN: &'static str = "admin";
    /// Name of the built-in role that every agent token has, and nothing else.
    pub const AGENT: &'static str = "agent-default";

    /// The four built-in roles.
    pub fn built_in() -> Vec<Role> {
        use Permission::*;
        let role = |name: &str, permissions: &[Permission]| Role {
            name: name.to_owned(),
            permissions: permissions.iter().copied().collect(),
            scope: RoleScope::default(),
            built_in: true,
        };
        vec![
            role(Role::ADMIN, &[All]),
            role(
                "developer",
                &[
                    RequestCreate,
                    RequestCreateSelect,
                    RequestView,
                    RequestCancel,
                    RequestResume,
                    ResultView,
                    TokenRevokeOwn,
                ],
            ),
            role("readonly", &[RequestCreateSelect, RequestView, ResultView]),
            role(Role::AGENT, &Permission::AGENT),
        ]
    }

    /// Whether the role covers `target`.
    pub fn covers(&self, target: &Target) -> bool {
        self.scope.covers(target)
    }

    /// Whether the role covers everything.
    pub fn covers_all(&self) -> bool {
        self.scope.covers_all()
    }

    /// Whether the role makes an administrator: `*`, everywhere.
    pub fn is_admin(&self) -> bool {
        self.permissions.contains(&Permission::All) && self.covers_all()
    }

    /// Whether the role grants `permission`, itself or by `*`, leaving its scope aside.
    pub fn grants(&self, permission: Permission) -> bool {
        self.permissions.contains(&Permission::All) || self.permissions.contains(&permission)
    }
}

/// What a caller may do: the roles they hold, and the ceiling of their token, if it has one.
///
/// A right counts only where one single role both grants it and covers the target, and where the ceiling, if there
/// is one, does so too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    pub held: Vec<Role>,
    /// Roles that the token is limited to.
    pub ceiling: Option<Vec<Role>>,
}

impl Rights {
    /// Whether the right holds on `target`.
    pub fn may_on(&self, permission: Permission, target: &Target) -> bool {
        self.both(|role| role.grants(permission) && role.covers(target))
    }

    /// Whether the right holds for what is not tied to a target: somewhere, and everywhere where it cannot be divided
    /// (see [`Permission::is_undivided`]).
    pub fn may(&self, permission: Permission) -> bool {
        let everywhere = permission.is_undivided();
        self.both(|role| role.grants(permission) && (!everywhere || role.covers_all()))
    }

    /// Whether the right holds somewhere, whatever the scope: for what can never reach beyond the scope it is held in,
    /// such as issuing a token for oneself.
    pub fn may_somewhere(&self, permission: Permission) -> bool {
        self.both(|role| role.grants(permission))
    }

    /// Whether the right lets its holder do anything at all; for showing people what they may.
    pub fn is_of_use(&self, permission: Permission) -> bool {
        let for_himself = permission == Permission::TokenManage;
        self.may(permission) || (for_himself && self.may_somewhere(permission))
    }

    /// Whether the caller's token lets `permission` through on `target`, whatever they hold: one without a ceiling
    /// lets everything through.
    pub fn lets_through(&self, permission: Permission, target: &Target) -> bool {
        self.ceiling.as_ref().is_none_or(|roles| {
            let mut roles = roles.iter();
            roles.any(|role| role.grants(permission) && role.covers(target))
        })
    }

    /// Whether the caller holds `*` on `target`.
    pub fn is_admin_on(&self, target: &Target) -> bool {
        self.both(|role| role.permissions.contains(&Permission::All) && role.covers(target))
    }

    /// Whether the caller holds `*` everywhere.
    pub fn is_admin(&self) -> bool {
        self.both(Role::is_admin)
    }

    /// The roles by which the caller may act as `role:x`: held, and named or outranked (`*`) by the ceiling.
    pub fn acting(&self) -> impl Iterator<Item = &Role> {
        self.held.iter().filter(|role| match &self.ceiling {
            None => true,
            Some(ceiling) => ceiling.iter().any(|c| c.name == role.name || c.is_admin()),
        })
    }

    fn both(&self, test: impl Fn(&Role) -> bool) -> bool {
        self.held.iter().any(&test)
            && self
                .ceiling
                .as_ref()
                .is_none_or(|roles| roles.iter().any(&test))
    }
}

/// Where a right holds, as data for a query: any of these, each of which wants every one of its parts.
pub type Scopes = Vec<Vec<RoleScope>>;

impl Rights {
    /// Where `permission` holds.
    pub fn scopes(&self, permission: Permission) -> Scopes {
        let granting = |roles: &[Role]| -> Vec<RoleScope> {
            roles
                .iter()
                .filter(|r| r.grants(permission))
                .map(|r| r.scope.clone())
                .collect()
        };
        let held = granting(&self.held);
        match &self.ceiling {
            None => held.into_iter().map(|scope| vec![scope]).collect(),
            Some(ceiling) => {
                let ceiling = granting(ceiling);
                held.iter()
                    .flat_map(|h| ceiling.iter().map(|c| vec![h.clone(), c.clone()]))
                    .collect()
            }
        }
    }

    /// Where the caller's token lets one of `permissions` through; see [`Rights::lets_through`].
    pub fn let_through_scopes(&self, permissions: &[Permission]) -> Scopes {
        let Some(ceiling) = &self.ceiling else {
            return vec![Vec::new()];
        };
        let lets = |role: &&Role| permissions.iter().any(|p| role.grants(*p));
        let letting = ceiling.iter().filter(lets);
        letting.map(|role| vec![role.scope.clone()]).collect()
    }

    /// The roles by which the caller may act as an approver, with their scopes.
    pub fn acting_scopes(&self) -> Vec<(String, RoleScope)> {
        self.acting()
            .map(|role| (role.name.clone(), role.scope.clone()))
            .collect()
    }
}

#[cfg(test)]
pub(crate) mod tests;
