// says: a task cannot take `impl Trait`: it would be generic; name the type, such as `Vec<T>` for `impl IntoIterator<Item = T>`
// says: a task cannot return `impl Trait`: name the type, such as `Vec<T>`

use flowcore::prelude::*;

#[task]
fn sum(values: impl IntoIterator<Item = i64>) -> i64 {
    values.into_iter().sum()
}

#[task]
fn evens(until: i64) -> impl Iterator<Item = i64> {
    (0..until).step_by(2)
}

fn main() {}
