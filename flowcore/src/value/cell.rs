//! Where one value waits for its readers.
//!
//! A [`ValueCell`] is filled once and read by many. It starts as the plain
//! value; the first reader that wants to share it turns it into an `Arc`, and
//! the last reader may take it out. Nothing here knows of runs or engines.

use std::sync::Arc;

use parking_lot::Mutex;

use super::codec::Access;
use crate::error::{Error, Result};

#[derive(Debug)]
enum Content<T> {
    Empty,
    Plain(T),
    Shared(Arc<T>),
    Taken,
}

/// One value, filled once.
#[derive(Debug)]
pub(crate) struct ValueCell<T>(Mutex<Content<T>>);

impl<T> Default for ValueCell<T> {
    fn default() -> Self {
        Self(Mutex::new(Content::Empty))
    }
}

impl<T> ValueCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(Content::Plain(value)))
    }

    pub(crate) fn shared(value: Arc<T>) -> Self {
        Self(Mutex::new(Content::Shared(value)))
    }

    /// Puts the value in. A second value for the same run (a runner may run
    /// it again, see "at least once") is dropped.
    pub(crate) fn fill(&self, value: T) {
        let mut content = self.0.lock();
        if matches!(*content, Content::Empty) {
            *content = Content::Plain(value);
        }
    }

    /// Puts in a value that others have as well.
    pub(crate) fn fill_shared(&self, value: Arc<T>) {
        let mut content = self.0.lock();
        if matches!(*content, Content::Empty) {
            *content = Content::Shared(value);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(*self.0.lock(), Content::Empty)
    }

    /// The value, shared with all its other readers.
    pub(crate) fn share(&self) -> Result<Arc<T>> {
        let mut content = self.0.lock();
        match std::mem::replace(&mut *content, Content::Taken) {
            Content::Plain(value) => {
                let value = Arc::new(value);
                *content = Content::Shared(Arc::clone(&value));
                Ok(value)
            }
            Content::Shared(value) => {
                *content = Content::Shared(Arc::clone(&value));
                Ok(value)
            }
            Content::Empty => {
                *content = Content::Empty;
                Err(missing::<T>())
            }
            Content::Taken => Err(taken::<T>()),
        }
    }

    /// A value of the reader's own: the value itself if this reader is the
    /// last, else a copy.
    pub(crate) fn obtain(&self, last: bool, access: &Access<T>) -> Result<T> {
        let mut content = self.0.lock();
        if !last {
            return match &*content {
                Content::Plain(value) => access.copy(value),
                Content::Shared(value) => access.copy(value),
                Content::Empty => Err(missing::<T>()),
                Content::Taken => Err(taken::<T>()),
            };
        }
        match std::mem::replace(&mut *content, Content::Taken) {
            Content::Plain(value) => Ok(value),
            Content::Shared(value) => Arc::try_unwrap(value).or_else(|value| access.copy(&value)),
            Content::Empty => {
                *content = Content::Empty;
                Err(missing::<T>())
            }
            Content::Taken => Err(taken::<T>()),
        }
    }

    /// Reads the value in place.
    pub(crate) fn with<R>(&self, read: impl FnOnce(&T) -> R) -> Result<R> {
        match &*self.0.lock() {
            Content::Plain(value) => Ok(read(value)),
            Content::Shared(value) => Ok(read(value)),
            Content::Empty => Err(missing::<T>()),
            Content::Taken => Err(taken::<T>()),
        }
    }
}

fn missing<T>() -> Error {
    Error::invalid(format!(
        "a value of type `{}` is not in this process",
        std::any::type_name::<T>()
    ))
}

fn taken<T>() -> Error {
    Error::invalid(format!(
        "a value of type `{}` was already handed to its last reader; keep a handle of the future to \
         read it again",
        std::any::type_name::<T>()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLONES: Access<String> = Access::new(Some(String::clone), None);

    #[derive(Debug)]
    struct Unique;

    #[test]
    fn last_reader_takes_the_value() {
        let cell = ValueCell::new("a".to_owned());
        let shared = cell.share().unwrap();
        assert_eq!(cell.obtain(false, &CLONES).unwrap(), "a");
        drop(shared);
        assert_eq!(cell.obtain(true, &CLONES).unwrap(), "a");
        assert!(cell.obtain(true, &CLONES).is_err());
    }

    #[test]
    fn a_value_without_clone_or_codec_is_named() {
        let cell = ValueCell::new(Unique);
        let access = Access::new(None, None);
        let error = cell.obtain(false, &access).unwrap_err();
        assert!(error.to_string().contains("derive `Clone`"), "{error}");
        assert!(cell.obtain(true, &access).is_ok());
    }

    #[test]
    fn the_first_value_stays() {
        let cell = ValueCell::default();
        cell.fill(1);
        cell.fill(2);
        assert_eq!(*cell.share().unwrap(), 1);
    }
}
