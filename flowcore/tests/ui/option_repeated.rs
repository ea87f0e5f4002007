// says: option `retries` is given twice; remove one

use flowcore::prelude::*;

#[task(retries = 3, timeout = "1s", retries = 4)]
fn inc(x: i64) -> i64 {
    x + 1
}

fn main() {}
