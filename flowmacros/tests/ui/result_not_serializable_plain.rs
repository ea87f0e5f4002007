use flowcore::prelude::*;

struct Row;

#[task]
async fn make() -> Row {
    Row
}

fn main() {}
