//! mount.pail: mounts a file system, in the background unless told otherwise.
//!
//! The background form asks everything that must be asked, then starts the program anew as the daemon
//! (before any thread, database or FUSE descriptor exists); settings and passphrase go through its stdin, and
//! "ready" or the failure comes back through its stdout.

use crate::exit::{self, Failure};
use crate::logging;
use crate::login::{self, Common, shown};
use crate::sizes;
use pail::daemon::{CacheDir, Daemon, MountSettings};
use pail::fuse::MountOptions;
use pail::store::{StorageUrl, open_store};
use pail::vault::{Secret, Vault};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use zeroize::Zeroizing;

/// A new cache takes no more of its disk's free room than this many hundredths.
const CACHE_HUNDREDTHS: u64 = 80;
const CACHE_DEFAULT: u64 = 20 << 30;
const CACHE_MIN: u64 = 1 << 20;
const CONNECTIONS: usize = 8;
const UPLOAD_DELAY: Duration = Duration::from_secs(10);
/// A file is sent after this many delays, however often it is written.
const UPLOAD_LIMIT_DELAYS: u32 = 6;

#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    /// Stay in the foreground
    #[arg(long, alias = "foreground")]
    pub fg: bool,
    /// Let other users in
    #[arg(long)]
    pub allow_other: bool,
    /// Let root in besides the user who mounts
    #[arg(long)]
    pub allow_root: bool,
    /// How much local disk the cache may use: KiB, or with a suffix: 30G [default: 20G, at most 80% of what is free]
    #[arg(long, value_name = "SIZE", value_parser = sizes::size)]
    pub cachesize: Option<u64>,
    /// Log file [default: mount.log in the cache directory, stderr with --fg]; `none`: stderr only
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Log more
    #[arg(long)]
    pub debug: bool,
    /// Threads that serve the kernel
    #[arg(long, default_value_t = 4)]
    pub threads: usize,
    /// none, zstd or zstd-1 to zstd-19 [default: what mkfs was told]
    #[arg(long)]
    pub compress: Option<String>,
    /// Read-only
    #[arg(long)]
    pub ro: bool,
    /// A file is sent so many seconds after its last write (and after six times that in any case)
    #[arg(long, alias = "dirty-block-upload-delay", value_name = "SECONDS", value_parser = sizes::seconds)]
    pub upload_delay: Option<Duration>,
    /// What `df` and `mount` show as the source [default: the storage URL]
    #[arg(long, value_name = "NAME")]
    pub fs_name: Option<String>,
    /// Options as mount(8) and fstab have them, separated by commas
    #[arg(short = 'o', value_name = "OPTIONS")]
    pub options: Vec<String>,
    /// Accepted for mount(8)
    #[arg(short = 'n', hide = true)]
    pub no_mtab: bool,
    /// Accepted for mount(8)
    #[arg(short = 's', hide = true)]
    pub sloppy: bool,
    /// Accepted for mount(8)
    #[arg(short = 'v', hide = true)]
    pub verbose: bool,
    /// What to mount: local:///path
    #[arg(value_name = "STORAGE-URL")]
    pub url: String,
    /// Where
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

#[derive(clap::Args)]
pub struct DaemonArgs {
    /// For people who look at the list of processes.
    url: String,
    /// The same.
    dir: PathBuf,
}

/// What the daemon is told.
#[derive(Serialize, Deserialize)]
struct Orders {
    url: String,
    dir: PathBuf,
    cachedir: PathBuf,
    cache_size: u64,
    compress: Option<String>,
    threads: usize,
    upload_delay: Duration,
    ro: bool,
    no_atime: bool,
    allow_other: bool,
    allow_root: bool,
    source: String,
    flags: Vec<String>,
    log: Option<PathBuf>,
    debug: bool,
    passphrase: Option<String>,
}

