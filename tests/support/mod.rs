//! A file system of a test's own, made and mounted through the real program, and gone with the test,
//! also when it fails.
#![allow(dead_code)] // each test program uses its part

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub const PAIL: &str = env!("CARGO_BIN_EXE_pail");

/// Fails, and says so, where real mounts can't be made; `PAIL_SKIP_MOUNT_TESTS=1` skips them instead.
pub fn mounts_are_possible() -> bool {
    if std::env::var_os("PAIL_SKIP_MOUNT_TESTS").is_some() {
        eprintln!("skipped: PAIL_SKIP_MOUNT_TESTS is set");
        return false;
    }
    let fuse = std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse");
    if let Err(e) = fuse {
        panic!("real mounts need /dev/fuse ({e}) and root; PAIL_SKIP_MOUNT_TESTS=1 skips these tests");
    }
    true
}

/// Runs the program.
pub fn pail<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Output {
    Command::new(PAIL).args(args).stdin(Stdio::null()).output().expect("run pail")
}

/// Runs the program and wants it to succeed.
pub fn pail_ok<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> String {
    let out = pail(args);
    assert!(out.status.success(), "exit {:?}: {}", out.status.code(), String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// A file system in a temporary directory.
pub struct TestFs {
    top: tempfile::TempDir,
    mnt: PathBuf,
    mounted: bool,
}

impl TestFs {
    /// Made, not mounted.
    pub fn new(name: &str) -> TestFs {
        assert!(mounts_are_possible(), "skipped");
        let top = tempfile::Builder::new().prefix(&format!("pail-test-{name}-")).tempdir().expect("tempdir");
        let mnt = top.path().join("mnt");
        std::fs::create_dir(&mnt).expect("mount point");
        let fs = TestFs { top, mnt, mounted: false };
        pail_ok(&["mkfs", "--plain", "--cachedir", &fs.text("cache"), &fs.url()]);
        fs
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn url(&self) -> String {
        format!("local://{}", self.text("store"))
    }

    pub fn mnt(&self) -> &Path {
        &self.mnt
    }

    /// Mounts, with further options.
    pub fn mount(&mut self, options: &[&str]) {
        let (cache, url, mnt) = (self.text("cache"), self.url(), self.text("mnt"));
        let mut args = vec!["mount", "--cachedir", &cache];
        args.extend(options);
        args.extend([url.as_str(), mnt.as_str()]);
        pail_ok(&args);
        self.mounted = true;
    }

    /// Sends everything and unmounts.
    pub fn unmount(&mut self) {
        pail_ok(&["umount", &self.text("mnt")]);
        self.mounted = false;
    }

    /// The cached data goes; what was stored must be enough.
    pub fn drop_cache(&self) {
        assert!(!self.mounted, "unmount first");
        let dirs = std::fs::read_dir(self.path("cache")).expect("cache directory");
        for dir in dirs {
            let cached = dir.expect("entry").path().join("cache");
            if cached.exists() {
                std::fs::remove_dir_all(cached).expect("remove cached data");
            }
        }
    }

    /// The daemon's process: the one that was started with our mount point.
    pub fn daemon(&self) -> u32 {
        let mnt = self.text("mnt");
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let cmdline = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let args: Vec<_> = cmdline.split(|b| *b == 0).collect();
            if args.contains(&&b"mount-daemon"[..]) && args.contains(&mnt.as_bytes()) {
                return entry.file_name().to_string_lossy().parse().expect("a process id");
            }
        }
        panic!("no daemon for {mnt}");
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        let pid = self.daemon();
        let killed = Command::new("kill").args(["-9", &pid.to_string()]).status().expect("kill");
        assert!(killed.success());
        let proc = PathBuf::from(format!("/proc/{pid}"));
        while proc.exists() {
            std::thread::yield_now();
        }
    }
}

impl Drop for TestFs {
    fn drop(&mut self) {
        if self.mounted {
            // The test failed, or killed its daemon: detach, so that nothing is left behind.
            let _ = Command::new("umount").arg("-l").arg(&self.mnt).stderr(Stdio::null()).status();
        }
    }
}
