//! Hooks.

use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{FlowInfo, RunInfo, TaskInfo};

use super::{ValueError, bad, even, inc};
use crate::table::{Row, rows};

pub(super) const ROWS: &[Row] = rows![
    hooks_of_a_task_that_completes,
    hooks_of_a_task_that_fails,
    hooks_of_a_task_that_is_tried_again,
    hooks_of_a_task_that_never_starts,
    hooks_that_fail,
    hooks_of_a_flow_that_completes,
    hooks_of_a_flow_that_fails,
];

static HEARD: LazyLock<Mutex<Vec<String>>> = LazyLock::new(Mutex::default);

pub(super) fn forget() {
    HEARD.lock().expect("nobody panics here").clear();
}

pub(super) fn heard() -> Vec<String> {
    HEARD.lock().expect("nobody panics here").clone()
}

pub(super) fn note(text: String) {
    HEARD.lock().expect("nobody panics here").push(text);
}

fn hear(_: &TaskInfo, _: &RunInfo, state: &State) {
    note(state.name().to_string());
}

fn hear_too(_: &TaskInfo, _: &RunInfo, state: &State) {
    note(format!("{} too", state.name()));
}

fn stumble(_: &TaskInfo, _: &RunInfo, _: &State) -> Result<(), ValueError> {
    Err(ValueError("a hook stumbled".into()))
}

#[task(on_running = hear, on_completion = [hear, hear_too], on_failure = hear)]
fn heard_even(x: i64) -> Result<i64, ValueError> {
    even.func(x)
}

#[flow]
async fn hooks_of_a_task_that_completes() -> Vec<String> {
    heard_even.submit(2).wait(None).await;
    heard()
}

#[flow]
async fn hooks_of_a_task_that_fails() -> Vec<String> {
    heard_even.submit(1).wait(None).await;
    heard()
}

#[flow]
async fn hooks_of_a_task_that_is_tried_again() -> Vec<String> {
    let again = heard_even.with_options(|o| o.retries(1).retry_delay(Duration::from_millis(10)));
    again.submit(1).wait(None).await;
    heard()
}

#[flow]
async fn hooks_of_a_task_that_never_starts() -> Vec<String> {
    heard_even.submit(bad.submit(1)).wait(None).await;
    heard()
}

#[flow]
async fn hooks_that_fail() -> (String, Vec<String>) {
    let bystander = inc.with_options(|o| o.on_completion(stumble).on_completion(hear));
    let state = bystander(1).state().await;
    (state.name().to_string(), heard())
}

fn hear_flow(_: &FlowInfo, _: &RunInfo, state: &State) {
    note(state.name().to_string());
}

#[flow(on_running = hear_flow, on_completion = hear_flow, on_failure = hear_flow)]
async fn heard_child(x: i64) -> Result<i64> {
    even(x).await
}

#[flow]
async fn hooks_of_a_flow_that_completes() -> Result<Vec<String>> {
    heard_child(2).await?;
    Ok(heard())
}

#[flow]
async fn hooks_of_a_flow_that_fails() -> Vec<String> {
    let _ = heard_child(1).state().await;
    heard()
}
