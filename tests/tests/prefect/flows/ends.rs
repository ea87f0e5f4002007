//! What a flow leaves behind.

use std::time::Duration;

use flowcore::prelude::*;

use super::waiting::blocking_nap;
use super::{ValueError, double};
use crate::table::{Row, rows};

pub(super) const ROWS: &[Row] = rows![left_behind_in_the_queue, left_behind_by_an_exception];

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
async fn left_behind_in_the_queue() {
    drop(blocking_nap.submit(1.0));
    drop(double.submit(2));
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
async fn left_behind_by_an_exception() -> Result<()> {
    let running = blocking_nap.submit(1.0);
    drop(double.submit(2));
    running.wait(Duration::from_millis(100)).await;
    Err(ValueError("enough".into()).into())
}
