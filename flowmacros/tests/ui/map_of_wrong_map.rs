use flowcore::prelude::*;

#[task]
fn name(x: i64) -> String {
    x.to_string()
}

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn example() {
    let names = name.map(0..3);
    let _ = inc.map(&names);
}

fn main() {}
