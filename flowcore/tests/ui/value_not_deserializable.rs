// says: a value of type `Row` cannot travel to another process
// says: add `#[derive(serde::Serialize, serde::Deserialize)]` to the type; or write `#[task(local)]`, which keeps the task's runs in the flow's process

use flowcore::prelude::*;

#[derive(serde::Serialize)]
struct Row {
    name: String,
}

#[task]
fn read(row: Row) -> usize {
    row.name.len()
}

fn main() {}
