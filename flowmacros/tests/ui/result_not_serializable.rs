use flowcore::prelude::*;

struct Row;

#[task]
fn make() -> Result<Vec<Row>, String> {
    Ok(vec![Row])
}

fn main() {}
