use flowcore::prelude::*;

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn example() {
    let two: i64 = inc(1);
    let three = inc.submit(two) + 1;
    let _ = three;
}

fn main() {}
