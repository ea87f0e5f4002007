// says: this task argument wants `i64`, or a future or state of `i64`, but got `&TaskFuture<String>`
// says: a reference is passed as a clone, so its type must be `Clone`; nothing else is converted: convert first, such as with `.into()`, `as`, or for a list `.into_iter().map(..).collect()`

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
    let text = name.submit(1);
    let _ = inc.submit(&text);
}

fn main() {}
