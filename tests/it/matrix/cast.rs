//! The callers of the table, and the stage on which they act.

use crate::support::{Agent, Answer, Person, Request, SHOP, Server};
use serde_json::json;
use std::cell::Cell;

const UPDATE: &str = "UPDATE items SET price = 2 WHERE id = 1";

const ROLES: &str = r#"
[[auth.roles]]
name = "developer-of-staging"
permissions = ["request.create", "request.create_select", "request.view", "request.cancel", "request.resume",
               "result.view", "token.revoke_own"]
environments = ["staging"]
[[auth.roles]]
name = "chief-of-staging"
permissions = ["*"]
environments = ["staging"]
[[auth.roles]]
name = "judge"
permissions = ["request.approve"]
[[execution_policies]]
environment = "production"
[[result_policies]]
environment = "production"
[[webhooks]]
id = "ops"
url = "https://hooks.example.com"
[[notification_policies]]
environment = "production"
webhooks = ["ops"]
"#;

/// A kind of caller.
pub struct Column {
    pub short: &'static str,
    kind: Kind,
}

enum Kind {
    Nobody,
    BadToken,
    Agent(&'static str),
    /// With a token of this role.
    Role(&'static str),
    /// In this group, by the token.
    Group(&'static str),
    Requester,
    Suspended,
}

pub const COLUMNS: &[Column] = &[
    column("none", Kind::Nobody),
    column("bad", Kind::BadToken),
    column("agt", Kind::Agent("*")),
    column("agt2", Kind::Agent("staging")),
    column("read", Kind::Role("readonly")),
    column("dev", Kind::Role("developer")),
    column("dev2", Kind::Role("developer-of-staging")),
    column("appr", Kind::Role("judge")),
    column("desg", Kind::Group("approvers")),
    column("reqr", Kind::Requester),
    column("adm", Kind::Role("admin")),
    column("adm2", Kind::Role("chief-of-staging")),
    column("susp", Kind::Suspended),
];

const fn column(short: &'static str, kind: Kind) -> Column {
    Column { short, kind }
}

/// A caller of one line.
pub struct Who {
    pub person: Person,
    /// Where an agent works; empty for people.
    environment: &'static str,
    /// Whether things can be made for this caller.
    owns: bool,
    /// Tells callers and lines apart.
    pub mark: String,
}

/// The shop, where what waits for approval may be rehearsed.
fn shop() -> String {
    let steps = "[[workflows.steps]]";
    SHOP.replace(steps, &format!("rehearse = \"on_request\"\n{steps}"))
}

/// A server with everybody on it. Each line has callers of its own, so that no line disturbs the next.
pub struct Stage {
    pub s: Server,
    line: Cell<u32>,
}

impl Stage {
    pub fn new() -> Stage {
        let spare: String = COLUMNS
            .iter()
            .map(|c| {
                format!(
                    "[[auth.roles]]\nname = \"spare-{}\"\npermissions = [\"metrics.view\"]\n",
                    c.short
                )
            })
            .collect();
        let stage = Stage {
            s: Server::with(&format!("{}{ROLES}{spare}", shop())),
            line: Cell::new(0),
        };
        let worker = stage.worker();
        worker.poll();
        for environment in ["staging", "production"] {
            let body = json!({
                "database": "shop", "environment": environment, "dialect": "postgresql", "status": "ready",
                "snapshot": {"tables": [{"name": "items", "estimated_rows": 1}]},
            });
            worker.person.post("/api/agent/schema-sync", &body).is(200);
        }
        stage
    }

    /// Forgets failed authentications, before they are too many.
    pub fn next_line(&self) {
        self.line.set(self.line.get() + 1);
        self.s.minute();
    }

    pub fn who(&self, column: &Column) -> Who {
        let (s, mark) = (&self.s, format!("{}-{}", column.short, self.line.get()));
        let person = match column.kind {
            Kind::Nobody => s.nobody(),
            Kind::BadToken => s.bearer("nobody", "dbw_00000000000000000000000000000000"),
            Kind::Agent(_) => s.agent(&mark).person,
            Kind::Role(role) => s.person(&mark, &[role]),
            Kind::Group(group) => {
                let body = json!({"subject_id": mark, "subject_type": "user", "roles": [], "groups": [group]});
                let token = s.admin().post("/api/tokens", &body).is(201).text("token");
                s.bearer(&mark, &token)
            }
            Kind::Requester => s.requester(),
            Kind::Suspended => {
                let person = s.person(&mark, &["admin"]);
                s.admin()
                    .poke(&format!("/api/users/{mark}/suspend"))
                    .is(200);
                person
            }
        };
        let environment = match column.kind {
            Kind::Agent(environment) => environment,
            _ => "",
        };
        let who = Who {
            person,
            environment,
            owns: matches!(column.kind, Kind::Role(_) | Kind::Group(_)),
            mark,
        };
        if let Some(agent) = who.agent() {
            agent.poll();
        }
        who
    }

    /// Who makes what is called the caller's own.
    pub fn owner(&self, who: &Who) -> Person {
        match who.owns {
            true => self.s.person(&who.person.subject, &["developer"]),
            false => self.s.requester(),
        }
    }

    /// An agent that is not one of the callers.
    pub fn worker(&self) -> Agent {
        self.s.agent("worker")
    }

    pub fn pending(&self, owner: &Person) -> Request {
        owner.submit("production", UPDATE)
    }

    pub fn approved(&self, owner: &Person) -> Request {
        self.pending(owner).approved_by(&self.s.approver())
    }

    pub fn executed(&self, owner: &Person) -> Request {
        let request = self.approved(owner).resumed();
        self.worker().run(&request.id);
        request
    }

    /// Somebody who is not needed afterwards.
    pub fn victim(&self, who: &Who) -> String {
        let id = format!("victim-{}", who.mark);
        self.s.person(&id, &["readonly"]);
        id
    }
}

impl Who {
    /// The caller as an agent, if it is one.
    pub fn agent(&self) -> Option<Agent> {
        let serves = json!({"databases": ["shop"], "environments": [self.environment]});
        let agent = Agent::new(self.person.clone()).serving(serves);
        (!self.environment.is_empty()).then_some(agent)
    }

    /// The environment of an agent; otherwise production.
    pub fn place(&self) -> &'static str {
        match self.environment {
            "staging" => "staging",
            _ => "production",
        }
    }
}

/// The status.
pub fn status(answer: &Answer) -> String {
    answer.status.to_string()
}

/// The status, and whether the list `name` has an entry in which `field` is `value`.
pub fn shows(answer: &Answer, name: &str, field: &str, value: &str) -> String {
    let list = answer.json[name].as_array();
    let found = list.is_some_and(|l| l.iter().any(|entry| entry[field] == value));
    format!("{}{}", answer.status, if found { "*" } else { "" })
}
