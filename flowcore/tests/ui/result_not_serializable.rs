// says: a value of type `Vec<Row>` cannot travel to another process
// says: add `#[derive(serde::Serialize, serde::Deserialize)]` to the type; or write `#[task(local)]`, which keeps the task's runs in the flow's process

use flowcore::prelude::*;

struct Row;

#[task]
fn make() -> Result<Vec<Row>, String> {
    Ok(vec![Row])
}

fn main() {}
