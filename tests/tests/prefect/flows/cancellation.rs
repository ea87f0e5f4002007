//! Cancellation.

use std::time::Duration;

use flowcore::prelude::*;

use super::waiting::held;
use super::{double, tell, told};
use crate::table::{Row, rows};

pub(super) const ROWS: &[Row] = rows![
    call_dropped_halfway,
    subflow_dropped_halfway,
    subflow_cancelled_from_outside,
];

#[task]
async fn forever() {
    tell("begun");
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[flow]
async fn call_dropped_halfway() {
    tokio::select! {
        _ = forever() => {}
        () = told("begun") => {}
    }
}

#[flow]
async fn waits_forever() -> Result<()> {
    forever().await
}

#[flow]
async fn subflow_dropped_halfway() {
    tokio::select! {
        _ = waits_forever() => {}
        () = told("begun") => {}
    }
}

#[task]
async fn held_and_told() -> Result<i64> {
    tell("begun");
    held.func("go", 1).await;
    Ok(1)
}

#[flow]
async fn cancelled_from_outside() -> Result<i64> {
    let first = held_and_told.with_options(|o| o.name("held")).submit();
    double.submit(first).await
}

#[flow]
async fn subflow_cancelled_from_outside() -> String {
    let handle = cancelled_from_outside.start();
    told("begun").await;
    handle.cancel();
    handle.wait(None).await;
    handle.state().name().to_string()
}