/// Options of `-o`: those that are ours become ours, those of the kernel are passed on, those of mount(8)
/// and systemd are theirs.
fn take_options(args: &mut Args) -> Result<Vec<String>, Failure> {
    let mut flags = Vec::new();
    let usage = |what: String| Failure::new(exit::USAGE, what);
    for option in std::mem::take(&mut args.options).iter().flat_map(|o| o.split(',')) {
        let (name, value) = option.split_once('=').map_or((option, None), |(n, v)| (n, Some(v)));
        let value = || value.ok_or_else(|| usage(format!("-o {name} needs a value")));
        match name.replace('_', "-").as_str() {
            "" | "rw" | "defaults" | "auto" | "noauto" | "user" | "nouser" | "users" | "nofail"
            | "-netdev" | "netdev" | "suid" | "dev" | "exec" | "async" | "atime" | "relatime"
            | "strictatime" | "lazytime" | "diratime" => {}
            "ro" => args.ro = true,
            "nosuid" | "nodev" | "noexec" | "noatime" | "nodiratime" | "sync" | "dirsync" => {
                flags.push(name.to_owned())
            }
            "allow-other" => args.allow_other = true,
            "allow-root" => args.allow_root = true,
            "fg" => args.fg = true,
            "debug" => args.debug = true,
            "authfile" => args.common.authfile = Some(value()?.into()),
            "cachedir" => args.common.cachedir = Some(value()?.into()),
            "cachesize" => args.cachesize = Some(sizes::size(value()?).map_err(usage)?),
            "compress" => args.compress = Some(value()?.to_owned()),
            "log" => args.log = Some(value()?.into()),
            "threads" => {
                args.threads = value()?.parse().map_err(|_| usage(format!("-o {option}: no number")))?
            }
            "upload-delay" => args.upload_delay = Some(sizes::seconds(value()?).map_err(usage)?),
            "fs-name" | "fsname" => args.fs_name = Some(value()?.to_owned()),
            other if other.starts_with("x-") || other.starts_with("comment") => {}
            _ => return Err(usage(format!("unknown mount option {option:?}"))),
        }
    }
    Ok(flags)
}

fn default_cache_size(dir: &Path) -> u64 {
    let existing = dir.ancestors().find(|d| d.exists()).unwrap_or(dir);
    let free = rustix::fs::statvfs(existing).map_or(u64::MAX, |s| s.f_bavail.saturating_mul(s.f_frsize));
    CACHE_DEFAULT.min(free / 100 * CACHE_HUNDREDTHS).max(CACHE_MIN)
}

fn needs_passphrase(url: &StorageUrl) -> Result<bool, Failure> {
    let store = open_store(url, false)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|e| Failure::new(exit::UNEXPECTED, format!("can't start: {e}")))?;
    Ok(runtime.block_on(Vault::needs_secret(&store))?)
}

/// Everything that must be asked or can be refused before a daemon is started.
fn orders(args: &Args) -> Result<Orders, Failure> {
    let mut args = args.clone();
    let flags = take_options(&mut args)?;
    let url = login::storage_url(&args.url)?;
    let entry = login::auth_entry(&args.common, &url)?;
    let usage = |what: String| Failure::new(exit::USAGE, what);
    let compress = args.compress.clone().or_else(|| entry.compress.clone());
    if let Some(said) =
        compress.as_deref().map(sizes::compression).transpose().map_err(usage)?.and_then(|(_, s)| s)
    {
        eprintln!("mount.pail: {said}");
    }
    if !Path::new("/dev/fuse").exists() {
        let missing = Failure::new(exit::NO_FUSE, "/dev/fuse is missing");
        return Err(missing.hint("load the kernel's fuse module (modprobe fuse)"));
    }
    pail::fuse::check_mount_point(&args.dir).map_err(|e| Failure::from(pail::daemon::StartError::from(e)))?;
    if std::fs::read_dir(&args.dir).is_ok_and(|mut entries| entries.next().is_some()) && !args.common.quiet {
        eprintln!(
            "mount.pail: warning: {} is not empty; what is in it is hidden while mounted",
            shown(&args.dir)
        );
    }
    let cachedir = login::cache_dir(&args.common, &entry)?;
    // A passphrase in the authfile is passed on also to a file system that says it is plain: it is refused
    // then, and a swapped file system with it.
    let passphrase = match needs_passphrase(&url)? || entry.passphrase.is_some() {
        true => Some(login::passphrase(&entry, false)?.to_string()),
        false => None,
    };
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Ok(Orders {
        source: args.fs_name.clone().unwrap_or_else(|| url.to_string()),
        cache_size: args.cachesize.unwrap_or_else(|| default_cache_size(&cachedir)).max(CACHE_MIN),
        url: url.to_string(),
        dir: absolute(&args.dir),
        cachedir,
        compress,
        threads: args.threads,
        upload_delay: args.upload_delay.unwrap_or(UPLOAD_DELAY),
        ro: args.ro,
        no_atime: flags.iter().any(|f| f == "noatime"),
        allow_other: args.allow_other,
        allow_root: args.allow_root,
        flags,
        log: args.log.as_deref().filter(|l| *l != Path::new("none")).map(absolute),
        debug: args.debug,
        passphrase,
    })
}

