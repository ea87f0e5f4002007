use flowcore::prelude::*;

#[task]
struct Row {
    name: String,
}

#[flow]
mod nightly {}

#[task]
fn declared(x: i64) -> i64;

fn main() {}
