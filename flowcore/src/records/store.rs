//! Where records lie: a directory, memory, or a bucket.
//!
//! A store is named by its URL, which also finds it from another process. It
//! moves bytes; what they mean is the record's.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::lock::{LOCKS, MemoryLocks};
use super::record::{Label, Record};
use super::settings::Settings;
use crate::error::{Error, ErrorKind, Result};
use crate::flow::FlowRun;
use crate::settings::expanded;
use crate::transacting::StagedRecord;
use crate::value::{Codec, EncodedValue};
use crate::world::World;

/// Where records of results lie.
///
/// A store is opened by its URL: a path or `file://..` is a directory,
/// `memory://name` lives as long as the process, and with the features `s3`,
/// `gcs` and `azure` also `s3://bucket/prefix`, `gs://bucket/prefix` and
/// `az://container/prefix`, which take their credentials from the
/// environment.
///
/// ```
/// use flowcore::results::ResultStore;
///
/// # #[flowcore::main]
/// # async fn main() -> flowcore::Result<()> {
/// let store = ResultStore::open("memory://example")?;
/// store.write("answer", &42_i64).await?;
/// assert_eq!(store.read("answer").await?, Some(42_i64));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ResultStore(Arc<Inner>);

struct Inner {
    url: String,
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    place: Place,
}

#[derive(Clone, Debug)]
pub(super) enum Place {
    Directory(PathBuf),
    Memory(Arc<MemoryLocks>),
    /// Traffic needs the runtime that has a poller.
    Remote,
}

impl fmt::Debug for ResultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResultStore({})", self.url())
    }
}

/// The longest name of a file, less what a record is called while it is written.
const LONGEST_NAME: usize = 255 - "#1".len();

/// A key as messages show it.
pub(super) fn shown(key: &str) -> Cow<'_, str> {
    const SHOWN: usize = 100;
    match key.char_indices().nth(SHOWN) {
        None => Cow::Borrowed(key),
        Some((end, _)) => Cow::Owned(format!("{}…", &key[..end])),
    }
}

