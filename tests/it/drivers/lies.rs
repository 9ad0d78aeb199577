//! A server that lies, before the agent as people run it: what is not signed as it is offered, signed for something else,
//! or signed and not what it says it is, changes nothing in any database.

use super::Place;
use super::places::{mysql, postgres, sqlite};
use super::served::keys;
use crate::support::{PATIENCE, Program, Temp, binary};
use dbward::agent::drivers::RunOutcome;
use dbward::clock::{Clock, Timestamp};
use dbward::crypto::{Keypair, hex, uuid};
use dbward::domain::dialect::Dialect;
use dbward::domain::execution_token::{self, ExecutionClaims, detail_hash};
use dbward::domain::id::Operation;
use dbward::domain::rehearsal_token::{self, RehearsalClaims};
use dbward::domain::sql::DialectFact;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const AGENT: &str = "agent-1";
const PWN: &str = "CREATE TABLE pwn (a INTEGER)";
const READ_OF_THREE: &str = "/*x*/ COMMIT; CREATE TABLE pwn (a INTEGER); SELECT 1";
const VERIFIED: &str = "token verification failed";

/// What the server offers, and what the agent reports.
#[derive(Default)]
struct Exchange {
    /// The name of a list in the answer of a poll, what is in it, and the answer of its claim.
    offer: Option<(&'static str, Value, Value)>,
    report: Option<Value>,
    closed: bool,
}

#[derive(Clone)]
struct Liar {
    at: SocketAddr,
    key: Arc<Keypair>,
    exchange: Arc<(Mutex<Exchange>, Condvar)>,
}

impl Liar {
    fn start() -> Liar {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let liar = Liar {
            at: listener.local_addr().unwrap(),
            key: Arc::new(Keypair::from_seed([7; 32])),
            exchange: Arc::default(),
        };
        let serving = liar.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let one = serving.clone();
                std::thread::spawn(move || one.serve(stream));
            }
        });
        liar
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        loop {
            let (mut head, mut line) = (String::new(), String::new());
            while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                head.push_str(&line.to_lowercase());
                line.clear();
            }
            let Some(path) = head.split(' ').nth(1).map(str::to_owned) else {
                return;
            };
            let lengths = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length: "));
            let mut body = vec![0; lengths.map_or(0, |n| n.parse().unwrap())];
            reader.read_exact(&mut body).unwrap();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let answer = self.answer(&path, &body).to_string();
            let length = answer.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            if stream.write_all((head + &answer).as_bytes()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, path: &str, body: &Value) -> Value {
        let (lock, bell) = &*self.exchange;
        let mut now = lock.lock().unwrap();
        if path.ends_with("/public-key") {
            return json!({"public_key": hex(&self.key.public().bytes()), "agent_id": AGENT});
        }
        if path.ends_with("/poll") {
            let wait = Duration::from_secs(body["wait"].as_u64().unwrap_or(0));
            let idle = |now: &mut Exchange| now.offer.is_none() && !now.closed;
            now = bell.wait_timeout_while(now, wait, idle).unwrap().0;
            let mut answer = json!({"jobs": [], "server_version": "0.3.0"});
            if let Some((list, job, _)) = &now.offer {
                answer[list] = json!([job]);
            }
            return answer;
        }
        if path.ends_with("/claim") {
            let claim = now.offer.take().map(|(_, _, claim)| claim);
            return claim.unwrap_or_default();
        }
        if path.ends_with("/result") {
            now.report = Some(body.clone());
            bell.notify_all();
        }
        json!({"status": "accepted", "cancelled": false})
    }

    /// Offers something, and waits for what the agent says came of it.
    fn tell(&self, lie: &Lie) -> Value {
        let (lock, bell) = &*self.exchange;
        let mut now = lock.lock().unwrap();
        now.offer = Some((lie.list, lie.job.clone(), lie.claim.clone()));
        bell.notify_all();
        let silent = |now: &mut Exchange| now.report.is_none();
        let (mut now, late) = bell.wait_timeout_while(now, PATIENCE, silent).unwrap();
        assert!(!late.timed_out(), "{}: the agent reports nothing", lie.what);
        now.report.take().unwrap()
    }
}

/// Something that the server offers and that must not be done.
struct Lie {
    what: &'static str,
    list: &'static str,
    job: Value,
    claim: Value,
    /// A part of why the agent refuses it.
    says: &'static str,
}

/// Makes lies for an agent of one dialect.
struct Maker<'a> {
    key: &'a Keypair,
    dialect: Dialect,
    now: Timestamp,
}

