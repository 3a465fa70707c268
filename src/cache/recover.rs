//! Opening: what the journal says, less what can't be believed, less what is stored.
//!
//! - Same boot, or a clean stop: every record is believed.
//! - Otherwise of each inode only records before the index that its last `Synced` record names; nothing
//!   clean is believed, and the files in clean/ go.
//! - A change of a generation that the metadata has stored is no longer newer than the store: its data is
//!   clean. Metadata is the one authority for that; the journal does not say it.

use super::entry::State;
use super::files::{Files, Place, io_error, make_dir};
use super::journal::{Journal, read_newest};
use super::overlay::Overlay;
use super::record::{FLAG_CLEAN, Kind, Record};
use super::room::{Cache, Shared, write_state};
use super::{BootId, CacheError, Recovery, StoredState};
use crate::types::{Ino, Nanos, RangeSet};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// An inode as its records make it.
#[derive(Default)]
struct Found {
    present: RangeSet,
    over: Option<Overlay>,
    /// Whether anything is newer than the store.
    newer: bool,
}

impl Found {
    fn apply(&mut self, record: &Record, flushed: u64) {
        let range = record.a..record.b;
        let (t1, t2) = (Nanos(record.t1), Nanos(record.t2));
        match record.kind {
            Kind::Present => return self.present.insert(range),
            Kind::Absent => return self.present.remove(range),
            Kind::Synced | Kind::Forget => return,
            Kind::Begin => {
                let over = self.over.get_or_insert_with(|| Overlay::new(record.a, t1, t2, record.generation));
                (over.size, over.mtime, over.ctime) = (record.a, t1, t2);
                over.generation = over.generation.max(record.generation);
                return;
            }
            Kind::Data | Kind::Truncate | Kind::Zero | Kind::Times => {}
        }
        let Some(over) = &mut self.over else { return };
        over.generation = over.generation.max(record.generation);
        let stored = record.generation <= flushed;
        self.newer |= !stored;
        let zeroed = match record.kind {
            Kind::Truncate => record.a..u64::MAX,
            _ => range.clone(),
        };
        match record.kind {
            Kind::Times => (over.mtime, over.ctime) = (t1, t2),
            Kind::Data => {
                over.write(range.clone(), t1);
                if stored {
                    over.all.data.remove(range.clone());
                    self.present.insert(range);
                } else {
                    self.present.remove(range);
                }
            }
            _ => {
                over.punch(zeroed.clone(), t1);
                if record.kind == Kind::Truncate {
                    over.size = record.a;
                }
                if stored {
                    over.all.zero.remove(zeroed.clone());
                }
                self.present.remove(zeroed);
            }
        }
    }
}

/// Records that are believed, in order.
fn believed(records: &[Record], all: bool) -> Vec<&Record> {
    if all {
        return records.iter().collect();
    }
    let mut synced: HashMap<Ino, u64> = HashMap::new();
    for (index, record) in (0u64..).zip(records) {
        match record.kind {
            // Its own place bounds what it can vouch for, whatever it says.
            Kind::Synced => drop(synced.insert(record.ino, record.a.min(index))),
            // Removed for good: what was synced before is not wanted any more.
            Kind::Forget => {}
            _ => {}
        }
    }
    let upto = |r: &Record| synced.get(&r.ino).copied().unwrap_or(0);
    (0u64..).zip(records).filter(|(i, r)| *i < upto(r) || r.kind == Kind::Forget).map(|(_, r)| r).collect()
}

