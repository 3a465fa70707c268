//! One method for each request: convert, call `fs`, reply.
//!
//! A panic in a callback is answered with EIO and logged; the session goes on (fuser would lose a thread).

use super::convert::{self, allocate, attr, caller, ino, set_time};
use super::errno::{errno, is_trouble};
use crate::fs::{Fs, FsError, Handle, RenameFlags, SeekTo, SetAttr};
use crate::types::Ino;
use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, FopenFlags, Generation,
    INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner, Notifier, OpenFlags, ReplyAttr, ReplyBmap,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl,
    ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

/// We are the only one who changes anything, so what the kernel knows stays true.
const LIFETIME: Duration = Duration::from_secs(3600);
/// Inode numbers are never reused, so one generation is enough.
const GENERATION: Generation = Generation(1);
/// Requests that the kernel has under way without anybody waiting (read-ahead, writeback): so many that
/// those who wait for the store leave room for the rest.
const MAX_BACKGROUND: u16 = 4096;
const MAX_WRITE: u32 = 1 << 20;
const MAX_READAHEAD: u32 = 4 << 20;
/// Entries asked of `fs` for one reply.
const LIST: usize = 128;
const XATTR_CREATE: i32 = 1;
const XATTR_REPLACE: i32 = 2;
const SEEK_DATA: i32 = 3;
const SEEK_HOLE: i32 = 4;

pub(super) struct Adapter {
    pub fs: Arc<Fs>,
    /// Set when the session has begun.
    pub notifier: Arc<OnceLock<Notifier>>,
}

/// The reply's error for a failure; trouble of the machine or the store is also logged.
fn refuse(operation: &'static str, number: Ino, error: &FsError) -> Errno {
    if is_trouble(error) {
        tracing::warn!(operation, ino = %number, %error, "failed");
    }
    errno(error)
}

/// Runs an operation; a panic in it is an EIO.
fn guard<T>(operation: &'static str, work: impl FnOnce() -> Result<T, FsError>) -> Result<T, FsError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        tracing::error!(operation, "panicked (a bug); the operation fails, the file system goes on");
        Err(FsError::Flow(crate::flow::FlowError::Stopped))
    })
}

/// An answer by one of the reply's methods, or its error.
macro_rules! answer {
    ($operation:literal, $ino:expr, $reply:ident, $work:expr, |$value:pat_param| $good:expr) => {{
        let number = ino($ino);
        match guard($operation, || $work) {
            Ok($value) => $good,
            Err(e) => $reply.error(refuse($operation, number, &e)),
        }
    }};
}

impl Filesystem for Adapter {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // Not POSIX_LOCKS, FLOCK_LOCKS: the kernel keeps locks among the processes of this machine. Not
        // HANDLE_KILLPRIV*: the kernel then clears set-uid itself. Not ATOMIC_O_TRUNC: it sends setattr.
        for wanted in [
            InitFlags::FUSE_WRITEBACK_CACHE,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_READDIRPLUS_AUTO,
            InitFlags::FUSE_ASYNC_DIO,
            InitFlags::FUSE_POSIX_ACL,
            InitFlags::FUSE_DONT_MASK,
            InitFlags::FUSE_EXPORT_SUPPORT,
            InitFlags::FUSE_CACHE_SYMLINKS,
        ] {
            if config.add_capabilities(wanted).is_err() {
                tracing::info!(?wanted, "this kernel does not offer it");
            }
        }
        let _ = config.set_max_background(MAX_BACKGROUND);
        let _ = config.set_congestion_threshold(MAX_BACKGROUND / 4 * 3);
        let _ = config.set_max_write(MAX_WRITE);
        if let Err(most) = config.set_max_readahead(MAX_READAHEAD) {
            let _ = config.set_max_readahead(most);
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer!("lookup", parent, reply, self.fs.lookup(ino(parent), name.as_bytes()), |found| {
            reply.entry(&LIFETIME, &attr(&found), GENERATION)
        });
    }

    fn forget(&self, _: &Request, number: INodeNo, count: u64) {
        let _ = guard("forget", || {
            self.fs.forget(ino(number), count);
            Ok(())
        });
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer!("getattr", number, reply, self.fs.getattr(ino(number)), |found| {
            reply.attr(&LIFETIME, &attr(&found))
        });
    }

