//! Every minute, what was counted and not audited one by one is audited as a sum: refusals by actor, failed
//! authentications by address.

use crate::actions::App;
use crate::domain::actor::Actor;
use crate::domain::change::LogChange;
use crate::error::Error;
use crate::store::Verdict;

/// Writes the rows of the minute that ends.
///
/// # Errors
/// When the store cannot write; what was counted is lost then, but stands in the metrics.
pub(super) fn close_minute(app: &App) -> Result<(), Error> {
    let (beyond, failures) = app.caches.refusals.take();
    for (actor, mut refused) in beyond {
        // The row stands for many: the token of the actor may be gone by now.
        let actor = Actor {
            token_id: None,
            session_id: None,
            slack_linked_with: None,
            acts: false,
            ..actor
        };
        refused.request = None;
        refused.blocked_rules.clear();
        app.store.change(actor, move |_, _| {
            Ok(Verdict::Write(
                vec![LogChange::AttemptRefused(refused).into()],
                (),
            ))
        })?;
    }
    if !failures.is_empty() {
        app.store.change(Actor::system(), move |_, _| {
            let changes = failures
                .into_iter()
                .map(|f| LogChange::AuthFailures(f).into())
                .collect();
            Ok(Verdict::Write(changes, ()))
        })?;
    }
    Ok(())
}
