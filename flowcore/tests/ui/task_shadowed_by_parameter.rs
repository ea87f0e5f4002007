use flowcore::prelude::*;

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn example(inc: i64) -> i64 {
    inc
}

fn main() {}