/// What a user can do about it, where the system's own words do not say it.
fn cure(source: &(dyn std::error::Error + 'static)) -> &'static str {
    let mut causes = std::iter::successors(Some(source), |error| error.source());
    let kind = causes.find_map(|error| Some(error.downcast_ref::<io::Error>()?.kind()));
    match kind {
        Some(io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory) => {
            "; in a directory no record's key can go on where another one ends, as `a/b` after \
             `a`: give them different beginnings"
        }
        _ => "",
    }
}

/// An error of a store; its text says the cause too, for log lines.
fn error(message: &str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    let cure = cure(&source);
    Error::build(ErrorKind::Store, format!("{message}: {source}{cure}"))
        .value(Box::new(source))
        .finish()
}

/// The stores that were opened, by URL.
static OPEN: Mutex<Option<HashMap<String, ResultStore>>> = Mutex::new(None);

impl ResultStore {
    /// Opens the store of this URL or path; a directory is made if it is not
    /// there.
    ///
    /// # Errors
    ///
    /// The URL is none that is known, its feature is off, or the directory
    /// cannot be made. The error's kind is [`ErrorKind::Store`].
    pub fn open(url: impl AsRef<str>) -> Result<Self> {
        let url = url.as_ref();
        let mut open = OPEN.lock();
        let open = open.get_or_insert_default();
        if let Some(store) = open.get(url) {
            return Ok(store.clone());
        }
        let store = Self(Arc::new(Inner::open(url)?));
        open.insert(url.to_owned(), store.clone());
        Ok(store)
    }

    /// Nobody will ask for this store again.
    #[cfg(feature = "testing")]
    pub(crate) fn forget(url: &str) {
        let store = OPEN.lock().as_mut().and_then(|open| open.remove(url));
        drop(store);
    }

    /// The store that is used where nobody names another: Prefect's, in
    /// `PREFECT_LOCAL_STORAGE_PATH`, `$PREFECT_HOME/storage` or
    /// `~/.prefect/storage`.
    ///
    /// # Errors
    ///
    /// The directory cannot be made.
    pub fn local() -> Result<Self> {
        Self::open(Self::default_url())
    }

    pub(super) fn default_url() -> String {
        let storage = || {
            Settings::of_process()
                .storage
                .to_string_lossy()
                .into_owned()
        };
        World::here(|world| world.map_or_else(storage, World::store))
    }

    /// A new store in memory, for tests. Its [`url`](Self::url) finds it
    /// again, as long as the process lives.
    ///
    /// ```
    /// use flowcore::results::ResultStore;
    ///
    /// let store = ResultStore::memory();
    /// assert!(store.url().starts_with("memory://"));
    /// ```
    #[must_use]
    pub fn memory() -> Self {
        Self::open(format!("memory://{}", uuid::Uuid::now_v7()))
            .expect("a store in memory needs nothing")
    }

    /// What opens this store, here or in another process.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The value of a record; `None` if there is none, or if its time is over.
    ///
    /// # Errors
    ///
    /// The store cannot be read, or the record is damaged, of another type or
    /// of a codec that is not read here.
    pub async fn read<T>(&self, key: &str) -> Result<Option<T>>
    where
        T: Serialize + DeserializeOwned,
    {
        let Some(bytes) = self.get(key).await? else {
            return Ok(None);
        };
        let codecs = [Codec::message_pack(), Codec::bincode()];
        Record::read(&bytes, &codecs, crate::runtime::now())
            .map(|found| found.map(|(value, _)| value))
            .map_err(|problem| self.error("cannot use the record", key, problem))
    }

    /// Writes a record, in the place of one that is there.
    ///
    /// # Errors
    ///
    /// The value cannot be encoded, or the store not written.
    pub async fn write<T>(&self, key: &str, value: &T) -> Result<()>
    where
        T: Serialize + DeserializeOwned,
    {
        let encoded = Codec::<T>::message_pack().encode(value)?;
        let record = self.staged::<T>(key, &encoded, None, None);
        record.write().await.map(drop)
    }

    /// Removes a record; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// The store cannot be written.
    pub async fn remove(&self, key: &str) -> Result<()> {
        let path = self.path(key)?;
        let objects = Arc::clone(&self.0.objects);
        match self.drive(async move { objects.delete(&path).await }).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(self.error("cannot remove", key, source)),
        }
    }

    /// The store of the flow's results, or of the process's.
    pub(crate) fn of_flow(flow: Option<&FlowRun>) -> Result<Self> {
        match flow.and_then(|flow| flow.results().store()) {
            Some(url) => Self::open(url),
            None => Self::local(),
        }
    }

    /// Whether there is a record whose time is not over.
    pub(crate) async fn has(&self, key: &str) -> Result<bool> {
        let bytes = self.get(key).await?;
        Ok(bytes.is_some_and(|bytes| Record::counts(&bytes, crate::runtime::now())))
    }

    /// The record of a value, ready to be written: of a task's run, if one
    /// gave it.
    pub(crate) fn staged<T>(
        &self,
        key: &str,
        value: &EncodedValue,
        task: Option<&'static str>,
        expires_after: Option<Duration>,
    ) -> StagedRecord {
        let label = Label {
            storage_key: self.storage_key(key),
            task,
            expires_after,
            now: crate::runtime::now(),
        };
        let record = Record::of::<T>(value, label);
        StagedRecord {
            store: self.clone(),
            key: key.to_owned(),
            bytes: record.to_bytes(),
            metadata: record.into_metadata(),
            lock: None,
        }
    }

    /// The bytes of a record.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path(key)?;
        let objects = Arc::clone(&self.0.objects);
        let read = async move { objects.get(&path).await?.bytes().await };
        match self.drive(read).await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.error("cannot read", key, source)),
        }
    }

    /// Writes a record: readers see the old one or the new one, never a part.
    pub(crate) async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        let path = self.path(key)?;
        let objects = Arc::clone(&self.0.objects);
        let write = async move { objects.put(&path, bytes.into()).await };
        match self.drive(write).await {
            Ok(_) => Ok(()),
            Err(source) => Err(self.error("cannot write", key, source)),
        }
    }

    /// Where a record lies, as Prefect says it in the record.
    pub(super) fn storage_key(&self, key: &str) -> String {
        match &self.0.place {
            Place::Directory(directory) => directory.join(key).to_string_lossy().into_owned(),
            Place::Memory(_) | Place::Remote => key.to_owned(),
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.0.place
    }

    /// What went wrong with a record of this store.
    pub(super) fn error(
        &self,
        what: &str,
        key: &str,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Error {
        error(&self.about(what, key), source)
    }

    fn about(&self, what: &str, key: &str) -> String {
        format!("result store `{}`: {what} `{}`", self.url(), shown(key))
    }

    fn path(&self, key: &str) -> Result<Path> {
        let path = Path::from(key);
        let is_of_locks = path
            .parts()
            .next()
            .is_some_and(|part| part.as_ref() == LOCKS);
        if path.as_ref().is_empty() || is_of_locks {
            let message = self.about("no record can have the key", key);
            return Err(Error::build(ErrorKind::Store, message).finish());
        }
        let mut lengths = path.parts().map(|part| part.as_ref().len());
        if matches!(self.0.place, Place::Directory(_))
            && let Some(length) = lengths.find(|length| *length > LONGEST_NAME)
        {
            let message = format!(
                "{}: a file's name has at most {LONGEST_NAME} bytes here, and it would have \
                 {length}: give a shorter key, such as the hash of this one",
                self.about("no record can have the key", key)
            );
            return Err(Error::build(ErrorKind::Store, message).finish());
        }
        Ok(self.0.prefix.parts().chain(path.parts()).collect())
    }

    /// Traffic goes through the service runtime, whoever waits for it; files
    /// and memory need none.
    async fn drive<R: Send + 'static>(
        &self,
        work: impl Future<Output = object_store::Result<R>> + Send + 'static,
    ) -> object_store::Result<R> {
        match self.0.place {
            Place::Remote => {
                // Traffic takes real time, whatever the clock of its runs.
                let _hold = crate::runtime::hold();
                let ended = crate::runtime::process_service().spawn(work).await;
                ended.unwrap_or_else(|source| Err(object_store::Error::JoinError { source }))
            }
            Place::Directory(_) | Place::Memory(_) => work.await,
        }
    }
}

