//! Locks on keys, so that two runs do not compute one value twice.
//!
//! In a directory a lock is a file that the operating system locks: it is free
//! again when its holder has gone, however that went. In memory it is an
//! entry. Buckets have no locks.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use md5::{Digest, Md5};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::record::hex;
use super::store::{Place, ResultStore};
use crate::error::{Error, ErrorKind, Result};
use crate::runner::note_waiting;

/// What runs see of each other where they have one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Isolation {
    /// Records that have been written. Two runs that start at the same time
    /// both compute.
    #[default]
    ReadCommitted,
    /// One after the other: the second waits and takes the result of the
    /// first. The store must be a directory or memory.
    Serializable,
}

/// Where the files of a directory's locks lie; no record's key begins so.
pub(super) const LOCKS: &str = ".locks";

/// How often a lock that another process holds is tried.
const FIRST_TRY: Duration = Duration::from_millis(2);
const LATER_TRIES: Duration = Duration::from_millis(100);

/// The locks of a store in memory.
#[derive(Debug, Default)]
pub(super) struct MemoryLocks {
    held: Mutex<HashSet<String>>,
    freed: Notify,
}

/// A lock, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(Held);

#[derive(Debug)]
enum Held {
    File(File, PathBuf),
    Memory(Arc<MemoryLocks>, String),
}

impl ResultStore {
    /// Waits until nobody else has this key.
    ///
    /// # Errors
    ///
    /// The store has no locks, or the lock's file cannot be made.
    pub(crate) async fn lock(&self, key: &str) -> Result<Lock> {
        match self.place() {
            Place::Directory(directory) => {
                let file = format!("{}.lock", hex(&Md5::digest(key)));
                let path = directory.join(LOCKS).join(file);
                let failed = |source| self.error("cannot lock", key, source);
                lock_file(&path).await.map_err(failed)
            }
            Place::Memory(locks) => Ok(lock_entry(locks, key).await),
            Place::Remote => {
                let message = format!(
                    "result store `{}`: it has no locks, so isolation level SERIALIZABLE is not \
                     supported: use a directory that all processes share",
                    self.url()
                );
                Err(Error::build(ErrorKind::Store, message).finish())
            }
        }
    }
}

async fn lock_entry(locks: &Arc<MemoryLocks>, key: &str) -> Lock {
    loop {
        let freed = locks.freed.notified();
        tokio::pin!(freed);
        // Registered before the look, so that no release is missed.
        freed.as_mut().enable();
        if locks.held.lock().insert(key.to_owned()) {
            return Lock(Held::Memory(Arc::clone(locks), key.to_owned()));
        }
        note_waiting();
        freed.await;
    }
}

async fn lock_file(path: &Path) -> std::io::Result<Lock> {
    let mut wait = FIRST_TRY;
    loop {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => return Ok(Lock(Held::File(file, path.to_owned()))),
            // Its holder removed it between the two.
            Ok(()) => continue,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        note_waiting();
        crate::runtime::sleep(wait).await;
        wait = (wait * 2).min(LATER_TRIES);
    }
}

/// Whether the file is still the one of this name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// Elsewhere lock files are never removed.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

impl Drop for Lock {
    fn drop(&mut self) {
        match &self.0 {
            Held::File(file, path) => {
                // Removed while it is locked: whoever opened it sees that it
                // has gone.
                if cfg!(unix) {
                    let _ = fs::remove_file(path);
                }
                let _ = file.unlock();
            }
            Held::Memory(locks, key) => {
                locks.held.lock().remove(key);
                locks.freed.notify_waiters();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn one_at_a_time(store: &ResultStore) {
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let lock = pollster::block_on(store.lock("k")).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        // Another key is free while this one is held.
        let _lock = pollster::block_on(store.lock("k")).unwrap();
        drop(pollster::block_on(store.lock("other")).unwrap());
    }

    #[test]
    fn one_holds_a_key_in_memory() {
        one_at_a_time(&ResultStore::memory());
    }

    #[test]
    fn one_holds_a_key_in_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        one_at_a_time(&ResultStore::open(directory.path().to_str().unwrap()).unwrap());
        let left = fs::read_dir(directory.path().join(".locks")).unwrap();
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn a_directory_that_cannot_lock_says_so() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(".locks"), "no directory").unwrap();
        let store = ResultStore::open(directory.path().to_str().unwrap()).unwrap();
        let error = pollster::block_on(store.lock("k")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(error.to_string().contains("cannot lock `k`"), "{error}");
    }
}
