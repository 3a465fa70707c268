//! One program under many names: `mkfs.pail`, `mount.pail`, `umount.pail`, `pailctl`, `pailstat` by the name
//! it is called by, or `pail mkfs ...`. Arguments in, a library call, messages and an exit code out.

mod ctl;
mod demo;
mod exit;
mod logging;
mod login;
mod mkfs;
mod mount;
mod progress;
mod sizes;
mod stat;
mod umount;

use clap::{Parser, Subcommand};
use exit::Failure;
use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

#[derive(Parser)]
#[command(name = "pail", version, about = "A POSIX file system in an object store")]
struct Cli {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Subcommand)]
enum Tool {
    /// Make a file system (mkfs.pail)
    Mkfs(mkfs::Args),
    /// Mount a file system (mount.pail)
    Mount(mount::Args),
    /// Send everything to the store and unmount (umount.pail)
    Umount(umount::Args),
    /// Ask a mount to do something (pailctl)
    Ctl(ctl::Args),
    /// Show a mount's figures (pailstat)
    Stat(stat::Args),
    /// Try it out: make a file system in ./pail-demo, mount it, show what happens
    Demo(demo::Args),
    /// Make links in DIR by which each tool has its own name
    Links {
        /// The directory, /usr/local/sbin for one
        dir: PathBuf,
    },
    /// What `mount` starts in the background.
    #[command(hide = true)]
    MountDaemon(mount::DaemonArgs),
}

/// Names that the program goes by, and the tool that each is.
const NAMES: [(&str, &str); 5] = [
    ("mkfs.pail", "mkfs"),
    ("mount.pail", "mount"),
    ("umount.pail", "umount"),
    ("pailctl", "ctl"),
    ("pailstat", "stat"),
];

fn arguments() -> Vec<OsString> {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    let called =
        args.first().map(Path::new).and_then(Path::file_name).and_then(|n| n.to_str()).unwrap_or_default();
    if let Some((_, tool)) = NAMES.iter().find(|(name, _)| *name == called) {
        args.insert(1, OsString::from(tool));
    }
    args
}

fn main() {
    let cli = Cli::parse_from(arguments());
    let (tool, done) = match cli.tool {
        Tool::Mkfs(args) => ("mkfs.pail", mkfs::run(&args)),
        Tool::Mount(args) => ("mount.pail", mount::run(&args)),
        Tool::MountDaemon(args) => ("mount.pail", mount::run_daemon(&args)),
        Tool::Umount(args) => ("umount.pail", umount::run(&args)),
        Tool::Ctl(args) => ("pailctl", ctl::run(&args)),
        Tool::Stat(args) => ("pailstat", stat::run(&args)),
        Tool::Demo(args) => ("pail demo", demo::run(&args)),
        Tool::Links { dir } => ("pail links", links(&dir)),
    };
    if let Err(failure) = done {
        failure.tell(tool);
        std::process::exit(failure.code);
    }
}

fn links(dir: &Path) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::new(exit::UNEXPECTED, format!("{}: {e}", dir.display()));
    let program = std::env::current_exe().map_err(failed)?;
    for (name, _) in NAMES {
        let link = dir.join(name);
        if link.is_symlink() {
            std::fs::remove_file(&link).map_err(failed)?;
        }
        symlink(&program, &link).map_err(failed)?;
        println!("{} -> {}", link.display(), program.display());
    }
    Ok(())
}
