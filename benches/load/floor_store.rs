//! The floor of durable creates: the same rows, written by SQLite alone, with as many clients and one commit for all
//! that wait.
//!
//! The rows are copies of the ones the server has just written, so the floor follows the schema and the texts by
//! itself. Only numbers, ids and hashes are new, as the triggers demand. There is no analysis, no rule, no look-up, no
//! savepoint and no signed checkpoint in it: what those cost is ours to answer for. With [`Heads::Signed`] it also adds
//! up keyed hashes of the rows and signs a head with each commit, as the server does: what those alone cost.

use crate::Outcome;
use crate::drive::{Measured, Span};
use dbward::crypto::{Keypair, MacKey, sha256_hex, uuid};
use dbward::domain::head::{Head, HeadPurpose, Sum};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Tables that a create fills besides the audit log and the requests, by `request_seq`.
const DETAIL_TABLES: [&str; 3] = ["request_texts", "request_contexts", "request_approvers"];
/// After this without a client the writer ends.
const QUIET_MAX: Duration = Duration::from_secs(5);
/// The settings of the server's connection.
const SETTINGS: &str = "PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA recursive_triggers = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA cache_size = -16384;
    PRAGMA temp_store = MEMORY;";

/// Whether each commit of the floor writes a signed head.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Heads {
    Without,
    Signed,
}

/// What signs them.
struct Signer {
    key: Keypair,
    mac: MacKey,
    sum: RefCell<Sum>,
    template: Head,
}

/// A row to be copied.
struct Template {
    table: &'static str,
    insert: String,
    columns: Vec<String>,
    values: Vec<Value>,
}

/// Everything that one create writes.
pub struct Rows {
    policy: Template,
    event: Template,
    request: Template,
    details: Vec<Template>,
    /// The head of the server, of which the tables are taken, and the recipe that it names.
    head: Template,
    recipe: Template,
    /// Id of the copied request, wherever it stands.
    id: String,
}

fn plain(e: rusqlite::Error) -> String {
    format!("the database of the floor: {e}")
}

impl Template {
    fn read(db: &Connection, table: &'static str, condition: &str) -> Outcome<Vec<Template>> {
        let sql = format!("SELECT * FROM {table} WHERE {condition}");
        let mut statement = db.prepare(&sql).map_err(plain)?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let places: Vec<String> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
        let insert = format!(
            "INSERT INTO {table} ({}) VALUES ({})",
            columns.join(", "),
            places.join(", ")
        );
        let rows = statement
            .query_map([], |row| (0..columns.len()).map(|n| row.get(n)).collect())
            .and_then(Iterator::collect::<Result<Vec<Vec<Value>>, _>>)
            .map_err(plain)?;
        Ok(rows
            .into_iter()
            .map(|values| Template {
                table,
                insert: insert.clone(),
                columns: columns.clone(),
                values,
            })
            .collect())
    }

    fn one(db: &Connection, table: &'static str, condition: &str) -> Outcome<Template> {
        Template::read(db, table, condition)?
            .pop()
            .ok_or_else(|| format!("no row of {table} to copy"))
    }

    fn text(&self, column: &str) -> Outcome<String> {
        let at = self.columns.iter().position(|c| c == column);
        match at.map(|n| &self.values[n]) {
            Some(Value::Text(text)) => Ok(text.clone()),
            _ => Err(format!("{} has no {column}", self.table)),
        }
    }
}

/// Where the next row goes.
struct Place {
    audit_seq: i64,
    request_seq: i64,
    head: Option<String>,
    signer: Option<Signer>,
}

impl Signer {
    /// Adds a row to the sum.
    fn add(&self, values: &[Value]) {
        let mut row = Vec::with_capacity(1024);
        for value in values {
            match value {
                Value::Text(text) => row.extend_from_slice(text.as_bytes()),
                Value::Blob(bytes) => row.extend_from_slice(bytes),
                Value::Integer(number) => row.extend_from_slice(&number.to_be_bytes()),
                Value::Real(_) | Value::Null => {}
            }
            row.push(0);
        }
        self.sum.borrow_mut().add(&self.mac.sign(&row));
    }

