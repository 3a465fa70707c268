//! Sizes, times and compressions as people write them.

use pail::seal::Compression;
use std::time::Duration;

const DEFAULT_LEVEL: i32 = 3;

/// `30G`, `512K`, `16MiB`; a plain number counts KiB, as in S3QL.
pub fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = (digits.trim(), text[digits.len()..].to_ascii_lowercase());
    let number: u64 =
        number.parse().map_err(|_| format!("{text:?} is no size: use 30G, 512M or a number of KiB"))?;
    let shift = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "" if unit.is_empty() => 10,
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(format!("{text:?} is no size: units are K, M, G, T")),
    };
    number.checked_mul(1 << shift).filter(|n| *n < 1 << 60).ok_or_else(|| format!("{text:?} is too large"))
}

/// Seconds, also with a fraction.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 =
        text.trim_end_matches('s').parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    Duration::try_from_secs_f64(number).map_err(|_| format!("{text:?} is no number of seconds"))
}

/// `none`, `zstd`, `zstd-9`, and S3QL's forms, which become zstd's levels: with what to say about it.
pub fn compression(text: &str) -> Result<(Compression, Option<String>), String> {
    let (name, level) = match text.split_once('-') {
        Some((name, level)) => {
            (name, Some(level.parse::<i32>().map_err(|_| format!("{text:?}: no such level"))?))
        }
        None => (text, None),
    };
    match (name, level) {
        ("none", None) => Ok((Compression::None, None)),
        ("zstd", level) => match level.unwrap_or(DEFAULT_LEVEL) {
            level @ 1..=19 => Ok((Compression::Zstd(level), None)),
            _ => Err(format!("{text:?}: zstd's levels are 1 to 19")),
        },
        ("lzma" | "bzip2" | "zlib", level) => {
            // S3QL's 0..9, default 6: zlib is fast, lzma is thorough.
            let base = if name == "zlib" { 0 } else { 6 };
            let level = (base + level.unwrap_or(6).clamp(0, 9)).clamp(1, 19);
            Ok((Compression::Zstd(level), Some(format!("{text} is S3QL's; zstd-{level} is used instead"))))
        }
        _ => Err(format!("{text:?} is no compression: none, zstd or zstd-1 to zstd-19")),
    }
}

/// For people.
pub fn show(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} bytes"),
        _ => format!("{value:.2} {}", UNITS[unit]), // proof: the loop keeps it below the length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(size("30000000"), Ok(30_000_000 << 10));
        assert_eq!(size("30G"), Ok(30 << 30));
        assert_eq!(size("16MiB"), Ok(16 << 20));
        assert_eq!(size("100b"), Ok(100));
        for bad in ["", "G", "1X", "-3", "99999999T"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn compressions_are_zstd_or_become_it() {
        assert_eq!(compression("none"), Ok((Compression::None, None)));
        assert_eq!(compression("zstd-9"), Ok((Compression::Zstd(9), None)));
        let (lzma, said) = compression("lzma-6").expect("S3QL's");
        assert!(matches!(lzma, Compression::Zstd(12)) && said.is_some());
        for bad in ["zstd-0", "zstd-20", "gzip", "zstd-x"] {
            assert!(compression(bad).is_err(), "{bad}");
        }
    }
}
