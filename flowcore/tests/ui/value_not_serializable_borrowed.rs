// says: a value of type `Vec<Row>` cannot travel to another process
// says: add `#[derive(serde::Serialize, serde::Deserialize)]` to the type; or write `#[task(local)]`, which keeps the task's runs in the flow's process

use flowcore::prelude::*;

struct Row {
    name: String,
}

#[task]
fn read(rows: &[Row]) -> usize {
    rows.iter().map(|row| row.name.len()).sum()
}

fn main() {}
