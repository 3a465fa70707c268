//! The other side of the control socket, for the tools. The mount itself is never touched: it may be dead
//! or wait for the store.

use super::control::{Question, short_path};
use super::directory::{CacheDir, find_registered};
use super::status::Status;
use crate::fuse::mountinfo;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Why a daemon did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nothing of ours is mounted there.
    #[error("no Pail file system is mounted at {0}")]
    NotMounted(String),
    /// It is mounted but does not answer.
    #[error("the daemon of {path} does not answer: {source}")]
    NoAnswer {
        /// The mount point.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It is in use.
    #[error("{0} is in use")]
    Busy(String),
    /// It said no, and why.
    #[error("{0}")]
    Refused(String),
}

/// Bytes and files that are still to be sent.
pub type OnProgress<'a> = &'a mut dyn FnMut(u64, u64);

/// A mount's daemon.
#[derive(Debug)]
pub struct Client {
    shown: String,
    directory: CacheDir,
}

impl Client {
    /// The daemon of the mount at `path`.
    pub fn of(path: &Path) -> Result<Client, AskError> {
        let shown = path.display().to_string();
        let mounted = mountinfo::find(path).ok().flatten();
        let mounted = mounted.filter(|m| m.fs_type == "fuse.pail");
        let mounted = mounted.ok_or_else(|| AskError::NotMounted(shown.clone()))?;
        let directory = find_registered(&mounted.device);
        let directory = directory.map_err(|source| AskError::NoAnswer { path: shown.clone(), source })?;
        Ok(Client { shown, directory: CacheDir::existing(directory) })
    }

    fn ask(&self, question: &Question, progress: OnProgress<'_>) -> Result<Value, AskError> {
        let failed = |source| AskError::NoAnswer { path: self.shown.clone(), source };
        let (_dir, short) = short_path(&self.directory).map_err(failed)?;
        let mut stream = UnixStream::connect(short).map_err(failed)?;
        let line = serde_json::to_string(question).map_err(|e| failed(e.into()))?;
        stream.write_all(format!("{line}\n").as_bytes()).map_err(failed)?;
        for line in BufReader::new(&stream).lines() {
            let answer: Value = serde_json::from_str(&line.map_err(failed)?).map_err(|e| failed(e.into()))?;
            if answer.get("busy").is_some() {
                return Err(AskError::Busy(self.shown.clone()));
            }
            if let Some(error) = answer.get("error").and_then(Value::as_str) {
                return Err(AskError::Refused(format!("{}: {error}", self.shown)));
            }
            if answer.get("ok").is_some() {
                return Ok(answer);
            }
            let figure = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
            progress(figure("dirty_bytes"), figure("dirty_files"));
        }
        Err(failed(std::io::ErrorKind::UnexpectedEof.into()))
    }

    fn tell(&self, question: &Question) -> Result<(), AskError> {
        self.ask(question, &mut |_, _| {}).map(drop)
    }

    /// Figures.
    pub fn status(&self) -> Result<Status, AskError> {
        let answer = self.ask(&Question::Stat, &mut |_, _| {})?;
        let status = answer.get("status").cloned().unwrap_or_default();
        serde_json::from_value(status).map_err(|e| AskError::Refused(format!("not understood: {e}")))
    }

    /// Sends everything that is dirty.
    pub fn flush(&self, progress: OnProgress<'_>) -> Result<(), AskError> {
        self.ask(&Question::Flush, progress).map(drop)
    }

    /// Everything to the local disk.
    pub fn sync(&self) -> Result<(), AskError> {
        self.tell(&Question::Sync)
    }

    /// Drops clean cached data.
    pub fn drop_cache(&self) -> Result<(), AskError> {
        self.tell(&Question::DropCache)
    }

    /// Another limit of the cache.
    pub fn set_cache_size(&self, bytes: u64) -> Result<(), AskError> {
        self.tell(&Question::CacheSize { bytes })
    }

    /// Another level of the log.
    pub fn set_log_level(&self, level: &str) -> Result<(), AskError> {
        self.tell(&Question::LogLevel { level: level.to_owned() })
    }

    /// The same for a daemon in this very process: its lock goes later.
    pub fn unmount_here(&self, progress: OnProgress<'_>) -> Result<(), AskError> {
        self.ask(&Question::Unmount { lazy: false }, progress).map(drop)
    }

    /// Sends everything, unmounts, and returns when the daemon has ended: bytes that are left in the cache.
    pub fn unmount(&self, lazy: bool, progress: OnProgress<'_>) -> Result<u64, AskError> {
        let answer = self.ask(&Question::Unmount { lazy }, progress)?;
        // The lock goes with the process: then everything of it is over.
        let _ = self.directory.wait_unlocked();
        Ok(answer.get("left_bytes").and_then(Value::as_u64).unwrap_or(0))
    }
}

/// A daemon that has this directory and only sends what is left is told to stop; whether it was.
pub(super) fn tell_draining_to_stop(directory: &CacheDir) -> bool {
    let directory = CacheDir::existing(directory.path().to_owned());
    let client = Client { shown: directory.path().display().to_string(), directory };
    let draining = client.ask(&Question::Draining, &mut |_, _| {});
    let draining = draining.is_ok_and(|a| a.get("ok").and_then(Value::as_bool) == Some(true));
    draining && client.tell(&Question::StopFast).is_ok()
}
