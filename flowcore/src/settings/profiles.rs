//! Profiles: `profiles.toml` in Prefect's home.

use std::path::Path;

use toml::Table;

use super::file::{FileError, Texts, table, text};

/// The active profile and what it sets: the wanted one, else the one that the
/// file calls active. `None` if there is no file, or none is active.
///
/// A wanted profile need not exist as long as there is no file: Prefect knows
/// a few of its own (`ephemeral`), which set nothing that matters here.
pub(super) fn read(
    path: &Path,
    wanted: Option<&str>,
) -> Result<Option<(String, Texts)>, FileError> {
    let Some(file) = table(path)? else {
        return Ok(None);
    };
    let Some(name) = wanted.or_else(|| file.get("active")?.as_str()) else {
        return Ok(None);
    };
    let none = Table::new();
    let profiles = file
        .get("profiles")
        .and_then(|profiles| profiles.as_table());
    let profiles = profiles.unwrap_or(&none);
    let Some(profile) = profiles.get(name).and_then(|profile| profile.as_table()) else {
        if OWN.contains(&name) {
            return Ok(None);
        }
        let known: Vec<_> = profiles.keys().map(|name| format!("`{name}`")).collect();
        return Err(FileError::NoProfile {
            path: path.to_owned(),
            name: name.to_owned(),
            known: if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            },
        });
    };
    let mut texts = Texts::new();
    for (setting, value) in profile {
        let text = text(path, setting, value)?;
        texts.insert(setting.to_ascii_uppercase(), text);
    }
    Ok(Some((name.to_owned(), texts)))
}

/// Profiles that Prefect has without a file.
const OWN: [&str; 4] = ["ephemeral", "local", "cloud", "test"];
