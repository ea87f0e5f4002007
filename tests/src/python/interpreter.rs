//! The Python on the `PATH`.

use std::fmt;
use std::io;
use std::process::Command;

use super::error::{Error, Result};

/// The oldest version for which the pinned packages exist.
pub(super) const MINIMUM: Version = Version {
    major: 3,
    minor: 11,
};

/// A Python release, as far as packages care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    major: u32,
    minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

/// A `python3` that can make the environments.
#[derive(Debug)]
pub(super) struct Interpreter {
    /// The program to start.
    pub(super) program: &'static str,
    /// What tells it from another: its version and where it really is (the
    /// program on the `PATH` may be a shim in front of several).
    pub(super) identity: String,
}

impl Interpreter {
    /// Finds `python3` on the `PATH` and checks its version.
    pub(super) fn find() -> Result<Self> {
        let program = if cfg!(windows) { "python" } else { "python3" };
        let question = "import sys; print(*sys.version_info[:2], sys.executable)";
        let answer = match Command::new(program).args(["-c", question]).output() {
            Ok(answer) if answer.status.success() => answer,
            // A shim, or the stub of the Windows store, without a Python behind it.
            Ok(_) => return Err(Error::PythonMissing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::PythonMissing);
            }
            Err(error) => return Err(Error::io("start", program)(error)),
        };
        let identity = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        match parse(&identity) {
            Some(version) if version >= MINIMUM => Ok(Self { program, identity }),
            Some(version) => Err(Error::PythonTooOld {
                found: version.to_string(),
            }),
            None => Err(Error::PythonMissing),
        }
    }
}

fn parse(identity: &str) -> Option<Version> {
    let mut words = identity.split_whitespace();
    let major = words.next()?.parse().ok()?;
    let minor = words.next()?.parse().ok()?;
    Some(Version { major, minor })
}

#[cfg(test)]
mod tests {
    use super::{MINIMUM, Version, parse};

    #[test]
    fn versions_are_ordered_as_numbers() {
        let version = parse("3 9 /usr/bin/python3").expect("a version");
        assert_eq!(version, Version { major: 3, minor: 9 });
        assert!(version < MINIMUM);
        assert_eq!(parse("no python here"), None);
    }
}
