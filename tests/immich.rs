//! What Immich does to a file system, on a real mount: its folder tree with `.immich` sentinels, thumbnails
//! in two-level hash directories, photos, a video; written by eight threads, moved from upload/ to library/,
//! read in ranges, stat'ed, chown'ed; then every byte compared after a remount with an empty cache.

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::thread;
use support::TestFs;

const FOLDERS: [&str; 6] = ["library", "upload", "thumbs", "encoded-video", "profile", "backups"];
const THREADS: u64 = 8;
const THUMBS_EACH: u64 = 400;
const PHOTOS_EACH: u64 = 4;
const VIDEO: usize = 300 << 20;
const OWNER: u32 = 999;

/// Content that is a function of its seed, so that nothing has to be remembered.
fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(len);
    out
}

/// What is where, relative to the mount: seed and length.
type Expected = BTreeMap<PathBuf, (u64, usize)>;

fn put(top: &Path, at: PathBuf, seed: u64, len: usize, all: &mut Expected) {
    let path = top.join(&at);
    fs::create_dir_all(path.parent().expect("a parent")).expect("create_dir_all");
    File::create(&path).expect("create").write_all(&content(seed, len)).expect("write");
    all.insert(at, (seed, len));
}

/// One worker of Immich: uploads photos and moves them to the library, writes their thumbnails.
fn worker(top: &Path, number: u64) -> Expected {
    let mut all = Expected::new();
    for i in 0..PHOTOS_EACH {
        let seed = number * 1_000_000 + i;
        let len = (2 << 20) + (seed * 7_919 % (8 << 20)) as usize;
        let upload =
            PathBuf::from(format!("upload/user/{:02x}/{:02x}/{seed:016x}.jpg", seed % 251, seed % 13));
        put(top, upload.clone(), seed, len, &mut all);
        let library = PathBuf::from(format!("library/admin/2026/{:02}/IMG_{seed:08}.jpg", seed % 12 + 1));
        fs::create_dir_all(top.join(&library).parent().expect("a parent")).expect("create_dir_all");
        fs::rename(top.join(&upload), top.join(&library)).expect("rename");
        let moved = all.remove(&upload).expect("just put");
        all.insert(library, moved);
    }
    for i in 0..THUMBS_EACH {
        let seed = number * 1_000_000 + 500_000 + i;
        let len = (5 << 10) + (seed * 104_729 % (195 << 10)) as usize;
        let at =
            format!("thumbs/user/{:02x}/{:02x}/{seed:016x}-preview.webp", seed * 31 % 256, seed * 17 % 256);
        put(top, PathBuf::from(at), seed, len, &mut all);
    }
    all
}

fn compare(top: &Path, all: &Expected) {
    let mut got = Vec::new();
    for (at, (seed, len)) in all {
        got.clear();
        File::open(top.join(at)).expect("open").read_to_end(&mut got).expect("read");
        assert!(got == content(*seed, *len), "{} differs from what was written", at.display());
    }
}

/// As a browser seeks in a video.
fn read_ranges(top: &Path, at: &Path, seed: u64, len: usize) {
    let whole = content(seed, len);
    let mut file = File::open(top.join(at)).expect("open");
    for step in 0..40 {
        let offset = step * 104_729 * 67 % (len - 70_000);
        let mut buf = vec![0; 65_536];
        file.seek(SeekFrom::Start(offset as u64)).expect("seek");
        file.read_exact(&mut buf).expect("read");
        assert!(buf == whole[offset..offset + buf.len()], "range at {offset} of {}", at.display());
    }
}

fn visit(dir: &Path, each: &mut impl FnMut(&Path, &fs::Metadata)) {
    for entry in fs::read_dir(dir).expect("read_dir") {
        let path = entry.expect("entry").path();
        let meta = fs::symlink_metadata(&path).expect("stat");
        each(&path, &meta);
        if meta.is_dir() {
            visit(&path, each);
        }
    }
}

#[test]
fn immich_keeps_every_byte_over_a_remount_with_an_empty_cache() {
    let mut pail = TestFs::new("immich");
    pail.mount(&["--cachesize", "1G"]);
    let top = pail.mnt().to_path_buf();
    let mut all = Expected::new();
    for folder in FOLDERS {
        put(&top, PathBuf::from(folder).join(".immich"), 1, 13, &mut all);
    }
    let workers: Vec<_> = (1..=THREADS)
        .map(|n| {
            let top = top.clone();
            thread::spawn(move || worker(&top, n))
        })
        .collect();
    put(&top, PathBuf::from("encoded-video/user/holiday.mp4"), 77, VIDEO, &mut all);
    for worker in workers {
        all.extend(worker.join().expect("worker"));
    }
    read_ranges(&top, Path::new("encoded-video/user/holiday.mp4"), 77, VIDEO);
    visit(&top, &mut |path, _| chown(path, Some(OWNER), Some(OWNER)).expect("chown"));

    pail.unmount();
    pail.drop_cache();
    pail.mount(&["--cachesize", "64M"]);
    let mut files = 0;
    visit(&top, &mut |path, meta| {
        assert_eq!((meta.uid(), meta.gid()), (OWNER, OWNER), "owner of {}", path.display());
        if meta.is_file() {
            let at = path.strip_prefix(&top).expect("below the mount");
            assert_eq!(meta.len(), all[at].1 as u64, "size of {}", at.display());
            files += 1;
        }
    });
    assert_eq!(files, all.len(), "as many files as were written");
    read_ranges(&top, Path::new("encoded-video/user/holiday.mp4"), 77, VIDEO);
    compare(&top, &all);
    pail.unmount();
}
