//! Prefect's settings for results and caching.
//!
//! Read once: what a process does shall not change under its runs.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::settings::{self, Chain, Setting, expanded};

/// What the settings say.
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
        SETTINGS.get_or_init(|| Self::read(settings::of_process()))
    }

    fn read(chain: &Chain) -> Self {
        let flag = |name: &str| chain.get(name).as_ref().and_then(truth);
        let storage = [
            "PREFECT_RESULTS_LOCAL_STORAGE_PATH",
            "PREFECT_LOCAL_STORAGE_PATH",
        ];
        let storage = chain.first_of(&storage).map_or_else(
            || chain.home().join("storage"),
            |setting| PathBuf::from(setting.text),
        );
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

/// A value that is neither true nor false does not count, with a warning.
fn truth(setting: &Setting) -> Option<bool> {
    let flag = setting.flag();
    flag.inspect_err(|error| tracing::warn!("{error}: it does not count"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Settings {
        let variables = variables.iter();
        let variables = variables.map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let user = std::env::home_dir();
        Settings::read(&Chain::read(variables, None, user.as_deref()))
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
