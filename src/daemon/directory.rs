//! The cache directory of one file system: `<cachedir>/<storage URL, escaped>/` with `id`, `lock`,
//! `meta/`, `cache/`, `ctl` and `mount.log` (docs/format.md "Cache directory"), and the registry by which
//! tools find it from a mount: `/run/pail/<device>` is a link to it.

use super::start::StartError;
use crate::types::{FsId, WriterId};
use rustix::fs::FlockOperation;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const ID_VERSION: &str = "pail-cache 1";

/// `~/.pail`.
pub fn default_cache_dir() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from).join(".pail")
}

/// A file system's place below a cache directory. The lock is held as long as this lives.
#[derive(Debug)]
pub struct CacheDir {
    path: PathBuf,
    lock: Option<File>,
}

/// A storage URL as a file name: letters, digits, `.` and `-` stay, everything else is `=xx`.
fn escape(url: &str) -> String {
    url.bytes().fold(String::new(), |mut out, b| {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => out.push(char::from(b)),
            _ => out.push_str(&format!("={b:02x}")),
        }
        out
    })
}

fn io(path: &Path, source: std::io::Error) -> StartError {
    StartError::CacheDir { path: path.display().to_string(), reason: source.to_string() }
}

impl CacheDir {
    /// The place of `url` below `base`, made if it is not there; not locked yet.
    pub fn at(base: &Path, url: &str) -> Result<CacheDir, StartError> {
        let path = base.join(escape(url));
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|e| io(&path, e))?;
        let path = path.canonicalize().map_err(|e| io(&path, e))?;
        Ok(CacheDir { path, lock: None })
    }

    /// A place that is known to be there.
    pub fn existing(path: PathBuf) -> CacheDir {
        CacheDir { path, lock: None }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the databases are.
    pub fn meta(&self) -> PathBuf {
        self.path.join("meta")
    }

    /// Where cached data is.
    pub fn cache(&self) -> PathBuf {
        self.path.join("cache")
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.path.join("ctl")
    }

    /// The default log.
    pub fn log(&self) -> PathBuf {
        self.path.join("mount.log")
    }

    fn lock_file(&self) -> Result<File, StartError> {
        let path = self.path.join("lock");
        let mut options = OpenOptions::new();
        options
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| io(&path, e))
    }

    /// Takes the lock; false: a daemon has it.
    pub fn try_lock(&mut self) -> Result<bool, StartError> {
        let file = self.lock_file()?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                self.lock = Some(file);
                Ok(true)
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(e) => Err(io(&self.path.join("lock"), e.into())),
        }
    }

    /// Waits until no daemon has the lock.
    pub fn wait_unlocked(&self) -> Result<(), StartError> {
        let file = self.lock_file()?;
        rustix::fs::flock(&file, FlockOperation::LockShared).map_err(|e| io(&self.path, e.into()))
    }

    /// Whose it is; made for `fs` when it is nobody's yet. Another file system's is refused.
    pub fn identify(&self, fs: FsId) -> Result<WriterId, StartError> {
        let path = self.path.join("id");
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let (found, writer) = parse_id(&text).ok_or_else(|| StartError::CacheDir {
                    path: path.display().to_string(),
                    reason: "it is not an identity that this program wrote".to_owned(),
                })?;
                if found != fs.to_string() {
                    return Err(StartError::ForeignCache { path: self.path.display().to_string() });
                }
                Ok(writer)
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => self.make_identity(&path, fs),
            Err(e) => Err(io(&path, e)),
        }
    }

    fn make_identity(&self, path: &Path, fs: FsId) -> Result<WriterId, StartError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|e| io(path, std::io::Error::other(e.to_string())))?;
        let writer = WriterId(u64::from_le_bytes(random));
        let write = || {
            let temporary = path.with_extension("new");
            std::fs::write(&temporary, format!("{ID_VERSION}\nfs {fs}\nwriter {writer}\n"))?;
            File::open(&temporary)?.sync_all()?;
            std::fs::rename(&temporary, path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|e| io(path, e))?;
        Ok(writer)
    }
}

fn parse_id(text: &str) -> Option<(String, WriterId)> {
    let rest = text.strip_prefix(ID_VERSION)?;
    let field = |name: &str| rest.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
    let writer = u64::from_str_radix(field("writer")?, 16).ok()?;
    Some((field("fs")?.to_owned(), WriterId(writer)))
}

/// Where mounts are registered: /run/pail, or the user's own place.
fn registry() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/run/pail");
    }
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("pail"));
    own.unwrap_or_else(|| std::env::temp_dir().join(format!("pail-{}", rustix::process::geteuid().as_raw())))
}

/// Notes which cache directory the mount with this device number has.
pub(super) fn register(device: &str, directory: &Path) -> std::io::Result<PathBuf> {
    let dir = registry();
    DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
    let link = dir.join(device);
    // A link of a daemon that died: device numbers come again.
    match std::fs::remove_file(&link) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    std::os::unix::fs::symlink(directory, &link)?;
    Ok(link)
}

/// Takes the note back, unless another mount has the device number by now and has noted itself.
pub(super) fn unregister(link: &Path, directory: &Path) {
    if std::fs::read_link(link).is_ok_and(|to| to == directory) {
        let _ = std::fs::remove_file(link);
    }
}

/// The cache directory of the mount with this device number.
pub(super) fn find_registered(device: &str) -> std::io::Result<PathBuf> {
    std::fs::read_link(registry().join(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_belongs_to_one_file_system_and_one_daemon() {
        let base = tempfile::tempdir().expect("tempdir");
        let mut dir = CacheDir::at(base.path(), "local:///srv/x y").expect("at");
        assert!(dir.path().ends_with("local=3a=2f=2f=2fsrv=2fx=20y"));
        let writer = dir.identify(FsId([1; 16])).expect("identify");
        assert_eq!(dir.identify(FsId([1; 16])).expect("again"), writer);
        assert!(matches!(dir.identify(FsId([2; 16])), Err(StartError::ForeignCache { .. })));
        assert!(dir.try_lock().expect("lock"));
        let mut second = CacheDir::at(base.path(), "local:///srv/x y").expect("at");
        assert!(!second.try_lock().expect("lock"));
        drop(dir);
        assert!(second.try_lock().expect("lock"));
    }
}
