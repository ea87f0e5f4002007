// says: the value of a task outlives its arguments and cannot be borrowed from them: return an owned type, such as `String` for `&str` or `Vec<T>` for `&[T]`
// says: the value of a task cannot be borrowed: return an owned type, such as `String`

use flowcore::prelude::*;

#[task]
fn first(text: &str) -> &str {
    &text[..1]
}

#[task]
fn rows(values: &[i64]) -> Result<Vec<&i64>> {
    Ok(values.iter().collect())
}

#[task]
fn label() -> &'static str {
    "label"
}

fn main() {}
