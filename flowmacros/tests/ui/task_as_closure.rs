use flowcore::prelude::*;

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn example() {
    let _ = (0..3).map(inc).count();
}

fn main() {}