    fn setattr(
        &self,
        request: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let change = SetAttr {
            mode,
            uid,
            gid,
            size,
            atime: atime.map(set_time),
            mtime: mtime.map(set_time),
            ctime: ctime.map(convert::time),
        };
        answer!("setattr", number, reply, self.fs.setattr(caller(request), ino(number), change), |found| {
            reply.attr(&LIFETIME, &attr(&found))
        });
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        answer!("readlink", number, reply, self.fs.readlink(ino(number)), |target| reply.data(&target));
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let made = || self.fs.mknod(caller(request), ino(parent), name.as_bytes(), mode, umask, rdev);
        answer!("mknod", parent, reply, made(), |made| reply.entry(&LIFETIME, &attr(&made), GENERATION));
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let made = || self.fs.mkdir(caller(request), ino(parent), name.as_bytes(), mode, umask);
        answer!("mkdir", parent, reply, made(), |made| reply.entry(&LIFETIME, &attr(&made), GENERATION));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!("unlink", parent, reply, self.fs.unlink(ino(parent), name.as_bytes()), |()| reply.ok());
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!("rmdir", parent, reply, self.fs.rmdir(ino(parent), name.as_bytes()), |()| reply.ok());
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let target = target.as_os_str().as_bytes();
        let made = || self.fs.symlink(caller(request), ino(parent), name.as_bytes(), target);
        answer!("symlink", parent, reply, made(), |made| reply.entry(&LIFETIME, &attr(&made), GENERATION));
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        to_parent: INodeNo,
        to_name: &OsStr,
        flags: fuser::RenameFlags,
        reply: ReplyEmpty,
    ) {
        let flags = RenameFlags {
            no_replace: flags.contains(fuser::RenameFlags::RENAME_NOREPLACE),
            exchange: flags.contains(fuser::RenameFlags::RENAME_EXCHANGE),
            whiteout: flags.contains(fuser::RenameFlags::RENAME_WHITEOUT),
        };
        let (from, to) = (ino(parent), ino(to_parent));
        let moved = || self.fs.rename(caller(request), from, name.as_bytes(), to, to_name.as_bytes(), flags);
        answer!("rename", parent, reply, moved(), |()| reply.ok());
    }

    fn link(&self, _: &Request, number: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let linked = || self.fs.link(ino(number), ino(parent), name.as_bytes());
        answer!("link", number, reply, linked(), |found| reply.entry(&LIFETIME, &attr(&found), GENERATION));
    }

    fn open(&self, _: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        answer!("open", number, reply, self.fs.open(ino(number), flags.0), |fh| {
            reply.opened(FileHandle(fh.0), FopenFlags::FOPEN_KEEP_CACHE)
        });
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let number = ino(number);
        let done = Box::new(move |read: Result<Vec<u8>, FsError>| match read {
            Ok(data) => reply.data(&data),
            Err(e) => reply.error(refuse("read", number, &e)),
        });
        let _ = guard("read", || {
            self.fs.read(number, Handle(fh.0), offset, size, done);
            Ok(())
        });
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let number = ino(number);
        let done = Box::new(move |written: Result<u32, FsError>| match written {
            Ok(len) => reply.written(len),
            Err(e) => reply.error(refuse("write", number, &e)),
        });
        let _ = guard("write", || {
            self.fs.write(number, Handle(fh.0), offset, data, done);
            Ok(())
        });
    }

