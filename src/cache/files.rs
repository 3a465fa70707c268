//! The cache's files: where an inode's lies, and the open ones.

use super::CacheError;
use crate::types::Ino;
use lru::LruCache;
use parking_lot::Mutex;
use rustix::io::Errno;
use std::fs::{DirBuilder, File, OpenOptions};
use std::num::NonZeroUsize;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// As many files are kept open; a read or write of another opens it.
const OPEN_FILES: usize = 512;
/// Folders below dirty/ and clean/, by the inode number's low byte.
const FOLDERS: u64 = 256;

/// Which of the two folders a file lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Dirty,
    Clean,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Place::Dirty => "dirty",
            Place::Clean => "clean",
        }
    }
}

#[derive(Debug)]
pub(super) struct Files {
    pub dir: PathBuf,
    open: Mutex<LruCache<Ino, Arc<File>>>,
}

pub(super) fn io_error(path: &Path, source: std::io::Error) -> CacheError {
    let path = path.display().to_string();
    match Errno::from_io_error(&source) {
        Some(Errno::NOSPC | Errno::DQUOT) => CacheError::DiskFull { path },
        _ => CacheError::Io { path, source },
    }
}

pub(super) fn sync_dir(dir: &Path) -> Result<(), CacheError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| io_error(dir, e))
}

pub(super) fn make_dir(dir: &Path) -> Result<(), CacheError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| io_error(dir, e))
}

impl Files {
    pub fn new(dir: &Path) -> Files {
        // proof: the constant is not zero
        let open = LruCache::new(NonZeroUsize::new(OPEN_FILES).expect("not zero"));
        Files { dir: dir.to_owned(), open: Mutex::new(open) }
    }

    /// Makes the folders, durably.
    pub fn make_folders(&self) -> Result<(), CacheError> {
        for place in [Place::Dirty, Place::Clean] {
            let top = self.dir.join(place.name());
            for folder in 0..FOLDERS {
                let dir = top.join(format!("{folder:02x}"));
                if !dir.is_dir() {
                    make_dir(&dir)?;
                }
            }
            sync_dir(&top)?;
        }
        sync_dir(&self.dir)
    }

    pub fn top(&self, place: Place) -> PathBuf {
        self.dir.join(place.name())
    }

    pub fn folder(&self, place: Place, ino: Ino) -> PathBuf {
        self.top(place).join(format!("{:02x}", ino.0 % FOLDERS))
    }

    pub fn path(&self, place: Place, ino: Ino) -> PathBuf {
        self.folder(place, ino).join(format!("{:016x}", ino.0))
    }

    /// An inode's file; `make`: it may be new.
    pub fn get(&self, place: Place, ino: Ino, make: bool) -> Result<Arc<File>, CacheError> {
        if let Some(file) = self.open.lock().get(&ino) {
            return Ok(Arc::clone(file));
        }
        let path = self.path(place, ino);
        let opened =
            OpenOptions::new().read(true).write(true).create(make).truncate(false).mode(0o600).open(&path);
        let file = Arc::new(opened.map_err(|e| io_error(&path, e))?);
        self.open.lock().put(ino, Arc::clone(&file));
        Ok(file)
    }

    /// Moves a file between the folders; one that is not there is none.
    pub fn rename(&self, ino: Ino, from: Place, to: Place) -> Result<(), CacheError> {
        let (old, new) = (self.path(from, ino), self.path(to, ino));
        match std::fs::rename(&old, &new) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io_error(&old, e)),
            _ => Ok(()),
        }
    }

    /// Removes a file; readers that hold it open go on.
    pub fn remove(&self, place: Place, ino: Ino) -> Result<(), CacheError> {
        self.open.lock().pop(&ino);
        let path = self.path(place, ino);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io_error(&path, e)),
            _ => Ok(()),
        }
    }

    /// All data and directory entries of the file system that the cache lies in.
    pub fn sync_everything(&self) -> Result<(), CacheError> {
        let dir = File::open(&self.dir).map_err(|e| io_error(&self.dir, e))?;
        rustix::fs::syncfs(&dir).map_err(|e| io_error(&self.dir, e.into()))
    }

    /// Inodes that have a file in one of the folders.
    pub fn list(&self, place: Place) -> Result<Vec<Ino>, CacheError> {
        let mut found = Vec::new();
        for folder in 0..FOLDERS {
            let dir = self.top(place).join(format!("{folder:02x}"));
            for entry in std::fs::read_dir(&dir).map_err(|e| io_error(&dir, e))? {
                let name = entry.map_err(|e| io_error(&dir, e))?.file_name();
                found.extend(name.to_str().and_then(|n| u64::from_str_radix(n, 16).ok()).map(Ino));
            }
        }
        Ok(found)
    }
}
