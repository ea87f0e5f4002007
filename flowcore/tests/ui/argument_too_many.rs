use flowcore::prelude::*;

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn example() {
    let _ = inc.submit(1, 2);
}

fn main() {}
