//! The house, read from its sources: who imports what, and what no file may have.
//!
//! The table is design.md's. Every violation is printed at once, with its place and what to do.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A room and what it may import (`types` always).
const ROOMS: [(&str, &[&str]); 11] = [
    ("types", &[]),
    ("store", &[]),
    ("seal", &[]),
    ("vault", &["store", "seal"]),
    ("chunk", &[]),
    ("pack", &["vault", "chunk"]),
    ("meta", &[]),
    ("cache", &[]),
    ("flow", &["cache", "meta", "pack", "chunk", "vault", "store", "seal"]),
    ("fs", &["meta", "cache", "flow"]),
    ("fuse", &["fs", "cache", "meta", "flow", "store", "vault"]),
];

/// Crates that only one room speaks.
const SPOKEN: [(&str, &str); 3] =
    [("rusqlite", "src/meta/"), ("fuser", "src/fuse/"), ("aws_", "src/store/s3")];

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

/// Longer than they should be, and why.
const LONG_FILES: [(&str, &str); 1] = [(
    "src/fuse/adapter.rs",
    "one short method for each request of fuser's trait: splitting a trait's impl is not possible",
)];
const LONG_FUNCTIONS: [(&str, &str); 0] = [];

/// How much is above a proof comment's line at most.
const PROOF_ABOVE: usize = 3;

struct Source {
    path: String,
    /// Without test modules; line numbers kept.
    lines: Vec<String>,
    is_test: bool,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for top in ["src", "bin"] {
        walk(&root.join(top), &mut found);
    }
    found.sort();
    found
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).expect("a source");
            let path = path.strip_prefix(root).expect("below the root").display().to_string();
            let is_test =
                path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("conformance.rs");
            Source { lines: without_tests(&text), path, is_test }
        })
        .collect()
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Lines of a file; those of `#[cfg(test)] mod tests { ... }` are made empty.
fn without_tests(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let start =
        lines.windows(2).position(|w| w[0].trim() == "#[cfg(test)]" && w[1].trim_end().ends_with('{'));
    if let Some(start) = start {
        lines[start..].iter_mut().for_each(String::clear);
    }
    lines
}

/// Rooms that a line names: `crate::room`, `crate::{room, ...}` or `pail::room`.
fn rooms_in(line: &str) -> BTreeSet<String> {
    let code = line.split("//").next().unwrap_or_default();
    let mut found = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        let names = part.strip_prefix('{').map_or(part, |list| list.split('}').next().unwrap_or_default());
        let count = if part.starts_with('{') { usize::MAX } else { 1 };
        for name in names.split(',').take(count) {
            let name = name.trim().split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next();
            found.extend(
                name.filter(|n| ROOMS.iter().any(|(room, _)| room == n) || *n == "daemon").map(str::to_owned),
            );
        }
    }
    found
}

fn room_of(path: &str) -> Option<&str> {
    path.strip_prefix("src/")?.split_once('/').map(|(room, _)| room)
}

fn imports(source: &Source, out: &mut Vec<String>) {
    let Some(room) = room_of(&source.path) else { return };
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else { return };
    for (number, line) in (1..).zip(&source.lines) {
        for named in rooms_in(line) {
            if named != room && named != "types" && !allowed.contains(&named.as_str()) {
                out.push(format!("{}:{number}: {room} may not import {named} (docs/design.md)", source.path));
            }
        }
    }
}

fn spoken(source: &Source, out: &mut Vec<String>) {
    for (number, line) in (1..).zip(&source.lines) {
        let code = line.split("//").next().unwrap_or_default();
        for (name, home) in SPOKEN {
            let word = |w: &str| w.starts_with(name) && (name.ends_with('_') || w == name);
            let named = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(word);
            if named && !source.path.starts_with(home) {
                out.push(format!("{}:{number}: only {home} speaks {name}", source.path));
            }
        }
    }
}

