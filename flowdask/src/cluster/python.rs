//! Where Dask is installed.
//!
//! Only a local scheduler needs it. Looked for in this order: the environment
//! variable `FLOWDASK_DASK`, the active virtual environment, `PATH`, and the
//! environment of our own that [`PythonError::NotFound`] tells how to make.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The release of Dask that the cure installs: the one that is tested.
const PACKAGE: &str = "distributed==2026.8.0";

/// No Python with Dask.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PythonError {
    /// None at all.
    #[error(
        "a local Dask cluster needs the Python package `distributed`, and no `dask` was found in \
         the active virtual environment, in `PATH` or in {0}: make it with\n    \
         python3 -m venv {0} && {0}/bin/pip install {PACKAGE}\nor set FLOWDASK_DASK to the `dask` \
         command of another environment",
        .environment.display()
    )]
    NotFound {
        /// The environment of our own.
        environment: PathBuf,
    },
    /// `FLOWDASK_DASK` names something else.
    #[error(
        "FLOWDASK_DASK is {}, which is no `dask` command of a Python environment: set it to \
         its path, such as /opt/venv/bin/dask",
        .path.display()
    )]
    Variable {
        /// What it names.
        path: PathBuf,
    },
}

/// The Python interpreter that has Dask.
pub(super) fn find() -> Result<PathBuf, PythonError> {
    find_in(&Places {
        variable: env::var_os("FLOWDASK_DASK").filter(|path| !path.is_empty()),
        virtual_environment: env::var_os("VIRTUAL_ENV").map(PathBuf::from),
        path: env::var_os("PATH").unwrap_or_default(),
        own: own_environment(),
    })
}

struct Places {
    variable: Option<OsString>,
    virtual_environment: Option<PathBuf>,
    path: OsString,
    own: PathBuf,
}

fn find_in(places: &Places) -> Result<PathBuf, PythonError> {
    if let Some(path) = &places.variable {
        let path = PathBuf::from(path);
        return interpreter_of(&path).ok_or(PythonError::Variable { path });
    }
    let environments = places.virtual_environment.iter();
    let commands = environments.map(|environment| environment.join("bin/dask"));
    let commands = commands
        .chain(env::split_paths(&places.path).map(|directory| directory.join("dask")))
        .chain([places.own.join("bin/dask")]);
    commands
        .into_iter()
        .find_map(|command| interpreter_of(&command))
        .ok_or_else(|| PythonError::NotFound {
            environment: places.own.clone(),
        })
}

fn own_environment() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    cache
        .filter(|path| path.is_absolute())
        .or_else(home)
        .unwrap_or_else(|| PathBuf::from("."))
        .join("flowdask/python")
}

/// The interpreter that runs a command: the one its first line names, or the
/// one beside it where that line is too long for the system (pip writes a
/// shell's then).
fn interpreter_of(command: &Path) -> Option<PathBuf> {
    let mut start = [0; 512];
    let length = fs::File::open(command).ok()?.read(&mut start).ok()?;
    let line = start[..length].split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.strip_prefix("#!")?;
    let named = Path::new(line.trim());
    let beside = command.parent()?.join("python");
    [named, &beside]
        .into_iter()
        .find(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("python")) && path.exists()
        })
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(root: &Path) -> Places {
        Places {
            variable: None,
            virtual_environment: None,
            path: env::join_paths([root.join("a"), root.join("b")]).unwrap(),
            own: root.join("own"),
        }
    }

    fn install(directory: &Path) -> PathBuf {
        fs::create_dir_all(directory).unwrap();
        let python = directory.join("python3.11");
        fs::write(&python, "").unwrap();
        fs::write(
            directory.join("dask"),
            format!("#!{}\nimport sys\n", python.display()),
        )
        .unwrap();
        python
    }

    #[test]
    fn the_first_place_that_has_dask_is_taken() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let mut places = places(root);
        let error = find_in(&places).unwrap_err().to_string();
        let own = root.join("own").display().to_string();
        assert!(
            error.contains(&format!("python3 -m venv {own} && {own}/bin/pip")),
            "{error}"
        );

        let own = install(&root.join("own/bin"));
        assert_eq!(find_in(&places).unwrap(), own);
        let second = install(&root.join("b"));
        assert_eq!(find_in(&places).unwrap(), second);
        let active = install(&root.join("venv/bin"));
        places.virtual_environment = Some(root.join("venv"));
        assert_eq!(find_in(&places).unwrap(), active);
        places.variable = Some(root.join("b/dask").into());
        assert_eq!(find_in(&places).unwrap(), second);
    }

    #[test]
    fn a_variable_that_names_something_else_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let mut places = places(root.path());
        places.variable = Some(root.path().join("nothing").into());
        let error = find_in(&places).unwrap_err();
        assert!(matches!(error, PythonError::Variable { .. }), "{error}");
    }

    #[test]
    fn a_shell_in_the_first_line_means_the_python_beside() {
        let root = tempfile::tempdir().unwrap();
        let command = root.path().join("dask");
        fs::write(
            &command,
            "#!/bin/sh\n'''exec' \"/very long/python\" \"$0\" \"$@\"\n",
        )
        .unwrap();
        assert_eq!(interpreter_of(&command), None);
        let python = root.path().join("python");
        fs::write(&python, "").unwrap();
        assert_eq!(interpreter_of(&command), Some(python));
    }
}
