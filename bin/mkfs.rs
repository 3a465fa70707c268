//! mkfs.pail: makes a file system.

use crate::exit::{self, Failure};
use crate::login::{self, Common};
use crate::sizes;
use pail::seal::{Cipher, Compression};
use pail::store::{StorageUrl, open_store};
use pail::types::ChunkSizes;
use pail::vault::{Created, Parameters, Vault};
use zeroize::Zeroizing;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    /// A name for people
    #[arg(short = 'L', long, default_value = "")]
    pub label: String,
    /// No encryption
    #[arg(long)]
    pub plain: bool,
    /// Delete whatever is there
    #[arg(long)]
    pub force: bool,
    /// What cuts aim at: 4K to 4M
    #[arg(long, alias = "data-block-size", value_name = "SIZE", default_value = "1M", value_parser = sizes::size)]
    pub chunk_size: u64,
    /// What pack objects aim at: 64K to 1G
    #[arg(long, value_name = "SIZE", default_value = "16M", value_parser = sizes::size)]
    pub pack_size: u64,
    /// none, zstd or zstd-1 to zstd-19: the default of mounts
    #[arg(long, default_value = "zstd")]
    pub compress: String,
    /// Where to make it: local:///path
    #[arg(value_name = "STORAGE-URL")]
    pub url: String,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let url = login::storage_url(&args.url)?;
    let entry = login::auth_entry(&args.common, &url)?;
    let usage = |what: String| Failure::new(exit::USAGE, what);
    let (compression, said) = sizes::compression(&args.compress).map_err(usage)?;
    said.iter().for_each(|line| eprintln!("mkfs.pail: {line}"));
    let chunk_sizes = u32::try_from(args.chunk_size).ok().and_then(ChunkSizes::around);
    let chunk_sizes = chunk_sizes.ok_or_else(|| usage("--chunk-size is 4K to 4M".to_owned()))?;
    let pack_size =
        u32::try_from(args.pack_size).map_err(|_| usage("--pack-size is 64K to 1G".to_owned()))?;
    let parameters = Parameters {
        label: args.label.clone(),
        cipher: if args.plain { Cipher::Plain } else { Cipher::XChaCha20Poly1305 },
        chunk_sizes,
        pack_size,
        compression,
    };
    let passphrase = if args.plain { None } else { Some(login::passphrase(&entry, true)?) };
    let made = make(&url, parameters, passphrase, args.force)?;
    if !args.common.quiet {
        let how = if args.plain { "not encrypted" } else { "encrypted" };
        println!("Made a file system at {url} ({how}). Mount it with: mount.pail {url} DIR");
    }
    if let Some(key) = made.recovery_key {
        println!();
        println!("Its recovery key opens it when the passphrase is lost. It is shown only this once:");
        println!("write it down and keep it apart from this machine.");
        println!();
        println!("    {}", *key);
        println!();
    }
    Ok(())
}

/// The library's call, for the demo too.
pub fn make(
    url: &StorageUrl,
    parameters: Parameters,
    passphrase: Option<Zeroizing<String>>,
    force: bool,
) -> Result<Created, Failure> {
    let store = open_store(url, true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|e| Failure::new(exit::UNEXPECTED, format!("can't start: {e}")))?;
    Ok(runtime.block_on(Vault::create(store, parameters, passphrase, force))?)
}

/// What mkfs does when it is told nothing.
pub fn default_parameters(label: &str) -> Parameters {
    Parameters {
        label: label.to_owned(),
        cipher: Cipher::XChaCha20Poly1305,
        chunk_sizes: ChunkSizes::DEFAULT,
        pack_size: 16 << 20,
        compression: Compression::Zstd(3),
    }
}
