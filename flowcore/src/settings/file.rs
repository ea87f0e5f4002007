//! Files with settings, as names and texts of the environment.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// What all names begin with.
pub(super) const PREFIX: &str = "PREFECT_";

/// Names and texts of one place.
pub(super) type Texts = BTreeMap<String, String>;

/// Why a file does not count.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// Without the text that stands there: it may be a secret.
    #[error("line {line} of `{}` is not understood", path.display())]
    Malformed { path: PathBuf, line: usize },
    #[error("`{}` is not TOML, in line {line}: {message}", path.display())]
    NotToml {
        path: PathBuf,
        line: usize,
        message: String,
    },
    #[error("`{name}` in `{}` is {found}, but a setting is a text, a number, a truth value, a list or a table", path.display())]
    NoSetting {
        path: PathBuf,
        name: String,
        found: &'static str,
    },
    #[error("there is no profile `{name}` in `{}`; there are {known}", path.display())]
    NoProfile {
        path: PathBuf,
        name: String,
        known: String,
    },
}

/// A file's text; `None` if there is no file.
fn read(path: &Path) -> Result<Option<String>, FileError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError::Unreadable {
            path: path.to_owned(),
            source,
        }),
    }
}

/// A file of lines `NAME=text`.
pub(super) fn dotenv(path: &Path) -> Result<Option<Texts>, FileError> {
    let Some(text) = read(path)? else {
        return Ok(None);
    };
    let mut texts = Texts::new();
    for pair in dotenvy::from_read_iter(text.as_bytes()) {
        let (name, value) = pair.map_err(|error| FileError::Malformed {
            path: path.to_owned(),
            line: match error {
                dotenvy::Error::LineParse(line, _) => line_of(&text, &line),
                _ => 1,
            },
        })?;
        let name = name.to_ascii_uppercase();
        if name.starts_with(PREFIX) {
            texts.insert(name, value);
        }
    }
    Ok(Some(texts))
}

/// The number of the line that holds a text.
fn line_of(text: &str, part: &str) -> usize {
    let before = text
        .find(part.trim_end())
        .map_or(0, |at| text[..at].lines().count());
    before.max(1)
}

/// A file as TOML; `None` if there is no file.
pub(super) fn table(path: &Path) -> Result<Option<Table>, FileError> {
    let Some(text) = read(path)? else {
        return Ok(None);
    };
    let table = text.parse::<Table>().map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        FileError::NotToml {
            path: path.to_owned(),
            line: text
                .get(..at)
                .map_or(1, |before| before.matches('\n').count() + 1),
            message: error.message().to_owned(),
        }
    })?;
    Ok(Some(table))
}

/// `prefect.toml`: tables within each other, as `url` of `[api]` for
/// `PREFECT_API_URL`.
pub(super) fn prefect_toml(path: &Path) -> Result<Option<Texts>, FileError> {
    match table(path)? {
        Some(table) => flat(path, &table).map(Some),
        None => Ok(None),
    }
}

/// The same as `[tool.prefect]` of a Python project.
pub(super) fn pyproject(path: &Path) -> Result<Option<Texts>, FileError> {
    let table = table(path)?;
    let own = table
        .as_ref()
        .and_then(|table| table.get("tool")?.get("prefect")?.as_table());
    own.map(|table| flat(path, table)).transpose()
}

fn flat(path: &Path, table: &Table) -> Result<Texts, FileError> {
    let mut texts = Texts::new();
    let mut open = vec![(String::from("PREFECT"), table)];
    while let Some((prefix, table)) = open.pop() {
        for (name, value) in table {
            let name = format!("{prefix}_{}", name.to_ascii_uppercase());
            match value {
                Value::Table(inner) => open.push((name, inner)),
                value => {
                    let text = text(path, &name, value)?;
                    texts.insert(name, text);
                }
            }
        }
    }
    Ok(texts)
}

/// A value as the environment would hold it.
pub(super) fn text(path: &Path, name: &str, value: &Value) -> Result<String, FileError> {
    let found = match value {
        Value::String(text) => return Ok(text.clone()),
        Value::Integer(number) => return Ok(number.to_string()),
        Value::Float(number) => return Ok(number.to_string()),
        Value::Boolean(flag) => return Ok(flag.to_string()),
        Value::Array(_) | Value::Table(_) => match serde_json::to_string(value) {
            Ok(json) => return Ok(json),
            Err(_) => "no JSON value",
        },
        Value::Datetime(_) => "a time",
    };
    Err(FileError::NoSetting {
        path: path.to_owned(),
        name: name.to_owned(),
        found,
    })
}
