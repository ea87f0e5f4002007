//! Prefect's settings for results and caching, from the environment.
//!
//! Read once: what a process does shall not change under its runs.

use std::path::PathBuf;
use std::sync::OnceLock;

/// What the environment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `PREFECT_RESULTS_PERSIST_BY_DEFAULT`
    pub(crate) persist_by_default: bool,
    /// `PREFECT_TASKS_DEFAULT_PERSIST_RESULT`, for tasks outside of flows.
    pub(crate) tasks_persist: Option<bool>,
    /// `PREFECT_TASKS_REFRESH_CACHE`
    pub(crate) refresh_cache: bool,
    /// `PREFECT_TASKS_DISABLE_CACHING`
    pub(crate) disable_caching: bool,
    /// `PREFECT_TASKS_DEFAULT_NO_CACHE`
    pub(crate) default_no_cache: bool,
    /// Where records go that nobody sends elsewhere.
    pub(crate) storage: PathBuf,
}

impl Settings {
    /// The settings of this process.
    pub(crate) fn of_process() -> &'static Self {
        static SETTINGS: OnceLock<Settings> = OnceLock::new();
        SETTINGS.get_or_init(|| Self::read(|name| std::env::var(name).ok()))
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let flag = |name: &str| set(name).and_then(|value| is_yes(name, &value));
        let storage = set("PREFECT_RESULTS_LOCAL_STORAGE_PATH")
            .or_else(|| set("PREFECT_LOCAL_STORAGE_PATH"))
            .map(PathBuf::from)
            .unwrap_or_else(|| {
                let home = set("PREFECT_HOME").map_or_else(|| "~/.prefect".into(), PathBuf::from);
                home.join("storage")
            });
        Self {
            persist_by_default: flag("PREFECT_RESULTS_PERSIST_BY_DEFAULT").unwrap_or(false),
            tasks_persist: flag("PREFECT_TASKS_DEFAULT_PERSIST_RESULT"),
            refresh_cache: flag("PREFECT_TASKS_REFRESH_CACHE").unwrap_or(false),
            disable_caching: flag("PREFECT_TASKS_DISABLE_CACHING").unwrap_or(false),
            default_no_cache: flag("PREFECT_TASKS_DEFAULT_NO_CACHE").unwrap_or(false),
            storage: expanded(storage),
        }
    }
}

/// Truth as pydantic reads it.
fn is_yes(name: &str, value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Some(true),
        "0" | "false" | "f" | "no" | "n" | "off" => Some(false),
        _ => {
            tracing::warn!("{name} is neither true nor false: it does not count");
            None
        }
    }
}

/// `~` is the user's directory.
pub(crate) fn expanded(path: PathBuf) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Settings {
        Settings::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn storage_is_where_prefect_has_it() {
        assert!(read(&[]).storage.ends_with(".prefect/storage"));
        assert!(!read(&[]).storage.starts_with("~"));
        let home = ("PREFECT_HOME", "/home/x/p");
        assert_eq!(read(&[home]).storage, PathBuf::from("/home/x/p/storage"));
        let own = ("PREFECT_LOCAL_STORAGE_PATH", "/data");
        assert_eq!(read(&[home, own]).storage, PathBuf::from("/data"));
    }

    #[test]
    fn truth_is_read_as_prefect_reads_it() {
        let settings = read(&[
            ("PREFECT_TASKS_REFRESH_CACHE", "TRUE"),
            ("PREFECT_TASKS_DISABLE_CACHING", "0"),
            ("PREFECT_TASKS_DEFAULT_NO_CACHE", "maybe"),
            ("PREFECT_TASKS_DEFAULT_PERSIST_RESULT", "off"),
        ]);
        assert!(settings.refresh_cache);
        assert!(!settings.disable_caching && !settings.default_no_cache);
        assert_eq!(settings.tasks_persist, Some(false));
    }
}
