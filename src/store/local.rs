//! A directory that behaves as an object store: `local:///path`.
//!
//! Why each step is safe at any moment of a crash:
//! - A put writes a temporary file beside nothing else (`.pail-tmp/`), syncs it, renames it into place and
//!   syncs the directories it changed or made. Before the rename the object is absent (or the old one), after it whole.
//! - put-if-absent links the synced temporary file to its name: link(2) has exactly one winner.
//! - Directories are never removed while the store is open: an empty one costs nothing, and removing
//!   it would race with a put that is about to rename into it. So a key can't be another key's folder, ever;
//!   none of Pail's are.
//!
//! Temporary files of a dead process are removed at open when their process id is no longer running or they
//! are older than a day; a living writer's are never touched.

use super::{ListPage, ObjectInfo, PutOutcome, Store, StoreError, check_key, clip};
use async_trait::async_trait;
use bytes::Bytes;
use rustix::fs::{self, AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

const TEMPORARY: &str = ".pail-tmp";
/// A temporary file this old is nobody's, whatever process has its number today.
const TEMPORARY_AGE: Duration = Duration::from_secs(24 * 3600);
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Objects as files below a directory.
#[derive(Debug)]
pub struct LocalStore {
    root: Arc<Root>,
}

#[derive(Debug)]
struct Root {
    path: PathBuf,
    next: AtomicU64,
    /// Directories known to be there and synced into their parents.
    durable_dirs: parking_lot::Mutex<HashSet<PathBuf>>,
}

fn failure(operation: &'static str, key: &str, e: &std::io::Error) -> StoreError {
    let (key, reason) = (key.to_owned(), e.to_string());
    match Errno::from_io_error(e) {
        Some(Errno::NOSPC | Errno::DQUOT) => StoreError::Full { operation, key, reason },
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => StoreError::Denied { operation, key, reason },
        _ => StoreError::Temporary { operation, key, reason },
    }
}

impl LocalStore {
    /// Opens the directory; with `create` makes it (and its parents) when it is not there.
    pub fn open(path: &Path, create: bool) -> Result<LocalStore, StoreError> {
        let place = path.display().to_string();
        if create {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(DIR_MODE)
                .create(path)
                .map_err(|e| failure("making the directory", &place, &e))?;
        }
        let meta = std::fs::metadata(path)
            .map_err(|e| StoreError::NoPlace { place: place.clone(), reason: e.to_string() })?;
        if !meta.is_dir() {
            return Err(StoreError::NoPlace { place, reason: "not a directory".to_owned() });
        }
        let path = path.canonicalize().map_err(|e| failure("opening", &place, &e))?;
        let root = Root { path, next: AtomicU64::new(0), durable_dirs: parking_lot::Mutex::default() };
        root.remove_stale();
        Ok(LocalStore { root: Arc::new(root) })
    }

    /// Runs what blocks on the disk where it does not hold up the runtime.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: &str,
        work: impl FnOnce(&Root) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let root = Arc::clone(&self.root);
        let failed = |reason: String| StoreError::Temporary { operation, key: key.to_owned(), reason };
        tokio::task::spawn_blocking(move || work(&root)).await.map_err(|e| failed(e.to_string()))?
    }
}

impl Root {
    fn object(&self, key: &str) -> PathBuf {
        self.path.join(key)
    }

