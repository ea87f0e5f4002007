//! Which place decides about a name.

use std::fmt;
use std::path::{Path, PathBuf};

use super::file::{self, FileError, PREFIX, Texts};
use super::profiles;

/// A value, and where it comes from.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) source: Source,
}

/// A place that has settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Environment,
    File(PathBuf),
    Profile { name: String, file: PathBuf },
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => write!(formatter, "the environment"),
            Self::File(file) => write!(formatter, "`{}`", file.display()),
            Self::Profile { name, file } => {
                write!(formatter, "profile `{name}` in `{}`", file.display())
            }
        }
    }
}

/// All places, the first of which goes before the others.
#[derive(Default)]
pub(crate) struct Chain {
    places: Vec<(Source, Texts)>,
    problems: Vec<FileError>,
    home: PathBuf,
}

impl Chain {
    /// Reads all places. `variables` is the environment, `directory` where the
    /// program was started, `user` the user's home.
    pub(crate) fn read(
        variables: impl IntoIterator<Item = (String, String)>,
        directory: Option<&Path>,
        user: Option<&Path>,
    ) -> Self {
        let mut chain = Self::default();
        let variables = variables.into_iter();
        let own = variables.filter(|(name, _)| name.starts_with(PREFIX));
        chain.places.push((Source::Environment, own.collect()));
        if let Some(directory) = directory {
            chain.add(directory.join(".env"), file::dotenv);
            chain.add(directory.join("prefect.toml"), file::prefect_toml);
            chain.add(directory.join("pyproject.toml"), file::pyproject);
        }
        let home = chain.get("PREFECT_HOME").map_or_else(
            || PathBuf::from("~/.prefect"),
            |setting| PathBuf::from(setting.text),
        );
        chain.home = expanded(home, user);
        let profiles = chain.get("PREFECT_PROFILES_PATH").map_or_else(
            || chain.home.join("profiles.toml"),
            |setting| expanded(PathBuf::from(setting.text), user),
        );
        let wanted = chain.get("PREFECT_PROFILE");
        match profiles::read(&profiles, wanted.as_ref().map(|name| name.text.as_str())) {
            Ok(Some((name, texts))) => {
                let file = profiles;
                chain.places.push((Source::Profile { name, file }, texts));
            }
            Ok(None) => {}
            Err(problem) => chain.problems.push(problem),
        }
        chain
    }

    fn add(&mut self, path: PathBuf, read: fn(&Path) -> Result<Option<Texts>, FileError>) {
        match read(&path) {
            Ok(Some(texts)) => self.places.push((Source::File(path), texts)),
            Ok(None) => {}
            Err(problem) => self.problems.push(problem),
        }
    }

    /// The value of a name. An empty one hides those of later places: so one
    /// variable switches off what a profile switches on.
    pub(crate) fn get(&self, name: &str) -> Option<Setting> {
        let (source, text) = self
            .places
            .iter()
            .find_map(|(source, texts)| Some((source, texts.get(name)?)))?;
        let text = text.trim();
        (!text.is_empty()).then(|| Setting {
            name: name.to_owned(),
            text: text.to_owned(),
            source: source.clone(),
        })
    }

    /// The value of the first of some names that is set: Prefect renamed a
    /// few.
    pub(crate) fn first_of(&self, names: &[&str]) -> Option<Setting> {
        names.iter().find_map(|name| self.get(name))
    }

    /// Files that do not count, and why.
    pub(crate) fn problems(&self) -> &[FileError] {
        &self.problems
    }

    /// `PREFECT_HOME`, or `~/.prefect`.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }
}

/// Values may be secrets.
impl fmt::Debug for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.places.iter().map(|(source, texts)| {
            let names: Vec<_> = texts.keys().collect();
            (source.to_string(), names)
        });
        formatter.debug_map().entries(names).finish()
    }
}

/// Values may be secrets.
impl fmt::Debug for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} from {}", self.name, self.source)
    }
}

