//! Exit codes, S3QL's where it has one, and the one place where a failure gets its code and its hint.

use pail::daemon::StartError;
use pail::daemon::client::AskError;
use pail::fuse::FuseError;
use pail::meta::MetaError;
use pail::store::StoreError;
use pail::vault::VaultError;
use serde::{Deserialize, Serialize};

pub const UNEXPECTED: i32 = 1;
pub const USAGE: i32 = 2;
pub const LOG_FILE: i32 = 10;
pub const AUTHFILE: i32 = 12;
pub const REFUSED: i32 = 15;
pub const LOCATION: i32 = 16;
pub const PASSPHRASE: i32 = 17;
pub const NO_FILE_SYSTEM: i32 = 18;
pub const TOO_NEW: i32 = 33;
pub const NO_MOUNT_POINT: i32 = 36;
pub const CANT_MOUNT: i32 = 39;
pub const MOUNTED_HERE: i32 = 40;
pub const METADATA: i32 = 43;
pub const CACHE_DIR: i32 = 45;
/// Ours: the store or the local disk is full.
pub const FULL: i32 = 50;
/// Ours: /dev/fuse can't be used.
pub const NO_FUSE: i32 = 51;
/// Ours: the place is not empty.
pub const NOT_EMPTY: i32 = 52;
/// Ours: the mount is in use.
pub const BUSY: i32 = 53;
/// Ours: not everything is in the store.
pub const LEFT_IN_CACHE: i32 = 54;

/// What is told to a person, and to the shell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub code: i32,
    pub message: String,
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(code: i32, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), hint: None }
    }

    pub fn hint(self, hint: impl Into<String>) -> Failure {
        Failure { hint: Some(hint.into()), ..self }
    }

    pub fn tell(&self, tool: &str) {
        match &self.hint {
            Some(hint) => eprintln!("{tool}: {} (hint: {hint})", self.message),
            None => eprintln!("{tool}: {}", self.message),
        }
    }
}

fn store(e: &StoreError) -> (i32, Option<&'static str>) {
    match e {
        StoreError::NoPlace { .. } => {
            (LOCATION, Some("check the storage URL; mkfs.pail makes a new file system"))
        }
        StoreError::BadUrl { .. } => (LOCATION, None),
        StoreError::Full { .. } => (FULL, Some("make room in the store and try again")),
        StoreError::Denied { .. } => (REFUSED, Some("check the permissions of the store")),
        StoreError::Temporary { .. } => (UNEXPECTED, Some("try again; the store may be out of order")),
        StoreError::NotFound { .. } | StoreError::BadKey { .. } => (UNEXPECTED, None),
    }
}

fn vault(e: &VaultError) -> (i32, Option<&'static str>) {
    match e {
        VaultError::Store(e) => store(e),
        VaultError::NoFileSystem { .. } => {
            (NO_FILE_SYSTEM, Some("check the storage URL, or make a file system with mkfs.pail"))
        }
        VaultError::NotEmpty { .. } => {
            (NOT_EMPTY, Some("choose another place, or --force to delete everything in it"))
        }
        VaultError::WrongSecret { .. } => (PASSPHRASE, None),
        VaultError::SecretNeeded { .. } => (PASSPHRASE, Some("give it on stdin or in the authfile")),
        VaultError::NotEncrypted { .. } => {
            (PASSPHRASE, Some("if it was encrypted before, somebody replaced it: do not use it"))
        }
        VaultError::TooNew { .. } => (TOO_NEW, Some("install a newer Pail")),
        VaultError::BadParameter(_) => (USAGE, None),
        VaultError::Damaged { .. } | VaultError::Sealed { .. } | VaultError::Crowded { .. } => {
            (UNEXPECTED, None)
        }
    }
}

fn meta(e: &MetaError) -> (i32, Option<&'static str>) {
    match e {
        MetaError::Full => (FULL, Some("make room on the disk of the cache directory")),
        MetaError::TooNew { .. } => (TOO_NEW, Some("install a newer Pail")),
        MetaError::Foreign { .. } => (CACHE_DIR, Some("use another --cachedir")),
        MetaError::Damaged { .. }
        | MetaError::Sqlite(_)
        | MetaError::Missing(_)
        | MetaError::ChunkGone(_)
        | MetaError::Io { .. } => (METADATA, None),
    }
}

fn start(e: &StartError) -> (i32, Option<&'static str>) {
    match e {
        StartError::Store(e) => store(e),
        StartError::Vault(e) => vault(e),
        StartError::Meta(e) => meta(e),
        StartError::Cache(pail::cache::CacheError::DiskFull { .. }) => (FULL, Some("make room on its disk")),
        StartError::Cache(_) | StartError::CacheDir { .. } => (CACHE_DIR, None),
        StartError::ForeignCache { .. } => {
            (CACHE_DIR, Some("use another --cachedir; that one may hold data that was never stored"))
        }
        StartError::Mounted { .. } => (MOUNTED_HERE, Some("unmount it first with umount.pail")),
        StartError::NoMetadata { .. } => (
            METADATA,
            Some(
                "use the --cachedir that it was last mounted with; this release can't restore metadata from the store",
            ),
        ),
        StartError::Fuse(FuseError::NoDevice(_)) => {
            (NO_FUSE, Some("load the kernel's fuse module (modprobe fuse)"))
        }
        StartError::Fuse(FuseError::MountPoint { .. }) => (NO_MOUNT_POINT, Some("make the directory first")),
        StartError::Fuse(FuseError::Mount { .. }) => (CANT_MOUNT, Some("mounting needs root")),
        StartError::Flow(_) | StartError::System(_) => (UNEXPECTED, None),
    }
}

fn made(message: String, (code, hint): (i32, Option<&'static str>)) -> Failure {
    Failure { code, message, hint: hint.map(str::to_owned) }
}

impl From<StoreError> for Failure {
    fn from(e: StoreError) -> Failure {
        made(e.to_string(), store(&e))
    }
}

impl From<VaultError> for Failure {
    fn from(e: VaultError) -> Failure {
        made(e.to_string(), vault(&e))
    }
}

impl From<StartError> for Failure {
    fn from(e: StartError) -> Failure {
        made(e.to_string(), start(&e))
    }
}

impl From<AskError> for Failure {
    fn from(e: AskError) -> Failure {
        let about = match &e {
            AskError::NotMounted(_) => (NO_MOUNT_POINT, Some("`findmnt -t fuse.pail` lists what is mounted")),
            AskError::Busy(_) => (BUSY, Some("`lsof DIR` shows by whom; or --lazy")),
            AskError::NoAnswer { .. } => {
                (UNEXPECTED, Some("if its daemon is dead, mounting again recovers everything"))
            }
            AskError::Refused(_) => (UNEXPECTED, None),
        };
        made(e.to_string(), about)
    }
}