impl Cache {
    /// Opens or makes the cache in `dir` and recovers. `stored` is asked once for each inode that the
    /// journal knows; what it calls stored is not kept, so the metadata that it answers from must be synced.
    /// The time depends on the journal, not on the files' sizes.
    pub fn open(
        dir: &Path,
        limit: u64,
        boot: BootId,
        stored: &dyn Fn(Ino) -> StoredState,
    ) -> Result<(Arc<Cache>, Recovery), CacheError> {
        let files = Files::new(dir);
        let journal_dir = dir.join("journal");
        make_dir(&journal_dir)?;
        files.make_folders()?;
        let replay = read_newest(&journal_dir)?;
        let clean_stop = replay.as_ref().is_some_and(|r| r.header.flags & FLAG_CLEAN != 0);
        let rebooted = replay.as_ref().is_some_and(|r| r.header.boot != boot) && !clean_stop;
        let records = replay.map(|r| r.records).unwrap_or_default();

        let mut flushed: HashMap<Ino, StoredState> = HashMap::new();
        let mut found: HashMap<Ino, Found> = HashMap::new();
        for record in believed(&records, !rebooted) {
            if record.kind == Kind::Forget {
                found.remove(&record.ino);
                continue;
            }
            if let StoredState::Flushed(generation) =
                *flushed.entry(record.ino).or_insert_with(|| stored(record.ino))
            {
                found.entry(record.ino).or_default().apply(record, generation);
            }
        }
        if rebooted {
            tracing::warn!(
                "the machine stopped without notice: synced data is kept, clean cached data is dropped"
            );
            files.list(Place::Clean)?.into_iter().try_for_each(|ino| files.remove(Place::Clean, ino))?;
            found.values_mut().for_each(|f| f.present = RangeSet::new());
        }
        let mut recovery = Recovery { rebooted, ..Recovery::default() };
        let mut states = Vec::with_capacity(found.len());
        for (ino, found) in found {
            states.extend(settle(&files, ino, found, &mut recovery)?.map(|state| (ino, state)));
        }
        files.sync_everything()?;
        let journal = Journal::start(&journal_dir, boot, |journal| {
            states.iter().try_for_each(|(ino, state)| write_state(*ino, state, journal))
        })?;
        let shared = Arc::new(Shared::new(files, journal, limit));
        let known: HashSet<Ino> = states.iter().map(|(ino, _)| *ino).collect();
        for (ino, state) in states {
            shared.insert(ino, state);
        }
        remove_unknown(&shared, &known)?;
        recovery.dirty.sort_unstable();
        Ok((Arc::new(Cache { shared }), recovery))
    }
}

/// Fits an inode's state to what lies on the disk.
fn settle(
    files: &Files,
    ino: Ino,
    found: Found,
    recovery: &mut Recovery,
) -> Result<Option<State>, CacheError> {
    let over = found.over.filter(|_| found.newer).map(|over| Overlay { changed_since: false, ..over });
    // A disk that fails is not a file that is missing: nothing is dropped on its word.
    let len = |place| match std::fs::metadata(files.path(place, ino)) {
        Ok(meta) => Ok(Some(meta.len())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io_error(&files.path(place, ino), e)),
    };
    let Some(over) = over else {
        if found.present.is_empty() {
            return Ok(None);
        }
        // The daemon died between the last record of a flush and the move.
        if files.path(Place::Dirty, ino).exists() {
            files.rename(ino, Place::Dirty, Place::Clean)?;
        }
        return Ok(Some(State { present: found.present, exists: true, ..State::empty() }));
    };
    let (dirty, clean) = (len(Place::Dirty)?, len(Place::Clean)?);
    let place = if dirty.is_none() && clean.is_some() { Place::Clean } else { Place::Dirty };
    let size = dirty.or(clean);
    let needed = over.all.data.iter().next_back().map_or(0, |r| r.end);
    if needed > size.unwrap_or(0) {
        recovery.lost.push(ino);
        return Ok(None);
    }
    if place == Place::Clean {
        files.rename(ino, Place::Clean, Place::Dirty)?;
    }
    recovery.dirty.push(ino);
    let exists = size.is_some();
    let present = if exists { found.present } else { RangeSet::new() };
    Ok(Some(State { present, over: Some(over), place: Place::Dirty, exists, slack: true, ..State::empty() }))
}

/// Files that the journal does not know are nobody's.
fn remove_unknown(shared: &Shared, known: &HashSet<Ino>) -> Result<(), CacheError> {
    for place in [Place::Dirty, Place::Clean] {
        for ino in shared.files.list(place)?.into_iter().filter(|ino| !known.contains(ino)) {
            shared.files.remove(place, ino)?;
        }
    }
    Ok(())
}
