//! Async code that is polled inside code of its own kind: calls in calls,
//! transactions in transactions. What users nest may be deeper than a stack.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What one of them, and the code of users between two, may need of the stack.
const ENOUGH: usize = 256 << 10;
/// What is there in addition when no more than that is left.
const MORE: usize = 2 << 20;

/// Goes as deep as there is memory.
pub(crate) struct Deep<'a, T>(Pin<Box<dyn Future<Output = T> + Send + 'a>>);

impl<'a, T> Deep<'a, T> {
    pub(crate) fn new(code: impl Future<Output = T> + Send + 'a) -> Self {
        Self(Box::pin(code))
    }
}

impl<T> Future for Deep<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        stacker::maybe_grow(ENOUGH, MORE, || self.0.as_mut().poll(context))
    }
}