/// The URL as another process understands it, wherever that runs.
pub(super) fn absolute(url: &str) -> String {
    if url.contains("://") {
        return url.to_owned();
    }
    let path = expanded(FilePath::new(url).to_owned());
    let path = std::path::absolute(&path).unwrap_or(path);
    path.to_string_lossy().into_owned()
}

impl Inner {
    fn open(url: &str) -> Result<Self> {
        let invalid = |reason: &str| {
            let message = format!("result store `{url}`: {reason}");
            Error::build(ErrorKind::Store, message).finish()
        };
        if url.is_empty() {
            return Err(invalid(
                "it has no name: write a path, or a URL such as `memory://name`",
            ));
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return Self::directory(url, &expanded(FilePath::new(url).to_owned()));
        };
        match scheme {
            "memory" if rest.is_empty() => Err(invalid("it has no name: write `memory://name`")),
            "memory" => Ok(Self {
                url: url.to_owned(),
                objects: Arc::new(InMemory::new()),
                prefix: Path::default(),
                place: Place::Memory(Arc::default()),
            }),
            "file" => {
                let parsed = Url::parse(url).ok().and_then(|url| url.to_file_path().ok());
                let path = parsed.ok_or_else(|| {
                    invalid("it is no file URL: write `file:///directory`, or the path alone")
                })?;
                Self::directory(url, &path)
            }
            "s3" | "s3a" => Self::remote(url, "s3", cfg!(feature = "s3")),
            "gs" => Self::remote(url, "gcs", cfg!(feature = "gcs")),
            "az" | "azure" | "abfs" | "abfss" | "adl" => {
                Self::remote(url, "azure", cfg!(feature = "azure"))
            }
            _ => Err(invalid(
                "its kind is not known: it is a path, or begins with `file://`, `memory://`, \
                 `s3://`, `gs://` or `az://`",
            )),
        }
    }

    fn directory(url: &str, directory: &FilePath) -> Result<Self> {
        let failed = |source: std::io::Error| {
            let message = format!("result store `{url}`: cannot make its directory");
            error(&message, source)
        };
        if !directory.is_dir() {
            std::fs::create_dir_all(directory).map_err(failed)?;
        }
        let directory = directory.canonicalize().map_err(failed)?;
        let objects = LocalFileSystem::new_with_prefix(&directory)
            .map_err(|source| error(&format!("result store `{url}`: cannot open it"), source))?;
        Ok(Self {
            // Absolute, so that another process finds it.
            url: directory.to_string_lossy().into_owned(),
            objects: Arc::new(objects),
            prefix: Path::default(),
            place: Place::Directory(directory),
        })
    }

