//! What can go wrong with a store, sorted by what the caller may do about it.

/// An error of a store operation. `key` is the object's, or the listing's prefix.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such object.
    #[error("there is no object {key}")]
    NotFound {
        /// The object asked for.
        key: String,
    },
    /// The store failed in a way that may pass: a reset, a time-out, throttling, 5xx, EIO.
    #[error("{operation} of {key} failed for now: {reason}")]
    Temporary {
        /// What was tried.
        operation: &'static str,
        /// On what.
        key: String,
        /// What the store said.
        reason: String,
    },
    /// The store is full, or over its quota.
    #[error("the store is full: {operation} of {key}: {reason}")]
    Full {
        /// What was tried.
        operation: &'static str,
        /// On what.
        key: String,
        /// What the store said.
        reason: String,
    },
    /// The store refuses us: credentials or permissions.
    #[error("the store refused {operation} of {key}: {reason}")]
    Denied {
        /// What was tried.
        operation: &'static str,
        /// On what.
        key: String,
        /// What the store said.
        reason: String,
    },
    /// The place itself (directory, bucket) is not there.
    #[error("there is no such place as {place}: {reason}")]
    NoPlace {
        /// The storage URL or path.
        place: String,
        /// What the store said.
        reason: String,
    },
    /// The key is not one that a store takes: a bug of the caller.
    #[error("not a valid object key: {key:?}")]
    BadKey {
        /// The key.
        key: String,
    },
    /// The storage URL can't be read.
    #[error("can't use the storage URL {url:?}: {reason}")]
    BadUrl {
        /// As given.
        url: String,
        /// What is wrong, and which forms there are.
        reason: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_temporary(&self) -> bool {
        matches!(self, StoreError::Temporary { .. } | StoreError::Full { .. })
    }
}
