//! A sample database for the demo: a small shop with customers, products, orders and their items. Generated, the same
//! each time; every address is at example.com.

use crate::error::Error;
use rusqlite::{Connection, OpenFlags, params};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

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
