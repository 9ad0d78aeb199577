//! The live state: sums of keyed hashes over every row that something can still come of, kept up to date by triggers,
//! signed with each commit, and computed again from the rows at each start.
//!
//! The triggers are temporary: made anew for each connection from [`columns::TABLES`], they are not part of the file,
//! so nobody can take them out of it, and a new column needs no migration of triggers. They call `live_row`, which adds
//! a row to the sums or takes it away. Sums live in memory next to the transaction: whatever undoes rows puts the sums
//! back too (see [`LiveState::mark`]).

mod asides;
pub mod columns;
mod guard;
pub(super) mod open;
mod start;

pub(super) use start::{
    Proof, differing_sums, hash_of, head_now, instance, last_event, prove, read_head, rebase,
    settle, write_head,
};

use crate::crypto::MacKey;
use crate::domain::head::Sum;
use crate::error::Error;
use columns::{ColumnGuard, GuardedTable, LiveRows, TABLES};
use open::{is_open, open_seqs};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

/// Sums by number of the table in [`TABLES`].
pub(super) type Sums = [Sum; TABLES.len()];

const REQUESTS: &str = "requests";

/// Most arguments of `live_row`: more than any table has columns.
const ARGUMENTS_MAX: usize = 64;

/// Where an open request stands by what this process wrote: its last move, and the event that froze it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestPlace {
    pub audit_seq: i64,
    pub corrupt_seq: Option<i64>,
}

/// What undoes a part of a transaction.
#[derive(Clone, Copy)]
pub(super) struct LiveMark {
    sums: Sums,
    /// Changes of places that stay.
    places_changed: usize,
}

/// The sums of one connection. Cheap to clone; all clones are the same sums.
#[derive(Clone)]
pub(super) struct LiveState {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    key: MacKey,
    sums: Sums,
    /// Last event and sums of the newest head; none where that is not known.
    signed: Option<(i64, Sums)>,
    buffer: Vec<u8>,
    places: Places,
}

/// Every open request, by its number in `requests`; no place where another process changed it before this one did.
#[derive(Default)]
struct Places {
    known: HashMap<i64, Option<RequestPlace>>,
    /// What the transaction that is open replaced, oldest first.
    replaced: Vec<(i64, Option<Option<RequestPlace>>)>,
}

impl Places {
    /// A row begins to count.
    fn add(&mut self, seq: i64, place: RequestPlace) {
        // What was not ours does not become ours by what we write over it.
        if self.known.get(&seq) != Some(&None) {
            let before = self.known.insert(seq, Some(place));
            self.replaced.push((seq, before));
        }
    }

    /// A row that counted does no longer, or will be another.
    fn remove(&mut self, seq: i64, place: RequestPlace) {
        let before = match self.known.get(&seq) {
            Some(known) if *known == Some(place) => self.known.remove(&seq),
            _ => self.known.insert(seq, None),
        };
        self.replaced.push((seq, before));
    }

    fn undo(&mut self, stay: usize) {
        while self.replaced.len() > stay {
            match self.replaced.pop() {
                Some((seq, Some(before))) => drop(self.known.insert(seq, before)),
                Some((seq, None)) => drop(self.known.remove(&seq)),
                None => {}
            }
        }
    }
}

