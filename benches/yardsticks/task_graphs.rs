//! Graphs of single tasks, written by hand: one `tokio::spawn` per task, which
//! awaits the handles of the tasks before it.
//!
//! Three shapes, because a task has one of three kinds of neighbours: one before
//! and one after it (chains), two before it (a tree), two after it (diamonds).
//! A handle can be awaited once, so what two tasks read is made `Shared`.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{Map, Shared};
use tokio::task::{JoinError, JoinHandle};

/// A task's result. The error is shared because two tasks may read it.
type Outcome = Result<i64, Arc<JoinError>>;

/// A task whose result one task reads.
type Handle = JoinHandle<Outcome>;

/// A task whose result several tasks read.
type SharedHandle = Shared<Map<Handle, fn(Result<Outcome, JoinError>) -> Outcome>>;

/// `count` chains of `length` tasks each: the first adds one to the chain's
/// number, every other one to the result before it. Gives the sum of the
/// chains' ends.
///
/// # Errors
///
/// If a task panics.
pub async fn chains(count: usize, length: usize) -> Outcome {
    let ends: Vec<Handle> = (0..)
        .take(count)
        .map(|number| {
            let first = tokio::spawn(async move { Ok(inc(number)) });
            (1..length).fold(first, |before, _| {
                tokio::spawn(async move { Ok(inc(one(before).await?)) })
            })
        })
        .collect();
    sum(ends).await
}

/// A tree over `leaves` tasks, each of which adds one to its number; pairs are
/// added up until one task is left. Gives its result.
///
/// # Errors
///
/// If a task panics.
///
/// # Panics
///
/// If there is no leaf.
pub async fn tree(leaves: usize) -> Outcome {
    let mut level: Vec<Handle> = (0..)
        .take(leaves)
        .map(|number| tokio::spawn(async move { Ok(inc(number)) }))
        .collect();
    while level.len() > 1 {
        let mut above = Vec::with_capacity(level.len().div_ceil(2));
        let mut below = level.into_iter();
        while let Some(x) = below.next() {
            above.push(match below.next() {
                Some(y) => tokio::spawn(async move { Ok(add(one(x).await?, one(y).await?)) }),
                None => x,
            });
        }
        level = above;
    }
    one(level.pop().expect("a tree has a leaf")).await
}

/// `count` diamonds of four tasks: one adds one to the diamond's number, two
/// read that, and the last adds those two up. Gives the sum of the last ones.
///
/// # Errors
///
/// If a task panics.
pub async fn diamonds(count: usize) -> Outcome {
    let ends: Vec<Handle> = (0..)
        .take(count)
        .map(|number| {
            let top: SharedHandle = tokio::spawn(async move { Ok(inc(number)) })
                .map(flatten as fn(_) -> _)
                .shared();
            let other = top.clone();
            let left: Handle = tokio::spawn(async move { Ok(inc(top.await?)) });
            let right: Handle = tokio::spawn(async move { Ok(double(other.await?)) });
            tokio::spawn(async move { Ok(add(one(left).await?, one(right).await?)) })
        })
        .collect();
    sum(ends).await
}

/// Awaits a task that one task reads.
async fn one(handle: Handle) -> Outcome {
    flatten(handle.await)
}

/// A panic and a failed task before it are the same to who reads the result.
fn flatten(outcome: Result<Outcome, JoinError>) -> Outcome {
    outcome.map_err(Arc::new).flatten()
}

async fn sum(handles: Vec<Handle>) -> Outcome {
    let mut sum = 0;
    for handle in handles {
        sum += one(handle).await?;
    }
    Ok(sum)
}

fn inc(x: i64) -> i64 {
    x + 1
}

fn double(x: i64) -> i64 {
    x * 2
}

fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[cfg(test)]
mod tests {
    use super::{chains, diamonds, tree};
    use crate::yardsticks::runtime;

    #[test]
    fn every_shape_gives_its_sum() {
        let runtime = runtime().expect("threads");
        runtime.block_on(async {
            assert_eq!(chains(3, 4).await.expect("no panic"), 4 + 5 + 6);
            assert_eq!(tree(5).await.expect("no panic"), 1 + 2 + 3 + 4 + 5);
            assert_eq!(diamonds(2).await.expect("no panic"), (2 + 2) + (3 + 4));
        });
    }
}
