// says: `#[task]` goes on a function: `fn` or `async fn`
// says: `#[flow]` goes on a function: `fn` or `async fn`
// says: a task needs a body: `{ .. }`

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
