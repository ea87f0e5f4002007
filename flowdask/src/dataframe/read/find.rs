//! The files that paths, directories and patterns stand for, in the order in which they are read.

use std::path::{Path, PathBuf};

use super::scan::{Format, unreadable};
use crate::dataframe::error::{Error, Result};

/// The files that a path, directory or pattern stands for.
pub(super) fn find(pattern: &str, format: Format) -> Result<Vec<PathBuf>> {
    let path = Path::new(pattern);
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    if path.is_dir() {
        let entries =
            std::fs::read_dir(path).map_err(|error| unreadable(path, format, error.into()))?;
        for entry in entries {
            let file = entry
                .map_err(|error| unreadable(path, format, error.into()))?
                .path();
            let fits = file
                .extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case(format.extension()));
            if fits && file.is_file() {
                found.push(file);
            }
        }
    } else {
        let matches = glob::glob(pattern).map_err(|_| Error::NoFiles {
            pattern: pattern.to_owned(),
        })?;
        found.extend(
            matches
                .filter_map(std::result::Result::ok)
                .filter(|file| file.is_file()),
        );
    }
    if found.is_empty() {
        return Err(Error::NoFiles {
            pattern: pattern.to_owned(),
        });
    }
    found.sort_by_cached_key(|path| natural(&path.to_string_lossy()));
    Ok(found)
}

/// A key by which `part.2` comes before `part.10`.
fn natural(text: &str) -> Vec<(String, u64)> {
    let mut key = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (words, tail) = rest.split_at(number);
        let end = tail
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (digits, tail) = tail.split_at(end);
        key.push((words.to_owned(), digits.parse().unwrap_or(u64::MAX)));
        rest = tail;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names = ["part.10.parquet", "part.9.parquet", "part.0.parquet"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(
            names,
            ["part.0.parquet", "part.9.parquet", "part.10.parquet"]
        );
    }
}
