//! Opening and closing; access times.
//!
//! atime is judged at open, by relatime's rule: the page cache answers most reads, and they never
//! reach the daemon.

use super::mode::is_dir;
use super::{Attr, Caller, Fs, FsError, Handle, OpenFile};
use crate::flow::Stream;
use crate::meta::Inode;
use crate::types::{Ino, Nanos};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// relatime: an atime older than this is renewed whatever the other times say (mount(8)).
const RELATIME: i64 = 24 * 3600 * 1_000_000_000;
const O_ACCMODE: i32 = 0o3;
const O_RDONLY: i32 = 0o0;
const O_WRONLY: i32 = 0o1;
const O_NOATIME: i32 = 0o1000000;

impl Fs {
    /// open(2) of a regular file. O_TRUNC and O_APPEND are the kernel's work.
    pub fn open(self: &Arc<Self>, ino: Ino, flags: i32) -> Result<Handle, FsError> {
        let row = self.row(ino)?;
        if flags & O_ACCMODE != O_WRONLY && flags & O_NOATIME == 0 {
            self.touch_atime(&row)?;
        }
        Ok(self.add_handle(ino, flags))
    }

    /// open(2) with O_CREAT of a new name.
    #[allow(clippy::too_many_arguments)] // as the kernel's request has them
    pub fn create(
        self: &Arc<Self>,
        who: Caller,
        parent: Ino,
        name: &[u8],
        mode: u32,
        umask: u32,
        flags: i32,
    ) -> Result<(Attr, Handle), FsError> {
        let mode = super::mode::S_IFREG | (mode & super::mode::PERMISSIONS);
        let attr = self.mknod(who, parent, name, mode, umask, 0)?;
        Ok((attr, self.add_handle(attr.ino, flags)))
    }

    fn add_handle(&self, ino: Ino, flags: i32) -> Handle {
        let fh = Handle(self.next_handle.fetch_add(1, Ordering::Relaxed));
        let (entry, writes) = (self.cache.entry(ino), flags & O_ACCMODE != O_RDONLY);
        let file = OpenFile { ino, writes, entry, stream: Arc::new(Stream::default()) };
        self.open_files.lock().insert(fh, file);
        fh
    }

    pub(super) fn open_file(&self, fh: Handle) -> Option<OpenFile> {
        self.open_files.lock().get(&fh).cloned()
    }

    /// Whether the kernel may hold writes of this file that it has not sent yet: it sends them before the
    /// last close at the latest.
    pub fn may_have_unsent(&self, ino: Ino) -> bool {
        self.open_files.lock().values().any(|file| file.ino == ino && file.writes)
    }

    /// Runs `work` on a thread that may wait.
    pub fn background(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        self.flow.background(work);
    }

    /// The last close.
    pub fn release(&self, _ino: Ino, fh: Handle) {
        self.open_files.lock().remove(&fh);
    }

    /// opendir(3). Listings keep no state: the handle only answers the kernel.
    pub fn open_dir(&self, ino: Ino) -> Result<Handle, FsError> {
        let row = self.row(ino)?;
        if !is_dir(row.mode) {
            return Err(FsError::NotDir);
        }
        self.touch_atime(&row)?;
        Ok(Handle(self.next_handle.fetch_add(1, Ordering::Relaxed)))
    }

    /// closedir(3).
    pub fn release_dir(&self, _ino: Ino, _fh: Handle) {}

    fn touch_atime(&self, row: &Inode) -> Result<(), FsError> {
        let now = Nanos::now();
        let mtime = self.cache.overlay(row.ino).map_or(row.mtime, |o| o.mtime);
        let stale =
            row.atime <= mtime || row.atime <= row.ctime || now.0.saturating_sub(row.atime.0) > RELATIME;
        if self.options.read_only || self.options.no_atime || !stale {
            return Ok(());
        }
        let ino = row.ino;
        self.meta.write(move |tx| {
            if let Some(mut row) = tx.inode(ino)? {
                row.atime = now;
                tx.update_inode(&row)?;
            }
            Ok::<(), FsError>(())
        })
    }
}
