//! Tables of statements and what they are.
