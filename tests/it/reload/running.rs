//! The real program with a file that changes under it.

use crate::support::{Agent, Person, Program, Temp, admin_of, eventually, settled};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;

/// A running program and the folder of its file.
pub struct Running {
    pub dir: Temp,
    pub program: Program,
    pub admin: Person,
}

impl Running {
    pub fn start(toml: &str) -> Running {
        let dir = settled(toml);
        let (program, at) = Program::serve(dir.path());
        let admin = admin_of(at, dir.path());
        Running {
            dir,
            program,
            admin,
        }
    }

    pub fn write(&self, toml: &str) {
        let text = format!("state_dir = \"state\"\nlisten = \"127.0.0.1:0\"\n{toml}");
        // Whole at once, as editors do: a reload of before may be reading.
        let file = self.dir.path().join("server.toml");
        fs::write(file.with_extension("new"), text).unwrap();
        fs::rename(file.with_extension("new"), file).unwrap();
    }

    pub fn value(&self, name: &str) -> u64 {
        let page = String::from_utf8(self.admin.get("/metrics").is(200).body).unwrap();
        let found = page
            .lines()
            .find_map(|l| l.strip_prefix(&format!("dbward_config_{name} ")));
        found.unwrap().parse().unwrap()
    }

    /// Has the server take this file over.
    pub fn take(&self, toml: &str) {
        let before = self.value("generation");
        self.write(toml);
        self.program.signal(Signal::HUP);
        eventually("applied", || self.value("generation") > before);
    }

    /// Has the server look at this file and leave it.
    pub fn leave(&self, toml: &str) {
        let before = self.value("reload_failures_total");
        self.write(toml);
        self.program.signal(Signal::HUP);
        eventually("left", || self.value("reload_failures_total") > before);
    }

    pub fn person(&self, subject: &str, kind: &str, roles: &[&str]) -> Person {
        let body = json!({"subject_id": subject, "subject_type": kind, "roles": roles});
        let token = self.admin.post("/api/tokens", &body).is(201).text("token");
        let mut person = self.admin.clone();
        (person.subject, person.token) = (subject.to_owned(), Some(token));
        person
    }

    pub fn requester(&self) -> Person {
        self.person("requester", "user", &["developer"])
    }

    pub fn agent(&self) -> Agent {
        Agent::new(self.person("agent-1", "agent", &["agent-default"]))
    }

    pub fn events(&self, kind: &str) -> Vec<Value> {
        let path = format!("/api/audit/events?limit=200&event_type={kind}");
        self.admin.get(&path).is(200).list("events")
    }

    pub fn parked(&self, n: u64) {
        eventually("parked", || {
            let page = String::from_utf8(self.admin.get("/metrics").is(200).body).unwrap();
            page.contains(&format!("\ndbward_gate_parked {n}\n"))
        });
    }

    /// Stops it; what it wrote to its log.
    pub fn stop(self) -> String {
        assert_eq!(
            self.admin.get("/api/audit/verify").is(200).json["valid"],
            true
        );
        self.program.stop()
    }
}
