//! Pinned lists of packages.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A pinned list of packages, under a name.
#[derive(Debug, Clone, Copy)]
pub struct Requirements {
    name: &'static str,
    text: &'static str,
}

impl Requirements {
    /// Python Dask: the base release of the wire protocol.
    pub const DASK: Self = Self::new("dask", include_str!("../../python/dask.txt"));

    /// Releases of Dask before it, as old as a bridge works with.
    pub const OLDER_DASK: [Self; 4] = [
        Self::new(
            "dask-2024.8.0",
            include_str!("../../python/dask-2024.8.0.txt"),
        ),
        Self::new(
            "dask-2024.12.1",
            include_str!("../../python/dask-2024.12.1.txt"),
        ),
        Self::new(
            "dask-2025.5.1",
            include_str!("../../python/dask-2025.5.1.txt"),
        ),
        Self::new(
            "dask-2026.3.0",
            include_str!("../../python/dask-2026.3.0.txt"),
        ),
    ];

    /// Python Dask with what its dashboard needs.
    pub const DASHBOARD: Self = Self::new(
        "dashboard",
        concat!(
            include_str!("../../python/dask.txt"),
            include_str!("../../python/dashboard.txt")
        ),
    );

    /// Prefect, with its server.
    pub const PREFECT: Self = Self::new("prefect", include_str!("../../python/prefect.txt"));

    /// Releases of Prefect before it: the first of its line that records
    /// events, and the last that does not.
    pub const OLDER_PREFECT: [Self; 2] = [
        Self::new(
            "prefect-3.0.0",
            include_str!("../../python/prefect-3.0.0.txt"),
        ),
        Self::new(
            "prefect-2.20.25",
            include_str!("../../python/prefect-2.20.25.txt"),
        ),
    ];

    /// What drives a browser.
    pub const BROWSER: Self = Self::new("browser", include_str!("../../python/browser.txt"));

    /// A list in pip's requirements format. Every package in it should be
    /// pinned, those that others need included.
    #[must_use]
    pub const fn new(name: &'static str, text: &'static str) -> Self {
        Self { name, text }
    }

    /// The name, which also starts the directory's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The list itself.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        self.text
    }

    /// A directory name that changes with the list and with the interpreter,
    /// so that an environment is never updated in place: somebody may be
    /// running in it.
    pub(super) fn directory_name(&self, interpreter: &str) -> String {
        // The hasher need not be stable between Rust releases: another name
        // only means that the environment is made once more.
        let mut hasher = DefaultHasher::new();
        (self.text, interpreter).hash(&mut hasher);
        format!("{}-{:016x}", self.name, hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::Requirements;

    #[test]
    fn every_package_is_pinned() {
        let lists = [
            Requirements::DASK,
            Requirements::DASHBOARD,
            Requirements::PREFECT,
            Requirements::BROWSER,
        ];
        let older = Requirements::OLDER_DASK
            .into_iter()
            .chain(Requirements::OLDER_PREFECT);
        for list in lists.into_iter().chain(older) {
            let packages = list.text().lines().filter(|line| !line.starts_with('#'));
            for package in packages {
                assert!(package.contains("=="), "{package} is not pinned");
            }
        }
    }

    #[test]
    fn the_directory_changes_with_packages_and_interpreter() {
        let one = Requirements::new("tools", "six==1.16.0");
        let other = Requirements::new("tools", "six==1.17.0");
        assert_ne!(one.directory_name("3.11"), other.directory_name("3.11"));
        assert_ne!(one.directory_name("3.11"), one.directory_name("3.12"));
    }
}
