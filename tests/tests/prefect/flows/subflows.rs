//! Flows in flows.

use flowcore::prelude::*;

use super::{bad, double, inc};
use crate::table::{Row, rows};

pub(super) const ROWS: &[Row] = rows![
    subflow,
    subflow_that_fails,
    subflow_that_fails_and_is_forgiven,
    subflow_whose_state_is_returned,
    subflow_whose_value_goes_on,
    subflow_in_a_task,
    subflow_with_invalid_parameters,
    subflow_with_valid_parameters,
];

#[flow]
async fn child(x: i64) -> Result<i64> {
    Ok(inc(x).await? * 10)
}

#[flow]
async fn child_that_fails(x: i64) -> Result<i64> {
    bad(x).await
}

#[flow]
async fn subflow() -> Result<i64> {
    Ok(child(1).await? + 1)
}

#[flow]
async fn subflow_that_fails() -> Result<i64> {
    child_that_fails(1).await
}

#[flow]
async fn subflow_that_fails_and_is_forgiven() -> String {
    child_that_fails(1).state().await.name().to_string()
}

#[flow]
async fn subflow_whose_state_is_returned() -> State<i64> {
    child_that_fails(1).state().await
}

#[flow]
async fn subflow_whose_value_goes_on() -> Result<i64> {
    double.submit(child(1).await?).await
}

#[task]
async fn calls_a_flow(x: i64) -> Result<i64> {
    Ok(child(x).await? + 1)
}

#[flow]
async fn subflow_in_a_task() -> Result<i64> {
    calls_a_flow.submit(1).await
}

fn positive_and_named(days: &i64, name: &str) -> Vec<&'static str> {
    let mistakes = [
        (*days <= 0, "days: Input should be greater than 0"),
        (
            name.is_empty(),
            "name: String should have at least 1 character",
        ),
    ];
    let mistakes = mistakes.into_iter().filter(|(is_wrong, _)| *is_wrong);
    mistakes.map(|(_, mistake)| mistake).collect()
}

#[flow(validate = positive_and_named)]
async fn checked_child(days: i64, name: String) -> Result<i64> {
    let _named = name;
    inc(days).await
}

#[flow]
async fn subflow_with_invalid_parameters() -> Result<i64> {
    checked_child(0, String::new()).await
}

#[flow]
async fn subflow_with_valid_parameters() -> Result<i64> {
    checked_child(1, "a".to_owned()).await
}
