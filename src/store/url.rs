//! Storage URLs as S3QL's users know them.

use super::local::LocalStore;
use super::{Store, StoreError};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A parsed storage URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageUrl {
    /// `local:///path`: a directory.
    Local(PathBuf),
    /// `s3://region/bucket[/prefix]`.
    S3 {
        /// AWS's region.
        region: String,
        /// The bucket.
        bucket: String,
        /// A plain string in front of every key.
        prefix: String,
    },
    /// `s3c://host[:port]/bucket[/prefix]`.
    S3Compatible {
        /// The server, with its port if it has one.
        host: String,
        /// The bucket.
        bucket: String,
        /// A plain string in front of every key.
        prefix: String,
    },
}

const FORMS: &str = "use local:///path, s3://region/bucket[/prefix] or s3c://host[:port]/bucket[/prefix]";

impl StorageUrl {
    /// Reads a URL.
    pub fn parse(url: &str) -> Result<StorageUrl, StoreError> {
        let bad = |reason: &str| StoreError::BadUrl { url: url.to_owned(), reason: reason.to_owned() };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| bad(&format!("no scheme; {FORMS}")))?;
        match scheme {
            "local" if rest.is_empty() => Err(bad("no path; use local:///path")),
            "local" => Ok(StorageUrl::Local(PathBuf::from(rest))),
            "s3" | "s3c" | "s3c4" => {
                let mut parts = rest.splitn(3, '/');
                let mut part = || parts.next().unwrap_or_default().to_owned();
                let (place, bucket, prefix) = (part(), part(), part());
                if place.is_empty() || bucket.is_empty() {
                    return Err(bad(&format!("server or bucket is missing; {FORMS}")));
                }
                Ok(match scheme {
                    "s3" => StorageUrl::S3 { region: place, bucket, prefix },
                    _ => StorageUrl::S3Compatible { host: place, bucket, prefix },
                })
            }
            "gs" | "b2" | "swift" | "swiftks" | "rackspace" => {
                Err(bad(&format!("{scheme}:// is not supported; use the service's S3 interface: {FORMS}")))
            }
            _ => Err(bad(&format!("unknown scheme {scheme}://; {FORMS}"))),
        }
    }
}

impl fmt::Display for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, place, bucket, prefix) = match self {
            StorageUrl::Local(path) => return write!(f, "local://{}", path.display()),
            StorageUrl::S3 { region, bucket, prefix } => ("s3", region, bucket, prefix),
            StorageUrl::S3Compatible { host, bucket, prefix } => ("s3c", host, bucket, prefix),
        };
        write!(f, "{scheme}://{place}/{bucket}")?;
        if prefix.is_empty() { Ok(()) } else { write!(f, "/{prefix}") }
    }
}

/// Opens the store that a URL names; `create`: mkfs may make a local directory.
pub fn open_store(url: &StorageUrl, create: bool) -> Result<Arc<dyn Store>, StoreError> {
    match url {
        StorageUrl::Local(path) => Ok(Arc::new(LocalStore::open(path, create)?)),
        _ => Err(StoreError::BadUrl {
            url: url.to_string(),
            reason: "S3 comes with a later release; this one stores in local:///path only".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_and_written_back() {
        for url in [
            "local:///srv/pail",
            "s3://eu-central-1/photos",
            "s3c://fsn1.example:443/photos/pre",
            "local://relative",
        ] {
            assert_eq!(StorageUrl::parse(url).expect(url).to_string(), url);
        }
        let old = StorageUrl::parse("s3c4://host/bucket/a/b").expect("s3c4");
        assert_eq!(old.to_string(), "s3c://host/bucket/a/b");
    }

    #[test]
    fn what_is_no_url_says_which_forms_there_are() {
        for url in ["/srv/pail", "local://", "s3://region", "gs://bucket/x", "ftp://x/y"] {
            let message = StorageUrl::parse(url).expect_err(url).to_string();
            assert!(message.contains(url) && message.contains("local:///path"), "{message}");
        }
    }
}