fn settings(orders: &Orders) -> Result<MountSettings, Failure> {
    let compression = orders.compress.as_deref().map(sizes::compression).transpose();
    let compression = compression.map_err(|e| Failure::new(exit::USAGE, e))?.map(|(c, _)| c);
    Ok(MountSettings {
        url: StorageUrl::parse(&orders.url)?,
        mount_point: orders.dir.clone(),
        cachedir: orders.cachedir.clone(),
        cache_size: orders.cache_size,
        compression,
        connections: CONNECTIONS,
        upload_delay: orders.upload_delay,
        upload_limit: orders.upload_delay.saturating_mul(UPLOAD_LIMIT_DELAYS).max(Duration::from_secs(1)),
        no_atime: orders.no_atime,
        fuse: MountOptions {
            source: orders.source.clone(),
            allow_other: orders.allow_other,
            allow_root: orders.allow_root,
            read_only: orders.ro,
            threads: orders.threads,
            flags: orders.flags.clone(),
        },
    })
}

fn start(orders: &mut Orders, set_level: logging::SetLevel) -> Result<Daemon, Failure> {
    let secret = orders.passphrase.take().map(|p| Secret::Passphrase(Zeroizing::new(p)));
    Ok(Daemon::start(settings(orders)?, secret, set_level)?)
}

fn serve(daemon: Daemon) -> Result<(), Failure> {
    let ended = daemon.run()?;
    if ended.left_bytes > 0 {
        let what = format!(
            "{} in {} files are not in the store yet",
            sizes::show(ended.left_bytes),
            ended.left_files
        );
        return Err(Failure::new(exit::LEFT_IN_CACHE, what)
            .hint("they are safe in the cache; the next mount sends them"));
    }
    Ok(())
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let mut orders = orders(args)?;
    if args.fg || args.options.iter().any(|o| o.split(',').any(|o| o == "fg")) {
        let set_level = logging::start(orders.log.as_deref(), orders.debug)?;
        return serve(start(&mut orders, set_level)?);
    }
    if orders.log.is_none() && args.log.is_none() {
        let url = StorageUrl::parse(&orders.url)?;
        orders.log = Some(CacheDir::at(&orders.cachedir, &url.to_string())?.log());
    }
    start_daemon(&orders)
}

/// Starts the daemon and waits for its word.
fn start_daemon(orders: &Orders) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::new(exit::UNEXPECTED, format!("can't start the daemon: {e}"));
    let mut command = Command::new("/proc/self/exe");
    command.arg("mount-daemon").arg(&orders.url).arg(&orders.dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir("/");
    let mut child = command.spawn().map_err(failed)?;
    let told = Zeroizing::new(serde_json::to_string(orders).map_err(|e| failed(e.into()))?);
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(told.as_bytes()).map_err(failed)?;
    }
    let mut word = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut word).map_err(failed)?;
    }
    match word.trim() {
        "ready" => Ok(()),
        "" => Err(Failure::new(exit::UNEXPECTED, "the daemon ended before it was ready")
            .hint("its log may tell why")),
        told => Err(serde_json::from_str(told).map_err(|e| failed(e.into()))?),
    }
}

/// The daemon's side.
pub fn run_daemon(_args: &DaemonArgs) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::new(exit::UNEXPECTED, format!("can't read the orders: {e}"));
    let mut text = Zeroizing::new(String::new());
    std::io::stdin().read_to_string(&mut text).map_err(failed)?;
    let mut orders: Orders = serde_json::from_str(&text).map_err(|e| failed(e.into()))?;
    drop(text);
    // Already a leader (started by hand): then there is nothing to leave.
    let _ = rustix::process::setsid();
    let started = logging::start(orders.log.as_deref(), orders.debug).and_then(|log| start(&mut orders, log));
    match started {
        Ok(daemon) => {
            println!("ready");
            let _ = std::io::stdout().flush();
            hang_up();
            serve(daemon)
        }
        Err(failure) => {
            println!("{}", serde_json::to_string(&failure).unwrap_or_default());
            Err(failure)
        }
    }
}

/// Lets go of the pipes, so that whoever reads the starter's output sees its end.
fn hang_up() {
    if let Ok(null) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}
