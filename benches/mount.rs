//! The whole mount against a plain directory on the same disk, as ratios measured in one run.
//!
//! `cargo bench --bench mount [-- NAME...]` with NAME of: create sequential stat million. Needs root and
//! /dev/fuse. Each figure is the better of three runs on either side, the sides taking turns, because
//! machines are noisy. `PAIL_BENCH_DIR` chooses the disk (default: the temporary directory).

use std::error::Error;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const PAIL: &str = env!("CARGO_BIN_EXE_pail");
const ROUNDS: usize = 3;
const SMALL_FILES: usize = 10_000;
const SMALL: usize = 20 << 10;
const LARGE: usize = 1 << 30;
const STAT_FILES: usize = 100_000;
const MANY_FILES: usize = 1_000_000;

/// A file system of its own in a temporary directory, unmounted and removed when dropped.
struct Bench {
    top: tempfile::TempDir,
}

fn pail(args: &[&str]) -> Result<Output> {
    let out = Command::new(PAIL).args(args).output()?;
    if !out.status.success() {
        return Err(format!("pail {args:?}: {}", String::from_utf8_lossy(&out.stderr)).into());
    }
    Ok(out)
}

impl Bench {
    fn new() -> Result<Bench> {
        let base = std::env::var_os("PAIL_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let bench = Bench { top: tempfile::Builder::new().prefix("pail-bench").tempdir_in(base)? };
        for dir in ["plain", "mnt", "cache"] {
            fs::create_dir(bench.path(dir))?;
        }
        pail(&["mkfs", "--plain", "--cachedir", &bench.text("cache"), &bench.url()])?;
        bench.mount()?;
        Ok(bench)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn url(&self) -> String {
        format!("local://{}", self.text("store"))
    }

    fn mount(&self) -> Result<Duration> {
        let began = Instant::now();
        let (cache, url, mnt) = (self.text("cache"), self.url(), self.text("mnt"));
        pail(&["mount", "--cachedir", &cache, "--cachesize", "20G", &url, &mnt])?;
        Ok(began.elapsed())
    }

    fn unmount(&self) -> Result<()> {
        pail(&["umount", &self.text("mnt")]).map(drop)
    }

    /// Objects in the store whose path has this in it.
    fn objects(&self, kind: &str) -> Result<usize> {
        let out = Command::new("find").args([&self.text("store"), "-type", "f", "-path", kind]).output()?;
        Ok(out.stdout.iter().filter(|b| **b == b'\n').count())
    }

    /// Resident memory of the daemon, KiB: the process that was started with our mount point.
    fn resident(&self) -> Result<u64> {
        let mnt = self.text("mnt");
        for entry in fs::read_dir("/proc")?.flatten() {
            let cmdline = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let cmdline = String::from_utf8_lossy(&cmdline).into_owned();
            if cmdline.contains(&mnt) && cmdline.contains("mount-daemon") {
                let status = fs::read_to_string(entry.path().join("status"))?;
                let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap_or_default().to_owned();
                return Ok(line.split_whitespace().nth(1).unwrap_or("0").parse()?);
            }
        }
        Err("no daemon found".into())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if self.unmount().is_err() {
            let _ = Command::new("umount").args(["-l", &self.text("mnt")]).status();
        }
    }
}

fn drop_page_cache() -> Result<()> {
    Command::new("sync").status()?;
    Ok(fs::write("/proc/sys/vm/drop_caches", "3")?)
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed().as_secs_f64())
}

/// The best of some rounds on both sides, taking turns.
fn both(bench: &Bench, mut work: impl FnMut(&Path, usize) -> Result<f64>) -> Result<(f64, f64)> {
    let (mut plain, mut mounted) = (f64::MAX, f64::MAX);
    for round in 0..ROUNDS {
        plain = plain.min(work(&bench.path("plain"), round)?);
        mounted = mounted.min(work(&bench.path("mnt"), round)?);
    }
    Ok((plain, mounted))
}

fn report(what: &str, (plain, mounted): (f64, f64)) {
    println!(
        "{what}: plain {plain:.2} s, mounted {mounted:.2} s, {:.2} times the plain directory's",
        mounted / plain
    );
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
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

fn create() -> Result<()> {
    let bench = Bench::new()?;
    let figures = both(&bench, |top, round| {
        let dir = top.join(format!("small{round}"));
        fs::create_dir(&dir)?;
        let pool = noise(round as u64 + 1, SMALL + SMALL_FILES * 8);
        timed(|| {
            for i in 0..SMALL_FILES {
                File::create(dir.join(format!("thumb-{i:05}.webp")))?
                    .write_all(&pool[i * 8..i * 8 + SMALL])?;
            }
            Ok(())
        })
    })?;
    report("create and write 10,000 files of 20 KiB", figures);
    pail(&["ctl", "flushcache", &bench.text("mnt")])?;
    println!("objects for {ROUNDS} x 10,000 files after a flush: {} packs", bench.objects("*/pack/*")?);
    Ok(())
}

fn sequential() -> Result<()> {
    let bench = Bench::new()?;
    let block = noise(5, 1 << 20);
    let write = both(&bench, |top, round| {
        let mut file = File::create(top.join("large"))?;
        let mut block = block.clone();
        timed(|| {
            for i in 0..LARGE / block.len() {
                block[..8].copy_from_slice(&((round * 10_000 + i) as u64).to_le_bytes());
                file.write_all(&block)?;
            }
            drop(file);
            Ok(())
        })
    })?;
    report("sequential write of 1 GiB", write);
    pail(&["ctl", "flushcache", &bench.text("mnt")])?;
    let read = |top: &Path| -> Result<()> {
        let (mut file, mut buf) = (File::open(top.join("large"))?, vec![0; 1 << 20]);
        while file.read(&mut buf)? > 0 {}
        Ok(())
    };
    read(&bench.path("plain"))?;
    read(&bench.path("mnt"))?;
    report("warm sequential read of 1 GiB (page cache)", both(&bench, |top, _| timed(|| read(top)))?);
    let cold = both(&bench, |top, _| {
        drop_page_cache()?;
        timed(|| read(top))
    })?;
    report("sequential read of 1 GiB, page cache dropped, from the local cache", cold);
    Ok(())
}

fn fill(top: &Path, files: usize) -> Result<()> {
    for i in 0..files {
        let dir = top.join(format!("d{:04}", i / 1000));
        if i % 1000 == 0 {
            fs::create_dir_all(&dir)?;
        }
        File::create(dir.join(format!("IMG_{i:07}.jpg")))?;
    }
    Ok(())
}

fn walk(dir: &Path) -> Result<u64> {
    let mut seen = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = fs::symlink_metadata(entry.path())?;
        seen += if meta.is_dir() { walk(&entry.path())? } else { 1 };
    }
    Ok(seen)
}

fn stat() -> Result<()> {
    let bench = Bench::new()?;
    for side in ["plain", "mnt"] {
        fill(&bench.path(side), STAT_FILES)?;
    }
    let first = both(&bench, |top, _| {
        drop_page_cache()?;
        timed(|| walk(top).map(drop))
    })?;
    report("walk and stat 100,000 files, kernel caches dropped", first);
    report("the same again", both(&bench, |top, _| timed(|| walk(top).map(drop)))?);
    Ok(())
}

fn million() -> Result<()> {
    let bench = Bench::new()?;
    let took = timed(|| fill(&bench.path("mnt"), MANY_FILES))?;
    println!("1,000,000 creates took {took:.1} s");
    bench.unmount()?;
    println!("mount with 1,000,000 files: {:.2} s", bench.mount()?.as_secs_f64());
    println!("resident memory after the mount: {} KiB", bench.resident()?);
    let seen = walk(&bench.path("mnt"))?;
    println!("resident memory after stat of all {seen}: {} KiB", bench.resident()?);
    let stat = pail(&["stat", &bench.text("mnt")])?;
    println!("{}", String::from_utf8_lossy(&stat.stdout));
    Ok(())
}

type Run = fn() -> Result<()>;

fn main() -> Result<()> {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let benches: [(&str, Run); 4] =
        [("create", create), ("sequential", sequential), ("stat", stat), ("million", million)];
    for (name, bench) in benches {
        if chosen.is_empty() || chosen.iter().any(|c| c == name) {
            println!("-- {name}");
            bench()?;
        }
    }
    Ok(())
}
