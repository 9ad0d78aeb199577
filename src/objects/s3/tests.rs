//! The bucket over a wire that does what it is told.