impl LiveState {
    /// Empty sums under the key that `secret` gives, which must be derived from the audit key.
    pub(super) fn new(secret: &[u8; 32]) -> LiveState {
        LiveState {
            inner: Arc::new(Mutex::new(Inner {
                key: MacKey::new(secret),
                sums: [Sum::default(); TABLES.len()],
                signed: None,
                buffer: Vec::with_capacity(1024),
                places: Places::default(),
            })),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// How things stand: remembered before what may be undone.
    pub(super) fn mark(&self) -> LiveMark {
        let inner = self.lock();
        LiveMark {
            sums: inner.sums,
            places_changed: inner.places.replaced.len(),
        }
    }

    /// Puts sums and places back, after the rows were.
    pub(super) fn restore(&self, mark: LiveMark) {
        let mut inner = self.lock();
        inner.sums = mark.sums;
        inner.signed = None;
        inner.places.undo(mark.places_changed);
    }

    /// After a COMMIT: nothing of it is undone any more.
    pub(super) fn committed(&self) {
        self.lock().places.replaced.clear();
    }

    /// Where the open request of that number in `requests` stands; none where there is no such one, or where it was not
    /// this process that put it there.
    pub(super) fn place(&self, seq: i64) -> Option<RequestPlace> {
        self.lock().places.known.get(&seq).copied().flatten()
    }

    /// Whether a head is due where `seq` is the last event: chain or sums have moved since the newest one.
    pub(super) fn moved_to(&self, seq: i64) -> bool {
        let mut inner = self.lock();
        let now = Some((seq, inner.sums));
        now != std::mem::replace(&mut inner.signed, now)
    }

    /// Makes `live_row` known to the connection.
    pub(super) fn register(&self, connection: &Connection) -> Result<(), Error> {
        let state = self.clone();
        let flags = FunctionFlags::SQLITE_UTF8;
        Ok(connection.create_scalar_function("live_row", -1, flags, move |cx| state.count(cx))?)
    }

    /// `live_row(slot, sign, table, column, ..)`: adds the row to that sum, or takes it away where `sign` is -1.
    fn count(&self, cx: &Context) -> rusqlite::Result<bool> {
        let slot: usize = cx.get::<i64>(0)?.try_into().unwrap_or(usize::MAX);
        let adds = cx.get::<i64>(1)? > 0;
        if slot >= TABLES.len() || cx.len() > ARGUMENTS_MAX {
            return Err(rusqlite::Error::UserFunctionError(
                "live_row: no such sum, or too many columns".into(),
            ));
        }
        let mut inner = self.lock();
        let Inner {
            key, sums, buffer, ..
        } = &mut *inner;
        buffer.clear();
        for n in 2..cx.len() {
            match cx.get_raw(n) {
                ValueRef::Null => push(buffer, b'n', &[]),
                ValueRef::Integer(value) => push(buffer, b'i', &value.to_be_bytes()),
                ValueRef::Real(value) => push(buffer, b'r', &value.to_be_bytes()),
                ValueRef::Text(value) => push(buffer, b's', value),
                ValueRef::Blob(value) => push(buffer, b'b', value),
            }
        }
        let mac = key.sign(buffer);
        if adds {
            sums[slot].add(&mac);
        } else {
            sums[slot].subtract(&mac);
        }
        let of_requests = cx.get_raw(2).as_str().is_ok_and(|table| table == REQUESTS);
        // The recipe of an earlier version has fewer columns; its places are not used.
        if of_requests && PLACED_BY.iter().all(|n| *n < cx.len()) {
            let [seq, audit_seq, corrupt_seq] = PLACED_BY.map(|n| cx.get::<Option<i64>>(n));
            if let (Ok(Some(seq)), Ok(Some(audit_seq)), Ok(corrupt_seq)) =
                (seq, audit_seq, corrupt_seq)
            {
                let place = RequestPlace {
                    audit_seq,
                    corrupt_seq,
                };
                match adds {
                    true => inner.places.add(seq, place),
                    false => inner.places.remove(seq, place),
                }
            }
        }
        Ok(adds)
    }

    /// Sets sums that were computed from the rows, by name of their table. Places are those of the rows already.
    fn set(&self, computed: &[(String, Sum)]) {
        let mut sums = [Sum::default(); TABLES.len()];
        for (slot, table) in live_tables() {
            let found = computed.iter().find(|(name, _)| name == table.name);
            sums[slot] = found.map_or(Sum::default(), |(_, sum)| *sum);
        }
        self.set_sums(sums);
    }

    fn set_sums(&self, sums: Sums) {
        let mut inner = self.lock();
        inner.sums = sums;
        inner.signed = None;
    }

    /// The sums by name of their table, as a head says them.
    pub(super) fn named(&self) -> BTreeMap<String, String> {
        let sums = self.lock().sums;
        TABLES
            .iter()
            .zip(sums)
            .filter(|(table, _)| table.live != LiveRows::Never)
            .map(|(table, sum)| (table.name.to_owned(), sum.hex()))
            .collect()
    }
}

/// The arguments of `live_row` that say where a request stands: `seq`, `audit_seq` and `corrupt_seq`.
static PLACED_BY: LazyLock<[usize; 3]> = LazyLock::new(|| {
    ["seq", "audit_seq", "corrupt_seq"].map(|name| {
        let of_requests = TABLES.iter().filter(|table| table.name == REQUESTS);
        let place = of_requests
            .flat_map(GuardedTable::digested)
            .position(|column| column == name);
        place.map_or(ARGUMENTS_MAX, |n| 3 + n)
    })
});

/// Kind, length and bytes of a value, so that no two rows have the same encoding.
fn push(buffer: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    buffer.push(kind);
    buffer.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    buffer.extend_from_slice(bytes);
}

/// `live_row(..)` for a row that is called `row` in the statement around it.
fn row_call(slot: usize, table: &GuardedTable, sign: &str, row: &str) -> String {
    let mut text = format!("live_row({slot}, {sign}, '{}'", table.name);
    for column in table.digested() {
        let _ = write!(text, ", {row}.{column}");
    }
    text.push(')');
    text
}

/// The condition under which a row called `row` counts.
fn condition(table: &GuardedTable, row: &str) -> String {
    match table.live {
        LiveRows::Always => "1".to_owned(),
        LiveRows::Open => is_open(row),
        LiveRows::While(condition) => condition.replace("{}", row),
        LiveRows::WithRequest => format!(
            "EXISTS (SELECT 1 FROM requests o WHERE o.seq = {row}.request_seq AND {})",
            is_open("o")
        ),
        LiveRows::Never => "0".to_owned(),
    }
}

/// The tables that have live rows, with their numbers.
fn live_tables() -> impl Iterator<Item = (usize, &'static GuardedTable)> {
    TABLES
        .iter()
        .enumerate()
        .filter(|(_, table)| table.live != LiveRows::Never)
}

/// How the sums are computed from the rows: a line a table, its name and its statement. A head names the hash of this
/// text, and the text is kept, so that a later version can still compute what an earlier one signed.
pub(super) fn recipe() -> String {
    let (mut text, open) = (String::new(), open_seqs());
    for (_, table) in live_tables() {
        let call = row_call(0, table, "1", "t");
        let name = table.name;
        let _ = match table.live {
            LiveRows::Open => writeln!(
                text,
                "{name}: SELECT {call} FROM ({open}) o CROSS JOIN {name} t ON t.seq = o.seq"
            ),
            LiveRows::WithRequest => writeln!(
                text,
                "{name}: SELECT {call} FROM ({open}) o CROSS JOIN {name} t ON t.request_seq = o.seq"
            ),
            _ => writeln!(
                text,
                "{name}: SELECT {call} FROM {name} t WHERE {}",
                condition(table, "t")
            ),
        };
    }
    text
}

/// Makes the temporary triggers that keep the sums up to date.
pub(super) fn attach(connection: &Connection) -> Result<(), Error> {
    let mut text = String::new();
    for (number, table) in live_tables() {
        triggers(&mut text, number, table);
    }
    reopened(&mut text);
    Ok(connection.execute_batch(&text)?)
}

fn triggers(text: &mut String, number: usize, table: &GuardedTable) {
    let name = table.name;
    let (old, new) = (condition(table, "OLD"), condition(table, "NEW"));
    let (minus, plus) = (
        row_call(number, table, "-1", "OLD"),
        row_call(number, table, "1", "NEW"),
    );
    let counts = |column: &str| match table.live {
        LiveRows::Open => ["status", "corrupt_seq"].contains(&column),
        LiveRows::While(condition) => condition.contains(column),
        _ => false,
    };
    let columns: Vec<&str> = table
        .columns
        .iter()
        .filter(|(column, guard)| *guard == ColumnGuard::Digested || counts(column))
        .map(|(column, _)| *column)
        .collect();
    let columns = columns.join(", ");
    let _ = write!(
        text,
        "CREATE TEMP TRIGGER live_{name}_insert AFTER INSERT ON main.{name} WHEN {new} BEGIN SELECT {plus}; END;
         CREATE TEMP TRIGGER live_{name}_delete AFTER DELETE ON main.{name} WHEN {old} BEGIN SELECT {minus}; END;
         CREATE TEMP TRIGGER live_{name}_update AFTER UPDATE OF {columns} ON main.{name} BEGIN
             SELECT {minus} WHERE {old}; SELECT {plus} WHERE {new}; END;\n"
    );
}

/// When a request closes, its rows leave the sums with it; when it is opened again, they come back.
fn reopened(text: &mut String) {
    let (old, new) = (is_open("OLD"), is_open("NEW"));
    let _ = writeln!(
        text,
        "CREATE TEMP TRIGGER live_requests_moved AFTER UPDATE OF status, corrupt_seq ON main.requests \
         WHEN ({old}) IS NOT ({new}) BEGIN"
    );
    let dependent = live_tables().filter(|(_, table)| table.live == LiveRows::WithRequest);
    for (number, table) in dependent {
        let sign = format!("CASE WHEN {new} THEN 1 ELSE -1 END");
        let call = row_call(number, table, &sign, "t");
        let _ = writeln!(
            text,
            "SELECT {call} FROM main.{} t WHERE t.request_seq = NEW.seq;",
            table.name
        );
    }
    text.push_str("END;\n");
}

/// Computes the sums from the rows, by the statements of a recipe; the sums of `state` are lost.
fn sum_rows(
    connection: &Connection,
    state: &LiveState,
    recipe: &str,
) -> Result<Vec<(String, Sum)>, Error> {
    let mut sums = Vec::new();
    for line in recipe.lines() {
        let (table, statement) = line
            .split_once(": ")
            .ok_or_else(|| Error::bug("a recipe of the live state is not readable"))?;
        state.set_sums([Sum::default(); TABLES.len()]);
        if table == REQUESTS {
            state.lock().places = Places::default();
        }
        let mut prepared = connection.prepare(statement)?;
        let mut rows = prepared.query(params![])?;
        while rows.next()?.is_some() {}
        sums.push((table.to_owned(), state.lock().sums[0]));
    }
    Ok(sums)
}

/// Those of these tables, never `requests`, whose rows do not have the sums that `state` keeps.
pub(super) fn changed(
    connection: &Connection,
    state: &LiveState,
    tables: &[&str],
) -> Result<Vec<String>, Error> {
    let asked = |line: &&str| {
        line.split_once(": ")
            .is_some_and(|(table, _)| tables.contains(&table))
    };
    let text = recipe();
    let lines: Vec<&str> = text.lines().filter(asked).collect();
    let kept = state.lock().sums;
    let named = state.named();
    let found = sum_rows(connection, state, &lines.join("\n"));
    state.set_sums(kept);
    let differs = |(table, sum): &(String, Sum)| named.get(table) != Some(&sum.hex());
    Ok(found?
        .into_iter()
        .filter(differs)
        .map(|(table, _)| table)
        .collect())
}
