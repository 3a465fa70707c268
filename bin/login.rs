//! The storage URL, the authfile and the passphrase: what mkfs and mount ask for in the same way.

use crate::exit::{self, Failure};
use clap::Args;
use pail::daemon::authfile::{self, AuthEntry};
use pail::daemon::default_cache_dir;
use pail::store::StorageUrl;
use std::io::{BufRead, IsTerminal};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Options that several tools have.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// File with credentials and passphrases [default: ~/.pail/authinfo]
    #[arg(long, value_name = "FILE")]
    pub authfile: Option<PathBuf>,
    /// Directory for the cache and the metadata database [default: ~/.pail]
    #[arg(long, value_name = "DIR")]
    pub cachedir: Option<PathBuf>,
    /// Say less
    #[arg(long)]
    pub quiet: bool,
}

/// Reads a storage URL; a relative local path becomes absolute, because the daemon's directory is `/`.
pub fn storage_url(text: &str) -> Result<StorageUrl, Failure> {
    match StorageUrl::parse(text)? {
        StorageUrl::Local(path) => {
            let path = std::path::absolute(&path)
                .map_err(|e| Failure::new(exit::LOCATION, format!("{text}: {e}")))?;
            Ok(StorageUrl::Local(path))
        }
        other => Ok(other),
    }
}

/// What the authfile says of the URL; a missing default file says nothing.
pub fn auth_entry(common: &Common, url: &StorageUrl) -> Result<AuthEntry, Failure> {
    let path = common.authfile.clone().unwrap_or_else(|| default_cache_dir().join("authinfo"));
    let shown = path.display().to_string();
    let failed = |e: std::io::Error| Failure::new(exit::AUTHFILE, format!("authfile {shown}: {e}"));
    let meta = match std::fs::metadata(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && common.authfile.is_none() => {
            return Ok(AuthEntry::default());
        }
        other => other.map_err(failed)?,
    };
    if meta.mode() & 0o077 != 0 {
        let refused = Failure::new(exit::AUTHFILE, format!("authfile {shown} may be read by others"));
        return Err(refused.hint(format!("chmod 600 {shown}")));
    }
    let text = Zeroizing::new(std::fs::read_to_string(&path).map_err(failed)?);
    let bad = |e: authfile::BadAuthfile| Failure::new(exit::USAGE, format!("authfile {shown}, {e}"));
    authfile::lookup(&text, &url.to_string()).map_err(bad)
}

/// The cache directory, made absolute.
pub fn cache_dir(common: &Common, entry: &AuthEntry) -> Result<PathBuf, Failure> {
    let chosen = common.cachedir.clone().or_else(|| entry.cachedir.clone().map(PathBuf::from));
    let chosen = chosen.unwrap_or_else(default_cache_dir);
    std::path::absolute(&chosen)
        .map_err(|e| Failure::new(exit::CACHE_DIR, format!("{}: {e}", chosen.display())))
}

/// The passphrase: the authfile's, else a line of stdin when that is no terminal, else asked for (twice
/// when it is a new one). Only the line's end is stripped.
pub fn passphrase(entry: &AuthEntry, new: bool) -> Result<Zeroizing<String>, Failure> {
    if let Some(passphrase) = &entry.passphrase {
        return Ok(Zeroizing::new(passphrase.clone()));
    }
    let refuse = |what: &str| Failure::new(exit::PASSPHRASE, what.to_owned());
    let failed =
        |e: std::io::Error| Failure::new(exit::PASSPHRASE, format!("can't read the passphrase: {e}"));
    if !std::io::stdin().is_terminal() {
        let mut line = Zeroizing::new(String::new());
        std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
        let passphrase = Zeroizing::new(line.trim_end_matches(['\n', '\r']).to_owned());
        if passphrase.is_empty() {
            return Err(refuse("the passphrase on stdin is empty")
                .hint("echo the passphrase into it, or use the authfile"));
        }
        return Ok(passphrase);
    }
    let ask = |prompt: &str| rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(failed);
    let passphrase = ask(if new { "New passphrase: " } else { "Passphrase: " })?;
    if new && passphrase.is_empty() {
        return Err(refuse("the passphrase is empty").hint("--plain makes a file system without encryption"));
    }
    if new && *ask("The same again: ")? != *passphrase {
        return Err(refuse("the two passphrases differ"));
    }
    Ok(passphrase)
}

/// For messages.
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}
