//! The room's errors, and how SQLite's are told apart.
//!
//! What holds: a full disk is always `Full` (callers release the ballast on it); a file that is no
//! database or has broken pages is `Damaged`; everything else is shown as SQLite says it.

use rusqlite::ErrorCode;
use rusqlite::ffi;

/// Errors of this room.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// The disk that holds the database is full.
    #[error("the disk of the metadata database is full")]
    Full,
    /// SQLite or the disk failed.
    #[error("metadata database: {0}")]
    Sqlite(rusqlite::Error),
    /// The file is not a database of ours, or damaged.
    #[error("metadata database {path} is damaged: {reason}")]
    Damaged {
        /// Its path.
        path: String,
        /// What SQLite said.
        reason: String,
    },
    /// Of another file system.
    #[error("metadata database {path} belongs to another file system ({found})")]
    Foreign {
        /// Its path.
        path: String,
        /// Its file system.
        found: String,
    },
    /// Written by a newer Pail.
    #[error("metadata database {path} has schema {found}; this program knows up to {known}")]
    TooNew {
        /// Its path.
        path: String,
        /// The schema's number.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// A row that must be there is not.
    #[error("metadata database: {0} is missing")]
    Missing(String),
    /// A chunk that a flush wanted to name has been condemned or removed since it was looked up.
    #[error("chunk {0} is no longer to be named")]
    ChunkGone(u64),
    /// A file of the database can't be made, opened or synced.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// `SQLITE_IOERR_SHMSIZE`: the `-shm` file can't grow. On Linux that is a full disk.
const IOERR_SHMSIZE: std::ffi::c_int = ffi::SQLITE_IOERR | (19 << 8);

/// `SQLITE_CONSTRAINT_FOREIGNKEY`.
const CONSTRAINT_FOREIGNKEY: std::ffi::c_int = ffi::SQLITE_CONSTRAINT | (3 << 8);

impl From<rusqlite::Error> for MetaError {
    fn from(error: rusqlite::Error) -> MetaError {
        MetaError::from_sqlite("meta.db", error)
    }
}

impl MetaError {
    /// Sorts an error of the database at `path`.
    pub(super) fn from_sqlite(path: &str, error: rusqlite::Error) -> MetaError {
        let rusqlite::Error::SqliteFailure(code, _) = &error else {
            return MetaError::Sqlite(error);
        };
        match code.code {
            ErrorCode::DiskFull => MetaError::Full,
            _ if code.extended_code == IOERR_SHMSIZE => MetaError::Full,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                MetaError::Damaged { path: path.to_string(), reason: error.to_string() }
            }
            _ => MetaError::Sqlite(error),
        }
    }

    /// An argument that no caller may give (a number beyond `i64::MAX`, an extent outside its file).
    pub(super) fn invalid(what: impl Into<String>) -> MetaError {
        MetaError::Sqlite(rusqlite::Error::ToSqlConversionFailure(what.into().into()))
    }

    /// Like `self`, for another caller whose transaction failed for the same reason.
    pub(super) fn again(&self) -> MetaError {
        match self {
            MetaError::Full => MetaError::Full,
            MetaError::Damaged { path, reason } => {
                MetaError::Damaged { path: path.clone(), reason: reason.clone() }
            }
            MetaError::Sqlite(rusqlite::Error::SqliteFailure(code, text)) => {
                MetaError::Sqlite(rusqlite::Error::SqliteFailure(*code, text.clone()))
            }
            other => MetaError::invalid(other.to_string()),
        }
    }

    /// A row that another one must belong to was not there.
    pub(super) fn is_foreign_key(&self) -> bool {
        matches!(self, MetaError::Sqlite(rusqlite::Error::SqliteFailure(code, _))
            if code.extended_code == CONSTRAINT_FOREIGNKEY)
    }

    /// For `map_err`: a failed system call on `path`.
    pub(super) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> MetaError {
        let path = path.display().to_string();
        move |source| MetaError::Io { path, source }
    }
}

/// SQLite's integers are signed: a number that does not fit is refused, never wrapped.
pub(super) fn int(value: u64) -> Result<i64, MetaError> {
    i64::try_from(value).map_err(|_| MetaError::invalid(format!("{value} is too large to be stored")))
}
