//! The authfile: INI, as S3QL's users have it. Pure parsing; who reads the file checks its mode.
//!
//! Of the sections whose `storage-url` is a prefix of the URL, the longest that has a key wins; of equally
//! long ones the last.

/// What the sections say of one storage URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthEntry {
    /// Key id.
    pub login: Option<String>,
    /// Its secret.
    pub password: Option<String>,
    /// Opens the file system.
    pub passphrase: Option<String>,
    /// As `--backend-options`.
    pub backend_options: Option<String>,
    /// As `--cachedir`.
    pub cachedir: Option<String>,
    /// As `--max-connections`.
    pub max_connections: Option<String>,
    /// As `--threads`.
    pub max_threads: Option<String>,
    /// As `--compress`.
    pub compress: Option<String>,
}

/// A line that is not understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {reason}")]
pub struct BadAuthfile {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

struct Section {
    url: String,
    keys: Vec<(usize, String, String)>,
}

fn sections(text: &str) -> Result<Vec<Section>, BadAuthfile> {
    let mut found: Vec<Section> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let bad = |reason: &str| BadAuthfile { line: number, reason: reason.to_owned() };
        if line.starts_with('[') && line.ends_with(']') {
            found.push(Section { url: String::new(), keys: Vec::new() });
            continue;
        }
        let (key, value) =
            line.split_once([':', '=']).ok_or_else(|| bad("neither a section nor `key: value`"))?;
        let section = found.last_mut().ok_or_else(|| bad("a key before the first [section]"))?;
        let (key, value) = (key.trim().to_lowercase(), value.trim().to_owned());
        match key.as_str() {
            "storage-url" => section.url = value,
            _ => section.keys.push((number, key, value)),
        }
    }
    Ok(found)
}

/// What the file says of `url`.
pub fn lookup(text: &str, url: &str) -> Result<AuthEntry, BadAuthfile> {
    let mut matching: Vec<Section> = sections(text)?;
    let mut entry = AuthEntry::default();
    matching.sort_by_key(|s| s.url.len());
    for section in matching {
        let applies = !section.url.is_empty() && url.starts_with(&section.url);
        for (line, key, value) in section.keys {
            let slot = match key.as_str() {
                "backend-login" => &mut entry.login,
                "backend-password" => &mut entry.password,
                "fs-passphrase" => &mut entry.passphrase,
                "backend-options" => &mut entry.backend_options,
                "cachedir" => &mut entry.cachedir,
                "max-connections" => &mut entry.max_connections,
                "max-threads" => &mut entry.max_threads,
                "compress" => &mut entry.compress,
                _ => return Err(BadAuthfile { line, reason: format!("unknown key {key:?}") }),
            };
            if applies {
                *slot = Some(value);
            }
        }
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# mine\n[all]\nstorage-url: local:///\nfs-passphrase: general\ncompress = zstd-6\n\n\
        [photos]\nstorage-url: local:///srv/photos\nfs-passphrase: special: one\n[s3]\nstorage-url: s3c://h/b\nbackend-login: me\n";

    #[test]
    fn the_longest_prefix_wins_key_by_key() {
        let photos = lookup(FILE, "local:///srv/photos/2026").expect("parse");
        assert_eq!(photos.passphrase.as_deref(), Some("special: one"));
        assert_eq!(photos.compress.as_deref(), Some("zstd-6"));
        assert_eq!(photos.login, None);
        assert_eq!(lookup(FILE, "local:///srv/p").expect("parse").passphrase.as_deref(), Some("general"));
        assert_eq!(lookup(FILE, "s3://x/y").expect("parse"), AuthEntry::default());
    }

    #[test]
    fn what_is_not_understood_names_its_line() {
        assert_eq!(lookup("[a]\nfs-passphrse: x", "u").expect_err("unknown").line, 2);
        assert_eq!(lookup("fs-passphrase: x", "u").expect_err("no section").line, 1);
        assert_eq!(lookup("[a]\nnonsense", "u").expect_err("no value").line, 2);
    }
}
