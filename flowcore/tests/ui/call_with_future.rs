use flowcore::prelude::*;

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn example() {
    let one = inc.submit(0);
    let _ = inc(one).await;
}

fn main() {}
