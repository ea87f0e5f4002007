use flowcore::prelude::*;

#[task]
#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow]
#[task]
fn both(x: i64) -> i64 {
    x
}

fn main() {}
