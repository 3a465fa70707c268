//! The fuser adapter: requests in, replies out, and the errno table. Nothing is decided here that
//! `fs` could decide. Only this room speaks fuser.
//!
//! mount(2) and umount(2) are called here and not by fuser: its own teardown can unmount a newer mount
//! at the same path, and its option string can't hold every source.

mod adapter;
mod convert;
pub mod errno;
mod mount;
pub mod mountinfo;

pub use mount::{FuseError, MountOptions, Mounted, check_mount_point};
