//! What a POSIX call fails with. `fuse::errno` turns each into its number, in one exhaustive match.

use crate::cache::CacheError;
use crate::flow::FlowError;
use crate::meta::MetaError;

/// An operation's failure.
#[derive(Debug, thiserror::Error)]
pub enum FsError {
    /// ENOENT.
    #[error("no such file or directory")]
    NotFound,
    /// EEXIST.
    #[error("it exists already")]
    Exists,
    /// ENOTDIR.
    #[error("not a directory")]
    NotDir,
    /// EISDIR.
    #[error("is a directory")]
    IsDir,
    /// ENOTEMPTY.
    #[error("directory not empty")]
    NotEmpty,
    /// ENAMETOOLONG.
    #[error("name too long")]
    NameTooLong,
    /// EPERM.
    #[error("operation not permitted")]
    NotPermitted,
    /// EACCES.
    #[error("permission denied")]
    Access,
    /// EMLINK.
    #[error("too many links")]
    TooManyLinks,
    /// ENOSPC.
    #[error("no space left")]
    NoSpace,
    /// EROFS.
    #[error("read-only file system")]
    ReadOnly,
    /// EINVAL.
    #[error("invalid argument")]
    Invalid,
    /// EOPNOTSUPP.
    #[error("not supported")]
    NotSupported,
    /// ENODATA: no such extended attribute.
    #[error("no such attribute")]
    NoData,
    /// EFBIG.
    #[error("file too large")]
    TooBig,
    /// E2BIG: an extended attribute's value is too long.
    #[error("argument too long")]
    ArgTooBig,
    /// ENXIO: SEEK_DATA or SEEK_HOLE beyond the end.
    #[error("no such address")]
    NoSuchAddress,
    /// ESTALE: the inode is gone.
    #[error("stale handle")]
    Stale,
    /// EBADF.
    #[error("bad handle")]
    BadHandle,
    /// EIO, or ENOSPC where the reason below is a full disk.
    #[error(transparent)]
    Flow(FlowError),
    /// EIO or ENOSPC.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// EIO or ENOSPC.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

impl From<FlowError> for FsError {
    fn from(e: FlowError) -> FsError {
        match e {
            FlowError::Cache(e) => FsError::Cache(e),
            FlowError::Meta(e) => FsError::Meta(e),
            FlowError::NoRoom(_) => FsError::NoSpace,
            other => FsError::Flow(other),
        }
    }
}
