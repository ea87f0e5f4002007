// says: this task argument wants `Vec<i64>`, or a future or state of `Vec<i64>`, but got `Mapped<String>`
// says: a reference is passed as a clone, so its type must be `Clone`; nothing else is converted: convert first, such as with `.into()`, `as`, or for a list `.into_iter().map(..).collect()`

use flowcore::prelude::*;

#[task]
fn name(x: i64) -> String {
    x.to_string()
}

#[task]
fn sum(values: &[i64]) -> i64 {
    values.iter().sum()
}

#[flow]
async fn example() {
    let words = name.map(0..3);
    let _ = sum.submit(words);
}

fn main() {}
