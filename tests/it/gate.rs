//! The gate under attack, over raw sockets: every known way to stop its backend listener, every framing fault, and
//! the waiting of long-polls. After each attack the server must still answer as if nothing had happened.

mod attacks;
mod crowd;
mod framing;
mod rig;
mod slow;
mod waiting;
