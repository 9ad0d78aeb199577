//! The audit log as lines for another machine: writes them, and proves them with public keys alone.
//!
//! An export is JSON, a line each: where it begins, the events in their order, and the signed head, which says where the
//! log ended. An export that begins where another ended may follow it in the same file. docs/audit.md has the keys, and
//! docs/verify_export.py proves the same in another language.

mod lines;
mod verify;

pub use lines::{ExportStart, event_line, head_line, start_line};
pub use verify::{VerifiedExport, verify_export};

/// Names the form of the lines.
pub const EXPORT_FORM: &str = "dbward-audit-v1";
