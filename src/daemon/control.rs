//! The control socket: a line of JSON asks, lines of JSON answer, the last one with `ok` or `error`.
//!
//! Only root and the user who mounted are listened to; the socket's mode says so, and the peer's
//! credentials are looked at all the same.

use super::directory::CacheDir;
use super::life::Shared;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// No question is longer.
const QUESTION_MAX: u64 = 64 << 10;
/// How often progress is told.
const PROGRESS: Duration = Duration::from_millis(250);

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub(super) enum Question {
    /// Figures.
    Stat,
    /// Whether it is only sending what is left.
    Draining,
    /// Send all that is dirty, with progress.
    Flush,
    /// All to the local disk.
    Sync,
    /// Drop clean cached data.
    DropCache,
    /// Another limit, bytes.
    CacheSize { bytes: u64 },
    /// Another level of the log.
    LogLevel { level: String },
    /// Send everything, unmount, tell the end. `lazy`: also if it is busy.
    Unmount { lazy: bool },
    /// End at once; what is dirty stays in the cache.
    StopFast,
}

/// A path that fits a socket's address, however deep the directory is: through an open directory.
pub(super) fn short_path(directory: &CacheDir) -> std::io::Result<(std::fs::File, PathBuf)> {
    let dir = std::fs::File::open(directory.path())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/ctl", dir.as_raw_fd()));
    Ok((dir, path))
}

/// Starts to listen.
pub(super) fn serve(shared: &Arc<Shared>, directory: &CacheDir) -> std::io::Result<()> {
    let socket = directory.socket();
    match std::fs::remove_file(&socket) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let (_dir, short) = short_path(directory)?;
    let listener = UnixListener::bind(&short)?;
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
    let shared = Arc::clone(shared);
    let listen = move || {
        for stream in listener.incoming().flatten() {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                if let Err(error) = converse(&shared, &stream) {
                    tracing::debug!(%error, "a control connection ended early");
                }
            });
        }
    };
    std::thread::Builder::new().name("pail-control".to_owned()).spawn(listen).map(drop)
}

fn is_allowed(stream: &UnixStream) -> bool {
    rustix::net::sockopt::socket_peercred(stream)
        .is_ok_and(|peer| peer.uid.is_root() || peer.uid == rustix::process::geteuid())
}

fn tell(mut stream: &UnixStream, answer: &Value) -> std::io::Result<()> {
    stream.write_all(format!("{answer}\n").as_bytes())
}

fn tell_outcome(stream: &UnixStream, outcome: Result<(), String>) -> std::io::Result<()> {
    match outcome {
        Ok(()) => tell(stream, &json!({"ok": true})),
        Err(error) => tell(stream, &json!({"error": error})),
    }
}

fn converse(shared: &Arc<Shared>, stream: &UnixStream) -> std::io::Result<()> {
    if !is_allowed(stream) {
        return tell(stream, &json!({"error": "only root and the user who mounted may ask"}));
    }
    let mut line = String::new();
    BufReader::new(stream.take(QUESTION_MAX)).read_line(&mut line)?;
    let question: Question = match serde_json::from_str(&line) {
        Ok(question) => question,
        Err(e) => return tell(stream, &json!({"error": format!("not understood: {e}")})),
    };
    match question {
        Question::Stat => match shared.status() {
            Ok(status) => tell(stream, &json!({"ok": true, "status": status})),
            Err(e) => tell(stream, &json!({"error": e.to_string()})),
        },
        Question::Draining => tell(stream, &json!({"ok": shared.draining.load(Ordering::Relaxed)})),
        Question::Flush => {
            let flushed = with_progress(shared, stream, Shared::flush)?;
            tell_outcome(stream, flushed)
        }
        Question::Sync => tell_outcome(stream, shared.sync()),
        Question::DropCache => tell_outcome(stream, shared.cache.drop_clean().map_err(|e| e.to_string())),
        Question::CacheSize { bytes } => {
            shared.cache.set_limit(bytes);
            tell_outcome(stream, Ok(()))
        }
        Question::LogLevel { level } => {
            let known = (shared.set_level)(&level);
            tell_outcome(stream, if known { Ok(()) } else { Err(format!("no such level: {level}")) })
        }
        Question::Unmount { lazy } => unmount(shared, stream, lazy),
        Question::StopFast => {
            shared.begin_listening();
            shared.stop_fast();
            let told = tell_end(shared, stream);
            shared.end_listening();
            told
        }
    }
}

/// Does something that takes long on a thread of its own, and tells how far it is.
fn with_progress(
    shared: &Arc<Shared>,
    stream: &UnixStream,
    work: fn(&Shared) -> Result<(), String>,
) -> std::io::Result<Result<(), String>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let worker = Arc::clone(shared);
    std::thread::spawn(move || drop(sender.send(work(&worker))));
    loop {
        match receiver.recv_timeout(PROGRESS) {
            Ok(outcome) => return Ok(outcome),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                let p = shared.flow.progress();
                tell(stream, &json!({"dirty_bytes": p.dirty_bytes, "dirty_files": p.dirty_files}))?;
            }
            Err(e) => return Ok(Err(e.to_string())),
        }
    }
}

fn unmount(shared: &Arc<Shared>, stream: &UnixStream, lazy: bool) -> std::io::Result<()> {
    if let Err(error) = with_progress(shared, stream, Shared::flush)? {
        return tell(stream, &json!({"error": error}));
    }
    shared.begin_listening();
    let unmounted = match shared.mounted.unmount() {
        Ok(false) if lazy => shared.mounted.detach().map(|()| true),
        other => other,
    };
    let told = match unmounted {
        Ok(true) => tell_end(shared, stream),
        Ok(false) => tell(stream, &json!({"error": "it is busy", "busy": true})),
        Err(e) => tell(stream, &json!({"error": e.to_string()})),
    };
    shared.end_listening();
    told
}

fn tell_end(shared: &Shared, stream: &UnixStream) -> std::io::Result<()> {
    let ended = shared.wait_end();
    tell(stream, &json!({"ok": true, "left_files": ended.left_files, "left_bytes": ended.left_bytes}))
}