impl Maker<'_> {
    /// An execution that is signed as it is offered, but for what `alter` does to the claims and `edit` to the answer.
    fn execution(
        &self,
        what: &'static str,
        says: &'static str,
        (operation, plan): (Operation, &[&str]),
        alter: impl Fn(&mut ExecutionClaims),
        edit: impl Fn(&mut Value),
    ) -> Lie {
        let plan = serde_json::to_string(plan).unwrap();
        let (request, execution) = (uuid(), uuid());
        let mut claims = ExecutionClaims {
            request_id: request.clone(),
            execution_id: execution.clone(),
            operation,
            database: "shop".to_owned(),
            environment: "production".to_owned(),
            detail_hash: detail_hash(Some(&plan), operation, ""),
            issued_at: self.now,
            expires_at: self.now.plus_secs(60),
            requester_role: "developer".to_owned(),
            requester_subject_id: "requester".to_owned(),
            agent_id: AGENT.to_owned(),
            statement_timeout_secs: 10,
            max_rows: None,
            max_affected_rows: None,
            lock_timeout_secs: 2,
            policy_version: "p".to_owned(),
            epoch: 0,
            dialect: DialectFact::Known(self.dialect),
        };
        alter(&mut claims);
        let mut claim = json!({
            "execution_id": execution, "request_id": request, "operation": operation.as_str(),
            "database": "shop", "environment": "production", "detail": "SELECT 1",
            "execution_token": execution_token::sign(&claims, self.key), "statement_timeout_secs": 10,
            "max_rows": 10, "lease_expires_at": self.now.plus_secs(60).rfc3339_offset(),
            "execution_plan": null, "execution_plan_json": plan,
        });
        edit(&mut claim);
        let job = json!({"id": request, "created_by": "requester", "database": "shop",
            "environment": "production", "operation": operation.as_str(), "detail": "SELECT 1"});
        Lie {
            what,
            list: "jobs",
            job,
            claim,
            says,
        }
    }

    /// The same of a rehearsal.
    fn rehearsal(
        &self,
        what: &'static str,
        says: &'static str,
        plan: &[&str],
        alter: impl Fn(&mut RehearsalClaims),
        edit: impl Fn(&mut Value),
    ) -> Lie {
        let plan = serde_json::to_string(plan).unwrap();
        let (request, rehearsal) = (uuid(), uuid());
        let mut claims = RehearsalClaims {
            request_id: request.clone(),
            rehearsal_id: rehearsal.clone(),
            database: "shop".to_owned(),
            environment: "production".to_owned(),
            detail_hash: detail_hash(Some(&plan), Operation::ExecuteDml, ""),
            issued_at: self.now,
            expires_at: self.now.plus_secs(60),
            agent_id: AGENT.to_owned(),
            statement_timeout_secs: 10,
            lock_timeout_secs: 2,
            dialect: DialectFact::Known(self.dialect),
            epoch: 0,
        };
        alter(&mut claims);
        let mut claim = json!({
            "rehearsal_id": rehearsal, "request_id": request, "operation": "execute_dml",
            "database": "shop", "environment": "production", "detail": "SELECT 1",
            "execution_plan_json": plan, "rehearsal_token": rehearsal_token::sign(&claims, self.key),
        });
        edit(&mut claim);
        let job = json!({"id": rehearsal, "request_id": request, "database": "shop",
            "environment": "production", "dialect": self.dialect.as_str()});
        Lie {
            what,
            list: "rehearsal_jobs",
            job,
            claim,
            says,
        }
    }

    fn other_dialect(&self) -> DialectFact {
        DialectFact::Known(match self.dialect {
            Dialect::Sqlite => Dialect::Postgres,
            _ => Dialect::Sqlite,
        })
    }

    /// Texts that are signed as they are offered, and are not what they are signed as.
    fn texts(&self) -> Vec<Lie> {
        let kept = |_: &mut ExecutionClaims| {};
        let as_it_is = |_: &mut Value| {};
        let execution = |what, operation, plan: &[&str]| {
            self.execution(what, "", (operation, plan), kept, as_it_is)
        };
        let rehearsal = |what, plan: &[&str]| self.rehearsal(what, "", plan, |_| {}, |_| {});
        let (read, write) = (Operation::ExecuteSelect, Operation::ExecuteDml);
        vec![
            execution("a read that commits", read, &[READ_OF_THREE]),
            execution("a read of three", read, &["COMMIT", PWN, "SELECT 1"]),
            execution("a read that writes", read, &["DELETE FROM t"]),
            execution("a read that makes a table", read, &[PWN]),
            execution("a read that calls a procedure", read, &["CALL empties()"]),
            execution("two in one", write, &["DELETE FROM t; DELETE FROM t"]),
            execution(
                "a write that commits",
                write,
                &["DELETE FROM t", "COMMIT", PWN],
            ),
            execution("a write of three", write, &[READ_OF_THREE]),
            rehearsal("DDL", &[PWN]),
            rehearsal("what commits", &["DELETE FROM t", "COMMIT"]),
            rehearsal("three in one", &[READ_OF_THREE]),
            rehearsal("two writes in one", &["DELETE FROM t; DELETE FROM t"]),
            rehearsal("a read", &["SELECT 1"]),
        ]
    }

    /// Executions whose token is of something else.
    fn executions(&self) -> Vec<Lie> {
        let altered = |what, says, alter: &dyn Fn(&mut ExecutionClaims)| {
            let write = (Operation::ExecuteDml, &["DELETE FROM t"][..]);
            self.execution(what, says, write, alter, |_| {})
        };
        let edited = |what, says, edit: &dyn Fn(&mut Value)| {
            let read = (Operation::ExecuteSelect, &["SELECT 1"][..]);
            self.execution(what, says, read, |_| {}, edit)
        };
        let rehearsal = self.rehearsal("", "", &["DELETE FROM t"], |_| {}, |_| {});
        let foreign = rehearsal.claim["rehearsal_token"].clone();
        let other = self.other_dialect();
        vec![
            altered("another digest", VERIFIED, &|c| {
                c.detail_hash = "0".repeat(64)
            }),
            altered("another agent", VERIFIED, &|c| {
                c.agent_id = "agent-2".to_owned()
            }),
            altered("another database", VERIFIED, &|c| {
                c.database = "other".to_owned()
            }),
            altered("another environment", VERIFIED, &|c| {
                c.environment = "x".to_owned()
            }),
            altered("another request", VERIFIED, &|c| c.request_id = uuid()),
            altered("another execution", VERIFIED, &|c| c.execution_id = uuid()),
            altered("a read", VERIFIED, &|c| {
                c.operation = Operation::ExecuteSelect
            }),
            altered("expired", VERIFIED, &|c| c.expires_at = Timestamp(0)),
            altered("another dialect", VERIFIED, &|c| c.dialect = other),
            altered("no dialect", VERIFIED, &|c| {
                c.dialect = DialectFact::Unknown
            }),
            edited("another plan", VERIFIED, &|claim| {
                claim["execution_plan_json"] = json!(json!(["DROP TABLE t"]).to_string());
            }),
            edited("another text without a plan", VERIFIED, &|claim| {
                claim["execution_plan_json"] = Value::Null;
                claim["detail"] = json!("DROP TABLE t");
            }),
            edited("a write for a read", VERIFIED, &|claim| {
                claim["operation"] = json!("execute_dml");
            }),
            edited("a database that it does not serve", "", &|claim| {
                claim["database"] = json!("other");
            }),
            edited("a rehearsal", VERIFIED, &|claim| {
                claim["execution_token"] = foreign.clone();
            }),
            edited("no signature of ours", VERIFIED, &|claim| {
                claim["execution_token"] = without(&claim["execution_token"], "signature_v2");
            }),
        ]
    }

    /// Rehearsals whose token is of something else.
    fn rehearsals(&self) -> Vec<Lie> {
        let altered = |what, alter: &dyn Fn(&mut RehearsalClaims)| {
            self.rehearsal(what, VERIFIED, &["DELETE FROM t"], alter, |_| {})
        };
        let edited = |what, says, edit: &dyn Fn(&mut Value)| {
            self.rehearsal(what, says, &["DELETE FROM t"], |_| {}, edit)
        };
        let write = (Operation::ExecuteDml, &["DELETE FROM t"][..]);
        let execution = self.execution("", "", write, |_| {}, |_| {});
        let foreign = execution.claim["execution_token"].clone();
        let other = self.other_dialect();
        vec![
            altered("another digest", &|c| c.detail_hash = "0".repeat(64)),
            altered("another agent", &|c| c.agent_id = "agent-2".to_owned()),
            altered("another database", &|c| c.database = "other".to_owned()),
            altered("another request", &|c| c.request_id = uuid()),
            altered("another rehearsal", &|c| c.rehearsal_id = uuid()),
            altered("expired", &|c| c.expires_at = Timestamp(0)),
            altered("another dialect", &|c| c.dialect = other),
            edited("another plan", VERIFIED, &|claim| {
                claim["execution_plan_json"] = json!(json!([PWN]).to_string());
            }),
            edited("an execution", VERIFIED, &|claim| {
                claim["rehearsal_token"] = foreign.clone();
            }),
            edited("no signature", VERIFIED, &|claim| {
                claim["rehearsal_token"] = without(&claim["rehearsal_token"], "signature_v2");
            }),
            edited("no mode", VERIFIED, &|claim| {
                claim["rehearsal_token"] = without(&claim["rehearsal_token"], "mode");
            }),
            edited("a database that it does not serve", "", &|claim| {
                claim["database"] = json!("other");
            }),
        ]
    }
}

