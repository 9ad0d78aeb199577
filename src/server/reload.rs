//! Takes a changed server.toml over without a restart, whole or not at all. Which of the two stands in the log, in the
//! audit log and in the metrics.

use super::Server;
use super::outcome::{self, Outcome};
use crate::actions::start;
use crate::config::{Config, ServerTls};
use crate::declare::Plain;
use crate::error::Error;
use crate::metrics::Metrics;
use std::path::Path;

/// Problems of a file that stand in its audit event, at most.
const PROBLEMS_MAX: usize = 20;

impl Server {
    /// Reads the file at `path` again and applies it.
    ///
    /// # Errors
    /// Why not, one line a problem; then everything stays as it was.
    pub fn reload(&self, path: &Path) -> Result<(), String> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(|e| e.into_inner());
        let asked = outcome::take(self.state.path());
        let done = self.reload_once(path);
        let outcome = Outcome {
            file: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            generation: self.app.active().generation,
            problem: done.as_ref().err().cloned(),
        };
        outcome::answer(&asked, &outcome);
        done
    }

    fn reload_once(&self, path: &Path) -> Result<(), String> {
        match Config::load(path) {
            Ok(config) => self.take_over(&config, path),
            Err(problems) => {
                let list = problems.list.iter().map(ToString::to_string).collect();
                Err(self.refused(list, problems.to_string()))
            }
        }
    }

    fn take_over(&self, config: &Config, path: &Path) -> Result<(), String> {
        for warning in &config.warnings {
            log::warn!("{}: {warning}", path.display());
        }
        for key in needs_restart(&self.started_with, config) {
            log::warn!(
                "{}: `{key}` has changed; it takes effect at the next start",
                path.display()
            );
        }
        match start::sync_config(&self.app, config, true) {
            Ok(()) => {
                if super::rust_log().is_none() {
                    log::set_max_level(config.logging.level);
                }
                self.present(config);
                self.app.metrics.config_last_reload_success.set(&[], 1);
                log::info!("{} is in effect", path.display());
                Ok(())
            }
            Err(error) => {
                let text = error.to_string();
                Err(self.refused(vec![text.clone()], text))
            }
        }
    }

    /// Serves new connections with what the files hold now, unless agents have to present certificates as they did not
    /// before, or the other way round.
    fn present(&self, config: &Config) {
        let certified = self.started_with.agents_certified() == config.agents_certified();
        if let (Some(source), Some(tls), true) = (&self.tls, &config.tls, certified) {
            source.replace(tls.identity.config());
            note_certificate(&self.app.metrics, tls);
        }
    }

    fn refused(&self, mut problems: Vec<String>, text: String) -> String {
        problems.truncate(PROBLEMS_MAX);
        log::error!("the configuration was not applied, everything stays as it was:\n{text}");
        let audited: Result<(), Error> = start::reject_config(&self.app, problems);
        if let Err(error) = audited {
            log::error!("that could not be audited: {error}");
        }
        text
    }
}

/// Shows when the certificate ends.
pub(super) fn note_certificate(metrics: &Metrics, tls: &ServerTls) {
    if let Some(secs) = tls.identity.expires_at_secs() {
        metrics.tls_certificate_not_after.set(&[], secs);
    }
}

/// Keys that have changed and are read at a start only.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changed = [
        ("state_dir", old.state_dir != new.state_dir),
        ("listen", old.listen != new.listen),
        ("tls", old.tls.is_some() != new.tls.is_some()),
        (
            "tls.agents_ca_file",
            old.agents_certified() != new.agents_certified(),
        ),
        ("audit.redaction", old.redaction != new.redaction),
        ("result_storage", old.result_storage != new.result_storage),
        ("replication", old.replication != new.replication),
        ("result_channel", old.result_channel != new.result_channel),
        ("logging.format", old.logging.format != new.logging.format),
        (
            "trusted_proxies",
            old.trusted_proxies != new.trusted_proxies,
        ),
        ("allow_networks", old.allow_networks != new.allow_networks),
        ("audit.key_file", old.audit_key_file != new.audit_key_file),
        (
            "audit.checkpoint_file",
            old.checkpoint_file != new.checkpoint_file,
        ),
        ("auth.mode", old.auth_mode != new.auth_mode),
        ("auth.oidc", old.oidc != new.oidc),
    ];
    let changed = changed
        .into_iter()
        .filter_map(|(key, differs)| differs.then_some(key));
    old.process
        .changed(&new.process)
        .into_iter()
        .chain(changed)
        .collect()
}
