//! Programs that use Prefect, and the database of a server.

use std::path::Path;
use std::{env, fs};

use super::environment::Environment;
use super::error::{Error, Result};
use super::process::Program;

/// Nothing is told to anybody, and nothing is started that is not looked at.
const SETTINGS: [(&str, &str); 5] = [
    ("PREFECT_SERVER_ANALYTICS_ENABLED", "false"),
    ("DO_NOT_TRACK", "1"),
    ("PREFECT_SERVER_UI_ENABLED", "false"),
    ("PREFECT_LOGGING_TO_API_ENABLED", "false"),
    ("PREFECT_LOGGING_LEVEL", "CRITICAL"),
];

impl Environment {
    /// Writes the empty database of a new server to this file.
    ///
    /// A server would make it itself, in a hundred migrations: half of the time
    /// until it listens. It is made once for each environment.
    pub(crate) fn copy_prefect_database(&self, to: &Path) -> Result<()> {
        let empty = self.once("prefect.db", |file| {
            let home = tempfile::tempdir().map_err(Error::io("create", env::temp_dir()))?;
            // The older ones cannot be started as a module.
            self.program(self.command("prefect"))
                .argument("server")
                .argument("database")
                .argument("upgrade")
                .argument("--yes")
                .with_prefect(home.path())
                .run()?;
            let made = home.path().join("prefect.db");
            fs::copy(&made, file).map_err(Error::io("copy", &made))?;
            Ok(())
        })?;
        fs::copy(&empty, to).map_err(Error::io("copy", &empty))?;
        Ok(())
    }
}

impl Program {
    /// Runs the program with all of Prefect's files in this directory: its
    /// settings, its database, and whatever it or its server writes.
    ///
    /// What the user has set for a server of their own, by variables, by a
    /// profile or by a file where the tests run, does not reach it.
    pub fn with_prefect(mut self, directory: &Path) -> Self {
        let users = env::vars_os().map(|(name, _)| name);
        for name in users.filter(|name| name.to_string_lossy().starts_with("PREFECT_")) {
            self = self.variable(name, None::<&str>);
        }
        for (name, value) in SETTINGS {
            self = self.variable(name, Some(value));
        }
        self.variable("PREFECT_HOME", Some(directory))
            .variable("TMPDIR", Some(directory))
            .in_directory(directory)
    }
}
