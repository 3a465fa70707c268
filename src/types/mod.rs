//! The newtypes that every room speaks: numbers that must not be mixed up, and byte ranges.
//!
//! Nothing here does I/O or knows a format; the fixed-width text forms of names are in `vault`.

mod fields;
mod ids;
mod rangeset;
mod sizes;
mod time;

pub use fields::FieldReader;
pub use ids::{ChunkId, Epoch, FsId, Ino, PackName, WriterId};
pub use rangeset::{ByteRange, RangeSet};
pub use sizes::ChunkSizes;
pub use time::Nanos;
