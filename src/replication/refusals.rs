//! Why a state may not begin, in sentences for the operator.

use super::local_state::LocalState;
use crate::domain::server_lease::{LogHead, ServerKeys, ServerLease};
use crate::error::{Error, ErrorKind};
use crate::store::STATE_DIFFERS;

/// Refuses a state that lacks what another had when it last renewed the lease.
pub(super) fn lacks(head: &LogHead) -> Error {
    let words = format!(
        "the copy held event {} of the audit log, which the state here does not have",
        head.seq
    );
    Error::new(ErrorKind::Internal, STATE_DIFFERS, words)
        .hint("start with --standby, which fetches the state from the bucket; where this state shall replace it, start once with --accept-rollback REASON, which is audited")
}

pub(super) fn refuse_foreign(lease: &ServerLease, keys: &ServerKeys) -> Result<(), Error> {
    let which = match (
        lease.keys.signing == keys.signing,
        lease.keys.audit == keys.audit,
    ) {
        (true, true) => return Ok(()),
        (false, _) => "signing.key",
        (true, false) => "the key of the audit log",
    };
    Err(Error::bug(format!(
        "{which} here is not the one of the server whose copy is in the bucket; all servers of an installation need the same keys"
    )))
}

pub(super) fn refuse_older(lease: &ServerLease, local: &LocalState) -> Result<(), Error> {
    if local.is_newest(lease) {
        return Ok(());
    }
    Err(Error::bug(format!(
        "the bucket has the state of epoch {}, and the one in state_dir is of epoch {}: another server has replaced it; \
         start with --standby, which keeps the old state aside",
        lease.copy_epoch, local.epoch
    ))
    .hint("where this state shall replace it, start once with --accept-rollback REASON, which is audited"))
}

/// Refuses to begin next to a copy of that epoch, of which the lease that stands, of another epoch or none, does not tell.
pub(super) fn strays(epoch: u64, lease: Option<u64>) -> Error {
    let lease = match lease {
        None => "no lease".to_owned(),
        Some(lease) => format!("a lease of epoch {lease}"),
    };
    Error::bug(format!(
        "the bucket has the copy of epoch {epoch} and {lease}: the object `lease` was removed or put back, so nobody knows \
         whose state is the newest"
    ))
    .hint(
        "a server that runs writes its lease again; where none does, start the machine with the newest state once with \
         --accept-rollback REASON, which is audited",
    )
}
