//! No world: the types of one that cannot be.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;

use crate::clock::Timestamp;
use crate::limits::LimitsHere;
use crate::runner::EmbeddedSession;

pub(crate) enum World {}

pub(crate) enum Hold {}

impl World {
    #[inline]
    pub(crate) fn here<R>(look: impl FnOnce(Option<&Self>) -> R) -> R {
        look(None)
    }

    #[inline]
    pub(crate) fn current() -> Option<Self> {
        None
    }

    #[inline]
    pub(crate) fn is_here() -> bool {
        false
    }

    pub(crate) fn now(&self) -> Timestamp {
        match *self {}
    }

    pub(crate) fn handle(&self) -> Handle {
        match *self {}
    }

    pub(crate) fn limits(&self) -> &Arc<LimitsHere> {
        match *self {}
    }

    pub(crate) fn session(&self) -> &OnceLock<Arc<EmbeddedSession>> {
        match *self {}
    }

    pub(crate) fn store(&self) -> String {
        match *self {}
    }

    pub(crate) fn hold(&self) -> Hold {
        match *self {}
    }

    pub(crate) fn enter<R>(self, _code: impl FnOnce() -> R) -> R {
        match self {}
    }

    pub(crate) fn block_on<F: Future>(self, _future: F) -> F::Output {
        match self {}
    }
}

impl Hold {
    #[inline]
    pub(crate) fn keep<R>(_hold: Option<Self>, code: impl FnOnce() -> R) -> R {
        code()
    }
}
