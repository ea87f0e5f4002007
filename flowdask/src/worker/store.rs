//! The values that are here, in memory or on disk.
//!
//! Values never change, so one that was written once is dropped from memory
//! without being written again. Which goes to disk is decided under the lock;
//! it is written and read outside of it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tempfile::TempDir;

use super::executor::Stored;
use super::spill::SpillFile;
use crate::wire::Key;

#[derive(Debug)]
pub(super) struct Store {
    entries: Mutex<Entries>,
    /// Ends with the store.
    directory: TempDir,
}

#[derive(Debug, Default)]
struct Entries {
    entries: HashMap<Key, Entry>,
    /// Values in memory, the one that was used the longest ago first.
    by_use: BTreeMap<u64, Key>,
    next_use: u64,
    in_memory: u64,
    on_disk: u64,
}

#[derive(Debug)]
struct Entry {
    /// A value made anew is another one.
    id: u64,
    nbytes: u64,
    last_use: u64,
    memory: Option<Stored>,
    disk: Option<Arc<SpillFile>>,
}

/// A value that was here a moment ago; it can be read even if it was dropped
/// since.
#[derive(Clone, Debug)]
pub(super) enum Held {
    Memory(Stored),
    Disk(Arc<SpillFile>),
}

/// What the scheduler and dashboards want to know of a value.
#[derive(Clone, Debug)]
pub(super) struct Description {
    pub(super) type_name: Arc<str>,
    pub(super) pickled_type: Bytes,
    pub(super) nbytes: u64,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) in_memory: u64,
    pub(super) on_disk: u64,
}

impl Store {
    pub(super) fn new(directory: TempDir) -> Self {
        Self {
            entries: Mutex::default(),
            directory,
        }
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Keeps a value; of a key that is here already the old one.
    pub(super) fn insert(&self, key: &Key, value: Stored) {
        let mut entries = self.entries.lock();
        if entries.entries.contains_key(key) {
            return;
        }
        let entry = Entry {
            id: entries.next_use,
            nbytes: value.nbytes(),
            last_use: 0,
            memory: None,
            disk: None,
        };
        entries.entries.insert(key.clone(), entry);
        entries.take_in(key, value);
    }

    pub(super) fn remove(&self, key: &Key) {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.entries.remove(key) {
            if entry.memory.is_some() {
                entries.by_use.remove(&entry.last_use);
                entries.in_memory -= entry.nbytes;
            } else {
                entries.on_disk -= entry.nbytes;
            }
        }
    }

    /// The value, and that it was used.
    pub(super) fn get(&self, key: &Key) -> Option<Held> {
        let mut entries = self.entries.lock();
        entries.touch(key);
        let entry = entries.entries.get(key)?;
        match (&entry.memory, &entry.disk) {
            (Some(value), _) => Some(Held::Memory(value.clone())),
            (None, Some(file)) => Some(Held::Disk(Arc::clone(file))),
            (None, None) => None,
        }
    }

    /// What the scheduler and dashboards want to know of a value.
    pub(super) fn describe(&self, key: &Key) -> Option<Description> {
        let entries = self.entries.lock();
        let entry = entries.entries.get(key)?;
        let (name, class) = match (&entry.memory, &entry.disk) {
            (Some(value), _) => (&value.type_name, &value.pickled_type),
            (None, Some(file)) => (file.type_name(), file.pickled_type()),
            (None, None) => return None,
        };
        Some(Description {
            type_name: Arc::clone(name),
            pickled_type: class.clone(),
            nbytes: entry.nbytes,
        })
    }

    /// Reads a value, from disk if it must be; then it is in memory again.
    /// Blocks.
    pub(super) fn load(&self, key: &Key, held: Held) -> io::Result<Stored> {
        match held {
            Held::Memory(value) => Ok(value),
            Held::Disk(file) => {
                let value = file.read()?;
                let mut entries = self.entries.lock();
                let is_same = entries.entries.get(key).is_some_and(|entry| {
                    entry.memory.is_none()
                        && entry
                            .disk
                            .as_ref()
                            .is_some_and(|disk| Arc::ptr_eq(disk, &file))
                });
                if is_same {
                    entries.take_in(key, value.clone());
                }
                Ok(value)
            }
        }
    }

    /// Moves the value to disk that was used the longest ago. How much that
    /// was, or nothing if all is on disk. Blocks.
    pub(super) fn spill_one(&self) -> io::Result<Option<u64>> {
        let Some(Oldest {
            key,
            id,
            value,
            file,
        }) = self.entries.lock().oldest()
        else {
            return Ok(None);
        };
        let file = match file {
            Some(file) => file,
            None => Arc::new(SpillFile::write(self.directory.path(), &value)?),
        };
        let nbytes = value.nbytes();
        drop(value);
        self.entries.lock().put_on_disk(&key, id, file);
        Ok(Some(nbytes))
    }

    pub(super) fn sizes(&self) -> Sizes {
        let entries = self.entries.lock();
        Sizes {
            in_memory: entries.in_memory,
            on_disk: entries.on_disk,
        }
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.entries.lock().entries.keys().cloned().collect()
    }
}

impl Entries {
    fn touch(&mut self, key: &Key) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if entry.memory.is_some()
            && let Some(key) = self.by_use.remove(&entry.last_use)
        {
            entry.last_use = self.next_use;
            self.by_use.insert(self.next_use, key);
            self.next_use += 1;
        }
    }