    /// close(2): with the writeback cache the kernel has sent the data before. Never ENOSYS, which would
    /// silence the kernel for the life of the connection.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        number: INodeNo,
        fh: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.fs.release(ino(number), Handle(fh.0));
        reply.ok();
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let number = ino(number);
        let done = Box::new(move |synced: Result<(), FsError>| match synced {
            Ok(()) => reply.ok(),
            Err(e) => reply.error(refuse("fsync", number, &e)),
        });
        self.fs.fsync(number, done);
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let flags = FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_CACHE_DIR;
        answer!("opendir", number, reply, self.fs.open_dir(ino(number)), |fh| {
            reply.opened(FileHandle(fh.0), flags)
        });
    }

    fn readdir(&self, _: &Request, number: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        answer!("readdir", number, reply, self.fs.read_dir(ino(number), offset, LIST), |page| {
            for entry in page {
                let name = OsStr::from_bytes(&entry.name);
                let kind = attr(&entry.attr).kind;
                if reply.add(INodeNo(entry.attr.ino.0), next_offset(&entry), kind, name) {
                    break;
                }
            }
            reply.ok()
        });
    }

    fn readdirplus(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        answer!("readdirplus", number, reply, self.fs.read_dir(ino(number), offset, LIST), |page| {
            for entry in page {
                let name = OsStr::from_bytes(&entry.name);
                let (found, next) = (attr(&entry.attr), next_offset(&entry));
                if reply.add(INodeNo(entry.attr.ino.0), next, name, &LIFETIME, &found, GENERATION) {
                    break;
                }
                if entry.counts {
                    self.fs.known(entry.attr.ino);
                }
            }
            reply.ok()
        });
    }

    fn releasedir(&self, _: &Request, number: INodeNo, fh: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.fs.release_dir(ino(number), Handle(fh.0));
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let number = ino(number);
        let done = Box::new(move |synced: Result<(), FsError>| match synced {
            Ok(()) => reply.ok(),
            Err(e) => reply.error(refuse("fsyncdir", number, &e)),
        });
        self.fs.fsync_dir(number, done);
    }

    fn statfs(&self, _: &Request, number: INodeNo, reply: ReplyStatfs) {
        answer!("statfs", number, reply, self.fs.statfs(), |s| {
            reply.statfs(
                s.blocks,
                s.free,
                s.free,
                s.files,
                s.files_free,
                s.block_size,
                s.name_max,
                s.block_size,
            )
        });
    }

    fn setxattr(
        &self,
        request: &Request,
        number: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        let (create, replace) = (flags & XATTR_CREATE != 0, flags & XATTR_REPLACE != 0);
        let set = || self.fs.set_xattr(caller(request), ino(number), name.as_bytes(), value, create, replace);
        answer!("setxattr", number, reply, set(), |()| reply.ok());
    }

    fn getxattr(&self, _: &Request, number: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        answer!("getxattr", number, reply, self.fs.get_xattr(ino(number), name.as_bytes()), |value| {
            reply_xattr(reply, &value, size)
        });
    }

    fn listxattr(&self, _: &Request, number: INodeNo, size: u32, reply: ReplyXattr) {
        answer!("listxattr", number, reply, self.fs.list_xattrs(ino(number)), |names| {
            let list: Vec<u8> = names.into_iter().flat_map(|name| [name, vec![0]].concat()).collect();
            reply_xattr(reply, &list, size)
        });
    }

    fn removexattr(&self, request: &Request, number: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed = || self.fs.remove_xattr(caller(request), ino(number), name.as_bytes());
        answer!("removexattr", number, reply, removed(), |()| reply.ok());
    }

    /// The kernel checks (default_permissions) and does not ask; ENOSYS would do as well.
    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.ok();
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let made = || self.fs.create(caller(request), ino(parent), name.as_bytes(), mode, umask, flags);
        answer!("create", parent, reply, made(), |(made, fh)| {
            let flags = FopenFlags::FOPEN_KEEP_CACHE;
            reply.created(&LIFETIME, &attr(&made), GENERATION, FileHandle(fh.0), flags)
        });
    }

    fn bmap(&self, _: &Request, _: INodeNo, _: u32, _: u64, reply: ReplyBmap) {
        reply.error(Errno::EINVAL);
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        _: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }

    fn fallocate(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let allocated = || {
            let how = allocate(mode).ok_or(FsError::NotSupported)?;
            self.fs.fallocate(ino(number), how, offset, length)
        };
        answer!("fallocate", number, reply, allocated(), |()| reply.ok());
    }

    fn lseek(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let fs = Arc::clone(&self.fs);
        let found = move || {
            let to = match whence {
                SEEK_DATA => SeekTo::Data,
                SEEK_HOLE => SeekTo::Hole,
                _ => return Err(FsError::Invalid),
            };
            let offset = u64::try_from(offset).map_err(|_| FsError::NoSuchAddress)?;
            fs.seek(ino(number), offset, to)
        };
        let tell = move || answer!("lseek", number, reply, found(), |at| reply.offset(at as i64));
        match self.notifier.get() {
            // The kernel asks without sending what its writeback cache holds (fuse_lseek): what it knows and we
            // don't would be called a hole. Invalidating makes it send that first. Not on this thread: the
            // writes come as requests, and somebody has to serve them.
            Some(notifier) if self.fs.may_have_unsent(ino(number)) => {
                let notifier = notifier.clone();
                self.fs.background(Box::new(move || {
                    if let Err(error) = notifier.inval_inode(number, 0, 0) {
                        tracing::debug!(%error, "the kernel was not made to send its writes");
                    }
                    tell();
                }));
            }
            _ => tell(),
        }
    }

    fn copy_file_range(
        &self,
        _: &Request,
        from: INodeNo,
        _: FileHandle,
        offset: u64,
        to: INodeNo,
        _: FileHandle,
        at: u64,
        len: u64,
        flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let copied = || {
            if !flags.is_empty() {
                return Err(FsError::Invalid);
            }
            // The answer has 32 bits: the caller comes back for the rest.
            self.fs.copy_range(ino(from), offset, ino(to), at, len.min(1 << 30))
        };
        answer!("copy_file_range", to, reply, copied(), |copied| reply.written(copied as u32));
    }
}

/// Where a listing goes on after an entry. Inside a group of colliding hashes it goes back to before the
/// group: should a reply end there, an entry is seen twice rather than never.
fn next_offset(entry: &crate::fs::Listed) -> u64 {
    if entry.sticky > 0 { entry.cookie - 1 } else { entry.cookie }
}

fn reply_xattr(reply: ReplyXattr, value: &[u8], size: u32) {
    match size {
        0 => reply.size(value.len() as u32),
        size if value.len() > size as usize => reply.error(Errno::ERANGE),
        _ => reply.data(value),
    }
}
