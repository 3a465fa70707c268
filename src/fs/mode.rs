//! `st_mode` as Linux has it, and the rules that hang on it.

/// Mask of the file type.
pub const S_IFMT: u32 = 0o170000;
/// Directory.
pub const S_IFDIR: u32 = 0o040000;
/// Regular file.
pub const S_IFREG: u32 = 0o100000;
/// Symbolic link.
pub const S_IFLNK: u32 = 0o120000;
/// Character device.
pub const S_IFCHR: u32 = 0o020000;
/// Block device.
pub const S_IFBLK: u32 = 0o060000;
/// FIFO.
pub const S_IFIFO: u32 = 0o010000;
/// Socket.
pub const S_IFSOCK: u32 = 0o140000;
/// Set-group-id.
pub const S_ISGID: u32 = 0o2000;
/// The bits that chmod(2) sets.
pub const PERMISSIONS: u32 = 0o7777;
/// The nine bits that an ACL and the umask act on.
pub const RWX: u32 = 0o777;

/// Whether it is a directory.
pub fn is_dir(mode: u32) -> bool {
    mode & S_IFMT == S_IFDIR
}

/// Whether it is a regular file.
pub fn is_file(mode: u32) -> bool {
    mode & S_IFMT == S_IFREG
}

/// Whether it is a symbolic link.
pub fn is_symlink(mode: u32) -> bool {
    mode & S_IFMT == S_IFLNK
}

/// Whether the type is one that mknod(2) makes.
pub fn is_node(mode: u32) -> bool {
    matches!(mode & S_IFMT, S_IFREG | S_IFCHR | S_IFBLK | S_IFIFO | S_IFSOCK)
}
