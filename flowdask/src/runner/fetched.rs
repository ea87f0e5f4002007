//! Batches that came home for one of their rows, kept for the others.

use std::collections::VecDeque;
use std::sync::Arc;

use flowcore::Error;
use flowcore::bridge::RunnerFuture;
use futures_util::FutureExt;
use futures_util::future::Shared;

use super::io;
use crate::client::Future;
use crate::values::Rows;
use crate::wire::Key;

/// So many batches are kept: rows are mostly read one after the other.
const MOST: usize = 4;

/// A batch, on its way or here.
pub(super) type FetchedRows = Shared<RunnerFuture<Result<Arc<Rows>, Error>>>;

#[derive(Default)]
pub(super) struct Fetched(VecDeque<(Key, FetchedRows)>);

impl Fetched {
    /// The rows behind this key.
    pub(super) fn rows(&mut self, future: Future) -> FetchedRows {
        let key = future.key().clone();
        if let Some((_, rows)) = self.0.iter().find(|(known, _)| *known == key) {
            return rows.clone();
        }
        let rows = fetch(future).shared();
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back((key, rows.clone()));
        rows
    }
}

fn fetch(future: Future) -> RunnerFuture<Result<Arc<Rows>, Error>> {
    let fetched = io().spawn(async move {
        let value = future.result().await?;
        Ok::<_, Error>(Arc::new(Rows::from_wire(&value)?))
    });
    Box::pin(async move { fetched.await? })
}
