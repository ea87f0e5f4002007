//! The code of a flow run as `#[flow]` generates it: a body for each attempt.
//!
//! Invariant: owned arguments wait here until the last attempt takes them; an
//! earlier one gets a clone, so that a flow without retries never clones.

use std::fmt;

use super::task::{BodyFuture, TaskError};
use super::validation::InvalidParameters;

/// What makes the body of each attempt of one flow run.
#[doc(hidden)]
pub struct FlowCode<'a, T> {
    make: Box<MakeBody<'a, T>>,
    blocks: bool,
    taken_once: Option<(&'static str, &'static str)>,
}

type MakeBody<'a, T> =
    dyn FnMut(FlowAttempt) -> Result<FlowBody<'a, T>, InvalidParameters> + Send + 'a;

/// Which attempt a body is made for.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct FlowAttempt {
    /// None was made before.
    pub is_first: bool,
    /// No other will be made.
    pub is_last: bool,
}

impl<'a, T> FlowCode<'a, T> {
    /// `taken_once`: for each owned argument, whether it is there once only.
    pub fn new(
        blocks: bool,
        taken_once: impl IntoIterator<Item = Option<(&'static str, &'static str)>>,
        make: impl FnMut(FlowAttempt) -> Result<FlowBody<'a, T>, InvalidParameters> + Send + 'a,
    ) -> Self {
        Self {
            make: Box::new(make),
            blocks,
            taken_once: taken_once.into_iter().flatten().next(),
        }
    }

    /// Whether it runs on the thread that polls.
    pub(crate) fn blocks(&self) -> bool {
        self.blocks
    }

    /// Name and type of an argument that a second attempt could not have.
    pub(crate) fn taken_once(&self) -> Option<(&'static str, &'static str)> {
        self.taken_once
    }

    /// The attempt's body, unless the arguments are not what the flow wants.
    pub(crate) fn body(
        &mut self,
        attempt: FlowAttempt,
    ) -> Result<FlowBody<'a, T>, InvalidParameters> {
        (self.make)(attempt)
    }
}

impl<T> fmt::Debug for FlowCode<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FlowCode")
    }
}

/// The code of one attempt.
#[doc(hidden)]
pub enum FlowBody<'a, T> {
    /// An async function.
    Future(BodyFuture<'a, T>),
    /// A sync function that borrows from its caller: it runs on the caller's
    /// thread.
    Blocking(Box<dyn FnOnce() -> Result<T, TaskError> + Send + 'a>),
    /// A sync function with a thread of its own.
    Thread(Box<dyn FnOnce() -> Result<T, TaskError> + Send + 'static>),
}

impl<T> fmt::Debug for FlowBody<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Future(_) => "FlowBody::Future",
            Self::Blocking(_) => "FlowBody::Blocking",
            Self::Thread(_) => "FlowBody::Thread",
        })
    }
}

/// An owned argument of a flow, which waits for the attempt that may take it.
#[doc(hidden)]
#[derive(Debug)]
pub struct FlowArgument<T> {
    name: &'static str,
    value: Option<T>,
    clone: Option<fn(&T) -> T>,
}

impl<T> FlowArgument<T> {
    /// The argument `name`, and how it is cloned, if it can be.
    pub fn new(name: &'static str, value: T, clone: Option<fn(&T) -> T>) -> Self {
        Self {
            name,
            value: Some(value),
            clone,
        }
    }

    /// Its name and type, if a second attempt could not have it.
    #[must_use]
    pub fn taken_once(&self) -> Option<(&'static str, &'static str)> {
        let is_cloned = self.clone.is_some();
        (!is_cloned).then(|| (self.name, std::any::type_name::<T>()))
    }

    /// The value, for a look.
    ///
    /// # Panics
    ///
    /// If it was taken.
    #[must_use]
    pub fn look(&self) -> &T {
        let value = self.value.as_ref();
        value.expect("the argument is looked at before the first attempt")
    }

    /// The value, or a clone if another attempt may follow.
    ///
    /// # Panics
    ///
    /// If it was taken, or must be cloned and cannot be: a flow with retries
    /// and such an argument does not begin.
    pub fn obtain(&mut self, attempt: FlowAttempt) -> T {
        let value = match (attempt.is_last, self.clone) {
            (true, _) => self.value.take(),
            (false, clone) => clone.and_then(|clone| self.value.as_ref().map(clone)),
        };
        value.expect("the argument is there for every attempt")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const BEFORE: FlowAttempt = FlowAttempt {
        is_first: true,
        is_last: false,
    };
    const LAST: FlowAttempt = FlowAttempt {
        is_first: false,
        is_last: true,
    };

    #[test]
    fn the_last_attempt_gets_the_value_itself() {
        let value = Arc::new(1);
        let mut argument = FlowArgument::new("x", Arc::clone(&value), Some(Arc::clone));
        assert_eq!(argument.taken_once(), None);
        drop(argument.obtain(BEFORE));
        assert_eq!(Arc::strong_count(&value), 2);
        drop(argument.obtain(LAST));
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn what_is_there_once_is_named() {
        struct Once;
        let once = FlowArgument::new("socket", Once, None);
        let (name, type_name) = once.taken_once().unwrap();
        assert_eq!(name, "socket");
        assert!(type_name.ends_with("Once"), "{type_name}");
    }
}
