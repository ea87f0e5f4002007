// says: `report` is `rows`, `batches` or `summary`: `report = summary`; did you mean `batches`?
// says: `report` is `rows`, `batches` or `summary`: `report = summary`
// says: `report` needs a value: `report = summary`
// says: `api` is `required` or `best_effort`: `api = required`; did you mean `required`?
// says: `#[flow]` has no option `report`: it belongs to a task
// says: `#[task]` has no option `api`: it belongs to a flow

use flowcore::prelude::*;

#[task(report = batch)]
fn misspelt() {}

#[task(report = "summary")]
fn text() {}

#[task(report)]
fn without_value() {}

#[flow(api = require)]
async fn misspelt_flow() {}

#[flow(report = summary)]
async fn of_a_task() {}

#[task(api = required)]
fn of_a_flow() {}

#[task(report = rows)]
fn right() {}

#[flow(api = best_effort)]
async fn right_flow() {}

fn main() {}
