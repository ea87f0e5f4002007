//! What a setting's text says.

#[cfg(feature = "prefect")]
use std::time::Duration;

#[cfg(feature = "prefect")]
use super::chain::Chain;
use super::chain::Setting;

/// A setting whose text is not what it has to be.
///
/// The text itself is not in it: settings hold secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} (from {source_name}) is not {wanted}")]
pub(crate) struct SettingError {
    pub(crate) name: String,
    pub(crate) source_name: String,
    pub(crate) wanted: String,
}

impl Setting {
    /// The error that this is not what is wanted.
    pub(crate) fn is_not(&self, wanted: &str) -> SettingError {
        SettingError {
            name: self.name.clone(),
            source_name: self.source.to_string(),
            wanted: wanted.to_owned(),
        }
    }

    /// Truth as pydantic reads it.
    pub(crate) fn flag(&self) -> Result<bool, SettingError> {
        match self.text.to_ascii_lowercase().as_str() {
            "1" | "true" | "t" | "yes" | "y" | "on" => Ok(true),
            "0" | "false" | "f" | "no" | "n" | "off" => Ok(false),
            _ => Err(self.is_not("`true` or `false`")),
        }
    }

    /// A whole number from 0 on.
    #[cfg(feature = "prefect")]
    pub(crate) fn count(&self) -> Result<u32, SettingError> {
        let count = self.text.parse();
        count.map_err(|_| self.is_not("a whole number from 0 on"))
    }

    /// Seconds from 0 on, with a fraction or without.
    #[cfg(feature = "prefect")]
    pub(crate) fn seconds(&self) -> Result<Duration, SettingError> {
        let seconds = self.text.parse().ok();
        let seconds = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        seconds.ok_or_else(|| self.is_not("a number of seconds from 0 on"))
    }
}

/// Settings with a default, whose texts have to be right.
#[cfg(feature = "prefect")]
impl Chain {
    /// A truth value.
    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, SettingError> {
        self.get(name).map_or(Ok(default), |setting| setting.flag())
    }

    /// A whole number from 0 on.
    pub(crate) fn count(&self, name: &str, default: u32) -> Result<u32, SettingError> {
        self.get(name)
            .map_or(Ok(default), |setting| setting.count())
    }

    /// A number of seconds.
    pub(crate) fn seconds(&self, name: &str, default: Duration) -> Result<Duration, SettingError> {
        self.get(name)
            .map_or(Ok(default), |setting| setting.seconds())
    }
}
