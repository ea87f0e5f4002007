// says: this task argument wants `i64`, or a future or state of `i64`, but got `&str`
// says: a reference is passed as a clone, so its type must be `Clone`; nothing else is converted: convert first, such as with `.into()`, `as`, or for a list `.into_iter().map(..).collect()`

use flowcore::prelude::*;

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn example() {
    let _ = inc.submit("five");
}

fn main() {}
