//! Certificates: the whole chain that is presented, and the authorities that others' certificates are held against.

use super::{Check, check};
use crate::agent::config::AgentConfig;
use crate::cli::output::span;
use crate::clock::{Clock, Timestamp};
use crate::config::{Config, SeenCertificate};
use std::path::Path;

/// A certificate that ends within so many seconds is renewed now.
const SECS_MIN: u64 = 14 * 86_400;

/// Those of `[tls]` and `[email]`.
pub fn of_server_certificates(config: &Config) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(tls) = &config.tls {
        checks.push(of_chain(&tls.cert_file, "renew it, then `dbward reload`"));
        let authorities = tls.agents_ca_file.iter();
        checks.extend(authorities.map(|file| {
            let renew = "agents whose certificates it has issued are refused after that: renew both, then `dbward reload`";
            of_authorities(file, renew)
        }));
    }
    let email = config
        .email
        .iter()
        .filter_map(|email| email.ca_file.as_ref());
    checks.extend(email.map(|file| of_authorities(file, "get that of the mail server's new one")));
    checks
}

/// Those of `[server]` and of the databases.
pub fn of_agent_certificates(config: &AgentConfig) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some((certificate, _)) = &config.server.client_certificate {
        checks.push(of_chain(
            certificate,
            "renew it, then start the agent again",
        ));
    }
    let mut authorities: Vec<&Path> = config.server.ca_file.iter().map(AsRef::as_ref).collect();
    for database in &config.databases {
        authorities.extend(database.driver.ca_file());
    }
    authorities.sort();
    authorities.dedup();
    let renew = "get the new one, then start the agent again";
    checks.extend(
        authorities
            .into_iter()
            .map(|file| of_authorities(file, renew)),
    );
    checks
}

/// What is presented: the first certificate, then those of its issuers.
fn of_chain(file: &Path, renew: &str) -> Check {
    const NAME: &str = "certificate";
    let chain = match SeenCertificate::all_of(file) {
        Ok(chain) => chain,
        Err(e) => return check(NAME, Some(false), e),
    };
    let apart = chain
        .windows(2)
        .position(|two| !two[0].names_as_issuer(&two[1]));
    if let Some(n) = apart {
        let words = format!(
            "{}: certificate {} is not issued by the one after it: the server's comes first, then its issuer's, and so on",
            file.display(),
            n + 1
        );
        return check(NAME, Some(false), words);
    }
    of_ends(NAME, file, &chain, renew)
}

fn of_authorities(file: &Path, renew: &str) -> Check {
    const NAME: &str = "authority";
    match SeenCertificate::all_of(file) {
        Ok(all) => of_ends(NAME, file, &all, renew),
        Err(e) => check(NAME, Some(false), e),
    }
}

/// When the first of them ends.
fn of_ends(name: &'static str, file: &Path, all: &[SeenCertificate], renew: &str) -> Check {
    let of = |n: usize| match all.len() {
        1 => file.display().to_string(),
        _ => format!("certificate {} of {}", n + 1, file.display()),
    };
    let mut ends = Vec::new();
    for (n, seen) in all.iter().enumerate() {
        match seen.expires_at_secs {
            Some(secs) => ends.push((Timestamp(secs.saturating_mul(1000)), n)),
            None => return check(name, None, format!("{} does not say when it ends", of(n))),
        }
    }
    let Some((end, n)) = ends.into_iter().min() else {
        return check(name, None, format!("{} has none", file.display()));
    };
    let (now, of) = (Clock::system().now(), of(n));
    let left = end.since(now) / 1000;
    match (end <= now, left < SECS_MIN) {
        (true, _) => check(
            name,
            Some(false),
            format!("{of} ended on {}: {renew}", end.local()),
        ),
        (_, true) => check(
            name,
            Some(false),
            format!("{of} ends in {}: {renew}", span(left)),
        ),
        _ => check(name, Some(true), format!("{of} ends in {}", span(left))),
    }
}
