use flowcore::prelude::*;

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn example() {
    let inc = inc.submit(1);
    let _ = inc;
}

fn main() {}
