//! What a copy in a bucket costs: creates that are answered once the bucket has them (`mode = "confirmed"`), next to those
//! that are copied afterwards (`async`) and those of a server that copies nothing. Litestream and the bucket share the
//! machine, so it is the least that the round trip of a group takes, and the most of its processor time.

use crate::calls::Creator;
use crate::cases::{Cost, announce, row};
use crate::drive::run;
use crate::report::Row;
use crate::server::{Folder, Server, Tokens};
use crate::{Outcome, Plan};

/// What names Litestream's program, and the bucket as `http://<id>:<secret>@<host>:<port>/<bucket>`; as in the tests.
const LITESTREAM: &str = "DBWARD_TEST_LITESTREAM";
const BUCKET: &str = "DBWARD_TEST_S3_URL";
/// Clients at a time.
const CLIENTS: [usize; 3] = [1, 16, 64];

/// Runs the case.
pub fn measure(plan: &Plan, rows: &mut Vec<Row>) -> Outcome<()> {
    for clients in CLIENTS {
        let alone = rate(plan, rows, None, clients, None)?;
        for mode in ["async", "confirmed"] {
            rate(plan, rows, Some(mode), clients, Some(alone))?;
        }
    }
    Ok(())
}

/// Creates a second, with copies of that mode or without.
fn rate(
    plan: &Plan,
    rows: &mut Vec<Row>,
    mode: Option<&str>,
    clients: usize,
    floor: Option<f64>,
) -> Outcome<f64> {
    let name = match mode {
        Some(mode) => format!("create, {mode} copy"),
        None => "create, no copy".to_owned(),
    };
    announce(&name, clients);
    let folder = Folder::new("copied")?;
    let more = mode.map(copied).transpose()?.unwrap_or_default();
    let server = Server::start_with(folder.path(), &more)?;
    crate::guard(&server);
    let tokens = Tokens::issue(&server, 0)?;
    let mut creators = Creator::new(&tokens, clients)?;
    let before = Cost::now(&server, &tokens.admin)?;
    let measured = run(server.address, &mut creators, plan.span(clients))?;
    let note = before.since(&server, &tokens.admin, &measured)?;
    rows.push(Row {
        floor,
        note,
        ..row(&name, clients, &measured)
    });
    server.stop()?;
    Ok(measured.rate())
}

/// The sections of a server that copies so, each to a place of its own.
fn copied(mode: &str) -> Outcome<String> {
    let variable = |name| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let (litestream, url) = (variable(LITESTREAM)?, variable(BUCKET)?);
    let parts = || {
        let (scheme, rest) = url.split_once("://")?;
        let (pair, place) = rest.split_once('@')?;
        let (id, secret) = pair.split_once(':')?;
        let (host, bucket) = place.trim_end_matches('/').split_once('/')?;
        Some((scheme, host, bucket, id, secret))
    };
    let (scheme, host, bucket, id, secret) =
        parts().ok_or_else(|| format!("{BUCKET} is not the URL of a bucket"))?;
    let place = format!("{}-{mode}", uuid()?);
    Ok(format!(
        "\n[result_storage]\nbackend = \"s3\"\nendpoint = \"{scheme}://{host}\"\nbucket = \"{bucket}\"\n\
         prefix = \"results-{place}\"\naccess_key_id = \"{id}\"\nsecret_access_key = \"{secret}\"\n\
         [replication]\nmode = \"{mode}\"\nprefix = \"copy-{place}\"\nlitestream = \"{litestream}\"\n"
    ))
}

/// A name that no earlier run used.
fn uuid() -> Outcome<String> {
    let text =
        std::fs::read_to_string("/proc/sys/kernel/random/uuid").map_err(|e| e.to_string())?;
    Ok(text.trim().to_owned())
}
