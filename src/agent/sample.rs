//! A sample database for the demo: a small shop with customers, products, orders and their items. Generated, the same
//! each time; every address is at example.com.

use super::config::DriverConfig;
use super::config::ROWS_BYTES_MAX;
#[cfg(feature = "postgres")]
use super::config::postgres_at;
use super::drivers::{Cancel, DriverJob, RunOutcome};
use super::wall::{Record, Wall};
#[cfg(feature = "postgres")]
use crate::crypto::{hex, random};
use crate::domain::id::Operation;
use crate::domain::policy::execution::LOCK_SECS_DEFAULT;
use crate::error::Error;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const CUSTOMERS: i64 = 500;
const PRODUCTS: i64 = 60;
const ORDERS: i64 = 3_000;

const TABLES: &str = "
CREATE TABLE customers (
    id         INTEGER PRIMARY KEY,
    email      TEXT NOT NULL UNIQUE,
    city       TEXT NOT NULL,
    active     INTEGER NOT NULL DEFAULT 1,
    created_at TEXT NOT NULL
);
CREATE TABLE products (
    id          INTEGER PRIMARY KEY,
    sku         TEXT NOT NULL UNIQUE,
    title       TEXT NOT NULL,
    price_cents INTEGER NOT NULL,
    stock       INTEGER NOT NULL
);
CREATE TABLE orders (
    id          INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    status      TEXT NOT NULL,
    placed_at   TEXT NOT NULL,
    total_cents INTEGER NOT NULL DEFAULT 0,
    note        TEXT
);
CREATE TABLE order_items (
    order_id    INTEGER NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    line        INTEGER NOT NULL,
    product_id  INTEGER NOT NULL REFERENCES products (id),
    quantity    INTEGER NOT NULL,
    price_cents INTEGER NOT NULL,
    PRIMARY KEY (order_id, line)
);
CREATE INDEX orders__customer ON orders (customer_id);
CREATE INDEX order_items__product ON order_items (product_id);
";

const CITIES: [&str; 8] = [
    "Berlin", "Lisbon", "Osaka", "Nairobi", "Toronto", "Lima", "Oslo", "Auckland",
];
const KINDS: [&str; 6] = ["Mug", "Lamp", "Chair", "Notebook", "Backpack", "Kettle"];
const COLOURS: [&str; 10] = [
    "red", "blue", "green", "black", "white", "grey", "yellow", "brown", "orange", "violet",
];
const STATES: [&str; 5] = ["paid", "shipped", "delivered", "delivered", "cancelled"];

/// Rows of one INSERT.
const ROWS_PER_INSERT: usize = 1000;
/// Seconds that making or removing a schema may take.
const SCHEMA_SECS: u64 = 60;

/// Where sample tables are. A schema is removed when this goes.
pub struct SamplePlace {
    driver: DriverConfig,
    /// What removes it, where it is on a server.
    removal: Option<(Wall, DriverConfig, String)>,
}

impl SamplePlace {
    /// A file, made unless there is one.
    ///
    /// # Errors
    /// `internal` naming the file.
    pub fn file(path: PathBuf) -> Result<SamplePlace, Error> {
        create(&path)?;
        Ok(SamplePlace {
            driver: DriverConfig::Sqlite {
                path,
                read_only: false,
            },
            removal: None,
        })
    }

    /// A schema of its own in the database at `url`, named after `suffix`. `file` is made and removed on the way.
    ///
    /// # Errors
    /// `validation_error` for the URL, `internal` with what the database says.
    #[cfg(feature = "postgres")]
    pub fn schema(url: &str, suffix: &str, file: &Path) -> Result<SamplePlace, Error> {
        let endpoint = postgres_at(url)?;
        let schema = format!("dbward_demo_{}_{suffix}", hex(&random::<4>()));
        let all = DriverConfig::Postgres(endpoint.clone());
        let wall = Wall::new(super::program()?, 0);
        run(&wall, &all, vec![format!("CREATE SCHEMA {schema}")])?;
        // From here on it is removed, whatever happens.
        let place = SamplePlace {
            driver: DriverConfig::Postgres(super::config::DatabaseEndpoint {
                schema: Some(schema.clone()),
                ..endpoint
            }),
            removal: Some((wall, all, schema)),
        };
        create(file)?;
        let script = script(file).map_err(|e| Error::internal("the sample tables", e))?;
        std::fs::remove_file(file).map_err(|e| Error::internal("the sample tables", e))?;
        if let Some((wall, _, _)) = &place.removal {
            run(wall, &place.driver, script)?;
        }
        Ok(place)
    }

    /// How to reach it.
    pub fn driver(&self) -> &DriverConfig {
        &self.driver
    }

    /// Its schema, where it is on a server.
    pub fn schema_name(&self) -> Option<&str> {
        self.removal.as_ref().map(|(_, _, schema)| schema.as_str())
    }
}

impl Drop for SamplePlace {
    fn drop(&mut self) {
        if let Some((wall, driver, schema)) = &self.removal
            && let Err(e) = run(wall, driver, vec![format!("DROP SCHEMA {schema} CASCADE")])
        {
            log::error!("the schema {schema} is still there: {e}");
        }
    }
}

/// Keeps no record: there is no request.
struct NoRecord;

impl Record for NoRecord {
    fn started(&mut self, _: Option<&str>, _: bool) -> Result<(), String> {
        Ok(())
    }

