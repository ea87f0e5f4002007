//! Functions that cannot be hooks of a transaction, and where those belong.

use flowcore::prelude::*;
use flowcore::transactions::Transaction;
use flowcore::{RunInfo, TaskInfo};

fn undo(_: &Transaction) {}

fn counts(_: &Transaction) -> usize {
    1
}

fn of_a_state(_: &TaskInfo, _: &RunInfo, _: &State) {}

// says: `on_commit` wants a named function or a list of them: `on_commit = undo`; a closure can be added to a copy: `.with_options(|o| o.on_commit(..))`
#[task(on_commit = |_| ())]
fn closure() {}

// says: `on_rollback` needs a value: `on_rollback = undo`
#[task(on_rollback)]
fn nothing() {}

// says: `on_rollback` wants a named function or a list of them: `on_rollback = undo`
#[task(on_rollback = [undo, "undo"])]
fn text() {}

// says: `#[flow]` has no option `on_commit`: it belongs to a task
#[flow(on_commit = undo)]
async fn of_a_flow() {}

// says: a hook cannot return `usize`
#[task(on_commit = counts)]
fn outcome() {}

#[task(on_rollback = of_a_state)]
fn other_arguments() {}

fn main() {
    let _ = outcome.with_options(|o| o.on_rollback(of_a_state));
}
