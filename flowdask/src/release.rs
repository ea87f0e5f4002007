//! Releases of Dask, and what differs between them (protocol, section 16).
//!
//! Owns every version switch of the protocol: nothing else compares numbers.

use std::fmt;
use std::str::FromStr;

use crate::wire::Value;

/// A release of `distributed`: year, month and patch.
///
/// Bridges work with 2024.8 up to [`Release::NEWEST`]. An older one is refused,
/// for it wants other messages; a newer one is tried, with a warning in the log,
/// for most releases change nothing that a bridge sees.
///
/// ```
/// use flowdask::Release;
///
/// let release: Release = "2025.5.1".parse()?;
/// assert!(release < Release::NEWEST);
/// assert!(!release.is_untested());
/// # Ok::<(), flowdask::ReleaseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Release {
    year: u16,
    month: u16,
    patch: u16,
}

/// A release that cannot be worked with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// The text is no release.
    #[error("`{text}` is no release of Dask, such as 2026.8.0")]
    Unreadable {
        /// What was read.
        text: String,
    },
    /// The release is too old.
    #[error(
        "the scheduler runs Dask {found}, older than {oldest}: update it with `pip install --upgrade distributed`",
        oldest = Release::OLDEST
    )]
    TooOld {
        /// The scheduler's release.
        found: Release,
    },
}

impl Release {
    /// The oldest release that is worked with.
    pub const OLDEST: Self = Self::new(2024, 8, 0);

    /// The newest release that the tests have met.
    pub const NEWEST: Self = Self::new(2026, 8, 0);

    /// The release of these numbers.
    #[must_use]
    pub const fn new(year: u16, month: u16, patch: u16) -> Self {
        Self { year, month, patch }
    }

    /// What the answer to `versions` says of Dask.
    pub(crate) fn text_of(versions: &Value) -> Option<&str> {
        versions.get("packages")?.get("distributed")?.as_str()
    }

    /// Whether it is newer than what the tests have met.
    #[must_use]
    pub fn is_untested(self) -> bool {
        (self.year, self.month) > (Self::NEWEST.year, Self::NEWEST.month)
    }

    /// The release if it can be worked with.
    pub(crate) fn supported(self) -> Result<Self, ReleaseError> {
        if self < Self::OLDEST {
            Err(ReleaseError::TooOld { found: self })
        } else {
            Ok(self)
        }
    }

    /// Tasks are objects of `dask._task_spec`, no tuples.
    pub(crate) fn has_task_objects(self) -> bool {
        self >= Self::new(2024, 11, 0)
    }

    /// `long-running` has a member `run_id`, which was refused before.
    pub(crate) fn long_running_names_run(self) -> bool {
        self >= Self::new(2025, 2, 0)
    }

    /// `cancel-keys` has members `reason` and `msg`, which were refused before.
    pub(crate) fn cancel_gives_reason(self) -> bool {
        self >= Self::new(2025, 3, 0)
    }

    /// `update-graph` carries an expression, no header and frames.
    pub(crate) fn has_graph_expression(self) -> bool {
        self >= Self::new(2025, 4, 0)
    }

    /// `identity` takes how many workers to tell of.
    pub(crate) fn identity_counts_workers(self) -> bool {
        self >= Self::new(2025, 4, 0)
    }

    /// `publish_put` and its like take several names at once, and a `uid` by
    /// which they wait for the stream.
    pub(crate) fn publishes_many(self) -> bool {
        self >= Self::new(2026, 6, 0)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, patch } = self;
        write!(f, "{year}.{month}.{patch}")
    }
}

impl FromStr for Release {
    type Err = ReleaseError;

    /// Reads the first three numbers; what follows them, as in
    /// `2025.5.1+7.gabc` of a development build, means nothing here.
    fn from_str(text: &str) -> Result<Self, ReleaseError> {
        let mut parts = text.splitn(3, '.');
        let mut part = || {
            let part = parts.next()?;
            let end = part.find(|letter: char| !letter.is_ascii_digit());
            part[..end.unwrap_or(part.len())].parse().ok()
        };
        match (part(), part(), part()) {
            (Some(year), Some(month), patch) => Ok(Self::new(year, month, patch.unwrap_or(0))),
            _ => Err(ReleaseError::Unreadable {
                text: text.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> Release {
        text.parse().expect("a release")
    }

    #[test]
    fn releases_compare_as_numbers() {
        assert!(release("2024.12.1") > release("2024.8.0"));
        assert_eq!(release("2025.5.1+7.gabc").to_string(), "2025.5.1");
        assert_eq!(release("2026.8"), Release::NEWEST);
        for text in ["", "2026", "dev", "2026.x.1", "99999.1.0"] {
            let error = text.parse::<Release>().unwrap_err();
            assert!(error.to_string().contains("no release"), "{error}");
        }
    }

    #[test]
    fn old_ones_are_refused_and_new_ones_are_tried() {
        let error = release("2024.7.1").supported().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the scheduler runs Dask 2024.7.1, older than 2024.8.0: update it with `pip install --upgrade distributed`"
        );
        assert!(release("2024.8.0").supported().is_ok());
        assert!(!release("2026.8.3").is_untested());
        assert!(release("2026.9.0").is_untested());
        assert!(release("2027.1.0").supported().is_ok());
    }
}