    fn committing(&mut self, _: Option<&str>, _: u64) -> Result<(), String> {
        Ok(())
    }
}

fn run(wall: &Wall, driver: &DriverConfig, plan: Vec<String>) -> Result<(), Error> {
    let job = DriverJob {
        operation: Operation::ExecuteDml,
        plan,
        timeout_secs: SCHEMA_SECS,
        max_rows: None,
        max_result_bytes: ROWS_BYTES_MAX,
        max_affected_rows: None,
        lock_timeout_secs: LOCK_SECS_DEFAULT,
    };
    match wall.run(driver, &job, &Cancel::new(), &mut NoRecord) {
        RunOutcome::Failed { message, .. } => Err(Error::internal(
            "the sample tables",
            std::io::Error::other(message),
        )),
        _ => Ok(()),
    }
}

/// The statements that make the tables of `file` and their rows, in any SQL.
fn script(file: &Path) -> rusqlite::Result<Vec<String>> {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let tables = TABLES.split(';').map(str::trim);
    let mut script: Vec<String> = tables
        .filter(|sql| !sql.is_empty())
        .map(str::to_owned)
        .collect();
    for table in ["customers", "products", "orders", "order_items"] {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}"))?;
        let columns = statement.column_count();
        let rows: Vec<String> = statement
            .query_map([], |row| {
                let values: rusqlite::Result<Vec<String>> = (0..columns)
                    .map(|n| row.get::<_, Value>(n).map(|value| literal(&value)))
                    .collect();
                Ok(format!("({})", values?.join(", ")))
            })?
            .collect::<rusqlite::Result<_>>()?;
        for rows in rows.chunks(ROWS_PER_INSERT) {
            script.push(format!("INSERT INTO {table} VALUES {}", rows.join(", ")));
        }
    }
    Ok(script)
}

fn literal(value: &Value) -> String {
    match value {
        Value::Integer(n) => n.to_string(),
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        _ => "NULL".to_owned(),
    }
}

/// Makes the database at `path`, unless there is one.
///
/// # Errors
/// `internal` naming the file.
pub fn create(path: &Path) -> Result<(), Error> {
    if path.exists() {
        return Ok(());
    }
    // Made under another name and renamed, so that half a database is never taken for a whole one.
    let unfinished = path.with_extension("new");
    let failed = |e: rusqlite::Error| Error::internal(format!("{}", path.display()), e);
    let moved = |e: std::io::Error| Error::internal(format!("{}", path.display()), e);
    if unfinished.exists() {
        std::fs::remove_file(&unfinished).map_err(moved)?;
    }
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(moved)?;
    let connection = Connection::open_with_flags(&unfinished, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(failed)?;
    connection
        .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN")
        .map_err(failed)?;
    fill(&connection).map_err(failed)?;
    connection
        .execute_batch("COMMIT; PRAGMA journal_mode = DELETE")
        .map_err(failed)?;
    connection.close().map_err(|(_, e)| failed(e))?;
    std::fs::rename(&unfinished, path).map_err(moved)
}

fn fill(c: &Connection) -> rusqlite::Result<()> {
    c.execute_batch(TABLES)?;
    let mut dice = Dice(0x5eed);
    for id in 1..=CUSTOMERS {
        c.prepare_cached("INSERT INTO customers VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                id,
                format!("customer-{id:04}@example.com"),
                CITIES[dice.below(8)],
                i64::from(dice.below(20) > 0),
                day(dice.below(700)),
            ])?;
    }
    for id in 1..=PRODUCTS {
        let n = usize::try_from(id - 1).unwrap_or(0);
        c.prepare_cached("INSERT INTO products VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                id,
                format!("SKU-{id:05}"),
                format!("{} ({})", KINDS[n % 6], COLOURS[n / 6]),
                number(495 + 100 * dice.below(150)),
                number(dice.below(400)),
            ])?;
    }
    for id in 1..=ORDERS {
        order(c, &mut dice, id)?;
    }
    Ok(())
}

fn order(c: &Connection, dice: &mut Dice, id: i64) -> rusqlite::Result<()> {
    let note = (dice.below(12) == 0).then_some("leave with a neighbour");
    c.prepare_cached("INSERT INTO orders VALUES (?1, ?2, ?3, ?4, 0, ?5)")?
        .execute(params![
            id,
            number(dice.below(500)) + 1,
            STATES[dice.below(5)],
            day(dice.below(365)),
            note,
        ])?;
    for line in 1..=number(1 + dice.below(4)) {
        c.prepare_cached(
            "INSERT INTO order_items SELECT ?1, ?2, id, ?4, price_cents FROM products WHERE id = ?3",
        )?
        .execute(params![
            id,
            line,
            number(dice.below(60)) + 1,
            number(1 + dice.below(3)),
        ])?;
    }
    c.prepare_cached(
        "UPDATE orders SET total_cents = (SELECT sum(quantity * price_cents) FROM order_items WHERE order_id = ?1) \
         WHERE id = ?1",
    )?
    .execute([id])?;
    Ok(())
}

fn number(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The day `back` days before the end of the sample's time.
fn day(back: usize) -> String {
    const LAST_DAY_MS: i64 = 1_767_139_200_000;
    let at = crate::clock::Timestamp(LAST_DAY_MS - number(back) * 86_400_000);
    at.rfc3339()[..10].to_owned()
}

/// The same numbers each time: a sample needs no better dice.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % n
    }
}
