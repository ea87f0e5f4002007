use flowcore::prelude::*;

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn example() {
    let n: i32 = 5;
    let _ = inc.submit(n);
}

fn main() {}
