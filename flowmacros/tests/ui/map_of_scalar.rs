use flowcore::prelude::*;

#[task]
fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[flow]
async fn example() {
    let a = add.map(0..3, 0..3);
    let _ = add.map(&a, 10);
}

fn main() {}
