//! pail demo: what a person sees first. Everything is in one directory, and goes with it.

use crate::exit::{self, Failure};
use crate::mkfs;
use crate::stat;
use pail::daemon::client::Client;
use pail::daemon::{Daemon, MountSettings};
use pail::fuse::MountOptions;
use pail::store::StorageUrl;
use pail::vault::Secret;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

const PASSPHRASE: &str = "demo";
/// In a directory that we made, so that only such a one is ever removed.
const MARK: &str = ".made-by-pail-demo";
const PHOTOS: u64 = 6;
const PHOTO: usize = 3 << 20;
const LOGS: usize = 20;

#[derive(clap::Args)]
pub struct Args {
    /// End when everything has been shown, without waiting for Ctrl-C
    #[arg(long)]
    pub once: bool,
    /// Where
    #[arg(long, value_name = "DIR", default_value = "pail-demo")]
    pub dir: PathBuf,
}

fn io(what: &Path) -> impl Fn(std::io::Error) -> Failure + '_ {
    move |e| Failure::new(exit::UNEXPECTED, format!("{}: {e}", what.display()))
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let top = std::path::absolute(&args.dir).map_err(io(&args.dir))?;
    prepare(&top)?;
    let mnt = top.join("mnt");
    let url = StorageUrl::Local(top.join("store"));

    println!("1. mkfs.pail {url}");
    let passphrase = || Zeroizing::new(PASSPHRASE.to_owned());
    let made = mkfs::make(&url, mkfs::default_parameters("demo"), Some(passphrase()), false)?;
    println!("   made an encrypted file system; its passphrase is \"{PASSPHRASE}\", its recovery key");
    println!("   {}", made.recovery_key.as_ref().map_or("", |k| k.as_str()));

    println!("2. mount.pail {url} {}", mnt.display());
    let daemon = Daemon::start(
        settings(&url, &top, &mnt),
        Some(Secret::Passphrase(passphrase())),
        Box::new(|_| true),
    )?;
    let served = std::thread::spawn(move || daemon.run());
    let shown = show(&mnt).and_then(|()| if args.once { unmount(&mnt) } else { invite(&mnt) });
    if shown.is_err() {
        // The first failure is the one to tell.
        let _ = unmount(&mnt);
    }
    let ended =
        served.join().map_err(|_| Failure::new(exit::UNEXPECTED, "the daemon's thread panicked"))??;
    shown?;
    println!("5. Unmounted cleanly; {} bytes are left in the cache.", ended.left_bytes);
    println!("   Everything lies in {}; remove it when you have seen enough.", top.display());
    Ok(())
}

/// A fresh directory; an older one of ours makes way.
fn prepare(top: &Path) -> Result<(), Failure> {
    if top.exists() {
        if !top.join(MARK).exists() {
            let taken =
                Failure::new(exit::NOT_EMPTY, format!("{} is there and not this demo's", top.display()));
            return Err(taken.hint("choose another place with --dir"));
        }
        if Client::of(&top.join("mnt")).is_ok() {
            let mounted =
                Failure::new(exit::MOUNTED_HERE, format!("a demo is mounted at {}/mnt", top.display()));
            return Err(mounted.hint("end it first: Ctrl-C, or umount"));
        }
        fs::remove_dir_all(top).map_err(io(top))?;
    }
    fs::create_dir_all(top.join("mnt")).map_err(io(top))?;
    fs::write(top.join(MARK), "pail demo removes this directory when it is run again\n").map_err(io(top))
}

fn settings(url: &StorageUrl, top: &Path, mnt: &Path) -> MountSettings {
    MountSettings {
        url: url.clone(),
        mount_point: mnt.to_owned(),
        cachedir: top.join("cache"),
        cache_size: 1 << 30,
        compression: None,
        connections: 4,
        upload_delay: Duration::from_secs(10),
        upload_limit: Duration::from_secs(60),
        no_atime: false,
        fuse: MountOptions {
            source: url.to_string(),
            allow_other: false,
            allow_root: false,
            read_only: false,
            threads: 4,
            flags: Vec::new(),
        },
    }
}

/// Bytes that nothing compresses, the same each time.
fn photo(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(PHOTO).collect()
}

fn show(mnt: &Path) -> Result<(), Failure> {
    println!("3. Copying: {PHOTOS} photos, a second copy of each, {LOGS} logs");
    for dir in ["library", "copies", "logs"] {
        fs::create_dir(mnt.join(dir)).map_err(io(mnt))?;
    }
    for n in 0..PHOTOS {
        let name = format!("IMG_{:04}.jpg", n + 1);
        fs::write(mnt.join("library").join(&name), photo(n + 1)).map_err(io(mnt))?;
        fs::copy(mnt.join("library").join(&name), mnt.join("copies").join(&name)).map_err(io(mnt))?;
    }
    for n in 0..LOGS {
        let text = format!("2026-11-21 12:00:{n:02} info: nothing happened, and it was quick\n").repeat(4000);
        fs::write(mnt.join("logs").join(format!("{n:02}.log")), text).map_err(io(mnt))?;
    }
    for dir in ["library", "copies", "logs"] {
        let (mut count, mut bytes) = (0, 0);
        for entry in fs::read_dir(mnt.join(dir)).map_err(io(mnt))? {
            count += 1;
            bytes += entry.and_then(|e| e.metadata()).map_err(io(mnt))?.len();
        }
        println!("   {dir:<8} {count:>3} files, {}", crate::sizes::show(bytes));
    }
    let client = Client::of(mnt)?;
    client.flush(&mut |_, _| {})?;
    println!("4. pailstat {}", mnt.display());
    stat::lines(&client.status()?, false).iter().for_each(|line| println!("   {line}"));
    Ok(())
}

fn invite(mnt: &Path) -> Result<(), Failure> {
    println!();
    println!("It is mounted at {} until you press Ctrl-C. In another terminal:", mnt.display());
    println!("   ls -lR {}", mnt.display());
    println!("   cp -r /etc {}        # some files of yours", mnt.display());
    println!("   find {} -type f      # all that a bucket would see", mnt.with_file_name("store").display());
    Ok(())
}

fn unmount(mnt: &Path) -> Result<(), Failure> {
    Client::of(mnt)?.unmount_here(&mut |_, _| {})?;
    Ok(())
}