    fn remote(url: &str, feature: &str, is_on: bool) -> Result<Self> {
        let about = |what: &str| format!("result store `{url}`: {what}");
        if !is_on {
            let message = format!("this program was built without flowcore's feature `{feature}`");
            return Err(Error::build(ErrorKind::Store, about(&message)).finish());
        }
        let parsed = Url::parse(url).map_err(|source| error(&about("it is no URL"), source))?;
        // Variables that are no text are nobody's options.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let (objects, prefix) = object_store::parse_url_opts(&parsed, variables)
            .map_err(|source| error(&about("cannot open it"), source))?;
        Ok(Self {
            url: url.to_owned(),
            objects: objects.into(),
            prefix,
            place: Place::Remote,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block<T>(future: impl Future<Output = T>) -> T {
        pollster::block_on(future)
    }

    #[test]
    fn a_directory_keeps_records_where_prefect_looks() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        let store = ResultStore::open(path.to_str().unwrap()).unwrap();
        block(store.write("key-1", &vec![1_u8, 2])).unwrap();
        let text = std::fs::read_to_string(path.join("key-1")).unwrap();
        assert!(text.contains(r#""result":"[1, 2]""#), "{text}");
        assert!(!text.ends_with('\n'));
        assert_eq!(block(store.read("key-1")).unwrap(), Some(vec![1_u8, 2]));
        assert_eq!(block(store.read::<i64>("key-2")).unwrap(), None);
        block(store.remove("key-1")).unwrap();
        block(store.remove("key-1")).unwrap();
        assert_eq!(block(store.read::<Vec<u8>>("key-1")).unwrap(), None);
    }

    #[test]
    fn no_key_leaves_the_store() {
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().join("store");
        let store = ResultStore::open(inside.to_str().unwrap()).unwrap();
        for key in ["../out", "a/../../out", "/etc/out", "ü b#1", "a\\b"] {
            block(store.write(key, &1)).unwrap();
            assert_eq!(block(store.read(key)).unwrap(), Some(1), "{key}");
        }
        let outside: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(outside.len(), 1);
        for key in ["", "/", ".locks", "/.locks/x"] {
            assert!(block(store.write(key, &1)).is_err());
        }
    }

    #[test]
    fn keys_that_cannot_be_files_are_told_with_a_cure() {
        let directory = tempfile::tempdir().unwrap();
        let store = ResultStore::open(directory.path().to_str().unwrap()).unwrap();
        let longest = "k".repeat(LONGEST_NAME);
        block(store.write(&longest, &1)).unwrap();
        assert_eq!(block(store.read(&longest)).unwrap(), Some(1));
        // What a file's name cannot hold takes three bytes for one.
        for key in [format!("a/{longest}k"), "ü".repeat(50)] {
            for error in [
                block(store.write(&key, &1)).unwrap_err(),
                block(store.read::<i32>(&key)).unwrap_err(),
                block(store.remove(&key)).unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::Store);
                let text = error.to_string();
                assert!(text.contains("give a shorter key"), "{text}");
                assert!(text.len() < 500, "{text}");
            }
        }
        // In memory it is no file.
        block(ResultStore::memory().write(&"k".repeat(9999), &1)).unwrap();

        block(store.write("outer", &1)).unwrap();
        block(store.write("under/inner", &2)).unwrap();
        for error in [
            block(store.write("outer/inner", &3)).unwrap_err(),
            block(store.read::<i32>("outer/inner")).unwrap_err(),
            block(store.write("under", &4)).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(text.contains("give them different beginnings"), "{text}");
        }
        assert_eq!(block(store.read("outer")).unwrap(), Some(1));
        assert_eq!(block(store.read("under/inner")).unwrap(), Some(2));
        assert_eq!(block(store.read::<i32>("under")).unwrap(), None);
    }

    #[test]
    fn a_name_in_memory_is_one_store() {
        let store = ResultStore::memory();
        block(store.write("k", &"v".to_owned())).unwrap();
        let again = ResultStore::open(store.url()).unwrap();
        assert_eq!(block(again.read("k")).unwrap(), Some("v".to_owned()));
        let other = ResultStore::memory();
        assert_eq!(block(other.read::<String>("k")).unwrap(), None);
    }

    #[test]
    fn stores_that_cannot_be_are_named() {
        for (url, part) in [
            ("ftp://x", "its kind is not known"),
            ("", "it has no name"),
            ("memory://", "it has no name"),
            ("file://host/x", "it is no file URL"),
            ("/dev/null/x", "cannot make its directory"),
        ] {
            let error = ResultStore::open(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Store);
            assert!(error.to_string().contains(part), "{error}");
            assert!(error.to_string().contains(url), "{error}");
        }
    }

    #[cfg(not(feature = "s3"))]
    #[test]
    fn a_feature_that_is_off_is_named() {
        let error = ResultStore::open("s3://bucket/x").unwrap_err();
        assert!(error.to_string().contains("feature `s3`"), "{error}");
    }

    #[test]
    fn a_damaged_record_is_an_error_with_its_cause() {
        let directory = tempfile::tempdir().unwrap();
        let store = ResultStore::open(directory.path().to_str().unwrap()).unwrap();
        std::fs::write(directory.path().join("k"), "{\"metadata\": {}").unwrap();
        let error = block(store.read::<i64>("k")).unwrap_err();
        let text = format!("{error:?}");
        assert!(
            text.contains("cannot use the record `k`: it is cut off"),
            "{text}"
        );
        assert!(text.contains("caused by: "), "{text}");
    }
}
