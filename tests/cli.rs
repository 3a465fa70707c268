//! What a person sees and a script gets: each refusal's line and exit code, through the real program.

mod support;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use support::{PAIL, TestFs, mounts_are_possible, pail};

/// Exit code and first line on stderr.
fn refused(args: &[&str], stdin: Option<&str>) -> (i32, String) {
    let mut child = Command::new(PAIL)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run pail");
    let mut pipe = child.stdin.take().expect("stdin");
    // A tool that does not ask has closed its end: that is fine.
    let _ = pipe.write_all(stdin.unwrap_or_default().as_bytes());
    drop(pipe);
    let out = child.wait_with_output().expect("wait");
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    (out.status.code().expect("an exit code"), stderr.lines().next().unwrap_or_default().to_owned())
}

struct Place {
    top: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place { top: tempfile::tempdir().expect("tempdir") }
    }

    fn text(&self, name: &str) -> String {
        self.top.path().join(name).display().to_string()
    }

    fn url(&self) -> String {
        format!("local://{}", self.text("store"))
    }

    fn mkfs(&self, more: &[&str], stdin: Option<&str>) -> (i32, String) {
        let (cache, url) = (self.text("cache"), self.url());
        let mut args = vec!["mkfs", "--cachedir", &cache];
        args.extend(more);
        args.push(&url);
        refused(&args, stdin)
    }

    fn mount(&self, more: &[&str], stdin: Option<&str>) -> (i32, String) {
        let (cache, url, mnt) = (self.text("cache"), self.url(), self.text("mnt"));
        let mut args = vec!["mount", "--cachedir", &cache];
        args.extend(more);
        args.extend([url.as_str(), mnt.as_str()]);
        refused(&args, stdin)
    }
}

#[test]
fn mkfs_says_what_it_refuses() {
    let place = Place::new();
    assert_eq!(place.mkfs(&[], Some("\n")).0, 17, "an empty passphrase");
    assert!(!place.top.path().join("store").exists(), "nothing was changed");
    assert_eq!(place.mkfs(&["--chunk-size", "1G"], Some("x\n")).0, 2);
    assert_eq!(place.mkfs(&["--compress", "rar"], Some("x\n")).0, 2);
    assert_eq!(place.mkfs(&[], Some("secret\n")).0, 0);
    let (code, line) = place.mkfs(&[], Some("secret\n"));
    assert_eq!(code, 52);
    assert!(line.contains("file system") && line.contains("--force"), "{line}");
    assert_eq!(place.mkfs(&["--force"], Some("secret\n")).0, 0);
    let (code, line) = refused(&["mkfs", "--plain", "s3x://a/b"], None);
    assert_eq!(code, 16);
    assert!(line.starts_with("mkfs.pail: ") && line.contains("local:///path"), "{line}");
}

#[test]
fn the_recovery_key_is_shown_once_and_the_passphrase_never() {
    let place = Place::new();
    let (cache, url) = (place.text("cache"), place.url());
    let mut child = Command::new(PAIL)
        .args(["mkfs", "--cachedir", &cache, &url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("run pail");
    child.stdin.take().expect("stdin").write_all(b"very secret\n").expect("write");
    let out = child.wait_with_output().expect("wait");
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && text.contains("recovery key") && !text.contains("very secret"), "{text}");
}

#[test]
fn an_authfile_that_others_may_read_is_refused() {
    let place = Place::new();
    let file = place.text("auth");
    std::fs::write(&file, format!("[fs]\nstorage-url: {}\nfs-passphrase: secret\n", place.url()))
        .expect("write");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    assert_eq!(place.mkfs(&["--authfile", &file], None).0, 12);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    assert_eq!(place.mkfs(&["--authfile", &file], None).0, 0);
    std::fs::write(&file, "[fs]\nfs-passphrse: x\n").expect("write");
    assert_eq!(place.mkfs(&["--authfile", &file], None).0, 2);
}

#[test]
fn mount_says_what_it_refuses_and_changes_nothing() {
    if !mounts_are_possible() {
        return;
    }
    let place = Place::new();
    assert_eq!(place.mount(&[], None).0, 36, "no mount point");
    std::fs::create_dir(place.text("mnt")).expect("mkdir");
    assert_eq!(place.mount(&[], None).0, 16, "no such place");
    std::fs::create_dir(place.text("store")).expect("mkdir");
    assert_eq!(place.mount(&[], None).0, 18, "no file system");
    assert_eq!(place.mkfs(&[], Some("secret\n")).0, 0);
    assert_eq!(place.mount(&[], Some("wrong\n")).0, 17, "wrong passphrase");
    assert_eq!(place.mount(&["-o", "nonsense"], Some("secret\n")).0, 2, "unknown option");
    assert_eq!(place.mount(&["--cachesize", "much"], Some("secret\n")).0, 2);
    let superblock = place.top.path().join("store/superblock-a");
    for name in ["superblock-a", "superblock-b"] {
        assert!(superblock.with_file_name(name).exists());
    }
    assert!(!place.top.path().join("store/lease").exists(), "nobody's turn was taken");
}

#[test]
fn two_mounts_of_one_file_system_and_foreign_caches_are_refused() {
    if !mounts_are_possible() {
        return;
    }
    let mut fs = TestFs::new("twice");
    fs.mount(&[]);
    std::fs::create_dir(fs.path("second")).expect("mkdir");
    let (cache, url, second) = (fs.text("cache"), fs.url(), fs.text("second"));
    let (code, line) = refused(&["mount", "--cachedir", &cache, &url, &second], None);
    assert_eq!(code, 40, "{line}");
    fs.unmount();
    // The same URL, another file system: its cache directory may hold what was never stored.
    assert_eq!(pail(&["mkfs", "--plain", "--force", &url]).status.code(), Some(0));
    let (code, line) = refused(&["mount", "--cachedir", &cache, &url, &second], None);
    assert_eq!(code, 45, "{line}");
    // Written once, mounted with an empty cache directory: refused, not shown empty.
    let other = fs.text("other-cache");
    assert_eq!(pail(&["mount", "--cachedir", &other, &url, &second]).status.code(), Some(0));
    assert_eq!(pail(&["umount", &second]).status.code(), Some(0));
    let third = fs.text("third-cache");
    let (code, line) = refused(&["mount", "--cachedir", &third, &url, &second], None);
    assert_eq!(code, 43, "{line}");
}

#[test]
fn tools_say_when_nothing_is_mounted() {
    let place = Place::new();
    for args in [&["umount"][..], &["stat"], &["ctl", "flushcache"]] {
        let here = place.text(".");
        let args = [args, &[here.as_str()]].concat();
        let (code, line) = refused(&args, None);
        assert_eq!(code, 36, "{line}");
    }
}
