//! Pail: a POSIX file system in an object store.
//!
//! The rooms, from the ground up; a room imports only what its row in docs/design.md names,
//! and `tests/tidy.rs` holds that table. Nothing in here prints: `bin/` does.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod cache;
pub mod chunk;
pub mod daemon;
pub mod flow;
pub mod fs;
pub mod fuse;
pub mod meta;
pub mod pack;
pub mod seal;
pub mod store;
pub mod types;
pub mod vault;