/// `~` is the user's directory.
pub(super) fn expanded(path: PathBuf, user: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), user) {
        (Ok(rest), Some(user)) => user.join(rest),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn chain(variables: &[(&str, &str)], directory: &Path) -> Chain {
        let variables = variables.iter();
        let variables = variables.map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Chain::read(variables, Some(directory), Some(directory))
    }

    /// Every place says something else of one name, and each is the only one
    /// that knows another.
    fn written() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write(
            ".env",
            "PREFECT_API_URL=dotenv\nPREFECT_API_KEY='in dotenv'\nOTHER=1\n",
        );
        write(
            "prefect.toml",
            "home = \"~/mine\"\n[api]\nurl = \"toml\"\nrequest_timeout = 2.5\n[logging.to_api]\nenabled = false\n",
        );
        write(
            "pyproject.toml",
            "[tool.prefect.api]\nurl = \"project\"\nssl_cert_file = \"/c.pem\"\n",
        );
        fs::create_dir(directory.path().join("mine")).unwrap();
        write(
            "mine/profiles.toml",
            "active = \"a\"\n[profiles.a]\nPREFECT_API_URL = \"profile a\"\nPREFECT_CLIENT_MAX_RETRIES = 7\n[profiles.b]\nPREFECT_CLIENT_MAX_RETRIES = \"8\"\n",
        );
        directory
    }

    #[test]
    fn the_first_place_decides() {
        let directory = written();
        let path = directory.path();
        let none = chain(&[], path);
        assert!(none.problems().is_empty(), "{:?}", none.problems());
        let text = |chain: &Chain, name: &str| chain.get(name).map(|setting| setting.text);
        assert_eq!(text(&none, "PREFECT_API_URL").unwrap(), "dotenv");
        assert_eq!(text(&none, "PREFECT_API_KEY").unwrap(), "in dotenv");
        assert_eq!(text(&none, "PREFECT_API_REQUEST_TIMEOUT").unwrap(), "2.5");
        assert_eq!(
            text(&none, "PREFECT_LOGGING_TO_API_ENABLED").unwrap(),
            "false"
        );
        assert_eq!(text(&none, "PREFECT_API_SSL_CERT_FILE").unwrap(), "/c.pem");
        assert_eq!(text(&none, "PREFECT_CLIENT_MAX_RETRIES").unwrap(), "7");
        assert_eq!(text(&none, "OTHER"), None);
        assert_eq!(none.home(), path.join("mine"));

        let other = chain(
            &[("PREFECT_API_URL", "env"), ("PREFECT_PROFILE", "b")],
            path,
        );
        assert_eq!(text(&other, "PREFECT_API_URL").unwrap(), "env");
        assert_eq!(text(&other, "PREFECT_CLIENT_MAX_RETRIES").unwrap(), "8");
        let source = other.get("PREFECT_CLIENT_MAX_RETRIES").unwrap().source;
        assert!(source.to_string().starts_with("profile `b` in"), "{source}");
    }

    #[test]
    fn an_empty_value_hides_later_ones() {
        let directory = written();
        let chain = chain(&[("PREFECT_API_URL", "")], directory.path());
        assert_eq!(chain.get("PREFECT_API_URL"), None);
    }

    #[test]
    fn what_cannot_be_read_is_named_and_does_not_count() {
        let directory = written();
        let path = directory.path();
        fs::write(path.join("prefect.toml"), "[api\nurl = 1").unwrap();
        fs::write(path.join(".env"), "PREFECT_API_KEY='open").unwrap();
        let chain = chain(
            &[("PREFECT_HOME", "~/mine"), ("PREFECT_PROFILE", "c")],
            path,
        );
        let problems: Vec<_> = chain.problems().iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].contains(".env`"), "{problems:?}");
        // The text may be a secret.
        assert!(!problems[0].contains("open"), "{problems:?}");
        assert!(problems[1].contains("prefect.toml`"), "{problems:?}");
        assert!(problems[2].contains("no profile `c`"), "{problems:?}");
        assert!(problems[2].contains("`a`, `b`"), "{problems:?}");
        assert_eq!(chain.get("PREFECT_API_URL").unwrap().text, "project");
    }

    #[test]
    fn nothing_prints_a_value() {
        let directory = written();
        let chain = chain(&[("PREFECT_API_KEY", "pnu_secret")], directory.path());
        let setting = chain.get("PREFECT_API_KEY").unwrap();
        let printed = format!("{chain:?} {setting:?}");
        assert!(!printed.contains("pnu_secret"), "{printed}");
        assert!(
            printed.contains("PREFECT_API_KEY from the environment"),
            "{printed}"
        );
    }
}
