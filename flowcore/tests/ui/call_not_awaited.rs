// says: a call does nothing until it is awaited
// says: a run whose result nobody reads is easily forgotten; await it, or `drop` it
// says: a map whose results nobody reads is easily forgotten; await it, or `drop` it

#![deny(unused_must_use)]

use flowcore::prelude::*;

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn example() {
    inc(1);
    inc.submit(1);
    inc.map(0..3);
}

fn main() {}
