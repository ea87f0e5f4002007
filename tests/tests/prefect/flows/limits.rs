//! Limits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{concurrency, limits, wait};

use crate::table::{Row, rows};

pub(super) const ROWS: &[Row] = rows![limited_by_tag, limited_to_nothing, limited_by_name];

static INSIDE: AtomicUsize = AtomicUsize::new(0);
static MOST_INSIDE: AtomicUsize = AtomicUsize::new(0);

/// What the tasks below do at most one at a time.
async fn stay_inside() {
    let inside = INSIDE.fetch_add(1, Ordering::SeqCst) + 1;
    MOST_INSIDE.fetch_max(inside, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(50)).await;
    INSIDE.fetch_sub(1, Ordering::SeqCst);
}

#[task(tags = ["narrow"])]
async fn tagged() {
    stay_inside().await;
}

#[flow]
async fn limited_by_tag() -> usize {
    limits().set("tag:narrow", 1);
    wait([tagged.submit(), tagged.submit()], None).await;
    MOST_INSIDE.load(Ordering::SeqCst)
}

#[task(tags = ["closed"])]
async fn locked_out() {
    stay_inside().await;
}

#[flow]
async fn limited_to_nothing() -> Vec<TaskFuture<()>> {
    limits().set("tag:closed", 0);
    vec![locked_out.submit()]
}

#[task]
async fn one_at_a_time() -> Result<()> {
    let _door = concurrency("door", 1).await?;
    stay_inside().await;
    Ok(())
}

#[flow]
async fn limited_by_name() -> usize {
    limits().set("door", 1);
    wait([one_at_a_time.submit(), one_at_a_time.submit()], None).await;
    MOST_INSIDE.load(Ordering::SeqCst)
}
