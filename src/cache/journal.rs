//! The journal: segments `journal/<number>` of which the newest is the live one.
//!
//! Why each step is safe: a record is written with one write(2) at the known end, so that it survives the
//! daemon's death; a torn or failed write is cut off before the next one. A new segment is written whole
//! under a temporary name, synced, renamed and its directory synced before the old one is removed: at
//! every moment the newest whole segment is a complete journal.

use super::files::{io_error, sync_dir};
use super::record::{BadHeader, FLAG_CLEAN, HEADER, Header, RECORD, Record};
use super::{BootId, CacheError};
use parking_lot::Mutex;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A live segment longer than this is replaced when the cache is next at rest.
pub(super) const ROTATE_AT: u64 = 64 << 20;
const TEMPORARY: &str = "new";

/// What records can be added to.
pub(super) trait Append {
    fn append(&mut self, record: Record) -> Result<(), CacheError>;
}

/// A position in the journal, for `Synced` records and for knowing what is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub segment: u64,
    pub records: u64,
}

#[derive(Debug)]
struct Segment {
    file: std::sync::Arc<File>,
    path: PathBuf,
    salt: [u8; 16],
    at: Position,
}

#[derive(Debug)]
pub(super) struct Journal {
    dir: PathBuf,
    boot: BootId,
    live: Mutex<Segment>,
    /// Everything before this is on the disk. Held while syncing, so that callers share a sync.
    synced: Mutex<Position>,
}

/// What a segment held.
pub(super) struct Replay {
    pub header: Header,
    pub records: Vec<Record>,
}

/// Segment numbers in `dir`, newest first.
fn numbers(dir: &Path) -> Result<Vec<u64>, CacheError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| io_error(dir, e))? {
        let name = entry.map_err(|e| io_error(dir, e))?.file_name();
        found.extend(name.to_str().and_then(|n| n.parse::<u64>().ok()));
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Reads the newest segment that has a whole header; its records end where one is torn.
pub(super) fn read_newest(dir: &Path) -> Result<Option<Replay>, CacheError> {
    for number in numbers(dir)? {
        let path = dir.join(number.to_string());
        let bytes = std::fs::read(&path).map_err(|e| io_error(&path, e))?;
        let header = match Header::parse(&bytes) {
            Ok(header) => header,
            Err(BadHeader::TooNew(version)) => {
                let reason =
                    format!("it has version {version}; this program knows up to {}", super::record::VERSION);
                return Err(CacheError::Journal { path: path.display().to_string(), reason });
            }
            Err(BadHeader::Damaged) => {
                tracing::error!(path = %path.display(), "a journal segment is damaged; an older one is looked for");
                continue;
            }
        };
        let body = bytes.get(HEADER..).unwrap_or_default();
        let records = body.chunks_exact(RECORD).map_while(|r| Record::parse(r, &header.salt)).collect();
        return Ok(Some(Replay { header, records }));
    }
    Ok(None)
}

/// A segment in the making.
struct NewSegment {
    out: BufWriter<File>,
    salt: [u8; 16],
    records: u64,
    path: PathBuf,
}

impl Append for NewSegment {
    fn append(&mut self, record: Record) -> Result<(), CacheError> {
        self.out.write_all(&record.to_bytes(&self.salt)).map_err(|e| io_error(&self.path, e))?;
        self.records += 1;
        Ok(())
    }
}

impl Journal {
    /// Starts a journal after what is in `dir`, with the records that `fill` writes.
    pub fn start(
        dir: &Path,
        boot: BootId,
        fill: impl FnOnce(&mut dyn Append) -> Result<(), CacheError>,
    ) -> Result<Journal, CacheError> {
        let number = numbers(dir)?.first().map_or(1, |n| n + 1);
        let segment = write_segment(dir, boot, number, 0, fill)?;
        let synced = Mutex::new(segment.at);
        Ok(Journal { dir: dir.to_owned(), boot, live: Mutex::new(segment), synced })
    }

    /// Replaces the live segment by one with the records that `fill` writes. The caller sees to it that
    /// nothing is appended meanwhile, and that all data that the records vouch for is synced.
    pub fn rotate(
        &self,
        clean: bool,
        fill: impl FnOnce(&mut dyn Append) -> Result<(), CacheError>,
    ) -> Result<(), CacheError> {
        let number = self.live.lock().at.segment + 1;
        let flags = if clean { FLAG_CLEAN } else { 0 };
        let segment = write_segment(&self.dir, self.boot, number, flags, fill)?;
        let mut synced = self.synced.lock();
        *synced = segment.at;
        *self.live.lock() = segment;
        Ok(())
    }

    /// Adds a record; when this returns it survives the daemon's death.
    pub fn append(&self, record: Record) -> Result<(), CacheError> {
        let mut live = self.live.lock();
        let at = HEADER as u64 + live.at.records * RECORD as u64;
        let bytes = record.to_bytes(&live.salt);
        if let Err(e) = live.file.write_all_at(&bytes, at) {
            // What was written of it is torn, and the next record goes over it.
            return Err(io_error(&live.path, e));
        }
        live.at.records += 1;
        Ok(())
    }

    /// Where the next record goes.
    pub fn position(&self) -> Position {
        self.live.lock().at
    }

    pub fn is_long(&self) -> bool {
        self.live.lock().at.records * RECORD as u64 > ROTATE_AT
    }

    /// Makes everything before now durable; callers at the same time share a sync.
    pub fn sync(&self) -> Result<(), CacheError> {
        let want = self.position();
        let mut synced = self.synced.lock();
        if *synced >= want {
            return Ok(());
        }
        let (file, path, at) = {
            let live = self.live.lock();
            (std::sync::Arc::clone(&live.file), live.path.clone(), live.at)
        };
        file.sync_data().map_err(|e| io_error(&path, e))?;
        *synced = at;
        Ok(())
    }
}

fn write_segment(
    dir: &Path,
    boot: BootId,
    number: u64,
    flags: u32,
    fill: impl FnOnce(&mut dyn Append) -> Result<(), CacheError>,
) -> Result<Segment, CacheError> {
    let (temporary, path) = (dir.join(TEMPORARY), dir.join(number.to_string()));
    let fail = |e: std::io::Error| io_error(&path, e);
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|e| fail(std::io::Error::other(e.to_string())))?;
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary).map_err(fail)?;
    let mut new =
        NewSegment { out: BufWriter::with_capacity(1 << 20, file), salt, records: 0, path: path.clone() };
    new.out.write_all(&Header { flags, boot, salt }.to_bytes()).map_err(fail)?;
    fill(&mut new)?;
    let records = new.records;
    let file = new.out.into_inner().map_err(|e| fail(e.into_error()))?;
    file.sync_all().map_err(fail)?;
    std::fs::rename(&temporary, &path).map_err(fail)?;
    sync_dir(dir)?;
    for old in numbers(dir)?.into_iter().filter(|n| *n < number) {
        let old = dir.join(old.to_string());
        std::fs::remove_file(&old).map_err(|e| io_error(&old, e))?;
    }
    Ok(Segment { file: file.into(), path, salt, at: Position { segment: number, records } })
}