/// A token without one of its fields.
fn without(token: &Value, field: &str) -> Value {
    let mut token: Value = serde_json::from_str(token.as_str().unwrap()).unwrap();
    token.as_object_mut().unwrap().remove(field).unwrap();
    json!(token.to_string())
}

fn agent(liar: &Liar, place: &Place, folder: &Temp) -> Program {
    let path = folder.path().join("agent.toml");
    let text = format!(
        "[server]\nurl = \"http://{}\"\ntoken = \"dbw_00000000000000000000000000000000\"\n\
         [agent]\nid = \"{AGENT}\"\nstate_dir = \"agent\"\n\
         [[databases]]\nname = \"shop\"\nenvironment = \"production\"\n{}",
        liar.at,
        keys(&place.driver)
    );
    std::fs::write(&path, text).unwrap();
    Program::start(binary().arg("agent").arg("--config").arg(&path))
}

fn no_lie_changes_anything(place: &Place) {
    place.done(&["CREATE TABLE t (id INTEGER PRIMARY KEY)"]);
    place.done(&["INSERT INTO t VALUES (1), (2), (3)"]);
    let procedure = match place.driver.dialect() {
        Dialect::Sqlite => None,
        Dialect::Postgres => Some("CREATE PROCEDURE empties() LANGUAGE sql AS 'DELETE FROM t'"),
        Dialect::MySql => Some("CREATE PROCEDURE empties() BEGIN DELETE FROM t; COMMIT; END"),
    };
    procedure.map(|made| place.done(&[made]));
    let (liar, folder) = (Liar::start(), Temp::new());
    let agent = agent(&liar, place, &folder);
    let maker = Maker {
        key: &liar.key,
        dialect: place.driver.dialect(),
        now: Clock::system().now(),
    };
    let lies = [maker.texts(), maker.executions(), maker.rehearsals()];
    for lie in lies.iter().flatten() {
        let report = liar.tell(lie);
        let shown = format!("{} of {}: {report}", lie.what, lie.list);
        let why = report["error_message"]
            .as_str()
            .or(report["error"].as_str());
        assert!(why.is_some_and(|why| why.contains(lie.says)), "{shown}");
        assert_ne!(report["success"], true, "{shown}");
        assert!(report.get("result").is_none_or(Value::is_null), "{shown}");
        assert_eq!(place.count("t"), 3, "{shown}");
        let pwn = place.read(&["SELECT count(*) AS n FROM pwn"]);
        assert!(matches!(pwn, RunOutcome::Failed { .. }), "{shown}");
    }
    // It is the lie that is refused, and not everything.
    let truth = (Operation::ExecuteDml, &["DELETE FROM t WHERE id = 1"][..]);
    let truth = maker.execution("the truth", "", truth, |_| {}, |_| {});
    let report = liar.tell(&truth);
    assert_eq!(report["success"], true, "{report}");
    let rehearsed = maker.rehearsal("the truth", "", &["DELETE FROM t"], |_| {}, |_| {});
    let report = liar.tell(&rehearsed);
    assert_eq!(report["result"]["rows_affected"], 2, "{report}");
    assert_eq!(place.count("t"), 2);
    // Once a server of a higher epoch was seen, one that it has replaced has nothing rehearsed.
    let read = (Operation::ExecuteSelect, &["SELECT 1"][..]);
    let newer = maker.execution("a newer server", "", read, |c| c.epoch = 2, |_| {});
    assert_eq!(liar.tell(&newer)["success"], true);
    let plan = &["DELETE FROM t"];
    let replaced = maker.rehearsal("a replaced server", "", plan, |c| c.epoch = 1, |_| {});
    let report = liar.tell(&replaced);
    let why = report["error"].as_str().unwrap_or_default();
    assert!(
        why.contains("a server of epoch 2 has replaced that one"),
        "{report}"
    );
    let newest = maker.rehearsal("the newer server", "", plan, |c| c.epoch = 2, |_| {});
    assert_eq!(liar.tell(&newest)["result"]["rows_affected"], 2);
    liar.exchange.0.lock().unwrap().closed = true;
    liar.exchange.1.notify_all();
    agent.stop();
}

#[test]
fn no_lie_changes_anything_on_sqlite() {
    no_lie_changes_anything(&sqlite());
}

#[test]
#[ignore = "needs DBWARD_TEST_POSTGRES_URL"]
fn no_lie_changes_anything_on_postgres() {
    no_lie_changes_anything(&postgres());
}

#[test]
#[ignore = "needs DBWARD_TEST_MYSQL_URL"]
fn no_lie_changes_anything_on_mysql() {
    no_lie_changes_anything(&mysql());
}
