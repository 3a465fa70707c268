//! The life of a real mount: what is on it after each way that it can end.

mod support;

use std::fs;
use std::process::Command;
use support::{TestFs, mounts_are_possible, pail, pail_ok};

fn ready(name: &str) -> Option<TestFs> {
    mounts_are_possible().then(|| TestFs::new(name))
}

fn fill(fs: &TestFs) {
    fs::create_dir(fs.mnt().join("dir")).expect("mkdir");
    for n in 0..50u8 {
        fs::write(fs.mnt().join(format!("dir/{n}")), vec![n; 10_000]).expect("write");
    }
}

fn check(fs: &TestFs) {
    for n in 0..50u8 {
        assert!(fs::read(fs.mnt().join(format!("dir/{n}"))).expect("read") == vec![n; 10_000], "file {n}");
    }
}

#[test]
fn umount_pail_returns_when_everything_is_stored() {
    let Some(mut fs) = ready("umount") else { return };
    fs.mount(&[]);
    fill(&fs);
    fs.unmount();
    fs.drop_cache();
    fs.mount(&[]);
    check(&fs);
    fs.unmount();
}

#[test]
fn a_plain_umount_loses_nothing() {
    let Some(mut fs) = ready("plain-umount") else { return };
    fs.mount(&[]);
    fill(&fs);
    assert!(Command::new("umount").arg(fs.mnt()).status().expect("umount").success());
    // The next mount meets the draining daemon or what it left, and has everything in either case.
    fs.mount(&[]);
    check(&fs);
    fs.unmount();
    fs.drop_cache();
    fs.mount(&[]);
    check(&fs);
    fs.unmount();
}

#[test]
fn a_killed_daemon_is_replaced_by_the_next_mount() {
    let Some(mut fs) = ready("kill") else { return };
    fs.mount(&[]);
    fill(&fs);
    pail_ok(&["ctl", "sync", &fs.text("mnt")]);
    fs.kill();
    assert!(fs::read_dir(fs.mnt()).is_err(), "a dead mount");
    fs.mount(&[]);
    check(&fs);
    fs.unmount();
    fs.drop_cache();
    fs.mount(&[]);
    check(&fs);
    fs.unmount();
}

#[test]
fn a_busy_mount_stays_and_says_so() {
    let Some(mut fs) = ready("busy") else { return };
    fs.mount(&[]);
    let held = fs::File::create(fs.mnt().join("held")).expect("create");
    let out = pail(&["umount", &fs.text("mnt")]);
    assert_eq!(out.status.code(), Some(53));
    fs::write(fs.mnt().join("still"), "here").expect("write");
    drop(held);
    fs.unmount();
}

#[test]
fn a_read_only_mount_changes_nothing() {
    let Some(mut fs) = ready("read-only") else { return };
    fs.mount(&[]);
    fill(&fs);
    fs.unmount();
    fs.mount(&["--ro"]);
    check(&fs);
    assert!(fs::write(fs.mnt().join("x"), "x").is_err());
    fs.unmount();
}

#[test]
fn the_mount_helper_takes_options_as_mount_8_gives_them() {
    let Some(mut fs) = ready("helper") else { return };
    let options =
        format!("rw,noatime,_netdev,x-systemd.automount,cachedir={},cachesize=64M", fs.text("cache"));
    pail_ok(&["mount", &fs.url(), &fs.text("mnt"), "-o", &options]);
    fs::write(fs.mnt().join("x"), "x").expect("write");
    assert!(pail_ok(&["stat", &fs.text("mnt")]).contains("Directory entries:"));
    pail_ok(&["umount", &fs.text("mnt")]);
    fs.mount(&[]);
    assert_eq!(fs::read_to_string(fs.mnt().join("x")).expect("read"), "x");
    fs.unmount();
}

/// Ten thousand small files are a handful of objects.
#[test]
fn small_files_share_objects() {
    let Some(mut fs) = ready("small") else { return };
    fs.mount(&[]);
    for n in 0..2000u32 {
        fs::write(fs.mnt().join(format!("{n}.webp")), n.to_le_bytes().repeat(2000)).expect("write");
    }
    pail_ok(&["ctl", "flushcache", &fs.text("mnt")]);
    let mut find = Command::new("find");
    let out = find.arg(fs.path("store")).args(["-type", "f", "-path", "*/pack/*"]).output().expect("find");
    let found = String::from_utf8_lossy(&out.stdout).lines().count();
    assert!((1..=10).contains(&found), "{found} pack objects");
    fs.unmount();
}

/// What a program has written and the kernel has not sent yet is data to lseek(2), not a hole.
#[test]
fn unsent_writes_are_no_hole() {
    use rustix::fs::{SeekFrom, seek};
    use std::os::unix::fs::FileExt;
    let Some(mut fs) = ready("seek") else { return };
    fs.mount(&[]);
    let file = fs::File::create(fs.mnt().join("sparse")).expect("create");
    file.write_all_at(&[1; 4096], 1 << 20).expect("write");
    assert_eq!(seek(&file, SeekFrom::Data(0)).expect("SEEK_DATA"), 1 << 20);
    assert_eq!(seek(&file, SeekFrom::Hole(1 << 20)).expect("SEEK_HOLE"), (1 << 20) + 4096);
    drop(file);
    fs.unmount();
}