    /// Puts the value of an entry that has none in memory there.
    fn take_in(&mut self, key: &Key, value: Stored) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if entry.disk.is_some() {
            self.on_disk -= entry.nbytes;
        }
        entry.memory = Some(value);
        entry.last_use = self.next_use;
        self.in_memory += entry.nbytes;
        self.by_use.insert(self.next_use, key.clone());
        self.next_use += 1;
    }

    fn put_on_disk(&mut self, key: &Key, id: u64, file: Arc<SpillFile>) {
        // Dropped meanwhile, or made anew: then there is nothing to do.
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.id == id) else {
            return;
        };
        if entry.memory.take().is_some() {
            self.by_use.remove(&entry.last_use);
            self.in_memory -= entry.nbytes;
            self.on_disk += entry.nbytes;
            entry.disk = Some(file);
        }
    }

    fn oldest(&self) -> Option<Oldest> {
        let (_, key) = self.by_use.first_key_value()?;
        let entry = self.entries.get(key)?;
        Some(Oldest {
            key: key.clone(),
            id: entry.id,
            value: entry.memory.clone()?,
            file: entry.disk.clone(),
        })
    }
}

/// The value in memory that was used the longest ago.
struct Oldest {
    key: Key,
    id: u64,
    value: Stored,
    /// It was on disk already.
    file: Option<Arc<SpillFile>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Serialized;

    fn value(byte: u8) -> Stored {
        let header = vec![("serializer".into(), "msgpack".into())];
        let frames = vec![Bytes::from(vec![byte; 100]), Bytes::new()];
        Stored::opaque(Serialized::new(header, frames))
    }

    fn store() -> Store {
        Store::new(tempfile::tempdir().unwrap())
    }

    fn is_on_disk(store: &Store, key: &str) -> bool {
        matches!(store.get(&key.into()), Some(Held::Disk(_)))
    }

    #[test]
    fn what_was_used_the_longest_ago_goes_to_disk_and_comes_back_the_same() {
        let store = store();
        for (key, byte) in [("a", 1), ("b", 2), ("c", 3)] {
            store.insert(&key.into(), value(byte));
        }
        store.get(&"a".into());
        let nbytes = value(0).nbytes();
        assert_eq!(store.spill_one().unwrap(), Some(nbytes));
        assert!(is_on_disk(&store, "b"));
        assert_eq!(
            store.sizes(),
            Sizes {
                in_memory: 2 * nbytes,
                on_disk: nbytes
            }
        );

        let held = store.get(&"b".into()).unwrap();
        let loaded = store.load(&"b".into(), held).unwrap();
        assert_eq!(loaded.value, value(2).value);
        assert!(!is_on_disk(&store, "b"), "it is in memory again");
        while store.spill_one().unwrap().is_some() {}
        for key in store.keys() {
            store.remove(&key);
        }
        assert_eq!(store.sizes(), Sizes::default());
        assert_eq!(store.directory.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_value_that_was_dropped_can_still_be_read_by_who_has_it() {
        let store = store();
        store.insert(&"a".into(), value(1));
        store.spill_one().unwrap();
        let held = store.get(&"a".into()).unwrap();
        store.remove(&"a".into());
        let loaded = store.load(&"a".into(), held).unwrap();
        assert_eq!(loaded.value, value(1).value);
        assert_eq!(store.sizes(), Sizes::default());
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let store = store();
        store.insert(&"a".into(), value(1));
        store.spill_one().unwrap();
        let file = store.directory.path().read_dir().unwrap().next();
        let path = file.unwrap().unwrap().path();
        std::fs::write(&path, [0xff; 40]).unwrap();
        let held = store.get(&"a".into()).unwrap();
        let error = store.load(&"a".into(), held).unwrap_err();
        assert!(error.to_string().contains("is damaged"), "{error}");
    }
}
