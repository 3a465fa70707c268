//! A full local disk: writers get ENOSPC, nothing that was stored or synced is lost, removing works, and
//! it goes on when there is room again. The disk is a tmpfs of the test's own.

mod support;

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;
use support::{TestFs, mounts_are_possible, pail_ok};

/// A small file system, unmounted with the test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(path: PathBuf, size: &str) -> SmallDisk {
        fs::create_dir_all(&path).expect("mkdir");
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(&path).status();
        assert!(mounted.expect("mount").success(), "a tmpfs can't be mounted (root is needed)");
        SmallDisk(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_cache_disk_is_survived() {
    if !mounts_are_possible() {
        return;
    }
    let mut pail = TestFs::new("full");
    let disk = SmallDisk::at(pail.path("cache"), "48M");
    // Nothing is sent by itself: the disk fills up with what only it has.
    pail.mount(&["--cachesize", "1G", "--upload-delay", "1000"]);
    let mnt = pail.mnt().to_path_buf();
    fs::write(mnt.join("first"), vec![1; 1 << 20]).expect("write");
    fs::File::open(mnt.join("first")).and_then(|f| f.sync_all()).expect("fsync");

    let mut refused = None;
    for n in 0..100u32 {
        let written = fs::write(mnt.join(format!("{n}")), n.to_le_bytes().repeat(1 << 18));
        let synced = written.and_then(|()| fs::File::open(mnt.join(format!("{n}")))?.sync_all());
        if let Err(e) = synced {
            refused = Some(e);
            break;
        }
    }
    let refused = refused.expect("48 MiB are full before 100 MiB are written");
    assert_eq!(refused.kind(), ErrorKind::StorageFull, "{refused}");

    // Sending makes room; then all goes on.
    pail_ok(&["ctl", "flushcache", &pail.text("mnt")]);
    fs::remove_file(mnt.join("0")).expect("unlink");
    pail_ok(&["ctl", "dropcache", &pail.text("mnt")]);
    pail_ok(&["ctl", "flushcache", &pail.text("mnt")]);
    fs::write(mnt.join("again"), vec![2; 1 << 20]).expect("there is room again");
    assert!(fs::read(mnt.join("first")).expect("read") == vec![1; 1 << 20]);
    assert!(fs::read(mnt.join("1")).expect("read") == 1u32.to_le_bytes().repeat(1 << 18));
    pail.unmount();
    pail.mount(&[]);
    assert!(fs::read(mnt.join("again")).expect("read") == vec![2; 1 << 20]);
    pail.unmount();
    drop(disk);
}
