//! Prefect's settings, from everywhere Prefect reads them.
//!
//! A name's value is that of the first place that has it: the environment,
//! `.env`, `prefect.toml`, `pyproject.toml`, the active profile. Places are
//! read once: what a process does shall not change under its runs. A file that
//! cannot be read or understood is a warning, and does not count. Values may
//! be secrets, so nothing here prints one.
//!
//! Source: `api.md` 33, from Prefect 3.8.8.

mod chain;
mod file;
mod profiles;
mod value;

use std::path::PathBuf;
use std::sync::OnceLock;

pub(crate) use chain::{Chain, Setting};
#[cfg(feature = "prefect")]
pub(crate) use value::SettingError;

/// The settings of this process.
pub(crate) fn of_process() -> &'static Chain {
    static SETTINGS: OnceLock<Chain> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let directory = std::env::current_dir().ok();
        let chain = Chain::read(
            std::env::vars_os().filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.into_string().ok()?))
            }),
            directory.as_deref(),
            std::env::home_dir().as_deref(),
        );
        for problem in chain.problems() {
            tracing::warn!("Prefect's settings: {problem}: it does not count");
        }
        chain
    })
}

/// The text of a setting, if it is set and not empty.
pub(crate) fn text(name: &str) -> Option<String> {
    of_process().get(name).map(|setting| setting.text)
}

/// `~` is the user's directory.
pub(crate) fn expanded(path: PathBuf) -> PathBuf {
    chain::expanded(path, std::env::home_dir().as_deref())
}
