// says: `#[task]` stands here twice; remove one
// says: a function is a task or a flow, not both; write a second function that calls the first

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
