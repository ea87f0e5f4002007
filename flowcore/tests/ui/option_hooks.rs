//! Functions that cannot be hooks, and what is no function.

use flowcore::prelude::*;
use flowcore::{FlowInfo, RunInfo, TaskInfo};

fn notify(_: &TaskInfo, _: &RunInfo, _: &State) {}

fn counts(_: &TaskInfo, _: &RunInfo, _: &State) -> usize {
    1
}

async fn waits(_: &TaskInfo, _: &RunInfo, _: &State) {}

// says: `on_failure` wants a named function or a list of them: `on_failure = notify`; a closure can be added to a copy: `.with_options(|o| o.on_failure(..))`
#[task(on_failure = |_, _, _| ())]
fn closure() {}

// says: `on_crashed` wants a named function or a list of them: `on_crashed = notify`
#[task(on_running = notify, on_crashed = ["notify"])]
fn text() {}

// says: `on_cancellation` needs a value: `on_cancellation = notify`
#[task(on_cancellation)]
fn nothing() {}

// says: unknown option `on_complet`; did you mean
#[task(on_complet = notify)]
fn unknown() {}

// says: write `on_completion = notify`
#[flow(on_success = notify)]
fn of_others() {}

// says: a hook cannot return `usize`
#[task(on_completion = counts)]
fn outcome() {}

#[task(on_completion = [notify, waits])]
fn asynchronous() {}

#[flow(on_completion = notify)]
fn of_a_task() {}

fn of_a_flow(_: &FlowInfo, _: &RunInfo, _: &State) {}

fn main() {
    let _ = text.with_options(|o| o.on_failure(of_a_flow));
    let _ = text.with_options(|o| o.on_failure(|task| println!("{task:?}")));
}
