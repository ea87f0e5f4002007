use flowcore::prelude::*;

struct Row {
    name: String,
}

#[task]
fn read(rows: &[Row]) -> usize {
    rows.iter().map(|row| row.name.len()).sum()
}

fn main() {}