fn habits(source: &Source, out: &mut Vec<String>) {
    if !source.lines.first().is_some_and(|l| l.starts_with("//!")) {
        out.push(format!(
            "{}:1: say in a few `//!` lines what the file is for and what holds in it",
            source.path
        ));
    }
    let stem = Path::new(&source.path).file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    if ["utils", "util", "misc", "common", "helpers"].contains(&stem) {
        out.push(format!("{}: name the file by its subject", source.path));
    }
    for (at, line) in source.lines.iter().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let place = format!("{}:{}", source.path, at + 1);
        let panics = [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!(", "unreachable!("];
        let proven = source.lines[at.saturating_sub(PROOF_ABOVE)..=at].iter().any(|l| l.contains("proof:"));
        if !proven && panics.iter().any(|p| code.contains(p)) {
            out.push(format!(
                "{place}: handle it, or prove beside it (`// proof: ...`) that it can't happen"
            ));
        }
        let prints = ["println!(", "eprintln!(", "print!(", "dbg!("];
        if source.path.starts_with("src/") && prints.iter().any(|p| code.contains(p)) {
            out.push(format!("{place}: only bin/ prints; log through tracing"));
        }
        if code.trim_start().starts_with("use ") && code.contains("::*") {
            out.push(format!("{place}: name what is imported"));
        }
    }
}

fn lengths(source: &Source, out: &mut Vec<String>) {
    let code = source.lines.iter().rposition(|l| !l.is_empty()).map_or(0, |at| at + 1);
    if code > FILE_LINES && !LONG_FILES.iter().any(|(path, _)| *path == source.path) {
        out.push(format!("{}: {code} lines; something in it wants its own place", source.path));
    }
    let mut start: Option<(usize, usize, String)> = None;
    for (at, line) in source.lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let text = line.trim_start();
        let is_fn =
            ["fn ", "pub fn ", "async fn ", "pub async fn ", "pub(super) fn ", "pub(super) async fn "];
        if is_fn.iter().any(|f| text.starts_with(f)) && start.is_none() {
            let name = text.split("fn ").nth(1).and_then(|t| t.split(['(', '<']).next()).unwrap_or_default();
            start = Some((at, indent, name.to_owned()));
        }
        let Some((from, depth, name)) = &start else { continue };
        if indent == *depth && (text == "}" || text.ends_with(';') && at > *from || text.ends_with('}')) {
            let long = at - from + 1;
            if long > FUNCTION_LINES && !LONG_FUNCTIONS.iter().any(|(allowed, _)| allowed == name) {
                out.push(format!("{}:{}: {name} has {long} lines; split it", source.path, from + 1));
            }
            start = None;
        }
    }
}

#[test]
fn the_house_is_tidy() {
    let mut out = Vec::new();
    for source in sources() {
        if !source.is_test {
            imports(&source, &mut out);
            habits(&source, &mut out);
            lengths(&source, &mut out);
        }
        spoken(&source, &mut out);
    }
    assert!(out.is_empty(), "{} things to put right:\n{}", out.len(), out.join("\n"));
}

#[test]
fn no_room_imports_one_that_imports_it() {
    for (room, imports) in ROOMS {
        for other in imports {
            let back = ROOMS.iter().find(|(name, _)| name == other).expect("a room").1;
            assert!(!back.contains(&room), "{room} and {other} import each other");
        }
    }
}

#[test]
fn the_checks_find_what_they_look_for() {
    let source =
        |path: &str, text: &str| Source { path: path.into(), lines: without_tests(text), is_test: false };
    let count = |check: fn(&Source, &mut Vec<String>), path: &str, text: &str| {
        let mut out = Vec::new();
        check(&source(path, text), &mut out);
        out.len()
    };
    assert_eq!(count(imports, "src/store/x.rs", "use crate::meta::Meta;"), 1);
    assert_eq!(count(imports, "src/store/x.rs", "use crate::{types, fs};"), 1);
    assert_eq!(count(imports, "src/flow/x.rs", "use crate::meta::Meta; // crate::fs"), 0);
    assert_eq!(count(imports, "src/flow/x.rs", "#[cfg(test)]\nmod tests {\n use crate::fs::Fs;\n}"), 0);
    assert_eq!(count(spoken, "src/fs/x.rs", "use rusqlite::Connection;"), 1);
    assert_eq!(count(spoken, "src/meta/x.rs", "use rusqlite::Connection;"), 0);
    assert_eq!(count(habits, "src/fs/x.rs", "//! x\nlet a = b.unwrap();"), 1);
    assert_eq!(count(habits, "src/fs/x.rs", "//! x\n// proof: always\nlet a = b.unwrap();"), 0);
    assert_eq!(count(habits, "src/fs/x.rs", "fn a() {}"), 1);
    assert_eq!(count(habits, "src/fs/x.rs", "//! x\nprintln!(\"x\");\nuse a::*;"), 2);
    let long = format!("//! x\nfn long() {{\n{}}}\n", "    a();\n".repeat(80));
    assert_eq!(count(lengths, "src/fs/x.rs", &long), 1);
    assert_eq!(count(lengths, "src/fs/x.rs", &"// x\n".repeat(600)), 1);
}
