//! Virtual environments under the target directory.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{Error, Result};
use super::interpreter::Interpreter;
use super::process::Program;
use super::requirements::Requirements;

/// Written last, when all packages are in.
const COMPLETE: &str = "complete";

/// How long the packages may take: some 150 MB over a slow line.
const INSTALL_LIMIT: Duration = Duration::from_mins(15);

/// A virtual environment with pinned packages.
///
/// Made at most once for a list of packages: tests of several processes and
/// threads may ask for it at the same time. One of them makes it, the others
/// wait; a maker that was killed leaves no marker behind, and the next one
/// starts afresh.
#[derive(Debug, Clone)]
pub struct Environment {
    root: PathBuf,
}

impl Environment {
    /// The environment with Python Dask.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn dask() -> Result<Self> {
        Self::new(&Requirements::DASK)
    }

    /// The environment with Prefect.
    ///
    /// One of its own: only few tests need it, and it takes about as long to
    /// install as the one with Dask.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn prefect() -> Result<Self> {
        Self::new(&Requirements::PREFECT)
    }

    /// The environment for a list of packages, made now if it does not exist.
    ///
    /// # Errors
    ///
    /// If Python is missing or too old, or the packages cannot be installed.
    pub fn new(requirements: &Requirements) -> Result<Self> {
        Self::within(&target_directory().join("python"), requirements)
    }

    /// As [`new`](Self::new), in a directory of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn within(parent: &Path, requirements: &Requirements) -> Result<Self> {
        let interpreter = Interpreter::find()?;
        let name = requirements.directory_name(&interpreter.identity);
        let environment = Self {
            root: parent.join(&name),
        };
        if environment.is_complete() {
            return Ok(environment);
        }

        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
        let _lock = environment.lock()?;
        if !environment.is_complete() {
            environment.make(&interpreter, requirements)?;
        }
        Ok(environment)
    }

    /// A file of the environment that is made at most once, by whoever asks
    /// first.
    pub(super) fn once(
        &self,
        name: &str,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let file = self.root.join(name);
        if !file.exists() {
            let _lock = self.lock()?;
            if !file.exists() {
                // One whose maker was killed is no file of this name.
                let unfinished = self.root.join(format!("{name}.unfinished"));
                make(&unfinished)?;
                fs::rename(&unfinished, &file).map_err(Error::io("rename", &unfinished))?;
            }
        }
        Ok(file)
    }

    /// Keeps others from making the environment, or a file of it. The operating
    /// system frees it when this process ends, however it ends.
    fn lock(&self) -> Result<File> {
        // Beside the environment, not in it: it is held while the directory
        // itself is removed and made.
        let path = self.root.with_added_extension("lock");
        let lock = File::create(&path).map_err(Error::io("create", &path))?;
        lock.lock().map_err(Error::io("lock", &path))?;
        Ok(lock)
    }

    /// The interpreter inside the environment.
    #[must_use]
    pub fn python(&self) -> PathBuf {
        let inside = if cfg!(windows) {
            "Scripts/python.exe"
        } else {
            "bin/python"
        };
        self.root.join(inside)
    }

    /// A command that a package brought, such as `dask`.
    #[must_use]
    pub fn command(&self, name: &str) -> PathBuf {
        self.python().with_file_name(name)
    }

    /// A program to run in the environment, from its file.
    pub fn program(&self, file: impl AsRef<Path>) -> Program {
        Program::file(self.python(), file.as_ref())
    }

    /// A module of the environment that is a program, as with `python -m`.
    pub fn module(&self, module: &str) -> Program {
        Program::module(self.python(), module)
    }

    fn is_complete(&self) -> bool {
        self.root.join(COMPLETE).exists()
    }

    fn make(&self, interpreter: &Interpreter, requirements: &Requirements) -> Result<()> {
        if self.root.exists() {
            fs::remove_dir_all(&self.root).map_err(Error::io("remove", &self.root))?;
        }
        Program::module(interpreter.program, "venv")
            .argument(&self.root)
            .run()
            .map_err(|error| match error {
                Error::Failed { output, .. } => Error::VenvMissing { output },
                other => other,
            })?;

        let list = self.root.join("requirements.txt");
        fs::write(&list, requirements.text()).map_err(Error::io("write", &list))?;
        Program::module(self.python(), "pip")
            .argument("install")
            .argument("--disable-pip-version-check")
            .argument("--no-input")
            .argument("--requirement")
            .argument(list)
            .limit(INSTALL_LIMIT)
            .run()
            .map_err(|error| match error {
                Error::Failed { output, .. } => Error::Install {
                    name: requirements.name(),
                    output,
                },
                other => other,
            })?;
        let marker = self.root.join(COMPLETE);
        fs::write(&marker, "").map_err(Error::io("write", &marker))
    }
}

/// The workspace's target directory. Cargo tells a library nothing about it, so
/// it is found from the running program, which Cargo has put there; a program
/// from elsewhere (a doctest) takes the place where it is by default.
fn target_directory() -> PathBuf {
    // Cargo writes the first file where it made the directory itself, the
    // second in every one.
    let is_target = |directory: &&Path| {
        ["CACHEDIR.TAG", ".rustc_info.json"]
            .iter()
            .any(|file| directory.join(file).exists())
    };
    env::current_exe()
        .ok()
        .and_then(|program| program.ancestors().find(is_target).map(Path::to_path_buf))
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"))
}

#[cfg(test)]
mod tests {
    use super::target_directory;

    #[test]
    fn the_target_directory_holds_this_test() {
        let program = std::env::current_exe().expect("the test's own path");
        assert!(program.starts_with(target_directory()));
    }
}
