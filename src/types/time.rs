//! Time as it is stored: signed nanoseconds since 1970, good for the years 1677 to 2262.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds since the epoch; negative before 1970. Out-of-range times are clamped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub i64);

impl Nanos {
    /// The wall clock's time.
    pub fn now() -> Nanos {
        SystemTime::now().into()
    }
}

impl From<SystemTime> for Nanos {
    fn from(t: SystemTime) -> Nanos {
        let clamp = |d: Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX);
        Nanos(match t.duration_since(UNIX_EPOCH) {
            Ok(after) => clamp(after),
            Err(before) => -clamp(before.duration()),
        })
    }
}

impl From<Nanos> for SystemTime {
    fn from(n: Nanos) -> SystemTime {
        let distance = Duration::from_nanos(n.0.unsigned_abs());
        match n.0 {
            0.. => UNIX_EPOCH + distance,
            _ => UNIX_EPOCH - distance,
        }
    }
}
