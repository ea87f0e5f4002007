//! What a server of some version can do. Source: `api.md` 36.

use std::fmt;

/// The newest that this is checked against.
const NEWEST_CHECKED: (u32, u32) = (3, 8);

/// A server's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ServerVersion {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) patch: u32,
}

impl ServerVersion {
    /// What Prefect Cloud, which has no version, is taken for.
    pub(crate) const CLOUD: Self = Self {
        major: NEWEST_CHECKED.0,
        minor: NEWEST_CHECKED.1,
        patch: 0,
    };

    /// Reads `3.8.8`, with anything behind it (`3.0.0rc20`, `3.1.0+2.gabc`).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|part| {
            let end = part.find(|letter: char| !letter.is_ascii_digit());
            part[..end.unwrap_or(part.len())].parse().ok()
        });
        Some(Self {
            major: numbers.next()??,
            minor: numbers.next()??,
            patch: numbers.next().flatten().unwrap_or(0),
        })
    }

    /// Whether task runs can be events; otherwise they are requests.
    pub(crate) fn records_events(self) -> bool {
        self.major >= 3
    }

    /// Whether flows, runs and deployments may have labels.
    #[cfg_attr(not(test), expect(dead_code, reason = "nothing sends labels yet"))]
    pub(crate) fn has_labels(self) -> bool {
        (self.major, self.minor) >= (3, 1)
    }

    /// Whether slots of limits are held by leases.
    pub(crate) fn has_leases(self) -> bool {
        (self.major, self.minor, self.patch) >= (3, 4, 11)
    }

    /// Whether the delay before a retry may have fractions of a second. A server
    /// that does not take one tries the event again and again, and does nothing
    /// else any more.
    pub(crate) fn has_fractional_delays(self) -> bool {
        (self.major, self.minor, self.patch) >= (3, 4, 11)
    }

    /// Whether nobody has tried this version: it is used as the newest known
    /// one, and the user is told.
    pub(crate) fn is_unknown(self) -> bool {
        self.major < 2 || (self.major, self.minor) > NEWEST_CHECKED
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_servers_say_them() {
        let read = |text| ServerVersion::parse(text).map(|version| version.to_string());
        assert_eq!(read("3.8.8").unwrap(), "3.8.8");
        assert_eq!(read("3.0.0rc20").unwrap(), "3.0.0");
        assert_eq!(read("3.1.0+2.gabc").unwrap(), "3.1.0");
        assert_eq!(read("2.20").unwrap(), "2.20.0");
        assert_eq!(read("unknown"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn abilities_follow_from_versions() {
        let of = |text| ServerVersion::parse(text).unwrap();
        assert!(!of("2.20.25").records_events() && of("3.0.0").records_events());
        assert!(!of("3.0.0").has_labels() && of("3.8.8").has_labels());
        assert!(!of("3.4.10").has_leases() && of("3.8.8").has_leases());
        assert!(of("3.9.0").is_unknown() && of("4.0.0").is_unknown() && of("1.4.0").is_unknown());
        assert!(!of("3.8.99").is_unknown() && !of("2.20.25").is_unknown());
    }
}