    fn remove_stale(&self) {
        let Ok(entries) = std::fs::read_dir(self.path.join(TEMPORARY)) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|n| n.split('-').next()).and_then(|p| p.parse::<u32>().ok());
            let dead = pid.is_none_or(|pid| !Path::new(&format!("/proc/{pid}")).exists());
            let old = entry
                .metadata()
                .and_then(|m| m.modified())
                .is_ok_and(|t| SystemTime::now().duration_since(t).is_ok_and(|age| age > TEMPORARY_AGE));
            if dead || old {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// Makes a directory and those above it, each synced into its parent before it is used.
    fn durable_dir(&self, dir: &Path) -> std::io::Result<()> {
        if dir == self.path || self.durable_dirs.lock().contains(dir) {
            return Ok(());
        }
        let parent = dir.parent().unwrap_or(&self.path);
        self.durable_dir(parent)?;
        match std::fs::DirBuilder::new().mode(DIR_MODE).create(dir) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        sync_dir(parent)?;
        self.durable_dirs.lock().insert(dir.to_owned());
        Ok(())
    }

    /// A synced file with this body under a temporary name.
    fn temporary(&self, body: &[u8]) -> std::io::Result<PathBuf> {
        let dir = self.path.join(TEMPORARY);
        self.durable_dir(&dir)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // Two stores of one process may share the directory: the address tells them apart.
        let path =
            dir.join(format!("{}-{:x}-{number}", std::process::id(), std::ptr::from_ref(self) as usize));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut file = File::from(fs::open(&path, flags, Mode::from_raw_mode(FILE_MODE))?);
        let written = file.write_all(body).and_then(|()| file.sync_all());
        if let Err(e) = written {
            let _ = std::fs::remove_file(&path);
            return Err(e);
        }
        Ok(path)
    }

    fn put(&self, key: &str, body: &[u8]) -> std::io::Result<()> {
        let object = self.object(key);
        let parent = object.parent().unwrap_or(&self.path);
        self.durable_dir(parent)?;
        let temporary = self.temporary(body)?;
        let placed = std::fs::rename(&temporary, &object).and_then(|()| sync_dir(parent));
        if placed.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        placed
    }

    fn put_if_absent(&self, key: &str, body: &[u8]) -> std::io::Result<PutOutcome> {
        let object = self.object(key);
        let parent = object.parent().unwrap_or(&self.path);
        self.durable_dir(parent)?;
        let temporary = self.temporary(body)?;
        let linked = fs::linkat(CWD, &temporary, CWD, &object, AtFlags::empty());
        let _ = std::fs::remove_file(&temporary);
        match linked {
            Ok(()) => sync_dir(parent).map(|()| PutOutcome::Created),
            Err(Errno::EXIST) => Ok(PutOutcome::Exists),
            Err(e) => Err(e.into()),
        }
    }

    fn get(&self, key: &str, range: Option<Range<u64>>) -> std::io::Result<Bytes> {
        let file = File::open(self.object(key))?;
        let part = clip(range, file.metadata()?.len());
        let mut body = vec![0; (part.end - part.start) as usize];
        file.read_exact_at(&mut body, part.start)?;
        Ok(body.into())
    }

    fn head(&self, key: &str) -> std::io::Result<ObjectInfo> {
        let meta = std::fs::metadata(self.object(key))?;
        if !meta.is_file() {
            return Err(std::io::ErrorKind::NotFound.into());
        }
        Ok(ObjectInfo { key: key.to_owned(), size: meta.len(), modified: meta.mtime() })
    }

    fn delete(&self, keys: &[String]) -> std::io::Result<()> {
        let mut dirs = HashSet::new();
        for key in keys {
            let object = self.object(key);
            match std::fs::remove_file(&object) {
                Err(e) if !absent(&e) => return Err(e),
                _ => dirs.extend(object.parent().map(Path::to_owned)),
            }
        }
        dirs.iter().filter(|dir| dir.is_dir()).try_for_each(|dir| sync_dir(dir))
    }

    /// Adds the objects below `dir` (whose keys begin with `at`) to the page, in the order of the keys as
    /// bytes: a directory stands where its name with a `/` sorts. Subtrees that lie wholly before the start
    /// or outside of the prefix are not read. True: the page is full.
    fn walk(&self, dir: &Path, at: &str, want: &Listing<'_>, page: &mut ListPage) -> std::io::Result<bool> {
        let entries = match std::fs::read_dir(dir) {
            Err(e) if absent(&e) => return Ok(false),
            other => other?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            let is_dir = entry.file_type()?.is_dir();
            let name = String::from_utf8_lossy(entry.file_name().as_bytes()).into_owned();
            if at.is_empty() && name == TEMPORARY {
                continue;
            }
            let key = format!("{at}{name}{}", if is_dir { "/" } else { "" });
            if want.may_hold(&key, is_dir) {
                names.push((key, is_dir));
            }
        }
        names.sort();
        for (key, is_dir) in names {
            if is_dir {
                if self.walk(&self.path.join(&key), &key, want, page)? {
                    return Ok(true);
                }
                continue;
            }
            if page.objects.len() == want.limit {
                page.more = true;
                return Ok(true);
            }
            match self.head(&key) {
                Err(e) if absent(&e) => {} // deleted meanwhile
                other => page.objects.push(other?),
            }
        }
        Ok(false)
    }
}

/// What a listing asks for.
struct Listing<'a> {
    prefix: &'a str,
    after: &'a str,
    limit: usize,
}

impl Listing<'_> {
    /// Whether this key, or one below this directory (a key that ends with `/`), may be listed.
    fn may_hold(&self, key: &str, is_dir: bool) -> bool {
        if is_dir {
            let in_prefix = key.starts_with(self.prefix) || self.prefix.starts_with(key);
            return in_prefix && (key > self.after || self.after.starts_with(key));
        }
        key.starts_with(self.prefix) && key > self.after
    }
}

fn absent(e: &std::io::Error) -> bool {
    matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

#[async_trait]
impl Store for LocalStore {
    async fn put(&self, key: &str, body: Bytes) -> Result<(), StoreError> {
        check_key(key)?;
        let name = key.to_owned();
        self.blocking("put", key, move |root| root.put(&name, &body).map_err(|e| failure("put", &name, &e)))
            .await
    }

    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<PutOutcome, StoreError> {
        check_key(key)?;
        let name = key.to_owned();
        let work = move |root: &Root| root.put_if_absent(&name, &body).map_err(|e| failure("put", &name, &e));
        self.blocking("put", key, work).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, StoreError> {
        check_key(key)?;
        let name = key.to_owned();
        let work = move |root: &Root| {
            root.get(&name, range).map_err(|e| match absent(&e) {
                true => StoreError::NotFound { key: name.clone() },
                false => failure("get", &name, &e),
            })
        };
        self.blocking("get", key, work).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, StoreError> {
        check_key(key)?;
        let name = key.to_owned();
        let work = move |root: &Root| match root.head(&name) {
            Ok(info) => Ok(Some(info)),
            Err(e) if absent(&e) => Ok(None),
            Err(e) => Err(failure("head", &name, &e)),
        };
        self.blocking("head", key, work).await
    }

    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        let (name, after) = (prefix.to_owned(), start_after.unwrap_or_default().to_owned());
        let work = move |root: &Root| {
            let mut page = ListPage::default();
            let want = Listing { prefix: &name, after: &after, limit };
            root.walk(&root.path, "", &want, &mut page).map_err(|e| failure("list", &name, &e))?;
            Ok(page)
        };
        self.blocking("list", prefix, work).await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        keys.iter().try_for_each(|key| check_key(key))?;
        let first = keys.first().cloned().unwrap_or_default();
        let (names, shown) = (keys.to_vec(), first.clone());
        let work = move |root: &Root| root.delete(&names).map_err(|e| failure("delete", &shown, &e));
        self.blocking("delete", &first, work).await
    }

    fn describe(&self) -> String {
        format!("local://{}", self.root.path.display())
    }
}
