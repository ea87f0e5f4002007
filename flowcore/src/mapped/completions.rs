//! The rows of a map in the order in which they settle.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;

use super::Mapped;
use crate::error::{Error, Result};
use crate::future::TaskFuture;

/// Rows of a map as they settle; made by [`Mapped::completions`].
pub struct Completions<T> {
    mapped: Mapped<T>,
    /// Rows that have not settled, once their number is known.
    open: Option<Vec<u32>>,
    settled: VecDeque<u32>,
    current: Option<(usize, TaskFuture<T>)>,
    is_refused: bool,
}

impl<T> fmt::Debug for Completions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Completions of {:?}", self.mapped)
    }
}

impl<T> Completions<T> {
    pub(super) fn new(mapped: Mapped<T>) -> Self {
        Self {
            mapped,
            open: None,
            settled: VecDeque::new(),
            current: None,
            is_refused: false,
        }
    }

    /// Learns the rows; the error of a map without rows is its only item.
    fn poll_rows(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        if self.open.is_some() {
            return Poll::Ready(Ok(()));
        }
        let (flow, id) = self.mapped.live().map_err(Clone::clone)?;
        let rows = match self.mapped.rows() {
            Some(rows) => rows.clone(),
            None => 0..std::task::ready!(flow.poll_length(id, context.waker()))?,
        };
        self.open = Some(rows.collect());
        Poll::Ready(Ok(()))
    }

    /// Moves rows that have settled; the waker is noted first, so that none
    /// is missed.
    fn look(&mut self, context: &Context<'_>) {
        let (Ok((flow, id)), Some(open)) = (self.mapped.live(), &mut self.open) else {
            return;
        };
        let _ = flow.poll_map_settled(id, self.mapped.rows(), context.waker());
        let settled = &mut self.settled;
        let _ = flow.with_map(id, |map| {
            open.retain(|&row| {
                let is_open = map
                    .states
                    .get(row as usize)
                    .is_some_and(|name| !name.is_settled());
                if !is_open {
                    settled.push_back(row);
                }
                is_open
            });
        });
    }
}

impl<T: Send + Sync + 'static> Completions<T> {
    /// The next row that has settled; `None` after the last one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no row.
    pub async fn next(&mut self) -> Option<(usize, Result<T>)> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl<T: Send + Sync + 'static> Stream for Completions<T> {
    type Item = (usize, Result<T>);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some((index, run)) = &mut self.current {
                let value = std::task::ready!(Pin::new(run).poll(context));
                let index = *index;
                self.current = None;
                return Poll::Ready(Some((index, value)));
            }
            if self.is_refused {
                return Poll::Ready(None);
            }
            if let Err(error) = std::task::ready!(self.poll_rows(context)) {
                self.is_refused = true;
                return Poll::Ready(Some((0, Err(error))));
            }
            if self.settled.is_empty() {
                self.look(context);
            }
            let Some(row) = self.settled.pop_front() else {
                let is_done = self.open.as_ref().is_none_or(Vec::is_empty);
                return if is_done {
                    Poll::Ready(None)
                } else {
                    Poll::Pending
                };
            };
            let index = (row - self.mapped.first_row()) as usize;
            let run = self.mapped.get(index);
            self.current = Some((index, run));
        }
    }
}
