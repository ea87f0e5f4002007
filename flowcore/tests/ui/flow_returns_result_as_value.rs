use flowcore::prelude::*;

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn example() -> i64 {
    inc.submit(1).await
}

fn main() {}
