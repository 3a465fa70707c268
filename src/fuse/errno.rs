//! What each failure is to a program: its errno, decided here and nowhere else.

use crate::cache::CacheError;
use crate::flow::FlowError;
use crate::fs::FsError;
use crate::meta::MetaError;
use crate::store::StoreError;
use crate::vault::VaultError;
use fuser::Errno;

/// The errno of a failure.
pub fn errno(error: &FsError) -> Errno {
    match error {
        FsError::NotFound => Errno::ENOENT,
        FsError::Exists => Errno::EEXIST,
        FsError::NotDir => Errno::ENOTDIR,
        FsError::IsDir => Errno::EISDIR,
        FsError::NotEmpty => Errno::ENOTEMPTY,
        FsError::NameTooLong => Errno::ENAMETOOLONG,
        FsError::NotPermitted => Errno::EPERM,
        FsError::Access => Errno::EACCES,
        FsError::TooManyLinks => Errno::EMLINK,
        FsError::NoSpace => Errno::ENOSPC,
        FsError::ReadOnly => Errno::EROFS,
        FsError::Invalid => Errno::EINVAL,
        FsError::NotSupported => Errno::EOPNOTSUPP,
        FsError::NoData => Errno::ENODATA,
        FsError::TooBig => Errno::EFBIG,
        FsError::ArgTooBig => Errno::E2BIG,
        FsError::NoSuchAddress => Errno::ENXIO,
        FsError::Stale => Errno::ESTALE,
        FsError::BadHandle => Errno::EBADF,
        FsError::Flow(e) => flow(e),
        FsError::Cache(e) => cache(e),
        FsError::Meta(e) => meta(e),
    }
}

fn flow(error: &FlowError) -> Errno {
    match error {
        FlowError::Cache(e) => cache(e),
        FlowError::Meta(e) => meta(e),
        FlowError::NoRoom(_) | FlowError::Vault(VaultError::Store(StoreError::Full { .. })) => Errno::ENOSPC,
        FlowError::Pack(_)
        | FlowError::Vault(_)
        | FlowError::Unreadable { .. }
        | FlowError::TimedOut(_)
        | FlowError::Start(_)
        | FlowError::Stopped => Errno::EIO,
    }
}

fn cache(error: &CacheError) -> Errno {
    match error {
        CacheError::DiskFull { .. } => Errno::ENOSPC,
        CacheError::Io { .. } | CacheError::Journal { .. } => Errno::EIO,
    }
}

fn meta(error: &MetaError) -> Errno {
    match error {
        MetaError::Full => Errno::ENOSPC,
        MetaError::Sqlite(_)
        | MetaError::Damaged { .. }
        | MetaError::Foreign { .. }
        | MetaError::TooNew { .. }
        | MetaError::Missing(_)
        | MetaError::ChunkGone(_)
        | MetaError::Io { .. } => Errno::EIO,
    }
}

/// Whether it is the machine's or the store's failure, not an answer to the program.
pub fn is_trouble(error: &FsError) -> bool {
    matches!(error, FsError::Flow(_) | FsError::Cache(_) | FsError::Meta(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_full_disk_is_enospc_wherever_it_is() {
        let full = || CacheError::DiskFull { path: "x".into() };
        let errors = [
            FsError::Cache(full()),
            FsError::Flow(FlowError::Cache(full())),
            FsError::Meta(MetaError::Full),
            FsError::Flow(FlowError::NoRoom(Duration::ZERO)),
            FsError::NoSpace,
        ];
        for e in errors {
            assert_eq!(i32::from(errno(&e)), i32::from(Errno::ENOSPC), "{e}");
        }
        assert_eq!(i32::from(errno(&FsError::Flow(FlowError::Stopped))), i32::from(Errno::EIO));
    }
}
