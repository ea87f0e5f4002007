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
