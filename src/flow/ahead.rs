//! Read-ahead: a reader that goes on where it left off gets a window that doubles; a seek closes it.

use super::engine::Flow;
use crate::types::{ByteRange, Ino};
use parking_lot::Mutex;
use std::sync::Arc;

/// The window of a reader that has gone on once ...
const FIRST_WINDOW: u64 = 2 << 20;
/// ... and the widest.
const WIDEST_WINDOW: u64 = 32 << 20;
/// Of the cache's limit, one window is no more than this part.
const CACHE_PART: u64 = 8;
/// The kernel's own read-ahead asks out of order within such a distance.
const SLACK: u64 = 2 << 20;

/// A reader's position, for read-ahead: one for each open file.
#[derive(Debug, Default)]
pub struct Stream {
    state: Mutex<Position>,
}

#[derive(Debug, Default)]
struct Position {
    /// Where the next read would go on.
    next: u64,
    window: u64,
    /// Up to where it has been fetched ahead.
    ahead: u64,
}

impl Stream {
    /// Notes a read; what to fetch ahead now, if anything.
    fn note(&self, range: &ByteRange, widest: u64) -> Option<ByteRange> {
        let mut at = self.state.lock();
        let goes_on = range.start <= at.next + SLACK && range.end + SLACK >= at.next && at.next > 0;
        if !goes_on {
            *at = Position { next: range.end, window: 0, ahead: range.end };
            return None;
        }
        at.next = at.next.max(range.end);
        // Half a window is still ahead: enough for now.
        if at.ahead > at.next + at.window / 2 {
            return None;
        }
        at.window = (at.window * 2).clamp(FIRST_WINDOW, WIDEST_WINDOW).min(widest);
        let start = at.ahead.max(at.next);
        at.ahead = at.next + at.window;
        (start < at.ahead).then_some(start..at.ahead)
    }
}

impl Flow {
    /// Fetches ahead of a sequential reader, in the background; nobody waits for it and a failure is the
    /// reader's to find.
    pub(super) fn read_ahead(self: &Arc<Self>, ino: Ino, range: &ByteRange, stream: &Stream) {
        let widest = self.cache.stats().limit / CACHE_PART;
        let Some(next) = stream.note(range, widest) else { return };
        let Ok(permit) = Arc::clone(&self.ahead).try_acquire_owned() else { return };
        let flow = Arc::clone(self);
        self.spawn(async move {
            let _permit = permit;
            let _ = flow.bring(ino, next).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_widens_while_reads_go_on_and_closes_on_a_seek() {
        let stream = Stream::default();
        let block = 128 << 10;
        let (mut fetched_to, mut widest) = (0, 0);
        for i in 0..2000u64 {
            if let Some(next) = stream.note(&(i * block..(i + 1) * block), WIDEST_WINDOW) {
                assert!(fetched_to == 0 || next.start >= fetched_to, "nothing is asked for twice");
                widest = widest.max(next.end - next.start);
                fetched_to = next.end;
            }
        }
        assert!(fetched_to >= 2000 * block && widest >= WIDEST_WINDOW / 2);
        assert_eq!(stream.note(&(1..2), WIDEST_WINDOW), None);
        assert_eq!(stream.note(&((900 << 20)..(901 << 20)), WIDEST_WINDOW), None);
    }
}
