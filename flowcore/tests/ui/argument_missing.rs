use flowcore::prelude::*;

#[task]
fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[flow]
async fn example() {
    let _ = add.submit(1);
}

fn main() {}