    /// Writes the head of what stands at `place`.
    fn write(&self, db: &Connection, place: &Place) -> rusqlite::Result<()> {
        const WRITE: &str = "INSERT INTO audit_head \
             (id, seq, event_hash, recipe_sha256, sums_json, key_id, signature) VALUES (1, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, event_hash = excluded.event_hash, \
             recipe_sha256 = excluded.recipe_sha256, sums_json = excluded.sums_json, key_id = excluded.key_id, \
             signature = excluded.signature";
        let mut head = Head {
            seq: place.audit_seq,
            hash: place.head.clone().unwrap_or_default(),
            ..self.template.clone()
        };
        let sum = self.sum.borrow().hex();
        head.sums.values_mut().for_each(|s| s.clone_from(&sum));
        let sums = Value::Text(serde_json::to_string(&head.sums).unwrap_or_default());
        let signed = head.sign(HeadPurpose::End, "floor", &self.key);
        db.prepare_cached(WRITE)?.execute(rusqlite::params![
            signed.head.seq,
            signed.head.hash,
            signed.head.recipe,
            sums,
            signed.key_id,
            signed.signature
        ])?;
        Ok(())
    }
}

impl Rows {
    /// Reads the newest request of `database` and all that was written with it.
    pub fn read(database: &Path) -> Outcome<Rows> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(database, flags).map_err(plain)?;
        let newest = "(SELECT max(seq) FROM requests WHERE status = 'pending')";
        let request = Template::one(&db, "requests", &format!("seq = {newest}"))?;
        let event = Template::one(
            &db,
            "audit_events",
            &format!("seq = (SELECT audit_seq FROM requests WHERE seq = {newest})"),
        )?;
        let policy = Template::one(
            &db,
            "policy_versions",
            &format!("sha256 = (SELECT policy_version FROM requests WHERE seq = {newest})"),
        )?;
        let mut details = Vec::new();
        for table in DETAIL_TABLES {
            let condition = format!("request_seq = {newest}");
            details.extend(Template::read(&db, table, &condition)?);
        }
        let recipe = "sha256 = (SELECT recipe_sha256 FROM audit_head)";
        Ok(Rows {
            id: request.text("id")?,
            head: Template::one(&db, "audit_head", "id = 1")?,
            recipe: Template::one(&db, "audit_recipes", recipe)?,
            policy,
            event,
            request,
            details,
        })
    }

    /// How many rows a create writes.
    pub fn count(&self) -> usize {
        2 + self.details.len()
    }

    /// Writes one create.
    fn write(&self, db: &Connection, place: &mut Place) -> rusqlite::Result<()> {
        let id = uuid();
        self.write_event(db, place, &id)?;
        place.request_seq += 1;
        for template in std::iter::once(&self.request).chain(&self.details) {
            self.copy(db, template, place, &id, None)?;
        }
        Ok(())
    }

    fn write_event(&self, db: &Connection, place: &mut Place, id: &str) -> rusqlite::Result<()> {
        place.audit_seq += 1;
        let mut hashed = Vec::with_capacity(1024);
        for value in &self.event.values {
            if let Value::Text(text) = value {
                hashed.extend_from_slice(text.as_bytes());
            }
        }
        hashed.extend_from_slice(place.head.as_deref().unwrap_or_default().as_bytes());
        let hash = sha256_hex(&hashed);
        self.copy(db, &self.event, place, id, Some(&hash))?;
        place.head = Some(hash);
        Ok(())
    }

    fn copy(
        &self,
        db: &Connection,
        template: &Template,
        place: &Place,
        id: &str,
        hash: Option<&str>,
    ) -> rusqlite::Result<()> {
        let values = template.columns.iter().zip(&template.values);
        let values = values.map(|(column, value)| match (template.table, column.as_str()) {
            ("audit_events", "seq") | (_, "audit_seq") => Value::Integer(place.audit_seq),
            ("requests", "seq") | (_, "request_seq") => Value::Integer(place.request_seq),
            ("audit_events", "id") => Value::Text(uuid()),
            ("audit_events", "event_hash") => Value::Text(hash.unwrap_or_default().to_owned()),
            ("audit_events", "prev_hash") => place.head.clone().map_or(Value::Null, Value::Text),
            _ => match value {
                Value::Text(text) if *text == self.id => Value::Text(id.to_owned()),
                other => other.clone(),
            },
        });
        let values: Vec<Value> = values.collect();
        if let Some(signer) = &place.signer {
            signer.add(&values);
        }
        db.prepare_cached(&template.insert)?
            .execute(params_from_iter(values))?;
        Ok(())
    }

    /// What signs heads like the server's.
    fn signer(&self) -> Outcome<Signer> {
        let sums: BTreeMap<String, String> =
            serde_json::from_str(&self.head.text("sums_json")?).map_err(|e| e.to_string())?;
        Ok(Signer {
            key: Keypair::from_seed([7; 32]),
            mac: MacKey::new(&[7; 32]),
            sum: RefCell::default(),
            template: Head {
                seq: 0,
                hash: String::new(),
                recipe: self.head.text("recipe_sha256")?,
                sums,
            },
        })
    }

    /// A new database with our schema in `folder`, with the policies and the event that accounts for them.
    fn prepare(&self, folder: &Path) -> Outcome<(Connection, Place)> {
        let file = folder.join(format!("floor-{}.db", uuid()));
        let db = Connection::open(file).map_err(plain)?;
        db.set_prepared_statement_cache_capacity(64);
        db.execute_batch(SETTINGS).map_err(plain)?;
        for migration in migrations()? {
            db.execute_batch(&migration).map_err(plain)?;
        }
        let mut place = Place {
            audit_seq: 0,
            request_seq: 0,
            head: None,
            signer: None,
        };
        db.execute_batch("BEGIN").map_err(plain)?;
        self.write_event(&db, &mut place, &uuid()).map_err(plain)?;
        for template in [&self.policy, &self.recipe] {
            self.copy(&db, template, &place, "", None).map_err(plain)?;
        }
        db.execute_batch("COMMIT").map_err(plain)?;
        Ok((db, place))
    }

    /// Lets `clients` threads write creates for `span`, each waiting until its own is durable.
    pub fn run(
        &self,
        folder: &Path,
        clients: usize,
        span: Span,
        heads: Heads,
    ) -> Outcome<Measured> {
        let (db, mut place) = self.prepare(folder)?;
        if heads == Heads::Signed {
            place.signer = Some(self.signer()?);
        }
        let from = Instant::now() + span.warm_up;
        let until = from + span.measured;
        let (ask, asked) = sync_channel(clients);
        let (answers, waiting): (Vec<_>, Vec<_>) = (0..clients).map(|_| sync_channel(1)).unzip();
        let shares = thread::scope(|scope| {
            let mut threads = Vec::new();
            for (n, done) in waiting.into_iter().enumerate() {
                let ask = ask.clone();
                let client = move || client(n, &ask, &done, from, until, span.operations_max);
                threads.push(scope.spawn(client));
            }
            drop(ask);
            self.lead(&db, place, &asked, &answers, clients)?;
            drop(answers);
            threads
                .into_iter()
                .map(|t| {
                    t.join()
                        .map_err(|_| "a thread of the floor panicked".to_owned())
                })
                .collect::<Outcome<Vec<Vec<Duration>>>>()
        })?;
        let mut times: Vec<Duration> = shares.into_iter().flatten().collect();
        times.sort_unstable();
        Ok(Measured {
            operations: times.len(),
            operations_all: times.len(),
            elapsed: Instant::now()
                .saturating_duration_since(from)
                .min(span.measured),
            times,
        })
    }

    /// The only writer: takes every waiting job, writes, commits, answers.
    fn lead(
        &self,
        db: &Connection,
        mut place: Place,
        asked: &Receiver<usize>,
        answers: &[SyncSender<()>],
        clients: usize,
    ) -> Outcome<()> {
        let mut batch = Vec::with_capacity(clients);
        loop {
            match asked.recv_timeout(QUIET_MAX) {
                Ok(n) => batch.push(n),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => return Err("the floor stands still".to_owned()),
            }
            batch.extend(asked.try_iter().take(clients));
            db.prepare_cached("BEGIN IMMEDIATE")
                .and_then(|mut s| s.execute([]))
                .map_err(plain)?;
            for _ in &batch {
                self.write(db, &mut place).map_err(plain)?;
            }
            if let Some(signer) = &place.signer {
                signer.write(db, &place).map_err(plain)?;
            }
            db.prepare_cached("COMMIT")
                .and_then(|mut s| s.execute([]))
                .map_err(plain)?;
            for n in batch.drain(..) {
                // A client that has ended does not wait.
                let _ = answers[n].send(());
            }
        }
    }
}

fn client(
    n: usize,
    ask: &SyncSender<usize>,
    done: &Receiver<()>,
    from: Instant,
    until: Instant,
    operations_max: usize,
) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..operations_max {
        let started = Instant::now();
        if started >= until || ask.send(n).is_err() || done.recv().is_err() {
            break;
        }
        let now = Instant::now();
        if (from..until).contains(&now) {
            times.push(now - started);
        }
    }
    times
}

/// The texts of all migrations, in order.
fn migrations() -> Outcome<Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/migrations");
    let read = || -> std::io::Result<Vec<String>> {
        let mut files = fs::read_dir(&folder)?
            .map(|entry| entry.map(|e| e.path()))
            .collect::<std::io::Result<Vec<_>>>()?;
        files.retain(|f| f.extension().is_some_and(|e| e == "sql"));
        files.sort();
        files.iter().map(fs::read_to_string).collect()
    };
    read().map_err(|e| format!("reading the migrations: {e}"))
}
